// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * The BPF programs: one that runs at each sample of a target's thread, walks its stack (walk.h) and
 * counts it, and three that tell user space of forks, execs and exits of targets.
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

char LICENSE[] SEC("license") = "Dual BSD/GPL";

/* ---- settings, fixed at load time ------------------------------------------------------------ */

const volatile bool with_kernel = true;		 /* kernel frames */
const volatile bool with_user = true;		 /* user frames */
const volatile bool per_thread = false;		 /* the thread is part of a stack's identity */
const volatile bool with_coroutines = false;	 /* a frame where a coroutine begins */
const volatile bool follow_children = false;	 /* report samples of unknown children */
const volatile bool has_task_pt_regs = false;	 /* bpf_task_pt_regs, since Linux 5.15 */
const volatile __u32 kernel_stack_bytes = 16384; /* THREAD_SIZE, for kernels without it */

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
	__uint(map_flags, BPF_F_INNER_MAP);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, __u64);
};

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY_OF_MAPS);
	__uint(max_entries, MAX_FILES);
	__type(key, __u32);
	__array(values, struct table_map);
} tables SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
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
	__type(value, __u64);
} stacks SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, MAX_PROTOS);
	__type(key, __u64);
	__type(value, __u8);
} known_protos SEC(".maps");

/* VMs that user space was told of, by global_State and process. */
struct vm_key {
	__u64 g;
	__u64 tgid;
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

static __always_inline const __u64 *table_entry(table_handle table, __u32 index)
{
	return bpf_map_lookup_elem(table, &index);
}

static __always_inline const struct unwind_rule *rule_at(__u32 rule)
{
	return bpf_map_lookup_elem(&rules, &rule);
}

static __always_inline const struct luajit_build *build_at(__u32 vm)
{
	return bpf_map_lookup_elem(&builds, &vm);
}

struct known_frame;
static __always_inline struct known_frame *known_frame(__u32 slot);

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

#include "walk.h"

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

/* Protos whose description was sent, by id: a cheap filter in front of known_protos. */
#define SENT_PROTOS 1024u
struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, SENT_PROTOS);
	__type(key, __u32);
	__type(value, __u64);
} sent_protos SEC(".maps");

static __always_inline struct walk *walk_state(void)
{
	__u32 zero = 0;

	return bpf_map_lookup_elem(&walks, &zero);
}

/* ---- results ----------------------------------------------------------------------------------
 */

static __always_inline void count(__u32 counter)
{
	__u64 *value = bpf_map_lookup_elem(&counters, &counter);

	if (value)
		(*value)++;
}

/* Wakes user space only when a good part of the buffer is full; it looks in by itself otherwise. */
static __always_inline __u64 wakeup_flags(void)
{
	return bpf_ringbuf_query(&records, BPF_RB_AVAIL_DATA) > (1 << 20) ? BPF_RB_FORCE_WAKEUP
									  : BPF_RB_NO_WAKEUP;
}

static __always_inline void send_process(__u32 event, __u32 tgid, __u32 child, __u64 pc)
{
	struct record_process record = {
		.type = RECORD_PROCESS, .event = event, .tgid = tgid, .child = child, .pc = pc};

	bpf_ringbuf_output(&records, &record, sizeof(record), BPF_RB_FORCE_WAKEUP);
}

/* Describes the i-th Lua frame's proto unless that was done before. The target stands still in this
 * sample, so what is read now is what the frame's id was made from. */
