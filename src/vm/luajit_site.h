/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One call site, in parts: where in the bytecode a slot's value comes from, what that value is in
 * the target now, and whether it is the function that was called. Names are made from it in
 * luajit_call_site.c; nothing else uses it.
 */
#ifndef LUASPY_LUAJIT_SITE_H
#define LUASPY_LUAJIT_SITE_H

#include "../bpf/luajit_layout.h"
#include "luajit_proto.h"

#define SITE_MAX_CHAIN	8u /* of __index tables */
#define SITE_MAX_DEPTH	5u /* of a.b.c */
#define SITE_MAX_OTHERS 8u /* functions that may have called the one that runs by a tail call */

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
	BC_FORI = 77,
	BC_JITERL = 84,
};

#define INS_OP(ins) ((ins)&0xff)
#define INS_A(ins)  ((ins) >> 8 & 0xff)
#define INS_B(ins)  ((ins) >> 24)
#define INS_C(ins)  ((ins) >> 16 & 0xff)
#define INS_D(ins)  ((ins) >> 16)

/* Lua functions that a call's variable or field holds, but that are not the one that runs. */
struct closures {
	uint32_t count;
	struct {
		uint64_t function;
		struct lua_value object;
	} items[SITE_MAX_OTHERS];
};

/* A function whose calls are looked at. */
struct site {
	struct lua_heap *heap;
	const struct record_call *call;
	struct luajit_proto proto;
	struct luajit_closure closure;
	uint64_t function; /* its object, 0: not known */
	uint64_t env;
	uint32_t position;	 /* of the call */
	uint32_t slots;		 /* of call->slots, those whose values are known */
	struct lua_value object; /* of a method: its first parameter */
	uint32_t *work;		 /* instructions and values still to look at, for one name */
	struct closures *others; /* what else may have been called */
};

/* Where a slot's value may come from. */
struct origin {
	enum {
		ORIGIN_SLOT, /* a variable, or not known: what the slot holds */
		ORIGIN_GLOBAL,
		ORIGIN_UPVALUE,
		ORIGIN_FIELD,
		ORIGIN_ELEMENT, /* the field whose name the program computes */
	} kind;
	uint32_t index;	   /* of the slot, the upvalue; the slot of the field's table */
	uint32_t position; /* where the field is read */
	uint64_t key;	   /* string object */
	const char *name;  /* of a variable or upvalue, NULL without one */
	bool method;
};

/* The origins of a slot's value, the nearest instruction's first. */
struct origins {
	uint32_t slot, position;
	bool started, ended;
};

struct origins site__origins(uint32_t slot, uint32_t position);

/*
 * The next origin; false when there are no more. Jumps are not followed: of `a or b` both come out,
 * and so may one that was overwritten in between. The values tell which it was.
 */
bool site__next_origin(const struct site *s, struct origins *from, struct origin *origin);

/* What it is now; VALUE_OTHER when that is not known. */
struct lua_value site__origin_value(struct site *s, const struct origin *origin,
				    unsigned int depth);
struct lua_value site__slot_value(const struct site *s, uint32_t slot);

/* The table (or object) that a field is read from, and where it came from. */
struct lua_value site__table_value(struct site *s, const struct origin *field, struct origin *table,
				   unsigned int depth);

/* The metatable of a table or userdata, 0 without one. */
uint64_t site__metatable_of(struct site *s, struct lua_value value);

bool site__is_callee(const struct site *s, struct lua_value value);

/* Finds the string under which a table, or one that it inherits from, has the callee. `name` has
 * room for LUA_MAX_STRING + 1. */
bool site__key_of_callee(struct site *s, struct lua_value value, char *name);

/* Is the callee the metamethod `event` of `value`? */
bool site__is_metamethod(struct site *s, struct lua_value value, const char *event);

/* The event by which instruction `ins` may have called the callee, NULL if it has not. */
const char *site__metamethod_name(struct site *s, uint32_t ins);

#endif
