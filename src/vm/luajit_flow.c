/* SPDX-License-Identifier: Apache-2.0 */
/*
 * See luajit_flow.h. In order: the state that is tracked, one instruction's effect on it, where the
 * states start, the fixed point, and the rows. Finding the build's offsets is luajit_offsets.c.
 */
#include "luajit_flow.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "luajit_code.h"

#define BIT(reg) (1u << (reg))
#define CALLEE_SAVED                                                                               \
	(BIT(DW_REG_RBX) | BIT(DW_REG_RBP) | BIT(DW_REG_R12) | BIT(DW_REG_R13) | BIT(DW_REG_R14) | BIT(DW_REG_R15))

#define FRAME_SIZE 80	   /* rsp to CFA in the steady state */
#define ENTRY_SHIFT (-72)  /* at an entry only the return address is on the stack */
#define MAX_ROUNDS 500

/* ---- the state before an instruction ----------------------------------------------------- */

enum kind {
	KIND_ACTIVATION, /* CFA = rsp + 80 + shift */
	KIND_FUNCTION,	 /* called like a C function: CFA = rsp + shift while shift > 0; a helper
			  * that pops its return address is back in the activation (shift 0) */
};

enum frame {
	FRAME_YES,   /* the activation has its boundary and Lua frames */
	FRAME_NO,    /* being entered: not yet */
	FRAME_CHECK, /* code shared by calls from C and from Lua: PC's type bits tell */
	FRAME_ENDED, /* being left: no more */
	FRAME_CALLBACK, /* a call in which a callback's frame is made or dropped */
};

struct state {
	bool reached;
	bool conflict;
	uint8_t caller; /* with FRAME_ENDED: where the caller's BASE is (VM_CALLER_*), or VM_NO_REG */
	uint8_t kind;
	uint8_t frame;
	int16_t shift;
	uint16_t holders; /* registers that hold BASE */
	bool synced;	  /* L->base == BASE */
	bool slot_valid;  /* the top frame's link is in its slot */
	bool link_in_pc;  /* ... is in rbx */
	bool link_toggled; /* ... with its lowest bit inverted */
	bool link_masked;  /* ... of a pcall, without its type bits */
	bool link_saved;  /* ... is in SAVE_PC */
	bool func_gone;	  /* the top frame's function slot was overwritten */
	bool dying;	  /* the frame is returning: PC was loaded from its link */
	bool suspect;	  /* rdx was written while BASE was known elsewhere: argument or new BASE? */
};

static const struct state handler_state = {
	.reached = true, .kind = KIND_ACTIVATION, .frame = FRAME_YES, .holders = BIT(DW_REG_RDX),
	.slot_valid = true, .caller = VM_NO_REG};

static bool state_equal(const struct state *a, const struct state *b)
{
	return a->reached == b->reached && a->conflict == b->conflict && a->kind == b->kind && a->caller == b->caller &&
	       a->frame == b->frame && a->shift == b->shift && a->holders == b->holders &&
	       a->synced == b->synced && a->slot_valid == b->slot_valid &&
	       a->link_in_pc == b->link_in_pc && a->link_saved == b->link_saved &&
	       a->link_toggled == b->link_toggled && a->link_masked == b->link_masked && a->func_gone == b->func_gone &&
	       a->dying == b->dying && a->suspect == b->suspect;
}

/* What holds on both ways to an instruction. */
static struct state state_join(const struct state *a, const struct state *b)
{
	struct state out = *a;

