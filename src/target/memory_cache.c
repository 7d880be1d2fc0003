/* SPDX-License-Identifier: Apache-2.0 */
#include "memory_cache.h"

#include <stdlib.h>
#include <string.h>

#include "memory.h"

/* A page: those beside it may never have been touched, and reading them would change the target. */
#define BLOCK_SIZE  4096u
#define BLOCK_COUNT 4096u

struct block {
	uint64_t number; /* 1 + address / BLOCK_SIZE; 0: none */
	uint8_t bytes[BLOCK_SIZE];
};

struct memory_cache {
	pid_t pid;
	struct block *blocks;
};

struct memory_cache *memory_cache__new(pid_t pid)
{
	struct memory_cache *self = calloc(1, sizeof(*self));

	if (!self)
		return NULL;
	self->pid = pid;
	self->blocks = calloc(BLOCK_COUNT, sizeof(*self->blocks));
	if (!self->blocks) {
		free(self);
		return NULL;
	}
	return self;
}

void memory_cache__free(struct memory_cache *self)
{
	if (!self)
		return;
	free(self->blocks);
	free(self);
}

void memory_cache__forget(struct memory_cache *self)
{
	size_t i;

	for (i = 0; i < BLOCK_COUNT; i++)
		self->blocks[i].number = 0;
}

/* The block with this number; NULL when not all of it is mapped. */
static const struct block *get_block(struct memory_cache *self, uint64_t number)
{
	struct block *block = &self->blocks[(number ^ number / BLOCK_COUNT) % BLOCK_COUNT];

	if (block->number == number)
		return block;
	block->number = 0;
	if (memory__read(self->pid, (number - 1) * BLOCK_SIZE, block->bytes, BLOCK_SIZE) != 0)
		return NULL;
	block->number = number;
	return block;
}

int memory_cache__read(void *self, uint64_t address, void *bytes, size_t size)
{
	struct memory_cache *cache = self;
	size_t offset = address % BLOCK_SIZE;
	const struct block *block;

	if (offset + size > BLOCK_SIZE)
		return memory__read(cache->pid, address, bytes, size);
	block = get_block(cache, 1 + address / BLOCK_SIZE);
	if (!block)
		return memory__read(cache->pid, address, bytes, size);
	memcpy(bytes, block->bytes + offset, size);
	return 0;
}
