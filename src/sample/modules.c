/* SPDX-License-Identifier: Apache-2.0 */
#include "modules.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>
#include <uthash.h>

#include "../symbol/elf_symbols.h"
#include "../target/elf_file.h"
#include "../unwind/unwind_table.h"
#include "../vm/puc.h"
#include "vm_kinds.h"

/* Over all files of a recording: bytes of .eh_frame that are read; table entries that are sent, of
 * 8 bytes in the kernel (libc takes 30,000, libLLVM a million); time for symbols. Files beyond them
 * have no table, or no names. */
#define MAX_UNWIND_BYTES (256ull << 20)
#define MAX_ENTRIES	 (32ull << 20)
#define MAX_SYMBOLS_NS	 20000000000ull
#define MAX_PUC_NS	 20000000000ull

struct module_key {
	uint64_t device;
	uint64_t inode;
};

struct entry {
	struct module module;
	struct module_key key;
	char *path;
	int root_fd; /* of the process that first mapped it, to look for debug files in */
	struct elf_file *file;
	struct unwind_table *table; /* kept for the functions' starts */
	struct elf_symbols *symbols;
	bool symbols_tried;
	struct luajit_found found;
	struct puc_build puc;
	UT_hash_handle hh;
};

struct modules {
	struct kernel_tables *tables;
	struct unwind_rules *rules;
	int (*need)(void *context, unsigned int kind); /* may be NULL */
	void *need_context;
	struct entry *by_key;
	struct entry **by_id;
	uint32_t count, capacity;
	uint32_t vm_count, puc_count;
	uint64_t unwind_bytes, entries, symbols_ns, puc_ns; /* used so far */
};

struct modules *modules__new(struct kernel_tables *tables)
{
	struct modules *self = calloc(1, sizeof(*self));

	if (!self)
		return NULL;
	self->tables = tables;
	self->rules = unwind_rules__new();
	if (!self->rules) {
		free(self);
		return NULL;
	}
	return self;
}

static void entry_free(struct entry *entry)
{
	if (!entry)
		return;
	elf_symbols__free(entry->symbols);
	unwind_table__free(entry->table);
	elf_file__free(entry->file);
	if (entry->root_fd >= 0)
		close(entry->root_fd);
	free(entry->path);
	free(entry);
}

void modules__free(struct modules *self)
{
	uint32_t i;

	if (!self)
		return;
	HASH_CLEAR(hh, self->by_key);
	for (i = 0; i < self->count; i++)
		entry_free(self->by_id[i]);
	free(self->by_id);
	unwind_rules__free(self->rules);
	free(self);
}

void modules__on_vm(struct modules *self, int (*need)(void *context, unsigned int kind),
		    void *context)
{
	self->need = need;
	self->need_context = context;
}

static bool can_walk(const struct modules *self, struct entry *entry, unsigned int kind)
{
	if (self->need)
		entry->module.unwalked = self->need(self->need_context, kind);
	return !entry->module.unwalked;
}

static int open_root(pid_t pid)
{
	char path[64];

	snprintf(path, sizeof(path), "/proc/%d/root", (int)pid);
	return open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
}

static uint64_t now_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

static int find_puc(struct modules *self, struct entry *entry)
{
	uint64_t start = now_ns();
	int err;

	if (self->puc_ns > MAX_PUC_NS) {
		entry->module.puc_unknown = true;
		return 0;
	}
	err = puc__find(entry->file->elf, entry->file->fd, entry->table, self->rules, &entry->puc);
	self->puc_ns += now_ns() - start;
	if (err == -ENOENT || err == -EINVAL) {
		entry->module.puc_unknown = err == -EINVAL;
		return 0;
	}
	if (err || self->puc_count == MAX_VMS || !can_walk(self, entry, VM_PUC))
		return err;
	err = kernel_tables__put_puc(self->tables, self->puc_count, &entry->puc);
	if (!err)
		entry->module.puc = ++self->puc_count;
	return err;
}

