// SPDX-License-Identifier: Apache-2.0
/*
 * The walk over recordings of real processes with LuaJIT or PUC Lua: each take gives what it gave
 * when it was made and is complete, and LuaJIT's are without error. No privilege, no Lua needed.
 * How recordings are made: tests/replay/recordings/make.
 */
#include <errno.h>

#include "../test.h"
#include "recording.h"

#define DIRECTORY "tests/replay/recordings/"

static struct replay_result result;

static size_t frames_of_kind(enum frame_kind kind)
{
	size_t count = 0, i;

	for (i = 0; i < result.word_count; i++) {
		uint64_t found = result.words[i] >> FRAME_KIND_SHIFT;

		count += found == kind;
		if (found == FRAME_KIND_LUA || found == FRAME_KIND_BUILTIN)
			i++; /* the second word */
	}
	return count;
}

/* The walk gives the words that the take holds. */
static void check_take(const struct recording *recording, size_t index, const char *name)
{
	const struct recording_take *take = &recording->takes[index];
	int failures = test_failures_in_case;
	size_t i;

	replay__walk(recording->replay, &result);
	CHECK_STR(replay__stop_name(result.stop), replay__stop_name(take->stop));
	CHECK_STR(replay__error_name(result.lua_error), replay__error_name(take->lua_error));
	CHECK_EQ(result.word_count, take->word_count);
	for (i = 0; i < take->word_count && i < result.word_count; i++)
		CHECK_EQ(result.words[i], take->words[i]);
	if (failures != test_failures_in_case)
		printf("# in take %zu of %s\n", index, name);
}

struct totals {
	size_t takes, incomplete, unended, lua, builtin, compiled, nested;
	size_t unplaced; /* interpreted top frames without a position in their function */
};

static void check_recording(const char *name, struct totals *totals)
{
	struct recording recording;
	char path[256];
	size_t line, i, word;
	uint64_t kind;
	int err;

	memset(totals, 0, sizeof(*totals));
	snprintf(path, sizeof(path), DIRECTORY "%s.rec.gz", name);
	err = recording__read(path, &recording, &line);
	CHECK_EQ(-err, 0);
	if (err) {
		printf("# %s:%zu\n", path, line);
		return;
	}
	totals->takes = recording.take_count;
	for (i = 0; i < recording.take_count; i++) {
		recording__load(&recording, i);
		check_take(&recording, i, name);
		totals->incomplete += result.stop != STOP_COMPLETE || result.lua_error != LUA_OK;
		totals->unended += result.stop != STOP_COMPLETE;
		totals->lua += frames_of_kind(FRAME_KIND_LUA);
		totals->builtin += frames_of_kind(FRAME_KIND_BUILTIN);
		totals->nested += result.activations >= 3;
		totals->unplaced += result.words[0] >> FRAME_KIND_SHIFT == FRAME_KIND_LUA &&
				    (uint32_t)result.words[0] == BCPOS_NONE;
		for (word = 0; word < result.word_count; word++) {
			kind = result.words[word] >> FRAME_KIND_SHIFT;
			totals->compiled +=
				kind == FRAME_KIND_LUA && result.words[word] & FRAME_LUA_COMPILED;
			word += kind == FRAME_KIND_LUA || kind == FRAME_KIND_BUILTIN;
		}
	}
	recording__free(&recording);
}

static void interpreter(const char *name)
{
	struct totals totals;

	check_recording(name, &totals);
	CHECK(totals.takes >= 500);
	CHECK_EQ(totals.incomplete, 0);
	CHECK(totals.lua >= 3 * totals.takes); /* main, round and at least one more */
	CHECK(totals.builtin >= totals.takes);
	CHECK_EQ(totals.compiled, 0);
	CHECK_EQ(totals.unplaced, 0);
}

static void test_gc64_interpreter(void)
{
	interpreter("gc64-interpreter");
}

static void test_gc32_interpreter(void)
{
	interpreter("gc32-interpreter");
}

/* C callbacks, errors in flight, coroutines in coroutines. */
static void whole_round(const char *name)
{
	struct totals totals;

	check_recording(name, &totals);
	CHECK(totals.takes >= 40);
	CHECK_EQ(totals.incomplete, 0);
	CHECK(totals.lua >= 3 * totals.takes);
	CHECK(totals.nested > 0);
	CHECK_EQ(totals.unplaced, 0);
}

static void test_gc64_round(void)
{
	whole_round("gc64-round");
}

static void test_gc32_round(void)
{
	whole_round("gc32-round");
}

static void test_newest_round(void)
{
	whole_round("gc64-newest");
}

static void compiled(const char *name)
{
	struct totals totals;

	check_recording(name, &totals);
	CHECK(totals.takes >= 40);
	CHECK_EQ(totals.incomplete, 0);
	CHECK(totals.compiled >= totals.takes);
}

static void test_gc64_compiled(void)
{
	compiled("gc64-compiled");
}

static void test_gc32_compiled(void)
{
	compiled("gc32-compiled");
}

/* PUC Lua. In a few instructions of a call, a return or an error from C the Lua stack is between
 * two states: such a take has lost its Lua frames, and says so. */
static void puc(const char *name, size_t takes, bool nested)
{
	struct totals totals;

	check_recording(name, &totals);
	CHECK(totals.takes >= takes);
	CHECK_EQ(totals.unended, 0);
	CHECK(totals.incomplete <= totals.takes / 50 + 1);
	CHECK(totals.lua >= 3 * (totals.takes - totals.incomplete));
	CHECK(totals.builtin > 0);
	CHECK(!nested || totals.nested > 0);
	CHECK_EQ(totals.compiled, 0);
	CHECK_EQ(totals.unplaced, 0);
}

static void test_puc_calls(void)
{
	puc("lua5.1-calls", 400, false);
	puc("lua5.2-calls", 400, false);
	puc("lua5.3-calls", 400, false);
	puc("lua5.4-calls", 400, false);
}

static void test_puc_round(void)
{
	puc("lua5.1-round", 60, true);
	puc("lua5.2-round", 60, true);
	puc("lua5.3-round", 60, true);
	puc("lua5.4-round", 60, true);
}

static void test_not_a_recording(void)
{
	struct recording recording;
	size_t line;

	CHECK_EQ(recording__read("tests/replay/test_replay.c", &recording, &line), -EINVAL);
	CHECK_EQ(recording__read(DIRECTORY "none", &recording, &line), -ENOENT);
}

int main(void)
{
	RUN(test_gc64_interpreter, "consecutive instructions of the GC64 interpreter");
	RUN(test_gc32_interpreter, "consecutive instructions of the GC32 interpreter");
	RUN(test_gc64_round, "GC64: callbacks, errors, coroutines");
	RUN(test_gc32_round, "GC32: callbacks, errors, coroutines");
	RUN(test_newest_round, "the newest build: callbacks, errors, coroutines");
	RUN(test_gc64_compiled, "GC64: compiled code");
	RUN(test_gc32_compiled, "GC32: compiled code");
	RUN(test_puc_calls, "Lua 5.1 to 5.4: every third instruction of calls and returns");
	RUN(test_puc_round, "Lua 5.1 to 5.4: callbacks, errors, coroutines");
	RUN(test_not_a_recording, "a file that is no recording");
	return TEST_RESULT();
}
