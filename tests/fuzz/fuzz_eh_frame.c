/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Feeds corrupt ELF files and corrupt .eh_frame sections to the unwind table builder. Built with
 *
 *   clang -D_GNU_SOURCE -Isrc -g -O1 -fsanitize=fuzzer,address,undefined \
 *         tests/fuzz/fuzz_eh_frame.c src/unwind/[a-z]*.c -ldw -lelf -lz -o fuzz_eh_frame
 *
 * The first byte of the input chooses how the rest is taken: as a whole ELF file, or as the bytes
 * of .eh_frame in an otherwise correct one, found by its section or through PT_GNU_EH_FRAME. Good
 * seeds are .eh_frame sections of real files, each with a byte 1 put in front:
 *
 *   objcopy -O binary --only-section=.eh_frame /bin/true seed && printf '\1' | cat - seed >corpus/1
 */
#include <libelf.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "../unit/test_unwind_synthetic.h"
#include "unwind/unwind_table.h"

/* A wider encoded table is correct, but only costs time here. */
#define MAX_SPAN (64u << 20)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void expect(int condition)
{
	if (!condition)
		abort();
}

static void check_table(const struct unwind_table *table, const struct unwind_rules *rules)
{
	const struct unwind_row *rows = table->rows;
	struct file_table file;
	uint64_t *entries;
	size_t count;

	for (size_t i = 0; i < table->row_count; i++) {
		const struct unwind_rule *rule = unwind_rules__get(rules, rows[i].rule);

		expect(rule != NULL && rule->cfa_kind <= CFA_UNSUPPORTED);
		expect(rule->cfa_reg < DW_REG_RA && rule->vm_base_reg == VM_NO_REG);
		expect(i == 0 || (rows[i].pc > rows[i - 1].pc && rows[i].rule != rows[i - 1].rule));
		expect(unwind_table__rule_at(table, rows[i].pc) == rows[i].rule);
	}
	for (size_t i = 0; i < table->function_count; i++) {
		const struct unwind_function *function = &table->functions[i];

		expect(function->start < function->end);
		expect(unwind_table__function_at(table, function->start) == function);
		expect(unwind_table__rule_at(table, function->start) != RULE_ID_NONE);
	}
	if (!table->row_count)
		return;
	expect(rows[table->row_count - 1].rule == RULE_ID_NONE);
	if (rows[table->row_count - 1].pc - rows[0].pc > MAX_SPAN)
		return;
	expect(unwind_table__encode(table, &file, &entries, &count) == 0);
	expect(count == (size_t)file.pages + 1 + file.rows && entries[file.pages] == file.rows);
	free(entries);
}

static void build(char *image, size_t size)
{
	Elf *elf = elf_memory(image, size);
	struct unwind_rules *rules = unwind_rules__new();
	struct unwind_table *table = NULL;

	expect(rules != NULL);
	if (elf && unwind_table__build(elf, rules, &table) == 0)
		check_table(table, rules);
	unwind_table__free(table);
	unwind_rules__free(rules);
	elf_end(elf);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct synthetic_elf *file;
	size_t file_size = 0;
	char *image;

	elf_version(EV_CURRENT);
	if (size < 2)
		return 0;
	if (data[0] % 4 == 0) {
		/* Its own memory: libelf may want it aligned and writable, and a read past the
		 * end is then seen. */
		image = malloc(size - 1);
		expect(image != NULL);
		memcpy(image, data + 1, size - 1);
		build(image, size - 1);
		free(image);
		return 0;
	}
	file = synthetic_elf__new(data + 1, size - 1, data[0] & 1, &file_size);
	expect(file != NULL);
	build((char *)file, file_size);
	free(file);
	return 0;
}
