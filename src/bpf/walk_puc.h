/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Lua frames of one activation of PUC Lua's interpreter, luaV_execute.
 *
 * Each function on a Lua stack, Lua's or C's, has a CallInfo, and they are chained from the
 * innermost, L->ci. An activation's frames are those from there (or from where an inner activation
 * of the same L stopped) to the first Lua function that was entered from C, which its CallInfo says
 * (puc_build.boundary). Where luaV_execute has its L, and the position in the bytecode that the
 * innermost CallInfo may not have yet, was found by decoding it (vm/puc_flow.c) and comes with the
 * unwind rule.
 *
 * A coroutine that has yielded inside pcall or a metamethod and was resumed has Lua frames below
 * its outermost activation that run on no C frame (ldo.c, unroll): they are put where that
 * activation ends. A main thread cannot have such frames: there they mean that the Lua stack was
 * caught between two states, and the sample says so (LUA_ORDER).
 *
 * Layouts: struct puc_build; lstate.h, lobject.h, ldo.c, lvm.c of Lua 5.1 to 5.5.
 */
#ifndef LUASPY_WALK_PUC_H
#define LUASPY_WALK_PUC_H

#ifndef LUASPY_WALK_H
#error "included by walk.h"
#endif

#define PUC_GCT		   8	/* of every object: its type */
#define PUC_TYPE_THREAD	   8	/* LUA_TTHREAD */
#define PUC_TYPE_FUNCTION  6	/* LUA_TFUNCTION, and a Lua closure's */
#define PUC_VALUE_TYPE	   0x3f /* of a value's type: without the bit of collectable ones */
#define PUC_C_CLOSURE	   0x26 /* 5.2 and later */
#define PUC_LIGHT_FUNCTION 0x16 /* a C function without a closure (5.2 and later) */
#define PUC_IS_C	   10	/* 5.1: of a closure */
#define PUC_VALUE_SIZE	   16
#define PUC_EXTRA_STACK	   (5 * PUC_VALUE_SIZE)
#define PUC_L_TOP	   16 /* of a lua_State, in all releases; 5.1's base is behind it */
#define PUC_C_FUNCTION	   1  /* in BUILTIN frames, as LuaJIT's ffid of C functions */
#define PUC_STATE_SIZE	   104
#define PUC_CALL_SIZE	   72
#define PUC_PROTO_SIZE	   120
#define PUC_CLOSURE_SIZE   40 /* the first upvalue is behind it, or its own end (5.2) */

/* walk.puc_rest */
#define PUC_LEFT      1 /* frames that no activation has taken */
#define PUC_SUSPENDED 2 /* all frames of a coroutine that has yielded */

INLINE __u64 puc_word(const struct walk *w, __u32 offset)
{
	return *(const __u64 *)(w->scratch + (offset & 0x78));
}

INLINE __u32 puc_half(const struct walk *w, __u32 offset)
{
	return *(const __u32 *)(w->scratch + (offset & 0x7c));
}

INLINE int puc_on_stack(const struct walk *w, __u64 place)
{
	return place >= w->stack_low && place < w->stack_high;
}

/* Reads walk.L: its innermost CallInfo goes to walk.frame, the limits of its stack, the outermost
 * CallInfo to walk.bottom, its global_State to walk.g. Negative when it is no lua_State. */
