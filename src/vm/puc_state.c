/* SPDX-License-Identifier: Apache-2.0 */
#include "puc_state.h"

#include <string.h>

/* Symbols: of an instruction that computes a position, or of a place where paths meet. */
#define SYMBOL_INSTRUCTION(at_)	       (1u + (uint32_t)(at_))
#define SYMBOL_MEETING(block_, place_) (1u << 31 | (uint32_t)(block_) << 10 | (uint32_t)(place_))

#define PLACE_MEMORY   1023u
#define PLACE_REGISTER 1000u /* + its number; slots are from 0 */

/* A compiler has no use for pointers further from the current instruction. */
#define MAX_OFFSET 64

/* `nearness` of a CallInfo that was loaded as another's caller. */
#define CALLER 1

static const struct puc_value unknown;

static struct puc_value value_of(enum puc_kind kind, int offset)
{
	return (struct puc_value){.kind = (uint8_t)kind, .offset = (int16_t)offset};
}

static bool same(const struct puc_value *one, const struct puc_value *other)
{
	return one->kind == other->kind && one->offset == other->offset &&
	       one->symbol == other->symbol && one->nearness == other->nearness;
}

/* value + bytes */
static struct puc_value moved(struct puc_value value, int64_t bytes)
{
	int limit = value.kind == PUC_IS_PC ? MAX_OFFSET : INT16_MAX;

	if ((value.kind != PUC_IS_PC && value.kind != PUC_IS_CFA && value.kind != PUC_IS_CI &&
	     value.kind != PUC_IS_L) ||
	    bytes > INT16_MAX || bytes < INT16_MIN || value.offset + bytes > limit ||
	    value.offset + bytes < -limit)
		return unknown;
	value.offset = (int16_t)(value.offset + bytes);
	if (bytes && value.symbol && value.nearness == PUC_NEAR)
		value.nearness = PUC_OTHER;
	return value;
}

/* A position that instruction `at` has computed from another and a number. */
static struct puc_value jumped(size_t at)
{
	struct puc_value value = value_of(PUC_IS_PC, 0);

	value.symbol = SYMBOL_INSTRUCTION(at);
	value.nearness = PUC_JUMPED;
	return value;
}

/* value + bytes; far jumps have a constant part, too. */
static struct puc_value advanced(struct puc_value value, int64_t bytes, size_t at)
{
	if (value.kind == PUC_IS_PC && (bytes > MAX_OFFSET || bytes < -MAX_OFFSET))
		return jumped(at);
	return moved(value, bytes);
}

void puc_state__enter(struct puc_state *self, const struct puc_build *build)
{
	memset(self, 0, sizeof(*self));
	self->reached = true;
	self->registers[DW_REG_RDI] = value_of(PUC_IS_L, 0);
	if (build->release >= 50400)
		self->registers[DW_REG_RSI] = value_of(PUC_IS_CI, 0);
	self->memory = value_of(PUC_IS_PC, 4);
}

void puc_state__frame(struct puc_state *self, const struct unwind_rule *rule)
{
	if (rule && rule->cfa_kind == CFA_REG && rule->cfa_reg < 16 &&
	    rule->cfa_offset <= INT16_MAX && rule->cfa_offset >= INT16_MIN + 1)
		self->registers[rule->cfa_reg] = value_of(PUC_IS_CFA, -rule->cfa_offset);
}

/* ---- places ------------------------------------------------------------------------------------
 */

static struct puc_value *in_register(struct puc_state *self, uint8_t reg)
{
	return reg < 16 ? &self->registers[reg] : NULL;
}

static const struct puc_value *value_in(const struct puc_state *self, uint8_t reg)
{
	return reg < 16 ? &self->registers[reg] : &unknown;
}

/* The bytes below the CFA of a memory operand; 0 when it is elsewhere. */
static int below_cfa(const struct puc_state *self, const struct x86_instruction *i)
{
	const struct puc_value *base = value_in(self, i->base);
	int64_t at;

	if (base->kind != PUC_IS_CFA || i->index != X86_NO_REG)
		return 0;
	at = (int64_t)base->offset + i->disp;
	return at < 0 && at > -8 * (int64_t)PUC_SLOTS ? (int)-at : 0;
}

/* Is the operand `size` bytes at `field` of L, or of a CallInfo? */
static bool is_field(const struct puc_state *self, const struct x86_instruction *i,
		     enum puc_kind kind, int field)
{
	const struct puc_value *base = value_in(self, i->base);

