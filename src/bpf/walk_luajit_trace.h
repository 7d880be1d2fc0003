/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The functions that were inlined into a trace, at one pc of its machine code.
 *
 * A trace keeps snapshots: for a stretch of its machine code each, what the Lua stack would hold if
 * the trace were left there, with the bytecode pc and the frames of inlined calls. The one that
 * holds at a pc is the last whose code starts at or before it. All of it is read in the sample,
 * while the trace runs and cannot be freed; nothing is kept but hints, which are checked.
 *
 * Builds before 2021 do not say where a snapshot's code starts: there the position of its first
 * instruction among the trace's tells approximately, and the frames are marked as estimated.
 *
 * LuaJIT src/lj_jit.h, lj_snap.c (snapshot_slots, snapshot_framelinks), lj_ir.h.
 */
#ifndef LUASPY_WALK_LUAJIT_TRACE_H
#define LUASPY_WALK_LUAJIT_TRACE_H

#ifndef LUASPY_WALK_LUAJIT_VM_H
#error "included by walk_luajit_vm.h"
#endif

#define MAX_SCANNED_TRACES 512u
#define SCANNED_BLOCK	   32u
#define MAX_IR_SCANNED	   (BLOCK_SIZE / IR_SIZE)
#define IR_BLOCK	   16u
#define TRACE_EXACT	   ((__u32)(FRAME_LUA_COMPILED >> FRAME_TRACE_SHIFT))
#define TRACE_ESTIMATED	   ((__u32)((FRAME_LUA_COMPILED | FRAME_LUA_ESTIMATED) >> FRAME_TRACE_SHIFT))

enum snap_kind {
	SNAP_KIND_OLD,	/* 8 bytes */
	SNAP_KIND_2019, /* 12 bytes, without mcofs */
	SNAP_KIND_MCOFS,
};

/* ---- the trace ---------------------------------------------------------------------------------
 */

/* Reads trace `number` of walk.g. */
INLINE int trace_read(struct walk *w, __u32 number)
{
	const struct luajit_build *build;
	__u8 *bytes = w->scratch;
	__u64 array = 0, trace = 0;
	__u32 gct, size;

	build = build_at(w->vm - 1);
	if (!build || !number ||
	    bpf_probe_read_user(&array, sizeof(array), (void *)(w->g + build->trace_array)) != 0)
		return -1;
	size = w->gc64 ? 8 : 4;
	if (bpf_probe_read_user(&trace, size, (void *)(array + (__u64)number * size)) != 0 ||
	    !trace || bpf_probe_read_user(bytes, TRACE_READ_SIZE, (void *)trace) != 0)
		return -1;
	if (w->gc64) {
		gct = bytes[GC64_GCT];
		w->trace_mcode = *(__u64 *)(bytes + GC64_TRACE_MCODE);
		w->trace_size = *(__u32 *)(bytes + GC64_TRACE_SZMCODE);
		w->trace_nsnap = *(__u16 *)(bytes + GC64_TRACE_NSNAP);
		w->trace_nins = *(__u32 *)(bytes + GC64_TRACE_NINS);
		w->trace_ir = *(__u64 *)(bytes + GC64_TRACE_IR);
		w->trace_nk = *(__u32 *)(bytes + GC64_TRACE_NK);
		w->trace_nsnapmap = *(__u32 *)(bytes + GC64_TRACE_NSNAPMAP);
		w->trace_snap = *(__u64 *)(bytes + GC64_TRACE_SNAP);
		w->trace_snapmap = *(__u64 *)(bytes + GC64_TRACE_SNAPMAP);
	} else {
		gct = bytes[GC32_GCT];
		w->trace_mcode = *(__u64 *)(bytes + GC32_TRACE_MCODE);
		w->trace_size = *(__u32 *)(bytes + GC32_TRACE_SZMCODE);
		w->trace_nsnap = *(__u16 *)(bytes + GC32_TRACE_NSNAP);
		w->trace_nins = *(__u32 *)(bytes + GC32_TRACE_NINS);
		w->trace_ir = *(__u64 *)(bytes + GC32_TRACE_IR);
		w->trace_nk = *(__u32 *)(bytes + GC32_TRACE_NK);
		w->trace_nsnapmap = *(__u32 *)(bytes + GC32_TRACE_NSNAPMAP);
		w->trace_snap = *(__u64 *)(bytes + GC32_TRACE_SNAP);
		w->trace_snapmap = *(__u64 *)(bytes + GC32_TRACE_SNAPMAP);
	}
	return gct == GCT_TRACE ? 0 : -1;
}

