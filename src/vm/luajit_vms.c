/* SPDX-License-Identifier: Apache-2.0 */
#include "luajit_vms.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "../bpf/luajit_layout.h"
#include "../target/capabilities.h"
#include "../target/memory.h"
#include "luajit_heap.h"

#define PAGE		 4096u
#define BLOCK_PAGES	 256u
#define MAX_MAPPING_SIZE (1ull << 40)
#define PAGE_PRESENT	 (1ull << 63) /* Documentation/admin-guide/mm/pagemap.rst */
#define PAGE_SWAPPED	 (1ull << 62)
#define MAX_G_HEAD	 0x400u
#define MAX_HEAP_BYTES	 (1ull << 46)

/* global_State begins with the allocator (since 2020), or with the string hash (pointer and two
 * 32-bit numbers) in front of it. Then come the allocator's data and GCState.total. */
#define G_ALLOCATOR	0x00
#define G_OLD_ALLOCATOR 0x10
#define ALLOCATOR_TOTAL 0x10

/* In the dispatch table, an instruction that counts loops stands in front of the one that does not,
 * and is equal to it while the JIT compiler is off (lj_dispatch_update). The code of the first
 * falls through into the second. */
#define BC_FORL	       79
#define BC_IFORL       80
#define BC_LOOP	       85
#define BC_ILOOP       86
#define BC_FIRST_PLAIN 0 /* ISLT; like all others it goes to a hook while one is active */
#define MAX_COUNTING   128

struct search {
	pid_t pid;
	const struct maps *maps;
	const struct luajit_build *build;
	struct luajit_heap heap;
	struct luajit_vms *vms;
	uint64_t deadline_ns;
	bool swapped, full;
};

static uint64_t now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
	return (uint64_t)t.tv_sec * 1000000000ull + (uint64_t)t.tv_nsec;
}

static int read_target(void *context, uint64_t address, void *bytes, size_t size)
{
	return memory__read(*(const pid_t *)context, address, bytes, size);
}

/* ---- one VM ---------------------------------------------------------------------------------- */

static bool is_executable(const struct search *self, uint64_t address)
{
	const struct map_entry *entry = maps__find(self->maps, address);

	return entry && entry->executable;
}

static bool read_heap_bytes(const struct search *self, uint64_t g, uint64_t *total)
{
	static const uint32_t places[] = {G_ALLOCATOR, G_OLD_ALLOCATOR};
	uint64_t allocator;
	size_t i;

	for (i = 0; i < sizeof(places) / sizeof(places[0]); i++) {
		*total = 0;
		if (memory__read(self->pid, g + places[i], &allocator, sizeof(allocator)) != 0 ||
		    !is_executable(self, allocator))
			continue;
		return memory__read(self->pid, g + places[i] + ALLOCATOR_TOTAL, total,
				    self->build->gc64 ? 8 : 4) == 0 &&
		       *total > 0 && *total < MAX_HEAP_BYTES;
	}
	return false;
}

static enum luajit_jit read_jit(const struct search *self, uint64_t g)
{
	uint64_t dispatch[BC_ILOOP + 1], loop, forl;
	size_t i;

	if (memory__read(self->pid, g + (uint64_t)(int64_t)self->build->dispatch_from_g, dispatch,
			 sizeof(dispatch)) != 0)
		return LUAJIT_JIT_UNKNOWN;
	for (i = 0; i <= BC_ILOOP; i++) {
		if (!is_executable(self, dispatch[i]))
			return LUAJIT_JIT_UNKNOWN;
	}
	if (dispatch[BC_ILOOP] == dispatch[BC_FIRST_PLAIN])
		return LUAJIT_JIT_UNKNOWN; /* all go to a hook, or to the recorder */
	forl = dispatch[BC_IFORL] - dispatch[BC_FORL];
	loop = dispatch[BC_ILOOP] - dispatch[BC_LOOP];
	if (forl == 0 && loop == 0)
		return LUAJIT_JIT_OFF;
	return forl - 1 < MAX_COUNTING && loop - 1 < MAX_COUNTING ? LUAJIT_JIT_ON
								  : LUAJIT_JIT_UNKNOWN;
}

/* Its main thread is among the first references in a global_State; where, differs between builds.
 */
static bool refers_to(const struct search *self, uint64_t g, uint64_t L)
{
	size_t size = self->build->gc64 ? 8 : 4, end = self->build->cur_L & ~7u, i;
	uint8_t bytes[MAX_G_HEAD];
	uint64_t ref = 0;

	if (end > sizeof(bytes) || memory__read(self->pid, g, bytes, end) != 0)
		return false;
	for (i = 0; i < end; i += size) {
		memcpy(&ref, bytes + i, size);
		if (ref == L)
			return true;
	}
	return false;
}

