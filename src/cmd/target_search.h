/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Finds the processes that a command's target options mean, once and again: those that appear later
 * and match are found by the next look.
 */
#ifndef LUASPY_TARGET_SEARCH_H
#define LUASPY_TARGET_SEARCH_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#include "target_options.h"

struct target_search;

/* Borrows `options`. NULL when out of memory. */
struct target_search *target_search__new(const struct target_options *options);
void target_search__free(struct target_search *self);

/*
 * Looks at the processes; *pids are those that match and were not given out before, ascending, but
 * in the first look the pids of the options come first, whatever they are. Returns 0, -ENOMEM, or
 * an errno of reading /proc. The caller frees *pids. A look at 600 processes takes about 4 ms.
 */
int target_search__look(struct target_search *self, pid_t **pids, size_t *count);

/* After a look: may others match later? Is there an nginx master, whose workers are wanted? */
bool target_search__goes_on(const struct target_search *self);
bool target_search__has_master(const struct target_search *self);

/* After a look: how many matched and were left out since they, or files of theirs, may not be
 * looked into. */
size_t target_search__denied(const struct target_search *self);

/* After a look that found nothing: why, and what to do, as a sentence. Or that a container's id was
 * cut too short, whatever was found; false when there is nothing to say. */
bool target_search__explain(const struct target_search *self, size_t found, char *text,
			    size_t size);

#endif
