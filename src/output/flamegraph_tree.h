/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The stacks of a profile merged into a tree, in the order in which a flame graph draws it. Not
 * part of the module's interface: only the writers of flame graphs read it.
 */
#ifndef LUASPY_FLAMEGRAPH_TREE_H
#define LUASPY_FLAMEGRAPH_TREE_H

#include "../sample/profile.h"

struct flamegraph_node {
	uint64_t total; /* samples of the node and of all below it */
	uint64_t left;	/* samples to the left of it */
	size_t parent;	/* index of the node above it; of the root 0 */
	uint32_t frame; /* index in the tree's frames; the root's has no meaning */
	uint32_t depth; /* 0 is the root */
};

struct flamegraph_tree {
	/* In preorder, children by name and then by type, packed to the left; the samples of a node
	 * itself are thus at its right end. nodes[0] is the root: all samples. */
	struct flamegraph_node *nodes;
	size_t node_count;
	/* Profile ids of the frames that occur in stacks, by name and then by type: equal profiles
	 * give equal trees, whatever the order in which they were made. */
	uint32_t *frames;
	uint32_t frame_count;
	uint32_t depth; /* of the deepest node */
	size_t *ends;	/* by stack of the profile: the node of its last frame */
	/* Samples by the type of the leaf. */
	uint64_t leaf_samples[PROFILE_FRAME_TYPES];
};

/* Fills `tree` with the profile's weights (to be freed in every case). Returns 0 or -ENOMEM. */
int flamegraph_tree__build(struct flamegraph_tree *tree, const struct profile *profile);
/* Gives the tree, built from this profile, other weights: one for each stack; NULL: the profile's.
 * Returns 0 or -ENOMEM. */
int flamegraph_tree__weigh(struct flamegraph_tree *tree, const struct profile *profile,
			   const uint64_t *weights);
void flamegraph_tree__free(struct flamegraph_tree *tree);

#endif
