// SPDX-License-Identifier: Apache-2.0
/*
 * The text of `perf script`: a block for each sample, as far as there are not too many, else for
 * each stack with its whole time as the event's period. Where no times were recorded, the samples
 * of a thread follow each other without a gap.
 *
 *   nginx  1234/1240      0.010101010:   10101010 cpu-clock:
 *	       1 2a40 ngx_http_run (/usr/sbin/nginx)
 */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#define HASH_NONFATAL_OOM 1
#include <uthash.h>

#include "output.h"
#include "text.h"

#define MAX_LINES (1u << 25) /* more than a gigabyte */
#define SECOND	  1000000000u

static const char *const events[] = {
	[PROFILE_CPU] = "cpu-clock", [PROFILE_OFF_CPU] = "off-cpu", [PROFILE_WALL] = "wall-clock"};

struct sample {
	uint64_t time, period;
	size_t stack;
};

/* How much time of a thread has been given to samples. */
struct clock {
	struct {
		const char *pid, *thread; /* the profile's: equal ones are the same */
	} key;
	uint64_t time;
	UT_hash_handle hh;
};

struct script {
	const struct profile *profile;
	struct sample *samples;
	size_t count;
	struct clock *clocks;
};

/* NULL when out of memory. */
static struct clock *clock_of(struct script *s, const struct profile_stack *stack)
{
	struct clock *clock = NULL, wanted = {};

	wanted.key.pid = profile__label(s->profile, stack->labels, "pid");
	wanted.key.thread = profile__label(s->profile, stack->labels, "thread");
	/* NOLINTNEXTLINE(clang-analyzer-core.UndefinedBinaryOperatorResult): uthash */
	HASH_FIND(hh, s->clocks, &wanted.key, sizeof(wanted.key), clock);
	if (clock)
		return clock;
	clock = calloc(1, sizeof(*clock));
	if (!clock)
		return NULL;
	clock->key = wanted.key;
	HASH_ADD(hh, s->clocks, key, sizeof(clock->key), clock);
	if (!clock->hh.tbl) {
		free(clock);
		return NULL;
	}
	return clock;
}

/* The number that a label says; 0 without one. */
static unsigned long number_of(const char *value)
{
	unsigned long number = value ? strtoul(value, NULL, 10) : 0;

	return number <= INT32_MAX ? number : 0;
}

static void add(struct script *s, size_t i, const struct profile_stack *stack, uint64_t k,
		uint64_t parts, struct clock *clock)
{
	uint64_t period = stack->nanoseconds / parts;
	struct sample *sample = &s->samples[s->count++];

	if (k + 1 == parts) /* what does not divide */
		period = stack->nanoseconds - period * (parts - 1);
	sample->stack = i;
	sample->period = period;
	if (parts == stack->count && k < stack->time_count) {
		sample->time = stack->times[k];
	} else {
		sample->time = clock->time;
		clock->time += period ? period : 1;
	}
}

static int compare_samples(const void *left, const void *right)
{
	const struct sample *a = left, *b = right;

	if (a->time != b->time)
		return a->time < b->time ? -1 : 1;
	return (a->stack > b->stack) - (a->stack < b->stack);
}

/* How many samples there are, each with a block of lines; 0 for too many. */
static uint64_t count_samples(const struct profile *profile)
{
	uint64_t samples = 0, lines = 0;
	struct profile_stack stack;
	size_t i;

	for (i = 0; i < profile__stack_count(profile); i++) {
		stack = profile__stack_at(profile, i);
		if (stack.count > MAX_LINES)
			return 0;
		samples += stack.count;
		lines += stack.count * (stack.frame_count + 2);
		if (lines > MAX_LINES)
			return 0;
	}
	return samples;
}

