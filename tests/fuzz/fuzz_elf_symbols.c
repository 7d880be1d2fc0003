/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Feeds whole ELF images to everything that reads headers, symbols, notes and packed debug data.
 *
 *   clang -std=gnu11 -D_GNU_SOURCE -Isrc -O1 -g -fsanitize=fuzzer,address,undefined \
 *       tests/fuzz/fuzz_elf_symbols.c src/target/elf_image.c src/target/root_file.c \
 *       src/symbol/build_id.c src/symbol/debug_data.c src/symbol/debug_file.c \
 *       src/symbol/elf_symbols.c src/symbol/elf_symbols_build.c -lelf -lz -llzma \
 *       -o build/fuzz_elf_symbols
 *
 * Seeds: small shared objects, stripped ones, ones with .gnu_debugdata.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "symbol/elf_symbols.h"
#include "target/elf_image.h"

int LLVMFuzzerTestOneInput(const uint8_t *input, size_t size);

/* What holds for every file: an answer is a string that starts at or before the address asked
 * for, and addresses are answered the same twice. */
static void check_lookup(const struct elf_symbols *symbols, uint64_t address)
{
	uint64_t start = 0;
	const char *name = elf_symbols__find(symbols, address, &start);

	if (!name)
		return;
	if (start > address || name[0] == '\0' || strlen(name) > 4095)
		abort();
	if (elf_symbols__find(symbols, start, NULL) == NULL)
		abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *input, size_t size)
{
	struct elf_symbols *symbols = NULL;
	char hex[129];
	uint64_t i;
	void *copy;
	Elf *elf;

	/* libelf may use the image in place: a private copy, with its end known to ASan. */
	copy = malloc(size ? size : 1);
	if (!copy)
		return 0;
	memcpy(copy, input, size);
	if (elf_image__open_memory(copy, size, &elf) == 0) {
		int length = elf_build_id(elf, hex, sizeof(hex));

		if (length >= 0 && strlen(hex) != (size_t)length)
			abort();
		if (elf_symbols__load(elf, -1, NULL, &symbols) == 0) {
			for (i = 0; i < 4096; i++)
				check_lookup(symbols, i * 5);
			check_lookup(symbols, UINT64_MAX);
		}
		elf_symbols__free(symbols);
		elf_end(elf);
	}
	free(copy);
	return 0;
}
