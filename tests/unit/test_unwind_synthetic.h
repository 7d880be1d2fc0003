/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Builds .eh_frame pieces by hand and puts them into a minimal ELF file in memory, for tests and
 * the fuzz target. It checks nothing: corrupt pieces are what it is for.
 */
#ifndef LUASPY_TEST_UNWIND_SYNTHETIC_H
#define LUASPY_TEST_UNWIND_SYNTHETIC_H

#include <dwarf.h>
#include <elf.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#define TEXT_START     0x100000u
#define TEXT_END       0x200000u
#define EH_FRAME_VADDR 0x3000u

struct piece {
	uint8_t bytes[4096];
	size_t size;
};

static inline void put_bytes(struct piece *self, const void *bytes, size_t size)
{
	if (size > sizeof(self->bytes) - self->size)
		abort();
	memcpy(self->bytes + self->size, bytes, size);
	self->size += size;
}

/* PUT(piece, 1, 2, 3): bytes. */
#define PUT(piece_, ...)                                                                           \
	put_bytes(piece_, (const uint8_t[]){__VA_ARGS__}, sizeof((const uint8_t[]){__VA_ARGS__}))

static inline void put_u32(struct piece *self, uint32_t value)
{
	put_bytes(self, &value, sizeof(value));
}

static inline void put_uleb(struct piece *self, uint64_t value)
{
	do {
		uint8_t byte = value & 0x7f;

		value >>= 7;
		PUT(self, (uint8_t)(byte | (value ? 0x80 : 0)));
	} while (value);
}

/* Fills the entry that starts at `start` up to a multiple of 4 and stores its length. */
static inline void end_entry(struct piece *self, size_t start)
{
	uint32_t length;

	while (self->size % 4)
		PUT(self, DW_CFA_nop);
	length = (uint32_t)(self->size - start - 4);
	memcpy(self->bytes + start, &length, sizeof(length));
}

/* A CIE with code alignment 1, data alignment -8, pc-relative 32-bit addresses; its instructions
 * and end_entry() follow. `augmentation` is "zR" or "zRS". */
static inline size_t begin_cie(struct piece *self, const char *augmentation)
{
	size_t start = self->size;

	put_u32(self, 0); /* length */
	put_u32(self, 0); /* a CIE */
	PUT(self, 1);
	put_bytes(self, augmentation, strlen(augmentation) + 1);
	PUT(self, 1, 0x78, 16);
	PUT(self, 1, DW_EH_PE_pcrel | DW_EH_PE_sdata4);
	return start;
}

/* What compilers start with: CFA = rsp + 8, the return address at CFA - 8. */
static inline size_t put_usual_cie(struct piece *self)
{
	size_t start = begin_cie(self, "zR");

	PUT(self, DW_CFA_def_cfa, 7, 8, DW_CFA_offset | 16, 1);
	end_entry(self, start);
	return start;
}

static inline size_t begin_fde(struct piece *self, size_t cie, uint64_t pc, uint32_t bytes)
{
	size_t start = self->size;

	put_u32(self, 0); /* length */
	put_u32(self, (uint32_t)(self->size - cie));
	put_u32(self, (uint32_t)(pc - (EH_FRAME_VADDR + self->size)));
	put_u32(self, bytes);
	PUT(self, 0); /* augmentation data */
	return start;
}

struct synthetic_elf {
	Elf64_Ehdr ehdr;
	Elf64_Phdr text;
	Elf64_Phdr data;
	Elf64_Phdr header_segment;
	Elf64_Shdr sections[3];
	char names[24];
	uint8_t eh_frame_hdr[8]; /* version, three encodings, pc-relative pointer */
	uint8_t eh_frame[];
};

/*
 * An ELF file with executable addresses [TEXT_START, TEXT_END) and `bytes` as its .eh_frame at
 * EH_FRAME_VADDR. Without section headers it is to be found through PT_GNU_EH_FRAME. NULL when out
 * of memory; the caller frees.
 */
static inline struct synthetic_elf *synthetic_elf__new(const void *bytes, size_t size,
						       int has_sections, size_t *file_size)
{
	const uint64_t hdr_at = offsetof(struct synthetic_elf, eh_frame_hdr);
	const uint64_t frame_at = offsetof(struct synthetic_elf, eh_frame);
	struct synthetic_elf *self = calloc(1, sizeof(*self) + size);
	uint32_t distance = (uint32_t)(frame_at - hdr_at - 4);

	if (!self)
		return NULL;
	*file_size = sizeof(*self) + size;
	self->ehdr = (Elf64_Ehdr){
		.e_ident = {ELFMAG0, ELFMAG1, ELFMAG2, ELFMAG3, ELFCLASS64, ELFDATA2LSB,
			    EV_CURRENT},
		.e_type = ET_DYN,
		.e_machine = EM_X86_64,
		.e_version = EV_CURRENT,
		.e_phoff = offsetof(struct synthetic_elf, text),
		.e_ehsize = sizeof(Elf64_Ehdr),
		.e_phentsize = sizeof(Elf64_Phdr),
		.e_phnum = 3,
		.e_shentsize = sizeof(Elf64_Shdr),
	};
	self->text = (Elf64_Phdr){
		.p_type = PT_LOAD,
		.p_flags = PF_R | PF_X,
		.p_vaddr = TEXT_START,
		.p_memsz = TEXT_END - TEXT_START,
	};
	self->data = (Elf64_Phdr){
		.p_type = PT_LOAD,
		.p_flags = PF_R,
		.p_offset = hdr_at,
		.p_vaddr = EH_FRAME_VADDR - (frame_at - hdr_at),
		.p_filesz = frame_at - hdr_at + size,
		.p_memsz = frame_at - hdr_at + size,
	};
	self->header_segment = self->data;
	self->header_segment.p_type = PT_GNU_EH_FRAME;
	self->header_segment.p_filesz = sizeof(self->eh_frame_hdr);
	if (has_sections) {
		self->ehdr.e_shoff = offsetof(struct synthetic_elf, sections);
		self->ehdr.e_shnum = 3;
		self->ehdr.e_shstrndx = 2;
		self->sections[1] = (Elf64_Shdr){
			.sh_name = 1,
			.sh_type = SHT_PROGBITS,
			.sh_flags = SHF_ALLOC,
			.sh_addr = EH_FRAME_VADDR,
			.sh_offset = frame_at,
			.sh_size = size,
			.sh_addralign = 1,
		};
		self->sections[2] = (Elf64_Shdr){
			.sh_name = 11,
			.sh_type = SHT_STRTAB,
			.sh_offset = offsetof(struct synthetic_elf, names),
			.sh_size = sizeof(self->names),
			.sh_addralign = 1,
		};
		memcpy(self->names, "\0.eh_frame\0.shstrtab", 21);
	}
	self->eh_frame_hdr[0] = 1;
	self->eh_frame_hdr[1] = DW_EH_PE_pcrel | DW_EH_PE_sdata4;
	self->eh_frame_hdr[2] = DW_EH_PE_omit;
	self->eh_frame_hdr[3] = DW_EH_PE_omit;
	memcpy(self->eh_frame_hdr + 4, &distance, sizeof(distance));
	if (size)
		memcpy(self->eh_frame, bytes, size);
	return self;
}

#endif
