/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Call frame instructions assembled by hand: each form that the walker depends on. What a corrupt
 * file may hold is test_unwind_corrupt.c.
 */
#include "../test.h"
#include "test_unwind_built.h"

static void test_push_and_pop(void)
{
	struct piece p = {0};
	size_t fde, cie = put_usual_cie(&p);
	struct built b;

	fde = begin_fde(&p, cie, TEXT_START, 32);
	PUT(&p, DW_CFA_advance_loc | 1, DW_CFA_def_cfa_offset, 16, DW_CFA_offset | 6, 2);
	PUT(&p, DW_CFA_advance_loc | 3, DW_CFA_def_cfa_register, 6);
	PUT(&p, DW_CFA_advance_loc1, 20, DW_CFA_restore | 6, DW_CFA_def_cfa, 7, 8);
	end_entry(&p, fde);
	b = build(&p);
	CHECK_EQ(b.table->row_count, 5);
	CHECK_EQ(b.table->function_count, 1);
	CHECK_EQ(b.table->skipped, 0);
	CHECK_CFA(&b, TEXT_START, CFA_REG, DW_REG_RSP, 8);
	CHECK_SAVED(&b, TEXT_START, SAVED_RA, BASE_CFA, -8);
	CHECK_SAVED(&b, TEXT_START, SAVED_RBP, BASE_SAME, 0);
	CHECK_CFA(&b, TEXT_START + 1, CFA_REG, DW_REG_RSP, 16);
	CHECK_SAVED(&b, TEXT_START + 1, SAVED_RBP, BASE_CFA, -16);
	CHECK_CFA(&b, TEXT_START + 4, CFA_REG, DW_REG_RBP, 16);
	CHECK_CFA(&b, TEXT_START + 24, CFA_REG, DW_REG_RSP, 8);
	CHECK_SAVED(&b, TEXT_START + 24, SAVED_RBP, BASE_SAME, 0);
	CHECK_EQ(unwind_table__rule_at(b.table, TEXT_START - 1), RULE_ID_NONE);
	CHECK_EQ(unwind_table__rule_at(b.table, TEXT_START + 32), RULE_ID_NONE);
	CHECK(unwind_table__function_at(b.table, TEXT_START - 1) == NULL);
	CHECK(unwind_table__function_at(b.table, TEXT_START + 31) == &b.table->functions[0]);
	CHECK(unwind_table__function_at(b.table, TEXT_START + 32) == NULL);
	release(&b);
}

static void test_remember_restore(void)
{
	struct piece p = {0};
	size_t fde, cie = put_usual_cie(&p);
	struct built b;

	fde = begin_fde(&p, cie, TEXT_START, 64);
	PUT(&p, DW_CFA_advance_loc | 4, DW_CFA_def_cfa_offset, 48, DW_CFA_offset | 3, 3);
	PUT(&p, DW_CFA_remember_state, DW_CFA_remember_state);
	PUT(&p, DW_CFA_advance_loc | 4, DW_CFA_def_cfa_offset, 8, DW_CFA_restore | 3);
	PUT(&p, DW_CFA_advance_loc | 4, DW_CFA_restore_state);
	PUT(&p, DW_CFA_advance_loc | 4, DW_CFA_def_cfa, 6, 16, DW_CFA_same_value, 3);
	PUT(&p, DW_CFA_advance_loc | 4, DW_CFA_restore_state);
	end_entry(&p, fde);
	b = build(&p);
	CHECK_EQ(b.table->skipped, 0);
	CHECK_CFA(&b, TEXT_START + 4, CFA_REG, DW_REG_RSP, 48);
	CHECK_CFA(&b, TEXT_START + 8, CFA_REG, DW_REG_RSP, 8);
	CHECK_SAVED(&b, TEXT_START + 8, SAVED_RBX, BASE_SAME, 0);
	CHECK_CFA(&b, TEXT_START + 12, CFA_REG, DW_REG_RSP, 48);
	CHECK_SAVED(&b, TEXT_START + 12, SAVED_RBX, BASE_CFA, -24);
	CHECK_CFA(&b, TEXT_START + 16, CFA_REG, DW_REG_RBP, 16);
	CHECK_CFA(&b, TEXT_START + 20, CFA_REG, DW_REG_RSP, 48);
	CHECK_SAVED(&b, TEXT_START + 63, SAVED_RBX, BASE_CFA, -24);
	release(&b);
}

