/* SPDX-License-Identifier: Apache-2.0 */
/*
 * `luaspy list`: the Lua processes of this machine.
 */
#include <argp.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "commands.h"
#include "lua_processes.h"
#include "privileges.h"
#include "terminal.h"

#define OPT_JSON  256
#define SEARCH_MS 600 /* of the one second that it may take at most */

static const struct argp_option options[] = {
	{"json", OPT_JSON, 0, 0, "write JSON: null stands for what cannot be known", 1},
	{0},
};

static const char doc[] =
	"Lists the processes that have LuaJIT or PUC Lua in them, whether it is running or not."
	"\vThe columns: ROLE is master, worker, helper or single for nginx, cli for the lua and "
	"luajit commands, else embedded. JIT, VMS and HEAP are read from the process's memory; JIT "
	"holds for LuaJIT only. CPU% is that of one CPU, over the last tenth of a second. SYMBOLS "
	"tells whether the file that contains Lua has a symbol table; luaspy does not need one. - "
	"is what cannot be known.\n";

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

const struct argp list_argp = {.options = options, .parser = parse, .doc = doc};

static void print_hidden(const struct lua_processes_hidden *hidden)
{
	const char *denied = "not even with CAP_SYS_PTRACE", *unreadable;

	if (!privileges__have(CAP_SYS_PTRACE))
		denied = "that takes CAP_SYS_PTRACE, or root (sudo luaspy list)";
	if (hidden->denied)
		fprintf(stderr, "luaspy: %zu process%s may not be looked into: %s.\n",
			hidden->denied, hidden->denied == 1 ? "" : "es", denied);
	unreadable =
		privileges__have(CAP_DAC_READ_SEARCH)
			? "they were deleted, or replaced by an upgrade, and that takes "
			  "CAP_CHECKPOINT_RESTORE, or root"
			: "that takes CAP_DAC_READ_SEARCH, and CAP_CHECKPOINT_RESTORE for files "
			  "that were deleted, or root";
	if (hidden->unreadable)
		fprintf(stderr,
			"luaspy: %zu process%s may have Lua in files that could not be read: %s.\n",
			hidden->unreadable, hidden->unreadable == 1 ? "" : "es", unreadable);
}

int cmd_list(int argc, char **argv)
{
	static char name[] = "luaspy list";
	struct list_row *rows = NULL;
	struct lua_processes_hidden hidden = {};
	size_t count = 0;
	bool json = false;
	int err;

	argv[0] = name;
	argp_err_exit_status = 2;
	argp_parse(&list_argp, argc, argv, 0, NULL, &json);
	err = lua_processes__gather(SEARCH_MS, &rows, &count, &hidden);
	if (err) {
		fprintf(stderr, "luaspy: the processes cannot be listed: %s.\n", strerror(-err));
		return 1;
	}
	if (json)
		err = list_rows__write_json(rows, count, stdout);
	else if (count)
		list_rows__write_table(rows, count, terminal__width(0), stdout);
	print_hidden(&hidden);
	if (!count)
		fprintf(stderr, "luaspy: no process with Lua in it%s.\n",
			hidden.denied || hidden.unreadable ? " among those that can be seen" : "");
	free(rows);
	if (!err && fflush(stdout) != 0)
		err = -errno;
	if (err)
		fprintf(stderr, "luaspy: writing to stdout failed: %s.\n", strerror(-err));
	return err ? 1 : 0;
}
