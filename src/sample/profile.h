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
	PROFILE_THREAD, /* the root of a drawn stack: the thread's or process's name */
	PROFILE_KERNEL,
	PROFILE_NATIVE,	      /* C and whatever else has an ELF file */
	PROFILE_LUA,	      /* Lua, interpreted */
	PROFILE_LUA_COMPILED, /* Lua, in a compiled trace */
	PROFILE_BUILTIN,      /* a C function or fast function called from Lua */
	PROFILE_NOTE,	      /* what the profiler says of itself: [truncated], [broken] */
	PROFILE_FRAME_TYPES,
};

/* Notes on the C stack, which go with it where C frames are left out. */
#define PROFILE_NOTE_SKIPPED	"[frames without unwind information]"
#define PROFILE_NOTE_INCOMPLETE "[incomplete: " /* why ... ] */

struct profile_frame {
	/* The function: a symbol, "access", "string.gsub"; "" for a Lua function of unknown name.
	 * UTF-8 or any bytes from the target: untrusted, escape it */
	const char *name;
	const char *file;    /* Lua: the chunk as Lua shows it; "" else. As untrusted */
	uint64_t address;    /* in the file of `mapping`, as its ELF headers count; 0: not known */
	uint32_t mapping;    /* 1 + index of its profile_mapping; 0: none */
	uint32_t first_line; /* Lua: where the function's definition starts; 0: the chunk itself */
	uint32_t line;	     /* Lua: the current one; 0: not known */
	enum profile_frame_type type;
	uint32_t estimated; /* 1: a trace's frame whose place is not known for sure */
};

/* A file of the targets with code in it. */
struct profile_mapping {
	const char *path;     /* in the target's mount namespace, "[vdso]", "[kernel]" */
	const char *build_id; /* hexadecimal; "" without one */
	uint64_t start;	      /* of its code, as its ELF headers count */
	uint64_t limit;
	uint64_t offset; /* of `start` in the file */
};

/* What is said of a stack as a whole; keys are pid, thread, comm, vmstate, container ... */
struct profile_label {
	const char *key, *value;
};

struct profile_stack {
	const uint32_t *frames; /* frame ids, the outermost first */
	uint32_t frame_count;
	uint32_t labels;      /* id of a set of labels */
	uint64_t count;	      /* samples, or events */
	uint64_t nanoseconds; /* that they stand for */
	const uint64_t
		*times;	   /* of samples, nanoseconds since the recording's start; NULL: not kept */
	size_t time_count; /* at most `count` */
};

struct profile_count {
	const char *name; /* "unwound to the thread's start" ... */
	uint64_t count;
};

enum profile_kind {
	PROFILE_CPU,	 /* samples of CPU time */
	PROFILE_OFF_CPU, /* time between the events that end it */
	PROFILE_WALL,	 /* both, as time */
};

/* What a reader of an output needs to judge it. Strings are borrowed from the maker, who may leave
 * them to the profile (profile__string, profile__counts). */
struct profile_info {
	const char *title;	  /* "nginx 1234" */
	const char *command_line; /* of luaspy */
	const char *version;	  /* of luaspy */
	const char *host;
	enum profile_kind kind;
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
	double least_percent; /* of the whole: tables leave rows with less out */
};

/* Returns NULL when out of memory. */
struct profile *profile__new(void);
void profile__free(struct profile *self);

/* A copy of `text` that lives as long as the profile, the same for equal texts; NULL when out of
 * memory. */
const char *profile__string(struct profile *self, const char *text);

/* A copy of these counts with their names that lives as long as the profile; NULL when out of
 * memory.
 */
const struct profile_count *profile__counts(struct profile *self,
					    const struct profile_count *counts, size_t count);

/* The id of this frame (copied with its strings; NULL is ""), dense from 0; -EINVAL for a type or
 * mapping that there is not, -ENOMEM. */
int64_t profile__add_frame(struct profile *self, const struct profile_frame *frame);
/* The same for one of which no more than this is known. */
int64_t profile__frame(struct profile *self, enum profile_frame_type type, const char *name);

/* 1 + the index of this mapping (copied; one with the same path and build id is the same);
 * -ENOMEM. */
int64_t profile__add_mapping(struct profile *self, const struct profile_mapping *mapping);

/* The id of this set of labels (copied, in the order given); 0 is the empty one. -ENOMEM. */
int64_t profile__add_labels(struct profile *self, const struct profile_label *labels,
			    uint32_t count);

/* Adds a stack (copied; one with the same frames and labels is the same; one without samples adds
 * nothing). Returns 0, -EINVAL for an id that this profile did not give, or -ENOMEM. */
int profile__add_stack(struct profile *self, const struct profile_stack *stack);
/* The same without labels and time. */
int profile__add(struct profile *self, const uint32_t *frames, uint32_t frame_count,
		 uint64_t count);

size_t profile__frame_count(const struct profile *self);
const struct profile_frame *profile__frame_at(const struct profile *self, uint32_t id);
size_t profile__mapping_count(const struct profile *self);
/* Borrowed, valid until the next profile__add_mapping. */
const struct profile_mapping *profile__mapping_at(const struct profile *self, size_t i);
size_t profile__stack_count(const struct profile *self);

/* The labels of a set. Borrowed. */
const struct profile_label *profile__labels_at(const struct profile *self, uint32_t id,
					       uint32_t *count);
/* The value of a label of a set; NULL without it. */
const char *profile__label(const struct profile *self, uint32_t id, const char *key);

/* The i-th stack, in order of first addition. Borrowed, valid until more is added. */
struct profile_stack profile__stack_at(const struct profile *self, size_t i);

/* What a stack weighs where profiles are drawn: samples, of time off the CPU microseconds. */
uint64_t profile__weight(const struct profile *self, const struct profile_stack *stack);

/* Copies the struct; the strings stay the caller's and must outlive the profile. */
void profile__set_info(struct profile *self, const struct profile_info *info);
const struct profile_info *profile__info(const struct profile *self);

/*
 * What a frame is called where stacks are drawn: its name; for Lua name@file:first_line, with
 * `lines` name@file:first_line:line, and " (estimated)". Cut to `size`, always terminated.
 */
void profile_frame__text(const struct profile_frame *frame, bool lines, char *out, size_t size);

#endif
