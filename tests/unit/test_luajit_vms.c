/* SPDX-License-Identifier: Apache-2.0 */
/*
 * VMs in memory, found in our own process: objects of a VM's form and such that are almost it, GC64
 * and GC32, in pages that are present and pages that are not.
 */
#include <errno.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#include "../test.h"
#include "bpf/luajit_layout.h"
#include "target/memory.h"
#include "vm/luajit_vms.h"

#define REGION	 (8u << 20)
#define G_OFFSET 0x68u
#define DISPATCH 0x400

static const struct luajit_build gc64 = {.gc64 = 1, .cur_L = 0x178, .dispatch_from_g = DISPATCH};
static const struct luajit_build gc32 = {.gc64 = 0, .cur_L = 0x120, .dispatch_from_g = DISPATCH};

static void put64(uint8_t *at, uint64_t value)
{
	memcpy(at, &value, sizeof(value));
}

static void put32(uint8_t *at, uint64_t value)
{
	uint32_t word = (uint32_t)value;

	memcpy(at, &word, sizeof(word));
}

enum dispatch {
	JIT_IS_ON,
	JIT_IS_OFF,
	HOOKED,
	GARBAGE,
};

static uint64_t code(size_t at)
{
	return (uint64_t)(uintptr_t)&code + at;
}

static void make_dispatch(uint8_t *table, enum dispatch kind)
{
	size_t i;

	for (i = 0; i < 96; i++) {
		uint64_t target = code(i * 16);

		if (kind == JIT_IS_OFF && (i == 79 || i == 85))
			target = code((i + 1) * 16);
		if (kind == HOOKED)
			target = code(0);
		if (kind == GARBAGE)
			target = 0x1234;
		put64(table + i * 8, target);
	}
}

/* A VM at `L` with its heap of `total` bytes. */
static void make_vm(uint8_t *L, const struct luajit_build *build, bool old, uint64_t total,
		    enum dispatch kind)
{
	uint8_t *g = L + G_OFFSET;
	uint32_t allocator = old ? 0x10 : 0;

	if (build->gc64) {
		L[GC64_GCT] = GCT_THREAD;
		put64(L + GC64_L_GLREF, (uintptr_t)g);
		put64(L + 0x48, (uintptr_t)L + 0x1000); /* the environment */
		put64(g + 0xc0, (uintptr_t)L);
		put64(g + allocator + 0x10, total);
	} else {
		L[GC32_GCT] = GCT_THREAD;
		put32(L + GC32_L_GLREF, (uintptr_t)g);
		put32(L + 0x2c, (uintptr_t)L + 0x1000);
		put32(g + 0xc0, (uintptr_t)L);
		put32(g + allocator + 0x10, total);
	}
	put64(g + allocator, code(0));
	make_dispatch(g + DISPATCH, kind);
}

static uint8_t *region(bool low)
{
	void *memory = mmap(NULL, REGION, PROT_READ | PROT_WRITE,
			    MAP_PRIVATE | MAP_ANONYMOUS | (low ? MAP_32BIT : 0), -1, 0);

	return memory == MAP_FAILED ? NULL : memory;
}

static int find(const struct luajit_build *build, struct found_vms *vms)
{
	struct maps maps;
	int err;

	CHECK_EQ(maps__read(getpid(), &maps), 0);
	CHECK(vm_search__bytes(&maps, !build->gc64) > 0);
	err = luajit_vms__find(getpid(), &maps, build, UINT64_MAX, vms);
	maps__free(&maps);
	return err;
}

static void vms_are_found(const struct luajit_build *build, bool low)
{
	uint8_t *memory = region(low);
	struct found_vms vms;

	CHECK(memory != NULL);
	if (!memory)
		return;
	make_vm(memory + 8, build, false, 70000, JIT_IS_ON);
	make_vm(memory + (3u << 20) + 0x2468, build, true, 30000, JIT_IS_ON);
	/* Across the border of two blocks of a megabyte. */
	make_vm(memory + (5u << 20) - 8, build, true, 5, JIT_IS_ON);
	CHECK_EQ(find(build, &vms), 0);
	CHECK_EQ(vms.count, 3);
	CHECK_EQ(found_vms__heap_bytes(&vms), 100005);
	CHECK_EQ(luajit_vms__jit(&vms), LUAJIT_JIT_ON);
	munmap(memory, REGION);
}

static void gc64_vms_are_found(void)
{
	vms_are_found(&gc64, false);
}

static void gc32_vms_are_found(void)
{
#if defined(__SANITIZE_ADDRESS__)
	SKIP("cannot: the code of a sanitized program may be anywhere");
#endif
	vms_are_found(&gc32, true);
}

static enum luajit_jit jit_of(enum dispatch first, enum dispatch second)
{
	uint8_t *memory = region(false);
	struct found_vms vms;
	enum luajit_jit jit;

