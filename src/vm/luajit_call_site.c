/* SPDX-License-Identifier: Apache-2.0 */
/* LuaJIT src/lj_debug.c (lj_debug_funcname, lj_debug_slotname), lj_bc.h, lj_meta.c. */
#include "luajit_call_site.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "lua_call_name.h"
#include "luajit_site.h"

#define MAX_WORK    40000u /* instructions that are looked at for one name */
#define MAX_READS   4000u
#define MAX_BYTES   (16u << 20)
#define MAX_ORIGINS 16 /* of one slot */

/* ---- names -------------------------------------------------------------------------------- */

static bool origin_name(struct site *s, const struct origin *origin, struct lua_call_name *name,
			unsigned int depth);

/* Of the field `key` of `table`; without the table's name when it has none. */
static bool field_name(struct site *s, const struct origin *table, const char *key, bool method,
		       struct lua_call_name *name, unsigned int depth)
{
	if (!table || depth >= SITE_MAX_DEPTH || !origin_name(s, table, name, depth + 1)) {
		name->text[0] = '\0';
		name->rank = LUA_CALL_KEY;
	} else if (name->rank != LUA_CALL_KEY) {
		name->rank =
			method || name->rank >= LUA_CALL_METHOD ? LUA_CALL_METHOD : LUA_CALL_FIELD;
	}
	return lua_call_name__append(name, method ? ':' : '.', key);
}

/* Writes the name, with what it is a field of as far as that has a name. False without one. */
static bool origin_name(struct site *s, const struct origin *origin, struct lua_call_name *name,
			unsigned int depth)
{
	char key[LUA_MAX_STRING + 1];
	struct lua_value value;
	struct origin table;

	switch (origin->kind) {
	case ORIGIN_SLOT:
		/* Compiled code may have an old value of a variable in the slot, or another's. */
		name->rank = LUA_CALL_LOCAL;
		return origin->name && !s->call->compiled &&
		       lua_call_name__append(name, '.', origin->name);
	case ORIGIN_GLOBAL:
		name->rank = LUA_CALL_GLOBAL;
		return lua_heap__string(s->heap, origin->key, key) == 0 &&
		       lua_call_name__append(name, '.', key);
	case ORIGIN_UPVALUE:
		name->rank = LUA_CALL_UPVALUE;
		return origin->name && lua_call_name__append(name, '.', origin->name);
	case ORIGIN_FIELD:
		value = site__table_value(s, origin, &table, depth);
		return lua_heap__string(s->heap, origin->key, key) == 0 &&
		       field_name(s, value.type == VALUE_OTHER ? NULL : &table, key, origin->method,
				  name, depth);
	case ORIGIN_ELEMENT:
		break;
	}
	return false;
}

/* ---- calls -------------------------------------------------------------------------------- */

static int set_name(struct lua_call_name *name, enum lua_call_rank rank, const char *text)
{
	name->rank = rank;
	snprintf(name->text, sizeof(name->text), "%s", text);
	return 0;
}

/* Something else than what runs was called: it may have called that by a tail call. */
static void note_other(struct site *s, const struct origin *origin, struct lua_value value)
{
	struct closures *others = s->others;
	struct origin table;
	uint32_t i;

	for (i = 0; i < others->count; i++) {
		if (others->items[i].function == value.ref)
			return;
	}
	if (others->count == SITE_MAX_OTHERS)
		return;
	others->items[others->count].function = value.ref;
	if (origin->method)
		others->items[others->count].object = site__table_value(s, origin, &table, 0);
	others->count++;
}

/* The name that `origin` gives the callee, if it is that. */
static bool name_origin(struct site *s, const struct origin *origin, struct lua_call_name *name)
{
	char key[LUA_MAX_STRING + 1];
	struct lua_value value;
	struct origin table;

	*name = (struct lua_call_name){};
	if (origin->kind == ORIGIN_ELEMENT) {
		value = site__table_value(s, origin, &table, 0);
		return site__key_of_callee(s, value, key) &&
		       field_name(s, &table, key, false, name, 0);
	}
	value = site__origin_value(s, origin, 0);
	if (value.type == VALUE_TABLE || value.type == VALUE_USERDATA)
		return site__is_metamethod(s, value, "__call") &&
		       set_name(name, LUA_CALL_METAMETHOD, "__call") == 0;
	if (value.type != VALUE_FUNCTION)
		return false;
	if (!site__is_callee(s, value)) {
		note_other(s, origin, value);
		return false;
	}
	return origin_name(s, origin, name, 0);
}

static int name_call(struct site *s, uint32_t ins, struct lua_call_name *name)
{
	struct origins from = site__origins(INS_A(ins), s->position);
	struct lua_call_name one;
	struct origin origin;
	int err = -ENOENT, tries;

	/* The call's own slots hold the function that runs, which proves nothing. */
	if (s->slots > INS_A(ins))
		s->slots = INS_A(ins);
	for (tries = 0; tries < MAX_ORIGINS && site__next_origin(s, &from, &origin); tries++) {
		if (!name_origin(s, &origin, &one) || (!err && one.rank >= name->rank))
			continue;
		*name = one;
		err = 0;
	}
	return err;
}

