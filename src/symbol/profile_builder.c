/* SPDX-License-Identifier: Apache-2.0 */
#include "profile_builder.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <uthash.h>

#define MAX_NAME 1024

/* Frame ids by encoded frame, so that each distinct frame is named once. */
struct frame_key {
	uint64_t word;
	uint64_t second;
};

struct frame_entry {
	struct frame_key key;
	uint32_t id;
	UT_hash_handle hh;
};

struct builder {
	struct profile *profile;
	const struct stack_store *stacks;
	struct modules *modules;
	const struct kernel_symbols *kernel;
	const struct profile_builder_options *options;
	struct frame_entry *frames;
	uint32_t *ids; /* of the stack being built, leaf first */
	uint32_t count;
};

const char *walk_stop__text(unsigned int stop)
{
	switch (stop) {
	case STOP_KERNEL_ONLY:
		return "no user registers";
	case STOP_TRUNCATED:
		return "deeper than the limits";
	case STOP_NO_MAPPING:
		return "code outside every file";
	case STOP_NO_RULE:
		return "no unwind table";
	case STOP_UNSUPPORTED:
		return "unsupported unwind expression";
	case STOP_READ_STACK:
		return "stack not readable";
	case STOP_CFA_ORDER:
		return "corrupt stack";
	case STOP_REGISTER:
		return "register not known";
	case STOP_TRACE:
		return "compiled code without its VM";
	case STOP_BUSY:
		return "mappings changing";
	}
	return NULL;
}

const char *walk_error__text(unsigned int error)
{
	switch (error) {
	case LUA_READ_STATE:
		return "lua_State not readable";
	case LUA_CFRAME:
		return "activation not in its lua_State's chain";
	case LUA_BASE:
		return "BASE not known";
	case LUA_READ_STACK:
		return "Lua stack not readable";
	case LUA_FRAME_LINK:
		return "Lua frame link invalid";
	case LUA_FUNCTION:
		return "Lua frame without a function";
	case LUA_COROUTINES:
		return "too many coroutines on one stack";
	case LUA_ORDER:
		return "Lua stack in transition";
	}
	return NULL;
}

/* ---- names ------------------------------------------------------------------------------- */

/* A chunk name as Lua shows it (luaO_chunkid): "@file" and "=name" without the first character, the
 * first line of a text that was loaded. */
static void chunk_name(const struct stored_proto *proto, char *out, size_t size)
{
	const char *chunk = proto->chunk;
	size_t line;

	if (*chunk == '@' || *chunk == '=') {
		snprintf(out, size, "%s%s", chunk + 1,
			 proto->chunk_length >= sizeof(proto->chunk) ? "..." : "");
		return;
	}
	line = strcspn(chunk, "\r\n");
	if (line > 60)
		line = 60;
	snprintf(out, size, "[string \"%.*s%s\"]", (int)line, chunk, chunk[line] ? "..." : "");
}

static void lua_name(const struct builder *b, uint64_t proto_id, char *out, size_t size)
{
	const struct stored_proto *proto = stack_store__proto(b->stacks, proto_id);
	char chunk[MAX_CHUNK_NAME + 32];

	if (!proto) {
		snprintf(out, size, "@[description lost]");
		return;
	}
	chunk_name(proto, chunk, sizeof(chunk));
	snprintf(out, size, "@%s:%u", chunk, proto->first_line);
}

/* LuaJIT's own functions that are written in Lua (table.foreach and others) have no lines. */
static bool library_name(const struct builder *b, uint64_t proto_id, char *out, size_t size)
{
	const struct stored_proto *proto = stack_store__proto(b->stacks, proto_id);

	if (!proto || proto->first_line != UINT32_MAX)
		return false;
	snprintf(out, size, "builtin %s", proto->chunk + (*proto->chunk == '='));
	return true;
}

static void native_name(const struct builder *b, uint64_t word, char *out, size_t size)
{
	uint32_t file = (uint32_t)(word >> FRAME_FILE_SHIFT & FRAME_FILE_MASK);

	if (word >> FRAME_KIND_SHIFT != FRAME_KIND_NATIVE ||
	    modules__name(b->modules, file, word & FRAME_VADDR_MASK, out, size) != 0)
		snprintf(out, size, "[code outside any file]");
}

static void builtin_name(const struct builder *b, uint64_t word, uint64_t entry, char *out,
			 size_t size)
{
	unsigned int ffid = word & 0xff;

	if (entry)
		native_name(b, entry, out, size);
	/* A stripped fast function is only a number; a plain C function at least has a place. */
	if (!entry || (ffid > 1 && strstr(out, "+0x")))
		snprintf(out, size, "builtin#%u", ffid);
}

static void kernel_name(const struct builder *b, uint64_t address, char *out, size_t size)
{
	const char *name = b->kernel ? kernel_symbols__find(b->kernel, address) : NULL;

	if (name)
		snprintf(out, size, "%s", name);
	else
		snprintf(out, size, "[kernel]");
}

static enum profile_frame_type name_frame(const struct builder *b, uint64_t word, uint64_t second,
					  char *out, size_t size)
{
	const char *why;

	switch (word >> FRAME_KIND_SHIFT) {
	case FRAME_KIND_NATIVE:
	case FRAME_KIND_ADDRESS:
		native_name(b, word, out, size);
		return PROFILE_NATIVE;
	case FRAME_KIND_LUA:
		if (library_name(b, second, out, size))
			return PROFILE_BUILTIN;
		lua_name(b, second, out, size);
		return word & FRAME_LUA_COMPILED ? PROFILE_LUA_COMPILED : PROFILE_LUA;
	case FRAME_KIND_BUILTIN:
		builtin_name(b, word, second, out, size);
		return PROFILE_BUILTIN;
	case FRAME_KIND_SKIPPED:
		snprintf(out, size, "[frames without unwind information]");
		return PROFILE_NOTE;
	case FRAME_KIND_LUA_LOST:
		why = walk_error__text(word & 0xff);
		snprintf(out, size, "[Lua frames lost: %s]", why ? why : "unknown");
		return PROFILE_NOTE;
	}
	kernel_name(b, word, out, size);
	return PROFILE_KERNEL;
}

