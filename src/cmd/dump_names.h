/* SPDX-License-Identifier: Apache-2.0 */
/*
 * From the words of a dump's stacks to frames with names, and what the states of threads and
 * coroutines are called.
 */
#ifndef LUASPY_DUMP_NAMES_H
#define LUASPY_DUMP_NAMES_H

#include "../symbol/frame_names.h"
#include "dump_model.h"

#define DUMP_STATE_BYTES 96

/* Fills the frames of all stacks, and the names of functions among the values. 0 or -ENOMEM. */
int dump_names__find(struct dump *dump, const struct frame_names *names);

/* "running", "sleeping in epoll_wait", "waiting for a CPU" ... */
void dump_names__state(const struct dump_thread *thread, char text[DUMP_STATE_BYTES]);
/* "suspended", "not started", "running", "normal", "running or normal", "finished", "failed" */
const char *dump_names__status(const struct dump_coroutine *coroutine);

/* A frame's kind, as the text names it: lua, jit, builtin, C, kernel, note. */
const char *dump_names__kind(const struct profile_frame *frame);
/* Is the frame one that is shown? */
bool dump_names__is_shown(const struct profile_frame *frame, bool native);

#endif
