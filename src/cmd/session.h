/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the commands that sample share: from the targets to a running sampler and the names of what
 * it sees, with what is said when a step fails. What becomes of the samples is the commands' own.
 */
#ifndef LUASPY_SESSION_H
#define LUASPY_SESSION_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "../sample/kernel_names.h"
#include "../sample/program_logs.h"
#include "../sample/sampler.h"
#include "../symbol/frame_names.h"
#include "../symbol/kernel_symbols.h"
#include "../symbol/lua_functions.h"
#include "privileges.h"
#include "record_builds.h"
#include "record_containers.h"
#include "record_start.h"
#include "record_targets.h"

struct session {
	bool quiet; /* no warnings */
	FILE *warnings;
	struct record_targets targets;
	struct record_containers *containers;
	struct record_start start;
	struct sampler *sampler;
	struct refusal refusal; /* of the program that did not load */
	struct lua_names *lua_names;
	struct lua_functions *lua_functions;
	struct kernel_symbols *kernel;
	struct frame_names names;
	struct record_builds builds;
	FILE *kernel_symbols;		   /* opened while we may see the addresses */
	struct kernel_names *kernel_names; /* may be NULL */
	uint32_t files_told;		   /* modules whose files were complained about */
};

/* Each of these returns 0, or a negative errno after a message. Call them in this order. */

/* Is /proc that of luaspy's PID namespace? */
int session__check_proc(void);

/* Finds the targets; `options` is borrowed. Not with a command, which is added by the caller. */
int session__find(struct session *self, struct target_options *options, uint32_t rate_hz);

/* Loads the programs; prepares the names. */
int session__open(struct session *self, const struct sampler_options *options);

/* Says in one line why programs could not be loaded; `err` is that of sampler__new or
 * thread_states__new, with what they left in `refusal`. `verbose`: after the verifier's log. */
void session__print_load_error(const struct session *self, int err, bool verbose);

/* Adds what was found. */
int session__add_targets(struct session *self);

/* Gives up what the rest does not need; `kernel`: kernel functions are to have names. */
int session__drop_privileges(struct session *self, const struct privileges_needs *needs,
			     bool kernel);

/* After sampler__start, at least ten times a second: takes in what comes, and waits for that up to
 * `timeout_ms`; a signal ends the wait. 0 or -ENOMEM. */
int session__poll(struct session *self, int timeout_ms);

/* Forgets the stacks that have come, after sampler__take. */
void session__clear_stacks(struct session *self);
/* Forgets them all, after sampler__stop. */
void session__drop_stacks(struct session *self);

/* Prepares names of kernel functions, with the privileges that it takes: session__drop_privileges
 * does. */
void session__open_kernel_symbols(struct session *self);

/* Kernel functions have names from now on, if they may; a warning if not. */
void session__read_kernel_symbols(struct session *self);

/* Before it: warns of files and builds that were not warned of yet. */
void session__warn_files(struct session *self);
void session__warn_builds(struct session *self);

/* "nginx 1234 and 3 others in web" */
void session__title(const struct session *self, char *title, size_t size);

void session__free(struct session *self);

#endif
