/* SPDX-License-Identifier: Apache-2.0 */
/* See puc_flow.h. In order: the graph, the fixed point, what is a fetch, where it is left, the
 * rows.
 */
#include "puc_flow.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* Blocks are executed some ten times each; a file that is made to take longer is not understood. */
#define MAX_VISITS 200u
#define MAX_EDGES  (1u << 20)
/* It takes some twenty rounds. */
#define CALM_ROUNDS 60u
#define MAX_ROUNDS  300u
/* Opcodes at the end of the table that may share the default's place. */
#define SPARE_OPCODES 2u
/* Of the instructions that are reached, at least: 9 of 10 know L. */
#define MIN_KNOWN_TENTHS 9u

enum { EVENT_LOAD = 1, EVENT_DISPATCH = 2 };

struct analysis {
	const struct puc_code *code;
	const struct puc_build *build;
	struct unwind_rules *rules;
	unsigned int opcodes;
	uint32_t entry;	      /* the first block */
	struct puc_state *in; /* of each block */
	struct puc_state *out;
	struct puc_state entered, now, met;
	uint32_t *first_from, *from; /* the graph backwards */
	uint8_t *loads;		     /* of each instruction: loads from the bytecode */
	uint8_t *kinds;		     /* of those: enum puc_load */
	uint8_t *left;		     /* ... from here only the return is reached, without a call */
	int16_t *tables;	     /* of each block's indirect jump; -1 unknown, -2 none */
	uint8_t *events;	     /* of each block: what comes next from its beginning */
	uint8_t *queued;
	bool changed; /* while events are spread */
	int successors;
};

/* ---- the graph --------------------------------------------------------------------------------
 */

typedef void (*successor_fn)(struct analysis *self, uint32_t from, uint32_t to);

static void each_target(struct analysis *self, uint32_t block, successor_fn successor)
{
	const struct puc_code *code = self->code;
	size_t first = 0, count = code->target_count, k;
	int table = self->tables[block];

	if (table >= 0) {
		first = code->tables[table].first;
		count = code->tables[table].count;
	}
	for (k = first; k < first + count; k++)
		successor(self, block, code->block_of[code->targets[k]]);
}

static void each_successor(struct analysis *self, uint32_t block, successor_fn successor)
{
	const struct puc_code *code = self->code;
	uint32_t last = code->blocks[block].end - 1;
	const struct x86_instruction *i = &code->code.instructions[last];
	ptrdiff_t target;

	if (i->op == X86_JUMP || i->op == X86_BRANCH) {
		target = i->target ? x86_code__find(&code->code, i->target) : -1;
		if (target >= 0)
			successor(self, block, code->block_of[target]);
		else if (i->op == X86_JUMP && !i->target)
			each_target(self, block, successor);
	}
	if (!code->ends[last] && last + 1 < code->code.count &&
	    i->address + i->size == code->code.instructions[last + 1].address)
		successor(self, block, block + 1);
}

/* ---- the fixed point --------------------------------------------------------------------------
 */

static struct puc_step execute(struct analysis *self, uint32_t at)
{
	puc_state__frame(&self->now, unwind_rules__get(self->rules, self->code->rules[at]));
	return puc_state__execute(&self->now, self->code, at, self->build, self->kinds[at]);
}

/* Executes a block into `now`. */
static void run_block(struct analysis *self, uint32_t block)
{
	const struct puc_block *range = &self->code->blocks[block];
	struct puc_step step = {.table = -1};
	uint32_t at;

	self->now = self->in[block];
	for (at = range->first; at < range->end; at++) {
		step = execute(self, at);
		if (step.loads_instruction)
			self->loads[at] = 1;
	}
	self->tables[block] = (int16_t)step.table;
}

static void flow_to(struct analysis *self, uint32_t from, uint32_t to)
{
	self->queued[to] |= puc_state__meet(&self->in[to], &self->now, to);
}

/*
 * The first solution only ever takes away from what is known at a block's beginning, also what was
 * assumed too early. It is good enough to know the tables of indirect jumps, so all edges.
 */
static int solve_edges(struct analysis *self)
{
	size_t visits = 0, limit = MAX_VISITS * self->code->block_count, before;
	uint32_t block;

	memset(self->kinds, PUC_LOAD_UNKNOWN, self->code->code.count);
	self->in[self->entry] = self->entered;
	self->queued[self->entry] = 1;
	do {
		before = visits;
		for (block = 0; block < self->code->block_count && visits < limit; block++) {
			if (!self->queued[block])
				continue;
			self->queued[block] = 0;
			visits++;
			run_block(self, block);
			each_successor(self, block, flow_to);
		}
	} while (visits > before && visits < limit);
	return visits < limit ? 0 : -EINVAL;
}

