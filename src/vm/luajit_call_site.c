/* SPDX-License-Identifier: Apache-2.0 */
/* LuaJIT src/lj_debug.c (lj_debug_funcname, lj_debug_slotname), lj_bc.h, lj_meta.c. */
#include "luajit_call_site.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "../bpf/luajit_layout.h"
#include "luajit_proto.h"

#define MAX_BACKWARD 20000u /* instructions that are looked at for one name */
#define MAX_DEPTH    6u	    /* of a.b.c */
#define MAX_CHAIN    8u	    /* of __index tables */

/* Those that bpf/luajit_layout.h does not have; the same in every 2.1 that has its function headers
 * where luajit_proto.c checks for them. */
enum {
	BC_ISLT = 0,
	BC_ISGE,
	BC_ISLE,
	BC_ISGT,
	BC_ISEQV,
	BC_ISNEV,
	BC_ISTC = 12,
	BC_ISFC,
	BC_UNM = 20,
	BC_LEN,
	BC_ADDVN,
	BC_ADDNV = 27,
	BC_ADDVV = 32,
	BC_POW = 37,
	BC_CAT,
	BC_KNIL = 44,
	BC_FNEW = 51,
	BC_TNEW,
	BC_TDUP,
	BC_GSET = 55,
	BC_TGETV,
	BC_TGETB = 58,
	BC_TGETR,
	BC_TSETV,
	BC_TSETS,
	BC_TSETB,
	BC_TSETM,
	BC_CALLMT = 67,
	BC_CALLT,
	BC_ITERC,
	BC_ITERN,
	BC_FORI = 77,
	BC_JITERL = 84,
};

#define INS_OP(ins) ((ins)&0xff)
#define INS_A(ins)  ((ins) >> 8 & 0xff)
#define INS_B(ins)  ((ins) >> 24)
#define INS_C(ins)  ((ins) >> 16 & 0xff)
#define INS_D(ins)  ((ins) >> 16)

struct site {
	struct luajit_heap *heap;
	const struct record_call *call;
	struct luajit_proto proto;
	struct luajit_closure function;
	bool has_function;
	uint64_t env;
	uint32_t slots;	   /* whose values are known and not part of the call */
	uint32_t backward; /* instructions still to look at */
};

/* Where a slot's value comes from. */
struct origin {
	enum {
		ORIGIN_SLOT, /* a variable, or not known: what the slot holds */
		ORIGIN_GLOBAL,
		ORIGIN_UPVALUE,
		ORIGIN_FIELD,
	} kind;
	uint32_t index;	   /* of the slot, the upvalue; the slot of the field's table */
	uint32_t position; /* where the field is read */
	uint64_t key;	   /* string object */
	const char *name;  /* of a variable or upvalue, NULL without one */
	bool method;
};

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

/* Of what `slot` holds before the instruction at `position`. */
static struct origin find_origin(struct site *s, uint32_t slot, uint32_t position)
{
	struct origin origin = {.kind = ORIGIN_SLOT, .index = slot};
	uint32_t ins, op, at = position;

	origin.name = luajit_proto__variable_name(&s->proto, at, slot);
	while (!origin.name && at-- > 1 && s->backward) {
		s->backward--;
		ins = luajit_proto__instruction(&s->proto, at);
		op = INS_OP(ins);
		if (writes_above_a(op) && slot >= INS_A(ins) &&
		    (op != BC_KNIL || slot <= INS_D(ins)))
			break;
		if (!writes_a(op) || INS_A(ins) != slot)
			continue;
		switch (op) {
		case BC_MOV:
			slot = origin.index = INS_D(ins);
			origin.name = luajit_proto__variable_name(&s->proto, at, slot);
			continue;
		case BC_GGET:
			origin.kind = ORIGIN_GLOBAL;
			origin.key = luajit_proto__constant(&s->proto, INS_D(ins));
			break;
		case BC_UGET:
			origin.kind = ORIGIN_UPVALUE;
			origin.index = INS_D(ins);
			origin.name = luajit_proto__upvalue_name(&s->proto, origin.index);
			break;
		case BC_TGETS:
			origin.kind = ORIGIN_FIELD;
			origin.index = INS_B(ins);
			origin.position = at;
			origin.key = luajit_proto__constant(&s->proto, INS_C(ins));
			origin.method = is_method(s, at);
			break;
		}
		break;
	}
	return origin;
}

