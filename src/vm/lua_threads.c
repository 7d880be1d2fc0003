/* SPDX-License-Identifier: Apache-2.0 */
#include "lua_threads.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "../bpf/luajit_layout.h"
#include "../target/memory.h"
#include "../target/memory_cache.h"
#include "luajit_vms.h"

#define MAX_COROUTINES_LISTED 1000000u
#define MAX_ADDRESS	      (1ull << 47)
/* Where new objects are put in front of the list all the time it is often cut short at once. */
#define TRIES	      32u
#define CLOCK_OBJECTS 4096u /* between two looks at the clock */

#define STATUS_YIELD 1u

/* Where things are in a VM: offsets in bytes. */
struct layout {
	uint16_t g_list;  /* the first object */
	uint16_t g_white; /* the collector's present white */
	uint8_t ref_size;
	uint8_t type, marked; /* of an object; the next one is its first reference */
	uint8_t thread_type, first_type, last_type;
	uint8_t white_bits; /* of `marked` */
	uint8_t L_g, L_status, L_base, L_top, L_stack;
	uint8_t L_cframe; /* LuaJIT */
	uint8_t L_size;	  /* what is read of it */
};

struct reader {
	const struct lua_vm_place *vm;
	struct layout layout;
	struct memory_cache *cache;
	uint64_t main; /* the main thread */
	uint64_t last; /* where the list ends: there, or at 0 */
	uint64_t deadline_ns;
};

/* ---- layouts -----------------------------------------------------------------------------------
 */

/* global_State begins with the allocator (since 2020), or with the string hash in front of it. Its
 * data and GCState follow: total, threshold, currentwhite, state and two bytes, sweepstr, root. */
#define G_ALLOCATOR	0x00
#define G_OLD_ALLOCATOR 0x10

static bool is_code(const struct lua_vm_place *vm, uint64_t address)
{
	const struct map_entry *entry = maps__find(vm->maps, address);

	return entry && entry->executable;
}

static int luajit_layout(const struct lua_vm_place *vm, struct layout *layout)
{
	static const uint16_t places[] = {G_ALLOCATOR, G_OLD_ALLOCATOR};
	bool gc64 = vm->build->gc64;
	uint64_t allocator = 0;
	size_t i;
	int err;

	*layout = (struct layout){
		.ref_size = gc64 ? 8 : 4,
		.type = gc64 ? GC64_GCT : GC32_GCT,
		.marked = gc64 ? GC64_GCT - 1 : GC32_GCT - 1,
		.thread_type = GCT_THREAD,
		.first_type = GCT_STRING,
		.last_type = 12, /* userdata */
		.white_bits = 0x03,
		.L_g = gc64 ? GC64_L_GLREF : GC32_L_GLREF,
		.L_status = gc64 ? GC64_L_STATUS : GC32_L_STATUS,
		.L_base = gc64 ? GC64_L_BASE : GC32_L_BASE,
		.L_top = (gc64 ? GC64_L_BASE : GC32_L_BASE) + 8,
		.L_stack = gc64 ? GC64_L_STACK : GC32_L_STACK,
		.L_cframe = gc64 ? GC64_L_CFRAME : GC32_L_CFRAME,
		.L_size = L_SIZE,
	};
	for (i = 0; i < sizeof(places) / sizeof(places[0]); i++) {
		err = memory__read(vm->pid, vm->g + places[i], &allocator, sizeof(allocator));
		if (err)
			return err;
		if (!is_code(vm, allocator))
			continue;
		layout->g_white = places[i] + (gc64 ? 0x20 : 0x18);
		layout->g_list = places[i] + (gc64 ? 0x28 : 0x20);
		return 0;
	}
	return -EINVAL;
}

static int puc_layout(const struct puc_build *build, struct layout *layout)
{
	uint32_t release = build->release;

	*layout = (struct layout){
		.ref_size = 8,
		.type = 8,
		.marked = 9,
		.thread_type = 8,
		.first_type = 4,
		.last_type = 10,
		.white_bits = release < 50400 ? 0x03 : 0x18,
		.L_g = build->L_g,
		.L_status = 10,
		.L_base = build->L_ci,
		.L_top = 16,
		.L_stack = build->L_stack,
		.L_size = 96,
	};
	switch (release / 100) {
	case 501:
		layout->g_white = 0x20;
		layout->g_list = 0x28;
		return 0;
	case 502:
		layout->g_white = release == 50200 ? 0x48 : 0x54;
		layout->g_list = release == 50200 ? 0x50 : 0x60;
		return 0;
	case 503:
		layout->g_white = 0x54;
		layout->g_list = 0x58;
		/* 5.3.3 put the number of CallInfos in front of it. */
		layout->L_status = release < 50303 ? 10 : 12;
		return 0;
	case 504:
		layout->g_white = 0x64;
		layout->g_list = 0x70;
		return 0;
	case 505:
		layout->g_white = 0x6a;
		layout->g_list = 0x70;
		layout->L_status = 11;
		return 0;
	}
	return -ENOENT;
}

