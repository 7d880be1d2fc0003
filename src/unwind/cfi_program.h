/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Executes call frame instructions (DWARF 5, section 6.4) into rows. Only the CFA, the
 * callee-saved registers and the return address are tracked. What a row means to the walker is
 * cfi_rule.h; where the instructions come from is eh_frame.h.
 */
#ifndef LUASPY_CFI_PROGRAM_H
#define LUASPY_CFI_PROGRAM_H

#include <stdbool.h>
#include <stdint.h>

#include "../bpf/contract.h"
#include "dwarf_reader.h"

#define CFI_STACK_DEPTH 16 /* nested DW_CFA_remember_state; compilers use one, assembly a few */

/* A DWARF expression; points into the section. */
struct cfi_expression {
	const uint8_t *bytes;
	size_t size;
};

/* Where a register's value in the caller is. */
enum cfi_where {
	CFI_UNSPECIFIED,
	CFI_SAME,	      /* unchanged */
	CFI_UNDEFINED,	      /* lost */
	CFI_AT_CFA,	      /* at *(CFA + offset) */
	CFI_CFA_VALUE,	      /* is CFA + offset */
	CFI_IN_REGISTER,      /* is in register `offset` */
	CFI_AT_EXPRESSION,    /* at the address that the expression computes */
	CFI_EXPRESSION_VALUE, /* is what the expression computes */
};

struct cfi_register {
	enum cfi_where where;
	int64_t offset;
	struct cfi_expression expression;
};

enum cfi_cfa_form { CFI_CFA_UNDEFINED, CFI_CFA_REGISTER, CFI_CFA_EXPRESSION };

struct cfi_state {
	enum cfi_cfa_form cfa_form;
	uint64_t cfa_register;
	int64_t cfa_offset;
	struct cfi_expression cfa_expression;
	struct cfi_register saved[SAVED_COUNT];
};

/* What the instructions of an FDE need to know of its CIE. */
struct cfi_cie {
	uint64_t code_alignment;
	int64_t data_alignment;
	uint8_t pointer_encoding; /* of code addresses, DW_EH_PE_* */
	bool is_signal_frame;
	struct cfi_state initial; /* after the CIE's own instructions */
};

struct cfi_program {
	struct dwarf_reader reader;
	const struct cfi_cie *cie;
	uint64_t pc;
	uint64_t end;
	bool finished;
	unsigned int depth;
	struct cfi_state state;
	struct cfi_state stack[CFI_STACK_DEPTH];
};

/* Executes a CIE's instructions and stores the outcome in cie->initial. 0 or -EINVAL. */
int cfi_program__run_initial(struct cfi_cie *cie, const struct dwarf_reader *instructions);

/* Prepares the execution of an FDE's instructions, which describe [start, end). */
void cfi_program__start(struct cfi_program *self, const struct cfi_cie *cie,
			const struct dwarf_reader *instructions, uint64_t start, uint64_t end);

/*
 * Goes on to the next row: 1 and self->state holds from *pc to the next row's, or to the end; 0
 * when there are no more; -EINVAL when the instructions are corrupt. Rows ascend strictly and lie
 * in [start, end).
 */
int cfi_program__next_row(struct cfi_program *self, uint64_t *pc);

#endif
