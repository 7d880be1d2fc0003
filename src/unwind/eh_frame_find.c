/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Finds .eh_frame: by its section header, or, in files without section headers, through the
 * header that the segment PT_GNU_EH_FRAME holds (Linux Standard Base, "The .eh_frame_hdr section").
 * All numbers come from an untrusted file; libelf checks each range against the file's size.
 */
#include <dwarf.h>
#include <errno.h>
#include <gelf.h>
#include <string.h>

#include "dwarf_reader.h"
#include "eh_frame_find.h"

#define MAX_HEADER_BYTES 16u /* four bytes, and a pointer of at most eight */

/* Of what is larger, the beginning: FDEs refer to CIEs before them. */
static void set_bytes(struct eh_frame_place *self, Elf *elf, uint64_t offset, uint64_t size,
		      uint64_t vaddr)
{
	const Elf_Data *data;

	if (size > EH_FRAME_MAX_BYTES)
		size = EH_FRAME_MAX_BYTES;
	data = elf_getdata_rawchunk(elf, (int64_t)offset, size, ELF_T_BYTE);
	if (!data || !data->d_buf || !data->d_size)
		return;
	self->vaddr = vaddr;
	self->bytes = data->d_buf;
	self->size = data->d_size;
}

static void find_text(struct eh_frame_place *self, Elf *elf)
{
	size_t count;
	GElf_Phdr phdr;

	self->text_start = 0;
	self->text_end = UINT64_MAX;
	if (elf_getphdrnum(elf, &count) || count == 0)
		return;

	self->text_start = UINT64_MAX;
	self->text_end = 0;
	for (size_t i = 0; i < count && i <= INT32_MAX; i++) {
		uint64_t end;

		if (!gelf_getphdr(elf, (int)i, &phdr) || phdr.p_type != PT_LOAD ||
		    !(phdr.p_flags & PF_X) ||
		    __builtin_add_overflow(phdr.p_vaddr, phdr.p_memsz, &end))
			continue;
		if (phdr.p_vaddr < self->text_start)
			self->text_start = phdr.p_vaddr;
		if (end > self->text_end)
			self->text_end = end;
	}
}

static void find_by_section(struct eh_frame_place *self, Elf *elf)
{
	size_t names;
	Elf_Scn *section = NULL;

	if (elf_getshdrstrndx(elf, &names))
		return;
	while (!self->bytes && (section = elf_nextscn(elf, section)) != NULL) {
		GElf_Shdr shdr;
		const char *name;

		/* NOBITS: a file that only holds debug information. */
		if (!gelf_getshdr(section, &shdr) || shdr.sh_type == SHT_NOBITS ||
		    shdr.sh_flags & SHF_COMPRESSED)
			continue;
		name = elf_strptr(elf, names, shdr.sh_name);
		if (!name || strcmp(name, ".eh_frame") != 0)
			continue;
		set_bytes(self, elf, shdr.sh_offset, shdr.sh_size, shdr.sh_addr);
	}
}

/* The rest of the segment that holds `vaddr`: .eh_frame ends with a zero terminator in it. */
static void find_by_address(struct eh_frame_place *self, Elf *elf, size_t segment_count,
			    uint64_t vaddr)
{
	for (size_t i = 0; i < segment_count && i <= INT32_MAX; i++) {
		GElf_Phdr phdr;
		uint64_t skip, offset;

		if (!gelf_getphdr(elf, (int)i, &phdr) || phdr.p_type != PT_LOAD ||
		    vaddr < phdr.p_vaddr || vaddr - phdr.p_vaddr >= phdr.p_filesz)
			continue;
		skip = vaddr - phdr.p_vaddr;
		if (__builtin_add_overflow(phdr.p_offset, skip, &offset) || offset > INT64_MAX)
			continue;
		set_bytes(self, elf, offset, phdr.p_filesz - skip, vaddr);
		return;
	}
}

static void find_by_header(struct eh_frame_place *self, Elf *elf)
{
	size_t count;

	if (elf_getphdrnum(elf, &count))
		return;
	for (size_t i = 0; i < count && i <= INT32_MAX; i++) {
		GElf_Phdr phdr;
		Elf_Data *data;
		struct dwarf_reader reader;
		uint8_t version, encoding;
		uint64_t vaddr;

		if (!gelf_getphdr(elf, (int)i, &phdr) || phdr.p_type != PT_GNU_EH_FRAME ||
		    phdr.p_offset > INT64_MAX)
			continue;
		/* Only its beginning: the search table behind it is not used. */
		data = elf_getdata_rawchunk(elf, (int64_t)phdr.p_offset,
					    phdr.p_filesz < MAX_HEADER_BYTES ? phdr.p_filesz
									     : MAX_HEADER_BYTES,
					    ELF_T_BYTE);
		if (!data || !data->d_buf)
			return;
		reader = (struct dwarf_reader){
			.next = data->d_buf,
			.end = (const uint8_t *)data->d_buf + data->d_size,
			.origin = data->d_buf,
			.origin_vaddr = phdr.p_vaddr,
		};
		version = dwarf_reader__u8(&reader);
		encoding = dwarf_reader__u8(&reader);
		dwarf_reader__skip(&reader, 2); /* the encodings of the search table */
		vaddr = dwarf_reader__pointer(&reader, encoding, phdr.p_vaddr, NULL);
		if (version == 1 && !reader.failed)
			find_by_address(self, elf, count, vaddr);
		return;
	}
}

int eh_frame_place__find(struct eh_frame_place *self, Elf *elf)
{
	GElf_Ehdr ehdr;

	memset(self, 0, sizeof(*self));
	if (elf_kind(elf) != ELF_K_ELF || !gelf_getehdr(elf, &ehdr) ||
	    ehdr.e_ident[EI_CLASS] != ELFCLASS64 || ehdr.e_ident[EI_DATA] != ELFDATA2LSB ||
	    ehdr.e_machine != EM_X86_64 || (ehdr.e_type != ET_EXEC && ehdr.e_type != ET_DYN))
		return -ENOEXEC;

	find_text(self, elf);
	find_by_section(self, elf);
	if (!self->bytes)
		find_by_header(self, elf);
	return 0;
}
