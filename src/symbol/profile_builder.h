/* SPDX-License-Identifier: Apache-2.0 */
/*
 * From stored stacks (encoded words) to a profile (names): decodes each frame, finds its name, and
 * decides which frames are shown.
 */
#ifndef LUASPY_PROFILE_BUILDER_H
#define LUASPY_PROFILE_BUILDER_H

#include <stdbool.h>

#include "../sample/modules.h"
#include "../sample/profile.h"
#include "../sample/stack_store.h"
#include "frame_names.h"

struct profile_builder_options {
	bool native;	  /* C and kernel frames; without them only Lua frames are shown */
	bool per_thread;  /* the root names the thread, not only the process */
	bool by_vm_state; /* the state of the VM stands below the root: [compiled], [GC] ... */
};

/*
 * Adds all stacks to `profile`. `kernel` may be NULL: kernel frames then have no names. A stack
 * that does not reach the thread's start has a note at its root: [truncated] or [incomplete: why];
 * where the VM worked for itself, [gc] or [jit compiler] stands on the Lua function that caused it.
 * Returns 0 or -ENOMEM.
 */
int profile_builder__add(struct profile *profile, const struct stack_store *stacks,
			 const struct frame_names *names,
			 const struct profile_builder_options *options);

/* The samples by enum vm_state; `samples` has VM_STATE_COUNT elements. */
void profile_builder__vm_states(const struct stack_store *stacks, uint64_t *samples);

#endif
