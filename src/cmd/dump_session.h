/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the gathering parts of `luaspy dump` share: the sampler, whose tables and stores they use,
 * the walker, and the dump that they fill.
 */
#ifndef LUASPY_DUMP_SESSION_H
#define LUASPY_DUMP_SESSION_H

#include <stdbool.h>

#include "../sample/sampler.h"
#include "../sample/thread_states.h"
#include "../sample/user_walk.h"
#include "dump_model.h"

struct dump_values;

struct dump_session {
	struct dump *dump;
	struct sampler *sampler;
	struct thread_states *states;
	struct user_walk *walker;   /* of coroutines and function values */
	struct dump_values *values; /* NULL: they are not wanted */
	bool kernel;		    /* kernel frames are wanted */
};

/* A stack as the walk in user space gave it; without words when it could not be walked. `values` of
 * its frames are taken from those that came with it. 0 or -ENOMEM. */
int dump_session__put_walk(struct dump_session *self, struct dump_stack *stack, pid_t pid,
			   const struct user_walk_result *walk, const struct record_task *task);
/* As the sampler gave it. */
int dump_session__put_sample(struct dump_session *self, struct dump_stack *stack,
			     const struct stored_stack *sample);

/* A view for walks over a process (user_walk.h), whose build of LuaJIT may be another one; `pid` is
 * borrowed. False when the process has gone. */
bool dump_session__view(struct dump_session *self, const pid_t *pid, struct user_walk_view *view);

#endif
