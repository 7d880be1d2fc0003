// SPDX-License-Identifier: Apache-2.0
/* The store of stacks: counts from records and from the kernel's map, what is recent, times. */
#include <stdlib.h>

#include "../test.h"
#include "sample/stack_store.h"

#define WORDS 2

static struct stack_store *store;
static struct record_stack record;

static size_t size_of(uint16_t words)
{
	return RECORD_STACK_HEADER + 8 * (size_t)words;
}

static int add(uint64_t hash)
{
	record = (struct record_stack){
		.type = RECORD_STACK, .tgid = 7, .word_count = WORDS, .hash = hash, .comm = "x"};
	record.words[0] = (uint64_t)FRAME_KIND_NATIVE << FRAME_KIND_SHIFT | hash;
	return stack_store__add_stack(store, &record, size_of(WORDS), 0, 0);
}

static int add_off_cpu(uint64_t hash)
{
	record = (struct record_stack){.type = RECORD_STACK,
				       .flags = OFF_CPU_BLOCKED << STACK_OFF_CPU_SHIFT,
				       .hash = hash};
	return stack_store__add_stack(store, &record, size_of(0), 0, 0);
}

static void set(uint64_t hash, uint64_t count)
{
	stack_store__set_count(store, hash, &(struct stack_count){.count = count});
}

static int add_time(uint64_t hash, uint64_t time)
{
	struct record_time at = {.type = RECORD_TIME, .hash = hash, .time = time};

	return stack_store__add_time(store, &at, sizeof(at), 1000);
}

static const struct stored_stack *find(uint64_t hash)
{
	static const struct stored_stack none;
	const struct stored_stack *stack;

	for (stack = stack_store__next(store, NULL); stack;
	     stack = stack_store__next(store, stack)) {
		if (stack->hash == hash)
			return stack;
	}
	printf("# no stack %" PRIu64 "\n", hash);
	test_failures_in_case++;
	return &none;
}

static void the_kernel_s_count_is_added_once(void)
{
	store = stack_store__new();
	CHECK_EQ(add(1), 0);
	CHECK_EQ(find(1)->count, 1);
	set(1, 5);
	CHECK_EQ(find(1)->count, 6);
	set(1, 5);
	CHECK_EQ(find(1)->count, 6);
	/* Another CPU met it as new, too. */
	CHECK_EQ(add(1), 0);
	set(1, 8);
	CHECK_EQ(find(1)->count, 10);
	CHECK_EQ(stack_store__count(store), 1);
	stack_store__free(store);
}

static void a_count_that_is_before_its_record_is_not_lost(void)
{
	store = stack_store__new();
	set(2, 4);
	CHECK_EQ(stack_store__count(store), 0);
	CHECK_EQ(add(2), 0);
	set(2, 9);
	CHECK_EQ(find(2)->count, 10);
	stack_store__free(store);
}

static void recent_is_what_came_between_two_marks(void)
{
	store = stack_store__new();
	add(1);
	set(1, 2);
	CHECK_EQ(find(1)->recent, 0);
	stack_store__mark(store);
	CHECK_EQ(find(1)->recent, 3);
	add(3);
	set(1, 6);
	CHECK_EQ(find(1)->recent, 3);
	stack_store__mark(store);
	CHECK_EQ(find(1)->recent, 4);
	CHECK_EQ(find(3)->recent, 1);
	stack_store__mark(store);
	CHECK_EQ(find(1)->recent, 0);
	CHECK_EQ(find(1)->count, 7);
	CHECK_EQ(find(3)->recent, 0);
	stack_store__free(store);
}

static void times_are_relative_to_the_start(void)
{
	struct record_time cut = {.hash = 1};
	uint64_t i;

	store = stack_store__new();
	add(1);
	add(2);
	CHECK(!find(1)->times);
	for (i = 0; i < 100; i++)
		CHECK_EQ(add_time(1, 1000 + 10 * i), 0);
	/* Clocks of two CPUs. */
	CHECK_EQ(add_time(2, 999), 0);
	/* Of no stack; too short. */
	CHECK_EQ(add_time(5, 2000), 0);
	CHECK_EQ(stack_store__add_time(store, &cut, sizeof(cut) - 1, 0), 0);
	CHECK_EQ(find(1)->time_count, 100);
	CHECK_EQ(find(1)->times[0], 0);
	CHECK_EQ(find(1)->times[99], 990);
	CHECK_EQ(find(2)->time_count, 1);
	CHECK_EQ(find(2)->times[0], 0);
	/* Times do not count. */
	CHECK_EQ(find(1)->count, 1);
	stack_store__free(store);
}

