/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Functions are told apart by what is shown of them, so that those of several workers are the same
 * one. Each has a list of counts, one for each process that it was seen in.
 */
#include "top_model.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define HASH_NONFATAL_OOM 1
#include <uthash.h>

#include "../symbol/frame_names.h"

/* What is beyond that is counted as one function, or process, by the name of: */
#define OTHERS	       "[others]"
#define MAX_FUNCTIONS  200000u
#define MAX_PROCESSES  4096u
#define MAX_COUNTS     1000000u
#define MAX_KEY	       4096u
#define TRUNCATED_NOTE "[truncated]"

/* Beyond enum top_window: */
enum {
	KEPT = TOP_WINDOWS, /* what is not replaced */
	PENDING,	    /* what the next refresh is going to show */
	WINDOWS,
};

struct counts {
	struct counts *next;
	uint32_t pid;
	struct top_count windows[WINDOWS];
};

struct counted_function {
	struct top_function function;
	bool is_line;
	struct counts *counts;
	uint64_t stack; /* the last that it was counted in */
	UT_hash_handle hh;
	char key[];
};

struct counted_process {
	struct top_process process;
	struct top_process_count hidden[WINDOWS - TOP_WINDOWS];
	UT_hash_handle hh;
};

struct top_model {
	struct counted_function *functions;
	struct counted_process *by_pid;
	struct counted_process **processes;
	size_t process_count, count_count;
	uint64_t stack; /* of those that were counted */
};

/* What becomes of a frame of the profile that is being added. */
struct frame {
	struct counted_function *function, *line;
	uint8_t shown; /* as top_function.shown */
	bool known;
};

struct adding {
	struct top_model *model;
	const struct profile *profile;
	unsigned int window;
	bool also_since;
	struct frame *frames;
};

struct top_model *top_model__new(void)
{
	return calloc(1, sizeof(struct top_model));
}

void top_model__free(struct top_model *self)
{
	struct counted_function *function, *next;
	struct counts *counts;
	size_t i;

	if (!self)
		return;
	HASH_ITER (hh, self->functions, function, next) {
		/* NOLINTNEXTLINE(clang-analyzer-unix.Malloc): uthash */
		HASH_DEL(self->functions, function);
		while ((counts = function->counts)) {
			function->counts = counts->next;
			free(counts);
		}
		free(function);
	}
	HASH_CLEAR(hh, self->by_pid);
	for (i = 0; i < self->process_count; i++)
		free(self->processes[i]);
	free(self->processes);
	free(self);
}

/* ---- functions ------------------------------------------------------------------------------ */

static struct counted_function *find_function(struct top_model *self,
					      const struct top_function *function, bool is_line)
{
	struct {
		uint32_t type, is_line, first_line, line;
		char text[MAX_KEY];
	} key = {.type = function->type,
		 .is_line = is_line,
		 .first_line = function->first_line,
		 .line = function->line};
	size_t name = strnlen(function->name, MAX_KEY / 2 - 1);
	size_t file = strnlen(function->file, MAX_KEY / 2 - 1);
	size_t numbers = sizeof(key) - sizeof(key.text), size = numbers + name + file + 2;
	struct counted_function *found = NULL;

	memcpy(key.text, function->name, name);
	memcpy(key.text + name + 1, function->file, file);
	/* NOLINTNEXTLINE(clang-analyzer-core.UndefinedBinaryOperatorResult): uthash */
	HASH_FIND(hh, self->functions, &key, size, found);
	if (found)
		return found;
	if (HASH_COUNT(self->functions) >= MAX_FUNCTIONS && function->type != PROFILE_NOTE)
		return find_function(self,
				     &(struct top_function){.type = PROFILE_NOTE,
							    .name = OTHERS,
							    .file = "",
							    .shown = (1u << TOP_SHOWS) - 1},
				     is_line);
	found = calloc(1, sizeof(*found) + size);
	if (!found)
		return NULL;
	memcpy(found->key, &key, size);
	found->is_line = is_line;
	found->function = *function;
	found->function.name = found->key + numbers;
	found->function.file = found->key + numbers + name + 1;
	HASH_ADD_KEYPTR(hh, self->functions, found->key, size, found);
	if (!found->hh.tbl) {
		free(found);
		return NULL;
	}
	return found;
}

