/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Texts in an ELF file's constants, and the version of Lua that they tell: "LuaJIT 2.1.0-beta3",
 * "$LuaVersion: Lua 5.4.4  Copyright...", "$Lua: Lua 5.1.5 Copyright...". Where a linker dropped
 * that one, `_VERSION` tells "Lua 5.4". That there is a Lua at all is known by the text of an error
 * that each of them has.
 */
#ifndef LUASPY_LUA_TEXTS_H
#define LUASPY_LUA_TEXTS_H

#include <libelf.h>
#include <stdbool.h>
#include <stddef.h>

/* A text was found at `at`, of which the bytes up to `end` are known; `before` is the byte in front
 * of it. Returns true to end the search. */
typedef bool (*lua_texts_fn)(void *context, const char *at, const char *end, char before);

/* Calls `found` for each place of `needle` in the file's constants, which are read from `fd`, or
 * through libelf, which keeps them in memory, if that is negative. At most 1 GiB is read. 0 or
 * -ENOMEM. */
int lua_texts__search(Elf *elf, int fd, const char *needle, lua_texts_fn found, void *context);

/* Copies a version (digits, letters, dots, dashes) behind `prefix`; its length, 0 for none. */
size_t lua_texts__copy_version(const char *at, const char *end, const char *prefix, char *out,
			       size_t size);

struct lua_versions {
	char luajit[48];
	char puc[48];	    /* with its release: Lua 5.4.4 */
	char puc_short[16]; /* _VERSION */
};

/* What a file without any Lua says is empty. 0 or -ENOMEM. */
int lua_texts__versions(Elf *elf, int fd, struct lua_versions *versions);

#endif
