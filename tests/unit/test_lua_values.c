// SPDX-License-Identifier: Apache-2.0
/*
 * Values as texts: every kind, in the forms that LuaJIT (GC64, GC32) and the releases of PUC Lua
 * give them, and objects that are none. The heap is this program's own memory, mapped low for GC32.
 */
#include <errno.h>
#include <stdlib.h>
#include <sys/mman.h>

#include "../test.h"

#include "vm/lua_values.h"
#include "vm/luajit_heap.h"
#include "vm/puc.h"
#include "vm/puc_heap.h"

#define SIZE 65536u

static uint8_t *memory;

static uint64_t at(size_t offset)
{
	return (uint64_t)(uintptr_t)(memory + offset);
}

static void put(size_t offset, uint64_t value, size_t size)
{
	memcpy(memory + offset, &value, size);
}

/* Reads `memory` only, as if nothing else were mapped. */
static int read_memory(void *context, uint64_t address, void *bytes, size_t size)
{
	if (address < at(0) || size > SIZE || address - at(0) > SIZE - size)
		return -EFAULT;
	memcpy(bytes, memory + (address - at(0)), size);
	return 0;
}

static const char *shown(struct lua_heap *heap, const void *slot)
{
	static struct lua_shown result;

	lua_value__show(heap, slot, &result);
	return result.text;
}

static const char *with_address(const char *kind, uint64_t address, const char *rest)
{
	static char text[128];

	snprintf(text, sizeof(text), "%s 0x%" PRIx64 "%s", kind, address, rest);
	return text;
}

/* ---- LuaJIT ------------------------------------------------------------------------------------
 */

static struct luajit_build luajit;

static void begin_luajit(struct lua_heap *heap, bool gc64)
{
	memset(memory, 0, SIZE);
	luajit = (struct luajit_build){.gc64 = gc64,
				       .string_data = gc64 ? 0x18 : 0x10,
				       .string_length = gc64 ? 0x14 : 0x0c};
	luajit_heap__init(heap, &luajit, read_memory, NULL);
}

static const char *luajit_shown(struct lua_heap *heap, uint64_t word)
{
	return shown(heap, &word);
}

/* An object's slot: `type` counts as in lj_obj.h, ~0 for nil. */
static uint64_t tagged(unsigned int type, uint64_t value)
{
	return luajit.gc64 ? ~(uint64_t)type << 47 | value
			   : (uint64_t)~type << 32 | (uint32_t)value;
}

static uint64_t number(double value)
{
	uint64_t word;

	memcpy(&word, &value, sizeof(word));
	return word;
}

static void put_object(size_t offset, uint8_t type)
{
	memory[offset + (luajit.gc64 ? 9 : 5)] = type;
}

static void check_luajit(bool gc64)
{
	struct lua_heap heap;
	size_t ref = gc64 ? 8 : 4;

	begin_luajit(&heap, gc64);
	CHECK_STR(luajit_shown(&heap, ~0ull), "nil");
	CHECK_STR(luajit_shown(&heap, tagged(1, 0)), "false");
	CHECK_STR(luajit_shown(&heap, tagged(2, 0)), "true");
	CHECK_STR(luajit_shown(&heap, number(3)), "3");
	CHECK_STR(luajit_shown(&heap, number(-0.5)), "-0.5");
	CHECK_STR(luajit_shown(&heap, number(1e300)), "1e+300");
	CHECK_STR(luajit_shown(&heap, tagged(13, (uint32_t)-7)), "-7");
	CHECK_STR(luajit_shown(&heap, gc64 ? tagged(3, 0x1234) : 0xffff7f0012345678ull),
		  gc64 ? "lightuserdata 0x1234" : "lightuserdata 0x7f0012345678");
	/* A string, a cut one, an empty one at a place that others do not have. */
	put_object(64, 4);
	put(64 + luajit.string_length, 9, 4);
	memcpy(memory + 64 + luajit.string_data, "a\nb\0\x7f\"\\\xc3\xa9", 9);
	CHECK_STR(luajit_shown(&heap, tagged(4, at(64))), "\"a\\nb\\000\\127\\\"\\\\\xc3\xa9\"");
	put_object(256, 4);
	put(256 + luajit.string_length, 200, 4);
	memset(memory + 256 + luajit.string_data, 'x', 59);
	memcpy(memory + 256 + luajit.string_data + 59, "\xc3\xa9", 2);
	CHECK_STR(luajit_shown(&heap, tagged(4, at(256))),
		  "\"xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx...\" (200 bytes)");
	put_object(1028, 4);
	CHECK_STR(luajit_shown(&heap, tagged(4, at(1028))), "\"\"");
	/* A table: slots 1 and 3 of 4, one of two nodes. */
	put_object(2048, 11);
	put(2048 + (gc64 ? 0x10 : 0x08), at(2304), ref);
	put(2048 + (gc64 ? 0x28 : 0x14), at(2560), ref);
	put(2048 + (gc64 ? 0x30 : 0x18), 4, 4);
	put(2048 + (gc64 ? 0x34 : 0x1c), 1, 4);
	memset(memory + 2304, 0xff, 32);
	put(2304 + 8, number(1), 8);
	put(2304 + 24, tagged(2, 0), 8);
	memset(memory + 2560, 0xff, 48);
	put(2560 + 24, number(2), 8);
	CHECK_STR(luajit_shown(&heap, tagged(11, at(2048))),
		  with_address("table", at(2048), " (2 array, 1 hash)"));
	put_object(4096, 10);
	put(4096 + (gc64 ? 10 : 6), 96, 2);
	CHECK_STR(luajit_shown(&heap, tagged(10, at(4096))),
		  with_address("cdata", at(4096), " (type 96)"));
	put_object(4160, 12);
	put(4160 + (gc64 ? 0x18 : 0x0c), 16, 4);
	CHECK_STR(luajit_shown(&heap, tagged(12, at(4160))),
		  with_address("userdata", at(4160), " (16 bytes)"));
	CHECK_STR(luajit_shown(&heap, tagged(6, at(4096))), with_address("thread", at(4096), ""));
	CHECK_STR(luajit_shown(&heap, tagged(8, at(4096))), with_address("function", at(4096), ""));
	/* What is no such object, and what is not mapped. */
	CHECK_STR(luajit_shown(&heap, tagged(4, at(2048))), with_address("string", at(2048), ""));
	CHECK_STR(luajit_shown(&heap, tagged(11, at(64))), with_address("table", at(64), ""));
	CHECK_STR(luajit_shown(&heap, tagged(11, 0x1000)), "table 0x1000");
	CHECK_STR(luajit_shown(&heap, tagged(9, at(64))), "(not a value)");
}