/* ---- frames -------------------------------------------------------------------------------- */

static int push_named(struct builder *b, enum profile_frame_type type, const char *name)
{
	int64_t id = profile__frame(b->profile, type, name);

	if (id < 0)
		return (int)id;
	b->ids[b->count++] = (uint32_t)id;
	return 0;
}

static int push_frame(struct builder *b, uint64_t word, uint64_t second)
{
	struct frame_key key = {.word = word, .second = second};
	struct frame_entry *entry;
	enum profile_frame_type type;
	char name[MAX_NAME];
	int64_t id;

	/* The current line is not part of a frame's name here. */
	if (word >> FRAME_KIND_SHIFT == FRAME_KIND_LUA)
		key.word &= ~0xffffffffull;
	/* NOLINTNEXTLINE(clang-analyzer-core.UndefinedBinaryOperatorResult): uthash */
	HASH_FIND(hh, b->frames, &key, sizeof(key), entry);
	if (!entry) {
		type = name_frame(b, word, second, name, sizeof(name));
		id = profile__frame(b->profile, type, name);
		if (id < 0)
			return (int)id;
		entry = calloc(1, sizeof(*entry));
		if (!entry)
			return -ENOMEM;
		entry->key = key;
		entry->id = (uint32_t)id;
		HASH_ADD(hh, b->frames, key, sizeof(entry->key), entry);
	}
	b->ids[b->count++] = entry->id;
	return 0;
}

/*
 * A C function called from Lua has a frame on both stacks, one above the other. One of them is
 * enough: the one on the Lua stack, which says that Lua called it.
 */
static void merge_builtin(struct builder *b)
{
	const struct profile_frame *builtin, *native;

	if (b->count < 2)
		return;
	builtin = profile__frame_at(b->profile, b->ids[b->count - 1]);
	native = profile__frame_at(b->profile, b->ids[b->count - 2]);
	if (native->type == PROFILE_NATIVE && strcmp(native->name, builtin->name) == 0) {
		b->ids[b->count - 2] = b->ids[b->count - 1];
		b->count--;
	}
}

static int push_words(struct builder *b, const struct stored_stack *stack)
{
	bool lua_noted = false;
	uint64_t word, second, kind;
	uint32_t i;
	int err;

	for (i = 0; i < stack->word_count; i++) {
		word = stack->words[i];
		second = 0;
		kind = word >> FRAME_KIND_SHIFT;
		if (kind == FRAME_KIND_LUA || kind == FRAME_KIND_BUILTIN) {
			if (++i == stack->word_count)
				break;
			second = stack->words[i];
			if (stack->flags & STACK_LUA_ORDER) {
				err = lua_noted ? 0
						: push_named(b, PROFILE_NOTE,
							     "[Lua stack in transition]");
				lua_noted = true;
				if (err)
					return err;
				continue;
			}
		} else if (kind != FRAME_KIND_LUA_LOST && !b->options->native) {
			continue;
		}
		err = push_frame(b, word, second);
		if (err)
			return err;
		if (kind == FRAME_KIND_BUILTIN)
			merge_builtin(b);
	}
	return 0;
}

static int push_root(struct builder *b, const struct stored_stack *stack)
{
	const char *why = walk_stop__text(stack->stop);
	char name[MAX_NAME];
	int err = 0;

	if (stack->stop == STOP_TRUNCATED) {
		err = push_named(b, PROFILE_NOTE, "[truncated]");
	} else if (why && b->options->native) {
		snprintf(name, sizeof(name), "[incomplete: %s]", why);
		err = push_named(b, PROFILE_NOTE, name);
	}
	if (err)
		return err;
	if (b->options->per_thread)
		snprintf(name, sizeof(name), "%s/%u", stack->comm, stack->tid);
	else
		snprintf(name, sizeof(name), "%s", stack->comm);
	return push_named(b, PROFILE_THREAD, name);
}

static int add_stack(struct builder *b, const struct stored_stack *stack)
{
	uint32_t i, other;
	int err;

	b->count = 0;
	err = push_words(b, stack);
	if (!err)
		err = push_root(b, stack);
	if (err)
		return err;
	for (i = 0; i < b->count / 2; i++) {
		other = b->ids[i];
		b->ids[i] = b->ids[b->count - 1 - i];
		b->ids[b->count - 1 - i] = other;
	}
	return profile__add(b->profile, b->ids, b->count, stack->count);
}

int profile_builder__add(struct profile *profile, const struct stack_store *stacks,
			 struct modules *modules, const struct kernel_symbols *kernel,
			 const struct profile_builder_options *options)
{
	struct builder b = {.profile = profile,
			    .stacks = stacks,
			    .modules = modules,
			    .kernel = kernel,
			    .options = options};
	const struct stored_stack *stack;
	struct frame_entry *entry, *next;
	int err = 0;

	b.ids = calloc(MAX_WORDS + 4, sizeof(*b.ids));
	if (!b.ids)
		return -ENOMEM;
	for (stack = stack_store__next(stacks, NULL); stack && !err;
	     stack = stack_store__next(stacks, stack))
		err = add_stack(&b, stack);
	HASH_ITER (hh, b.frames, entry, next) {
		HASH_DEL(b.frames, entry); /* NOLINT(clang-analyzer-unix.Malloc): uthash */
		free(entry);
	}
	free(b.ids);
	return err;
}
