/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Which function the innermost activation of PUC Lua's luaV_execute is in. L->ci names it, but for
 * the moments in which a function is being called, replaced by a tail call, or left: then the
 * CallInfo at L->ci may be half filled, or belong to another activation already. What luaV_execute
 * itself has in its registers (the unwind rule tells which) decides.
 */
#ifndef LUASPY_WALK_PUC_CURRENT_H
#define LUASPY_WALK_PUC_CURRENT_H

#ifndef LUASPY_WALK_PUC_H
#error "included by walk_puc.h"
#endif

/* What a CallInfo is, as far as can be told: of a function that is being called it holds what was
 * there before. */
#define PUC_CI_C     0
#define PUC_CI_HOLDS 1 /* a Lua function's, which has walk.puc_pc */
#define PUC_CI_OTHER 2 /* another Lua function's */

/* Looks at the CallInfo at walk.frame and goes to its caller's. PUC_CI_*, negative: none.
 */
SUBPROGRAM int puc_look(void)
{
	struct walk *w = walk_state();
	const struct puc_build *build;
	const struct function_memo *known;
	__u64 ci, func, previous, value[2], code;
	__u32 status, size;

	if (!w)
		return -1;
	build = puc_at(w->puc - 1);
	ci = w->frame;
	if (!build || ci == w->bottom || puc_call_read(w, ci) != 0)
		return -1;
	func = puc_stack_place(w, puc_word(w, build->ci_func));
	previous = puc_word(w, build->ci_previous);
	status = puc_half(w, build->ci_callstatus & ~3u) >> 8 * (build->ci_callstatus & 3);
	w->frame = build->boundary == PUC_FRESH_CALLER ? ci - build->ci_size : previous;
	if (puc_value_read(w, func, value) != 0)
		return PUC_CI_C;
	if (build->boundary != PUC_FRESH_CALLER && (status & build->ci_lua) != build->ci_lua_value)
		return PUC_CI_C;
	known = puc_closure(w, build, value[0], PUC_TYPE_FUNCTION);
	if (build->boundary == PUC_FRESH_CALLER && (!known || known->ffid))
		return PUC_CI_C;
	if (!known || bpf_probe_read_user(w->scratch, PUC_PROTO_SIZE, (void *)known->pc) != 0)
		return PUC_CI_OTHER;
	code = puc_word(w, build->proto_code);
	size = puc_half(w, build->proto_size_code);
	w->puc_begun = w->puc_pc != code;
	return w->puc_pc >= code && w->puc_pc <= code + 4ull * size ? PUC_CI_HOLDS : PUC_CI_OTHER;
}

/* Up to 5.3: is the CallInfo at walk.frame that of a Lua function at a call instruction? */
INLINE int puc_called_by_lua(struct walk *w, const struct puc_build *build)
{
	__u64 caller = w->frame, savedpc = 0, pc = w->puc_pc;
	int kind;

	if (bpf_probe_read_user(&savedpc, sizeof(savedpc), (void *)(caller + build->ci_savedpc)) !=
	    0)
		return 0;
	if (savedpc == pc) {
		w->puc_replaced = caller; /* already: a tail call */
		return 1;
	}
	w->puc_pc = savedpc;
	kind = puc_look();
	w->frame = caller;
	w->puc_pc = pc;
	return kind > PUC_CI_C && puc_at_call(w, build, savedpc);
}

/* The function that luaV_execute is in was popped. Was it the one entered from C? */
INLINE int puc_was_fresh(struct walk *w, const struct puc_build *build)
{
	__u64 next = 0;
	__u32 status = 0;
	int kind;

	if (build->boundary == PUC_FRESH_ALL)
		return 1;
	if (build->boundary == PUC_FRESH_CALLER) {
		w->frame = w->puc_top;
		kind = puc_look();
		/* (L->savedpc may still be the popped one's.) */
		return kind <= PUC_CI_C ||
		       bpf_probe_read_user(&next, sizeof(next),
					   (void *)(w->puc_top + build->ci_savedpc)) != 0 ||
		       !puc_at_call(w, build, next);
	}
	/* CallInfos are kept for the next call: the popped one is still what it was. */
	next = w->puc_ci;
	if (!next && bpf_probe_read_user(&next, sizeof(next),
					 (void *)(w->puc_top + build->ci_previous + 8)) != 0)
		return 0;
	if (!next || bpf_probe_read_user(&status, sizeof(status),
					 (void *)(next + (build->ci_callstatus & ~3u))) != 0)
		return 0;
	status >>= 8 * (build->ci_callstatus & 3);
	return (status & build->ci_lua) == build->ci_lua_value &&
	       !(status & build->ci_fresh) == (build->boundary == PUC_FRESH_CLEAR);
}

