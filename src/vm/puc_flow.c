/* SPDX-License-Identifier: Apache-2.0 */
/* See puc_flow.h. In order: the graph, the fixed point, what is a fetch, where it is left, the
 * rows.
 */
#include "puc_flow.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "puc_release.h"
#include "puc_rows.h"

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
#define MIN_SAVES	 2u

enum { EVENT_LOAD = 1, EVENT_DISPATCH = 2 };

/* ---- the graph --------------------------------------------------------------------------------
 */

typedef void (*successor_fn)(struct puc_analysis *self, uint32_t from, uint32_t to);

static void each_target(struct puc_analysis *self, uint32_t block, successor_fn successor)
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

static void each_successor(struct puc_analysis *self, uint32_t block, successor_fn successor)
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

static struct puc_step execute(struct puc_analysis *self, uint32_t at)
{
	puc_state__frame(&self->now, unwind_rules__get(self->rules, self->code->rules[at]));
	return puc_state__execute(&self->now, self->code, at, self->build, self->kinds[at]);
}

/* Executes a block into `now`. */
static void run_block(struct puc_analysis *self, uint32_t block)
{
	const struct puc_block *range = &self->code->blocks[block];
	struct puc_step step = {.table = -1};
	uint32_t at;

	self->now = self->in[block];
	for (at = range->first; at < range->end; at++) {
		step = execute(self, at);
		if (step.loads_instruction)
			self->loads[at] = 1;
		self->changes[at] = step.changes_frame;
	}
	self->tables[block] = (int16_t)step.table;
}

static void flow_to(struct puc_analysis *self, uint32_t from, uint32_t to)
{
	self->queued[to] |= puc_state__meet(&self->in[to], &self->now, to);
}

/*
 * The first solution only ever takes away from what is known at a block's beginning, also what was
 * assumed too early. It is good enough to know the tables of indirect jumps, so all edges.
 */
static int solve_edges(struct puc_analysis *self)
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

static void count_edge(struct puc_analysis *self, uint32_t from, uint32_t to)
{
	self->first_from[to + 1]++;
}

static void add_edge(struct puc_analysis *self, uint32_t from, uint32_t to)
{
	self->from[self->first_from[to]++] = from;
}

/* The blocks that lead to block b: from[first_from[b]] to from[first_from[b + 1]]. */
static int collect_edges(struct puc_analysis *self)
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

static void mark(struct puc_analysis *self, uint32_t from, uint32_t to)
{
	self->queued[to] = 1;
}

/* What is known where `block` begins, made anew from all that leads there. */
static void gather(struct puc_analysis *self, uint32_t block, struct puc_state *state)
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
static int solve(struct puc_analysis *self)
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
static bool is_dispatch(const struct puc_analysis *self, uint32_t block)
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

static void spread(struct puc_analysis *self, uint32_t from, uint32_t to)
{
	if (self->events[from] != (self->events[from] | self->events[to])) {
		self->events[from] |= self->events[to];
		self->changed = true;
	}
}

/* The first event in a block from instruction `at` on; 0 when control leaves it without one. */
static uint8_t event_within(const struct puc_analysis *self, uint32_t block, uint32_t at)
{
	for (; at < self->code->blocks[block].end; at++) {
		if (self->loads[at])
			return EVENT_LOAD;
	}
	return is_dispatch(self, block) ? EVENT_DISPATCH : 0;
}

static void collect(struct puc_analysis *self, uint32_t from, uint32_t to)
{
	self->events[self->code->block_count] |= self->events[to];
}

/*
 * The load of an extra argument is followed by another load before the interpreter dispatches; that
 * of the next instruction by its dispatch.
 */
static void find_fetches(struct puc_analysis *self, struct puc_flow_counts *counts)
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

static void stay(struct puc_analysis *self, uint32_t from, uint32_t to)
{
	self->successors++;
	self->events[from] &= self->events[to];
}

/* Does control go nowhere from the end of the block but to where luaV_execute only returns? */
static bool ends_left(struct puc_analysis *self, uint32_t block)
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
static void find_left(struct puc_analysis *self, struct puc_flow_counts *counts)
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
				if (code->code.instructions[at].op == X86_CALL || self->changes[at])
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

/* Does the block store register `reg` from instruction `at` on? */
static bool stores(const struct puc_analysis *self, uint32_t block, uint32_t at, uint8_t reg)
{
	const struct x86_instruction *i = self->code->code.instructions;

	for (; at < self->code->blocks[block].end; at++) {
		if (i[at].op == X86_STORE && i[at].source == reg)
			return true;
	}
	return false;
}

