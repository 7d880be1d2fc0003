/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The functions that a Lua source text defines, with the names that its author would call them by.
 * A function of a running VM has no name; it has the lines of its definition, and those lead to the
 * place in the source where it got one. Knows texts only: which file a chunk is, is lua_names.h.
 *
 * Names:
 *
 *   local function f, f = function, local f = function        f
 *   function M.a.b:c()                                        M.a.b:c
 *   a.b.c = function, a["b"].c = function                     a.b.c
 *   a["x-y"] = function, a[1] = ..., a[i] = ...               a["x-y"], a[1], a[?]
 *   a, b = function, function                                 by position
 *   f = g or function, f = (function)                         f
 *   local M = { get = function, sub = { [1] = function } }    M.get, M.sub[1]
 *   local M = { function }                                    M[1]
 *   return { get = function }, call({ get = function })       get
 *   call(function), call({ function }), call(x or function)   <anonymous in F, for call>
 *   return function                                           <anonymous in F, returned>
 *   (function ... end)(), any other place                     <anonymous in F>
 *   the chunk itself                                          main chunk
 *
 * F is the nearest enclosing function that is not itself anonymous, or "main chunk". The callee is
 * what is written before the parentheses: `ngx.timer.at`, `obj:each`, `require().new`, with the
 * arguments of calls in it left out. A function that is wrapped before it is assigned, `M.f =
 * wrap(function ...)`, is `<anonymous in F, for wrap>` and not `M.f`: M.f is what wrap() returned,
 * most often another function that has its own frame, or no function at all (`ok = pcall(function
 * ...)`). A table in parentheses, or one that is an argument, gives no prefix.
 *
 * Lines, found by experiment with Lua 5.1 to 5.4 and LuaJIT 2.1 (all agree): the first line of
 * `function name(` as a statement is that of the word `function`; of every other form, `local
 * function` included, that of the parenthesis that opens the parameters. The last line is that of
 * `end`. They are linedefined and lastlinedefined of debug.getinfo; in LuaJIT's GCproto, firstline
 * and firstline + numline.
 */
#ifndef LUASPY_LUA_SOURCE_H
#define LUASPY_LUA_SOURCE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define LUA_SOURCE_MAIN_CHUNK "main chunk"
#define LUA_SOURCE_MAX_NAMES  (8UL << 20) /* names can be thirty times as long as the text */

struct lua_source;

/* A function of a source text. */
struct lua_source_function {
	uint32_t first_line;
	uint32_t last_line;
	int parameter_count; /* with the `self` of a method */
	bool vararg;
	const char *parameters; /* names, each ending with a NUL */
	const char *name;
};

/* What is known of a function of a VM. */
struct lua_function_hint {
	uint32_t first_line; /* 0 is the main chunk */
	uint32_t last_line;
	int parameter_count;	       /* -1 unknown */
	int vararg;		       /* -1 unknown */
	const char *const *parameters; /* parameter_count names; it, or any of them, may be NULL */
};

/*
 * Takes any bytes, in time linear in `size`; `text` is not kept. Of a text that no Lua would
 * compile, *out has the functions that could be found. Nothing is found behind the 262,144th
 * function, a nesting of more than 400 levels (Lua stops at 200), LUA_SOURCE_MAX_NAMES bytes of
 * names and parameters, or as many of the names of anonymous functions. Returns 0, or -ENOMEM.
 */
int lua_source__parse(const char *text, size_t size, struct lua_source **out);

void lua_source__free(struct lua_source *self);

/* The bytes of memory that it takes. */
size_t lua_source__size(const struct lua_source *self);

/* All functions but the main chunk, by first line, in the order of their definitions. */
const struct lua_source_function *lua_source__functions(const struct lua_source *self,
							size_t *count);

/* Line breaks + 1. */
uint32_t lua_source__line_count(const struct lua_source *self);

/* Whether some function agrees with all that is known in `hint`; for the main chunk, whether it has
 * as many lines as the text. */
bool lua_source__has(const struct lua_source *self, const struct lua_function_hint *hint);

/*
 * The name of the function that agrees with all that is known in `hint`, valid as long as `self`.
 * NULL when there is none, or when there are several with different names.
 *
 * nginx's Lua module puts "return function() " and "\nend" around the texts that it loads where
 * LuaJIT is not OpenResty's: that function is the main chunk, too.
 */
const char *lua_source__name(const struct lua_source *self, const struct lua_function_hint *hint);

#endif
