/* SPDX-License-Identifier: Apache-2.0 */
/* From a row of call frame information to a rule; see cfi_rule.h. */
#include <dwarf.h>
#include <string.h>

#include "cfi_rule.h"

/* Where the kernel's signal frame keeps rsp, from rsp in the trampoline: the ucontext starts there,
 * its sigcontext at 40, and rsp is the sixteenth word of that (asm/sigcontext.h). */
#define SIGNAL_FRAME_RSP 160

static bool fits_s32(int64_t value)
{
	return value >= INT32_MIN && value <= INT32_MAX;
}

static bool fits_s16(int64_t value)
{
	return value >= INT16_MIN && value <= INT16_MAX;
}

/* reg + offset: DW_OP_breg<reg> offset. */
static bool read_register_offset(struct dwarf_reader *reader, uint8_t *reg, int64_t *offset)
{
	uint8_t opcode = dwarf_reader__u8(reader);

	if (opcode < DW_OP_breg0 || opcode >= DW_OP_breg0 + DW_REG_RA)
		return false;
	*reg = opcode - DW_OP_breg0;
	*offset = dwarf_reader__sleb128(reader);
	return !reader->failed;
}

/* Adding a constant: DW_OP_plus_uconst n, or DW_OP_lit<n> DW_OP_plus. */
static bool read_addition(struct dwarf_reader *reader, int64_t *value)
{
	uint8_t opcode = dwarf_reader__u8(reader);

	if (opcode == DW_OP_plus_uconst) {
		*value = (int64_t)dwarf_reader__uleb128(reader);
		return !reader->failed;
	}
	*value = opcode - DW_OP_lit0;
	return opcode >= DW_OP_lit0 && opcode <= DW_OP_lit31 &&
	       dwarf_reader__u8(reader) == DW_OP_plus;
}

static struct dwarf_reader expression_reader(const struct cfi_expression *expression)
{
	return (struct dwarf_reader){
		.next = expression->bytes,
		.end = expression->bytes + expression->size,
		.origin = expression->bytes,
	};
}

/*
 * The .plt that linkers make: rsp + 8, and 8 more from the push in each 16-byte entry on (after
 * 11 bytes, or 10 where the entry's jump has no prefix):
 * breg7 8; breg16 0; lit15; and; lit<n>; ge; lit3; shl; plus
 */
static bool is_plt(const struct cfi_expression *expression, uint8_t *push_offset)
{
	const uint8_t before[] = {DW_OP_breg7, 8, DW_OP_breg16, 0, DW_OP_lit15, DW_OP_and};
	const uint8_t after[] = {DW_OP_ge, DW_OP_lit3, DW_OP_shl, DW_OP_plus};
	uint8_t literal;

	if (expression->size != sizeof(before) + 1 + sizeof(after))
		return false;
	literal = expression->bytes[sizeof(before)];
	*push_offset = literal - DW_OP_lit0;
	return memcmp(expression->bytes, before, sizeof(before)) == 0 && literal >= DW_OP_lit0 &&
	       literal <= DW_OP_lit15 &&
	       memcmp(expression->bytes + sizeof(before) + 1, after, sizeof(after)) == 0;
}

static enum cfa_kind cfa_from_expression(const struct cfi_expression *expression,
					 bool is_signal_frame, struct unwind_rule *rule)
{
	struct dwarf_reader reader = expression_reader(expression);
	int64_t offset, addition = 0;
	uint8_t reg, push_offset;

	if (is_plt(expression, &push_offset)) {
		rule->cfa_reg = DW_REG_RSP;
		rule->cfa_offset = push_offset;
		return CFA_PLT;
	}
	if (!read_register_offset(&reader, &reg, &offset) || !fits_s32(offset))
		return CFA_UNSUPPORTED;
	rule->cfa_reg = reg;
	rule->cfa_offset = (int32_t)offset;
	if (reader.next == reader.end)
		return CFA_REG;
	if (dwarf_reader__u8(&reader) != DW_OP_deref)
		return CFA_UNSUPPORTED;
	if (reader.next == reader.end && is_signal_frame && reg == DW_REG_RSP &&
	    offset == SIGNAL_FRAME_RSP)
		return CFA_SIGNAL;
	if (reader.next < reader.end && !read_addition(&reader, &addition))
		return CFA_UNSUPPORTED;
	if (reader.next != reader.end || !fits_s32(addition))
		return CFA_UNSUPPORTED;
	rule->cfa_offset2 = (int32_t)addition;
	return CFA_DEREF;
}

