/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a Lua function is called by its caller, for functions without a source: the caller's
 * bytecode before the call shows which variable or field was put into the call's first slot.
 *
 *   get, M.get, ngx.req.get	a global, a field of what an upvalue, a global or a local variable
 *				holds
 *   t["x-y"]			a field whose name is none
 *   obj:get			a method
 *   get			an upvalue, a local variable; a field of something nameless
 *   __index, __lt, __call	a metamethod that an instruction has called
 *   for iterator		called by a `for` loop
 *
 * The bytecode alone may lie: what was called may have called the function that runs by a tail
 * call, which leaves no frame; and which of several branches was taken, an instruction does not
 * say. So a name is given only when the target's memory agrees: the variable or field of that name
 * holds a function object of this very proto. Whatever else changes in the meantime, that is then a
 * name by which the program has it. Without that there is no name.
 *
 * With it, more can be tried than the instruction says: `(a or b)()` is both, `t[key]()` any field
 * of t, and where another function is called, its tail calls are looked at in the same way.
 */
#ifndef LUASPY_LUA_CALL_SITE_H
#define LUASPY_LUA_CALL_SITE_H

#include "lua_call_name.h"
#include "luajit_heap.h"

/*
 * Returns 0 and the name; -ENOENT when there is none, -ESTALE when the caller's proto is not the
 * one that was sampled any more, -ENOTSUP for bytecode of another version, -ENOMEM, or what the
 * heap's `read` returned. Reads 16 MB at most. Names hold bytes from the target, but no control
 * characters.
 */
int luajit_call_site__name(struct lua_heap *heap, const struct record_call *call,
			   struct lua_call_name *name);

#endif
