/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The interpreter of call frame instructions; see cfi_program.h. Offsets are computed in unsigned
 * arithmetic, where overflow is defined: a corrupt file gives a wrong offset, nothing worse.
 */
#include <dwarf.h>
#include <errno.h>
#include <stddef.h>

#include "cfi_program.h"

/* The register to track for a DWARF number, or NULL for one that is not tracked. */
static struct cfi_register *tracked(struct cfi_state *state, uint64_t number)
{
	switch (number) {
	case DW_REG_RBX:
		return &state->saved[SAVED_RBX];
	case DW_REG_RBP:
		return &state->saved[SAVED_RBP];
	case DW_REG_R12:
		return &state->saved[SAVED_R12];
	case DW_REG_R13:
		return &state->saved[SAVED_R13];
	case DW_REG_R14:
		return &state->saved[SAVED_R14];
	case DW_REG_R15:
		return &state->saved[SAVED_R15];
	case DW_REG_RA:
		return &state->saved[SAVED_RA];
	default:
		return NULL;
	}
}

static void set_register(struct cfi_program *self, uint64_t number, enum cfi_where where,
			 int64_t offset)
{
	struct cfi_register *reg = tracked(&self->state, number);

	if (reg)
		*reg = (struct cfi_register){.where = where, .offset = offset};
}

static void restore_register(struct cfi_program *self, uint64_t number)
{
	struct cfi_register *reg = tracked(&self->state, number);

	if (reg)
		*reg = self->cie->initial.saved[reg - self->state.saved];
}

static int64_t factored(const struct cfi_program *self, uint64_t offset)
{
	return (int64_t)(offset * (uint64_t)self->cie->data_alignment);
}

static struct cfi_expression read_expression(struct dwarf_reader *reader)
{
	uint64_t size = dwarf_reader__uleb128(reader);
	const uint8_t *bytes = dwarf_reader__skip(reader, size);

	return (struct cfi_expression){.bytes = bytes, .size = bytes ? size : 0};
}

static void set_expression(struct cfi_program *self, enum cfi_where where)
{
	uint64_t number = dwarf_reader__uleb128(&self->reader);
	struct cfi_expression expression = read_expression(&self->reader);
	struct cfi_register *reg = tracked(&self->state, number);

	if (reg)
		*reg = (struct cfi_register){.where = where, .expression = expression};
}

/* An advance past the end of the address space counts as one to its end. */
static void advance(struct cfi_program *self, uint64_t delta)
{
	uint64_t bytes;

	if (__builtin_mul_overflow(delta, self->cie->code_alignment, &bytes) ||
	    __builtin_add_overflow(self->pc, bytes, &self->pc))
		self->pc = UINT64_MAX;
}

static void define_cfa(struct cfi_program *self, uint64_t number, int64_t offset)
{
	self->state.cfa_form = CFI_CFA_REGISTER;
	self->state.cfa_register = number;
	self->state.cfa_offset = offset;
}

static int execute_cfa(struct cfi_program *self, uint8_t opcode)
{
	struct dwarf_reader *reader = &self->reader;
	uint64_t number;

	switch (opcode) {
	case DW_CFA_def_cfa:
		number = dwarf_reader__uleb128(reader);
		define_cfa(self, number, (int64_t)dwarf_reader__uleb128(reader));
		return 0;
	case DW_CFA_def_cfa_sf:
		number = dwarf_reader__uleb128(reader);
		define_cfa(self, number, factored(self, (uint64_t)dwarf_reader__sleb128(reader)));
		return 0;
	case DW_CFA_def_cfa_register:
		define_cfa(self, dwarf_reader__uleb128(reader), self->state.cfa_offset);
		return 0;
	case DW_CFA_def_cfa_offset:
		self->state.cfa_offset = (int64_t)dwarf_reader__uleb128(reader);
		return 0;
	case DW_CFA_def_cfa_offset_sf:
		self->state.cfa_offset = factored(self, (uint64_t)dwarf_reader__sleb128(reader));
		return 0;
	case DW_CFA_def_cfa_expression:
		self->state.cfa_form = CFI_CFA_EXPRESSION;
		self->state.cfa_expression = read_expression(reader);
		return 0;
	default:
		return -EINVAL;
	}
}