static void put_plt_fde(struct piece *p, size_t cie, uint64_t pc, uint8_t push_offset)
{
	size_t fde = begin_fde(p, cie, pc, 64);

	PUT(p, DW_CFA_def_cfa_offset, 16, DW_CFA_advance_loc | 6, DW_CFA_def_cfa_offset, 24);
	PUT(p, DW_CFA_advance_loc | 10, DW_CFA_def_cfa_expression, 11, DW_OP_breg7, 8, DW_OP_breg16,
	    0, DW_OP_lit15, DW_OP_and, (uint8_t)(DW_OP_lit0 + push_offset), DW_OP_ge, DW_OP_lit3,
	    DW_OP_shl, DW_OP_plus);
	end_entry(p, fde);
}

static void test_plt(void)
{
	struct piece p = {0};
	size_t cie = put_usual_cie(&p);
	struct built b;

	put_plt_fde(&p, cie, TEXT_START, 11);
	put_plt_fde(&p, cie, TEXT_START + 64, 10);
	b = build(&p);
	CHECK_CFA(&b, TEXT_START, CFA_REG, DW_REG_RSP, 16);
	CHECK_CFA(&b, TEXT_START + 6, CFA_REG, DW_REG_RSP, 24);
	CHECK_CFA(&b, TEXT_START + 16, CFA_PLT, DW_REG_RSP, 11);
	CHECK_SAVED(&b, TEXT_START + 16, SAVED_RA, BASE_CFA, -8);
	CHECK_CFA(&b, TEXT_START + 64 + 63, CFA_PLT, DW_REG_RSP, 10);
	release(&b);
}

/* GCC's stack realignment: CFA from r10, then from a slot below rbp; registers relative to rbp. */
static void test_realigned_stack(void)
{
	struct piece p = {0};
	size_t fde, cie = put_usual_cie(&p);
	struct built b;

	fde = begin_fde(&p, cie, TEXT_START, 64);
	PUT(&p, DW_CFA_advance_loc | 5, DW_CFA_def_cfa, 10, 0);
	PUT(&p, DW_CFA_advance_loc | 8, DW_CFA_expression, 6, 2, DW_OP_breg6, 0);
	PUT(&p, DW_CFA_advance_loc | 4, DW_CFA_def_cfa_expression, 3, DW_OP_breg6, 0x78,
	    DW_OP_deref);
	PUT(&p, DW_CFA_expression, 12, 2, DW_OP_breg6, 0x70);
	PUT(&p, DW_CFA_advance_loc | 4, DW_CFA_def_cfa_expression, 6, DW_OP_breg7, 0xa0, 1,
	    DW_OP_deref, DW_OP_plus_uconst, 8);
	PUT(&p, DW_CFA_advance_loc | 4, DW_CFA_def_cfa_expression, 5, DW_OP_breg7, 16, DW_OP_deref,
	    DW_OP_lit8, DW_OP_plus);
	PUT(&p, DW_CFA_advance_loc | 4, DW_CFA_def_cfa_expression, 2, DW_OP_breg13, 24);
	end_entry(&p, fde);
	b = build(&p);
	CHECK_EQ(b.table->skipped, 0);
	CHECK_CFA(&b, TEXT_START + 5, CFA_REG, DW_REG_R10, 0);
	CHECK_SAVED(&b, TEXT_START + 13, SAVED_RBP, DW_REG_RBP, 0);
	CHECK_CFA(&b, TEXT_START + 17, CFA_DEREF, DW_REG_RBP, -8);
	CHECK_EQ(rule_at(&b, TEXT_START + 17)->cfa_offset2, 0);
	CHECK_SAVED(&b, TEXT_START + 17, SAVED_R12, DW_REG_RBP, -16);
	CHECK_CFA(&b, TEXT_START + 21, CFA_DEREF, DW_REG_RSP, 160);
	CHECK_EQ(rule_at(&b, TEXT_START + 21)->cfa_offset2, 8);
	CHECK_CFA(&b, TEXT_START + 25, CFA_DEREF, DW_REG_RSP, 16);
	CHECK_EQ(rule_at(&b, TEXT_START + 25)->cfa_offset2, 8);
	CHECK_CFA(&b, TEXT_START + 29, CFA_REG, DW_REG_R13, 24);
	release(&b);
}