static struct counts *counts_of(struct top_model *self, struct counted_function *function,
				uint32_t pid)
{
	struct counts *counts;

	for (;;) {
		for (counts = function->counts; counts; counts = counts->next) {
			if (counts->pid == pid)
				return counts;
		}
		if (!pid || self->count_count < MAX_COUNTS)
			break;
		pid = 0;
	}
	counts = calloc(1, sizeof(*counts));
	if (!counts)
		return NULL;
	counts->pid = pid;
	counts->next = function->counts;
	function->counts = counts;
	self->count_count++;
	return counts;
}

static uint8_t shown_in(const struct profile_frame *frame)
{
	switch (frame->type) {
	case PROFILE_LUA:
	case PROFILE_LUA_COMPILED:
	case PROFILE_BUILTIN:
		return 1u << TOP_LUA | 1u << TOP_MIXED;
	case PROFILE_KERNEL:
	case PROFILE_NATIVE:
		return 1u << TOP_C | 1u << TOP_MIXED;
	case PROFILE_NOTE:
		/* What is said of a stack as a whole is no function. */
		if (strcmp(frame->name, TRUNCATED_NOTE) == 0 ||
		    strncmp(frame->name, PROFILE_NOTE_INCOMPLETE,
			    strlen(PROFILE_NOTE_INCOMPLETE)) == 0)
			return 0;
		if (strcmp(frame->name, PROFILE_NOTE_SKIPPED) == 0)
			return 1u << TOP_C | 1u << TOP_MIXED;
		return 1u << TOP_LUA | 1u << TOP_MIXED;
	default:
		return 0;
	}
}

static const char *file_of(const struct profile *profile, const struct profile_frame *frame)
{
	const char *path, *slash;

	if (!frame->mapping)
		return frame->type == PROFILE_KERNEL ? "[kernel]" : frame->file;
	path = profile__mapping_at(profile, frame->mapping - 1)->path;
	slash = strrchr(path, '/');
	return slash && slash[1] ? slash + 1 : path;
}

static int map_frame(struct adding *a, uint32_t id)
{
	const struct profile_frame *frame = profile__frame_at(a->profile, id);
	struct frame *mapped = &a->frames[id];
	struct top_function function = {
		.type = frame->type == PROFILE_LUA_COMPILED ? PROFILE_LUA : frame->type,
		.name = frame->name,
		.file = file_of(a->profile, frame),
		.first_line = frame->first_line,
		.shown = shown_in(frame),
	};

	if (mapped->known)
		return 0;
	mapped->known = true;
	mapped->shown = function.shown;
	if (!mapped->shown)
		return 0;
	mapped->function = find_function(a->model, &function, false);
	function.line = frame->line;
	mapped->line = find_function(a->model, &function, true);
	return mapped->function && mapped->line ? 0 : -ENOMEM;
}

/* ---- processes ------------------------------------------------------------------------------ */

static struct counted_process *find_process(struct top_model *self, uint32_t pid)
{
	struct counted_process *process, **grown;

	HASH_FIND(hh, self->by_pid, &pid, sizeof(pid), process);
	if (process)
		return process;
	if (pid && self->process_count >= MAX_PROCESSES)
		return find_process(self, 0);
	process = calloc(1, sizeof(*process));
	grown = reallocarray(self->processes, self->process_count + 1,
			     sizeof(struct counted_process *));
	if (grown)
		self->processes = grown;
	if (!process || !grown) {
		free(process);
		return NULL;
	}
	process->process.pid = pid;
	HASH_ADD(hh, self->by_pid, process.pid, sizeof(pid), process);
	if (!process->hh.tbl) {
		free(process);
		return NULL;
	}
	self->processes[self->process_count++] = process;
	return process;
}

