/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Checked access to the headers and bytes of an ELF file that may be corrupt or hostile. libelf
 * opens the file and reads its bytes; nothing here trusts a count, an offset or a string in it.
 * Only 64-bit files in this machine's byte order: no other code runs in a process that we profile.
 */
#ifndef LUASPY_ELF_IMAGE_H
#define LUASPY_ELF_IMAGE_H

#include <libelf.h>
#include <stddef.h>
#include <stdint.h>

/*
 * libelf handles. The first reads from `fd` piece by piece (never by mmap: a file that is
 * truncated meanwhile must not kill us) and needs `fd` to stay open; the second needs `image` to
 * stay. Return 0 or -ENOEXEC for what is no 64-bit ELF file of ours or has an absurd number of
 * sections. The caller calls elf_end(*elf).
 */
int elf_image__open_fd(int fd, Elf **elf);
int elf_image__open_memory(void *image, size_t size, Elf **elf);

struct elf_image {
	Elf *elf; /* borrowed */
	uint16_t type;
	uint16_t machine;
	Elf64_Phdr *segments;
	size_t segment_count;
	Elf64_Shdr *sections; /* none when the table is missing or out of bounds */
	size_t section_count;
	const char *names; /* .shstrtab */
	size_t names_size;
};

/* Reads the program and section headers. Returns 0, -ENOEXEC, -ENOMEM. */
int elf_image__read(Elf *elf, struct elf_image *image);
void elf_image__free(struct elf_image *image);

/* The bytes [offset, offset + size) of the file, borrowed until elf_end; NULL when the file does
 * not have them or `size` is 0. Not aligned. */
const void *elf_image__bytes(const struct elf_image *image, uint64_t offset, uint64_t size);

/* The content of a section, NULL when it has none, is out of bounds, compressed, or larger than
 * `limit`. */
const void *elf_image__section_bytes(const struct elf_image *image, const Elf64_Shdr *section,
				     uint64_t limit);

/* The first section of that name, or NULL. */
const Elf64_Shdr *elf_image__section(const struct elf_image *image, const char *name);

/* The first section of that type (SHT_...), or NULL. */
const Elf64_Shdr *elf_image__section_of_type(const struct elf_image *image, uint32_t type);

#endif
