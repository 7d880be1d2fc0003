/* SPDX-License-Identifier: Apache-2.0 */
/* The list of processes; nginx's titles and prefixes; APISIX's version file; command lines. */
#include <errno.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "../test.h"
#include "target/processes.h"
#include "target/small_file.h"

static void we_and_our_parent_are_listed(void)
{
	struct processes processes;
	bool self = false, parent = false, ascending = true;
	size_t i;

	CHECK_EQ(processes__read(&processes), 0);
	for (i = 0; i < processes.count; i++) {
		self |= processes.pids[i] == getpid();
		parent |= processes.pids[i] == getppid();
		ascending &= !i || processes.pids[i - 1] < processes.pids[i];
	}
	CHECK(self && parent && ascending);
	processes__free(&processes);
	CHECK_EQ(process__parent(getpid()), getppid());
	CHECK_EQ(process__parent(4194303), 0);
}

static void titles_tell_roles(void)
{
	CHECK_EQ(nginx__role("nginx: master process /usr/sbin/nginx -c x"), NGINX_MASTER);
	CHECK_EQ(nginx__role("nginx: worker process"), NGINX_WORKER);
	CHECK_EQ(nginx__role("nginx: worker process is shutting down"), NGINX_WORKER);
	CHECK_EQ(nginx__role("nginx: cache manager process"), NGINX_HELPER);
	CHECK_EQ(nginx__role("nginx: privileged agent process"), NGINX_HELPER);
	CHECK_EQ(nginx__role("nginx"), NGINX_NONE);
	CHECK_EQ(nginx__role("/usr/sbin/nginx -g daemon off;"), NGINX_NONE);
	CHECK_EQ(nginx__role("vi nginx: master process"), NGINX_NONE);
	CHECK_EQ(nginx__role(""), NGINX_NONE);
}

static const char *prefix_of(const char *command_line)
{
	static char prefix[32];

	return nginx__prefix(command_line, prefix, sizeof(prefix)) ? prefix : "";
}

static void prefixes_are_found(void)
{
	CHECK_STR(prefix_of("nginx: master process /usr/local/openresty/nginx/sbin/nginx -p "
			    "/usr/local/apisix -g daemon off;"),
		  "/usr/local/apisix");
	CHECK_STR(prefix_of("nginx -p/opt/x -c y"), "/opt/x");
	CHECK_STR(prefix_of("nginx -c /a -p  b"), "b");
	CHECK_STR(prefix_of("nginx -c /a-p b"), "");
	CHECK_STR(prefix_of("nginx -p"), "");
	CHECK_STR(prefix_of("nginx -p "), "");
	CHECK_STR(prefix_of("nginx -p /a/path/that/is/longer/than/the/buffer"), "");
	CHECK_STR(prefix_of(""), "");
}

static char root[] = "/tmp/luaspy-apisix-XXXXXX";

static int version_with(const char *text, char *version)
{
	char path[128];
	FILE *file;

	version[0] = '\0';
	snprintf(path, sizeof(path), "%s/apisix/apisix/core/version.lua", root);
	file = fopen(path, "w");
	if (!file)
		return -errno;
	fputs(text, file);
	fclose(file);
	snprintf(path, sizeof(path), "%s/apisix/", root);
	return apisix__version(getpid(), path, version, 16);
}

static void the_version_of_apisix_is_read(void)
{
	char version[16], command[128];

	CHECK(mkdtemp(root) != NULL);
	snprintf(command, sizeof(command), "mkdir -p %s/apisix/apisix/core", root);
	CHECK_EQ(system(command), 0);
	CHECK_EQ(version_with("return {\n    VERSION = \"3.8.0\"\n}\n", version), 0);
	CHECK_STR(version, "3.8.0");
	CHECK_EQ(version_with("local _M = { VERSION='2.15.3-rc1' }", version), 0);
	CHECK_STR(version, "2.15.3-rc1");
	/* It is an APISIX by its folder, whatever the file says. */
	CHECK_EQ(version_with("VERSION", version), -ENODATA);
	CHECK_EQ(version_with("VERSION = ", version), -ENODATA);
	CHECK_EQ(version_with("VERSION = \"", version), -ENODATA);
	CHECK_EQ(version_with("VERSION = \"1\x1b[31m\"", version), -ENODATA);
	CHECK_EQ(version_with("VERSION = \"1234567890123456\"", version), -ENODATA);
	CHECK_EQ(version_with("", version), -ENODATA);
	CHECK_EQ(apisix__version(getpid(), root, version, sizeof(version)), -ENOENT);
	CHECK_EQ(apisix__version(getpid(), "", version, sizeof(version)), -ENOENT);
	CHECK_EQ(apisix__version(getpid(), "apisix", version, sizeof(version)), -ENOENT);
	snprintf(command, sizeof(command), "rm -rf %s", root);
	CHECK_EQ(system(command), 0);
}

static void command_lines_are_words_with_blanks(void)
{
	char line[4096], cut[8];

	CHECK_EQ(small_file__command_line(getpid(), line, sizeof(line)), 0);
	CHECK(strstr(line, "test_processes") != NULL);
	CHECK(line[strlen(line) - 1] != ' ');
	CHECK_EQ(small_file__command_line(getpid(), cut, sizeof(cut)), 0);
	CHECK_EQ(strlen(cut), 7);
	CHECK_EQ(small_file__command_line(4194303, line, sizeof(line)), -ESRCH);
}

int main(void)
{
	RUN(we_and_our_parent_are_listed, "we and our parent are listed");
	RUN(titles_tell_roles, "nginx's titles tell roles");
	RUN(prefixes_are_found, "nginx's prefix is found in the command line");
	RUN(the_version_of_apisix_is_read, "the version of APISIX is read from its own file");
	RUN(command_lines_are_words_with_blanks, "command lines are words with blanks between");
	return TEST_RESULT();
}
