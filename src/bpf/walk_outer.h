/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The outermost C frames of a thread stay where they are from one sample to the next: from main to
 * the event loop, and on to where Lua is entered. They are two thirds of a walk's C frames. So
 * those of a walk that has ended well are kept, and where a later walk comes to one of them, all
 * from there on are taken from what was kept.
 *
 * That is no guess. What unwinding a frame depends on is its pc, its stack pointer, its frame
 * pointer if the CFA is found by that, and two words of the stack: the return address, and the
 * caller's frame pointer if it is saved there. All of these are compared with what they were. Only
 * frames of which that is true are kept: no activation of a VM, no signal's frame, none without
 * unwind tables. The mappings have to be the same as well (`generation`).
 *
 * Kept from the outermost one inwards, so that walks that part further in share what is outside.
 */
#ifndef LUASPY_WALK_OUTER_H
#define LUASPY_WALK_OUTER_H

#ifndef LUASPY_WALK_H
#error "included by walk.h"
#endif

/* Does `address`, a word of the C stack, still hold `value`? */
INLINE int outer_same(struct walk *w, __u64 address, __u64 value)
{
	__u64 at;

	if (block_load(&w->stack, address, 8) != 0)
		return 0;
	at = address - w->stack.start;
	barrier_var(at);
	return at <= BLOCK_SIZE - 8 && load_u64(w->stack.bytes + at) == value;
}

/* Writes the kept frame `at`, the i-th of those that are taken, if it is as it was. 0 when it did,
 * 1 when there is no such frame, negative when it has changed. */
SUBPROGRAM int outer_take_one(__u32 at, __u32 i)
{
	struct walk *w = walk_state();
	struct outer_frames *outer = w ? outer_frames(w->tid) : NULL;
	const struct outer_frame *f;
	__u32 inner = at + 1, rbp_below;

	if (!outer || at >= OUTER_FRAMES)
		return 1;
	barrier_var(at); /* masked where it is used, for the verifier */
	f = &outer->frames[at & (OUTER_FRAMES - 1)];
	barrier_var(inner);
	if (i && inner < OUTER_FRAMES) {
		rbp_below = outer->frames[inner & (OUTER_FRAMES - 1)].rbp_below;
		if (!outer_same(w, f->rsp - 8, f->pc) ||
		    (f->needs_rbp && rbp_below && !outer_same(w, f->rsp - rbp_below, f->rbp)))
			return -1;
	}
	emit(w, f->word);
	return 0;
}

/* Writes the kept frame `from` and those outside of it, if all are as they were; else none. Returns
 * whether it did. */
SUBPROGRAM int outer_take(__u32 from)
{
	struct walk *w = walk_state();
	__u32 i, words;
	int taken;

	if (!w)
		return 0;
	words = w->words;
	for (i = 0; i < OUTER_FRAMES; i++) {
		taken = outer_take_one(from - i, i);
		if (taken < 0) {
			w->words = words;
			return 0;
		}
		if (taken > 0)
			break; /* that was the outermost one */
	}
	w->native_frames += i - 1; /* one was counted */
	return 1;
}

/* At a frame that has made a call: is it kept? Then it and those outside of it are written, and
 * this is whether it did. */
SUBPROGRAM int outer_known(void)
{
	struct walk *w = walk_state();
	struct outer_frames *outer = w ? outer_frames(w->tid) : NULL;
	const struct outer_frame *f = NULL;
	__u64 rsp;
	__u32 i, at;

	if (!outer)
		return 0;
	rsp = w->regs[DW_REG_RSP];
	for (i = 0; i < OUTER_FRAMES; i++) {
		at = w->outer_left - 1;
		if (at >= OUTER_FRAMES)
			return 0;
		barrier_var(at);
		f = &outer->frames[at & (OUTER_FRAMES - 1)];
		if (f->rsp >= rsp)
			break;
		w->outer_left = at;
	}
	w->outer_rsp = f->rsp;
	if (f->rsp != rsp || f->pc != w->regs[DW_REG_RA])
		return 0;
	if (f->needs_rbp && (!(w->valid & 1u << DW_REG_RBP) || f->rbp != w->regs[DW_REG_RBP]))
		return 0;
	if (w->native_frames + OUTER_FRAMES < MAX_NATIVE_FRAMES &&
	    w->words + OUTER_FRAMES < MAX_WORDS - 2 && outer_take(w->outer_left - 1))
		return 1;
	/* Some frame further out has changed: not each frame on the way is worth a comparison. */
	w->outer_left /= 2;
	return 0;
}