static struct top_process_count *count_of(struct counted_process *process, unsigned int window)
{
	return window < TOP_WINDOWS ? &process->process.counts[window]
				    : &process->hidden[window - TOP_WINDOWS];
}

static unsigned int state_of(const struct profile *profile, uint32_t labels)
{
	const char *state = profile__label(profile, labels, "vmstate");
	unsigned int i;

	for (i = 0; state && i < VM_STATE_COUNT; i++) {
		if (vm_state__text(i) && strcmp(vm_state__text(i), state) == 0)
			return i;
	}
	return VM_STATE_NONE;
}

static bool is_lua(const struct profile *profile, uint32_t id)
{
	enum profile_frame_type type = profile__frame_at(profile, id)->type;

	return type == PROFILE_LUA || type == PROFILE_LUA_COMPILED;
}

static void add_process_count(const struct adding *a, const struct profile_stack *stack,
			      struct top_process_count *count)
{
	const struct profile_frame *root;
	uint32_t i;

	count->samples += stack->count;
	count->states[state_of(a->profile, stack->labels)] += stack->count;
	for (i = 0; i < stack->frame_count; i++) {
		if (is_lua(a->profile, stack->frames[i])) {
			count->with_lua += stack->count;
			break;
		}
	}
	root = stack->frame_count ? profile__frame_at(a->profile, stack->frames[0]) : NULL;
	if (root && root->type == PROFILE_NOTE && !shown_in(root))
		count->incomplete += stack->count;
}

/* ---- stacks --------------------------------------------------------------------------------- */

/* One that is there several times counts once, where it is innermost. */
static int add_function(const struct adding *a, struct counted_function *function, uint32_t pid,
			uint64_t weight, uint8_t self, bool compiled)
{
	struct counts *counts;
	struct top_count *count;
	unsigned int window, show;
	bool again = function->stack == a->model->stack;

	if (again && !self)
		return 0;
	counts = counts_of(a->model, function, pid);
	if (!counts)
		return -ENOMEM;
	function->stack = a->model->stack;
	for (window = 0; window < WINDOWS; window++) {
		if (window != a->window && !(window == TOP_SINCE && a->also_since))
			continue;
		count = &counts->windows[window];
		for (show = 0; show < TOP_SHOWS; show++)
			count->self[show] += self & 1u << show ? weight : 0;
		count->total += again ? 0 : weight;
		count->compiled += !again && compiled ? weight : 0;
	}
	return 0;
}

static int add_stack(const struct adding *a, const struct profile_stack *stack)
{
	const char *text = profile__label(a->profile, stack->labels, "pid");
	const char *comm = profile__label(a->profile, stack->labels, "comm");
	uint32_t pid = text ? (uint32_t)strtoul(text, NULL, 10) : 0, i;
	struct counted_process *process = find_process(a->model, pid);
	uint8_t left = (1u << TOP_SHOWS) - 1, self;
	const struct frame *frame;
	bool compiled;
	int err = 0;

	if (!process)
		return -ENOMEM;
	pid = process->process.pid;
	snprintf(process->process.comm, sizeof(process->process.comm), "%s",
		 !pid	? OTHERS
		 : comm ? comm
			: "");
	add_process_count(a, stack, count_of(process, a->window));
	if (a->also_since)
		add_process_count(a, stack, count_of(process, TOP_SINCE));
	a->model->stack++;
	for (i = stack->frame_count; i-- && !err;) {
		frame = &a->frames[stack->frames[i]];
		if (!frame->shown)
			continue;
		self = frame->shown & left;
		left &= ~frame->shown;
		compiled = profile__frame_at(a->profile, stack->frames[i])->type ==
			   PROFILE_LUA_COMPILED;
		err = add_function(a, frame->function, pid, stack->count, self, compiled);
		if (!err)
			err = add_function(a, frame->line, pid, stack->count, self, compiled);
	}
	return err;
}

