/* SPDX-License-Identifier: Apache-2.0 */
/* Which Lua a file contains, told from the texts in it; real builds where they are there;
 * ourselves, who are none. */
#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "../test.h"
#include "target/elf_file.h"
#include "vm/lua_files.h"

#define CORE	   "attempt to compare two %s values"
#define IMAGE_SIZE (600u << 10)

#define TEXTS(...) ((const char *const[]){__VA_ARGS__, NULL})

/* An ELF file without sections: one read-only segment, which is all of it. */
static int image_with(const char *const *texts, size_t at)
{
	static char image[IMAGE_SIZE];
	Elf64_Ehdr header = {.e_ident = {ELFMAG0, ELFMAG1, ELFMAG2, ELFMAG3, ELFCLASS64,
					 ELFDATA2LSB, EV_CURRENT},
			     .e_type = ET_DYN,
			     .e_machine = EM_X86_64,
			     .e_version = EV_CURRENT,
			     .e_phoff = sizeof(header),
			     .e_ehsize = sizeof(header),
			     .e_phentsize = sizeof(Elf64_Phdr),
			     .e_phnum = 1};
	Elf64_Phdr segment = {.p_type = PT_LOAD,
			      .p_flags = PF_R | PF_X,
			      .p_filesz = IMAGE_SIZE,
			      .p_memsz = IMAGE_SIZE,
			      .p_align = 4096};
	int fd = memfd_create("image", MFD_CLOEXEC);

	memset(image, 0, sizeof(image));
	memcpy(image, &header, sizeof(header));
	memcpy(image + sizeof(header), &segment, sizeof(segment));
	for (; *texts; texts++) {
		memcpy(image + at, *texts, strlen(*texts));
		at += strlen(*texts) + 1;
	}
	CHECK_EQ(write(fd, image, sizeof(image)), sizeof(image));
	return fd;
}

/* Through a mapping of our own, as with any process. */
static enum lua_kind examine(int fd, char *version, size_t size, uint32_t *release)
{
	void *memory = mmap(NULL, 4096, PROT_READ, MAP_PRIVATE, fd, 0);
	enum lua_kind kind = LUA_NONE;
	struct elf_file *elf = NULL;
	struct lua_file file = {};
	const struct map_entry *entry;
	struct maps maps;

	version[0] = '\0';
	CHECK_EQ(maps__read(getpid(), &maps), 0);
	entry = maps__find(&maps, (uintptr_t)memory);
	CHECK(entry != NULL);
	if (entry && elf_file__open_mapping(getpid(), entry, &elf) == 0) {
		CHECK_EQ(lua_file__examine(elf, &file), 0);
		kind = file.kind;
		snprintf(version, size, "%s", file.version);
		*release = file.release;
		CHECK(!file.has_build && !file.has_symbols);
	}
	elf_file__free(elf);
	maps__free(&maps);
	munmap(memory, 4096);
	close(fd);
	return kind;
}

#define SEGMENTS 4000u

/* Segments that lie over each other, 2 GB of them in a file of 600 KB, and then one with a text:
 * not all of that is read. */
static void what_is_read_has_a_bound(void)
{
	static Elf64_Phdr segments[SEGMENTS];
	uint64_t table = 8192, all = IMAGE_SIZE - 8192;
	uint32_t release, i;
	Elf64_Ehdr header;
	char found[64];
	int fd;

	for (i = 0; i < SEGMENTS; i++)
		segments[i] = (Elf64_Phdr){
			.p_type = PT_LOAD, .p_flags = PF_R, .p_filesz = all, .p_memsz = all};
	segments[SEGMENTS - 1] = (Elf64_Phdr){.p_type = PT_LOAD,
					      .p_flags = PF_R,
					      .p_offset = all,
					      .p_filesz = IMAGE_SIZE - all,
					      .p_memsz = IMAGE_SIZE - all};
	for (i = 1; i <= SEGMENTS; i += SEGMENTS - 1) {
		fd = image_with(TEXTS("Lua 5.3", CORE), all + 64);
		CHECK_EQ(pread(fd, &header, sizeof(header), 0), sizeof(header));
		header.e_phoff = table;
		header.e_phnum = (uint16_t)i;
		CHECK_EQ(pwrite(fd, &header, sizeof(header), 0), sizeof(header));
		CHECK_EQ(pwrite(fd, &segments[SEGMENTS - i], i * sizeof(*segments), (off_t)table),
			 (ssize_t)(i * sizeof(*segments)));
		CHECK_EQ(examine(fd, found, sizeof(found), &release), i == 1 ? LUA_PUC : LUA_NONE);
	}
}

