/* SPDX-License-Identifier: Apache-2.0 */
#include "puc_rows.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* Places: registers, then slots. A rule has room for slots of the position up to 255. */
#define PLACE_SLOT     16
#define NOWHERE	       (-1)
#define POSITION_SLOTS 256

/* How far it is looked ahead for the fetch that tells what a position means. */
#define LOOK_AHEAD 32 /* instructions */

/* The fetch that follows: of the instruction `offset` bytes from what `symbol` stands for. */
struct next_fetch {
	bool found;
	bool in_memory; /* from where the position is loaded on the way */
	uint32_t symbol;
	int offset;
};

/* ---- the fetch that follows -------------------------------------------------------------------
 */

/* Is `at` a fetch from a position? Then it is what is looked for. `loaded`: the symbol of one that
 * has come from memory. */
static bool take_fetch(const struct puc_analysis *self, uint32_t at, uint32_t loaded,
		       struct next_fetch *next)
{
	const struct x86_instruction *i = &self->code->code.instructions[at];
	const struct puc_value *base;

	if (!self->loads[at] || i->base >= 16)
		return false;
	base = &self->met.registers[i->base];
	if (base->kind != PUC_IS_PC ||
	    (self->kinds[at] != PUC_LOAD_FETCH && !(base->symbol && base->nearness == PUC_JUMPED)))
		return false;
	next->symbol = base->symbol;
	next->offset = base->offset + i->disp;
	next->in_memory = loaded && base->symbol == loaded;
	return true;
}

/* How a way from an instruction ends. */
enum way {
	WAY_UNKNOWN,
	WAY_FETCH,
	WAY_CALL,   /* a hook's, before it fetches */
	WAY_RETURN, /* luaV_execute's */
};

/*
 * What a path has put into a register and compares then. clang -O1 makes one place of all that goes
 * on with the loop, calls again or returns, and a number that tells which.
 */
struct path {
	uint8_t reg; /* X86_NO_REG: nothing */
	int64_t imm;
	enum x86_condition comparison; /* of the last comparison, if it was with that */
	uint32_t loaded;	       /* the symbol of a position that was loaded from memory */
};

static void path__take(struct path *self, const struct x86_instruction *i)
{
	if (i->op == X86_COMPARE_REG && i->reg == self->reg) {
		self->comparison = i->imm == self->imm ? X86_IF_EQUAL : X86_IF_UNEQUAL;
	} else if (i->op != X86_MOVE && i->op != X86_LOAD && i->op != X86_LEA &&
		   i->op != X86_JUMP && i->op != X86_BRANCH) { /* these keep the flags */
		self->comparison = X86_IF_OTHER;
	}
	if (i->op == X86_MOVE_IMM && i->width >= 4) {
		self->reg = i->reg;
		self->imm = i->imm;
	} else if (self->reg < 16 && i->writes & 1u << self->reg) {
		self->reg = X86_NO_REG;
	}
}

static enum way look_ahead(struct puc_analysis *self, uint32_t at, int budget, struct path path,
			   struct next_fetch *next);

/* Both ways of a branch have to end the same. */
static enum way look_both(struct puc_analysis *self, uint32_t at, uint32_t target, int budget,
			  struct path path, struct next_fetch *next)
{
	struct puc_state *saved = malloc(sizeof(*saved));
	struct next_fetch other = {};
	enum way one, two;

	if (!saved)
		return WAY_UNKNOWN;
	*saved = self->met;
	one = look_ahead(self, target, budget / 2, path, next);
	self->met = *saved;
	free(saved);
	if (one == WAY_UNKNOWN)
		return WAY_UNKNOWN;
	two = look_ahead(self, at + 1, budget / 2, path, &other);
	if (two == WAY_UNKNOWN)
		return WAY_UNKNOWN;
	if (one == WAY_RETURN && two == WAY_RETURN)
		return WAY_RETURN;
	/* 5.1 returns, or goes on with another function. (Else it is a yield, before the fetch.) */
	if (one == WAY_RETURN || two == WAY_RETURN) {
		if (one == WAY_RETURN)
			*next = other;
		return next->in_memory ? WAY_FETCH : WAY_UNKNOWN;
	}
	if (one == WAY_CALL)
		*next = other;
	else if (two == WAY_FETCH && (other.symbol != next->symbol || other.offset != next->offset))
		return WAY_UNKNOWN;
	return one == WAY_FETCH || two == WAY_FETCH ? WAY_FETCH : WAY_CALL;
}

