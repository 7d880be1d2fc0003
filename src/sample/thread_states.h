/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The threads of processes as the kernel has them now (bpf/tasks.bpf.c): what each does, and the
 * registers and kernel stacks of those that are not running. Nothing of them is stopped.
 *
 * A thread's registers and its stack are one picture if its number of switches is the same before
 * and after what is read of it, and it was off the CPU both times.
 */
#ifndef LUASPY_THREAD_STATES_H
#define LUASPY_THREAD_STATES_H

#include <stdbool.h>
#include <sys/types.h>

#include "../bpf/task_record.h"

struct refusal;
struct thread_states;

/* Loads the program, which takes some 30 ms. Returns 0; -EPERM, -EACCES, -ENOTSUP or another errno
 * of bpf(2); -ENOMEM. `refusal` may be NULL; it is set when the verifier refuses the program. The
 * caller frees *states. */
int thread_states__new(struct thread_states **states, struct refusal *refusal);
void thread_states__free(struct thread_states *self);

/* From now on the threads of this process are read. 0 or negative errno. */
int thread_states__want(struct thread_states *self, pid_t pid);

/* Calls `found` for each thread of those processes; nonzero ends it with that result. Returns 0 or
 * negative errno. A look at 1,000 tasks of the machine takes about a millisecond. */
int thread_states__read(struct thread_states *self,
			int (*found)(void *context, const struct record_task *task), void *context);

/* Has the thread not run between the two reads? */
bool record_task__unchanged(const struct record_task *before, const struct record_task *after);

#endif
