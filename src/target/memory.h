/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Reads a target's memory while it runs. What is read may change in the next moment, or be
 * anything at all: the reader checks it.
 */
#ifndef LUASPY_MEMORY_H
#define LUASPY_MEMORY_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

/* All `size` bytes at `address` of process `pid`. Returns 0, -EFAULT when some of them are not
 * mapped, -ESRCH when the process has gone, -EPERM when it may not be read. */
int memory__read(pid_t pid, uint64_t address, void *bytes, size_t size);

#endif
