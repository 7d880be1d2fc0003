/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Where names come from: files of a process as it sees them, changed files, strings, and nginx's
 * configuration. The processes are children that only wait; nginx's are this program under the
 * titles that nginx gives itself.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "../test.h"
#include "symbol/lua_names.h"
#include "symbol/nginx_conf.h"
#include "symbol/nginx_config.h"
#include "target/root_file.h"

#define TITLE_MASTER "nginx: master process "
#define TITLE_WORKER "nginx: worker process"

static char *own_title; /* argv[0], which /proc/PID/cmdline shows */
static size_t own_title_size;

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

/* ---- nginx ----------------------------------------------------------------------------------- */

static int print_lua(void *data, const char *directive, size_t directive_size, uint32_t line,
		     const char *text, size_t size)
{
	fprintf(data, "%.*s:%u<%.*s>\n", (int)directive_size, directive, line, (int)size, text);
	return 0;
}

static int print_include(void *data, const char *pattern)
{
	fprintf(data, "include %s\n", pattern);
	return 0;
}

static void directives_are_found_in_a_configuration(void)
{
	static const char conf[] =
		"# content_by_lua_block { no }\n"
		"include a/*.conf; include \"b c.conf\" ;\n"
		"location ~ ^/(\\d{2})\\;x${y}$ { set $a \"content_by_lua_block { no }\"; }\n"
		"http { content_by_lua_block\n"
		"  { local s = '}' -- }\n"
		"    return { \"}\", [[}]] } --[[ }\n"
		"    ]] } log_by_lua_block {x()} }\n"
		"content_by_lua 'say(\"a\\n\")\n -- it\\'s \\d'\n;\n"
		"set_by_lua $x \"return 1\" $y; set_by_lua_block $x { return 2 }\n"
		"content_by_lua_file /x.lua; my_by_lua; by_lua_block { } include\n";
	struct nginx_conf_visitor visitor = {NULL, print_lua, print_include};
	char *out = NULL;
	size_t size;

	visitor.data = open_memstream(&out, &size);
	CHECK_EQ(nginx_conf__scan(conf, strlen(conf), &visitor), 0);
	fclose(visitor.data);
	CHECK_STR(out, "include a/*.conf\ninclude b c.conf\n"
		       "content_by_lua:5< local s = '}' -- }\n"
		       "    return { \"}\", [[}]] } --[[ }\n    ]] >\n"
		       "log_by_lua:7<x()>\n"
		       "content_by_lua:10<say(\"a\n\")\n -- it's \\d>\n"
		       "set_by_lua:11<return 1>\nset_by_lua:11< return 2 >\n");
	free(out);
}

static void chunk_names_are_taken_to_pieces(void)
{
	static const char *const wrong[] = {
		"",
		"=",
		"=(load)",
		"content_by_lua(a:1)",
		"=by_lua",
		"=_by_lua(a:1)",
		"=x_by_lua(",
		"=x_by_lua(a)",
		"=x_by_lua(a:)",
		"=x_by_lua(:1)",
		"=x_by_luas(a:1)",
		"=x_by_lua(a:99999999999)",
	};
	struct nginx_chunk_name name;

	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
		bool taken = nginx_chunk_name__parse(wrong[i], strlen(wrong[i]), &name);

		if (taken)
			printf("# \"%s\"\n", wrong[i]);
		CHECK(!taken);
	}
	CHECK(nginx_chunk_name__parse("=init_by_lua", 12, &name));
	CHECK_EQ(name.path_size, 0);
	CHECK(nginx_chunk_name__parse("=access_by_lua_block(...f.d/a:b.conf:42)", 40, &name));
	CHECK_EQ(name.directive_size, strlen("access_by_lua"));
	CHECK(strncmp(name.path, "f.d/a:b.conf:", 13) == 0 && name.path_size == 12);
	CHECK(name.path_is_cut && name.line == 42);
}

