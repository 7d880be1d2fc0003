/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Gathers the facts about the Lua processes of the machine, for `luaspy list`.
 */
#ifndef LUASPY_LUA_PROCESSES_H
#define LUASPY_LUA_PROCESSES_H

#include <stddef.h>

#include "list_rows.h"

/* Processes that may have Lua, of which nothing is listed. */
struct lua_processes_hidden {
	size_t denied;	   /* their mappings may not be read */
	size_t unreadable; /* without Lua in what could be read of their files */
};

/*
 * All of them but ourselves, by pid. Takes about `limit_ms` of CPU time at most: memory that was
 * not searched for VMs by then leaves its process without those figures. 0, -ENOMEM, or an errno of
 * reading /proc. The caller frees *rows.
 */
int lua_processes__gather(unsigned int limit_ms, struct list_row **rows, size_t *count,
			  struct lua_processes_hidden *hidden);

#endif