	return base->kind == kind && i->index == X86_NO_REG && i->width == 8 &&
	       base->offset + (int64_t)i->disp == field;
}

static bool is_l_ci(const struct puc_state *self, const struct x86_instruction *i,
		    const struct puc_build *build)
{
	return is_field(self, i, PUC_IS_L, build->L_ci);
}

static bool is_savedpc(const struct puc_state *self, const struct x86_instruction *i,
		       const struct puc_build *build)
{
	return build->L_savedpc ? is_field(self, i, PUC_IS_L, build->L_savedpc)
				: is_field(self, i, PUC_IS_CI, build->ci_savedpc);
}

bool puc_state__loads_position(const struct puc_state *self, const struct x86_instruction *i,
			       const struct puc_build *build)
{
	return i->op == X86_LOAD && is_savedpc(self, i, build);
}

/* Where a memory operand is, as far as it is tracked; NULL. */
static struct puc_value *in_memory(struct puc_state *self, const struct x86_instruction *i,
				   const struct puc_build *build)
{
	int below = below_cfa(self, i);

	if (below)
		return i->width == 8 && below % 8 == 0 ? &self->slots[below / 8] : NULL;
	return is_savedpc(self, i, build) ? &self->memory : NULL;
}

/* Something is stored over `size` bytes. */
static void overwrite(struct puc_state *self, int below, unsigned int size)
{
	int at, end = below - (int)size;

	for (at = below; at > end && at > 0; at--)
		self->slots[(at + 7) / 8 < (int)PUC_SLOTS ? (at + 7) / 8 : 0] = unknown;
}

/* Another frame is the innermost one: its position is what it has saved. */
static void change_frame(struct puc_state *self, const struct puc_value *ci,
			 const struct puc_build *build)
{
	size_t i;

	/* In 5.1 they are an array. */
	self->popped = ci->kind == PUC_IS_CI && (ci->nearness == CALLER || ci->offset < 0);
	if (build->L_savedpc)
		return; /* 5.1: that is in L, and stored apart */

	for (i = 0; i < 16; i++) {
		if (puc_value__is_position(&self->registers[i]))
			self->registers[i] = unknown;
	}
	for (i = 0; i < PUC_SLOTS; i++) {
		if (puc_value__is_position(&self->slots[i]))
			self->slots[i] = unknown;
	}
	self->memory = value_of(PUC_IS_PC, 4);
}

/* ---- one instruction
 * ---------------------------------------------------------------------------- */

static void anchor(struct puc_value *value, uint32_t symbol, int fetched)
{
	if (value->kind != PUC_IS_PC)
		return;
	if (value->symbol != symbol) {
		*value = unknown;
		return;
	}
	value->symbol = 0;
	value->nearness = PUC_NEAR;
	*value = moved(*value, -fetched);
}

/* The instruction at `at` + disp becomes the current one. */
static void fetch(struct puc_state *self, const struct puc_value *at, int disp)
{
	uint32_t symbol = at->symbol;
	int fetched = at->offset + disp;
	size_t i;

	self->popped = false;
	for (i = 0; i < 16; i++)
		anchor(&self->registers[i], symbol, fetched);
	for (i = 0; i < PUC_SLOTS; i++)
		anchor(&self->slots[i], symbol, fetched);
	anchor(&self->memory, symbol, fetched);
}

/* The largest offset in registers of what has jumped; negative when nothing has. */
static int jumped_offset(const struct puc_state *self)
{
	const struct puc_value *value;
	int i, offset = -1;

	for (i = 0; i < 16; i++) {
		value = &self->registers[i];
		if (value->kind == PUC_IS_PC && value->nearness == PUC_JUMPED &&
		    value->offset > offset)
			offset = value->offset;
	}
	return offset;
}

static void settle(struct puc_value *value, int offset)
{
	if (value->kind == PUC_IS_PC)
		*value = value->nearness == PUC_JUMPED
				 ? value_of(PUC_IS_PC, 4 + value->offset - offset)
				 : unknown;
}

/* The same where the jump's distance is an index: what has been computed last is the position
 * behind. */
static void fetch_indexed(struct puc_state *self)
{
	int offset = jumped_offset(self);
	size_t i;

	if (offset < 0)
		return;
	for (i = 0; i < 16; i++)
		settle(&self->registers[i], offset);
	for (i = 0; i < PUC_SLOTS; i++)
		settle(&self->slots[i], offset);
	settle(&self->memory, offset);
	self->popped = false;
}