/* Goes on from instruction `at`, whose state is in `met`, for some instructions. */
static enum way look_ahead(struct puc_analysis *self, uint32_t at, int budget, struct path path,
			   struct next_fetch *next)
{
	const struct puc_code *code = self->code;
	const struct x86_instruction *i;
	ptrdiff_t target;
	bool loads;

	for (; budget-- > 0 && at < code->code.count; at++) {
		i = &code->code.instructions[at];
		if (take_fetch(self, at, path.loaded, next))
			return WAY_FETCH;
		if (i->op == X86_CALL)
			return WAY_CALL;
		if (i->op == X86_RETURN)
			return WAY_RETURN;
		target = i->target && (i->op == X86_JUMP || i->op == X86_BRANCH)
				 ? x86_code__find(&code->code, i->target)
				 : -1;
		path__take(&path, i);
		if (i->op == X86_BRANCH && (!path.comparison || i->imm == X86_IF_OTHER))
			return target < 0
				       ? WAY_UNKNOWN
				       : look_both(self, at, (uint32_t)target, budget, path, next);
		if (i->op == X86_BRANCH && i->imm != (int64_t)path.comparison)
			continue; /* it is not taken */
		if (i->op == X86_BRANCH && target < 0)
			return WAY_UNKNOWN;
		if ((i->op == X86_JUMP || i->op == X86_BRANCH) && target >= 0) {
			at = (uint32_t)target - 1;
			continue;
		}
		if (code->ends[at])
			return WAY_UNKNOWN;
		puc_state__frame(&self->met, unwind_rules__get(self->rules, code->rules[at]));
		loads = puc_state__loads_position(&self->met, i, self->build);
		puc_state__execute(&self->met, code, at, self->build, PUC_LOAD_ARGUMENT);
		if (loads)
			path.loaded = self->met.registers[i->reg & 15].symbol;
	}
	return WAY_UNKNOWN;
}

/*
 * The same for each value of the number that tells how it goes on, which is compared at `at` or
 * near behind it. 5.1's position is in memory when another function is to be gone on with, and in a
 * register else: next is what is fetched by that, and *tells is then the register of the number
 * and, in the low half, the value that says the former; 0 when there is none. False when it is not
 * so.
 */
static bool look_by_number(struct puc_analysis *self, uint32_t at, const struct puc_state *state,
			   struct next_fetch *next, uint8_t *tells)
{
	const struct x86_instruction *i = self->code->code.instructions, *comparison = NULL;
	uint32_t ahead, first = self->code->blocks[self->code->block_of[at]].first;
	bool compared = i[at].op == X86_BRANCH && at > first && i[at - 1].op == X86_COMPARE_REG;
	struct next_fetch one;
	struct path path;
	int64_t value;

	if (compared)
		comparison = &i[at - 1];
	for (ahead = at; !comparison && ahead < at + 4 && ahead < self->code->code.count; ahead++) {
		if (i[ahead].op == X86_COMPARE_REG)
			comparison = &i[ahead];
		if (i[ahead].op == X86_CALL || i[ahead].op == X86_JUMP)
			return false;
	}
	if (!comparison || comparison->reg > 15)
		return false;
	*tells = 0;
	for (value = 0; value < 16; value++) {
		path = (struct path){.reg = comparison->reg, .imm = value};
		if (compared)
			path.comparison = value == comparison->imm ? X86_IF_EQUAL : X86_IF_UNEQUAL;
		one = (struct next_fetch){};
		self->met = *state;
		if (look_ahead(self, at, LOOK_AHEAD, path, &one) != WAY_FETCH || !one.symbol)
			continue;
		if (one.in_memory && *tells)
			return false;
		if (one.in_memory) {
			*tells = (uint8_t)(comparison->reg << 4 | value);
			continue;
		}
		if (next->found && (one.symbol != next->symbol || one.offset != next->offset))
			return false;
		*next = one;
		next->found = true;
	}
	if (!next->found && *tells) {
		next->found = next->in_memory = true;
		*tells = 0;
	}
	return next->found;
}

/*
 * clang makes two instructions of a far jump: it adds the distance as it is stored, and then a
 * number that corrects it and may go an instruction further. Is `at` between them? Then the
 * position is in the register that is returned (NOWHERE), with PUC_PC_FAR, and *distance bytes from
 * it to the instruction that is dispatched next.
 */
