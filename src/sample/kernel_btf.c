/* SPDX-License-Identifier: Apache-2.0 */
#include "kernel_btf.h"

#include <bpf/btf.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/bpf.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "../target/elf_image.h"
#include "btf_excerpt.h"

#define KERNEL_BTF_PATH	 "/sys/kernel/btf/vmlinux"
#define MAX_KERNEL_BYTES (256L << 20) /* kernels have 4 to 10 MB */
#define MAX_OBJECT_BYTES (16u << 20)
#define MAX_ROOTS	 32u

#ifndef MFD_NOEXEC_SEAL /* include/uapi/linux/memfd.h, since Linux 6.3 */
#define MFD_NOEXEC_SEAL 8u
#endif

/* The head of .BTF.ext: Documentation/bpf/btf.rst, "The .BTF.ext section". Offsets are from its
 * end. */
struct extension_header {
	uint16_t magic;
	uint8_t version, flags;
	uint32_t header_size;
	uint32_t functions_offset, functions_size;
	uint32_t lines_offset, lines_size;
	uint32_t relocations_offset, relocations_size;
};

/* Of a program section's relocations. */
struct extension_section {
	uint32_t name_offset, count;
};

/* The structs that accesses begin at. */
struct roots {
	char names[MAX_ROOTS][64];
	const char *list[MAX_ROOTS];
	size_t count;
};

/* Adds what the relocation begins at. */
static int add_root(struct roots *roots, const struct btf *types,
		    const struct bpf_core_relo *relocation)
{
	const struct btf_type *type = btf__type_by_id(types, relocation->type_id);
	const char *name = type ? btf__name_by_offset(types, type->name_off) : NULL;
	const char *flavour;
	size_t length, i;

	/* Types and enumerators are not looked for, and pointers' types are not there. */
	if (relocation->kind > BPF_CORE_FIELD_RSHIFT_U64 || !name || !btf_is_composite(type))
		return -ENOTSUP;
	flavour = strstr(name, "___");
	length = flavour ? (size_t)(flavour - name) : strlen(name);
	if (!length || length >= sizeof(roots->names[0]))
		return -ENOTSUP;
	for (i = 0; i < roots->count; i++)
		if (!strncmp(roots->names[i], name, length) && !roots->names[i][length])
			return 0;
	if (i == MAX_ROOTS)
		return -E2BIG;
	memcpy(roots->names[i], name, length);
	roots->names[i][length] = 0;
	roots->list[i] = roots->names[i];
	roots->count++;
	return 0;
}

/* Of all relocations in .BTF.ext, whose part for them has `size` bytes. */
static int add_roots(struct roots *roots, const struct btf *types, const char *bytes, size_t size)
{
	struct bpf_core_relo relocation;
	struct extension_section section;
	uint32_t record_size;
	int err = 0;

	if (size < sizeof(record_size))
		return -EINVAL;
	memcpy(&record_size, bytes, sizeof(record_size));
	if (record_size < sizeof(relocation))
		return -EINVAL;
	bytes += sizeof(record_size);
	size -= sizeof(record_size);
	while (!err && size) {
		if (size < sizeof(section))
			return -EINVAL;
		memcpy(&section, bytes, sizeof(section));
		bytes += sizeof(section);
		size -= sizeof(section);
		for (; !err && section.count; section.count--) {
			if (size < record_size)
				return -EINVAL;
			memcpy(&relocation, bytes, sizeof(relocation));
			bytes += record_size;
			size -= record_size;
			err = add_root(roots, types, &relocation);
		}
	}
	return err;
}

/* 0 or a negative errno; there is at least one root. */
static int find_roots(const void *object, size_t size, struct roots *roots)
{
	const Elf64_Shdr *section, *extension_section;
	const char *bytes, *extension;
	struct extension_header header;
	struct elf_image image = {0};
	struct btf *types = NULL;
	Elf *elf = NULL;
	int err;

	roots->count = 0;
	/* libelf only reads them. */
	err = elf_image__open_memory((void *)object, size, &elf);
	if (!err)
		err = elf_image__read(elf, &image);
	if (err)
		goto out;
	err = -EINVAL;
	section = elf_image__section(&image, ".BTF");
	extension_section = elf_image__section(&image, ".BTF.ext");
	if (!section || !extension_section)
		goto out;
	bytes = elf_image__section_bytes(&image, section, MAX_OBJECT_BYTES);
	extension = elf_image__section_bytes(&image, extension_section, MAX_OBJECT_BYTES);
	if (!bytes || !extension || extension_section->sh_size < sizeof(header))
		goto out;
	memcpy(&header, extension, sizeof(header));
	if (header.magic != BTF_MAGIC || header.header_size < sizeof(header) ||
	    (uint64_t)header.header_size + header.relocations_offset + header.relocations_size >
		    extension_section->sh_size)
		goto out;
	types = btf__new(bytes, (uint32_t)section->sh_size);
	if (!types) {
		err = -errno;
		goto out;
	}
	err = add_roots(roots, types, extension + header.header_size + header.relocations_offset,
			header.relocations_size);
	if (!err && !roots->count)
		err = -ENOENT;
out:
	btf__free(types);
	elf_image__free(&image);
	elf_end(elf);
	return err;
}

