/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * What tasks.bpf.c tells of a thread: one record each, in the order of the kernel's list.
 */
#ifndef LUASPY_TASK_RECORD_H
#define LUASPY_TASK_RECORD_H

#include "contract.h"

/* task_struct.__state (include/linux/sched.h); 0: it runs, or waits for a CPU. */
#define TASK_STATE_INTERRUPTIBLE   0x01u
#define TASK_STATE_UNINTERRUPTIBLE 0x02u
#define TASK_STATE_STOPPED	   0x04u
#define TASK_STATE_TRACED	   0x08u
#define TASK_STATE_DEAD		   0x80u

#define NO_SYSTEM_CALL (-1ll)

struct record_task {
	__u32 tgid; /* in luaspy's PID namespace */
	__u32 tid;
	__u64 switches; /* how often it was taken off a CPU: unchanged, it has not run since */
	__u32 state;
	__u8 on_cpu;
	__u8 has_registers; /* those of user space, complete; of a thread that is not on a CPU */
	__u16 kernel_count;
	__u32 kernel_tid; /* the kernel's own number of the thread */
	__u32 reserved;
	__u64 ran_ns;	   /* its CPU time */
	__s64 system_call; /* the number of the one that it is in, or NO_SYSTEM_CALL */
	char comm[16];
	__u64 registers[32];		 /* by DWARF number; [DW_REG_RA] is the pc */
	__u64 kernel[MAX_KERNEL_FRAMES]; /* addresses of its kernel stack, leaf first */
};
_Static_assert(sizeof(struct record_task) == 64 + 8 * (32 + MAX_KERNEL_FRAMES),
	       "record_task is part of the contract");

#endif