static int look_half(struct puc_analysis *self, uint32_t at, const struct puc_state *state,
		     int *distance)
{
	const struct puc_code *code = self->code;
	uint32_t end = code->blocks[code->block_of[at]].end, limit = at + 4;
	const int64_t bias = 4 * ((1ll << (self->build->jump_bits - 1)) - 1);
	const struct path start = {.reg = X86_NO_REG};
	const struct x86_instruction *i;
	struct puc_value after;
	struct next_fetch next = {};
	int64_t more;
	bool adds;
	int reg;

	*distance = 0;
	self->met = *state;
	for (; at < end && at < limit; at++) {
		i = &code->code.instructions[at];
		if (i->op == X86_CALL || i->op == X86_JUMP || i->op == X86_BRANCH)
			return NOWHERE;
		adds = (i->op == X86_ADD_IMM || (i->op == X86_LEA && i->index == X86_NO_REG)) &&
		       i->width == 8;
		reg = i->op == X86_LEA ? i->base : i->reg;
		more = bias + (i->op == X86_LEA ? i->disp : i->imm);
		adds = adds && reg < 16 && more >= -8 && more <= 8 &&
		       state->registers[reg].kind == PUC_IS_PC &&
		       state->registers[reg].nearness == PUC_JUMPED &&
		       self->met.registers[reg].symbol == state->registers[reg].symbol;
		puc_state__frame(&self->met, unwind_rules__get(self->rules, code->rules[at]));
		puc_state__execute(&self->met, code, at, self->build, PUC_LOAD_ARGUMENT);
		if (!adds)
			continue;
		after = self->met.registers[i->reg & 15];
		*distance = (int)more - after.offset;
		next.symbol = after.symbol;
		if (look_ahead(self, at + 1, LOOK_AHEAD, start, &next) == WAY_FETCH &&
		    next.symbol == after.symbol)
			*distance += next.offset;
		return reg;
	}
	return NOWHERE;
}

/* ---- places -----------------------------------------------------------------------------------
 */

static const struct puc_value *value_at(const struct puc_state *state, int place)
{
	return place < PLACE_SLOT ? &state->registers[place] : &state->slots[place - PLACE_SLOT];
}

/* A caller's register is there when a call returns if the callee has to preserve it. */
static bool may_hold(const struct x86_instruction *i, int place)
{
	return place >= PLACE_SLOT || PUC_CALLEE_SAVED & 1u << place || i->op != X86_CALL;
}

/* From what a position points at to the current instruction, in bytes. */
static int distance_of(const struct puc_value *value, const struct next_fetch *next)
{
	if (!value->symbol)
		return -value->offset;
	if (next->found && next->symbol == value->symbol)
		return next->offset - value->offset;
	return value->nearness == PUC_JUMPED ? 0 : -4;
}

/* The flags for it; -1 when there are none. */
static int distance_flags(int distance)
{
	switch (distance) {
	case -8:
		return PUC_PC_PAST;
	case -4:
		return 0;
	case 0:
		return PUC_PC_NEXT;
	case 4:
		return PUC_PC_NEXT | PUC_PC_PAST;
	}
	return -1;
}

typedef int (*rank_fn)(const struct puc_value *value, const struct next_fetch *next);

static int rank_L(const struct puc_value *value, const struct next_fetch *next)
{
	return value->kind == PUC_IS_L && !value->offset;
}

/* 4: behind the current instruction; 3: known by the fetch that follows, or otherwise exactly; 2,
 * 1: without that, the best guess. */
static int rank_position(const struct puc_value *value, const struct next_fetch *next)
{
	if (value->kind != PUC_IS_PC || distance_flags(distance_of(value, next)) < 0)
		return 0;
	if (!value->symbol)
		return value->offset == 4 ? 4 : 1;
	if (next->found && next->symbol == value->symbol)
		return 3;
	/* Behind it, by how much is not known: in 5.1 OP_CLOSURE goes over the pseudo instructions
	 * behind it one at a time. They have its line. */
	if (value->nearness == PUC_OTHER)
		return 1;
	return value->nearness == PUC_JUMPED && value->offset == 0 ? 1 : 2;
}

/* The place with the highest rank; the one that was used before if it is as good, then one that
 * survives calls. */
