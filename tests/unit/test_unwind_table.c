/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What is done with a table once it is built: rules are interned, ranges replaced, and the encoded
 * form searched as the kernel side does. test_unwind_cfi.c and test_unwind_oracle.c are about what
 * is in a table.
 */
#include <errno.h>
#include <fcntl.h>
#include <libelf.h>
#include <stdlib.h>
#include <unistd.h>

#include "../test.h"
#include "unwind/unwind_table.h"

/* A fixed sequence (xorshift64): a failure can be repeated. */
static uint64_t next_random(uint64_t *state)
{
	*state ^= *state << 13;
	*state ^= *state >> 7;
	*state ^= *state << 17;
	return *state;
}

static struct unwind_table *table_of(const struct unwind_row *rows, size_t count)
{
	struct unwind_table *table = calloc(1, sizeof(*table));

	table->rows = calloc(count ? count : 1, sizeof(*rows));
	if (count)
		memcpy(table->rows, rows, count * sizeof(*rows));
	table->row_count = count;
	return table;
}

static void check_rows(const struct unwind_table *table, const struct unwind_row *rows,
		       size_t count)
{
	CHECK_EQ(table->row_count, count);
	for (size_t i = 0; i < count && i < table->row_count; i++) {
		CHECK_EQ(table->rows[i].pc, rows[i].pc);
		CHECK_EQ(table->rows[i].rule, rows[i].rule);
	}
}

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

/* The kernel side's search: the page's slice of the rows, then halving it. */
static uint32_t encoded_rule_at(const struct file_table *file, const uint64_t *entries, uint64_t pc)
{
	const uint64_t *rows = entries + file->pages + 1;
	uint64_t offset = pc - file->text_base;
	uint64_t page = offset >> TEXT_PAGE_SHIFT;
	uint64_t low, high;

	if (pc < file->text_base || page >= file->pages)
		return RULE_ID_NONE;
	low = entries[page];
	high = entries[page + 1];
	while (low < high) {
		uint64_t middle = (low + high) / 2;

		if (ROW_PC(rows[middle]) <= offset)
			low = middle + 1;
		else
			high = middle;
	}
	return low ? ROW_RULE(rows[low - 1]) : RULE_ID_NONE;
}

static void check_encoding(const struct unwind_table *table, size_t samples)
{
	struct file_table file = {.vm = 7};
	uint64_t *entries, random = 0x2545f4914f6cdd1dull;
	size_t count, mismatches = 0;
	uint64_t first = table->rows[0].pc, last = table->rows[table->row_count - 1].pc;

	CHECK_EQ(unwind_table__encode(table, &file, &entries, &count), 0);
	CHECK_EQ(file.text_base, first);
	CHECK_EQ(file.rows, table->row_count);
	CHECK_EQ(file.vm, 7);
	CHECK_EQ(count, (size_t)file.pages + 1 + file.rows);
	CHECK_EQ(entries[0], 0);
	CHECK_EQ(entries[file.pages], file.rows);
	for (size_t i = 0; i < table->row_count; i++) {
		uint64_t pc = table->rows[i].pc;

		mismatches += encoded_rule_at(&file, entries, pc) != table->rows[i].rule;
		mismatches += encoded_rule_at(&file, entries, pc - 1) !=
			      unwind_table__rule_at(table, pc - 1);
	}
	for (size_t i = 0; i < samples; i++) {
		uint64_t pc = first - 8192 + next_random(&random) % (last - first + 3 * 8192);

		mismatches +=
			encoded_rule_at(&file, entries, pc) != unwind_table__rule_at(table, pc);
	}
	CHECK_EQ(mismatches, 0);
	free(entries);
}

