/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Call frame instructions assembled by hand: each form that the walker depends on, and forms that
 * only a corrupt file has.
 */
#include <errno.h>
#include <libelf.h>

#include "../test.h"
#include "test_unwind_synthetic.h"
#include "unwind/unwind_table.h"

struct built {
	struct unwind_rules *rules;
	struct unwind_table *table;
};

static struct built build(const struct piece *piece)
{
	struct built built = {.rules = unwind_rules__new()};
	size_t file_size;
	struct synthetic_elf *file = synthetic_elf__new(piece->bytes, piece->size, 1, &file_size);
	Elf *elf = elf_memory((char *)file, file_size);

	CHECK(built.rules && file && elf);
	CHECK_EQ(unwind_table__build(elf, built.rules, &built.table), 0);
	elf_end(elf);
	free(file);
	return built;
}

static void release(struct built *built)
{
	unwind_table__free(built->table);
	unwind_rules__free(built->rules);
}

static const struct unwind_rule *rule_at(const struct built *built, uint64_t pc)
{
	return unwind_rules__get(built->rules, unwind_table__rule_at(built->table, pc));
}

#define CHECK_CFA(built_, pc_, kind_, reg_, offset_)                                               \
	do {                                                                                       \
		const struct unwind_rule *rule_ = rule_at(built_, pc_);                            \
		CHECK_EQ(rule_->cfa_kind, kind_);                                                  \
		CHECK_EQ(rule_->cfa_reg, reg_);                                                    \
		CHECK_EQ(rule_->cfa_offset, offset_);                                              \
		CHECK_EQ(rule_->vm_base_reg, VM_NO_REG);                                           \
		CHECK_EQ(rule_->flags | rule_->vm_flags | rule_->reserved, 0);                     \
	} while (0)

#define CHECK_SAVED(built_, pc_, which_, base_, offset_)                                           \
	do {                                                                                       \
		const struct unwind_rule *rule_ = rule_at(built_, pc_);                            \
		CHECK_EQ(rule_->saved_base[which_], base_);                                        \
		CHECK_EQ(rule_->saved_offset[which_], offset_);                                    \
	} while (0)

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
	CHECK_CFA(&b, TEXT_START, CFA_REG, REG_RSP, 8);
	CHECK_SAVED(&b, TEXT_START, SAVED_RA, BASE_CFA, -8);
	CHECK_SAVED(&b, TEXT_START, SAVED_RBP, BASE_SAME, 0);
	CHECK_CFA(&b, TEXT_START + 1, CFA_REG, REG_RSP, 16);
	CHECK_SAVED(&b, TEXT_START + 1, SAVED_RBP, BASE_CFA, -16);
	CHECK_CFA(&b, TEXT_START + 4, CFA_REG, REG_RBP, 16);
	CHECK_CFA(&b, TEXT_START + 24, CFA_REG, REG_RSP, 8);
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
	CHECK_CFA(&b, TEXT_START + 4, CFA_REG, REG_RSP, 48);
	CHECK_CFA(&b, TEXT_START + 8, CFA_REG, REG_RSP, 8);
	CHECK_SAVED(&b, TEXT_START + 8, SAVED_RBX, BASE_SAME, 0);
	CHECK_CFA(&b, TEXT_START + 12, CFA_REG, REG_RSP, 48);
	CHECK_SAVED(&b, TEXT_START + 12, SAVED_RBX, BASE_CFA, -24);
	CHECK_CFA(&b, TEXT_START + 16, CFA_REG, REG_RBP, 16);
	CHECK_CFA(&b, TEXT_START + 20, CFA_REG, REG_RSP, 48);
	CHECK_SAVED(&b, TEXT_START + 63, SAVED_RBX, BASE_CFA, -24);
	release(&b);
}

