/* SPDX-License-Identifier: Apache-2.0 */
/* /proc/PID/maps: odd paths, odd lines, our own mappings. */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/wait.h>
#include <unistd.h>

#include "../test.h"
#include "target/maps.h"

static int parse(const char *text, struct maps *maps)
{
	FILE *file = fmemopen((void *)(uintptr_t)text, strlen(text), "r");
	int err = maps__parse(file, maps);

	fclose(file);
	return err;
}

static void all_fields_are_read(void)
{
	struct maps maps;

	CHECK_EQ(parse("555555554000-555555556000 r-xp 00001000 fd:1a 1835123                    "
		       "/usr/sbin/nginx\n"
		       "555555600000-555555700000 rw-p 00000000 00:00 0 \n"
		       "7ffff7fc1000-7ffff7fc3000 r-xp 00000000 00:00 0                          "
		       "[vdso]\n"
		       "ffffffffff600000-ffffffffff601000 --xp 00000000 00:00 0                  "
		       "[vsyscall]\n",
		       &maps),
		 0);
	CHECK_EQ(maps.count, 4);
	CHECK_EQ(maps.malformed, 0);
	CHECK_EQ(maps.entries[0].start, 0x555555554000);
	CHECK_EQ(maps.entries[0].end, 0x555555556000);
	CHECK_EQ(maps.entries[0].offset, 0x1000);
	CHECK_EQ(maps.entries[0].device, makedev(0xfd, 0x1a));
	CHECK_EQ(maps.entries[0].inode, 1835123);
	CHECK(maps.entries[0].readable && maps.entries[0].executable);
	CHECK(!maps.entries[0].writable && !maps.entries[0].deleted);
	CHECK_STR(maps.entries[0].path, "/usr/sbin/nginx");
	CHECK(map_entry__is_file(&maps.entries[0]));
	CHECK_STR(maps.entries[1].path, "");
	CHECK(maps.entries[1].writable && !maps.entries[1].executable);
	CHECK(!map_entry__is_file(&maps.entries[1]));
	CHECK_STR(maps.entries[2].path, "[vdso]");
	CHECK(!map_entry__is_file(&maps.entries[2]));
	CHECK_EQ(maps.entries[3].end, 0xffffffffff601000);

	CHECK(maps__find(&maps, 0x555555553fff) == NULL);
	CHECK(maps__find(&maps, 0x555555554000) == &maps.entries[0]);
	CHECK(maps__find(&maps, 0x555555555fff) == &maps.entries[0]);
	CHECK(maps__find(&maps, 0x555555556000) == NULL);
	CHECK(maps__find(&maps, 0x5555556fffff) == &maps.entries[1]);
	CHECK(maps__find(&maps, UINT64_MAX) == NULL);
	maps__free(&maps);
	CHECK_EQ(maps.count, 0);
}

static void odd_paths_are_kept(void)
{
	struct maps maps;

	CHECK_EQ(parse("1000-2000 r-xp 00000000 08:01 5 /a b  c\n"
		       "2000-3000 r-xp 00000000 08:01 6 /new\\012line\\012\n"
		       "3000-4000 r-xp 00000000 08:01 7 /lib/old.so (deleted)\n"
		       "4000-5000 r-xp 00000000 08:01 8 /x\\0123\\\\134\n"
		       "5000-6000 r-xp 00000000 08:01 9 / (deleted)\n"
		       "6000-7000 rw-p 00000000 00:00 0 [anon:a (deleted)]\n"
		       "7000-8000 rw-p 00000000 00:00 0",
		       &maps),
		 0);
	CHECK_EQ(maps.count, 7);
	if (maps.count == 7) {
		CHECK_STR(maps.entries[0].path, "/a b  c");
		CHECK_STR(maps.entries[1].path, "/new\nline\n");
		CHECK_STR(maps.entries[2].path, "/lib/old.so");
		CHECK(maps.entries[2].deleted);
		CHECK_STR(maps.entries[3].path, "/x\n3\\\\134");
		CHECK(!maps.entries[3].deleted);
		CHECK_STR(maps.entries[4].path, "/");
		CHECK(maps.entries[4].deleted);
		CHECK_STR(maps.entries[5].path, "[anon:a (deleted)]");
		CHECK(!maps.entries[5].deleted);
		CHECK_STR(maps.entries[6].path, "");
	}
	maps__free(&maps);
}

