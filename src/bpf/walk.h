/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The walk: one pass from the innermost frame to the outermost. C frames are unwound with the
 * tables of the contract; where a frame is an activation of a Lua VM, the Lua frames of that
 * activation are written in its place (walk_luajit.h) and the C walk goes on from its CFA. So the
 * order of the frames is the order of the calls, by construction.
 *
 * Here: the copy of the C stack, and the native step; the state is walk_state.h. The same source
 * runs in the kernel and, over recorded memory, in user space (walk_env.h).
 */
#ifndef LUASPY_WALK_H
#define LUASPY_WALK_H

#include "walk_state.h"

INLINE void emit(struct walk *w, __u64 word)
{
	__u32 n = w->words;

	barrier_var(n); /* after another emit the compiler tests for n == MAX_WORDS only */
	if (n < MAX_WORDS) {
		w->record.words[n] = word;
		w->words = n + 1;
	}
}

INLINE __u64 frame_native(__u32 file_id, __u64 vaddr)
{
	return (__u64)FRAME_KIND_NATIVE << FRAME_KIND_SHIFT |
	       ((__u64)file_id & FRAME_FILE_MASK) << FRAME_FILE_SHIFT | (vaddr & FRAME_VADDR_MASK);
}

INLINE __u64 frame_address(__u64 address)
{
	return (__u64)FRAME_KIND_ADDRESS << FRAME_KIND_SHIFT |
	       (address & ((1ull << FRAME_KIND_SHIFT) - 1));
}

INLINE int walk_end(struct walk *w, __u32 stop)
{
	w->stop = stop;
	return 1;
}

/* ---- the C stack -------------------------------------------------------------------------- */

/* Makes the block hold [low, low + need); what follows is copied along as far as it is mapped. */
INLINE int block_load(struct block *b, __u64 low, __u64 need)
{
	__u64 to_page_end, size;

	if (low >= b->start && low + need <= b->start + b->size)
		return 0;
	b->start = low;
	b->size = BLOCK_SIZE;
	if (bpf_probe_read_user(b->bytes, BLOCK_SIZE, (void *)low) == 0)
		return 0;
	/* The stack may end in the next page, which makes the whole read fail. */
	to_page_end = 4096 - (low & 4095);
	size = to_page_end >= need ? to_page_end : need;
	barrier_var(size);
	if (size > BLOCK_SIZE)
		size = BLOCK_SIZE;
	b->size = size;
	if (bpf_probe_read_user(b->bytes, size, (void *)low) == 0)
		return 0;
	b->size = 0;
	return -1;
}

/* A word that is in the block, mostly. */
INLINE int stack_word(struct walk *w, __u64 address, __u64 *value)
{
	__u64 at = address - w->stack.start;

	barrier_var(at); /* keeps the bound check and the access on one value, for the verifier */
	if (w->stack.size >= 8 && at <= w->stack.size - 8 && at <= BLOCK_SIZE - 8) {
		*value = load_u64(w->stack.bytes + at);
		return 0;
	}
	return bpf_probe_read_user(value, sizeof(*value), (void *)address) == 0 ? 0 : -1;
}

/* ---- mappings and rules -------------------------------------------------------------------- */

/* Sets walk.mapping to the mapping of walk.lookup_pc; negative when there is none. */
SUBPROGRAM int find_mapping(void)
{
	struct walk *w = walk_state();
	const struct mapping *m;
	__u32 low, count, half;
	__u64 pc;
	int i;

	if (!w)
		return -1;
	pc = w->lookup_pc;
	m = mapping_at(w->mapping);
	if (m && pc >= m->start && pc < m->end && w->mapping_count)
		return 0;
	low = w->first_mapping;
	count = w->mapping_count;
	for (i = 0; i < 18 && count; i++) {
		half = count / 2;
		m = mapping_at(low + half);
		if (!m)
			return -1;
		if (pc >= m->end) {
			low += half + 1;
			count -= half + 1;
		} else if (pc < m->start) {
			count = half;
		} else {
			w->mapping = low + half;
			return 0;
		}
	}
	return -1;
}

