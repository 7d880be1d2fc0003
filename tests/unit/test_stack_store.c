// SPDX-License-Identifier: Apache-2.0
/* The store of stacks: counts from records and from the kernel's map, what is recent, times. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

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

static int add_of_thread(uint64_t hash, uint32_t tid, uint8_t state)
{
	record = (struct record_stack){.type = RECORD_STACK,
				       .tgid = 7,
				       .tid = tid,
				       .flags = (uint8_t)(state << STACK_VM_STATE_SHIFT) |
						STACK_LUA_ORDER,
				       .hash = hash,
				       .comm = "x"};
	return stack_store__add_stack(store, &record, size_of(0), 0, 0);
}

static const struct stored_stack *not_kept_of(uint32_t tid, uint8_t state)
{
	static const struct stored_stack none;
	const struct stored_stack *stack;

	for (stack = stack_store__next(store, NULL); stack;
	     stack = stack_store__next(store, stack)) {
		if (stack->stop == STOP_NOT_KEPT && stack->tid == tid &&
		    stack->flags >> STACK_VM_STATE_SHIFT == state)
			return stack;
	}
	return &none;
}

static void beyond_the_limit_samples_are_counted_for_their_thread(void)
{
	struct record_proto proto = {.type = RECORD_PROTO, .proto_id = 9, .chunk = "@x.lua"};
	uint64_t hash, sum = 0;
	const struct stored_stack *stack;

	store = stack_store__new();
	CHECK_EQ(stack_store__add_proto(store, &proto, sizeof(proto)), 0);
	CHECK(strcmp(stack_store__proto(store, 9)->chunk, "@x.lua") == 0);
	stack_store__limit(store, 64 << 10);
	/* The kernel goes on counting those by their hash. */
	for (hash = 1; hash <= MAX_STACKS; hash++)
		add(hash);
	CHECK_EQ(stack_store__count(store), MAX_STACKS);
	CHECK_EQ(stack_store__not_kept(store), 0);
	for (; hash <= MAX_STACKS + 10; hash++)
		CHECK_EQ(add_of_thread(hash, (uint32_t)hash % 2, VM_STATE_GC), 0);
	CHECK_EQ(add_of_thread(hash, 1, VM_STATE_C), 0);
	CHECK_EQ(stack_store__count(store), MAX_STACKS + 3);
	CHECK_EQ(not_kept_of(0, VM_STATE_GC)->count, 5);
	CHECK_EQ(not_kept_of(1, VM_STATE_GC)->count, 5);
	CHECK_EQ(not_kept_of(1, VM_STATE_C)->count, 1);
	CHECK_EQ(not_kept_of(1, VM_STATE_C)->flags & STACK_LUA_ORDER, 0);
	CHECK_EQ(not_kept_of(1, VM_STATE_C)->word_count, 0);
	CHECK_EQ(stack_store__not_kept(store), 11);
	/* One that is known still is. */
	CHECK_EQ(add(5), 0);
	CHECK_EQ(find(5)->count, 2);
	/* Times and descriptions are refused. */
	CHECK_EQ(add_time(MAX_STACKS + 1, 2000), -ENOSPC);
	CHECK_EQ(add_time(5, 2000), -ENOSPC);
	proto.proto_id = 10;
	CHECK_EQ(stack_store__add_proto(store, &proto, sizeof(proto)), -ENOSPC);
	CHECK(!stack_store__proto(store, 10));
	/* Thread after thread is no way around the limit either. */
	for (hash = 1; hash <= 10000 && add_of_thread(~hash, (uint32_t)hash + 10, 0) == 0; hash++)
		;
	CHECK(hash > 1 && hash < 100);
	for (stack = stack_store__next(store, NULL); stack; stack = stack_store__next(store, stack))
		sum += stack->count;
	CHECK_EQ(sum, MAX_STACKS + 1 + stack_store__not_kept(store));
	stack_store__free(store);
}

static void forgotten_stacks_make_room(void)
{
	uint64_t hash;

	store = stack_store__new();
	stack_store__limit(store, 1 << 20);
	for (hash = 1; hash <= MAX_STACKS + 1; hash++)
		add(hash);
	CHECK_EQ(stack_store__not_kept(store), 1);
	stack_store__begin_taking(store);
	stack_store__clear(store);
	CHECK_EQ(stack_store__count(store), 0);
	CHECK_EQ(add(1), 0);
	CHECK_EQ(add_time(1, 2000), 0);
	CHECK_EQ(find(1)->time_count, 1);
	stack_store__free(store);
}

int main(void)
{
	RUN(beyond_the_limit_samples_are_counted_for_their_thread,
	    "beyond the limit samples are counted for their thread");
	RUN(forgotten_stacks_make_room, "stacks that are forgotten make room");
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