/* Reads trace `number`; 0 when walk.lookup_pc is in its machine code. */
SUBPROGRAM int trace_try(__u32 number)
{
	struct walk *w = walk_state();

	if (!w || trace_read(w, number) != 0 || w->lookup_pc < w->trace_mcode ||
	    w->lookup_pc - w->trace_mcode >= w->trace_size)
		return -1;
	w->trace_offset = w->lookup_pc - w->trace_mcode;
	return 0;
}

/* Tries SCANNED_BLOCK traces from `first` on; the number of the one that has the pc, 0 for none. */
SUBPROGRAM int trace_scan_block(__u32 first, __u32 count)
{
	__u32 i;

	for (i = 0; i < SCANNED_BLOCK; i++) {
		if (first + i >= count)
			break;
		if (first + i && trace_try(first + i) == 0)
			return (int)(first + i);
	}
	return 0;
}

/* Looks through all traces: while the collector runs on a trace's behalf, vmstate does not name it.
 */
SUBPROGRAM int trace_scan(void)
{
	struct walk *w = walk_state();
	const struct luajit_build *build;
	__u32 i, block, count;

	if (!w)
		return -1;
	build = build_at(w->vm - 1);
	if (!build)
		return -1;
	i = trace_hint(w->lookup_pc);
	if (i && trace_try(i) == 0)
		return 0;
	if (bpf_probe_read_user(&count, sizeof(count),
				(void *)(w->g + build->trace_array + J_SIZETRACE)) != 0)
		return -1;
	/* Two short loops instead of a long one: see LOOP_BLOCK. */
	for (block = 0; block < MAX_SCANNED_TRACES / SCANNED_BLOCK; block++) {
		if (block * SCANNED_BLOCK >= count)
			break;
		i = (__u32)trace_scan_block(block * SCANNED_BLOCK, count);
		if (i) {
			trace_hint_set(w->lookup_pc, i);
			return 0;
		}
	}
	return -1;
}

/* ---- the snapshot ------------------------------------------------------------------------------
 */

INLINE __u32 snapshot_size(const struct walk *w)
{
	return w->snap_kind == SNAP_KIND_OLD ? SNAP_OLD_SIZE : SNAP_SIZE;
}

/* Reads snapshot `index`: where its entries start, their number, where pc and links end them. */
INLINE int snapshot_read(struct walk *w, __u32 index, __u32 *offset, __u32 *entries, __u32 *end)
{
	__u32 size = snapshot_size(w), at = index * size, words[SNAP_SIZE / 4 + 1] = {}, next;
	const __u8 *bytes = (const __u8 *)words;

	barrier_var(at);
	if (at < BLOCK_SIZE && at + sizeof(words) <= w->snaps_size)
		__builtin_memcpy(words, w->lua_stack.bytes + (at & (BLOCK_SIZE - 4)),
				 sizeof(words));
	else if (bpf_probe_read_user(words, sizeof(words), (void *)(w->trace_snap + at)) != 0)
		return -1;
	next = words[w->snap_kind == SNAP_KIND_OLD ? 2 : 3];
	if (w->snap_kind == SNAP_KIND_OLD) {
		*offset = *(__u16 *)bytes;
		*entries = bytes[SNAP_OLD_NENT];
		next &= 0xffff;
	} else {
		*offset = *(__u32 *)bytes;
		*entries =
			w->snap_kind == SNAP_KIND_MCOFS ? bytes[SNAP_NENT] : bytes[SNAP_NENT_2019];
	}
	*end = index + 1 < w->trace_nsnap ? next : w->trace_nsnapmap;
	return 0;
}

/* A snapshot's entries are followed by its pc: two words (GC64), or one and some frame links. */
INLINE int snapshot_fits(const struct walk *w, __u32 offset, __u32 entries, __u32 end)
{
	__u32 rest = end - offset - entries;

	return end <= w->trace_nsnapmap && offset < end && entries < end - offset &&
	       (w->gc64 ? rest == 2 : rest < 128);
}