static int add_profile(struct top_model *self, const struct profile *profile, unsigned int window,
		       bool also_since)
{
	struct adding a = {
		.model = self, .profile = profile, .window = window, .also_since = also_since};
	size_t count = profile__frame_count(profile), i;
	struct profile_stack stack;
	uint32_t f;
	int err = 0;

	a.frames = calloc(count + 1, sizeof(*a.frames));
	if (!a.frames)
		return -ENOMEM;
	for (i = 0; i < profile__stack_count(profile) && !err; i++) {
		stack = profile__stack_at(profile, i);
		for (f = 0; f < stack.frame_count && !err; f++)
			err = map_frame(&a, stack.frames[f]);
		if (!err)
			err = add_stack(&a, &stack);
	}
	free(a.frames);
	return err;
}

/* ---- windows -------------------------------------------------------------------------------- */

/* Makes a window what another one is; NOTHING: empty. */
#define NOTHING WINDOWS

static void copy_window(struct top_model *self, unsigned int to, unsigned int from)
{
	static const struct top_process_count no_process_count;
	static const struct top_count no_count;
	struct counted_function *function;
	struct counted_process *process;
	struct counts *counts;
	size_t i;

	for (function = self->functions; function; function = function->hh.next) {
		for (counts = function->counts; counts; counts = counts->next)
			counts->windows[to] = from == NOTHING ? no_count : counts->windows[from];
	}
	for (i = 0; i < self->process_count; i++) {
		process = self->processes[i];
		*count_of(process, to) =
			from == NOTHING ? no_process_count : *count_of(process, from);
	}
}

int top_model__add(struct top_model *self, const struct profile *recent)
{
	return add_profile(self, recent, PENDING, true);
}

void top_model__refresh(struct top_model *self)
{
	copy_window(self, TOP_RECENT, PENDING);
	copy_window(self, PENDING, NOTHING);
}

int top_model__replace(struct top_model *self, const struct profile *all)
{
	copy_window(self, TOP_SINCE, KEPT);
	return add_profile(self, all, TOP_SINCE, false);
}

void top_model__keep(struct top_model *self)
{
	copy_window(self, KEPT, TOP_SINCE);
}

void top_model__clear(struct top_model *self)
{
	unsigned int window;

	for (window = 0; window < WINDOWS; window++)
		copy_window(self, window, NOTHING);
}

/* ---- reading -------------------------------------------------------------------------------- */

void top_model__visit(const struct top_model *self, enum top_window window, bool lines,
		      uint32_t pid,
		      void (*visit)(void *context, const struct top_function *function,
				    uint32_t pid, const struct top_count *count),
		      void *context)
{
	const struct counted_function *function;
	const struct counts *counts;

	for (function = self->functions; function; function = function->hh.next) {
		if (function->is_line != lines)
			continue;
		for (counts = function->counts; counts; counts = counts->next) {
			if ((!pid || counts->pid == pid) && counts->windows[window].total)
				visit(context, &function->function, counts->pid,
				      &counts->windows[window]);
		}
	}
}

size_t top_model__processes(const struct top_model *self)
{
	return self->process_count;
}

const struct top_process *top_model__process(const struct top_model *self, size_t i)
{
	return &self->processes[i]->process;
}

struct top_process_count top_model__sum(const struct top_model *self, enum top_window window,
					uint32_t pid)
{
	const struct top_process_count *count;
	struct top_process_count sum = {};
	unsigned int state;
	size_t i;

	for (i = 0; i < self->process_count; i++) {
		if (pid && self->processes[i]->process.pid != pid)
			continue;
		count = &self->processes[i]->process.counts[window];
		sum.samples += count->samples;
		sum.with_lua += count->with_lua;
		sum.incomplete += count->incomplete;
		for (state = 0; state < VM_STATE_COUNT; state++)
			sum.states[state] += count->states[state];
	}
	return sum;
}
