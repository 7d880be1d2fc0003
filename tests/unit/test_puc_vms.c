// SPDX-License-Identifier: Apache-2.0
/*
 * VMs of PUC Lua in memory, found in our own process: objects of a VM's form and such that are
 * almost it, in the layouts of each family of releases.
 */
#include <errno.h>
#include <sys/mman.h>
#include <unistd.h>

#include "../test.h"

#include "test_puc_image.h"
#include "vm/puc_vms.h"

#define REGION (8u << 20)
#define MB     (1u << 20)

static const struct family *family;
static uint8_t *memory;

static void put64(uint8_t *at, uint64_t value)
{
	memcpy(at, &value, sizeof(value));
}

static uint64_t address_of(const uint8_t *at)
{
	return (uint64_t)(uintptr_t)at;
}

static struct puc_build build_of(void)
{
	return (struct puc_build){
		.release = family->release,
		.g_mainthread = family->g_main,
		.mainthread_inside = family->in_5_5,
		.L_g = family->L_g,
	};
}

static uint8_t *g_of(uint8_t *L)
{
	return family->in_5_5 ? L - family->g_main : L + 0xc8;
}

/* A VM whose main thread is at `L`, with a heap of `total` bytes. */
static void make_vm(uint8_t *L, uint64_t total)
{
	uint8_t *g = g_of(L);

	L[8] = 8;
	put64(L + family->L_g, address_of(g));
	if (!family->in_5_5)
		put64(g + family->g_main, address_of(L));
	if (family->release < 50200) {
		put64(g + 0x10, (uint64_t)(uintptr_t)&make_vm);
		put64(g + 0x78, total);
	} else {
		put64(g, (uint64_t)(uintptr_t)&make_vm);
		put64(g + 0x10, total + 5000);
		put64(g + 0x18, family->in_5_5 ? 5000 : (uint64_t)-5000);
	}
}

static int find(struct found_vms *vms)
{
	struct puc_build build = build_of();
	struct maps maps;
	int err;

	CHECK_EQ(maps__read(getpid(), &maps), 0);
	err = puc_vms__find(getpid(), &maps, &build, UINT64_MAX, vms);
	maps__free(&maps);
	return err;
}

static void check_count(uint32_t count)
{
	struct found_vms vms;

	CHECK_EQ(find(&vms), 0);
	CHECK_EQ(vms.count, count);
}

static void open_memory(void)
{
	memory = mmap(NULL, REGION, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (memory == MAP_FAILED)
		abort();
}

static void vms_are_found(void)
{
	struct found_vms vms;

	open_memory();
	make_vm(memory + 0x600 + 8, 70000);
	make_vm(memory + 3 * MB + 0x2468, 30000);
	/* Across the border of two blocks of a megabyte. */
	make_vm(memory + 5 * MB - 8, 5);
	CHECK_EQ(find(&vms), 0);
	CHECK_EQ(vms.count, 3);
	CHECK_EQ(found_vms__heap_bytes(&vms), 100005);
	CHECK_EQ(vms.vms[0].g, address_of(g_of(memory + 0x600 + 8)));
	CHECK_EQ(vms.vms[0].jit, LUAJIT_JIT_UNKNOWN);
	munmap(memory, REGION);
}

static void what_is_almost_one_is_none(void)
{
	uint8_t *L, *g, *allocator, *total;

	open_memory();
	L = memory + 0x1000;
	g = g_of(L);
	allocator = g + (family->release < 50200 ? 0x10 : 0);
	total = g + (family->release < 50200 ? 0x78 : 0x10);
	make_vm(L, 1000);
	check_count(1);
	L[8] = 6; /* another type of object */
	check_count(0);
	make_vm(L, 1000);
	if (family->in_5_5)
		put64(L + family->L_g, address_of(g) + 8); /* a thread in another place */
	else
		put64(g + family->g_main, address_of(L) + 8); /* another main thread */
	check_count(0);
	make_vm(L, 1000);
	put64(allocator, address_of(memory)); /* an allocator in memory that is not executable */
	check_count(0);
	make_vm(L, 1000);
	put64(total, 0); /* no heap, or an absurd one */
	if (family->release >= 50200)
		put64(total + 8, 0);
	check_count(0);
	put64(total, 1ull << 50);
	check_count(0);
	/* A coroutine is no VM. */
	make_vm(L, 1000);
	memory[5 * MB + 8] = 8;
	put64(memory + 5 * MB + family->L_g, address_of(g));
	check_count(1);
	munmap(memory, REGION);
}

static void the_search_is_bounded(void)
{
	struct puc_build build = build_of();
	struct found_vms vms;
	struct maps maps;
	uint32_t i;

	open_memory();
	memory[0] = 1;
	CHECK_EQ(maps__read(getpid(), &maps), 0);
	CHECK_EQ(puc_vms__find(getpid(), &maps, &build, 0, &vms), -ETIME);
	CHECK_EQ(vms.count, 0);
	CHECK_EQ(puc_vms__find(4194303, &maps, &build, UINT64_MAX, &vms), -ESRCH);
	for (i = 0; i < MAX_FOUND_VMS + 1; i++)
		make_vm(memory + 0x1000 + (size_t)i * 0x1000, 10);
	CHECK_EQ(puc_vms__find(getpid(), &maps, &build, UINT64_MAX, &vms), -E2BIG);
	CHECK_EQ(vms.count, MAX_FOUND_VMS);
	maps__free(&maps);
	munmap(memory, REGION);
}

int main(void)
{
	char name[128];
	size_t i;

	for (i = 0; i < FAMILIES; i++) {
		family = &families[i];
		RUN_FAMILY(vms_are_found, "VMs are found");
		RUN_FAMILY(what_is_almost_one_is_none, "what is almost a VM is none");
		RUN_FAMILY(the_search_is_bounded, "the search is bounded");
	}
	return TEST_RESULT();
}
