// SPDX-License-Identifier: Apache-2.0
/*
 * luaspy: the table of commands.
 */
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "commands.h"
#include "help.h"
#include "privileges.h"

const struct command commands[] = {
	{"completion", cmd_completion, &completion_argp,
	 "write the completions of luaspy for a shell"},
	{"diff", cmd_diff, &diff_argp,
	 "compare two recorded profiles: what has changed, and what is noise"},
	{"doctor", cmd_doctor, &doctor_argp, "check what this machine and a process allow"},
	{"dump", cmd_dump, &dump_argp, "show what the threads and coroutines of a process do now"},
	{"help", cmd_help, &help_argp, "show what luaspy's commands are, and their options"},
	{"list", cmd_list, &list_argp, "show the Lua processes of this machine"},
	{"record", cmd_record, &record_argp,
	 "sample a process and draw a CPU flame graph of kernel, C and Lua"},
	{"report", cmd_report, &report_argp,
	 "show a recorded profile in another format, or a part of it"},
	{"top", cmd_top, &top_argp, "show which Lua functions use the CPU, as it happens"},
	{0},
};

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
	const struct command *command;

	fill_standard_streams();
	if (privileges__begin() != 0)
		return 1;
	if (argc < 2) {
		help__print(stderr);
		return 2;
	}
	if (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0) {
		help__print(stdout);
		return 0;
	}
	if (strcmp(argv[1], "--version") == 0 || strcmp(argv[1], "-V") == 0) {
		printf("luaspy " LUASPY_VERSION "\n");
		return 0;
	}
	for (command = commands; command->name; command++) {
		if (strcmp(argv[1], command->name) == 0)
			return command->run(argc - 1, argv + 1);
	}
	fprintf(stderr, "luaspy: there is no command '%s'. `luaspy --help` lists them.\n", argv[1]);
	return 2;
}
