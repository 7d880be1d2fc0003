/* SPDX-License-Identifier: Apache-2.0 */
/*
 * From stored stacks (encoded words) to a profile (names): decodes each frame and finds its name.
 * Which of them are shown is profile_view.h.
 */
#ifndef LUASPY_PROFILE_BUILDER_H
#define LUASPY_PROFILE_BUILDER_H

#include <stdbool.h>

#include "../sample/modules.h"
#include "../sample/profile.h"
#include "../sample/stack_store.h"
#include "frame_names.h"

struct profile_builder;

struct profile_builder_options {
	bool per_thread; /* a label with the thread's id */
	bool recent;	 /* only what came last: stored_stack.recent */
	/* A label of a process, NULL for none; may be NULL itself. */
	const char *(*container)(void *context, uint32_t tgid);
	void *context;
	uint64_t period_ns; /* of CPU time, that a sample stands for */
	bool states;	    /* a label "state" that tells stacks on and off the CPU apart */
};

/*
 * Adds all stacks to `profile`, each instruction by itself and with the labels pid, comm, vmstate
 * (outside the VM: none), thread and container. `names->kernel` may be NULL: kernel frames then
 * have no names. A stack that does not reach the thread's start has a note at its root: [truncated]
 * or [incomplete: why]; what left the CPU without waiting for anything else ends in [waiting for a
 * CPU], and of the kernel's stack the scheduler is left out; where the VM worked for itself, [gc]
 * or [jit compiler] stands on the Lua function that caused it. Returns 0 or -ENOMEM.
 */
int profile_builder__add(struct profile *profile, const struct stack_store *stacks,
			 const struct frame_names *names,
			 const struct profile_builder_options *options);

/*
 * The same stack by stack, for those that have more to say of them than a profile has. `options`
 * are borrowed. NULL when out of memory.
 */
struct profile_builder *profile_builder__new(struct profile *profile,
					     const struct frame_names *names,
					     const struct profile_builder_options *options);
void profile_builder__free(struct profile_builder *self);

/* Where a C function that Lua called stands on the C stack is learnt from all stacks. Learn from
 * them before the first one is asked for. 0 or -ENOMEM. */
int profile_builder__learn(struct profile_builder *self, const struct stored_stack *stack);

/* The frames of a stack, leaf first, as ids of the profile; lua[i] is 1 + which of its LUA words
 * frame i is of, 0 for others. Borrowed until the next call. 0 or -ENOMEM. */
int profile_builder__frames(struct profile_builder *self, const struct stored_stack *stack,
			    const uint32_t **ids, const uint32_t **lua, uint32_t *count);

/* A recording with times off the CPU: samples (OFF_CPU_NONE) and times, by enum off_cpu_reason. */
struct off_cpu_totals {
	uint64_t count[OFF_CPU_REASONS];
	uint64_t ns[OFF_CPU_REASONS]; /* of samples 0 */
	uint64_t complete, with_lua;  /* of all those, as in struct profile_info */
};
void profile_builder__off_cpu(const struct stack_store *stacks, struct off_cpu_totals *totals);

/* The samples by enum vm_state; `samples` has VM_STATE_COUNT elements. */
void profile_builder__vm_states(const struct stack_store *stacks, uint64_t *samples);

#endif
