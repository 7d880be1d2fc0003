/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Lua frames of one activation of LuaJIT: of its interpreter, or of compiled code.
 *
 * Each call of lj_vm_call and its kin puts one C frame (the activation, 80 bytes, holding L) on the
 * C stack and one boundary on L's Lua stack: a frame link of type C or CP, or the continuation of
 * an FFI callback. Walking from BASE, an activation's Lua frames are those down to and including
 * its boundary; the next outer activation of the same L goes on below it. Coroutines come out by
 * themselves, because each activation names its own L.
 *
 * Two facts keep this honest. Which register or field holds BASE at a given pc, and whether the
 * activation already (or still) has its boundary, was found by decoding the interpreter
 * (vm/luajit_flow.c) and comes with the unwind rule. And at the end of a complete walk every Lua
 * stack must have been used up exactly; if not, the sample says so (LUA_ORDER) and its Lua frames
 * are not shown.
 *
 * Frame formats: LuaJIT src/lj_frame.h; object layouts: luajit_layout.h. "frame" is the address of
 * the slot before BASE, as in LuaJIT's own code.
 */
#ifndef LUASPY_WALK_LUAJIT_H
#define LUASPY_WALK_LUAJIT_H

#ifndef LUASPY_WALK_H
#error "included by walk.h"
#endif

#include "luajit_layout.h"

/* Of a long loop the verifier goes through each round: so the frames of an activation are walked in
 * blocks of this many, each of them a subprogram's loop. 4 * MAX_LUA_FRAMES is a multiple. */
#define FRAMES_BLOCK 32u

/* ---- the Lua stack -------------------------------------------------------------------------- */

/* Makes lua_stack hold the slots around `frame`: up to 4 below it and the one it stands in. The
 * block ends there and reaches down, because that is the way the walk goes. */
INLINE int lua_stack_load(struct walk *w, __u64 frame)
{
	struct block *b = &w->lua_stack;
	__u64 low = frame - 32, high = frame + 8, start, size;

	if (low >= b->start && high <= b->start + b->size)
		return 0;
	if (low < w->stack_low)
		low = w->stack_low;
	start = high - BLOCK_SIZE;
	if (start < w->stack_low)
		start = w->stack_low;
	size = high - start;
	barrier_var(size);
	if (size > BLOCK_SIZE)
		return -1;
	b->start = start;
	b->size = size;
	if (bpf_probe_read_user(b->bytes, size, (void *)start) == 0)
		return 0;
	b->start = low;
	size = high - low;
	barrier_var(size);
	if (size > 64)
		return -1;
	b->size = size;
	if (bpf_probe_read_user(b->bytes, size, (void *)low) == 0)
		return 0;
	b->size = 0;
	return -1;
}

/* A 64-bit slot of the loaded block; 0 (never a valid link or function) outside it. */
INLINE __u64 lua_slot(struct walk *w, __u64 address)
{
	__u64 at = address - w->lua_stack.start;

	barrier_var(at);
	if (w->lua_stack.size < 8 || at > w->lua_stack.size - 8 || at > BLOCK_SIZE - 8)
		return 0;
	return load_u64(w->lua_stack.bytes + at);
}

INLINE int lua_fail(struct walk *w, __u32 error)
{
	if (!w->lua_error)
		w->lua_error = error;
	return -1;
}

#include "walk_luajit_function.h"

/* ---- frames -----------------------------------------------------------------------------------
 */

/* A bytecode instruction; the calls of a recursion are the same ones. */
INLINE int lua_instruction(struct walk *w, __u64 address, __u32 *instruction)
{
	struct instruction_memo *known = &w->instructions[(address >> 2) & (INSTRUCTION_MEMO - 1)];

	if (known->address != address || known->sample != w->sample) {
		if (bpf_probe_read_user(instruction, sizeof(*instruction), (void *)address) != 0)
			return -1;
		known->address = address;
		known->sample = w->sample;
		known->instruction = *instruction;
	}
	*instruction = known->instruction;
	return 0;
}

