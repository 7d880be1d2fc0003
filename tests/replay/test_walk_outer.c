// SPDX-License-Identifier: Apache-2.0
/*
 * The frames that a walk keeps for the next one (src/bpf/walk_outer.h): they are used, and each
 * thing that they depend on is noticed when it changes. Over a hand-made stack, and over recorded
 * ones of which every word is changed: a walk that remembers must give what one gives that does
 * not.
 */
#include "recording.h"
#include "test_walk_target.h"

#define DIRECTORY "tests/replay/recordings/"
#define STACK_TOP 4096u /* bytes of a recorded stack that are changed, at most */

enum page {
	PAGE_NONE,
	PAGE_END,
	PAGE_PLAIN,    /* CFA = rsp + 16, nothing saved */
	PAGE_OTHER,    /* the same */
	PAGE_BY_RBP,   /* CFA = rbp + 16, the caller's rbp at CFA - 16 */
	PAGE_SAVE_RBP, /* CFA = rsp + 32, the caller's rbp at CFA - 16 */
	PAGE_COUNT,
};

static void target_new(void)
{
	struct unwind_rule rules[PAGE_COUNT];
	enum page page;

	for (page = 0; page < PAGE_COUNT; page++)
		rules[page] = plain_rule();
	rules[PAGE_NONE].cfa_kind = CFA_NONE;
	rules[PAGE_END].cfa_kind = CFA_END;
	rules[PAGE_BY_RBP].cfa_reg = DW_REG_RBP;
	rules[PAGE_SAVE_RBP].cfa_offset = 32;
	for (page = PAGE_BY_RBP; page <= PAGE_SAVE_RBP; page++) {
		rules[page].saved_base[SAVED_RBP] = BASE_CFA;
		rules[page].saved_offset[SAVED_RBP] = -16;
	}
	target_make((struct file_table){}, rules, PAGE_COUNT);
}

/* A stack whose innermost frame is in PAGE_PLAIN, 16 bytes each, and its callers in these pages. */
static void stack_of(const enum page *pages, size_t count)
{
	size_t i;

	start_in(PAGE_PLAIN);
	for (i = 0; i < count; i++)
		return_to(STACK + 16 * (i + 1), pc_in(pages[i]));
}

/* What the frames outside of the innermost one are, by page. */
static void check_pages(const enum page *pages, size_t count)
{
	size_t i;

	CHECK_EQ(result.word_count, 1 + count);
	for (i = 0; i < count && i + 1 < result.word_count; i++)
		CHECK_EQ(result.words[1 + i], 1ull << FRAME_KIND_SHIFT | (pc_in(pages[i]) - 1));
}

/* A walk that has to unwind a frame in `page` ends there from now on. */
static void spoil(enum page page)
{
	const struct walk_rows *table = &target->tables[0];
	uint64_t row = table->entries[target->files[0].pages + 1 + page];

	target->rules[ROW_RULE(row)].cfa_kind = CFA_UNSUPPORTED;
}

static void test_kept(void)
{
	static const enum page pages[] = {PAGE_PLAIN, PAGE_OTHER, PAGE_END};

	target_new();
	stack_of(pages, 3);
	walk_expecting(STOP_COMPLETE, LUA_OK);
	check_pages(pages, 3);
	CHECK_EQ(result.native_frames, 4);
	/* The frame in the middle is not unwound any more. */
	spoil(PAGE_OTHER);
	walk_expecting(STOP_COMPLETE, LUA_OK);
	check_pages(pages, 3);
	CHECK_EQ(result.native_frames, 4);
	/* With another return address further out, it is. */
	return_to(STACK + 48, pc_in(PAGE_END) + 8);
	walk_expecting(STOP_UNSUPPORTED, LUA_OK);
}

/* Another inner part: what is outside of it is kept all the same. */
static void test_joined(void)
{
	static const enum page pages[] = {PAGE_PLAIN, PAGE_OTHER, PAGE_END};

	target_new();
	stack_of(pages, 3);
	walk_expecting(STOP_COMPLETE, LUA_OK);
	spoil(PAGE_OTHER);
	start_in(PAGE_PLAIN);
	target->registers[DW_REG_RSP] = STACK + 16;
	walk_expecting(STOP_COMPLETE, LUA_OK);
	check_pages(pages + 1, 2);
}

