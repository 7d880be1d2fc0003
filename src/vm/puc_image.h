/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What an ELF file has at an address once it is loaded, for the analysis of PUC Lua's interpreter:
 * bytes of its segments, and pointers, which position-independent files fill in by relocations.
 * The file may be corrupt.
 */
#ifndef LUASPY_PUC_IMAGE_H
#define LUASPY_PUC_IMAGE_H

#include <libelf.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "../target/elf_image.h"

struct puc_segment {
	uint64_t start, end;
	const uint8_t *bytes; /* borrowed from the Elf handle; NULL: not read yet, or not there */
	uint64_t offset;
	bool tried;
};

struct puc_pointer {
	uint64_t at, value;
};

struct puc_image {
	struct elf_image elf;
	struct puc_segment *segments; /* those that have bytes in the file */
	size_t segment_count;
	struct puc_pointer *pointers; /* relative relocations, ascending by `at` */
	size_t pointer_count;
	uint64_t *no_return; /* ascending: where the addresses of imported functions that never
			      * return are stored */
	size_t no_return_count;
};

/* 0, -ENOEXEC, -ENOMEM. To be closed only after 0. */
int puc_image__open(struct puc_image *self, Elf *elf);
void puc_image__close(struct puc_image *self);

/* [vaddr, vaddr + size) of one segment, or NULL. Borrowed until elf_end. */
const uint8_t *puc_image__bytes(struct puc_image *self, uint64_t vaddr, uint64_t size);

/* False when it is not in the file. */
bool puc_image__s32(struct puc_image *self, uint64_t vaddr, int32_t *value);
bool puc_image__pointer(struct puc_image *self, uint64_t vaddr, uint64_t *value);

/* Is there the address of a function such as abort or __stack_chk_fail at `vaddr`? */
bool puc_image__never_returns(const struct puc_image *self, uint64_t vaddr);

#endif