static struct puc_value loaded(struct puc_state *self, const struct x86_instruction *i,
			       const struct puc_code *code, size_t at,
			       const struct puc_build *build)
{
	const struct puc_value *base = value_in(self, i->base), *index = value_in(self, i->index);
	const struct puc_value *place;
	struct puc_value value;
	int table;

	if (base->kind == PUC_IS_TABLE || index->kind == PUC_IS_TABLE) {
		table = base->kind == PUC_IS_TABLE ? base->offset : index->offset;
		return value_of(PUC_IS_ENTRY, table);
	}
	if (i->base == X86_NO_REG && i->index != X86_NO_REG && i->disp > 0) {
		table = puc_code__table(code, (uint64_t)i->disp);
		return table < 0 ? unknown : value_of(PUC_IS_ENTRY, table);
	}
	place = in_memory(self, i, build);
	if (place == &self->memory) {
		self->popped = false;
		return place->kind == PUC_IS_PC ? *place : jumped(at);
	}
	if (place)
		return *place;
	if (is_l_ci(self, i, build))
		return value_of(PUC_IS_CI, 0);
	if (build->ci_previous && is_field(self, i, PUC_IS_CI, build->ci_previous)) {
		value = value_of(PUC_IS_CI, 0);
		value.nearness = CALLER;
		return value;
	}
	/* The next one, kept for the next call. */
	if (build->ci_previous && is_field(self, i, PUC_IS_CI, build->ci_previous + 8))
		return value_of(PUC_IS_CI, 0);
	return unknown;
}

static struct puc_value address_of(const struct puc_state *self, const struct x86_instruction *i,
				   const struct puc_code *code, size_t at)
{
	const struct puc_value *base = value_in(self, i->base), *index = value_in(self, i->index);
	int table;

	if (i->width != 8)
		return unknown;
	if (i->base == X86_NO_REG && i->index == X86_NO_REG && i->target) {
		table = puc_code__table(code, i->target);
		return table < 0 ? unknown : value_of(PUC_IS_TABLE, table);
	}
	if (i->index == X86_NO_REG)
		return advanced(*base, i->disp, at);
	if (base->kind == PUC_IS_PC || index->kind == PUC_IS_PC)
		return jumped(at);
	return unknown;
}

/* add, sub: the new value of the destination. */
static struct puc_value sum(const struct puc_state *self, const struct x86_instruction *i,
			    const struct puc_value *old, const struct puc_value *operand, size_t at)
{
	if (i->width != 8)
		return unknown;
	if (i->adds == X86_ADDS_IMM)
		return advanced(*old, i->imm, at);
	/* Entries of tables with relative addresses. */
	if (i->adds != X86_SUBTRACTS && old->kind == PUC_IS_ENTRY && operand->kind == PUC_IS_TABLE)
		return *old;
	if (i->adds != X86_SUBTRACTS && old->kind == PUC_IS_TABLE && operand->kind == PUC_IS_ENTRY)
		return *operand;
	if ((old->kind == PUC_IS_PC) == (operand->kind == PUC_IS_PC))
		return unknown; /* of two positions: a distance */
	if (i->adds == X86_SUBTRACTS && operand->kind == PUC_IS_PC)
		return unknown;
	return jumped(at);
}

static struct puc_value selected(const struct puc_value *one, const struct puc_value *other,
				 size_t at)
{
	if (same(one, other))
		return *one;
	return one->kind == PUC_IS_PC && other->kind == PUC_IS_PC ? jumped(at) : unknown;
}

static void store(struct puc_state *self, const struct x86_instruction *i, size_t at,
		  const struct puc_build *build)
{
	struct puc_value *place = in_memory(self, i, build), value = unknown;
	int below = below_cfa(self, i);

	if (i->op == X86_STORE && i->width == 8)
		value = *value_in(self, i->source);
	else if (place && i->op == X86_STORE_OTHER && i->adds)
		value = sum(self, i, place, value_in(self, i->source), at);
	if (is_l_ci(self, i, build)) {
		if (i->op == X86_STORE_OTHER && i->adds == X86_ADDS_IMM)
			value = moved(value_of(PUC_IS_CI, 0), i->imm);
		change_frame(self, &value, build);
		return;
	}
	if (below)
		overwrite(self, below, i->width);
	/* What the interpreter saves as the position is the position. */
	if (is_savedpc(self, i, build) && value.kind != PUC_IS_PC)
		value = value_of(PUC_IS_PC, 4);
	if (place)
		*place = value;
}

