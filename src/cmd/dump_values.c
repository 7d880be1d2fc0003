/* SPDX-License-Identifier: Apache-2.0 */
#include "dump_values.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define HASH_NONFATAL_OOM 1
#include <uthash.h>

#include "../target/memory.h"
#include "../vm/lua_locals.h"
#include "../vm/lua_values.h"
#include "../vm/luajit_heap.h"
#include "../vm/puc_heap.h"
#include "privileges.h"

/* Frames that are kept at a time, of 2 KB; and what reading all of them may take. */
#define MAX_KEPT    32768u
#define MAX_TIME_NS 3000000000u
#define MAX_SHOWN   64u /* variables of a frame */

struct frame_key {
	uint64_t hash;
	uint64_t index;
};

struct kept_frame {
	struct frame_key key;
	struct record_frame record;
	UT_hash_handle hh;
};

struct dump_values {
	struct kept_frame *frames;
	uint64_t spent_ns;
};

struct dump_values *dump_values__new(void)
{
	return calloc(1, sizeof(struct dump_values));
}

void dump_values__free(struct dump_values *self)
{
	struct kept_frame *frame, *next;

	if (!self)
		return;
	HASH_ITER (hh, self->frames, frame, next) {
		HASH_DEL(self->frames, frame); /* NOLINT(clang-analyzer-unix.Malloc): uthash */
		free(frame);
	}
	free(self);
}

void dump_values__keep(void *values, const struct record_frame *record)
{
	struct dump_values *self = values;
	struct kept_frame *frame;

	if (HASH_COUNT(self->frames) >= MAX_KEPT)
		return;
	frame = calloc(1, sizeof(*frame));
	if (!frame)
		return;
	frame->key = (struct frame_key){.hash = record->hash, .index = record->index};
	frame->record = *record;
	if (frame->record.size > MAX_FRAME_BYTES)
		frame->record.size = 0;
	HASH_ADD(hh, self->frames, key, sizeof(frame->key), frame);
	if (!frame->hh.tbl)
		free(frame);
}

/* ---- one frame ---------------------------------------------------------------------------------
 */

struct reading {
	struct dump_session *session;
	struct lua_heap heap;
	pid_t pid;
	const struct record_frame *frame;
	struct dump_variables *variables;
};

static int read_process(void *context, uint64_t address, void *bytes, size_t size)
{
	return memory__read(*(const pid_t *)context, address, bytes, size);
}

/* A function as the words of a frame, which have a name later. */
static void describe_function(struct reading *self, const struct lua_shown *shown,
			      struct dump_variable *variable)
{
	struct user_walk_result *result = malloc(sizeof(*result));
	struct user_walk_view view;

	if (result && dump_session__view(self->session, &self->pid, &view)) {
		view.with_values = false;
		if (self->frame->vm)
			view.vm = self->frame->vm;
		user_walk__function(self->session->walker, &view, shown->function, shown->is_light,
				    self->frame->puc, result);
		if (result->word_count == 2) {
			variable->word = result->words[0];
			variable->second = result->words[1];
		}
	}
	free(result);
}

static int add_variable(void *context, bool is_upvalue, const char *name, const void *slot)
{
	struct reading *self = context;
	struct dump_variables *variables = self->variables;
	struct dump_variable *variable, *grown;
	struct lua_shown shown;

	if (variables->count == MAX_SHOWN)
		return 1;
	grown = reallocarray(variables->items, variables->count + 1, sizeof(*grown));
	if (!grown)
		return -ENOMEM;
	variables->items = grown;
	variable = &grown[variables->count];
	*variable = (struct dump_variable){.is_upvalue = is_upvalue, .name = strdup(name)};
	if (!variable->name)
		return -ENOMEM;
	variables->count++;
	if (!slot)
		return 0;
	lua_value__show(&self->heap, slot, &shown);
	variable->text = strdup(shown.text);
	if (!variable->text)
		return -ENOMEM;
	if (shown.function)
		describe_function(self, &shown, variable);
	return 0;
}

