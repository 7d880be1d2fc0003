/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * From a pc that no table covers back to the VM: compiled code (traces), and native code without
 * unwind information that was called from Lua. Both go on at the innermost activation of the VM
 * that runs on the thread, which its lua_State's cframe names.
 */
#ifndef LUASPY_WALK_LUAJIT_VM_H
#define LUASPY_WALK_LUAJIT_VM_H

#ifndef LUASPY_WALK_LUAJIT_H
#error "included by walk.h"
#endif

/* ---- the VM of a thread ------------------------------------------------------------------------
 */

#define VM_NONE	    (-1)
#define VM_FOUND    0
#define VM_COMPILED 1 /* found, and a trace runs */

/*
 * Is g the VM that runs here? Then sets walk.L (its cur_L), that one's stack, walk.activation to
 * its innermost activation above rsp, and walk.base to where its frames start. jit_base is only set
 * while a trace runs, and that is in the innermost activation of all: from a trace no other one
 * begins.
 */
SUBPROGRAM int vm_check(__u64 g)
{
	struct walk *w = walk_state();
	const struct luajit_build *build;
	__u64 cframe, of, rsp, base, jit_base, pair[2];
	int i;

	if (!w)
		return VM_NONE;
	build = build_at(w->vm - 1);
	rsp = w->regs[DW_REG_RSP];
	/* cur_L, and jit_base behind it. */
	if (!build || !g || g & 3 ||
	    bpf_probe_read_user(pair, w->gc64 ? 16 : 8, (void *)(g + build->cur_L)) != 0)
		return VM_NONE;
	w->L = w->gc64 ? pair[0] : (__u32)pair[0];
	jit_base = w->gc64 ? pair[1] : pair[0] >> 32;
	if (lua_state_read(w, &base, &cframe, &of) != 0 || of != g)
		return VM_NONE;
	/* Below rsp are activations that were made from within, by a finalizer for example. */
	for (i = 0; i < 8 && cframe && cframe <= rsp; i++) {
		if (cframe & 7 || bpf_probe_read_user(&cframe, sizeof(cframe),
						      (void *)(cframe + build->save_cframe)) != 0)
			return VM_NONE;
		cframe &= ~CFRAME_FLAGS;
	}
	if (cframe & 7 || cframe <= rsp || cframe - rsp > 1 << 20)
		return VM_NONE;
	w->activation = cframe;
	w->g = g;
	w->limits_of = w->L;
	if (jit_base && !i) {
		w->base = jit_base;
		return VM_COMPILED;
	}
	w->base = base;
	return VM_FOUND;
}

/* Is there an activation at rsp + offset? Then 1, and walk.candidate is its global_State. */
SUBPROGRAM int vm_try(__u32 offset)
{
	struct walk *w = walk_state();
	const struct luajit_build *build;
	__u64 at, L, cframe, g = 0;

	if (!w)
		return -1;
	build = build_at(w->vm - 1);
	if (!build)
		return -1;
	at = (w->regs[DW_REG_RSP] & ~7ull) + offset;
	if (stack_word(w, at + build->save_L, &L) != 0)
		return -1;
	if (!w->gc64)
		L = (__u32)L;
	if (L < 4096 || L & 7 || L >> 47)
		return 0;
	if (bpf_probe_read_user(&cframe, sizeof(cframe),
				(void *)(L + (w->gc64 ? GC64_L_CFRAME : GC32_L_CFRAME))) != 0 ||
	    (cframe & ~CFRAME_FLAGS) != at)
		return 0;
	bpf_probe_read_user(&g, w->gc64 ? 8 : 4,
			    (void *)(L + (w->gc64 ? GC64_L_GLREF : GC32_L_GLREF)));
	w->candidate = g;
	return g != 0;
}

/*
 * The VM of this thread: by the dispatch register, which GC64 reserves in traces; by what was seen
 * on the thread before; or, for a thread that only ever ran compiled code while it was watched, by
 * an activation among the next words of the C stack: it is one if its SAVE_L is a lua_State whose
 * cframe points back to it.
 */
