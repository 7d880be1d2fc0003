/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The commands: one file each, and the table of them in main.c.
 */
#ifndef LUASPY_COMMANDS_H
#define LUASPY_COMMANDS_H

#include <argp.h>

struct command {
	const char *name;
	/* argv[0] is the command's name. Returns the process's exit status. */
	int (*run)(int argc, char **argv);
	/* What `run` parses its command line with. The manual page and the completions of shells
	 * are made from it (manual.h tells how its texts are read). */
	const struct argp *argp;
	const char *summary; /* what it does: "show ...", without a full stop */
};

/* All of them, in alphabetical order; behind the last stands one without a name. */
extern const struct command commands[];

extern const struct argp completion_argp;
extern const struct argp diff_argp;
extern const struct argp doctor_argp;
extern const struct argp dump_argp;
extern const struct argp help_argp;
extern const struct argp list_argp;
extern const struct argp record_argp;
extern const struct argp report_argp;
extern const struct argp top_argp;

int cmd_completion(int argc, char **argv);
int cmd_diff(int argc, char **argv);
int cmd_doctor(int argc, char **argv);
int cmd_dump(int argc, char **argv);
int cmd_help(int argc, char **argv);
int cmd_list(int argc, char **argv);
int cmd_record(int argc, char **argv);
int cmd_report(int argc, char **argv);
int cmd_top(int argc, char **argv);

#endif
