// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * The BPF programs: one that runs at each sample of a target's thread, walks its stack (walk.h) and
 * counts it, one that does so when such a thread leaves a CPU (off_cpu.h), and three that tell user
 * space of forks, execs and exits of targets.
 *
 * A stack is hashed; a hash that is known only counts, a new one is sent once. Nothing here knows
 * names of functions.
 */
#include <linux/bpf.h>

#include "kernel_types.h"

#include <bpf/bpf_core_read.h>
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_tracing.h>
#include <stdbool.h>

#ifndef NULL
#define NULL ((void *)0)
#endif

#include "contract.h"

#include "pid_namespace.h"

char LICENSE[] SEC("license") = "Dual BSD/GPL";

/* ---- settings, fixed at load time ------------------------------------------------------------ */

const volatile bool with_kernel = true;		 /* kernel frames */
const volatile bool with_user = true;		 /* user frames */
const volatile bool per_thread = false;		 /* the thread is part of a stack's identity */
const volatile bool with_coroutines = false;	 /* a frame where a coroutine begins */
const volatile bool with_values = false;	 /* the values in Lua frames */
const volatile bool with_times = false;		 /* tell when each sample was taken */
const volatile bool with_off_cpu = false;	 /* threads that leave the CPU, too */
const volatile __u64 off_cpu_min_ns = 0;	 /* what is shorter does not count */
const volatile bool follow_children = false;	 /* report samples of unknown children */
const volatile bool has_task_pt_regs = false;	 /* bpf_task_pt_regs, since Linux 5.15 */
const volatile __u32 kernel_stack_bytes = 16384; /* THREAD_SIZE, for kernels without it */

/* The VMs that are walked. Of the functions that this leaves out the verifier knows nothing, since
 * Linux 6.8; it takes half of its time for them. */
const volatile bool with_luajit = true;
const volatile bool with_puc = true;

/* When the first sample was taken. */
__u64 first_sample_ns;

/* From when, and until when, times off the CPU count; 0: not yet. CLOCK_MONOTONIC. */
__u64 off_cpu_from_ns, off_cpu_until_ns;

/* ---- maps -------------------------------------------------------------------------------------
 */

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, MAX_PROCESSES);
	__type(key, __u32);
	__type(value, struct process);
} processes SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, MAX_MAPPINGS);
	__type(key, __u32);
	__type(value, struct mapping);
} mappings SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, MAX_FILES);
	__type(key, __u32);
	__type(value, struct file_table);
} files SEC(".maps");

struct table_map {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_INNER_MAP | BPF_F_MMAPABLE);
	__uint(max_entries, 1);
	__uint(key_size, sizeof(__u32));
	__uint(value_size, sizeof(struct table_piece));
};

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY_OF_MAPS);
	__uint(max_entries, MAX_FILES);
	__type(key, __u32);
	__array(values, struct table_map);
} tables SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, MAX_RULES);
	__type(key, __u32);
	__type(value, struct unwind_rule);
} rules SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, MAX_VMS);
	__type(key, __u32);
	__type(value, struct luajit_build);
} builds SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, MAX_VMS);
	__type(key, __u32);
	__type(value, struct puc_build);
} pucs SEC(".maps");

/* The global_State last seen on a thread. A hint, checked by whoever uses it: threads may share a
 * slot, and writes may tear. */
#define THREAD_VMS 1024u
struct thread_vm {
	__u32 tid;
	__u32 reserved;
	__u64 g;
};

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, THREAD_VMS);
	__type(key, __u32);
	__type(value, struct thread_vm);
} thread_vms SEC(".maps");

/* The trace that a pc was last found in: a hint as well. */
#define TRACE_HINTS 1024u
struct trace_hint {
	__u64 pc;
	__u32 trace;
	__u32 reserved;
};

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, TRACE_HINTS);
	__type(key, __u32);
	__type(value, struct trace_hint);
} trace_hints SEC(".maps");

/* Samples of known stacks beyond the first one, by hash. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, MAX_STACKS);
	__type(key, __u64);
	__type(value, struct stack_count);
} stacks SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, MAX_PROTOS);
	__type(key, __u64);
	__type(value, __u8);
} known_protos SEC(".maps");

/* Calls that user space was told of, by a hash of what identifies them. */
struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, MAX_PROTOS);
	__type(key, __u64);
	__type(value, __u8);
} known_calls SEC(".maps");

/* VMs that user space was told of, by global_State and image of a process: without address space
 * randomisation a new image's VM may be where the old one's was. */
struct vm_key {
	__u64 g;
	__u32 tgid;
	__u32 exec_id;
};

struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 4096);
	__type(key, struct vm_key);
	__type(value, __u8);
} known_vms SEC(".maps");

