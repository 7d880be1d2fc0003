/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The numbers that processes and threads have in luaspy's own PID namespace, which are those that
 * user space reads in /proc and is told by its user. The kernel's own, in task_struct, are those of
 * the initial namespace. bpf_get_ns_current_pid_tgid does not help: it knows only the tasks whose
 * innermost namespace is the one that is asked for, not those of a container inside it.
 */
#ifndef LUASPY_PID_NAMESPACE_H
#define LUASPY_PID_NAMESPACE_H

#ifndef LUASPY_BPF
#error "included by the BPF programs"
#endif

#define MAX_PID_LEVELS 33u /* include/linux/pid_namespace.h: 32 below the initial one */

/* The namespace's inode number; 0: it is the initial one, whose numbers need no search. */
const volatile __u32 pid_namespace = 0;

/* The number of a struct pid in luaspy's namespace, 0 when it has none there. Innermost first: that
 * is luaspy's in most cases. */
__attribute__((noinline)) int pid_number(__u64 pid_address)
{
	struct pid *pid = (struct pid *)pid_address;
	__u32 level = BPF_CORE_READ(pid, level), i, inode;
	struct upid entry;

	for (i = 0; i < MAX_PID_LEVELS; i++) {
		if (i > level)
			break;
		if (bpf_probe_read_kernel(
			    &entry, sizeof(entry),
			    (const char *)__builtin_preserve_access_index(&pid->numbers[0]) +
				    (__u64)(level - i) * sizeof(entry)) != 0)
			break;
		inode = BPF_CORE_READ(entry.ns, ns.inum);
		if (inode == pid_namespace)
			return entry.nr;
	}
	return 0;
}

static __always_inline __u32 thread_number(struct task_struct *task)
{
	if (!pid_namespace)
		return BPF_CORE_READ(task, pid);
	return pid_number((__u64)BPF_CORE_READ(task, thread_pid));
}

static __always_inline __u32 process_number(struct task_struct *task)
{
	if (!pid_namespace)
		return BPF_CORE_READ(task, tgid);
	return pid_number((__u64)BPF_CORE_READ(task, group_leader, thread_pid));
}

/* As bpf_get_current_pid_tgid; the process's number is 0 when luaspy cannot see it. */
static __always_inline __u64 current_numbers(void)
{
	struct task_struct *task;

	if (!pid_namespace)
		return bpf_get_current_pid_tgid();
	task = (void *)bpf_get_current_task();
	return (__u64)process_number(task) << 32 | thread_number(task);
}

#endif
