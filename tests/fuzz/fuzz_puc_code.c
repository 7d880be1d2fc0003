// SPDX-License-Identifier: Apache-2.0
/*
 * Breaks the code and the jump tables of real interpreters (lua5.1 to lua5.4 in PATH) and has
 * luaV_execute looked for, decoded and analysed: a file that says to be Lua and is something else.
 *
 *   make B=build/fuzz CC=clang SAN=-fsanitize=fuzzer,address,undefined
 * build/fuzz/tests/fuzz/fuzz_puc_code
 *
 * The first byte of the input chooses the file; each 4 bytes that follow are a change: where (two
 * bytes: in luaV_execute, or with the highest bit in the jump tables), how, a byte.
 */
#include <errno.h>
#include <fcntl.h>
#include <gelf.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "target/elf_image.h"
#include "vm/puc.h"

#define MAX_PROGRAMS 4
#define MAX_EDITS    32

int LLVMFuzzerInitialize(int *argc, char ***argv);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct part {
	size_t offset, size; /* in the file */
};

struct file {
	uint8_t *bytes, *changed;
	size_t size, rows;
	struct part execute, constants;
};

static struct file files[MAX_PROGRAMS];
static size_t file_count;

static void expect(int condition)
{
	if (!condition)
		abort();
}

/* What holds for a table, whatever was found. */
static void check(const struct unwind_table *table, const struct unwind_rules *rules)
{
	const struct unwind_rule *rule;
	size_t i;

	for (i = 0; i < table->row_count; i++) {
		rule = unwind_rules__get(rules, table->rows[i].rule);
		expect(rule != NULL);
		expect(!i || table->rows[i].pc > table->rows[i - 1].pc);
		if (!(rule->flags & RULE_PUC))
			continue;
		expect(rule->vm_base_reg < DW_REG_RA || rule->vm_base_reg == VM_NO_REG);
		expect(rule->vm_pc < DW_REG_RA || rule->vm_pc == VM_NO_REG);
	}
}

/* Looks for luaV_execute in `bytes`; what puc__find says. */
static int find(struct file *file, uint8_t *bytes, struct puc_build *build)
{
	struct unwind_rules *rules = unwind_rules__new();
	struct unwind_table *table = NULL;
	Elf *elf = NULL;
	int err;

	expect(rules != NULL && elf_image__open_memory(bytes, file->size, &elf) == 0);
	err = unwind_table__build(elf, rules, &table);
	expect(err == 0);
	if (!file->rows)
		file->rows = table->row_count;
	err = puc__find(elf, -1, table, rules, build);
	check(table, rules);
	/* A table is replaced as a whole or not at all. */
	expect(err == 0 || table->row_count == file->rows);
	unwind_table__free(table);
	unwind_rules__free(rules);
	elf_end(elf);
	return err;
}

/* Where the address, and the section with the jump tables, are in the file. */
static void locate(struct file *file, const struct puc_build *build)
{
	Elf_Scn *section = NULL;
	size_t names = 0;
	GElf_Shdr header;
	const char *name;
	Elf *elf = NULL;

	expect(elf_image__open_memory(file->bytes, file->size, &elf) == 0);
	expect(elf_getshdrstrndx(elf, &names) == 0);
	while ((section = elf_nextscn(elf, section)) != NULL) {
		expect(gelf_getshdr(section, &header) != NULL);
		name = elf_strptr(elf, names, header.sh_name);
		if (header.sh_addr <= build->execute_start &&
		    build->execute_start < header.sh_addr + header.sh_size)
			file->execute = (struct part){build->execute_start - header.sh_addr +
							      header.sh_offset,
						      build->execute_end - build->execute_start};
		if (name && strcmp(name, ".rodata") == 0)
			file->constants = (struct part){header.sh_offset, header.sh_size};
	}
	elf_end(elf);
	expect(file->execute.size && file->constants.size);
}

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
	struct puc_build build;
	struct file *file;
	struct stat stat;
	char path[64];
	int version, fd;

	for (version = 1; version <= MAX_PROGRAMS; version++) {
		snprintf(path, sizeof(path), "/usr/bin/lua5.%d", version);
		fd = open(path, O_RDONLY | O_CLOEXEC);
		if (fd < 0)
			continue;
		file = &files[file_count];
		expect(fstat(fd, &stat) == 0);
		file->size = (size_t)stat.st_size;
		file->bytes = malloc(file->size);
		file->changed = malloc(file->size);
		expect(file->bytes && file->changed);
		expect(read(fd, file->bytes, file->size) == (ssize_t)file->size);
		close(fd);
		memcpy(file->changed, file->bytes, file->size);
		expect(find(file, file->changed, &build) == 0);
		locate(file, &build);
		file_count++;
	}
	if (!file_count)
		printf("fuzz_puc_code: no lua5.x in /usr/bin: nothing is broken\n");
	return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct puc_build build;
	const struct part *part;
	struct file *file;
	uint8_t *at;
	int edits, err;

	if (!size || !file_count)
		return 0;
	file = &files[*data % file_count];
	memcpy(file->changed, file->bytes, file->size);
	data++;
	size--;
	for (edits = 0; size >= 4 && edits < MAX_EDITS; edits++, data += 4, size -= 4) {
		part = data[1] & 0x80 ? &file->constants : &file->execute;
		at = file->changed + part->offset +
		     (data[0] | (size_t)(data[1] & 0x7f) << 8) % part->size;
		if (data[2] & 1)
			*at = data[3];
		else
			*at ^= (uint8_t)(1u << (data[3] & 7));
	}
	err = find(file, file->changed, &build);
	expect(err == 0 || err == -EINVAL || err == -ENOENT || err == -ENOSPC);
	return 0;
}