static void test_rules(void)
{
	struct unwind_rules *rules = unwind_rules__new();
	struct unwind_rule rule = {.cfa_kind = CFA_REG, .cfa_reg = DW_REG_RSP};
	int id;

	CHECK_EQ(unwind_rules__count(rules), 1);
	CHECK_EQ(unwind_rules__get(rules, RULE_ID_NONE)->cfa_kind, CFA_NONE);
	CHECK(unwind_rules__get(rules, 1) == NULL);
	for (uint32_t i = 1; i < MAX_RULES; i++) {
		rule.cfa_offset = (int32_t)(8 * i);
		CHECK_EQ(unwind_rules__intern(rules, &rule), i);
	}
	for (uint32_t i = 1; i < MAX_RULES; i++) {
		rule.cfa_offset = (int32_t)(8 * i);
		CHECK_EQ(unwind_rules__intern(rules, &rule), i);
		CHECK_EQ(unwind_rules__get(rules, i)->cfa_offset, 8 * i);
	}
	/* One of them again, from the set's own memory. */
	id = unwind_rules__intern(rules, unwind_rules__get(rules, 77));
	CHECK_EQ(id, 77);
	rule.cfa_offset = -8;
	CHECK_EQ(unwind_rules__intern(rules, &rule), -ENOSPC);
	CHECK_EQ(unwind_rules__count(rules), MAX_RULES);
	unwind_rules__free(rules);
	unwind_rules__free(NULL);
}

static void test_replace(void)
{
	static const struct unwind_row before[] = {
		{100, 1}, {120, 2}, {140, 3}, {160, RULE_ID_NONE}};
	struct unwind_table *table = table_of(before, COUNT(before));

	/* Inside one row: it goes on behind. */
	CHECK_EQ(unwind_table__replace(table, 124, 130, (struct unwind_row[]){{124, 9}}, 1), 0);
	check_rows(table,
		   (struct unwind_row[]){
			   {100, 1}, {120, 2}, {124, 9}, {130, 2}, {140, 3}, {160, RULE_ID_NONE}},
		   6);
	/* Back again: no row that changes nothing is left. */
	CHECK_EQ(unwind_table__replace(table, 124, 130, (struct unwind_row[]){{124, 2}}, 1), 0);
	check_rows(table, before, COUNT(before));
	/* Over several rows, from one row's start to another's. */
	CHECK_EQ(unwind_table__replace(table, 120, 160, (struct unwind_row[]){{120, 5}, {150, 6}},
				       2),
		 0);
	check_rows(table, (struct unwind_row[]){{100, 1}, {120, 5}, {150, 6}, {160, RULE_ID_NONE}},
		   4);
	/* Across the table's start and end. */
	CHECK_EQ(unwind_table__replace(table, 90, 105, (struct unwind_row[]){{90, 7}, {95, 8}}, 2),
		 0);
	CHECK_EQ(unwind_table__replace(table, 155, 170, (struct unwind_row[]){{155, 4}}, 1), 0);
	check_rows(table,
		   (struct unwind_row[]){{90, 7},
					 {95, 8},
					 {105, 1},
					 {120, 5},
					 {150, 6},
					 {155, 4},
					 {170, RULE_ID_NONE}},
		   7);
	/* Without rows the rule in force before goes on. */
	CHECK_EQ(unwind_table__replace(table, 96, 152, NULL, 0), 0);
	check_rows(table,
		   (struct unwind_row[]){{90, 7}, {95, 8}, {152, 6}, {155, 4}, {170, RULE_ID_NONE}},
		   5);
	CHECK_EQ(unwind_table__replace(table, 0, 1000, (struct unwind_row[]){{0, 0}}, 1), 0);
	CHECK_EQ(table->row_count, 0);
	CHECK_EQ(unwind_table__replace(table, 10, 20, (struct unwind_row[]){{12, 3}}, 1), 0);
	check_rows(table, (struct unwind_row[]){{12, 3}, {20, RULE_ID_NONE}}, 2);

	CHECK_EQ(unwind_table__replace(table, 20, 20, NULL, 0), -EINVAL);
	CHECK_EQ(unwind_table__replace(table, 10, 20, (struct unwind_row[]){{20, 3}}, 1), -EINVAL);
	CHECK_EQ(unwind_table__replace(table, 10, 20, (struct unwind_row[]){{15, 3}, {14, 4}}, 2),
		 -EINVAL);
	check_rows(table, (struct unwind_row[]){{12, 3}, {20, RULE_ID_NONE}}, 2);
	unwind_table__free(table);
}

