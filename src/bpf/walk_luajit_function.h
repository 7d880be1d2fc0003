/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The function of a Lua frame: what identifies it, and its place in the bytecode. Which frames
 * there are is walk_luajit.h.
 */
#ifndef LUASPY_WALK_LUAJIT_FUNCTION_H
#define LUASPY_WALK_LUAJIT_FUNCTION_H

#ifndef LUASPY_WALK_LUAJIT_H
#error "included by walk_luajit.h"
#endif

#include "fingerprint.h"

/*
 * A fingerprint of a chunk name: its length, its first 72 characters and its last 8. The name is
 * part of a proto's identity, because a proto that the collector frees and allocates again at the
 * same address may well have the same lines and size. One read does for most names.
 */
INLINE __u64 chunk_hash(struct walk *w, const struct luajit_build *build, __u64 string)
{
	struct chunk_memo *memo = &w->chunks[(string >> 4) & (CHUNK_MEMO - 1)];
	__u64 last = 0, hash;
	__u8 *bytes = w->scratch;
	__u32 data, length;

	if (memo->string == string && memo->sample == w->sample)
		return memo->hash;
	if (bpf_probe_read_user(bytes, CHUNK_READ_SIZE, (void *)string) != 0)
		return 0;
	data = build->string_data & 0x1c; /* 0x10, 0x14 or 0x18 */
	length = *(const __u32 *)(bytes + (build->string_length & 0x1c));
	hash = chunk_fingerprint(bytes, data, length);
	if (length > CHUNK_HASHED_SIZE &&
	    bpf_probe_read_user(&last, sizeof(last), (void *)(string + data + length - 8)) == 0)
		hash = hash_mix(hash, last);
	memo->string = string;
	memo->sample = w->sample;
	memo->hash = hash;
	return hash;
}

/* The identity of a proto, memorised within the sample; NULL when it is none. */
INLINE struct proto_memo *proto_identify(struct walk *w, const struct luajit_build *build,
					 __u64 proto)
{
	struct proto_memo *memo = &w->protos[(proto >> 4) & (PROTO_MEMO - 1)];
	__u8 *bytes = w->scratch;
	__u32 bytecodes, gct;
	__u64 chunk, lines;

	if (memo->proto == proto && memo->sample == w->sample)
		return memo;
	if (bpf_probe_read_user(bytes, PROTO_READ_SIZE, (void *)proto) != 0)
		return NULL;
	if (w->gc64) {
		gct = bytes[GC64_GCT];
		bytecodes = *(__u32 *)(bytes + GC64_PROTO_SIZEBC);
		chunk = *(__u64 *)(bytes + GC64_PROTO_CHUNKNAME);
		lines = *(__u64 *)(bytes + GC64_PROTO_FIRSTLINE);
	} else {
		gct = bytes[GC32_GCT];
		bytecodes = *(__u32 *)(bytes + GC32_PROTO_SIZEBC);
		chunk = *(__u32 *)(bytes + GC32_PROTO_CHUNKNAME);
		/* two u32 side by side, not 8-aligned */
		lines = (__u64) * (__u32 *)(bytes + GC32_PROTO_NUMLINE) << 32 |
			*(__u32 *)(bytes + GC32_PROTO_FIRSTLINE);
	}
	if (gct != GCT_PROTO)
		return NULL;
	memo->proto = proto;
	memo->sample = w->sample;
	memo->bytecode_count = bytecodes;
	memo->id = proto_fingerprint(chunk_hash(w, build, chunk), proto, lines, bytecodes,
				     w->record.tgid);
	return memo;
}

/* Bytecode position of `pc` (which points behind the instruction), or BCPOS_NONE. */
INLINE __u32 bytecode_position(const struct proto_memo *memo, __u64 bytecode, __u64 pc)
{
	__u64 position = (pc - bytecode) >> 2;

	if (pc & 3 || pc <= bytecode || position > memo->bytecode_count)
		return BCPOS_NONE;
	return position - 1;
}

/*
 * Where the innermost frame of an activation is: PC if it points into the function, else SAVE_PC,
 * which is right whenever the VM is in C code that may throw or look at lines. While the function
 * is entered or returns, PC is its caller's (the same function's in a recursion): it is then at its
 * header or, as the return instruction is not to be found any more, taken to be at its last one.
 * When a trace has been left, PC may not be loaded yet, and SAVE_PC is where it goes on.
 */
INLINE __u32 current_position(struct walk *w, const struct proto_memo *memo, __u64 bytecode)
{
	__u32 position = BCPOS_NONE, left_trace;
	__u64 pc;

	if (w->no_pc)
		return BCPOS_NONE;
	if (w->vm_pc == VM_PC_ENTERING)
		return 0;
	if (w->vm_pc == VM_PC_LEAVING)
		return memo->bytecode_count - 1;
	left_trace = w->vm_state == VM_STATE_EXIT && w->activations == 1;
	if (!left_trace && w->valid & 1u << DW_REG_RBX) {
		pc = w->gc64 ? w->regs[DW_REG_RBX] : (__u32)w->regs[DW_REG_RBX];
		if (pc == bytecode)
			return 0; /* about to run its header */
		if (w->vm_pc == VM_PC_NEXT)
			pc += 4;
		position = bytecode_position(memo, bytecode, pc);
	}
	if (position != BCPOS_NONE)
		return position;
	if (stack_word(w, w->activation + SAVE_PC_WORD, &pc) != 0)
		return BCPOS_NONE;
	if (!w->gc64)
		pc >>= 32;
	return bytecode_position(memo, bytecode, left_trace ? pc + 4 : pc);
}