SUBPROGRAM int puc_state_read(void)
{
	struct walk *w = walk_state();
	const struct puc_build *build;
	__u64 g, main, pair[2];

	if (!w)
		return -1;
	build = puc_at(w->puc - 1);
	if (!build || !w->L || w->L & 7 ||
	    bpf_probe_read_user(w->scratch, PUC_STATE_SIZE, (void *)w->L) != 0 ||
	    w->scratch[PUC_GCT] != PUC_TYPE_THREAD)
		return -1;
	g = puc_word(w, build->L_g);
	w->frame = puc_word(w, build->L_ci);
	w->stack_low = puc_word(w, build->L_stack);
	w->stack_high = puc_word(w, build->L_stack_last) + PUC_EXTRA_STACK;
	w->bottom = w->L + build->L_base_ci;
	w->limits_of = 0;
	w->puc_savedpc = 0;
	w->puc_replaced = 0;
	if (build->boundary == PUC_FRESH_CALLER) {
		w->bottom = puc_word(w, build->L_base_ci);
		w->puc_savedpc = puc_word(w, build->L_savedpc);
	}
	w->puc_top = w->frame;
	/* lstate.c's and ldo.c's correctstack: the stack first, or its top, and 5.1's base last. */
	w->puc_moving = !puc_on_stack(w, puc_word(w, PUC_L_TOP)) ||
			(build->L_savedpc && !puc_on_stack(w, puc_word(w, PUC_L_TOP + 8)));
	if (!g || g & 7 || !w->stack_low || w->stack_high <= w->stack_low)
		return -1;
	main = g + build->g_mainthread;
	if (!build->mainthread_inside &&
	    bpf_probe_read_user(&main, sizeof(main), (void *)main) != 0)
		return -1;
	/* The global_State is one if its main thread is one of its threads. */
	if (main != w->L && thread_vm(w->tid) != g) {
		if (bpf_probe_read_user(pair, sizeof(pair[0]), (void *)(main + build->L_g)) != 0 ||
		    pair[0] != g)
			return -1;
	}
	thread_vm_set(w->tid, g);
	w->puc_is_main = main == w->L;
	w->g = g;
	return 0;
}

#include "walk_puc_read.h"

/* ---- functions --------------------------------------------------------------------------------
 */

/* As chunk_hash, for PUC's strings. */
INLINE __u64 puc_chunk_hash(struct walk *w, const struct puc_build *build, __u64 string)
{
	struct chunk_memo *memo = &w->chunks[(string >> 4) & (CHUNK_MEMO - 1)];
	__u64 at = string + build->string_data, length, last = 0;
	__u32 half;

	if (!string)
		return 1; /* stripped */
	if (memo->string == string && memo->sample == w->sample)
		return memo->hash;
	if (bpf_probe_read_user(w->scratch, 32, (void *)string) != 0)
		return 0;
	length = puc_word(w, build->string_length);
	if (build->string_short_length) {
		half = w->scratch[build->string_short_length & 0x1f];
		if (build->string_is_pointer ? half < 0x80 : !(w->scratch[PUC_GCT] & 0x10))
			length = half;
		else if (build->string_is_pointer)
			at = puc_word(w, build->string_data);
	}
	if (bpf_probe_read_user(w->scratch, CHUNK_HASHED_SIZE, (void *)at) != 0)
		return 0;
	memo->string = string;
	memo->sample = w->sample;
	memo->hash = chunk_fingerprint(w->scratch, 0, (__u32)length);
	if (length > CHUNK_HASHED_SIZE &&
	    bpf_probe_read_user(&last, sizeof(last), (void *)(at + length - 8)) == 0)
		memo->hash = hash_mix(memo->hash, last);
	return memo->hash;
}

/* The identity of walk.proto, memorised within the sample; NULL when it is none. */
INLINE struct proto_memo *puc_identify(struct walk *w, const struct puc_build *build)
{
	__u64 proto = w->proto, chunk, lines, code;
	struct proto_memo *memo = &w->protos[(proto >> 4) & (PROTO_MEMO - 1)];
	__u32 count, first;

	if (memo->proto == proto && memo->sample == w->sample)
		return memo;
	if (bpf_probe_read_user(w->scratch, PUC_PROTO_SIZE, (void *)proto) != 0 ||
	    w->scratch[PUC_GCT] != build->proto_type)
		return NULL;
	count = puc_half(w, build->proto_size_code);
	first = puc_half(w, build->proto_first_line);
	lines = (__u64)(puc_half(w, build->proto_first_line + 4) - first) << 32 | first;
	code = puc_word(w, build->proto_code);
	chunk = puc_word(w, build->proto_source);
	memo->proto = proto;
	memo->sample = w->sample;
	memo->bytecode_count = count;
	memo->code = code;
	memo->id = proto_fingerprint(puc_chunk_hash(w, build, chunk), proto, lines, count,
				     w->record.tgid);
	return memo;
}

/* The index of the instruction before `pc`, or BCPOS_NONE. A function that has not begun is at its
 * first one. */