/* A restore without a remember, and more remembers than the stack holds. */
static void test_state_stack_bounds(void)
{
	struct piece p = {0};
	size_t fde, cie = put_usual_cie(&p);
	struct built b;

	fde = begin_fde(&p, cie, TEXT_START, 16);
	PUT(&p, DW_CFA_restore_state);
	end_entry(&p, fde);
	fde = begin_fde(&p, cie, TEXT_START + 16, 16);
	for (int i = 0; i < 17; i++)
		PUT(&p, DW_CFA_remember_state);
	end_entry(&p, fde);
	fde = begin_fde(&p, cie, TEXT_START + 32, 16);
	for (int i = 0; i < 16; i++)
		PUT(&p, DW_CFA_remember_state);
	end_entry(&p, fde);
	b = build(&p);
	CHECK_EQ(b.table->skipped, 2);
	CHECK_EQ(b.table->function_count, 1);
	CHECK_EQ(unwind_table__rule_at(b.table, TEXT_START), RULE_ID_NONE);
	CHECK_EQ(unwind_table__rule_at(b.table, TEXT_START + 16), RULE_ID_NONE);
	CHECK_CFA(&b, TEXT_START + 32, CFA_REG, REG_RSP, 8);
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
	CHECK_CFA(&b, TEXT_START, CFA_REG, REG_RSP, 16);
	CHECK_CFA(&b, TEXT_START + 6, CFA_REG, REG_RSP, 24);
	CHECK_CFA(&b, TEXT_START + 16, CFA_PLT, REG_RSP, 11);
	CHECK_SAVED(&b, TEXT_START + 16, SAVED_RA, BASE_CFA, -8);
	CHECK_CFA(&b, TEXT_START + 64 + 63, CFA_PLT, REG_RSP, 10);
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
	CHECK_CFA(&b, TEXT_START + 5, CFA_REG, REG_R10, 0);
	CHECK_SAVED(&b, TEXT_START + 13, SAVED_RBP, REG_RBP, 0);
	CHECK_CFA(&b, TEXT_START + 17, CFA_DEREF, REG_RBP, -8);
	CHECK_EQ(rule_at(&b, TEXT_START + 17)->cfa_offset2, 0);
	CHECK_SAVED(&b, TEXT_START + 17, SAVED_R12, REG_RBP, -16);
	CHECK_CFA(&b, TEXT_START + 21, CFA_DEREF, REG_RSP, 160);
	CHECK_EQ(rule_at(&b, TEXT_START + 21)->cfa_offset2, 8);
	CHECK_CFA(&b, TEXT_START + 25, CFA_DEREF, REG_RSP, 16);
	CHECK_EQ(rule_at(&b, TEXT_START + 25)->cfa_offset2, 8);
	CHECK_CFA(&b, TEXT_START + 29, CFA_REG, REG_R13, 24);
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
	CHECK_CFA(&b, TEXT_START, CFA_SIGNAL, REG_RSP, 160);
	CHECK_SAVED(&b, TEXT_START, SAVED_RBP, REG_RSP, 120);
	CHECK_SAVED(&b, TEXT_START, SAVED_RA, REG_RSP, 168);
	CHECK_CFA(&b, TEXT_START + 16, CFA_DEREF, REG_RSP, 160);
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
	CHECK_CFA(&b, TEXT_START, CFA_END, REG_RSP, 8);
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
	CHECK_SAVED(&b, TEXT_START, SAVED_RBX, BASE_VALUE + REG_R12, 0);
	CHECK_SAVED(&b, TEXT_START, SAVED_RBP, BASE_VALUE + REG_RSP, -8);
	CHECK_SAVED(&b, TEXT_START, SAVED_R12, BASE_VALUE + REG_RSP, 4);
	CHECK_SAVED(&b, TEXT_START, SAVED_R13, BASE_CFA, 24);
	CHECK_SAVED(&b, TEXT_START, SAVED_R14, BASE_UNDEFINED, 0);
	CHECK_SAVED(&b, TEXT_START, SAVED_R15, BASE_CFA, 32);
	CHECK_CFA(&b, TEXT_START + 4, CFA_REG, REG_RBP, 16);
	CHECK_SAVED(&b, TEXT_START + 4, SAVED_R13, BASE_SAME, 0);
	CHECK_SAVED(&b, TEXT_START + 4, SAVED_R14, BASE_SAME, 0);
	CHECK_SAVED(&b, TEXT_START + 4, SAVED_RBX, BASE_UNDEFINED, 0);
	CHECK_CFA(&b, TEXT_START + 8, CFA_REG, REG_RBP, 24);
	CHECK_SAVED(&b, TEXT_START + 8, SAVED_R12, BASE_UNDEFINED, 0);
	CHECK_SAVED(&b, TEXT_START + 12, SAVED_RA, BASE_VALUE + REG_RDX, 0);
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
	CHECK_CFA(&b, TEXT_START + 20, CFA_REG, REG_RSP, 8);
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
	CHECK_CFA(&b, TEXT_START + 7, CFA_REG, REG_RSP, 8);
	CHECK_CFA(&b, TEXT_START + 15, CFA_REG, REG_RSP, 16);
	CHECK_EQ(unwind_table__rule_at(b.table, TEXT_START + 16), RULE_ID_NONE);
	release(&b);
}