__attribute__((noinline)) int send_proto(__u32 i, __u64 id)
{
	struct walk *w = walk_state();
	const struct luajit_build *build;
	struct record_proto *record;
	__u32 slot = id & (SENT_PROTOS - 1);
	__u8 bytes[PROTO_READ_SIZE] __attribute__((aligned(8)));
	__u64 proto, chunk, *sent;
	__u8 one = 1;

	if (!w || i >= MAX_LUA_FRAMES)
		return 0;
	sent = bpf_map_lookup_elem(&sent_protos, &slot);
	if (!sent || *sent == id)
		return 0;
	if (bpf_map_lookup_elem(&known_protos, &id)) {
		*sent = id;
		return 0;
	}
	build = build_at(w->vm - 1);
	proto = w->lua_protos[i];
	if (!build || bpf_probe_read_user(bytes, sizeof(bytes), (void *)proto) != 0)
		return 0;
	record = bpf_ringbuf_reserve(&records, sizeof(*record), 0);
	if (!record) {
		count(COUNTER_LOST_PROTO);
		return 0;
	}
	record->type = RECORD_PROTO;
	record->tgid = w->record.tgid;
	record->proto_id = id;
	record->address = proto;
	if (w->gc64) {
		record->bytecode_count = *(__u32 *)(bytes + GC64_PROTO_SIZEBC);
		record->first_line = *(__u32 *)(bytes + GC64_PROTO_FIRSTLINE);
		record->line_count = *(__u32 *)(bytes + GC64_PROTO_NUMLINE);
		record->parameter_count = bytes[GC64_PROTO_NUMPARAMS];
		record->vararg = !!(bytes[GC64_PROTO_FLAGS] & PROTO_VARARG);
		chunk = *(__u64 *)(bytes + GC64_PROTO_CHUNKNAME);
	} else {
		record->parameter_count = bytes[GC32_PROTO_NUMPARAMS];
		record->vararg = !!(bytes[GC32_PROTO_FLAGS] & PROTO_VARARG);
		record->bytecode_count = *(__u32 *)(bytes + GC32_PROTO_SIZEBC);
		record->first_line = *(__u32 *)(bytes + GC32_PROTO_FIRSTLINE);
		record->line_count = *(__u32 *)(bytes + GC32_PROTO_NUMLINE);
		chunk = *(__u32 *)(bytes + GC32_PROTO_CHUNKNAME);
	}
	record->chunk_length = 0;
	bpf_probe_read_user(&record->chunk_length, 4, (void *)(chunk + build->string_length));
	record->chunk[0] = 0;
	bpf_probe_read_user_str(record->chunk, MAX_CHUNK_NAME,
				(void *)(chunk + build->string_data));
	bpf_ringbuf_submit(record, wakeup_flags());
	bpf_map_update_elem(&known_protos, &id, &one, BPF_ANY);
	*sent = id;
	return 0;
}

/* The line of a bytecode position, 0 when it is not known (lj_debug.c, lj_debug_line). One byte per
 * instruction where the function has fewer than 256 lines, else two or four. */
__attribute__((noinline)) int line_of(__u32 i, __u32 position)
{
	struct walk *w = walk_state();
	__u64 proto, table = 0;
	__u32 header[2], entry = 0;

	if (!w || i >= MAX_LUA_FRAMES || position == BCPOS_NONE)
		return 0;
	proto = w->lua_protos[i];
	if (bpf_probe_read_user(header, sizeof(header),
				(void *)(proto + (w->gc64 ? GC64_PROTO_FIRSTLINE
							  : GC32_PROTO_FIRSTLINE))) != 0 ||
	    bpf_probe_read_user(
		    &table, w->gc64 ? 8 : 4,
		    (void *)(proto + (w->gc64 ? GC64_PROTO_LINEINFO : GC32_PROTO_LINEINFO))) != 0 ||
	    !table)
		return 0;
	if (position) {
		position--;
		if (header[1] < 256)
			bpf_probe_read_user(&entry, 1, (void *)(table + position));
		else if (header[1] < 65536)
			bpf_probe_read_user(&entry, 2, (void *)(table + 2ull * position));
		else
			bpf_probe_read_user(&entry, 4, (void *)(table + 4ull * position));
	}
	return header[0] + entry;
}

/* Describes the Lua functions of a stack that is sent, and puts in the current lines. */
__attribute__((noinline)) int send_protos(void)
{
	struct walk *w = walk_state();
	__u32 i, lua = 0;
	__u64 word, line;

	if (!w)
		return 0;
	for (i = 0; i + 1 < MAX_WORDS; i++) {
		if (i >= w->words)
			break;
		word = w->record.words[i];
		if (word >> FRAME_KIND_SHIFT == FRAME_KIND_LUA) {
			send_proto(lua, w->record.words[i + 1]);
			line = (__u32)line_of(lua, (__u32)word);
			if (line <= FRAME_LINE_MASK)
				w->record.words[i] = word | line << FRAME_LINE_SHIFT;
			lua++;
			i++;
		} else if (word >> FRAME_KIND_SHIFT == FRAME_KIND_BUILTIN) {
			i++;
		}
	}
	return 0;
}

