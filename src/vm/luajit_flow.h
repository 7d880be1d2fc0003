/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What LuaJIT's interpreter is doing at each of its instructions, found by decoding it.
 *
 * The interpreter is hand-written assembly with one FDE that describes only its steady state. A
 * sample may hit its entry and exit code, a helper that it calls internally, or the few
 * instructions in which the registers and the Lua stack disagree. A walk that guesses there shows
 * wrong stacks, some percent of the time. So its code is decoded once per build and a data-flow
 * analysis finds, for each instruction: the distance from rsp to the CFA, which register or field
 * holds BASE, whether the top frame's link is on the Lua stack or still in PC, and whether the
 * activation has Lua frames at all. The result is a list of unwind rows with those facts.
 *
 * The registers' roles are LuaJIT's own (src/vm_x64.dasc, src/vm_x86.dasc): rdx = BASE, rbx = PC,
 * r14 = DISPATCH. The same code yields the offsets that differ between builds.
 */
#ifndef LUASPY_LUAJIT_FLOW_H
#define LUASPY_LUAJIT_FLOW_H

#include <stddef.h>
#include <stdint.h>

#include "../bpf/contract.h"
#include "../unwind/unwind_table.h"

struct luajit_flow {
	struct unwind_row *rows;
	size_t row_count;
	struct luajit_build build; /* all fields */
	uint64_t fingerprint;	   /* luajit_known.h */
	/* for tests and doctor: */
	size_t instructions;
	size_t unknown_base; /* instructions of activations where BASE is nowhere to be found */
	size_t conflicts;    /* instructions reached with different distances to the CFA */
	size_t unreached;    /* never reached: padding */
};

/*
 * Analyses the interpreter's `text` of `size` bytes at ELF virtual address `vaddr`. Returns 0,
 * -EINVAL when this is not LuaJIT's interpreter (or a build that is not understood), -ENOMEM, or
 * -ENOSPC from the rule set. luajit_flow__free releases what *flow holds.
 */
int luajit_flow__analyse(const uint8_t *text, size_t size, uint64_t vaddr,
			 struct unwind_rules *rules, struct luajit_flow *flow);
void luajit_flow__free(struct luajit_flow *flow);

#endif
