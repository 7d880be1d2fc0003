// SPDX-License-Identifier: Apache-2.0
/*
 * Where C functions that Lua called stand in a profile: the walk tells of them behind the native
 * frames of their activation, each has a native frame or none. Stacks are texts, names are
 * numbers: frame_names.h is done here.
 */
#include <stdlib.h>

#include "../test.h"
#include "output/profile_view.h"
#include "symbol/profile_builder.h"

/* ---- names -------------------------------------------------------------------------------------
 */

#define FUNCTION_SHIFT 8 /* of code addresses: which function it is */

void frame_names__frame(const struct frame_names *self, uint32_t tgid, uint64_t word,
			uint64_t second, struct profile_frame *frame, char *name, char *file)
{
	*frame = (struct profile_frame){.name = name, .file = file, .type = PROFILE_NOTE};
	*file = '\0';
	snprintf(name, FRAME_NAME_BYTES, "?");
	switch (word >> FRAME_KIND_SHIFT) {
	case FRAME_KIND_KERNEL:
		frame_names__kernel(self, word, name, FRAME_NAME_BYTES);
		frame->type = PROFILE_KERNEL;
		break;
	case FRAME_KIND_NATIVE:
		frame_names__entry(self, word, name, FRAME_NAME_BYTES);
		frame->type = PROFILE_NATIVE;
		break;
	case FRAME_KIND_BUILTIN:
		snprintf(name, FRAME_NAME_BYTES, "c%u",
			 (unsigned int)((second & FRAME_VADDR_MASK) >> 8));
		frame->type = PROFILE_BUILTIN;
		break;
	case FRAME_KIND_LUA:
		snprintf(name, FRAME_NAME_BYTES, "lua%u", (unsigned int)second);
		frame->type = PROFILE_BUILTIN; /* whose text is the name alone */
		break;
	}
}

void frame_names__entry(const struct frame_names *self, uint64_t entry, char *out, size_t size)
{
	snprintf(out, size, "%u", (unsigned int)((entry & FRAME_VADDR_MASK) >> FUNCTION_SHIFT));
}

void frame_names__kernel(const struct frame_names *self, uint64_t address, char *out, size_t size)
{
	static const char *const names[] = {"kernel", "bpf_prog_1", "__schedule", "schedule",
					    "pipe_read"};

	snprintf(out, size, "%s", names[address & 7]);
}

const char *walk_stop__text(unsigned int stop)
{
	return NULL;
}

const char *walk_error__text(unsigned int error)
{
	return NULL;
}

const char *vm_state__text(unsigned int state)
{
	return NULL;
}

const char *off_cpu_reason__text(enum off_cpu_reason reason)
{
	return "state";
}

/* ---- stacks ------------------------------------------------------------------------------------
 */

static uint64_t native(unsigned int function, unsigned int offset)
{
	return (uint64_t)FRAME_KIND_NATIVE << FRAME_KIND_SHIFT | 1ull << FRAME_FILE_SHIFT |
	       (uint64_t)function << FUNCTION_SHIFT | offset;
}

/* Leaf first, as the walk writes them: "7" a native frame in function 7, "c7" the C function 7,
 * "c0" one without an address, "lua7" a Lua function, "kernel". */
static void put_stack(struct stack_store *stacks, const char *text)
{
	struct record_stack record = {.comm = "t"};
	char *copy = strdup(text), *rest = NULL, *word;
	uint16_t count = 0;
	unsigned int function;

	for (word = strtok_r(copy, " ", &rest); word; word = strtok_r(NULL, " ", &rest)) {
		function = (unsigned int)strtoul(word + strcspn(word, "0123456789"), NULL, 10);
		if (word[0] == 'k') {
			record.words[count++] =
				(uint64_t)FRAME_KIND_KERNEL << FRAME_KIND_SHIFT | 16;
		} else if (word[0] == 'c') {
			record.words[count++] =
				(uint64_t)FRAME_KIND_BUILTIN << FRAME_KIND_SHIFT | 1;
			record.words[count++] = function ? native(function, 0) : 0;
		} else if (word[0] == 'l') {
			record.words[count++] = (uint64_t)FRAME_KIND_LUA << FRAME_KIND_SHIFT;
			record.words[count++] = function;
		} else {
			record.words[count++] = native(function, 5);
		}
	}
	free(copy);
	record.word_count = count;
	record.hash = 1 + stack_store__count(stacks);
	CHECK_EQ(stack_store__add_stack(stacks, &record, sizeof(record), 0, 0), 0);
}

