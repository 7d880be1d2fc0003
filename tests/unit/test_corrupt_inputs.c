/* SPDX-License-Identifier: Apache-2.0 */
/*
 * More than 10,000 corrupt inputs of everything that is read of a target: ELF headers, section
 * tables, .eh_frame, notes, LuaJIT's code, /proc/PID/maps, Lua heaps. Each is a good one in which a
 * few bytes were changed, the same ones in each run. What must hold: an error or a result that is
 * in itself consistent, in bounded time; the sanitizers see the rest.
 *
 * The fuzz targets' checks are used as they are. They search for inputs; this counts them.
 */
#include <elf.h>
#include <errno.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "../test.h"
#include "symbol/elf_symbols.h"
#include "target/elf_image.h"
#include "target/maps.h"
#include "vm/luajit.h"

#define LLVMFuzzerTestOneInput read_eh_frame
#define expect		       expect_of_table
#include "../fuzz/fuzz_eh_frame.c"
#undef expect
#undef LLVMFuzzerTestOneInput

#define LLVMFuzzerTestOneInput read_heap
#include "../fuzz/fuzz_builtins.c"
#undef LLVMFuzzerTestOneInput

#define LLVMFuzzerTestOneInput walk_memory
#define LLVMFuzzerInitialize   take_recordings
#include "../fuzz/fuzz_walk.c"
#undef LLVMFuzzerInitialize
#undef LLVMFuzzerTestOneInput

#define SECONDS_PER_KIND 120u /* the sanitizers' builds need a few; beyond this something hangs */
#define MAX_FILE	 (8u << 20)

static uint64_t random_state = 0x9e3779b97f4a7c15;
static size_t total;
static bool has_luajit; /* the file that is changed */

static uint64_t next_random(void)
{
	random_state ^= random_state << 13;
	random_state ^= random_state >> 7;
	random_state ^= random_state << 17;
	return random_state;
}

static void begin_kind(void)
{
	alarm(SECONDS_PER_KIND);
}

static void end_kind(const char *kind, size_t inputs, size_t refused)
{
	alarm(0);
	total += inputs;
	printf("# %-28s %5zu inputs, %5zu refused\n", kind, inputs, refused);
}

/* ---- ELF files ------------------------------------------------------------------------------- */

struct bytes {
	uint8_t *at;
	size_t size;
};

struct range {
	uint64_t offset, size;
};

static bool read_file(const char *path, struct bytes *file)
{
	FILE *stream = fopen(path, "rb");

	file->at = malloc(MAX_FILE);
	file->size = stream && file->at ? fread(file->at, 1, MAX_FILE, stream) : 0;
	if (stream)
		fclose(stream);
	return file->size > sizeof(Elf64_Ehdr);
}

/* Values that lengths, offsets and counts are wrong by. */
static void change(uint8_t *at, size_t size)
{
	static const uint64_t values[] = {
		0,	    1,		 7,	     0x7f,	 0xff,
		0xfffe,	    0xffff,	 0x7fffffff, 0x80000000, 0xffffffff,
		1ull << 40, 1ull << 63,	 INT64_MAX,  UINT64_MAX, UINT64_MAX - 7,
		0x1000,	    0xfffff000u, 64,	     4096 - 1,	 0x3fffffff};
	size_t width = (size_t)1 << next_random() % 4, offset;
	uint64_t value;

	if (width > size)
		width = 1;
	offset = next_random() % (size - width + 1);
	switch (next_random() % 4) {
	case 0:
		at[offset] ^= (uint8_t)(1u << next_random() % 8);
		return;
	case 1:
		value = next_random();
		break;
	case 2:
		memcpy(&value, at + offset, width); /* a little more or less */
		value += next_random() % 17 - 8;
		break;
	default:
		value = values[next_random() % (sizeof(values) / sizeof(values[0]))];
	}
	memcpy(at + offset, &value, width);
}

/* All that is read of a target's file. Was it refused, or a part of it? */
static bool read_elf(Elf *elf)
{
	struct unwind_rules *rules = unwind_rules__new();
	struct unwind_table *table = NULL;
	struct elf_symbols *symbols = NULL;
	struct luajit_found found;
	char hex[129];
	bool refused;
	int length, err;

	CHECK(rules != NULL);
	length = elf_build_id(elf, hex, sizeof(hex));
	CHECK(length < 0 || strlen(hex) == (size_t)length);
	refused = length < 0;
	err = unwind_table__build(elf, rules, &table);
	if (err) {
		refused = true;
	} else {
		check_table(table, rules);
		err = luajit__find(elf, table, rules, &found);
		CHECK(err == 0 || err == -ENOENT || err == -EINVAL || err == -EBADMSG ||
		      err == -ENOMEM || err == -ENOSPC);
		refused |= table->skipped != 0 || (has_luajit && err);
	}
	CHECK_EQ(elf_symbols__load(elf, -1, NULL, &symbols), 0);
	elf_symbols__find(symbols, next_random() % 0x20000, NULL);
	elf_symbols__free(symbols);
	unwind_table__free(table);
	unwind_rules__free(rules);
	return refused;
}