__attribute__((noinline)) int send_vm(void)
{
	struct walk *w = walk_state();
	struct record_vm record = {.type = RECORD_VM};
	struct vm_key key = {};
	__u8 one = 1;

	if (!w)
		return 0;
	key.g = w->g;
	key.tgid = w->record.tgid;
	if (bpf_map_lookup_elem(&known_vms, &key))
		return 0;
	record.tgid = w->record.tgid;
	record.g = w->g;
	record.L = w->L;
	record.vm = w->vm;
	if (bpf_ringbuf_output(&records, &record, sizeof(record), BPF_RB_FORCE_WAKEUP) == 0)
		bpf_map_update_elem(&known_vms, &key, &one, BPF_ANY);
	return 0;
}

/* Sets the record's hash. */
__attribute__((noinline)) int hash_stack(void)
{
	struct walk *w = walk_state();
	__u64 hash, *comm;
	__u32 i;

	if (!w)
		return 0;
	comm = (__u64 *)w->record.comm;
	hash = hash_mix(0x6c75617370790000ull + w->record.stop + (w->record.flags << 8),
			(__u64)w->record.tgid << 32 | w->record.tid);
	hash = hash_mix(hash_mix(hash, comm[0]), comm[1]);
	for (i = 0; i < MAX_WORDS; i++) {
		if (i >= w->words)
			break;
		hash = hash_mix(hash, w->record.words[i]);
	}
	w->record.hash = hash;
	return 0;
}

__attribute__((noinline)) int send_stack(void)
{
	struct walk *w = walk_state();
	__u64 hash, zero = 0, size, *known;

	if (!w)
		return 0;
	hash_stack();
	hash = w->record.hash;
	known = bpf_map_lookup_elem(&stacks, &hash);
	if (known) {
		__sync_fetch_and_add(known, 1);
		return 0;
	}
	if (w->lua_frames) {
		send_protos();
		send_vm();
	}
	w->record.word_count = w->words;
	size = RECORD_STACK_HEADER + 8 * (__u64)w->words;
	if (size > sizeof(w->record))
		size = sizeof(w->record);
	if (bpf_ringbuf_output(&records, &w->record, size, wakeup_flags()) != 0) {
		count(COUNTER_LOST);
		return 0;
	}
	if (bpf_map_update_elem(&stacks, &hash, &zero, BPF_NOEXIST) == -7 /* E2BIG */)
		count(COUNTER_STACKS_FULL);
	return 0;
}

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
static __always_inline int kernel_entry_registers(struct walk *w)
{
	struct x86_regs regs;
	void *saved;

	if (has_task_pt_regs) {
		struct task_struct *task = bpf_get_current_task_btf();

		saved = (void *)bpf_task_pt_regs(task);
	} else {
		struct task_struct *task = (void *)bpf_get_current_task();

		saved = BPF_CORE_READ(task, stack);
		if (!saved)
			return -1;
		saved += kernel_stack_bytes - sizeof(regs);
	}
	if (bpf_probe_read_kernel(&regs, sizeof(regs), saved) != 0)
		return -1;
	if ((regs.cs & 3) != 3)
		return -1;
	set_registers(w, &regs);
	return 0;
}

static __always_inline void report_unknown_pc(struct walk *w, __u32 generation)
{
	struct unknown_key key = {
		.tgid = w->record.tgid, .generation = generation, .page = w->unknown_pc >> 12};
	__u8 one = 1;

	if (bpf_map_lookup_elem(&unknown_pages, &key))
		return;
	bpf_map_update_elem(&unknown_pages, &key, &one, BPF_ANY);
	send_process(PROCESS_UNKNOWN_PC, key.tgid, 0, w->unknown_pc);
}

static __always_inline void report_new_process(__u32 tgid)
{
	struct unknown_key key = {.tgid = tgid};
	__u8 one = 1;

	if (bpf_map_lookup_elem(&unknown_pages, &key))
		return;
	bpf_map_update_elem(&unknown_pages, &key, &one, BPF_ANY);
	send_process(PROCESS_NEW, tgid, 0, 0);
}

