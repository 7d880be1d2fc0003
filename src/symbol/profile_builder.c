/* SPDX-License-Identifier: Apache-2.0 */
#include "profile_builder.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <uthash.h>

#include "frame_names.h"

#define MAX_LABELS	    8u
#define MAX_SCHEDULER_WORDS 16u
#define MAX_CALLERS	    16u /* functions of VMs that call C functions */
#define NONE		    UINT32_MAX

/* Frame ids by encoded frame, so that each distinct frame is named once. */
struct frame_key {
	uint64_t word;
	uint64_t second;
	uint64_t tgid; /* of a built-in, whose name is its process's own */
};

struct frame_entry {
	struct frame_key key;
	uint32_t id;
	UT_hash_handle hh;
};

struct profile_builder {
	struct profile *profile;
	struct frame_names names;
	const struct profile_builder_options *options;
	struct frame_entry *frames;
	uint32_t *ids;	   /* of the stack being built, leaf first */
	uint32_t *lua;	   /* 1 + which of the stack's Lua frames; 0: none */
	uint64_t *entries; /* of those that are C functions on the Lua stack, as words */
	uint32_t *placed;  /* of place_builtins */
	const char *callers[MAX_CALLERS]; /* native functions that call C functions for a VM */
	uint32_t caller_count;
	uint32_t *mappings; /* of the profile, by module */
	uint32_t mapping_room;
	uint32_t count;
};

/* ---- frames -------------------------------------------------------------------------------- */

static int push_named(struct profile_builder *b, enum profile_frame_type type, const char *name)
{
	int64_t id = profile__frame(b->profile, type, name);

	if (id < 0)
		return (int)id;
	b->lua[b->count] = 0;
	b->ids[b->count++] = (uint32_t)id;
	return 0;
}

/* A native frame's mapping, from its module's id to the profile's. */
static int place_in_mapping(struct profile_builder *b, struct profile_frame *frame)
{
	struct profile_mapping mapping;
	char build_id[BUILD_ID_BYTES];
	uint32_t *known, module = frame->mapping - 1;
	int64_t id;

	if (module >= b->mapping_room) {
		known = reallocarray(b->mappings, module + 64, sizeof(*known));
		if (!known)
			return -ENOMEM;
		memset(known + b->mapping_room, 0,
		       (module + 64 - b->mapping_room) * sizeof(*known));
		b->mappings = known;
		b->mapping_room = module + 64;
	}
	frame->mapping = b->mappings[module];
	if (frame->mapping || modules__mapping(b->names.modules, module, &mapping, build_id) != 0)
		return 0;
	id = profile__add_mapping(b->profile, &mapping);
	if (id < 0)
		return (int)id;
	frame->mapping = b->mappings[module] = (uint32_t)id;
	return 0;
}

static int name_frame(struct profile_builder *b, uint32_t tgid, uint64_t word, uint64_t second,
		      uint32_t *id)
{
	char name[FRAME_NAME_BYTES], file[FRAME_FILE_BYTES];
	struct profile_frame frame;
	int64_t added;
	int err;

	frame_names__frame(&b->names, tgid, word, second, &frame, name, file);
	err = frame.mapping ? place_in_mapping(b, &frame) : 0;
	if (err)
		return err;
	added = profile__add_frame(b->profile, &frame);
	if (added < 0)
		return (int)added;
	*id = (uint32_t)added;
	return 0;
}