/* Pages of code that were reported as unknown, so that each is reported once. */
struct unknown_key {
	__u32 tgid;
	__u32 generation;
	__u64 page;
};

struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 4096);
	__type(key, struct unknown_key);
	__type(value, __u8);
} unknown_pages SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 8 << 20);
} records SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, COUNTER_COUNT);
	__type(key, __u32);
	__type(value, __u64);
} counters SEC(".maps");

/* Programs that walk all VMs, loaded once a target has one that is not walked here. */
struct whole_program {
	__uint(type, BPF_MAP_TYPE_PROG_ARRAY);
	__uint(max_entries, 1);
	__uint(key_size, sizeof(__u32));
	__uint(value_size, sizeof(__u32));
};
struct whole_program whole_sample SEC(".maps");
struct whole_program whole_switch SEC(".maps");

/* ---- the walk's surroundings (walk_env.h) -----------------------------------------------------
 */

#include "walk_env.h"

typedef void *table_handle;

struct walk;
static __always_inline struct walk *walk_state(void);

static __always_inline const struct mapping *mapping_at(__u32 index)
{
	return bpf_map_lookup_elem(&mappings, &index);
}

static __always_inline const struct file_table *file_at(__u32 file_id)
{
	return bpf_map_lookup_elem(&files, &file_id);
}

static __always_inline table_handle table_of(__u32 file_id)
{
	return bpf_map_lookup_elem(&tables, &file_id);
}

/* A search in a file's table. Most entries are in the piece that the one before was in. */
struct table_look {
	table_handle table;
	const struct table_piece *piece;
	__u32 number;
};

static __always_inline const __u64 *table_entry(struct table_look *look, __u32 index)
{
	__u32 number = index / TABLE_PIECE;

	if (!look->piece || look->number != number) {
		look->piece = bpf_map_lookup_elem(look->table, &number);
		look->number = number;
	}
	return look->piece ? &look->piece->entries[index % TABLE_PIECE] : NULL;
}

static __always_inline const struct unwind_rule *rule_at(__u32 rule)
{
	return bpf_map_lookup_elem(&rules, &rule);
}

static __always_inline const struct luajit_build *build_at(__u32 vm)
{
	return bpf_map_lookup_elem(&builds, &vm);
}

static __always_inline const struct puc_build *puc_at(__u32 puc)
{
	return bpf_map_lookup_elem(&pucs, &puc);
}

struct known_frame;
static __always_inline struct known_frame *known_frame(__u32 slot);

struct outer_frames;
static __always_inline struct outer_frames *outer_frames(__u32 tid);

static __always_inline __u64 thread_vm(__u32 tid)
{
	__u32 slot = tid & (THREAD_VMS - 1);
	struct thread_vm *vm = bpf_map_lookup_elem(&thread_vms, &slot);

	return vm && vm->tid == tid ? vm->g : 0;
}

static __always_inline void thread_vm_set(__u32 tid, __u64 g)
{
	__u32 slot = tid & (THREAD_VMS - 1);
	struct thread_vm *vm = bpf_map_lookup_elem(&thread_vms, &slot);

	if (vm && (vm->g != g || vm->tid != tid)) {
		vm->tid = tid;
		vm->g = g;
	}
}

static __always_inline __u32 trace_hint(__u64 pc)
{
	__u32 slot = (pc ^ pc >> 10) & (TRACE_HINTS - 1);
	struct trace_hint *hint = bpf_map_lookup_elem(&trace_hints, &slot);

	return hint && hint->pc == pc ? hint->trace : 0;
}

static __always_inline void trace_hint_set(__u64 pc, __u32 trace)
{
	__u32 slot = (pc ^ pc >> 10) & (TRACE_HINTS - 1);
	struct trace_hint *hint = bpf_map_lookup_elem(&trace_hints, &slot);

	if (hint) {
		hint->trace = trace;
		hint->pc = pc;
	}
}

struct lua_place;
static __always_inline struct lua_place *lua_place(__u32 index);

#include "walk.h"

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, MAX_LUA_FRAMES);
	__type(key, __u32);
	__type(value, struct lua_place);
} lua_places SEC(".maps");

static __always_inline struct lua_place *lua_place(__u32 index)
{
	return bpf_map_lookup_elem(&lua_places, &index);
}

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct walk);
} walks SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, KNOWN_FRAMES);
	__type(key, __u32);
	__type(value, struct known_frame);
} known_frames SEC(".maps");

static __always_inline struct known_frame *known_frame(__u32 slot)
{
	return bpf_map_lookup_elem(&known_frames, &slot);
}

/* By thread: another one may have the same slot. */
#define OUTER_SLOTS 8u
struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, OUTER_SLOTS);
	__type(key, __u32);
	__type(value, struct outer_frames);
} outer_slots SEC(".maps");

