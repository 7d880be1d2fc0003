/* SPDX-License-Identifier: Apache-2.0 */
/* LuaJIT src/lj_bc.h, lj_debug.c (lj_debug_slotname). */
#include "luajit_site.h"

#include <string.h>

#define VALUE_WORK   50u   /* a value is as much work as so many instructions */
#define MAX_ELEMENTS 4096u /* of a table that is searched */

/* ---- backward data flow -----------------------------------------------------------------------
 */

/* Instructions that write to slot A, and those that write to it and all above it. */
static bool writes_a(uint32_t op)
{
	return op == BC_ISTC || op == BC_ISFC || (op >= BC_MOV && op <= BC_KPRI) || op == BC_UGET ||
	       (op >= BC_FNEW && op <= BC_GGET) || (op >= BC_TGETV && op <= BC_TGETR);
}

static bool writes_above_a(uint32_t op)
{
	return op == BC_KNIL || op == BC_TSETM || (op >= BC_CALLM && op <= BC_RETM) ||
	       (op >= BC_FORI && op <= BC_JITERL);
}

/* Is the field that is read at `position` a method's? Its object was copied behind it. */
static bool is_method(const struct site *s, uint32_t position)
{
	uint32_t ins = luajit_proto__instruction(&s->proto, position), before;

	if (position < 2)
		return false;
	before = luajit_proto__instruction(&s->proto, position - 1);
	return INS_OP(before) == BC_MOV && INS_D(before) == INS_B(ins) &&
	       INS_A(before) == INS_A(ins) + 1 + (s->heap->build->gc64 ? 1 : 0);
}

struct origins site__origins(uint32_t slot, uint32_t position)
{
	return (struct origins){.slot = slot, .position = position};
}

/* Of the instruction at `position`, which writes to slot A. False when it tells nothing. */
static bool origin_at(const struct site *s, uint32_t position, struct origin *origin)
{
	uint32_t ins = luajit_proto__instruction(&s->proto, position);

	*origin = (struct origin){.position = position};
	switch (INS_OP(ins)) {
	case BC_GGET:
		origin->kind = ORIGIN_GLOBAL;
		origin->key = luajit_proto__constant(&s->proto, INS_D(ins));
		return true;
	case BC_UGET:
		origin->kind = ORIGIN_UPVALUE;
		origin->index = INS_D(ins);
		origin->name = luajit_proto__upvalue_name(&s->proto, origin->index);
		return true;
	case BC_TGETS:
		origin->kind = ORIGIN_FIELD;
		origin->index = INS_B(ins);
		origin->key = luajit_proto__constant(&s->proto, INS_C(ins));
		origin->method = is_method(s, position);
		return true;
	case BC_TGETV:
		origin->kind = ORIGIN_ELEMENT;
		origin->index = INS_B(ins);
		return true;
	}
	return false;
}

bool site__next_origin(const struct site *s, struct origins *from, struct origin *origin)
{
	uint32_t ins, op;
	const char *name;

	if (!from->started) {
		from->started = true;
		*origin = (struct origin){.kind = ORIGIN_SLOT, .index = from->slot};
		/* A variable that is gone by the time of the call has left the slot to others. */
		name = luajit_proto__variable_name(&s->proto, from->position, from->slot);
		if (name == luajit_proto__variable_name(&s->proto, s->position, from->slot))
			origin->name = name;
		return true;
	}
	while (!from->ended && from->position > 1 && *s->work) {
		--*s->work;
		ins = luajit_proto__instruction(&s->proto, --from->position);
		op = INS_OP(ins);
		/* What a call returns, and what is in a slot that a loop or a list fills. */
		if (writes_above_a(op) && from->slot >= INS_A(ins) &&
		    (op != BC_KNIL || from->slot <= INS_D(ins)))
			continue;
		if (!writes_a(op) || INS_A(ins) != from->slot)
			continue;
		if (op == BC_MOV || op == BC_ISTC || op == BC_ISFC) {
			from->slot = INS_D(ins);
			from->started = false;
			return site__next_origin(s, from, origin);
		}
		if (origin_at(s, from->position, origin))
			return true;
	}
	return false;
}

/* ---- values ------------------------------------------------------------------------------- */

struct lua_value site__slot_value(const struct site *s, uint32_t slot)
{
	if (slot >= s->slots)
		return slot == 0 ? s->object : (struct lua_value){.type = VALUE_OTHER};
	return luajit_heap__decode(s->heap, s->call->slots[slot]);
}

