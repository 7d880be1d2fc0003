// SPDX-License-Identifier: Apache-2.0
/*
 * Prints what lua_builtins reads from a live process, for test_builtins.py and test_puc_builtins.py
 * to compare with what the program itself says:
 *
 *     builtins PID VM [ENTRY...]             VM (a lua_State or global_State), ENTRY: hexadecimal
 *     builtins -r RELEASE PID VM [ENTRY...]  addresses in the target; of PUC Lua, 50404 is 5.4.4
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
#include "vm/lua_builtins.h"
#include "vm/puc.h"

static void print_names(const struct lua_builtins *builtins, char *const entries[], int count)
{
	struct lua_builtins_effort effort = lua_builtins__effort(builtins);
	const char *version = lua_builtins__version(builtins), *name;
	int i;

	printf("version\t%s\n", version ? version : "");
	for (i = 0; i <= UINT8_MAX; i++) {
		name = lua_builtins__by_ffid(builtins, (uint8_t)i);
		if (name)
			printf("ffid\t%d\t%s\n", i, name);
	}
	for (i = 0; i < count; i++) {
		name = lua_builtins__by_entry(builtins, strtoull(entries[i], NULL, 16));
		if (name)
			printf("entry\t%s\t%s\n", entries[i], name);
	}
	printf("effort\t%u\t%u\t%u\t%" PRIu64 "\t%" PRIu64 "\t%d\n", effort.tables, effort.ffids,
	       effort.entries, effort.reads, effort.time_ns / 1000, effort.bounded);
}

static int read_luajit(pid_t pid, uint64_t vm, struct lua_builtins **builtins)
{
	struct replay_process process = {};
	int err;

	err = replay_process__open(&process, pid);
	if (!err && process.replay->build_count == 0)
		err = -ENOENT;
	if (!err)
		err = lua_builtins__read_luajit(pid, vm, &process.replay->builds[0], builtins);
	if (!err)
		printf("mode\t%s\n", process.replay->builds[0].gc64 ? "GC64" : "GC32");
	replay_process__close(&process);
	return err;
}

static int read_puc(pid_t pid, uint64_t vm, unsigned int release, struct lua_builtins **builtins)
{
	struct puc_build build;
	int err = puc_layout__get(release, &build);

	return err ? err : lua_builtins__read_puc(pid, vm, &build, builtins);
}

/* Read twice and merged, as a long recording does. */
int main(int argc, char *argv[])
{
	struct lua_builtins *read[2] = {};
	unsigned int release = 0;
	uint64_t vm;
	int i, err = 0;
	pid_t pid;

	if (argc > 2 && strcmp(argv[1], "-r") == 0) {
		release = (unsigned int)strtoul(argv[2], NULL, 10);
		argc -= 2;
		argv += 2;
	}
	if (argc < 3) {
		fprintf(stderr, "usage: builtins [-r RELEASE] PID VM [ENTRY...]\n");
		return 2;
	}
	pid = (pid_t)strtol(argv[1], NULL, 10);
	vm = strtoull(argv[2], NULL, 16);
	for (i = 0; !err && i < 2; i++)
		err = release ? read_puc(pid, vm, release, &read[i])
			      : read_luajit(pid, vm, &read[i]);
	if (!err)
		err = lua_builtins__merge(read[0], read[1]);
	if (!err)
		print_names(read[0], argv + 3, argc - 3);
	else
		printf("error\t%s\n", strerror(-err));
	lua_builtins__free(read[0]);
	lua_builtins__free(read[1]);
	return err ? 1 : 0;
}