	if (!a->reached)
		return *b;
	if (!b->reached)
		return *a;
	if (a->kind != b->kind || a->shift != b->shift)
		out.conflict = true;
	out.conflict |= b->conflict;
	out.holders &= b->holders;
	if (!out.holders && a->suspect != b->suspect &&
	    (a->suspect ? b->holders : a->holders) & BIT(DW_REG_RDX)) {
		/* One side has already found out that rdx is the new BASE. */
		out = a->suspect ? *b : *a;
		out.conflict |= a->conflict | b->conflict;
		return out;
	}
	out.synced &= b->synced;
	out.slot_valid &= b->slot_valid;
	out.link_in_pc &= b->link_in_pc && a->link_toggled == b->link_toggled &&
			  a->link_masked == b->link_masked;
	out.link_saved &= b->link_saved;
	out.func_gone |= b->func_gone;
	out.dying |= b->dying;
	out.suspect &= b->suspect;
	if (a->frame != b->frame) {
		if (a->frame == FRAME_ENDED || b->frame == FRAME_ENDED)
			out.frame = FRAME_ENDED;
		else
			out.frame = FRAME_CHECK;
		out.caller = a->frame == FRAME_ENDED ? a->caller : b->caller;
	} else if (a->caller != b->caller) {
		out.caller = VM_NO_REG;
	}
	return out;
}

/* ---- one instruction ------------------------------------------------------------------------- */

static void new_frame_stored(struct state *s)
{
	s->frame = FRAME_YES;
	s->holders = BIT(DW_REG_RDX);
	s->synced = false;
	s->slot_valid = true;
	s->link_in_pc = s->link_saved = s->func_gone = s->dying = s->suspect = false;
}

/* BASE was moved to the caller's: `lea rdx, [rdx+x*8-16]` with a negative x, `sub rdx, x`. */
static void frame_returned(struct state *s)
{
	s->holders = BIT(DW_REG_RDX);
	s->synced = false;
	s->slot_valid = true;
	s->link_in_pc = s->link_saved = s->func_gone = s->dying = s->suspect = false;
}

/* A call: rdx is the new frame's BASE, and its link is still in PC. */
static void new_base(struct state *s)
{
	s->holders = BIT(DW_REG_RDX);
	s->synced = s->slot_valid = false;
	s->link_in_pc = true;
	s->link_toggled = s->link_masked = s->link_saved = s->func_gone = s->dying = s->suspect = false;
}

/* rdx gets a value that is not known to be BASE. */
static void write_base_register(const struct x86_instruction *i, struct state *s)
{
	bool returns = (i->op == X86_LEA && i->base == DW_REG_RDX && i->index != X86_NO_REG &&
			i->disp <= 0) ||
		       i->op == X86_SUB;

	if (s->dying && returns) {
		frame_returned(s);
		return;
	}
	if (s->synced || s->holders & ~BIT(DW_REG_RDX)) {
		/* rdx is also the third argument of a C function, set up when BASE is safe. */
		s->holders &= ~BIT(DW_REG_RDX);
		s->suspect = true;
		return;
	}
	s->holders = 0;
	if (i->op == X86_LEA || i->op == X86_MOVE || i->op == X86_ADD_IMM)
		new_base(s);
}

/* Is the next instruction the store of a link to the frame at rdx? Then rdx is a new BASE. */
static bool stores_link_next(const struct luajit_code *lj, const struct x86_instruction *i)
{
	const struct x86_instruction *next = i + 1;

	return next < lj->code.instructions + lj->code.count && next->op == X86_STORE &&
	       next->source == DW_REG_RBX && luajit_code__is_link(lj, next);
}

