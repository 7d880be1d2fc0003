/* SPDX-License-Identifier: Apache-2.0 */
/* A file with PUC Lua in memory, to be broken, and what is found in it. */
#ifndef LUASPY_TEST_PUC_FILE_H
#define LUASPY_TEST_PUC_FILE_H

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "target/elf_image.h"
#include "vm/puc.h"

struct file {
	char *bytes;
	size_t size;
};

static inline struct file read_file(const char *path)
{
	struct file file = {};
	struct stat stat;
	int fd = open(path, O_RDONLY | O_CLOEXEC);

	if (fd < 0)
		return file;
	if (fstat(fd, &stat) == 0)
		file.bytes = malloc((size_t)stat.st_size);
	if (file.bytes && read(fd, file.bytes, (size_t)stat.st_size) == stat.st_size)
		file.size = (size_t)stat.st_size;
	close(fd);
	return file;
}

struct found {
	struct unwind_rules *rules;
	struct unwind_table *table;
	struct puc_build build;
	int err;
};

/* The Elf handle owns what is borrowed, so all is read in here. */
static inline struct found find(const struct file *file)
{
	struct found found = {.rules = unwind_rules__new(), .err = -ENOEXEC};
	Elf *elf;

	if (elf_image__open_memory(file->bytes, file->size, &elf) != 0)
		return found;
	found.err = unwind_table__build(elf, found.rules, &found.table);
	if (!found.err)
		found.err = puc__find(elf, -1, found.table, found.rules, &found.build);
	elf_end(elf);
	return found;
}

static inline void release(struct found *found)
{
	unwind_table__free(found->table);
	unwind_rules__free(found->rules);
}

#endif
