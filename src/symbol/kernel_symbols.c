/* SPDX-License-Identifier: Apache-2.0 */
/* See kernel_symbols.h. A line of kallsyms: "address type name", for a module "\t[module]" more. */
#include "kernel_symbols.h"

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../sample/kernel_names.h"

#define MAX_SYMBOLS    (8U << 20)
#define MAX_NAME_BYTES 600U /* KSYM_NAME_LEN is 512, a module's name 64 at most */

struct kernel_symbol {
	uint64_t address;
	uint32_t name; /* offset in the arena */
	uint32_t rank; /* of several at one address the smallest is kept */
};

struct kernel_symbols {
	struct kernel_names *asked;    /* if not NULL, what follows is not complete */
	struct kernel_symbol *symbols; /* ascending, one per address */
	size_t count;
	size_t capacity;
	char *names;
	size_t names_used;
	size_t names_capacity;
};

/* Returns `block` made large enough for `needed` items, or NULL with `block` as it was. */
static void *grow(void *block, size_t *capacity, size_t needed, size_t item_size)
{
	size_t wanted = *capacity ? *capacity : 4096;
	void *grown;

	if (block && needed <= *capacity)
		return block;
	while (wanted < needed)
		wanted *= 2;
	grown = reallocarray(block, wanted, item_size);
	if (grown)
		*capacity = wanted;
	return grown;
}

static int add(struct kernel_symbols *self, uint64_t address, char type, const char *name,
	       size_t name_length, const char *module, size_t module_length)
{
	size_t length = name_length + (module_length ? module_length + 1 : 0) + 1;
	struct kernel_symbol *symbols, *symbol;
	size_t underscores = 0;
	char *names, *to;

	if (self->count == MAX_SYMBOLS || self->names_used > UINT32_MAX - length)
		return -E2BIG;
	symbols = grow(self->symbols, &self->capacity, self->count + 1, sizeof(*symbols));
	if (!symbols)
		return -ENOMEM;
	self->symbols = symbols;
	names = grow(self->names, &self->names_capacity, self->names_used + length, 1);
	if (!names)
		return -ENOMEM;
	self->names = names;
	while (underscores < 15 && underscores < name_length && name[underscores] == '_')
		underscores++;
	symbol = &symbols[self->count++];
	symbol->address = address;
	symbol->name = (uint32_t)self->names_used;
	symbol->rank = (type == 'T' ? 0 : type == 't' ? 2U : 1U) << 4 | (uint32_t)underscores;
	to = names + self->names_used;
	memcpy(to, name, name_length);
	to += name_length;
	if (module_length) {
		*to++ = ' ';
		memcpy(to, module, module_length);
		to += module_length;
	}
	*to = '\0';
	self->names_used += length;
	return 0;
}

static size_t word_length(const char *text)
{
	return strcspn(text, " \t\n");
}

/* Adds the line's symbol if it is one of code. *addressed is set when any address is not 0. */
static int add_line(struct kernel_symbols *self, const char *line, bool *seen, bool *addressed)
{
	const char *name, *module;
	size_t name_length, module_length;
	uint64_t address;
	char *end;

	errno = 0;
	address = strtoull(line, &end, 16);
	if (end == line || errno || end[0] != ' ' || !end[1] || end[2] != ' ')
		return 0;
	*seen = true;
	if (address == 0)
		return 0;
	*addressed = true;
	if (!strchr("tTwW", end[1]))
		return 0;
	name = end + 3;
	name_length = word_length(name);
	module = name + name_length + strspn(name + name_length, " \t");
	module_length = *module == '[' ? word_length(module) : 0;
	if (name_length == 0 || name_length + module_length > MAX_NAME_BYTES)
		return 0;
	return add(self, address, end[1], name, name_length, module, module_length);
}

/* The table's own order decides between equals, which the arena offset preserves. */
static int compare_symbols(const void *a, const void *b)
{
	const struct kernel_symbol *left = a, *right = b;

	if (left->address != right->address)
		return left->address < right->address ? -1 : 1;
	if (left->rank != right->rank)
		return left->rank < right->rank ? -1 : 1;
	return (left->name > right->name) - (left->name < right->name);
}

static void sort_and_drop_aliases(struct kernel_symbols *self)
{
	size_t read, write = 0;

	if (self->count == 0)
		return;
	qsort(self->symbols, self->count, sizeof(*self->symbols), compare_symbols);
	for (read = 1; read < self->count; read++) {
		if (self->symbols[read].address != self->symbols[write].address)
			self->symbols[++write] = self->symbols[read];
	}
	self->count = write + 1;
}

FILE *kernel_symbols__open(void)
{
	return fopen("/proc/kallsyms", "re");
}

int kernel_symbols__load(const char *path, struct kernel_symbols **symbols)
{
	FILE *file = path ? fopen(path, "re") : kernel_symbols__open();
	int err;

	*symbols = NULL;
	if (!file)
		return -errno;
	err = kernel_symbols__read(file, symbols);
	fclose(file);
	return err;
}

int kernel_symbols__read(FILE *file, struct kernel_symbols **symbols)
{
	return kernel_symbols__read_or_ask(file, NULL, symbols);
}

int kernel_symbols__read_or_ask(FILE *file, struct kernel_names *names,
				struct kernel_symbols **symbols)
{
	struct kernel_symbols *self;
	bool seen = false, addressed = false;
	size_t line_size = 0;
	char *line = NULL;
	int err = 0;

	*symbols = NULL;
	self = calloc(1, sizeof(*self));
	if (!self) {
		err = -ENOMEM;
		goto out;
	}
	while (!err && !self->asked && getline(&line, &line_size, file) >= 0) {
		err = add_line(self, line, &seen, &addressed);
		if (!err && names && self->count) {
			/* It names what kallsyms names, or it is not used. */
			if (kernel_names__find(names, self->symbols[0].address))
				self->asked = names;
			names = NULL;
		}
	}
	if (!err && ferror(file))
		err = -EIO;
	if (!err && seen && !addressed)
		err = -EPERM;
	if (err)
		goto out;
	sort_and_drop_aliases(self);
	*symbols = self;
	self = NULL;
out:
	free(line);
	kernel_symbols__free(self);
	return err;
}

void kernel_symbols__free(struct kernel_symbols *self)
{
	if (!self)
		return;
	free(self->symbols);
	free(self->names);
	free(self);
}

const char *kernel_symbols__find(const struct kernel_symbols *self, uint64_t address)
{
	size_t low = 0, high;

	if (!self)
		return NULL;
	if (self->asked)
		return kernel_names__find(self->asked, address);
	high = self->count;
	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (self->symbols[middle].address <= address)
			low = middle + 1;
		else
			high = middle;
	}
	return low ? self->names + self->symbols[low - 1].name : NULL;
}

size_t kernel_symbols__count(const struct kernel_symbols *self)
{
	return self ? self->count : 0;
}
