/* SPDX-License-Identifier: Apache-2.0 */
/*
 * See luajit_flow.h. In order: where states start, the fixed point, and the rows. The state and
 * what one instruction does to it are luajit_state.c, the offsets of a build luajit_code.c.
 */
#include "luajit_flow.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "luajit_code.h"
#include "luajit_state.h"

#define FRAME_SIZE  80	  /* rsp to CFA in the steady state */
#define ENTRY_SHIFT (-72) /* at an entry only the return address is on the stack */
#define MAX_ROUNDS  500

/* ---- where states start ------------------------------------------------------------------------
 */

/* Does code that starts at `from` (as an activation) return by `ret`, or replace rsp? Then it is
 * not a bytecode handler, which only ever jumps to the next one, but a function called from C or
 * from compiled code. */
static bool is_function(const struct luajit_code *lj, size_t from, uint8_t *seen, size_t *stack)
{
	const struct x86_instruction *i;
	size_t depth = 0, at, steps = 0;
	ptrdiff_t target;

	memset(seen, 0, lj->code.count);
	stack[depth++] = from;
	while (depth && steps++ < 400) {
		at = stack[--depth];
		if (at >= lj->code.count || seen[at])
			continue;
		seen[at] = 1;
		i = &lj->code.instructions[at];
		if (i->op == X86_RETURN || (i->op == X86_MOVE && i->reg == DW_REG_RSP))
			return true;
		if (i->op == X86_ADD_IMM && i->reg == DW_REG_RSP && i->imm == 40)
			continue; /* the epilogue: its ret is an activation's */
		if (i->op == X86_STOP || i->op == X86_CALL)
			continue;
		if (i->op == X86_JUMP || i->op == X86_BRANCH) {
			target = i->target ? x86_code__find(&lj->code, i->target) : -1;
			if (target >= 0)
				stack[depth++] = (size_t)target;
			if (i->op == X86_JUMP)
				continue;
		}
		stack[depth++] = at + 1;
	}
	return false;
}

static bool ends_block(const struct x86_instruction *i)
{
	return i->op == X86_JUMP || i->op == X86_RETURN || i->op == X86_STOP;
}

static int find_roots(const struct luajit_code *lj, struct luajit_state *roots, uint8_t *is_root)
{
	size_t count = lj->code.count, at;
	const struct x86_instruction *i, *before;
	uint8_t *targeted, *seen;
	ptrdiff_t target;
	size_t *stack;
	int err = -ENOMEM;

	targeted = calloc(count, 1);
	seen = calloc(count, 1);
	stack = calloc(count + 2, 2 * sizeof(*stack));
	if (!targeted || !seen || !stack)
		goto out;
	for (at = 0; at < count; at++) {
		i = &lj->code.instructions[at];
		if (i->op == X86_CALL || i->op == X86_JUMP || i->op == X86_BRANCH) {
			target = i->target ? x86_code__find(&lj->code, i->target) : -1;
			if (target >= 0)
				targeted[target] |= i->op == X86_CALL ? 2 : 1;
		}
	}
	for (at = 0; at < count; at++) {
		struct luajit_state s = luajit_state_handler;

		i = &lj->code.instructions[at];
		before = at ? i - 1 : NULL;
		if (luajit_code__in_trace_exit(lj, i->address))
			continue;
		if (luajit_code__is_entry(lj, at)) {
			s.holders = 0;
			s.synced = true;
			s.frame = FRAME_NO;
			/* An FFI callback comes from a stub that has pushed rbp. */
			s.shift = i->source == DW_REG_RBP ? ENTRY_SHIFT : ENTRY_SHIFT + 8;
		} else if (targeted[at] & 2) {
			s.kind = KIND_FUNCTION;
			s.shift = 8;
		} else if (i->address == lj->trace_exit_end) {
			/* GC64 has loaded BASE before it leaves the exit handler's stack, GC32 has
			 * not. */
			s.holders = lj->build.gc64 ? BIT(DW_REG_RDX) : 0;
			s.synced = !lj->build.gc64;
			s.fetching = true;
		} else if (!before || (ends_block(before) && !targeted[at])) {
			if (i->op == X86_ADD_IMM && i->reg == DW_REG_RSP && i->imm == 16) {
				/* GC32's lj_vm_exit_interp: from a trace's stack */
				s.shift = 16;
				s.fetching = true;
			} else if (is_function(lj, at, seen, stack)) {
				s.kind = KIND_FUNCTION;
				s.shift = 8;
			}
		} else {
			continue;
		}
		roots[at] = s;
		is_root[at] = 1;
	}
	err = 0;
out:
	free(targeted);
	free(seen);
	free(stack);
	return err;
}