/* Which kind of snapshots it has, by its pointers and what must hold in the first and last one. */
INLINE int snapshot_kind(struct walk *w)
{
	__u64 size = w->trace_snapmap - w->trace_snap;
	__u32 offset, entries, end, bytes;

	/* All of them, or the first few hundred, at once; one more word ends the last. */
	bytes = size > BLOCK_SIZE - 4 ? BLOCK_SIZE : size + 4;
	barrier_var(bytes);
	w->lua_stack.size = 0; /* its place is used */
	w->snaps_size = 0;
	if (bytes <= BLOCK_SIZE &&
	    bpf_probe_read_user(w->lua_stack.bytes, bytes, (void *)w->trace_snap) == 0)
		w->snaps_size = bytes;

	/* Newer ones have 0 in the upper half: two snapshots of 12 bytes are not three of 8. */
	if (w->trace_nsnapmap >> 16 &&
	    size == (__u64)(w->trace_nsnapmap & 0xffff) * SNAP_OLD_SIZE) {
		w->snap_kind = SNAP_KIND_OLD;
		w->trace_nsnap = w->trace_nsnapmap & 0xffff;
		w->trace_nsnapmap >>= 16;
	} else if (size == (__u64)w->trace_nsnap * SNAP_SIZE) {
		w->snap_kind = SNAP_KIND_MCOFS;
	} else {
		return -1;
	}
	if (!w->trace_nsnap)
		return -1;
	if (w->snap_kind == SNAP_KIND_MCOFS &&
	    (snapshot_read(w, 0, &offset, &entries, &end) != 0 ||
	     !snapshot_fits(w, offset, entries, end) ||
	     snapshot_read(w, w->trace_nsnap - 1, &offset, &entries, &end) != 0 ||
	     !snapshot_fits(w, offset, entries, end)))
		w->snap_kind = SNAP_KIND_2019;
	return 0;
}

/* The 16 bits at `at` in the array of snapshots; negative when they cannot be read. */
SUBPROGRAM int snapshot_key(__u32 at)
{
	struct walk *w = walk_state();
	__u16 key;

	if (!w)
		return -1;
	if (at < BLOCK_SIZE && at + sizeof(key) <= w->snaps_size)
		return *(__u16 *)(w->lua_stack.bytes + (at & (BLOCK_SIZE - 2)));
	if (bpf_probe_read_user(&key, sizeof(key), (void *)(w->trace_snap + at)) != 0)
		return -1;
	return key;
}

/* Sets walk.snap_index to the last snapshot at or before the pc. */
SUBPROGRAM int snapshot_find(void)
{
	struct walk *w = walk_state();
	__u32 low = 0, count, half, key_offset, wanted;
	int i, key;

	if (!w || snapshot_kind(w) != 0)
		return -1;
	if (w->snap_kind == SNAP_KIND_MCOFS) {
		key_offset = SNAP_MCOFS;
		wanted = w->trace_offset;
	} else {
		/* Machine code is about as long for one instruction as for another. */
		key_offset = w->snap_kind == SNAP_KIND_OLD ? SNAP_OLD_REF : SNAP_REF;
		wanted = IR_BIAS +
			 (__u64)(w->trace_nins - IR_BIAS) * w->trace_offset / (w->trace_size | 1);
	}
	count = w->trace_nsnap;
	for (i = 0; i < 16 && count; i++) {
		half = count / 2;
		key = snapshot_key((low + half) * snapshot_size(w) + key_offset);
		if (key < 0)
			return -1;
		if ((__u32)key <= wanted) {
			low += half + 1;
			count -= half + 1;
		} else {
			count = half;
		}
	}
	w->snap_index = low ? low - 1 : 0;
	return 0;
}

/* Copies the entries and links of snapshot `index`, and takes the pc from them. */
INLINE int snapshot_load(struct walk *w, __u32 index, __u64 *pc)
{
	__u32 offset, entries, end, bytes;

	if (snapshot_read(w, index, &offset, &entries, &end) != 0 ||
	    !snapshot_fits(w, offset, entries, end))
		return -1;
	bytes = (end - offset) * 4;
	barrier_var(bytes);
	if (bytes > sizeof(w->snapmap))
		return -1;
	if (bpf_probe_read_user(w->snapmap, bytes, (void *)(w->trace_snapmap + 4ull * offset)) != 0)
		return -1;
	w->snap_entries = entries;
	w->snap_link = entries + 1;
	*pc = w->snapmap[entries & 255];
	if (w->gc64)
		*pc = (*pc | (__u64)w->snapmap[(entries + 1) & 511] << 32) >> 8;
	return 0;
}