static void count_edge(struct analysis *self, uint32_t from, uint32_t to)
{
	self->first_from[to + 1]++;
}

static void add_edge(struct analysis *self, uint32_t from, uint32_t to)
{
	self->from[self->first_from[to]++] = from;
}

/* The blocks that lead to block b: from[first_from[b]] to from[first_from[b + 1]]. */
static int collect_edges(struct analysis *self)
{
	size_t blocks = self->code->block_count, block;

	self->first_from = calloc(blocks + 2, sizeof(*self->first_from));
	if (!self->first_from)
		return -ENOMEM;
	/* Counted one further up, so that filling leaves the beginnings in place. */
	self->first_from++;
	for (block = 0; block < blocks; block++) {
		if (self->in[block].reached)
			each_successor(self, (uint32_t)block, count_edge);
	}
	for (block = 1; block <= blocks; block++)
		self->first_from[block] += self->first_from[block - 1];
	if (self->first_from[blocks] > MAX_EDGES)
		return -EINVAL;
	self->from = calloc(self->first_from[blocks] + 1ul, sizeof(*self->from));
	if (!self->from)
		return -ENOMEM;
	for (block = 0; block < blocks; block++) {
		if (self->in[block].reached)
			each_successor(self, (uint32_t)block, add_edge);
	}
	self->first_from--;
	return 0;
}

static void mark(struct analysis *self, uint32_t from, uint32_t to)
{
	self->queued[to] = 1;
}

/* What is known where `block` begins, made anew from all that leads there. */
static void gather(struct analysis *self, uint32_t block, struct puc_state *state)
{
	uint32_t k;

	memset(state, 0, sizeof(*state));
	if (block == self->entry)
		*state = self->entered;
	for (k = self->first_from[block]; k < self->first_from[block + 1]; k++) {
		if (self->out[self->from[k]].reached)
			puc_state__meet(state, &self->out[self->from[k]], block);
	}
}

/*
 * The exact solution: nothing that was assumed too early stays. Should it not come to rest, what
 * was known before is met as well, which takes it to an end.
 */
static int solve(struct analysis *self)
{
	size_t blocks = self->code->block_count, round;
	uint32_t block;
	bool changed = true;

	memset(self->in, 0, blocks * sizeof(*self->in));
	memset(self->out, 0, blocks * sizeof(*self->out));
	memset(self->loads, 0, self->code->code.count);
	memset(self->queued, 0, blocks);
	self->queued[self->entry] = 1;
	for (round = 0; changed && round < MAX_ROUNDS; round++) {
		changed = false;
		for (block = 0; block < blocks; block++) {
			if (!self->queued[block])
				continue;
			self->queued[block] = 0;
			gather(self, block, &self->met);
			if (!self->met.reached)
				continue;
			if (round > CALM_ROUNDS && self->in[block].reached)
				puc_state__meet(&self->met, &self->in[block], block);
			if (memcmp(&self->met, &self->in[block], sizeof(self->met)) == 0)
				continue;
			self->in[block] = self->met;
			changed = true;
			run_block(self, block);
			self->out[block] = self->now;
			each_successor(self, block, mark);
		}
	}
	return changed ? -EINVAL : 0;
}

/* ---- what is a fetch --------------------------------------------------------------------------
 */

/* An indirect jump by a table that is not known may be the dispatch as well. */
static bool is_dispatch(const struct analysis *self, uint32_t block)
{
	const struct puc_code *code = self->code;
	const struct x86_instruction *i = &code->code.instructions[code->blocks[block].end - 1];
	int table = self->tables[block];
	size_t k;

	if (i->op != X86_JUMP || i->target)
		return false;
	for (k = 0; k < code->table_count; k++) {
		if ((table < 0 || table == (int)k) &&
		    code->tables[k].count + SPARE_OPCODES >= self->opcodes)
			return true;
	}
	return false;
}

static void spread(struct analysis *self, uint32_t from, uint32_t to)
{
	if (self->events[from] != (self->events[from] | self->events[to])) {
		self->events[from] |= self->events[to];
		self->changed = true;
	}
}