/* main() goes on here when it is started with nginx's titles. */
static int be_nginx(const char *title)
{
	char text[32];
	pid_t pid;
	int size;

	if (strncmp(title, TITLE_MASTER, strlen(TITLE_MASTER)) == 0) {
		pid = fork();
		if (pid == 0)
			execl("/proc/self/exe", TITLE_WORKER, NULL);
		size = snprintf(text, sizeof(text), "%d\n", (int)pid);
		if (pid < 0 || write(STDOUT_FILENO, text, (size_t)size) != size)
			return 1;
	}
	/* Not for ever, should the test die. */
	sleep(60);
	return 0;
}

static pid_t start_nginx(const char *arguments, pid_t *worker)
{
	char title[512], text[32] = "";
	int output[2];
	pid_t pid;

	snprintf(title, sizeof(title), TITLE_MASTER "%s", arguments);
	let_time_pass();
	CHECK_EQ(pipe(output), 0);
	pid = fork();
	if (pid == 0) {
		if (chdir(folder) || dup2(output[1], STDOUT_FILENO) < 0)
			_exit(1);
		execl("/proc/self/exe", title, NULL);
		_exit(1);
	}
	close(output[1]);
	CHECK(read(output[0], text, sizeof(text) - 1) > 0);
	close(output[0]);
	*worker = (pid_t)atoi(text);
	let_time_pass(); /* until the worker has its title */
	return pid;
}

static void stop_nginx(pid_t master, pid_t worker)
{
	if (worker > 0)
		kill(worker, SIGKILL);
	stop_process(master);
}

static void write_configuration(void)
{
	mkdir(in_folder("ng"), 0755);
	mkdir(in_folder("ng/conf.d"), 0755);
	mkdir(in_folder("ng/more"), 0755);
	write_file("ng/nginx.conf", "events {}\n"
				    "http {\n"
				    "  init_by_lua_block {\n"
				    "    function boot()\n"
				    "    end\n"
				    "  }\n"
				    "  include conf.d/*.conf;\n"
				    "  include m?r[e]/s*.conf;\n"
				    "  include nginx.conf;\n"
				    "}\n");
	write_file("ng/conf.d/site.conf", "location / { access_by_lua_block {\n"
					  "  local function check()\n"
					  "  end\n"
					  "} }\n"
					  "location /a { content_by_lua '\n"
					  "  function say()\n"
					  "  end'; }\n"
					  "location /b { log_by_lua_block { function b1()\n"
					  "end } log_by_lua_block { function b2() end } }\n");
	write_file("ng/more/site.conf", "location / { access_by_lua_block {\n"
					"  local function other()\n"
					"  end\n"
					"  local function alone() end\n"
					"} }\n");
	write_file("ng/more/unread.conf.bak", "\n\naccess_by_lua_block {\nfunction no() end }\n");
	write_file("ng/elsewhere.conf", "content_by_lua_block { function there() end }\n");
}

