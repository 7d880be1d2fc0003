// SPDX-License-Identifier: Apache-2.0
/*
 * The coroutines of a VM, from the collector's list in this program's own memory: which are listed,
 * their status, and what is said of a list that leads nowhere, goes in a circle, or takes too long.
 */
#include <errno.h>
#include <sys/mman.h>
#include <unistd.h>

#include "../test.h"

#include "target/maps.h"
#include "vm/lua_threads.h"
#include "vm/puc.h"

#define SIZE 65536u

static uint8_t *memory;
static struct maps maps;

static uint64_t at(size_t offset)
{
	return (uint64_t)(uintptr_t)(memory + offset);
}

static void put(size_t offset, uint64_t value, size_t size)
{
	memcpy(memory + offset, &value, size);
}

/* ---- LuaJIT, GC64 ------------------------------------------------------------------------------
 */

enum {
	MAIN = 0x1000,
	G = MAIN + 0x60,
	FIRST = 0x2000, /* objects, 0x100 each; their stacks 0x1000 above */
};

static const struct luajit_build build = {.gc64 = 1};

static void make_object(size_t offset, size_t next, uint8_t type, uint8_t marked)
{
	put(offset, next ? at(next) : 0, 8);
	memory[offset + 8] = marked;
	memory[offset + 9] = type;
}

static void make_thread(size_t offset, uint8_t status, uint64_t base, uint64_t top, uint64_t cframe)
{
	size_t stack = offset + 0x4000;

	memory[offset + 0x0b] = status;
	put(offset + 0x10, at(G), 8);
	put(offset + 0x20, at(stack) + base, 8);
	put(offset + 0x28, at(stack) + top, 8);
	put(offset + 0x38, at(stack), 8);
	put(offset + 0x50, cframe, 8);
}

/* A table, five threads, one that the collector is about to free, a string; the main thread is the
 * last. */
static struct lua_vm_place make_luajit(void)
{
	size_t i;

	memset(memory, 0, SIZE);
	put(G, (uint64_t)(uintptr_t)&make_object, 8); /* the allocator */
	memory[G + 0x20] = 0x01;		      /* white */
	put(G + 0x28, at(FIRST), 8);
	for (i = 0; i < 8; i++)
		make_object(FIRST + 0x100 * i, i < 7 ? FIRST + 0x100 * (i + 1) : MAIN, 6, 0x01);
	memory[FIRST + 9] = 11;
	memory[FIRST + 0x700 + 9] = 4;
	memory[FIRST + 0x600 + 8] = 0x02;
	make_thread(FIRST + 0x100, 1, 0x40, 0x48, 0);	    /* has yielded */
	make_thread(FIRST + 0x200, 0, 0x10, 0x18, 0);	    /* has a function only */
	make_thread(FIRST + 0x300, 0, 0x40, 0x48, 0x12340); /* runs */
	make_thread(FIRST + 0x400, 0, 0x10, 0x10, 0);	    /* has nothing */
	make_thread(FIRST + 0x500, 2, 0x20, 0x28, 0);	    /* an error */
	make_thread(FIRST + 0x600, 1, 0x40, 0x48, 0);	    /* garbage */
	make_object(MAIN, 0, 6, 0x01);
	make_thread(MAIN, 0, 0x40, 0x48, 0x12380);
	return (struct lua_vm_place){.pid = getpid(), .g = at(G), .build = &build, .maps = &maps};
}

static void luajit(void)
{
	static const enum lua_thread_status expected[] = {LUA_THREAD_SUSPENDED, LUA_THREAD_INITIAL,
							  LUA_THREAD_ACTIVE, LUA_THREAD_FINISHED,
							  LUA_THREAD_FAILED};
	struct lua_vm_place vm = make_luajit();
	struct lua_threads threads;
	struct lua_thread again;
	size_t i;

	CHECK_EQ(lua_threads__list(&vm, UINT64_MAX, &threads), 0);
	CHECK(threads.is_complete);
	CHECK_EQ(threads.objects, 8);
	CHECK_EQ(threads.count, 5);
	for (i = 0; i < threads.count && i < 5; i++) {
		CHECK_EQ(threads.threads[i].L, at(FIRST + 0x100 * (i + 1)));
		CHECK_EQ(threads.threads[i].status, expected[i]);
	}
	/* One that goes on is another one. */
	if (threads.count) {
		CHECK_EQ(lua_thread__read(&vm, threads.threads[0].L, &again), 0);
		CHECK(lua_thread__unchanged(&threads.threads[0], &again));
		put(FIRST + 0x100 + 0x28, at(0x100), 8);
		CHECK_EQ(lua_thread__read(&vm, threads.threads[0].L, &again), 0);
		CHECK(!lua_thread__unchanged(&threads.threads[0], &again));
	}
	CHECK_EQ(lua_thread__read(&vm, at(FIRST), &again), -EINVAL);
	lua_threads__free(&threads);
}