SUBPROGRAM int vm_find(void)
{
	struct walk *w = walk_state();
	const struct luajit_build *build;
	int i, found;

	if (!w)
		return VM_NONE;
	build = build_at(w->vm - 1);
	if (!build)
		return VM_NONE;
	w->foreign = 0;
	if (w->gc64 && w->valid & 1u << DW_REG_R14) {
		found = vm_check(w->regs[DW_REG_R14] - (__s64)build->dispatch_from_g);
		if (found != VM_NONE)
			return found;
	}
	w->foreign = w->gc64;
	found = vm_check(thread_vm(w->tid));
	if (found != VM_NONE)
		return found;
	if (block_load(&w->stack, w->regs[DW_REG_RSP] & ~7ull, 256) != 0)
		return VM_NONE;
	for (i = 0; i < 192; i++) {
		if (vm_try(8 * i) > 0)
			break;
	}
	if (i == 192)
		return VM_NONE;
	found = vm_check(w->candidate);
	if (found != VM_NONE)
		thread_vm_set(w->tid, w->candidate);
	return found;
}

/*
 * The walk is stuck in native code: machine code that another compiler made at run time (PCRE's,
 * for one), or a file without unwind tables. If that code was called from the VM, the walk can go
 * on at the VM's activation, which L->cframe names, with a return address right below it. What lies
 * between is not known, and a SKIPPED frame says so. 0 when the walk goes on.
 */
SUBPROGRAM int vm_resume(void)
{
	struct walk *w = walk_state();
	const struct luajit_build *build;
	__u64 pc;

	if (!w || !w->vm)
		return -1;
	build = build_at(w->vm - 1);
	if (!build)
		return -1;
	w->gc64 = build->gc64;
	if (vm_find() != VM_FOUND)
		return -1;
	if (bpf_probe_read_user(&pc, sizeof(pc), (void *)(w->activation - 8)) != 0)
		return -1;
	/* It has to be the interpreter that made the call. */
	w->lookup_pc = pc - 1;
	if (find_mapping() != 0 || find_rule() != 0 || !rule_is_activation(w))
		return -1;
	emit(w, (__u64)FRAME_KIND_SKIPPED << FRAME_KIND_SHIFT);
	w->skipped = 1;
	w->stop = STOP_COUNT;
	w->regs[DW_REG_RSP] = w->activation;
	w->regs[DW_REG_RA] = pc;
	w->valid = 1u << DW_REG_RSP | 1u << DW_REG_RA;
	w->exact_pc = 0;
	return 0;
}

#include "walk_luajit_trace.h"

/* ---- compiled code -----------------------------------------------------------------------------
 */

/*
 * A pc in compiled code, in a trace's exit handler, or a return address there. The trace runs on
 * top of the interpreter's C frame of cur_L's innermost activation, which L->cframe names: so the
 * CFA needs neither the trace nor its stack adjustment (tests compare it with
 * rsp + 96 + spadjust). 0 when that activation was found, and walk.compiled, walk.base and
 * walk.coroutine_index are set; negative when this is no compiled code (nothing is changed then).
 */
SUBPROGRAM int trace_enter(void)
{
	struct walk *w = walk_state();
	const struct luajit_build *build;
	int found;

	if (!w || !w->vm)
		return -1;
	build = build_at(w->vm - 1);
	if (!build)
		return -1;
	w->gc64 = build->gc64;
	found = vm_find();
	if (found == VM_NONE)
		return -1;
	/* The exit handler has cleared jit_base at some point; anywhere else its absence means that
	 * this is another compiler's code. */
	if (found != VM_COMPILED && w->rule == RULE_ID_NONE)
		return -1;
	if (w->foreign && w->rule == RULE_ID_NONE) {
		/* A trace has called a C function that runs code made by another compiler. */
		emit(w, frame_address(w->lookup_pc));
		emit(w, (__u64)FRAME_KIND_SKIPPED << FRAME_KIND_SHIFT);
		w->skipped = 1;
	}
	w->activations++;
	w->compiled = found == VM_COMPILED;
	w->no_pc = 1;
	w->vm_flags = 0;
	w->vm_pc = VM_PC_CURRENT;
	w->link_override = 0;
	w->return_pc = 0;
	w->return_pc_soft = 0;
	w->first = 1;
	vm_state_read(w, build, w->g);
	coroutine_find();
	return 0;
}

