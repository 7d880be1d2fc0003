/* SPDX-License-Identifier: Apache-2.0 */
#include "lua_builtins.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <uthash.h>

#include "../target/memory.h"
#include "lua_tables.h"
#include "luajit_heap.h"
#include "puc_heap.h"

struct ffid_name {
	char *text;
	uint32_t rank;
};

struct entry_name {
	uint64_t entry;
	char *text;
	uint32_t rank;
	uint8_t ffid;
	bool shared; /* by several built-ins: it names none of them */
	UT_hash_handle hh;
};

struct lua_builtins {
	struct ffid_name by_ffid[UINT8_MAX + 1];
	struct entry_name *by_entry;
	char *version;
	struct lua_builtins_effort effort;
};

void lua_builtins__free(struct lua_builtins *self)
{
	struct entry_name *entry, *next;
	size_t i;

	if (!self)
		return;
	for (i = 0; i <= UINT8_MAX; i++)
		free(self->by_ffid[i].text);
	/* NOLINTNEXTLINE(clang-analyzer-core.UndefinedBinaryOperatorResult): uthash */
	HASH_ITER (hh, self->by_entry, entry, next) {
		HASH_DEL(self->by_entry, entry);
		free(entry->text);
		free(entry);
	}
	free(self->version);
	free(self);
}

/* ---- names -------------------------------------------------------------------------------- */

/* Keeps the better name of two: the lower rank, the first in the alphabet. */
static int keep_better(char **text, uint32_t *rank, const char *name, uint32_t its_rank)
{
	char *copy;

	if (*text && (its_rank > *rank || (its_rank == *rank && strcmp(name, *text) >= 0)))
		return 0;
	copy = strdup(name);
	if (!copy)
		return -ENOMEM;
	free(*text);
	*text = copy;
	*rank = its_rank;
	return 0;
}

static struct entry_name *find_entry(const struct lua_builtins *self, uint64_t entry)
{
	struct entry_name *found;

	/* NOLINTNEXTLINE(clang-analyzer-core.UndefinedBinaryOperatorResult): uthash */
	HASH_FIND(hh, self->by_entry, &entry, sizeof(entry), found);
	return found;
}

static struct entry_name *add_entry(struct lua_builtins *self, uint64_t entry, uint8_t ffid)
{
	struct entry_name *added = calloc(1, sizeof(*added));

	if (!added)
		return NULL;
	added->entry = entry;
	added->ffid = ffid;
	HASH_ADD(hh, self->by_entry, entry, sizeof(added->entry), added);
	return added;
}

/* A function found at a path (lua_tables.h). */
static int note_function(void *context, const char *path, uint32_t rank,
			 const struct lua_function *function)
{
	struct lua_builtins *self = context;
	struct ffid_name *name = &self->by_ffid[function->ffid];
	struct entry_name *entry;
	int err;

	if (function->ffid > 1) {
		err = keep_better(&name->text, &name->rank, path, rank);
		if (err)
			return err;
	}
	entry = find_entry(self, function->entry);
	if (!entry)
		entry = add_entry(self, function->entry, function->ffid);
	if (!entry)
		return -ENOMEM;
	if (entry->ffid != function->ffid)
		entry->shared = true;
	return keep_better(&entry->text, &entry->rank, path, rank);
}

/*
 * Three built-ins return a function that stands in no table. Their definitions stand right before
 * those of the built-ins (LuaJIT src/lib_base.c, lib_string.c), and ids are given in the order of
 * definition. What such a function is called where the program put it is no name for all of them.
 */
static const char *const makers[] = {"ipairs", "coroutine.wrap", "string.gmatch"};

/* nginx keeps the originals of functions that it replaces as coroutine._wrap, __wrap. */
static bool is_maker(const char *name, const char *maker)
{
	const char *dot = strchr(maker, '.');
	size_t library = dot ? (size_t)(dot + 1 - maker) : 0;

	if (strncmp(name, maker, library) != 0)
		return false;
	return strcmp(name + library + strspn(name + library, "_"), maker + library) == 0;
}

static int name_auxiliaries(struct lua_builtins *self)
{
	struct ffid_name *name;
	char text[64];
	size_t i, k;
	int err;

	for (i = 0; i < sizeof(makers) / sizeof(makers[0]); i++) {
		for (k = 3; k <= UINT8_MAX; k++) {
			if (!self->by_ffid[k].text || !is_maker(self->by_ffid[k].text, makers[i]))
				continue;
			name = &self->by_ffid[k - 1];
			snprintf(text, sizeof(text), "%s_aux", makers[i]);
			free(name->text);
			name->text = NULL;
			err = keep_better(&name->text, &name->rank, text, 0);
			if (err)
				return err;
			break;
		}
	}
	return 0;
}

