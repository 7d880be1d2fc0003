/* SPDX-License-Identifier: Apache-2.0 */
/* Where a file's .eh_frame is, and where its code is. Nothing in the section is looked at. */
#ifndef LUASPY_EH_FRAME_FIND_H
#define LUASPY_EH_FRAME_FIND_H

#include <libelf.h>
#include <stddef.h>
#include <stdint.h>

/* What is looked at of a section. libLLVM 15, of 110 MB, has 5 MB: enough for a file twelve times
 * as large. A sparse file may claim gigabytes that take no room on its disk. */
#define EH_FRAME_MAX_BYTES (64u << 20)

struct eh_frame_place {
	uint64_t vaddr;
	const uint8_t *bytes; /* borrowed from the Elf handle; NULL when there is no .eh_frame */
	size_t size;	      /* without section headers: to the end of the segment; limited */
	uint64_t text_start;  /* of the executable segments; [0, UINT64_MAX) without segments */
	uint64_t text_end;
};

/* 0, or -ENOEXEC for a file that is not an executable or shared object for x86-64. */
int eh_frame_place__find(struct eh_frame_place *self, Elf *elf);

#endif
