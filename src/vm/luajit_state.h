/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What is known of LuaJIT's interpreter before one of its instructions, and what the instruction
 * does to it. Where states start and how they spread through the code is luajit_flow.c.
 */
#ifndef LUASPY_LUAJIT_STATE_H
#define LUASPY_LUAJIT_STATE_H

#include <stdbool.h>
#include <stdint.h>

#include "luajit_code.h"

#define BIT(reg) (1u << (reg))
#define CALLEE_SAVED                                                                               \
	(BIT(DW_REG_RBX) | BIT(DW_REG_RBP) | BIT(DW_REG_R12) | BIT(DW_REG_R13) | BIT(DW_REG_R14) | \
	 BIT(DW_REG_R15))

enum luajit_kind {
	KIND_ACTIVATION, /* CFA = rsp + 80 + shift */
	KIND_FUNCTION,	 /* called like a C function: CFA = rsp + shift while shift > 0; a helper
			  * that pops its return address is back in the activation (shift 0) */
};

enum luajit_frame {
	FRAME_YES,	/* the activation has its boundary and Lua frames */
	FRAME_NO,	/* being entered: not yet */
	FRAME_CHECK,	/* code shared by calls from C and from Lua: PC's type bits tell */
	FRAME_ENDED,	/* being left: no more */
	FRAME_CALLBACK, /* a call in which a callback's frame is made or dropped */
};

struct luajit_state {
	bool reached;
	bool conflict;
	uint8_t caller; /* with FRAME_ENDED: where the caller's BASE is (VM_CALLER_*), or VM_NO_REG
			 */
	uint8_t kind;
	uint8_t frame;
	int16_t shift;
	uint16_t holders;  /* registers that hold BASE */
	bool synced;	   /* L->base == BASE */
	bool slot_valid;   /* the top frame's link is in its slot */
	bool link_in_pc;   /* ... is in rbx */
	bool link_toggled; /* ... with its lowest bit inverted */
	bool link_masked;  /* ... of a pcall, without its type bits */
	bool link_saved;   /* ... is in SAVE_PC */
	bool func_gone;	   /* the top frame's function slot was overwritten */
	bool entering;	   /* the top frame is new, and PC is still where it returns to */
	bool fetching;	   /* PC is at the next instruction, not behind the current one */
	bool dying;	   /* the frame is returning: PC was loaded from its link */
	bool suspect; /* rdx was written while BASE was known elsewhere: argument or new BASE? */
};

/* At the start of a bytecode handler or a fast function. */
extern const struct luajit_state luajit_state_handler;

bool luajit_state__equal(const struct luajit_state *a, const struct luajit_state *b);

/* What holds on both ways to an instruction. */
struct luajit_state luajit_state__join(const struct luajit_state *a, const struct luajit_state *b);

/* The state behind `i`, an element of lj->code, when it was `s` before it. */
struct luajit_state luajit_state__after(const struct luajit_code *lj,
					const struct x86_instruction *i, struct luajit_state s);

/* Is the state that of a fast function at its call of the C function that does what it could not?
 * That one may put its result over the function and, in GC32, the link. */
bool luajit_state__is_fallback(const struct luajit_state *s);

/* Does `i` read the bytecode instruction at PC? */
bool luajit_state__fetches(const struct x86_instruction *i);

/* Does `i` call lj_ccallback_enter? Nothing else is called by name before an activation has its
 * boundary. */
bool luajit_state__enters_callback(const struct x86_instruction *i, const struct luajit_state *s);

#endif