static void put_signal_fde(struct piece *p, const char *augmentation, uint64_t pc)
{
	size_t cie, fde;

	cie = begin_cie(p, augmentation);
	end_entry(p, cie);
	fde = begin_fde(p, cie, pc, 16);
	PUT(p, DW_CFA_def_cfa_expression, 4, DW_OP_breg7, 0xa0, 1, DW_OP_deref);
	PUT(p, DW_CFA_expression, 6, 3, DW_OP_breg7, 0xf8, 0);
	PUT(p, DW_CFA_expression, 16, 3, DW_OP_breg7, 0xa8, 1);
	end_entry(p, fde);
}

static void test_signal_frame(void)
{
	struct piece p = {0};
	struct built b;

	put_signal_fde(&p, "zRS", TEXT_START);
	put_signal_fde(&p, "zR", TEXT_START + 16);
	b = build(&p);
	CHECK_CFA(&b, TEXT_START, CFA_SIGNAL, DW_REG_RSP, 160);
	CHECK_SAVED(&b, TEXT_START, SAVED_RBP, DW_REG_RSP, 120);
	CHECK_SAVED(&b, TEXT_START, SAVED_RA, DW_REG_RSP, 168);
	CHECK_CFA(&b, TEXT_START + 16, CFA_DEREF, DW_REG_RSP, 160);
	release(&b);
}

static void test_outermost_frame(void)
{
	struct piece p = {0};
	size_t fde, cie = put_usual_cie(&p);
	struct built b;

	fde = begin_fde(&p, cie, TEXT_START, 16);
	PUT(&p, DW_CFA_undefined, 16);
	end_entry(&p, fde);
	/* No rule for the return address at all: not an end, but nothing to go on from. */
	cie = begin_cie(&p, "zR");
	PUT(&p, DW_CFA_def_cfa, 7, 8);
	end_entry(&p, cie);
	fde = begin_fde(&p, cie, TEXT_START + 16, 16);
	end_entry(&p, fde);
	b = build(&p);
	CHECK_CFA(&b, TEXT_START, CFA_END, DW_REG_RSP, 8);
	CHECK_SAVED(&b, TEXT_START, SAVED_RA, BASE_UNDEFINED, 0);
	CHECK_EQ(rule_at(&b, TEXT_START + 16)->cfa_kind, CFA_UNSUPPORTED);
	release(&b);
}