/* ---- the fixed point
 * ------------------------------------------------------------------------------ */

/*
 * Control flow backwards: the predecessors of instruction i are from[first[i]] to from[first[i +
 * 1]]. A state is always made anew from all predecessors, so that what was assumed too early in the
 * iteration leaves no trace.
 */
struct flow_graph {
	uint32_t *first;
	uint32_t *from;
};

/* The up to two successors of an instruction; returns their number. */
static int successors(const struct luajit_code *lj, size_t at, const uint8_t *is_root,
		      size_t out[2])
{
	const struct x86_instruction *i = &lj->code.instructions[at];
	ptrdiff_t target = -1;
	int count = 0, k;

	if ((i->op == X86_JUMP || i->op == X86_BRANCH) && i->target)
		target = x86_code__find(&lj->code, i->target);
	if (target >= 0)
		out[count++] = (size_t)target;
	/* Control does not fall into an entry or a helper: what precedes it does not return. */
	if (!ends_block(i) && at + 1 < lj->code.count && !is_root[at + 1])
		out[count++] = at + 1;
	for (k = 0; k < count; k++) {
		if (luajit_code__in_trace_exit(lj, lj->code.instructions[out[k]].address)) {
			out[k] = out[count - 1];
			count--;
			k--;
		}
	}
	return count;
}

static int flow_graph__build(struct flow_graph *self, const struct luajit_code *lj,
			     const uint8_t *is_root)
{
	size_t count = lj->code.count, at, to[2];
	uint32_t *fill;
	int n, k;

	self->first = calloc(count + 2, sizeof(*self->first));
	self->from = calloc(2 * count + 1, sizeof(*self->from));
	if (!self->first || !self->from)
		return -ENOMEM;
	fill = self->first + 1; /* counted one further up, so that filling leaves them in place */
	for (at = 0; at < count; at++) {
		n = successors(lj, at, is_root, to);
		for (k = 0; k < n; k++)
			fill[to[k] + 1]++;
	}
	for (at = 1; at <= count; at++)
		fill[at] += fill[at - 1];
	for (at = 0; at < count; at++) {
		n = successors(lj, at, is_root, to);
		for (k = 0; k < n; k++)
			self->from[fill[to[k]]++] = (uint32_t)at;
	}
	return 0;
}

static void flow_graph__free(struct flow_graph *self)
{
	free(self->first);
	free(self->from);
}

/* Iterates until nothing changes; the rounds are bounded, they are about twenty. */
static int iterate(const struct luajit_code *lj, const struct flow_graph *graph,
		   const struct luajit_state *roots, struct luajit_state *states)
{
	size_t at, round;
	bool changed = true;
	struct luajit_state s, out;
	uint32_t k;

	for (round = 0; changed && round < MAX_ROUNDS; round++) {
		changed = false;
		for (at = 0; at < lj->code.count; at++) {
			s = roots[at];
			for (k = graph->first[at]; k < graph->first[at + 1]; k++) {
				const size_t from = graph->from[k];

				if (!states[from].reached)
					continue;
				out = luajit_state__after(lj, &lj->code.instructions[from],
							  states[from]);
				s = luajit_state__join(&s, &out);
			}
			if (!luajit_state__equal(&s, &states[at])) {
				states[at] = s;
				changed = true;
			}
		}
	}
	return changed ? -EINVAL : 0;
}

static int solve(const struct luajit_code *lj, struct luajit_state *roots, uint8_t *is_root,
		 struct luajit_state *states)
{
	struct flow_graph graph = {};
	size_t at;
	int err;

	err = flow_graph__build(&graph, lj, is_root);
	if (!err)
		err = iterate(lj, &graph, roots, states);
	/* What nothing reached yet but a loop back to itself is a handler, too. */
	for (at = 1; !err && at < lj->code.count; at++) {
		if (states[at].reached || !ends_block(&lj->code.instructions[at - 1]) ||
		    luajit_code__in_trace_exit(lj, lj->code.instructions[at].address))
			continue;
		roots[at] = luajit_state_handler;
		err = iterate(lj, &graph, roots, states);
	}
	flow_graph__free(&graph);
	return err;
}

/*
 * Some code leaves the activation without the marks that state_after knows: unwinding, a yield, the
 * end of an FFI callback. All of it runs into the epilogue. Marks what can go nowhere else, without
 * a call on the way, as ended.
 */