/* The first event in a block from instruction `at` on; 0 when control leaves it without one. */
static uint8_t event_within(const struct analysis *self, uint32_t block, uint32_t at)
{
	for (; at < self->code->blocks[block].end; at++) {
		if (self->loads[at])
			return EVENT_LOAD;
	}
	return is_dispatch(self, block) ? EVENT_DISPATCH : 0;
}

static void collect(struct analysis *self, uint32_t from, uint32_t to)
{
	self->events[self->code->block_count] |= self->events[to];
}

/*
 * The load of an extra argument is followed by another load before the interpreter dispatches; that
 * of the next instruction by its dispatch.
 */
static void find_fetches(struct analysis *self, struct puc_flow_counts *counts)
{
	const struct puc_code *code = self->code;
	uint8_t *after = &self->events[code->block_count], event;
	uint32_t block, at;

	memset(self->events, 0, code->block_count + 1);
	for (block = 0; block < code->block_count; block++)
		self->events[block] = event_within(self, block, code->blocks[block].first);
	do {
		self->changed = false;
		for (block = (uint32_t)code->block_count; block--;) {
			if (self->in[block].reached &&
			    !event_within(self, block, code->blocks[block].first))
				each_successor(self, block, spread);
		}
	} while (self->changed);
	memset(self->kinds, PUC_LOAD_ARGUMENT, code->code.count);
	for (block = 0; block < code->block_count; block++) {
		counts->dispatches += self->in[block].reached && is_dispatch(self, block);
		for (at = code->blocks[block].first; at < code->blocks[block].end; at++) {
			if (!self->loads[at])
				continue;
			event = event_within(self, block, at + 1);
			if (!event) {
				*after = 0;
				each_successor(self, block, collect);
				event = *after;
			}
			if (!(event & EVENT_DISPATCH))
				continue;
			self->kinds[at] = PUC_LOAD_FETCH;
			counts->fetches++;
		}
	}
}

/* ---- where it is left -------------------------------------------------------------------------
 */

static void stay(struct analysis *self, uint32_t from, uint32_t to)
{
	self->successors++;
	self->events[from] &= self->events[to];
}

/* Does control go nowhere from the end of the block but to where luaV_execute only returns? */
static bool ends_left(struct analysis *self, uint32_t block)
{
	const struct puc_code *code = self->code;
	const struct x86_instruction *i = &code->code.instructions[code->blocks[block].end - 1];

	if (i->op == X86_RETURN)
		return true;
	if ((i->op == X86_JUMP || i->op == X86_BRANCH) &&
	    (!i->target || x86_code__find(&code->code, i->target) < 0))
		return false;
	self->events[block] = 1;
	self->successors = 0;
	each_successor(self, block, stay);
	return self->events[block] && self->successors;
}

/* events: 1 for blocks from whose beginning nothing but the return is reached, without a call. The
 * set grows from the returns. */
static void find_left(struct analysis *self, struct puc_flow_counts *counts)
{
	const struct puc_code *code = self->code;
	uint32_t block, at;
	uint8_t left;
	bool changed;

	memset(self->events, 0, code->block_count + 1);
	do {
		changed = false;
		for (block = (uint32_t)code->block_count; block--;) {
			left = ends_left(self, block);
			for (at = code->blocks[block].end; at-- > code->blocks[block].first;) {
				if (code->code.instructions[at].op == X86_CALL)
					left = 0;
				changed |= left && !self->left[at];
				self->left[at] = left;
			}
			self->events[block] = left;
		}
	} while (changed);
	for (at = 0; at < code->code.count; at++)
		counts->returns += code->code.instructions[at].op == X86_RETURN;
}

/* ---- the rows ---------------------------------------------------------------------------------
 */

/* Places: registers, then slots. */
#define PLACE_SLOT 16
#define NOWHERE	   (-1)

/* Most trusted first: what is still there when a call returns. */
static bool may_hold(const struct x86_instruction *i, int place)
{
	return place >= PLACE_SLOT || PUC_CALLEE_SAVED & 1u << place || i->op != X86_CALL;
}

static const struct puc_value *value_at(const struct puc_state *state, int place)
{
	return place < PLACE_SLOT ? &state->registers[place] : &state->slots[place - PLACE_SLOT];
}

typedef int (*rank_fn)(const struct puc_value *value);

static int rank_L(const struct puc_value *value)
{
	return value->kind == PUC_IS_L;
}

/* 4: behind the current instruction; 3, 2: at the next one, or at or behind it; 1: at the current
 * one. */
