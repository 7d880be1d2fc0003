/* SPDX-License-Identifier: Apache-2.0 */
/* See elf_file.h. */
#include "elf_file.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "capabilities.h"
#include "elf_image.h"
#include "root_file.h"

#define MAX_FILE_BYTES	    (2ULL << 30)
#define MAX_VDSO_BYTES	    (1ULL << 20)
#define OVERLAY_SUPER_MAGIC 0x794c7630 /* include/uapi/linux/magic.h */

/* ---- making the object ------------------------------------------------------------------- */

static int read_loads(struct elf_file *self)
{
	struct elf_image image;
	size_t i;
	int err;

	err = elf_image__read(self->elf, &image);
	if (err)
		return err;
	err = -ENOEXEC;
	if ((image.type != ET_EXEC && image.type != ET_DYN) || image.segment_count == 0)
		goto out;
	self->machine = image.machine;
	self->loads = calloc(image.segment_count, sizeof(*self->loads));
	if (!self->loads) {
		err = -ENOMEM;
		goto out;
	}
	for (i = 0; i < image.segment_count; i++) {
		const Elf64_Phdr *segment = &image.segments[i];
		struct elf_load *load = &self->loads[self->load_count];

		if (segment->p_type != PT_LOAD)
			continue;
		/* What the loader would not map cannot be what is mapped. */
		if (segment->p_filesz > segment->p_memsz ||
		    segment->p_offset + segment->p_filesz < segment->p_offset ||
		    segment->p_vaddr + segment->p_memsz < segment->p_vaddr)
			goto out;
		load->vaddr = segment->p_vaddr;
		load->memory_size = segment->p_memsz;
		load->offset = segment->p_offset;
		load->file_size = segment->p_filesz;
		load->executable = (segment->p_flags & PF_X) != 0;
		self->load_count++;
	}
	if (self->load_count)
		err = 0;
out:
	elf_image__free(&image);
	return err;
}

/* Takes ownership of `fd` and `memory` (one of them), also when it fails. */
static int make(int fd, void *memory, uint64_t size, struct elf_file **file)
{
	struct elf_file *self = calloc(1, sizeof(*self));
	int err;

	if (!self) {
		if (fd >= 0)
			close(fd);
		free(memory);
		return -ENOMEM;
	}
	self->fd = fd;
	self->memory = memory;
	self->from_memory = memory != NULL;
	self->size_bytes = size;
	if (memory)
		err = elf_image__open_memory(memory, size, &self->elf);
	else
		err = elf_image__open_fd(fd, &self->elf);
	if (!err)
		err = read_loads(self);
	if (err) {
		elf_file__free(self);
		return err;
	}
	*file = self;
	return 0;
}

int elf_file__forget_bytes(struct elf_file *self)
{
	if (self->from_memory)
		return 0;
	elf_end(self->elf);
	self->elf = NULL;
	return elf_image__open_fd(self->fd, &self->elf);
}

void elf_file__free(struct elf_file *self)
{
	if (!self)
		return;
	elf_end(self->elf);
	if (self->fd >= 0)
		close(self->fd);
	free(self->memory);
	free(self->loads);
	free(self);
}

/* ---- files -------------------------------------------------------------------------------- */

/*
 * Before kernel 6.8, maps shows the inode of the layer below where a file lies on overlayfs, and
 * fstat that of the overlay: they may differ for one and the same file. There the path has to do.
 */
static bool same_overlay_path(int fd, const char *link, const struct map_entry *entry)
{
	char target[PATH_MAX];
	struct statfs fs;
	ssize_t length;

	if (fstatfs(fd, &fs) || (uint32_t)fs.f_type != OVERLAY_SUPER_MAGIC)
		return false;
	length = readlink(link, target, sizeof(target) - 1);
	if (length < 0)
		return false;
	target[length] = '\0';
	return !entry->deleted && strcmp(target, entry->path) == 0;
}

/* Another file may have been mapped at these very addresses since maps was read: hence the
 * comparison of inodes. */
static int open_map_files(pid_t pid, const struct map_entry *entry, struct stat *status)
{
	char link[96];
	int fd;

	snprintf(link, sizeof(link), "/proc/%d/map_files/%llx-%llx", (int)pid,
		 (unsigned long long)entry->start, (unsigned long long)entry->end);
	fd = root_file__open_own(link, status);
	if (fd < 0)
		return fd;
	if (status->st_ino != entry->inode && !same_overlay_path(fd, link, entry)) {
		close(fd);
		return -ESTALE;
	}
	return fd;
}

