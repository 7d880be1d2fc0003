// SPDX-License-Identifier: Apache-2.0
/*
 * Merges stacks into a tree without any search structure: with stacks sorted root first, a stack
 * shares its nodes with the one before it as far as their frames are equal, and every other node
 * is new. Nodes so come out in preorder.
 */
#include "flamegraph_tree.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

struct sorter {
	const struct profile *profile;
	const uint32_t *ranks; /* by frame id */
};

static int compare_frames(const void *left, const void *right, void *context)
{
	const struct profile *profile = context;
	const struct profile_frame *a = profile__frame_at(profile, *(const uint32_t *)left);
	const struct profile_frame *b = profile__frame_at(profile, *(const uint32_t *)right);
	int order = strcmp(a->name, b->name);

	return order ? order : (a->type > b->type) - (a->type < b->type);
}

static int compare_stacks(const void *left, const void *right, void *context)
{
	const struct sorter *sorter = context;
	struct profile_stack a = profile__stack_at(sorter->profile, *(const size_t *)left);
	struct profile_stack b = profile__stack_at(sorter->profile, *(const size_t *)right);
	uint32_t common = a.frame_count < b.frame_count ? a.frame_count : b.frame_count;

	for (uint32_t i = 0; i < common; i++) {
		uint32_t x = sorter->ranks[a.frames[i]], y = sorter->ranks[b.frames[i]];

		if (x != y)
			return x < y ? -1 : 1;
	}
	return (a.frame_count > b.frame_count) - (a.frame_count < b.frame_count);
}

/* Fills tree->frames and, for each id in it, ranks[id]. */
static int rank_frames(struct flamegraph_tree *tree, const struct profile *profile, uint32_t *ranks)
{
	size_t frame_count = profile__frame_count(profile);

	tree->frames = calloc(frame_count + 1, sizeof(*tree->frames));
	if (!tree->frames)
		return -ENOMEM;
	for (size_t i = 0; i < profile__stack_count(profile); i++) {
		struct profile_stack stack = profile__stack_at(profile, i);

		for (uint32_t f = 0; f < stack.frame_count; f++)
			ranks[stack.frames[f]] = 1;
	}
	for (uint32_t id = 0; id < frame_count; id++) {
		if (ranks[id])
			tree->frames[tree->frame_count++] = id;
	}
	qsort_r(tree->frames, tree->frame_count, sizeof(*tree->frames), compare_frames,
		(void *)profile);
	for (uint32_t i = 0; i < tree->frame_count; i++)
		ranks[tree->frames[i]] = i;
	return 0;
}

static uint32_t shared_frames(struct profile_stack a, struct profile_stack b)
{
	uint32_t i = 0;

	while (i < a.frame_count && i < b.frame_count && a.frames[i] == b.frames[i])
		i++;
	return i;
}

/* The deepest stack, and how many nodes sorted stacks make. */
static void measure(struct flamegraph_tree *tree, const struct profile *profile,
		    const size_t *order)
{
	struct profile_stack before = {0};

	tree->node_count = 1;
	for (size_t i = 0; i < profile__stack_count(profile); i++) {
		struct profile_stack stack = profile__stack_at(profile, order[i]);

		tree->node_count += stack.frame_count - shared_frames(before, stack);
		if (stack.frame_count > tree->depth)
			tree->depth = stack.frame_count;
		before = stack;
	}
}

int flamegraph_tree__weigh(struct flamegraph_tree *tree, const struct profile *profile,
			   const uint64_t *weights)
{
	/* By depth: where the next child at that depth starts. */
	uint64_t *next_left = calloc((size_t)tree->depth + 2, sizeof(*next_left));

	if (!next_left)
		return -ENOMEM;
	memset(tree->leaf_samples, 0, sizeof(tree->leaf_samples));
	for (size_t i = 0; i < tree->node_count; i++)
		tree->nodes[i].total = 0;
	for (size_t i = 0; i < profile__stack_count(profile); i++) {
		struct profile_stack stack = profile__stack_at(profile, i);
		uint64_t weight = weights ? weights[i] : profile__weight(profile, &stack);

		tree->nodes[tree->ends[i]].total += weight;
		if (stack.frame_count) {
			uint32_t leaf = stack.frames[stack.frame_count - 1];

			tree->leaf_samples[profile__frame_at(profile, leaf)->type] += weight;
		}
	}
	for (size_t i = tree->node_count; i-- > 1;)
		tree->nodes[tree->nodes[i].parent].total += tree->nodes[i].total;
	for (size_t i = 0; i < tree->node_count; i++) {
		struct flamegraph_node *node = &tree->nodes[i];

		node->left = next_left[node->depth];
		next_left[node->depth] += node->total;
		next_left[node->depth + 1] = node->left;
	}
	free(next_left);
	return 0;
}

int flamegraph_tree__build(struct flamegraph_tree *tree, const struct profile *profile)
{
	size_t stack_count = profile__stack_count(profile), used = 1;
	uint32_t *ranks = calloc(profile__frame_count(profile) + 1, sizeof(*ranks));
	size_t *order = calloc(stack_count + 1, sizeof(*order)), *path = NULL;
	struct sorter sorter = {.profile = profile, .ranks = ranks};
	struct profile_stack before = {0};
	int err;

	memset(tree, 0, sizeof(*tree));
	err = ranks && order ? rank_frames(tree, profile, ranks) : -ENOMEM;
	if (err)
		goto out;
	for (size_t i = 0; i < stack_count; i++)
		order[i] = i;
	qsort_r(order, stack_count, sizeof(*order), compare_stacks, &sorter);
	measure(tree, profile, order);

	tree->nodes = calloc(tree->node_count, sizeof(*tree->nodes));
	tree->ends = calloc(stack_count + 1, sizeof(*tree->ends));
	path = calloc((size_t)tree->depth + 1, sizeof(*path));
	if (!tree->nodes || !tree->ends || !path) {
		err = -ENOMEM;
		goto out;
	}
	for (size_t i = 0; i < stack_count; i++) {
		struct profile_stack stack = profile__stack_at(profile, order[i]);

		for (uint32_t f = shared_frames(before, stack); f < stack.frame_count; f++) {
			path[f + 1] = used;
			tree->nodes[used++] = (struct flamegraph_node){
				.parent = path[f],
				.frame = ranks[stack.frames[f]],
				.depth = f + 1,
			};
		}
		tree->ends[order[i]] = path[stack.frame_count];
		before = stack;
	}
	err = flamegraph_tree__weigh(tree, profile, NULL);
out:
	free(ranks);
	free(order);
	free(path);
	return err;
}

void flamegraph_tree__free(struct flamegraph_tree *tree)
{
	free(tree->nodes);
	free(tree->frames);
	free(tree->ends);
	memset(tree, 0, sizeof(*tree));
}