static void expect(enum lua_kind kind, const char *version, size_t at, const char *const *texts)
{
	uint32_t release = 0;
	char found[64];

	CHECK_EQ(examine(image_with(texts, at), found, sizeof(found), &release), kind);
	CHECK_STR(found, version);
}

static void expect_release(uint32_t expected, const char *const *texts)
{
	uint32_t release = UINT32_MAX;
	char found[64];

	CHECK_EQ(examine(image_with(texts, 4096), found, sizeof(found), &release), LUA_PUC);
	CHECK_EQ(release, expected);
}

static void versions_are_told_from_texts(void)
{
	size_t at = 4096;

	expect(LUA_PUC, "Lua 5.4.4", at,
	       TEXTS("$LuaVersion: Lua 5.4.4  Copyright (C) 1994-2022 Lua.org, PUC-Rio $", CORE));
	expect(LUA_PUC, "Lua 5.1.5", at,
	       TEXTS(CORE, "$Lua: Lua 5.1.5 Copyright (C) 1994-2012 Lua.org, PUC-Rio $"));
	/* Its text was dropped by the linker: _VERSION. */
	expect(LUA_PUC, "Lua 5.3", at, TEXTS("_VERSION", "Lua 5.3", CORE));
	expect(LUA_LUAJIT, "LuaJIT 2.1.1737090214", at,
	       TEXTS("Lua 5.1", "LuaJIT 2.1.1737090214", CORE));
	expect(LUA_LUAJIT, "LuaJIT 2.1.0-beta3", at,
	       TEXTS("LuaJIT 2.1.0-beta3 -- Copyright (C) 2005-2017 Mike Pall", CORE));
	expect(LUA_LUAJIT, "LuaJIT 2.1.ROLLING", at, TEXTS("LuaJIT 2.1.ROLLING", CORE));
}

static void a_release_is_told_where_it_is_known(void)
{
	expect_release(50404,
		       TEXTS("$LuaVersion: Lua 5.4.4  Copyright (C) 1994-2022 Lua.org", CORE));
	expect_release(50215,
		       TEXTS("$LuaVersion: Lua 5.2.15  Copyright (C) 1994-2022 Lua.org", CORE));
	expect_release(50105, TEXTS("$Lua: Lua 5.1.5 Copyright (C) 1994-2012 Lua.org", CORE));
	/* The first one was called that, and the later ones have the same layouts. */
	expect_release(50100, TEXTS("Lua 5.1", CORE));
	expect_release(0, TEXTS("Lua 5.3", CORE));
}

static void texts_across_blocks_are_seen(void)
{
	size_t at;

	/* Around the end of the first block of 256 KiB, and of what is looked at of it. */
	for (at = (256u << 10) - 160; at < (256u << 10) + 16; at += 7)
		expect(LUA_PUC, "Lua 5.4.4", at,
		       TEXTS("Lua 5.4.4  Copyright (C) 1994-2022 Lua.org", CORE));
	/* and at the very end */
	expect(LUA_PUC, "Lua 5.3", IMAGE_SIZE - 8 - sizeof(CORE), TEXTS("Lua 5.3", CORE));
}

