/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Time off the CPU: when a thread of a target leaves a CPU its stack is walked, and when it comes
 * back the time in between is added to that stack.
 *
 * The scheduler calls it with interrupts off, in the thread that leaves, whose memory is still the
 * current one. So nothing else runs here that would use this CPU's walk: samples come from a timer
 * interrupt, and no switch happens inside an interrupt.
 */
#ifndef LUASPY_OFF_CPU_H
#define LUASPY_OFF_CPU_H

#ifndef LUASPY_SAMPLER_RESULTS_H
#error "included by sampler.bpf.c, after sampler_results.h"
#endif

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, MAX_THREADS);
	__type(key, __u32);
	__type(value, struct thread);
} threads SEC(".maps");

/* There was once no room for a thread: that one is not known no longer proves that it has not been
 * on a CPU. */
__u32 threads_lost;

/* Adds a time to the stack `hash`. */
__attribute__((noinline)) int off_cpu_add(__u64 hash, __u64 ns)
{
	struct record_off_cpu record = {.type = RECORD_OFF_CPU, .hash = hash, .ns = ns};
	struct stack_count *known;

	/* The clock may differ between CPUs by some nanoseconds (ktime_get_mono_fast_ns). */
	if ((__s64)ns < 0)
		record.ns = ns = 0;
	if (hash && ns < off_cpu_min_ns) {
		count(COUNTER_OFF_SHORT);
		count_up(COUNTER_OFF_SHORT_NS, ns);
		return 0;
	}
	known = hash ? bpf_map_lookup_elem(&stacks, &hash) : NULL;
	if (known) {
		__sync_fetch_and_add(&known->count, 1);
		__sync_fetch_and_add(&known->ns, ns);
		return 0;
	}
	if (hash && bpf_ringbuf_output(&records, &record, sizeof(record), wakeup_flags()) == 0)
		return 0;
	count(COUNTER_OFF_LOST);
	count_up(COUNTER_OFF_LOST_NS, ns);
	return 0;
}

/* Sends the stack of a thread, other than the current one, that left before it was followed. Its
 * hash, 0 when it was lost. */
__attribute__((noinline)) __u64 send_before(__u64 task_address, __u32 tgid, __u32 tid)
{
	struct task_struct *task = (struct task_struct *)task_address;
	struct walk *w = walk_state();
	__u64 *comm, hash;

	if (!w)
		return 0;
	comm = (__u64 *)w->record.comm;
	comm[0] = comm[1] = 0;
	BPF_CORE_READ_STR_INTO(&w->record.comm, task, comm);
	w->off_cpu = OFF_CPU_BEFORE;
	w->words = 0;
	w->lua_frames = 0;
	w->record.type = RECORD_STACK;
	w->record.tgid = tgid;
	w->record.tid = per_thread ? tid : 0;
	w->record.stop = STOP_COMPLETE;
	w->record.flags = OFF_CPU_BEFORE << STACK_OFF_CPU_SHIFT;
	hash_stack();
	hash = w->record.hash;
	return bpf_map_lookup_elem(&stacks, &hash) || send_new_stack() ? hash : 0;
}

/* A thread comes to this CPU. One that is not known was somewhere else since it was followed, or is
 * new. */
__attribute__((noinline)) int thread_comes(__u64 task_address)
{
	struct task_struct *task = (struct task_struct *)task_address;
	__u32 tgid = process_number(task), pid;
	__u64 now, since, started;
	struct process *process;
	struct thread *thread, fresh = {};

	process = bpf_map_lookup_elem(&processes, &tgid);
	if (!process || process->flags & PROCESS_UNTIL_EXEC)
		return 0;
	pid = BPF_CORE_READ(task, pid);
	now = bpf_ktime_get_ns();
	thread = bpf_map_lookup_elem(&threads, &pid);
	if (thread) {
		since = thread->off_since_ns;
		thread->off_since_ns = 0;
		if (since)
			off_cpu_add(thread->hash, now - since);
		else if (!(BPF_CORE_READ(task, flags) & PF_EXITING))
			count(COUNTER_OFF_LOST); /* nobody told that it left */
		return 0;
	}
	if (BPF_CORE_READ(task, flags) & PF_EXITING)
		return 0;
	since = process->since_ns > off_cpu_from_ns ? process->since_ns : off_cpu_from_ns;
	started = BPF_CORE_READ(task, start_time);
	fresh.tgid = tgid;
	fresh.tid = thread_number(task);
	if (bpf_map_update_elem(&threads, &pid, &fresh, BPF_ANY) != 0)
		threads_lost = 1;
	if (threads_lost)
		count(COUNTER_OFF_LOST);
	else if (started < since)
		off_cpu_add(send_before(task_address, tgid, fresh.tid), now - since);
	return 0;
}

