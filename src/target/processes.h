/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The processes of this pid namespace, and what their command lines tell about nginx. Whether one
 * has a Lua VM is lua_files.h's matter.
 */
#ifndef LUASPY_PROCESSES_H
#define LUASPY_PROCESSES_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

struct processes {
	pid_t *pids; /* ascending */
	size_t count;
};

/* Lists /proc. 0 or a negative errno. The caller calls processes__free. */
int processes__read(struct processes *self);
void processes__free(struct processes *self);

/* The parent of a process, without reading more than that; 0 when there is none. */
pid_t process__parent(pid_t pid);

enum nginx_role {
	NGINX_NONE,
	NGINX_MASTER,
	NGINX_WORKER,
	NGINX_HELPER, /* cache manager and loader, privileged agent */
};

/* By the title that nginx gives its processes. */
enum nginx_role nginx__role(const char *command_line);

/* The word behind -p in a master's command line, the server's folder, as written there. False when
 * there is none. */
bool nginx__prefix(const char *command_line, char *prefix, size_t size);

/*
 * The version of Apache APISIX ("3.8.0") whose nginx, process `pid`, was started with this prefix:
 * from its own version.lua. Returns 0, -ENOENT when this is no APISIX, or -ENODATA when it is one
 * whose version could not be read.
 */
int apisix__version(pid_t pid, const char *prefix, char *version, size_t size);

#endif