static bool is_step(const struct x86_instruction *i)
{
	return i->op != X86_JUMP && i->op != X86_BRANCH && i->op != X86_CALL &&
	       i->op != X86_RETURN && i->op != X86_STOP;
}

static void mark_leaving(const struct luajit_code *lj, struct luajit_state *states)
{
	const struct x86_instruction *i;
	struct luajit_state *s, *next;
	size_t at = lj->code.count;
	bool ends, callback = false; /* these instructions end an FFI callback */
	ptrdiff_t target;

	while (at--) {
		i = &lj->code.instructions[at];
		s = &states[at];
		next = at + 1 < lj->code.count && states[at + 1].reached ? &states[at + 1] : NULL;
		if (!s->reached || s->kind != KIND_ACTIVATION)
			continue;
		ends = false;
		callback &= is_step(i);
		if (i->op == X86_ADD_IMM && i->reg == DW_REG_RSP && i->imm == 40) {
			ends = true;
		} else if (i->op == X86_JUMP) {
			target = i->target ? x86_code__find(&lj->code, i->target) : -1;
			ends = target >= 0 && states[target].frame == FRAME_ENDED;
		} else if (is_step(i)) {
			ends = callback || (next && next->frame == FRAME_ENDED);
		} else if (i->op == X86_CALL && i->target && s->synced && next &&
			   next->frame == FRAME_ENDED) {
			/* lj_ccallback_leave drops the frame. BASE is the caller's already. */
			s->frame = FRAME_CALLBACK;
			callback = true;
		}
		if (!ends || (s->frame != FRAME_YES && s->frame != FRAME_CHECK))
			continue;
		s->frame = FRAME_ENDED;
		s->caller = VM_NO_REG;
		if (callback && !s->synced)
			s->caller = VM_CALLER_IN_BASE;
		else if (next && next->caller == VM_CALLER_BELOW)
			s->caller = VM_CALLER_BELOW; /* the store of vmstate */
	}
}

/* ---- rows
 * -------------------------------------------------------------------------------------------- */

static void save(struct unwind_rule *rule, enum saved_register which, int offset)
{
	rule->saved_base[which] = BASE_CFA;
	rule->saved_offset[which] = (int16_t)offset;
}

static uint8_t base_register(uint16_t holders)
{
	int reg;

	for (reg = 0; reg < 16; reg++) {
		if (holders & CALLEE_SAVED & BIT(reg))
			return (uint8_t)reg;
	}
	for (reg = 0; reg < 16; reg++) {
		if (holders & BIT(reg))
			return (uint8_t)reg;
	}
	return VM_NO_REG;
}

static bool base_is_unknown(const struct luajit_state *s)
{
	if (s->frame == FRAME_NO || s->frame == FRAME_ENDED || s->frame == FRAME_CALLBACK)
		return false;
	return (!s->synced && !s->holders) || (!s->slot_valid && !s->link_in_pc && !s->link_saved);
}

static struct unwind_rule rule_of(const struct x86_instruction *i, const struct luajit_state *s)
{
	struct unwind_rule rule = {.cfa_kind = CFA_REG, .cfa_reg = DW_REG_RSP};
	int which;

