/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the tests of the walk over hand-made memory share: a target with one file, whose text has
 * one unwind rule a page, and a C stack.
 */
#ifndef LUASPY_TEST_WALK_TARGET_H
#define LUASPY_TEST_WALK_TARGET_H

#include "../test.h"
#include "replay_env.h"

#define STACK 0x7000000ull
#define TEXT  0x10000ull

static struct replay *target;
static struct replay_result result;

/* `page`: an enumeration of each test's own. */
static inline uint64_t pc_in(unsigned int page)
{
	return TEXT + ((uint64_t)page << TEXT_PAGE_SHIFT) + 16;
}

/* CFA = rsp + 16, nothing saved but the return address. */
static inline struct unwind_rule plain_rule(void)
{
	struct unwind_rule rule = {.cfa_kind = CFA_REG,
				   .cfa_reg = DW_REG_RSP,
				   .cfa_offset = 16,
				   .vm_base_reg = VM_NO_REG};
	int i;

	for (i = 0; i < SAVED_COUNT; i++)
		rule.saved_base[i] = BASE_SAME;
	rule.saved_base[SAVED_RA] = BASE_CFA;
	rule.saved_offset[SAVED_RA] = -8;
	return rule;
}

/* Pages are there as a whole. */
static inline void make_pages(uint64_t address, unsigned int pages)
{
	static const uint8_t zeros[4096];

	while (pages--)
		replay__set_memory(target, address + 4096ull * pages, zeros, sizeof(zeros));
}

/* A new target, of `pages` rules. The VM that the file contains is in `file`. */
static inline void target_make(struct file_table file, const struct unwind_rule *rules,
			       unsigned int pages)
{
	struct mapping mapping = {.start = TEXT,
				  .end = TEXT + ((uint64_t)pages << TEXT_PAGE_SHIFT)};
	uint64_t rows[64];
	unsigned int page;

	replay__free(target);
	target = replay__new();
	for (page = 0; page < pages; page++)
		rows[page] = ROW_MAKE((uint64_t)page << TEXT_PAGE_SHIFT,
				      replay__add_rule(target, &rules[page]));
	file.text_base = TEXT;
	file.pages = pages;
	replay__add_file_rows(target, &file, rows, pages);
	replay__add_mapping(target, &mapping);
	make_pages(STACK, 5);
	target->registers[DW_REG_RSP] = STACK;
	target->registers[DW_REG_RBP] = 1; /* no frame pointer */
}

static inline void start_in(unsigned int page)
{
	target->registers[DW_REG_RA] = pc_in(page);
}

static inline void return_to(uint64_t cfa, uint64_t pc)
{
	replay__set_word(target, cfa - 8, pc);
}

static inline void walk_expecting(enum walk_stop stop, enum walk_error lua_error)
{
	replay__walk(target, &result);
	CHECK_STR(replay__stop_name(result.stop), replay__stop_name(stop));
	CHECK_STR(replay__error_name(result.lua_error), replay__error_name(lua_error));
	CHECK(result.word_count <= MAX_WORDS);
}

/* The C walk goes on whatever is wrong with the Lua frames, and says what was. */
static inline void expect_lost(enum walk_error lua_error)
{
	walk_expecting(STOP_COMPLETE, lua_error);
	CHECK(result.word_count >= 2);
	if (result.word_count < 2)
		return;
	CHECK_EQ(result.words[result.word_count - 2],
		 (uint64_t)FRAME_KIND_LUA_LOST << FRAME_KIND_SHIFT | lua_error);
	CHECK_EQ(result.words[result.word_count - 1] >> FRAME_KIND_SHIFT, FRAME_KIND_NATIVE);
}

#endif
