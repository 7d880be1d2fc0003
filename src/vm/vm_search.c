/* SPDX-License-Identifier: Apache-2.0 */
#include "vm_search.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "../target/capabilities.h"
#include "../target/memory.h"

#define PAGE		 4096u
#define BLOCK_PAGES	 256u
#define MAX_MAPPING_SIZE (1ull << 40)
#define PAGE_PRESENT	 (1ull << 63) /* Documentation/admin-guide/mm/pagemap.rst */
#define PAGE_SWAPPED	 (1ull << 62)

static uint64_t now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
	return (uint64_t)t.tv_sec * 1000000000ull + (uint64_t)t.tv_nsec;
}

uint64_t found_vms__heap_bytes(const struct found_vms *self)
{
	uint64_t total = 0;
	uint32_t i;

	for (i = 0; i < self->count; i++)
		total += self->vms[i].heap_bytes;
	return total;
}

/* ---- for those who look ---------------------------------------------------------------------- */

bool vm_search__has(const struct vm_search *self, uint64_t g)
{
	uint32_t i;

	for (i = 0; i < self->vms->count; i++) {
		if (self->vms->vms[i].g == g)
			return true;
	}
	return false;
}

bool vm_search__is_code(const struct vm_search *self, uint64_t address)
{
	const struct map_entry *entry = maps__find(self->maps, address);

	return entry && entry->executable;
}

int vm_search__read(void *self, uint64_t address, void *bytes, size_t size)
{
	return memory__read(((const struct vm_search *)self)->pid, address, bytes, size);
}

void vm_search__add(struct vm_search *self, const struct found_vm *vm)
{
	if (self->vms->count == MAX_FOUND_VMS)
		self->full = true;
	else
		self->vms->vms[self->vms->count++] = *vm;
}

/* ---- all memory ------------------------------------------------------------------------------ */

/* Memory may be unmapped meanwhile: that is no error. */
static int scan_run(struct vm_search *self, uint64_t address, size_t pages, void *block)
{
	int err = memory__read(self->pid, address, block, pages * PAGE);

	if (err)
		return err == -EFAULT ? 0 : err;
	self->look(self, address, block, pages * PAGE);
	return 0;
}

/* A block of at most BLOCK_PAGES pages, of which only present ones are read. */
static int scan_block(struct vm_search *self, int pagemap, uint64_t address, size_t pages,
		      void *block)
{
	uint64_t flags[BLOCK_PAGES];
	size_t i, first;
	ssize_t got;
	int err = 0;

	got = pread(pagemap, flags, pages * 8, (off_t)(address / PAGE * 8));
	if (got < 0)
		return -errno;
	pages = (size_t)got / 8;
	for (i = 0; i < pages && !err; i++) {
		self->swapped |= (flags[i] & PAGE_SWAPPED) != 0;
		if (!(flags[i] & PAGE_PRESENT) || flags[i] & PAGE_SWAPPED)
			continue;
		for (first = i; i + 1 < pages && flags[i + 1] & PAGE_PRESENT;)
			i++;
		err = scan_run(self, address + first * PAGE, i - first + 1, block);
	}
	return err;
}

static bool may_hold_vms(const struct map_entry *entry, bool low)
{
	if (!entry->readable || !entry->writable || entry->inode)
		return false;
	if (low && entry->start >> 32)
		return false;
	/* A sanitizer's shadow: terabytes of which nearly nothing is there, and never a VM. */
	if (entry->end - entry->start > MAX_MAPPING_SIZE)
		return false;
	return strcmp(entry->path, "[stack]") != 0;
}

static int scan_all(struct vm_search *self, int pagemap, void *block)
{
	uint64_t address, left;
	size_t i;
	int err;

	for (i = 0; i < self->maps->count; i++) {
		const struct map_entry *entry = &self->maps->entries[i];

		if (!may_hold_vms(entry, self->low))
			continue;
		for (address = entry->start; address < entry->end; address += BLOCK_PAGES * PAGE) {
			left = (entry->end - address) / PAGE;
			if (now_ns() > self->deadline_ns)
				return -ETIME;
			err = scan_block(self, pagemap, address,
					 left < BLOCK_PAGES ? left : BLOCK_PAGES, block);
			if (err)
				return err;
		}
	}
	if (self->full)
		return -E2BIG;
	return self->swapped ? -ENODATA : 0;
}

int vm_search__run(struct vm_search *self)
{
	void *block = malloc((size_t)BLOCK_PAGES * PAGE);
	char path[64];
	int fd, err;

	memset(self->vms, 0, sizeof(*self->vms));
	if (!block)
		return -ENOMEM;
	snprintf(path, sizeof(path), "/proc/%d/pagemap", (int)self->pid);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	/* Its mode is for its owner alone, whatever CAP_SYS_PTRACE allows. */
	if (fd < 0 && errno == EACCES && capabilities__raise(CAP_DAC_READ_SEARCH)) {
		fd = open(path, O_RDONLY | O_CLOEXEC);
		err = errno;
		capabilities__lower(CAP_DAC_READ_SEARCH);
		errno = err;
	}
	if (fd < 0) {
		err = errno == ENOENT ? -ESRCH : -errno;
	} else {
		err = scan_all(self, fd, block);
		close(fd);
	}
	free(block);
	return err;
}

uint64_t vm_search__bytes(const struct maps *maps, bool low)
{
	uint64_t bytes = 0;
	size_t i;

	for (i = 0; i < maps->count; i++) {
		if (may_hold_vms(&maps->entries[i], low))
			bytes += maps->entries[i].end - maps->entries[i].start;
	}
	return bytes;
}
