/* SPDX-License-Identifier: Apache-2.0 */
#include "processes.h"

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "small_file.h"

#define MAX_VERSION_BYTES (64UL << 10)

static int compare_pids(const void *a, const void *b)
{
	pid_t left = *(const pid_t *)a, right = *(const pid_t *)b;

	return (left > right) - (left < right);
}

int processes__read(struct processes *self)
{
	struct dirent *entry;
	size_t capacity = 0;
	DIR *directory;
	pid_t *grown;
	char *end;
	long pid;
	int err;

	memset(self, 0, sizeof(*self));
	directory = opendir("/proc");
	if (!directory)
		return -errno;
	while ((errno = 0, entry = readdir(directory))) {
		pid = strtol(entry->d_name, &end, 10);
		if (*end || pid <= 0 || pid > INT_MAX)
			continue;
		if (self->count == capacity) {
			capacity = capacity ? capacity * 2 : 256;
			grown = reallocarray(self->pids, capacity, sizeof(*grown));
			if (!grown) {
				closedir(directory);
				processes__free(self);
				return -ENOMEM;
			}
			self->pids = grown;
		}
		self->pids[self->count++] = (pid_t)pid;
	}
	err = -errno;
	closedir(directory);
	if (err)
		processes__free(self);
	else if (self->count)
		qsort(self->pids, self->count, sizeof(pid_t), compare_pids);
	return err;
}

void processes__free(struct processes *self)
{
	free(self->pids);
	memset(self, 0, sizeof(*self));
}

pid_t process__parent(pid_t pid)
{
	char text[512], *paren;
	int parent = 0;

	if (small_file__read_process(pid, "stat", text, sizeof(text)) < 0)
		return 0;
	/* The name in front of it may contain anything (process_info.c). */
	paren = strrchr(text, ')');
	if (!paren || sscanf(paren, ") %*c %d", &parent) != 1 || parent < 0)
		return 0;
	return (pid_t)parent;
}

/* ---- nginx ----------------------------------------------------------------------------------- */

enum nginx_role nginx__role(const char *command_line)
{
	static const char title[] = "nginx: ";
	const char *rest = command_line + sizeof(title) - 1;

	if (strncmp(command_line, title, sizeof(title) - 1) != 0)
		return NGINX_NONE;
	if (strncmp(rest, "master process", 14) == 0)
		return NGINX_MASTER;
	if (strncmp(rest, "worker process", 14) == 0)
		return NGINX_WORKER;
	return NGINX_HELPER;
}

bool nginx__prefix(const char *command_line, char *prefix, size_t size)
{
	const char *at = command_line;
	size_t length;

	while ((at = strstr(at, " -p"))) {
		at += 3;
		while (*at == ' ')
			at++;
		length = strcspn(at, " ");
		if (length && length < size && (at[-1] == ' ' || *at == '/')) {
			memcpy(prefix, at, length);
			prefix[length] = '\0';
			return true;
		}
	}
	return false;
}

/* VERSION = "3.8.0" */
static bool parse_version(const char *text, char *version, size_t size)
{
	const char *at = strstr(text, "VERSION");
	size_t length = 0;

	if (!at)
		return false;
	at += strlen("VERSION");
	at += strspn(at, " \t");
	if (*at++ != '=')
		return false;
	at += strspn(at, " \t");
	if (*at != '"' && *at != '\'')
		return false;
	at++;
	while (isalnum((unsigned char)at[length]) || at[length] == '.' || at[length] == '-')
		length++;
	if (!length || length >= size || (at[length] != '"' && at[length] != '\''))
		return false;
	memcpy(version, at, length);
	version[length] = '\0';
	return true;
}

int apisix__version(pid_t pid, const char *prefix, char *version, size_t size)
{
	/* The source tree, or LuaRocks' tree, which the packages' prefix does not hold. */
	static const char *const trees[] = {"", "/usr/local/share/lua/5.1",
					    "/usr/local/apisix/deps/share/lua/5.1"};
	static const char folder[] = "apisix";
	char path[PATH_MAX];
	size_t length = strlen(prefix), i;
	int root_fd, err = -ENOENT;
	bool by_name;
	char *text;

	while (length && prefix[length - 1] == '/')
		length--;
	by_name = length >= sizeof(folder) && prefix[length - sizeof(folder)] == '/' &&
		  memcmp(prefix + length - (sizeof(folder) - 1), folder, sizeof(folder) - 1) == 0;
	snprintf(path, sizeof(path), "/proc/%d/root", (int)pid);
	root_fd = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (root_fd < 0)
		return by_name ? -ENODATA : -ENOENT;
	for (i = 0; i < (by_name ? sizeof(trees) / sizeof(trees[0]) : 1) && err; i++) {
		if (snprintf(path, sizeof(path), "%.*s/apisix/core/version.lua",
			     i ? (int)strlen(trees[i]) : (int)length,
			     i ? trees[i] : prefix) >= (int)sizeof(path) ||
		    path[0] != '/' ||
		    small_file__read_below(root_fd, path, MAX_VERSION_BYTES, &text) != 0)
			continue;
		if (parse_version(text, version, size))
			err = 0;
		free(text);
	}
	close(root_fd);
	return err && by_name ? -ENODATA : err;
}
