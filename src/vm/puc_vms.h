/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The VMs of PUC Lua of a process that need not be running: found in its memory. The main lua_State
 * and the global_State are one allocation (struct LG in lstate.c; since 5.5 the global_State holds
 * the main thread), so a thread object whose l_G points to a certain place near itself, to
 * something that has that thread as its main thread and an allocator's address in executable
 * memory, is a VM and nothing else is.
 */
#ifndef LUASPY_PUC_VMS_H
#define LUASPY_PUC_VMS_H

#include <stdint.h>
#include <sys/types.h>

#include "../bpf/contract.h"
#include "../target/maps.h"
#include "vm_search.h"

/* Finds all VMs of a process with these mappings, of the release whose layouts are in `build`, as
 * vm_search__run. */
int puc_vms__find(pid_t pid, const struct maps *maps, const struct puc_build *build,
		  uint64_t deadline_ns, struct found_vms *vms);

#endif
