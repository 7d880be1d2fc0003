/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Memory of a process with a Lua heap that is built by hand: what test_luajit_image.h and
 * test_puc_image.h put objects into.
 */
#ifndef LUASPY_TEST_HEAP_IMAGE_H
#define LUASPY_TEST_HEAP_IMAGE_H

#include <errno.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "bpf/contract.h"

struct image {
	uint64_t base;
	uint32_t size, used;
	uint8_t *bytes;
	uint64_t g, main, registry, loaded, globals;
	uint32_t reads;
	/* Called before each read, when set. */
	void (*before_read)(struct image *image, uint64_t address, size_t size);
	void *context;
	/* LuaJIT's */
	bool gc64;
	struct luajit_build build;
	/* PUC Lua's */
	const struct family *family;
	struct puc_build puc;
};

static inline void image_allocate(struct image *image, uint32_t size)
{
	image->size = size;
	image->bytes = calloc(1, size);
	if (!image->bytes)
		abort();
}

/* A lua_read_fn. */
static inline int image_read(void *context, uint64_t address, void *bytes, size_t size)
{
	struct image *image = context;

	image->reads++;
	if (image->before_read)
		image->before_read(image, address, size);
	if (address < image->base || size > image->size ||
	    address - image->base > image->size - size)
		return -EFAULT;
	memcpy(bytes, image->bytes + (address - image->base), size);
	return 0;
}

static inline uint8_t *image_at(const struct image *image, uint64_t address, size_t size)
{
	if (address < image->base || address - image->base > image->size - size)
		abort();
	return image->bytes + (address - image->base);
}

static inline void image_put(struct image *image, uint64_t address, const void *bytes, size_t size)
{
	memcpy(image_at(image, address, size), bytes, size);
}

static inline void image_put8(struct image *image, uint64_t address, uint8_t value)
{
	image_put(image, address, &value, sizeof(value));
}

static inline void image_put32(struct image *image, uint64_t address, uint32_t value)
{
	image_put(image, address, &value, sizeof(value));
}

static inline void image_put64(struct image *image, uint64_t address, uint64_t value)
{
	image_put(image, address, &value, sizeof(value));
}

/* Room for an object, zeroes; its address. */
static inline uint64_t image_room(struct image *image, size_t size)
{
	uint64_t address = image->base + image->used;

	image->used += (uint32_t)((size + 15) & ~15ul);
	if (image->used > image->size)
		abort();
	return address;
}

static inline void image_close(struct image *image)
{
	free(image->bytes);
}

#endif
