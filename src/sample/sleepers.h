/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The threads that are off the CPU when their time begins to count, which the scheduler's
 * tracepoint has not seen leave: their stacks are walked in user space (thread_stacks.h).
 */
#ifndef LUASPY_SLEEPERS_H
#define LUASPY_SLEEPERS_H

#include <sys/types.h>

#include "off_cpu.h"
#include "sampler.h"

struct sleepers;

/* Loads what it takes. 0, -ENOMEM, or another negative errno of bpf(2): then such stacks stay
 * unknown. The caller frees *self. */
int sleepers__new(struct sleepers **self);
void sleepers__free(struct sleepers *self);

/* Those of this process are wanted. */
void sleepers__want(struct sleepers *self, pid_t pid);

/* Looks for them, once, after off_cpu__start; those that run or have run meanwhile are left to the
 * tracepoint. `sampler` has the option user_walks and follows the processes. 0 or a negative errno.
 */
int sleepers__find(struct sleepers *self, struct sampler *sampler, struct off_cpu *off_cpu);

#endif