	make_vm(memory, &gc64, false, 1000, first);
	make_vm(memory + 0x4000, &gc64, false, 1000, second);
	CHECK_EQ(find(&gc64, &vms), 0);
	CHECK_EQ(vms.count, 2);
	jit = luajit_vms__jit(&vms);
	munmap(memory, REGION);
	return jit;
}

static void the_dispatch_table_tells_of_the_compiler(void)
{
	CHECK_EQ(jit_of(JIT_IS_ON, JIT_IS_ON), LUAJIT_JIT_ON);
	CHECK_EQ(jit_of(JIT_IS_OFF, JIT_IS_OFF), LUAJIT_JIT_OFF);
	CHECK_EQ(jit_of(JIT_IS_ON, JIT_IS_OFF), LUAJIT_JIT_MIXED);
	CHECK_EQ(jit_of(HOOKED, HOOKED), LUAJIT_JIT_UNKNOWN);
	CHECK_EQ(jit_of(JIT_IS_ON, GARBAGE), LUAJIT_JIT_UNKNOWN);
	CHECK_EQ(jit_of(GARBAGE, JIT_IS_OFF), LUAJIT_JIT_UNKNOWN);
}

static void what_is_almost_one_is_none(void)
{
	uint8_t *memory = region(false), *L = memory + 64;
	struct found_vms vms;

	make_vm(L, &gc64, false, 1000, JIT_IS_ON);
	CHECK_EQ(find(&gc64, &vms), 0);
	CHECK_EQ(vms.count, 1);
	/* another type of object */
	L[GC64_GCT] = GCT_FUNCTION;
	CHECK_EQ(find(&gc64, &vms), 0);
	CHECK_EQ(vms.count, 0);
	L[GC64_GCT] = GCT_THREAD;
	/* a global_State that does not know the thread */
	put64(L + G_OFFSET + 0xc0, (uintptr_t)L + 8);
	CHECK_EQ(find(&gc64, &vms), 0);
	CHECK_EQ(vms.count, 0);
	put64(L + G_OFFSET + 0xc0, (uintptr_t)L);
	/* an allocator in memory that is not executable */
	put64(L + G_OFFSET, (uintptr_t)memory);
	CHECK_EQ(find(&gc64, &vms), 0);
	CHECK_EQ(vms.count, 0);
	put64(L + G_OFFSET, code(0));
	/* a heap without a size, and with an absurd one */
	put64(L + G_OFFSET + 0x10, 0);
	CHECK_EQ(find(&gc64, &vms), 0);
	CHECK_EQ(vms.count, 0);
	put64(L + G_OFFSET + 0x10, 1ull << 50);
	CHECK_EQ(find(&gc64, &vms), 0);
	CHECK_EQ(vms.count, 0);
	munmap(memory, REGION);
}

static void untouched_memory_stays_untouched(void)
{
	uint8_t *memory = region(false);
	unsigned char present[REGION / 4096];
	struct found_vms vms;
	size_t i, count = 0;

	madvise(memory, REGION, MADV_NOHUGEPAGE);
	memory[5 << 20] = 1;
	CHECK_EQ(find(&gc64, &vms), 0);
	CHECK_EQ(mincore(memory, REGION, present), 0);
	for (i = 0; i < sizeof(present); i++)
		count += present[i] & 1;
	CHECK_EQ(count, 1);
	munmap(memory, REGION);
}

static void the_search_is_bounded(void)
{
	uint8_t *memory = region(false);
	struct found_vms vms;
	struct maps maps;
	size_t i;

	memory[0] = 1;
	CHECK_EQ(maps__read(getpid(), &maps), 0);
	CHECK_EQ(luajit_vms__find(getpid(), &maps, &gc64, 0, &vms), -ETIME);
	CHECK_EQ(vms.count, 0);
	CHECK_EQ(luajit_vms__jit(&vms), LUAJIT_JIT_UNKNOWN);
	CHECK_EQ(luajit_vms__find(4194303, &maps, &gc64, UINT64_MAX, &vms), -ESRCH);
	for (i = 0; i < MAX_FOUND_VMS + 1; i++)
		make_vm(memory + i * 0x1000, &gc64, false, 10, JIT_IS_ON);
	CHECK_EQ(luajit_vms__find(getpid(), &maps, &gc64, UINT64_MAX, &vms), -E2BIG);
	CHECK_EQ(vms.count, MAX_FOUND_VMS);
	maps__free(&maps);
	munmap(memory, REGION);
}

int main(void)
{
	RUN(gc64_vms_are_found, "GC64: VMs are found");
	RUN(gc32_vms_are_found, "GC32: VMs are found");
	RUN(the_dispatch_table_tells_of_the_compiler,
	    "the dispatch table tells whether the JIT is on");
	RUN(what_is_almost_one_is_none, "what is almost a VM is none");
	RUN(untouched_memory_stays_untouched, "memory that is not present stays so");
	RUN(the_search_is_bounded, "the search is bounded");
	return TEST_RESULT();
}