static int push_frame(struct profile_builder *b, uint32_t tgid, uint64_t word, uint64_t second)
{
	struct frame_key key = {.word = word, .second = second};
	struct frame_entry *entry;
	int err;

	if (word >> FRAME_KIND_SHIFT == FRAME_KIND_BUILTIN)
		key.tgid = tgid;
	if (word >> FRAME_KIND_SHIFT == FRAME_KIND_LUA)
		key.word &= ~0xffffffffull; /* the position; the line is what is kept */
	/* NOLINTNEXTLINE(clang-analyzer-core.UndefinedBinaryOperatorResult): uthash */
	HASH_FIND(hh, b->frames, &key, sizeof(key), entry);
	if (!entry) {
		entry = calloc(1, sizeof(*entry));
		if (!entry)
			return -ENOMEM;
		entry->key = key;
		err = name_frame(b, tgid, word, second, &entry->id);
		if (err) {
			free(entry);
			return err;
		}
		HASH_ADD(hh, b->frames, key, sizeof(entry->key), entry);
	}
	b->lua[b->count] = 0;
	b->ids[b->count++] = entry->id;
	return 0;
}

/* The index of the native frame of the C function at `entry` among those from `low` on, before
 * `high`, the nearest to the root; `high` when there is none. */
static uint32_t find_native(const struct profile_builder *b, uint64_t entry, uint32_t low,
			    uint32_t high)
{
	char name[FRAME_NAME_BYTES];
	uint32_t at;

	if (!entry)
		return high;
	frame_names__entry(&b->names, entry, name, sizeof(name));
	for (at = high; at-- > low;) {
		if (strcmp(profile__frame_at(b->profile, b->ids[at])->name, name) == 0)
			return at;
	}
	return high;
}

/* Names are interned: equal ones have the same address. */
static bool is_caller(const struct profile_builder *b, uint32_t id)
{
	const char *name = profile__frame_at(b->profile, id)->name;
	uint32_t i;

	for (i = 0; i < b->caller_count; i++) {
		if (b->callers[i] == name)
			return true;
	}
	return false;
}

/* The same for a native frame that calls such functions. */
static uint32_t find_caller(const struct profile_builder *b, uint32_t low, uint32_t high)
{
	uint32_t at;

	for (at = high; at-- > low;) {
		if (is_caller(b, b->ids[at]))
			return at;
	}
	return high;
}

static void learn_caller(struct profile_builder *b, uint32_t id)
{
	if (b->caller_count < MAX_CALLERS && !is_caller(b, id))
		b->callers[b->caller_count++] = profile__frame_at(b->profile, id)->name;
}

/* Moves the native frames before `high`, from the root's side on, down to `low`. */
static void take(struct profile_builder *b, uint32_t *count, uint32_t high, uint32_t low)
{
	while (high-- > low)
		b->placed[(*count)++] = b->ids[high];
}

/*
 * C functions that Lua called have a frame on both stacks, and one of them is enough: the name from
 * the Lua stack, at the place on the C stack. The walk writes those of an activation together,
 * behind its native frames and innermost first: they are the frames from `start` on, and
 * `b->entries` has their C entries.
 *
 * One that has jumped to another function as its last act (redis.call) has no native frame any
 * more: its place is behind the function by which the VM calls C functions, PUC Lua's luaD_precall.
 * What of those stands between the interpreter and the outermost C function is left out.
 */
static void place_builtins(struct profile_builder *b, uint32_t start)
{
	uint32_t end = b->count, low = start, high = start, count = 0, i, at, behind;

	while (low && profile__frame_at(b->profile, b->ids[low - 1])->type == PROFILE_NATIVE)
		low--;
	for (i = end; i-- > start;) {
		at = behind = find_native(b, b->entries[i], low, high);
		if (at < high)
			behind++;
		else
			at = behind = find_caller(b, low, high);
		if (behind > at && behind < start)
			learn_caller(b, b->ids[behind]);
		if (i + 1 < end)
			take(b, &count, high, behind);
		b->placed[count++] = b->ids[i];
		high = at;
	}
	take(b, &count, high, low);
	for (i = 0; i < count; i++)
		b->ids[low + count - 1 - i] = b->placed[i];
	b->count = low + count;
}