/* Of two stacks: the first may teach what the second one needs, or the other way round. */
static void build(const char *one, const char *other, bool with_native, const char *expected,
		  const char *expected_other)
{
	const struct profile_builder_options options = {};
	const struct profile_view view = {.kernel = with_native, .native = with_native};
	const struct frame_names names = {};
	struct stack_store *stacks = stack_store__new();
	struct profile *profile = profile__new(), *drawn = profile__new();
	struct profile_stack stack;
	const char *wanted;
	char text[256];
	size_t i, k, at;

	put_stack(stacks, one);
	if (other)
		put_stack(stacks, other);
	CHECK_EQ(profile_builder__add(profile, stacks, &names, &options), 0);
	CHECK_EQ(profile_view__make(&view, profile, drawn), 0);
	CHECK_EQ(profile__stack_count(drawn), other ? 2 : 1);
	for (i = 0; i < profile__stack_count(drawn); i++) {
		stack = profile__stack_at(drawn, i);
		text[0] = '\0';
		for (k = 1, at = 0; k < stack.frame_count; k++) /* without the thread */
			at += (size_t)snprintf(text + at, sizeof(text) - at, "%s%s",
					       k > 1 ? " " : "",
					       profile__frame_at(drawn, stack.frames[k])->name);
		wanted = i ? expected_other : expected;
		CHECK_STR(text, wanted);
	}
	profile__free(drawn);
	profile__free(profile);
	stack_store__free(stacks);
}

static void shown(const char *stack, const char *expected)
{
	build(stack, NULL, true, expected, NULL);
}

/* In all of these: 1 is pcall, 2 luaD_precall, 3 lua_call, 5 main, 6 redis.call, which ends with a
 * jump to 7, that calls 8. */

static void one_with_a_native_frame(void)
{
	shown("1 2 c1 lua4 5", "5 lua4 c1");
	shown("9 1 2 c1 lua4 5", "5 lua4 c1 9");
	shown("kernel 9 1 2 c1 lua4 5", "5 lua4 c1 9 kernel");
	/* luaV_execute calls it, the compiler has put luaD_precall into that */
	shown("9 1 c1 lua4 5", "5 lua4 c1 9");
}

static void one_in_another(void)
{
	shown("6 2 3 1 2 c6 c1 lua4 5", "5 lua4 c1 3 2 c6");
	shown("9 1 2 3 1 2 c1 c1 lua4 5", "5 lua4 c1 3 2 c1 9");
	shown("9 1 2 3 1 2 3 1 2 c1 c1 c1 lua4 5", "5 lua4 c1 3 2 c1 3 2 c1 9");
}

static void one_that_has_jumped_away(void)
{
	/* within another one, which tells what calls C functions */
	shown("8 7 2 3 1 2 c6 c1 lua4 5", "5 lua4 c1 3 2 c6 7 8");
	/* alone: another stack tells it, whichever came first */
	build("8 7 2 c6 lua4 5", "1 2 c1 lua4 5", true, "5 lua4 c6 7 8", "5 lua4 c1");
	build("1 2 c1 lua4 5", "8 7 2 c6 lua4 5", true, "5 lua4 c1", "5 lua4 c6 7 8");
	/* nothing tells: it stands in front of all */
	shown("8 7 2 c6 lua4 5", "5 lua4 c6 2 7 8");
}

static void those_of_several_activations(void)
{
	shown("9 6 2 c6 lua3 10 2 3 1 2 c1 lua4 5", "5 lua4 c1 3 2 10 lua3 c6 9");
	shown("lua3 10 2 3 1 2 c1 lua4 5", "5 lua4 c1 3 2 10 lua3");
	/* the same function in both */
	shown("9 1 2 c1 lua3 1 2 c1 lua4 5", "5 lua4 c1 lua3 c1 9");
}

static void one_without_an_address(void)
{
	shown("c0 lua4 5", "5 lua4 c0");
	shown("9 c0 lua4 5", "5 lua4 c0 9");
	shown("9 1 c1 c0 lua4 5", "5 lua4 c0 c1 9");
}

static void without_native_frames(void)
{
	build("kernel 8 7 2 3 1 2 c6 c1 lua4 5", NULL, false, "lua4 c1 c6", NULL);
	build("9 6 2 c6 lua3 10 2 3 1 2 c1 lua4 5", NULL, false, "lua4 c1 lua3 c6", NULL);
}

static void a_cut_stack(void)
{
	/* C functions at its root, and a word without its second one */
	struct stack_store *stacks = stack_store__new();
	struct record_stack record = {.comm = "t", .hash = 1, .word_count = 2};
	const struct profile_builder_options options = {};
	const struct frame_names names = {};
	struct profile *profile = profile__new();

	shown("9 1 2 c1", "c1 9");
	record.words[0] = native(9, 1);
	record.words[1] = (uint64_t)FRAME_KIND_BUILTIN << FRAME_KIND_SHIFT | 1;
	CHECK_EQ(stack_store__add_stack(stacks, &record, sizeof(record), 0, 0), 0);
	CHECK_EQ(profile_builder__add(profile, stacks, &names, &options), 0);
	CHECK_EQ(profile__stack_at(profile, 0).frame_count, 1);
	profile__free(profile);
	stack_store__free(stacks);
}