/* Replacing ranges at random gives what painting an array gives. */
static void test_replace_at_random(void)
{
	enum { SPAN = 512 };
	struct unwind_table *table = table_of(NULL, 0);
	uint32_t painted[SPAN] = {0};
	uint64_t random = 88172645463325252ull;
	size_t mismatches = 0, disorder = 0;

	for (int round = 0; round < 2000; round++) {
		struct unwind_row rows[8];
		uint64_t start = next_random(&random) % (SPAN - 2);
		uint64_t end = start + 1 + next_random(&random) % (SPAN - start - 1);
		uint32_t rule = start ? painted[start - 1] : RULE_ID_NONE;
		size_t count = 0;

		for (uint64_t pc = start; pc < end; pc++) {
			if (count < COUNT(rows) && next_random(&random) % 16 == 0) {
				rule = (uint32_t)(next_random(&random) % 4);
				rows[count++] = (struct unwind_row){.pc = pc, .rule = rule};
			}
			painted[pc] = rule;
		}
		CHECK_EQ(unwind_table__replace(table, start, end, rows, count), 0);
		for (uint64_t pc = 0; pc < SPAN; pc++)
			mismatches += unwind_table__rule_at(table, pc) != painted[pc];
		for (size_t i = 1; i < table->row_count; i++)
			disorder += table->rows[i].pc <= table->rows[i - 1].pc ||
				    table->rows[i].rule == table->rows[i - 1].rule;
	}
	CHECK_EQ(mismatches, 0);
	CHECK_EQ(disorder, 0);
	unwind_table__free(table);
}

static void test_encode_small(void)
{
	static const struct unwind_row rows[] = {
		{0x1ff0, 1}, {0x2ff0, 2}, {0x2ff1, 3}, {0x8000, 16383}, {0x8001, RULE_ID_NONE}};
	struct unwind_table *table = table_of(rows, COUNT(rows));
	struct file_table file;
	uint64_t *entries;
	size_t count;

	CHECK_EQ(unwind_table__encode(table, &file, &entries, &count), 0);
	CHECK_EQ(file.text_base, 0x1ff0);
	CHECK_EQ(file.pages, 7); /* the last row is 0x6011 bytes in */
	CHECK_EQ(entries[0], 0);
	CHECK_EQ(entries[1], 1); /* at 0x2ff0, exactly a page on */
	CHECK_EQ(entries[2], 3); /* no row in pages 2 to 5 */
	CHECK_EQ(entries[6], 3);
	CHECK_EQ(entries[7], 5);
	CHECK_EQ(entries[8 + 3], ROW_MAKE(0x6010, 16383));
	free(entries);
	check_encoding(table, 100000);
	unwind_table__free(table);
}

static void test_encode_limits(void)
{
	static const struct unwind_row wide[] = {{0x1000, 1}, {0x100001000ull, RULE_ID_NONE}};
	static const struct unwind_row fits[] = {{0x1000, 1}, {0x100000fffull, RULE_ID_NONE}};
	struct unwind_table *table = table_of(NULL, 0);
	struct file_table file = {.pages = 3, .rows = 3};
	uint64_t *entries;
	size_t count;

	CHECK_EQ(unwind_table__encode(table, &file, &entries, &count), 0);
	CHECK_EQ(count, 0);
	CHECK_EQ(file.pages, 0);
	CHECK_EQ(file.rows, 0);
	CHECK(entries == NULL);
	unwind_table__free(table);

	table = table_of(wide, COUNT(wide));
	CHECK_EQ(unwind_table__encode(table, &file, &entries, &count), -E2BIG);
	unwind_table__free(table);
	table = table_of(fits, COUNT(fits));
	check_encoding(table, 100000);
	unwind_table__free(table);
}

static void test_encode_real_file(void)
{
	struct unwind_rules *rules = unwind_rules__new();
	struct unwind_table *table = NULL;
	int fd = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);
	Elf *elf = elf_begin(fd, ELF_C_READ_MMAP, NULL);

	CHECK_EQ(unwind_table__build(elf, rules, &table), 0);
	CHECK(table && table->row_count > 100);
	if (table)
		check_encoding(table, 1000000);
	unwind_table__free(table);
	unwind_rules__free(rules);
	elf_end(elf);
	close(fd);
}

int main(void)
{
	elf_version(EV_CURRENT);
	RUN(test_rules, "equal rules have one id, up to the limit");
	RUN(test_replace, "a range's rows are replaced, the rest stays");
	RUN(test_replace_at_random, "any sequence of replacements gives the painted rules");
	RUN(test_encode_small, "the encoding is the documented one");
	RUN(test_encode_limits, "empty tables encode to nothing, too wide ones are refused");
	RUN(test_encode_real_file, "searching the encoded table finds the table's rules");
	return TEST_RESULT();
}