/* What the VM itself does on behalf of the innermost Lua function. */
static int push_state(struct profile_builder *b, const struct stored_stack *stack)
{
	switch (stack->flags >> STACK_VM_STATE_SHIFT) {
	case VM_STATE_GC:
		return push_named(b, PROFILE_NOTE, "[gc]");
	case VM_STATE_RECORD:
	case VM_STATE_OPTIMISE:
	case VM_STATE_ASSEMBLE:
		return push_named(b, PROFILE_NOTE, "[jit compiler]");
	}
	return 0;
}

static const char *why_no_lua(const struct stored_stack *stack)
{
	return stack->flags & STACK_LUA_DISTRUST ? "[LuaJIT of unclear layout]"
						 : "[Lua stack in transition]";
}

static bool is_kernel_function(const struct profile_builder *b, uint64_t word, const char *function)
{
	size_t length = strlen(function);
	char name[FRAME_NAME_BYTES];

	if (word >> FRAME_KIND_SHIFT != FRAME_KIND_KERNEL)
		return false;
	frame_names__kernel(&b->names, word, name, sizeof(name));
	/* Compilers add what they have done to it. */
	return strncmp(name, function, length) == 0 && (!name[length] || name[length] == '.');
}

/*
 * How many words of a stack off the CPU are the scheduler itself and the BPF program that it
 * called: all up to __schedule, which is near, and its caller schedule. None without the kernel's
 * names.
 */
static uint32_t scheduler_words(const struct profile_builder *b, const struct stored_stack *stack)
{
	uint32_t i;

	if (stored_stack__off_cpu(stack) == OFF_CPU_NONE)
		return 0;
	for (i = 0; i < stack->word_count && i < MAX_SCHEDULER_WORDS; i++) {
		if (!is_kernel_function(b, stack->words[i], "__schedule"))
			continue;
		i++;
		if (i < stack->word_count && is_kernel_function(b, stack->words[i], "schedule"))
			i++;
		return i;
	}
	return 0;
}

/* Why the thread was not on a CPU, where its stack does not tell. */
static int push_off_cpu(struct profile_builder *b, const struct stored_stack *stack)
{
	switch (stored_stack__off_cpu(stack)) {
	case OFF_CPU_WAITING:
		return push_named(b, PROFILE_NOTE, "[waiting for a CPU]");
	case OFF_CPU_BEFORE:
		return push_named(b, PROFILE_NOTE, "[off the CPU since before the recording]");
	default:
		return 0;
	}
}

static int push_words(struct profile_builder *b, const struct stored_stack *stack)
{
	bool lua_noted = false, lua_seen = false;
	uint64_t word, second, kind;
	uint32_t i, lua = 0, builtins = NONE; /* where those of an activation began */
	int err;

	err = push_off_cpu(b, stack);
	if (err)
		return err;
	for (i = scheduler_words(b, stack); i < stack->word_count; i++) {
		word = stack->words[i];
		second = 0;
		kind = word >> FRAME_KIND_SHIFT;
		if (kind == FRAME_KIND_LUA || kind == FRAME_KIND_BUILTIN) {
			if (++i == stack->word_count)
				break;
			second = stack->words[i];
			err = lua_seen ? 0 : push_state(b, stack);
			if (err)
				return err;
			lua_seen = true;
			if (stack->flags & (STACK_LUA_ORDER | STACK_LUA_DISTRUST)) {
				err = lua_noted ? 0
						: push_named(b, PROFILE_NOTE, why_no_lua(stack));
				lua_noted = true;
				if (err)
					return err;
				continue;
			}
		} else if (kind == FRAME_KIND_TAIL_CALL) {
			if (stack->flags & STACK_LUA_ORDER)
				continue;
		}
		if (kind != FRAME_KIND_BUILTIN && builtins != NONE) {
			place_builtins(b, builtins);
			builtins = NONE;
		} else if (kind == FRAME_KIND_BUILTIN && builtins == NONE) {
			builtins = b->count;
		}
		err = push_frame(b, stack->tgid, word, second);
		if (err)
			return err;
		if (kind == FRAME_KIND_LUA)
			b->lua[b->count - 1] = ++lua;
		b->entries[b->count - 1] = second;
	}
	if (builtins != NONE)
		place_builtins(b, builtins);
	return 0;
}