static void call(struct puc_state *self, uint16_t clobbers)
{
	int reg;

	for (reg = 0; reg < 16; reg++) {
		if (clobbers & 1u << reg)
			self->registers[reg] = unknown;
	}
	self->registers[DW_REG_RAX] = value_of(PUC_IS_RESULT, 0);
}

static bool is_load(const struct x86_instruction *i)
{
	return i->op == X86_LOAD || i->op == X86_LOAD_EXTEND || i->op == X86_LOAD_SIGNED;
}

static int table_of_jump(struct puc_state *self, const struct puc_code *code,
			 const struct x86_instruction *i)
{
	const struct puc_value *value;

	if (i->source != X86_NO_REG) {
		value = value_in(self, i->source);
		return value->kind == PUC_IS_ENTRY ? value->offset : -1;
	}
	if (i->base == X86_NO_REG && i->index != X86_NO_REG)
		return i->disp > 0 ? puc_code__table(code, (uint64_t)i->disp) : -1;
	value = value_in(self, i->base);
	if (value->kind != PUC_IS_TABLE)
		value = value_in(self, i->index);
	if (value->kind == PUC_IS_TABLE)
		return value->offset;
	/* spilled */
	value = &self->slots[below_cfa(self, i) / 8];
	return below_cfa(self, i) && value->kind == PUC_IS_ENTRY ? value->offset : -1;
}

struct puc_step puc_state__execute(struct puc_state *self, const struct puc_code *code, size_t at,
				   const struct puc_build *build, enum puc_load load)
{
	const struct x86_instruction *i = &code->code.instructions[at];
	struct puc_value value = unknown, *stack = &self->registers[DW_REG_RSP], base;
	struct puc_step step = {.table = -1};
	int reg;

	switch (i->op) {
	case X86_CALL:
		call(self, code->clobbers[at]);
		return step;
	case X86_JUMP:
		if (!i->target)
			step.table = table_of_jump(self, code, i);
		return step;
	case X86_BRANCH:
	case X86_RETURN:
	case X86_STOP:
		return step;
	case X86_STORE:
	case X86_STORE_IMM:
	case X86_STORE_OTHER:
		step.saves = is_savedpc(self, i, build);
		step.changes_frame = is_l_ci(self, i, build);
		store(self, i, at, build);
		return step;
	case X86_PUSH:
		*stack = moved(*stack, -8);
		reg = stack->kind == PUC_IS_CFA && stack->offset < 0 ? -stack->offset / 8 : 0;
		if (reg > 0 && reg < (int)PUC_SLOTS)
			self->slots[reg] = *value_in(self, i->source);
		return step;
	}

	if (i->op == X86_POP) {
		reg = stack->kind == PUC_IS_CFA && stack->offset < 0 ? -stack->offset / 8 : 0;
		if (reg > 0 && reg < (int)PUC_SLOTS)
			value = self->slots[reg];
		*stack = moved(*stack, 8);
	} else if (is_load(i)) {
		base = *value_in(self, i->base);
		if (base.kind == PUC_IS_PC && i->index == X86_NO_REG && i->op == X86_LOAD &&
		    i->width == 4) {
			step.loads_instruction = true;
			/* Behind a jump there is the next instruction, wherever it is executed. */
			if (load == PUC_LOAD_FETCH ||
			    (load == PUC_LOAD_ARGUMENT && base.nearness == PUC_JUMPED))
				fetch(self, &base, i->disp);
		} else if (base.kind == PUC_IS_PC && i->op == X86_LOAD && i->width == 4) {
			step.loads_instruction = true;
			if (load != PUC_LOAD_UNKNOWN)
				fetch_indexed(self);
		} else if (i->op == X86_LOAD ? i->width == 8 || i->index != X86_NO_REG
					     : i->width == 4) {
			value = loaded(self, i, code, at, build);
		}
	} else if ((i->op == X86_MOVE && i->width == 8) ||
		   (i->op == X86_EXTEND && value_in(self, i->source)->kind == PUC_IS_ENTRY)) {
		value = *value_in(self, i->source);
	} else if (i->op == X86_SELECT && i->width == 8) {
		value = selected(value_in(self, i->reg), value_in(self, i->source), at);
	} else if (i->op == X86_LEA) {
		value = address_of(self, i, code, at);
	} else if (i->op == X86_ADD_IMM && i->width == 8) {
		value = advanced(*value_in(self, i->reg), i->imm, at);
	} else if (i->op == X86_MOVE_IMM && i->imm > 0) {
		reg = puc_code__table(code, (uint64_t)i->imm);
		value = reg < 0 ? unknown : value_of(PUC_IS_TABLE, reg);
	} else if (i->adds == X86_ADDS_REG || i->adds == X86_SUBTRACTS ||
		   i->adds == X86_ADDS_MEMORY) {
		const struct puc_value *operand = value_in(self, i->source);

		if (i->source == X86_NO_REG && in_memory(self, i, build))
			operand = in_memory(self, i, build);
		value = sum(self, i, value_in(self, i->reg), operand, at);
	}
	for (reg = 0; reg < 16; reg++) {
		if (i->writes & 1u << reg && !(i->op == X86_POP && reg == DW_REG_RSP))
			self->registers[reg] = unknown;
	}
	if (in_register(self, i->reg) && i->writes & 1u << i->reg)
		self->registers[i->reg] = value;
	return step;
}

