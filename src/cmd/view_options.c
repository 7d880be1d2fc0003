/* SPDX-License-Identifier: Apache-2.0 */
#include "view_options.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define OPT_ONLY      400
#define OPT_HIDE      401
#define OPT_ROOT      402
#define OPT_BY	      403
#define OPT_LINES     404
#define OPT_CHUNKS    405
#define OPT_KERNEL    406
#define OPT_NO_KERNEL 407
#define OPT_NATIVE    408
#define OPT_NO_NATIVE 409
#define OPT_REVERSE   410
#define OPT_MIN	      411

static const struct argp_option options[] = {
	{"only", OPT_ONLY, "REGEX", 0,
	 "stacks with a frame that matches this extended regular expression", 1},
	{"hide", OPT_HIDE, "REGEX", 0, "leave frames that match out of their stacks", 1},
	{"root", OPT_ROOT, "REGEX", 0,
	 "begin stacks at their outermost frame that matches; leave out those without", 1},
	{"by", OPT_BY, "pid|thread|comm|container|vmstate|state[,...]", 0,
	 "split by these; vmstate is what the VM does: interpreted, compiled, GC..., state: on or "
	 "off a CPU",
	 1},
	{"lines", OPT_LINES, 0, 0, "add the current line to each Lua frame", 1},
	{"chunks", OPT_CHUNKS, 0, 0, "Lua by file instead of by function", 1},
	{"kernel", OPT_KERNEL, 0, 0, "show kernel frames (default)", 1},
	{"no-kernel", OPT_NO_KERNEL, 0, 0, "leave kernel frames out", 1},
	{"native", OPT_NATIVE, 0, 0, "show C frames (default)", 1},
	{"no-native", OPT_NO_NATIVE, 0, 0, "show Lua frames only", 1},
	{"reverse", OPT_REVERSE, 0, 0, "callers above callees: the leaves are at the root", 1},
	{"min", OPT_MIN, "PERCENT", 0,
	 "leave frames with less than this share of the whole to their callers; in tables, "
	 "rows with less",
	 1},
	{0},
};

void view_options__init(struct view_options *self)
{
	*self = (struct view_options){.view = PROFILE_VIEW_DEFAULT};
}

void view_options__free(struct view_options *self)
{
	unsigned int i;

	if (self->view.only)
		regfree(&self->only);
	if (self->view.hide)
		regfree(&self->hide);
	if (self->view.root)
		regfree(&self->root);
	for (i = 0; i < self->view.by_count; i++)
		free(self->by[i]);
	view_options__init(self);
}

static void set_pattern(struct argp_state *state, const char *option, const char *text,
			regex_t *pattern, const regex_t **place)
{
	char why[256];
	int err;

	if (*place)
		argp_error(state, "%s stands there twice; 'A|B' matches what matches A or B",
			   option);
	if (!*text)
		argp_error(state, "%s needs a regular expression", option);
	err = regcomp(pattern, text, REG_EXTENDED | REG_NOSUB);
	if (err) {
		regerror(err, pattern, why, sizeof(why));
		argp_error(state, "'%s' is no regular expression: %s", text, why);
	}
	*place = pattern;
}

bool view_options__has_by(const struct view_options *self, const char *key)
{
	unsigned int i;

	for (i = 0; i < self->view.by_count; i++) {
		if (strcmp(self->view.by[i], key) == 0)
			return true;
	}
	return false;
}

bool view_options__add_by(struct view_options *self, const char *key)
{
	unsigned int count = self->view.by_count;

	if (view_options__has_by(self, key))
		return true;
	if (count == PROFILE_VIEW_MAX_BY)
		return false;
	self->by[count] = strdup(key);
	if (!self->by[count])
		return false;
	self->view.by[self->view.by_count++] = self->by[count];
	return true;
}

static void add_all_by(struct argp_state *state, struct view_options *self, const char *arg)
{
	char *copy = strdup(arg), *save = NULL, *key;

	if (!copy) {
		argp_failure(state, 1, ENOMEM, "reading --by");
		return;
	}
	key = strtok_r(copy, ",", &save);
	if (!key)
		argp_error(state, "--by needs a label: " VIEW_OPTIONS_KNOWN_BY);
	for (; key; key = strtok_r(NULL, ",", &save)) {
		if (!view_options__add_by(self, key))
			argp_error(state, "at most %u labels", PROFILE_VIEW_MAX_BY);
	}
	free(copy);
}

static bool is_known(const char *key)
{
	static const char *const known[] = {"pid",     "thread", "comm",
					    "vmstate", "state",	 "container"};
	size_t i;

	for (i = 0; i < sizeof(known) / sizeof(known[0]); i++) {
		if (strcmp(known[i], key) == 0)
			return true;
	}
	return false;
}

const char *view_options__unknown_by(const struct view_options *self)
{
	unsigned int i;

	for (i = 0; i < self->view.by_count; i++) {
		if (!is_known(self->view.by[i]))
			return self->view.by[i];
	}
	return NULL;
}

static bool has_label(const struct profile *profile, const char *key)
{
	uint32_t id, count, i;
	const struct profile_label *labels;

	for (id = 1; (labels = profile__labels_at(profile, id, &count)); id++) {
		for (i = 0; i < count; i++) {
			if (strcmp(labels[i].key, key) == 0)
				return true;
		}
	}
	return false;
}

const char *view_options__missing_by(const struct view_options *self, const struct profile *profile)
{
	unsigned int i;

	for (i = 0; i < self->view.by_count; i++) {
		if (!is_known(self->view.by[i]) && !has_label(profile, self->view.by[i]))
			return self->view.by[i];
	}
	return NULL;
}

static void set_min(struct argp_state *state, struct view_options *self, const char *arg)
{
	char *end;

	self->view.min_percent = strtod(arg, &end);
	if (end == arg || *end || !(self->view.min_percent >= 0 && self->view.min_percent <= 100))
		argp_error(state, "--min must be a number from 0 to 100, not '%s'", arg);
}

static error_t parse(int key, char *arg, struct argp_state *state)
{
	struct view_options *self = state->input;

	switch (key) {
	case OPT_ONLY:
		set_pattern(state, "--only", arg, &self->only, &self->view.only);
		return 0;
	case OPT_HIDE:
		set_pattern(state, "--hide", arg, &self->hide, &self->view.hide);
		return 0;
	case OPT_ROOT:
		set_pattern(state, "--root", arg, &self->root, &self->view.root);
		return 0;
	case OPT_BY:
		add_all_by(state, self, arg);
		return 0;
	case OPT_LINES:
		self->view.lines = true;
		return 0;
	case OPT_CHUNKS:
		self->view.chunks = true;
		return 0;
	case OPT_KERNEL:
	case OPT_NO_KERNEL:
		self->view.kernel = key == OPT_KERNEL;
		return 0;
	case OPT_NATIVE:
	case OPT_NO_NATIVE:
		self->view.native = key == OPT_NATIVE;
		return 0;
	case OPT_REVERSE:
		self->view.reverse = true;
		return 0;
	case OPT_MIN:
		set_min(state, self, arg);
		return 0;
	default:
		return ARGP_ERR_UNKNOWN;
	}
}

const struct argp view_options_argp = {.options = options, .parser = parse};
