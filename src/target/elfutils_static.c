/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Five functions that the static libraries of elfutils 0.192 (Debian 13) call and that no archive
 * of the package contains: they stand in its internal libeu.a, which is not installed. Where
 * libelf.a and libdw.a are complete, or linked dynamically, nothing here is linked in.
 *
 * The interface is that of elfutils' lib/eu-search.h: trees as in <search.h> behind a struct whose
 * first member is the root. That struct also has a lock, which is left alone: an Elf handle is
 * never shared between threads here.
 */
#include <search.h>
#include <stddef.h>

struct search_tree {
	void *root;
};

typedef int compare_function(const void *a, const void *b);

void eu_search_tree_init(struct search_tree *tree);
void eu_search_tree_fini(struct search_tree *tree, void (*free_node)(void *node));
void *eu_tsearch(const void *key, struct search_tree *tree, compare_function *compare);
void *eu_tfind(const void *key, struct search_tree *tree, compare_function *compare);
void *eu_tdelete(const void *key, struct search_tree *tree, compare_function *compare);

void eu_search_tree_init(struct search_tree *tree)
{
	tree->root = NULL;
}

void eu_search_tree_fini(struct search_tree *tree, void (*free_node)(void *node))
{
	tdestroy(tree->root, free_node);
}

void *eu_tsearch(const void *key, struct search_tree *tree, compare_function *compare)
{
	return tsearch(key, &tree->root, compare);
}

void *eu_tfind(const void *key, struct search_tree *tree, compare_function *compare)
{
	return tfind(key, &tree->root, compare);
}

void *eu_tdelete(const void *key, struct search_tree *tree, compare_function *compare)
{
	return tdelete(key, &tree->root, compare);
}
