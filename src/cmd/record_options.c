/* SPDX-License-Identifier: Apache-2.0 */
#include "record_options.h"

#include <argp.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "../output/output.h"
#include "commands.h"

#define OPT_KERNEL    256
#define OPT_NO_KERNEL 257
#define OPT_NATIVE    258
#define OPT_NO_NATIVE 259
#define OPT_THREADS   260
#define OPT_LINES     261
#define OPT_BY	      262
#define OPT_COROUTINE 263

static const struct format {
	const char *name;
	const char *endings[3];
	int (*write)(const struct profile *profile, FILE *out);
} formats[] = {
	{"html", {".html", ".htm"}, flamegraph__write_html},
	{"svg", {".svg"}, flamegraph__write_svg},
	{"folded", {".folded", ".txt"}, folded__write},
};

#define FORMAT_COUNT (sizeof(formats) / sizeof(formats[0]))

static const struct argp_option options[] = {
	{"duration", 'd', "SECONDS", 0,
	 "stop after this time (default: Ctrl-C or the target's end)", 2},
	{"rate", 'F', "HZ", 0, "samples per second of CPU time, 1 to 9999 (default 99)", 2},
	{"output", 'o', "FILE", 0, "write there; - is stdout (default: luaspy-COMM-PID-TIME.html)",
	 3},
	{"format", 'f', "html|svg|folded", 0, "default: by the file's ending", 3},
	{"kernel", OPT_KERNEL, 0, 0, "show kernel frames (default)", 4},
	{"no-kernel", OPT_NO_KERNEL, 0, 0, "leave kernel frames out", 4},
	{"native", OPT_NATIVE, 0, 0, "show C frames (default)", 4},
	{"no-native", OPT_NO_NATIVE, 0, 0, "show Lua frames only", 4},
	{"threads", OPT_THREADS, 0, 0, "keep threads apart", 4},
	{"lines", OPT_LINES, 0, 0, "add the current line to each Lua frame", 4},
	{"by", OPT_BY, "vmstate", 0,
	 "split the root by what the VM does: interpreted, compiled, GC...", 4},
	{"coroutines", OPT_COROUTINE, 0, 0, "show where a coroutine was resumed", 4},
	{"quiet", 'q', 0, 0, "say nothing but errors", 5},
	{"verbose", 'v', 0, 0, "say more: which LuaJIT was found, and how", 5},
	{0},
};

static const char doc[] =
	"Samples the CPU time of running processes, or of a command, and writes a flame graph of "
	"kernel, C and Lua frames."
	"\vWith a command, its exit status is passed on.\n"
	"Examples:\n"
	"  luaspy record -p 1234 -d 10                 an HTML flame graph of ten seconds\n"
	"  luaspy record -p 1234 -o out.svg            until Ctrl-C\n"
	"  luaspy record -n nginx -d 30                all of nginx that has Lua, reloads "
	"included\n"
	"  luaspy record -c web -d 30                  the same in container web\n"
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

static const struct format *format_by_name(const char *name)
{
	size_t i;

	for (i = 0; i < FORMAT_COUNT; i++) {
		if (strcmp(formats[i].name, name) == 0)
			return &formats[i];
	}
	return NULL;
}

static const struct format *format_by_ending(const char *path)
{
	size_t i, k, length = strlen(path), ending;

	if (strcmp(path, "-") == 0 || strncmp(path, "/dev/", 5) == 0)
		return format_by_name("folded");
	for (i = 0; i < FORMAT_COUNT; i++) {
		for (k = 0; formats[i].endings[k]; k++) {
			ending = strlen(formats[i].endings[k]);
			if (length > ending &&
			    strcmp(path + length - ending, formats[i].endings[k]) == 0)
				return &formats[i];
		}
	}
	return NULL;
}

static void check(struct argp_state *state, struct record_options *self, const char *format_name)
{
	const struct format *format;

	if (!target_options__given(&self->targets) && !self->command)
		argp_error(state, "what to profile? -p PID, -n NAME, -c CONTAINER, --cgroup PATH, "
				  "-a, or -- COMMAND [ARG...]");
	if (target_options__given(&self->targets) && self->command)
		argp_error(state, "either processes (-p, -n, -c, --cgroup, -a) or a command, not "
				  "both");
	if (format_name) {
		format = format_by_name(format_name);
		if (!format)
			argp_error(state, "the format must be html, svg or folded, not '%s'",
				   format_name);
	} else {
		format = self->output ? format_by_ending(self->output) : &formats[0];
		if (!format)
			argp_error(state,
				   "the ending of '%s' tells no format: add -f html, svg or folded",
				   self->output);
	}
	if (format) {
		self->write = format->write;
		self->extension = format->name;
	}
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
		break;
	case 'd':
		parse_duration(state, self, arg);
		break;
	case 'F':
		self->rate_hz = (uint32_t)parse_number(state, arg, "the rate", 1, 9999);
		break;
	case 'o':
		self->output = arg;
		break;
	case 'f':
		input->format = arg;
		break;
	case OPT_KERNEL:
	case OPT_NO_KERNEL:
		self->kernel = key == OPT_KERNEL;
		break;
	case OPT_NATIVE:
	case OPT_NO_NATIVE:
		self->native = key == OPT_NATIVE;
		break;
	case OPT_THREADS:
		self->threads = true;
		break;
	case OPT_LINES:
		self->lines = true;
		break;
	case OPT_BY:
		if (strcmp(arg, "vmstate") != 0)
			argp_error(state, "--by knows vmstate, not '%s'", arg);
		self->by_vm_state = true;
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

static const struct argp_child children[] = {{&target_options_argp, 0, "What to profile:", 1}, {0}};

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
	self->rate_hz = 99;
	self->kernel = self->native = true;
	argv[0] = name;
	argp_err_exit_status = 2;
	argp_parse(&record_argp, argc, argv, ARGP_IN_ORDER, NULL, &input);
}