static void put_simple_fde(struct piece *p, size_t cie, uint64_t pc, uint32_t bytes, uint8_t offset)
{
	size_t fde = begin_fde(p, cie, pc, bytes);

	PUT(p, DW_CFA_def_cfa_offset, offset);
	end_entry(p, fde);
}

/* FDEs out of order, overlapping, twice at one address, adjacent, apart. */
static void test_overlapping(void)
{
	struct piece p = {0};
	size_t cie = put_usual_cie(&p);
	struct built b;

	put_simple_fde(&p, cie, TEXT_START + 64, 16, 24);
	put_simple_fde(&p, cie, TEXT_START, 32, 16);
	put_simple_fde(&p, cie, TEXT_START + 16, 8, 32);  /* inside the one before */
	put_simple_fde(&p, cie, TEXT_START + 64, 32, 40); /* the first at this address wins */
	put_simple_fde(&p, cie, TEXT_START + 80, 16, 24); /* adjacent, the same rule */
	b = build(&p);
	CHECK_CFA(&b, TEXT_START + 15, CFA_REG, REG_RSP, 16);
	CHECK_CFA(&b, TEXT_START + 16, CFA_REG, REG_RSP, 32);
	CHECK_EQ(unwind_table__rule_at(b.table, TEXT_START + 24), RULE_ID_NONE);
	CHECK_EQ(unwind_table__rule_at(b.table, TEXT_START + 40), RULE_ID_NONE);
	CHECK_CFA(&b, TEXT_START + 64, CFA_REG, REG_RSP, 24);
	CHECK_CFA(&b, TEXT_START + 95, CFA_REG, REG_RSP, 24);
	CHECK_EQ(unwind_table__rule_at(b.table, TEXT_START + 96), RULE_ID_NONE);
	CHECK_EQ(b.table->row_count, 5);
	CHECK_EQ(b.table->function_count, 4);
	CHECK_EQ(b.table->functions[2].start, TEXT_START + 64);
	CHECK_EQ(b.table->functions[2].end, TEXT_START + 80);
	release(&b);
}

static void test_corrupt_instructions(void)
{
	struct piece p = {0};
	size_t fde, cie = put_usual_cie(&p);
	struct built b;

	put_simple_fde(&p, cie, TEXT_START, 16, 16);
	/* Its first row equals the one before, so that it leaves no row; a later one is corrupt. */
	fde = begin_fde(&p, cie, TEXT_START + 16, 16);
	PUT(&p, DW_CFA_def_cfa_offset, 16, DW_CFA_advance_loc | 2, DW_CFA_def_cfa_offset, 64);
	PUT(&p, DW_CFA_advance_loc | 1, DW_CFA_def_cfa_offset, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80,
	    0x80, 0x80, 0x80, 0x80, 0x80, 1);
	end_entry(&p, fde);
	fde = begin_fde(&p, cie, TEXT_START + 32, 16); /* a LEB128 that the entry's end cuts off */
	PUT(&p, DW_CFA_nop, DW_CFA_nop, DW_CFA_nop, DW_CFA_nop, DW_CFA_nop, DW_CFA_def_cfa_offset,
	    0xff);
	while (p.size % 4)
		PUT(&p, 0xff);
	end_entry(&p, fde);
	fde = begin_fde(&p, cie, TEXT_START + 48, 16); /* an expression longer than the entry */
	PUT(&p, DW_CFA_def_cfa_expression, 100);
	end_entry(&p, fde);
	fde = begin_fde(&p, cie, TEXT_START + 64, 16); /* an unknown opcode */
	PUT(&p, 0x3f);
	end_entry(&p, fde);
	put_simple_fde(&p, cie, TEXT_START + 80, 16, 24);
	put_simple_fde(&p, cie, TEXT_END - 8, 16, 24); /* beyond the text segment */
	b = build(&p);
	CHECK_EQ(b.table->skipped, 5);
	CHECK_EQ(b.table->function_count, 2);
	CHECK_EQ(b.table->row_count, 4);
	CHECK_CFA(&b, TEXT_START + 15, CFA_REG, REG_RSP, 16);
	CHECK_EQ(unwind_table__rule_at(b.table, TEXT_START + 16), RULE_ID_NONE);
	CHECK_EQ(unwind_table__rule_at(b.table, TEXT_START + 79), RULE_ID_NONE);
	CHECK_CFA(&b, TEXT_START + 80, CFA_REG, REG_RSP, 24);
	release(&b);
}

