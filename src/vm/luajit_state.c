/* SPDX-License-Identifier: Apache-2.0 */
#include "luajit_state.h"

const struct luajit_state luajit_state_handler = {.reached = true,
						  .kind = KIND_ACTIVATION,
						  .frame = FRAME_YES,
						  .holders = BIT(DW_REG_RDX),
						  .slot_valid = true,
						  .caller = VM_NO_REG};

bool luajit_state__equal(const struct luajit_state *a, const struct luajit_state *b)
{
	return a->reached == b->reached && a->conflict == b->conflict && a->kind == b->kind &&
	       a->caller == b->caller && a->frame == b->frame && a->shift == b->shift &&
	       a->holders == b->holders && a->synced == b->synced &&
	       a->slot_valid == b->slot_valid && a->link_in_pc == b->link_in_pc &&
	       a->link_saved == b->link_saved && a->link_toggled == b->link_toggled &&
	       a->link_masked == b->link_masked && a->func_gone == b->func_gone &&
	       a->entering == b->entering && a->fetching == b->fetching && a->dying == b->dying &&
	       a->suspect == b->suspect;
}

/* What holds on both ways to an instruction. */
struct luajit_state luajit_state__join(const struct luajit_state *a, const struct luajit_state *b)
{
	struct luajit_state out = *a;

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
	out.entering &= b->entering;
	out.fetching &= b->fetching;
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

/* BASE was moved to the caller's: `lea rdx, [rdx+x*8-16]` with a negative x, `sub rdx, x`. */
static void frame_returned(struct luajit_state *s)
{
	s->holders = BIT(DW_REG_RDX);
	s->synced = false;
	s->slot_valid = true;
	s->link_in_pc = s->link_saved = s->func_gone = s->dying = s->suspect = false;
	s->entering = false;
}

static void new_frame_stored(struct luajit_state *s)
{
	frame_returned(s);
	s->frame = FRAME_YES;
	s->entering = true;
}

/* A call: rdx is the new frame's BASE, and its link is still in PC. */
static void new_base(struct luajit_state *s)
{
	s->holders = BIT(DW_REG_RDX);
	s->synced = s->slot_valid = false;
	s->link_in_pc = s->entering = true;
	s->link_toggled = s->link_masked = s->link_saved = s->func_gone = s->dying = s->suspect =
		false;
}

/* rdx gets a value that is not known to be BASE. */
static void write_base_register(const struct x86_instruction *i, struct luajit_state *s)
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

static void store(const struct luajit_code *lj, const struct x86_instruction *i,
		  struct luajit_state *s)
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

/* Before a call of the C function that does what a fast function could not: it may put its result
 * over the function and, in GC32, the link. */
bool luajit_state__is_fallback(const struct luajit_state *s)
{
	return s->synced && s->link_saved;
}

/* lj_ccallback_enter: nothing else is called by name before an activation has its boundary. */
bool luajit_state__enters_callback(const struct x86_instruction *i, const struct luajit_state *s)
{
	return i->op == X86_CALL && i->target && s->kind == KIND_ACTIVATION && s->frame == FRAME_NO;
}

static void call(const struct luajit_code *lj, const struct x86_instruction *i,
		 struct luajit_state *s)
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
		if (luajit_state__is_fallback(s)) {
			s->slot_valid = false;
			s->func_gone = true;
		}
		if (luajit_state__enters_callback(i, s)) {
			s->frame = FRAME_YES;
			s->synced = true;
		}
		return;
	}
}

static void load(const struct luajit_code *lj, const struct x86_instruction *i,
		 struct luajit_state *s)
{
	if (i->reg == DW_REG_RBX && luajit_code__is_link(lj, i)) {
		/* A return, or resuming a coroutine after a yield. */
		s->entering = false;
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
static void leave(const struct x86_instruction *i, struct luajit_state *s)
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
static bool mask_link(const struct luajit_code *lj, const struct x86_instruction *i,
		      struct luajit_state *s)
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

bool luajit_state__fetches(const struct x86_instruction *i)
{
	return i->op == X86_LOAD && i->base == DW_REG_RBX && i->index == X86_NO_REG &&
	       i->disp == 0 && i->width == 4;
}

/* A branch in the bytecode: `lea rbx, [rbx + d * 4 - 0x20000]`. */
static bool branches(const struct x86_instruction *i)
{
	return i->op == X86_LEA && i->reg == DW_REG_RBX && i->base == DW_REG_RBX &&
	       i->index != X86_NO_REG;
}

struct luajit_state luajit_state__after(const struct luajit_code *lj,
					const struct x86_instruction *i, struct luajit_state s)
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
			s = luajit_state_handler;
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
		 * L->top of interest. In GC32 the new function has overwritten the link all the
		 * same. */
		if (i->disp == lj->l_top && s.synced && s.link_saved && lj->link_size == 8 &&
		    i->base == DW_REG_RBP)
			s.slot_valid = true;
		if (i->reg == DW_REG_RBX && i->base == DW_REG_RSP && i->disp == lj->save_pc &&
		    s.link_saved) {
			s.link_in_pc = true;
			s.link_toggled = s.link_masked = s.fetching = false;
			s.holders &= ~BIT(DW_REG_RBX);
			return s;
		}
		if ((i->reg == DW_REG_RBX && luajit_code__is_link(lj, i)) ||
		    (i->reg == DW_REG_RDX && luajit_code__is_l_base(lj, i))) {
			load(lj, i, &s);
			if (i->reg == DW_REG_RBX) {
				s.fetching = false;
				s.holders &= ~BIT(DW_REG_RBX);
			}
			return s;
		}
		break;
	case X86_CALL:
		call(lj, i, &s);
		return s;
	default:
		break;
	}
	if (luajit_state__fetches(i))
		s.fetching = true;
	if (writes & BIT(DW_REG_RBX)) {
		s.link_in_pc = s.entering = false;
		s.fetching = branches(i);
	}
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
