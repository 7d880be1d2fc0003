/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Names from nginx's configuration: its syntax, the names of its chunks, and where it is found. The
 * processes are this program under the titles that nginx gives itself.
 */
#include <sys/stat.h>

#include "symbol/nginx_conf.h"
#include "symbol/nginx_config.h"
#include "test_lua_names.h"

#define TITLE_MASTER "nginx: master process "
#define TITLE_WORKER "nginx: worker process"

static char *own_title; /* argv[0], which /proc/PID/cmdline shows */
static size_t own_title_size;

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
	RUN(directives_are_found_in_a_configuration, "directives are found in a configuration");
	RUN(chunk_names_are_taken_to_pieces, "nginx's chunk names are taken to pieces");
	RUN(nginx_is_asked_for_its_configuration, "nginx is asked for its configuration");
	RUN(includes_are_bounded, "includes are bounded");
	RUN(a_title_leads_nowhere_without_a_master, "a title leads nowhere without a master");
	RUN(a_changed_configuration_is_noticed, "a changed configuration is noticed");
	snprintf(command, sizeof(command), "rm -rf '%s'", folder);
	return system(command) != 0 || TEST_RESULT();
}
