/* SPDX-License-Identifier: Apache-2.0 */
/*
 * .eh_frame sections that contradict themselves, are cut off, or are encoded in unusual ways: what
 * is whole is kept, the rest is skipped and counted.
 */
#include <errno.h>

#include "../test.h"
#include "test_unwind_built.h"

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
	CHECK_CFA(&b, TEXT_START + 32, CFA_REG, DW_REG_RSP, 8);
	release(&b);
}

static void put_simple_fde(struct piece *p, size_t cie, uint64_t pc, uint32_t bytes, uint8_t offset)
{
	size_t fde = begin_fde(p, cie, pc, bytes);

	PUT(p, DW_CFA_def_cfa_offset, offset);
	end_entry(p, fde);
}

struct many {
	uint8_t *bytes;
	size_t size;
};

/* `count` equal CIEs, then what `p` has. */
static struct many many_cies(size_t count, const struct piece *p)
{
	struct piece cie = {0};
	struct many many;
	size_t i;

	put_usual_cie(&cie);
	many.size = count * cie.size + p->size;
	many.bytes = malloc(many.size);
	if (!many.bytes)
		abort();
	for (i = 0; i < count; i++)
		memcpy(many.bytes + i * cie.size, cie.bytes, cie.size);
	memcpy(many.bytes + count * cie.size, p->bytes, p->size);
	return many;
}

static struct built build_bytes(const uint8_t *bytes, size_t size, int has_sections)
{
	struct built b = {.rules = unwind_rules__new()};
	size_t file_size = 0;
	struct synthetic_elf *file = synthetic_elf__new(bytes, size, has_sections, &file_size);
	Elf *elf = elf_memory((char *)file, file_size);

	CHECK(b.rules && file && elf);
	CHECK_EQ(unwind_table__build(elf, b.rules, &b.table), 0);
	elf_end(elf);
	free(file);
	return b;
}

/* More CIEs than any linker leaves: those beyond are skipped, and with them their FDEs. */
static void test_many_cies(void)
{
	const size_t count = 4096 + 10;
	struct piece p = {0};
	struct many many = many_cies(count, &p);
	size_t cie_bytes = many.size / count;
	struct built b;

	free(many.bytes);
	/* One FDE of the first CIE, one of the last; begin_fde takes distances within the piece. */
	put_simple_fde(&p, (size_t)0 - count * cie_bytes, TEXT_START - count * cie_bytes, 16, 16);
	put_simple_fde(&p, (size_t)0 - cie_bytes, TEXT_START + 32 - count * cie_bytes, 16, 16);
	many = many_cies(count, &p);
	b = build_bytes(many.bytes, many.size, 1);
	CHECK_EQ(b.table->skipped, 10 + 1);
	CHECK_EQ(b.table->function_count, 1);
	CHECK_CFA(&b, TEXT_START, CFA_REG, DW_REG_RSP, 16);
	release(&b);
	free(many.bytes);
}

/* Of a section that claims more than any has, the beginning is read, with and without its header.
 */
static void test_huge_section(void)
{
	const size_t size = (64u << 20) + 4096;
	uint8_t *bytes = malloc(size);
	struct piece p = {0};
	int has_sections;
	size_t cie;

	if (!bytes)
		abort();
	memset(bytes, 0xff, size); /* no terminator */
	cie = put_usual_cie(&p);
	put_simple_fde(&p, cie, TEXT_START, 16, 16);
	memcpy(bytes, p.bytes, p.size);
	for (has_sections = 0; has_sections < 2; has_sections++) {
		struct built b = build_bytes(bytes, size, has_sections);

		CHECK_EQ(b.table->bytes, 64u << 20);
		CHECK_EQ(b.table->function_count, 1);
		CHECK_CFA(&b, TEXT_START, CFA_REG, DW_REG_RSP, 16);
		release(&b);
	}
	free(bytes);
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
	CHECK_CFA(&b, TEXT_START + 15, CFA_REG, DW_REG_RSP, 16);
	CHECK_CFA(&b, TEXT_START + 16, CFA_REG, DW_REG_RSP, 32);
	CHECK_EQ(unwind_table__rule_at(b.table, TEXT_START + 24), RULE_ID_NONE);
	CHECK_EQ(unwind_table__rule_at(b.table, TEXT_START + 40), RULE_ID_NONE);
	CHECK_CFA(&b, TEXT_START + 64, CFA_REG, DW_REG_RSP, 24);
	CHECK_CFA(&b, TEXT_START + 95, CFA_REG, DW_REG_RSP, 24);
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
	CHECK_CFA(&b, TEXT_START + 15, CFA_REG, DW_REG_RSP, 16);
	CHECK_EQ(unwind_table__rule_at(b.table, TEXT_START + 16), RULE_ID_NONE);
	CHECK_EQ(unwind_table__rule_at(b.table, TEXT_START + 79), RULE_ID_NONE);
	CHECK_CFA(&b, TEXT_START + 80, CFA_REG, DW_REG_RSP, 24);
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
	CHECK_CFA(&b, TEXT_START + 16, CFA_REG, DW_REG_RSP, 16);
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
	CHECK_CFA(&b, TEXT_START, CFA_REG, DW_REG_RSP, 16);
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
	size_t file_size = 0;
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
	RUN(test_state_stack_bounds, "the state stack is bounded at both ends");
	RUN(test_overlapping, "overlapping FDEs give a deterministic table");
	RUN(test_corrupt_instructions, "a corrupt FDE is left out without a trace");
	RUN(test_truncated, "a truncated section keeps what is whole");
	RUN(test_untrusted_entries, "entries with wrong lengths or CIEs are skipped");
	RUN(test_augmentations, "augmentation data is stepped over or refused");
	RUN(test_pointer_encodings, "every pointer encoding is read");
	RUN(test_not_elf, "other files are refused, files without .eh_frame are empty");
	RUN(test_many_cies, "more CIEs than linkers leave");
	RUN(test_huge_section, "of a huge section the beginning is read");
	return TEST_RESULT();
}
