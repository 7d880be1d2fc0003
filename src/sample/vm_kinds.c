/* SPDX-License-Identifier: Apache-2.0 */
#include "vm_kinds.h"

#include <stdbool.h>
#include <stdint.h>
#include <time.h>

#include "../target/elf_file.h"
#include "../target/maps.h"
#include "../vm/lua_texts.h"

/* More is not worth it: the verifier takes as long. Most processes of a recording are of the same
 * few programs. */
#define MAX_FILES_SEEN 64
#define MAX_FILE_BYTES (32u << 20) /* looking through that may take 0.1 s */
#define MAX_TIME_NS    30000000u

struct file_key {
	uint64_t device, inode;
};

struct search {
	struct file_key seen[MAX_FILES_SEEN];
	size_t seen_count;
	uint64_t deadline_ns;
	unsigned int kinds;
};

static uint64_t now_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

static bool was_seen(const struct search *self, const struct map_entry *entry)
{
	size_t i;

	for (i = 0; i < self->seen_count; i++) {
		if (self->seen[i].device == entry->device && self->seen[i].inode == entry->inode)
			return true;
	}
	return false;
}

static unsigned int kinds_of_file(pid_t pid, const struct map_entry *entry)
{
	struct lua_versions versions;
	struct elf_file *file;
	unsigned int kinds = 0;

	if (elf_file__open_mapping(pid, entry, &file) != 0)
		return 0;
	if (file->size_bytes > MAX_FILE_BYTES) {
		kinds = VM_ALL;
	} else if (lua_texts__versions(file->elf, file->fd, &versions) == 0) {
		if (versions.luajit[0])
			kinds |= VM_LUAJIT;
		else if (versions.puc[0] || versions.puc_short[0])
			kinds |= VM_PUC;
	}
	elf_file__free(file);
	return kinds;
}

static void look_at(struct search *self, pid_t pid, const struct maps *maps)
{
	size_t i;

	for (i = 0; self->kinds != VM_ALL && i < maps->count; i++) {
		const struct map_entry *entry = &maps->entries[i];

		if (!entry->executable || !map_entry__is_file(entry) || was_seen(self, entry))
			continue;
		if (self->seen_count == MAX_FILES_SEEN || now_ns() > self->deadline_ns) {
			self->kinds = VM_ALL;
			return;
		}
		self->seen[self->seen_count++] = (struct file_key){entry->device, entry->inode};
		self->kinds |= kinds_of_file(pid, entry);
	}
}

unsigned int vm_kinds__of(const pid_t *pids, size_t count)
{
	struct search self = {.deadline_ns = now_ns() + MAX_TIME_NS};
	struct maps maps;
	size_t i;

	for (i = 0; self.kinds != VM_ALL && i < count; i++) {
		if (now_ns() > self.deadline_ns)
			return VM_ALL;
		if (maps__read(pids[i], &maps) == 0)
			look_at(&self, pids[i], &maps);
		maps__free(&maps);
	}
	return self.kinds;
}
