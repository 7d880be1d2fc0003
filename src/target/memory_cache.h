/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A target's memory read by the block, for readers that follow pointers through much of it: a
 * system call for each object would take ten times as long. What was read once stays as it was
 * until it is forgotten, or pushed out by other blocks.
 */
#ifndef LUASPY_MEMORY_CACHE_H
#define LUASPY_MEMORY_CACHE_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

struct memory_cache;

/* Takes 16 MB as it is used. NULL when out of memory. */
struct memory_cache *memory_cache__new(pid_t pid);
void memory_cache__free(struct memory_cache *self);

/* As memory__read, for small sizes; its own first argument is void, so that it can be a callback.
 */
int memory_cache__read(void *self, uint64_t address, void *bytes, size_t size);

void memory_cache__forget(struct memory_cache *self);

#endif
