/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The few kernel types that the BPF programs touch, declared here so that building needs no BTF of
 * any kernel. preserve_access_index makes libbpf relocate each access to the running kernel
 * (CO-RE). Only what is used; nothing of user space.
 */
#ifndef LUASPY_KERNEL_TYPES_H
#define LUASPY_KERNEL_TYPES_H

#include <linux/types.h>

#define PF_EXITING 0x00000004
#define PF_KTHREAD 0x00200000

/* arch/x86/include/asm/ptrace.h; this layout is user ABI (PTRACE_GETREGS) and does not move. */
struct x86_regs {
	__u64 r15, r14, r13, r12, rbp, rbx;
	__u64 r11, r10, r9, r8;
	__u64 rax, rcx, rdx, rsi, rdi;
	__u64 orig_rax;
	__u64 rip, cs, rflags, rsp, ss;
};

/* The context of a perf_event program, include/uapi/linux/bpf_perf_event.h. */
struct bpf_perf_event_data {
	struct x86_regs regs;
	__u64 sample_period;
	__u64 addr;
};

struct ns_common {
	unsigned int inum;
} __attribute__((preserve_access_index));

struct pid_namespace {
	struct ns_common ns;
} __attribute__((preserve_access_index));

/* A number in each namespace, the initial one's first. */
struct upid {
	int nr;
	struct pid_namespace *ns;
};

struct pid {
	unsigned int level;
	struct upid numbers[1];
} __attribute__((preserve_access_index));

struct sched_entity {
	__u64 sum_exec_runtime; /* ns */
} __attribute__((preserve_access_index));

struct task_struct {
	int pid;
	int tgid;
	unsigned int flags;
	void *stack;
	struct pid *thread_pid;
	struct task_struct *real_parent;
	struct task_struct *group_leader;
	unsigned int self_exec_id; /* 64 bits since Linux 5.7; these are the lower ones */
	unsigned int __state;	   /* since Linux 5.14 */
	struct sched_entity se;
	__u64 start_time; /* CLOCK_MONOTONIC, ns */
	char comm[16];
	int on_cpu;
	unsigned long nvcsw;
	unsigned long nivcsw;
} __attribute__((preserve_access_index));

/* The context of an iterator over tasks, include/linux/bpf.h and kernel/bpf/task_iter.c. */
struct seq_file;

struct bpf_iter_meta {
	struct seq_file *seq;
} __attribute__((preserve_access_index));

struct bpf_iter__task {
	struct bpf_iter_meta *meta;
	struct task_struct *task;
} __attribute__((preserve_access_index));

/* Before Linux 5.14. */
struct task_struct___old {
	long state;
} __attribute__((preserve_access_index));

#endif
