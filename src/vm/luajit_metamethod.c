/* SPDX-License-Identifier: Apache-2.0 */
/* Metamethods that instructions call: LuaJIT src/lj_bc.h (BCDEF), lj_meta.c. */
#include "luajit_site.h"

/* What an instruction may call for the operands that are in slots. */
struct metamethod {
	uint8_t first, last; /* opcodes */
	char operands[3];    /* letters of the instruction's fields; "-": those of __concat */
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

bool site__is_metamethod(struct site *s, struct lua_value value, const char *event)
{
	unsigned int i;

	/* __index and __newindex may be tables, which are asked in their turn. */
	for (i = 0; i < SITE_MAX_CHAIN; i++) {
		uint64_t metatable = site__metatable_of(s, value);

		if (!metatable)
			return false;
		value = lua_heap__field(s->heap, metatable, event);
		if (value.type != VALUE_TABLE)
			return site__is_callee(s, value);
	}
	return false;
}

static bool any_operand(struct site *s, uint32_t ins, const char *operands, const char *event)
{
	uint32_t slot;

	if (*operands == '-') {
		/* The two that cannot be joined have been moved up, to be arguments. */
		for (slot = INS_B(ins); slot <= INS_C(ins) + 4; slot++) {
			if (site__is_metamethod(s, site__slot_value(s, slot), event))
				return true;
		}
		return false;
	}
	for (; *operands; operands++) {
		slot = *operands == 'A'	  ? INS_A(ins)
		       : *operands == 'B' ? INS_B(ins)
		       : *operands == 'C' ? INS_C(ins)
					  : INS_D(ins);
		if (site__is_metamethod(s, site__slot_value(s, slot), event))
			return true;
	}
	return false;
}

const char *site__metamethod_name(struct site *s, uint32_t ins)
{
	uint32_t op = INS_OP(ins);
	struct lua_value env = {.type = VALUE_TABLE, .ref = s->env};
	const char *event;
	size_t i, k;

	if (op >= BC_ADDVN && op < BC_POW) {
		event = arithmetic[(op - BC_ADDVN) % 5];
		return any_operand(s, ins, op < BC_ADDVV ? "B" : "BC", event) ? event : NULL;
	}
	if (op == BC_GGET || op == BC_GSET) {
		event = op == BC_GGET ? "__index" : "__newindex";
		return site__is_metamethod(s, env, event) ? event : NULL;
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
