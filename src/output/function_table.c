// SPDX-License-Identifier: Apache-2.0
#include "function_table.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define HASH_NONFATAL_OOM 1
#include <uthash.h>

/* A row by its type and its name, as one text. */
struct entry {
	size_t row;
	UT_hash_handle hh;
	char key[];
};

static enum profile_frame_type row_type(enum profile_frame_type type)
{
	return type == PROFILE_LUA_COMPILED ? PROFILE_LUA : type;
}

static struct entry *new_entry(const struct profile_frame *frame, bool named)
{
	size_t size = strlen(frame->name) + strlen(frame->file) + 64;
	struct entry *entry = calloc(1, sizeof(*entry) + 1 + size);
	struct profile_frame certain = *frame;

	if (!entry)
		return NULL;
	entry->key[0] = (char)('0' + row_type(frame->type));
	certain.estimated = 0;
	if (named)
		memcpy(entry->key + 1, frame->name, strlen(frame->name) + 1);
	else
		profile_frame__text(&certain, false, entry->key + 1, size);
	return entry;
}

/* Fills row_of, by frame id. */
static int make_rows(struct function_table *self, const struct profile *profile, bool named,
		     size_t *row_of)
{
	size_t frames = profile__frame_count(profile), i;
	struct entry *known = NULL, *entry, *next, *entries = NULL;
	int err = 0;

	for (i = 0; i < frames && !err; i++) {
		entry = new_entry(profile__frame_at(profile, (uint32_t)i), named);
		if (!entry) {
			err = -ENOMEM;
			break;
		}
		HASH_FIND(hh, entries, entry->key, strlen(entry->key), known);
		if (known) {
			row_of[i] = known->row;
			free(entry);
			continue;
		}
		entry->row = row_of[i] = self->count;
		HASH_ADD_KEYPTR(hh, entries, entry->key, strlen(entry->key), entry);
		if (!entry->hh.tbl) {
			free(entry);
			err = -ENOMEM;
			break;
		}
		self->names[self->name_count] = strdup(entry->key + 1);
		if (!self->names[self->name_count]) {
			err = -ENOMEM;
			break;
		}
		self->rows[self->count++] = (struct function_row){
			.name = self->names[self->name_count++],
			.type = row_type(profile__frame_at(profile, (uint32_t)i)->type),
		};
	}
	HASH_ITER (hh, entries, entry, next) {
		HASH_DEL(entries, entry); /* NOLINT(clang-analyzer-unix.Malloc): uthash */
		free(entry);
	}
	return err;
}

static void add_stack(struct function_table *self, const struct profile *profile,
		      const struct profile_stack *stack, const size_t *row_of, size_t *seen_in,
		      size_t number)
{
	uint64_t weight = profile__weight(profile, stack);
	struct function_row *row;
	uint32_t i;

	self->weight += weight;
	for (i = 0; i < stack->frame_count; i++) {
		row = &self->rows[row_of[stack->frames[i]]];
		if (i + 1 == stack->frame_count) {
			row->self += stack->count;
			row->self_ns += stack->nanoseconds;
			row->self_weight += weight;
		}
		if (seen_in[row_of[stack->frames[i]]] == number)
			continue;
		seen_in[row_of[stack->frames[i]]] = number;
		row->total += stack->count;
		row->total_ns += stack->nanoseconds;
		row->total_weight += weight;
	}
}

static int compare_rows(const void *left, const void *right)
{
	const struct function_row *a = left, *b = right;

	if (a->self_weight != b->self_weight)
		return a->self_weight > b->self_weight ? -1 : 1;
	if (a->total_weight != b->total_weight)
		return a->total_weight > b->total_weight ? -1 : 1;
	if (a->type != b->type)
		return a->type < b->type ? -1 : 1;
	return strcmp(a->name, b->name);
}

int function_table__build(struct function_table *self, const struct profile *profile, bool named)
{
	size_t frames = profile__frame_count(profile), i, kept = 0;
	size_t *row_of = calloc(frames + 1, sizeof(*row_of));
	size_t *seen_in = calloc(frames + 1, sizeof(*seen_in));
	struct profile_stack stack;
	int err = -ENOMEM;

	memset(self, 0, sizeof(*self));
	self->rows = calloc(frames + 1, sizeof(*self->rows));
	self->names = calloc(frames + 1, sizeof(*self->names));
	if (!row_of || !seen_in || !self->rows || !self->names)
		goto out;
	err = make_rows(self, profile, named, row_of);
	for (i = 0; i < profile__stack_count(profile) && !err; i++) {
		stack = profile__stack_at(profile, i);
		add_stack(self, profile, &stack, row_of, seen_in, i + 1);
	}
	/* Frames that no stack has, and roots, which are no functions. */
	for (i = 0; i < self->count; i++) {
		if (self->rows[i].total &&
		    (self->rows[i].type != PROFILE_THREAD || self->rows[i].self))
			self->rows[kept++] = self->rows[i];
	}
	self->count = kept;
	if (!err)
		qsort(self->rows, self->count, sizeof(*self->rows), compare_rows);
out:
	free(row_of);
	free(seen_in);
	return err;
}

void function_table__free(struct function_table *self)
{
	size_t i;

	for (i = 0; i < self->name_count; i++)
		free(self->names[i]);
	free(self->names);
	free(self->rows);
	memset(self, 0, sizeof(*self));
}

const char *function_table__type(enum profile_frame_type type)
{
	switch (type) {
	case PROFILE_KERNEL:
		return "kernel";
	case PROFILE_NATIVE:
		return "C";
	case PROFILE_LUA:
	case PROFILE_LUA_COMPILED:
		return "Lua";
	case PROFILE_BUILTIN:
		return "built-in";
	default:
		return "-";
	}
}