/* ---- values ------------------------------------------------------------------------------- */

static struct luajit_value slot_value(const struct site *s, uint32_t slot)
{
	if (slot >= s->slots)
		return (struct luajit_value){.type = LUAJIT_OTHER};
	return luajit_heap__decode(s->heap, s->call->slots[slot]);
}

/* The metatable of a table or userdata, 0 without one. */
static uint64_t metatable_of(struct site *s, struct luajit_value value)
{
	struct luajit_table table;
	uint64_t metatable = 0;

	if (value.type == LUAJIT_USERDATA) {
		if (luajit_heap__userdata_metatable(s->heap, value.ref, &metatable) != 0)
			metatable = 0;
	} else if (value.type == LUAJIT_TABLE &&
		   luajit_heap__table(s->heap, value.ref, &table) == 0) {
		metatable = table.metatable;
		luajit_heap__table_free(&table);
	}
	return metatable;
}

/* The field of a value, through its metatables' __index tables. */
static struct luajit_value field_value(struct site *s, struct luajit_value value, uint64_t key)
{
	struct luajit_value field = {.type = LUAJIT_OTHER};
	uint64_t metatable;
	unsigned int i;

	for (i = 0; i < MAX_CHAIN; i++) {
		if (value.type == LUAJIT_TABLE) {
			field = luajit_heap__field_by_ref(s->heap, value.ref, key, &metatable);
			if (field.type != LUAJIT_OTHER)
				break;
		} else {
			metatable = metatable_of(s, value);
		}
		if (!metatable)
			break;
		value = luajit_heap__field(s->heap, metatable, "__index");
	}
	return field;
}

static struct luajit_value origin_value(struct site *s, const struct origin *origin,
					unsigned int depth)
{
	struct luajit_value value = {.type = LUAJIT_OTHER};
	struct origin table;

	switch (origin->kind) {
	case ORIGIN_SLOT:
		return slot_value(s, origin->index);
	case ORIGIN_GLOBAL:
		value = (struct luajit_value){.type = LUAJIT_TABLE, .ref = s->env};
		return field_value(s, value, origin->key);
	case ORIGIN_UPVALUE:
		if (s->has_function && origin->index < s->function.upvalue_count &&
		    luajit_heap__upvalue(s->heap, s->call->function, origin->index, &value) != 0)
			value.type = LUAJIT_OTHER;
		return value;
	case ORIGIN_FIELD:
		if (depth >= MAX_DEPTH)
			return value;
		table = find_origin(s, origin->index, origin->position);
		value = origin_value(s, &table, depth + 1);
		return field_value(s, value, origin->key);
	}
	return value;
}

static bool is_callee(struct site *s, struct luajit_value value)
{
	struct luajit_closure closure;

	return value.type == LUAJIT_FUNCTION &&
	       luajit_heap__closure(s->heap, value.ref, &closure) == 0 &&
	       closure.proto == s->call->callee;
}

/* ---- names -------------------------------------------------------------------------------- */

static bool is_identifier(const char *text)
{
	const unsigned char *c = (const unsigned char *)text;

	if (!*c || (*c >= '0' && *c <= '9'))
		return false;
	for (; *c; c++) {
		if (!(*c == '_' || *c >= 0x80 || (*c >= '0' && *c <= '9') ||
		      (*c >= 'A' && *c <= 'Z') || (*c >= 'a' && *c <= 'z')))
			return false;
	}
	return true;
}

/* Adds the separator and the name, if it is one and there is room. */
static bool append(struct luajit_call_name *name, char separator, const char *text)
{
	size_t length = strlen(name->text), size = strlen(text);

	if (!is_identifier(text) || size > LUAJIT_MAX_STRING ||
	    length + size + 2 > sizeof(name->text))
		return false;
	if (length)
		name->text[length++] = separator;
	memcpy(name->text + length, text, size + 1);
	return true;
}

static bool append_key(struct site *s, struct luajit_call_name *name, char separator, uint64_t key)
{
	char text[LUAJIT_MAX_STRING + 1];

	return luajit_heap__string(s->heap, key, text) == 0 && append(name, separator, text);
}