/* One copy, from memory or, as a target's, from a file. */
static bool read_copy(const struct bytes *file, bool from_file)
{
	bool refused = true;
	uint8_t *copy;
	Elf *elf;
	int fd;

	if (from_file) {
		fd = memfd_create("corrupt", MFD_CLOEXEC);
		CHECK(fd >= 0 && write(fd, file->at, file->size) == (ssize_t)file->size);
		if (elf_image__open_fd(fd, &elf) == 0) {
			refused = read_elf(elf);
			elf_end(elf);
		}
		close(fd);
		return refused;
	}
	copy = malloc(file->size); /* of this size: a read past the end is seen */
	CHECK(copy != NULL);
	memcpy(copy, file->at, file->size);
	if (elf_image__open_memory(copy, file->size, &elf) == 0) {
		refused = read_elf(elf);
		elf_end(elf);
	}
	free(copy);
	return refused;
}

/* `count` copies with one to `most_changes` changes in these parts of the file; some are cut off as
 * well. */
static void corrupt_file(const char *kind, const char *path, const struct range *ranges,
			 size_t range_count, size_t count, size_t most_changes)
{
	struct bytes file, changed;
	size_t i, k, refused = 0;

	if (!read_file(path, &file)) {
		printf("# %s cannot be read\n", path);
		CHECK(!"a file to change");
		free(file.at);
		return;
	}
	CHECK(range_count > 0);
	changed.at = malloc(file.size);
	CHECK(changed.at != NULL);
	begin_kind();
	for (i = 0; range_count && i < count; i++) {
		changed.size = file.size;
		memcpy(changed.at, file.at, file.size);
		for (k = 0; k <= i % most_changes; k++) {
			const struct range *range = &ranges[next_random() % range_count];

			if (range->size && range->offset + range->size <= file.size)
				change(changed.at + range->offset, range->size);
		}
		if (i % 16 == 15)
			changed.size = 1 + next_random() % file.size;
		refused += read_copy(&changed, i % 4 == 0);
	}
	end_kind(kind, i, refused);
	/* Both must have been met: else this changes nothing, or never gets beyond the first check.
	 */
	CHECK(refused > 0 && refused < count);
	free(changed.at);
	free(file.at);
}

static const Elf64_Ehdr *header_of(const struct bytes *file)
{
	return (const Elf64_Ehdr *)(const void *)file->at;
}

/* The sections of a type, or of a name. */
static size_t find_sections(const char *path, uint32_t type, const char *name, struct range *ranges,
			    size_t most)
{
	const Elf64_Shdr *sections, *section;
	const Elf64_Ehdr *header;
	struct bytes file;
	size_t i, found = 0;

	if (read_file(path, &file)) {
		header = header_of(&file);
		sections = (const Elf64_Shdr *)(const void *)(file.at + header->e_shoff);
		for (i = 0; i < header->e_shnum && found < most; i++) {
			section = &sections[i];
			if (section->sh_type == type ||
			    (name &&
			     strcmp((const char *)file.at + sections[header->e_shstrndx].sh_offset +
					    section->sh_name,
				    name) == 0))
				ranges[found++] =
					(struct range){section->sh_offset, section->sh_size};
		}
	}
	free(file.at);
	return found;
}

static const char *small_file(void)
{
	return access("/usr/bin/true", R_OK) == 0 ? "/usr/bin/true" : "/bin/true";
}

static void elf_headers(void)
{
	const struct range ranges[] = {{0, sizeof(Elf64_Ehdr)},
				       {sizeof(Elf64_Ehdr), 11 * sizeof(Elf64_Phdr)}};

	corrupt_file("ELF headers", small_file(), ranges, 2, 3000, 8);
}

static void section_tables(void)
{
	struct range range = {0, 0};
	struct bytes file;

	if (read_file(small_file(), &file))
		range = (struct range){header_of(&file)->e_shoff,
				       header_of(&file)->e_shnum * sizeof(Elf64_Shdr)};
	free(file.at);
	corrupt_file("section tables", small_file(), &range, 1, 3000, 8);
}

static void eh_frames(void)
{
	struct range ranges[4];
	size_t count = find_sections(small_file(), SHT_NULL, ".eh_frame", ranges, 4);

	corrupt_file(".eh_frame", small_file(), ranges, count, 3000, 8);
}

static void notes(void)
{
	struct range ranges[8];
	size_t count = find_sections(small_file(), SHT_NOTE, NULL, ranges, 8);

	corrupt_file("notes", small_file(), ranges, count, 1500, 8);
}