static void times_off_the_cpu_count_when_they_end(void)
{
	store = stack_store__new();
	CHECK_EQ(add_off_cpu(4), 0);
	CHECK_EQ(add_off_cpu(4), 0);
	CHECK_EQ(find(4)->count, 0);
	CHECK_EQ(stored_stack__off_cpu(find(4)), OFF_CPU_BLOCKED);
	stack_store__set_count(store, 4, &(struct stack_count){.count = 2, .ns = 700});
	stack_store__mark(store);
	/* One for which the kernel's map had no room, and one that ends with the recording. */
	CHECK(stack_store__add_off_cpu(store, 4, 50));
	stack_store__set_count(store, 4, &(struct stack_count){.count = 3, .ns = 1000});
	CHECK_EQ(find(4)->count, 4);
	CHECK_EQ(find(4)->ns, 1050);
	stack_store__mark(store);
	CHECK_EQ(find(4)->recent, 2);
	CHECK_EQ(find(4)->recent_ns, 350);
	CHECK(!stack_store__add_off_cpu(store, 5, 50));
	add(1);
	CHECK_EQ(stored_stack__off_cpu(find(1)), OFF_CPU_NONE);
	stack_store__free(store);
}

static void short_records_are_ignored(void)
{
	store = stack_store__new();
	add(1);
	record.hash = 2;
	CHECK_EQ(stack_store__add_stack(store, &record, size_of(WORDS) - 1, 0, 0), 0);
	CHECK_EQ(stack_store__add_stack(store, &record, RECORD_STACK_HEADER - 1, 0, 0), 0);
	record.word_count = MAX_WORDS + 1;
	CHECK_EQ(stack_store__add_stack(store, &record, sizeof(record) + 8, 0, 0), 0);
	CHECK_EQ(stack_store__count(store), 1);
	stack_store__free(store);
}

static bool take(uint64_t hash, uint64_t count)
{
	return stack_store__take_count(store, hash, &(struct stack_count){.count = count});
}

static void what_is_forgotten_begins_anew(void)
{
	store = stack_store__new();
	CHECK_EQ(add(1), 0);
	CHECK_EQ(add(2), 0);
	set(1, 3);
	stack_store__mark(store);
	stack_store__begin_taking(store);
	/* The kernel has given up its count of 1 and then told it anew. */
	CHECK_EQ(add(1), 0);
	CHECK(take(1, 5));
	CHECK(take(2, 0));
	CHECK(!take(3, 9));
	stack_store__mark(store);
	CHECK_EQ(find(1)->count, 7);
	CHECK_EQ(find(1)->recent, 3);
	CHECK_EQ(find(2)->recent, 0);
	/* So it counts that stack from 0 on, and says no more what it is. */
	stack_store__clear(store);
	CHECK_EQ(stack_store__count(store), 1);
	CHECK_EQ(find(1)->count, 0);
	set(1, 2);
	stack_store__mark(store);
	CHECK_EQ(find(1)->count, 2);
	CHECK_EQ(find(1)->recent, 2);
	stack_store__begin_taking(store);
	CHECK(take(1, 4));
	CHECK_EQ(find(1)->count, 4);
	stack_store__clear(store);
	CHECK_EQ(stack_store__count(store), 0);
	CHECK_EQ(add(1), 0);
	CHECK_EQ(find(1)->count, 1);
	stack_store__free(store);
}

int main(void)
{
	RUN(the_kernel_s_count_is_added_once, "the kernel's count of a stack is added once");
	RUN(a_count_that_is_before_its_record_is_not_lost,
	    "a count that comes before its stack is taken the next time");
	RUN(recent_is_what_came_between_two_marks, "recent is what came between two marks");
	RUN(times_are_relative_to_the_start, "times are relative to the recording's start");
	RUN(times_off_the_cpu_count_when_they_end, "times off the CPU count when they end");
	RUN(what_is_forgotten_begins_anew, "what is forgotten begins anew, without a loss");
	RUN(short_records_are_ignored, "records shorter than they claim are ignored");
	return TEST_RESULT();
}
