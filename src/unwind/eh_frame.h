/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The .eh_frame section of an ELF file, split into its CIEs and FDEs. Call frame instructions are
 * not executed here except the CIEs' own (cfi_program.h).
 */
#ifndef LUASPY_EH_FRAME_H
#define LUASPY_EH_FRAME_H

#include <libelf.h>
#include <stddef.h>
#include <stdint.h>

#include "cfi_program.h"

struct eh_frame_cie {
	uint64_t offset; /* in the section; ascending, FDEs refer to it */
	bool is_sized;	 /* augmentation 'z': FDEs say how long their augmentation data is */
	uint64_t fde_augmentation_bytes; /* without 'z' */
	struct cfi_cie cfi;
};

struct eh_frame_fde {
	uint64_t start; /* ELF virtual addresses, [start, end) is not empty */
	uint64_t end;
	uint32_t cie; /* index */
	uint32_t instruction_bytes;
	uint64_t instructions; /* offset in the section */
};

struct eh_frame {
	uint64_t vaddr;
	uint8_t *bytes; /* a copy of the section; NULL when the file has none */
	size_t size;
	struct eh_frame_cie *cies;
	size_t cie_count;
	struct eh_frame_fde *fdes; /* ascending by start; those with one start in file order */
	size_t fde_count;
	size_t skipped; /* entries that were corrupt or of an unknown form */
};

/* Fills *self, to be cleared in any case. 0, -ENOMEM, or -ENOEXEC for a file that is not an
 * executable or shared object for x86-64. */
int eh_frame__read(struct eh_frame *self, Elf *elf);
void eh_frame__clear(struct eh_frame *self);

/* A reader over the instructions of an FDE. */
struct dwarf_reader eh_frame__instructions(const struct eh_frame *self,
					   const struct eh_frame_fde *fde);

#endif