INLINE __u32 puc_position(const struct proto_memo *memo, __u64 pc)
{
	__u64 index = (pc - memo->code) >> 2;

	if (pc & 3 || pc < memo->code || index > memo->bytecode_count)
		return BCPOS_NONE;
	return index ? index - 1 : 0;
}

INLINE int puc_room(struct walk *w)
{
	if (w->lua_frames < MAX_LUA_FRAMES && w->words < MAX_WORDS - 3)
		return 0;
	w->stop = STOP_TRUNCATED;
	return -1;
}

/* Writes the frame of a C function that starts at `entry`. */
INLINE void puc_c_frame(struct walk *w, __u64 entry)
{
	const struct mapping *m;
	__u64 word = 0;

	w->lookup_pc = entry;
	if (entry && find_mapping() == 0) {
		m = mapping_at(w->mapping);
		if (m)
			word = frame_native(m->file_id, entry - m->bias);
	}
	emit(w, (__u64)FRAME_KIND_BUILTIN << FRAME_KIND_SHIFT | PUC_C_FUNCTION);
	emit(w, word);
}

/* ---- frames -----------------------------------------------------------------------------------
 */

#define PUC_GO_ON 0
#define PUC_END	  1 /* of the activation */
#define PUC_GONE  2 /* the frame's function: a result or an error's message stands in its place */

/* Up to 5.3: the opcode in front of a saved position, counted from OP_CALL; OP_TAILCALL and
 * OP_RETURN are behind that. */
#define PUC_RETURN 2
INLINE __u32 puc_opcode(struct walk *w, const struct puc_build *build, __u64 savedpc)
{
	__u32 instruction;

	if (lua_instruction(w, savedpc - 4, &instruction) != 0)
		return ~0u;
	return (instruction & 0x3f) - build->op_call;
}

/* Does the same activation run what this Lua function has called? Only call instructions do that.
 */
INLINE int puc_at_call(struct walk *w, const struct puc_build *build, __u64 savedpc)
{
	return puc_opcode(w, build, savedpc) < PUC_RETURN;
}

/* Writes the frame of a Lua function whose closure is walk.function. PUC_GO_ON, PUC_GONE or
 * negative. */
SUBPROGRAM int puc_lua_frame(void)
{
	struct walk *w = walk_state();
	const struct function_memo *known;
	const struct puc_build *build;
	struct proto_memo *memo;
	struct lua_place *place;
	__u32 position;

	if (!w)
		return -1;
	build = puc_at(w->puc - 1);
	if (!build || puc_room(w) != 0)
		return -1;
	known = puc_closure(w, build, w->function, PUC_TYPE_FUNCTION);
	if (!known)
		return PUC_GONE;
	w->proto = known->pc;
	memo = puc_identify(w, build);
	if (!memo)
		return PUC_GONE;
	position = BCPOS_NONE;
	if (w->puc_pc)
		position = puc_position(memo, w->puc_pc);
	w->puc_pc = 0;
	if (position == BCPOS_NONE)
		position = puc_position(memo, w->return_pc);
	/* It is another one: the result of one that is left; or its CallInfo is not up to date:
	 * while a Lua stack is moved its old place is free, and may be another VM's by now. */
	if (position == BCPOS_NONE)
		return PUC_GONE;
	emit(w, (__u64)FRAME_KIND_LUA << FRAME_KIND_SHIFT | position);
	emit(w, memo->id);
	place = lua_place(w->lua_frames);
	if (place) {
		place->proto = w->proto;
		place->puc = w->puc;
		place->function = w->function;
		place->base = w->frame_base;
	}
	w->lua_frames++;
	return PUC_GO_ON;
}

/* The frame's function is gone. The innermost one is being left (5.4 and later move its results
 * before they pop it): it is left out. */
INLINE int puc_gone(struct walk *w, __u64 ci, __u64 previous, __u32 ends)
{
	if (ci != w->puc_top || w->puc_rest)
		return lua_fail(w, LUA_FUNCTION);
	/* 5.1: the position was this one's (L->savedpc). Its caller has saved its own; and a tail
	 * call, which moves the function into its caller's place, has not put that right yet. */
	if (w->puc_savedpc)
		w->puc_pc = 0;
	w->frame = previous;
	return ends ? PUC_END : PUC_GO_ON;
}

