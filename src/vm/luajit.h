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
#include "luajit_known.h"

/*
 * If `elf`, whose unwind table is `table`, contains LuaJIT's interpreter: replaces the rows of the
 * interpreter by exact ones, fills *found and returns 0, or -EBADMSG when the table of known builds
 * says something else of that build (luajit__facts tells what): then only its C frames are to be
 * unwound. -ENOENT when it does not contain one, -EINVAL when it does but in a form that is not
 * understood (the unwind table is then left as it was, and C frames still unwind, mostly), -ENOMEM,
 * -ENOSPC.
 */
struct luajit_found {
	struct luajit_build build;
	uint64_t fingerprint;		  /* luajit_known.h */
	const struct luajit_known *known; /* NULL: a build that is not in the table */
};
int luajit__find(Elf *elf, struct unwind_table *table, struct unwind_rules *rules,
		 struct luajit_found *found);

/* The same without the work on rows, and 0 also where that returns -EBADMSG. */
int luajit__build(Elf *elf, const struct unwind_table *table, const struct unwind_rules *rules,
		  struct luajit_found *found);

enum luajit_verdict {
	LUAJIT_NOT_CHECKED, /* there was nothing to compare with */
	LUAJIT_AGREES,
	LUAJIT_DISAGREES,
};

/* What differs between builds. The order of luajit__facts. */
enum luajit_offset {
	LUAJIT_GC64,
	LUAJIT_FRAME_SIZE,
	LUAJIT_DISPATCH,
	LUAJIT_VMSTATE,
	LUAJIT_CUR_L,
	LUAJIT_SAVE_L,
	LUAJIT_SAVE_CFRAME,
	LUAJIT_STRING_LENGTH,
	LUAJIT_STRING_DATA,
	LUAJIT_FFI,
	LUAJIT_JIT_BASE, /* from here on only with the JIT compiler */
	LUAJIT_TRACE_ARRAY,
	LUAJIT_TRACE_EXIT,
	LUAJIT_BC_FUNCF,
	LUAJIT_OFFSETS,
};

/* One of them, with what each source says. */
struct luajit_fact {
	const char *what;	/* "g->cur_L" */
	const char *from;	/* which instructions it was decoded from */
	const char *heap_wants; /* of a disagreement: what should be at that place */
	uint64_t heap_value;	/* and what is */
	enum luajit_offset id;
	uint32_t value; /* as decoded */
	enum luajit_verdict table;
	uint32_t table_value;	  /* unless not checked */
	enum luajit_verdict heap; /* not checked, until luajit_check.h has */
};

/* Fills at most LUAJIT_OFFSETS elements and returns their number. */
size_t luajit__facts(const struct luajit_found *found, struct luajit_fact *facts);

/* The first fact on which a source disagrees with the decoder; NULL when there is none. */
const struct luajit_fact *luajit_facts__conflict(const struct luajit_fact *facts, size_t count);

#endif
