// SPDX-License-Identifier: Apache-2.0
#include "moved_functions.h"

#include <errno.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define HASH_NONFATAL_OOM 1
#include <uthash.h>

/* The places of a name in a file, in each of the profiles. */
struct place {
	uint32_t first_line[2];
	bool found[2], several[2];
	UT_hash_handle hh;
	char key[]; /* name@file */
};

struct moved_functions {
	struct place *places;
	size_t count;
};

static bool is_lua(const struct profile_frame *frame)
{
	return frame->type == PROFILE_LUA || frame->type == PROFILE_LUA_COMPILED;
}

/* The length of "name@file" in a frame's text; 0 where that does not tell one function from others:
 * those without a name, the chunk itself. */
static size_t key_length(const struct profile_frame *frame)
{
	size_t length = strlen(frame->name), file = strlen(frame->file), digits;
	char line[16];
	const char *at;

	if (!is_lua(frame) || !file || !frame->first_line || frame->name[0] == '@')
		return 0;
	digits = (size_t)snprintf(line, sizeof(line), ":%" PRIu32, frame->first_line);
	/* name @ file :first_line, and then nothing or ":line" or " (estimated)". */
	for (at = strchr(frame->name, '@'); at; at = strchr(at + 1, '@')) {
		const char *end = at + 1 + file;

		if ((size_t)(end - frame->name) + digits > length)
			return 0;
		if (memcmp(at + 1, frame->file, file) == 0 && memcmp(end, line, digits) == 0 &&
		    (end[digits] == '\0' || end[digits] == ':' || end[digits] == ' '))
			return (size_t)(end - frame->name);
	}
	return 0;
}

static int note(struct moved_functions *self, const struct profile_frame *frame, int side)
{
	size_t length = key_length(frame);
	struct place *place = NULL;

	if (!length)
		return 0;
	HASH_FIND(hh, self->places, frame->name, length, place);
	if (!place) {
		place = calloc(1, sizeof(*place) + length + 1);
		if (!place)
			return -ENOMEM;
		memcpy(place->key, frame->name, length);
		HASH_ADD_KEYPTR(hh, self->places, place->key, length, place);
		if (!place->hh.tbl) {
			free(place);
			return -ENOMEM;
		}
	}
	place->several[side] |= place->found[side] && place->first_line[side] != frame->first_line;
	place->found[side] = true;
	place->first_line[side] = frame->first_line;
	return 0;
}

static bool has_moved(const struct place *place)
{
	return place->found[0] && place->found[1] && !place->several[0] && !place->several[1] &&
	       place->first_line[0] != place->first_line[1];
}

int moved_functions__find(const struct profile *before, const struct profile *after,
			  struct moved_functions **moved)
{
	const struct profile *profiles[] = {before, after};
	struct moved_functions *self = calloc(1, sizeof(*self));
	struct place *place, *next;
	int err = self ? 0 : -ENOMEM;

	for (int side = 0; side < 2 && !err; side++) {
		for (size_t i = 0; i < profile__frame_count(profiles[side]) && !err; i++)
			err = note(self, profile__frame_at(profiles[side], (uint32_t)i), side);
	}
	if (err) {
		moved_functions__free(self);
		*moved = NULL;
		return err;
	}
	HASH_ITER (hh, self->places, place, next)
		self->count += has_moved(place);
	*moved = self;
	return 0;
}

void moved_functions__free(struct moved_functions *self)
{
	struct place *place, *next;

	if (!self)
		return;
	HASH_ITER (hh, self->places, place, next) {
		HASH_DEL(self->places, place); /* NOLINT(clang-analyzer-unix.Malloc): uthash */
		free(place);
	}
	free(self);
}

size_t moved_functions__count(const struct moved_functions *self)
{
	return self->count;
}

void moved_functions__text(const struct moved_functions *self, const struct profile_frame *frame,
			   char *out, size_t size)
{
	size_t length = key_length(frame);
	struct place *place = NULL;
	char line[16] = "";

	if (length)
		HASH_FIND(hh, self->places, frame->name, length, place);
	if (!place || !has_moved(place)) {
		snprintf(out, size, "%s", frame->name);
		return;
	}
	if (frame->line)
		snprintf(line, sizeof(line), ":%" PRIu32,
			 frame->line - place->first_line[0] + place->first_line[1]);
	snprintf(out, size, "%s:%" PRIu32 "%s", place->key, place->first_line[1], line);
}
