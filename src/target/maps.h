/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The memory mappings of a process, from /proc/PID/maps (format: proc(5) and the kernel's
 * fs/proc/task_mmu.c). What the files behind them contain is elf_file.h's matter.
 */
#ifndef LUASPY_MAPS_H
#define LUASPY_MAPS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/types.h>

struct map_entry {
	uint64_t start; /* [start, end) */
	uint64_t end;
	uint64_t offset; /* in the file, bytes */
	uint64_t device; /* as makedev() */
	uint64_t inode;	 /* 0: no file */
	bool readable;
	bool writable;
	bool executable;
	bool deleted; /* the kernel put " (deleted)" behind the path, which is stripped here */
	char *path;   /* "" for anonymous memory; "[vdso]", "[heap]", "[anon:...]" as they are */
};

struct maps {
	struct map_entry *entries; /* ascending, disjoint */
	size_t count;
	size_t malformed; /* lines that were not understood or out of order, and left out */
};

/*
 * Reads all mappings. A zombie and a kernel thread have none: 0 with count 0. Returns 0, -ESRCH
 * when there is no such process (any more), -EACCES or -EPERM when it is not ours to see,
 * -ENOMEM, or -E2BIG beyond four million mappings. The caller calls maps__free (also harmless
 * after an error).
 */
int maps__read(pid_t pid, struct maps *maps);
int maps__parse(FILE *file, struct maps *maps);
void maps__free(struct maps *maps);

/* The mapping that contains `address`, or NULL. Borrowed. */
const struct map_entry *maps__find(const struct maps *maps, uint64_t address);

/* Whether a file with a path of its own is mapped here. */
bool map_entry__is_file(const struct map_entry *entry);

#endif
