/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The profile in memory: named frames, stacks of them with counts, and what is known about the
 * recording. Commands make it, outputs write it; it knows nothing of how either is done.
 */
#ifndef LUASPY_PROFILE_H
#define LUASPY_PROFILE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct profile;

enum profile_frame_type {
	PROFILE_THREAD, /* the root of a stack: the thread's or process's name */
	PROFILE_KERNEL,
	PROFILE_NATIVE,	      /* C and whatever else has an ELF file */
	PROFILE_LUA,	      /* Lua, interpreted */
	PROFILE_LUA_COMPILED, /* Lua, in a compiled trace */
	PROFILE_BUILTIN,      /* a C function or fast function called from Lua */
	PROFILE_NOTE,	      /* what the profiler says of itself: [truncated], [broken] */
	PROFILE_FRAME_TYPES,
};

struct profile_frame {
	const char *name; /* UTF-8 or any bytes from the target: untrusted, escape it */
	enum profile_frame_type type;
};

struct profile_stack {
	const uint32_t *frames; /* frame ids, root (a PROFILE_THREAD frame) first */
	uint32_t frame_count;
	uint64_t count; /* samples */
};

struct profile_count {
	const char *name; /* "unwound to the thread's start" ... */
	uint64_t count;
};

/* What a reader of an output needs to judge it. Strings are borrowed from the maker. */
struct profile_info {
	const char *title;	  /* "nginx 1234" */
	const char *command_line; /* of luaspy */
	const char *version;	  /* of luaspy */
	const char *host;
	uint32_t rate_hz;
	double duration_seconds;
	int64_t start_time; /* seconds since the epoch */
	uint64_t samples;   /* sum over all stacks */
	uint64_t unique_stacks;
	uint64_t with_lua; /* samples with at least one Lua frame */
	uint64_t complete; /* samples unwound to the thread's start */
	uint64_t truncated;
	uint64_t lost;
	const struct profile_count *errors; /* reasons with a nonzero count */
	size_t error_count;
};

/* Returns NULL when out of memory. */
struct profile *profile__new(void);
void profile__free(struct profile *self);

/* The id of the frame with this type and name (copied), dense from 0; -ENOMEM. */
int64_t profile__frame(struct profile *self, enum profile_frame_type type, const char *name);

/* Adds `count` samples of a stack (copied; equal stacks are merged; 0 samples add nothing). Returns
 * 0, -EINVAL for an id that profile__frame did not give, or -ENOMEM. */
int profile__add(struct profile *self, const uint32_t *frames, uint32_t frame_count,
		 uint64_t count);

size_t profile__frame_count(const struct profile *self);
const struct profile_frame *profile__frame_at(const struct profile *self, uint32_t id);
size_t profile__stack_count(const struct profile *self);

/* The i-th stack, in order of first addition. Borrowed. */
struct profile_stack profile__stack_at(const struct profile *self, size_t i);

/* Copies the struct; the strings stay the caller's and must outlive the profile. */
void profile__set_info(struct profile *self, const struct profile_info *info);
const struct profile_info *profile__info(const struct profile *self);

#endif
