/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The Lua VMs that samples were taken in, and the names of their built-in and C functions. Names
 * are read when a VM is first seen and once more at the end, for what was loaded in between.
 *
 * A process that executes another program has other VMs: its images are told apart by a number,
 * which is part of the BUILTIN frames (contract.h), so that each is named by the VMs of its own
 * image.
 */
#ifndef LUASPY_LUA_VMS_H
#define LUASPY_LUA_VMS_H

#include <stdint.h>

#include "../bpf/contract.h"
#include "modules.h"
#include "targets.h"

struct lua_vms;

/* Borrows both. NULL when out of memory. */
struct lua_vms *lua_vms__new(const struct modules *modules, const struct targets *targets);
void lua_vms__free(struct lua_vms *self);

/* Takes a record of `size` bytes. 0 or -ENOMEM; a VM that cannot be read has no names. */
int lua_vms__add(struct lua_vms *self, const struct record_vm *record, size_t size);

/* jit.version of a VM of this build (module.vm); NULL when none was read. Borrowed. */
const char *lua_vms__version(const struct lua_vms *self, uint32_t build);

/* The process has executed another program, or its number belongs to another process now. 0 or
 * -ENOMEM. */
int lua_vms__new_image(struct lua_vms *self, uint32_t tgid);
/* The number of the process's image. */
uint32_t lua_vms__image(const struct lua_vms *self, uint32_t tgid);

/* Reads all VMs that are still there again. */
void lua_vms__refresh(struct lua_vms *self);

/* The Lua name of a BUILTIN frame (both words of the contract) in process `tgid`; NULL when it has
 * none. Borrowed. */
const char *lua_vms__builtin(const struct lua_vms *self, uint32_t tgid, uint64_t word,
			     uint64_t entry);

#endif