/* Why the stack has no root. */
static int push_end(struct profile_builder *b, const struct stored_stack *stack)
{
	const char *why = walk_stop__text(stack->stop);
	char name[FRAME_NAME_BYTES];

	if (stack->stop == STOP_TRUNCATED)
		return push_named(b, PROFILE_NOTE, "[truncated]");
	if (stack->stop == STOP_NOT_KEPT)
		return push_named(b, PROFILE_NOTE, "[stacks that were not kept]");
	if (!why)
		return 0;
	snprintf(name, sizeof(name), PROFILE_NOTE_INCOMPLETE "%s]", why);
	return push_named(b, PROFILE_NOTE, name);
}

static int64_t labels_of(struct profile_builder *b, const struct stored_stack *stack)
{
	const char *state = vm_state__text(stack->flags >> STACK_VM_STATE_SHIFT);
	struct profile_label labels[MAX_LABELS];
	char pid[16], thread[16];
	const char *container;
	uint32_t count = 0;

	snprintf(pid, sizeof(pid), "%u", stack->tgid);
	labels[count++] = (struct profile_label){"pid", pid};
	labels[count++] = (struct profile_label){"comm", stack->comm};
	if (b->options->per_thread) {
		snprintf(thread, sizeof(thread), "%u", stack->tid);
		labels[count++] = (struct profile_label){"thread", thread};
	}
	if (state)
		labels[count++] = (struct profile_label){"vmstate", state};
	if (b->options->states)
		labels[count++] = (struct profile_label){
			"state", off_cpu_reason__text(stored_stack__off_cpu(stack))};
	container = b->options->container ? b->options->container(b->options->context, stack->tgid)
					  : NULL;
	if (container)
		labels[count++] = (struct profile_label){"container", container};
	return profile__add_labels(b->profile, labels, count);
}

static bool has_builtin(const struct stored_stack *stack)
{
	uint32_t i;

	for (i = 0; i < stack->word_count; i++) {
		switch (stack->words[i] >> FRAME_KIND_SHIFT) {
		case FRAME_KIND_BUILTIN:
			return true;
		case FRAME_KIND_LUA:
			i++;
		}
	}
	return false;
}

struct profile_builder *profile_builder__new(struct profile *profile,
					     const struct frame_names *names,
					     const struct profile_builder_options *options)
{
	struct profile_builder *b = calloc(1, sizeof(*b));

	if (!b)
		return NULL;
	b->profile = profile;
	b->names = *names;
	b->options = options;
	b->ids = calloc(MAX_WORDS + 4, sizeof(*b->ids));
	b->lua = calloc(MAX_WORDS + 4, sizeof(*b->lua));
	b->entries = calloc(MAX_WORDS + 4, sizeof(*b->entries));
	b->placed = calloc(MAX_WORDS + 4, sizeof(*b->placed));
	if (b->ids && b->lua && b->entries && b->placed)
		return b;
	profile_builder__free(b);
	return NULL;
}

void profile_builder__free(struct profile_builder *b)
{
	struct frame_entry *entry, *next;

	if (!b)
		return;
	HASH_ITER (hh, b->frames, entry, next) {
		HASH_DEL(b->frames, entry); /* NOLINT(clang-analyzer-unix.Malloc): uthash */
		free(entry);
	}
	free(b->mappings);
	free(b->placed);
	free(b->entries);
	free(b->lua);
	free(b->ids);
	free(b);
}

int profile_builder__learn(struct profile_builder *b, const struct stored_stack *stack)
{
	b->count = 0;
	return has_builtin(stack) ? push_words(b, stack) : 0;
}

