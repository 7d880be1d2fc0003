/* SPDX-License-Identifier: Apache-2.0 */
/* Where names come from: files of a process as it sees them, changed files, and strings. */
#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <time.h>

#include "target/root_file.h"
#include "test_lua_names.h"

/* ---- files ----------------------------------------------------------------------------------- */

static void files_are_read_as_the_process_sees_them(void)
{
	struct lua_names *names = lua_names__new();
	const char *name;
	pid_t pid;

	write_file("a.lua", "local M = {}\nfunction M.f() end\nreturn M\n");
	pid = start_process(folder, NULL);
	CHECK_STR(find_at(names, pid, "@", in_folder("a.lua"), 2, 2), "M.f");
	CHECK_EQ(reason, LUA_NAMES_FOUND);
	CHECK_STR(find(names, pid, "@a.lua", 2, 2), "M.f");
	name = find(names, pid, "@./a.lua", 2, 2);
	CHECK_STR(name, "M.f");
	CHECK(name == find(names, pid, "@a.lua", 2, 2));
	CHECK_STR(find(names, pid, "@a.lua", 0, 4), "main chunk");
	CHECK_STR(find(names, pid, "@a.lua", 3, 3), NULL);
	CHECK_EQ(reason, LUA_NAMES_NOT_THERE);
	CHECK_STR(find(names, pid, "@b.lua", 2, 2), NULL);
	CHECK_EQ(reason, LUA_NAMES_NO_SOURCE);
	CHECK_STR(find(names, pid, "@", 2, 2), NULL);
	CHECK_STR(find(names, pid, "", 2, 2), NULL);
	CHECK_STR(find(names, pid, "=?", 2, 2), NULL);
	CHECK_STR(find(names, pid, "=?", 0, 2), "main chunk");
	/* What has been read is known without the process. */
	stop_process(pid);
	CHECK_STR(find(names, pid, "@a.lua", 2, 2), "M.f");
	lua_names__forget(names, pid);
	CHECK_STR(find(names, pid, "@a.lua", 2, 2), NULL);
	CHECK_STR(name, "M.f");
	CHECK_EQ(lua_names__changed(names), 0);
	lua_names__free(names);
}

static void a_target_cannot_lead_us_out_of_its_root(void)
{
	struct lua_names *names = lua_names__new();
	char link[300];
	pid_t pid;

	if (geteuid() != 0)
		SKIP("chroot needs root");
	mkdir(in_folder("root"), 0755);
	mkdir(in_folder("root/app"), 0755);
	write_file("outside.lua", "function outside() end\n");
	write_file("root/app/in.lua", "function inside() end\n");
	snprintf(link, sizeof(link), "%s/outside.lua", folder);
	CHECK_EQ(symlink(link, in_folder("root/app/absolute.lua")), 0);
	CHECK_EQ(symlink("../../../outside.lua", in_folder("root/app/relative.lua")), 0);
	CHECK_EQ(symlink("/app/in.lua", in_folder("root/app/good.lua")), 0);
	CHECK_EQ(mkfifo(in_folder("root/app/fifo.lua"), 0644), 0);
	CHECK_EQ(symlink("/dev/zero", in_folder("root/app/zero.lua")), 0);
	pid = start_process("/app", in_folder("root"));
	CHECK_STR(find(names, pid, "@/app/in.lua", 1, 1), "inside");
	CHECK_STR(find(names, pid, "@in.lua", 1, 1), "inside");
	CHECK_STR(find(names, pid, "@../app/in.lua", 1, 1), "inside");
	CHECK_STR(find(names, pid, "@good.lua", 1, 1), "inside");
	CHECK_STR(find(names, pid, "@absolute.lua", 1, 1), NULL);
	CHECK_STR(find(names, pid, "@relative.lua", 1, 1), NULL);
	CHECK_STR(find(names, pid, "@../../outside.lua", 1, 1), NULL);
	CHECK_STR(find_at(names, pid, "@", in_folder("outside.lua"), 1, 1), NULL);
	CHECK_STR(find(names, pid, "@fifo.lua", 1, 1), NULL);
	CHECK_STR(find(names, pid, "@zero.lua", 1, 1), NULL);
	CHECK_STR(find(names, pid, "@/app", 1, 1), NULL);
	CHECK_EQ(reason, LUA_NAMES_NO_SOURCE);
	stop_process(pid);
	lua_names__free(names);
}

