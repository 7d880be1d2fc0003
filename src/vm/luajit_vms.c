/* SPDX-License-Identifier: Apache-2.0 */
#include "luajit_vms.h"

#include <stddef.h>
#include <string.h>

#include "../bpf/luajit_layout.h"
#include "../target/memory.h"
#include "luajit_heap.h"

#define MAX_G_HEAD     0x400u
#define MAX_HEAP_BYTES (1ull << 46)

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
	struct vm_search all; /* first: `look` gets it */
	const struct luajit_build *build;
};

/* ---- one VM ---------------------------------------------------------------------------------- */

static bool read_heap_bytes(const struct search *self, uint64_t g, uint64_t *total)
{
	static const uint32_t places[] = {G_ALLOCATOR, G_OLD_ALLOCATOR};
	uint64_t allocator;
	size_t i;

	for (i = 0; i < sizeof(places) / sizeof(places[0]); i++) {
		*total = 0;
		if (memory__read(self->all.pid, g + places[i], &allocator, sizeof(allocator)) !=
			    0 ||
		    !vm_search__is_code(&self->all, allocator))
			continue;
		return memory__read(self->all.pid, g + places[i] + ALLOCATOR_TOTAL, total,
				    self->build->gc64 ? 8 : 4) == 0 &&
		       *total > 0 && *total < MAX_HEAP_BYTES;
	}
	return false;
}

static enum luajit_jit read_jit(const struct search *self, uint64_t g)
{
	uint64_t dispatch[BC_ILOOP + 1], loop, forl;
	size_t i;

	if (memory__read(self->all.pid, g + (uint64_t)(int64_t)self->build->dispatch_from_g,
			 dispatch, sizeof(dispatch)) != 0)
		return LUAJIT_JIT_UNKNOWN;
	for (i = 0; i <= BC_ILOOP; i++) {
		if (!vm_search__is_code(&self->all, dispatch[i]))
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

	if (end > sizeof(bytes) || memory__read(self->all.pid, g, bytes, end) != 0)
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
	struct found_vm vm = {.g = g};
	struct lua_heap heap;
	uint64_t env, of;

	/* A heap's bounds are for one walk over it; the search has its own. */
	luajit_heap__init(&heap, self->build, vm_search__read, &self->all);
	if (lua_heap__thread(&heap, L, &env, &of) != 0 || of != g || !refers_to(self, g, L) ||
	    !read_heap_bytes(self, g, &vm.heap_bytes) || vm_search__has(&self->all, g))
		return;
	vm.jit = read_jit(self, g);
	vm_search__add(&self->all, &vm);
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

static void look(struct vm_search *all, uint64_t address, const uint8_t *block, size_t size)
{
	struct search *self = (struct search *)all;
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

int luajit_vms__find(pid_t pid, const struct maps *maps, const struct luajit_build *build,
		     uint64_t deadline_ns, struct found_vms *vms)
{
	struct search search = {
		.all =
			{
				.pid = pid,
				.maps = maps,
				.low = !build->gc64,
				.look = look,
				.deadline_ns = deadline_ns,
				.vms = vms,
			},
		.build = build,
	};

	return vm_search__run(&search.all);
}

enum luajit_jit luajit_vms__jit(const struct found_vms *self)
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