int profile_builder__frames(struct profile_builder *b, const struct stored_stack *stack,
			    const uint32_t **ids, const uint32_t **lua, uint32_t *count)
{
	int err;

	b->count = 0;
	err = push_words(b, stack);
	if (!err)
		err = push_end(b, stack);
	*ids = b->ids;
	*lua = b->lua;
	*count = b->count;
	return err;
}

static uint64_t count_of(const struct profile_builder_options *options,
			 const struct stored_stack *stack)
{
	return options->recent ? stack->recent : stack->count;
}

static int add_stack(struct profile_builder *b, const struct stored_stack *stack)
{
	uint64_t count = count_of(b->options, stack);
	struct profile_stack out = {.frames = b->ids,
				    .count = count,
				    .nanoseconds =
					    b->options->recent ? stack->recent_ns : stack->ns,
				    .times = stack->times,
				    .time_count = stack->time_count};
	const uint32_t *ids, *lua;
	uint32_t i, other;
	int64_t labels;
	int err;

	if (stored_stack__off_cpu(stack) == OFF_CPU_NONE)
		out.nanoseconds = count * b->options->period_ns;
	err = profile_builder__frames(b, stack, &ids, &lua, &out.frame_count);
	if (err)
		return err;
	for (i = 0; i < b->count / 2; i++) {
		other = b->ids[i];
		b->ids[i] = b->ids[b->count - 1 - i];
		b->ids[b->count - 1 - i] = other;
	}
	labels = labels_of(b, stack);
	if (labels < 0)
		return (int)labels;
	out.labels = (uint32_t)labels;
	return profile__add_stack(b->profile, &out);
}

int profile_builder__add(struct profile *profile, const struct stack_store *stacks,
			 const struct frame_names *names,
			 const struct profile_builder_options *options)
{
	struct profile_builder *b = profile_builder__new(profile, names, options);
	const struct stored_stack *stack;
	int err = b ? 0 : -ENOMEM;

	for (stack = stack_store__next(stacks, NULL); stack && !err;
	     stack = stack_store__next(stacks, stack)) {
		if (count_of(options, stack))
			err = profile_builder__learn(b, stack);
	}
	for (stack = stack_store__next(stacks, NULL); stack && !err;
	     stack = stack_store__next(stacks, stack)) {
		if (count_of(options, stack))
			err = add_stack(b, stack);
	}
	profile_builder__free(b);
	return err;
}

void profile_builder__vm_states(const struct stack_store *stacks, uint64_t *samples)
{
	const struct stored_stack *stack;
	unsigned int state;

	memset(samples, 0, VM_STATE_COUNT * sizeof(*samples));
	for (stack = stack_store__next(stacks, NULL); stack;
	     stack = stack_store__next(stacks, stack)) {
		state = stack->flags >> STACK_VM_STATE_SHIFT;
		if (state < VM_STATE_COUNT)
			samples[state] += stack->count;
	}
}

static bool has_lua(const struct stored_stack *stack)
{
	uint32_t i;

	for (i = 0; i < stack->word_count; i++) {
		switch (stack->words[i] >> FRAME_KIND_SHIFT) {
		case FRAME_KIND_LUA:
			return true;
		case FRAME_KIND_BUILTIN:
			i++;
		}
	}
	return false;
}

void profile_builder__off_cpu(const struct stack_store *stacks, struct off_cpu_totals *totals)
{
	const struct stored_stack *stack;
	enum off_cpu_reason reason;

	memset(totals, 0, sizeof(*totals));
	for (stack = stack_store__next(stacks, NULL); stack;
	     stack = stack_store__next(stacks, stack)) {
		reason = stored_stack__off_cpu(stack);
		totals->ns[reason] += stack->ns;
		totals->count[reason] += stack->count;
		if (stack->stop == STOP_COMPLETE && reason != OFF_CPU_BEFORE)
			totals->complete += stack->count;
		if (has_lua(stack))
			totals->with_lua += stack->count;
	}
}