/* Writes `name`, with what it is a field of as far as that has a name. False: nothing written. */
static bool origin_name(struct site *s, const struct origin *origin, struct luajit_call_name *name,
			unsigned int depth)
{
	struct origin table;

	switch (origin->kind) {
	case ORIGIN_SLOT:
		name->rank = LUAJIT_CALL_LOCAL;
		return origin->name && append(name, '.', origin->name);
	case ORIGIN_GLOBAL:
		name->rank = LUAJIT_CALL_GLOBAL;
		return append_key(s, name, '.', origin->key);
	case ORIGIN_UPVALUE:
		name->rank = LUAJIT_CALL_UPVALUE;
		return origin->name && append(name, '.', origin->name);
	case ORIGIN_FIELD:
		table = find_origin(s, origin->index, origin->position);
		if (depth >= MAX_DEPTH || !origin_name(s, &table, name, depth + 1)) {
			name->text[0] = '\0';
			name->rank = LUAJIT_CALL_KEY;
		} else if (origin->method || name->rank >= LUAJIT_CALL_METHOD) {
			if (name->rank != LUAJIT_CALL_KEY)
				name->rank = LUAJIT_CALL_METHOD;
		} else {
			name->rank = LUAJIT_CALL_FIELD;
		}
		return append_key(s, name, origin->method ? ':' : '.', origin->key);
	}
	return false;
}

/* ---- metamethods -------------------------------------------------------------------------- */

/* What an instruction may call for the operands that are in slots. */
struct metamethod {
	uint8_t first, last; /* opcodes */
	char operands[3];    /* letters of the instruction's fields; "-": from B to C */
	const char *events[2];
};

static const struct metamethod metamethods[] = {
	{BC_ISLT, BC_ISGE, "AD", {"__lt"}},	   {BC_ISLE, BC_ISGT, "AD", {"__le", "__lt"}},
	{BC_ISEQV, BC_ISNEV, "AD", {"__eq"}},	   {BC_UNM, BC_UNM, "D", {"__unm"}},
	{BC_LEN, BC_LEN, "D", {"__len"}},	   {BC_POW, BC_POW, "BC", {"__pow"}},
	{BC_CAT, BC_CAT, "-", {"__concat"}},	   {BC_TGETV, BC_TGETB, "B", {"__index"}},
	{BC_TSETV, BC_TSETB, "B", {"__newindex"}},
};

static const char *const arithmetic[] = {"__add", "__sub", "__mul", "__div", "__mod"};

/* Is the function the metamethod `event` of `value`? */
static bool is_metamethod(struct site *s, struct luajit_value value, const char *event)
{
	unsigned int i;

	/* __index and __newindex may be tables, which are asked in their turn. */
	for (i = 0; i < MAX_CHAIN; i++) {
		uint64_t metatable = metatable_of(s, value);

		if (!metatable)
			return false;
		value = luajit_heap__field(s->heap, metatable, event);
		if (value.type != LUAJIT_TABLE)
			return is_callee(s, value);
	}
	return false;
}

static bool any_operand(struct site *s, uint32_t ins, const char *operands, const char *event)
{
	uint32_t slot;

	if (*operands == '-') {
		for (slot = INS_B(ins); slot <= INS_C(ins); slot++) {
			if (is_metamethod(s, slot_value(s, slot), event))
				return true;
		}
		return false;
	}
	for (; *operands; operands++) {
		slot = *operands == 'A'	  ? INS_A(ins)
		       : *operands == 'B' ? INS_B(ins)
		       : *operands == 'C' ? INS_C(ins)
					  : INS_D(ins);
		if (is_metamethod(s, slot_value(s, slot), event))
			return true;
	}
	return false;
}