static int find_layout(const struct lua_vm_place *vm, struct layout *layout)
{
	return vm->build ? luajit_layout(vm, layout) : puc_layout(vm->puc, layout);
}

/* ---- one lua_State -----------------------------------------------------------------------------
 */

static uint64_t word_at(const uint8_t *bytes, size_t offset)
{
	uint64_t word;

	memcpy(&word, bytes + offset, sizeof(word));
	return word;
}

static uint64_t ref_at(const struct layout *layout, const uint8_t *bytes, size_t offset)
{
	uint64_t word = word_at(bytes, offset);

	return layout->ref_size == 8 ? word : (uint32_t)word;
}

/* lib_base.c, coroutine.status; lbaselib.c and lcorolib.c, auxstatus. */
static enum lua_thread_status status_of(const struct lua_vm_place *vm, uint64_t L,
					const struct lua_thread_state *state)
{
	uint64_t outermost = L + (vm->puc ? vm->puc->L_base_ci : 0);
	uint64_t bottom = 0, first_slot;

	if (state->status == STATUS_YIELD)
		return LUA_THREAD_SUSPENDED;
	if (state->status)
		return LUA_THREAD_FAILED;
	if (vm->build) {
		first_slot = state->stack + (vm->build->gc64 ? 16 : 8);
		if (state->base > first_slot || state->cframe)
			return LUA_THREAD_ACTIVE;
		return state->top <= state->base ? LUA_THREAD_FINISHED : LUA_THREAD_INITIAL;
	}
	if (vm->puc->boundary == PUC_FRESH_CALLER) {
		if (memory__read(vm->pid, outermost, &outermost, sizeof(outermost)) != 0)
			return LUA_THREAD_FINISHED;
	}
	if (state->base != outermost)
		return LUA_THREAD_ACTIVE;
	/* The slot of the function that nobody has called, with nothing behind it. */
	bottom = state->stack + 16;
	return state->top <= bottom ? LUA_THREAD_FINISHED : LUA_THREAD_INITIAL;
}

static int decode_thread(const struct lua_vm_place *vm, const struct layout *layout, uint64_t L,
			 const uint8_t *bytes, struct lua_thread *thread)
{
	if (ref_at(layout, bytes, layout->L_g) != vm->g ||
	    bytes[layout->type] != layout->thread_type)
		return -EINVAL;
	thread->L = L;
	thread->state = (struct lua_thread_state){
		.base = word_at(bytes, layout->L_base),
		.top = word_at(bytes, layout->L_top),
		.stack = ref_at(layout, bytes, layout->L_stack),
		.cframe = layout->L_cframe ? word_at(bytes, layout->L_cframe) : 0,
		.status = bytes[layout->L_status],
	};
	thread->status = status_of(vm, L, &thread->state);
	return 0;
}

int lua_thread__read(const struct lua_vm_place *vm, uint64_t L, struct lua_thread *thread)
{
	struct layout layout;
	uint8_t bytes[128];
	int err = find_layout(vm, &layout);

	if (!err)
		err = memory__read(vm->pid, L, bytes, layout.L_size);
	return err ? err : decode_thread(vm, &layout, L, bytes, thread);
}

bool lua_thread__unchanged(const struct lua_thread *before, const struct lua_thread *after)
{
	return before->L == after->L &&
	       memcmp(&before->state, &after->state, sizeof(before->state)) == 0;
}

/* ---- the list ----------------------------------------------------------------------------------
 */

static uint64_t now_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

static int add_thread(const struct reader *self, uint64_t L, struct lua_threads *threads)
{
	struct lua_thread thread = {}, *grown;
	uint8_t bytes[128];
	int err;

	err = memory_cache__read(self->cache, L, bytes, self->layout.L_size);
	if (err)
		return err;
	err = decode_thread(self->vm, &self->layout, L, bytes, &thread);
	if (err)
		return err;
	if (threads->count == MAX_COROUTINES_LISTED)
		return -E2BIG;
	if ((threads->count & (threads->count - 1)) == 0) {
		grown = reallocarray(threads->threads, threads->count ? 2 * threads->count : 1,
				     sizeof(*grown));
		if (!grown)
			return -ENOMEM;
		threads->threads = grown;
	}
	threads->threads[threads->count++] = thread;
	return 0;
}

/* Follows the list. 0 at its end, -EAGAIN where it leads nowhere, -ETIME, -ENOMEM. */
static int follow(struct reader *self, struct lua_threads *threads)
{
	const struct layout *layout = &self->layout;
	uint8_t bytes[16];
	uint64_t object;
	int err;

	err = memory_cache__read(self->cache, self->vm->g + layout->g_list, bytes, sizeof(bytes));
	if (err)
		return err;
	object = ref_at(layout, bytes, 0);
	while (object && object != self->last) {
		if (++threads->objects % CLOCK_OBJECTS == 0 && now_ns() > self->deadline_ns)
			return -ETIME;
		if (object % 4 || object >= MAX_ADDRESS ||
		    memory_cache__read(self->cache, object, bytes, sizeof(bytes)) != 0)
			return -EAGAIN;
		if ((bytes[layout->type] & 0x0f) < layout->first_type ||
		    (bytes[layout->type] & 0x0f) > layout->last_type)
			return -EAGAIN;
		if (bytes[layout->type] == layout->thread_type && object != self->main) {
			err = add_thread(self, object, threads);
			if (err == -EINVAL || err == -EFAULT)
				return -EAGAIN;
			if (err)
				return err;
		}
		object = ref_at(layout, bytes, 0);
	}
	return object == self->last ? 0 : -EAGAIN;
}

