/* SPDX-License-Identifier: Apache-2.0 */
/*
 * For the tests of names: a folder for files, processes that only wait, and questions for their
 * functions' names.
 */
#ifndef LUASPY_TEST_LUA_NAMES_H
#define LUASPY_TEST_LUA_NAMES_H

#include <signal.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include "../test.h"
#include "symbol/lua_names.h"

static char folder[] = "/tmp/luaspy-names-XXXXXX";

static const char *in_folder(const char *name)
{
	static char path[4][256];
	static int next;

	snprintf(path[next % 4], sizeof(path[0]), "%s/%s", folder, name);
	return path[next++ % 4];
}

static void write_file(const char *name, const char *text)
{
	FILE *file = fopen(in_folder(name), "w");

	CHECK(file != NULL);
	if (!file)
		return;
	CHECK_EQ(fwrite(text, 1, strlen(text), file), strlen(text));
	fclose(file);
}

/* The kernel counts a process's start, and many file systems their times, in ticks. */
static void let_time_pass(void)
{
	usleep(50000);
}

/* A process that waits in `directory`, with `root` as its root unless NULL. */
static pid_t start_process(const char *directory, const char *root)
{
	int ready[2];
	char byte;
	pid_t pid;

	let_time_pass();
	CHECK_EQ(pipe(ready), 0);
	pid = fork();
	if (pid == 0) {
		if ((root && chroot(root)) || chdir(directory))
			_exit(1);
		close(ready[0]);
		if (write(ready[1], "x", 1) != 1)
			_exit(1);
		for (;;)
			pause();
	}
	close(ready[1]);
	CHECK_EQ(read(ready[0], &byte, 1), 1);
	close(ready[0]);
	let_time_pass();
	return pid;
}

static void stop_process(pid_t pid)
{
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
}

static enum lua_names_reason reason;
static const struct lua_chunk_fit *fit;

static const char *find(struct lua_names *names, pid_t pid, const char *chunk, uint32_t first,
			uint32_t last)
{
	struct lua_chunk_name name = {chunk, strlen(chunk), false};
	struct lua_function_hint hint = {first, last, 0, 0, NULL};

	return lua_names__find(names, pid, &name, &hint, &reason, &fit);
}

static const char *find_at(struct lua_names *names, pid_t pid, const char *prefix, const char *path,
			   uint32_t first, uint32_t last)
{
	char chunk[512];

	snprintf(chunk, sizeof(chunk), "%s%s", prefix, path);
	return find(names, pid, chunk, first, last);
}

#endif
