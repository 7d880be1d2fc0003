// SPDX-License-Identifier: Apache-2.0
/*
 * Interns frames and stacks. Entries are allocated one by one, so that what frame_at and stack_at
 * return stays valid while more is added. Not thread-safe; knows nothing of addresses or files.
 */
#include "profile.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* uthash ends the process when out of memory unless told otherwise; with this, a failed add leaves
 * the element outside of the table, which hh.tbl == NULL shows. */
#define HASH_NONFATAL_OOM 1
#include <uthash.h>

struct frame_entry {
	struct profile_frame frame;
	uint32_t id;
	UT_hash_handle hh;
	char name[];
};

struct stack_entry {
	uint64_t count;
	uint32_t frame_count;
	UT_hash_handle hh;
	uint32_t frames[];
};

struct profile {
	struct frame_entry *frames_by_name[PROFILE_FRAME_TYPES];
	struct stack_entry *stacks_by_frames;
	struct frame_entry **frames;
	size_t frame_count, frame_room;
	struct stack_entry **stacks;
	size_t stack_count, stack_room;
	struct profile_info info;
};

struct profile *profile__new(void)
{
	return calloc(1, sizeof(struct profile));
}

void profile__free(struct profile *self)
{
	if (!self)
		return;
	for (int type = 0; type < PROFILE_FRAME_TYPES; type++)
		HASH_CLEAR(hh, self->frames_by_name[type]);
	HASH_CLEAR(hh, self->stacks_by_frames);
	for (size_t i = 0; i < self->frame_count; i++)
		free(self->frames[i]);
	for (size_t i = 0; i < self->stack_count; i++)
		free(self->stacks[i]);
	free(self->frames);
	free(self->stacks);
	free(self);
}

/* Makes room for one more pointer. Returns the array, moved or not, or NULL when out of memory. */
static void *grow(void *pointers, size_t count, size_t *room)
{
	size_t wanted = *room ? *room * 2 : 64;

	if (count < *room)
		return pointers;
	pointers = reallocarray(pointers, wanted, sizeof(void *));
	if (pointers)
		*room = wanted;
	return pointers;
}

int64_t profile__frame(struct profile *self, enum profile_frame_type type, const char *name)
{
	struct frame_entry *entry = NULL, **frames;
	size_t length = strlen(name);

	if ((unsigned int)type >= PROFILE_FRAME_TYPES)
		return -EINVAL;
	HASH_FIND(hh, self->frames_by_name[type], name, length, entry);
	if (entry)
		return entry->id;

	frames = grow(self->frames, self->frame_count, &self->frame_room);
	if (!frames)
		return -ENOMEM;
	self->frames = frames;
	if (self->frame_count >= UINT32_MAX)
		return -ENOMEM;
	entry = calloc(1, sizeof(*entry) + length + 1);
	if (!entry)
		return -ENOMEM;
	memcpy(entry->name, name, length + 1);
	entry->frame.name = entry->name;
	entry->frame.type = type;
	entry->id = (uint32_t)self->frame_count;
	HASH_ADD_KEYPTR(hh, self->frames_by_name[type], entry->name, length, entry);
	if (!entry->hh.tbl) {
		free(entry);
		return -ENOMEM;
	}
	self->frames[self->frame_count++] = entry;
	return entry->id;
}

int profile__add(struct profile *self, const uint32_t *frames, uint32_t frame_count, uint64_t count)
{
	struct stack_entry *entry = NULL, **stacks;
	size_t bytes = (size_t)frame_count * sizeof(*frames);

	if (!count)
		return 0;
	for (uint32_t i = 0; i < frame_count; i++) {
		if (frames[i] >= self->frame_count)
			return -EINVAL;
	}
	if (bytes)
		HASH_FIND(hh, self->stacks_by_frames, frames, bytes, entry);
	else
		HASH_FIND(hh, self->stacks_by_frames, "", 0, entry);
	if (entry) {
		entry->count += count;
		return 0;
	}

	stacks = grow(self->stacks, self->stack_count, &self->stack_room);
	if (!stacks)
		return -ENOMEM;
	self->stacks = stacks;
	entry = calloc(1, sizeof(*entry) + bytes);
	if (!entry)
		return -ENOMEM;
	if (bytes)
		memcpy(entry->frames, frames, bytes);
	entry->frame_count = frame_count;
	entry->count = count;
	HASH_ADD_KEYPTR(hh, self->stacks_by_frames, entry->frames, bytes, entry);
	if (!entry->hh.tbl) {
		free(entry);
		return -ENOMEM;
	}
	self->stacks[self->stack_count++] = entry;
	return 0;
}

size_t profile__frame_count(const struct profile *self)
{
	return self->frame_count;
}

const struct profile_frame *profile__frame_at(const struct profile *self, uint32_t id)
{
	return &self->frames[id]->frame;
}

size_t profile__stack_count(const struct profile *self)
{
	return self->stack_count;
}

struct profile_stack profile__stack_at(const struct profile *self, size_t i)
{
	const struct stack_entry *entry = self->stacks[i];

	return (struct profile_stack){
		.frames = entry->frames,
		.frame_count = entry->frame_count,
		.count = entry->count,
	};
}

void profile__set_info(struct profile *self, const struct profile_info *info)
{
	self->info = *info;
}

const struct profile_info *profile__info(const struct profile *self)
{
	return &self->info;
}