static int rank_position(const struct puc_value *value)
{
	if (value->kind != PUC_IS_PC)
		return 0;
	if (!value->symbol)
		return value->offset == 4 ? 4 : value->offset == 0 || value->offset == 8;
	if (value->place == PUC_PLACE_JUMPED)
		return value->offset == 4 ? 3 : value->offset == 0 ? 2 : 0;
	return value->place == PUC_PLACE_NEAR ? 3 : 0;
}

/* The place with the highest rank up to slot `slots`; the one that was used before if it is as
 * good, then one that survives calls. */
static int best_place(const struct puc_state *state, const struct x86_instruction *i, rank_fn rank,
		      int slots, int before)
{
	int best = NOWHERE, best_rank = 0, place, value;

	for (place = 0; place < PLACE_SLOT + slots; place++) {
		if (!may_hold(i, place))
			continue;
		value = 4 * rank(value_at(state, place));
		if (!value)
			continue;
		value += place == before					? 3
			 : place < PLACE_SLOT && PUC_CALLEE_SAVED & 1u << place ? 2
			 : place >= PLACE_SLOT					? 1
										: 0;
		if (value > best_rank) {
			best_rank = value;
			best = place;
		}
	}
	return best;
}

struct places {
	int L, position, ci;
};

static void set_L(struct unwind_rule *rule, int place)
{
	rule->vm_base_reg = VM_NO_REG;
	if (place >= PLACE_SLOT)
		rule->cfa_offset2 = -8 * (place - PLACE_SLOT);
	else if (place >= 0)
		rule->vm_base_reg = (uint8_t)place;
}

static bool points_at_next(const struct puc_value *value)
{
	return value->symbol ? value->place == PUC_PLACE_JUMPED : value->offset == 0;
}

static int rank_CI(const struct puc_value *value)
{
	return value->kind == PUC_IS_CI;
}

static void set_place(struct unwind_rule *rule, int place)
{
	if (place >= PLACE_SLOT)
		rule->vm_pc_slot = (uint8_t)(place - PLACE_SLOT);
	else if (place >= 0)
		rule->vm_pc = (uint8_t)place;
}

static void set_position(struct unwind_rule *rule, const struct puc_state *state, int place)
{
	set_place(rule, place);
	if (place != NOWHERE && points_at_next(value_at(state, place)))
		rule->vm_flags |= PUC_PC_NEXT;
}

/* The position is in the CallInfo. Which one that is, is worth knowing all the same: L->ci may be
 * that of a function that is being called, or of the caller of one that has been left. */
static void set_CI(struct unwind_rule *rule, const struct puc_state *state,
		   const struct x86_instruction *i, int *before)
{
	*before = best_place(state, i, rank_CI, 256, *before);
	if (*before == NOWHERE)
		return;
	set_place(rule, *before);
	rule->vm_flags |= PUC_PC_OF_CI;
}

static bool is_exact(const struct puc_value *memory)
{
	return memory->kind == PUC_IS_PC && !memory->symbol && memory->offset == 4;
}

static void state_facts(const struct analysis *self, uint32_t at, struct places *places,
			struct unwind_rule *rule, struct puc_flow_counts *counts)
{
	const struct x86_instruction *i = &self->code->code.instructions[at];
	const struct puc_state *state = &self->now;
	/* With CFA_DEREF the field for L's slot is taken. */
	int slots = rule->cfa_kind == CFA_DEREF ? 0 : (int)PUC_SLOTS;
	bool in_memory = self->build->release / 100 == 502 || self->build->release / 100 == 503;

	places->L = best_place(state, i, rank_L, slots, places->L);
	set_L(rule, places->L);
	counts->without_L += places->L == NOWHERE;
	rule->vm_pc = VM_NO_REG;
	if (state->popped)
		rule->vm_flags |= PUC_POPPED;
	places->position = best_place(state, i, rank_position, 256, places->position);
	if (is_exact(&state->memory)) {
		if (places->position != NOWHERE &&
		    rank_position(value_at(state, places->position)) == 4)
			set_position(rule, state, places->position);
		else
			set_CI(rule, state, i, &places->ci);
		return;
	}
	if (in_memory &&
	    (places->position == NOWHERE ||
	     rank_position(value_at(state, places->position)) <= rank_position(&state->memory))) {
		if (state->memory.kind == PUC_IS_PC && points_at_next(&state->memory))
			rule->vm_flags |= PUC_PC_NEXT;
		set_CI(rule, state, i, &places->ci);
		return;
	}
	set_position(rule, state, places->position);
	counts->without_position += places->position == NOWHERE;
}

