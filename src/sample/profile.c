// SPDX-License-Identifier: Apache-2.0
/*
 * Interns strings, frames, sets of labels and stacks. Entries are allocated one by one, so that
 * what frame_at returns stays valid while more is added. Not thread-safe; knows nothing of
 * processes.
 */
#include "profile.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* uthash ends the process when out of memory unless told otherwise; with this, a failed add leaves
 * the element outside of the table, which hh.tbl == NULL shows. */
#define HASH_NONFATAL_OOM 1
#include <uthash.h>

struct string_entry {
	UT_hash_handle hh;
	char text[];
};

struct frame_entry {
	struct profile_frame frame; /* the key: its strings are interned */
	uint32_t id;
	UT_hash_handle hh;
};

struct labels_entry {
	uint32_t id, count;
	UT_hash_handle hh;
	struct profile_label labels[]; /* the key */
};

struct stack_entry {
	uint64_t count, nanoseconds;
	uint64_t *times;
	size_t time_count, time_room;
	uint32_t frame_count;
	UT_hash_handle hh;
	uint32_t key[]; /* the labels' id, then the frames' */
};

struct profile {
	struct string_entry *strings;
	struct frame_entry *frames_by_content;
	struct labels_entry *labels_by_content;
	struct stack_entry *stacks_by_key;
	struct frame_entry **frames;
	size_t frame_count, frame_room;
	struct labels_entry **labels;
	size_t labels_count, labels_room;
	struct profile_mapping *mappings;
	size_t mapping_count;
	struct stack_entry **stacks;
	size_t stack_count, stack_room;
	struct profile_count **counts; /* arrays that it keeps for its makers */
	size_t counts_count, counts_room;
	uint32_t *scratch; /* a stack's key */
	size_t scratch_room;
	struct profile_info info;
};

struct profile *profile__new(void)
{
	return calloc(1, sizeof(struct profile));
}

void profile__free(struct profile *self)
{
	struct string_entry *string, *next;
	size_t i;

	if (!self)
		return;
	HASH_CLEAR(hh, self->frames_by_content);
	HASH_CLEAR(hh, self->labels_by_content);
	HASH_CLEAR(hh, self->stacks_by_key);
	HASH_ITER (hh, self->strings, string, next) {
		HASH_DEL(self->strings, string); /* NOLINT(clang-analyzer-unix.Malloc): uthash */
		free(string);
	}
	for (i = 0; i < self->frame_count; i++)
		free(self->frames[i]);
	for (i = 0; i < self->labels_count; i++)
		free(self->labels[i]);
	for (i = 0; i < self->stack_count; i++) {
		free(self->stacks[i]->times);
		free(self->stacks[i]);
	}
	for (i = 0; i < self->counts_count; i++)
		free(self->counts[i]);
	free(self->counts);
	free(self->frames);
	free(self->labels);
	free(self->mappings);
	free(self->stacks);
	free(self->scratch);
	free(self);
}

/* Makes room for one more of `size` bytes. Returns the array, moved or not, or NULL when out of
 * memory. */
static void *grow(void *array, size_t count, size_t *room, size_t size)
{
	size_t wanted = *room ? *room * 2 : 64;

	if (count < *room)
		return array;
	array = reallocarray(array, wanted, size);
	if (array)
		*room = wanted;
	return array;
}

/* ---- strings, frames, mappings, labels --------------------------------------------------------
 */

const char *profile__string(struct profile *self, const char *text)
{
	struct string_entry *entry = NULL;
	size_t length = strlen(text);

	HASH_FIND(hh, self->strings, text, length, entry);
	if (entry)
		return entry->text;
	entry = calloc(1, sizeof(*entry) + length + 1);
	if (!entry)
		return NULL;
	memcpy(entry->text, text, length + 1);
	HASH_ADD_KEYPTR(hh, self->strings, entry->text, length, entry);
	if (!entry->hh.tbl) {
		free(entry);
		return NULL;
	}
	return entry->text;
}

const struct profile_count *profile__counts(struct profile *self,
					    const struct profile_count *counts, size_t count)
{
	struct profile_count *copy, **all;
	size_t i;

	all = grow(self->counts, self->counts_count, &self->counts_room,
		   sizeof(struct profile_count *));
	if (!all)
		return NULL;
	self->counts = all;
	copy = calloc(count + 1, sizeof(*copy));
	if (!copy)
		return NULL;
	self->counts[self->counts_count++] = copy;
	for (i = 0; i < count; i++) {
		copy[i].name = profile__string(self, counts[i].name);
		copy[i].count = counts[i].count;
		if (!copy[i].name)
			return NULL;
	}
	return copy;
}