static void test_changed_return_address(void)
{
	static const enum page before[] = {PAGE_PLAIN, PAGE_PLAIN, PAGE_END};
	static const enum page after[] = {PAGE_PLAIN, PAGE_OTHER, PAGE_END};

	target_new();
	stack_of(before, 3);
	walk_expecting(STOP_COMPLETE, LUA_OK);
	check_pages(before, 3);
	return_to(STACK + 32, pc_in(PAGE_OTHER));
	walk_expecting(STOP_COMPLETE, LUA_OK);
	check_pages(after, 3);
	return_to(STACK + 48, 0);
	walk_expecting(STOP_NO_MAPPING, LUA_OK);
}

/* The frame pointer decides where an outer frame is, and stands in an inner one's place. */
static void test_changed_frame_pointer(void)
{
	static const enum page near[] = {PAGE_SAVE_RBP, PAGE_PLAIN, PAGE_BY_RBP, PAGE_END};
	static const enum page far[] = {PAGE_SAVE_RBP, PAGE_PLAIN, PAGE_BY_RBP, PAGE_OTHER,
					PAGE_END};

	target_new();
	start_in(PAGE_PLAIN);
	return_to(STACK + 16, pc_in(PAGE_SAVE_RBP));	     /* rsp STACK + 16 */
	replay__set_word(target, STACK + 32, STACK + 0x100); /* rbp, at CFA - 16 */
	return_to(STACK + 48, pc_in(PAGE_PLAIN));
	return_to(STACK + 64, pc_in(PAGE_BY_RBP));
	return_to(STACK + 0x110, pc_in(PAGE_END));
	return_to(STACK + 0x210, pc_in(PAGE_OTHER));
	return_to(STACK + 0x220, pc_in(PAGE_END));
	walk_expecting(STOP_COMPLETE, LUA_OK);
	check_pages(near, 4);
	walk_expecting(STOP_COMPLETE, LUA_OK);
	check_pages(near, 4);
	replay__set_word(target, STACK + 32, STACK + 0x200);
	walk_expecting(STOP_COMPLETE, LUA_OK);
	check_pages(far, 5);
}

/* ... or in the register, where nobody has saved it. */
static void test_changed_frame_pointer_register(void)
{
	static const enum page near[] = {PAGE_PLAIN, PAGE_BY_RBP, PAGE_END};
	static const enum page far[] = {PAGE_PLAIN, PAGE_BY_RBP, PAGE_OTHER, PAGE_END};

	target_new();
	start_in(PAGE_PLAIN);
	target->registers[DW_REG_RBP] = STACK + 0x100;
	return_to(STACK + 16, pc_in(PAGE_PLAIN));
	return_to(STACK + 32, pc_in(PAGE_BY_RBP));
	return_to(STACK + 0x110, pc_in(PAGE_END));
	return_to(STACK + 0x210, pc_in(PAGE_OTHER));
	return_to(STACK + 0x220, pc_in(PAGE_END));
	walk_expecting(STOP_COMPLETE, LUA_OK);
	check_pages(near, 3);
	target->registers[DW_REG_RBP] = STACK + 0x200;
	walk_expecting(STOP_COMPLETE, LUA_OK);
	check_pages(far, 4);
}

/* The same stack, but another file is mapped there. */
static void test_changed_mappings(void)
{
	uint64_t before;

	target_new();
	start_in(PAGE_PLAIN);
	return_to(STACK + 16, pc_in(PAGE_OTHER));
	return_to(STACK + 32, pc_in(PAGE_END));
	walk_expecting(STOP_COMPLETE, LUA_OK);
	before = result.words[1];
	target->mappings[0].bias = (uint64_t)-0x1000;
	target->files[0].text_base += 0x1000;
	walk_expecting(STOP_COMPLETE, LUA_OK);
	CHECK_EQ(result.words[1], before);
	target->generation++;
	walk_expecting(STOP_COMPLETE, LUA_OK);
	CHECK_EQ(result.words[1], before + 0x1000);
}