/* Sets walk.file_id, walk.vaddr and walk.rule for walk.lookup_pc in walk.mapping. */
SUBPROGRAM int find_rule(void)
{
	struct walk *w = walk_state();
	const struct file_table *file;
	const struct mapping *m;
	const __u64 *entry;
	__u32 low, high, middle, rows;
	struct table_look look = {};
	__u64 offset;
	int i;

	if (!w)
		return -1;
	w->rule = RULE_ID_NONE;
	m = mapping_at(w->mapping);
	if (!m)
		return -1;
	w->file_id = m->file_id;
	w->vaddr = w->lookup_pc - m->bias;
	file = file_at(m->file_id);
	look.table = table_of(m->file_id);
	if (!file || !look.table)
		return -1;
	offset = w->vaddr - file->text_base;
	if (offset >> TEXT_PAGE_SHIFT >= file->pages)
		return -1;
	entry = table_entry(&look, offset >> TEXT_PAGE_SHIFT);
	if (!entry)
		return -1;
	low = *entry;
	entry = table_entry(&look, (offset >> TEXT_PAGE_SHIFT) + 1);
	if (!entry)
		return -1;
	high = *entry;
	rows = file->pages + 1;
	/* The last row at or before offset: it may stand before the first one of this page. */
	for (i = 0; i < 14 && low < high; i++) {
		middle = low + (high - low) / 2;
		entry = table_entry(&look, rows + middle);
		if (!entry)
			return -1;
		if (ROW_PC(*entry) <= offset)
			low = middle + 1;
		else
			high = middle;
	}
	if (!low)
		return -1;
	entry = table_entry(&look, rows + low - 1);
	if (!entry)
		return -1;
	w->rule = ROW_RULE(*entry);
	return 0;
}

/*
 * Sets walk.file_id, vaddr and rule for walk.lookup_pc; negative when it is in no mapping. The
 * callers of a sample are mostly those of an earlier one, and searching for a pc touches a dozen
 * cache lines that are cold after a tick of the timer: so what was found for a pc is kept, for as
 * long as the process's mappings stay the same. The pcs that were interrupted are many more, and
 * have a place of their own.
 */
SUBPROGRAM int find_frame(void)
{
	struct walk *w = walk_state();
	struct known_frame *known;
	__u64 pc, hash;
	int found;

	if (!w)
		return -1;
	pc = w->lookup_pc;
	hash = pc * 0x9e3779b97f4a7c15ull;
	known = known_frame(w->exact_pc ? KNOWN_CALLERS + (hash >> 54 & (KNOWN_EXACT - 1))
					: hash >> 52 & (KNOWN_CALLERS - 1));
	if (known && known->pc == pc && known->tgid == w->record.tgid &&
	    known->generation == w->generation) {
		w->file_id = known->file_id;
		w->vaddr = known->vaddr;
		w->rule = known->rule;
		return known->unmapped ? -1 : 0;
	}
	found = find_mapping();
	if (found == 0)
		find_rule();
	if (known) {
		known->pc = pc;
		known->tgid = w->record.tgid;
		known->generation = w->generation;
		known->file_id = w->file_id;
		known->vaddr = w->vaddr;
		known->rule = (__u16)w->rule;
		known->unmapped = found < 0;
	}
	return found;
}

#include "walk_luajit.h"
#include "walk_luajit_vm.h"
#include "walk_outer.h"
#include "walk_puc.h"

/* ---- one native frame ----------------------------------------------------------------------- */

/*
 * The signal trampoline: the kernel pushed the interrupted registers as a sigcontext 40 bytes above
 * rsp (arch/x86/include/uapi/asm/sigcontext.h), in the order r8-r15, rdi, rsi, rbp, rbx, rdx, rax,
 * rcx, rsp, rip. All of them are known then, as in the innermost frame.
 */
INLINE int unwind_signal(struct walk *w)
{
	__u64 at = w->regs[DW_REG_RSP] + 40;
	__u64 *value = (__u64 *)w->scratch;
	int i;

	if (bpf_probe_read_user(value, 17 * sizeof(*value), (void *)at) != 0)
		return walk_end(w, STOP_READ_STACK);
	for (i = 0; i < 8; i++)
		w->regs[DW_REG_R8 + i] = value[i];
	w->regs[DW_REG_RDI] = value[8];
	w->regs[DW_REG_RSI] = value[9];
	w->regs[DW_REG_RBP] = value[10];
	w->regs[DW_REG_RBX] = value[11];
	w->regs[DW_REG_RDX] = value[12];
	w->regs[DW_REG_RAX] = value[13];
	w->regs[DW_REG_RCX] = value[14];
	w->regs[DW_REG_RSP] = value[15];
	w->regs[DW_REG_RA] = value[16];
	w->valid = REGISTERS_ALL;
	w->exact_pc = 1;
	return 0;
}

