/* SPDX-License-Identifier: Apache-2.0 */
/*
 * x86-64 machine code as a list of small records with just what data-flow analysis asks for:
 * which general registers an instruction writes, its memory operand, where it goes next.
 * Decoding is capstone's.
 */
#ifndef LUASPY_X86_CODE_H
#define LUASPY_X86_CODE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum x86_op {
	X86_OTHER,
	X86_MOVE,	 /* reg <- source */
	X86_MOVE_IMM,	 /* reg <- imm */
	X86_LOAD,	 /* reg <- memory (plain mov) */
	X86_STORE,	 /* memory <- source register (plain mov) */
	X86_STORE_IMM,	 /* memory <- imm */
	X86_STORE_OTHER, /* any other instruction whose first operand is memory that it writes */
	X86_LOAD_EXTEND, /* reg <- memory (movzx) */
	X86_LOAD_SIGNED, /* reg <- memory (movsx) */
	X86_EXTEND,	 /* reg <- source, sign-extended (movsxd, cdqe) */
	X86_SELECT,	 /* reg <- reg or source (cmov) */
	X86_LEA,	 /* reg <- address of the memory operand */
	X86_ADD_IMM,	 /* reg <- reg + imm (sub: negated) */
	X86_SUB,	 /* reg <- reg - source register */
	X86_XOR_IMM,	 /* reg <- reg ^ imm */
	X86_AND_IMM,	 /* reg <- reg & imm */
	X86_NEGATE,	 /* reg <- -reg */
	X86_COMPARE_IMM, /* memory compared with imm */
	X86_COMPARE_REG, /* register compared with imm (test of it with itself: 0) */
	X86_PUSH,
	X86_POP,
	X86_CALL,   /* target, or 0 when indirect */
	X86_JUMP,   /* target, or 0 when indirect */
	X86_BRANCH, /* target or the next instruction; imm: enum x86_condition */
	X86_RETURN,
	X86_STOP, /* int3, ud2, hlt */
};

#define X86_NO_REG 0xff

enum x86_condition {
	X86_IF_OTHER,
	X86_IF_EQUAL,
	X86_IF_UNEQUAL,
};

/* For X86_OTHER and X86_STORE_OTHER (add, sub): what is added to the old value of the destination,
 * `reg` or the memory operand. */
enum x86_addend {
	X86_ADDS_NOTHING,
	X86_ADDS_IMM,
	X86_ADDS_REG, /* `source` */
	X86_ADDS_MEMORY,
	X86_SUBTRACTS, /* ... any of the latter two from it */
};

/* Registers by DWARF number (enum dwarf_register), whatever the width used. */
struct x86_instruction {
	uint64_t address;
	uint64_t target; /* of a direct call, jump or branch; address of a rip-relative operand */
	int64_t imm;
	int32_t disp;	 /* of the memory operand */
	uint16_t writes; /* bit per general register */
	uint16_t reads;
	uint8_t op; /* enum x86_op */
	uint8_t size;
	uint8_t width;	     /* bytes of the operand */
	uint8_t reg;	     /* destination */
	uint8_t source;	     /* source register; of an indirect call or jump */
	uint8_t base, index; /* of the memory operand */
	uint8_t scale;	     /* of the index */
	uint8_t adds;	     /* enum x86_addend */
	uint8_t link_at;     /* its bytes that depend on where other code and data are: */
	uint8_t link_size;   /* a reference to outside of the text; 0: none */
};

struct x86_code {
	struct x86_instruction *instructions; /* ascending by address */
	size_t count;
};

/* Decodes all of `text`. Bytes that are no instruction are skipped one at a time. Returns 0,
 * -ENOMEM or -EIO (the decoder does not start). Freed with x86_code__free. */
int x86_code__decode(const uint8_t *text, size_t size, uint64_t vaddr, struct x86_code *code);
/* The same for more text, at a higher address. On an error `code` is freed. */
int x86_code__append(const uint8_t *text, size_t size, uint64_t vaddr, struct x86_code *code);
void x86_code__free(struct x86_code *code);

/* The index of the instruction that starts at `address`, or -1. */
ptrdiff_t x86_code__find(const struct x86_code *code, uint64_t address);

#endif
