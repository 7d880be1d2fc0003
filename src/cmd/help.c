/* SPDX-License-Identifier: Apache-2.0 */
/*
 * `luaspy help`: what there is, as text for a terminal and as manual pages.
 */
#include "help.h"

#include <argp.h>
#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "commands.h"
#include "manual_page.h"

#define OPT_MAN	  256
#define OPT_NAMES 257

static const char summary[] = "a profiler for Lua in production";
static const char about[] =
	"Shows where running LuaJIT and Lua programs spend their CPU time, from outside: flame "
	"graphs in which kernel, C and Lua frames stand in the order in which they were called. "
	"Meant for nginx with its Lua module (OpenResty, Apache APISIX and the like) in "
	"production, and works with any program that contains LuaJIT 2.1 or PUC Lua 5.1 to 5.5. "
	"The programs are not changed, restarted, stopped or written to, and need no debug "
	"information.\n"
	"`luaspy doctor` tells whether this machine and a process allow it; mostly that is a "
	"matter of being root.\n";

struct help_options {
	const char *command; /* NULL: luaspy itself */
	bool man, names;
};

static const struct argp_option options[] = {
	{"man", OPT_MAN, 0, 0, "write the manual page, as groff and mandoc read it", 1},
	{"names", OPT_NAMES, 0, 0, "write the commands' names, one per line", 1},
	{0},
};

static const char doc[] = "Shows what luaspy's commands are, or the options of one of them."
			  "\vExamples:\n"
			  "  luaspy help record  the same as luaspy record --help\n"
			  "  luaspy help --man record | man -l -  its manual page\n";

static error_t parse(int key, char *arg, struct argp_state *state)
{
	struct help_options *self = state->input;

	switch (key) {
	case OPT_MAN:
		self->man = true;
		return 0;
	case OPT_NAMES:
		self->names = true;
		return 0;
	case ARGP_KEY_ARG:
		if (self->command)
			argp_error(state, "one command at a time");
		self->command = arg;
		return 0;
	default:
		return ARGP_ERR_UNKNOWN;
	}
}

const struct argp help_argp = {
	.options = options, .parser = parse, .args_doc = "[COMMAND]", .doc = doc};

void help__print(FILE *out)
{
	const struct command *command;

	fprintf(out,
		"luaspy " LUASPY_VERSION ": %s\n\nUsage: luaspy COMMAND [OPTION...]\n\nCommands:\n",
		summary);
	for (command = commands; command->name; command++)
		fprintf(out, "  %-10s %s\n", command->name, command->summary);
	fprintf(out, "\n`luaspy COMMAND --help` describes a command's options.\n"
		     "The usual start: luaspy record -p PID -d 10\n");
}

static int write_page(const struct command *command)
{
	const struct manual_page page = {.commands = commands,
					 .version = LUASPY_VERSION,
					 .date = LUASPY_DATE,
					 .summary = summary,
					 .about = about};

	if (command)
		return manual_page__write(&page, command, stdout);
	manual_page__write_overview(&page, stdout);
	return 0;
}

static int show(const struct help_options *self, const struct command *command)
{
	static char option[] = "--help";
	char *argv[] = {self->man ? NULL : (char *)self->command, option, NULL};

	if (self->names) {
		for (command = commands; command->name; command++)
			puts(command->name);
		return 0;
	}
	if (self->man)
		return write_page(command);
	if (command)
		return command->run(2, argv); /* argp ends the process */
	help__print(stdout);
	return 0;
}

int cmd_help(int argc, char **argv)
{
	static char name[] = "luaspy help";
	const struct command *command = NULL;
	struct help_options self = {};
	int err;

	argv[0] = name;
	argp_err_exit_status = 2;
	argp_parse(&help_argp, argc, argv, 0, NULL, &self);
	if (self.command) {
		for (command = commands; command->name; command++) {
			if (strcmp(command->name, self.command) == 0)
				break;
		}
		if (!command->name) {
			fprintf(stderr,
				"luaspy: there is no command '%s'. `luaspy --help` lists them.\n",
				self.command);
			return 2;
		}
	}
	err = show(&self, command);
	if (fflush(stdout) != 0)
		err = -errno;
	if (err)
		fprintf(stderr, "luaspy: writing to stdout failed: %s.\n", strerror(-err));
	return err ? 1 : 0;
}