static int open_below_root(pid_t pid, const struct map_entry *entry, struct stat *status)
{
	char root[64];
	int root_fd, fd;

	snprintf(root, sizeof(root), "/proc/%d/root", (int)pid);
	root_fd = open(root, O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (root_fd < 0)
		return errno == ENOENT ? -ESRCH : -errno;
	fd = root_file__open(root_fd, entry->path, status);
	close(root_fd);
	if (fd < 0)
		return fd == -ENOENT && entry->deleted ? -ESTALE : fd;
	/* Only the inode: btrfs gives a subvolume another device in stat than in maps. */
	if (status->st_ino != entry->inode) {
		close(fd);
		return -ESTALE;
	}
	return fd;
}

/* maps shows paths relative to the root of its reader, us: right for a target that only
 * called chroot. Here the device has to be the same too, since this may be another file system. */
static int open_below_own_root(const struct map_entry *entry, struct stat *status)
{
	int fd = root_file__open_own(entry->path, status);

	if (fd < 0)
		return fd;
	if (status->st_ino != entry->inode || status->st_dev != entry->device) {
		close(fd);
		return -ESTALE;
	}
	return fd;
}

/* The program itself, which a link leads to that asks for less than map_files: also a deleted one,
 * and one in a folder that is closed to us. */
static int open_program(pid_t pid, const struct map_entry *entry, struct stat *status)
{
	char link[64];
	int fd;

	snprintf(link, sizeof(link), "/proc/%d/exe", (int)pid);
	fd = root_file__open_own(link, status);
	if (fd < 0)
		return fd;
	if (status->st_ino != entry->inode) {
		close(fd);
		return -ESTALE;
	}
	return fd;
}

static int open_any_way(pid_t pid, const struct map_entry *entry, struct stat *status)
{
	int fd = open_map_files(pid, entry, status), err;

	if (fd >= 0 || fd == -EINVAL || fd == -ESTALE)
		return fd;
	err = open_below_root(pid, entry, status);
	if (err >= 0)
		return err;
	if (err == -ENOENT || err == -ESTALE) {
		fd = open_below_own_root(entry, status);
		if (fd >= 0)
			return fd;
	}
	fd = open_program(pid, entry, status);
	return fd >= 0 ? fd : err;
}

/* With more rights than the user has: the file must be the very one that the kernel shows. */
static int open_privileged(pid_t pid, const struct map_entry *entry, struct stat *status)
{
	int fd = open_any_way(pid, entry, status);

	if (fd >= 0 && (status->st_ino != entry->inode || status->st_dev != entry->device)) {
		close(fd);
		return -EACCES;
	}
	return fd;
}

int elf_file__open_mapping(pid_t pid, const struct map_entry *entry, struct elf_file **file)
{
	struct stat status;
	int fd;

	*file = NULL;
	if (!map_entry__is_file(entry))
		return -EINVAL;
	fd = open_any_way(pid, entry, &status);
	if (fd == -EACCES && capabilities__raise(CAP_DAC_READ_SEARCH)) {
		fd = open_privileged(pid, entry, &status);
		capabilities__lower(CAP_DAC_READ_SEARCH);
	}
	if (fd < 0)
		return fd;
	if ((uint64_t)status.st_size > MAX_FILE_BYTES) {
		close(fd);
		return -EFBIG;
	}
	return make(fd, NULL, (uint64_t)status.st_size, file);
}

/* ---- the vdso ----------------------------------------------------------------------------- */

static int read_memory(pid_t pid, uint64_t address, void *buffer, size_t size)
{
	struct iovec local = {.iov_base = buffer, .iov_len = size};
	struct iovec remote = {.iov_base = (void *)(uintptr_t)address, .iov_len = size};
	char path[64];
	ssize_t got;
	int fd, err = 0;

	if (process_vm_readv(pid, &local, 1, &remote, 1, 0) == (ssize_t)size)
		return 0;
	snprintf(path, sizeof(path), "/proc/%d/mem", (int)pid);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return errno == ENOENT ? -ESRCH : -errno;
	got = pread(fd, buffer, size, (off_t)address);
	if (got != (ssize_t)size)
		err = got < 0 ? -errno : -EFAULT;
	close(fd);
	return err;
}

int elf_file__open_vdso(pid_t pid, const struct map_entry *entry, struct elf_file **file)
{
	uint64_t size = entry->end - entry->start;
	void *memory;
	int err;

	*file = NULL;
	if (strcmp(entry->path, "[vdso]") != 0 || size > MAX_VDSO_BYTES)
		return -EINVAL;
	memory = malloc(size);
	if (!memory)
		return -ENOMEM;
	err = read_memory(pid, entry->start, memory, size);
	if (err) {
		free(memory);
		return err;
	}
	return make(-1, memory, size, file);
}

/* ---- addresses ---------------------------------------------------------------------------- */

/*
 * How well a segment fits: 0 not at all. A page of the file on a border is mapped with both
 * neighbouring segments, so the permission decides first, then the exact range.
 */
static int fit(const struct elf_load *load, const struct map_entry *entry, uint64_t page)
{
	uint64_t start = load->offset & ~(page - 1);
	uint64_t end = load->offset + load->file_size;
	uint64_t padded_end = (end + page - 1) & ~(page - 1);

	if (load->file_size == 0 || entry->offset < start ||
	    (entry->offset >= padded_end && padded_end >= end))
		return 0;
	return 1 + 2 * (load->executable == entry->executable) + (entry->offset < end);
}

int elf_file__bias(const struct elf_file *self, const struct map_entry *entry, uint64_t *bias)
{
	uint64_t page = (uint64_t)sysconf(_SC_PAGESIZE);
	const struct elf_load *best = NULL;
	int best_fit = 0;
	size_t i;

	for (i = 0; i < self->load_count; i++) {
		int this_fit = fit(&self->loads[i], entry, page);

		if (this_fit > best_fit) {
			best_fit = this_fit;
			best = &self->loads[i];
		}
	}
	if (!best)
		return -ENOENT;
	*bias = entry->start - entry->offset + best->offset - best->vaddr;
	return 0;
}
