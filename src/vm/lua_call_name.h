/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The texts of the names that are read from bytecode, LuaJIT's or PUC Lua's: `get`, `M.get`,
 * `M["x-y"]`, `obj:get`.
 */
#ifndef LUASPY_LUA_CALL_NAME_H
#define LUASPY_LUA_CALL_NAME_H

#include <stdbool.h>

#define LUA_CALL_NAME_SIZE 416u

/* How good a name is that callers have for a function: the first is the best. */
enum lua_call_rank {
	LUA_CALL_FIELD, /* of a global's or an upvalue's table: a module, mostly */
	LUA_CALL_GLOBAL,
	LUA_CALL_UPVALUE,
	LUA_CALL_METHOD, /* or a field of a local variable: depends on the caller */
	LUA_CALL_LOCAL,
	LUA_CALL_KEY, /* a field of something without a name */
	LUA_CALL_METAMETHOD,
	LUA_CALL_ITERATOR,
};

struct lua_call_name {
	enum lua_call_rank rank;
	char text[LUA_CALL_NAME_SIZE];
};

/* Adds the separator (not in front of the first) and the name, or ["name"] where it is none. False
 * when there is no room, or when the name has characters that are not to be shown. */
bool lua_call_name__append(struct lua_call_name *self, char separator, const char *text);

/* Adds the text as it is. False when there is no room. */
bool lua_call_name__append_raw(struct lua_call_name *self, const char *text);

#endif
