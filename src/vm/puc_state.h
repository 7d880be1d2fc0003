/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What registers and stack slots hold at a point of luaV_execute, and what one instruction does to
 * that.
 *
 * The position in the bytecode is known relative to the current instruction, the one that was
 * fetched last: a compiler may keep the pointer to it and the one behind it in two registers. Where
 * it jumped, or where paths meet that have gone on by different distances, only its symbol is
 * known: the point where the value came from. The next fetch makes it exact again.
 */
#ifndef LUASPY_PUC_STATE_H
#define LUASPY_PUC_STATE_H

#include <stdbool.h>

#include "../bpf/contract.h"
#include "puc_code.h"

/* Words below the CFA: gcc -O0 makes a frame of 3 KB. */
#define PUC_SLOTS 512u

enum puc_kind {
	PUC_UNKNOWN,
	PUC_IS_L,
	PUC_IS_CI,     /* L's CallInfo of a Lua function */
	PUC_IS_RESULT, /* what the last call returned */
	PUC_IS_PC,  /* a position; `offset` bytes from the current instruction, or from `symbol` */
	PUC_IS_CFA, /* CFA + offset */
	PUC_IS_TABLE, /* the address of jump table `offset` */
	PUC_IS_ENTRY, /* an entry of it */
};

/* What a position without a known distance is to the current instruction. */
enum puc_nearness {
	PUC_NEAR,   /* behind it, or one further */
	PUC_JUMPED, /* it is the next one's, wherever that is */
	PUC_OTHER,
};

struct puc_value {
	uint32_t symbol; /* 0: the current instruction */
	int16_t offset;
	uint8_t kind;	  /* enum puc_kind */
	uint8_t nearness; /* with a symbol: enum puc_nearness */
};

struct puc_state {
	uint8_t reached;
	uint8_t popped;	 /* L->ci is the caller's already */
	uint16_t unused; /* states are compared as bytes */
	struct puc_value registers[16];
	struct puc_value memory; /* the savedpc of the innermost CallInfo, or L's */
	struct puc_value slots[PUC_SLOTS];
};

/* What an instruction is to the control of the interpreter. */
struct puc_step {
	bool loads_instruction; /* of the bytecode */
	bool saves;		/* the position into memory */
	bool changes_frame;	/* stores L->ci */
	int table;		/* of the indirect jump; -1: not known */
};

/* At luaV_execute's first instruction. */
void puc_state__enter(struct puc_state *self, const struct puc_build *build);

/* Applies what is known of the stack pointer and the frame pointer by the rule in force. */
void puc_state__frame(struct puc_state *self, const struct unwind_rule *rule);

/* What a load from the bytecode is. */
enum puc_load {
	PUC_LOAD_ARGUMENT, /* of the current instruction's extra argument, or of a jump behind it */
	PUC_LOAD_FETCH,	   /* of the next instruction, which becomes the current one */
	PUC_LOAD_UNKNOWN,  /* not known yet: positions are only told from other values */
};

/* Instruction `at` is executed. `load`: what it is if it loads from the bytecode. */
struct puc_step puc_state__execute(struct puc_state *self, const struct puc_code *code, size_t at,
				   const struct puc_build *build, enum puc_load load);

/* Does it load the position from where it is saved? */
bool puc_state__loads_position(const struct puc_state *self, const struct x86_instruction *i,
			       const struct puc_build *build);

/* Meets what comes from another path at block `block`. True when it has changed. */
bool puc_state__meet(struct puc_state *self, const struct puc_state *other, size_t block);

static inline bool puc_value__is_position(const struct puc_value *self)
{
	return self->kind == PUC_IS_PC;
}

/* The registers that a call preserves. */
#define PUC_CALLEE_SAVED                                                                           \
	(1u << DW_REG_RBX | 1u << DW_REG_RBP | 1u << DW_REG_RSP | 1u << DW_REG_R12 |               \
	 1u << DW_REG_R13 | 1u << DW_REG_R14 | 1u << DW_REG_R15)

#endif
