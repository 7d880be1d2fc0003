/* SPDX-License-Identifier: Apache-2.0 */
/*
 * `luaspy diff`: what has changed between two recorded profiles. It looks at no process and needs
 * no privileges.
 */
#include <argp.h>
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>

#include "../output/diff_output.h"
#include "../output/output.h"
#include "commands.h"
#include "privileges.h"
#include "profile_file.h"
#include "view_options.h"

#define OPT_JSON       256
#define OPT_PER_SECOND 257
#define OPT_WIDTH      258
#define OPT_TOTAL      259

#define DIFF_FORMATS "table, json, html or svg"
#define DIFF_CHOICES "table|json|html|svg" /* as manual.h reads it */

static const struct diff_format {
	const char *name;
	const char *endings[2];
	int (*write)(const void *diff_output, FILE *out);
	const char *hint;
} formats[] = {
	{"table", {".txt"}, diff_table__write, "read it"},
	{"json", {".json"}, diff_json__write, "for programs"},
	{"html", {".html", ".htm"}, diff_graph__write_html, "open it in a browser"},
	{"svg", {".svg"}, diff_graph__write_svg, "open it in a browser"},
};

struct diff_command {
	struct view_options view;
	const char *inputs[2], *output, *format_name;
	const struct diff_format *format;
	bool per_second, by_total, width_before, quiet;
	char command_line[512];
};

static const struct argp_option options[] = {
	{"output", 'o', "FILE", 0, "write there; - is stdout (default: a table to stdout)", 2},
	{"format", 'f', DIFF_CHOICES, 0, "default: by the file's ending", 2},
	{"json", OPT_JSON, 0, 0, "as -f json", 2},
	{"per-second", OPT_PER_SECOND, 0, 0,
	 "compare CPU time per second of the recordings, not shares of the whole", 3},
	{"total", OPT_TOTAL, 0, 0,
	 "in the table, functions with what they call first that changed most (default: by "
	 "themselves)",
	 3},
	{"width", OPT_WIDTH, "before|after", 0, "how wide frames are drawn (default: after)", 3},
	{"quiet", 'q', 0, 0, "say nothing but errors", 5},
	{0},
};

static const char doc[] =
	"Compares two profiles that `luaspy record -o FILE.pb.gz` has written: a table of the "
	"functions that changed most, with the chance that the change is noise, or a differential "
	"flame graph: red grew, blue shrank. Shares are compared, as if both profiles had equal "
	"totals; --per-second compares what there was of each in a second."
	"\vExamples:\n"
	"  luaspy diff before.pb.gz after.pb.gz                   a table\n"
	"  luaspy diff before.pb.gz after.pb.gz -o diff.html      a flame graph\n"
	"  luaspy diff before.pb.gz after.pb.gz --per-second      CPU time, not shares\n"
	"  luaspy diff before.pb.gz after.pb.gz --json --only app.lua\n";

static const struct diff_format *format_named(const char *name)
{
	for (size_t i = 0; i < sizeof(formats) / sizeof(formats[0]); i++) {
		if (strcmp(formats[i].name, name) == 0)
			return &formats[i];
	}
	return NULL;
}

static const struct diff_format *format_of_path(const char *path)
{
	size_t length = strlen(path), wanted;

	if (strcmp(path, "-") == 0 || strncmp(path, "/dev/", 5) == 0)
		return &formats[0];
	for (size_t i = 0; i < sizeof(formats) / sizeof(formats[0]); i++) {
		for (int k = 0; k < 2 && formats[i].endings[k]; k++) {
			wanted = strlen(formats[i].endings[k]);
			if (length > wanted &&
			    strcmp(path + length - wanted, formats[i].endings[k]) == 0)
				return &formats[i];
		}
	}
	return NULL;
}

static void check(struct argp_state *state, struct diff_command *self)
{
	if (!self->inputs[1])
		argp_error(state, "which two profiles? `luaspy record -o x.pb.gz` writes one");
	else if (strcmp(self->inputs[0], "-") == 0 && strcmp(self->inputs[1], "-") == 0)
		argp_error(state, "only one of the two can come from stdin");
	if (!self->output)
		self->output = "-";
	if (self->format_name) {
		self->format = format_named(self->format_name);
		if (!self->format)
			argp_error(state, "the format must be " DIFF_FORMATS ", not '%s'",
				   self->format_name);
	} else {
		self->format = format_of_path(self->output);
		if (!self->format)
			argp_error(state,
				   "the ending of '%s' tells no format: add -f " DIFF_FORMATS,
				   self->output);
	}
}

static error_t parse(int key, char *arg, struct argp_state *state)
{
	struct diff_command *self = state->input;

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
	case OPT_JSON:
		self->format_name = "json";
		return 0;
	case OPT_PER_SECOND:
		self->per_second = true;
		return 0;
	case OPT_TOTAL:
		self->by_total = true;
		return 0;
	case OPT_WIDTH:
		self->width_before = strcmp(arg, "before") == 0;
		if (!self->width_before && strcmp(arg, "after") != 0)
			argp_error(state, "--width is before or after, not '%s'", arg);
		return 0;
	case 'q':
		self->quiet = true;
		return 0;
	case ARGP_KEY_ARG:
		if (state->arg_num >= 2)
			argp_error(state, "two profiles at a time, not '%s' as well", arg);
		else
			self->inputs[state->arg_num] = arg;
		return 0;
	case ARGP_KEY_END:
		check(state, self);
		return 0;
	default:
		return ARGP_ERR_UNKNOWN;
	}
}