/*
 * glibc's clone and clone3 have no CFI from their system call on, because it would be wrong in the
 * child: test %rax,%rax; jl; je; ret. A parent that waits for its child (vfork, posix_spawn) is
 * there.
 */
#define CLONE_RETURN	  0xc30074007cc08548ull
#define CLONE_RETURN_MASK 0xff00ff00ffffffffull

/* Has `pc`, a return address, a mapping? */
INLINE int is_code(struct walk *w, __u64 pc)
{
	w->lookup_pc = pc - 1;
	return pc && find_mapping() >= 0;
}

/* Goes to the caller by the frame pointer: for code without unwind tables. */
SUBPROGRAM int unwind_frame_pointer(void)
{
	static const __u8 sigreturn[9] = {0x48, 0xc7, 0xc0, 0x0f, 0, 0, 0, 0x0f, 0x05};
	struct walk *w = walk_state();
	__u64 rbp, pair[2], code[2] = {};
	const __u8 *c = (const __u8 *)code;
	int i, differs = 0;

	if (!w)
		return 1;
	rbp = w->regs[DW_REG_RBP];

	/* musl's and some static programs' signal trampoline has no CFI: mov $15,%rax; syscall */
	if (bpf_probe_read_user(code, sizeof(sigreturn), (void *)w->regs[DW_REG_RA]) == 0) {
		for (i = 0; i < (int)sizeof(sigreturn); i++)
			differs |= c[i] ^ sigreturn[i];
		if (!differs)
			return unwind_signal(w);
		if ((code[0] & CLONE_RETURN_MASK) == CLONE_RETURN && w->exact_pc &&
		    w->regs[DW_REG_RAX] &&
		    bpf_probe_read_user(pair, 8, (void *)w->regs[DW_REG_RSP]) == 0) {
			w->regs[DW_REG_RSP] += 8;
			w->regs[DW_REG_RA] = pair[0];
			w->valid &= REGISTERS_KEPT;
			w->exact_pc = 0;
			return 0;
		}
	}
	/* lld describes no PLT: jmp *slot(%rip), where rsp is at the return address. */
	if (w->exact_pc && c[0] == 0xff && c[1] == 0x25 &&
	    bpf_probe_read_user(pair, sizeof(pair[0]), (void *)w->regs[DW_REG_RSP]) == 0 &&
	    is_code(w, pair[0])) {
		w->regs[DW_REG_RSP] += 8;
		w->regs[DW_REG_RA] = pair[0];
		w->valid &= REGISTERS_KEPT;
		w->exact_pc = 0;
		return 0;
	}
	if (!(w->valid & 1u << DW_REG_RBP))
		return walk_end(w, STOP_NO_RULE);
	/* The ABI marks the outermost frame by a zero frame pointer (psABI 3.4.1). */
	if (!rbp)
		return walk_end(w, STOP_COMPLETE);
	if (rbp < w->regs[DW_REG_RSP] || rbp & 7 || rbp - w->regs[DW_REG_RSP] > 1 << 20)
		return walk_end(w, STOP_NO_RULE);
	if (bpf_probe_read_user(pair, sizeof(pair), (void *)rbp) != 0)
		return walk_end(w, STOP_READ_STACK);
	/* Only believed when it leads to code. */
	if (pair[1] && !is_code(w, pair[1]))
		return walk_end(w, STOP_NO_RULE);
	w->regs[DW_REG_RSP] = rbp + 16;
	w->regs[DW_REG_RBP] = pair[0];
	w->regs[DW_REG_RA] = pair[1];
	w->valid = 1u << DW_REG_RSP | 1u << DW_REG_RBP | 1u << DW_REG_RA;
	w->exact_pc = 0;
	return 0;
}