int64_t profile__add_frame(struct profile *self, const struct profile_frame *frame)
{
	struct frame_entry *entry = NULL, **frames;
	struct profile_frame key;

	if ((unsigned int)frame->type >= PROFILE_FRAME_TYPES ||
	    frame->mapping > self->mapping_count)
		return -EINVAL;
	memset(&key, 0, sizeof(key)); /* its padding is compared, too */
	key.name = profile__string(self, frame->name ? frame->name : "");
	key.file = profile__string(self, frame->file ? frame->file : "");
	key.address = frame->address;
	key.mapping = frame->mapping;
	key.first_line = frame->first_line;
	key.line = frame->line;
	key.type = frame->type;
	key.estimated = frame->estimated ? 1 : 0;
	if (!key.name || !key.file)
		return -ENOMEM;
	/* NOLINTNEXTLINE(clang-analyzer-core.UndefinedBinaryOperatorResult): uthash */
	HASH_FIND(hh, self->frames_by_content, &key, sizeof(key), entry);
	if (entry)
		return entry->id;

	frames = grow(self->frames, self->frame_count, &self->frame_room, sizeof(void *));
	if (!frames)
		return -ENOMEM;
	self->frames = frames;
	if (self->frame_count >= UINT32_MAX)
		return -ENOMEM;
	entry = calloc(1, sizeof(*entry));
	if (!entry)
		return -ENOMEM;
	memcpy(&entry->frame, &key, sizeof(key));
	entry->id = (uint32_t)self->frame_count;
	HASH_ADD(hh, self->frames_by_content, frame, sizeof(key), entry);
	if (!entry->hh.tbl) {
		free(entry);
		return -ENOMEM;
	}
	self->frames[self->frame_count++] = entry;
	return entry->id;
}

int64_t profile__frame(struct profile *self, enum profile_frame_type type, const char *name)
{
	struct profile_frame frame = {.type = type, .name = name};

	return profile__add_frame(self, &frame);
}

int64_t profile__add_mapping(struct profile *self, const struct profile_mapping *mapping)
{
	struct profile_mapping copy = *mapping, *mappings;
	size_t i;

	copy.path = profile__string(self, mapping->path ? mapping->path : "");
	copy.build_id = profile__string(self, mapping->build_id ? mapping->build_id : "");
	if (!copy.path || !copy.build_id)
		return -ENOMEM;
	for (i = 0; i < self->mapping_count; i++) {
		if (self->mappings[i].path == copy.path &&
		    self->mappings[i].build_id == copy.build_id)
			return (int64_t)i + 1;
	}
	mappings = reallocarray(self->mappings, self->mapping_count + 1, sizeof(*mappings));
	if (!mappings)
		return -ENOMEM;
	self->mappings = mappings;
	self->mappings[self->mapping_count++] = copy;
	return (int64_t)self->mapping_count;
}

int64_t profile__add_labels(struct profile *self, const struct profile_label *labels,
			    uint32_t count)
{
	size_t bytes = count * sizeof(*labels);
	struct labels_entry *entry, *known = NULL, **all;
	uint32_t i;

	if (!count)
		return 0;
	entry = calloc(1, sizeof(*entry) + bytes);
	if (!entry)
		return -ENOMEM;
	for (i = 0; i < count; i++) {
		entry->labels[i].key = profile__string(self, labels[i].key);
		entry->labels[i].value = profile__string(self, labels[i].value);
		if (!entry->labels[i].key || !entry->labels[i].value)
			goto fail;
	}
	/* NOLINTNEXTLINE(clang-analyzer-core.UndefinedBinaryOperatorResult): uthash */
	HASH_FIND(hh, self->labels_by_content, entry->labels, bytes, known);
	if (known) {
		free(entry);
		return known->id;
	}
	all = grow(self->labels, self->labels_count, &self->labels_room, sizeof(void *));
	if (!all)
		goto fail;
	self->labels = all;
	entry->count = count;
	entry->id = (uint32_t)self->labels_count + 1;
	HASH_ADD_KEYPTR(hh, self->labels_by_content, entry->labels, bytes, entry);
	if (!entry->hh.tbl)
		goto fail;
	self->labels[self->labels_count++] = entry;
	return entry->id;
fail:
	free(entry);
	return -ENOMEM;
}

/* ---- stacks -------------------------------------------------------------------------------------
 */

static bool known_ids(const struct profile *self, const struct profile_stack *stack)
{
	uint32_t i;

	if (stack->labels > self->labels_count)
		return false;
	for (i = 0; i < stack->frame_count; i++) {
		if (stack->frames[i] >= self->frame_count)
			return false;
	}
	return true;
}