/*
 * A trace that goes over to another one, of a function that it has called, makes jit_base that
 * function's frame, right before it jumps. Is this frame, where the trace is said to have started
 * in another function, the innermost of those that its snapshot inlines?
 */
INLINE int lua_base_moved(const struct walk *w, __u64 function, __u64 link)
{
	const struct inlined_frame *innermost = &w->inlined[w->inlined_which & 1].frames[0];

	return w->base_function && w->base_function != function && innermost->object == function &&
	       innermost->link == link;
}

/* One frame of the Lua stack. 0 to go on, 1 at the activation's boundary or the stack's bottom
 * (walk.frame is then where the next activation continues), negative on an error. */
SUBPROGRAM int lua_frame(void)
{
	struct walk *w = walk_state();
	__u64 frame, link, slot, function, previous, continuation, size;
	__u32 instruction, dummy, type, kept;
	int boundary = 0;

	if (!w)
		return -1;
	/* Over all activations: a forged stack must not hold the CPU. */
	if (++w->lua_links > 4 * MAX_LUA_FRAMES) {
		w->stop = STOP_TRUNCATED;
		return -1;
	}
	frame = w->frame;
	if (frame <= w->bottom)
		return 1;
	if (lua_stack_load(w, frame) != 0)
		return lua_fail(w, LUA_READ_STACK);
	slot = lua_slot(w, frame);
	if (w->gc64) {
		link = slot;
		slot = lua_slot(w, frame - 8);
		function = slot & GC64_ADDRESS_MASK;
		dummy = slot >> GC64_TAG_SHIFT == GC64_TAG_THREAD;
		if (!dummy && slot >> GC64_TAG_SHIFT != GC64_TAG_FUNCTION) {
			if (!(w->vm_flags & (VM_FUNC_GONE | VM_LINK_SAVED)))
				return lua_fail(w, LUA_FUNCTION);
			w->vm_flags |= VM_FUNC_GONE;
		}
	} else {
		link = slot >> 32;
		function = (__u32)slot;
		dummy = function == w->L;
	}
	if (w->link_override) {
		link = w->link_override;
		w->link_override = 0;
	}
	type = link & LINK_TYPE_P;

	/*
	 * A vararg function has two frames: the inner one, of type VARG, is a copy of the outer;
	 * the outer is written. Dummy frames stand where an error message was made for an operator.
	 * A frame that is being left may have lost its function to the first result.
	 */
	if (lua_base_moved(w, function, link))
		return lua_fail(w, LUA_FUNCTION);
	if ((type & LINK_TYPE) != LINK_VARG && !dummy && !(w->vm_flags & VM_FUNC_GONE)) {
		w->function = w->base_function ? w->base_function : function;
		w->frame_base = w->vararg_base ? w->vararg_base : frame + 8;
		w->vararg_base = 0;
		if (lua_function() < 0)
			return -1;
		w->return_pc = 0;
		w->base_function = 0;
		w->in_trace = 0;
	}
	/* The pc that a vararg function's callee returns to belongs to the outer frame as well. */
	kept = (type & LINK_TYPE) == LINK_VARG;
	if (kept)
		w->vararg_base = frame + 8;
	w->vm_flags &= ~(VM_FUNC_GONE | VM_LINK_SAVED); /* those of the top frame */

	if ((type & LINK_TYPE) == LINK_LUA) {
		if (lua_instruction(w, link - 4, &instruction) != 0)
			return lua_fail(w, LUA_FRAME_LINK);
		size = 8 * (1 + (w->gc64 ? 1 : 0) + (instruction >> 8 & 0xff));
		w->return_pc = link;
		w->return_pc_soft = 0;
		w->first = 0;
	} else {
		size = link & ~(__u64)LINK_TYPE_P;
		if (!kept)
			w->return_pc = 0;
		if (type == LINK_C || type == LINK_CP)
			boundary = 1;
		if (type == LINK_CONT) {
			if (w->gc64) {
				continuation = lua_slot(w, frame - 24);
				w->return_pc = lua_slot(w, frame - 16);
			} else {
				continuation = lua_slot(w, frame - 8);
				w->return_pc = continuation >> 32;
				continuation = (__u32)continuation;
			}
			w->return_pc_soft = 1;
			if (continuation == CONT_FFI_CALLBACK) {
				boundary = 1;
				w->return_pc = 0;
			}
		}
		if (!kept)
			w->first = 0;
	}
	previous = frame - size;
	if (!size || size & 7 || size > frame - w->stack_low || previous < w->stack_low)
		return lua_fail(w, LUA_FRAME_LINK);
	w->frame = previous;
	return boundary;
}