/* Reads one saved register by its rule; dwarf is its number. */
INLINE int restore_register(struct walk *w, const struct unwind_rule *rule, int index, __u32 dwarf,
			    __u64 *value, __u32 *valid)
{
	__u32 base = rule->saved_base[index];
	__s64 offset = rule->saved_offset[index];
	__u64 address;

	if (base == BASE_SAME) {
		*value = w->regs[dwarf & 31];
		*valid |= w->valid & 1u << dwarf;
		return 0;
	}
	if (base == BASE_UNDEFINED)
		return 0;
	if (base == BASE_CFA) {
		address = w->cfa + offset;
	} else if (base < DW_REG_COUNT) {
		if (!(w->valid & 1u << base))
			return 0;
		address = w->regs[base & 31] + offset;
	} else if (base >= BASE_VALUE && base < BASE_VALUE + DW_REG_COUNT) {
		base -= BASE_VALUE;
		if (!(w->valid & 1u << (base & 31)))
			return 0;
		*value = w->regs[base & 31] + offset;
		*valid |= 1u << dwarf;
		return 0;
	} else {
		return 0;
	}
	if (stack_word(w, address, value) != 0)
		return -1;
	*valid |= 1u << dwarf;
	return 0;
}

INLINE int find_cfa(struct walk *w, const struct unwind_rule *rule)
{
	__u32 reg = rule->cfa_reg & 31;
	__u64 cfa;

	switch (rule->cfa_kind) {
	case CFA_REG:
		if (!(w->valid & 1u << reg))
			return walk_end(w, STOP_REGISTER);
		cfa = w->regs[reg] + (__s64)rule->cfa_offset;
		break;
	case CFA_DEREF:
		if (!(w->valid & 1u << reg))
			return walk_end(w, STOP_REGISTER);
		if (bpf_probe_read_user(&cfa, sizeof(cfa),
					(void *)(w->regs[reg] + (__s64)rule->cfa_offset)) != 0)
			return walk_end(w, STOP_READ_STACK);
		cfa += (__s64)rule->cfa_offset2;
		break;
	case CFA_PLT:
		cfa = w->regs[DW_REG_RSP] + 8;
		if ((w->regs[DW_REG_RA] & 15) >= (__u64)rule->cfa_offset)
			cfa += 8;
		break;
	default:
		return walk_end(w, STOP_UNSUPPORTED);
	}
	/* Frames grow towards higher addresses; anything else is a loop or a corrupt stack. At a
	 * throw's last jump nothing is on the stack any more: the pc to go to is in a register. */
	if (cfa <= w->regs[DW_REG_RSP] -
			    (w->exact_pc && rule->saved_base[SAVED_RA] >= BASE_VALUE) ||
	    cfa & 7)
		return walk_end(w, STOP_CFA_ORDER);
	w->cfa = cfa;
	return 0;
}

/*
 * A register of a simple rule: `words` are the BLOCK_SLACK bytes below the CFA. Without a branch,
 * because which registers a function saves is what a branch predictor cannot know.
 */
INLINE __u64 saved_word(const __u8 *words, const struct unwind_rule *rule, int index, __u64 same)
{
	__u64 mask = -(__u64)(rule->saved_base[index] == BASE_CFA);
	__u32 at = (BLOCK_SLACK + rule->saved_offset[index]) & (BLOCK_SLACK - 8);

	return (load_u64(words + at) & mask) | (same & ~mask);
}