static enum cfa_kind cfa_from_state(const struct cfi_state *state, bool is_signal_frame,
				    struct unwind_rule *rule)
{
	switch (state->cfa_form) {
	case CFI_CFA_REGISTER:
		if (state->cfa_register >= DW_REG_RA || !fits_s32(state->cfa_offset))
			return CFA_UNSUPPORTED;
		rule->cfa_reg = (uint8_t)state->cfa_register;
		rule->cfa_offset = (int32_t)state->cfa_offset;
		return CFA_REG;
	case CFI_CFA_EXPRESSION:
		return cfa_from_expression(&state->cfa_expression, is_signal_frame, rule);
	default:
		return CFA_UNSUPPORTED;
	}
}

/* The base and offset of a register's caller value; BASE_UNDEFINED when it cannot be expressed. */
static uint8_t saved_from_register(const struct cfi_register *reg, const struct unwind_rule *rule,
				   int64_t *offset)
{
	struct dwarf_reader reader;
	uint8_t base;

	*offset = 0;
	switch (reg->where) {
	case CFI_UNSPECIFIED:
	case CFI_SAME:
		return BASE_SAME;
	case CFI_AT_CFA:
		*offset = reg->offset;
		return BASE_CFA;
	case CFI_CFA_VALUE:
		if (rule->cfa_kind != CFA_REG || !fits_s16(reg->offset))
			return BASE_UNDEFINED;
		*offset = reg->offset + rule->cfa_offset;
		return BASE_VALUE + rule->cfa_reg;
	case CFI_IN_REGISTER:
		if (reg->offset < 0 || reg->offset >= DW_REG_RA)
			return BASE_UNDEFINED;
		return (uint8_t)(BASE_VALUE + reg->offset);
	case CFI_AT_EXPRESSION:
	case CFI_EXPRESSION_VALUE:
		reader = expression_reader(&reg->expression);
		if (!read_register_offset(&reader, &base, offset) || reader.next != reader.end)
			return BASE_UNDEFINED;
		return reg->where == CFI_AT_EXPRESSION ? base : BASE_VALUE + base;
	default:
		return BASE_UNDEFINED;
	}
}

/* One rule for all that is unsupported: nothing else in it would be used. */
static void set_unsupported(struct unwind_rule *rule)
{
	memset(rule, 0, sizeof(*rule));
	rule->cfa_kind = CFA_UNSUPPORTED;
	rule->vm_base_reg = VM_NO_REG;
}

void cfi_rule__from_state(const struct cfi_state *state, bool is_signal_frame,
			  struct unwind_rule *rule)
{
	bool is_end = state->saved[SAVED_RA].where == CFI_UNDEFINED;

	memset(rule, 0, sizeof(*rule));
	rule->vm_base_reg = VM_NO_REG;
	rule->cfa_kind = cfa_from_state(state, is_signal_frame, rule);
	if (rule->cfa_kind == CFA_UNSUPPORTED) {
		set_unsupported(rule);
		if (is_end)
			rule->cfa_kind = CFA_END;
		else
			return;
	}

	for (int i = 0; i < SAVED_COUNT; i++) {
		int64_t offset;
		uint8_t base = saved_from_register(&state->saved[i], rule, &offset);

		if (!fits_s16(offset) || base == BASE_UNDEFINED) {
			base = BASE_UNDEFINED;
			offset = 0;
		}
		rule->saved_base[i] = base;
		rule->saved_offset[i] = (int16_t)offset;
	}
	if (is_end)
		rule->cfa_kind = CFA_END;
	else if (rule->saved_base[SAVED_RA] == BASE_UNDEFINED ||
		 rule->saved_base[SAVED_RA] == BASE_SAME)
		set_unsupported(rule);
}

void cfi_rule__resume_throw(struct unwind_rule *rule, bool *resuming)
{
	bool from_rcx =
		rule->cfa_kind == CFA_REG && rule->cfa_reg == DW_REG_RCX && rule->cfa_offset == 8;
	bool from_rsp = rule->cfa_kind == CFA_REG && rule->cfa_reg == DW_REG_RSP;

	*resuming = from_rcx || (*resuming && from_rsp);
	if (!*resuming)
		return;
	for (int i = 0; i < SAVED_RA; i++) {
		rule->saved_base[i] = BASE_SAME;
		rule->saved_offset[i] = 0;
	}
}