/* What the VM does, for the innermost activation. */
INLINE void vm_state_read(struct walk *w, const struct luajit_build *build, __u64 g)
{
	__s32 state;

	if (w->vm_state ||
	    bpf_probe_read_user(&state, sizeof(state), (void *)(g + build->vmstate)) != 0)
		return;
	w->g = g;
	if (state >= 0)
		w->vm_state = VM_STATE_COMPILED;
	else if (~state <= VMST_ASM)
		w->vm_state = VM_STATE_INTERPRETED + ~state;
}

/* A few frames of an activation; as lua_frame. */
SUBPROGRAM int lua_some_frames(void)
{
	int i, result = 0;

	for (i = 0; i < (int)FRAMES_BLOCK; i++) {
		result = lua_frame();
		if (result)
			break;
	}
	return result;
}

/* Walks the frames of the activation from walk.frame on; the rest is kept for the next activation
 * of the same L in walk.coroutine_index. Negative on an error. */
INLINE int lua_frames(void)
{
	struct walk *w = walk_state();
	int i, result = 0;
	__u32 index;

	if (!w)
		return -1;
	index = w->coroutine_index;

	for (i = 0; i < (int)(4 * MAX_LUA_FRAMES); i += FRAMES_BLOCK) {
		result = lua_some_frames();
		if (result)
			break;
	}
	if (result == 0) {
		w->stop = STOP_TRUNCATED;
		return -1;
	}
	if (index < MAX_COROUTINES)
		w->coroutine[index].next = result < 0 ? 0 : w->frame;
	/* The main thread's lua_State stands right before the global_State (lj_dispatch.h,
	 * GG_State). */
	if (w->with_coroutines && result > 0 && w->frame <= w->bottom && w->g - w->L > 0x100)
		emit(w, (__u64)FRAME_KIND_COROUTINE << FRAME_KIND_SHIFT);
	return result > 0 ? 0 : -1;
}

/* Sets walk.coroutine_index to the entry of walk.L among the coroutines met, or to their number
 * when it is new. */
SUBPROGRAM int coroutine_find(void)
{
	struct walk *w = walk_state();
	__u32 i;

	if (!w)
		return -1;
	for (i = 0; i < MAX_COROUTINES; i++) {
		if (i >= w->coroutines || w->coroutine[i].L == w->L)
			break;
	}
	w->coroutine_index = i;
	return 0;
}

/*
 * Reads the lua_State of walk.L and sets the limits of its stack. *base is its L->base, *cframe its
 * raw innermost C frame, *g its global_State.
 */
INLINE int lua_state_read(struct walk *w, __u64 *base, __u64 *cframe, __u64 *g)
{
	__u64 stack, maxstack;
	__u8 *bytes = w->scratch;
	__u32 gct;

	w->limits_of = 0;
	if (!w->L || w->L & 3 || bpf_probe_read_user(bytes, L_SIZE, (void *)w->L) != 0)
		return -1;
	if (w->gc64) {
		gct = bytes[GC64_GCT];
		*g = *(__u64 *)(bytes + GC64_L_GLREF);
		*base = *(__u64 *)(bytes + GC64_L_BASE);
		stack = *(__u64 *)(bytes + GC64_L_STACK);
		maxstack = *(__u64 *)(bytes + GC64_L_MAXSTACK);
		*cframe = *(__u64 *)(bytes + GC64_L_CFRAME) & ~CFRAME_FLAGS;
		w->bottom = stack + 8;
	} else {
		gct = bytes[GC32_GCT];
		*g = *(__u32 *)(bytes + GC32_L_GLREF);
		*base = *(__u32 *)(bytes + GC32_L_BASE);
		stack = *(__u32 *)(bytes + GC32_L_STACK);
		maxstack = *(__u32 *)(bytes + GC32_L_MAXSTACK);
		*cframe = *(__u64 *)(bytes + GC32_L_CFRAME) & ~CFRAME_FLAGS;
		w->bottom = stack;
	}
	if (gct != GCT_THREAD || !stack || stack & 7 || maxstack <= stack)
		return -1;
	w->status = bytes[w->gc64 ? GC64_L_STATUS : GC32_L_STATUS];
	w->stack_low = stack;
	/* maxstack leaves out the extra slots that a frame being set up may use (LJ_STACK_EXTRA).
	 */
	w->stack_high = maxstack + 64;
	return 0;
}