/* The process may have been in another folder when it loaded them. */
static void a_relative_path_is_confirmed_by_what_fits(void)
{
	struct lua_names *names = lua_names__new();
	const struct lua_chunk_fit *first;
	pid_t pid, other;

	write_file("fit.lua", "function a() end\nfunction b()\nend\nfunction c() end\n");
	pid = start_process(folder, NULL);
	other = start_process(folder, NULL);
	CHECK_STR(find_at(names, pid, "@", in_folder("fit.lua"), 1, 1), "a");
	CHECK(fit == NULL);
	CHECK_STR(find(names, pid, "@./fit.lua", 1, 1), "a");
	CHECK_EQ(reason, LUA_NAMES_FOUND);
	first = fit;
	CHECK(first && !lua_chunk_fit__confirms(first));
	CHECK_STR(find(names, pid, "@./fit.lua", 1, 1), "a");
	CHECK(!lua_chunk_fit__confirms(first));
	/* Another process's functions tell nothing. */
	CHECK_STR(find(names, other, "@./fit.lua", 2, 3), "b");
	CHECK(fit != first && !lua_chunk_fit__confirms(first) && !lua_chunk_fit__confirms(fit));
	CHECK_STR(find(names, pid, "@./fit.lua", 2, 3), "b");
	CHECK(fit == first && lua_chunk_fit__confirms(first));
	/* The main chunk tells how many lines there were. */
	CHECK_STR(find(names, other, "@./fit.lua", 0, 5), "main chunk");
	CHECK(fit == NULL);
	CHECK_STR(find(names, other, "@./fit.lua", 2, 3), "b");
	CHECK(lua_chunk_fit__confirms(fit));
	CHECK_STR(find(names, other, "@./fit.lua", 0, 6), "main chunk");
	CHECK_STR(find(names, other, "@./fit.lua", 2, 3), "b");
	CHECK(!lua_chunk_fit__confirms(fit));
	/* One that does not fit says that it is another file; also after its process has gone. */
	CHECK_STR(find(names, pid, "@./fit.lua", 2, 4), NULL);
	lua_names__forget(names, pid);
	CHECK(!lua_chunk_fit__confirms(first));
	stop_process(pid);
	stop_process(other);
	lua_names__free(names);
}

static void odd_files_give_no_names(void)
{
	struct lua_names *names = lua_names__new();
	pid_t pid;

	write_file("bytecode.lua", "\033LJ\nfunction f() end\n");
	write_file("empty.lua", "");
	write_file("large.lua", "function f() end\n");
	CHECK_EQ(truncate(in_folder("large.lua"), (16 << 20) + 1), 0);
	pid = start_process(folder, NULL);
	CHECK_STR(find(names, pid, "@bytecode.lua", 2, 2), NULL);
	CHECK_EQ(reason, LUA_NAMES_NO_SOURCE);
	CHECK_STR(find(names, pid, "@empty.lua", 1, 1), NULL);
	CHECK_EQ(reason, LUA_NAMES_NOT_THERE);
	CHECK_STR(find(names, pid, "@large.lua", 1, 1), NULL);
	CHECK_EQ(reason, LUA_NAMES_NO_SOURCE);
	stop_process(pid);
	lua_names__free(names);
}