/*
 * The CallInfo at walk.frame does not name a place on the Lua stack below its callee's. ldo.c makes
 * a CallInfo the innermost one first and fills it then, and until then it holds what malloc or an
 * earlier call has left there: it is left out, its function has not begun. What C calls has no
 * position in luaV_execute that would tell it (walk_puc_current.h).
 */
INLINE int puc_unfilled(struct walk *w, __u64 ci, __u64 func, __u64 previous)
{
	if (w->puc_rest || w->puc_moving)
		return lua_fail(w, LUA_FRAME_LINK);
	if (ci == w->puc_top && w->puc_func == ~0ull) {
		w->puc_top = 0; /* it is met once */
		w->frame = previous;
		return PUC_GO_ON;
	}
	if (ci != w->puc_second || !puc_on_stack(w, func) || func & 7)
		return lua_fail(w, LUA_FRAME_LINK);
	/* Its caller's is where it has its own. */
	w->words = w->puc_words;
	w->lua_frames = w->puc_lua;
	w->puc_func = ~0ull;
	w->puc_called = 0;
	w->puc_second = 0;
	return PUC_GO_ON;
}

/*
 * Writes the frame of the CallInfo at walk.frame and goes to its caller's. PUC_*, or negative on an
 * error. In 5.1 an activation ends before the CallInfo that shows it, which stays.
 */
SUBPROGRAM int puc_frame(void)
{
	struct walk *w = walk_state();
	const struct function_memo *known;
	const struct puc_build *build;
	__u64 ci, func, previous, value[2], entry, last_func;
	__u32 status = 0, is_lua, fresh = 0, tail, type;
	int result;

	if (!w)
		return -1;
	build = puc_at(w->puc - 1);
	if (!build)
		return -1;
	ci = w->frame;
	if (ci == w->bottom) {
		if (w->puc_rest || (w->puc_called && build->boundary == PUC_FRESH_CALLER))
			return PUC_END;
		return lua_fail(w, LUA_ORDER);
	}
	/* Over all activations: a forged chain must not hold the CPU. */
	if (++w->lua_links > 4 * MAX_LUA_FRAMES) {
		w->stop = STOP_TRUNCATED;
		return -1;
	}
	if (puc_call_read(w, ci) != 0)
		return lua_fail(w, LUA_READ_STACK);
	func = puc_stack_place(w, puc_word(w, build->ci_func));
	w->return_pc = puc_word(w, build->ci_savedpc);
	if (build->boundary == PUC_FRESH_CALLER) {
		previous = ci - build->ci_size;
		tail = puc_half(w, build->ci_tailcalls);
		/* L has the innermost one's; but for a moment the one's that has been left. */
		if (ci == w->puc_top && !w->puc_pc)
			w->puc_pc = w->puc_savedpc;
	} else {
		previous = puc_word(w, build->ci_previous);
		status = puc_half(w, build->ci_callstatus & ~3u) >> 8 * (build->ci_callstatus & 3);
		tail = status & build->ci_tail;
		/* ldebug.c, luaG_traceexec, and ldo.c, lua_yieldk: "protect stack below results" */
		if (build->ci_extra && (status & build->ci_tail << 1 ||
					(w->puc_rest == PUC_SUSPENDED && ci == w->puc_top)))
			func = w->stack_low + puc_word(w, build->ci_extra);
	}
	if (ci == w->puc_top && !w->puc_rest) {
		w->puc_second = previous;
		w->puc_words = w->words;
		w->puc_lua = w->lua_frames;
	}
	/* Callers stand below: this keeps a forged chain from being a circle. */
	last_func = w->puc_func;
	w->frame_base = func + PUC_VALUE_SIZE;
	if (build->ci_base != PUC_BASE_AT_FUNC)
		w->frame_base = puc_word(w, build->ci_base);
	if (!puc_on_stack(w, func) || func & 7 || func >= last_func)
		return puc_unfilled(w, ci, func, previous);
	if (puc_value_read(w, func, value) != 0)
		return lua_fail(w, LUA_READ_STACK);
	type = (__u32)value[1] & PUC_VALUE_TYPE;
	if (build->boundary == PUC_FRESH_CALLER) {
		is_lua = 0;
		if (type == PUC_TYPE_FUNCTION) {
			known = puc_closure(w, build, value[0], type);
			if (!known)
				return puc_gone(w, ci, previous, 0);
			is_lua = !known->ffid;
		}
		if (w->puc_called && !w->puc_rest &&
		    (!is_lua || !puc_at_call(w, build, w->return_pc)))
			return PUC_END;
	} else {
		is_lua = (status & build->ci_lua) == build->ci_lua_value;
		fresh = build->boundary == PUC_FRESH_ALL ||
			!(status & build->ci_fresh) == (build->boundary == PUC_FRESH_CLEAR) ||
			(w->puc_entered && ci == w->puc_top);
	}
	w->puc_func = func;
	w->puc_called = is_lua;
	if (!is_lua) {
		if (puc_room(w) != 0)
			return -1;
		/* While an error is handled its message stands where a function was, or is being
		 * put there: the value comes before the type. */
		if (type != PUC_LIGHT_FUNCTION && type != PUC_C_CLOSURE &&
		    (type != PUC_TYPE_FUNCTION || build->boundary != PUC_FRESH_CALLER))
			return puc_gone(w, ci, previous, 0);
		entry = value[0];
		if (type != PUC_LIGHT_FUNCTION) {
			known = puc_closure(w, build, value[0], type);
			if (!known)
				return puc_gone(w, ci, previous, 0);
			entry = known->pc;
		}
		puc_c_frame(w, entry);
		w->frame = previous;
		return PUC_GO_ON;
	}
	result = PUC_GONE;
	w->function = value[0];
	if (type == PUC_TYPE_FUNCTION)
		result = puc_lua_frame();
	if (result == PUC_GONE)
		return puc_gone(w, ci, previous, fresh);
	if (result != PUC_GO_ON)
		return result;
	/* (It is noted there an instruction later than its function is.) */
	if (tail || ci == w->puc_replaced)
		emit(w, (__u64)FRAME_KIND_TAIL_CALL << FRAME_KIND_SHIFT);
	w->frame = previous;
	return fresh && !w->puc_rest ? PUC_END : PUC_GO_ON;
}

