/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A table of LuaJIT builds whose offsets are known from their own headers: a second source for what
 * luajit_code.c decodes. Its rows were made by tests/fixtures/known_builds, which has the C
 * compiler say offsetof and sizeof for each source and configuration; nothing in them comes from
 * the decoder.
 *
 * The key is a fingerprint of the interpreter's machine code, all of it but the bytes that a linker
 * fills in. The interpreter is DynASM's work, which depends on the source and the configuration,
 * not on the compiler or the distribution, so one row is one build everywhere.
 *
 * The offsets that are checked stand in those instructions, too: two files with one fingerprint are
 * decoded alike. What a row guards against is therefore not a file, but the decoder: that it takes
 * the right instruction for what it looks for, in that very code. That is the error that it can
 * make, and for a build that nobody has run luaspy on, only the table and the live heap
 * (luajit_check.h) would notice. A key without the offsets, like the opcodes alone or the version's
 * text, looks more independent but would call right offsets wrong: fields are added to LuaJIT's
 * structures without a change to its instructions, and by vendors without a change to its version
 * (Debian 11's GC32 build calls itself 2.1.0-beta3 and has vmstate at 0x5c, upstream at 0x58).
 */
#ifndef LUASPY_LUAJIT_KNOWN_H
#define LUASPY_LUAJIT_KNOWN_H

#include <stddef.h>
#include <stdint.h>

#include "../bpf/contract.h"
#include "x86_code.h"

struct luajit_known {
	uint64_t fingerprint;
	struct luajit_build build; /* but for where the interpreter is */
	const char *configuration; /* "GC64", "GC32, without JIT compiler" */
	const char *sources;	   /* which LuaJITs have it: "OpenResty 20220411 to 20230119" */
};

extern const struct luajit_known luajit_known_table[]; /* luajit_known_table.c */
extern const size_t luajit_known_count;

/* Of the interpreter's `size` bytes of `text` at ELF virtual address `vaddr`, which `code` was
 * decoded from. 0 or -ENOMEM. */
int luajit_known__fingerprint(const struct x86_code *code, const uint8_t *text, size_t size,
			      uint64_t vaddr, uint64_t *fingerprint);

/* The row with this fingerprint, NULL when there is none. */
const struct luajit_known *luajit_known__find(uint64_t fingerprint);

#endif
