/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The Lua code in the configuration files of a running nginx: finds the files from its command
 * line, reads them as they are below its root, and finds the code of a chunk by the chunk's name.
 * What is in such a file is nginx_conf.h's matter.
 */
#ifndef LUASPY_NGINX_CONFIG_H
#define LUASPY_NGINX_CONFIG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "lua_source.h"

struct nginx_config;
struct text_budget;

/* A chunk name taken to pieces; the texts are parts of the name. See nginx_conf.h. */
struct nginx_chunk_name {
	const char *directive;
	size_t directive_size;
	const char *path; /* without the dots of one that was cut */
	size_t path_size; /* 0: the name says neither file nor line */
	bool path_is_cut;
	uint32_t line;
};

/* Code of a directive. */
struct nginx_snippet {
	char *directive;
	const char *path; /* of the file, absolute, below the target's root */
	uint64_t changed_ns;
	uint32_t line;
	struct lua_source *source;
};

/* Whether `name`, a raw chunk name with its '=', is one of nginx's. */
bool nginx_chunk_name__parse(const char *name, size_t size, struct nginx_chunk_name *out);

/*
 * Reads the configuration of the nginx that `pid` belongs to: that of -c and -p of its command line
 * or its master's (its parent, if that is one), else where nginx and OpenResty have it by default,
 * with all files that it includes; at most 2,048 files (those that are not there count, too), 64 MB
 * and 16,384 includes. Files that cannot be read are left out. Returns 0, -ENOENT when there is
 * none, -ESRCH, -EACCES or -ENOMEM. The caller frees *out.
 */
int nginx_config__read(pid_t pid, struct text_budget *budget, struct nginx_config **out);

/* Adds one more file (absolute path below the target's root) and what it includes. */
int nginx_config__add_file(struct nginx_config *self, pid_t pid, const char *path);

/* Gives back what it has taken of the budget: nginx's processes come and go. */
void nginx_config__free(struct nginx_config *self);

/* The first snippet that `name` may mean, or the next one after `previous`; NULL at the end. */
const struct nginx_snippet *nginx_config__next(const struct nginx_config *self,
					       const struct nginx_chunk_name *name,
					       const struct nginx_snippet *previous);

#endif
