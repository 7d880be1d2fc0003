/* SPDX-License-Identifier: Apache-2.0 */
#include "puc_image.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* Linkers make 2 to 10 segments, without anything twice in them. All of them: programs with Lua
 * inside have some megabytes. */
#define MAX_SEGMENTS	32u
#define MAX_BYTES	(512u << 20)
#define MAX_RELOCATIONS (4u << 20)
#define MAX_NO_RETURN	64u

static int compare_pointers(const void *one, const void *other)
{
	const struct puc_pointer *a = one, *b = other;

	return a->at < b->at ? -1 : a->at > b->at;
}

static int read_relative(struct puc_image *self, uint64_t vaddr, uint64_t size)
{
	uint64_t count = size / sizeof(Elf64_Rela), i;
	const uint8_t *bytes;
	Elf64_Rela rela;
	bool sorted = true;

	if (!count || count > MAX_RELOCATIONS)
		return 0;
	bytes = puc_image__bytes(self, vaddr, count * sizeof(rela));
	if (!bytes)
		return 0;
	self->pointers = calloc(count, sizeof(*self->pointers));
	if (!self->pointers)
		return -ENOMEM;
	for (i = 0; i < count; i++) {
		struct puc_pointer *out = &self->pointers[self->pointer_count];

		memcpy(&rela, bytes + i * sizeof(rela), sizeof(rela));
		if (ELF64_R_TYPE(rela.r_info) != R_X86_64_RELATIVE)
			continue;
		out->at = rela.r_offset;
		out->value = (uint64_t)rela.r_addend;
		sorted &= !self->pointer_count || out[-1].at <= out->at;
		self->pointer_count++;
	}
	if (!sorted)
		qsort(self->pointers, self->pointer_count, sizeof(*self->pointers),
		      compare_pointers);
	return 0;
}

/* ---- imported functions -----------------------------------------------------------------------
 */

/* The tags of the dynamic section that are looked at. */
struct dynamic {
	uint64_t rela, rela_size, jmprel, jmprel_size, symbols, strings, strings_size;
};

static bool is_no_return(struct puc_image *self, const struct dynamic *dynamic, uint64_t symbol)
{
	static const char *const names[] = {
		"__stack_chk_fail", "abort",	   "exit",	     "_exit",
		"longjmp",	    "_longjmp",	   "__longjmp_chk",  "siglongjmp",
		"__assert_fail",    "__cxa_throw", "_Unwind_Resume",
	};
	const uint8_t *bytes, *name;
	Elf64_Sym sym;
	size_t i, length;

	bytes = puc_image__bytes(self, dynamic->symbols + symbol * sizeof(sym), sizeof(sym));
	if (!bytes)
		return false;
	memcpy(&sym, bytes, sizeof(sym));
	for (i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		length = strlen(names[i]) + 1;
		if (sym.st_name >= dynamic->strings_size ||
		    length > dynamic->strings_size - sym.st_name)
			continue;
		name = puc_image__bytes(self, dynamic->strings + sym.st_name, length);
		if (name && memcmp(name, names[i], length) == 0)
			return true;
	}
	return false;
}

static int compare_addresses(const void *one, const void *other)
{
	uint64_t a = *(const uint64_t *)one, b = *(const uint64_t *)other;

	return a < b ? -1 : a > b;
}

static void read_imports(struct puc_image *self, const struct dynamic *dynamic, uint64_t vaddr,
			 uint64_t size)
{
	uint64_t count = size / sizeof(Elf64_Rela), i, type;
	const uint8_t *bytes;
	Elf64_Rela rela;

	if (!count || count > MAX_RELOCATIONS)
		return;
	bytes = puc_image__bytes(self, vaddr, count * sizeof(rela));
	for (i = 0; bytes && i < count && self->no_return_count < MAX_NO_RETURN; i++) {
		memcpy(&rela, bytes + i * sizeof(rela), sizeof(rela));
		type = ELF64_R_TYPE(rela.r_info);
		if ((type == R_X86_64_JUMP_SLOT || type == R_X86_64_GLOB_DAT) &&
		    is_no_return(self, dynamic, ELF64_R_SYM(rela.r_info)))
			self->no_return[self->no_return_count++] = rela.r_offset;
	}
}

bool puc_image__never_returns(const struct puc_image *self, uint64_t vaddr)
{
	return self->no_return_count && bsearch(&vaddr, self->no_return, self->no_return_count,
						sizeof(vaddr), compare_addresses);
}

/* ---- all of it --------------------------------------------------------------------------------
 */