INLINE int lua_base_set(struct walk *w, __u64 base)
{
	if (base & 7 || base <= w->stack_low || base > w->stack_high)
		return -1;
	w->frame = base - 8;
	return 0;
}

/* Goes to where an earlier (inner) activation of the same L stopped. */
INLINE int coroutine_continue(struct walk *w, __u32 index)
{
	__u64 base, cframe, g;

	if (index >= MAX_COROUTINES)
		return lua_fail(w, LUA_READ_STATE);
	/* Mostly the one before was of the same L, which stands still. */
	if (w->limits_of != w->L) {
		if (lua_state_read(w, &base, &cframe, &g) != 0)
			return lua_fail(w, LUA_READ_STATE);
		w->g = g;
		w->limits_of = w->L;
	}
	w->frame = w->coroutine[index].next;
	/* Nothing left for this activation: an inner one was given its frames. */
	if (w->frame <= w->bottom)
		return lua_fail(w, LUA_ORDER);
	w->link_override = 0;
	w->return_pc = 0;
	w->first = 1;
	w->vm_flags &= ~(VM_FUNC_GONE | VM_LINK_IN_PC | VM_LINK_SAVED);
	w->vm_pc = VM_PC_CURRENT;
	return 0;
}

INLINE int coroutine_add(struct walk *w, __u32 index)
{
	if (index >= MAX_COROUTINES)
		return lua_fail(w, LUA_COROUTINES);
	w->coroutine[index].L = w->L;
	w->coroutine[index].puc = 0;
	w->coroutine[index].next = 0;
	w->coroutine[index].bottom = w->bottom;
	w->coroutines = index + 1;
	return 0;
}

INLINE int lua_lost(struct walk *w)
{
	if (w->stop == STOP_TRUNCATED)
		return 1;
	emit(w, (__u64)FRAME_KIND_LUA_LOST << FRAME_KIND_SHIFT | (w->lua_error & 0xff));
	return 1;
}

INLINE int rule_is_activation(struct walk *w)
{
	const struct unwind_rule *rule = rule_at(w->rule);

	return rule && rule->flags & RULE_LUAJIT;
}

/*
 * The activation is being left: its boundary is gone, but L->base is not yet the caller's BASE.
 * Says where the next outer activation of its L has to go on.
 */
INLINE void lua_leave(struct walk *w, const struct luajit_build *build, __u32 where)
{
	__u64 L, base, cframe, g, rbx = w->regs[DW_REG_RBX], rdx = w->regs[DW_REG_RDX];

	if (stack_word(w, w->activation + build->save_L, &L) != 0)
		return;
	w->L = w->gc64 ? L : (__u32)L;
	if (lua_state_read(w, &base, &cframe, &g) != 0)
		return;
	if (where == VM_CALLER_BELOW)
		base = rdx - (rbx & ~(__u64)LINK_TYPE_P);
	else if (where == VM_CALLER_IN_BASE)
		base = rdx;
	else
		base = where == VM_CALLER_NEGATED ? -rbx : rbx;
	if (!w->gc64)
		base = (__u32)base;
	if (lua_base_set(w, base) != 0 || coroutine_add(w, 0) != 0)
		return;
	w->coroutine[0].next = w->frame;
}