/* Each file's names take more than 10 MB. */
static void all_sources_together_are_bounded(void)
{
	struct lua_names *names = lua_names__new();
	size_t size = 4 << 20, used;
	char *text = malloc(size);
	char name[32];
	int found = 0;
	pid_t pid;

	used = (size_t)snprintf(text, size, "function small() end\nf%0150d(", 0);
	while (used + 16 < size)
		used += (size_t)snprintf(text + used, size - used, "function()end,");
	for (int i = 0; i < 14; i++) {
		snprintf(name, sizeof(name), "many%d.lua", i);
		write_file(name, text);
	}
	free(text);
	write_file("after.lua", "function after() end\n");
	pid = start_process(folder, NULL);
	for (int i = 0; i < 14; i++) {
		snprintf(name, sizeof(name), "@many%d.lua", i);
		found += find(names, pid, name, 1, 1) != NULL;
		if (i == 0) {
			CHECK_EQ(found, 1);
			CHECK(!lua_names__exceeded(names));
		}
	}
	CHECK(found >= 4 && found < 14);
	CHECK_EQ(reason, LUA_NAMES_NO_MEMORY);
	CHECK(lua_names__exceeded(names));
	/* What is small may still be there. */
	CHECK_STR(find(names, pid, "@after.lua", 1, 1), "after");
	CHECK_STR(find(names, pid, "@many0.lua", 1, 1), "small");
	stop_process(pid);
	lua_names__free(names);
}

/* Their files are regular ones, too. */
static void files_of_the_kernel_are_not_read(void)
{
	static const char *const paths[] = {
		"/proc/self/status",
		"/proc/kmsg",
		"/sys/kernel/notes",
		"/sys/kernel/tracing/trace_pipe",
		"/sys/kernel/debug/tracing/trace_pipe",
		"/sys/fs/cgroup/cgroup.procs",
	};
	int root = open("/", O_PATH | O_DIRECTORY), fd;
	struct stat status;
	int seen = 0;

	for (size_t i = 0; i < sizeof(paths) / sizeof(paths[0]); i++) {
		if (stat(paths[i], &status) != 0)
			continue;
		seen++;
		CHECK_EQ(root_file__open(root, paths[i], NULL), -EINVAL);
		CHECK_EQ(root_file__open_own(paths[i], NULL), -EINVAL);
	}
	CHECK(seen > 0);
	/* The link is /proc's, the file is not. */
	fd = root_file__open_own("/proc/self/exe", &status);
	CHECK(fd >= 0 && S_ISREG(status.st_mode));
	close(fd);
	close(root);
}

static void a_changed_file_is_noticed(void)
{
	struct lua_names *names = lua_names__new();
	struct timespec old[2] = {{.tv_sec = 1}, {.tv_sec = 1}};
	pid_t first, second;

	write_file("changed.lua", "function old() end\n");
	write_file("same.lua", "function same() end\n");
	first = start_process(folder, NULL);
	write_file("changed.lua", "function new() end\n\nfunction more()\nend\n");
	/* As `cp -p` and package managers do. */
	CHECK_EQ(utimensat(AT_FDCWD, in_folder("changed.lua"), old, 0), 0);
	let_time_pass();

	/* It may be what runs, or not. */
	CHECK_STR(find(names, first, "@changed.lua", 1, 1), "new");
	CHECK_EQ(reason, LUA_NAMES_CHANGED);
	CHECK_STR(find(names, first, "@changed.lua", 2, 2), NULL);
	CHECK_EQ(reason, LUA_NAMES_CHANGED);
	CHECK_STR(find(names, first, "@changed.lua", 0, 2), "main chunk");
	CHECK_EQ(reason, LUA_NAMES_FOUND);
	CHECK_STR(find(names, first, "@same.lua", 1, 1), "same");
	CHECK_EQ(reason, LUA_NAMES_FOUND);
	CHECK_EQ(lua_names__changed(names), 1);
	CHECK_STR(lua_names__changed_name(names, 0), "changed.lua");
	CHECK_STR(lua_names__changed_name(names, 1), NULL);
	/* A process that is younger has loaded what is there. */
	second = start_process(folder, NULL);
	CHECK_STR(find(names, second, "@changed.lua", 3, 4), "more");
	CHECK_EQ(reason, LUA_NAMES_FOUND);
	CHECK_EQ(lua_names__changed(names), 1);
	stop_process(first);
	stop_process(second);
	lua_names__free(names);
}