/* The kernel's BTF, for the caller to munmap: MAP_FAILED and errno if it cannot be had. */
static void *map_kernel_types(size_t *size)
{
	int fd = open(KERNEL_BTF_PATH, O_RDONLY | O_CLOEXEC);
	void *bytes = MAP_FAILED;
	size_t done = 0;
	struct stat status;
	ssize_t got;

	if (fd < 0)
		return MAP_FAILED;
	if (fstat(fd, &status) != 0)
		goto out;
	if (status.st_size <= 0 || status.st_size > MAX_KERNEL_BYTES) {
		errno = EFBIG;
		goto out;
	}
	*size = (size_t)status.st_size;
	/* Since Linux 6.16 these are the kernel's own pages: no copy, no fault, and not in our RSS.
	 */
	bytes = mmap(NULL, *size, PROT_READ, MAP_PRIVATE, fd, 0);
	if (bytes != MAP_FAILED)
		goto out;
	/* A page for each read. Not malloc's: it would keep that much when it is given back. */
	bytes = mmap(NULL, *size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	while (bytes != MAP_FAILED && done < *size) {
		got = read(fd, (char *)bytes + done, *size - done);
		if (got > 0) {
			done += (size_t)got;
			continue;
		}
		got = got ? errno : EIO;
		munmap(bytes, *size);
		bytes = MAP_FAILED;
		errno = (int)got;
	}
out:
	close(fd);
	return bytes;
}

/* A file in memory with these bytes. */
static int open_file(const void *bytes, size_t size, struct kernel_btf *self)
{
	size_t done = 0;
	ssize_t wrote;

	/* Where a file must say that it is not to be executed, and where that is not known. */
	self->fd = memfd_create("kernel-btf", MFD_CLOEXEC | MFD_NOEXEC_SEAL);
	if (self->fd < 0 && errno == EINVAL)
		self->fd = memfd_create("kernel-btf", MFD_CLOEXEC);
	if (self->fd < 0)
		return -errno;
	for (; done < size; done += (size_t)wrote) {
		wrote = write(self->fd, (const char *)bytes + done, size - done);
		if (wrote <= 0)
			return wrote ? -errno : -EIO;
	}
	snprintf(self->path, sizeof(self->path), "/proc/self/fd/%d", self->fd);
	return 0;
}

int kernel_btf__open(const void *object, size_t size, struct kernel_btf *self)
{
	struct roots *roots = malloc(sizeof(*roots));
	void *kernel = MAP_FAILED, *excerpt = NULL;
	size_t kernel_size = 0, excerpt_size;
	struct btf *readable;
	int err;

	self->fd = -1;
	if (!roots)
		return -ENOMEM;
	err = object ? find_roots(object, size, roots) : -EINVAL;
	if (err)
		goto out;
	kernel = map_kernel_types(&kernel_size);
	if (kernel == MAP_FAILED) {
		err = -errno;
		goto out;
	}
	err = btf_excerpt__make(kernel, kernel_size, roots->list, roots->count, &excerpt,
				&excerpt_size);
	if (!err)
		err = open_file(excerpt, excerpt_size, self);
	if (err)
		goto out;
	/* As libbpf will: if it could not, loading would fail, where its own way may succeed. */
	readable = btf__parse(self->path, NULL);
	err = readable ? 0 : -errno;
	btf__free(readable);
out:
	if (err)
		kernel_btf__close(self);
	free(excerpt);
	if (kernel != MAP_FAILED)
		munmap(kernel, kernel_size);
	free(roots);
	return err;
}

void kernel_btf__close(struct kernel_btf *self)
{
	if (self->fd >= 0)
		close(self->fd);
	self->fd = -1;
}