static void store(const struct luajit_code *lj, const struct x86_instruction *i, struct state *s)
{
	int end;

	if (i->op == X86_STORE && luajit_code__is_link(lj, i) && i->source == DW_REG_RBX) {
		new_frame_stored(s);
		return;
	}
	if (i->op == X86_STORE && luajit_code__is_l_base(lj, i) && i->source < 16 &&
	    s->holders & BIT(i->source)) {
		s->synced = true;
		return;
	}
	if (i->op == X86_STORE_IMM && i->base == DW_REG_R14 && i->disp == lj->vmstate_disp &&
	    (uint32_t)i->imm == 0xfffffffe && s->dying) {
		s->frame = FRAME_ENDED; /* vmstate = ~C: returning to C */
		s->caller = VM_CALLER_BELOW;
		return;
	}
	if (i->op == X86_STORE && s->frame == FRAME_ENDED && luajit_code__is_l_base(lj, i)) {
		s->caller = VM_NO_REG;
		return;
	}
	if (i->base == DW_REG_RSP && i->disp == lj->save_pc)
		s->link_saved = i->op == X86_STORE && i->source == DW_REG_RBX && s->link_in_pc &&
				!s->link_toggled;
	if (!s->dying || i->base == DW_REG_RSP || i->base == DW_REG_R14 || i->base == X86_NO_REG)
		return;
	if (luajit_code__is_l_base(lj, i) || i->disp == lj->l_top)
		return; /* fields of L */
	if (i->base != DW_REG_RDX || i->index != X86_NO_REG) {
		/* Results being copied down, unless the frame is in a state that C code may see. */
		if (!s->synced && (i->disp < 0 || i->index != X86_NO_REG)) {
			s->func_gone = true;
			s->slot_valid = false;
		}
		return;
	}
	/* Results go to the function's and the link's slot. */
	end = i->disp + (i->width ? i->width : 8);
	if (i->disp < -lj->link_size && end > -2 * lj->link_size)
		s->func_gone = true;
	if (i->disp < 0 && end > -lj->link_size)
		s->slot_valid = false;
}

/* Before a call of the C function that does what a fast function could not: it may put its result over
 * the function and, in GC32, the link. */
static bool is_fallback(const struct state *s)
{
	return s->synced && s->link_saved;
}

/* lj_ccallback_enter: nothing else is called by name before an activation has its boundary. */
static bool enters_callback(const struct x86_instruction *i, const struct state *s)
{
	return i->op == X86_CALL && i->target && s->kind == KIND_ACTIVATION && s->frame == FRAME_NO;
}

static void call(const struct luajit_code *lj, const struct x86_instruction *i, struct state *s)
{
	enum luajit_helper helper = luajit_code__helper(lj, i);

	s->suspect = false;
	switch (helper) {
	case HELPER_KEEPS_BASE:
		return;
	case HELPER_RELOADS_BASE:
		s->holders = BIT(DW_REG_RDX);
		s->synced = true;
		return;
	case HELPER_NONE:
		s->holders &= CALLEE_SAVED;
		if (is_fallback(s)) {
			s->slot_valid = false;
			s->func_gone = true;
		}
		if (enters_callback(i, s)) {
			s->frame = FRAME_YES;
			s->synced = true;
		}
		return;
	}
}

static void load(const struct luajit_code *lj, const struct x86_instruction *i, struct state *s)
{
	if (i->reg == DW_REG_RBX && luajit_code__is_link(lj, i)) {
		/* A return, or resuming a coroutine after a yield. */
		s->dying = s->link_in_pc = true;
		s->link_toggled = s->link_masked = false;
		s->holders |= BIT(DW_REG_RDX);
		if (s->frame != FRAME_ENDED)
			s->frame = FRAME_YES;
		return;
	}
	if (i->reg == DW_REG_RDX && luajit_code__is_l_base(lj, i)) {
		s->holders |= BIT(DW_REG_RDX);
		s->synced = true;
		s->suspect = false;
		/* lj_ccallback_enter returned L: it has made the frame. */
		if (s->frame == FRAME_NO && i->base == DW_REG_RAX)
			s->frame = FRAME_YES;
	}
}

/* The way of the caller's BASE in lj_vm_return: `and rbx, -8; sub rbx, rdx; neg rbx`. */
static void leave(const struct x86_instruction *i, struct state *s)
{
	if (s->frame != FRAME_ENDED || !(i->writes & BIT(DW_REG_RBX)))
		return;
	if (s->caller == VM_CALLER_BELOW && i->op == X86_SUB && i->source == DW_REG_RDX)
		s->caller = VM_CALLER_NEGATED;
	else if (s->caller == VM_CALLER_NEGATED)
		s->caller = VM_CALLER_IN_PC;
}