static void check_nginx(struct lua_names *names, pid_t pid)
{
	CHECK_STR(find(names, pid, "=init_by_lua(nginx.conf:3)", 2, 3), "boot");
	CHECK_STR(find(names, pid, "=init_by_lua", 2, 3), "boot");
	CHECK_STR(find(names, pid, "=init_by_lua(nginx.conf:3)", 0, 4), "main chunk");
	/* Without OpenResty's LuaJIT it is a function. */
	CHECK_STR(find(names, pid, "=init_by_lua(nginx.conf:3)", 1, 5), "main chunk");
	CHECK_STR(find(names, pid, "=init_by_lua(nginx.conf:3)", 2, 2), NULL);
	CHECK_EQ(reason, LUA_NAMES_NOT_THERE);
	CHECK_STR(find(names, pid, "=init_by_lua(nginx.conf:4)", 2, 3), NULL);
	CHECK_EQ(reason, LUA_NAMES_NO_SOURCE);
	CHECK_STR(find(names, pid, "=access_by_lua(conf.d/site.conf:1)", 2, 3), "check");
	CHECK_STR(find(names, pid, "=access_by_lua(more/site.conf:1)", 2, 3), "other");
	CHECK_STR(find(names, pid, "=access_by_lua(...f.d/site.conf:1)", 2, 3), "check");
	CHECK_STR(find(names, pid, "=content_by_lua(conf.d/site.conf:7)", 2, 3), "say");
	CHECK_STR(find(names, pid, "=log_by_lua(conf.d/site.conf:8)", 1, 2), "b1");
	CHECK_STR(find(names, pid, "=log_by_lua(conf.d/site.conf:9)", 1, 1), "b2");
	/* The base name of both: one has the function, or they disagree. */
	CHECK_STR(find(names, pid, "=access_by_lua(site.conf:1)", 4, 4), "alone");
	CHECK_STR(find(names, pid, "=access_by_lua(site.conf:1)", 2, 3), NULL);
	CHECK_STR(find(names, pid, "=access_by_lua(te.conf:1)", 4, 4), NULL);
	CHECK_STR(find(names, pid, "=access_by_lua(unread.conf.bak:3)", 2, 2), NULL);
	CHECK_STR(find_at(names, pid, "=content_by_lua(", in_folder("ng/elsewhere.conf:1)"), 1, 1),
		  "there");
}

static void nginx_is_asked_for_its_configuration(void)
{
	static const char *const arguments[] = {
		"nginx -p %s/ng -c nginx.conf",
		"nginx -c %s/ng/nginx.conf",
		"nginx -p ng/",
		"nginx -e x -c%s/ng/nginx.conf -g daemon off;",
	};
	pid_t master, worker;

	write_configuration();
	for (size_t i = 0; i < sizeof(arguments) / sizeof(arguments[0]); i++) {
		struct lua_names *names = lua_names__new();
		const char *place = strstr(arguments[i], "%s");
		char line[300];

		snprintf(line, sizeof(line), "%.*s%s%s",
			 (int)(place ? place - arguments[i] : (long)strlen(arguments[i])),
			 arguments[i], place ? folder : "", place ? place + 2 : "");
		master = start_nginx(line, &worker);
		check_nginx(names, worker);
		CHECK_STR(find(names, master, "=init_by_lua(nginx.conf:3)", 2, 3), "boot");
		CHECK_EQ(lua_names__changed(names), 0);
		stop_nginx(master, worker);
		check_nginx(names, worker);
		lua_names__free(names);
	}
}

/* Each include costs a look at what was asked for before; only new ones touch the file system. */
static void includes_are_bounded(void)
{
	enum { INCLUDES = 40000, FILES = 3000 };
	struct lua_names *names = lua_names__new();
	char *text = malloc(4 << 20), name[64];
	pid_t master, worker;
	size_t used;
	int found = 0;

	mkdir(in_folder("ng"), 0755);
	mkdir(in_folder("ng/many"), 0755);
	for (int i = 0; i < FILES; i++) {
		snprintf(name, sizeof(name), "ng/many/%d.inc", i);
		write_file(name, "init_by_lua_block { function one() end }\n");
	}
	/* One file as often as one likes; those that come after it are still found. */
	used = (size_t)sprintf(text, "include many/0.inc; include gone.inc; include many/x*;\n");
	for (int i = 0; i < 1000; i++)
		used += (size_t)sprintf(text + used, "include gone.inc; include many/0.inc;\n");
	sprintf(text + used, "include many/1.inc;\ninit_by_lua_block { function last() end }\n");
	write_file("ng/nginx.conf", text);
	master = start_nginx("nginx -p ng/", &worker);
	CHECK_STR(find(names, worker, "=init_by_lua(many/0.inc:1)", 1, 1), "one");
	CHECK_STR(find(names, worker, "=init_by_lua(many/1.inc:1)", 1, 1), "one");
	CHECK_STR(find(names, worker, "=init_by_lua(nginx.conf:1003)", 1, 1), "last");
	stop_nginx(master, worker);

	/* More files than are read. */
	used = 0;
	for (int i = 0; i < FILES; i++)
		used += (size_t)sprintf(text + used, "include many/%d.inc;\n", i);
	write_file("ng/nginx.conf", text);
	master = start_nginx("nginx -p ng/", &worker);
	for (int i = 0; i < FILES; i++) {
		snprintf(name, sizeof(name), "=init_by_lua(many/%d.inc:1)", i);
		found += find(names, worker, name, 1, 1) != NULL;
	}
	CHECK_EQ(found, 2046); /* and two places of the main file */
	stop_nginx(master, worker);

	/* More directives. */
	used = 0;
	for (int i = 0; i < INCLUDES; i++)
		used += (size_t)sprintf(text + used, "include many/0.inc;\n");
	sprintf(text + used, "include many/1.inc;\ninit_by_lua_block { function last() end }\n");
	write_file("ng/nginx.conf", text);
	master = start_nginx("nginx -p ng/", &worker);
	CHECK_STR(find(names, worker, "=init_by_lua(many/0.inc:1)", 1, 1), "one");
	CHECK_STR(find(names, worker, "=init_by_lua(many/1.inc:1)", 1, 1), NULL);
	CHECK_STR(find(names, worker, "=init_by_lua(nginx.conf:40002)", 1, 1), "last");
	stop_nginx(master, worker);
	free(text);
	lua_names__free(names);
}

