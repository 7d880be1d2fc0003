/* SPDX-License-Identifier: Apache-2.0 */
#include "manual.h"

#include <ctype.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* argp's own, in every command (argp_default_argp). */
static const struct argp_option default_options[] = {
	{"help", '?', 0, 0, "show the options and end", -1},
	{"usage", 256, 0, 0, "show a short usage message and end", -1},
	{0},
};

/* ---- collecting ------------------------------------------------------------------------------ */

static bool is_end(const struct argp_option *option)
{
	return !option->name && !option->key && !option->doc && !option->group;
}

static struct manual_option *add(struct manual *self)
{
	struct manual_option *grown =
		reallocarray(self->options, self->count + 1, sizeof(*self->options));

	if (!grown)
		return NULL;
	self->options = grown;
	grown = &grown[self->count++];
	memset(grown, 0, sizeof(*grown));
	return grown;
}

/* Those of one table. What comes from a child (not NULL) stands where that does, within it by its
 * group. */
static int add_table(struct manual *self, const struct argp_option *table,
		     const struct argp_child *child)
{
	const struct argp_option *real = NULL, *option;
	const char *header = NULL;
	struct manual_option *added;
	int group = 0;

	for (option = table; option && !is_end(option); option++) {
		/* As argp has it: a group is the one before, and a header begins a new one. */
		if (option->group)
			group = option->group;
		else if (!option->name && !option->key)
			group++;
		if (!option->name && !option->key) {
			header = option->doc;
			continue;
		}
		if (!(option->flags & OPTION_ALIAS))
			real = option;
		if (!real || option->flags & OPTION_HIDDEN ||
		    (option->flags | real->flags) & OPTION_DOC)
			continue;
		added = add(self);
		if (!added)
			return -ENOMEM;
		added->name = option->name;
		added->letter = option->key > 0 && option->key < 128 && isprint(option->key)
					? (char)option->key
					: 0;
		added->arg = real->arg;
		added->arg_optional = real->flags & OPTION_ARG_OPTIONAL;
		added->doc = real->doc ? real->doc : "";
		added->header = header;
		added->child = child;
		added->place[0] = child ? child->group : group;
		added->place[1] = group;
		header = NULL;
	}
	return 0;
}

static int add_argp(struct manual *self, const struct argp *argp, const struct argp_child *outer)
{
	const struct argp_child *child;
	int err = add_table(self, argp->options, outer);

	for (child = argp->children; !err && child && child->argp; child++)
		err = add_argp(self, child->argp, outer ? outer : child);
	return err;
}

/* 0, 1, 2, ... and then ..., -2, -1. */
static int compare_groups(int a, int b)
{
	if ((a < 0) != (b < 0))
		return a < 0 ? 1 : -1;
	return (a > b) - (a < b);
}

static int compare(const struct manual_option *a, const struct manual_option *b)
{
	int order = compare_groups(a->place[0], b->place[0]);

	if (!order)
		order = (a->child > b->child) - (a->child < b->child);
	return order ? order : compare_groups(a->place[1], b->place[1]);
}

/* Within a group the tables' order stays: it is the one that somebody has thought of. */
static void sort(struct manual *self)
{
	struct manual_option moved;
	size_t i, k;

	for (i = 1; i < self->count; i++) {
		moved = self->options[i];
		for (k = i; k > 0 && compare(&moved, &self->options[k - 1]) < 0; k--)
			self->options[k] = self->options[k - 1];
		self->options[k] = moved;
	}
}

static void mark_groups(struct manual *self)
{
	struct manual_option *option;
	size_t i;

	for (i = 0; i < self->count; i++) {
		option = &self->options[i];
		option->begins_group = !i || compare(option, option - 1) != 0;
		if (option->child && (!i || option->child != option[-1].child))
			option->header = option->child->header;
	}
}

int manual__new(const struct argp *argp, struct manual **out)
{
	struct manual *self = calloc(1, sizeof(*self));
	int err = -ENOMEM;

	if (!self)
		return err;
	self->argp = argp;
	err = add_argp(self, argp, NULL);
	if (!err)
		err = add_table(self, default_options, NULL);
	if (err) {
		manual__free(self);
		return err;
	}
	sort(self);
	mark_groups(self);
	*out = self;
	return 0;
}

void manual__free(struct manual *self)
{
	if (!self)
		return;
	free(self->options);
	free(self);
}

/* ---- what an argument may be ----------------------------------------------------------------- */

static bool is_words(const char *text)
{
	bool letter = false;

	for (; *text && *text != '['; text++) {
		if (isupper((unsigned char)*text) || *text == ' ' || *text == '.')
			return false;
		letter |= islower((unsigned char)*text) != 0;
	}
	return letter;
}

enum manual_value manual__value(const char *text)
{
	if (!text)
		return MANUAL_NOTHING;
	if (is_words(text))
		return MANUAL_WORDS;
	if (strstr(text, "-- COMMAND"))
		return MANUAL_COMMAND_LINE;
	if (strstr(text, "COMMAND"))
		return MANUAL_COMMAND;
	if (strstr(text, "FILE") || strstr(text, "PATH"))
		return MANUAL_FILE;
	if (strstr(text, "PID"))
		return MANUAL_PID;
	return MANUAL_NOTHING;
}

size_t manual__next_word(const char **text, const char **word)
{
	size_t length;

	*text += strspn(*text, "|");
	*word = *text;
	length = strcspn(*text, "|[");
	*text += length;
	return length;
}