static void read_dynamic(struct puc_image *self, struct dynamic *dynamic)
{
	const Elf64_Phdr *segment = NULL;
	const uint8_t *bytes;
	uint64_t count, i;
	Elf64_Dyn dyn;

	for (i = 0; i < self->elf.segment_count && !segment; i++) {
		if (self->elf.segments[i].p_type == PT_DYNAMIC)
			segment = &self->elf.segments[i];
	}
	if (!segment || segment->p_filesz > MAX_BYTES)
		return;
	count = segment->p_filesz / sizeof(dyn);
	bytes = puc_image__bytes(self, segment->p_vaddr, count * sizeof(dyn));
	for (i = 0; bytes && i < count; i++) {
		memcpy(&dyn, bytes + i * sizeof(dyn), sizeof(dyn));
		switch (dyn.d_tag) {
		case DT_NULL:
			return;
		case DT_RELA:
			dynamic->rela = dyn.d_un.d_ptr;
			break;
		case DT_RELASZ:
			dynamic->rela_size = dyn.d_un.d_val;
			break;
		case DT_JMPREL:
			dynamic->jmprel = dyn.d_un.d_ptr;
			break;
		case DT_PLTRELSZ:
			dynamic->jmprel_size = dyn.d_un.d_val;
			break;
		case DT_SYMTAB:
			dynamic->symbols = dyn.d_un.d_ptr;
			break;
		case DT_STRTAB:
			dynamic->strings = dyn.d_un.d_ptr;
			break;
		case DT_STRSZ:
			dynamic->strings_size = dyn.d_un.d_val;
			break;
		}
	}
}

/* What DT_RELR covers has its value in place. */
static int find_relocations(struct puc_image *self)
{
	struct dynamic dynamic = {};
	int err;

	read_dynamic(self, &dynamic);
	err = read_relative(self, dynamic.rela, dynamic.rela_size);
	if (err)
		return err;
	self->no_return = calloc(MAX_NO_RETURN, sizeof(*self->no_return));
	if (!self->no_return)
		return -ENOMEM;
	read_imports(self, &dynamic, dynamic.rela, dynamic.rela_size);
	read_imports(self, &dynamic, dynamic.jmprel, dynamic.jmprel_size);
	qsort(self->no_return, self->no_return_count, sizeof(*self->no_return), compare_addresses);
	return 0;
}

int puc_image__open(struct puc_image *self, Elf *elf)
{
	const Elf64_Phdr *from;
	struct puc_segment *to;
	uint64_t left = MAX_BYTES;
	size_t i;
	int err;

	memset(self, 0, sizeof(*self));
	err = elf_image__read(elf, &self->elf);
	if (err)
		return err;
	self->segments = calloc(MAX_SEGMENTS, sizeof(*self->segments));
	err = self->segments ? 0 : -ENOMEM;
	for (i = 0; !err && i < self->elf.segment_count && self->segment_count < MAX_SEGMENTS;
	     i++) {
		from = &self->elf.segments[i];
		if (from->p_type != PT_LOAD || from->p_filesz > left ||
		    from->p_vaddr > UINT64_MAX - from->p_filesz)
			continue;
		left -= from->p_filesz;
		to = &self->segments[self->segment_count++];
		to->start = from->p_vaddr;
		to->end = from->p_vaddr + from->p_filesz;
		to->offset = from->p_offset;
	}
	if (!err)
		err = find_relocations(self);
	if (err)
		puc_image__close(self);
	return err;
}

void puc_image__close(struct puc_image *self)
{
	elf_image__free(&self->elf);
	free(self->segments);
	free(self->pointers);
	free(self->no_return);
	memset(self, 0, sizeof(*self));
}

const uint8_t *puc_image__bytes(struct puc_image *self, uint64_t vaddr, uint64_t size)
{
	struct puc_segment *segment;
	size_t i;

	for (i = 0; i < self->segment_count; i++) {
		segment = &self->segments[i];
		if (vaddr < segment->start || vaddr >= segment->end || size > segment->end - vaddr)
			continue;
		if (!segment->tried) {
			segment->tried = true;
			segment->bytes = elf_image__bytes(&self->elf, segment->offset,
							  segment->end - segment->start);
		}
		return segment->bytes ? segment->bytes + (vaddr - segment->start) : NULL;
	}
	return NULL;
}

bool puc_image__s32(struct puc_image *self, uint64_t vaddr, int32_t *value)
{
	const uint8_t *bytes = puc_image__bytes(self, vaddr, sizeof(*value));

	if (bytes)
		memcpy(value, bytes, sizeof(*value));
	return bytes != NULL;
}

bool puc_image__pointer(struct puc_image *self, uint64_t vaddr, uint64_t *value)
{
	size_t low = 0, high = self->pointer_count, middle;
	const uint8_t *bytes;

	while (low < high) {
		middle = low + (high - low) / 2;
		if (self->pointers[middle].at < vaddr)
			low = middle + 1;
		else
			high = middle;
	}
	if (low < self->pointer_count && self->pointers[low].at == vaddr) {
		*value = self->pointers[low].value;
		return true;
	}
	bytes = puc_image__bytes(self, vaddr, sizeof(*value));
	if (bytes)
		memcpy(value, bytes, sizeof(*value));
	return bytes != NULL;
}
