// SPDX-License-Identifier: Apache-2.0
/*
 * Prints what luajit_builtins reads from a live process, for test_builtins.py to compare with what
 * the program itself says:
 *
 *     builtins PID VM [ENTRY...]       VM (a lua_State or global_State), ENTRY: hexadecimal
 * addresses in the target
 *
 * Lines of words separated by tabs: "mode GC64", "version TEXT", "ffid N NAME", "entry ADDRESS
 * NAME" for each ENTRY that has a name, "effort TABLES FFIDS ENTRIES READS MICROSECONDS BOUNDED".
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../replay/replay_process.h"
#include "vm/luajit_builtins.h"

static void print_names(const struct luajit_builtins *builtins, char *const entries[], int count)
{
	struct luajit_builtins_effort effort = luajit_builtins__effort(builtins);
	const char *version = luajit_builtins__version(builtins), *name;
	int i;

	printf("version\t%s\n", version ? version : "");
	for (i = 0; i <= UINT8_MAX; i++) {
		name = luajit_builtins__by_ffid(builtins, (uint8_t)i);
		if (name)
			printf("ffid\t%d\t%s\n", i, name);
	}
	for (i = 0; i < count; i++) {
		name = luajit_builtins__by_entry(builtins, strtoull(entries[i], NULL, 16));
		if (name)
			printf("entry\t%s\t%s\n", entries[i], name);
	}
	printf("effort\t%u\t%u\t%u\t%" PRIu64 "\t%" PRIu64 "\t%d\n", effort.tables, effort.ffids,
	       effort.entries, effort.reads, effort.time_ns / 1000, effort.bounded);
}

int main(int argc, char *argv[])
{
	struct luajit_builtins *builtins = NULL, *again = NULL;
	struct replay_process process = {};
	pid_t pid;
	int err;

	if (argc < 3) {
		fprintf(stderr, "usage: builtins PID VM [ENTRY...]\n");
		return 2;
	}
	pid = (pid_t)strtol(argv[1], NULL, 10);
	err = replay_process__open(&process, pid);
	if (!err && process.replay->build_count == 0)
		err = -ENOENT;
	if (!err)
		err = luajit_builtins__read(pid, strtoull(argv[2], NULL, 16),
					    &process.replay->builds[0], &builtins);
	if (!err) {
		printf("mode\t%s\n", process.replay->builds[0].gc64 ? "GC64" : "GC32");
		/* Read twice and merged, as a long recording does. */
		err = luajit_builtins__read(pid, strtoull(argv[2], NULL, 16),
					    &process.replay->builds[0], &again);
		if (!err)
			err = luajit_builtins__merge(builtins, again);
	}
	if (!err)
		print_names(builtins, argv + 3, argc - 3);
	else
		printf("error\t%s\n", strerror(-err));
	luajit_builtins__free(again);
	luajit_builtins__free(builtins);
	replay_process__close(&process);
	return err ? 1 : 0;
}