/* Unwind table, LuaJIT or PUC Lua, and all of it to the kernel. */
static int build_tables(struct modules *self, struct entry *entry)
{
	struct file_table file = {};
	uint64_t *entries = NULL;
	size_t count = 0;
	int err;

	if (self->unwind_bytes >= MAX_UNWIND_BYTES || self->entries >= MAX_ENTRIES)
		return -EFBIG;
	err = unwind_table__build(entry->file->elf, self->rules, &entry->table);
	if (err)
		return err;
	self->unwind_bytes += entry->table->bytes;
	err = luajit__find(entry->file->elf, entry->table, self->rules, &entry->found);
	if (err == 0 && self->vm_count < MAX_VMS && can_walk(self, entry, VM_LUAJIT)) {
		err = kernel_tables__put_build(self->tables, self->vm_count, &entry->found.build);
		if (!err)
			entry->module.vm = ++self->vm_count;
	} else if (err == -ENOENT || err == -EINVAL || err == -EBADMSG) {
		entry->module.vm_unknown = err == -EINVAL;
		entry->module.vm_conflict = err == -EBADMSG;
		err = err == -ENOENT ? find_puc(self, entry) : 0;
	}
	if (!err)
		err = kernel_tables__put_rules(self->tables, self->rules);
	if (!err)
		err = unwind_table__encode(entry->table, &file, &entries, &count);
	file.vm = entry->module.vm;
	file.puc = entry->module.puc;
	self->entries += count;
	if (!err)
		err = kernel_tables__put_file(self->tables, entry->module.id, &file, entries,
					      count);
	free(entries);
	/* From here on only the functions are needed. */
	free(entry->table->rows);
	entry->table->rows = NULL;
	entry->table->row_count = 0;
	return err;
}

static int entry_add(struct modules *self, pid_t pid, const struct map_entry *map,
		     const struct module_key *key, struct entry **out)
{
	struct entry *entry, **grown;
	const char *slash;

	if (self->count >= MAX_FILES)
		return -ENOSPC;
	if (self->count == self->capacity) {
		grown = realloc(self->by_id, (self->capacity + 64) * sizeof(struct entry *));
		if (!grown)
			return -ENOMEM;
		self->by_id = grown;
		self->capacity += 64;
	}
	entry = calloc(1, sizeof(*entry));
	if (!entry)
		return -ENOMEM;
	entry->key = *key;
	entry->root_fd = -1;
	entry->path = strdup(map->path);
	if (!entry->path) {
		free(entry);
		return -ENOMEM;
	}
	slash = strrchr(entry->path, '/');
	entry->module.path = entry->path;
	entry->module.name = slash ? slash + 1 : entry->path;
	entry->module.id = self->count;
	self->by_id[self->count++] = entry;
	HASH_ADD(hh, self->by_key, key, sizeof(entry->key), entry);

	if (key->inode) {
		entry->root_fd = open_root(pid);
		entry->module.error = elf_file__open_mapping(pid, map, &entry->file);
	} else {
		entry->module.error = elf_file__open_vdso(pid, map, &entry->file);
	}
	if (!entry->module.error)
		entry->module.error = build_tables(self, entry);
	if (entry->file)
		elf_file__forget_bytes(entry->file);
	*out = entry;
	return 0;
}

int modules__get(struct modules *self, pid_t pid, const struct map_entry *map,
		 const struct module **module, uint64_t *bias)
{
	bool vdso = strcmp(map->path, "[vdso]") == 0;
	struct module_key key = {.device = map->device, .inode = map->inode};
	struct entry *entry;
	int err;

	if (!vdso && !map_entry__is_file(map))
		return -EINVAL;
	if (vdso)
		key = (struct module_key){};
	/* NOLINTNEXTLINE(clang-analyzer-core.UndefinedBinaryOperatorResult): uthash */
	HASH_FIND(hh, self->by_key, &key, sizeof(key), entry);
	if (!entry) {
		err = entry_add(self, pid, map, &key, &entry);
		if (err)
			return err;
	}
	*module = &entry->module;
	*bias = map->start - map->offset;
	if (entry->file)
		elf_file__bias(entry->file, map, bias);
	return 0;
}

