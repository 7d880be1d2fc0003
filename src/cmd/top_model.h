/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The figures of `luaspy top`: for each function and each line, and each process, how many samples
 * had it innermost and how many had it at all; in the last refresh and since the start. It is fed
 * with profiles; which of it is shown, and how, is top_table.h and top_page.h.
 */
#ifndef LUASPY_TOP_MODEL_H
#define LUASPY_TOP_MODEL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "../bpf/contract.h"
#include "../sample/profile.h"

struct top_model;

enum top_window {
	TOP_RECENT, /* the last refresh */
	TOP_SINCE,  /* the start, or top_model__clear */
	TOP_WINDOWS,
};

/* Which frames there are: the innermost of them has the sample to itself. */
enum top_show {
	TOP_LUA, /* Lua functions and the built-in ones they call */
	TOP_C,	 /* C and kernel functions */
	TOP_MIXED,
	TOP_SHOWS,
};

struct top_count {
	uint64_t self[TOP_SHOWS];
	uint64_t total;	   /* samples with it, each counted once */
	uint64_t compiled; /* of them, those in which it ran compiled */
};

/* A function, or a line of one. Strings are untrusted. */
struct top_function {
	enum profile_frame_type type; /* PROFILE_LUA also for what runs compiled */
	const char *name;	      /* "" for a Lua function of unknown name */
	const char *file;	      /* its chunk; of C functions the name of their file */
	uint32_t first_line;
	uint32_t line; /* of a line; 0 when it is a function or has no lines */
	uint8_t shown; /* bit per enum top_show */
};

struct top_process_count {
	uint64_t samples;
	uint64_t with_lua;
	uint64_t incomplete; /* not unwound to the thread's start */
	uint64_t states[VM_STATE_COUNT];
};

struct top_process {
	uint32_t pid; /* 0: all those that found no room */
	char comm[64];
	struct top_process_count counts[TOP_WINDOWS];
};

struct top_model *top_model__new(void);
void top_model__free(struct top_model *self);

/* What came meanwhile: added to what came since the start, and to what the next refresh shows. 0 or
 * -ENOMEM. */
int top_model__add(struct top_model *self, const struct profile *recent);

/* What was added since the last refresh is what is shown of it from now on. */
void top_model__refresh(struct top_model *self);

/* What came since the last top_model__keep, with names that may be better than those in what was
 * added: takes its place. 0 or -ENOMEM. */
int top_model__replace(struct top_model *self, const struct profile *all);

/* From now on what was counted so far is not replaced any more. */
void top_model__keep(struct top_model *self);

/* Forgets all figures. */
void top_model__clear(struct top_model *self);

/* Calls `visit` for all functions (or lines) of the window, those of each process by themselves, in
 * no order but all those of one function in a row. `pid` is 0 for all processes. */
void top_model__visit(const struct top_model *self, enum top_window window, bool lines,
		      uint32_t pid,
		      void (*visit)(void *context, const struct top_function *function,
				    uint32_t pid, const struct top_count *count),
		      void *context);

/* The processes in order of appearance. Borrowed. */
size_t top_model__processes(const struct top_model *self);
const struct top_process *top_model__process(const struct top_model *self, size_t i);

/* The sums over all processes, or those of one (0 samples when it is not known). */
struct top_process_count top_model__sum(const struct top_model *self, enum top_window window,
					uint32_t pid);

#endif
