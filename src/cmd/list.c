/* SPDX-License-Identifier: Apache-2.0 */
/*
 * `luaspy list`: the Lua processes of this machine.
 */
#include <argp.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "commands.h"
#include "lua_processes.h"

#define OPT_JSON      256
#define SEARCH_MS     600 /* of the one second that it may take at most */
#define DEFAULT_WIDTH 80

static const struct argp_option options[] = {
	{"json", OPT_JSON, 0, 0, "write JSON: null stands for what cannot be known", 1},
	{0},
};

static const char doc[] =
	"Lists the processes that have LuaJIT or PUC Lua in them, whether it is running or not."
	"\vThe columns: ROLE is master, worker, helper or single for nginx, cli for the lua and "
	"luajit commands, else embedded. JIT, VMS and HEAP are read from the process's memory and "
	"hold for LuaJIT only. CPU% is that of one CPU, over the last tenth of a second. SYMBOLS "
	"tells "
	"whether the file that contains Lua has a symbol table; luaspy does not need one. - is "
	"what cannot be known.\n";

static error_t parse(int key, char *arg, struct argp_state *state)
{
	bool *json = state->input;

	switch (key) {
	case OPT_JSON:
		*json = true;
		return 0;
	case ARGP_KEY_ARG:
		argp_error(state, "there is nothing to name here: '%s'", arg);
		return 0;
	default:
		return ARGP_ERR_UNKNOWN;
	}
}

/* Only a terminal has a width. */
static size_t terminal_width(void)
{
	struct winsize size;

	if (!isatty(STDOUT_FILENO))
		return 0;
	if (ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) != 0 || size.ws_col == 0)
		return DEFAULT_WIDTH;
	return size.ws_col;
}

int cmd_list(int argc, char **argv)
{
	static const struct argp argp = {.options = options, .parser = parse, .doc = doc};
	static char name[] = "luaspy list";
	struct list_row *rows = NULL;
	size_t count = 0, denied = 0;
	bool json = false;
	int err;

	argv[0] = name;
	argp_err_exit_status = 2;
	argp_parse(&argp, argc, argv, 0, NULL, &json);
	err = lua_processes__gather(SEARCH_MS, &rows, &count, &denied);
	if (err) {
		fprintf(stderr, "luaspy: the processes cannot be listed: %s.\n", strerror(-err));
		return 1;
	}
	if (json)
		err = list_rows__write_json(rows, count, stdout);
	else if (count)
		list_rows__write_table(rows, count, terminal_width(), stdout);
	if (denied)
		fprintf(stderr, "luaspy: %zu process%s may not be looked into%s.\n", denied,
			denied == 1 ? "" : "es",
			geteuid() ? ": run it as root (sudo luaspy list) to have them all"
				  : ", even by root");
	if (!count)
		fprintf(stderr, "luaspy: no process with Lua in it%s.\n",
			denied ? " among those that may be" : "");
	free(rows);
	if (!err && fflush(stdout) != 0)
		err = -errno;
	if (err)
		fprintf(stderr, "luaspy: writing to stdout failed: %s.\n", strerror(-err));
	return err ? 1 : 0;
}