static void texts_alone_make_no_lua(void)
{
	size_t at = 4096;

	expect(LUA_NONE, "", at, TEXTS("Lua 5.4.4  Copyright (C) 1994-2022 Lua.org, PUC-Rio"));
	expect(LUA_NONE, "", at, TEXTS("ngx_lua needs LuaJIT 2.1 or newer"));
	expect(LUA_NONE, "", at, TEXTS(CORE));
	expect(LUA_NONE, "", at, TEXTS(CORE, "for Lua 5.4 and newer", "Lua 5.", "LuaJIT 2."));
	expect(LUA_NONE, "", at,
	       TEXTS("$LuaVersion: Lua 5.4.4", "ttempt to compare two %s values"));
	expect(LUA_NONE, "", IMAGE_SIZE - 12, TEXTS("Lua 5.4.4 "));
}

static void a_program_that_knows_lua_is_none(void)
{
	struct lua_files *files = lua_files__new();
	struct map_entry anonymous = {.path = (char *)""};
	struct maps maps;
	size_t i;

	/* (This test has the texts as constants, so its own file may not be looked at.) */
	CHECK_EQ(maps__read(getpid(), &maps), 0);
	for (i = 0; i < maps.count; i++) {
		const struct lua_file *file;

		if (!maps.entries[i].executable || strstr(maps.entries[i].path, "test_lua_files"))
			continue;
		file = lua_files__get(files, getpid(), &maps.entries[i]);
		CHECK(!file || file->kind == LUA_NONE);
		CHECK(file == lua_files__get(files, getpid(), &maps.entries[i]));
	}
	CHECK(lua_files__get(files, getpid(), &anonymous) == NULL);
	CHECK_STR(lua_files__program(files, getpid(), &anonymous)->server, "");
	maps__free(&maps);
	lua_files__free(files);
}

/* A fixture's library, mapped as a loader would. */
static void a_real_build(void)
{
	const char *fixtures = getenv("LUASPY_FIXTURES");
	struct lua_files *files = lua_files__new();
	const struct lua_file *file;
	char path[512];
	struct maps maps;
	struct stat st;
	void *memory;
	int fd;

	snprintf(path, sizeof(path), "%s/bullseye-luajit/shared/libluajit-5.1.so.2",
		 fixtures ? fixtures : "build/fixtures");
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0) {
		lua_files__free(files);
		SKIP("no fixtures: tests/fixtures/fetch gets them");
	}
	CHECK_EQ(fstat(fd, &st), 0);
	memory = mmap(NULL, (size_t)st.st_size, PROT_READ | PROT_EXEC, MAP_PRIVATE, fd, 0);
	CHECK_EQ(maps__read(getpid(), &maps), 0);
	file = lua_files__get(files, getpid(), maps__find(&maps, (uintptr_t)memory));
	CHECK(file != NULL);
	if (file) {
		CHECK_EQ(file->kind, LUA_LUAJIT);
		CHECK_STR(file->version, "LuaJIT 2.1.0-beta3");
		CHECK(file->has_build && !file->has_symbols);
		CHECK_EQ(file->build.gc64, 0);
		CHECK_EQ(file->inode, st.st_ino);
	}
	maps__free(&maps);
	munmap(memory, (size_t)st.st_size);
	close(fd);
	lua_files__free(files);
}

int main(void)
{
	RUN(versions_are_told_from_texts, "versions are told from texts");
	RUN(a_release_is_told_where_it_is_known, "a release is told where it is known");
	RUN(texts_across_blocks_are_seen, "texts are seen wherever they stand");
	RUN(what_is_read_has_a_bound, "what is read of a file has a bound");
	RUN(texts_alone_make_no_lua, "a name alone makes no Lua, nor an error's text");
	RUN(a_program_that_knows_lua_is_none, "what we have mapped is no Lua");
	RUN(a_real_build, "a real build is found and understood");
	return TEST_RESULT();
}