/* Does a C function run that this activation has called? luaV_execute calls luaD_precall, which
 * calls it, or calls it itself where the compiler has put the one into the other. */
INLINE int puc_in_c_function(struct walk *w)
{
	__u8 call = 0;

	if (w->native_frames != 2)
		return w->native_frames > 2;
	bpf_probe_read_user(&call, sizeof(call), (void *)(w->regs[DW_REG_RA] - 5));
	return call != 0xe8; /* not a call of a fixed address */
}

/*
 * Where luaV_execute is is not known: it is between two functions. A Lua function that it has been
 * asked to call, and that has not begun, is left out; while a tail call puts it in the place of its
 * caller it stands there twice. Not the one that the activation was entered for: it is all there
 * is.
 */
INLINE int puc_skip_unbegun(struct walk *w, const struct puc_build *build)
{
	__u64 ci = w->frame, savedpc = w->puc_savedpc;
	__u32 status = 0;

	if (build->boundary == PUC_FRESH_ALL)
		return 0;
	if (build->boundary != PUC_FRESH_CALLER) {
		if (bpf_probe_read_user(&savedpc, sizeof(savedpc),
					(void *)(ci + build->ci_savedpc)) != 0 ||
		    bpf_probe_read_user(&status, sizeof(status),
					(void *)(ci + (build->ci_callstatus & ~3u))) != 0)
			return 0;
		status >>= 8 * (build->ci_callstatus & 3);
		if (build->boundary == PUC_FRESH_SET && status & build->ci_fresh)
			return 0;
	}
	/* Is it at its first instruction? (Where a bit says that it was not entered from C, that
	 * is not set yet.) */
	w->puc_pc = savedpc;
	w->puc_begun = 1;
	if (puc_look() == PUC_CI_HOLDS && !w->puc_begun &&
	    ((build->boundary == PUC_FRESH_CLEAR && status & build->ci_fresh) || !build->op_call ||
	     puc_called_by_lua(w, build))) {
		w->puc_pc = 0;
		return 0;
	}
	/* Up to 5.3 luaV_execute itself sets the bit, which has no meaning yet. */
	w->puc_entered = !w->puc_begun;
	w->puc_pc = 0;
	w->frame = ci;
	return 0;
}

/*
 * Sets walk.frame to the CallInfo that the innermost activation's frames begin with: L->ci, unless
 * that is of a function that is being called and has not begun. Negative when the activation has no
 * frame: its last one has been popped already.
 */
SUBPROGRAM int puc_find_current(void)
{
	struct walk *w = walk_state();
	const struct puc_build *build;
	__u64 ci = 0, second = 0;
	int i, kind = -1, first = -1;

	if (!w)
		return 0;
	build = puc_at(w->puc - 1);
	if (!build)
		return 0;
	if (!w->puc_pc)
		return puc_skip_unbegun(w, build);
	for (i = 0; i < 8; i++) {
		ci = w->frame;
		kind = puc_look();
		if (!i) {
			first = kind;
			second = w->frame;
		}
		/* Better than a position, which callers in a recursion have as well. */
		if (w->puc_ci && kind >= 0)
			kind = ci == w->puc_ci	      ? PUC_CI_HOLDS
			       : kind == PUC_CI_HOLDS ? PUC_CI_OTHER
						      : kind;
		/* Only the innermost Lua function can be one that has not begun. */
		if (kind < 0 || kind == PUC_CI_HOLDS || (kind == PUC_CI_OTHER && i))
			break;
	}
	if (kind == PUC_CI_HOLDS && !i && !w->puc_begun) {
		w->frame = ci;
		return puc_skip_unbegun(w, build);
	}
	if (kind == PUC_CI_HOLDS) {
		if (first == PUC_CI_C && puc_in_c_function(w))
			ci = w->puc_top;
		else if (first != PUC_CI_C && i > 1)
			ci = second; /* a C function that calls one of Lua, which has not begun */
		w->frame = ci;
		return 0;
	}
	w->puc_pc = 0;
	kind = puc_was_fresh(w, build);
	w->frame = w->puc_top;
	return kind ? -1 : puc_skip_unbegun(w, build);
}

#endif
