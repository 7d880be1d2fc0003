/* SPDX-License-Identifier: Apache-2.0 */
/*
 * luaV_execute in real files (the system's lua5.1 to lua5.4, stripped), where its rows say L and
 * the position are, the layouts by release, and files that are broken or have no Lua.
 */
#include <time.h>

#include "../test.h"
#include "test_puc_file.h"
#include "vm/puc_code.h"

#define BROKEN_FILES 60

/* ---- real files --------------------------------------------------------------------------------
 */

struct counts {
	size_t puc, with_L, left;
};

static struct counts count_rows(const struct found *found)
{
	struct counts counts = {};
	size_t i;

	for (i = 0; i < found->table->row_count; i++) {
		const struct unwind_rule *rule =
			unwind_rules__get(found->rules, found->table->rows[i].rule);

		if (!(rule->flags & RULE_PUC))
			continue;
		counts.puc++;
		counts.left += rule->vm_flags & PUC_NO_FRAME;
		counts.with_L += !(rule->vm_flags & PUC_NO_FRAME) &&
				 (rule->vm_base_reg != VM_NO_REG || rule->cfa_offset2);
		CHECK(rule->vm_base_reg < 16 || rule->vm_base_reg == VM_NO_REG);
		CHECK(rule->vm_pc < 16 || rule->vm_pc == VM_NO_REG);
		CHECK(rule->vm_pc == VM_NO_REG || !rule->vm_pc_slot);
		CHECK(rule->cfa_kind == CFA_REG || rule->cfa_kind == CFA_DEREF);
	}
	return counts;
}

static void check_real(const char *path, unsigned int release_number)
{
	struct file file = read_file(path);
	const struct unwind_function *function;
	const struct unwind_rule *entry;
	struct counts counts;
	struct found found;

	if (!file.size)
		SKIP("cannot: that lua is not installed");
	found = find(&file);
	CHECK_EQ(found.err, 0);
	CHECK_EQ(found.build.release, release_number);
	if (!found.err) {
		function = unwind_table__function_at(found.table, found.build.execute_start);
		CHECK(function && function->start == found.build.execute_start);
		CHECK(function && function->end == found.build.execute_end);
		/* At its entry L is the first argument. */
		entry = unwind_rules__get(
			found.rules, unwind_table__rule_at(found.table, found.build.execute_start));
		CHECK_EQ(entry->flags & RULE_PUC, RULE_PUC);
		CHECK_EQ(entry->vm_base_reg, DW_REG_RDI);
		CHECK_EQ(entry->cfa_offset, 8);
		counts = count_rows(&found);
		CHECK(counts.puc > 20);
		CHECK(counts.left > 0);
		CHECK_EQ(counts.with_L + counts.left, counts.puc);
	}
	release(&found);
	free(file.bytes);
}

static void test_lua51(void)
{
	check_real("/usr/bin/lua5.1", 50105);
}

static void test_lua52(void)
{
	check_real("/usr/bin/lua5.2", 50204);
}

static void test_lua53(void)
{
	check_real("/usr/bin/lua5.3", 50306);
}

static void test_lua54(void)
{
	check_real("/usr/bin/lua5.4", 50404);
}

static void test_no_lua(void)
{
	struct file file = read_file("/bin/true");
	struct found found = find(&file);

	CHECK_EQ(found.err, -ENOENT);
	release(&found);
	free(file.bytes);
}

/* ---- layouts -----------------------------------------------------------------------------------
 */

static void test_layouts(void)
{
	static const unsigned int none[] = {0, 40003, 50106, 50205, 50307, 50600};
	struct puc_build build;
	size_t i;

	for (i = 0; i < sizeof(none) / sizeof(none[0]); i++)
		CHECK_EQ(puc_layout__get(none[i], &build), -ENOENT);
	CHECK_EQ(puc_layout__get(50200, &build), 0);
	CHECK_EQ(build.ci_savedpc, 48);
	CHECK_EQ(puc_layout__get(50201, &build), 0);
	CHECK_EQ(build.ci_savedpc, 56);
	CHECK_EQ(puc_layout__get(50300, &build), 0);
	CHECK_EQ(build.string_data, 32);
	CHECK_EQ(build.g_mainthread, 224);
	CHECK_EQ(build.boundary, PUC_FRESH_CLEAR);
	CHECK_EQ(puc_layout__get(50306, &build), 0);
	CHECK_EQ(build.string_data, 24);
	CHECK_EQ(build.boundary, PUC_FRESH_SET);
	CHECK_EQ(puc_layout__get(50400, &build), 0);
	CHECK_EQ(build.L_stack, 56);
	CHECK_EQ(build.boundary, PUC_FRESH_ALL);
	CHECK_EQ(puc_layout__get(50402, &build), 0);
	CHECK_EQ(build.L_stack, 48);
	CHECK_EQ(build.L_base_ci, 88);
	CHECK_EQ(puc_layout__get(50403, &build), 0);
	CHECK_EQ(build.L_base_ci, 96);
	CHECK_EQ(puc_layout__get(50500, &build), 0);
	CHECK_EQ(build.mainthread_inside, 1);
	CHECK_EQ(build.release, 50500);
}