static int add_times(struct stack_entry *entry, const struct profile_stack *stack)
{
	uint64_t *times;
	size_t i;

	for (i = 0; i < stack->time_count; i++) {
		times = grow(entry->times, entry->time_count, &entry->time_room, sizeof(*times));
		if (!times)
			return -ENOMEM;
		entry->times = times;
		entry->times[entry->time_count++] = stack->times[i];
	}
	return 0;
}

int profile__add_stack(struct profile *self, const struct profile_stack *stack)
{
	size_t length = (size_t)stack->frame_count + 1, bytes = length * sizeof(uint32_t);
	struct stack_entry *entry = NULL, **stacks;
	uint32_t *scratch;

	if (!stack->count)
		return 0;
	if (!known_ids(self, stack))
		return -EINVAL;
	if (self->scratch_room < length) {
		scratch = reallocarray(self->scratch, length * 2, sizeof(*scratch));
		if (!scratch)
			return -ENOMEM;
		self->scratch = scratch;
		self->scratch_room = length * 2;
	}
	self->scratch[0] = stack->labels;
	if (stack->frame_count)
		memcpy(self->scratch + 1, stack->frames, bytes - sizeof(uint32_t));
	HASH_FIND(hh, self->stacks_by_key, self->scratch, bytes, entry);
	if (!entry) {
		stacks = grow(self->stacks, self->stack_count, &self->stack_room, sizeof(void *));
		if (!stacks)
			return -ENOMEM;
		self->stacks = stacks;
		entry = calloc(1, sizeof(*entry) + bytes);
		if (!entry)
			return -ENOMEM;
		memcpy(entry->key, self->scratch, bytes);
		entry->frame_count = stack->frame_count;
		HASH_ADD_KEYPTR(hh, self->stacks_by_key, entry->key, bytes, entry);
		if (!entry->hh.tbl) {
			free(entry);
			return -ENOMEM;
		}
		self->stacks[self->stack_count++] = entry;
	}
	entry->count += stack->count;
	entry->nanoseconds += stack->nanoseconds;
	return add_times(entry, stack);
}

int profile__add(struct profile *self, const uint32_t *frames, uint32_t frame_count, uint64_t count)
{
	struct profile_stack stack = {.frames = frames, .frame_count = frame_count, .count = count};

	return profile__add_stack(self, &stack);
}

/* ---- reading ------------------------------------------------------------------------------------
 */

size_t profile__frame_count(const struct profile *self)
{
	return self->frame_count;
}

const struct profile_frame *profile__frame_at(const struct profile *self, uint32_t id)
{
	return &self->frames[id]->frame;
}

size_t profile__mapping_count(const struct profile *self)
{
	return self->mapping_count;
}

const struct profile_mapping *profile__mapping_at(const struct profile *self, size_t i)
{
	return &self->mappings[i];
}

const struct profile_label *profile__labels_at(const struct profile *self, uint32_t id,
					       uint32_t *count)
{
	*count = 0;
	if (!id || id > self->labels_count)
		return NULL;
	*count = self->labels[id - 1]->count;
	return self->labels[id - 1]->labels;
}

const char *profile__label(const struct profile *self, uint32_t id, const char *key)
{
	uint32_t count, i;
	const struct profile_label *labels = profile__labels_at(self, id, &count);

	for (i = 0; i < count; i++) {
		if (strcmp(labels[i].key, key) == 0)
			return labels[i].value;
	}
	return NULL;
}

size_t profile__stack_count(const struct profile *self)
{
	return self->stack_count;
}

struct profile_stack profile__stack_at(const struct profile *self, size_t i)
{
	const struct stack_entry *entry = self->stacks[i];

	return (struct profile_stack){
		.frames = entry->key + 1,
		.frame_count = entry->frame_count,
		.labels = entry->key[0],
		.count = entry->count,
		.nanoseconds = entry->nanoseconds,
		.times = entry->times,
		.time_count = entry->time_count,
	};
}

uint64_t profile__weight(const struct profile *self, const struct profile_stack *stack)
{
	return self->info.kind == PROFILE_CPU ? stack->count : stack->nanoseconds / 1000;
}

void profile__set_info(struct profile *self, const struct profile_info *info)
{
	self->info = *info;
}

const struct profile_info *profile__info(const struct profile *self)
{
	return &self->info;
}

void profile_frame__text(const struct profile_frame *frame, bool lines, char *out, size_t size)
{
	char line[16] = "";

	if (frame->type != PROFILE_LUA && frame->type != PROFILE_LUA_COMPILED) {
		snprintf(out, size, "%s", frame->name);
		return;
	}
	if (lines && frame->line)
		snprintf(line, sizeof(line), ":%u", frame->line);
	snprintf(out, size, "%s@%s:%u%s%s", frame->name, frame->file, frame->first_line, line,
		 frame->estimated ? " (estimated)" : "");
}