/* Registers of the caller from walk.cfa. */
INLINE int unwind_registers(struct walk *w, const struct unwind_rule *rule)
{
	__u64 rbx = 0, rbp = 0, r12 = 0, r13 = 0, r14 = 0, r15 = 0, ra = 0;
	__u32 valid = 1u << DW_REG_RSP;
	__u64 low = w->cfa - BLOCK_SLACK, at;
	const __u8 *words;

	/* Not below rsp: the page there may never have been touched. */
	if (low < w->regs[DW_REG_RSP])
		low = w->regs[DW_REG_RSP];
	if (block_load(&w->stack, low, w->cfa - low) != 0)
		return walk_end(w, STOP_READ_STACK);
	at = w->cfa - BLOCK_SLACK - w->stack.start;
	barrier_var(at);
	if (rule->flags & RULE_SIMPLE && at <= BLOCK_SIZE - BLOCK_SLACK &&
	    at + BLOCK_SLACK <= w->stack.size) {
		words = w->stack.bytes + at;
		ra = saved_word(words, rule, SAVED_RA, 0);
		rbx = saved_word(words, rule, SAVED_RBX, w->regs[DW_REG_RBX]);
		rbp = saved_word(words, rule, SAVED_RBP, w->regs[DW_REG_RBP]);
		r12 = saved_word(words, rule, SAVED_R12, w->regs[DW_REG_R12]);
		r13 = saved_word(words, rule, SAVED_R13, w->regs[DW_REG_R13]);
		r14 = saved_word(words, rule, SAVED_R14, w->regs[DW_REG_R14]);
		r15 = saved_word(words, rule, SAVED_R15, w->regs[DW_REG_R15]);
		valid |= (w->valid | rule->saved_mask) & REGISTERS_KEPT;
	} else if (restore_register(w, rule, SAVED_RA, DW_REG_RA, &ra, &valid) != 0 ||
		   restore_register(w, rule, SAVED_RBX, DW_REG_RBX, &rbx, &valid) != 0 ||
		   restore_register(w, rule, SAVED_RBP, DW_REG_RBP, &rbp, &valid) != 0 ||
		   restore_register(w, rule, SAVED_R12, DW_REG_R12, &r12, &valid) != 0 ||
		   restore_register(w, rule, SAVED_R13, DW_REG_R13, &r13, &valid) != 0 ||
		   restore_register(w, rule, SAVED_R14, DW_REG_R14, &r14, &valid) != 0 ||
		   restore_register(w, rule, SAVED_R15, DW_REG_R15, &r15, &valid) != 0)
		return walk_end(w, STOP_READ_STACK);
	if (!(valid & 1u << DW_REG_RA))
		return walk_end(w, STOP_REGISTER);
	/* The outermost frame says that it is (CFA_END). A zero where a return address belongs is a
	 * mistake, like the slots that libgcc overwrites right before it resumes after a throw. */
	if (!ra)
		return walk_end(w, STOP_NO_MAPPING);
	w->regs[DW_REG_RBX] = rbx;
	w->regs[DW_REG_RBP] = rbp;
	w->regs[DW_REG_R12] = r12;
	w->regs[DW_REG_R13] = r13;
	w->regs[DW_REG_R14] = r14;
	w->regs[DW_REG_R15] = r15;
	w->regs[DW_REG_RA] = ra;
	w->regs[DW_REG_RSP] = w->cfa;
	/* LuaJIT's internal helpers are called with live caller-saved registers. */
	if (rule->flags & RULE_KEEPS_REGISTERS)
		valid |= w->valid & ~REGISTERS_KEPT;
	w->valid = valid;
	w->exact_pc = 0;
	return 0;
}

/* One frame: writes it and goes to its caller. 0 to go on, 1 when the walk has ended, STEP_TRACE
 * when this may be compiled code. */
#define STEP_TRACE 2
SUBPROGRAM int walk_step(void)
{
	struct walk *w = walk_state();
	const struct unwind_rule *rule;
	__u64 pc, rsp, rbp;
	__u32 run, called;
	int written;

	if (!w)
		return 1;
	pc = w->regs[DW_REG_RA];
	if (!pc)
		return walk_end(w, STOP_COMPLETE);
	if (w->native_frames >= MAX_NATIVE_FRAMES || w->words >= MAX_WORDS - 2)
		return walk_end(w, STOP_TRUNCATED);
	w->native_frames++;
	called = !w->exact_pc;
	rsp = w->regs[DW_REG_RSP];
	run = w->outer_run;
	if (rsp >= w->outer_rsp && called && outer_known()) {
		outer_keep(1);
		return walk_end(w, STOP_COMPLETE);
	}
	w->outer_run = 0;
	w->lookup_pc = w->exact_pc ? pc : pc - 1;
	if (find_frame() < 0) {
		if (w->vm) {
			w->rule = RULE_ID_NONE;
			return STEP_TRACE;
		}
		emit(w, frame_address(w->lookup_pc));
		w->unknown_pc = pc;
		return walk_end(w, STOP_NO_MAPPING);
	}
	rule = rule_at(w->rule);
	if (!rule)
		return walk_end(w, STOP_NO_RULE);
	if (rule->cfa_kind == CFA_LUAJIT_TRACE)
		return STEP_TRACE;
	if (rule->cfa_kind == CFA_NONE || rule->cfa_kind == CFA_END ||
	    rule->cfa_kind == CFA_SIGNAL) {
		emit(w, frame_native(w->file_id, w->vaddr));
		if (rule->cfa_kind == CFA_END) {
			if (called) {
				outer_note(w, rule, run, rsp, pc, 0);
				outer_keep(0);
			}
			return walk_end(w, STOP_COMPLETE);
		}
		if (rule->cfa_kind == CFA_SIGNAL)
			return unwind_signal(w);
		return unwind_frame_pointer();
	}
	if (find_cfa(w, rule) != 0) {
		emit(w, frame_native(w->file_id, w->vaddr));
		return 1;
	}
	written = 0;
	if (with_luajit && rule->flags & RULE_LUAJIT)
		written = lua_activation();
	else if (with_puc && rule->flags & RULE_PUC)
		written = puc_activation();
	if (!written)
		emit(w, frame_native(w->file_id, w->vaddr));
	if (w->stop == STOP_TRUNCATED)
		return 1;
	rbp = w->regs[DW_REG_RBP];
	if (unwind_registers(w, rule) != 0)
		return 1;
	if (called && !written && !(rule->flags & (RULE_LUAJIT | RULE_PUC)) && outer_may_keep(rule))
		outer_note(w, rule, run, rsp, pc, rbp);
	return 0;
}

