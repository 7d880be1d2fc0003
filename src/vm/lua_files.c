/* SPDX-License-Identifier: Apache-2.0 */
#include "lua_files.h"

#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <uthash.h>

#include "../target/elf_file.h"
#include "../target/elf_image.h"
#include "../unwind/unwind_table.h"
#include "lua_texts.h"
#include "luajit.h"
#include "puc_release.h"

static bool note_found(void *context, const char *at, const char *end, char before)
{
	*(bool *)context = true;
	return true;
}

/* ---- a file ---------------------------------------------------------------------------------- */

static void examine_luajit(const struct elf_file *elf, struct lua_file *file)
{
	struct unwind_rules *rules = unwind_rules__new();
	struct unwind_table *table = NULL;
	struct luajit_found found = {};

	if (rules && unwind_table__build(elf->elf, rules, &table) == 0)
		file->has_build = luajit__build(elf->elf, table, rules, &found) == 0;
	if (file->has_build)
		file->build = found.build;
	unwind_table__free(table);
	unwind_rules__free(rules);
}

static bool has_symbols(const struct elf_file *elf)
{
	struct elf_image image;
	bool found;

	if (elf_image__read(elf->elf, &image) != 0)
		return false;
	found = elf_image__section_of_type(&image, SHT_SYMTAB) != NULL;
	elf_image__free(&image);
	return found;
}

int lua_file__examine(const struct elf_file *elf, struct lua_file *file)
{
	struct lua_versions versions;
	int err;

	err = lua_texts__versions(elf->elf, elf->fd, &versions);
	if (err || !(versions.luajit[0] || versions.puc[0] || versions.puc_short[0]))
		return err;
	file->has_symbols = has_symbols(elf);
	if (versions.luajit[0]) {
		file->kind = LUA_LUAJIT;
		snprintf(file->version, sizeof(file->version), "LuaJIT %.40s", versions.luajit);
		examine_luajit(elf, file);
	} else {
		file->kind = LUA_PUC;
		snprintf(file->version, sizeof(file->version), "%s",
			 versions.puc[0] ? versions.puc : versions.puc_short);
		file->release = puc_release__of(file->version);
	}
	return 0;
}

/* ---- the program ----------------------------------------------------------------------------- */

struct server_search {
	const char *prefix;
	char *out;
	size_t size;
};

static bool collect_server(void *context, const char *at, const char *end, char before)
{
	const struct server_search *self = context;
	size_t prefix = strlen(self->prefix);

	if (before != '\0' || end - at <= (ptrdiff_t)prefix || !isdigit((unsigned char)at[prefix]))
		return false;
	return lua_texts__copy_version(at, end, self->prefix, self->out, self->size) > 0;
}

static void examine_program(const struct elf_file *elf, struct lua_program *program)
{
	/* OpenResty's nginx says openresty/1.21.4.1 where nginx says nginx/1.22.1. */
	static const char *const servers[] = {"openresty/", "nginx/"};
	struct server_search search_for = {.out = program->server, .size = sizeof(program->server)};
	size_t i;

	lua_texts__search(elf->elf, elf->fd, "LUA_INIT", note_found, &program->is_command);
	for (i = 0; i < sizeof(servers) / sizeof(servers[0]) && !program->server[0]; i++) {
		search_for.prefix = servers[i];
		lua_texts__search(elf->elf, elf->fd, servers[i], collect_server, &search_for);
	}
}

/* ---- the cache ------------------------------------------------------------------------------- */

struct key {
	uint64_t device, inode;
};

struct cached {
	struct key key;
	struct lua_file file;
	bool readable;
	bool program_known;
	struct lua_program program;
	UT_hash_handle hh;
};

struct lua_files {
	struct cached *by_key;
	size_t refused;
};

struct lua_files *lua_files__new(void)
{
	return calloc(1, sizeof(struct lua_files));
}

void lua_files__free(struct lua_files *self)
{
	struct cached *cached, *next;

	if (!self)
		return;
	HASH_ITER (hh, self->by_key, cached, next) {
		HASH_DEL(self->by_key, cached); /* NOLINT(clang-analyzer-unix.Malloc): uthash */
		free(cached);
	}
	free(self);
}

size_t lua_files__refused(const struct lua_files *self)
{
	return self->refused;
}

static struct cached *get(struct lua_files *self, pid_t pid, const struct map_entry *entry)
{
	struct key key = {.device = entry->device, .inode = entry->inode};
	struct elf_file *elf = NULL;
	struct cached *cached;
	int err;

	if (!map_entry__is_file(entry))
		return NULL;
	/* NOLINTNEXTLINE(clang-analyzer-core.UndefinedBinaryOperatorResult): uthash */
	HASH_FIND(hh, self->by_key, &key, sizeof(key), cached);
	if (cached)
		return cached;
	cached = calloc(1, sizeof(*cached));
	if (!cached)
		return NULL;
	cached->key = key;
	cached->file.device = entry->device;
	cached->file.inode = entry->inode;
	/* What this process may not show us the next one may: only answers are kept. */
	err = elf_file__open_mapping(pid, entry, &elf);
	switch (err) {
	case 0:
		cached->readable = lua_file__examine(elf, &cached->file) == 0;
		elf_file__free(elf);
		break;
	case -ENOEXEC:
	case -EFBIG:
		break;
	default:
		self->refused += err == -EACCES || err == -EPERM || err == -ESTALE;
		free(cached);
		return NULL;
	}
	HASH_ADD(hh, self->by_key, key, sizeof(cached->key), cached);
	return cached;
}

const struct lua_file *lua_files__get(struct lua_files *self, pid_t pid,
				      const struct map_entry *entry)
{
	const struct cached *cached = get(self, pid, entry);

	return cached && cached->readable ? &cached->file : NULL;
}

const struct lua_file *lua_files__of_process(struct lua_files *self, pid_t pid,
					     const struct maps *maps)
{
	const struct lua_file *file, *puc = NULL;
	size_t i;

	for (i = 0; i < maps->count; i++) {
		if (!maps->entries[i].executable)
			continue;
		file = lua_files__get(self, pid, &maps->entries[i]);
		if (file && file->kind == LUA_LUAJIT)
			return file;
		if (file && file->kind == LUA_PUC && !puc)
			puc = file;
	}
	return puc;
}

const struct lua_program *lua_files__program(struct lua_files *self, pid_t pid,
					     const struct map_entry *entry)
{
	static const struct lua_program unknown;
	struct cached *cached = get(self, pid, entry);
	struct elf_file *elf;

	if (!cached || !cached->readable)
		return &unknown;
	if (!cached->program_known && elf_file__open_mapping(pid, entry, &elf) == 0) {
		examine_program(elf, &cached->program);
		cached->program_known = true;
		elf_file__free(elf);
	}
	return &cached->program;
}
