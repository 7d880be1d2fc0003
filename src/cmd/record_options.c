/* SPDX-License-Identifier: Apache-2.0 */
#include "record_options.h"

#include <argp.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "commands.h"

#define OPT_THREADS   256
#define OPT_COROUTINE 257
#define OPT_OFF_CPU   258
#define OPT_WALL      259
#define OPT_MIN_BLOCK 260
#define OPT_TIMES     261
#define OPT_MEMORY    262

static const struct argp_option options[] = {
	{"duration", 'd', "SECONDS", 0,
	 "stop after this time (default: Ctrl-C or the target's end)", 2},
	{"rate", 'F', "HZ", 0, "samples per second of CPU time, 1 to 9999 (default 99)", 2},
	{"off-cpu", OPT_OFF_CPU, 0, 0,
	 "the time that threads are not on a CPU, with the stack that they left it with", 2},
	{"wall", OPT_WALL, 0, 0, "both: CPU time by samples, and time off the CPU", 2},
	{"min-block", OPT_MIN_BLOCK, "USEC", 0,
	 "leave out times off the CPU that are shorter, in microseconds (default 0)", 2},
	{"memory", OPT_MEMORY, "MB", 0,
	 "for distinct stacks while they come; of what does not fit only the samples are counted "
	 "(default 256)",
	 2},
	{"output", 'o', "FILE", 0, "write there; - is stdout (default: luaspy-COMM-PID-TIME.html)",
	 3},
	{"format", 'f', FORMAT_CHOICES, 0, "default: by the file's ending", 3},
	{"threads", OPT_THREADS, 0, 0, "keep threads apart, as --by thread", 4},
	{"coroutines", OPT_COROUTINE, 0, 0, "show where a coroutine was resumed", 4},
	{"times", OPT_TIMES, 0, 0,
	 "keep when each sample was taken, in -o FILE.pb.gz (-f heatmap and -f perf do so)", 4},
	{"quiet", 'q', 0, 0, "say nothing but errors", 5},
	{"verbose", 'v', 0, 0, "say more: which LuaJIT was found, and how", 5},
	{0},
};

static const char doc[] =
	"Samples the CPU time of running processes, or of a command, and writes a flame graph of "
	"kernel, C and Lua frames, or a profile for `luaspy report`."
	"\vA command is started, waited for also after -d SECONDS, and its exit status passed on.\n"
	"Examples:\n"
	"  luaspy record -p 1234 -d 10             a flame graph (HTML) of 10 seconds\n"
	"  luaspy record -p 1234 -o out.svg        until Ctrl-C\n"
	"  luaspy record -p 1234 -o x.pb.gz        all of it, for `luaspy report`\n"
	"  luaspy record -p 1234 -d 60 -f heatmap  when it was busy, second by second\n"
	"  luaspy record -n nginx -d 30            all of nginx, reloads included\n"
	"  luaspy record -c web -d 30              the same in container web\n"
	"  luaspy record -p 1234 -d 10 --off-cpu   what it waits for, and how long\n"
	"  luaspy record -o - -f folded -- luajit x.lua  a command, as folded stacks\n";

/* A whole number in [min, max]; exits with a message otherwise. */
static long parse_number(struct argp_state *state, const char *text, const char *what, long min,
			 long max)
{
	char *end;
	long value;

	errno = 0;
	value = strtol(text, &end, 10);
	if (errno || end == text || *end || value < min || value > max)
		argp_error(state, "%s must be a whole number from %ld to %ld, not '%s'", what, min,
			   max, text);
	return value;
}

static void parse_duration(struct argp_state *state, struct record_options *self, const char *arg)
{
	char *end;

	self->duration_seconds = strtod(arg, &end);
	if (end == arg || *end || !(self->duration_seconds > 0) || self->duration_seconds > 1e7)
		argp_error(state, "the duration must be a number of seconds above 0, not '%s'",
			   arg);
}