static __always_inline struct outer_frames *outer_frames(__u32 tid)
{
	__u32 slot = tid & (OUTER_SLOTS - 1);

	return bpf_map_lookup_elem(&outer_slots, &slot);
}

/* Protos whose description was sent, by id: a cheap filter in front of known_protos. */
#define SENT_PROTOS 1024u
struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, SENT_PROTOS);
	__type(key, __u32);
	__type(value, __u64);
} sent_protos SEC(".maps");

/* The same for known_vms and known_calls. */
#define SENT_VMS 64u
struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, SENT_VMS);
	__type(key, __u32);
	__type(value, struct vm_key);
} sent_vms SEC(".maps");

#define SENT_CALLS 1024u
struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, SENT_CALLS);
	__type(key, __u32);
	__type(value, __u64);
} sent_calls SEC(".maps");

static __always_inline struct walk *walk_state(void)
{
	__u32 zero = 0;

	return bpf_map_lookup_elem(&walks, &zero);
}

#include "sampler_results.h"

/* ---- one sample ---------------------------------------------------------------------------------
 */

static __always_inline void set_registers(struct walk *w, const struct x86_regs *regs)
{
	w->regs[DW_REG_RAX] = regs->rax;
	w->regs[DW_REG_RDX] = regs->rdx;
	w->regs[DW_REG_RCX] = regs->rcx;
	w->regs[DW_REG_RBX] = regs->rbx;
	w->regs[DW_REG_RSI] = regs->rsi;
	w->regs[DW_REG_RDI] = regs->rdi;
	w->regs[DW_REG_RBP] = regs->rbp;
	w->regs[DW_REG_RSP] = regs->rsp;
	w->regs[DW_REG_R8] = regs->r8;
	w->regs[DW_REG_R8 + 1] = regs->r9;
	w->regs[DW_REG_R10] = regs->r10;
	w->regs[DW_REG_R10 + 1] = regs->r11;
	w->regs[DW_REG_R12] = regs->r12;
	w->regs[DW_REG_R13] = regs->r13;
	w->regs[DW_REG_R14] = regs->r14;
	w->regs[DW_REG_R15] = regs->r15;
	w->regs[DW_REG_RA] = regs->rip;
	w->valid = REGISTERS_ALL;
}

/* The user registers of the current task when the sample hit the kernel. */
__attribute__((noinline)) int kernel_entry_registers(void)
{
	struct walk *w = walk_state();
	struct x86_regs *regs;
	void *saved;

	_Static_assert(sizeof(*regs) <= SCRATCH_SIZE, "scratch");
	if (!w)
		return -1;
	regs = (void *)w->scratch;
	if (has_task_pt_regs) {
		struct task_struct *task = bpf_get_current_task_btf();

		saved = (void *)bpf_task_pt_regs(task);
	} else {
		struct task_struct *task = (void *)bpf_get_current_task();

		saved = BPF_CORE_READ(task, stack);
		if (!saved)
			return -1;
		saved += kernel_stack_bytes - sizeof(*regs);
	}
	if (bpf_probe_read_kernel(regs, sizeof(*regs), saved) != 0)
		return -1;
	if ((regs->cs & 3) != 3)
		return -1;
	set_registers(w, regs);
	return 0;
}

/* Tells user space of `event` at `pc`, once per page and generation of the process. */
__attribute__((noinline)) int report_once(__u32 event, __u32 tgid, __u32 generation, __u64 pc)
{
	struct unknown_key key = {.tgid = tgid, .generation = generation, .page = pc >> 12};
	__u8 one = 1;

	if (bpf_map_lookup_elem(&unknown_pages, &key))
		return 0;
	bpf_map_update_elem(&unknown_pages, &key, &one, BPF_ANY);
	send_process(event, tgid, 0, pc);
	return 0;
}

/* What a walk of the current thread begins with; it is one of `process`. */
static __always_inline void walk_begin(struct walk *w, const struct process *process,
				       __u64 pid_tgid, __u32 off_cpu)
{
	w->sample++;
	w->tid = (__u32)pid_tgid;
	w->first_mapping = process->first_mapping;
	w->mapping_count = process->mapping_count;
	w->vm = process->vm;
	w->generation = process->generation;
	w->off_cpu = off_cpu;
	w->words = 0;
	w->stop = STOP_KERNEL_ONLY;
	w->activations = 0;
	w->lua_frames = 0;
	w->lua_error = LUA_OK;
	w->unknown_pc = 0;
	w->skipped = 0;
	w->vm_state = VM_STATE_NONE;
	w->with_coroutines = with_coroutines;
	w->record.type = RECORD_STACK;
	w->record.tgid = pid_tgid >> 32;
	w->record.tid = per_thread ? (__u32)pid_tgid : 0;
	bpf_get_current_comm(w->record.comm, sizeof(w->record.comm));
}

