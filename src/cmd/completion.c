/* SPDX-License-Identifier: Apache-2.0 */
/*
 * `luaspy completion`: the completions of luaspy for a shell.
 */
#include <argp.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "commands.h"
#include "completion_scripts.h"

static const struct shell {
	const char *name;
	int (*write)(const struct command *commands, FILE *out);
} shells[] = {
	{"bash", completion_script__bash},
	{"zsh", completion_script__zsh},
	{"fish", completion_script__fish},
	{0},
};

static const struct argp_option options[] = {{0}};

static const char doc[] =
	"Writes the script that makes a shell complete luaspy's commands, options and their values."
	"\vIt is for the folder where the shell looks for such files; `make install` puts it "
	"there.\n"
	"Examples:\n"
	"  source <(luaspy completion bash)  for the running shell (bash, zsh)\n"
	"  luaspy completion fish | source  the same for fish\n"
	"  luaspy completion bash > /etc/bash_completion.d/luaspy  for all users\n";

static error_t parse(int key, char *arg, struct argp_state *state)
{
	const struct shell **found = state->input, *shell;

	switch (key) {
	case ARGP_KEY_ARG:
		for (shell = shells; shell->name && strcmp(shell->name, arg) != 0; shell++)
			;
		if (!shell->name || *found)
			argp_error(state, "one of the shells bash, zsh and fish, not '%s'", arg);
		*found = shell;
		return 0;
	case ARGP_KEY_NO_ARGS:
		argp_error(state, "for which shell? bash, zsh or fish");
		return 0;
	default:
		return ARGP_ERR_UNKNOWN;
	}
}

const struct argp completion_argp = {
	.options = options, .parser = parse, .args_doc = "bash|zsh|fish", .doc = doc};

int cmd_completion(int argc, char **argv)
{
	static char name[] = "luaspy completion";
	const struct shell *shell = NULL;
	int err;

	argv[0] = name;
	argp_err_exit_status = 2;
	argp_parse(&completion_argp, argc, argv, 0, NULL, &shell);
	err = shell->write(commands, stdout);
	if (fflush(stdout) != 0)
		err = -errno;
	if (err)
		fprintf(stderr, "luaspy: writing to stdout failed: %s.\n", strerror(-err));
	return err ? 1 : 0;
}
