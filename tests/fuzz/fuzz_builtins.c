// SPDX-License-Identifier: Apache-2.0
/*
 * Breaks a small LuaJIT heap and has it read: the input is a list of edits, made before and in the
 * middle of the walk, as by a VM that runs on.
 *
 *   clang -std=gnu11 -D_GNU_SOURCE -Isrc -O1 -g -fsanitize=fuzzer,address,undefined \
 *       tests/fuzz/fuzz_builtins.c src/vm/lua_builtins.c src/vm/lua_tables.c src/vm/lua_heap.c \
 *       src/vm/luajit_heap.c src/vm/puc_heap.c src/target/memory.c -o build/fuzz_builtins
 */
#include "../unit/test_luajit_image.h"
#include "image_edits.h"
#include "vm/lua_builtins.h"
#include "vm/luajit_heap.h"

int LLVMFuzzerTestOneInput(const uint8_t *input, size_t size);

#define MOST_READS 400000u

/* A value of any type. */
static uint64_t value_of(const struct image *image, uint8_t kind, uint64_t ref)
{
	return image_value(image, kind % 16, ref);
}

static void populate(struct image *image)
{
	uint64_t class = image_table(image, 2), table;

	image_set(image, class, "__index", 11, class);
	image_define(image, class, "read", 10, 0x1000);
	image_set(image, image->registry, "FILE*", 11, class);
	table = image_library(image, "string");
	image_define(image, table, "gmatch", 20, 0x2000);
	image_set(image, table, "stdin", 12, image_userdata(image, class));
	table = image_subtable(image, table, "sub", 1);
	image_set(image, table, "new", 8, image_function(image, 1, 0x3000, class));
	image_set_metatable(image, table, class);
	image_define(image, image->globals, "ipairs", 7, 0x4000);
	image_put_ref(image, image->g + IMAGE_CUR_L + 0x88, class);
}

int LLVMFuzzerTestOneInput(const uint8_t *input, size_t size)
{
	struct lua_builtins *builtins = NULL;
	struct lua_heap heap;
	struct edits edits = {.most_reads = MOST_READS, .word = value_of};
	struct image image;
	const char *name;
	int i;

	if (size < 1)
		return 0;
	image_open(&image, input[0] & 1);
	populate(&image);
	edits_begin(&edits, &image, input + 1, size - 1);
	luajit_heap__init(&heap, &image.build, image_read, &image);
	if (lua_builtins__read(&heap, input[0] & 2 ? image.g : image.main, &builtins) == 0) {
		for (i = 0; i <= UINT8_MAX; i++) {
			name = lua_builtins__by_ffid(builtins, (uint8_t)i);
			if (name && (i < 2 || name[0] == '\0' || strlen(name) > 300))
				abort();
		}
		if (lua_builtins__merge(builtins, builtins) != 0)
			abort();
	}
	lua_builtins__free(builtins);
	image_close(&image);
	return 0;
}