static void try_vm(struct search *self, uint64_t L, uint64_t g)
{
	struct luajit_vm vm = {.g = g};
	uint64_t env, of;
	uint32_t i;

	if (luajit_heap__thread(&self->heap, L, &env, &of) != 0 || of != g ||
	    !refers_to(self, g, L) || !read_heap_bytes(self, g, &vm.heap_bytes))
		return;
	for (i = 0; i < self->vms->count; i++) {
		if (self->vms->vms[i].g == g)
			return;
	}
	if (self->vms->count == LUAJIT_MAX_VMS) {
		self->full = true;
		return;
	}
	vm.jit = read_jit(self, g);
	self->vms->vms[self->vms->count++] = vm;
}

/* ---- all memory ------------------------------------------------------------------------------ */

/* A glref points a little behind itself. So do the heads of malloc's empty lists: a look at the
 * type byte, where it lies in the block, spares a system call for each of those. */
static void try_word(struct search *self, uint64_t address, const uint8_t *block, uint64_t L,
		     uint64_t g)
{
	uint32_t gct = self->build->gc64 ? GC64_GCT : GC32_GCT;

	if (g - L - LUAJIT_G_FROM_L_MIN > LUAJIT_G_FROM_L_MAX - LUAJIT_G_FROM_L_MIN ||
	    (L >= address && block[L - address + gct] != GCT_THREAD))
		return;
	try_vm(self, L, g);
}

static void scan_words(struct search *self, uint64_t address, const uint8_t *block, size_t size)
{
	uint64_t word64;
	uint32_t word32;
	size_t i;

	if (self->build->gc64) {
		for (i = 0; i < size; i += sizeof(word64)) {
			memcpy(&word64, block + i, sizeof(word64));
			try_word(self, address, block, address + i - GC64_L_GLREF, word64);
		}
	} else {
		for (i = 0; i < size; i += sizeof(word32)) {
			memcpy(&word32, block + i, sizeof(word32));
			try_word(self, address, block, address + i - GC32_L_GLREF, word32);
		}
	}
}

/* Memory may be unmapped meanwhile: that is no error. */
static int scan_run(struct search *self, uint64_t address, size_t pages, void *block)
{
	int err = memory__read(self->pid, address, block, pages * PAGE);

	if (err)
		return err == -EFAULT ? 0 : err;
	scan_words(self, address, block, pages * PAGE);
	return 0;
}

/* A block of at most BLOCK_PAGES pages, of which only present ones are read. */
static int scan_block(struct search *self, int pagemap, uint64_t address, size_t pages, void *block)
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

static bool may_hold_vms(const struct luajit_build *build, const struct map_entry *entry)
{
	if (!entry->readable || !entry->writable || entry->inode)
		return false;
	if (!build->gc64 && entry->start >> 32)
		return false;
	/* A sanitizer's shadow: terabytes of which nearly nothing is there, and never a VM. */
	if (entry->end - entry->start > MAX_MAPPING_SIZE)
		return false;
	return strcmp(entry->path, "[stack]") != 0;
}

static int scan_all(struct search *self, int pagemap, void *block)
{
	uint64_t address, left;
	size_t i;
	int err;

	for (i = 0; i < self->maps->count; i++) {
		const struct map_entry *entry = &self->maps->entries[i];

		if (!may_hold_vms(self->build, entry))
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

int luajit_vms__find(pid_t pid, const struct maps *maps, const struct luajit_build *build,
		     uint64_t deadline_ns, struct luajit_vms *vms)
{
	struct search search = {
		.pid = pid, .maps = maps, .build = build, .vms = vms, .deadline_ns = deadline_ns};
	void *block = malloc((size_t)BLOCK_PAGES * PAGE);
	char path[64];
	int fd, err;

	memset(vms, 0, sizeof(*vms));
	if (!block)
		return -ENOMEM;
	luajit_heap__init(&search.heap, build, read_target, &search.pid);
	snprintf(path, sizeof(path), "/proc/%d/pagemap", (int)pid);
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
		err = scan_all(&search, fd, block);
		close(fd);
	}
	free(block);
	return err;
}

uint64_t luajit_vms__search_bytes(const struct maps *maps, const struct luajit_build *build)
{
	uint64_t bytes = 0;
	size_t i;

	for (i = 0; i < maps->count; i++) {
		if (may_hold_vms(build, &maps->entries[i]))
			bytes += maps->entries[i].end - maps->entries[i].start;
	}
	return bytes;
}

uint64_t luajit_vms__heap_bytes(const struct luajit_vms *self)
{
	uint64_t total = 0;
	uint32_t i;

	for (i = 0; i < self->count; i++)
		total += self->vms[i].heap_bytes;
	return total;
}

enum luajit_jit luajit_vms__jit(const struct luajit_vms *self)
{
	enum luajit_jit jit = self->count ? self->vms[0].jit : LUAJIT_JIT_UNKNOWN;
	uint32_t i;

	for (i = 1; i < self->count; i++) {
		if (self->vms[i].jit == LUAJIT_JIT_UNKNOWN || jit == LUAJIT_JIT_UNKNOWN)
			return LUAJIT_JIT_UNKNOWN;
		if (self->vms[i].jit != jit)
			jit = LUAJIT_JIT_MIXED;
	}
	return jit;
}
