// SPDX-License-Identifier: Apache-2.0
/*
 * Breaks a small heap of PUC Lua, of any family of releases, and has it read: the input is a list
 * of edits, made before and in the middle of the walk, as by a VM that runs on.
 *
 *   clang -std=gnu11 -D_GNU_SOURCE -Isrc -O1 -g -fsanitize=fuzzer,address,undefined \
 *       tests/fuzz/fuzz_puc_builtins.c src/vm/lua_builtins.c src/vm/lua_tables.c src/vm/lua_heap.c
 * \ src/vm/luajit_heap.c src/vm/puc_heap.c src/target/memory.c -o build/fuzz_puc_builtins
 */
#include "../unit/test_puc_image.h"
#include "image_edits.h"
#include "vm/lua_builtins.h"
#include "vm/puc_heap.h"

int LLVMFuzzerTestOneInput(const uint8_t *input, size_t size);

#define MOST_READS 400000u
#define ENTRIES	   8

static uint64_t ref_of(const struct image *image, uint8_t kind, uint64_t ref)
{
	return ref;
}

static void populate(struct image *image)
{
	uint64_t class = image_table(image, 2), table;

	image_set(image, class, "__index", T_TABLE, class);
	image_define(image, class, "read", 0x1000);
	image_set(image, image->registry, "FILE*", T_TABLE, class);
	table = image_library(image, "string");
	image_set(image, table, "gmatch", T_C_FUNCTION, image_closure(image, T_C_FUNCTION, 0x1001));
	image_set(image, table, "stdin", T_USERDATA, image_userdata(image, class));
	table = image_subtable(image, table, "sub", 1);
	image_define(image, table, "a_name_of_more_than_forty_characters_is_long", 0x1002);
	image_set_metatable(image, table, class);
	image_define(image, image->globals, "ipairs", 0x1003);
	image_put64(image, image->g + image->family->g_metatables + 32, class);
}

int LLVMFuzzerTestOneInput(const uint8_t *input, size_t size)
{
	struct lua_builtins *builtins = NULL;
	uint64_t allocator, entry;
	struct lua_heap heap;
	struct edits edits = {.most_reads = MOST_READS, .word = ref_of};
	struct image image;
	const char *name;
	int64_t bytes;

	if (size < 1)
		return 0;
	image_open(&image, &families[(input[0] >> 1) % FAMILIES]);
	populate(&image);
	edits_begin(&edits, &image, input + 1, size - 1);
	if (puc_heap__init(&heap, &image.puc, image_read, &image) != 0)
		abort();
	if (lua_builtins__read(&heap, input[0] & 1 ? image.g : image.main, &builtins) == 0) {
		for (entry = 0x1000; entry < 0x1000 + ENTRIES; entry++) {
			name = lua_builtins__by_entry(builtins, entry);
			if (name && (name[0] == '\0' || strlen(name) > 300))
				abort();
		}
		if (lua_builtins__merge(builtins, builtins) != 0)
			abort();
	}
	puc_heap__allocation(&heap, image.g, &allocator, &bytes);
	lua_builtins__free(builtins);
	image_close(&image);
	return 0;
}