static int best_place(const struct puc_state *state, const struct x86_instruction *i, rank_fn rank,
		      const struct next_fetch *next, int slots, int before)
{
	int best = NOWHERE, best_rank = 0, place, value;

	for (place = 0; place < PLACE_SLOT + slots; place++) {
		if (value_at(state, place)->kind == PUC_UNKNOWN || !may_hold(i, place))
			continue;
		value = 4 * rank(value_at(state, place), next);
		if (!value)
			continue;
		if (place == before)
			value += 3;
		else if (place >= PLACE_SLOT)
			value += 1;
		else if (PUC_CALLEE_SAVED & 1u << place)
			value += 2;
		if (value > best_rank) {
			best_rank = value;
			best = place;
		}
	}
	return best;
}

/* ---- rows -------------------------------------------------------------------------------------
 */

struct places {
	int L, position, ci;
};

static void set_L(struct unwind_rule *rule, int place)
{
	if (place >= PLACE_SLOT)
		rule->cfa_offset2 = -8 * (place - PLACE_SLOT);
	else if (place >= 0)
		rule->vm_base_reg = (uint8_t)place;
}

static int rank_CI(const struct puc_value *value, const struct next_fetch *next)
{
	/* clang likes to keep &ci->u.l.savedpc as well. */
	return value->kind == PUC_IS_CI && !value->offset;
}

static void set_position(struct unwind_rule *rule, int place)
{
	if (place >= PLACE_SLOT)
		rule->vm_pc_slot = (uint8_t)(place - PLACE_SLOT);
	else if (place >= 0)
		rule->vm_pc = (uint8_t)place;
}

/* The position is in the CallInfo. Which one that is, is worth knowing all the same: L->ci may be
 * that of a function that is being called, or of the caller of one that has been left. */
static void set_CI(const struct puc_analysis *self, struct unwind_rule *rule,
		   const struct puc_state *state, const struct x86_instruction *i,
		   const struct next_fetch *next, int *before)
{
	/* 5.1 has the innermost function's in L. */
	if (self->build->boundary == PUC_FRESH_CALLER)
		return;
	*before = best_place(state, i, rank_CI, next, POSITION_SLOTS, *before);
	if (*before == NOWHERE)
		return;
	set_position(rule, *before);
	rule->vm_flags |= PUC_PC_OF_CI;
}

static bool is_exact(const struct puc_value *memory)
{
	return memory->kind == PUC_IS_PC && !memory->symbol && memory->offset == 4;
}

/* 5.2 and 5.3 keep the position in memory; then a row names another place only if it is better. */
static bool lives_in_memory(const struct puc_build *build)
{
	return build->release / 100 == 502 || build->release / 100 == 503;
}

/* Names the place of the position where that in memory is not that of the current instruction. */
static void position_facts(struct puc_analysis *self, uint32_t at, struct places *places,
			   struct unwind_rule *rule, struct puc_flow_counts *counts)
{
	const struct x86_instruction *i = &self->code->code.instructions[at];
	const struct path start = {.reg = X86_NO_REG};
	const struct puc_state *state = &self->now;
	const struct puc_value *value;
	struct next_fetch next = {};
	int rank = 0, distance, far;
	uint8_t tells = 0;

	self->met = *state;
	next.found = look_ahead(self, at, LOOK_AHEAD, start, &next) == WAY_FETCH && next.symbol;
	if (self->build->L_savedpc && !next.found && i->op != X86_CALL &&
	    !look_by_number(self, at, state, &next, &tells)) {
		next = (struct next_fetch){};
		tells = 0;
	}
	/* Another function is gone on with. */
	if (self->build->L_savedpc && next.found && next.in_memory)
		return;
	places->position =
		best_place(state, i, rank_position, &next, POSITION_SLOTS, places->position);
	value = places->position == NOWHERE ? NULL : value_at(state, places->position);
	if (value)
		rank = rank_position(value, &next);
	if (lives_in_memory(self->build) && rank <= rank_position(&state->memory, &next))
		value = &state->memory;
	if (value == &state->memory)
		set_CI(self, rule, state, i, &next, &places->ci);
	else
		set_position(rule, places->position);
	if (rule->vm_pc != VM_NO_REG && !(rule->vm_flags & PUC_PC_OF_CI))
		rule->vm_pc_slot = tells;
	distance = value && value->kind == PUC_IS_PC ? distance_of(value, &next) : 0;
	if (value && value->nearness == PUC_JUMPED && value != &state->memory &&
	    places->position == look_half(self, at, state, &far) && distance_flags(far) >= 0) {
		rule->vm_flags |= PUC_PC_FAR;
		distance = far;
	}
	if (value && value->kind == PUC_IS_PC && distance_flags(distance) > 0)
		rule->vm_flags |= (uint8_t)distance_flags(distance);
	counts->without_position += !value;
}

