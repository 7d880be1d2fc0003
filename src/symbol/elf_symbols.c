/* SPDX-License-Identifier: Apache-2.0 */
/*
 * See elf_symbols.h. This file decides which tables are read and which of their entries name
 * functions; elf_symbols_build.c turns those into ranges.
 */
#include "elf_symbols.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "../target/elf_image.h"
#include "debug_data.h"
#include "debug_file.h"
#include "elf_symbols_build.h"

#define MAX_TABLE_SYMBOLS (2U << 20) /* of one table; a browser has one million */
#define MAX_STRINGS_BYTES (256U << 20)
#define MAX_LABEL_BYTES	  255U	/* of an assembler's label */
#define MAX_NAME_BYTES	  4095U /* long C++ names reach some thousand */

struct elf_symbols {
	struct symbol_ranges ranges;
	enum symbol_source source;
};

/* ---- collecting ---------------------------------------------------------------------------- */

struct collection {
	struct symbol_candidate *candidates;
	size_t count;
	size_t capacity;
};

static int collection__reserve(struct collection *self, size_t more)
{
	struct symbol_candidate *grown;

	if (more <= self->capacity - self->count)
		return 0;
	grown = reallocarray(self->candidates, self->count + more, sizeof(*grown));
	if (!grown)
		return -ENOMEM;
	self->candidates = grown;
	self->capacity = self->count + more;
	return 0;
}

/*
 * Untyped symbols name functions in hand-written assembly, but also labels (".L1", "L0^A"), mapping
 * symbols of arm64 ("$x", "$d.1") and notes of compiler plugins (".annobin_...").
 */
static bool is_function_label(const char *name, size_t length)
{
	size_t i;

	if (name[0] == '.' || length > MAX_LABEL_BYTES)
		return false;
	if (name[0] == '$' && length >= 2 && strchr("adtx", name[1]) &&
	    (length == 2 || name[2] == '.'))
		return false;
	for (i = 0; i < length; i++) {
		if ((unsigned char)name[i] < ' ')
			return false;
	}
	return true;
}

/* Fills *candidate if the symbol is a function with a name. */
static bool classify(const struct elf_image *image, const Elf64_Sym *symbol, const char *strings,
		     size_t strings_size, struct symbol_candidate *candidate)
{
	const unsigned char type = ELF64_ST_TYPE(symbol->st_info);
	const unsigned char binding = ELF64_ST_BIND(symbol->st_info);
	const Elf64_Shdr *section;
	const char *name, *version;
	size_t room, length, underscores = 0;

	if (type != STT_FUNC && type != STT_GNU_IFUNC && type != STT_NOTYPE)
		return false;
	if (symbol->st_shndx == SHN_UNDEF || symbol->st_shndx >= SHN_LORESERVE ||
	    symbol->st_shndx >= image->section_count || symbol->st_name >= strings_size)
		return false;
	section = &image->sections[symbol->st_shndx];
	if (!(section->sh_flags & SHF_EXECINSTR) || symbol->st_value < section->sh_addr ||
	    symbol->st_value - section->sh_addr >= section->sh_size ||
	    section->sh_addr > UINT64_MAX - section->sh_size)
		return false;

	name = strings + symbol->st_name;
	room = strings_size - symbol->st_name;
	length = strnlen(name, room < MAX_NAME_BYTES + 1 ? room : MAX_NAME_BYTES + 1);
	if (length == 0 || length == room) /* without an end */
		return false;
	if (length > MAX_NAME_BYTES)
		length = MAX_NAME_BYTES;
	if (type == STT_NOTYPE && !is_function_label(name, length))
		return false;
	/* .symtab has "memcpy@@GLIBC_2.14"; the version says nothing to a reader of a profile. */
	version = memchr(name + 1, '@', length - 1);
	if (version)
		length = (size_t)(version - name);
	while (underscores < MAX_RANK_UNDERSCORES && underscores < length &&
	       name[underscores] == '_')
		underscores++;

	candidate->start = symbol->st_value;
	candidate->limit = section->sh_addr + section->sh_size;
	candidate->end = symbol->st_size < candidate->limit - symbol->st_value
				 ? symbol->st_value + symbol->st_size
				 : candidate->limit;
	candidate->name = name;
	candidate->name_length = (uint32_t)length;
	candidate->rank = (symbol->st_size ? 0 : RANK_UNSIZED) |
			  (type == STT_NOTYPE ? RANK_NOTYPE : 0) |
			  RANK_BINDING(binding == STB_LOCAL  ? 2U
				       : binding == STB_WEAK ? 1U
							     : 0U) |
			  RANK_UNDERSCORES((uint32_t)underscores) | (version ? RANK_VERSIONED : 0);
	return true;
}

