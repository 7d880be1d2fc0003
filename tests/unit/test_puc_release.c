/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A file's release of PUC Lua: from its text, and, in the system's lua5.1 to lua5.4 with that text
 * wiped out as a linker drops it, from luaV_execute's code. That code is changed to what releases
 * with other layouts have.
 */
#include <string.h>

#include "../test.h"
#include "test_puc_file.h"
#include "vm/puc_release.h"

static void test_texts(void)
{
	static const struct {
		const char *text;
		unsigned int release;
	} texts[] = {
		{"Lua 5.4.4", 50404},  {"Lua 5.1.5", 50105},
		{"Lua 5.3.0", 50300},  {"Lua 5.1", 50100},
		{"Lua 5.2.15", 50215}, {"Lua 6.0.1", 60001},
		{"Lua 5.4", 0},	       {"Lua 5", 0},
		{"Lua ", 0},	       {"", 0},
		{"Lua 5.4.", 0},       {"Lua 5..4", 0},
		{"Lua 5.4.4.1", 0},    {"Lua 5.4.4-rc1", 0},
		{"Lua 5.4.100", 0},    {"Lua 5.-4.1", 0},
		{"Lua  5.4.1", 0},     {"lua 5.4.4", 0},
		{"LuaJIT 2.1.0", 0},   {"Lua 5.4.99999999999999999999", 0},
	};
	size_t i;

	for (i = 0; i < sizeof(texts) / sizeof(texts[0]); i++)
		CHECK_EQ(puc_release__of(texts[i].text), texts[i].release);
}

/* Each version's newest release has layouts; of another text there is none. */
static void test_newest(void)
{
	static const char *const versions[] = {"Lua 5.1", "Lua 5.2", "Lua 5.3", "Lua 5.4",
					       "Lua 5.5"};
	struct puc_build build;
	size_t i;

	for (i = 0; i < sizeof(versions) / sizeof(versions[0]); i++) {
		CHECK_EQ(puc_release__newest(versions[i]) / 100, 501 + i);
		CHECK_EQ(puc_layout__get(puc_release__newest(versions[i]), &build), 0);
	}
	CHECK_EQ(puc_release__newest("Lua 5.6"), 0);
	CHECK_EQ(puc_release__newest("Lua 5.4.4"), 0);
	CHECK_EQ(puc_release__newest(""), 0);
}

/* ---- from the code -----------------------------------------------------------------------------
 */

/* Wipes out each "Lua 5.4.4" that has a third number: how many. */
static int drop_release(struct file *file)
{
	int dropped = 0;
	char *at = file->bytes, *end = file->bytes + file->size;

	while ((at = memmem(at, (size_t)(end - at), "Lua 5.", 6))) {
		if (end - at > 9 && at[7] == '.') {
			memset(at, '-', 9);
			dropped++;
		}
		at++;
	}
	return dropped;
}

/* The file without its release; SKIPs when there is none. */
#define NEED_FILE(file, path)                                                                      \
	struct file file = read_file(path);                                                        \
                                                                                                   \
	if (!file.size)                                                                            \
	SKIP("cannot: that lua is not installed")

static void check_dropped(const char *path, unsigned int release_number)
{
	struct found found;
	NEED_FILE(file, path);

	CHECK(drop_release(&file) > 0);
	found = find(&file);
	CHECK_EQ(found.err, 0);
	CHECK_EQ(found.build.release, release_number);
	release(&found);
	free(file.bytes);
}

static void test_dropped_51(void)
{
	check_dropped("/usr/bin/lua5.1", 50100);
}

static void test_dropped_52(void)
{
	check_dropped("/usr/bin/lua5.2", 50204);
}

static void test_dropped_53(void)
{
	check_dropped("/usr/bin/lua5.3", 50306);
}

static void test_dropped_54(void)
{
	check_dropped("/usr/bin/lua5.4", 50408);
}

/* Replaces the byte at `skip` of each `pattern` in [start, start + size); file offsets of code are
 * addresses here. How many. */
static int replace(const struct file *file, uint64_t start, uint64_t size, const char *pattern,
		   size_t length, size_t skip, char byte)
{
	uint64_t at;
	int count = 0;

	for (at = start; at + length <= start + size && at + length <= file->size; at++) {
		if (memcmp(file->bytes + at, pattern, length) == 0) {
			file->bytes[at + skip] = byte;
			count++;
		}
	}
	return count;
}

/* 5.4.1 and 5.4.2 have hookmask at 184, not at 192. */
static void test_other_54(void)
{
	struct found whole, found;
	NEED_FILE(file, "/usr/bin/lua5.4");

	whole = find(&file);
	CHECK_EQ(whole.err, 0);
	CHECK(drop_release(&file) > 0);
	CHECK(replace(&file, whole.build.execute_start,
		      whole.build.execute_end - whole.build.execute_start, "\xc0\0\0\0", 4, 0,
		      '\xb8') > 0);
	found = find(&file);
	CHECK_EQ(found.err, -EINVAL);
	release(&found);
	release(&whole);
	free(file.bytes);
}

/* 5.3.0 and 5.3.1 do not mark their frame (callstatus |= 8, at 66) at the entry. */
static void test_other_53(void)
{
	struct found whole, found;
	NEED_FILE(file, "/usr/bin/lua5.3");

	whole = find(&file);
	CHECK_EQ(whole.err, 0);
	CHECK(drop_release(&file) > 0);
	CHECK_EQ(replace(&file, whole.build.execute_start, 96, "\x42\x08", 2, 0, 0x45), 1);
	found = find(&file);
	CHECK_EQ(found.err, -EINVAL);
	release(&found);
	release(&whole);
	free(file.bytes);
}

int main(void)
{
	elf_version(EV_CURRENT);
	RUN(test_texts, "the release of a text");
	RUN(test_newest, "the newest release of a version");
	RUN(test_dropped_51, "lua5.1 without its release");
	RUN(test_dropped_52, "lua5.2 without its release");
	RUN(test_dropped_53, "lua5.3 without its release");
	RUN(test_dropped_54, "lua5.4 without its release");
	RUN(test_other_54, "a release of 5.4 with other layouts");
	RUN(test_other_53, "a release of 5.3 with other layouts");
	return TEST_RESULT();
}
