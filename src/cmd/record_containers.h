/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which containers the processes of a recording are in. It is asked while they are there, and told
 * when they may have gone.
 */
#ifndef LUASPY_RECORD_CONTAINERS_H
#define LUASPY_RECORD_CONTAINERS_H

#include <stdint.h>
#include <sys/types.h>

#include "../sample/stack_store.h"

struct record_containers;

/* NULL when out of memory. */
struct record_containers *record_containers__new(void);
void record_containers__free(struct record_containers *self);

/* Looks at a process, once. */
void record_containers__note(struct record_containers *self, pid_t pid);

/* Looks at the processes of the stacks that have come since the last time. */
void record_containers__look(struct record_containers *self, const struct stack_store *stacks);
/* The store's stacks are about to be forgotten: the next look begins with its first one. */
void record_containers__restart(struct record_containers *self);

/* The name of the container that a process was in, or the beginning of its id; NULL for none.
 * Borrowed. For profile_builder_options.container: `self` is a struct record_containers. */
const char *record_containers__label(void *self, uint32_t tgid);

#endif
