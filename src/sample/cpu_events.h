/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The sampling timers: one perf cpu-clock event per thread of a target, inherited by the threads it
 * starts later, each running the sampling program. Other processes pay nothing.
 */
#ifndef LUASPY_CPU_EVENTS_H
#define LUASPY_CPU_EVENTS_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

struct cpu_events;

/* `program_fd` is the sampling program. `children`: processes that a target forks are sampled, too.
 * NULL when out of memory. */
struct cpu_events *cpu_events__new(uint32_t rate_hz, int program_fd, bool children);
void cpu_events__free(struct cpu_events *self);

/*
 * Opens a timer on each thread of `pid`, exactly one each, even while it starts threads,
 * stopped until cpu_events__enable;
 * with `on_exec` they start by themselves when the process executes another program. Returns 0,
 * -ESRCH, -EACCES or -EPERM (perf_event_paranoid), -EINVAL (rate above the kernel's limit),
 * -EMFILE, -EBUSY when threads come faster than they can be listed, -ENOMEM.
 */
int cpu_events__add(struct cpu_events *self, pid_t pid, bool on_exec);

/* Closes the timers of a process that has ended. */
void cpu_events__remove(struct cpu_events *self, pid_t pid);

/* Before Linux 5.13 children inherit the timers, wanted or not. */
bool cpu_events__always_inherited(void);

/* Starts or stops all timers, also those added from now on. */
void cpu_events__enable(struct cpu_events *self, bool enable);

#endif