static void test_register_rules(void)
{
	struct piece p = {0};
	size_t fde, cie = put_usual_cie(&p);
	struct built b;

	fde = begin_fde(&p, cie, TEXT_START, 64);
	PUT(&p, DW_CFA_register, 3, 12);		       /* rbx is in r12 */
	PUT(&p, DW_CFA_val_offset, 6, 2);		       /* rbp = CFA - 16 */
	PUT(&p, DW_CFA_val_expression, 12, 2, DW_OP_breg7, 4); /* r12 = rsp + 4 */
	PUT(&p, DW_CFA_offset_extended_sf, 13, 0x7d);	       /* r13 at CFA + 24 */
	PUT(&p, DW_CFA_undefined, 14);
	PUT(&p, DW_CFA_GNU_negative_offset_extended, 15, 4); /* r15 at CFA + 32 */
	PUT(&p, DW_CFA_offset | 0, 9, DW_CFA_GNU_args_size, 16);
	PUT(&p, DW_CFA_advance_loc2, 4, 0, DW_CFA_restore_extended, 13, DW_CFA_same_value, 14);
	PUT(&p, DW_CFA_offset_extended, 3);
	put_uleb(&p, 4097); /* CFA - 32776 does not fit a rule */
	PUT(&p, DW_CFA_def_cfa_sf, 6, 0x7e, DW_CFA_advance_loc4, 4, 0, 0, 0);
	PUT(&p, DW_CFA_def_cfa_offset_sf, 0x7d, DW_CFA_val_expression, 12, 1, DW_OP_lit0);
	PUT(&p, DW_CFA_advance_loc | 4, DW_CFA_register, 16, 1); /* the return address is in rdx */
	end_entry(&p, fde);
	b = build(&p);
	CHECK_EQ(b.table->skipped, 0);
	CHECK_SAVED(&b, TEXT_START, SAVED_RBX, BASE_VALUE + DW_REG_R12, 0);
	CHECK_SAVED(&b, TEXT_START, SAVED_RBP, BASE_VALUE + DW_REG_RSP, -8);
	CHECK_SAVED(&b, TEXT_START, SAVED_R12, BASE_VALUE + DW_REG_RSP, 4);
	CHECK_SAVED(&b, TEXT_START, SAVED_R13, BASE_CFA, 24);
	CHECK_SAVED(&b, TEXT_START, SAVED_R14, BASE_UNDEFINED, 0);
	CHECK_SAVED(&b, TEXT_START, SAVED_R15, BASE_CFA, 32);
	CHECK_CFA(&b, TEXT_START + 4, CFA_REG, DW_REG_RBP, 16);
	CHECK_SAVED(&b, TEXT_START + 4, SAVED_R13, BASE_SAME, 0);
	CHECK_SAVED(&b, TEXT_START + 4, SAVED_R14, BASE_SAME, 0);
	CHECK_SAVED(&b, TEXT_START + 4, SAVED_RBX, BASE_UNDEFINED, 0);
	CHECK_CFA(&b, TEXT_START + 8, CFA_REG, DW_REG_RBP, 24);
	CHECK_SAVED(&b, TEXT_START + 8, SAVED_R12, BASE_UNDEFINED, 0);
	CHECK_SAVED(&b, TEXT_START + 12, SAVED_RA, BASE_VALUE + DW_REG_RDX, 0);
	release(&b);
}

/* As GCC ends _Unwind_RaiseException: mov rsp, rcx; pop rcx; jmp rcx. */
static void test_resume_throw(void)
{
	struct piece p = {0};
	size_t fde, cie = put_usual_cie(&p);
	struct built b;

	fde = begin_fde(&p, cie, TEXT_START, 64);
	PUT(&p, DW_CFA_def_cfa, 6, 16, DW_CFA_offset | 6, 2, DW_CFA_offset | 3, 7);
	PUT(&p, DW_CFA_remember_state);
	PUT(&p, DW_CFA_advance_loc | 4, DW_CFA_def_cfa, 2, 8, DW_CFA_restore | 6);
	PUT(&p, DW_CFA_advance_loc | 3, DW_CFA_def_cfa_register, 7);
	PUT(&p, DW_CFA_advance_loc | 1, DW_CFA_def_cfa_offset, 0, DW_CFA_register, 16, 2);
	PUT(&p, DW_CFA_advance_loc | 4, DW_CFA_restore_state);
	end_entry(&p, fde);
	b = build(&p);
	CHECK_SAVED(&b, TEXT_START, SAVED_RBX, BASE_CFA, -56);
	CHECK_CFA(&b, TEXT_START + 4, CFA_REG, DW_REG_RCX, 8);
	CHECK_SAVED(&b, TEXT_START + 4, SAVED_RBX, BASE_SAME, 0);
	CHECK_SAVED(&b, TEXT_START + 4, SAVED_RA, BASE_CFA, -8);
	CHECK_CFA(&b, TEXT_START + 7, CFA_REG, DW_REG_RSP, 8);
	CHECK_SAVED(&b, TEXT_START + 7, SAVED_RBX, BASE_SAME, 0);
	CHECK_CFA(&b, TEXT_START + 8, CFA_REG, DW_REG_RSP, 0);
	CHECK_SAVED(&b, TEXT_START + 8, SAVED_RA, BASE_VALUE + DW_REG_RCX, 0);
	CHECK_CFA(&b, TEXT_START + 12, CFA_REG, DW_REG_RBP, 16);
	CHECK_SAVED(&b, TEXT_START + 12, SAVED_RBX, BASE_CFA, -56);
	release(&b);
}

