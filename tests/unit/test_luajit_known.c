/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The table of known builds: what its key depends on, what its rows are, what is made of a row that
 * says something else; and that the check of a heap says nothing where there is no VM.
 */
#include <errno.h>
#include <sys/mman.h>
#include <unistd.h>

#include "../test.h"
#include "vm/luajit_check.h"

#define VADDR 0x4000u

/* call out; lea rax, [rip + out]; call +0; mov edx, [r14 - 0x10]; ret; and a byte that is no
 * instruction's beginning. */
static const uint8_t code[] = {0xe8, 0x11, 0x22, 0x33, 0x00, 0x48, 0x8d, 0x05,
			       0x44, 0x55, 0x66, 0x00, 0xe8, 0x00, 0x00, 0x00,
			       0x00, 0x41, 0x8b, 0x56, 0xf0, 0xc3, 0x06};

static uint64_t fingerprint(const uint8_t *bytes, uint64_t vaddr)
{
	struct x86_code decoded;
	uint64_t result = 0;

	CHECK_EQ(x86_code__decode(bytes, sizeof(code), vaddr, &decoded), 0);
	CHECK_EQ(luajit_known__fingerprint(&decoded, bytes, sizeof(code), vaddr, &result), 0);
	x86_code__free(&decoded);
	return result;
}

static void the_fingerprint_is_of_the_code(void)
{
	static const size_t linked[] = {1, 2, 3, 8, 9, 10};
	static const size_t own[] = {0, 6, 13, 17, 20, 21, 22};
	uint64_t original = fingerprint(code, VADDR);
	uint8_t changed[sizeof(code)];
	size_t i;

	CHECK_EQ(fingerprint(code, 0x7f0000), original);
	for (i = 0; i < sizeof(linked) / sizeof(linked[0]); i++) {
		memcpy(changed, code, sizeof(code));
		changed[linked[i]] ^= 0x40;
		CHECK_EQ(fingerprint(changed, VADDR), original);
	}
	for (i = 0; i < sizeof(own) / sizeof(own[0]); i++) {
		memcpy(changed, code, sizeof(code));
		changed[own[i]] ^= 0x01;
		CHECK(fingerprint(changed, VADDR) != original);
	}
}

static void rows_are_distinct_and_sane(void)
{
	const struct luajit_known *row;
	size_t i, k;

	CHECK(luajit_known_count > 50);
	for (i = 0; i < luajit_known_count; i++) {
		row = &luajit_known_table[i];
		CHECK(luajit_known__find(row->fingerprint) == row);
		for (k = 0; k < i; k++)
			CHECK(luajit_known_table[k].fingerprint != row->fingerprint);
		CHECK(row->sources[0] && row->configuration[0]);
		CHECK_EQ(row->build.jit_base, row->build.cur_L + (row->build.gc64 ? 8 : 4));
		CHECK(row->build.vmstate < row->build.cur_L &&
		      row->build.jit_base < (uint32_t)row->build.dispatch_from_g);
		CHECK_EQ(row->build.trace_array != 0, row->build.bc_funcf != 0);
		CHECK_EQ(row->build.frame_size, 80);
		CHECK_EQ(strstr(row->configuration, "GC64") != NULL, row->build.gc64);
		CHECK_EQ(strstr(row->configuration, "without FFI") == NULL, row->build.ffi);
		CHECK_EQ(strstr(row->configuration, "without JIT") == NULL,
			 row->build.trace_array != 0);
	}
	CHECK(luajit_known__find(0) == NULL);
}

static const struct luajit_known *row_with_jit(void)
{
	const struct luajit_known *row = luajit_known_table;

	while (!row->build.trace_array)
		row++;
	return row;
}

static void a_row_that_says_something_else_is_a_conflict(void)
{
	struct luajit_known known = *row_with_jit();
	struct luajit_found found = {.build = known.build, .known = &known};
	struct luajit_fact facts[LUAJIT_OFFSETS];
	const struct luajit_fact *conflict;

	CHECK_EQ(luajit__facts(&found, facts), LUAJIT_OFFSETS);
	CHECK(luajit_facts__conflict(facts, LUAJIT_OFFSETS) == NULL);
	CHECK_EQ(facts[LUAJIT_CUR_L].table, LUAJIT_AGREES);
	CHECK_EQ(facts[LUAJIT_CUR_L].heap, LUAJIT_NOT_CHECKED);

	known.build.trace_exit += 8;
	CHECK_EQ(luajit__facts(&found, facts), LUAJIT_OFFSETS);
	conflict = luajit_facts__conflict(facts, LUAJIT_OFFSETS);
	CHECK(conflict == &facts[LUAJIT_TRACE_EXIT]);
	CHECK_EQ(facts[LUAJIT_TRACE_EXIT].value, found.build.trace_exit);
	CHECK_EQ(facts[LUAJIT_TRACE_EXIT].table_value, known.build.trace_exit);

	/* Known with a JIT compiler, decoded without one. */
	known.build.trace_exit -= 8;
	found.build.trace_array = 0;
	CHECK_EQ(luajit__facts(&found, facts), LUAJIT_OFFSETS);
	CHECK(luajit_facts__conflict(facts, LUAJIT_OFFSETS) == &facts[LUAJIT_TRACE_ARRAY]);

	found.known = NULL;
	CHECK_EQ(luajit__facts(&found, facts), LUAJIT_JIT_BASE);
	CHECK(luajit_facts__conflict(facts, LUAJIT_JIT_BASE) == NULL);
	CHECK_EQ(facts[LUAJIT_CUR_L].table, LUAJIT_NOT_CHECKED);

	facts[LUAJIT_VMSTATE].heap = LUAJIT_DISAGREES;
	CHECK(luajit_facts__conflict(facts, LUAJIT_JIT_BASE) == &facts[LUAJIT_VMSTATE]);
}

static void no_vm_says_nothing(void)
{
	const struct luajit_known *known = row_with_jit();
	struct luajit_found found = {.build = known->build};
	struct luajit_fact facts[LUAJIT_OFFSETS], before[LUAJIT_OFFSETS];
	uint8_t *memory =
		mmap(NULL, 1 << 20, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	uint64_t g = (uintptr_t)memory + 0x8000;
	size_t count = luajit__facts(&found, facts);

	CHECK(memory != MAP_FAILED);
	memcpy(before, facts, sizeof(facts));
	CHECK_EQ(luajit_check__vm(getpid(), g, 0x1000, &found.build, facts, count), -ENOENT);
	memset(memory, 0xff, 1 << 20);
	CHECK_EQ(luajit_check__vm(getpid(), g, 0x1000, &found.build, facts, count), -ENOENT);
	munmap(memory, 1 << 20);
	CHECK_EQ(luajit_check__vm(getpid(), g, 0x1000, &found.build, facts, count), -ENOENT);
	CHECK_EQ(luajit_check__vm(4194303, g, 0x1000, &found.build, facts, count), -ESRCH);
	CHECK_EQ(memcmp(before, facts, count * sizeof(*facts)), 0);
}

int main(void)
{
	RUN(the_fingerprint_is_of_the_code, "the fingerprint is of the code, not of its links");
	RUN(rows_are_distinct_and_sane, "rows are distinct and sane");
	RUN(a_row_that_says_something_else_is_a_conflict,
	    "a row that says something else is a conflict");
	RUN(no_vm_says_nothing, "where there is no VM, the heap says nothing");
	return TEST_RESULT();
}
