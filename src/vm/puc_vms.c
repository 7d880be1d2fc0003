/* SPDX-License-Identifier: Apache-2.0 */
#include "puc_vms.h"

#include <string.h>

#include "puc_heap.h"

#define THREAD_TYPE    8 /* where an object's type is; and LUA_TTHREAD */
#define MAX_HEAP_BYTES (1ll << 46)

/* sizeof(lua_State), with its padding: 0xb8 to 0xd0 in the releases; what is found is verified, so
 * the range may have room for what somebody added. */
#define G_FROM_L_MIN 0x80u
#define G_FROM_L_MAX 0x140u

struct search {
	struct vm_search all; /* first: `look` gets it */
	const struct puc_build *build;
};

static void try_vm(struct search *self, uint64_t L, uint64_t g)
{
	struct found_vm vm = {.g = g};
	struct lua_heap heap;
	uint64_t main, allocator;
	int64_t bytes;

	/* A heap's bounds are for one walk over it; the search has its own. */
	if (puc_heap__init(&heap, self->build, vm_search__read, &self->all) != 0 ||
	    lua_heap__main_thread(&heap, g, &main) != 0 || main != L ||
	    puc_heap__allocation(&heap, g, &allocator, &bytes) != 0 ||
	    !vm_search__is_code(&self->all, allocator) || bytes <= 0 || bytes >= MAX_HEAP_BYTES ||
	    vm_search__has(&self->all, g))
		return;
	vm.heap_bytes = (uint64_t)bytes;
	vm_search__add(&self->all, &vm);
}

static void look(struct vm_search *all, uint64_t address, const uint8_t *block, size_t size)
{
	struct search *self = (struct search *)all;
	const struct puc_build *build = self->build;
	uint64_t g, L;
	size_t i;

	for (i = 0; i < size; i += sizeof(g)) {
		memcpy(&g, block + i, sizeof(g));
		L = address + i - build->L_g;
		if (build->mainthread_inside ? L - g != build->g_mainthread
					     : g - L - G_FROM_L_MIN > G_FROM_L_MAX - G_FROM_L_MIN)
			continue;
		/* The heads of malloc's empty lists point near themselves, too. */
		if (L < address || block[L - address + THREAD_TYPE] == THREAD_TYPE)
			try_vm(self, L, g);
	}
}

int puc_vms__find(pid_t pid, const struct maps *maps, const struct puc_build *build,
		  uint64_t deadline_ns, struct found_vms *vms)
{
	struct search search = {
		.all =
			{
				.pid = pid,
				.maps = maps,
				.look = look,
				.deadline_ns = deadline_ns,
				.vms = vms,
			},
		.build = build,
	};

	return vm_search__run(&search.all);
}