static void test_unsupported(void)
{
	struct piece p = {0};
	size_t fde, cie = put_usual_cie(&p);
	struct built b;

	fde = begin_fde(&p, cie, TEXT_START, 64);
	PUT(&p, DW_CFA_def_cfa_expression, 6, DW_OP_breg7, 8, DW_OP_breg9, 0, DW_OP_plus,
	    DW_OP_deref);
	PUT(&p, DW_CFA_advance_loc | 4, DW_CFA_def_cfa_expression, 0);
	PUT(&p, DW_CFA_advance_loc | 4, DW_CFA_def_cfa, 16, 8);
	PUT(&p, DW_CFA_advance_loc | 4, DW_CFA_def_cfa, 7);
	put_uleb(&p, 1ull << 31);
	PUT(&p, DW_CFA_advance_loc | 4, DW_CFA_def_cfa, 7, 8, DW_CFA_expression, 16, 1, DW_OP_dup);
	PUT(&p, DW_CFA_advance_loc | 4, DW_CFA_offset | 16, 1);
	end_entry(&p, fde);
	b = build(&p);
	CHECK_EQ(b.table->skipped, 0);
	CHECK_EQ(b.table->row_count, 3); /* all unsupported rows are one */
	CHECK_CFA(&b, TEXT_START, CFA_UNSUPPORTED, 0, 0);
	CHECK_CFA(&b, TEXT_START + 16, CFA_UNSUPPORTED, 0, 0);
	CHECK_CFA(&b, TEXT_START + 20, CFA_REG, DW_REG_RSP, 8);
	release(&b);
}

/* Instructions go on past the FDE's end, and set_loc jumps. */
static void test_clipping(void)
{
	struct piece p = {0};
	size_t fde, cie = put_usual_cie(&p);
	struct built b;

	fde = begin_fde(&p, cie, TEXT_START, 16);
	PUT(&p, DW_CFA_set_loc);
	put_u32(&p, (uint32_t)(TEXT_START + 8 - (EH_FRAME_VADDR + p.size)));
	PUT(&p, DW_CFA_def_cfa_offset, 16, DW_CFA_advance_loc | 8, DW_CFA_def_cfa_offset, 24);
	PUT(&p, DW_CFA_advance_loc | 8, DW_CFA_def_cfa_offset, 32);
	end_entry(&p, fde);
	fde = begin_fde(&p, cie, TEXT_START + 32, 16); /* set_loc backwards */
	PUT(&p, DW_CFA_set_loc);
	put_u32(&p, (uint32_t)(TEXT_START - (EH_FRAME_VADDR + p.size)));
	end_entry(&p, fde);
	b = build(&p);
	CHECK_EQ(b.table->row_count, 3);
	CHECK_EQ(b.table->skipped, 1);
	CHECK_CFA(&b, TEXT_START + 7, CFA_REG, DW_REG_RSP, 8);
	CHECK_CFA(&b, TEXT_START + 15, CFA_REG, DW_REG_RSP, 16);
	CHECK_EQ(unwind_table__rule_at(b.table, TEXT_START + 16), RULE_ID_NONE);
	release(&b);
}

int main(void)
{
	elf_version(EV_CURRENT);
	RUN(test_push_and_pop, "pushes and pops give rows");
	RUN(test_remember_restore, "remember_state and restore_state nest");
	RUN(test_plt, "the PLT's expression is recognised");
	RUN(test_realigned_stack, "GCC's realigned stacks are recognised");
	RUN(test_signal_frame, "a signal frame is one only with augmentation S");
	RUN(test_outermost_frame, "an undefined return address ends the stack");
	RUN(test_register_rules, "every register rule is translated");
	RUN(test_resume_throw, "registers are already those of the frame that a throw resumes");
	RUN(test_unsupported, "other expressions are unsupported, not wrong");
	RUN(test_clipping, "rows are clipped to the FDE");
	return TEST_RESULT();
}