static int read_frame(struct reading *self, uint64_t word, uint64_t second)
{
	const struct modules *modules = sampler__modules(self->session->sampler);
	const struct luajit_build *luajit = modules__build(modules, self->frame->vm);
	const struct puc_build *puc = modules__puc(modules, self->frame->puc);
	struct lua_frame_place place = {
		.proto = self->frame->proto,
		.function = self->frame->function,
		.proto_id = second,
		.tgid = (uint32_t)self->pid,
		.position = (uint32_t)word,
		.slots = self->frame->base ? self->frame->slots : NULL,
		.slots_size = self->frame->size,
	};
	int err;

	if (puc && puc_heap__init(&self->heap, puc, read_process, &self->pid) != 0)
		return -ENOENT;
	if (!puc && !luajit)
		return -ENOENT;
	if (!puc)
		luajit_heap__init(&self->heap, luajit, read_process, &self->pid);
	err = lua_locals__read(&self->heap, &place, add_variable, self);
	return err > 0 ? 0 : err;
}

/* Why a frame has none, or NULL. */
static const char *why_none(uint64_t word, int err)
{
	if (word & FRAME_LUA_COMPILED)
		return "not known (compiled)";
	if ((uint32_t)word == BCPOS_NONE)
		return "not known (the place in the function is not)";
	switch (err) {
	case 0:
	case -ENOMEM:
		return NULL;
	case -ENODATA:
		return "not known (stripped)";
	case -ESTALE:
		return "not known (the function is gone)";
	}
	return "not known (could not be read)";
}

static uint64_t now_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

static int take_frame(struct dump_values *self, struct reading *reading, uint64_t hash,
		      uint32_t index, uint64_t word, uint64_t second)
{
	const struct dump_process *process = dump__process(reading->session->dump, reading->pid);
	struct frame_key key = {.hash = hash, .index = index};
	uint64_t began = now_ns();
	struct kept_frame *kept;
	int err = -ENOENT;

	/* NOLINTNEXTLINE(clang-analyzer-core.UndefinedBinaryOperatorResult): uthash */
	HASH_FIND(hh, self->frames, &key, sizeof(key), kept);
	if (process && process->hides_values) {
		reading->variables->why_none = "not shown: it is another user's process";
		err = 0;
	} else if (self->spent_ns > MAX_TIME_NS) {
		reading->variables->why_none = "not read: there are too many";
		err = 0;
	} else {
		if (kept && !(word & FRAME_LUA_COMPILED) && (uint32_t)word != BCPOS_NONE) {
			reading->frame = &kept->record;
			err = read_frame(reading, word, second);
		}
		reading->variables->why_none = why_none(word, err);
		/* It may have become another program, or another process have its number. */
		if (!privileges__may_see_values(reading->pid)) {
			dump_variables__clear(reading->variables);
			reading->variables->why_none = "not shown: its process has changed";
		}
	}
	if (kept) {
		HASH_DEL(self->frames, kept); /* NOLINT(clang-analyzer-unix.Malloc): uthash */
		free(kept);
	}
	self->spent_ns += now_ns() - began;
	return err == -ENOMEM ? err : 0;
}

int dump_values__take(struct dump_values *self, struct dump_session *session,
		      struct dump_stack *stack)
{
	const struct stored_stack *stored = stack->stored;
	struct reading reading = {.session = session, .pid = (pid_t)stored->tgid};
	uint32_t i, kind, index = 0;
	int err = 0;

	for (i = 0; i + 1 < stored->word_count && !err && index < stack->lua_count; i++) {
		kind = (uint32_t)(stored->words[i] >> FRAME_KIND_SHIFT);
		if (kind == FRAME_KIND_LUA) {
			reading.variables = &stack->variables[index];
			err = take_frame(self, &reading, stored->hash, index, stored->words[i],
					 stored->words[i + 1]);
			index++;
		}
		i += kind == FRAME_KIND_LUA || kind == FRAME_KIND_BUILTIN;
	}
	return err;
}
