/* SPDX-License-Identifier: Apache-2.0 */
/*
 * LuaJIT's interpreter as decoded instructions, with its landmarks: the entries from C, the trace
 * exit handler, and the offsets that differ between builds, which its own code shows. What the code
 * does at each point is luajit_flow.c.
 */
#ifndef LUASPY_LUAJIT_CODE_H
#define LUASPY_LUAJIT_CODE_H

#include "../bpf/contract.h"
#include "x86_code.h"

struct luajit_code {
	struct x86_code code;
	struct luajit_build build;
	uint64_t fingerprint;	   /* luajit_known.h */
	int link_size;		   /* of a frame link and a reference: 8 (GC64) or 4 (GC32) */
	int l_base, l_top;	   /* offsets in lua_State */
	int save_pc;		   /* offset of SAVE_PC from rsp */
	int vmstate_disp;	   /* vmstate from the dispatch register */
	uint64_t trace_exit_start; /* lj_vm_exit_handler up to where rsp is the interpreter's again
				    */
	uint64_t trace_exit_end;
};

/* What an internal call does to BASE. */
enum luajit_helper {
	HELPER_NONE,	     /* a C function, or an entry of the interpreter */
	HELPER_KEEPS_BASE,   /* lj_vm_floor, the modulo helper... */
	HELPER_RELOADS_BASE, /* the GC step of fast functions */
};

/* Decodes and finds the landmarks. -EINVAL when one is missing; -ENOMEM. */
int luajit_code__open(const uint8_t *text, size_t size, uint64_t vaddr, struct luajit_code *self);
void luajit_code__close(struct luajit_code *self);

/* Is instruction `at` the first of an entry from C? */
bool luajit_code__is_entry(const struct luajit_code *self, size_t at);
bool luajit_code__in_trace_exit(const struct luajit_code *self, uint64_t address);

/* Does the memory operand name the link of the frame at rdx? L->base? */
bool luajit_code__is_link(const struct luajit_code *self, const struct x86_instruction *i);
bool luajit_code__is_l_base(const struct luajit_code *self, const struct x86_instruction *i);

enum luajit_helper luajit_code__helper(const struct luajit_code *self,
				       const struct x86_instruction *call);

#endif
