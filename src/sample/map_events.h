/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Tells when a process maps code: one perf event per thread that records executable mmaps (as perf
 * itself does), of which only the fact is used. Threads started later are not covered; for them the
 * look at /proc has to do.
 */
#ifndef LUASPY_MAP_EVENTS_H
#define LUASPY_MAP_EVENTS_H

#include <stdbool.h>
#include <sys/types.h>

struct map_events;

/* Watches the threads that `pid` has now, and wakes `epoll_fd` up (data.fd is a descriptor of this
 * module; EPOLLHUP means that it can be taken out). NULL when that is not possible, which is no
 * error. */
struct map_events *map_events__new(pid_t pid, int epoll_fd);
void map_events__free(struct map_events *self);

/* Whether a file was mapped since the last call. NULL-safe. */
bool map_events__pending(struct map_events *self);

#endif