static int collect(struct script *s)
{
	size_t stacks = profile__stack_count(s->profile), i;
	uint64_t samples = count_samples(s->profile), k;
	struct profile_stack stack;
	struct clock *clock;
	bool each = samples > 0;

	s->samples = calloc((each ? samples : stacks) + 1, sizeof(*s->samples));
	if (!s->samples)
		return -ENOMEM;
	for (i = 0; i < stacks; i++) {
		stack = profile__stack_at(s->profile, i);
		clock = clock_of(s, &stack);
		if (!clock)
			return -ENOMEM;
		for (k = 0; k < (each ? stack.count : 1); k++)
			add(s, i, &stack, k, each ? stack.count : 1, clock);
	}
	qsort(s->samples, s->count, sizeof(*s->samples), compare_samples);
	return 0;
}

/* Readers take "+0x..." from a name's end, where perf writes how far in the function it is. */
static bool ends_in_offset(const char *name)
{
	const char *plus = strrchr(name, '+');

	return plus && strncmp(plus, "+0x", 3) == 0 && plus[3] &&
	       strspn(plus + 3, "0123456789abcdef") == strlen(plus + 3);
}

static const char *file_of(const struct profile *profile, const struct profile_frame *frame)
{
	switch (frame->type) {
	case PROFILE_KERNEL:
		return "[kernel.kallsyms]";
	case PROFILE_LUA:
		return "[Lua]";
	case PROFILE_LUA_COMPILED:
		return "[Lua-compiled]";
	case PROFILE_BUILTIN:
		return "[Lua-built-in]";
	case PROFILE_NATIVE:
		return frame->mapping ? profile__mapping_at(profile, frame->mapping - 1)->path
				      : "[unknown]";
	default:
		return "[luaspy]";
	}
}

/* Readers look for the last pair of parentheses, and take no blanks between them. */
static void write_file(const char *file, FILE *out)
{
	char bytes[4] = {};
	uint32_t c;

	while ((c = text__next(&file))) {
		if (c == ' ' || c == '(' || c == ')')
			c = '_';
		fwrite(bytes, 1, text__encode(c, bytes), out);
	}
}

static void write_frame(const struct profile *profile, const struct profile_frame *frame, FILE *out)
{
	fprintf(out, "\t%16" PRIx64 " ", frame->address);
	text__write(out, text__name(frame->name));
	fputs(ends_in_offset(frame->name) ? "+0x0 (" : " (", out);
	write_file(file_of(profile, frame), out);
	fputs(")\n", out);
}

static void write_sample(const struct profile *profile, const struct sample *sample, FILE *out)
{
	struct profile_stack stack = profile__stack_at(profile, sample->stack);
	unsigned long pid = number_of(profile__label(profile, stack.labels, "pid"));
	unsigned long thread = number_of(profile__label(profile, stack.labels, "thread"));
	const char *comm = profile__label(profile, stack.labels, "comm");
	uint32_t i;

	text__write(out, text__name(comm ? comm : profile__info(profile)->title));
	fprintf(out, "  %lu/%lu %6" PRIu64 ".%09" PRIu64 ": %10" PRIu64 " %s: \n", pid,
		thread ? thread : pid, sample->time / SECOND, sample->time % SECOND, sample->period,
		events[profile__info(profile)->kind]);
	for (i = stack.frame_count; i-- > 0;)
		write_frame(profile, profile__frame_at(profile, stack.frames[i]), out);
	putc('\n', out);
}

int perf_script__write(const struct profile *profile, FILE *out)
{
	struct script s = {.profile = profile};
	struct clock *clock, *next;
	int err = collect(&s);
	size_t i;

	errno = 0;
	for (i = 0; i < s.count && !err; i++) {
		write_sample(profile, &s.samples[i], out);
		if (ferror(out))
			err = errno ? -errno : -EIO;
	}
	if (!err && (fflush(out) || ferror(out)))
		err = errno ? -errno : -EIO;
	HASH_ITER (hh, s.clocks, clock, next) {
		HASH_DEL(s.clocks, clock); /* NOLINT(clang-analyzer-unix.Malloc): uthash */
		free(clock);
	}
	free(s.samples);
	return err;
}
