/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The names of the Lua functions of a recording, found while their processes are there and kept
 * when they are not. First choice is the source (lua_names.h); second, in PUC Lua, what is around
 * the function's definition (vm/puc_names.h); third what callers call it (vm/luajit_call_site.h,
 * vm/puc_names.h).
 *
 * A function has one name in a recording, which is chosen at its end. Of several call sites' names
 * it is the one that depends least on the caller (enum lua_call_rank), then the shortest, then
 * the first in the alphabet. The name in a source that was changed after its process started counts
 * only if a call site or its definition calls the function that, too: the text may be another one
 * than what runs, and nothing that is left of it in the process tells whether a function had its
 * name then. So does the name in a source at a relative path that the chunk's functions do not
 * confirm (lua_names.h).
 */
#ifndef LUASPY_LUA_FUNCTIONS_H
#define LUASPY_LUA_FUNCTIONS_H

#include "../sample/modules.h"
#include "../sample/stack_store.h"
#include "lua_names.h"

struct lua_functions;

/* Borrows all of them. NULL when out of memory. */
struct lua_functions *lua_functions__new(struct stack_store *stacks, const struct modules *modules,
					 struct lua_names *names);
void lua_functions__free(struct lua_functions *self);

/* Takes in the functions and calls that have come to the store. Call it soon after they have. */
void lua_functions__read(struct lua_functions *self);

/* A process has ended or executes another program: what is known of it by its pid is forgotten. */
void lua_functions__process_ended(struct lua_functions *self, pid_t pid);

/* How often a name was learned that a function may have been without before. */
uint64_t lua_functions__learned(const struct lua_functions *self);

/* The name of a function; NULL without one. Borrowed. */
const char *lua_functions__name(const struct lua_functions *self, uint64_t proto_id);

#endif
