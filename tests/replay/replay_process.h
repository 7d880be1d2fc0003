/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A replay over a live process that a test traces with ptrace: its mappings, files and unwind
 * tables (with LuaJIT's interpreter analysed), its memory read as the walk asks for it. For tests'
 * own targets only: it stops the thread, which the product never does.
 */
#ifndef LUASPY_REPLAY_PROCESS_H
#define LUASPY_REPLAY_PROCESS_H

#include <sys/types.h>

#include "replay_env.h"

struct replay_process {
	struct replay *replay;
	pid_t pid;
	char **names; /* path per file */
	int luajit;   /* index of the file that contains LuaJIT, or -1 */
};

/* Reads the target's mappings and tables as they are now. 0 or negative errno; clear in any case.
 */
int replay_process__open(struct replay_process *self, pid_t pid);
void replay_process__close(struct replay_process *self);

/* Takes the registers of the stopped thread `tid`. 0 or negative errno. */
int replay_process__registers(struct replay_process *self, pid_t tid);

/* Reads the target's memory; false when not all of it is there. */
bool replay_process__read(void *self, uint64_t address, void *bytes, size_t size);

/* Starts argv stopped at its exec, traced; standard output goes to /dev/null. The pid, or negative
 * errno.*/
pid_t replay_process__start(char *const argv[]);
/* Lets it run until it stops itself by SIGSTOP. 0, or -ECHILD when it ended before. */
int replay_process__run_to_stop(pid_t pid);
/* One instruction. 0, -ECHILD when the process has ended; signals are passed on. */
int replay_process__step(pid_t pid);

#endif
