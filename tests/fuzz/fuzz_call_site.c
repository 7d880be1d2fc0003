// SPDX-License-Identifier: Apache-2.0
/*
 * Names from call sites over a broken heap: the input chooses the caller's instructions, then edits
 * the heap before and in the middle of the reading, as a VM that runs on would.
 *
 *   clang -std=gnu11 -D_GNU_SOURCE -Isrc -O1 -g -fsanitize=fuzzer,address,undefined \
 *       tests/fuzz/fuzz_call_site.c src/vm/luajit_call_site.c src/vm/luajit_site.c \
 *       src/vm/luajit_metamethod.c src/vm/luajit_proto.c src/vm/luajit_heap.c src/vm/lua_heap.c \
 *       -o build/fuzz_call_site
 */
#include "../unit/test_luajit_proto_image.h"
#include "image_edits.h"
#include "vm/luajit_call_site.h"
#include "vm/luajit_proto.h"

int LLVMFuzzerTestOneInput(const uint8_t *input, size_t size);

#define MOST_READS 4001u
#define CODE_BYTES 48u /* 12 instructions */

/* A value of any type. */
static uint64_t value_of(const struct image *image, uint8_t kind, uint64_t ref)
{
	return image_value(image, kind % 16, ref);
}

/* Functions and tables that refer to each other, so that instructions find something. */
static void populate(struct image *image, const uint8_t *input, struct record_call *call)
{
	struct proto_parts leaf = {.code = {ins_ad(OP_RET0, 0, 1)}};
	struct proto_parts tail = {.code = {ins_ad(OP_UGET, 0, 0), ins_ad(OP_CALLT, 0, 1)},
				   .upvalues = {"inner"}};
	struct proto_parts parts = {.constants = {"get", "app", "__index"},
				    .upvalues = {"M", "f", "t"},
				    .variables = {"a", "obj", "b"}};
	uint64_t callee, table, values[3], keys, other;
	uint32_t i;

	memcpy(parts.code, input + 3, CODE_BYTES);
	parts.stripped = input[1] & 1;
	callee = image_closure(image, image_proto(image, &leaf), NULL, 0);
	values[0] = image_value(image, 8, callee);
	other = image_closure(image, image_proto(image, &tail), values, 1);
	table = image_table(image, 3);
	values[0] = image_value(image, 11, table);
	values[1] = image_value(image, 8, input[1] & 2 ? other : callee);
	values[2] = image_value(image, 12, image_userdata(image, table));
	call->caller = image_proto(image, &parts);
	call->function = input[1] & 4 ? 0 : image_closure(image, call->caller, values, 3);
	for (i = 0; i < 3; i++) {
		keys = image_value(image, 4, image_constant(image, call->caller, i));
		image_set_value(image, table, keys, values[(i + 1) % 3]);
		image_set_value(image, image->globals, keys, values[i]);
	}
	image_set(image, table, "__call", 8, callee);
	image_set(image, table, "__add", 8, callee);
	image_set_metatable(image, table, table);
	for (i = 0; i < MAX_CALL_SLOTS; i++)
		call->slots[i] = values[i % 3];
	memcpy(&call->callee, image->bytes + (callee - image->base) + (image->gc64 ? 0x20 : 0x10),
	       image->gc64 ? 8 : 4);
	call->callee -= image->gc64 ? 0x68 : 0x40;
	call->g = image->g;
}

int LLVMFuzzerTestOneInput(const uint8_t *input, size_t size)
{
	struct lua_call_name name;
	struct luajit_proto proto;
	struct lua_heap heap;
	struct record_call call = {.slot_count = MAX_CALL_SLOTS};
	struct edits edits = {.most_reads = MOST_READS, .word = value_of};
	struct image image;
	const char *c;

	if (size < 3 + CODE_BYTES)
		return 0;
	image_open(&image, input[0] & 1);
	populate(&image, input, &call);
	luajit_heap__init(&heap, &image.build, image_read, &image);
	call.position = input[2] % 16;
	call.compiled = input[0] >> 1 & 1;
	/* The right id. */
	if (luajit_proto__open(&heap, call.caller, call.tgid, &proto) == 0) {
		call.caller_id = proto.id;
		luajit_proto__close(&proto);
	}
	edits_begin(&edits, &image, input + 3 + CODE_BYTES, size - 3 - CODE_BYTES);
	if (luajit_call_site__name(&heap, &call, &name) == 0) {
		if (!name.text[0] || strlen(name.text) >= sizeof(name.text) ||
		    name.rank > LUA_CALL_ITERATOR)
			abort();
		for (c = name.text; *c; c++) {
			if ((unsigned char)*c < ' ')
				abort();
		}
	}
	image_close(&image);
	return 0;
}