/* ---- broken files ------------------------------------------------------------------------------
 */

static uint32_t random_state = 12345;

static uint32_t random_number(void)
{
	random_state = random_state * 1664525u + 1013904223u;
	return random_state >> 8;
}

/* Whatever the bytes of luaV_execute and its tables are, the answer is one of these. */
static void test_broken(void)
{
	struct file file = read_file("/usr/bin/lua5.4"), broken = file;
	struct found whole, found;
	size_t i, k, at, understood = 0;

	if (!file.size)
		SKIP("cannot: lua5.4 is not installed");
	whole = find(&file);
	CHECK_EQ(whole.err, 0);
	broken.bytes = malloc(file.size);
	for (i = 0; i < BROKEN_FILES && broken.bytes; i++) {
		memcpy(broken.bytes, file.bytes, file.size);
		for (k = 0; k < 1 + i * 4; k++) {
			/* Half of them in the function: its file offset is its address here. */
			at = random_number() % file.size;
			if (k % 2)
				at = whole.build.execute_start +
				     random_number() %
					     (whole.build.execute_end - whole.build.execute_start);
			if (at > 64)
				broken.bytes[at] = (char)random_number();
		}
		if (i % 5 == 4)
			broken.size = file.size - random_number() % file.size;
		found = find(&broken);
		CHECK(found.err == 0 || found.err == -ENOENT || found.err == -EINVAL ||
		      found.err == -ENOEXEC);
		understood += found.err == 0;
		broken.size = file.size;
		release(&found);
	}
	CHECK(understood > 0);
	release(&whole);
	free(broken.bytes);
	free(file.bytes);
}

#define MADE_FUNCTIONS 20000u

/* A file that says to be Lua, and whose functions lie over each other and are full of what could be
 * addresses of jump tables: looking at all of that would take an hour. */
static void test_made_to_take_long(void)
{
	struct file file = read_file("/usr/bin/lua5.4");
	struct unwind_rules *rules = unwind_rules__new();
	struct unwind_function *functions;
	struct unwind_table *table;
	struct puc_build build;
	struct found real;
	uint64_t start, end;
	clock_t began;
	uint32_t at;
	size_t i;
	Elf *elf;

	if (!file.size)
		SKIP("cannot: lua5.4 is not installed");
	real = find(&file);
	CHECK_EQ(real.err, 0);
	/* mov $ADDRESS, %eax; the file offset of its text is its address. */
	start = real.build.execute_start & ~0xfffull;
	end = real.build.execute_end;
	for (i = start; i + 5 <= end; i += 5) {
		at = (uint32_t)(start + i % 4096);
		file.bytes[i] = (char)0xb8;
		memcpy(file.bytes + i + 1, &at, sizeof(at));
	}
	release(&real);
	CHECK_EQ(elf_image__open_memory(file.bytes, file.size, &elf), 0);
	CHECK_EQ(unwind_table__build(elf, rules, &table), 0);
	functions = calloc(MADE_FUNCTIONS, sizeof(*functions));
	for (i = 0; i < MADE_FUNCTIONS; i++)
		functions[i] = (struct unwind_function){start + i / 8, end};
	free(table->functions);
	table->functions = functions;
	table->function_count = MADE_FUNCTIONS;
	began = clock();
	CHECK_EQ(puc__find(elf, -1, table, rules, &build), -EINVAL);
	CHECK((clock() - began) / CLOCKS_PER_SEC < 2 * (clock_t)(PUC_MAX_TIME_NS / 1000000000u));
	unwind_table__free(table);
	unwind_rules__free(rules);
	elf_end(elf);
	free(file.bytes);
}

int main(void)
{
	elf_version(EV_CURRENT);
	RUN(test_lua51, "lua5.1");
	RUN(test_lua52, "lua5.2");
	RUN(test_lua53, "lua5.3");
	RUN(test_lua54, "lua5.4");
	RUN(test_no_lua, "a file without Lua");
	RUN(test_layouts, "layouts by release");
	RUN(test_broken, "broken files");
	RUN(test_made_to_take_long, "a file that is made to take long");
	return TEST_RESULT();
}