/* Whatever the section is cut off at, the entries before are kept. */
static void test_truncated(void)
{
	struct piece p = {0};
	size_t cie = put_usual_cie(&p), first, second;

	put_simple_fde(&p, cie, TEXT_START, 16, 16);
	first = p.size;
	put_simple_fde(&p, cie, TEXT_START + 16, 16, 24);
	second = p.size;
	for (size_t size = 0; size <= second; size++) {
		struct piece cut = {.size = size};
		struct built b;

		memcpy(cut.bytes, p.bytes, size);
		b = build(&cut);
		CHECK_EQ(b.table->function_count, size == second ? 2 : size >= first ? 1 : 0);
		release(&b);
	}
}

/* An entry that claims to be longer than the section ends the walk; a wrong CIE does not. */
static void test_untrusted_entries(void)
{
	struct piece p = {0};
	size_t fde, cie = put_usual_cie(&p);
	uint32_t length = 0x7fffffff;
	struct built b;

	fde = begin_fde(&p, cie, TEXT_START, 16);
	end_entry(&p, fde);
	p.bytes[fde + 4]++; /* refers into the middle of the CIE */
	put_simple_fde(&p, cie, TEXT_START + 16, 16, 16);
	fde = begin_fde(&p, cie, TEXT_START + 32, 16);
	end_entry(&p, fde);
	memcpy(p.bytes + fde, &length, sizeof(length));
	put_simple_fde(&p, cie, TEXT_START + 48, 16, 16);
	b = build(&p);
	CHECK_EQ(b.table->function_count, 1);
	CHECK_EQ(b.table->skipped, 2);
	CHECK_CFA(&b, TEXT_START + 16, CFA_REG, REG_RSP, 16);
	release(&b);
}

/* A CIE with a personality and language-specific data, and one whose return address column or
 * augmentation is not known. */
static void test_augmentations(void)
{
	struct piece p = {0};
	size_t cie, fde, start;
	struct built b;

	cie = p.size;
	put_u32(&p, 0);
	put_u32(&p, 0);
	PUT(&p, 1, 'z', 'P', 'L', 'R', 0, 1, 0x78, 16, 7);
	PUT(&p, DW_EH_PE_indirect | DW_EH_PE_pcrel | DW_EH_PE_sdata4, 1, 2, 3, 4);
	PUT(&p, DW_EH_PE_pcrel | DW_EH_PE_sdata4, DW_EH_PE_udata4);
	PUT(&p, DW_CFA_def_cfa, 7, 8, DW_CFA_offset | 16, 1);
	end_entry(&p, cie);
	fde = p.size;
	put_u32(&p, 0);
	put_u32(&p, (uint32_t)(p.size - cie));
	put_u32(&p, TEXT_START);
	put_u32(&p, 16);
	PUT(&p, 4, 0, 0, 0, 0, DW_CFA_def_cfa_offset, 16);
	end_entry(&p, fde);

	start = begin_cie(&p, "zR");
	p.bytes[start + 14] = 15; /* the return address column */
	end_entry(&p, start);
	put_simple_fde(&p, start, TEXT_START + 16, 16, 16);
	start = begin_cie(&p, "zR");
	memcpy(p.bytes + start + 9, "eh", 2);
	end_entry(&p, start);
	put_simple_fde(&p, start, TEXT_START + 32, 16, 16);
	b = build(&p);
	CHECK_CFA(&b, TEXT_START, CFA_REG, REG_RSP, 16);
	CHECK_EQ(b.table->function_count, 1);
	CHECK_EQ(b.table->skipped, 4);
	release(&b);
}