static int execute_register(struct cfi_program *self, uint8_t opcode)
{
	struct dwarf_reader *reader = &self->reader;
	uint64_t number, offset;

	switch (opcode) {
	case DW_CFA_expression:
		set_expression(self, CFI_AT_EXPRESSION);
		return 0;
	case DW_CFA_val_expression:
		set_expression(self, CFI_EXPRESSION_VALUE);
		return 0;
	default:
		break;
	}

	number = dwarf_reader__uleb128(reader);
	switch (opcode) {
	case DW_CFA_offset_extended:
		offset = dwarf_reader__uleb128(reader);
		set_register(self, number, CFI_AT_CFA, factored(self, offset));
		return 0;
	case DW_CFA_offset_extended_sf:
		offset = (uint64_t)dwarf_reader__sleb128(reader);
		set_register(self, number, CFI_AT_CFA, factored(self, offset));
		return 0;
	case DW_CFA_GNU_negative_offset_extended:
		offset = 0 - dwarf_reader__uleb128(reader);
		set_register(self, number, CFI_AT_CFA, factored(self, offset));
		return 0;
	case DW_CFA_val_offset:
		offset = dwarf_reader__uleb128(reader);
		set_register(self, number, CFI_CFA_VALUE, factored(self, offset));
		return 0;
	case DW_CFA_val_offset_sf:
		offset = (uint64_t)dwarf_reader__sleb128(reader);
		set_register(self, number, CFI_CFA_VALUE, factored(self, offset));
		return 0;
	case DW_CFA_register:
		offset = dwarf_reader__uleb128(reader);
		set_register(self, number, CFI_IN_REGISTER, (int64_t)offset);
		return 0;
	case DW_CFA_restore_extended:
		restore_register(self, number);
		return 0;
	case DW_CFA_undefined:
		set_register(self, number, CFI_UNDEFINED, 0);
		return 0;
	case DW_CFA_same_value:
		set_register(self, number, CFI_SAME, 0);
		return 0;
	default:
		return -EINVAL;
	}
}

/* An instruction whose operand does not stand in its first byte. */
static int execute_extended(struct cfi_program *self, uint8_t opcode)
{
	struct dwarf_reader *reader = &self->reader;
	uint64_t pc;

	switch (opcode) {
	case DW_CFA_nop:
		return 0;
	case DW_CFA_GNU_args_size: /* outgoing arguments: matters to landing pads only */
		dwarf_reader__uleb128(reader);
		return 0;
	case DW_CFA_set_loc:
		pc = dwarf_reader__pointer(reader, self->cie->pointer_encoding, 0, NULL);
		if (pc < self->pc)
			return -EINVAL;
		self->pc = pc;
		return 0;
	case DW_CFA_advance_loc1:
		advance(self, dwarf_reader__u8(reader));
		return 0;
	case DW_CFA_advance_loc2:
		advance(self, dwarf_reader__u16(reader));
		return 0;
	case DW_CFA_advance_loc4:
		advance(self, dwarf_reader__u32(reader));
		return 0;
	case DW_CFA_MIPS_advance_loc8:
		advance(self, dwarf_reader__u64(reader));
		return 0;
	case DW_CFA_remember_state:
		if (self->depth == CFI_STACK_DEPTH)
			return -EINVAL;
		self->stack[self->depth++] = self->state;
		return 0;
	case DW_CFA_restore_state:
		if (self->depth == 0)
			return -EINVAL;
		self->state = self->stack[--self->depth];
		return 0;
	case DW_CFA_def_cfa:
	case DW_CFA_def_cfa_sf:
	case DW_CFA_def_cfa_register:
	case DW_CFA_def_cfa_offset:
	case DW_CFA_def_cfa_offset_sf:
	case DW_CFA_def_cfa_expression:
		return execute_cfa(self, opcode);
	default:
		return execute_register(self, opcode);
	}
}

static int execute(struct cfi_program *self)
{
	uint8_t opcode = dwarf_reader__u8(&self->reader);
	uint8_t operand = opcode & 0x3f;
	int err = 0;

	switch (opcode & 0xc0) {
	case DW_CFA_advance_loc:
		advance(self, operand);
		break;
	case DW_CFA_offset:
		set_register(self, operand, CFI_AT_CFA,
			     factored(self, dwarf_reader__uleb128(&self->reader)));
		break;
	case DW_CFA_restore:
		restore_register(self, operand);
		break;
	default:
		err = execute_extended(self, opcode);
		break;
	}
	return self->reader.failed ? -EINVAL : err;
}

void cfi_program__start(struct cfi_program *self, const struct cfi_cie *cie,
			const struct dwarf_reader *instructions, uint64_t start, uint64_t end)
{
	/* The stack is not cleared: what lies above `depth` is never read. */
	self->reader = *instructions;
	self->cie = cie;
	self->pc = start;
	self->end = end;
	self->finished = start >= end;
	self->depth = 0;
	self->state = cie->initial;
}

int cfi_program__run_initial(struct cfi_cie *cie, const struct dwarf_reader *instructions)
{
	struct cfi_program program;
	int err = 0;

	cie->initial = (struct cfi_state){.cfa_form = CFI_CFA_UNDEFINED};
	cfi_program__start(&program, cie, instructions, 0, UINT64_MAX);
	while (!err && program.reader.next < program.reader.end)
		err = execute(&program);
	if (!err)
		cie->initial = program.state;
	return err;
}

int cfi_program__next_row(struct cfi_program *self, uint64_t *pc)
{
	if (self->finished)
		return 0;
	*pc = self->pc;
	while (self->reader.next < self->reader.end) {
		int err = execute(self);

		if (err)
			return err;
		if (self->pc != *pc) {
			self->finished = self->pc >= self->end;
			return 1;
		}
	}
	self->finished = true;
	return 1;
}
