// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * An iterator over threads (Linux 5.8 and later): state, number of switches and, of those that are
 * not on a CPU, the registers with which they have entered the kernel, and their kernel stack.
 * Nothing of a thread is stopped or changed by that.
 */
#include <linux/bpf.h>

#include "kernel_types.h"

#include <bpf/bpf_core_read.h>
#include <bpf/bpf_helpers.h>
#include <stdbool.h>

#ifndef NULL
#define NULL ((void *)0)
#endif

#include "pid_namespace.h"
#include "task_record.h"

char LICENSE[] SEC("license") = "Dual BSD/GPL";

const volatile bool has_task_pt_regs = false;	 /* bpf_task_pt_regs, since Linux 5.15 */
const volatile __u32 kernel_stack_bytes = 16384; /* THREAD_SIZE, for kernels without it */

/* The processes whose threads are asked for. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, MAX_PROCESSES);
	__type(key, __u32);
	__type(value, __u8);
} wanted SEC(".maps");

/* The record that is being made. Iterators run one at a time on a CPU, but may be preempted by
 * another one of the same program there: each reader of luaspy has a program of its own. */
struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct record_task);
} scratch SEC(".maps");

static __always_inline __u32 state_of(struct task_struct *task)
{
	struct task_struct___old *old = (void *)task;

	if (bpf_core_field_exists(task->__state))
		return BPF_CORE_READ(task, __state);
	return (__u32)BPF_CORE_READ(old, state);
}

static __always_inline void read_registers(struct task_struct *task, struct record_task *record)
{
	struct x86_regs regs;
	void *saved;

	if (has_task_pt_regs) {
		saved = (void *)bpf_task_pt_regs(task);
	} else {
		saved = BPF_CORE_READ(task, stack);
		if (!saved)
			return;
		saved += kernel_stack_bytes - sizeof(regs);
	}
	if (bpf_probe_read_kernel(&regs, sizeof(regs), saved) != 0 || (regs.cs & 3) != 3)
		return;
	record->registers[DW_REG_RAX] = regs.rax;
	record->registers[DW_REG_RDX] = regs.rdx;
	record->registers[DW_REG_RCX] = regs.rcx;
	record->registers[DW_REG_RBX] = regs.rbx;
	record->registers[DW_REG_RSI] = regs.rsi;
	record->registers[DW_REG_RDI] = regs.rdi;
	record->registers[DW_REG_RBP] = regs.rbp;
	record->registers[DW_REG_RSP] = regs.rsp;
	record->registers[DW_REG_R8] = regs.r8;
	record->registers[DW_REG_R8 + 1] = regs.r9;
	record->registers[DW_REG_R10] = regs.r10;
	record->registers[DW_REG_R10 + 1] = regs.r11;
	record->registers[DW_REG_R12] = regs.r12;
	record->registers[DW_REG_R13] = regs.r13;
	record->registers[DW_REG_R14] = regs.r14;
	record->registers[DW_REG_R15] = regs.r15;
	record->registers[DW_REG_RA] = regs.rip;
	record->has_registers = 1;
	/* Interrupts and exceptions have something negative there, or an error's code; then rax is
	 * not the "not supported yet" that the entry of a system call puts in. */
	if ((__s64)regs.orig_rax >= 0 && (__s64)regs.rax == -38)
		record->system_call = (__s64)regs.orig_rax;
}

SEC("iter/task")
int on_task(struct bpf_iter__task *ctx)
{
	struct seq_file *seq = ctx->meta->seq;
	struct task_struct *task = ctx->task;
	struct record_task *record;
	__u32 zero = 0, tgid;
	long bytes;

	if (!task || BPF_CORE_READ(task, flags) & PF_KTHREAD)
		return 0;
	tgid = process_number(task);
	if (!bpf_map_lookup_elem(&wanted, &tgid))
		return 0;
	record = bpf_map_lookup_elem(&scratch, &zero);
	if (!record)
		return 0;
	record->tgid = tgid;
	record->tid = thread_number(task);
	record->kernel_tid = BPF_CORE_READ(task, pid);
	record->ran_ns = BPF_CORE_READ(task, se.sum_exec_runtime);
	record->switches = BPF_CORE_READ(task, nvcsw) + BPF_CORE_READ(task, nivcsw);
	record->state = state_of(task);
	/* Of another size in newer kernels: this way it is read with the one that it has. */
	record->on_cpu = BPF_CORE_READ_BITFIELD_PROBED(task, on_cpu) != 0;
	record->has_registers = 0;
	record->kernel_count = 0;
	record->system_call = NO_SYSTEM_CALL;
	bpf_probe_read_kernel(record->comm, sizeof(record->comm), task->comm);
	if (!record->on_cpu) {
		read_registers(task, record);
		bytes = bpf_get_task_stack(task, record->kernel, MAX_KERNEL_FRAMES * 8, 0);
		if (bytes > 0)
			record->kernel_count = (__u16)(bytes / 8);
	}
	bpf_seq_write(seq, record, sizeof(*record));
	return 0;
}
