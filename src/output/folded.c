// SPDX-License-Identifier: Apache-2.0
/*
 * The folded (collapsed) format: one line per stack, `root;...;leaf count`, in the byte order of
 * the stacks' text. Names are made safe once per frame and stacks are sorted as sequences of them,
 * so that no line is ever held in memory.
 */
#include "output.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "text.h"

#define REPLACEMENT 0xfffdu

/* The name as it stands in a line, to be freed; NULL when out of memory. */
static char *line_name(const struct profile_frame *frame)
{
	const char *name = text__name(frame->name), *at = name;
	const char *suffix = frame->type == PROFILE_KERNEL	   ? "_[k]"
			     : frame->type == PROFILE_LUA_COMPILED ? "_[j]"
								   : "";
	/* A bad byte becomes the three of U+FFFD. */
	char *text = malloc(strlen(name) * 3 + strlen(suffix) + 1), *end = text;
	uint32_t c;

	if (!text)
		return NULL;
	while (*at) {
		unsigned char byte = (unsigned char)*at;

		c = text__next(&at);
		if (c == ';')
			c = ':';
		else if (c == REPLACEMENT && (byte < 0x20 || byte == 0x7f))
			c = ' ';
		end += text__encode(c, end);
	}
	memcpy(end, suffix, strlen(suffix) + 1);
	return text;
}

struct sorter {
	const struct profile *profile;
	char **names; /* by frame id */
};

/* Compares the text that two stacks have in a line, without the count. */
static int compare_stacks(const void *left, const void *right, void *context)
{
	const struct sorter *sorter = context;
	struct profile_stack a = profile__stack_at(sorter->profile, *(const size_t *)left);
	struct profile_stack b = profile__stack_at(sorter->profile, *(const size_t *)right);
	uint32_t common = a.frame_count < b.frame_count ? a.frame_count : b.frame_count;

	for (uint32_t i = 0; i < common; i++) {
		const char *p = sorter->names[a.frames[i]], *q = sorter->names[b.frames[i]];
		int x, y;

		if (a.frames[i] == b.frames[i])
			continue;
		while (*p && *p == *q) {
			p++;
			q++;
		}
		if (!*p && !*q)
			continue;
		/* A name that ends is followed by `;`, unless its stack ends too. */
		x = *p ? (unsigned char)*p : i + 1 < a.frame_count ? ';' : 0;
		y = *q ? (unsigned char)*q : i + 1 < b.frame_count ? ';' : 0;
		return x - y;
	}
	return (a.frame_count > b.frame_count) - (a.frame_count < b.frame_count);
}

int folded__write(const struct profile *profile, FILE *out)
{
	size_t frame_count = profile__frame_count(profile);
	size_t stack_count = profile__stack_count(profile);
	struct sorter sorter = {.profile = profile};
	size_t *order;
	int err = 0;

	sorter.names = calloc(frame_count + 1, sizeof(*sorter.names));
	order = calloc(stack_count + 1, sizeof(*order));
	if (!sorter.names || !order) {
		err = -ENOMEM;
		goto out;
	}
	for (size_t i = 0; i < frame_count; i++) {
		sorter.names[i] = line_name(profile__frame_at(profile, (uint32_t)i));
		if (!sorter.names[i]) {
			err = -ENOMEM;
			goto out;
		}
	}
	for (size_t i = 0; i < stack_count; i++)
		order[i] = i;
	qsort_r(order, stack_count, sizeof(*order), compare_stacks, &sorter);

	errno = 0;
	for (size_t i = 0; i < stack_count; i++) {
		struct profile_stack stack = profile__stack_at(profile, order[i]);
		uint64_t count = profile__weight(profile, &stack);

		if (!stack.frame_count) /* there is no line for a stack without a name */
			continue;
		/* Different frames can read the same: one line for them. */
		while (i + 1 < stack_count &&
		       compare_stacks(&order[i], &order[i + 1], &sorter) == 0) {
			stack = profile__stack_at(profile, order[++i]);
			count += profile__weight(profile, &stack);
		}
		for (uint32_t f = 0; f < stack.frame_count; f++)
			fprintf(out, "%s%s", f ? ";" : "", sorter.names[stack.frames[f]]);
		fprintf(out, " %" PRIu64 "\n", count);
	}
	if (fflush(out) || ferror(out))
		err = errno ? -errno : -EIO;
out:
	for (size_t i = 0; sorter.names && i < frame_count; i++)
		free(sorter.names[i]);
	free(sorter.names);
	free(order);
	return err;
}