/* `and rbx, -8`, then either `sub rdx, rbx` (lj_vm_returnp: a pcall's frame) or `mov rbp, rdx;
 * sub rdx, rbx` (cont_dispatch). True when the link is still in rbx, without its type. */
static bool mask_link(const struct luajit_code *lj, const struct x86_instruction *i, struct state *s)
{
	const struct x86_instruction *next = i + 1, *end = lj->code.instructions + lj->code.count;
	bool continuation;

	if (i->reg != DW_REG_RBX || (int32_t)i->imm != -8 || !s->dying || next + 1 >= end)
		return false;
	continuation = next->op == X86_MOVE && next->source == DW_REG_RDX;
	next += continuation;
	if (next->op != X86_SUB || next->reg != DW_REG_RDX || next->source != DW_REG_RBX)
		return false;
	s->link_in_pc = s->link_masked = true;
	s->link_toggled = continuation;
	s->slot_valid = false; /* results may have been copied over it */
	return true;
}

static struct state state_after(const struct luajit_code *lj, const struct x86_instruction *i,
				struct state s)
{
	uint16_t writes = i->writes;

	leave(i, &s);
	switch (i->op) {
	case X86_PUSH:
		s.shift += 8;
		return s;
	case X86_POP:
		s.shift -= 8;
		break;
	case X86_ADD_IMM:
		if (i->reg == DW_REG_RSP) {
			s.shift -= (int16_t)i->imm;
			return s;
		}
		break;
	case X86_MOVE:
		if (i->reg == DW_REG_RSP) {
			/* Unwinding: the C frame is the argument, nothing else is known. */
			s = handler_state;
			s.holders = 0;
			s.synced = true;
			return s;
		}
		if (i->source < 16 && s.holders & BIT(i->source) && i->reg < 16) {
			s.holders |= BIT(i->reg);
			writes &= ~BIT(i->reg);
		}
		break;
	case X86_STORE:
	case X86_STORE_IMM:
	case X86_STORE_OTHER:
		store(lj, i, &s);
		break;
	case X86_XOR_IMM:
		if (i->reg == DW_REG_RBX && i->imm == 1 && s.link_in_pc) {
			s.link_toggled = !s.link_toggled;
			return s;
		}
		break;
	case X86_AND_IMM:
		if (mask_link(lj, i, &s))
			return s;
		break;
	case X86_LOAD:
		/* A fallback that asks for a retry or a tail call has left no results: only then is
		 * L->top of interest. In GC32 the new function has overwritten the link all the same. */
		if (i->disp == lj->l_top && s.synced && s.link_saved && lj->link_size == 8 && i->base == DW_REG_RBP)
			s.slot_valid = true;
		if (i->reg == DW_REG_RBX && i->base == DW_REG_RSP && i->disp == lj->save_pc &&
		    s.link_saved) {
			s.link_in_pc = true;
			s.link_toggled = s.link_masked = false;
			s.holders &= ~BIT(DW_REG_RBX);
			return s;
		}
		if ((i->reg == DW_REG_RBX && luajit_code__is_link(lj, i)) ||
		    (i->reg == DW_REG_RDX && luajit_code__is_l_base(lj, i))) {
			load(lj, i, &s);
			if (i->reg == DW_REG_RBX)
				s.holders &= ~BIT(DW_REG_RBX);
			return s;
		}
		break;
	case X86_CALL:
		call(lj, i, &s);
		return s;
	default:
		break;
	}
	if (writes & BIT(DW_REG_RBX))
		s.link_in_pc = false;
	if (writes & BIT(DW_REG_RDX)) {
		if (stores_link_next(lj, i))
			new_base(&s);
		else
			write_base_register(i, &s);
	}
	s.holders &= ~(writes & ~BIT(DW_REG_RDX));
	if (!s.holders && !s.synced && s.suspect) {
		/* The last other copy of BASE is gone, so what went to rdx was the new BASE
		 * (a vararg function's frame, whose link is stored already). */
		s.holders = BIT(DW_REG_RDX);
		s.slot_valid = true;
		s.link_in_pc = s.link_saved = s.dying = s.func_gone = s.suspect = false;
	}
	return s;
}

