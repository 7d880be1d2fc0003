/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Finds PUC Lua 5.1 to 5.5 in an ELF file, stripped or not, shared or static, from the file alone:
 * luaV_execute, and where its code keeps L and the position in the bytecode.
 */
#ifndef LUASPY_PUC_H
#define LUASPY_PUC_H

#include <libelf.h>

#include "../bpf/contract.h"
#include "../unwind/unwind_table.h"

/*
 * If `elf`, whose unwind table is `table`, contains PUC Lua's interpreter: replaces the rows of
 * luaV_execute by ones with RULE_PUC, fills *build and returns 0. -ENOENT when it does not contain
 * one, -EINVAL when it does but in a form that is not understood (the table is then left as it was,
 * and C frames still unwind), -ENOMEM, -ENOSPC. `fd` is the file, from which texts are read, or -1:
 * through libelf. Takes 10 to 100 ms for a file with Lua, and gives up after PUC_MAX_TIME_NS.
 */
#define PUC_MAX_TIME_NS 5000000000u /* of CPU; files that were made for us would take hours */
int puc__find(Elf *elf, int fd, struct unwind_table *table, struct unwind_rules *rules,
	      struct puc_build *build);

/* The layouts of a release (50404 is 5.4.4), everything but luaV_execute's place. 0, or -ENOENT for
 * one that is not known. */
int puc_layout__get(unsigned int release, struct puc_build *build);

#endif
