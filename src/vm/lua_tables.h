/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The walk over a VM's tables that finds its built-in and C functions and the paths that lead to
 * them: package.loaded, the globals, the registry, metatables, environments of C functions. Which
 * of a function's paths names it is the caller's choice, by the ranks.
 */
#ifndef LUASPY_LUA_TABLES_H
#define LUASPY_LUA_TABLES_H

#include "lua_heap.h"

#define LUA_MAX_PATH 256

/* A function that is not a Lua function. The lower the rank, the better a name the path is. Nonzero
 * ends the walk with this result. */
typedef int (*lua_found_fn)(void *context, const char *path, uint32_t rank,
			    const struct lua_function *function);

struct lua_tables_result {
	uint32_t tables;		  /* read */
	bool bounded;			  /* there was more than the walk's bounds allow */
	char version[LUA_MAX_STRING + 1]; /* jit.version, or "" */
};

/* Starts from the global_State or lua_State at `vm`. 0, -EINVAL when neither is there, -ENOMEM,
 * what `found` returned, or what the heap's reader returned for `vm`. */
int lua_tables__walk(struct lua_heap *heap, uint64_t vm, lua_found_fn found, void *context,
		     struct lua_tables_result *result);

#endif