/* The iterator stays three slots below its copy that is called. */
static int name_iterator(struct site *s, uint32_t ins, struct lua_call_name *name)
{
	if (INS_A(ins) < 3 || s->call->compiled ||
	    !site__is_callee(s, site__slot_value(s, INS_A(ins) - 3)))
		return -ENOENT;
	return set_name(name, LUA_CALL_ITERATOR, "for iterator");
}

static int name_instruction(struct site *s, struct lua_call_name *name)
{
	uint32_t ins = luajit_proto__instruction(&s->proto, s->position);
	const char *event;

	switch (INS_OP(ins)) {
	case BC_CALL:
	case BC_CALLM:
		return name_call(s, ins, name);
	case BC_ITERC:
	case BC_ITERN:
		return name_iterator(s, ins, name);
	}
	/* Not only the caller's own slots: nothing but objects is looked for. */
	s->slots = s->call->slot_count;
	event = site__metamethod_name(s, ins);
	return event ? set_name(name, LUA_CALL_METAMETHOD, event) : -ENOENT;
}

/* The function's environment, or the globals when its object is not known. */
static void find_environment(struct site *s, uint64_t function)
{
	uint64_t thread, g;

	if (function && luajit_heap__closure(s->heap, function, &s->closure) == 0 &&
	    s->closure.proto == s->proto.address) {
		s->function = function;
		s->env = s->closure.env;
	} else if (lua_heap__main_thread(s->heap, s->call->g, &thread) != 0 ||
		   lua_heap__thread(s->heap, thread, &s->env, &g) != 0) {
		s->env = 0;
	}
}

/* Does the function call the callee by a tail call? Adds to the others those it calls besides. */
static int name_tail_calls(const struct site *caller, uint64_t function, struct lua_value object,
			   struct lua_call_name *name)
{
	struct site s = {.heap = caller->heap,
			 .call = caller->call,
			 .object = object,
			 .work = caller->work,
			 .others = caller->others};
	struct luajit_closure closure;
	uint32_t ins, op;
	int err;

	err = luajit_heap__closure(s.heap, function, &closure);
	if (!err)
		err = luajit_proto__open(s.heap, closure.proto, s.call->tgid, &s.proto);
	if (err)
		return err;
	find_environment(&s, function);
	err = -ENOENT;
	for (s.position = 1; err && s.position < s.proto.code_count && *s.work; s.position++) {
		ins = luajit_proto__instruction(&s.proto, s.position);
		op = INS_OP(ins);
		if (op == BC_CALLT || op == BC_CALLMT)
			err = name_call(&s, ins, name);
	}
	if (!err && !luajit_proto__unchanged(&s.proto, s.heap))
		err = -ESTALE;
	luajit_proto__close(&s.proto);
	return err;
}

/* The target decides how much there is to read: only so much of it. */
struct bounded_read {
	struct lua_heap *heap;
	size_t bytes;
	unsigned int count;
};

static int read_bounded(void *context, uint64_t address, void *bytes, size_t size)
{
	struct bounded_read *bounded = context;

	if (bounded->count >= MAX_READS || size > MAX_BYTES - bounded->bytes)
		return -E2BIG;
	bounded->count++;
	bounded->bytes += size;
	return lua_heap__read(bounded->heap, address, bytes, size);
}

int luajit_call_site__name(struct lua_heap *whole, const struct record_call *call,
			   struct lua_call_name *name)
{
	struct bounded_read bounded = {.heap = whole};
	uint32_t work = MAX_WORK, i;
	struct closures others = {};
	struct lua_heap heap;
	struct site s = {.heap = &heap,
			 .call = call,
			 .position = call->position,
			 .work = &work,
			 .others = &others};
	int err;

	*name = (struct lua_call_name){};
	luajit_heap__init(&heap, whole->build, read_bounded, &bounded);
	err = luajit_proto__open(&heap, call->caller, call->tgid, &s.proto);
	if (err)
		return err;
	err = -ESTALE;
	if (s.proto.id != call->caller_id || call->position >= s.proto.code_count ||
	    call->position == 0)
		goto out;
	s.slots = call->slot_count < s.proto.frame_size ? call->slot_count : s.proto.frame_size;
	find_environment(&s, call->function);
	err = name_instruction(&s, name);
	for (i = 0; err == -ENOENT && i < others.count; i++)
		err = name_tail_calls(&s, others.items[i].function, others.items[i].object, name);
	if (!err && !luajit_proto__unchanged(&s.proto, &heap))
		err = -ESTALE;
out:
	luajit_proto__close(&s.proto);
	return err;
}
