/* SPDX-License-Identifier: Apache-2.0 */
/* See elf_image.h. */
#include "elf_image.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* libelf allocates and touches some hundred bytes for each section that a header claims, so a
 * sparse file could make it fill the memory. An executable has a few dozen. */
#define MAX_SECTIONS (64U << 10)
#define MAX_NAMES    (16U << 20)

#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
#define HOST_ELFDATA ELFDATA2LSB
#else
#define HOST_ELFDATA ELFDATA2MSB
#endif

static bool is_ours(const Elf64_Ehdr *header)
{
	return memcmp(header->e_ident, ELFMAG, SELFMAG) == 0 &&
	       header->e_ident[EI_CLASS] == ELFCLASS64 &&
	       header->e_ident[EI_DATA] == HOST_ELFDATA &&
	       header->e_ident[EI_VERSION] == EV_CURRENT && header->e_version == EV_CURRENT;
}

/* With 65280 sections and more, e_shnum is 0 and the number stands in section 0. */
static bool counts_are_sane(const Elf64_Ehdr *header, const Elf64_Shdr *first)
{
	if (header->e_shoff == 0 || header->e_shnum != 0)
		return true;
	return first && first->sh_size <= MAX_SECTIONS;
}

static int check_handle(Elf *handle, Elf **elf)
{
	if (!handle)
		return -ENOEXEC;
	if (elf_kind(handle) != ELF_K_ELF) {
		elf_end(handle);
		return -ENOEXEC;
	}
	*elf = handle;
	return 0;
}

int elf_image__open_fd(int fd, Elf **elf)
{
	Elf64_Ehdr header;
	Elf64_Shdr first;
	bool has_first;

	*elf = NULL;
	if (pread(fd, &header, sizeof(header), 0) != (ssize_t)sizeof(header) || !is_ours(&header))
		return -ENOEXEC;
	has_first =
		header.e_shoff && header.e_shoff <= INT64_MAX &&
		pread(fd, &first, sizeof(first), (off_t)header.e_shoff) == (ssize_t)sizeof(first);
	if (!counts_are_sane(&header, has_first ? &first : NULL))
		return -ENOEXEC;
	elf_version(EV_CURRENT);
	return check_handle(elf_begin(fd, ELF_C_READ, NULL), elf);
}

int elf_image__open_memory(void *image, size_t size, Elf **elf)
{
	Elf64_Ehdr header;
	Elf64_Shdr first;
	bool has_first;

	*elf = NULL;
	if (size < sizeof(header))
		return -ENOEXEC;
	memcpy(&header, image, sizeof(header));
	if (!is_ours(&header))
		return -ENOEXEC;
	has_first =
		size >= sizeof(first) && header.e_shoff && header.e_shoff <= size - sizeof(first);
	if (has_first)
		memcpy(&first, (const char *)image + header.e_shoff, sizeof(first));
	if (!counts_are_sane(&header, has_first ? &first : NULL))
		return -ENOEXEC;
	elf_version(EV_CURRENT);
	return check_handle(elf_memory(image, size), elf);
}

static const void *raw_bytes(Elf *elf, uint64_t offset, uint64_t size)
{
	Elf_Data *data;

	if (size == 0 || size > SIZE_MAX || offset > INT64_MAX || size > INT64_MAX - offset)
		return NULL;
	data = elf_getdata_rawchunk(elf, (int64_t)offset, (size_t)size, ELF_T_BYTE);
	return data && data->d_size == size ? data->d_buf : NULL;
}

/* A private, aligned copy of a table of the file; NULL when it is out of bounds (then it is no
 * table) or, with *err set, when out of memory. */
static void *copy_table(Elf *elf, uint64_t offset, uint64_t size, int *err)
{
	const void *bytes = raw_bytes(elf, offset, size);
	void *copy;

	if (!bytes)
		return NULL;
	copy = malloc(size);
	if (!copy) {
		*err = -ENOMEM;
		return NULL;
	}
	return memcpy(copy, bytes, size);
}

int elf_image__read(Elf *elf, struct elf_image *image)
{
	size_t section_count = 0, names_index = 0;
	const void *bytes;
	Elf64_Ehdr header;
	int err = 0;

	memset(image, 0, sizeof(*image));
	bytes = raw_bytes(elf, 0, sizeof(header));
	if (!bytes)
		return -ENOEXEC;
	memcpy(&header, bytes, sizeof(header));
	if (!is_ours(&header))
		return -ENOEXEC;
	image->elf = elf;
	image->type = header.e_type;
	image->machine = header.e_machine;

	/* PN_XNUM is left out: no loader takes 65535 segments. */
	if (header.e_phoff && header.e_phentsize == sizeof(Elf64_Phdr) && header.e_phnum) {
		image->segments =
			copy_table(elf, header.e_phoff, header.e_phnum * sizeof(Elf64_Phdr), &err);
		if (err)
			goto out;
		image->segment_count = image->segments ? header.e_phnum : 0;
	}
	if (!header.e_shoff || header.e_shentsize != sizeof(Elf64_Shdr))
		return 0;
	section_count = header.e_shnum;
	names_index = header.e_shstrndx;
	if (section_count == 0 || names_index == SHN_XINDEX) {
		Elf64_Shdr first;

		bytes = raw_bytes(elf, header.e_shoff, sizeof(first));
		if (!bytes)
			return 0;
		memcpy(&first, bytes, sizeof(first));
		if (section_count == 0)
			section_count = first.sh_size;
		if (names_index == SHN_XINDEX)
			names_index = first.sh_link;
	}
	if (section_count > MAX_SECTIONS)
		return 0;
	image->sections = copy_table(elf, header.e_shoff, section_count * sizeof(Elf64_Shdr), &err);
	if (err)
		goto out;
	image->section_count = image->sections ? section_count : 0;
	if (names_index < image->section_count) {
		const Elf64_Shdr *section = &image->sections[names_index];

		image->names = elf_image__section_bytes(image, section, MAX_NAMES);
		image->names_size = image->names ? section->sh_size : 0;
	}
	return 0;
out:
	elf_image__free(image);
	return err;
}

void elf_image__free(struct elf_image *image)
{
	if (!image)
		return;
	free(image->segments);
	free(image->sections);
	memset(image, 0, sizeof(*image));
}

const void *elf_image__bytes(const struct elf_image *image, uint64_t offset, uint64_t size)
{
	return raw_bytes(image->elf, offset, size);
}

const void *elf_image__section_bytes(const struct elf_image *image, const Elf64_Shdr *section,
				     uint64_t limit)
{
	if (section->sh_type == SHT_NOBITS || section->sh_type == SHT_NULL ||
	    (section->sh_flags & SHF_COMPRESSED) || section->sh_size > limit)
		return NULL;
	return raw_bytes(image->elf, section->sh_offset, section->sh_size);
}

const Elf64_Shdr *elf_image__section(const struct elf_image *image, const char *name)
{
	size_t length = strlen(name) + 1;
	size_t i;

	for (i = 1; i < image->section_count; i++) {
		uint32_t offset = image->sections[i].sh_name;

		if (offset < image->names_size && image->names_size - offset >= length &&
		    memcmp(image->names + offset, name, length) == 0)
			return &image->sections[i];
	}
	return NULL;
}

const Elf64_Shdr *elf_image__section_of_type(const struct elf_image *image, uint32_t type)
{
	size_t i;

	for (i = 1; i < image->section_count; i++) {
		if (image->sections[i].sh_type == type)
			return &image->sections[i];
	}
	return NULL;
}
