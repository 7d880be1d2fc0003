/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * A trace that is being left: the exit's number is that of the snapshot which says what is to be
 * put on the Lua stack. Until that is done the frames of inlined calls are in the snapshot only.
 *
 * LuaJIT src/lj_trace.c (lj_trace_exit), lj_snap.c (lj_snap_restore), lj_asm_x86.h
 * (asm_exitstub_gen), vm_x64.dasc (vm_exit_handler).
 */
#ifndef LUASPY_WALK_LUAJIT_EXIT_H
#define LUASPY_WALK_LUAJIT_EXIT_H

#ifndef LUASPY_WALK_LUAJIT_TRACE_H
#error "included by walk_luajit_trace.h"
#endif

#define X86_PUSH_IMM8 0x6a
#define X86_JMP_SHORT 0xeb

SUBPROGRAM int exit_set(__u32 trace, __u32 exit)
{
	struct walk *w = walk_state();

	if (!w || trace_read(w, trace) != 0 || snapshot_kind(w) != 0 || exit >= w->trace_nsnap)
		return -1;
	w->snap_index = exit;
	w->snap_exit = 1;
	return 0;
}

/*
 * The C part of an exit: is the VM in that state, and the handler past where it stores trace and
 * exit (it clears jit_base later)? Then sets walk.snap_index.
 */
SUBPROGRAM int trace_at_exit(void)
{
	struct walk *w = walk_state();
	const struct luajit_build *build;
	__u32 fields[2]; /* parent, exitno */
	__s32 state;

	if (!w || w->rule == RULE_ID_NONE)
		return -1;
	build = build_at(w->vm - 1);
	if (!build || !build->trace_exit ||
	    bpf_probe_read_user(&state, sizeof(state), (void *)(w->g + build->vmstate)) != 0 ||
	    ~state != VMST_EXIT ||
	    bpf_probe_read_user(fields, sizeof(fields), (void *)(w->g + build->trace_exit)) != 0)
		return -1;
	return exit_set(fields[0], fields[1]);
}

/*
 * walk.lookup_pc is in no trace's code, while `trace` runs: is it in one of the stubs that a failed
 * guard jumps to? A stub pushes the low byte of the exit's number and jumps to the end of its
 * group, where the high byte is pushed. Sets walk.snap_index.
 */
SUBPROGRAM int trace_at_stub(__u32 trace)
{
	struct walk *w = walk_state();
	__u64 rsp, pushed[2] = {};
	__u8 code[4], end[2];

	if (!w)
		return -1;
	rsp = w->regs[DW_REG_RSP];
	if (bpf_probe_read_user(code, sizeof(code), (void *)w->lookup_pc) != 0 ||
	    bpf_probe_read_user(pushed, sizeof(pushed), (void *)rsp) != 0)
		return -1;
	if (code[0] == X86_PUSH_IMM8 && code[2] == X86_PUSH_IMM8)
		return exit_set(trace, code[1] | code[3] << 8);
	if (code[0] == X86_PUSH_IMM8 && code[2] == X86_JMP_SHORT) {
		if (bpf_probe_read_user(end, sizeof(end), (void *)(w->lookup_pc + 4 + code[3])) !=
			    0 ||
		    end[0] != X86_PUSH_IMM8)
			return -1;
		return exit_set(trace, code[1] | end[1] << 8);
	}
	if (code[0] == X86_JMP_SHORT) {
		if (bpf_probe_read_user(end, sizeof(end), (void *)(w->lookup_pc + 2 + code[1])) !=
			    0 ||
		    end[0] != X86_PUSH_IMM8)
			return -1;
		return exit_set(trace, (pushed[0] & 0xff) | end[1] << 8);
	}
	if (code[0] == X86_PUSH_IMM8)
		return exit_set(trace, (pushed[0] & 0xff) | code[1] << 8);
	/* What follows the second push, up to the jump to the handler. */
	return exit_set(trace, (pushed[1] & 0xff) | (pushed[0] & 0xff) << 8);
}

/* Is the link of inlined frame `i` where it is to be, if L->base is that of frame `first`? 1 also
 * behind the last frame. */
SUBPROGRAM int exit_frame_matches(__u32 first, __u32 i)
{
	struct walk *w = walk_state();
	struct inlined_frame *frame;
	__u64 zero, link = 0;

	if (!w)
		return 0;
	if (i < first || i >= w->inlined[0].count)
		return 1;
	/* For the verifier: the bounds survive the compiler. */
	barrier_var(first);
	barrier_var(i);
	first &= MAX_INLINED - 1;
	i &= MAX_INLINED - 1;
	/* The address of the snapshot's slot 0. */
	zero = w->base - 8 - 8ull * w->inlined[0].frames[first].top;
	frame = &w->inlined[0].frames[i];
	if (bpf_probe_read_user(&link, w->gc64 ? 8 : 4,
				(void *)(zero + 8ull * frame->slot + (w->gc64 ? 0 : 4))) != 0)
		return 0;
	return link == frame->link;
}

SUBPROGRAM int exit_frames_match(__u32 first)
{
	struct walk *w = walk_state();
	__u32 i;

	if (!w)
		return 0;
	for (i = 0; i < MAX_INLINED; i++) {
		if (i >= w->inlined[0].count)
			break;
		if (exit_frame_matches(first, i) == 0)
			return 0;
	}
	return 1;
}

/* Drops the inlined frames that are on the Lua stack by now: all at once (GC64, which sets L->base
 * last), or one after the other. */
SUBPROGRAM int exit_restored(void)
{
	struct walk *w = walk_state();
	__u32 i;

	if (!w)
		return 0;
	for (i = 0; i < MAX_INLINED; i++) {
		if (i >= w->inlined[0].count || (i && w->gc64))
			break;
		if (exit_frames_match(i)) {
			w->inlined[0].count = i;
			w->inlined[0].base_function = 0;
			break;
		}
	}
	return 0;
}

#endif