/* Is it a call of 5.1's luaD_poscall? Behind that luaV_execute may return. */
static bool pops(const struct puc_analysis *self, uint32_t at)
{
	const struct puc_code *code = self->code;

	return self->build->L_savedpc && code->code.instructions[at].op == X86_CALL &&
	       !code->ends[at] && at + 1 < code->code.count && self->popped[at + 1];
}

static void state_facts(struct puc_analysis *self, uint32_t at, struct places *places,
			struct unwind_rule *rule, struct puc_flow_counts *counts)
{
	const struct x86_instruction *i = &self->code->code.instructions[at];
	const struct puc_state *state = &self->now;
	/* With CFA_DEREF the field for L's slot is taken. */
	int slots = rule->cfa_kind == CFA_DEREF ? 0 : (int)PUC_SLOTS;
	const struct next_fetch next = {};

	places->L = best_place(state, i, rank_L, &next, slots, places->L);
	set_L(rule, places->L);
	counts->without_L += places->L == NOWHERE;
	if (state->popped || self->popped[at])
		rule->vm_flags |= PUC_POPPED;
	if (pops(self, at)) {
		rule->vm_flags |= PUC_POPPING;
	} else if (is_exact(&state->memory)) {
		places->position = best_place(state, i, rank_position, &next, POSITION_SLOTS,
					      places->position);
		if (places->position != NOWHERE && is_exact(value_at(state, places->position)))
			set_position(rule, places->position);
		else
			set_CI(self, rule, state, i, &next, &places->ci);
	} else {
		position_facts(self, at, places, rule, counts);
	}
}

static int push_row(struct puc_analysis *self, struct puc_flow *flow, size_t *count, size_t part,
		    uint64_t pc, const struct unwind_rule *rule)
{
	size_t in_part = flow->row_counts[part];
	int id = unwind_rules__intern(self->rules, rule);

	if (id < 0)
		return id;
	if (in_part && flow->rows[*count - 1].rule == (uint32_t)id)
		return 0;
	flow->rows[(*count)++] = (struct unwind_row){.pc = pc, .rule = (uint32_t)id};
	flow->row_counts[part]++;
	return 0;
}

int puc_rows__make(struct puc_analysis *self, struct puc_flow *flow)
{
	const struct puc_code *code = self->code;
	struct places places = {NOWHERE, NOWHERE, NOWHERE};
	const struct x86_instruction *i;
	struct unwind_rule rule;
	size_t count = 0, part = 0;
	uint32_t at;
	int err = 0;

	flow->rows = calloc(code->code.count, sizeof(*flow->rows));
	if (!flow->rows)
		return -ENOMEM;
	flow->counts.instructions = code->code.count;
	for (at = 0; !err && at < code->code.count; at++) {
		i = &code->code.instructions[at];
		if (at == code->blocks[code->block_of[at]].first)
			self->now = self->in[code->block_of[at]];
		while (part + 1 < code->part_count && i->address >= code->parts[part].end)
			part++;
		/* Padding needs no row of its own. */
		if (!self->now.reached && at && flow->row_counts[part] &&
		    code->rules[at] == code->rules[at - 1])
			continue;
		rule = *unwind_rules__get(self->rules, code->rules[at]);
		if (self->now.reached)
			puc_state__frame(&self->now, &rule);
		if (rule.cfa_kind == CFA_REG || rule.cfa_kind == CFA_DEREF) {
			rule.flags |= RULE_PUC;
			rule.vm_pc = rule.vm_base_reg = VM_NO_REG;
			if (self->left[at])
				rule.vm_flags = PUC_NO_FRAME;
			else if (self->now.reached)
				state_facts(self, at, &places, &rule, &flow->counts);
		}
		flow->counts.reached += self->now.reached;
		if (!err)
			err = push_row(self, flow, &count, part, i->address, &rule);
		if (!err && self->now.reached)
			flow->counts.saves += puc_state__execute(&self->now, code, at, self->build,
								 self->kinds[at])
						      .saves;
	}
	return err;
}