/* ---- paths meet -------------------------------------------------------------------------------
 */

static enum puc_nearness nearness_of(const struct puc_value *value)
{
	if (value->symbol)
		return value->nearness;
	return value->offset == 4 || value->offset == 8 ? PUC_NEAR : PUC_OTHER;
}

/*
 * Positions that have the same distance from each other on both paths get one symbol: a fetch by
 * one of them then tells the others.
 */
struct puc_group {
	uint32_t one, other; /* the symbols on both paths */
	int distance;	     /* of the offsets */
	uint32_t symbol;
	int base;
};

struct puc_meeting {
	size_t block;
	struct puc_group groups[8];
	size_t group_count;
};

static struct puc_value meet_positions(struct puc_meeting *self, const struct puc_value *one,
				       const struct puc_value *other, size_t place)
{
	enum puc_nearness first = nearness_of(one), second = nearness_of(other);
	struct puc_value met = value_of(PUC_IS_PC, 0);
	int distance = one->offset - other->offset;
	struct puc_group *group;
	size_t i;

	for (i = 0; i < self->group_count; i++) {
		group = &self->groups[i];
		if (group->one == one->symbol && group->other == other->symbol &&
		    group->distance == distance)
			break;
	}
	met.symbol = SYMBOL_MEETING(self->block, place);
	if (i < self->group_count) {
		met.symbol = self->groups[i].symbol;
		met.offset = (int16_t)(one->offset - self->groups[i].base);
	} else if (i < sizeof(self->groups) / sizeof(self->groups[0])) {
		self->groups[self->group_count++] = (struct puc_group){
			.one = one->symbol,
			.other = other->symbol,
			.distance = distance,
			.symbol = met.symbol,
			.base = one->offset,
		};
	}
	met.nearness = first == PUC_JUMPED || second == PUC_JUMPED ? PUC_JUMPED
		       : first == PUC_OTHER			   ? first
								   : second;
	return met;
}

static bool meet(struct puc_meeting *self, struct puc_value *value, const struct puc_value *other,
		 size_t place)
{
	struct puc_value met = unknown;

	if (same(value, other) || value->kind == PUC_UNKNOWN)
		return false;
	if (value->kind == PUC_IS_PC && other->kind == PUC_IS_PC)
		met = meet_positions(self, value, other, place);
	else if ((value->kind == PUC_IS_CI || value->kind == PUC_IS_RESULT) &&
		 (other->kind == PUC_IS_CI || other->kind == PUC_IS_RESULT) &&
		 value->offset == other->offset)
		met = value_of(PUC_IS_CI, value->offset);
	if (same(value, &met))
		return false;
	*value = met;
	return true;
}

bool puc_state__meet(struct puc_state *self, const struct puc_state *other, size_t block)
{
	struct puc_meeting meeting = {.block = block};
	bool changed = false;
	size_t i;

	if (!self->reached) {
		*self = *other;
		return true;
	}
	for (i = 0; i < 16; i++)
		changed |= meet(&meeting, &self->registers[i], &other->registers[i],
				PLACE_REGISTER + i);
	for (i = 0; i < PUC_SLOTS; i++)
		changed |= meet(&meeting, &self->slots[i], &other->slots[i], i);
	changed |= meet(&meeting, &self->memory, &other->memory, PLACE_MEMORY);
	if (self->popped && !other->popped) {
		self->popped = false;
		changed = true;
	}
	return changed;
}