/* Writes the Lua frames from walk.base on. */
SUBPROGRAM int trace_frames(void)
{
	struct walk *w = walk_state();
	__u32 index;

	if (!w)
		return -1;
	index = w->coroutine_index;
	if (index < w->coroutines) {
		if (coroutine_continue(w, index) == 0)
			lua_frames();
	} else if (coroutine_add(w, index) == 0) {
		if (lua_base_set(w, w->base) != 0)
			lua_fail(w, LUA_BASE);
		else
			lua_frames();
	}
	if (w->lua_error || w->stop == STOP_TRUNCATED)
		lua_lost(w);
	return 0;
}

/* Goes to the caller of the activation. */
SUBPROGRAM int trace_leave(void)
{
	struct walk *w = walk_state();
	const struct luajit_build *build;
	__u64 low, at;
	const __u8 *words;

	if (!w)
		return -1;
	build = build_at(w->vm - 1);
	if (!build)
		return -1;
	/* The interpreter's frame: rbp, rbx, r15, r14 below the CFA; r12 and r13 where BC_JLOOP put
	 * them before it entered the trace. */
	w->cfa = w->activation + build->frame_size;
	low = w->activation - (w->gc64 ? 8 : 0);
	if (block_load(&w->stack, low, w->cfa - low) != 0) {
		w->stop = STOP_TRUNCATED;
		return 0;
	}
	at = w->cfa - 40 - w->stack.start;
	low -= w->stack.start;
	barrier_var(at);
	barrier_var(low);
	if (at > BLOCK_SIZE - 40 || low > BLOCK_SIZE - 16) {
		w->stop = STOP_TRUNCATED;
		return 0;
	}
	words = w->stack.bytes + at;
	w->regs[DW_REG_R14] = load_u64(words);
	w->regs[DW_REG_R15] = load_u64(words + 8);
	w->regs[DW_REG_RBX] = load_u64(words + 16);
	w->regs[DW_REG_RBP] = load_u64(words + 24);
	w->regs[DW_REG_RA] = load_u64(words + 32);
	words = w->stack.bytes + low;
	w->regs[DW_REG_R12] = load_u64(words + (w->gc64 ? 8 : 0));
	w->regs[DW_REG_R13] = load_u64(words + (w->gc64 ? 0 : 8));
	w->regs[DW_REG_RSP] = w->cfa;
	w->valid = REGISTERS_KEPT;
	w->exact_pc = 0;
	return 0;
}

/* A frame of compiled code, whole: its Lua functions, and to its caller. Where it is none it ends
 * the walk. Directly below walk_user, because calls may be nested eight deep only. */
SUBPROGRAM int walk_trace(void)
{
	struct walk *w = walk_state();
	__u32 words, lua_frames, lua_error, coroutines;

	if (!w)
		return 1;
	if (trace_enter() != 0) {
		if (w->rule != RULE_ID_NONE) {
			emit(w, frame_native(w->file_id, w->vaddr));
			return walk_end(w, STOP_TRACE);
		}
		emit(w, frame_address(w->lookup_pc));
		w->unknown_pc = w->regs[DW_REG_RA];
		return walk_end(w, STOP_TRACE);
	}
	words = w->words;
	lua_frames = w->lua_frames;
	lua_error = w->lua_error;
	coroutines = w->coroutines;
	if (w->coroutine_index >= w->coroutines && (w->compiled || trace_at_exit() == 0)) {
		if (trace_inlined(w) == 0)
			trace_frames();
		if (w->lua_error != lua_error || w->coroutines == coroutines) {
			/* The snapshot does not fit the Lua stack: without what is inlined. */
			w->words = words;
			w->lua_frames = lua_frames;
			w->lua_error = lua_error;
			w->coroutines = coroutines;
			w->return_pc = 0;
			w->base_function = 0;
			w->first = 1;
			w->in_trace = TRACE_ESTIMATED;
			trace_frames();
		}
	} else {
		trace_frames();
	}
	w->in_trace = 0;
	trace_leave();
	return w->stop == STOP_TRUNCATED;
}

#endif