/* A few of them; as puc_frame. */
SUBPROGRAM int puc_some_frames(void)
{
	int i, result = -1;

	for (i = 0; i < (int)FRAMES_BLOCK; i++) {
		result = puc_frame();
		if (result != PUC_GO_ON)
			break;
	}
	return result;
}

/* Writes the frames of an activation, or with walk.puc_rest those that are left. As puc_frame. */
INLINE int puc_frames(void)
{
	struct walk *w = walk_state();
	int i, result = -1;

	if (!w)
		return -1;
	w->puc_called = 0;
	w->puc_func = ~0ull;
	for (i = 0; i < (int)(4 * MAX_LUA_FRAMES); i += FRAMES_BLOCK) {
		result = puc_some_frames();
		if (result != PUC_GO_ON)
			break;
	}
	return result;
}

/* What a jump's distance as it is stored is too much, in bytes. */
INLINE __u64 puc_jump_bias(const struct puc_build *build)
{
	return 4ull * ((1ull << ((build->jump_bits - 1) & 31)) - 1);
}

/* Where luaV_execute is in its bytecode, as far as its rule tells; 0: it does not. */
INLINE __u64 puc_current_pc(struct walk *w, const struct unwind_rule *rule,
			    const struct puc_build *build)
{
	__u64 value = 0;
	__u32 reg = rule->vm_pc & 31;

	w->puc_ci = 0;
	/* OP_RETURN has saved its position; with the frame the caller's is put in its place. */
	if (rule->vm_flags & PUC_POPPING)
		return puc_opcode(w, build, w->puc_savedpc) == PUC_RETURN ? w->puc_savedpc : 1;
	if (rule->vm_pc != VM_NO_REG) {
		if (w->valid & 1u << reg)
			value = w->regs[reg];
		/* The position is in memory then. */
		if (rule->vm_pc_slot &&
		    (__u32)w->regs[rule->vm_pc_slot >> 4] == (rule->vm_pc_slot & 15))
			value = 0;
	} else if (rule->vm_pc_slot &&
		   stack_word(w, w->cfa - 8ull * rule->vm_pc_slot, &value) != 0) {
		value = 0;
	}
	/* Not known, but not in the function of L->ci. */
	if (!value)
		return !!(rule->vm_flags & PUC_POPPED);
	if (rule->vm_flags & PUC_PC_OF_CI) {
		w->puc_ci = value;
		if (bpf_probe_read_user(&value, sizeof(value),
					(void *)(value + build->ci_savedpc)) != 0)
			return 0;
	}
	if (rule->vm_flags & PUC_PC_FAR)
		value -= puc_jump_bias(build);
	switch (rule->vm_flags & (PUC_PC_NEXT | PUC_PC_PAST)) {
	case PUC_PC_NEXT:
		return value + 4;
	case PUC_PC_NEXT | PUC_PC_PAST:
		return value + 8;
	case PUC_PC_PAST:
		return value - 4;
	}
	return value;
}

