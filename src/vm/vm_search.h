/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A search for Lua VMs through a process's memory, for luajit_vms.h and puc_vms.h, which know what
 * a VM looks like.
 *
 * All private writable memory is looked at, except pages that are not present: reading those
 * would change the target.
 */
#ifndef LUASPY_VM_SEARCH_H
#define LUASPY_VM_SEARCH_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "../target/maps.h"

#define MAX_FOUND_VMS 256

enum luajit_jit {
	LUAJIT_JIT_UNKNOWN, /* PUC Lua has none */
	LUAJIT_JIT_OFF,
	LUAJIT_JIT_ON,
	LUAJIT_JIT_MIXED, /* of several VMs */
};

struct found_vm {
	uint64_t g;	     /* its global_State */
	uint64_t heap_bytes; /* allocated on its heap; collectgarbage("count") * 1024 */
	enum luajit_jit jit;
};

struct found_vms {
	uint32_t count;
	struct found_vm vms[MAX_FOUND_VMS];
};

/* All VMs' heaps together. */
uint64_t found_vms__heap_bytes(const struct found_vms *self);

struct vm_search {
	pid_t pid;
	const struct maps *maps;
	bool low; /* VMs are in the lowest 4 GB only */
	/* Looks at `size` bytes of the target, which were at `address`. */
	void (*look)(struct vm_search *self, uint64_t address, const uint8_t *block, size_t size);
	uint64_t deadline_ns; /* of CLOCK_PROCESS_CPUTIME_ID */
	struct found_vms *vms;
	bool swapped, full;
};

/*
 * Calls `look` for all of the memory, the fields above `vms` being set. Returns 0 when all of it
 * was looked at; -ETIME when `deadline_ns` came first, -E2BIG for more than MAX_FOUND_VMS, -ENODATA
 * when some memory is swapped out: then there may be others than the ones in *vms. -EPERM, -ESRCH,
 * -ENOMEM.
 */
int vm_search__run(struct vm_search *self);

/* How much memory a search has to look at, at most. */
uint64_t vm_search__bytes(const struct maps *maps, bool low);

/* For `look`. Whether a VM is among those found, whether code is at an address, how to read, how to
 * add a VM that is not among them yet. */
bool vm_search__has(const struct vm_search *self, uint64_t g);
bool vm_search__is_code(const struct vm_search *self, uint64_t address);
int vm_search__read(void *self, uint64_t address, void *bytes, size_t size);
void vm_search__add(struct vm_search *self, const struct found_vm *vm);

#endif
