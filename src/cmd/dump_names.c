/* SPDX-License-Identifier: Apache-2.0 */
#include "dump_names.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../symbol/profile_builder.h"
#include "../target/system_calls.h"

struct naming {
	struct dump *dump;
	const struct frame_names *names;
	struct profile_builder *builder;
};

static int learn(void *context, struct dump_stack *stack)
{
	const struct naming *self = context;

	return stack->stored ? profile_builder__learn(self->builder, stack->stored) : 0;
}

/* What a value that is a function is called: name (file:line). */
static int name_function(const struct naming *self, struct dump_variable *variable, uint32_t tgid)
{
	char name[FRAME_NAME_BYTES], file[FRAME_FILE_BYTES];
	char text[FRAME_NAME_BYTES + FRAME_FILE_BYTES];
	struct profile_frame frame;

	frame_names__frame(self->names, tgid, variable->word, variable->second, &frame, name, file);
	profile_frame__text(&frame, false, text, sizeof(text));
	variable->function = profile__string(self->dump->profile, text);
	return variable->function ? 0 : -ENOMEM;
}

static int name_variables(const struct naming *self, struct dump_stack *stack)
{
	uint32_t i, k;
	int err = 0;

	for (i = 0; stack->variables && i < stack->lua_count; i++) {
		for (k = 0; k < stack->variables[i].count && !err; k++) {
			if (stack->variables[i].items[k].word)
				err = name_function(self, &stack->variables[i].items[k],
						    stack->stored->tgid);
		}
	}
	return err;
}

static int name_stack(void *context, struct dump_stack *stack)
{
	const struct naming *self = context;
	const uint32_t *ids, *lua;
	uint32_t count;
	int err;

	if (!stack->stored)
		return 0;
	err = profile_builder__frames(self->builder, stack->stored, &ids, &lua, &count);
	if (err || !count)
		return err;
	stack->frames = calloc(count, sizeof(*stack->frames));
	stack->lua = calloc(count, sizeof(*stack->lua));
	if (!stack->frames || !stack->lua)
		return -ENOMEM;
	memcpy(stack->frames, ids, count * sizeof(*ids));
	memcpy(stack->lua, lua, count * sizeof(*lua));
	stack->frame_count = count;
	return name_variables(self, stack);
}

int dump_names__find(struct dump *dump, const struct frame_names *names)
{
	struct profile_builder_options options = {};
	struct naming self = {.dump = dump, .names = names};
	int err = -ENOMEM;

	dump->profile = profile__new();
	if (dump->profile)
		self.builder = profile_builder__new(dump->profile, names, &options);
	if (self.builder)
		err = dump__each_stack(dump, learn, &self);
	if (!err)
		err = dump__each_stack(dump, name_stack, &self);
	profile_builder__free(self.builder);
	return err;
}

/* ---- words -------------------------------------------------------------------------------------
 */

void dump_names__state(const struct dump_thread *thread, char text[DUMP_STATE_BYTES])
{
	const char *what = "sleeping", *name = system_call__name(thread->system_call);

	if (thread->is_running) {
		snprintf(text, DUMP_STATE_BYTES, "running");
		return;
	}
	if (thread->state & TASK_STATE_STOPPED)
		what = "stopped";
	else if (thread->state & TASK_STATE_TRACED)
		what = "stopped by a tracer";
	else if (thread->state & TASK_STATE_UNINTERRUPTIBLE)
		what = "sleeping uninterruptibly";
	else if (!(thread->state & TASK_STATE_INTERRUPTIBLE))
		what = "waiting for a CPU";
	if (thread->system_call < 0)
		snprintf(text, DUMP_STATE_BYTES, "%s", what);
	else if (name)
		snprintf(text, DUMP_STATE_BYTES, "%s in %s", what, name);
	else
		snprintf(text, DUMP_STATE_BYTES, "%s in system call %lld", what,
			 (long long)thread->system_call);
}

const char *dump_names__status(const struct dump_coroutine *coroutine)
{
	switch (coroutine->status) {
	case LUA_THREAD_SUSPENDED:
		return "suspended";
	case LUA_THREAD_INITIAL:
		return "not started";
	case LUA_THREAD_ACTIVE:
		if (coroutine->thread)
			return coroutine->is_innermost ? "running" : "normal";
		return "running or normal";
	case LUA_THREAD_FINISHED:
		return "finished";
	case LUA_THREAD_FAILED:
		return "failed";
	}
	return "unknown";
}

const char *dump_names__kind(const struct profile_frame *frame)
{
	switch (frame->type) {
	case PROFILE_KERNEL:
		return "kernel";
	case PROFILE_NATIVE:
		return "C";
	case PROFILE_LUA:
		return "lua";
	case PROFILE_LUA_COMPILED:
		return "jit";
	case PROFILE_BUILTIN:
		return "builtin";
	default:
		return "note";
	}
}

bool dump_names__is_shown(const struct profile_frame *frame, bool native)
{
	return native || frame->type != PROFILE_NATIVE;
}