static void lines_that_make_no_sense_are_counted(void)
{
	static const char *const bad[] = {
		"\n",
		"hello\n",
		"2000-1000 r-xp 00000000 00:00 0\n",
		"1000-1000 r-xp 00000000 00:00 0\n",
		"-1000 r-xp 00000000 00:00 0\n",
		"1000-2000 r-x 00000000 00:00 0\n",
		"1000-2000 r-xp 00000000 0000 0\n",
		"1000-2000 r-xp 00000000 00:00 \n",
		"1000-2000 r-xp 00000000 00:00 12f \n",
		"11111111111111111-2000 r-xp 00000000 00:00 0\n",
		"1000-2000 r-xp",
	};
	struct maps maps;
	size_t i;

	for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		CHECK_EQ(parse(bad[i], &maps), 0);
		CHECK_EQ(maps.count, 0);
		CHECK_EQ(maps.malformed, 1);
		maps__free(&maps);
	}
	/* Order is what the binary search stands on. */
	CHECK_EQ(parse("5000-6000 r-xp 0 00:00 0\n1000-2000 r-xp 0 00:00 0\n", &maps), 0);
	CHECK_EQ(maps.count, 1);
	CHECK_EQ(maps.malformed, 1);
	maps__free(&maps);
	maps__free(NULL);
}

static void our_own_mappings_are_found(void)
{
	char dir[] = "/tmp/luaspy maps-XXXXXX", path[128];
	const struct map_entry *entry;
	struct stat status;
	struct maps maps;
	void *memory;
	int fd;

	CHECK(mkdtemp(dir) != NULL);
	snprintf(path, sizeof(path), "%s/odd \n name", dir);
	fd = open(path, O_RDWR | O_CREAT | O_EXCL, 0600);
	CHECK(fd >= 0 && ftruncate(fd, 8192) == 0 && fstat(fd, &status) == 0);
	memory = mmap(NULL, 4096, PROT_READ, MAP_PRIVATE, fd, 4096);
	close(fd);

	CHECK_EQ(maps__read(getpid(), &maps), 0);
	CHECK_EQ(maps.malformed, 0);
	entry = maps__find(&maps, (uintptr_t)memory);
	CHECK(entry != NULL);
	if (entry) {
		CHECK_STR(entry->path, path);
		CHECK_EQ(entry->offset, 4096);
		CHECK_EQ(entry->inode, status.st_ino);
		CHECK(!entry->deleted);
	}
	entry = maps__find(&maps, (uintptr_t)&our_own_mappings_are_found);
	CHECK(entry && entry->executable && map_entry__is_file(entry));
	entry = maps__find(&maps, (uintptr_t)&entry);
	CHECK(entry && !entry->executable && entry->writable);
	maps__free(&maps);

	unlink(path);
	rmdir(dir);
	CHECK_EQ(maps__read(getpid(), &maps), 0);
	entry = maps__find(&maps, (uintptr_t)memory);
	CHECK(entry && entry->deleted);
	if (entry)
		CHECK_STR(entry->path, path);
	maps__free(&maps);
	munmap(memory, 4096);
}

static void processes_without_memory_are_told_apart(void)
{
	struct maps maps;
	siginfo_t info;
	pid_t child = fork();

	if (child == 0)
		_exit(0);
	waitid(P_PID, (id_t)child, &info, WEXITED | WNOWAIT);
	CHECK_EQ(maps__read(child, &maps), 0);
	CHECK_EQ(maps.count, 0);
	maps__free(&maps);
	waitpid(child, NULL, 0);
	CHECK_EQ(maps__read(child, &maps), (uint64_t)-ESRCH);
	CHECK_EQ(maps.count, 0);
}

int main(void)
{
	RUN(all_fields_are_read, "all fields of a line are read");
	RUN(odd_paths_are_kept, "blanks, newlines and (deleted) in paths");
	RUN(lines_that_make_no_sense_are_counted, "lines that make no sense are counted");
	RUN(our_own_mappings_are_found, "our own mappings are found");
	RUN(processes_without_memory_are_told_apart, "a zombie has none, a dead pid is -ESRCH");
	return TEST_RESULT();
}
