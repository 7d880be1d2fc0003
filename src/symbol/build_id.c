/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The build id of an ELF file: the NT_GNU_BUILD_ID note (format: gABI "Note Section"; owner "GNU",
 * type 3). Declared in elf_symbols.h.
 */
#include <errno.h>
#include <string.h>

#include "../target/elf_image.h"
#include "elf_symbols.h"

#define MAX_NOTES_BYTES (1U << 20)

static int to_hex(const unsigned char *bytes, size_t count, char *hex, size_t size)
{
	static const char digits[] = "0123456789abcdef";
	size_t i;

	if (count > (size - 1) / 2)
		return -E2BIG;
	for (i = 0; i < count; i++) {
		hex[2 * i] = digits[bytes[i] >> 4];
		hex[2 * i + 1] = digits[bytes[i] & 15];
	}
	hex[2 * count] = '\0';
	return (int)(2 * count);
}

/* Returns the id's length in characters, -E2BIG, or -ENOENT when these notes hold none. */
static int find_in_notes(const unsigned char *notes, size_t size, uint64_t alignment, char *hex,
			 size_t hex_size)
{
	const size_t mask = alignment == 8 ? 7 : 3;

	while (size > sizeof(Elf64_Nhdr)) {
		Elf64_Nhdr header;
		size_t name_size, content_size;
		const unsigned char *name;

		memcpy(&header, notes, sizeof(header));
		name = notes + sizeof(header);
		size -= sizeof(header);
		/* 32-bit counts, so that rounding up cannot overflow. */
		name_size = ((size_t)header.n_namesz + mask) & ~mask;
		if (mask == 7)
			name_size = ((sizeof(header) + (size_t)header.n_namesz + mask) & ~mask) -
				    sizeof(header);
		if (name_size > size || header.n_descsz > size - name_size)
			return -ENOENT;
		if (header.n_type == NT_GNU_BUILD_ID && header.n_namesz == sizeof("GNU") &&
		    memcmp(name, "GNU", sizeof("GNU")) == 0 && header.n_descsz > 0)
			return to_hex(name + name_size, header.n_descsz, hex, hex_size);
		content_size = ((size_t)header.n_descsz + mask) & ~mask;
		if (content_size >= size - name_size)
			return -ENOENT;
		notes = name + name_size + content_size;
		size -= name_size + content_size;
	}
	return -ENOENT;
}

int elf_build_id(Elf *elf, char *hex, size_t size)
{
	struct elf_image image;
	int result = -ENOENT;
	const void *notes;
	size_t i;

	if (size == 0)
		return -E2BIG;
	hex[0] = '\0';
	if (elf_image__read(elf, &image))
		return -ENOENT;
	/* Sections first: a debug file keeps them, while its segments point to nothing. */
	for (i = 1; i < image.section_count && result == -ENOENT; i++) {
		const Elf64_Shdr *section = &image.sections[i];

		if (section->sh_type != SHT_NOTE)
			continue;
		notes = elf_image__section_bytes(&image, section, MAX_NOTES_BYTES);
		if (notes)
			result = find_in_notes(notes, section->sh_size, section->sh_addralign, hex,
					       size);
	}
	for (i = 0; i < image.segment_count && result == -ENOENT; i++) {
		const Elf64_Phdr *segment = &image.segments[i];

		if (segment->p_type != PT_NOTE || segment->p_filesz > MAX_NOTES_BYTES)
			continue;
		notes = elf_image__bytes(&image, segment->p_offset, segment->p_filesz);
		if (notes)
			result = find_in_notes(notes, segment->p_filesz, segment->p_align, hex,
					       size);
	}
	elf_image__free(&image);
	return result;
}