/* Adds the functions of the table of `table_type` (SHT_SYMTAB or SHT_DYNSYM). Their names stay in
 * the file's buffers. Returns their number or -ENOMEM. */
static int collect_table(const struct elf_image *image, uint32_t table_type,
			 struct collection *collection)
{
	const Elf64_Shdr *table = elf_image__section_of_type(image, table_type);
	const Elf64_Shdr *strings_section;
	size_t count, i, before = collection->count;
	const char *symbols, *strings;

	if (!table || table->sh_entsize != sizeof(Elf64_Sym) ||
	    table->sh_link >= image->section_count)
		return 0;
	strings_section = &image->sections[table->sh_link];
	symbols = elf_image__section_bytes(image, table,
					   (uint64_t)MAX_TABLE_SYMBOLS * sizeof(Elf64_Sym));
	strings = elf_image__section_bytes(image, strings_section, MAX_STRINGS_BYTES);
	if (!symbols || !strings)
		return 0;
	count = table->sh_size / sizeof(Elf64_Sym);
	if (collection__reserve(collection, count))
		return -ENOMEM;
	for (i = 0; i < count; i++) {
		Elf64_Sym symbol;

		memcpy(&symbol, symbols + i * sizeof(symbol), sizeof(symbol));
		if (classify(image, &symbol, strings, strings_section->sh_size,
			     &collection->candidates[collection->count]))
			collection->count++;
	}
	return (int)(collection->count - before);
}

/* As collect_table, of another ELF file. */
static int collect_symtab_of(Elf *elf, struct collection *collection)
{
	struct elf_image image;
	int result;

	result = elf_image__read(elf, &image);
	if (result)
		return result == -ENOMEM ? result : 0;
	result = collect_table(&image, SHT_SYMTAB, collection);
	elf_image__free(&image);
	return result;
}

/* ---- the object ---------------------------------------------------------------------------- */

int elf_symbols__load(Elf *elf, int root_fd, const char *file_dir, struct elf_symbols **symbols)
{
	struct debug_file debug_file = {.fd = -1};
	struct debug_data debug_data = {0};
	struct collection collection = {0};
	struct elf_image image;
	struct elf_symbols *self;
	int result;

	*symbols = NULL;
	self = calloc(1, sizeof(*self));
	if (!self)
		return -ENOMEM;
	result = elf_image__read(elf, &image);
	if (result == -ENOMEM)
		goto out;
	if (result == 0) {
		self->source = SYMBOLS_TABLE;
		result = collect_table(&image, SHT_SYMTAB, &collection);
		if (result == 0 && debug_file__open(elf, root_fd, file_dir, &debug_file) == 0) {
			self->source = SYMBOLS_DEBUG_FILE;
			result = collect_symtab_of(debug_file.elf, &collection);
		}
		if (result == 0 && debug_data__open(elf, &debug_data) == 0) {
			self->source = SYMBOLS_DEBUG_DATA;
			result = collect_symtab_of(debug_data.elf, &collection);
		}
		if (result == 0)
			self->source = SYMBOLS_NONE;
		if (result >= 0)
			result = collect_table(&image, SHT_DYNSYM, &collection);
		if (result < 0)
			goto out;
		if (result > 0 && self->source == SYMBOLS_NONE)
			self->source = SYMBOLS_EXPORTED;
	}
	result = symbol_ranges__build(collection.candidates, collection.count, &self->ranges);
	if (result)
		goto out;
	*symbols = self;
	self = NULL;
out:
	/* The names are in the arena by now. */
	free(collection.candidates);
	debug_file__close(&debug_file);
	debug_data__close(&debug_data);
	elf_image__free(&image);
	elf_symbols__free(self);
	return result;
}

void elf_symbols__free(struct elf_symbols *self)
{
	if (!self)
		return;
	free(self->ranges.ranges);
	free(self->ranges.names);
	free(self);
}

const char *elf_symbols__find(const struct elf_symbols *self, uint64_t vaddr, uint64_t *start)
{
	const struct symbol_range *range;
	size_t low = 0, high;

	if (!self)
		return NULL;
	high = self->ranges.count;
	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (self->ranges.ranges[middle].end <= vaddr)
			low = middle + 1;
		else
			high = middle;
	}
	if (low == self->ranges.count)
		return NULL;
	range = &self->ranges.ranges[low];
	if (vaddr < range->start)
		return NULL;
	if (start)
		*start = range->symbol;
	return self->ranges.names + range->name;
}

enum symbol_source elf_symbols__source(const struct elf_symbols *self)
{
	return self ? self->source : SYMBOLS_NONE;
}

size_t elf_symbols__count(const struct elf_symbols *self)
{
	return self ? self->ranges.symbol_count : 0;
}