static void luajit_gc64(void)
{
	check_luajit(true);
}

static void luajit_gc32(void)
{
	check_luajit(false);
}

/* ---- PUC Lua -----------------------------------------------------------------------------------
 */

static const char *puc_shown(struct lua_heap *heap, uint8_t type, uint64_t value)
{
	uint8_t slot[16] = {};

	memcpy(slot, &value, sizeof(value));
	slot[8] = type;
	return shown(heap, slot);
}

static void check_puc(unsigned int release)
{
	bool new_numbers = release >= 50400, has_integers = release >= 50300;
	uint8_t object = release >= 50200 ? 0x40 : 0; /* the bit of collectable values */
	struct puc_build build;
	struct lua_heap heap;
	size_t size_at = release < 50204 ? 0x38 : 0x0c, array_at = release < 50204 ? 0x18 : 0x10;
	size_t node_at = release < 50204 ? 0x20 : 0x18;

	memset(memory, 0, SIZE);
	CHECK_EQ(puc_layout__get(release, &build), 0);
	CHECK_EQ(puc_heap__init(&heap, &build, read_memory, NULL), 0);
	CHECK_STR(puc_shown(&heap, 0, 0), "nil");
	CHECK_STR(puc_shown(&heap, 1, 0), "false");
	CHECK_STR(puc_shown(&heap, new_numbers ? 0x11 : 1, 1), "true");
	CHECK_STR(puc_shown(&heap, new_numbers ? 0x13 : 3, number(0.25)), "0.25");
	CHECK_STR(puc_shown(&heap, new_numbers ? 0x13 : 3, number(-4)),
		  has_integers ? "-4.0" : "-4");
	CHECK_STR(puc_shown(&heap, new_numbers ? 0x13 : 3, number(1e100)), "1e+100");
	if (has_integers)
		CHECK_STR(puc_shown(&heap, new_numbers ? 3 : 0x13, (uint64_t)-9007199254740993ll),
			  "-9007199254740993");
	CHECK_STR(puc_shown(&heap, 2, 0xabc), "lightuserdata 0xabc");
	memory[64 + 8] = 4;
	put(64 + 16, 5, 8);
	if (build.string_short_length)
		memory[64 + build.string_short_length] = 5;
	memcpy(memory + 64 + build.string_data, "short", 6);
	CHECK_STR(puc_shown(&heap, 4 | object, at(64)), "\"short\"");
	memory[2048 + 8] = 5;
	memory[2048 + 11] = 1; /* two nodes */
	put(2048 + size_at, 4, 4);
	put(2048 + array_at, at(2304), 8);
	put(2048 + node_at, at(2560), 8);
	memory[2304 + 8] = memory[2304 + 16 + 8] = memory[2304 + 48 + 8] = 3;
	memory[2560 + 8] = 3;
	CHECK_STR(puc_shown(&heap, 5 | object, at(2048)),
		  with_address("table", at(2048), " (3 array, 1 hash)"));
	memory[4160 + 8] = 7;
	put(4160 + (release < 50300 ? 0x20 : release < 50400 ? 0x18 : 0x10), 24, 8);
	CHECK_STR(puc_shown(&heap, 7 | object, at(4160)),
		  with_address("userdata", at(4160), " (24 bytes)"));
	CHECK_STR(puc_shown(&heap, 6 | object, at(64)), with_address("function", at(64), ""));
	CHECK_STR(puc_shown(&heap, 8 | object, at(64)), with_address("thread", at(64), ""));
	CHECK_STR(puc_shown(&heap, 4 | object, at(2048)), with_address("string", at(2048), ""));
	CHECK_STR(puc_shown(&heap, 5 | object, at(64)), with_address("table", at(64), ""));
	CHECK_STR(puc_shown(&heap, 9, at(64)), "(not a value)");
}

static void puc(void)
{
	static const unsigned int releases[] = {50105, 50203, 50204, 50306, 50400, 50406};
	size_t i;

	for (i = 0; i < sizeof(releases) / sizeof(releases[0]); i++)
		check_puc(releases[i]);
}

int main(void)
{
	memory = mmap(NULL, SIZE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_32BIT,
		      -1, 0);
	if (memory == MAP_FAILED)
		return 1;
	RUN(luajit_gc64, "values of LuaJIT, GC64");
	RUN(luajit_gc32, "values of LuaJIT, GC32");
	RUN(puc, "values of PUC Lua 5.1 to 5.4");
	return TEST_RESULT();
}