/* What the view shows of the profile; NULL after a message. */
static struct profile *make_shown(struct diff_command *self, const struct profile *profile,
				  const char *path)
{
	const char *missing = view_options__missing_by(&self->view, profile);
	struct profile *shown;

	if (missing) {
		fprintf(stderr,
			"luaspy: no sample in %s has a label '%s'. luaspy's own are "
			"" VIEW_OPTIONS_KNOWN_BY ".\n",
			path, missing);
		return NULL;
	}
	self->view.view.table = true;
	shown = profile__new();
	if (shown && profile_view__make(&self->view.view, profile, shown) == 0)
		return shown;
	fprintf(stderr, "luaspy: out of memory while reading %s.\n", path);
	profile__free(shown);
	return NULL;
}

static void print_why(const struct diff_command *self, int err)
{
	if (err == -EINVAL)
		fprintf(stderr,
			"luaspy: %s and %s are of different kinds: CPU, off-CPU and wall profiles "
			"can be compared with their own kind only.\n",
			self->inputs[0], self->inputs[1]);
	else if (err == -ERANGE)
		fprintf(stderr,
			"luaspy: of one of the profiles it is not known how long it took, or how "
			"often it was sampled: leave --per-second out.\n");
	else
		fprintf(stderr, "luaspy: comparing them failed: %s.\n", strerror(-err));
}

static int write_output(const struct diff_command *self, const struct profile_diff *diff)
{
	char title[160];
	struct diff_output output = {
		.diff = diff,
		.title = title,
		.command_line = self->command_line,
		.version = LUASPY_VERSION,
		.sources = {self->inputs[0], self->inputs[1]},
		.min_percent = self->view.view.min_percent,
		.by_total = self->by_total,
		.width_before = self->width_before,
	};
	struct capabilities saved;
	int err;

	snprintf(title, sizeof(title), "%s, before and after",
		 diff->info[1].title && *diff->info[1].title ? diff->info[1].title : "Profiles");
	privileges__become_user(&saved);
	err = output_file__write_any(self->output, &output, self->format->write);
	privileges__become_self(&saved);
	if (err)
		fprintf(stderr, "luaspy: writing %s failed: %s.\n",
			strcmp(self->output, "-") == 0 ? "to stdout" : self->output,
			strerror(-err));
	else if (!self->quiet && strcmp(self->output, "-") != 0)
		fprintf(stderr, "wrote %s: %s\n", self->output, self->format->hint);
	return err;
}

static int compare(struct diff_command *self, struct profile *const profiles[2])
{
	struct profile *shown[2] = {NULL, NULL};
	struct profile_diff diff = {};
	int err = 0;

	for (int i = 0; i < 2 && !err; i++) {
		shown[i] = make_shown(self, profiles[i], self->inputs[i]);
		if (!shown[i])
			err = -EINVAL;
	}
	if (err)
		goto out;
	err = profile_diff__make(shown[0], shown[1], self->per_second, &diff);
	if (err)
		print_why(self, err);
	else
		err = write_output(self, &diff);
out:
	profile_diff__free(&diff);
	profile__free(shown[0]);
	profile__free(shown[1]);
	return err;
}

static int run(struct diff_command *self)
{
	struct profile *profiles[2] = {NULL, NULL};
	FILE *in[2] = {NULL, NULL};
	int err = 0;

	for (int i = 0; i < 2 && !err; i++) {
		in[i] = profile_file__open(self->inputs[i]);
		if (!in[i])
			err = -ENOENT;
	}
	if (!err) {
		err = privileges__drop_all(strcmp(self->output, "-") != 0);
		if (err)
			fprintf(stderr,
				"luaspy: what it does not need could not be given up: %s.\n",
				strerror(-err));
	}
	for (int i = 0; i < 2; i++) {
		if (err) {
			if (in[i] && in[i] != stdin)
				fclose(in[i]);
			continue;
		}
		profiles[i] = profile_file__read(in[i], self->inputs[i]);
		if (!profiles[i])
			err = -EINVAL;
	}
	if (!err)
		err = compare(self, profiles);
	profile__free(profiles[0]);
	profile__free(profiles[1]);
	return err;
}

static void join_command_line(struct diff_command *self, int argc, char **argv)
{
	size_t used = (size_t)snprintf(self->command_line, sizeof(self->command_line), "luaspy");

	for (int i = 0; i < argc && used < sizeof(self->command_line); i++)
		used += (size_t)snprintf(self->command_line + used,
					 sizeof(self->command_line) - used, " %s", argv[i]);
}

static const struct argp_child children[] = {{&view_options_argp, 0, "What to compare:", 4}, {0}};

const struct argp diff_argp = {.options = options,
			       .children = children,
			       .parser = parse,
			       .args_doc = "BEFORE-FILE AFTER-FILE",
			       .doc = doc};

int cmd_diff(int argc, char **argv)
{
	struct diff_command self = {};
	static char name[] = "luaspy diff";
	int err;

	view_options__init(&self.view);
	join_command_line(&self, argc, argv);
	argv[0] = name;
	argp_err_exit_status = 2;
	argp_parse(&diff_argp, argc, argv, 0, NULL, &self);
	signal(SIGPIPE, SIG_IGN);
	err = run(&self);
	view_options__free(&self.view);
	return err ? 1 : 0;
}