static void check(struct argp_state *state, struct record_options *self, const char *format_name)
{
	const char *unknown = view_options__unknown_by(&self->view);

	if (!target_options__given(&self->targets) && !self->command)
		argp_error(state, "what to profile? -p PID, -n NAME, -c CONTAINER, --cgroup PATH, "
				  "-a, or -- COMMAND [ARG...]");
	if (target_options__given(&self->targets) && self->command)
		argp_error(state, "either processes (-p, -n, -c, --cgroup, -a) or a command, not "
				  "both");
	if (self->kind == PROFILE_OFF_CPU && self->rate_hz)
		argp_error(state, "--off-cpu takes no samples: -F has no meaning with it");
	if (self->kind != PROFILE_CPU && self->times)
		argp_error(state, "--times are those of samples of CPU time: leave out --off-cpu "
				  "and --wall");
	if (self->kind == PROFILE_CPU && self->min_block_us)
		argp_error(state, "--min-block needs --off-cpu or --wall");
	if (!self->rate_hz)
		self->rate_hz = 99;
	if (unknown)
		argp_error(state, "--by knows " VIEW_OPTIONS_KNOWN_BY ", not '%s'", unknown);
	if (format_name) {
		self->format = format__named(format_name);
		if (!self->format)
			argp_error(state, "the format must be " FORMAT_NAMES ", not '%s'",
				   format_name);
	} else {
		self->format = self->output ? format__of_path(self->output) : format__named("html");
		if (!self->format)
			argp_error(state,
				   "the ending of '%s' tells no format: add -f " FORMAT_NAMES,
				   self->output);
	}
	if (self->format && strcmp(self->format->name, "heatmap") == 0 && self->kind != PROFILE_CPU)
		argp_error(state, "a heat map is one of samples of CPU time, which --off-cpu and "
				  "--wall are not");
	if (self->format && format__uses_times(self->format))
		self->times = true;
	self->per_thread = view_options__has_by(&self->view, "thread") ||
			   (self->format && format__keeps_labels(self->format));
}

struct parse_input {
	struct record_options *options;
	const char *format;
};

static error_t parse(int key, char *arg, struct argp_state *state)
{
	struct parse_input *input = state->input;
	struct record_options *self = input->options;

	switch (key) {
	case ARGP_KEY_INIT:
		state->child_inputs[0] = &self->targets;
		state->child_inputs[1] = &self->view;
		break;
	case 'd':
		parse_duration(state, self, arg);
		break;
	case 'F':
		self->rate_hz = (uint32_t)parse_number(state, arg, "the rate", 1, 9999);
		break;
	case OPT_OFF_CPU:
	case OPT_WALL:
		if (self->kind != PROFILE_CPU)
			argp_error(state, "either --off-cpu or --wall: that is both CPU time and "
					  "time off the CPU");
		self->kind = key == OPT_WALL ? PROFILE_WALL : PROFILE_OFF_CPU;
		break;
	case OPT_MIN_BLOCK:
		self->min_block_us =
			(uint64_t)parse_number(state, arg, "--min-block", 0, 1000000000);
		break;
	case OPT_MEMORY:
		self->memory_mb = (uint64_t)parse_number(state, arg, "--memory", 1, 1 << 20);
		break;
	case OPT_TIMES:
		self->times = true;
		break;
	case 'o':
		self->output = arg;
		break;
	case 'f':
		input->format = arg;
		break;
	case OPT_THREADS:
		if (!view_options__add_by(&self->view, "thread"))
			argp_error(state, "at most %u labels", PROFILE_VIEW_MAX_BY);
		break;
	case OPT_COROUTINE:
		self->coroutines = true;
		break;
	case 'q':
		self->quiet = true;
		break;
	case 'v':
		self->verbose = true;
		break;
	case ARGP_KEY_ARG:
		/* The first word that is no option starts the command. */
		self->command = &state->argv[state->next - 1];
		state->next = state->argc;
		break;
	case ARGP_KEY_END:
		check(state, self, input->format);
		break;
	default:
		return ARGP_ERR_UNKNOWN;
	}
	return 0;
}

static const struct argp_child children[] = {{&target_options_argp, 0, "What to profile:", 1},
					     {&view_options_argp, 0, "What to show:", 4},
					     {0}};

const struct argp record_argp = {.options = options,
				 .children = children,
				 .parser = parse,
				 .args_doc = "[-- COMMAND [ARG...]]",
				 .doc = doc};

void record_options__parse(struct record_options *self, int argc, char **argv)
{
	struct parse_input input = {.options = self};
	static char name[] = "luaspy record";

	memset(self, 0, sizeof(*self));
	view_options__init(&self->view);
	argv[0] = name;
	argp_err_exit_status = 2;
	argp_parse(&record_argp, argc, argv, ARGP_IN_ORDER, NULL, &input);
}