/* ---- the frames --------------------------------------------------------------------------------
 */

/* A constant of the trace: 64 bits in the instruction after `reference`, or 32 bits in it. */
INLINE int trace_constant(struct walk *w, __u32 reference, __u64 *value)
{
	*value = 0;
	if (reference >= IR_BIAS || reference < w->trace_nk)
		return -1;
	if (w->gc64)
		return bpf_probe_read_user(value, 8,
					   (void *)(w->trace_ir + (reference + 1ull) * IR_SIZE))
			       ? -1
			       : 0;
	return bpf_probe_read_user(value, 4, (void *)(w->trace_ir + (__u64)reference * IR_SIZE))
		       ? -1
		       : 0;
}

#include "walk_luajit_constants.h"

/* The frame link of the entry that ends an inlined call's frame; for a continuation also the pc
 * that its caller goes on at. */
INLINE int snapshot_link(struct walk *w, __u32 i, __u64 *link, __u64 *continue_pc)
{
	__u32 entry = w->snapmap[i & 255];

	*continue_pc = 0;
	if (w->gc64) {
		if (trace_constant(w, entry & 0xffff, link) != 0)
			return -1;
		if ((*link & LINK_TYPE_P) == LINK_CONT && i >= 2)
			trace_constant(w, w->snapmap[(i - 2) & 255] & 0xffff, continue_pc);
		return 0;
	}
	*link = w->snapmap[w->snap_link & 511];
	w->snap_link++;
	if ((*link & LINK_TYPE_P) == LINK_CONT) {
		*continue_pc = w->snapmap[w->snap_link & 511];
		w->snap_link++;
	}
	return 0;
}

/* Where a caller goes on, as the walk's return_pc: behind its call. */
INLINE __u64 inlined_return_pc(const struct inlined_frame *frame)
{
	return (frame->link & LINK_TYPE) == LINK_LUA ? frame->link : frame->continue_pc;
}

/* If entry `i` of the snapshot ends a frame, adds that to walk.inlined[which]. */
SUBPROGRAM int snapshot_entry(__u32 which, __u32 i)
{
	struct walk *w = walk_state();
	__u64 link = 0, continue_pc = 0, function = 0;
	__u32 entry, slot, at;
	struct inlined_frame *frame;
	struct inlined *inlined;
	int is_base, known;

	if (!w || i > 255 || which > 1)
		return -1;
	barrier_var(which); /* as in snapshot_parse */
	inlined = &w->inlined[which & 1];
	entry = w->snapmap[i];
	if (!(entry & SNAP_FRAME))
		return 0;
	slot = entry >> 24;
	/* The trace's own frame stands on the Lua stack; it is an entry only after a tail call. */
	is_base = slot <= (w->gc64 ? 1 : 0);
	if (!is_base && snapshot_link(w, i, &link, &continue_pc) != 0)
		return -1;
	at = w->gc64 ? i - 1 : i; /* of the function */
	if (at > 255 || (w->gc64 && w->snapmap[at] >> 24 != slot - 1))
		return is_base ? 0 : -1;
	known = trace_constant(w, w->snapmap[at] & 0xffff, &function) == 0;
	if (is_base) {
		/* Without the function object there is no frame to write it with. */
		inlined->base_function = function;
		return known ? 0 : -1;
	}
	/* A vararg function's second frame is a copy of the first, which counts. */
	if ((link & LINK_TYPE_P) == LINK_VARG) {
		w->snap_top = slot;
		return 0;
	}
	if (inlined->count >= MAX_INLINED)
		return -1;
	frame = &inlined->frames[inlined->count & (MAX_INLINED - 1)];
	w->proto = 0;
	if (!known && trace_proto_find() != 0) {
		/* A stitched trace ends where it calls a C function, which need not be a constant,
		 * and which does not run yet. */
		if ((link & LINK_TYPE_P) != LINK_CONT || inlined->count || !continue_pc)
			return -1;
		inlined->pc = continue_pc - 4;
		w->return_pc = continue_pc;
		return 0;
	}
	frame->object = known ? function : w->proto;
	frame->is_proto = !known;
	frame->link = link;
	frame->continue_pc = continue_pc;
	frame->slot = slot;
	frame->top = w->snap_top ? w->snap_top : slot;
	w->snap_top = 0;
	inlined->count++;
	w->return_pc = inlined_return_pc(frame);
	return 0;
}