/* Notes the frame of walk.rule, the `run`-th in a row that can be kept; it has been unwound from
 * rsp, pc and rbp. */
INLINE void outer_note(struct walk *w, const struct unwind_rule *rule, __u32 run, __u64 rsp,
		       __u64 pc, __u64 rbp)
{
	struct outer_frames *outer = outer_frames(w->tid);
	struct outer_frame *f;

	if (!outer || run >= OUTER_FRAMES)
		return;
	barrier_var(run); /* masked where it is used, for the verifier */
	f = &outer->run[run & (OUTER_FRAMES - 1)];
	f->rsp = rsp;
	f->pc = pc;
	f->rbp = rbp;
	f->word = frame_native(w->file_id, w->vaddr);
	f->needs_rbp = rule->cfa_kind == CFA_REG && rule->cfa_reg == DW_REG_RBP;
	f->rbp_below =
		rule->saved_base[SAVED_RBP] == BASE_CFA ? (__u32)-rule->saved_offset[SAVED_RBP] : 0;
	w->outer_run = run + 1;
}

/* Can a frame with this rule be kept, if it has made a call? */
INLINE int outer_may_keep(const struct unwind_rule *rule)
{
	return rule->flags & RULE_SIMPLE && rule->saved_offset[SAVED_RA] == -8 &&
	       rule->cfa_kind == CFA_REG &&
	       (rule->cfa_reg == DW_REG_RSP || rule->cfa_reg == DW_REG_RBP);
}

/* Before a walk. */
INLINE void outer_begin(struct walk *w)
{
	struct outer_frames *outer = outer_frames(w->tid);

	w->outer_run = 0;
	w->outer_left = 0;
	w->outer_rsp = ~0ull;
	if (outer && outer->tgid == w->record.tgid && outer->generation == w->generation &&
	    outer->count - 1 < OUTER_FRAMES) {
		w->outer_left = outer->count;
		w->outer_rsp = outer->frames[outer->count - 1].rsp;
	}
}

/* Keeps the frame `from` of the last run as frame `to`. Does it need its frame pointer? */
SUBPROGRAM int outer_keep_one(__u32 from, __u32 to, __u32 needs_rbp)
{
	struct walk *w = walk_state();
	struct outer_frames *outer = w ? outer_frames(w->tid) : NULL;
	struct outer_frame *f;

	if (!outer || from >= OUTER_FRAMES || to >= OUTER_FRAMES)
		return 0;
	barrier_var(from); /* masked where they are used, for the verifier */
	barrier_var(to);
	f = &outer->run[from & (OUTER_FRAMES - 1)];
	/* Its caller's frame pointer is its own, where it does not save that. */
	needs_rbp = f->needs_rbp || (needs_rbp && !f->rbp_below);
	to &= OUTER_FRAMES - 1;
	outer->frames[to] = *f;
	outer->frames[to].needs_rbp = needs_rbp;
	return (int)needs_rbp;
}

/*
 * The walk has come to its end by frames that can be kept: those of the last run, and outside of
 * them, if `taken`, the first walk.outer_left that are kept already. Fewer than are kept replace
 * them only when that has been so for a while.
 */
SUBPROGRAM int outer_keep(__u32 taken)
{
	struct walk *w = walk_state();
	struct outer_frames *outer = w ? outer_frames(w->tid) : NULL;
	__u32 i, from, needs_rbp = 0, base, run;

	if (!outer)
		return 0;
	base = taken ? w->outer_left : 0;
	run = w->outer_run;
	if (!run || base + run > OUTER_FRAMES)
		return 0;
	if (taken && base + run < outer->count && ++outer->passed_over < 16)
		return 0;
	outer->passed_over = 0;
	from = base - 1;
	if (base && from < OUTER_FRAMES) {
		barrier_var(from);
		needs_rbp = outer->frames[from & (OUTER_FRAMES - 1)].needs_rbp;
	}
	for (i = 0; i < OUTER_FRAMES; i++) {
		if (i >= run)
			break;
		needs_rbp = (__u32)outer_keep_one(run - 1 - i, base + i, needs_rbp);
	}
	outer->tgid = w->record.tgid;
	outer->generation = w->generation;
	outer->count = base + run;
	return 0;
}

#endif
