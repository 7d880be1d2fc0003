/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A heap of PUC Lua built by hand, in the layouts of each family of releases: what
 * test_puc_builtins.c reads and fuzz_puc_builtins.c breaks. Offsets stand here as numbers of their
 * own (from the releases' lobject.h and lstate.h), so that a wrong one in the source does not agree
 * with itself.
 */
#ifndef LUASPY_TEST_PUC_IMAGE_H
#define LUASPY_TEST_PUC_IMAGE_H

#include "test_heap_image.h"

#define IMAGE_BASE 0x7f1200000000ull

/* Values' types, with the bit of collectable ones. */
#define T_STRING	 0x44
#define T_LONG_STRING	 0x54
#define T_TABLE		 0x45
#define T_LUA_FUNCTION	 0x46
#define T_C_FUNCTION	 0x66
#define T_LIGHT_FUNCTION 0x16
#define T_USERDATA	 0x47
#define T_THREAD	 0x48

struct family {
	uint32_t release;
	uint16_t g_main, g_registry, g_metatables;
	uint8_t L_g, entry, is_c;	   /* is_c 0: the variant tells */
	uint8_t string_data, short_length; /* 0: it stands where that of long ones stands */
	uint8_t node_size, key_type;	   /* of nodes */
	uint8_t metatable, array, node;	   /* of tables */
	uint8_t userdata_metatable, in_5_5;
	uint8_t log2_size; /* of tables: in redis elsewhere */
};

/* clang-format off */
static const struct family families[] = {
	/* global_State         thread, C      string    node    table             userdata */
	{50105,  0xb0,  0xa0,  0xe0, 0x20, 0x20, 10, 0x18,  0, 40, 24, 0x10, 0x18, 0x20, 0x10, 0, 11},
	/* redis 7.0, deps/lua/src/lobject.h: `int readonly` behind a table's flags */
	{50105,  0xb0,  0xa0,  0xe0, 0x20, 0x20, 10, 0x18,  0, 40, 24, 0x18, 0x20, 0x28, 0x10, 0, 0x10},
	{50200,  0xf0,  0x38, 0x190, 0x18, 0x18, 10, 0x18,  0, 40, 24, 0x10, 0x18, 0x20, 0x10, 0, 11},
	{50203, 0x108,  0x40, 0x1a8, 0x18, 0x18,  0, 0x18,  0, 40, 24, 0x10, 0x18, 0x20, 0x10, 0, 11},
	{50204, 0x108,  0x40, 0x1a8, 0x18, 0x18,  0, 0x18,  0, 40, 24, 0x28, 0x10, 0x18, 0x10, 0, 11},
	{50300,  0xe0,  0x40, 0x1b8, 0x18, 0x18,  0, 0x20,  0, 32, 24, 0x28, 0x10, 0x18, 0x10, 0, 11},
	{50306,  0xc8,  0x40, 0x1a0, 0x18, 0x18,  0, 0x18, 11, 32, 24, 0x28, 0x10, 0x18, 0x10, 0, 11},
	{50400, 0x100,  0x40, 0x1d8, 0x18, 0x18,  0, 0x18, 11, 24,  9, 0x28, 0x10, 0x18, 0x18, 0, 11},
	{50408, 0x108,  0x40, 0x1e0, 0x18, 0x18,  0, 0x18, 11, 24,  9, 0x28, 0x10, 0x18, 0x18, 0, 11},
	{50501, 0x588,  0x40, 0x1d8, 0x18, 0x18,  0, 0x18, 11, 24,  9, 0x20, 0x10, 0x18, 0x18, 1, 11},
};
/* clang-format on */
#define FAMILIES (sizeof(families) / sizeof(families[0]))

static inline uint64_t image_get64(const struct image *image, uint64_t address)
{
	uint64_t value;

	memcpy(&value, image_at(image, address, sizeof(value)), sizeof(value));
	return value;
}

/* A value; 5.1 knows no variants and no bit of collectable ones. */
static inline void image_put_value(struct image *image, uint64_t address, uint8_t type,
				   uint64_t value)
{
	image_put64(image, address, value);
	image_put8(image, address + 8, image->family->release < 50200 ? type & 15 : type);
}

/* An object with its type byte: the value's without the bit of collectable ones. */
static inline uint64_t image_object(struct image *image, uint8_t type, size_t size)
{
	uint64_t address = image_room(image, size);

	/* 5.2.0 has variants in values, not in objects. */
	image_put8(image, address + 8, image->family->release <= 50200 ? type & 15 : type & 0x3f);
	return address;
}

/* Strings of up to 40 characters are short ones, since 5.2.1. */
static inline uint64_t image_string(struct image *image, const char *text)
{
	const struct family *family = image->family;
	size_t length = strlen(text);
	bool is_long = length > 40 && family->release > 50200;
	uint64_t address =
		image_object(image, is_long ? T_LONG_STRING : T_STRING, 0x30 + length + 1);
	uint64_t at = address + family->string_data;

	if (family->in_5_5 && is_long) {
		image_put64(image, at, address + 0x30);
		at = address + 0x30;
	}
	/* A short string has a pointer to another one where a long one has its length. */
	if (family->short_length && !is_long) {
		image_put8(image, address + family->short_length, (uint8_t)length);
		image_put64(image, address + 0x10, image->base);
	} else {
		image_put64(image, address + 0x10, length);
	}
	memcpy(image_at(image, at, length + 1), text, length + 1);
	return address;
}

static inline void image_put_bits(struct image *image, uint64_t table, uint8_t bits)
{
	image_put8(image, table + image->family->log2_size, bits);
}

/* A table with room for 1 << bits fields. */
static inline uint64_t image_table(struct image *image, unsigned int bits)
{
	uint64_t table = image_object(image, T_TABLE, 0x40), node;

	node = image_object(image, 0, ((size_t)1 << bits) * image->family->node_size);
	image_put64(image, table + image->family->node, node);
	image_put_bits(image, table, (uint8_t)bits);
	return table;
}

/* Sets a field, in the first free node. */
static inline void image_set_value(struct image *image, uint64_t table, uint8_t key_type,
				   uint64_t key, uint8_t type, uint64_t value)
{
	const struct family *family = image->family;
	uint64_t node = image_get64(image, table + family->node);

	while (image_get64(image, node + 16))
		node += family->node_size;
	image_put_value(image, node, type, value);
	image_put64(image, node + 16, key);
	image_put8(image, node + family->key_type,
		   family->release < 50200 ? key_type & 15 : key_type);
}

static inline void image_set(struct image *image, uint64_t table, const char *name, uint8_t type,
			     uint64_t value)
{
	bool is_long = strlen(name) > 40 && image->family->release > 50200;

	image_set_value(image, table, is_long ? T_LONG_STRING : T_STRING, image_string(image, name),
			type, value);
}

static inline uint64_t image_subtable(struct image *image, uint64_t table, const char *name,
				      unsigned int bits)
{
	uint64_t sub = image_table(image, bits);

	image_set(image, table, name, T_TABLE, sub);
	return sub;
}

static inline void image_set_metatable(struct image *image, uint64_t table, uint64_t metatable)
{
	image_put64(image, table + image->family->metatable, metatable);
}

/* A closure: a Lua function has its proto where a C function has its code. */
static inline uint64_t image_closure(struct image *image, uint8_t type, uint64_t entry)
{
	uint64_t closure = image_object(image, type, 0x30);

	if (image->family->is_c)
		image_put8(image, closure + image->family->is_c, type == T_C_FUNCTION);
	image_put64(image, closure + image->family->entry, entry);
	return closure;
}

/* A field with a new C function: since 5.2 a light one. */
static inline void image_define(struct image *image, uint64_t table, const char *name,
				uint64_t entry)
{
	if (image->family->release < 50200)
		image_set(image, table, name, T_C_FUNCTION,
			  image_closure(image, T_C_FUNCTION, entry));
	else
		image_set(image, table, name, T_LIGHT_FUNCTION, entry);
}

static inline uint64_t image_userdata(struct image *image, uint64_t metatable)
{
	uint64_t userdata = image_object(image, T_USERDATA, 0x30);

	image_put64(image, userdata + image->family->userdata_metatable, metatable);
	return userdata;
}

static inline uint64_t image_thread(struct image *image)
{
	uint64_t thread = image_object(image, T_THREAD, 0xd0);

	image_put64(image, thread + image->family->L_g, image->g);
	return thread;
}

/* The globals are a field of the main thread in 5.1, the registry's element 2 since. */
static inline void image_put_globals(struct image *image)
{
	const struct family *family = image->family;
	uint64_t array;

	if (family->release < 50200) {
		image_put_value(image, image->main + 0x78, T_TABLE, image->globals);
		return;
	}
	array = image_object(image, 0, 0x40) + (family->in_5_5 ? 0x20 : 0);
	image_put64(image, image->registry + family->array, array);
	if (family->in_5_5) {
		image_put64(image, array - 16, image->globals);
		image_put8(image, array + 4 + 1, T_TABLE);
	} else {
		image_put_value(image, array + 16, T_TABLE, image->globals);
	}
}

/* A VM with a registry, package.loaded and globals. */
static inline void image_open(struct image *image, const struct family *family)
{
	uint64_t package;

	*image = (struct image){.family = family, .base = IMAGE_BASE};
	image_allocate(image, 1u << 19);
	image->puc = (struct puc_build){
		.release = family->release,
		.g_mainthread = family->g_main,
		.mainthread_inside = family->in_5_5,
		.L_g = family->L_g,
		.closure_c = family->entry,
		.string_data = family->string_data,
		.string_length = 0x10,
		.string_short_length = family->short_length,
		.string_is_pointer = family->in_5_5,
	};
	image->g = image_object(image, 0, 0x700);
	image->registry = image_table(image, 4);
	image->globals = image_table(image, 6);
	image->loaded = image_subtable(image, image->registry, "_LOADED", 6);
	if (family->in_5_5) {
		image->main = image->g + family->g_main;
		image_put8(image, image->main + 8, T_THREAD & 15);
		image_put64(image, image->main + family->L_g, image->g);
	} else {
		image->main = image_thread(image);
		image_put64(image, image->g + family->g_main, image->main);
	}
	image_put_value(image, image->g + family->g_registry, T_TABLE, image->registry);
	image_put_globals(image);
	image_set(image, image->loaded, "_G", T_TABLE, image->globals);
	image_set(image, image->globals, "_G", T_TABLE, image->globals);
	package = image_subtable(image, image->globals, "package", 2);
	image_set(image, package, "loaded", T_TABLE, image->loaded);
	image_set(image, image->loaded, "package", T_TABLE, package);
}

/* A library, as luaopen_NAME leaves it. */
static inline uint64_t image_library(struct image *image, const char *name)
{
	uint64_t library = image_subtable(image, image->globals, name, 4);

	image_set(image, image->loaded, name, T_TABLE, library);
	return library;
}

/* Runs a test for the family of releases at hand; `name` is room for what it is called. */
#define RUN_FAMILY(function, text)                                                                 \
	do {                                                                                       \
		snprintf(name, sizeof(name), "%u%s: %s", (unsigned int)family->release,            \
			 family->log2_size != 11 ? " of redis" : "", text);                        \
		RUN(function, name);                                                               \
	} while (0)

#endif
