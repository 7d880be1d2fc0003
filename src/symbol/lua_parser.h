/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Finds the function definitions in a Lua source text and what each is assigned, passed or returned
 * to. The part of lua_source.h that knows Lua's grammar; others use that.
 */
#ifndef LUASPY_LUA_PARSER_H
#define LUASPY_LUA_PARSER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum lua_naming {
	LUA_NAMING_NONE,
	LUA_NAMING_NAME,     /* `label` is its name */
	LUA_NAMING_ARGUMENT, /* `label` is the callee that it is passed to */
	LUA_NAMING_RETURNED,
};

/* A growing text; a place in it is an offset, since it moves. */
struct lua_text {
	char *data;
	size_t size;
	size_t capacity;
};

struct lua_definition {
	uint32_t first_line;
	uint32_t last_line; /* 0: its end was not found */
	int32_t parent;	    /* index of the enclosing function, -1 at chunk level */
	int32_t next;	    /* of the same parentheses, -1 at the end */
	enum lua_naming naming;
	bool vararg;
	uint32_t parameter_count;
	size_t label;	   /* in `pool`, ends with NUL */
	size_t parameters; /* in `pool`, each ends with NUL */
};

struct lua_definitions {
	struct lua_definition *items; /* in the order of the words `function` */
	size_t count;
	size_t capacity;
	struct lua_text pool;
	uint32_t line_count;
};

/* Returns 0 or -ENOMEM; the caller frees `out` in both cases. */
int lua_definitions__parse(const char *text, size_t size, struct lua_definitions *out);

void lua_definitions__free(struct lua_definitions *self);

/* Returns false when out of memory. */
bool lua_text__append(struct lua_text *self, const char *text, size_t size);

#endif