const struct module *modules__find(const struct modules *self, uint32_t id)
{
	return id < self->count ? &self->by_id[id]->module : NULL;
}

const struct module *modules__of_build(const struct modules *self, uint32_t vm)
{
	uint32_t i;

	for (i = 0; vm && i < self->count; i++) {
		if (self->by_id[i]->module.vm == vm)
			return &self->by_id[i]->module;
	}
	return NULL;
}

const struct puc_build *modules__puc(const struct modules *self, uint32_t puc)
{
	uint32_t i;

	for (i = 0; puc && i < self->count; i++) {
		if (self->by_id[i]->module.puc == puc)
			return &self->by_id[i]->puc;
	}
	return NULL;
}

const struct luajit_build *modules__build(const struct modules *self, uint32_t vm)
{
	const struct module *module = modules__of_build(self, vm);

	return module ? &self->by_id[module->id]->found.build : NULL;
}

const struct luajit_found *modules__luajit(const struct modules *self, uint32_t id)
{
	const struct entry *entry = id < self->count ? self->by_id[id] : NULL;

	return entry && (entry->module.vm || entry->module.vm_conflict) ? &entry->found : NULL;
}

static void load_symbols(struct modules *self, struct entry *entry)
{
	uint64_t began_ns = now_ns();
	char *dir, *slash;

	entry->symbols_tried = true;
	if (!entry->file || !entry->file->elf || self->symbols_ns > MAX_SYMBOLS_NS)
		return;
	dir = strdup(entry->path);
	slash = dir ? strrchr(dir, '/') : NULL;
	if (slash)
		*slash = '\0';
	elf_symbols__load(entry->file->elf, entry->root_fd, slash ? dir : NULL, &entry->symbols);
	free(dir);
	elf_file__forget_bytes(entry->file);
	self->symbols_ns += now_ns() - began_ns;
}

int modules__name(struct modules *self, uint32_t id, uint64_t vaddr, char *name, size_t size)
{
	const struct unwind_function *function = NULL;
	const char *symbol = NULL;
	struct entry *entry;

	if (id >= self->count)
		return -ENOENT;
	entry = self->by_id[id];
	if (!entry->symbols_tried)
		load_symbols(self, entry);
	if (entry->symbols)
		symbol = elf_symbols__find(entry->symbols, vaddr, NULL);
	if (symbol) {
		snprintf(name, size, "%s", symbol);
		return 0;
	}
	if (entry->module.vm && vaddr >= entry->found.build.interpreter_start &&
	    vaddr < entry->found.build.interpreter_end) {
		snprintf(name, size, "[luajit interpreter]");
		return 0;
	}
	if (entry->module.puc && vaddr >= entry->puc.execute_start &&
	    vaddr < entry->puc.execute_end) {
		snprintf(name, size, "[lua interpreter]");
		return 0;
	}
	if (entry->table)
		function = unwind_table__function_at(entry->table, vaddr);
	snprintf(name, size, "%s+0x%llx", entry->module.name,
		 (unsigned long long)(function ? function->start : vaddr));
	return 0;
}

int modules__mapping(const struct modules *self, uint32_t id, struct profile_mapping *mapping,
		     char build_id[BUILD_ID_BYTES])
{
	const struct elf_load *load;
	const struct entry *entry;
	size_t i;

	if (id >= self->count)
		return -ENOENT;
	entry = self->by_id[id];
	*mapping = (struct profile_mapping){.path = entry->path, .build_id = build_id};
	build_id[0] = '\0';
	if (!entry->file || !entry->file->elf)
		return 0;
	if (elf_build_id(entry->file->elf, build_id, BUILD_ID_BYTES) < 0)
		build_id[0] = '\0';
	for (i = 0; i < entry->file->load_count; i++) {
		load = &entry->file->loads[i];
		if (!load->executable)
			continue;
		if (!mapping->limit) {
			mapping->start = load->vaddr;
			mapping->offset = load->offset;
		}
		if (load->vaddr + load->memory_size > mapping->limit)
			mapping->limit = load->vaddr + load->memory_size;
	}
	return 0;
}
