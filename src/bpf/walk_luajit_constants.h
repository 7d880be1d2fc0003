/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The proto of a function that a trace has inlined, among the trace's constants. Included by
 * walk_luajit_trace.h.
 */
#ifndef LUASPY_WALK_LUAJIT_CONSTANTS_H
#define LUASPY_WALK_LUAJIT_CONSTANTS_H

#ifndef LUASPY_WALK_LUAJIT_TRACE_H
#error "included by walk_luajit_trace.h"
#endif

/* Is there a proto at `address` that holds walk.return_pc? */
INLINE int proto_holds(struct walk *w, __u64 address)
{
	__u64 bytecode = address + (w->gc64 ? GC64_PROTO_SIZE : GC32_PROTO_SIZE);
	__u8 bytes[16] __attribute__((aligned(8)));
	__u32 count;

	if (w->return_pc <= bytecode || w->return_pc - bytecode > 1 << 26 ||
	    bpf_probe_read_user(bytes, sizeof(bytes), (void *)address) != 0 ||
	    bytes[w->gc64 ? GC64_GCT : GC32_GCT] != GCT_PROTO)
		return 0;
	count = *(__u32 *)(bytes + (w->gc64 ? GC64_PROTO_SIZEBC : GC32_PROTO_SIZEBC));
	return w->return_pc - bytecode <= 4ull * count;
}

/* Is one of the IR_BLOCK constants from `first` on, of `count` that are copied, a proto that holds
 * walk.return_pc? Then walk.proto is it. */
SUBPROGRAM int trace_proto_try(__u32 first, __u32 count)
{
	struct walk *w = walk_state();
	__u64 value;
	__u32 i, at;

	if (!w)
		return -1;
	for (i = 0; i < IR_BLOCK; i++) {
		if (first + i >= count)
			break;
		at = (first + i) * IR_SIZE & (BLOCK_SIZE - 1);
		if ((w->lua_stack.bytes[at + IR_TYPE_OFFSET] & IR_TYPE_MASK) != GCT_PROTO)
			continue;
		if (w->gc64)
			value = *(__u64 *)(w->lua_stack.bytes + at + IR_SIZE);
		else
			value = *(__u32 *)(w->lua_stack.bytes + at);
		if (!(value & 3) && proto_holds(w, value)) {
			w->proto = value;
			return 0;
		}
	}
	return -1;
}

/*
 * A function that is created often is not a constant of the trace; its proto is (lj_record.c,
 * rec_call_specialize). Sets walk.proto to the one among the constants that holds walk.return_pc.
 */
SUBPROGRAM int trace_proto_find(void)
{
	struct walk *w = walk_state();
	__u32 i, count, size;

	if (!w || w->trace_nk > IR_BIAS)
		return -1;
	count = IR_BIAS - w->trace_nk;
	if (count > MAX_IR_SCANNED)
		count = MAX_IR_SCANNED;
	size = count * IR_SIZE;
	barrier_var(size);
	w->lua_stack.size = 0; /* its place is used */
	w->snaps_size = 0;
	if (size > BLOCK_SIZE ||
	    bpf_probe_read_user(w->lua_stack.bytes, size,
				(void *)(w->trace_ir + (IR_BIAS - (__u64)count) * IR_SIZE)) != 0)
		return -1;
	for (i = 0; i < MAX_IR_SCANNED; i += IR_BLOCK) {
		if (i >= count)
			break;
		if (trace_proto_try(i, count) == 0)
			return 0;
	}
	return -1;
}

#endif