/* Writes the frame of walk.proto. Negative when it is none, or does not hold the pc that its callee
 * returns to. */
INLINE int proto_frame(struct walk *w, const struct luajit_build *build)
{
	struct proto_memo *memo;
	struct lua_place *place;
	__u64 proto, bytecode, word;
	__u32 position;

	if (w->lua_frames >= MAX_LUA_FRAMES || w->words >= MAX_WORDS - 2) {
		w->stop = STOP_TRUNCATED;
		return -1;
	}
	proto = w->proto;
	bytecode = proto + (w->gc64 ? GC64_PROTO_SIZE : GC32_PROTO_SIZE);
	memo = proto_identify(w, build, proto);
	if (!memo)
		return lua_fail(w, LUA_FUNCTION);
	if (w->return_pc) {
		position = bytecode_position(memo, bytecode, w->return_pc);
		if (position == BCPOS_NONE && !w->return_pc_soft)
			return lua_fail(w, LUA_FUNCTION);
	} else {
		position = w->first ? current_position(w, memo, bytecode) : BCPOS_NONE;
	}
	word = (__u64)FRAME_KIND_LUA << FRAME_KIND_SHIFT | position |
	       (__u64)w->in_trace << FRAME_TRACE_SHIFT;
	emit(w, word);
	emit(w, memo->id);
	place = lua_place(w->lua_frames);
	if (place) {
		place->proto = proto;
		place->puc = 0;
		place->function = w->function;
		place->base = w->frame_base;
	}
	w->lua_frames++;
	w->first = 0;
	return 0;
}

SUBPROGRAM int lua_proto_frame(void)
{
	struct walk *w = walk_state();
	const struct luajit_build *build = w ? build_at(w->vm - 1) : NULL;

	return build ? proto_frame(w, build) : -1;
}

/* Writes the frame of walk.function. Negative when it is no function, or does not hold the pc that
 * its callee returns to. */
SUBPROGRAM int lua_function(void)
{
	struct walk *w = walk_state();
	struct function_memo *known;
	const struct luajit_build *build;
	__u64 entry, word;
	__u32 ffid;
	__u8 *bytes;

	if (!w)
		return -1;
	bytes = w->scratch;
	build = build_at(w->vm - 1);
	if (!build)
		return -1;
	known = &w->functions[(w->function >> 4) & (FUNCTION_MEMO - 1)];
	if (known->function != w->function || known->sample != w->sample) {
		if (bpf_probe_read_user(bytes, FUNC_SIZE, (void *)w->function) != 0)
			return w->vm_flags & VM_LINK_SAVED ? 0 : lua_fail(w, LUA_FUNCTION);
		if (bytes[w->gc64 ? GC64_GCT : GC32_GCT] != GCT_FUNCTION)
			return w->vm_flags & VM_LINK_SAVED ? 0 : lua_fail(w, LUA_FUNCTION);
		known->function = w->function;
		known->sample = w->sample;
		if (w->gc64) {
			known->ffid = bytes[GC64_FUNC_FFID];
			known->pc = *(__u64 *)(bytes + GC64_FUNC_PC);
			known->entry = *(__u64 *)(bytes + GC64_FUNC_C);
		} else {
			known->ffid = bytes[GC32_FUNC_FFID];
			known->pc = *(__u32 *)(bytes + GC32_FUNC_PC);
			known->entry = *(__u64 *)(bytes + GC32_FUNC_C);
		}
	}
	ffid = known->ffid;
	entry = known->entry;
	if (w->lua_frames >= MAX_LUA_FRAMES || w->words >= MAX_WORDS - 2) {
		w->stop = STOP_TRUNCATED;
		return -1;
	}
	if (ffid) {
		if (w->return_pc && !w->return_pc_soft)
			return lua_fail(w, LUA_FUNCTION); /* only Lua code is returned to by pc */
		word = 0;
		w->lookup_pc = entry;
		if (find_mapping() == 0) {
			const struct mapping *m = mapping_at(w->mapping);

			if (m)
				word = frame_native(m->file_id, entry - m->bias);
		}
		emit(w, (__u64)FRAME_KIND_BUILTIN << FRAME_KIND_SHIFT | ffid);
		emit(w, word);
		w->first = 0;
		return 0;
	}
	w->proto = known->pc - (w->gc64 ? GC64_PROTO_SIZE : GC32_PROTO_SIZE);
	return proto_frame(w, build);
}

#endif
