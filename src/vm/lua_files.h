/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which Lua an ELF file contains, stripped or not: the facts that hold for every process that maps
 * it. Each file is looked at once, by device and inode, so that hundreds of processes of a few
 * programs cost little. Where in a process the VMs are is vm_search.h's matter.
 *
 * A VM's code is known by the texts of its errors, its version by its own text in the read-only
 * data: "LuaJIT 2.1.0-beta3", "$LuaVersion: Lua 5.4.4  Copyright...", "$Lua: Lua 5.1.5
 * Copyright...". Where a linker dropped that one, `_VERSION` tells "Lua 5.4".
 */
#ifndef LUASPY_LUA_FILES_H
#define LUASPY_LUA_FILES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "../bpf/contract.h"
#include "../target/maps.h"

enum lua_kind {
	LUA_NONE,
	LUA_LUAJIT,
	LUA_PUC,
};

struct lua_file {
	uint64_t device, inode;
	enum lua_kind kind;
	char version[48]; /* "LuaJIT 2.1.1700206165", "Lua 5.4.4" */
	bool has_symbols; /* a .symtab */
	bool has_build;	  /* LuaJIT's interpreter was found and understood */
	struct luajit_build build;
	uint32_t release; /* of PUC Lua: 50404 is 5.4.4; 0: not known */
};

/* What the file that a process executes is. */
struct lua_program {
	bool is_command; /* the lua or luajit command: it knows LUA_INIT */
	char server[48]; /* "nginx/1.22.1", "openresty/1.21.4.1", or "" */
};

struct lua_files;

/* NULL when out of memory. */
struct lua_files *lua_files__new(void);
void lua_files__free(struct lua_files *self);

/* How often a file could not be opened for want of rights (or because it was deleted, which takes
 * more of them): there may be Lua in it. */
size_t lua_files__refused(const struct lua_files *self);

/* The file behind a mapping of process `pid`; NULL for none (anonymous memory, unreadable files, no
 * ELF), or when out of memory. Borrowed. */
const struct lua_file *lua_files__get(struct lua_files *self, pid_t pid,
				      const struct map_entry *entry);

/* The Lua of a process with these mappings: the first file that contains LuaJIT, else the first
 * with PUC Lua; NULL when it has none. Borrowed. */
const struct lua_file *lua_files__of_process(struct lua_files *self, pid_t pid,
					     const struct maps *maps);

/* What kind of program the file behind a mapping is. Nothing is known of one that cannot be read.
 * Borrowed, never NULL. */
const struct lua_program *lua_files__program(struct lua_files *self, pid_t pid,
					     const struct map_entry *entry);

/* The Lua in an open ELF file. `file->kind` is LUA_NONE when it has none. 0 or -ENOMEM. */
struct elf_file;
int lua_file__examine(const struct elf_file *elf, struct lua_file *file);

#endif