/* Several in a row are possible (the JIT compiler's protected calls), of which L names one: this
 * keeps the innermost, as the lower end. */
INLINE void lua_no_frame(struct walk *w)
{
	if (!w->no_frame_activation)
		w->no_frame_activation = w->activation;
}

/* An FFI callback's frame is made and dropped by C functions, called by the activation that it
 * belongs to. Is it there, at L->base? */
INLINE int lua_in_callback(struct walk *w, const struct luajit_build *build)
{
	__u64 L, base, cframe, g, slots[3], continuation, link;

	if (stack_word(w, w->activation + build->save_L, &L) != 0)
		return 0;
	w->L = w->gc64 ? L : (__u32)L;
	if (lua_state_read(w, &base, &cframe, &g) != 0 || cframe != w->activation ||
	    bpf_probe_read_user(slots, sizeof(slots), (void *)(base - (w->gc64 ? 32 : 24))) != 0)
		return 0;
	link = slots[2];
	continuation = slots[0];
	if (w->gc64) {
		if (bpf_probe_read_user(&link, sizeof(link), (void *)(base - 8)) != 0)
			return 0;
	} else {
		continuation = (__u32)slots[1];
		link >>= 32;
	}
	return (link & LINK_TYPE_P) == LINK_CONT && continuation == CONT_FFI_CALLBACK;
}

/*
 * To stitch traces, the recorder moves a C function's frame up by three slots and back
 * (lj_ffrecord.c, recff_stitch). In between, what stands at L->base is not what it is taken for:
 * the link is the address of the continuation, or the continuation's slot holds an argument or a
 * link. With GC32 such a frame's function and link cannot both be taken for some.
 */
INLINE int lua_frame_is_moving(struct walk *w, const struct luajit_build *build)
{
	__u64 start = build->interpreter_start + w->lookup_pc - w->vaddr, link, continuation;
	__u64 size = build->interpreter_end - build->interpreter_start;

	if (!w->gc64 || lua_stack_load(w, w->frame) != 0)
		return 0;
	/* (A built-in's results may stand in the place of its link.) */
	link = w->link_override ? w->link_override : lua_slot(w, w->frame);
	if (link - start < size)
		return 1;
	continuation = lua_slot(w, w->frame - 24);
	return (link & LINK_TYPE_P) == LINK_CONT && continuation > CONT_FFI_CALLBACK &&
	       continuation - start >= size;
}

/*
 * The interpreter's frame of walk.rule and walk.cfa: writes its Lua frames. Returns 0 when it has
 * none (it is being entered or left), so that the caller writes the native frame.
 */
