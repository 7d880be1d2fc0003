/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The command of `record -- COMMAND`: forked at once, so that its pid can be profiled, and executed
 * when told.
 */
#ifndef LUASPY_CHILD_COMMAND_H
#define LUASPY_CHILD_COMMAND_H

#include <stdbool.h>
#include <sys/types.h>

struct child_command {
	pid_t pid; /* 0: none */
	int go_fd, error_fd;
	bool ended;
	int status; /* as from waitpid, once ended */
};

/* 0 or negative errno. `argv` is NULL-terminated and must live until the start. */
int child_command__fork(struct child_command *self, char **argv);

/* Executes it. 0, or the negative errno of execvp. */
int child_command__start(struct child_command *self);

/* Whether it has ended; with `wait`, waits for that. */
bool child_command__ended(struct child_command *self, bool wait);

/* The exit status a shell would show: 128 + signal for one that was killed. */
int child_command__exit_status(const struct child_command *self);

/* Ends a child that was not started. */
void child_command__abandon(struct child_command *self);

#endif