/* ---- time off the CPU ----------------------------------------------------------------------- */

/* A stack of these functions of the kernel (their numbers above, leaf first) above a native one. */
static uint64_t put_off_cpu(struct stack_store *stacks, enum off_cpu_reason reason,
			    const char *kernel)
{
	struct record_stack record = {.comm = "t",
				      .flags = (uint8_t)(reason << STACK_OFF_CPU_SHIFT)};
	uint16_t count = 0;

	for (; *kernel; kernel++)
		record.words[count++] =
			(uint64_t)FRAME_KIND_KERNEL << FRAME_KIND_SHIFT | (uint64_t)(*kernel - '0');
	if (reason != OFF_CPU_BEFORE)
		record.words[count++] = native(5, 5);
	record.word_count = count;
	record.hash = 1 + stack_store__count(stacks);
	CHECK_EQ(stack_store__add_stack(stacks, &record, sizeof(record), 0, 0), 0);
	return record.hash;
}

static void off_cpu_shown(enum off_cpu_reason reason, const char *kernel, const char *expected)
{
	const struct profile_builder_options options = {.period_ns = 1000, .states = true};
	const struct frame_names names = {};
	struct stack_store *stacks = stack_store__new();
	struct profile *profile = profile__new();
	struct profile_stack stack;
	char text[256] = "";
	size_t i, at = 0;

	put_off_cpu(stacks, reason, "4"); /* its thread has not come back */
	CHECK(stack_store__add_off_cpu(stacks, put_off_cpu(stacks, reason, kernel), 700));
	CHECK_EQ(profile_builder__add(profile, stacks, &names, &options), 0);
	CHECK_EQ(profile__stack_count(profile), 1);
	if (profile__stack_count(profile) == 1) {
		stack = profile__stack_at(profile, 0);
		CHECK_EQ(stack.count, 1);
		CHECK_EQ(stack.nanoseconds, 700);
		for (i = 0; i < stack.frame_count; i++)
			at += (size_t)snprintf(text + at, sizeof(text) - at, "%s%s", i ? " " : "",
					       profile__frame_at(profile, stack.frames[i])->name);
		CHECK_STR(text, expected);
	}
	profile__free(profile);
	stack_store__free(stacks);
}

static void what_left_the_cpu(void)
{
	off_cpu_shown(OFF_CPU_BLOCKED, "11234", "5 pipe_read");
	/* As it is told of threads that left before: without the scheduler. */
	off_cpu_shown(OFF_CPU_BLOCKED, "4", "5 pipe_read");
	off_cpu_shown(OFF_CPU_BLOCKED, "124", "5 pipe_read");
	off_cpu_shown(OFF_CPU_BLOCKED, "34", "5 pipe_read schedule");
	off_cpu_shown(OFF_CPU_WAITING, "1123", "5 [waiting for a CPU]");
	off_cpu_shown(OFF_CPU_BEFORE, "", "[off the CPU since before the recording]");
}

static void totals_off_the_cpu(void)
{
	struct stack_store *stacks = stack_store__new();
	struct off_cpu_totals totals;

	stack_store__add_off_cpu(stacks, put_off_cpu(stacks, OFF_CPU_BLOCKED, "1"), 700);
	stack_store__add_off_cpu(stacks, put_off_cpu(stacks, OFF_CPU_BEFORE, ""), 50);
	put_off_cpu(stacks, OFF_CPU_WAITING, "1");
	put_stack(stacks, "5 lua4");
	profile_builder__off_cpu(stacks, &totals);
	CHECK_EQ(totals.ns[OFF_CPU_BLOCKED], 700);
	CHECK_EQ(totals.ns[OFF_CPU_BEFORE], 50);
	CHECK_EQ(totals.count[OFF_CPU_BLOCKED], 1);
	CHECK_EQ(totals.count[OFF_CPU_WAITING], 0);
	CHECK_EQ(totals.count[OFF_CPU_NONE], 1);
	CHECK_EQ(totals.complete, 2); /* what left before is not known */
	CHECK_EQ(totals.with_lua, 1);
	stack_store__free(stacks);
}

int main(void)
{
	RUN(what_left_the_cpu, "stacks off the CPU: without the scheduler, and why");
	RUN(totals_off_the_cpu, "their totals");
	RUN(one_with_a_native_frame, "a C function has its Lua name where its native frame is");
	RUN(one_in_another, "C functions called by C functions");
	RUN(one_that_has_jumped_away, "a C function that has jumped to another one");
	RUN(those_of_several_activations, "C functions of several activations");
	RUN(one_without_an_address, "a built-in without an address");
	RUN(without_native_frames, "without native frames");
	RUN(a_cut_stack, "stacks that are cut");
	return TEST_RESULT();
}
