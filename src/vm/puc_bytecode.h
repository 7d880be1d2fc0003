/* SPDX-License-Identifier: Apache-2.0 */
/*
 * PUC Lua's instructions, those of 5.1 to 5.5 in one form: as much of each as tells where the value
 * of a register comes from and goes to.
 */
#ifndef LUASPY_PUC_BYTECODE_H
#define LUASPY_PUC_BYTECODE_H

#include <stdbool.h>
#include <stdint.h>

enum puc_op {
	PUC_OP_OTHER,	/* sets no register */
	PUC_OP_SETS_A,	/* R(A) */
	PUC_OP_SETS_UP, /* R(A) and all above, or some of them */
	PUC_OP_MOVE,	/* R(A) := R(B) */
	PUC_OP_LOADK,	/* R(A) := key */
	PUC_OP_LOADNIL, /* R(A) ... R(B) := nil */
	PUC_OP_GETUPVAL,
	PUC_OP_GETGLOBAL,
	PUC_OP_GETTABUP, /* R(A) := upvalue B [key] */
	PUC_OP_GETTABLE, /* R(A) := R(B)[key] */
	PUC_OP_SETGLOBAL,
	PUC_OP_SETTABUP, /* upvalue A [key] := R(value) */
	PUC_OP_SETUPVAL, /* upvalue B := R(value) */
	PUC_OP_SETTABLE, /* R(A)[key] := R(value) */
	PUC_OP_NEWTABLE,
	PUC_OP_SELF, /* R(A + 1) := R(B); R(A) := R(B)[key] */
	PUC_OP_JMP,
	PUC_OP_TEST,	/* skips the next one unless R(A) is `condition` */
	PUC_OP_TESTSET, /* ... R(B); if it is, R(A) := R(B) */
	PUC_OP_CALL, /* R(A)(R(A + 1) ... R(A + B - 1)); with B 0 up to the last one that was set */
	PUC_OP_TAILCALL,
	PUC_OP_RETURN,	/* R(A) ... R(A + B - 2); with B 0 up to the last one */
	PUC_OP_SETLIST, /* R(A)[first + i] := R(A + i), 1 <= i <= B; with B 0 up to the last one */
	PUC_OP_CLOSURE, /* R(A) := a closure of nested function B */
	PUC_OP_EXTRA,	/* what belongs to the instruction before */
};

enum puc_key {
	PUC_KEY_NONE,
	PUC_KEY_REGISTER,
	PUC_KEY_CONSTANT,
	PUC_KEY_INTEGER,
};

struct puc_instruction {
	enum puc_op op;
	enum puc_key key;
	uint32_t key_index; /* register, constant, or the integer itself */
	uint32_t a, b;
	int32_t value; /* register; -1: a constant */
	bool condition;
	uint32_t first;	 /* of SETLIST, counted from 0 */
	bool first_more; /* the rest of it is in the next instruction */
	int32_t jump;	 /* from the next instruction on */
};

/* An instruction of a release (50404 is 5.4.4). One that is none is PUC_OP_OTHER. */
struct puc_instruction puc_bytecode__decode(uint32_t release, uint32_t word);

/* Does it set the register? It may set others too. */
bool puc_bytecode__sets(const struct puc_instruction *self, uint32_t reg);

#endif