uint64_t site__metatable_of(struct site *s, struct lua_value value)
{
	struct lua_table table;
	uint64_t metatable = 0;

	if (value.type == VALUE_USERDATA) {
		if (lua_heap__userdata_metatable(s->heap, value.ref, &metatable) != 0)
			metatable = 0;
	} else if (value.type == VALUE_TABLE && lua_heap__table(s->heap, value.ref, &table) == 0) {
		metatable = table.metatable;
		lua_heap__table_free(&table);
	}
	return metatable;
}

/* The field of a value, through its metatables' __index tables. */
static struct lua_value field_value(struct site *s, struct lua_value value, uint64_t key)
{
	struct lua_value field = {.type = VALUE_OTHER};
	uint64_t metatable;
	unsigned int i;

	for (i = 0; i < SITE_MAX_CHAIN; i++) {
		if (value.type == VALUE_TABLE) {
			field = lua_heap__field_by_ref(s->heap, value.ref, key, &metatable);
			if (field.type != VALUE_OTHER)
				break;
		} else {
			metatable = site__metatable_of(s, value);
		}
		if (!metatable)
			break;
		value = lua_heap__field(s->heap, metatable, "__index");
	}
	return field;
}

struct lua_value site__table_value(struct site *s, const struct origin *field, struct origin *table,
				   unsigned int depth)
{
	struct origins from = site__origins(field->index, field->position);
	struct lua_value value;

	*table = (struct origin){};
	while (depth < SITE_MAX_DEPTH && site__next_origin(s, &from, table)) {
		value = site__origin_value(s, table, depth + 1);
		if (value.type == VALUE_TABLE || value.type == VALUE_USERDATA)
			return value;
	}
	return (struct lua_value){.type = VALUE_OTHER};
}

struct lua_value site__origin_value(struct site *s, const struct origin *origin, unsigned int depth)
{
	struct lua_value value = {.type = VALUE_OTHER};
	struct origin table;

	if (*s->work < VALUE_WORK)
		return value;
	*s->work -= VALUE_WORK;
	switch (origin->kind) {
	case ORIGIN_SLOT:
		return site__slot_value(s, origin->index);
	case ORIGIN_GLOBAL:
		value = (struct lua_value){.type = VALUE_TABLE, .ref = s->env};
		return field_value(s, value, origin->key);
	case ORIGIN_UPVALUE:
		if (s->function && origin->index < s->closure.upvalue_count &&
		    luajit_heap__upvalue(s->heap, s->function, origin->index, &value) != 0)
			value.type = VALUE_OTHER;
		return value;
	case ORIGIN_FIELD:
		value = site__table_value(s, origin, &table, depth);
		return field_value(s, value, origin->key);
	case ORIGIN_ELEMENT:
		break;
	}
	return value;
}

bool site__is_callee(const struct site *s, struct lua_value value)
{
	struct luajit_closure closure;

	if (value.type != VALUE_FUNCTION)
		return false;
	/* A function that is made anew for each call may be gone by now. */
	if (value.ref == s->call->callee_function)
		return true;
	return luajit_heap__closure(s->heap, value.ref, &closure) == 0 &&
	       closure.proto == s->call->callee;
}

/* Reads the key and keeps it if it is better than `name`: shorter, or before it in the alphabet. */
static void keep_better_key(struct site *s, uint64_t key, char *name)
{
	char text[LUA_MAX_STRING + 1];
	size_t size, its_size = strlen(name);

	if (lua_heap__string(s->heap, key, text) != 0)
		return;
	size = strlen(text);
	if (!its_size || size < its_size || (size == its_size && strcmp(text, name) < 0))
		memcpy(name, text, size + 1);
}

bool site__key_of_callee(struct site *s, struct lua_value value, char *name)
{
	struct lua_value key, field;
	struct lua_table table;
	uint64_t metatable;
	unsigned int i;
	uint32_t k;

	*name = '\0';
	for (i = 0; i < SITE_MAX_CHAIN && !*name; i++) {
		metatable = site__metatable_of(s, value);
		if (value.type == VALUE_TABLE && lua_heap__table(s->heap, value.ref, &table) == 0) {
			for (k = 0; k < table.count && k < MAX_ELEMENTS; k++) {
				lua_heap__node(s->heap, &table, k, &key, &field);
				if (key.type == VALUE_STRING && site__is_callee(s, field))
					keep_better_key(s, key.ref, name);
			}
			lua_heap__table_free(&table);
		}
		if (!metatable)
			break;
		value = lua_heap__field(s->heap, metatable, "__index");
	}
	return *name;
}
