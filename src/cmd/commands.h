/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The commands: one file each, and the table of them in main.c.
 */
#ifndef LUASPY_COMMANDS_H
#define LUASPY_COMMANDS_H

/* argv[0] is the command's name. Returns the process's exit status. */
int cmd_diff(int argc, char **argv);
int cmd_doctor(int argc, char **argv);
int cmd_dump(int argc, char **argv);
int cmd_list(int argc, char **argv);
int cmd_record(int argc, char **argv);
int cmd_report(int argc, char **argv);
int cmd_top(int argc, char **argv);

#endif
