/* SPDX-License-Identifier: Apache-2.0 */
/*
 * See elf_symbols_build.h. Steps: sort; at each address keep the best symbol, and worse ones only
 * where they reach further; give symbols without a size one; then sweep over the addresses with a
 * stack of open symbols, so that the innermost, latest-starting symbol owns each range.
 */
#include "elf_symbols_build.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

/* Names are limited before, but many symbols may share one long string of the file. */
#define MAX_ARENA_BYTES (256U << 20)

/* By address; at one address the best first. The head of the name decides last, so that the choice
 * does not depend on the order in the file; only the head, or a hostile file could make each
 * comparison cost thousands of bytes. */
static int compare_candidates(const void *a, const void *b)
{
	const struct symbol_candidate *left = a, *right = b;
	size_t head;
	int order;

	if (left->start != right->start)
		return left->start < right->start ? -1 : 1;
	if (left->rank != right->rank)
		return left->rank < right->rank ? -1 : 1;
	if (left->name_length != right->name_length)
		return left->name_length < right->name_length ? -1 : 1;
	head = left->name_length < 64 ? left->name_length : 64;
	order = memcmp(left->name, right->name, head);
	if (order)
		return order;
	return (left->end > right->end) - (left->end < right->end);
}

/* Moves the symbols worth keeping to the front: at each address with falling end, so that the best
 * comes last and lies on top of the others. Returns their number. */
static size_t drop_aliases(struct symbol_candidate *candidates, size_t count)
{
	size_t read = 0, write = 0;

	while (read < count) {
		uint64_t address = candidates[read].start;
		size_t group = write, left, right;
		uint64_t reach = 0;

		for (; read < count && candidates[read].start == address; read++) {
			if (write > group && candidates[read].end <= reach)
				continue;
			reach = candidates[read].end;
			candidates[write++] = candidates[read];
		}
		for (left = group, right = write; left + 1 < right; left++, right--) {
			struct symbol_candidate swapped = candidates[left];

			candidates[left] = candidates[right - 1];
			candidates[right - 1] = swapped;
		}
	}
	return write;
}

struct sweep {
	const struct symbol_candidate *candidates;
	uint32_t *stack; /* indices of symbols that may still be open */
	size_t depth;
	uint32_t *arena_offsets; /* by index + 1 of the name in the arena; 0: not there yet */
	uint64_t cursor;	 /* all below is done */
	struct symbol_ranges *result;
	size_t arena_size;
	size_t arena_used;
};

static void emit(struct sweep *sweep, uint32_t index, uint64_t end)
{
	const struct symbol_candidate *symbol = &sweep->candidates[index];
	struct symbol_ranges *result = sweep->result;
	struct symbol_range *range;

	if (!sweep->arena_offsets[index]) {
		if (sweep->arena_size - sweep->arena_used < (size_t)symbol->name_length + 1)
			return;
		memcpy(result->names + sweep->arena_used, symbol->name, symbol->name_length);
		result->names[sweep->arena_used + symbol->name_length] = '\0';
		sweep->arena_offsets[index] = (uint32_t)sweep->arena_used + 1;
		sweep->arena_used += (size_t)symbol->name_length + 1;
		result->symbol_count++;
	}
	range = &result->ranges[result->count++];
	range->start = sweep->cursor;
	range->end = end;
	range->symbol = symbol->start;
	range->name = sweep->arena_offsets[index] - 1;
}

/* Gives the addresses below `target` to the symbols that are open. Each round either closes a
 * symbol or ends at `target`, so at most two ranges a symbol come out in all. */
static void advance(struct sweep *sweep, uint64_t target)
{
	while (sweep->depth) {
		uint32_t top = sweep->stack[sweep->depth - 1];
		uint64_t end = sweep->candidates[top].end;

		if (end <= sweep->cursor) {
			sweep->depth--;
			continue;
		}
		if (sweep->cursor >= target)
			return;
		if (end > target)
			end = target;
		emit(sweep, top, end);
		sweep->cursor = end;
	}
	if (sweep->cursor < target)
		sweep->cursor = target;
}

static void run_sweep(struct sweep *sweep, struct symbol_candidate *candidates, size_t count)
{
	size_t i, next;

	for (i = 0, next = 0; i < count; i++) {
		struct symbol_candidate *symbol = &candidates[i];

		advance(sweep, symbol->start);
		if (symbol->end == symbol->start) {
			/* A label inside a function is not a function. */
			if (sweep->depth)
				continue;
			if (next <= i)
				next = i + 1;
			while (next < count && candidates[next].start == symbol->start)
				next++;
			symbol->end = symbol->limit;
			if (next < count && candidates[next].start < symbol->end)
				symbol->end = candidates[next].start;
		}
		sweep->stack[sweep->depth++] = (uint32_t)i;
	}
	advance(sweep, UINT64_MAX);
}

int symbol_ranges__build(struct symbol_candidate *candidates, size_t count,
			 struct symbol_ranges *result)
{
	struct sweep sweep = {.candidates = candidates, .result = result};
	int err = -ENOMEM;
	size_t i;

	memset(result, 0, sizeof(*result));
	if (count) {
		qsort(candidates, count, sizeof(*candidates), compare_candidates);
		count = drop_aliases(candidates, count);
	}
	if (count == 0)
		return 0;
	for (i = 0; i < count && sweep.arena_size < MAX_ARENA_BYTES; i++)
		sweep.arena_size += (size_t)candidates[i].name_length + 1;

	result->ranges = calloc(count, 2 * sizeof(*result->ranges));
	result->names = malloc(sweep.arena_size);
	sweep.stack = calloc(count, sizeof(*sweep.stack));
	sweep.arena_offsets = calloc(count, sizeof(*sweep.arena_offsets));
	if (!result->ranges || !result->names || !sweep.stack || !sweep.arena_offsets)
		goto out;
	run_sweep(&sweep, candidates, count);
	err = 0;
	if (result->count) {
		struct symbol_range *fitted =
			reallocarray(result->ranges, result->count, sizeof(*fitted));

		if (fitted)
			result->ranges = fitted;
	}
out:
	free(sweep.stack);
	free(sweep.arena_offsets);
	if (err) {
		free(result->ranges);
		free(result->names);
		memset(result, 0, sizeof(*result));
	}
	return err;
}
