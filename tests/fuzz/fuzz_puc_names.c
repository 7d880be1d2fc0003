// SPDX-License-Identifier: Apache-2.0
/*
 * Names of PUC Lua's functions over broken protos, of any version: the input chooses the
 * instructions, then edits the heap before and in the middle of the reading, as a VM that runs on
 * would.
 *
 *   clang -std=gnu11 -D_GNU_SOURCE -Isrc -O1 -g -fsanitize=fuzzer,address,undefined \
 *       tests/fuzz/fuzz_puc_names.c src/vm/puc_names.c src/vm/puc_proto.c src/vm/puc_bytecode.c \
 *       src/vm/lua_call_name.c src/vm/puc_heap.c src/vm/lua_heap.c src/vm/puc_layout.c \
 *       -o build/fuzz_puc_names
 */
#include "../unit/test_puc_proto_image.h"
#include "image_edits.h"
#include "vm/puc_heap.h"
#include "vm/puc_names.h"
#include "vm/puc_proto.h"

int LLVMFuzzerTestOneInput(const uint8_t *input, size_t size);

#define CODE_BYTES (4u * MAX_PARTS)
#define TGID	   7

static uint64_t ref_of(const struct image *image, uint8_t kind, uint64_t ref)
{
	return ref;
}

static void check_text(const char *text)
{
	for (; *text; text++) {
		if ((unsigned char)*text < ' ')
			abort();
	}
}

static void found(void *context, const struct puc_definition *definition)
{
	unsigned int *count = context;

	(*count)++;
	check_text(definition->label);
}

/* A function in a function in one that has the input's instructions. */
static uint64_t populate(struct image *image, const uint8_t *input)
{
	struct proto_parts leaf = {.code = {ins(image, RETURN, 0, 1, 0)},
				   .code_count = 1,
				   .variables = {{"self", 0, 1}},
				   .parameters = 1,
				   .first_line = 3};
	struct proto_parts parts = {.code_count = MAX_PARTS,
				    .constants = {"get", "app", "x-y"},
				    .upvalues = {"_ENV", "M"},
				    .variables = {{"a", 0, 9}, {"obj", 2, 12}, {"f", 5, 11}}};
	uint32_t i;

	parts.children[0] = image_proto(image, &leaf);
	parts.children[1] = image_proto(image, &leaf);
	for (i = 0; i < MAX_PARTS; i++)
		parts.code[i] = ins(image, (enum op)(input[4 * i] % OPS), input[4 * i + 1] % 6,
				    input[4 * i + 2] % 6, input[4 * i + 3] % 6);
	parts.children[2] = image_proto(image, &parts);
	return image_proto(image, &parts);
}

int LLVMFuzzerTestOneInput(const uint8_t *input, size_t size)
{
	struct record_call call = {.tgid = TGID};
	struct puc_proto_head head;
	struct lua_call_name name;
	unsigned int count = 0;
	struct lua_heap heap;
	struct edits edits = {.most_reads = 2 * LUA_MAX_READS, .word = ref_of};
	struct image image;

	if (size < CODE_BYTES + 1)
		return 0;
	image_open_whole(&image, &families[input[0] % FAMILIES]);
	call.caller = populate(&image, input + 1);
	if (puc_heap__init(&heap, &image.puc, image_read, &image) != 0 ||
	    puc_proto__head(&heap, call.caller, TGID, NULL, &head) != 0)
		abort();
	call.caller_id = head.id;
	edits_begin(&edits, &image, input + 1 + CODE_BYTES, size - 1 - CODE_BYTES);
	for (; call.position < MAX_PARTS; call.position++) {
		if (puc_names__call(&heap, &call, &name) == 0)
			check_text(name.text);
	}
	puc_names__definitions(&heap, call.caller, call.caller_id, TGID, found, &count);
	image_close(&image);
	return 0;
}
