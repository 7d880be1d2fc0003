/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The stacks of threads that are not running: blocked in a system call, waiting for a CPU, stopped.
 * Each was walked in user space (user_walk.h) while the thread did not run, which its number of
 * switches proves; of one that did, there is none.
 *
 * For running threads there is the sampler.
 */
#ifndef LUASPY_THREAD_STACKS_H
#define LUASPY_THREAD_STACKS_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#include "sampler.h"
#include "thread_states.h"
#include "user_walk.h"

struct thread_stacks;

/* Borrows both. `sampler` follows the processes and has the option user_walks; it takes in what the
 * frames refer to (sampler__take_record), with `values` also RECORD_FRAMEs. `states` wants the
 * processes. NULL when out of memory. */
struct thread_stacks *thread_stacks__new(struct sampler *sampler, struct thread_states *states,
					 bool values);
void thread_stacks__free(struct thread_stacks *self);

/* Of thread `tid`, nothing more is wanted: its stack came in another way. */
void thread_stacks__done(struct thread_stacks *self, pid_t tid);

/*
 * Looks at the threads whose stacks were not given yet, once. Calls `found` for each that has not
 * run while its stack was walked; `task` and `walk` are valid during the call, walk->hash names its
 * RECORD_FRAMEs. Threads without user registers (walk->stop is STOP_KERNEL_ONLY) are among them.
 * It ends after three seconds, or little later. Returns how many threads are left, which run or
 * have run meanwhile, or which there was no time for; or a negative errno, or what
 * `found` returned if that is negative.
 */
int thread_stacks__look(struct thread_stacks *self,
			int (*found)(void *context, const struct record_task *task,
				     const struct user_walk_result *walk),
			void *context);

/* Calls `left` for the threads of the last look that have none. */
void thread_stacks__left(const struct thread_stacks *self,
			 void (*left)(void *context, const struct record_task *task),
			 void *context);

#endif