static void luajit_code(void)
{
	const char *fixtures = getenv("LUASPY_FIXTURES");
	struct range ranges[4];
	char path[4096];
	size_t count;

	snprintf(path, sizeof(path), "%s/bookworm-luajit2/shared/libluajit-5.1.so.2",
		 fixtures ? fixtures : "build/fixtures");
	if (access(path, R_OK) != 0)
		SKIP("the fixture bookworm-luajit2 is not there (tests/fixtures/fetch)");
	count = find_sections(path, SHT_NULL, ".text", ranges, 2);
	count += find_sections(path, SHT_NULL, ".rodata", ranges + count, 1);
	count += find_sections(path, SHT_NULL, ".eh_frame", ranges + count, 1);
	has_luajit = true;
	corrupt_file("a LuaJIT's code and tables", path, ranges, count, 400, 200);
	has_luajit = false;
}

/* ---- mappings ----------------------------------------------------------------------------------
 */

static size_t corrupt_text(char *text, size_t size, size_t room)
{
	static const char parts[][24] = {"\n",	     "-",	   " ",	     "ffffffffffffffff",
					 "00000000", " (deleted)", "[vdso]", "\\012",
					 "r-xp",     "/",	   ":",	     "7fffffffffff-"};
	const char *part = parts[next_random() % (sizeof(parts) / sizeof(parts[0]))];
	size_t at = next_random() % size, length = strlen(part);

	switch (next_random() % 4) {
	case 0:
		text[at] = (char)next_random();
		break;
	case 1: /* one piece over another */
		length = next_random() % 200 % (size - at);
		memmove(text + next_random() % (size - length), text + at, length);
		break;
	case 2:
		if (size + length <= room) {
			memmove(text + at + length, text + at, size - at);
			memcpy(text + at, part, length);
			size += length;
		}
		break;
	default:
		memmove(text + at, text + at + 1, size - at - 1);
		size -= size > 1;
	}
	return size;
}

static void mappings(void)
{
	static char whole[1 << 16], text[1 << 17];
	size_t i, k, size, whole_size, refused = 0;
	FILE *stream = fopen("/proc/self/maps", "r");
	struct maps maps;

	whole_size = stream ? fread(whole, 1, sizeof(whole), stream) : 0;
	if (stream)
		fclose(stream);
	CHECK(whole_size > 1000);
	begin_kind();
	for (i = 0; whole_size > 1000 && i < 2000; i++) {
		size = 200 + next_random() % (whole_size - 200);
		memcpy(text, whole + (whole_size - size), size);
		for (k = 0; k <= i % 12; k++)
			size = corrupt_text(text, size, sizeof(text));
		stream = fmemopen(text, size, "r");
		CHECK(stream != NULL);
		if (!stream)
			break;
		CHECK_EQ(maps__parse(stream, &maps), 0);
		fclose(stream);
		refused += maps.malformed != 0;
		for (k = 0; k < maps.count; k++) {
			CHECK(maps.entries[k].start < maps.entries[k].end);
			CHECK(k == 0 || maps.entries[k].start >= maps.entries[k - 1].end);
			CHECK(maps__find(&maps, maps.entries[k].start) == &maps.entries[k]);
		}
		maps__free(&maps);
	}
	end_kind("mappings", i, refused);
	CHECK(refused > 0 && refused < i);
}

/* ---- Lua heaps ------------------------------------------------------------------------------ */

static void heaps(void)
{
	uint8_t input[1 + 8 * 24];
	size_t i, k;

	begin_kind();
	for (i = 0; i < 1500; i++) {
		for (k = 0; k < sizeof(input); k++)
			input[k] = (uint8_t)next_random();
		/* When: in order, over the whole of the walk. */
		for (k = 0; k < 24; k++)
			input[1 + k * 8] = (uint8_t)(k * 10);
		read_heap(input, 1 + 8 * (1 + i % 24));
	}
	end_kind("Lua heaps", i, 0);
}

static void recorded_memory(void)
{
	uint8_t input[1 + 12 * 16];
	size_t i, k;

	take_recordings(NULL, NULL);
	begin_kind();
	for (i = 0; i < 3000; i++) {
		for (k = 0; k < sizeof(input); k++)
			input[k] = (uint8_t)next_random();
		walk_memory(input, 1 + 12 * (1 + i % 16));
	}
	end_kind("recorded stacks and heaps", i, 0);
}

static void there_were_enough(void)
{
	printf("# %zu inputs in all\n", total);
	CHECK(total >= 10000);
}

int main(void)
{
	elf_version(EV_CURRENT);
	RUN(elf_headers, "corrupt ELF headers: an error, or a result in order");
	RUN(section_tables, "corrupt section tables: an error, or a result in order");
	RUN(eh_frames, "corrupt .eh_frame: an error, or a result in order");
	RUN(notes, "corrupt notes: an error, or a result in order");
	RUN(luajit_code, "a corrupt LuaJIT: an error, or a result in order");
	RUN(mappings, "corrupt mappings: left out and counted, the others in order");
	RUN(heaps, "corrupt heaps: read in bounded steps");
	RUN(recorded_memory, "corrupt stacks and heaps of recorded processes: walks in order");
	RUN(there_were_enough, "10,000 inputs and more");
	return TEST_RESULT();
}