/* More frames than are kept: the rest is unwound. */
static void test_many(void)
{
	uint64_t i;
	int walk;

	target_new();
	start_in(PAGE_PLAIN);
	for (i = 1; i < 200; i++)
		return_to(STACK + 16 * i, pc_in(i % 3 ? PAGE_PLAIN : PAGE_OTHER));
	return_to(STACK + 16 * i, pc_in(PAGE_END));
	for (walk = 0; walk < 3; walk++) {
		walk_expecting(STOP_COMPLETE, LUA_OK);
		CHECK_EQ(result.word_count, 201);
		for (i = 1; i < 200; i++)
			CHECK_EQ(result.words[i] & FRAME_VADDR_MASK,
				 pc_in(i % 3 ? PAGE_PLAIN : PAGE_OTHER) - 1);
	}
}

/* ---- recorded stacks ---------------------------------------------------------------------------
 */

static struct replay_result expected;

/* The walk that remembers, and the one that does not. */
static int same_walks(struct replay *replay)
{
	uint64_t thread_vm = replay->thread_vm;

	replay->generation = 0;
	replay__walk(replay, &expected);
	replay->generation = 1;
	replay->thread_vm = thread_vm;
	replay__walk(replay, &result);
	replay->thread_vm = thread_vm;
	return result.stop == expected.stop && result.lua_error == expected.lua_error &&
	       result.word_count == expected.word_count &&
	       !memcmp(result.words, expected.words, result.word_count * sizeof(result.words[0]));
}

static void change_words(struct replay *replay, const char *name, size_t take, size_t *changes)
{
	uint64_t rsp = replay->registers[DW_REG_RSP] & ~7ull, at, word, other = 0, changed;
	int i;

	CHECK(same_walks(replay));
	for (at = rsp; at < rsp + STACK_TOP; at += 8) {
		if (replay__read(replay, at, &word, sizeof(word)) != 0)
			break;
		for (i = 0; i < 3; i++) {
			changed = i == 0 ? word + 8 : i == 1 ? 0 : other;
			replay__set_word(replay, at, changed);
			if (!same_walks(replay)) {
				printf("# %s, take %zu: %llx: %llx -> %llx\n", name, take,
				       (unsigned long long)(at - rsp), (unsigned long long)word,
				       (unsigned long long)changed);
				CHECK(false);
			}
			replay__set_word(replay, at, word);
			++*changes;
		}
		if (!same_walks(replay))
			CHECK(false);
		if (word)
			other = word;
	}
}

static void changed_recording(const char *name)
{
	struct recording recording;
	size_t i, line, changes = 0;
	char path[256];
	int err;

	snprintf(path, sizeof(path), DIRECTORY "%s.rec.gz", name);
	err = recording__read(path, &recording, &line);
	CHECK_EQ(-err, 0);
	if (err)
		return;
	for (i = 0; i < recording.take_count; i++) {
		recording__load(&recording, i);
		if (i % (1 + recording.take_count / 16) == 0)
			change_words(recording.replay, name, i, &changes);
	}
	CHECK(changes >= 1000);
	recording__free(&recording);
}

static void test_recorded(void)
{
	changed_recording("gc64-round");
	changed_recording("gc32-round");
	changed_recording("gc64-compiled");
	changed_recording("lua5.1-round");
	changed_recording("lua5.4-round");
}

int main(void)
{
	RUN(test_kept, "frames outside are taken from the walk before");
	RUN(test_joined, "also below another inner part");
	RUN(test_changed_return_address, "but not when a return address has changed");
	RUN(test_changed_frame_pointer, "nor when a saved frame pointer has that one needs");
	RUN(test_changed_frame_pointer_register, "nor when the register has");
	RUN(test_changed_mappings, "nor when the mappings have");
	RUN(test_many, "more frames than are kept");
	RUN(test_recorded, "recorded stacks, each word of them changed");
	replay__free(target);
	return TEST_RESULT();
}
