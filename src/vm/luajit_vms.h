/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The LuaJIT VMs of a process that need not be running: found in its memory. LuaJIT allocates the
 * main lua_State and the global_State as one object (struct GG_State, lj_state.c and
 * lj_dispatch.h), so a thread object whose glref points right behind itself, to something that has
 * that thread as its main thread and an allocator's address in executable memory, is a VM and
 * nothing else is.
 *
 * All private writable memory is looked at, except pages that are not present: reading those
 * would change the target.
 */
#ifndef LUASPY_LUAJIT_VMS_H
#define LUASPY_LUAJIT_VMS_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "../bpf/contract.h"
#include "../target/maps.h"

#define LUAJIT_MAX_VMS 256

/* The main lua_State stands right before the global_State, as one object with it (lj_dispatch.h,
 * GG_State). Its size with padding: 0x60 to 0x70 in GC64, 0x38 to 0x50 in GC32, in the builds that
 * were looked at; what is found is verified, so the range may be generous. */
#define LUAJIT_G_FROM_L_MIN 0x30u
#define LUAJIT_G_FROM_L_MAX 0xc0u

enum luajit_jit {
	LUAJIT_JIT_UNKNOWN,
	LUAJIT_JIT_OFF,
	LUAJIT_JIT_ON,
	LUAJIT_JIT_MIXED, /* of several VMs */
};

struct luajit_vm {
	uint64_t g;	     /* its global_State */
	uint64_t heap_bytes; /* allocated on its heap; collectgarbage("count") * 1024 */
	enum luajit_jit jit;
};

struct luajit_vms {
	uint32_t count;
	struct luajit_vm vms[LUAJIT_MAX_VMS];
};

/*
 * Finds all VMs of a process with these mappings, of a LuaJIT of that build. Returns 0 when all of
 * its memory was looked at; -ETIME when `deadline_ns` (of CLOCK_PROCESS_CPUTIME_ID) came first,
 * -E2BIG for more than LUAJIT_MAX_VMS, -ENODATA when some memory is swapped out: then there may be
 * others than the ones in *vms. -EPERM, -ESRCH, -ENOMEM.
 */
int luajit_vms__find(pid_t pid, const struct maps *maps, const struct luajit_build *build,
		     uint64_t deadline_ns, struct luajit_vms *vms);

/* How much memory that search has to look at, at most. */
uint64_t luajit_vms__search_bytes(const struct maps *maps, const struct luajit_build *build);

/* All VMs' heaps together, and whether they compile. */
uint64_t luajit_vms__heap_bytes(const struct luajit_vms *self);
enum luajit_jit luajit_vms__jit(const struct luajit_vms *self);

#endif