SEC("perf_event")
int on_sample(struct bpf_perf_event_data *ctx)
{
	__u64 pid_tgid = bpf_get_current_pid_tgid();
	__u32 tgid = pid_tgid >> 32;
	struct process *process;
	struct x86_regs regs;
	struct walk *w;
	long bytes;
	bool user;

	process = bpf_map_lookup_elem(&processes, &tgid);
	if (!process) {
		if (follow_children)
			report_new_process(tgid);
		return 0;
	}
	w = walk_state();
	if (!w)
		return 0;
	count(COUNTER_SAMPLES);
	w->sample++;
	w->tid = (__u32)pid_tgid;
	w->first_mapping = process->first_mapping;
	w->mapping_count = process->mapping_count;
	w->vm = process->vm;
	w->generation = process->generation;
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
	w->record.tgid = tgid;
	w->record.tid = per_thread ? (__u32)pid_tgid : 0;
	bpf_get_current_comm(w->record.comm, sizeof(w->record.comm));

	user = (ctx->regs.cs & 3) == 3;
	if (!user && with_kernel) {
		bytes = bpf_get_stack(ctx, w->record.words, MAX_KERNEL_FRAMES * 8, 0);
		if (bytes > 0)
			w->words = (__u64)bytes / 8;
	}
	if (with_user) {
		if (user) {
			regs.rax = ctx->regs.rax;
			regs.rdx = ctx->regs.rdx;
			regs.rcx = ctx->regs.rcx;
			regs.rbx = ctx->regs.rbx;
			regs.rsi = ctx->regs.rsi;
			regs.rdi = ctx->regs.rdi;
			regs.rbp = ctx->regs.rbp;
			regs.rsp = ctx->regs.rsp;
			regs.r8 = ctx->regs.r8;
			regs.r9 = ctx->regs.r9;
			regs.r10 = ctx->regs.r10;
			regs.r11 = ctx->regs.r11;
			regs.r12 = ctx->regs.r12;
			regs.r13 = ctx->regs.r13;
			regs.r14 = ctx->regs.r14;
			regs.r15 = ctx->regs.r15;
			regs.rip = ctx->regs.rip;
			set_registers(w, &regs);
			walk_user();
		} else if (kernel_entry_registers(w) == 0) {
			walk_user();
		}
	}

	w->record.stop = w->stop;
	w->record.flags = (w->lua_error == LUA_ORDER ? STACK_LUA_ORDER : 0) |
			  w->vm_state << STACK_VM_STATE_SHIFT;
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
		report_unknown_pc(w, process->generation);
	send_stack();
	return 0;
}

/* ---- the lives of targets
 * ------------------------------------------------------------------------- */

SEC("raw_tracepoint/sched_process_fork")
int on_fork(struct bpf_raw_tracepoint_args *ctx)
{
	struct task_struct *parent = (void *)ctx->args[0], *child = (void *)ctx->args[1];
	__u32 tgid = BPF_CORE_READ(parent, tgid), child_tgid = BPF_CORE_READ(child, tgid);

	if (tgid != child_tgid && bpf_map_lookup_elem(&processes, &tgid))
		send_process(PROCESS_FORK, tgid, child_tgid, 0);
	return 0;
}

SEC("raw_tracepoint/sched_process_exec")
int on_exec(struct bpf_raw_tracepoint_args *ctx)
{
	__u32 tgid = bpf_get_current_pid_tgid() >> 32;
	struct process *process = bpf_map_lookup_elem(&processes, &tgid);

	if (process) {
		/* Nothing that was known of the old image holds for the new one. */
		process->mapping_count = 0;
		process->vm = 0;
		process->generation++;
		send_process(PROCESS_EXEC, tgid, 0, 0);
	}
	return 0;
}

SEC("raw_tracepoint/sched_process_exit")
int on_exit(struct bpf_raw_tracepoint_args *ctx)
{
	__u64 pid_tgid = bpf_get_current_pid_tgid();
	__u32 tgid = pid_tgid >> 32;

	if (tgid == (__u32)pid_tgid && bpf_map_lookup_elem(&processes, &tgid))
		send_process(PROCESS_EXIT, tgid, 0, 0);
	return 0;
}