/* The activations met and the frames on each Lua stack have to come out even (walk_luajit.h). */
SUBPROGRAM int walk_check_order(void)
{
	struct walk *w = walk_state();
	int i;

	if (!w || w->stop != STOP_COMPLETE || w->lua_error)
		return 0;
	if (w->thrown_to)
		w->lua_error = LUA_CFRAME;
	for (i = 0; i < (int)MAX_COROUTINES; i++) {
		if (i >= (int)w->coroutines)
			break;
		if (with_puc && w->coroutine[i].puc)
			puc_leftover(i);
		else if (w->coroutine[i].next > w->coroutine[i].bottom)
			w->lua_error = LUA_ORDER;
	}
	return 0;
}

/* Nothing of the walk before it is left. */
INLINE void walk_reset(struct walk *w)
{
	w->native_frames = 0;
	w->lua_frames = 0;
	w->lua_links = 0;
	w->activations = 0;
	w->lua_error = LUA_OK;
	w->coroutines = 0;
	w->unknown_pc = 0;
	w->no_frame_activation = 0;
	w->thrown_to = 0;
	w->vm_state = VM_STATE_NONE;
	w->in_trace = 0;
	w->base_function = 0;
	w->limits_of = 0;
	w->stack.size = 0;
	w->lua_stack.size = 0;
	w->calls.start = ~0ull;
	w->calls.size = 0;
}

/* As a loop of walk_user alone, the verifier would go through each of its rounds (FRAMES_BLOCK). */
#define STEPS_BLOCK 16

/* A few frames; 1 when the walk has ended. */
SUBPROGRAM int walk_some_steps(void)
{
	struct walk *w = walk_state();
	int i, step;

	if (!w)
		return 1;
	for (i = 0; i < STEPS_BLOCK; i++) {
		step = walk_step();
		if (step == STEP_TRACE)
			step = with_luajit ? walk_trace() : walk_end(w, STOP_NO_RULE);
		if (!step)
			continue;
		if (w->stop == STOP_COMPLETE || w->stop == STOP_TRUNCATED || !with_luajit ||
		    vm_resume() != 0)
			return 1;
	}
	return 0;
}

/* The whole walk. The caller has set regs, valid, the mappings, vm, tid and sample; walk.words may
 * already hold kernel frames. */
INLINE int walk_user(void)
{
	struct walk *w = walk_state();
	int i;

	if (!w)
		return 0;
	w->exact_pc = 1;
	w->mapping = w->first_mapping;
	w->stop = STOP_COUNT; /* not ended */
	walk_reset(w);
	outer_begin(w);
	for (i = 0; i < (int)MAX_NATIVE_FRAMES + 2; i += STEPS_BLOCK) {
		if (walk_some_steps() != 0)
			break;
	}
	if (w->stop >= STOP_COUNT)
		w->stop = STOP_TRUNCATED;
	walk_check_order();
	return 0;
}

#endif
