/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Finds LuaJIT in an ELF file, stripped or not, shared or static, from the file alone: its
 * interpreter by the one FDE that describes it, then what the interpreter does at each pc.
 */
#ifndef LUASPY_LUAJIT_H
#define LUASPY_LUAJIT_H

#include <libelf.h>

#include "../bpf/contract.h"
#include "../unwind/unwind_table.h"

/*
 * If `elf`, whose unwind table is `table`, contains LuaJIT's interpreter: replaces the rows of the
 * interpreter by exact ones, fills *build and returns 0. -ENOENT when it does not contain one,
 * -EINVAL when it does but in a form that is not understood (the table is then left as it was, and
 * C frames still unwind), -ENOMEM, -ENOSPC.
 */
int luajit__find(Elf *elf, struct unwind_table *table, struct unwind_rules *rules,
		 struct luajit_build *build);

/* What was found in a build, and where: for people. */
struct luajit_fact {
	const char *what;
	uint32_t value;
	const char *from;
};
#define LUAJIT_MAX_FACTS 11

/* Fills at most LUAJIT_MAX_FACTS elements; returns their number. */
size_t luajit__facts(const struct luajit_build *build, struct luajit_fact *facts);

/* Just the build, without the work on rows: 0, -ENOENT, -EINVAL, -ENOMEM as above. */
int luajit__build(Elf *elf, const struct unwind_table *table, const struct unwind_rules *rules,
		  struct luajit_build *build);

#endif
