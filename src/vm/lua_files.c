/* SPDX-License-Identifier: Apache-2.0 */
#include "lua_files.h"

#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <uthash.h>

#include "../target/elf_file.h"
#include "../target/elf_image.h"
#include "../unwind/unwind_table.h"
#include "luajit.h"

#define BLOCK_BYTES (256u << 10)
#define TAIL_BYTES  128u /* how far a text may go on behind the place where it was found */

/* ---- texts in the read-only data ------------------------------------------------------------- */

/* A text was found at `at`, of which the bytes up to `end` are known; `before` is the byte in front
 * of it. Returns true to end the search. */
typedef bool (*found_fn)(void *context, const char *at, const char *end, char before);

struct range {
	uint64_t offset, size;
};

static bool search_block(const char *block, size_t size, size_t starts, const char *needle,
			 char before, found_fn found, void *context)
{
	size_t length = strlen(needle);
	const char *at = block;

	while ((at = memmem(at, size - (size_t)(at - block), needle, length)) != NULL) {
		if ((size_t)(at - block) >= starts)
			return false; /* the next block begins with it */
		if (found(context, at, block + size, at == block ? before : at[-1]))
			return true;
		at++;
	}
	return false;
}

/* Blocks overlap by TAIL_BYTES, so that what is found at the end of one is seen whole. */
static bool search_range(int fd, char *block, const struct range *range, const char *needle,
			 found_fn found, void *context)
{
	uint64_t done = 0;
	char before = '\0';
	size_t size, starts;
	ssize_t got;

	while (done < range->size) {
		size = range->size - done < BLOCK_BYTES ? range->size - done : BLOCK_BYTES;
		got = pread(fd, block, size, (off_t)(range->offset + done));
		if (got <= 0)
			return false;
		starts = (size_t)got < BLOCK_BYTES ? (size_t)got : BLOCK_BYTES - TAIL_BYTES;
		if (search_block(block, (size_t)got, starts, needle, before, found, context))
			return true;
		before = block[starts - 1];
		done += starts;
	}
	return false;
}

/* Calls `found` for each place of `needle` in the file's constants. 0 or -ENOMEM. */
static int search(const struct elf_file *file, const char *needle, found_fn found, void *context)
{
	const Elf64_Shdr *section;
	struct elf_image image;
	struct range range;
	char *block;
	size_t i;
	int err;

	err = elf_image__read(file->elf, &image);
	if (err)
		return err == -ENOMEM ? err : 0;
	block = malloc(BLOCK_BYTES);
	if (!block) {
		elf_image__free(&image);
		return -ENOMEM;
	}
	section = elf_image__section(&image, ".rodata");
	if (section && section->sh_type == SHT_PROGBITS && section->sh_offset <= INT64_MAX) {
		range = (struct range){section->sh_offset, section->sh_size};
		search_range(file->fd, block, &range, needle, found, context);
		goto out;
	}
	for (i = 0; i < image.segment_count; i++) {
		const Elf64_Phdr *segment = &image.segments[i];

		if (segment->p_type != PT_LOAD || segment->p_flags & PF_W ||
		    segment->p_offset > INT64_MAX)
			continue;
		range = (struct range){segment->p_offset, segment->p_filesz};
		if (search_range(file->fd, block, &range, needle, found, context))
			break;
	}
out:
	free(block);
	elf_image__free(&image);
	return 0;
}

static bool note_found(void *context, const char *at, const char *end, char before)
{
	*(bool *)context = true;
	return true;
}

/* ---- versions -------------------------------------------------------------------------------- */

static bool begins(const char *at, const char *end, const char *word)
{
	size_t length = strlen(word);

	return (size_t)(end - at) >= length && memcmp(at, word, length) == 0;
}

/* Copies a version (digits, letters, dots, dashes) behind `prefix`; its length, 0 for none. */
static size_t copy_version(const char *at, const char *end, const char *prefix, char *out,
			   size_t size)
{
	size_t start = strlen(prefix), length = start;

	while (at + length < end && length + 1 < size &&
	       (isalnum((unsigned char)at[length]) || at[length] == '.' || at[length] == '-'))
		length++;
	if (length == start || length + 1 >= size)
		return 0;
	memcpy(out, prefix, start);
	memcpy(out + start, at + start, length - start);
	out[length] = '\0';
	return length;
}

struct versions {
	char luajit[48];
	char puc[48];	    /* with its release: Lua 5.4.4 */
	char puc_short[16]; /* _VERSION */
};

/* At each "Lua". */
static bool collect_version(void *context, const char *at, const char *end, char before)
{
	struct versions *self = context;
	size_t i;

	if (!self->luajit[0] && begins(at, end, "LuaJIT 2.") && end - at > 9 &&
	    isdigit((unsigned char)at[9])) {
		copy_version(at + 7, end, "", self->luajit, sizeof(self->luajit));
		return false;
	}
	if (!begins(at, end, "Lua 5.") || end - at < 8 || !isdigit((unsigned char)at[6]))
		return false;
	if (before == '\0' && at[7] == '\0') {
		memcpy(self->puc_short, at, 8);
		return false;
	}
	for (i = 7; at + i < end && i < 16 && (at[i] == '.' || isdigit((unsigned char)at[i]));)
		i++;
	if (self->puc[0] || at[7] != '.' || i < 9)
		return false;
	memcpy(self->puc, at, i);
	self->puc[i] = '\0';
	while (at + i < end && at[i] == ' ')
		i++;
	if (!begins(at + i, end, "Copyright (C) "))
		self->puc[0] = '\0';
	return false;
}

/* In luaG_ordererror since 5.1 and in LuaJIT's lj_errmsg.h. Written without its first letter: this
 * program is no Lua. */
static bool is_core_text(void *context, const char *at, const char *end, char before)
{
	*(bool *)context |= before == 'a';
	return before == 'a';
}

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
	struct versions versions = {};
	bool core = false;
	int err;

	err = search(elf, "Lua", collect_version, &versions);
	if (!err && (versions.luajit[0] || versions.puc[0] || versions.puc_short[0]))
		err = search(elf, "ttempt to compare two %s values", is_core_text, &core);
	if (err || !core)
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
	return copy_version(at, end, self->prefix, self->out, self->size) > 0;
}

static void examine_program(const struct elf_file *elf, struct lua_program *program)
{
	/* OpenResty's nginx says openresty/1.21.4.1 where nginx says nginx/1.22.1. */
	static const char *const servers[] = {"openresty/", "nginx/"};
	struct server_search search_for = {.out = program->server, .size = sizeof(program->server)};
	size_t i;

	search(elf, "LUA_INIT", note_found, &program->is_command);
	for (i = 0; i < sizeof(servers) / sizeof(servers[0]) && !program->server[0]; i++) {
		search_for.prefix = servers[i];
		search(elf, servers[i], collect_server, &search_for);
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