/*
 * The current thread has left the CPU with the walk's stack, or with `hash` 0 one that was lost. If
 * it was off the CPU already, nobody has told when it came back (that happens: a tracepoint may be
 * skipped); but what it has not run since then it was off.
 */
__attribute__((noinline)) int thread_leaves(__u64 since_ns, __u64 hash)
{
	struct task_struct *task = (void *)bpf_get_current_task();
	struct thread *thread, fresh = {.off_since_ns = since_ns, .hash = hash};
	__u32 pid = (__u32)bpf_get_current_pid_tgid();
	struct walk *w = walk_state();
	__u64 before;

	if (!w)
		return 0;
	fresh.ran_ns = BPF_CORE_READ(task, se.sum_exec_runtime);
	thread = bpf_map_lookup_elem(&threads, &pid);
	if (thread) {
		before = thread->off_since_ns + fresh.ran_ns - thread->ran_ns;
		if (thread->off_since_ns && before < since_ns)
			off_cpu_add(thread->hash, since_ns - before);
		thread->ran_ns = fresh.ran_ns;
		thread->hash = hash;
		thread->off_since_ns = since_ns;
		return 0;
	}
	fresh.tgid = w->record.tgid;
	fresh.tid = w->tid;
	if (bpf_map_update_elem(&threads, &pid, &fresh, BPF_ANY) != 0) {
		threads_lost = 1;
		count(COUNTER_OFF_LOST);
	}
	return 0;
}

static __always_inline void thread_ended(void)
{
	__u32 pid = (__u32)bpf_get_current_pid_tgid();

	bpf_map_delete_elem(&threads, &pid);
}

static __always_inline bool is_runnable(struct task_struct *task)
{
	struct task_struct___old *old = (void *)task;

	if (bpf_core_field_exists(task->__state))
		return !BPF_CORE_READ(task, __state);
	return !BPF_CORE_READ(old, state);
}

/* Arguments: is it preemption; the thread that leaves, which is the current one; the one that
 * comes. */
SEC("raw_tracepoint/sched_switch")
int on_switch(struct bpf_raw_tracepoint_args *ctx)
{
	struct task_struct *task = (void *)ctx->args[1];
	struct process *process;
	__u64 pid_tgid, now;
	struct walk *w;
	__u32 tgid;
	long bytes;

	if (!with_luajit || !with_puc)
		bpf_tail_call(ctx, &whole_switch, 0);
	if (!off_cpu_from_ns || off_cpu_until_ns)
		return 0;
	thread_comes(ctx->args[2]);
	pid_tgid = current_numbers();
	tgid = pid_tgid >> 32;
	process = bpf_map_lookup_elem(&processes, &tgid);
	if (!process || process->flags & PROCESS_UNTIL_EXEC)
		return 0;
	/* What is left of it is not the program's any more, and it may not come back. */
	if (BPF_CORE_READ(task, flags) & PF_EXITING)
		return 0;
	w = walk_state();
	if (!w)
		return 0;
	now = bpf_ktime_get_ns();
	if (!first_sample_ns)
		first_sample_ns = now;
	count(COUNTER_SWITCHES);
	walk_begin(w, process, pid_tgid,
		   ctx->args[0] || is_runnable(task) ? OFF_CPU_WAITING : OFF_CPU_BLOCKED);
	if (with_kernel) {
		bytes = bpf_get_stack(ctx, w->record.words, MAX_KERNEL_FRAMES * 8, 0);
		if (bytes > 0)
			w->words = (__u64)bytes / 8;
	}
	if (with_user && kernel_entry_registers() == 0)
		walk_user();
	thread_leaves(now, walk_finish(w) ? w->record.hash : 0);
	return 0;
}

#endif