/*
 * Is the collector about to free it? It is if it has the white that is not the present one, which
 * changes with each cycle: that is looked at before and after, as no cycle is that short.
 */
static bool is_garbage(const struct reader *self, uint64_t L)
{
	const struct layout *layout = &self->layout;
	uint64_t white_at = self->vm->g + layout->g_white;
	uint8_t before, after, marked;

	return memory__read(self->vm->pid, white_at, &before, 1) == 0 &&
	       memory__read(self->vm->pid, L + layout->marked, &marked, 1) == 0 &&
	       memory__read(self->vm->pid, white_at, &after, 1) == 0 && before == after &&
	       (marked & ~before & layout->white_bits);
}

struct place {
	uint64_t L;
	size_t index; /* in the list */
};

static int compare_places(const void *a, const void *b)
{
	const struct place *left = a, *right = b;

	if (left->L != right->L)
		return left->L < right->L ? -1 : 1;
	return left->index < right->index ? -1 : left->index > right->index;
}

/* An object that was freed and made anew while it was looked at leads to the list's head again:
 * then what follows is found twice. Leaves the first one of each, and no garbage. */
static int drop_others(const struct reader *self, struct lua_threads *threads)
{
	struct place *sorted;
	size_t i, count = 0;

	sorted = calloc(threads->count + 1, sizeof(*sorted));
	if (!sorted)
		return -ENOMEM;
	for (i = 0; i < threads->count; i++)
		sorted[i] = (struct place){threads->threads[i].L, i};
	qsort(sorted, threads->count, sizeof(*sorted), compare_places);
	for (i = 1; i < threads->count; i++) {
		if (sorted[i].L == sorted[i - 1].L)
			threads->threads[sorted[i].index].is_repeated = true;
	}
	free(sorted);
	for (i = 0; i < threads->count; i++) {
		if (threads->threads[i].is_repeated ||
		    (now_ns() < self->deadline_ns && is_garbage(self, threads->threads[i].L)))
			continue;
		threads->threads[count++] = threads->threads[i];
	}
	threads->count = count;
	return 0;
}

/* Where objects are in the list that the main thread was made before, it is the last one: in
 * LuaJIT's, and 5.1's, where userdata come behind it. Later ones end with 0. */
static int find_main(struct reader *self)
{
	const struct lua_vm_place *vm = self->vm;
	const struct layout *layout = &self->layout;
	uint8_t bytes[128];
	uint64_t at;
	int err;

	if (vm->puc) {
		self->main = vm->g + vm->puc->g_mainthread;
		err = vm->puc->mainthread_inside
			      ? 0
			      : memory__read(vm->pid, self->main, &self->main, sizeof(self->main));
		self->last = vm->puc->release < 50200 ? self->main : 0;
		return err;
	}
	/* It stands right before the global_State. */
	for (at = LUAJIT_G_FROM_L_MIN; at <= LUAJIT_G_FROM_L_MAX; at += 8) {
		if (memory__read(vm->pid, vm->g - at, bytes, layout->L_size) == 0 &&
		    bytes[layout->type] == layout->thread_type &&
		    ref_at(layout, bytes, layout->L_g) == vm->g) {
			self->main = self->last = vm->g - at;
			return 0;
		}
	}
	return -EINVAL;
}

static void keep_better(struct lua_threads *best, struct lua_threads *other)
{
	if (other->is_complete || other->count >= best->count) {
		free(best->threads);
		*best = *other;
	} else {
		free(other->threads);
	}
}

int lua_threads__list(const struct lua_vm_place *vm, uint64_t deadline_ns,
		      struct lua_threads *threads)
{
	struct reader self = {.vm = vm, .deadline_ns = deadline_ns};
	struct lua_threads found;
	unsigned int tries;
	int err;

	*threads = (struct lua_threads){};
	err = find_layout(vm, &self.layout);
	if (!err)
		err = find_main(&self);
	if (err)
		return err;
	self.cache = memory_cache__new(vm->pid);
	if (!self.cache)
		return -ENOMEM;
	for (tries = 0; tries < TRIES; tries++) {
		found = (struct lua_threads){};
		memory_cache__forget(self.cache);
		err = follow(&self, &found);
		found.is_complete = err == 0;
		found.out_of_time = err == -ETIME || err == -E2BIG;
		keep_better(threads, &found);
		if (err != -EAGAIN)
			break;
	}
	memory_cache__free(self.cache);
	if (drop_others(&self, threads) != 0)
		return -ENOMEM;
	return err == -EAGAIN || err == -ETIME || err == -E2BIG ? 0 : err;
}

void lua_threads__free(struct lua_threads *self)
{
	free(self->threads);
	*self = (struct lua_threads){};
}