/* The frames of snapshot `index`, into walk.inlined[which]. */
SUBPROGRAM int snapshot_parse(__u32 which, __u32 index)
{
	struct walk *w = walk_state();
	struct inlined *inlined;
	__u32 i;

	if (!w || which > 1)
		return -1;
	barrier_var(which); /* masked where it is used, for the verifier */
	inlined = &w->inlined[which & 1];
	inlined->count = 0;
	inlined->base_function = 0;
	w->snap_top = 0;
	if (snapshot_load(w, index, &inlined->pc) != 0)
		return -1;
	w->return_pc = inlined->pc + 4;
	for (i = 0; i < 256; i++) {
		if (i >= w->snap_entries)
			return 0;
		if (snapshot_entry(which, w->snap_entries - 1 - i) != 0)
			return -1;
	}
	return -1;
}

/* ---- from the snapshot to the pc ---------------------------------------------------------------
 */

/* Instructions that leave no machine code, or little, before a call. */
INLINE int is_call_setup(__u32 op)
{
	return op == BC_MOV || (op >= BC_KSTR && op <= BC_KPRI) || op == BC_UGET || op == BC_GGET ||
	       op == BC_TGETS;
}

/* How many instructions from `pc` on only prepare the call that follows them; negative when no call
 * does. */
SUBPROGRAM int prepared_call(__u64 pc)
{
	__u32 code[16], op, i;

	if (bpf_probe_read_user(code, sizeof(code), (void *)pc) != 0)
		return -1;
	for (i = 0; i < 16; i++) {
		op = code[i] & 0xff;
		if (op == BC_CALL || op == BC_CALLM)
			return i;
		if (!is_call_setup(op))
			return -1;
	}
	return -1;
}

/* The bytecode of an inlined function, 0 for one that has none. */
INLINE __u64 inlined_bytecode(struct walk *w, const struct inlined_frame *frame)
{
	const struct luajit_build *build = build_at(w->vm - 1);
	__u32 header = 0, ffid = 1;
	__u64 pc = 0;

	if (!build)
		return 0;

	if (frame->is_proto) {
		pc = frame->object + (w->gc64 ? GC64_PROTO_SIZE : GC32_PROTO_SIZE);
	} else if (bpf_probe_read_user(&ffid, 1,
				       (void *)(frame->object + (w->gc64 ? GC64_FUNC_FFID
									 : GC32_FUNC_FFID))) != 0 ||
		   ffid & 0xff ||
		   bpf_probe_read_user(&pc, w->gc64 ? 8 : 4,
				       (void *)(frame->object +
						(w->gc64 ? GC64_FUNC_PC : GC32_FUNC_PC))) != 0) {
		return 0;
	}
	if (bpf_probe_read_user(&header, sizeof(header), (void *)pc) != 0 ||
	    (header & 0xff) - build->bc_funcf >= BC_LUA_HEADERS)
		return 0;
	return pc;
}

/* Is walk.inlined_pc, in frame `i`, at a return to Lua code? Then goes there. */
SUBPROGRAM int refine_return(__u32 i)
{
	struct walk *w = walk_state();
	struct inlined_frame *frame;
	__u32 op;

	if (!w || i >= MAX_INLINED ||
	    bpf_probe_read_user(&op, sizeof(op), (void *)w->inlined_pc) != 0 ||
	    (op & 0xff) < BC_RETM || (op & 0xff) > BC_RET1)
		return -1;
	frame = &w->inlined[0].frames[i];
	if (!frame->link || (frame->link & LINK_TYPE) != LINK_LUA)
		return -1;
	w->inlined_pc = frame->link;
	w->inlined_from = i + 1;
	return 0;
}

/* Does walk.inlined_pc, `depth` frames deep, only prepare a call which the next snapshot is inside
 * of? Then goes there. */
