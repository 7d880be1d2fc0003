/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The processes being profiled: what they have mapped, kept up to date in the kernel's tables, and
 * whether they are still there. New mappings come to light in three ways: an event from the kernel
 * when a thread maps code, a sample at an unknown pc, and a look at /proc every second.
 */
#ifndef LUASPY_TARGETS_H
#define LUASPY_TARGETS_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#include "kernel_tables.h"
#include "modules.h"

struct targets;

/* Wakes `epoll_fd` up when there is something to tend. */
struct targets *targets__new(struct kernel_tables *tables, struct modules *modules, int epoll_fd);
void targets__free(struct targets *self);

/* Reads the files that a process has mapped, and sends their tables, so that targets__add is quick.
 * A process that cannot be read is left to that. */
void targets__read_files(struct targets *self, pid_t pid);

/* Starts to follow a process; with `will_exec` what it has mapped now does not matter. Returns 0
 * (also when it is followed already), -ESRCH, -EACCES, -EPERM, -ENOSPC, -ENOMEM. */
int targets__add(struct targets *self, pid_t pid, bool will_exec);

/* Takes that back, for a process that turned out not to be ours to sample, or could not be added.
 */
void targets__remove(struct targets *self, pid_t pid);

/* Has the process's mappings read again, by targets__tend: of many that say so in a row, once. */
void targets__changed(struct targets *self, pid_t pid);

/* The same for a process that has executed another program. */
void targets__executed(struct targets *self, pid_t pid);

/* From now on no Lua frames are read in this process, until it executes another program: what is
 * known of its LuaJIT cannot be right. */
void targets__distrust(struct targets *self, pid_t pid);

/* Looks after mapping events, the look at /proc, and processes that have ended, of which the epoll
 * descriptor tells: `woken` is whether it had anything to tell. Cheap enough to be called ten times
 * a second. */
void targets__tend(struct targets *self, bool woken);

/* Where in process `pid` ELF address `vaddr` of file `file_id` is, or was when it ended; 0 when it
 * is not mapped. */
uint64_t targets__address(const struct targets *self, pid_t pid, uint32_t file_id, uint64_t vaddr);

/* The CPU time of process `pid` is counted from now on; 0: that of each. Without it, from the
 * process's start: it is a child of one that was followed. */
void targets__count_cpu_time(struct targets *self, pid_t pid);

/* CPU time, user and kernel, that the processes followed have used while they were counted: of one
 * that has ended, up to the last look at it. */
uint64_t targets__cpu_time_ns(struct targets *self);

/* A copy of the process's mappings as they are, or were when it ended; the caller frees it. NULL
 * when there are none, or no memory. */
struct mapping *targets__mappings(const struct targets *self, pid_t pid, uint32_t *count);

/* The same as targets__address in such a copy. */
uint64_t mappings__address(const struct mapping *mappings, uint32_t count, uint32_t file_id,
			   uint64_t vaddr);

/* The process's mappings, ascending, and its LuaJIT build (0: none, or not to be trusted), as they
 * were sent to the kernel; borrowed until the next call that may look at the process. false when it
 * is not followed. */
bool targets__view(const struct targets *self, pid_t pid, const struct mapping **mappings,
		   uint32_t *count, uint32_t *vm);

/* Is the process followed, and has it not ended, as far as was noticed? */
bool targets__follows(const struct targets *self, pid_t pid);

/* A process whose end was noticed and that was not returned before; 0 when there is none. */
pid_t targets__take_ended(struct targets *self);

/* Number of processes followed that have not ended; how many of those followed ever had a LuaJIT.
 */
size_t targets__alive(const struct targets *self);
size_t targets__with_vm(const struct targets *self);

#endif