static int push_row(struct analysis *self, struct puc_flow *flow, size_t *count, size_t part,
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

static int make_rows(struct analysis *self, struct puc_flow *flow)
{
	const struct puc_code *code = self->code;
	struct places places = {NOWHERE, NOWHERE, NOWHERE};
	const struct x86_instruction *i;
	struct unwind_rule rule;
	size_t count = 0, part = 0;
	uint32_t at, block;
	int err;

	flow->rows = calloc(code->code.count, sizeof(*flow->rows));
	if (!flow->rows)
		return -ENOMEM;
	for (at = 0; at < code->code.count; at++) {
		i = &code->code.instructions[at];
		block = code->block_of[at];
		if (at == code->blocks[block].first)
			self->now = self->in[block];
		while (part + 1 < code->part_count && i->address >= code->parts[part].end)
			part++;
		if (self->now.reached)
			puc_state__frame(&self->now,
					 unwind_rules__get(self->rules, code->rules[at]));
		rule = *unwind_rules__get(self->rules, code->rules[at]);
		if (rule.cfa_kind == CFA_REG || rule.cfa_kind == CFA_DEREF) {
			rule.flags |= RULE_PUC;
			rule.vm_pc = rule.vm_base_reg = VM_NO_REG;
			if (self->left[at])
				rule.vm_flags = PUC_NO_FRAME;
			else if (self->now.reached)
				state_facts(self, at, &places, &rule, &flow->counts);
		}
		flow->counts.reached += self->now.reached;
		err = push_row(self, flow, &count, part, i->address, &rule);
		if (err)
			return err;
		if (self->now.reached)
			puc_state__execute(&self->now, code, at, self->build, self->kinds[at]);
	}
	flow->counts.instructions = code->code.count;
	return 0;
}

/* ---- all of it --------------------------------------------------------------------------------
 */

static int prepare(struct analysis *self)
{
	size_t blocks = self->code->block_count, count = self->code->code.count;
	ptrdiff_t entry = x86_code__find(&self->code->code, self->code->entry);

	if (entry < 0)
		return -EINVAL;
	self->entry = self->code->block_of[entry];
	puc_state__enter(&self->entered, self->build);
	self->in = calloc(blocks, sizeof(*self->in));
	self->out = calloc(blocks, sizeof(*self->out));
	self->loads = calloc(count, 1);
	self->kinds = calloc(count, 1);
	self->left = calloc(count, 1);
	self->tables = calloc(blocks, sizeof(*self->tables));
	self->events = calloc(blocks + 1, 1);
	self->queued = calloc(blocks, 1);
	if (!self->in || !self->out || !self->loads || !self->kinds || !self->left ||
	    !self->tables || !self->events || !self->queued)
		return -ENOMEM;
	memset(self->tables, 0xff, blocks * sizeof(*self->tables));
	return 0;
}

static void release(struct analysis *self)
{
	free(self->in);
	free(self->out);
	free(self->first_from);
	free(self->from);
	free(self->loads);
	free(self->kinds);
	free(self->left);
	free(self->tables);
	free(self->events);
	free(self->queued);
	free(self);
}

static int analyse(struct analysis *self, struct puc_flow *flow)
{
	struct puc_flow_counts *counts = &flow->counts;
	int err;

	err = prepare(self);
	if (!err)
		err = solve_edges(self);
	if (!err)
		err = collect_edges(self);
	if (!err)
		err = solve(self);
	if (err)
		return err;
	find_fetches(self, counts);
	if (!counts->fetches || !counts->dispatches)
		return -EINVAL;
	err = solve(self);
	if (err)
		return err;
	find_left(self, counts);
	err = make_rows(self, flow);
	if (err)
		return err;
	return counts->without_L > counts->reached / 10 * (10 - MIN_KNOWN_TENTHS) ? -EINVAL : 0;
}

int puc_flow__analyse(const struct puc_code *code, const struct puc_build *build,
		      unsigned int opcodes, struct unwind_rules *rules, struct puc_flow *flow)
{
	struct analysis *self = calloc(1, sizeof(*self));
	int err;

	memset(flow, 0, sizeof(*flow));
	if (!self)
		return -ENOMEM;
	self->code = code;
	self->build = build;
	self->rules = rules;
	self->opcodes = opcodes;
	err = analyse(self, flow);
	release(self);
	if (err)
		puc_flow__free(flow);
	return err;
}

void puc_flow__free(struct puc_flow *flow)
{
	free(flow->rows);
	memset(flow, 0, sizeof(*flow));
}
