/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the objects on a LuaJIT heap look like (lua_heap.h), and what only LuaJIT's analysis of call
 * sites asks for.
 */
#ifndef LUASPY_LUAJIT_HEAP_H
#define LUASPY_LUAJIT_HEAP_H

#include "lua_heap.h"

/* A Lua function. */
struct luajit_closure {
	uint64_t env;
	uint64_t proto;
	uint8_t upvalue_count;
};

/* `build` and `context` are borrowed for as long as the heap is used. Its time begins now. */
void luajit_heap__init(struct lua_heap *self, const struct luajit_build *build, lua_read_fn read,
		       void *context);

/* As lua_heap__function. -EINVAL also for a function that is not Lua's. Its proto has not been
 * looked at. */
int luajit_heap__closure(struct lua_heap *self, uint64_t ref, struct luajit_closure *closure);
/* The value of upvalue `index` of the Lua function at `ref`, which the caller knows to have that
 * many. */
int luajit_heap__upvalue(struct lua_heap *self, uint64_t ref, unsigned int index,
			 struct lua_value *value);
/* What a 64-bit slot of the Lua stack or of an object holds. */
struct lua_value luajit_heap__decode(const struct lua_heap *self, uint64_t word);

#endif
