/* SPDX-License-Identifier: Apache-2.0 */
/*
 * `luaspy report`: shows a recorded profile in another format, or another part of it. It looks at
 * no process and needs no privileges.
 */
#include <argp.h>
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>

#include "../output/formats.h"
#include "../output/output.h"
#include "commands.h"
#include "privileges.h"
#include "profile_file.h"
#include "view_options.h"

struct report {
	struct view_options view;
	const char *input, *output, *format_name;
	const struct format *format;
	bool quiet;
};

static const struct argp_option options[] = {
	{"output", 'o', "FILE", 0, "write there; - is stdout (default: a table to stdout)", 2},
	{"format", 'f', FORMAT_CHOICES, 0, "default: by the file's ending", 2},
	{"quiet", 'q', 0, 0, "say nothing but errors", 5},
	{0},
};

static const char doc[] =
	"Shows a profile that `luaspy record -o FILE.pb.gz` has written, on any machine. Files of "
	"other programs in pprof's format are read, too."
	"\vExamples:\n"
	"  luaspy report x.pb.gz                         a table of functions\n"
	"  luaspy report x.pb.gz --lines --only app.lua  of lines, where app.lua is\n"
	"  luaspy report x.pb.gz -o x.html --by pid      a flame graph, processes apart\n"
	"  luaspy report x.pb.gz -o x.speedscope.json\n";

static void check(struct argp_state *state, struct report *self)
{
	if (!self->input)
		argp_error(state, "which profile? `luaspy record -o x.pb.gz` writes one");
	if (self->format_name) {
		self->format = format__named(self->format_name);
		if (!self->format)
			argp_error(state, "the format must be " FORMAT_NAMES ", not '%s'",
				   self->format_name);
	} else if (self->output) {
		self->format = format__of_path(self->output);
		if (!self->format)
			argp_error(state,
				   "the ending of '%s' tells no format: add -f " FORMAT_NAMES,
				   self->output);
	} else {
		self->format = format__named("top");
	}
	if (!self->output)
		self->output = "-";
}

static error_t parse(int key, char *arg, struct argp_state *state)
{
	struct report *self = state->input;

	switch (key) {
	case ARGP_KEY_INIT:
		state->child_inputs[0] = &self->view;
		return 0;
	case 'o':
		self->output = arg;
		return 0;
	case 'f':
		self->format_name = arg;
		return 0;
	case 'q':
		self->quiet = true;
		return 0;
	case ARGP_KEY_ARG:
		if (self->input)
			argp_error(state, "one profile at a time, not '%s' as well", arg);
		self->input = arg;
		return 0;
	case ARGP_KEY_END:
		check(state, self);
		return 0;
	default:
		return ARGP_ERR_UNKNOWN;
	}
}

/* Is there what --by asks for? */
static bool check_labels(const struct report *self, const struct profile *profile)
{
	const char *missing = view_options__missing_by(&self->view, profile);

	if (missing)
		fprintf(stderr,
			"luaspy: no sample in %s has a label '%s'. luaspy's own are "
			"" VIEW_OPTIONS_KNOWN_BY ".\n",
			self->input, missing);
	return !missing;
}

static int run(struct report *self)
{
	FILE *in = profile_file__open(self->input);
	struct profile *profile;
	int err;

	if (!in)
		return -ENOENT;
	err = privileges__drop_all(strcmp(self->output, "-") != 0);
	if (err) {
		fprintf(stderr, "luaspy: what it does not need could not be given up: %s.\n",
			strerror(-err));
		if (in != stdin)
			fclose(in);
		return err;
	}
	profile = profile_file__read(in, self->input);
	if (!profile)
		return -EINVAL;
	err = check_labels(self, profile) ? 0 : -EINVAL;
	if (!err)
		err = profile_file__write(profile, &self->view, self->format, self->output);
	if (!err && !self->quiet && strcmp(self->output, "-") != 0) {
		profile_text__write_info(profile__info(profile), stderr);
		profile_file__print_hint(self->format, self->output);
	}
	profile__free(profile);
	return err;
}

static const struct argp_child children[] = {{&view_options_argp, 0, "What to show:", 3}, {0}};

const struct argp report_argp = {
	.options = options, .children = children, .parser = parse, .args_doc = "FILE", .doc = doc};

int cmd_report(int argc, char **argv)
{
	struct report self = {};
	static char name[] = "luaspy report";
	int err;

	view_options__init(&self.view);
	argv[0] = name;
	argp_err_exit_status = 2;
	argp_parse(&report_argp, argc, argv, 0, NULL, &self);
	signal(SIGPIPE, SIG_IGN);
	err = profile_file__suits(self.format, self.output) ? run(&self) : -EINVAL;
	view_options__free(&self.view);
	return err ? 1 : 0;
}
