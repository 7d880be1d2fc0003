/* SPDX-License-Identifier: Apache-2.0 */
/* See maps.h. */
#include "maps.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/sysmacros.h>

/* Far above vm.max_map_count's default of 65530, and still a bound. */
#define MAX_MAPPINGS (4U << 20)
#define READ_BYTES   16384u

static const char DELETED_SUFFIX[] = " (deleted)";

/* The kernel escapes a newline in a path, and nothing else, not even the backslash. */
static void unescape_newlines(char *path)
{
	char *to = strstr(path, "\\012");
	const char *from = to;

	if (!to)
		return;
	while (*from) {
		if (strncmp(from, "\\012", 4) == 0) {
			*to++ = '\n';
			from += 4;
		} else {
			*to++ = *from++;
		}
	}
	*to = '\0';
}

/* Parses a number in `base` that ends with `terminator`, and steps over both. */
static bool take_number(const char **cursor, int base, char terminator, uint64_t *value)
{
	static const char digits[] = "0123456789abcdef";
	const char *p = *cursor;
	uint64_t number = 0;

	for (; *p && *p != terminator; p++) {
		const char *digit = strchr(digits, *p);

		if (!digit || digit - digits >= base || number > (UINT64_MAX - 15) / (unsigned)base)
			return false;
		number = number * (unsigned)base + (unsigned)(digit - digits);
	}
	if (p == *cursor || *p != terminator)
		return false;
	*cursor = terminator ? p + 1 : p;
	*value = number;
	return true;
}

/* "start-end rwxp offset major:minor inode   path"; the path is absent for anonymous memory. */
static bool parse_line(char *line, struct map_entry *entry, char **path)
{
	const char *p = line;
	uint64_t major_number, minor_number;
	size_t length;

	if (!take_number(&p, 16, '-', &entry->start) || !take_number(&p, 16, ' ', &entry->end) ||
	    entry->start >= entry->end)
		return false;
	if (strlen(p) < 5 || p[4] != ' ')
		return false;
	entry->readable = p[0] == 'r';
	entry->writable = p[1] == 'w';
	entry->executable = p[2] == 'x';
	p += 5;
	if (!take_number(&p, 16, ' ', &entry->offset) || !take_number(&p, 16, ':', &major_number) ||
	    !take_number(&p, 16, ' ', &minor_number))
		return false;
	entry->device = makedev((unsigned)major_number, (unsigned)minor_number);
	if (!take_number(&p, 10, ' ', &entry->inode)) {
		/* Since the path is padded to a column, a space follows even where none is; but
		 * some readers' copies have lost their trailing blanks. */
		if (!take_number(&p, 10, '\0', &entry->inode))
			return false;
	}
	while (*p == ' ')
		p++;

	*path = line + (p - line);
	length = strlen(*path);
	entry->deleted = false;
	if (length > sizeof(DELETED_SUFFIX) - 1 && (*path)[0] == '/' &&
	    strcmp(*path + length - (sizeof(DELETED_SUFFIX) - 1), DELETED_SUFFIX) == 0) {
		(*path)[length - (sizeof(DELETED_SUFFIX) - 1)] = '\0';
		entry->deleted = true;
	}
	unescape_newlines(*path);
	return true;
}

static int append(struct maps *maps, size_t *capacity, const struct map_entry *entry)
{
	if (maps->count == *capacity) {
		size_t wanted = *capacity ? *capacity * 2 : 128;
		struct map_entry *grown = reallocarray(maps->entries, wanted, sizeof(*grown));

		if (!grown)
			return -ENOMEM;
		maps->entries = grown;
		*capacity = wanted;
	}
	maps->entries[maps->count++] = *entry;
	return 0;
}

int maps__parse(FILE *file, struct maps *maps)
{
	size_t capacity = 0, line_size = 0;
	char *line = NULL;
	ssize_t length;
	int err = 0;

	memset(maps, 0, sizeof(*maps));
	for (;;) {
		struct map_entry entry;
		char *path;

		errno = 0;
		length = getline(&line, &line_size, file);
		if (length < 0) {
			if (ferror(file))
				err = errno ? -errno : -EIO;
			else if (errno == ENOMEM)
				err = -ENOMEM;
			break;
		}
		if (length && line[length - 1] == '\n')
			line[--length] = '\0';
		if (!parse_line(line, &entry, &path) ||
		    (maps->count && entry.start < maps->entries[maps->count - 1].end)) {
			maps->malformed++;
			continue;
		}
		if (maps->count == MAX_MAPPINGS) {
			err = -E2BIG;
			break;
		}
		entry.path = strdup(path);
		if (!entry.path) {
			err = -ENOMEM;
			break;
		}
		err = append(maps, &capacity, &entry);
		if (err) {
			free(entry.path);
			break;
		}
	}
	free(line);
	if (err)
		maps__free(maps);
	return err;
}

int maps__read(pid_t pid, struct maps *maps)
{
	char path[64];
	FILE *file;
	int err;

	memset(maps, 0, sizeof(*maps));
	snprintf(path, sizeof(path), "/proc/%d/maps", (int)pid);
	file = fopen(path, "re");
	if (!file)
		return errno == ENOENT ? -ESRCH : -errno;
	/* In fewer system calls than with the C library's 1 KB; the kernel gives a page or so. */
	setvbuf(file, NULL, _IOFBF, READ_BYTES);
	err = maps__parse(file, maps);
	fclose(file);
	return err;
}

void maps__free(struct maps *maps)
{
	size_t i;

	if (!maps)
		return;
	for (i = 0; i < maps->count; i++)
		free(maps->entries[i].path);
	free(maps->entries);
	memset(maps, 0, sizeof(*maps));
}

const struct map_entry *maps__find(const struct maps *maps, uint64_t address)
{
	size_t low = 0, high = maps->count;

	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (maps->entries[middle].end <= address)
			low = middle + 1;
		else
			high = middle;
	}
	if (low == maps->count || address < maps->entries[low].start)
		return NULL;
	return &maps->entries[low];
}

bool map_entry__is_file(const struct map_entry *entry)
{
	return entry->inode != 0 && entry->path[0] == '/';
}