/*
 * luaD_poscall pops the Lua frame; behind it luaV_execute looks whether it has to return. From that
 * branch backwards to the call the popped frame may have been the activation's. In 5.1 there are
 * other returns, for yields, but only this one counts its calls down: in a slot, or in a register
 * that calls preserve. (clang -O0 goes through a switch by subtracting from a copy.)
 */
static bool counts_down(const struct puc_analysis *self, uint32_t block)
{
	const struct x86_instruction *i;
	uint32_t at;

	for (at = self->code->blocks[block].first; at < self->code->blocks[block].end; at++) {
		i = &self->code->code.instructions[at];
		if (i->width != 4 || i->imm != -1)
			continue;
		if (i->op == X86_STORE_OTHER && i->adds)
			return true;
		if (i->op == X86_ADD_IMM && i->reg < 16 &&
		    (PUC_CALLEE_SAVED & 1u << i->reg || stores(self, block, at, i->reg)))
			return true;
	}
	return false;
}

/* Marks from the end of `block` back to a call or a fetch; true when it is to go on before it. */
static bool mark_popped(struct puc_analysis *self, uint32_t block)
{
	uint32_t at;

	for (at = self->code->blocks[block].end; at-- > self->code->blocks[block].first;) {
		if (self->code->code.instructions[at].op == X86_CALL || self->loads[at])
			return false;
		self->popped[at] = 1;
	}
	return true;
}

static void look_left(struct puc_analysis *self, uint32_t from, uint32_t to)
{
	if (self->left[self->code->blocks[to].first])
		self->successors |= 1;
	else
		self->successors |= 2;
}

static void find_popped(struct puc_analysis *self)
{
	const struct puc_code *code = self->code;
	uint32_t block, k;
	bool changed = true;

	memset(self->queued, 0, code->block_count);
	for (block = 0; block < code->block_count; block++) {
		self->successors = 0;
		if (!self->in[block].reached ||
		    code->code.instructions[code->blocks[block].end - 1].op != X86_BRANCH)
			continue;
		each_successor(self, block, look_left);
		if (self->successors == 3 && (!self->build->L_savedpc || counts_down(self, block)))
			self->queued[block] = 1;
	}
	while (changed) {
		changed = false;
		for (block = 0; block < code->block_count; block++) {
			if (self->queued[block] != 1)
				continue;
			self->queued[block] = 2;
			if (!mark_popped(self, block))
				continue;
			for (k = self->first_from[block]; k < self->first_from[block + 1]; k++) {
				if (self->queued[self->from[k]])
					continue;
				self->queued[self->from[k]] = 1;
				changed = true;
			}
		}
	}
}

/* ---- all of it --------------------------------------------------------------------------------
 */

static int prepare(struct puc_analysis *self)
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
	self->changes = calloc(count, 1);
	self->popped = calloc(count, 1);
	self->tables = calloc(blocks, sizeof(*self->tables));
	self->events = calloc(blocks + 1, 1);
	self->queued = calloc(blocks, 1);
	if (!self->in || !self->out || !self->loads || !self->kinds || !self->left ||
	    !self->changes || !self->popped || !self->tables || !self->events || !self->queued)
		return -ENOMEM;
	memset(self->tables, 0xff, blocks * sizeof(*self->tables));
	return 0;
}

static void release(struct puc_analysis *self)
{
	free(self->in);
	free(self->out);
	free(self->first_from);
	free(self->from);
	free(self->loads);
	free(self->kinds);
	free(self->left);
	free(self->changes);
	free(self->popped);
	free(self->tables);
	free(self->events);
	free(self->queued);
	free(self);
}

static int analyse(struct puc_analysis *self, struct puc_flow *flow)
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
	find_popped(self);
	counts->is_newest = puc_release__is_newest(self);
	err = puc_rows__make(self, flow);
	if (err)
		return err;
	/* ldebug.c's symbexec has such a switch, too, but does not save a position. */
	if (counts->saves < MIN_SAVES ||
	    counts->without_L > counts->reached / 10 * (10 - MIN_KNOWN_TENTHS) ||
	    counts->without_position > counts->reached / 2)
		return -EINVAL;
	return 0;
}

int puc_flow__analyse(const struct puc_code *code, const struct puc_build *build,
		      unsigned int opcodes, struct unwind_rules *rules, struct puc_flow *flow)
{
	struct puc_analysis *self = calloc(1, sizeof(*self));
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
