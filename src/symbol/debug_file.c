/* SPDX-License-Identifier: Apache-2.0 */
/* See debug_file.h. */
#include "debug_file.h"

#include <errno.h>
#include <limits.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <zlib.h>

#include "../target/elf_image.h"
#include "../target/root_file.h"
#include "elf_symbols.h"

#define MAX_DEBUG_FILE_BYTES (4LL << 30)
#define MAX_CRC_BYTES	     (512LL << 20) /* which are all read; only where there is no build id */
#define MAX_BUILD_ID_HEX     129	   /* 64 bytes; SHA-1, the usual one, has 20 */
#define MAX_LINK_BYTES	     4096U

/* What the stripped file says about its debug file. Empty strings where it says nothing. */
struct wanted {
	char build_id[MAX_BUILD_ID_HEX];
	char link[NAME_MAX + 1];
	uint32_t crc;
};

/* .gnu_debuglink: a name, NUL, padding to 4 bytes, the CRC-32 of the whole debug file. */
static void read_debuglink(const struct elf_image *image, struct wanted *wanted)
{
	const Elf64_Shdr *section = elf_image__section(image, ".gnu_debuglink");
	const char *bytes;
	size_t length, crc_offset;

	if (!section)
		return;
	bytes = elf_image__section_bytes(image, section, MAX_LINK_BYTES);
	if (!bytes)
		return;
	length = strnlen(bytes, section->sh_size);
	crc_offset = (length + 1 + 3) & ~(size_t)3;
	if (length == 0 || length >= sizeof(wanted->link) ||
	    crc_offset + sizeof(wanted->crc) > section->sh_size)
		return;
	/* A file name, never a path. */
	if (strchr(bytes, '/') || strcmp(bytes, ".") == 0 || strcmp(bytes, "..") == 0)
		return;
	memcpy(wanted->link, bytes, length + 1);
	memcpy(&wanted->crc, bytes + crc_offset, sizeof(wanted->crc));
}

static bool crc_matches(int fd, uint32_t expected)
{
	const size_t block = 256U << 10;
	unsigned char *buffer = malloc(block);
	uLong crc = crc32(0, NULL, 0);
	off_t offset = 0;
	ssize_t got = -1;

	if (!buffer)
		return false;
	while (offset < MAX_CRC_BYTES && (got = pread(fd, buffer, block, offset)) > 0) {
		crc = crc32(crc, buffer, (uInt)got);
		offset += got;
	}
	free(buffer);
	return got == 0 && (uint32_t)crc == expected;
}

/* The build id decides where both files have one: it is cheap and cannot collide by chance. */
static bool belongs(const struct wanted *wanted, Elf *elf, int fd, bool found_by_link)
{
	char build_id[MAX_BUILD_ID_HEX];

	if (wanted->build_id[0] && elf_build_id(elf, build_id, sizeof(build_id)) > 0)
		return strcmp(wanted->build_id, build_id) == 0;
	return found_by_link && crc_matches(fd, wanted->crc);
}

/* Where a debug file may lie: prefix/directory + subdirectory + /name + suffix. */
struct place {
	const char *prefix;
	const char *directory;
	const char *subdirectory;
	const char *name;
	const char *suffix;
	bool by_link;
};

static int try_open(const struct wanted *wanted, int root_fd, const struct place *place,
		    struct debug_file *file)
{
	char path[PATH_MAX];
	struct stat status;
	int length, err;

	length = snprintf(path, sizeof(path), "%s/%s%s/%s%s", place->prefix, place->directory,
			  place->subdirectory, place->name, place->suffix);
	if (length < 0 || (size_t)length >= sizeof(path))
		return -ENOENT;
	file->fd = root_file__open(root_fd, path, &status);
	if (file->fd < 0)
		return -ENOENT;
	err = status.st_size > MAX_DEBUG_FILE_BYTES ? -ENOENT
						    : elf_image__open_fd(file->fd, &file->elf);
	if (!err && !belongs(wanted, file->elf, file->fd, place->by_link))
		err = -ENOENT;
	if (err) {
		debug_file__close(file);
		return -ENOENT;
	}
	return 0;
}

int debug_file__open(Elf *elf, int root_fd, const char *file_dir, struct debug_file *file)
{
	struct wanted wanted = {0};
	struct elf_image image;
	int err;

	file->elf = NULL;
	file->fd = -1;
	if (root_fd < 0)
		return -ENOENT;
	err = elf_image__read(elf, &image);
	if (err)
		return err == -ENOMEM ? err : -ENOENT;
	read_debuglink(&image, &wanted);
	elf_image__free(&image);
	if (elf_build_id(elf, wanted.build_id, sizeof(wanted.build_id)) < 4)
		wanted.build_id[0] = '\0';

	if (wanted.build_id[0]) {
		char directory[3] = {wanted.build_id[0], wanted.build_id[1]};
		const struct place place = {
			"/usr/lib/debug/.build-id", directory, "",
			wanted.build_id + 2,	    ".debug",  false,
		};

		if (try_open(&wanted, root_fd, &place, file) == 0)
			return 0;
	}
	if (wanted.link[0] && file_dir) {
		const struct place places[] = {
			{"", file_dir, "", wanted.link, "", true},
			{"", file_dir, "/.debug", wanted.link, "", true},
			{"/usr/lib/debug", file_dir, "", wanted.link, "", true},
		};
		size_t i;

		for (i = 0; i < sizeof(places) / sizeof(places[0]); i++) {
			if (try_open(&wanted, root_fd, &places[i], file) == 0)
				return 0;
		}
	}
	return -ENOENT;
}

void debug_file__close(struct debug_file *file)
{
	elf_end(file->elf);
	if (file->fd >= 0)
		close(file->fd);
	file->elf = NULL;
	file->fd = -1;
}