/* One path, two mount namespaces (here: roots): two files. And one pid, two processes. */
static void processes_do_not_share_their_names(void)
{
	struct lua_names *names = lua_names__new();
	pid_t left, right;

	if (geteuid() != 0)
		SKIP("chroot needs root");
	mkdir(in_folder("left"), 0755);
	mkdir(in_folder("right"), 0755);
	write_file("left/app.lua", "function left() end\n");
	write_file("right/app.lua", "function right() end\n");
	left = start_process("/", in_folder("left"));
	right = start_process("/", in_folder("right"));
	CHECK_STR(find(names, left, "@/app.lua", 1, 1), "left");
	CHECK_STR(find(names, right, "@/app.lua", 1, 1), "right");
	CHECK_STR(find(names, left, "@/app.lua", 1, 1), "left");
	/* The pid of a process that has ended, as if it were another's now. */
	stop_process(left);
	CHECK_STR(find(names, left, "@/app.lua", 1, 1), "left");
	lua_names__forget(names, left);
	CHECK_STR(find(names, left, "@/app.lua", 1, 1), NULL);
	stop_process(right);
	lua_names__free(names);
}

static void bytecode_is_no_source(void)
{
	struct lua_names *names = lua_names__new();

	CHECK_STR(find(names, getpid(), "\033LJ\nfunction f() end\n", 2, 2), NULL);
	CHECK_EQ(reason, LUA_NAMES_NO_SOURCE);
	lua_names__free(names);
}

static void a_string_is_its_own_source(void)
{
	static const char text[] = "local a = 1\nlocal function f() end\nreturn f";
	struct lua_names *names = lua_names__new();
	struct lua_chunk_name cut = {text, sizeof(text) - 1, true};
	struct lua_function_hint hint = {2, 2, 0, 0, NULL};
	char other[64];

	CHECK_STR(find(names, getpid(), text, 2, 2), "f");
	CHECK_STR(find(names, getpid(), text, 1, 1), NULL);
	CHECK_EQ(reason, LUA_NAMES_NOT_THERE);
	CHECK_STR(lua_names__find(names, getpid(), &cut, &hint, NULL, NULL), "f");
	cut.size = strlen("local a = 1\nlocal function f() end");
	CHECK_STR(lua_names__find(names, getpid(), &cut, &hint, &reason, NULL), NULL);
	CHECK_EQ(reason, LUA_NAMES_NO_SOURCE);
	/* More than are kept. */
	for (int i = 0; i < 100; i++) {
		char expected[16];

		snprintf(other, sizeof(other), "local function f%d() end", i);
		snprintf(expected, sizeof(expected), "f%d", i);
		CHECK_STR(find(names, getpid(), other, 1, 1), expected);
	}
	CHECK_STR(find(names, getpid(), text, 2, 2), "f");
	lua_names__free(names);
}

int main(void)
{
	char command[300];

	if (!mkdtemp(folder))
		return 1;
	RUN(files_are_read_as_the_process_sees_them, "files are read as the process sees them");
	RUN(a_target_cannot_lead_us_out_of_its_root, "a target cannot lead us out of its root");
	RUN(a_relative_path_is_confirmed_by_what_fits, "a relative path is confirmed by what fits");
	RUN(odd_files_give_no_names, "odd files give no names");
	RUN(all_sources_together_are_bounded, "all sources together are bounded");
	RUN(files_of_the_kernel_are_not_read, "files of the kernel are not read");
	RUN(processes_do_not_share_their_names, "processes do not share their names");
	RUN(bytecode_is_no_source, "bytecode is no source");
	RUN(a_changed_file_is_noticed, "a changed file is noticed");
	RUN(a_string_is_its_own_source, "a string is its own source");
	snprintf(command, sizeof(command), "rm -rf '%s'", folder);
	return system(command) != 0 || TEST_RESULT();
}
