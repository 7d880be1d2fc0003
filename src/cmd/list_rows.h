/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What `luaspy list` knows of each Lua process, and how it is written. What cannot be known is said
 * so, never guessed.
 */
#ifndef LUASPY_LIST_ROWS_H
#define LUASPY_LIST_ROWS_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/types.h>

#include "../target/container.h"
#include "../vm/vm_search.h"

enum list_role {
	ROLE_EMBEDDED, /* a program with Lua in it */
	ROLE_COMMAND,  /* lua, luajit */
	ROLE_MASTER,   /* nginx */
	ROLE_WORKER,
	ROLE_HELPER, /* nginx's cache manager, privileged agent... */
	ROLE_SINGLE, /* nginx without master and workers */
};

struct list_row {
	pid_t pid, parent;
	enum list_role role;
	uid_t uid;
	char user[64]; /* "" when the uid has no name here */
	struct container container;
	char container_name[256]; /* "" when not known */
	char program[256];	  /* base name */
	char server[48];	  /* "nginx/1.22.1", "openresty/1.21.4.1" or "" */
	char application[64];	  /* "APISIX 3.8.0" or "" */
	char runtime[48];	  /* "LuaJIT 2.1.0-beta3", "Lua 5.4.4" */
	bool is_luajit;
	bool has_build; /* of a LuaJIT: gc64 is known */
	bool gc64;
	bool has_symbols;
	bool vms_known; /* vms, heap_bytes */
	uint32_t vms;
	enum luajit_jit jit;
	uint64_t heap_bytes;
	uint64_t uptime_seconds;
	uint64_t cpu_ns;    /* at the first look */
	double cpu_percent; /* of one CPU; negative when not known */
	char command[1024];
};

const char *list_role__name(enum list_role role);

/* A table, its lines cut off at `columns` (0: nowhere). */
void list_rows__write_table(const struct list_row *rows, size_t count, size_t columns, FILE *out);

/* {"processes": [{...}, ...]}; null for what is not known. 0 or -ENOMEM. */
int list_rows__write_json(const struct list_row *rows, size_t count, FILE *out);

#endif
