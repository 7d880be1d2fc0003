/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What /proc says about one process: who it is, whether it can be profiled, its threads and its
 * CPU time. A snapshot: a pid may be reused, (pid, start_ticks) is what identifies a process.
 */
#ifndef LUASPY_PROCESS_INFO_H
#define LUASPY_PROCESS_INFO_H

#include <limits.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

struct process_info {
	pid_t pid;  /* as asked for; a thread's id if it differs from tgid */
	pid_t tgid; /* the process that `pid` belongs to */
	pid_t parent;
	uid_t uid;  /* effective */
	char state; /* 'R', 'S', 'Z', ... of proc(5) */
	bool is_kernel_thread;
	bool is_zombie;	      /* also 'X', dead */
	bool exe_deleted;     /* replaced or deleted since it was started */
	uint64_t start_ticks; /* since boot, in units of sysconf(_SC_CLK_TCK) */
	int exe_error; /* 0, or why `exe` is empty: -EACCES when the process is not ours to see */
	char comm[64]; /* printable ASCII, '?' for what is not */
	char exe[PATH_MAX]; /* as seen in the process's mount namespace */
};

/* Returns 0, -ESRCH when there is no such process, or -EACCES, -EPERM where /proc hides it. */
int process_info__read(pid_t pid, struct process_info *info);

struct thread_info {
	char comm[64]; /* as process_info's */
	char state;
	uint64_t start_ticks;
};

/* A thread of the process, without what is told of processes: /proc/TID/stat adds up the times of
 * all threads of the process each time. Errors as those of process_info__read. */
int process_info__thread(pid_t pid, pid_t tid, struct thread_info *info);

/*
 * The threads of the process that `pid` belongs to, ascending. Returns 0, -ESRCH, -EACCES, -EPERM,
 * -ENOMEM. The caller frees *tids.
 */
int process_info__threads(pid_t pid, pid_t **tids, size_t *count);

/*
 * CPU time, user and kernel, of all threads of the process including those that have exited; 0
 * when there is no such process.
 */
uint64_t process_info__cpu_time_ns(pid_t pid);

/* The inode number of our PID namespace; 0 for the initial one, or when it cannot be told. */
uint32_t process_info__pid_namespace(void);

/* Is the mounted /proc that of our own PID namespace? -EXDEV when it is another's, or none. */
int process_info__check_proc(void);

#endif
