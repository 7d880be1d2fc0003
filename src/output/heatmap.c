// SPDX-License-Identifier: Apache-2.0
/*
 * The heat map: the flame graph's page (flamegraph.c) whose data also say when each sample was
 * taken, and a part of the script that draws them, second by second, and weighs the flame graph by
 * those that are selected. Samples without a time are left out and counted.
 *
 * In the data, the ends of the stacks come first, those with the most samples foremost, so that
 * most samples name theirs with one digit; then the samples in the order of time: the milliseconds
 * since the one before it, and the number of its stack.
 */
#include "output.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>

#include "flamegraph_parts.h"

FLAMEGRAPH_ASSET(asset_heat, "heat.js");

/* What a page can draw: a bit more than a day. Samples later than that are left out and counted. */
#define MAX_SECONDS	100000u
#define NS_PER_MS	1000000u
#define ROWS_PER_SECOND 50u

struct heat_stack {
	uint64_t samples; /* with a time */
	size_t end;	  /* node of the tree */
	size_t index;	  /* in the profile */
};

struct heat_sample {
	uint32_t ms;
	uint32_t stack;
};

struct heat {
	struct heat_stack *stacks;
	size_t stack_count;
	struct heat_sample *samples;
	size_t sample_count;
	uint64_t untimed;
};

static bool on_the_map(uint64_t time_ns)
{
	return time_ns / NS_PER_MS < MAX_SECONDS * UINT64_C(1000);
}

static int by_samples(const void *left, const void *right)
{
	const struct heat_stack *a = left, *b = right;

	if (a->samples != b->samples)
		return a->samples > b->samples ? -1 : 1;
	return (a->end > b->end) - (a->end < b->end);
}

static int by_time(const void *left, const void *right)
{
	const struct heat_sample *a = left, *b = right;

	if (a->ms != b->ms)
		return a->ms < b->ms ? -1 : 1;
	return (a->stack > b->stack) - (a->stack < b->stack);
}

/* Fills all of `heat`, and weights[], by stack of the profile. */
static int collect(struct heat *heat, const struct profile *profile,
		   const struct flamegraph_tree *tree, uint64_t *weights)
{
	size_t used = 0;

	heat->stack_count = profile__stack_count(profile);
	heat->stacks = calloc(heat->stack_count + 1, sizeof(*heat->stacks));
	if (!heat->stacks)
		return -ENOMEM;
	for (size_t i = 0; i < heat->stack_count; i++) {
		struct profile_stack stack = profile__stack_at(profile, i);
		struct heat_stack *shown = &heat->stacks[i];

		shown->end = tree->ends[i];
		shown->index = i;
		for (size_t t = 0; t < stack.time_count; t++)
			shown->samples += on_the_map(stack.times[t]);
		weights[i] = shown->samples;
		heat->sample_count += shown->samples;
		heat->untimed += stack.count > shown->samples ? stack.count - shown->samples : 0;
	}
	qsort(heat->stacks, heat->stack_count, sizeof(*heat->stacks), by_samples);
	while (heat->stack_count && !heat->stacks[heat->stack_count - 1].samples)
		heat->stack_count--;

	heat->samples = calloc(heat->sample_count + 1, sizeof(*heat->samples));
	if (!heat->samples)
		return -ENOMEM;
	for (size_t i = 0; i < heat->stack_count; i++) {
		struct profile_stack stack = profile__stack_at(profile, heat->stacks[i].index);

		for (size_t t = 0; t < stack.time_count; t++) {
			if (!on_the_map(stack.times[t]))
				continue;
			heat->samples[used++] = (struct heat_sample){
				.ms = (uint32_t)(stack.times[t] / NS_PER_MS),
				.stack = (uint32_t)i,
			};
		}
	}
	qsort(heat->samples, heat->sample_count, sizeof(*heat->samples), by_time);
	return 0;
}

static void write_heat(const struct flamegraph_page *page, FILE *out)
{
	const struct heat *heat = page->more;
	uint32_t before = 0;

	fprintf(out,
		"\"heat\":{\"rows\":%u,\"untimed\":%" PRIu64 ",\n\"stackCount\":%zu,\"stacks\":\"",
		ROWS_PER_SECOND, heat->untimed, heat->stack_count);
	for (size_t i = 0; i < heat->stack_count; i++)
		flamegraph_data__write_number(heat->stacks[i].end, out);
	fprintf(out, "\",\n\"sampleCount\":%zu,\"samples\":\"", heat->sample_count);
	for (size_t i = 0; i < heat->sample_count; i++) {
		flamegraph_data__write_number(heat->samples[i].ms - before, out);
		flamegraph_data__write_number(heat->samples[i].stack, out);
		before = heat->samples[i].ms;
	}
	fputs("\"},\n", out);
}

int heatmap__write_html(const struct profile *profile, FILE *out)
{
	struct heat heat = {0};
	struct flamegraph_tree tree;
	struct flamegraph_page page = {
		.profile = profile,
		.tree = &tree,
		.counts = true,
		.write_more = write_heat,
		.more = &heat,
		.script = asset_heat,
		.script_end = asset_heat_end,
	};
	uint64_t *weights = calloc(profile__stack_count(profile) + 1, sizeof(*weights));
	int err = flamegraph_tree__build(&tree, profile);

	if (!err)
		err = weights ? collect(&heat, profile, &tree, weights) : -ENOMEM;
	if (!err && heat.untimed && !heat.sample_count)
		err = -EINVAL;
	if (!err)
		err = flamegraph_tree__weigh(&tree, profile, weights);
	if (!err)
		err = flamegraph_page__write_html(&page, out);
	flamegraph_tree__free(&tree);
	free(heat.stacks);
	free(heat.samples);
	free(weights);
	return err;
}