/* An entry that it shares with nothing else but itself gets the built-in's final name. */
static int name_builtin_entries(struct lua_builtins *self)
{
	struct entry_name *entry, *next;
	char *copy;

	/* NOLINTNEXTLINE(clang-analyzer-core.UndefinedBinaryOperatorResult): uthash */
	HASH_ITER (hh, self->by_entry, entry, next) {
		if (entry->ffid <= 1 || entry->shared)
			continue;
		copy = strdup(self->by_ffid[entry->ffid].text);
		if (!copy)
			return -ENOMEM;
		free(entry->text);
		entry->text = copy;
	}
	return 0;
}

/* ---- reading ------------------------------------------------------------------------------ */

static uint64_t now_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

static void measure(struct lua_builtins *self, const struct lua_heap *heap,
		    const struct lua_tables_result *result, uint64_t began_ns)
{
	size_t i;

	self->effort.tables = result->tables;
	self->effort.bounded = result->bounded;
	self->effort.reads = heap->reads;
	self->effort.entries = HASH_COUNT(self->by_entry);
	for (i = 0; i <= UINT8_MAX; i++)
		self->effort.ffids += self->by_ffid[i].text != NULL;
	self->effort.time_ns = now_ns() - began_ns;
}

int lua_builtins__read(struct lua_heap *heap, uint64_t vm, struct lua_builtins **out)
{
	struct lua_tables_result result = {};
	struct lua_builtins *self;
	uint64_t began_ns = now_ns();
	int err;

	*out = NULL;
	self = calloc(1, sizeof(*self));
	if (!self)
		return -ENOMEM;
	err = lua_tables__walk(heap, vm, note_function, self, &result);
	if (!err && result.version[0]) {
		self->version = strdup(result.version);
		if (!self->version)
			err = -ENOMEM;
	}
	if (!err)
		err = name_auxiliaries(self);
	if (!err)
		err = name_builtin_entries(self);
	if (err) {
		lua_builtins__free(self);
		return err;
	}
	measure(self, heap, &result, began_ns);
	*out = self;
	return 0;
}

static int read_process(void *context, uint64_t address, void *bytes, size_t size)
{
	return memory__read(*(const pid_t *)context, address, bytes, size);
}

int lua_builtins__read_luajit(pid_t pid, uint64_t vm, const struct luajit_build *build,
			      struct lua_builtins **out)
{
	struct lua_heap heap;

	luajit_heap__init(&heap, build, read_process, &pid);
	return lua_builtins__read(&heap, vm, out);
}

int lua_builtins__read_puc(pid_t pid, uint64_t vm, const struct puc_build *build,
			   struct lua_builtins **out)
{
	struct lua_heap heap;
	int err;

	*out = NULL;
	err = puc_heap__init(&heap, build, read_process, &pid);
	return err ? err : lua_builtins__read(&heap, vm, out);
}

int lua_builtins__merge(struct lua_builtins *self, const struct lua_builtins *newer)
{
	struct entry_name *entry, *next, *mine;
	size_t i;
	int err;

	for (i = 0; i <= UINT8_MAX; i++) {
		if (self->by_ffid[i].text || !newer->by_ffid[i].text)
			continue;
		err = keep_better(&self->by_ffid[i].text, &self->by_ffid[i].rank,
				  newer->by_ffid[i].text, newer->by_ffid[i].rank);
		if (err)
			return err;
	}
	/* NOLINTNEXTLINE(clang-analyzer-core.UndefinedBinaryOperatorResult): uthash */
	HASH_ITER (hh, newer->by_entry, entry, next) {
		if (find_entry(self, entry->entry))
			continue;
		mine = add_entry(self, entry->entry, entry->ffid);
		if (!mine)
			return -ENOMEM;
		mine->shared = entry->shared;
		err = keep_better(&mine->text, &mine->rank, entry->text, entry->rank);
		if (err)
			return err;
	}
	if (!self->version && newer->version)
		self->version = strdup(newer->version);
	return 0;
}

/* ---- looking up --------------------------------------------------------------------------- */

const char *lua_builtins__by_ffid(const struct lua_builtins *self, uint8_t ffid)
{
	return self->by_ffid[ffid].text; /* 0 and 1 are no built-ins and never get one */
}

const char *lua_builtins__by_entry(const struct lua_builtins *self, uint64_t entry)
{
	const struct entry_name *found = find_entry(self, entry);

	return found && !found->shared ? found->text : NULL;
}

const char *lua_builtins__version(const struct lua_builtins *self)
{
	return self->version;
}

struct lua_builtins_effort lua_builtins__effort(const struct lua_builtins *self)
{
	return self->effort;
}
