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
#include "kernel_symbols.h"

struct profile_builder_options {
	bool native;	 /* C and kernel frames; without them only Lua frames are shown */
	bool per_thread; /* the root names the thread, not only the process */
};

/*
 * Adds all stacks to `profile`. `kernel` may be NULL: kernel frames are then addresses. Frames:
 *   Lua       @chunk:linedefined; "@[string "..."]:line" for chunks that were loaded from text
 *   built-in  its C function's symbol, else builtin#N (a fast function) or file+0xoffset
 *   C         symbol, else file+0xoffset of the function
 * A stack that does not reach the thread's start has a note at its root: [truncated] or
 * [incomplete: why]. Returns 0 or -ENOMEM.
 */
int profile_builder__add(struct profile *profile, const struct stack_store *stacks,
			 struct modules *modules, const struct kernel_symbols *kernel,
			 const struct profile_builder_options *options);

/* What a walk_stop or a walk_error is called in summaries; NULL for the good ones. */
const char *walk_stop__text(unsigned int stop);
const char *walk_error__text(unsigned int error);

#endif