static void broken(void)
{
	struct lua_vm_place vm = make_luajit();
	struct lua_threads threads;

	/* What was found before the break counts. */
	put(FIRST + 0x300, 0x10, 8);
	CHECK_EQ(lua_threads__list(&vm, UINT64_MAX, &threads), 0);
	CHECK(!threads.is_complete && !threads.out_of_time);
	CHECK_EQ(threads.count, 3);
	lua_threads__free(&threads);
	/* An object of no type; the end before the main thread. */
	vm = make_luajit();
	memory[FIRST + 0x200 + 9] = 2;
	CHECK_EQ(lua_threads__list(&vm, UINT64_MAX, &threads), 0);
	CHECK(!threads.is_complete);
	CHECK_EQ(threads.count, 1);
	lua_threads__free(&threads);
	vm = make_luajit();
	put(FIRST + 0x500, 0, 8);
	CHECK_EQ(lua_threads__list(&vm, UINT64_MAX, &threads), 0);
	CHECK(!threads.is_complete);
	CHECK_EQ(threads.count, 5);
	lua_threads__free(&threads);
	/* A circle of tables ends with the time. */
	vm = make_luajit();
	put(FIRST, at(FIRST), 8);
	CHECK_EQ(lua_threads__list(&vm, 1, &threads), 0);
	CHECK(!threads.is_complete && threads.out_of_time);
	lua_threads__free(&threads);
	/* No VM. */
	vm = make_luajit();
	put(G, 0, 8);
	CHECK_EQ(lua_threads__list(&vm, UINT64_MAX, &threads), -EINVAL);
	lua_threads__free(&threads);
	vm = make_luajit();
	put(MAIN + 0x10, 0, 8);
	CHECK_EQ(lua_threads__list(&vm, UINT64_MAX, &threads), -EINVAL);
	lua_threads__free(&threads);
}

/* ---- PUC Lua -----------------------------------------------------------------------------------
 */

static void make_puc_thread(const struct puc_build *puc, size_t offset, size_t status_at,
			    uint8_t status, bool called, uint64_t top)
{
	uint64_t base = at(offset) + puc->L_base_ci;

	if (puc->boundary == PUC_FRESH_CALLER) {
		base = at(offset + 0x400);
		put(offset + puc->L_base_ci, base, 8);
	}
	memory[offset + status_at] = status;
	put(offset + puc->L_g, at(G), 8);
	put(offset + puc->L_ci, called ? at(0x300) : base, 8);
	put(offset + puc->L_stack, at(offset + 0x4000), 8);
	put(offset + 16, at(offset + 0x4000) + top, 8);
}

static void check_puc(unsigned int release, size_t list, size_t white, size_t status_at)
{
	uint8_t is_white = release < 50400 ? 0x01 : 0x08;
	struct lua_threads threads;
	struct lua_vm_place vm;
	struct puc_build puc;
	size_t i;

	memset(memory, 0, SIZE);
	CHECK_EQ(puc_layout__get(release, &puc), 0);
	vm = (struct lua_vm_place){.pid = getpid(), .g = at(G), .puc = &puc, .maps = &maps};
	put(G + list, at(FIRST), 8);
	memory[G + white] = is_white;
	put(G + puc.g_mainthread, at(MAIN - 0x800), 8);
	for (i = 0; i < 5; i++) {
		put(FIRST + 0x800 * i,
		    i < 4	      ? at(FIRST + 0x800 * (i + 1))
		    : release < 50200 ? at(MAIN - 0x800)
				      : 0,
		    8);
		memory[FIRST + 0x800 * i + 8] = 8;
		memory[FIRST + 0x800 * i + 9] = is_white;
	}
	memory[FIRST + 8] = 5;
	make_puc_thread(&puc, FIRST + 0x800, status_at, 1, true, 0x40);
	make_puc_thread(&puc, FIRST + 0x1000, status_at, 0, false, 0x20);
	make_puc_thread(&puc, FIRST + 0x1800, status_at, 0, true, 0x40);
	make_puc_thread(&puc, FIRST + 0x2000, status_at, 0, false, 0x10);
	CHECK_EQ(lua_threads__list(&vm, UINT64_MAX, &threads), 0);
	CHECK(threads.is_complete);
	CHECK_EQ(threads.count, 4);
	if (threads.count == 4) {
		CHECK_EQ(threads.threads[0].status, LUA_THREAD_SUSPENDED);
		CHECK_EQ(threads.threads[1].status, LUA_THREAD_INITIAL);
		CHECK_EQ(threads.threads[2].status, LUA_THREAD_ACTIVE);
		CHECK_EQ(threads.threads[3].status, LUA_THREAD_FINISHED);
	}
	lua_threads__free(&threads);
}

static void puc(void)
{
	check_puc(50105, 0x28, 0x20, 10);
	check_puc(50204, 0x60, 0x54, 10);
	check_puc(50306, 0x58, 0x54, 12);
	check_puc(50404, 0x70, 0x64, 10);
}

int main(void)
{
	memory = mmap(NULL, SIZE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (memory == MAP_FAILED || maps__read(getpid(), &maps) != 0)
		return 1;
	RUN(luajit, "LuaJIT: all threads but garbage and the main one, each with its status");
	RUN(broken, "a list that leads nowhere, in a circle, or belongs to no VM");
	RUN(puc, "PUC Lua 5.1 to 5.4");
	maps__free(&maps);
	return TEST_RESULT();
}
