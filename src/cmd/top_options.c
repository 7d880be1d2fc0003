/* SPDX-License-Identifier: Apache-2.0 */
#include "top_options.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "commands.h"

#define OPT_ONCE      256
#define OPT_COUNT     257
#define OPT_SORT      258
#define OPT_SHOW      259
#define OPT_LINES     260
#define OPT_PROCESSES 261
#define OPT_FILTER    262
#define OPT_ROWS      263
#define OPT_NO_KERNEL 264
#define OPT_SINCE     265

static const struct argp_option options[] = {
	{"delay", 'd', "SECONDS", 0, "between refreshes, 0.1 or more (default 1)", 2},
	{"rate", 'F', "HZ", 0, "samples per second of CPU time, 1 to 9999 (default 99)", 2},
	{"once", OPT_ONCE, 0, 0, "one refresh as plain text", 2},
	{"count", OPT_COUNT, "N", 0,
	 "stop after so many refreshes (default: no limit on a terminal, else 1)", 2},
	{"sort", OPT_SORT, "self|total|name", 0, "default: self", 3},
	{"show", OPT_SHOW, "lua|c|mixed", 0, "which functions (default: lua)", 3},
	{"lines", OPT_LINES, 0, 0, "lines instead of functions", 3},
	{"workers", OPT_PROCESSES, 0, 0, "processes instead of functions", 3},
	{"since-start", OPT_SINCE, 0, 0, "figures since the start, not of the last refresh", 3},
	{"filter", OPT_FILTER, "REGEX", 0,
	 "only functions whose name@place matches this extended regular expression", 3},
	{"rows", OPT_ROWS, "N", 0, "of the table, as plain text (default 30)", 3},
	{"no-kernel", OPT_NO_KERNEL, 0, 0, "leave kernel functions out", 4},
	{"quiet", 'q', 0, 0, "say nothing but errors", 5},
	{"verbose", 'v', 0, 0, "say more: what the kernel says of the programs", 5},
	{0},
};

static const char doc[] =
	"Shows which Lua functions of running processes use the CPU, as it happens."
	"\vWithout a terminal the figures are written as plain text, once unless --count says "
	"more.\n\n"
	"Keys:\n"
	"  q        quit (Ctrl-C as well)\n"
	"  h        help\n"
	"  s        sort by self, total or name\n"
	"  t        figures of the last refresh, or since the start\n"
	"  c        Lua functions, C functions, or both\n"
	"  l        lines instead of functions\n"
	"  w        processes (workers); Enter on one: its functions\n"
	"  /        filter by a regular expression\n"
	"  p        pause\n"
	"  r        start over\n\n"
	"Examples:\n"
	"  luaspy top -p 1234                 a process, or an nginx master's workers\n"
	"  luaspy top -n nginx -d 5           all of nginx that has Lua\n"
	"  luaspy top -p 1234 --once          one second, as text\n";

/* A whole number in [1, max]; exits with a message otherwise. */
static uint32_t parse_number(struct argp_state *state, const char *text, const char *what, long max)
{
	char *end;
	long value;

	errno = 0;
	value = strtol(text, &end, 10);
	if (errno || end == text || *end || value < 1 || value > max)
		argp_error(state, "%s must be a whole number from 1 to %ld, not '%s'", what, max,
			   text);
	return (uint32_t)value;
}

static double parse_delay(struct argp_state *state, const char *text)
{
	char *end;
	double value = strtod(text, &end);

	if (end == text || *end || !(value >= 0.1) || value > 86400)
		argp_error(state,
			   "the delay must be a number of seconds from 0.1 to 86400, not '%s'",
			   text);
	return value;
}

/* The index of one of `count` words. */
static unsigned int parse_word(struct argp_state *state, const char *text, const char *what,
			       const char *const *words, unsigned int count)
{
	unsigned int i;

	for (i = 0; i < count; i++) {
		if (strcmp(words[i], text) == 0)
			return i;
	}
	argp_error(state, "%s must be %s, %s or %s, not '%s'", what, words[0], words[1], words[2],
		   text);
	return 0;
}

static error_t parse(int key, char *arg, struct argp_state *state)
{
	static const char *const sorts[TOP_SORTS] = {"self", "total", "name"};
	static const char *const shows[TOP_SHOWS] = {"lua", "c", "mixed"};
	struct top_options *self = state->input;

	switch (key) {
	case ARGP_KEY_INIT:
		state->child_inputs[0] = &self->targets;
		break;
	case 'd':
		self->delay_seconds = parse_delay(state, arg);
		break;
	case 'F':
		self->rate_hz = parse_number(state, arg, "the rate", 9999);
		break;
	case OPT_ONCE:
		self->plain = true;
		self->count = 1;
		break;
	case OPT_COUNT:
		self->count = parse_number(state, arg, "the number of refreshes", 1000000000);
		break;
	case OPT_SORT:
		self->settings.sort = parse_word(state, arg, "the order", sorts, TOP_SORTS);
		break;
	case OPT_SHOW:
		self->settings.show = parse_word(state, arg, "what is shown", shows, TOP_SHOWS);
		break;
	case OPT_LINES:
		self->settings.lines = true;
		break;
	case OPT_PROCESSES:
		self->settings.processes = true;
		break;
	case OPT_SINCE:
		self->settings.window = TOP_SINCE;
		break;
	case OPT_FILTER:
		if (strlen(arg) >= TOP_FILTER_BYTES)
			argp_error(state, "the filter is too long (%d characters)",
				   TOP_FILTER_BYTES - 1);
		if (top_settings__filter(&self->settings, arg) != 0)
			argp_error(state, "'%s' is no regular expression: %s", arg,
				   self->settings.problem);
		break;
	case OPT_ROWS:
		self->rows = parse_number(state, arg, "the number of rows", 100000);
		break;
	case OPT_NO_KERNEL:
		self->kernel = false;
		break;
	case 'q':
		self->quiet = true;
		break;
	case 'v':
		self->verbose = true;
		break;
	case ARGP_KEY_ARG:
		argp_error(state, "what is '%s'? A process is chosen with -p PID", arg);
		break;
	case ARGP_KEY_END:
		if (!target_options__given(&self->targets))
			argp_error(state, "what to look at? -p PID, -n NAME, -c CONTAINER, "
					  "--cgroup PATH or -a");
		break;
	default:
		return ARGP_ERR_UNKNOWN;
	}
	return 0;
}

static const struct argp_child children[] = {{&target_options_argp, 0, "What to look at:", 1}, {0}};

const struct argp top_argp = {
	.options = options, .children = children, .parser = parse, .doc = doc};

void top_options__parse(struct top_options *self, int argc, char **argv)
{
	static char name[] = "luaspy top";

	memset(self, 0, sizeof(*self));
	self->rate_hz = 99;
	self->delay_seconds = 1;
	self->rows = 30;
	self->kernel = true;
	argv[0] = name;
	argp_err_exit_status = 2;
	argp_parse(&top_argp, argc, argv, 0, NULL, self);
}

void top_options__free(struct top_options *self)
{
	top_settings__free(&self->settings);
	target_options__free(&self->targets);
}