/* ---- where states start ------------------------------------------------------------------------ */

/* Does code that starts at `from` (as an activation) return by `ret`, or replace rsp? Then it is
 * not a bytecode handler, which only ever jumps to the next one, but a function called from C or from
 * compiled code. */
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

static int find_roots(const struct luajit_code *lj, struct state *roots, uint8_t *is_root)
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
		struct state s = handler_state;

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
			/* GC64 has loaded BASE before it leaves the exit handler's stack, GC32 has not. */
			s.holders = lj->build.gc64 ? BIT(DW_REG_RDX) : 0;
			s.synced = !lj->build.gc64;
		} else if (!before || (ends_block(before) && !targeted[at])) {
			if (i->op == X86_ADD_IMM && i->reg == DW_REG_RSP && i->imm == 16)
				s.shift = 16; /* GC32's lj_vm_exit_interp: from a trace's stack */
			else if (is_function(lj, at, seen, stack)) {
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

/* ---- the fixed point ------------------------------------------------------------------------------ */

/*
 * Control flow backwards: the predecessors of instruction i are from[first[i]] to from[first[i + 1]].
 * A state is always made anew from all predecessors, so that what was assumed too early in the
 * iteration leaves no trace.
 */
struct flow_graph {
	uint32_t *first;
	uint32_t *from;
};

/* The up to two successors of an instruction; returns their number. */
static int successors(const struct luajit_code *lj, size_t at, const uint8_t *is_root, size_t out[2])
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
		   const struct state *roots, struct state *states)
{
	size_t at, round;
	bool changed = true;
	struct state s, out;
	uint32_t k;

	for (round = 0; changed && round < MAX_ROUNDS; round++) {
		changed = false;
		for (at = 0; at < lj->code.count; at++) {
			s = roots[at];
			for (k = graph->first[at]; k < graph->first[at + 1]; k++) {
				const size_t from = graph->from[k];

				if (!states[from].reached)
					continue;
				out = state_after(lj, &lj->code.instructions[from], states[from]);
				s = state_join(&s, &out);
			}
			if (!state_equal(&s, &states[at])) {
				states[at] = s;
				changed = true;
			}
		}
	}
	return changed ? -EINVAL : 0;
}

static int solve(const struct luajit_code *lj, struct state *roots, uint8_t *is_root,
		 struct state *states)
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
		roots[at] = handler_state;
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

static void mark_leaving(const struct luajit_code *lj, struct state *states)
{
	const struct x86_instruction *i;
	struct state *s, *next;
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

/* ---- rows -------------------------------------------------------------------------------------------- */

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

static bool base_is_unknown(const struct state *s)
{
	if (s->frame == FRAME_NO || s->frame == FRAME_ENDED || s->frame == FRAME_CALLBACK)
		return false;
	return (!s->synced && !s->holders) || (!s->slot_valid && !s->link_in_pc && !s->link_saved);
}

static struct unwind_rule rule_of(const struct x86_instruction *i, const struct state *s)
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
	if (s->frame == FRAME_CALLBACK || enters_callback(i, s)) {
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
	else if (i->op == X86_CALL && is_fallback(s))
		rule.vm_flags |= VM_LINK_SAVED;
	if (rule.vm_flags & VM_LINK_IN_PC && s->link_masked)
		rule.vm_flags |= VM_LINK_MASKED;
	if (rule.vm_flags & VM_LINK_IN_PC && s->link_toggled)
		rule.vm_flags |= VM_LINK_TOGGLED;
	if (s->func_gone)
		rule.vm_flags |= VM_FUNC_GONE;
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

static int make_rows(const struct luajit_code *lj, const struct state *states,
		     struct unwind_rules *rules, struct luajit_flow *flow)
{
	struct state unreached = handler_state;
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
	struct state *states = NULL, *roots = NULL;
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