	for (which = 0; which < SAVED_COUNT; which++)
		rule.saved_base[which] = BASE_SAME;
	save(&rule, SAVED_RA, -8);
	rule.vm_base_reg = VM_NO_REG;
	if (s->kind == KIND_FUNCTION && s->shift > 0) {
		rule.cfa_offset = s->shift;
		rule.flags = RULE_KEEPS_REGISTERS;
		return rule;
	}
	rule.cfa_offset = FRAME_SIZE + s->shift;
	/* In the prologue and the epilogue only what is on the stack counts. */
	if (s->shift >= -64)
		save(&rule, SAVED_RBP, -16);
	if (s->shift >= -56)
		save(&rule, SAVED_RBX, -24);
	if (s->shift >= -48)
		save(&rule, SAVED_R15, -32);
	if (s->shift >= -40)
		save(&rule, SAVED_R14, -40);
	rule.flags = RULE_LUAJIT;
	if (s->frame == FRAME_CALLBACK || luajit_state__enters_callback(i, s)) {
		rule.vm_flags = VM_NO_FRAME | VM_L_BASE;
		return rule;
	}
	if (s->frame == FRAME_NO || s->frame == FRAME_ENDED) {
		rule.vm_flags = VM_NO_FRAME;
		rule.vm_base_reg = s->frame == FRAME_ENDED ? s->caller : VM_NO_REG;
		return rule;
	}
	if (s->frame == FRAME_CHECK)
		rule.vm_flags |= VM_ENTRY_CHECK;
	if (base_is_unknown(s))
		return rule;
	if (s->synced)
		rule.vm_flags |= VM_L_BASE;
	else
		rule.vm_base_reg = base_register(s->holders);
	if (!s->slot_valid)
		rule.vm_flags |= s->link_in_pc ? VM_LINK_IN_PC : VM_LINK_SAVED;
	else if (i->op == X86_CALL && luajit_state__is_fallback(s))
		rule.vm_flags |= VM_LINK_SAVED;
	if (rule.vm_flags & VM_LINK_IN_PC && s->link_masked)
		rule.vm_flags |= VM_LINK_MASKED;
	if (rule.vm_flags & VM_LINK_IN_PC && s->link_toggled)
		rule.vm_flags |= VM_LINK_TOGGLED;
	if (s->func_gone)
		rule.vm_flags |= VM_FUNC_GONE;
	if (s->fetching || luajit_state__fetches(i))
		rule.vm_pc = VM_PC_NEXT;
	else if (s->entering)
		rule.vm_pc = VM_PC_ENTERING;
	else if (s->dying && s->link_in_pc)
		rule.vm_pc = VM_PC_LEAVING;
	return rule;
}

static struct unwind_rule rule_trace_exit(void)
{
	struct unwind_rule rule = {.cfa_kind = CFA_LUAJIT_TRACE, .vm_base_reg = VM_NO_REG};
	int which;

	for (which = 0; which < SAVED_COUNT; which++)
		rule.saved_base[which] = BASE_SAME;
	return rule;
}

static int make_rows(const struct luajit_code *lj, const struct luajit_state *states,
		     struct unwind_rules *rules, struct luajit_flow *flow)
{
	struct luajit_state unreached = luajit_state_handler;
	const struct x86_instruction *i;
	struct unwind_rule rule;
	size_t at;
	int id;

	unreached.holders = 0;
	flow->rows = calloc(lj->code.count, sizeof(*flow->rows));
	if (!flow->rows)
		return -ENOMEM;
	for (at = 0; at < lj->code.count; at++) {
		i = &lj->code.instructions[at];
		if (luajit_code__in_trace_exit(lj, i->address)) {
			rule = rule_trace_exit();
		} else {
			rule = rule_of(i, states[at].reached ? &states[at] : &unreached);
			flow->unreached += !states[at].reached;
			flow->conflicts += states[at].conflict;
			flow->unknown_base += states[at].reached && base_is_unknown(&states[at]);
		}
		id = unwind_rules__intern(rules, &rule);
		if (id < 0)
			return id;
		if (flow->row_count && flow->rows[flow->row_count - 1].rule == (uint32_t)id)
			continue;
		flow->rows[flow->row_count].pc = i->address;
		flow->rows[flow->row_count++].rule = (uint32_t)id;
	}
	return 0;
}

int luajit_flow__analyse(const uint8_t *text, size_t size, uint64_t vaddr,
			 struct unwind_rules *rules, struct luajit_flow *flow)
{
	struct luajit_code lj = {};
	struct luajit_state *states = NULL, *roots = NULL;
	uint8_t *is_root = NULL;
	int err;

	memset(flow, 0, sizeof(*flow));
	err = luajit_code__open(text, size, vaddr, &lj);
	if (err)
		return err;
	states = calloc(lj.code.count, sizeof(*states));
	roots = calloc(lj.code.count, sizeof(*roots));
	is_root = calloc(lj.code.count, 1);
	err = -ENOMEM;
	if (!states || !roots || !is_root)
		goto out;
	err = find_roots(&lj, roots, is_root);
	if (err)
		goto out;
	err = solve(&lj, roots, is_root, states);
	if (err)
		goto out;
	mark_leaving(&lj, states);
	flow->build = lj.build;
	flow->fingerprint = lj.fingerprint;
	flow->instructions = lj.code.count;
	err = make_rows(&lj, states, rules, flow);
out:
	free(states);
	free(roots);
	free(is_root);
	luajit_code__close(&lj);
	if (err)
		luajit_flow__free(flow);
	return err;
}

void luajit_flow__free(struct luajit_flow *flow)
{
	free(flow->rows);
	memset(flow, 0, sizeof(*flow));
}
