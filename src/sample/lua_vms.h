/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The Lua VMs that samples were taken in, and the names of their built-in and C functions. Names
 * are read when a VM is first seen and, where some are missing, once more at the end, for what was
 * loaded in between.
 *
 * When a VM is first seen, its build's offsets are held against its heap (vm/luajit_check.h). If
 * they disagree, nothing that was read with them is to be believed: the process is not trusted any
 * more, and no Lua frames of it are shown.
 *
 * A process that executes another program has other VMs: its images are told apart by a number,
 * which is part of the BUILTIN frames (contract.h), so that each is named by the VMs of its own
 * image.
 */
#ifndef LUASPY_LUA_VMS_H
#define LUASPY_LUA_VMS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "../bpf/contract.h"
#include "modules.h"
#include "stack_store.h"
#include "targets.h"

struct lua_vms;

/* What a heap had to say against a build. */
struct lua_conflict {
	uint32_t tgid;
	uint32_t build; /* module.vm */
	struct luajit_fact fact;
};

/* Borrows both. NULL when out of memory. */
struct lua_vms *lua_vms__new(const struct modules *modules, struct targets *targets);
void lua_vms__free(struct lua_vms *self);

/* Takes a record of `size` bytes. 0 or -ENOMEM; a VM that cannot be read has no names. */
int lua_vms__add(struct lua_vms *self, const struct record_vm *record, size_t size);

/* Whether the process is not to be trusted, by what its heap says. */
bool lua_vms__distrusts(const struct lua_vms *self, uint32_t tgid);

/* The processes that are not, the number of them, which goes on when no more are kept. Borrowed;
 * NULL behind the last one that was kept. */
const struct lua_conflict *lua_vms__conflict(const struct lua_vms *self, size_t index);
size_t lua_vms__conflicts(const struct lua_vms *self);

/* The facts of a build (module.vm) with what the heaps of its VMs say; their number, 0 when no VM
 * of it was checked. Borrowed. */
size_t lua_vms__facts(const struct lua_vms *self, uint32_t build, const struct luajit_fact **facts,
		      uint32_t *checked);

/* jit.version of a VM of this build (module.vm); NULL when none was read. Borrowed. */
const char *lua_vms__version(const struct lua_vms *self, uint32_t build);

/* The process has executed another program, or its number belongs to another process now. 0 or
 * -ENOMEM. */
int lua_vms__new_image(struct lua_vms *self, uint32_t tgid);
/* The number of the process's image. */
uint32_t lua_vms__image(const struct lua_vms *self, uint32_t tgid);

/* Reads the VMs of those processes again, which are still there, in whose stacks a built-in or C
 * function has no name yet; and those whose version is not known. */
void lua_vms__refresh(struct lua_vms *self, const struct stack_store *stacks);

/* The Lua name of a BUILTIN frame (both words of the contract) in process `tgid`; NULL when it has
 * none. Borrowed. */
const char *lua_vms__builtin(const struct lua_vms *self, uint32_t tgid, uint64_t word,
			     uint64_t entry);

#endif