SUBPROGRAM int refine_call(__u32 depth)
{
	struct walk *w = walk_state();
	struct inlined_frame *frame;
	__u64 bytecode;
	__u32 count;
	int setup;

	if (!w)
		return -1;
	count = w->inlined[1].count;
	setup = prepared_call(w->inlined_pc);
	if (setup < 0 || count <= depth || count - depth > MAX_INLINED)
		return -1;
	frame = &w->inlined[1].frames[(count - depth - 1) & (MAX_INLINED - 1)];
	if (frame->link != w->inlined_pc + 4 * (__u64)setup + 4)
		return -1;
	bytecode = inlined_bytecode(w, frame);
	if (!bytecode)
		return -1;
	w->inlined_which = 1;
	w->inlined_from = count - depth - 1;
	w->inlined_pc = bytecode + 4;
	return 0;
}

/*
 * A snapshot is taken after a side effect. The machine code up to the next one is that of the
 * instructions that follow, and neither a return nor the preparation of a call is any: so where the
 * snapshot stands at a return, the code belongs to the caller; where it stands before a call which
 * the next snapshot is inside of, to the callee. Sets walk.inlined_*.
 */
INLINE void trace_refine(struct walk *w)
{
	__u32 i, depth;

	for (i = 0; i < MAX_INLINED; i++) {
		if (i >= w->inlined[0].count || refine_return(i) != 0)
			break;
	}
	if (w->snap_index + 1 >= w->trace_nsnap || prepared_call(w->inlined_pc) < 0 ||
	    snapshot_parse(1, w->snap_index + 1) != 0)
		return;
	depth = w->inlined[0].count - w->inlined_from;
	for (i = 0; i < 4; i++) {
		if (refine_call(depth + i) != 0)
			break;
	}
}

#include "walk_luajit_exit.h"

/* ---- writing -----------------------------------------------------------------------------------
 */

/* Writes the next frame, walk.inlined_from. 1 when there are no more, negative on an error. */
SUBPROGRAM int inlined_write(void)
{
	struct walk *w = walk_state();
	struct inlined_frame *frame;
	__u32 which, i;

	if (!w)
		return -1;
	which = w->inlined_which & 1;
	i = w->inlined_from;
	if (i >= w->inlined[which].count)
		return 1;
	if (i >= MAX_INLINED)
		return -1;
	frame = &w->inlined[which].frames[i];
	w->function = w->proto = frame->object;
	w->frame_base = 0;
	if ((frame->is_proto ? lua_proto_frame() : lua_function()) < 0)
		return -1;
	w->return_pc = inlined_return_pc(frame);
	w->return_pc_soft = (frame->link & LINK_TYPE) != LINK_LUA;
	w->inlined_from = i + 1;
	return 0;
}

/* Finds the trace and the snapshot of walk.lookup_pc. */
SUBPROGRAM int trace_locate(void)
{
	struct walk *w = walk_state();
	const struct luajit_build *build;
	__s32 state;

	if (!w)
		return -1;
	w->snap_exit = 0;
	build = build_at(w->vm - 1);
	if (!build || !build->trace_array || w->foreign || w->rule != RULE_ID_NONE ||
	    bpf_probe_read_user(&state, sizeof(state), (void *)(w->g + build->vmstate)) != 0)
		return -1;
	if ((state >= 0 && trace_try(state) == 0) || trace_scan() == 0)
		return snapshot_find();
	return state >= 0 ? trace_at_stub(state) : -1;
}

/*
 * Writes the frames of the functions inlined at walk.lookup_pc, and prepares for the trace's own,
 * which is on the Lua stack: walk.return_pc, walk.in_trace. Negative where that cannot be done.
 */
INLINE int trace_inlined(struct walk *w)
{
	int result;
	__u32 i;

	if ((w->compiled && trace_locate() != 0) || snapshot_parse(0, w->snap_index) != 0)
		return -1;
	w->inlined_which = 0;
	w->inlined_from = 0;
	w->inlined_pc = w->inlined[0].pc;
	w->in_trace = TRACE_ESTIMATED;
	if (w->snap_exit) {
		w->in_trace = TRACE_EXACT;
		if (!w->compiled)
			exit_restored();
	} else if (w->snap_kind == SNAP_KIND_MCOFS) {
		w->in_trace = TRACE_EXACT;
		trace_refine(w);
	}
	w->base_function = w->inlined[w->inlined_which & 1].base_function;
	/* The instruction that runs next, where a return address names the one before. */
	w->return_pc = w->inlined_pc + 4;
	w->return_pc_soft = 0;
	for (i = 0; i <= MAX_INLINED; i++) {
		result = inlined_write();
		if (result)
			return result > 0 ? 0 : -1;
	}
	return -1;
}

#endif
