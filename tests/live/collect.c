/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Counts taken while sampling goes on, and times, for test_collect.py:
 *
 *     collect PID RATE ROUNDS [take]
 *
 * samples PID (with `take` the stacks are forgotten each time, and their counts kept here) and, ten
 * times a second, prints "round RECENT COUNT BEFORE AFTER": the sums of all stacks' recent and
 * count, and the kernel's counter of samples right before and after. At the end "end RECENT COUNT
 * SAMPLES LOST", the same after the stop, and "times TIMES LOST MISMATCHED LATEST MS": of all
 * stacks the times, those that were lost, the stacks that have other than one for each sample, the
 * latest time and the length of the recording, both in milliseconds.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "sample/sampler.h"

static uint64_t recent, counted, taken;

static void sum(const struct sampler *sampler)
{
	const struct stack_store *stacks = sampler__stacks(sampler);
	const struct stored_stack *stack = NULL;

	recent = 0;
	counted = taken;
	while ((stack = stack_store__next(stacks, stack))) {
		recent += stack->recent;
		counted += stack->count;
	}
}

static uint64_t counter(const struct sampler *sampler, enum counter which)
{
	uint64_t counters[COUNTER_COUNT];

	sampler__counters(sampler, counters);
	return counters[which];
}

static uint64_t now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000000000 + (uint64_t)t.tv_nsec;
}

static int run(struct sampler *sampler, long rounds, bool take)
{
	uint64_t before, next;
	int err = 0;
	long i;

	sampler__start(sampler);
	next = sampler__start_ns(sampler);
	for (i = 0; !err && i < rounds; i++) {
		next += 100000000;
		while (!err && now_ns() < next)
			err = sampler__poll(sampler, 20);
		before = counter(sampler, COUNTER_SAMPLES);
		if (!err)
			err = take ? sampler__take(sampler) : sampler__collect(sampler);
		sum(sampler);
		if (take) {
			taken = counted;
			stack_store__clear(sampler__stacks(sampler));
		}
		printf("round %" PRIu64 " %" PRIu64 " %" PRIu64 " %" PRIu64 "\n", recent, counted,
		       before, counter(sampler, COUNTER_SAMPLES));
	}
	return err ? err : sampler__stop(sampler);
}

static void print_times(const struct sampler *sampler, uint64_t length_ns)
{
	const struct stack_store *stacks = sampler__stacks(sampler);
	const struct stored_stack *stack = NULL;
	uint64_t times = 0, latest = 0, mismatched = 0;
	size_t i;

	while ((stack = stack_store__next(stacks, stack))) {
		times += stack->time_count;
		mismatched += stack->time_count != stack->count;
		for (i = 0; i < stack->time_count; i++) {
			if (stack->times[i] > latest)
				latest = stack->times[i];
		}
	}
	printf("times %" PRIu64 " %" PRIu64 " %" PRIu64 " %" PRIu64 " %" PRIu64 "\n", times,
	       counter(sampler, COUNTER_LOST_TIME), mismatched, latest / 1000000,
	       length_ns / 1000000);
}

int main(int argc, char **argv)
{
	bool take = argc == 5 && strcmp(argv[4], "take") == 0;
	struct sampler_options options = {.kernel = true, .times = !take};
	struct sampler *sampler = NULL;
	pid_t pid;
	int err;

	if (argc != 4 && !take)
		return 2;
	pid = (pid_t)strtol(argv[1], NULL, 10);
	options.rate_hz = (uint32_t)strtoul(argv[2], NULL, 10);
	err = sampler__new(&options, &pid, 1, &sampler);
	if (!err)
		err = sampler__add(sampler, pid, false);
	if (!err)
		err = run(sampler, strtol(argv[3], NULL, 10), take);
	if (!err) {
		uint64_t length_ns = now_ns() - sampler__start_ns(sampler);

		sum(sampler);
		printf("end %" PRIu64 " %" PRIu64 " %" PRIu64 " %" PRIu64 "\n", recent, counted,
		       counter(sampler, COUNTER_SAMPLES), counter(sampler, COUNTER_LOST));
		print_times(sampler, length_ns);
	}
	if (err)
		fprintf(stderr, "collect: %s\n", strerror(-err));
	sampler__free(sampler);
	return err ? 1 : 0;
}