SUBPROGRAM int lua_activation(void)
{
	struct walk *w = walk_state();
	const struct luajit_build *build;
	const struct unwind_rule *rule;
	const struct file_table *file;
	__u64 base, cframe, g, L;
	__u32 index, type, reg;

	/* Without w->vm the process's Lua frames are not wanted: user space has found that what is
	 * known of its LuaJIT cannot be right. */
	if (!w || !w->vm)
		return 0;
	rule = rule_at(w->rule);
	file = file_at(w->file_id);
	if (!rule || !file || !file->vm)
		return 0;
	build = build_at(file->vm - 1);
	if (!build)
		return 0;
	w->activation = w->cfa - build->frame_size;
	w->gc64 = build->gc64;
	w->vm = file->vm;
	w->vm_flags = rule->vm_flags;
	w->vm_pc = rule->vm_pc;
	w->compiled = 0;
	w->no_pc = 0;
	if (w->vm_flags & VM_NO_FRAME && !(w->vm_flags & VM_L_BASE && lua_in_callback(w, build))) {
		lua_no_frame(w);
		/* Only the innermost activation can be at such a pc: there is no call among them.
		 */
		if (rule->vm_base_reg != VM_NO_REG && !w->coroutines)
			lua_leave(w, build, rule->vm_base_reg);
		return 0;
	}
	if (w->vm_flags & VM_ENTRY_CHECK && w->valid & 1u << DW_REG_RBX) {
		type = w->regs[DW_REG_RBX] & LINK_TYPE_P;
		if (type == LINK_C || type == LINK_CP) {
			lua_no_frame(w);
			return 0;
		}
	}
	w->activations++;
	if (block_load(&w->stack, w->activation, build->frame_size) != 0 ||
	    stack_word(w, w->activation + build->save_L, &L) != 0) {
		lua_fail(w, LUA_READ_STATE);
		return lua_lost(w);
	}
	w->L = w->gc64 ? L : (__u32)L;
	coroutine_find();
	index = w->coroutine_index;
	if (index < w->coroutines) {
		if (coroutine_continue(w, index) != 0)
			return lua_lost(w);
		lua_frames();
		return w->lua_error || w->stop == STOP_TRUNCATED ? lua_lost(w) : 1;
	}
	if (lua_state_read(w, &base, &cframe, &g) != 0) {
		lua_fail(w, LUA_READ_STATE);
		return lua_lost(w);
	}
	/* A coroutine that yields clears its cframe before it leaves. */
	if (cframe != w->activation && !(!cframe && w->status == L_STATUS_YIELD) &&
	    !(w->no_frame_activation && cframe >= w->no_frame_activation &&
	      cframe < w->activation)) {
		/*
		 * An error is thrown through this activation: the C unwinder still looks at its C
		 * frame, but L is back at the activation that catches the error, or a coroutine
		 * that dies is at none. So this one has no Lua frames any more.
		 */
		if (w->vm_flags & VM_L_BASE && (!cframe || cframe > w->activation)) {
			w->thrown_to = cframe;
			w->activations--;
			return 0;
		}
		lua_fail(w, LUA_CFRAME);
		return lua_lost(w);
	}
	if (cframe == w->thrown_to)
		w->thrown_to = 0;
	w->no_frame_activation = 0;
	thread_vm_set(w->tid, g);
	vm_state_read(w, build, g);
	w->g = g;
	w->limits_of = w->L;
	if (coroutine_add(w, index) != 0)
		return lua_lost(w);

	reg = rule->vm_base_reg & 31;
	if (!(w->vm_flags & VM_L_BASE)) {
		if (rule->vm_base_reg == VM_NO_REG || !(w->valid & 1u << reg)) {
			lua_fail(w, LUA_BASE);
			return lua_lost(w);
		}
		base = w->regs[reg];
		if (!w->gc64)
			base = (__u32)base;
	}
	if (lua_base_set(w, base) != 0) {
		lua_fail(w, LUA_BASE);
		return lua_lost(w);
	}
	w->link_override = 0;
	if (w->vm_flags & VM_LINK_IN_PC) {
		if (!(w->valid & 1u << DW_REG_RBX)) {
			lua_fail(w, LUA_FRAME_LINK);
			return lua_lost(w);
		}
		w->link_override = w->gc64 ? w->regs[DW_REG_RBX] : (__u32)w->regs[DW_REG_RBX];
		if (w->vm_flags & VM_LINK_MASKED)
			w->link_override |= w->vm_flags & VM_LINK_TOGGLED ? LINK_CONT : LINK_PCALL;
		else if (w->vm_flags & VM_LINK_TOGGLED)
			w->link_override ^= 1;
	} else if (w->vm_flags & VM_LINK_SAVED) {
		if (stack_word(w, w->activation + SAVE_PC_WORD, &w->link_override) != 0) {
			lua_fail(w, LUA_FRAME_LINK);
			return lua_lost(w);
		}
		if (!w->gc64)
			w->link_override >>= 32;
	}
	if (w->vm_flags & VM_L_BASE && lua_frame_is_moving(w, build)) {
		lua_fail(w, LUA_FRAME_LINK);
		return lua_lost(w);
	}
	w->return_pc = 0;
	w->vararg_base = 0;
	w->first = 1;
	lua_frames();
	return w->lua_error || w->stop == STOP_TRUNCATED ? lua_lost(w) : 1;
}

#endif