/* The namespace is the same, the program too; but the parent, this test, is no master. */
static void a_title_leads_nowhere_without_a_master(void)
{
	struct lua_names *names = lua_names__new();
	char saved[512];
	pid_t pid;

	if (geteuid() != 0)
		SKIP("chroot needs root");
	if (own_title_size < sizeof(TITLE_WORKER) || own_title_size > sizeof(saved))
		SKIP("no room for a title");
	mkdir(in_folder("jail"), 0755);
	mkdir(in_folder("jail/etc"), 0755);
	mkdir(in_folder("jail/etc/nginx"), 0755);
	write_file("jail/etc/nginx/nginx.conf", "init_by_lua_block { function inside() end }\n");
	memcpy(saved, own_title, own_title_size);
	memset(own_title, 0, own_title_size);
	memcpy(own_title, TITLE_WORKER, sizeof(TITLE_WORKER));
	pid = start_process("/", in_folder("jail")); /* the child's title is its own copy */
	memcpy(own_title, saved, own_title_size);
	CHECK_STR(find(names, pid, "=init_by_lua(nginx.conf:1)", 1, 1), "inside");
	stop_process(pid);
	lua_names__free(names);
}

static void a_changed_configuration_is_noticed(void)
{
	struct lua_names *names = lua_names__new();
	pid_t master, worker;

	write_configuration();
	master = start_nginx("nginx -p ng/", &worker);
	write_configuration();
	CHECK_STR(find(names, worker, "=init_by_lua(nginx.conf:3)", 2, 3), "boot");
	CHECK_EQ(reason, LUA_NAMES_CHANGED);
	CHECK_EQ(lua_names__changed(names), 1);
	stop_nginx(master, worker);
	lua_names__free(names);
}

int main(int argc, char **argv)
{
	char command[300];

	if (argc == 1 && strncmp(argv[0], "nginx: ", 7) == 0)
		return be_nginx(argv[0]);
	own_title = argv[0];
	own_title_size = strlen(argv[0]) + 1;
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
	RUN(directives_are_found_in_a_configuration, "directives are found in a configuration");
	RUN(chunk_names_are_taken_to_pieces, "nginx's chunk names are taken to pieces");
	RUN(nginx_is_asked_for_its_configuration, "nginx is asked for its configuration");
	RUN(includes_are_bounded, "includes are bounded");
	RUN(a_title_leads_nowhere_without_a_master, "a title leads nowhere without a master");
	RUN(a_changed_configuration_is_noticed, "a changed configuration is noticed");
	snprintf(command, sizeof(command), "rm -rf '%s'", folder);
	return system(command) != 0 || TEST_RESULT();
}
