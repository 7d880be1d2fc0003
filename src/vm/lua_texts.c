/* SPDX-License-Identifier: Apache-2.0 */
#include "lua_texts.h"

#include <ctype.h>
#include <errno.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "../target/elf_image.h"

#define BLOCK_BYTES (256u << 10)
#define TAIL_BYTES  128u	 /* how far a text may go on behind the place where it was found */
#define MAX_BYTES   (1ull << 30) /* of one search: segments may lie over each other */

struct range {
	uint64_t offset, size;
};

static bool search_block(const char *block, size_t size, size_t starts, const char *needle,
			 char before, lua_texts_fn found, void *context)
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

struct reader {
	const struct elf_image *image;
	int fd;
	char *buffer;
	uint64_t left; /* bytes that may still be read */
};

static ssize_t read_block(struct reader *self, uint64_t offset, size_t size, const char **block)
{
	if (size > self->left) {
		self->left = 0;
		return -1;
	}
	self->left -= size;
	if (self->fd >= 0) {
		*block = self->buffer;
		return pread(self->fd, self->buffer, size, (off_t)offset);
	}
	*block = elf_image__bytes(self->image, offset, size);
	return *block ? (ssize_t)size : -1;
}

/* Blocks overlap by TAIL_BYTES, so that what is found at the end of one is seen whole. */
static bool search_range(struct reader *reader, const struct range *range, const char *needle,
			 lua_texts_fn found, void *context)
{
	const char *block;
	uint64_t done = 0;
	char before = '\0';
	size_t size, starts;
	ssize_t got;

	while (done < range->size) {
		size = range->size - done < BLOCK_BYTES ? range->size - done : BLOCK_BYTES;
		got = read_block(reader, range->offset + done, size, &block);
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

int lua_texts__search(Elf *elf, int fd, const char *needle, lua_texts_fn found, void *context)
{
	struct elf_image image;
	struct reader reader = {.image = &image, .fd = fd, .left = MAX_BYTES};
	const Elf64_Shdr *section;
	struct range range;
	size_t i;
	int err;

	err = elf_image__read(elf, &image);
	if (err)
		return err == -ENOMEM ? err : 0;
	if (fd >= 0) {
		reader.buffer = malloc(BLOCK_BYTES);
		if (!reader.buffer) {
			elf_image__free(&image);
			return -ENOMEM;
		}
	}
	section = elf_image__section(&image, ".rodata");
	if (section && section->sh_type == SHT_PROGBITS && section->sh_offset <= INT64_MAX) {
		range = (struct range){section->sh_offset, section->sh_size};
		search_range(&reader, &range, needle, found, context);
		goto out;
	}
	for (i = 0; i < image.segment_count; i++) {
		const Elf64_Phdr *segment = &image.segments[i];

		if (segment->p_type != PT_LOAD || segment->p_flags & PF_W ||
		    segment->p_offset > INT64_MAX)
			continue;
		range = (struct range){segment->p_offset, segment->p_filesz};
		if (search_range(&reader, &range, needle, found, context))
			break;
	}
out:
	free(reader.buffer);
	elf_image__free(&image);
	return 0;
}

/* ---- versions -------------------------------------------------------------------------------- */

static bool begins(const char *at, const char *end, const char *word)
{
	size_t length = strlen(word);

	return (size_t)(end - at) >= length && memcmp(at, word, length) == 0;
}

size_t lua_texts__copy_version(const char *at, const char *end, const char *prefix, char *out,
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

/* At each "Lua". */
static bool collect_version(void *context, const char *at, const char *end, char before)
{
	struct lua_versions *self = context;
	size_t i;

	if (!self->luajit[0] && begins(at, end, "LuaJIT 2.") && end - at > 9 &&
	    isdigit((unsigned char)at[9])) {
		lua_texts__copy_version(at + 7, end, "", self->luajit, sizeof(self->luajit));
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

int lua_texts__versions(Elf *elf, int fd, struct lua_versions *versions)
{
	bool core = false;
	int err;

	memset(versions, 0, sizeof(*versions));
	err = lua_texts__search(elf, fd, "Lua", collect_version, versions);
	if (!err && (versions->luajit[0] || versions->puc[0] || versions->puc_short[0]))
		err = lua_texts__search(elf, fd, "ttempt to compare two %s values", is_core_text,
					&core);
	if (!core)
		memset(versions, 0, sizeof(*versions));
	return err;
}