/* Encodings of code addresses: absolute 8 bytes (no 'R'), 2 bytes, LEB128; indirect is refused. */
static void test_pointer_encodings(void)
{
	static const uint8_t encodings[] = {DW_EH_PE_absptr,
					    DW_EH_PE_udata8,
					    DW_EH_PE_udata4,
					    DW_EH_PE_sdata8,
					    DW_EH_PE_uleb128,
					    DW_EH_PE_sleb128,
					    DW_EH_PE_indirect | DW_EH_PE_udata4,
					    DW_EH_PE_udata2};

	for (size_t i = 0; i < sizeof(encodings); i++) {
		struct piece p = {0};
		size_t fde, cie = begin_cie(&p, "zR");
		uint64_t start = TEXT_START, range = 16;
		struct built b;

		p.bytes[p.size - 1] = encodings[i];
		PUT(&p, DW_CFA_def_cfa, 7, 8, DW_CFA_offset | 16, 1);
		end_entry(&p, cie);
		fde = p.size;
		put_u32(&p, 0);
		put_u32(&p, (uint32_t)(p.size - cie));
		switch (encodings[i] & 7) {
		case DW_EH_PE_uleb128:		      /* and sleb128 */
			PUT(&p, 0x80, 0x80, 0xc0, 0); /* a last byte without the sign bit */
			PUT(&p, 16);
			break;
		case DW_EH_PE_udata2:
			PUT(&p, 0, 0x10, 16, 0);
			break;
		case DW_EH_PE_udata4:
			put_u32(&p, TEXT_START);
			put_u32(&p, 16);
			break;
		default:
			put_bytes(&p, &start, 8);
			put_bytes(&p, &range, 8);
		}
		PUT(&p, 0);
		end_entry(&p, fde);
		b = build(&p);
		/* The last two: refused, and an address below the text segment. */
		CHECK_EQ(b.table->function_count, i < 6);
		CHECK_EQ(b.table->skipped, i >= 6);
		if (b.table->function_count)
			CHECK_EQ(b.table->functions[0].start, TEXT_START);
		release(&b);
	}
}

static void test_not_elf(void)
{
	struct unwind_rules *rules = unwind_rules__new();
	struct unwind_table *table;
	struct piece p = {0};
	size_t file_size;
	struct synthetic_elf *file = synthetic_elf__new(p.bytes, 0, 0, &file_size);
	char text[64] = "not an ELF file";
	Elf *elf;

	elf = elf_memory((char *)file, file_size);
	CHECK_EQ(unwind_table__build(elf, rules, &table), 0);
	CHECK_EQ(table->row_count, 0);
	CHECK_EQ(unwind_table__rule_at(table, TEXT_START), RULE_ID_NONE);
	CHECK(unwind_table__function_at(table, TEXT_START) == NULL);
	unwind_table__free(table);
	elf_end(elf);

	file->ehdr.e_machine = EM_AARCH64;
	elf = elf_memory((char *)file, file_size);
	CHECK_EQ(unwind_table__build(elf, rules, &table), -ENOEXEC);
	CHECK(table == NULL);
	elf_end(elf);

	elf = elf_memory(text, sizeof(text));
	CHECK_EQ(unwind_table__build(elf, rules, &table), -ENOEXEC);
	elf_end(elf);
	free(file);
	unwind_rules__free(rules);
}

int main(void)
{
	elf_version(EV_CURRENT);
	RUN(test_push_and_pop, "pushes and pops give rows");
	RUN(test_remember_restore, "remember_state and restore_state nest");
	RUN(test_state_stack_bounds, "the state stack is bounded at both ends");
	RUN(test_plt, "the PLT's expression is recognised");
	RUN(test_realigned_stack, "GCC's realigned stacks are recognised");
	RUN(test_signal_frame, "a signal frame is one only with augmentation S");
	RUN(test_outermost_frame, "an undefined return address ends the stack");
	RUN(test_register_rules, "every register rule is translated");
	RUN(test_unsupported, "other expressions are unsupported, not wrong");
	RUN(test_clipping, "rows are clipped to the FDE");
	RUN(test_overlapping, "overlapping FDEs give a deterministic table");
	RUN(test_corrupt_instructions, "a corrupt FDE is left out without a trace");
	RUN(test_truncated, "a truncated section keeps what is whole");
	RUN(test_untrusted_entries, "entries with wrong lengths or CIEs are skipped");
	RUN(test_augmentations, "augmentation data is stepped over or refused");
	RUN(test_pointer_encodings, "every pointer encoding is read");
	RUN(test_not_elf, "other files are refused, files without .eh_frame are empty");
	return TEST_RESULT();
}
