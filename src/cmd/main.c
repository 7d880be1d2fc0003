// SPDX-License-Identifier: Apache-2.0
/*
 * luaspy: the table of commands.
 */
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "commands.h"
#include "privileges.h"

static const struct command {
	const char *name;
	int (*run)(int argc, char **argv);
	const char *summary;
} commands[] = {
	{"diff", cmd_diff, "compare two recorded profiles: what has changed, and what is noise"},
	{"doctor", cmd_doctor, "check what this machine and a process allow"},
	{"dump", cmd_dump, "show what the threads and coroutines of a process do now"},
	{"list", cmd_list, "show the Lua processes of this machine"},
	{"record", cmd_record, "sample a process and draw a CPU flame graph of kernel, C and Lua"},
	{"report", cmd_report, "show a recorded profile in another format, or a part of it"},
	{"top", cmd_top, "show which Lua functions use the CPU, as it happens"},
};

#define COMMAND_COUNT (sizeof(commands) / sizeof(commands[0]))

static void print_help(FILE *out)
{
	size_t i;

	fprintf(out, "luaspy " LUASPY_VERSION ": a profiler for Lua in production\n\n"
		     "Usage: luaspy COMMAND [OPTION...]\n\nCommands:\n");
	for (i = 0; i < COMMAND_COUNT; i++)
		fprintf(out, "  %-10s %s\n", commands[i].name, commands[i].summary);
	fprintf(out, "\n`luaspy COMMAND --help` describes a command's options.\n"
		     "The usual start: luaspy record -p PID -d 10\n");
}

/* Started without stdin, stdout or stderr, whatever is opened next would get its number, and then
 * what is printed. The wrong way round, so that using them is an error as it would have been. */
static void fill_standard_streams(void)
{
	int fd;

	for (fd = STDIN_FILENO; fd <= STDERR_FILENO; fd++) {
		if (fcntl(fd, F_GETFD) < 0 &&
		    open("/dev/null", fd == STDIN_FILENO ? O_WRONLY : O_RDONLY) != fd)
			_exit(1);
	}
}

int main(int argc, char **argv)
{
	size_t i;

	fill_standard_streams();
	if (privileges__begin() != 0)
		return 1;
	if (argc < 2) {
		print_help(stderr);
		return 2;
	}
	if (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0 ||
	    strcmp(argv[1], "help") == 0) {
		print_help(stdout);
		return 0;
	}
	if (strcmp(argv[1], "--version") == 0 || strcmp(argv[1], "-V") == 0) {
		printf("luaspy " LUASPY_VERSION "\n");
		return 0;
	}
	for (i = 0; i < COMMAND_COUNT; i++) {
		if (strcmp(argv[1], commands[i].name) == 0)
			return commands[i].run(argc - 1, argv + 1);
	}
	fprintf(stderr, "luaspy: there is no command '%s'. `luaspy --help` lists them.\n", argv[1]);
	return 2;
}
