/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The Lua names of a VM's built-in and C functions, from the VM's own tables, read while it runs:
 * `pairs`, `string.gsub`, `cjson.encode`, `ngx.req.get_headers`, `file:read`. So they hold for any
 * version of LuaJIT and PUC Lua and whatever libraries the program has loaded; there is no list of
 * them here.
 *
 * The walk goes breadth first over package.loaded, the globals and the registry, and is bounded in
 * everything: tables, depth, reads, time. A name is the path by which the function was found:
 *
 *   pairs, string.gsub	  a global, a field of a standard library, whatever aliases there are
 *   cjson.safe.encode	  a field of a module, by the module's key in package.loaded
 *   ngx.req.get_headers  a field of a table in a module or a global
 *   file:read, ngx.shared.cats:get   a field of the __index table of a metatable (of userdata, of
 *			  tables, of what a library's functions create)
 *   ngx.var.__index	  a metamethod
 *   string.gmatch_aux	  the function that one of three built-ins returns
 *   ?:receive		  a method of objects whose class has no name
 *
 * Of several paths to one function the standard one is taken, then the shortest, then that of a
 * module, then the first in the alphabet. Names are bytes from the target: print them escaped.
 */
#ifndef LUASPY_LUA_BUILTINS_H
#define LUASPY_LUA_BUILTINS_H

#include <stdint.h>
#include <sys/types.h>

#include "lua_heap.h"

struct lua_builtins;

/*
 * Reads the names of the VM of process `pid` whose global_State, or one of whose lua_States, is at
 * `vm`. A coroutine may be dead by the time; the global_State lives as long as the VM. Returns 0;
 * -EINVAL when there is neither, -ENOMEM, or memory__read's errors; of PUC Lua also -ENOENT when
 * its release is not known. A walk that met its bounds is no error: what was found counts. Takes 5
 * to 10 ms for 500 tables, at most 250.
 */
int lua_builtins__read_luajit(pid_t pid, uint64_t vm, const struct luajit_build *build,
			      struct lua_builtins **out);
int lua_builtins__read_puc(pid_t pid, uint64_t vm, const struct puc_build *build,
			   struct lua_builtins **out);
/* The same over any heap. */
int lua_builtins__read(struct lua_heap *heap, uint64_t vm, struct lua_builtins **out);
void lua_builtins__free(struct lua_builtins *self);

/* Takes over the names that `self` lacks, of modules loaded since. Names that were given out stay
 * valid. 0 or -ENOMEM (`self` then has some of them). */
int lua_builtins__merge(struct lua_builtins *self, const struct lua_builtins *newer);

/* A built-in by its GCfunc.ffid (> 1). NULL when it has no name; borrowed until __free. */
const char *lua_builtins__by_ffid(const struct lua_builtins *self, uint8_t ffid);
/* A C function (ffid 1) by its entry, an address in the target. Built-ins that are plain C
 * functions are found, too, unless several share the entry. */
const char *lua_builtins__by_entry(const struct lua_builtins *self, uint64_t entry);

/* jit.version, e.g. "LuaJIT 2.1.1700206165"; NULL when the program has removed it. */
const char *lua_builtins__version(const struct lua_builtins *self);

/* What the walk cost, for doctor and tests. */
struct lua_builtins_effort {
	uint32_t tables, ffids, entries;
	uint64_t reads;
	uint64_t time_ns;
	bool bounded; /* it stopped at a bound */
};
struct lua_builtins_effort lua_builtins__effort(const struct lua_builtins *self);

#endif