#include "walk_puc_current.h"

/* ---- activations --------------------------------------------------------------------------- */

INLINE int puc_lost(struct walk *w)
{
	if (w->stop != STOP_TRUNCATED)
		emit(w, (__u64)FRAME_KIND_LUA_LOST << FRAME_KIND_SHIFT | (w->lua_error & 0xff));
	return 1;
}

/*
 * luaV_execute's frame of walk.rule and walk.cfa: writes its Lua frames. Returns 0 when it has
 * none (it is being left), so that the caller writes the native frame.
 */
SUBPROGRAM int puc_activation(void)
{
	struct walk *w = walk_state();
	const struct file_table *file;
	const struct unwind_rule *rule;
	const struct puc_build *build;
	__u32 index, reg, words;
	int result, is_new;

	if (!w)
		return 0;
	rule = rule_at(w->rule);
	file = file_at(w->file_id);
	if (!rule || !file || !file->puc || rule->vm_flags & PUC_NO_FRAME)
		return 0;
	build = puc_at(file->puc - 1);
	if (!build)
		return 0;
	w->puc = file->puc;
	w->activations++;
	reg = rule->vm_base_reg & 31;
	w->L = 0;
	if (rule->vm_base_reg != VM_NO_REG) {
		if (w->valid & 1u << reg)
			w->L = w->regs[reg];
	} else if (rule->cfa_offset2 &&
		   stack_word(w, w->cfa + (__s64)rule->cfa_offset2, &w->L) != 0) {
		w->L = 0;
	}
	coroutine_find();
	index = w->coroutine_index;
	if (puc_state_read() != 0) {
		lua_fail(w, LUA_READ_STATE);
		return puc_lost(w);
	}
	w->puc_pc = 0;
	w->puc_rest = 0;
	w->puc_entered = 0;
	if (index >= MAX_COROUTINES) {
		lua_fail(w, LUA_COROUTINES);
		return puc_lost(w);
	}
	is_new = index >= w->coroutines;
	if (!is_new) {
		w->frame = w->coroutine[index].next;
	} else {
		w->puc_pc = puc_current_pc(w, rule, build);
		w->coroutine[index].L = w->L;
		w->coroutine[index].bottom = ~0ull;
		w->coroutines = index + 1;
	}
	w->coroutine[index].puc = w->puc;
	w->coroutine[index].next = w->frame;
	if (!w->vm_state)
		w->vm_state = VM_STATE_INTERPRETED;
	words = w->words;
	w->coroutine[index].words = words;
	w->coroutine[index].lua = w->lua_frames;
	if (is_new && puc_find_current() != 0) {
		w->activations--;
		return 0;
	}
	result = puc_frames();
	w->coroutine[index].next = w->frame;
	w->coroutine[index].words = w->words;
	w->coroutine[index].lua = w->lua_frames;
	if (result < 0)
		return puc_lost(w);
	if (w->words > words)
		return 1;
	w->activations--; /* its only function is gone */
	return 0;
}

#include "walk_puc_left.h"

#endif