static const char *metamethod_name(struct site *s, uint32_t ins)
{
	uint32_t op = INS_OP(ins);
	struct luajit_value env = {.type = LUAJIT_TABLE, .ref = s->env};
	const char *event;
	size_t i, k;

	if (op >= BC_ADDVN && op < BC_POW) {
		event = arithmetic[(op - BC_ADDVN) % 5];
		return any_operand(s, ins, op < BC_ADDVV ? "B" : "BC", event) ? event : NULL;
	}
	if (op == BC_GGET || op == BC_GSET) {
		event = op == BC_GGET ? "__index" : "__newindex";
		return is_metamethod(s, env, event) ? event : NULL;
	}
	for (i = 0; i < sizeof(metamethods) / sizeof(metamethods[0]); i++) {
		const struct metamethod *m = &metamethods[i];

		if (op < m->first || op > m->last)
			continue;
		for (k = 0; k < 2 && m->events[k]; k++) {
			if (any_operand(s, ins, m->operands, m->events[k]))
				return m->events[k];
		}
	}
	return NULL;
}

/* ---- calls -------------------------------------------------------------------------------- */

static int set_name(struct luajit_call_name *name, enum luajit_call_rank rank, const char *text)
{
	name->rank = rank;
	snprintf(name->text, sizeof(name->text), "%s", text);
	return 0;
}

static int name_call(struct site *s, uint32_t ins, struct luajit_call_name *name)
{
	struct luajit_value value;
	struct origin origin;

	/* The call's own slots hold the function that runs, which proves nothing. */
	if (s->slots > INS_A(ins))
		s->slots = INS_A(ins);
	origin = find_origin(s, INS_A(ins), s->call->position);
	value = origin_value(s, &origin, 0);
	if (value.type == LUAJIT_TABLE || value.type == LUAJIT_USERDATA)
		return is_metamethod(s, value, "__call")
			       ? set_name(name, LUAJIT_CALL_METAMETHOD, "__call")
			       : -ENOENT;
	/* Compiled code may have an old value of a variable in the slot, or another variable's. */
	if (!is_callee(s, value) || (origin.kind == ORIGIN_SLOT && s->call->compiled))
		return -ENOENT;
	return origin_name(s, &origin, name, 0) ? 0 : -ENOENT;
}

/* The iterator stays three slots below its copy that is called. */
static int name_iterator(struct site *s, uint32_t ins, struct luajit_call_name *name)
{
	if (INS_A(ins) < 3 || s->call->compiled || !is_callee(s, slot_value(s, INS_A(ins) - 3)))
		return -ENOENT;
	return set_name(name, LUAJIT_CALL_ITERATOR, "for iterator");
}

static int name_instruction(struct site *s, struct luajit_call_name *name)
{
	uint32_t ins = luajit_proto__instruction(&s->proto, s->call->position);
	const char *event;

	switch (INS_OP(ins)) {
	case BC_CALL:
	case BC_CALLM:
		return name_call(s, ins, name);
	case BC_ITERC:
	case BC_ITERN:
		return name_iterator(s, ins, name);
	}
	event = metamethod_name(s, ins);
	return event ? set_name(name, LUAJIT_CALL_METAMETHOD, event) : -ENOENT;
}

/* The function's environment, or the globals when its object is not known. */
static void find_environment(struct site *s)
{
	uint64_t thread, g;

	if (s->call->function &&
	    luajit_heap__closure(s->heap, s->call->function, &s->function) == 0 &&
	    s->function.proto == s->call->caller) {
		s->has_function = true;
		s->env = s->function.env;
	} else if (luajit_heap__main_thread(s->heap, s->call->g, &thread) != 0 ||
		   luajit_heap__thread(s->heap, thread, &s->env, &g) != 0) {
		s->env = 0;
	}
}

int luajit_call_site__name(struct luajit_heap *heap, const struct record_call *call,
			   struct luajit_call_name *name)
{
	struct site s = {.heap = heap, .call = call, .backward = MAX_BACKWARD};
	int err;

	*name = (struct luajit_call_name){};
	err = luajit_proto__open(heap, call->caller, call->tgid, &s.proto);
	if (err)
		return err;
	err = -ESTALE;
	if (s.proto.id != call->caller_id || call->position >= s.proto.code_count ||
	    call->position == 0)
		goto out;
	s.slots = call->slot_count < s.proto.frame_size ? call->slot_count : s.proto.frame_size;
	find_environment(&s);
	err = name_instruction(&s, name);
	if (!err && !luajit_proto__unchanged(&s.proto, heap))
		err = -ESTALE;
out:
	luajit_proto__close(&s.proto);
	return err;
}
