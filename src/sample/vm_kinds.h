/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which kinds of Lua VM processes have, told by texts in their files: what the BPF programs are
 * loaded for (vm_programs.h). A guess, made in some milliseconds or not at all; modules.h makes
 * sure.
 */
#ifndef LUASPY_VM_KINDS_H
#define LUASPY_VM_KINDS_H

#include <stddef.h>
#include <sys/types.h>

enum vm_kinds {
	VM_LUAJIT = 1,
	VM_PUC = 2,
	VM_ALL = VM_LUAJIT | VM_PUC,
};

/* Of all these processes together; VM_ALL when they are too many, or have too much, to look. */
unsigned int vm_kinds__of(const pid_t *pids, size_t count);

#endif
