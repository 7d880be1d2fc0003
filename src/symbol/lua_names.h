/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Names for the Lua functions of processes, from the sources that their chunks were loaded from:
 * files as they are in the process's mount namespace, nginx's configuration, or the chunk name
 * itself when the chunk was loaded from a string. How a function is named is lua_source.h; names
 * from bytecode are others' matter.
 *
 * A name is given for sure only if the source is the one that was loaded: one whose file was last
 * changed (contents, place or date) before the process started. A worker that nginx starts anew at
 * a reload is a new process, so that what is deployed before a reload is certain after it. What was
 * changed later may have been loaded before or after; a function with the very lines and parameters
 * may have had another name before. Its name is given as one to be confirmed.
 *
 * A relative path leads to a file from where the process is now. Where it was when it loaded the
 * chunk cannot be seen, and applications lie beside older ones of themselves: such a file counts
 * only as long as all functions of the chunk fit it, and at least two of them.
 */
#ifndef LUASPY_LUA_NAMES_H
#define LUASPY_LUA_NAMES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "lua_source.h"

struct lua_names;

/* The chunk name that the VM has for a function. */
struct lua_chunk_name {
	const char *text; /* raw: "@path", "=name", or the text of the chunk */
	size_t size;
	bool cut; /* there was more, which the reader left out */
};

/* How the functions of a chunk fit the file that its relative path leads to. */
struct lua_chunk_fit {
	struct lua_chunk_fit *next;
	uint32_t first_line;  /* of one that fits */
	unsigned int fitting; /* different ones; 2 may be more */
	bool contradicted;    /* one does not */
};

static inline bool lua_chunk_fit__confirms(const struct lua_chunk_fit *self)
{
	return self->fitting >= 2 && !self->contradicted;
}

enum lua_names_reason {
	LUA_NAMES_FOUND,
	LUA_NAMES_NO_SOURCE, /* the chunk's source is nowhere, or cannot be read */
	LUA_NAMES_CHANGED,   /* the source was changed since the process started */
	LUA_NAMES_NOT_THERE, /* the source has no such function, or several with different names */
	LUA_NAMES_NO_MEMORY, /* or more than is read for one recording */
};

/* Returns NULL when out of memory. */
struct lua_names *lua_names__new(void);

void lua_names__free(struct lua_names *self);

/*
 * The name, valid as long as `self`; the same name is the same pointer. NULL if there is none, and
 * then *reason says why. With LUA_NAMES_CHANGED it may be the name of another function. The main
 * chunk of anything is "main chunk".
 *
 * *fit (unless `fit` is NULL) is set for functions of a relative path, and NULL for others: the
 * name is as sure as that confirms, which changes with each call, and lives as long as `self`.
 *
 * The first call for a chunk of a process reads its source, further ones read nothing: call it as
 * soon as a chunk is seen, and the names outlive the process.
 */
const char *lua_names__find(struct lua_names *self, pid_t pid, const struct lua_chunk_name *chunk,
			    const struct lua_function_hint *hint, enum lua_names_reason *reason,
			    const struct lua_chunk_fit **fit);

/* Whether sources were left out because all of them together were too many bytes. */
bool lua_names__exceeded(const struct lua_names *self);

/* Forgets what was read for a process that has ended, in case its pid is given to another. */
void lua_names__forget(struct lua_names *self, pid_t pid);

/* How many source files that were asked for were changed since a process started that has loaded
 * them; one for each name, in however many processes. */
size_t lua_names__changed(const struct lua_names *self);
/* The i-th of them, as its chunk is called but without "@"; NULL behind the last. */
const char *lua_names__changed_name(const struct lua_names *self, size_t i);

#endif
