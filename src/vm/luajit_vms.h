/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The LuaJIT VMs of a process that need not be running: found in its memory. LuaJIT allocates the
 * main lua_State and the global_State as one object (struct GG_State, lj_state.c and
 * lj_dispatch.h), so a thread object whose glref points right behind itself, to something that has
 * that thread as its main thread and an allocator's address in executable memory, is a VM and
 * nothing else is.
 */
#ifndef LUASPY_LUAJIT_VMS_H
#define LUASPY_LUAJIT_VMS_H

#include <stdint.h>
#include <sys/types.h>

#include "../bpf/contract.h"
#include "../target/maps.h"
#include "vm_search.h"

/* The main lua_State stands right before the global_State, as one object with it (lj_dispatch.h,
 * GG_State). Its size with padding: 0x60 to 0x70 in GC64, 0x38 to 0x50 in GC32, in the builds that
 * were looked at; what is found is verified, so the range may be generous. */
#define LUAJIT_G_FROM_L_MIN 0x30u
#define LUAJIT_G_FROM_L_MAX 0xc0u

/* Finds all VMs of a process with these mappings, of a LuaJIT of that build, as vm_search__run. */
int luajit_vms__find(pid_t pid, const struct maps *maps, const struct luajit_build *build,
		     uint64_t deadline_ns, struct found_vms *vms);

/* Whether they compile. */
enum luajit_jit luajit_vms__jit(const struct found_vms *self);

#endif
