/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A LuaJIT heap built by hand, in both of its layouts: what test_lua_builtins.c reads and
 * fuzz_builtins.c breaks. Offsets stand here as numbers of their own (from LuaJIT's lj_obj.h), so
 * that a wrong one in the source does not agree with itself.
 */
#ifndef LUASPY_TEST_LUAJIT_IMAGE_H
#define LUASPY_TEST_LUAJIT_IMAGE_H

#include "test_heap_image.h"

#define IMAGE_BASE_GC64 0x7f1200000000ull
#define IMAGE_BASE_GC32 0x41000000ull
#define IMAGE_CUR_L	0x158u

static inline void image_put_ref(struct image *image, uint64_t address, uint64_t value)
{
	if (image->gc64)
		image_put64(image, address, value);
	else
		image_put32(image, address, (uint32_t)value);
}

/* An object with its type byte. */
static inline uint64_t image_object(struct image *image, uint8_t gct, size_t size)
{
	uint64_t address = image_room(image, size);

	image_put8(image, address + (image->gc64 ? 9 : 5), gct);
	return address;
}

static inline uint64_t image_value(const struct image *image, uint32_t itype, uint64_t ref)
{
	return image->gc64 ? (uint64_t)~itype << 47 | ref : (uint64_t)~itype << 32 | ref;
}

static inline uint64_t image_string_of(struct image *image, const char *text, uint32_t length)
{
	uint64_t address = image_object(image, 4, image->build.string_data + length + 1ul);

	image_put32(image, address + image->build.string_length, length);
	image_put(image, address + image->build.string_data, text, length);
	return address;
}

static inline uint64_t image_string(struct image *image, const char *text)
{
	return image_string_of(image, text, (uint32_t)strlen(text));
}

/* A table with room for 1 << bits fields. */
static inline uint64_t image_table(struct image *image, unsigned int bits)
{
	uint64_t table = image_object(image, 11, image->gc64 ? 0x40 : 0x20), node;
	uint32_t i, count = 1u << bits;

	node = image_object(image, 0, count * 24ul);
	for (i = 0; i < count; i++) {
		image_put64(image, node + i * 24, UINT64_MAX); /* nil */
		image_put64(image, node + i * 24 + 8, UINT64_MAX);
	}
	image_put_ref(image, table + (image->gc64 ? 0x28 : 0x14), node);
	image_put32(image, table + (image->gc64 ? 0x34 : 0x1c), count - 1);
	return table;
}

static inline uint64_t image_nodes(struct image *image, uint64_t table)
{
	uint64_t node = 0;

	memcpy(&node, image->bytes + (table - image->base) + (image->gc64 ? 0x28 : 0x14),
	       image->gc64 ? 8 : 4);
	return node;
}

/* Sets a field, in the first free node. */
static inline void image_set_value(struct image *image, uint64_t table, uint64_t key,
				   uint64_t value)
{
	uint64_t node, word;

	for (node = image_nodes(image, table);; node += 24) {
		memcpy(&word, image->bytes + (node - image->base), sizeof(word));
		if (word == UINT64_MAX)
			break;
	}
	image_put64(image, node, value);
	image_put64(image, node + 8, key);
}

static inline void image_set(struct image *image, uint64_t table, const char *name, uint32_t itype,
			     uint64_t ref)
{
	image_set_value(image, table, image_value(image, 4, image_string(image, name)),
			image_value(image, itype, ref));
}

static inline uint64_t image_subtable(struct image *image, uint64_t table, const char *name,
				      unsigned int bits)
{
	uint64_t sub = image_table(image, bits);

	image_set(image, table, name, 11, sub);
	return sub;
}

static inline void image_set_metatable(struct image *image, uint64_t object, uint64_t metatable)
{
	image_put_ref(image, object + (image->gc64 ? 0x20 : 0x10), metatable);
}

static inline uint64_t image_function(struct image *image, uint8_t ffid, uint64_t entry,
				      uint64_t env)
{
	uint64_t function = image_object(image, 8, image->gc64 ? 0x30 : 0x20);

	image_put8(image, function + (image->gc64 ? 0x0a : 0x06), ffid);
	image_put_ref(image, function + (image->gc64 ? 0x10 : 0x08), env);
	image_put64(image, function + (image->gc64 ? 0x28 : 0x18), entry);
	return function;
}

/* A field with a new function of its own; ffid 1: a C function. */
static inline void image_define(struct image *image, uint64_t table, const char *name, uint8_t ffid,
				uint64_t entry)
{
	image_set(image, table, name, 8, image_function(image, ffid, entry, image->globals));
}

static inline uint64_t image_userdata(struct image *image, uint64_t metatable)
{
	uint64_t userdata = image_object(image, 12, 0x30);

	image_set_metatable(image, userdata, metatable);
	return userdata;
}

static inline uint64_t image_thread(struct image *image, uint64_t env)
{
	uint64_t thread = image_object(image, 6, 0x70);

	image_put_ref(image, thread + (image->gc64 ? 0x10 : 0x08), image->g);
	image_put_ref(image, thread + (image->gc64 ? 0x48 : 0x2c), env);
	return thread;
}

/* A VM with a registry, package.loaded and globals. */
static inline void image_open(struct image *image, bool gc64)
{
	uint64_t package;

	*image = (struct image){.gc64 = gc64, .base = gc64 ? IMAGE_BASE_GC64 : IMAGE_BASE_GC32};
	image_allocate(image, 1u << 20);
	image->build.gc64 = gc64;
	image->build.cur_L = IMAGE_CUR_L;
	image->build.string_data = gc64 ? 0x18 : 0x14;
	image->build.string_length = gc64 ? 0x14 : 0x10;
	image->g = image_object(image, 0, 0x800);
	image->registry = image_table(image, 4);
	image->globals = image_table(image, 6);
	image->loaded = image_subtable(image, image->registry, "_LOADED", 6);
	image->main = image_thread(image, image->globals);
	image_put_ref(image, image->g + 0x70, image->main);
	image_put64(image, image->g + 0x78, image_value(image, 11, image->registry));
	image_set(image, image->loaded, "_G", 11, image->globals);
	image_set(image, image->globals, "_G", 11, image->globals);
	package = image_subtable(image, image->globals, "package", 2);
	image_set(image, package, "loaded", 11, image->loaded);
	image_set(image, image->loaded, "package", 11, package);
}

/* A library, as luaopen_NAME leaves it. */
static inline uint64_t image_library(struct image *image, const char *name)
{
	uint64_t library = image_subtable(image, image->globals, name, 4);

	image_set(image, image->loaded, name, 11, library);
	return library;
}

#endif