/* Counts what the walk has come to, and sends it; 0 when it was lost. */
static __always_inline int walk_finish(struct walk *w)
{
	w->record.stop = w->stop;
	w->record.flags = (w->lua_error == LUA_ORDER ? STACK_LUA_ORDER : 0) |
			  w->off_cpu << STACK_OFF_CPU_SHIFT | w->vm_state << STACK_VM_STATE_SHIFT;
	count(COUNTER_STOP + w->stop);
	if (w->lua_error)
		count(COUNTER_LUA_ERROR + w->lua_error);
	if (w->activations) {
		count(COUNTER_THROUGH_VM);
		if (!w->lua_error)
			count(COUNTER_LUA_COMPLETE);
	}
	if (w->skipped)
		count(COUNTER_SKIPPED);
	if (w->lua_frames)
		count(COUNTER_WITH_LUA);
	if (w->unknown_pc)
		report_once(PROCESS_UNKNOWN_PC, w->record.tgid, w->generation, w->unknown_pc);
	return send_stack();
}

SEC("perf_event")
int on_sample(struct bpf_perf_event_data *ctx)
{
	__u64 pid_tgid = current_numbers();
	__u32 tgid = pid_tgid >> 32;
	struct process *process;
	struct walk *w;
	long bytes;
	bool user;

	if (!with_luajit || !with_puc)
		bpf_tail_call(ctx, &whole_sample, 0);
	process = bpf_map_lookup_elem(&processes, &tgid);
	if (!process) {
		if (follow_children && tgid)
			report_once(PROCESS_NEW, tgid, 0, 0);
		return 0;
	}
	w = walk_state();
	if (!w)
		return 0;
	count(COUNTER_SAMPLES);
	if (!first_sample_ns)
		first_sample_ns = bpf_ktime_get_ns();
	if (with_times)
		w->time = bpf_ktime_get_ns();
	walk_begin(w, process, pid_tgid, OFF_CPU_NONE);
	user = (ctx->regs.cs & 3) == 3;
	if (!user && with_kernel) {
		bytes = bpf_get_stack(ctx, w->record.words, MAX_KERNEL_FRAMES * 8, 0);
		if (bytes > 0)
			w->words = (__u64)bytes / 8;
	}
	if (with_user && user)
		set_registers(w, &ctx->regs);
	if (with_user && (user || kernel_entry_registers() == 0))
		walk_user();
	walk_finish(w);
	return 0;
}

#include "off_cpu.h"

/* ---- the lives of targets
 * ------------------------------------------------------------------------- */

SEC("raw_tracepoint/sched_process_fork")
int on_fork(struct bpf_raw_tracepoint_args *ctx)
{
	struct task_struct *parent = (void *)ctx->args[0], *child = (void *)ctx->args[1];
	struct process *process, copy;
	__u32 tgid, child_tgid;

	if (BPF_CORE_READ(parent, tgid) == BPF_CORE_READ(child, tgid))
		return 0; /* a thread */
	tgid = process_number(parent);
	process = bpf_map_lookup_elem(&processes, &tgid);
	if (!process)
		return 0;
	child_tgid = process_number(child);
	if (with_off_cpu && follow_children && child_tgid) {
		/* It may block for long before user space has heard of it. Its memory is as its
		 * parent's. */
		copy = *process;
		copy.since_ns = bpf_ktime_get_ns();
		copy.flags = 0;
		bpf_map_update_elem(&processes, &child_tgid, &copy, BPF_NOEXIST);
	}
	send_process(PROCESS_FORK, tgid, child_tgid, 0);
	return 0;
}

SEC("raw_tracepoint/sched_process_exec")
int on_exec(struct bpf_raw_tracepoint_args *ctx)
{
	__u32 tgid = current_numbers() >> 32;
	struct process *process = bpf_map_lookup_elem(&processes, &tgid);

	if (process) {
		/* Nothing that was known of the old image holds for the new one. */
		process->mapping_count = 0;
		process->vm = 0;
		process->generation |= 1; /* user space's are even */
		if (process->flags & PROCESS_UNTIL_EXEC) {
			process->flags = 0;
			process->since_ns = bpf_ktime_get_ns();
		}
		send_process(PROCESS_EXEC, tgid, 0, 0);
	}
	return 0;
}

SEC("raw_tracepoint/sched_process_exit")
int on_exit(struct bpf_raw_tracepoint_args *ctx)
{
	__u64 pid_tgid = current_numbers();
	__u32 tgid = pid_tgid >> 32;

	if (!bpf_map_lookup_elem(&processes, &tgid))
		return 0;
	if (with_off_cpu)
		thread_ended();
	if (tgid == (__u32)pid_tgid)
		send_process(PROCESS_EXIT, tgid, 0, 0);
	return 0;
}
