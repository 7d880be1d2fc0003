/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The threads of a dump: stacks of those that do not run are walked from here, those that run are
 * sampled, each until it has one.
 */
#ifndef LUASPY_DUMP_THREADS_H
#define LUASPY_DUMP_THREADS_H

#include "dump_session.h"

/* Adds the threads of the processes that the sampler follows to them. 0 or a negative errno. Takes
 * some milliseconds if all of them sleep, at most two seconds. */
int dump_threads__collect(struct dump_session *session);

#endif
