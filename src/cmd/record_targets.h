/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The processes that a command profiles: found before it starts, added to the recording, and
 * looked for again while it goes on. It is here that they are complained about.
 */
#ifndef LUASPY_RECORD_TARGETS_H
#define LUASPY_RECORD_TARGETS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "../sample/sampler.h"
#include "record_containers.h"
#include "target_options.h"
#include "target_search.h"

struct record_targets {
	struct target_options *options;
	uint32_t rate_hz;	      /* for messages */
	bool quiet;		      /* no warnings */
	struct target_search *search; /* NULL with a command */
	pid_t *found;		      /* by the last look, not added yet */
	size_t found_count;
	uint64_t looked_ms;
	pid_t first;	       /* the recording is called after this one */
	char comm[64];	       /* its name */
	const char *container; /* what it is in: the name, or the beginning of the id; NULL */
	size_t count;	       /* added */
};

/* Finds them; `options` is borrowed, and thread ids in it become those of their processes. 0, or a
 * negative errno after a message. */
int record_targets__find(struct record_targets *self, struct target_options *options,
			 uint32_t rate_hz, bool quiet);

/* After that: are the children of the processes wanted? May others come later? */
bool record_targets__with_children(const struct record_targets *self);
bool record_targets__goes_on(const struct record_targets *self);

/* Adds what was found to the recording, and notes which containers it is in. 0, or a negative errno
 * after a message. */
int record_targets__add(struct record_targets *self, struct sampler *sampler,
			struct record_containers *containers);

/* Looks for others, twice a second. */
void record_targets__tend(struct record_targets *self, struct sampler *sampler);

void record_targets__free(struct record_targets *self);

/* Says why a process cannot be profiled; `err` is that of sampler__add or process_info__read. */
void record_targets__print_error(pid_t pid, int err, uint32_t rate_hz);

#endif
