// SPDX-License-Identifier: Apache-2.0
/* Where outputs go: replacement in one step, nothing left behind, streams written directly. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/wait.h>
#include <unistd.h>

#include "../test.h"
#include "output/output.h"

static char directory[64];

static int write_new(const struct profile *profile, FILE *out)
{
	return fputs("new", out) < 0 ? -EIO : 0;
}

static int write_half(const struct profile *profile, FILE *out)
{
	fputs("half", out);
	return -ENOMEM;
}

static int write_much(const struct profile *profile, FILE *out)
{
	for (int i = 0; i < 1 << 20; i++) {
		if (putc('x', out) == EOF)
			return -errno;
	}
	return 0;
}

static const char *in_directory(const char *name)
{
	static char path[128];

	snprintf(path, sizeof(path), "%s/%s", directory, name);
	return path;
}

static void put(const char *name, const char *text)
{
	FILE *file = fopen(in_directory(name), "w");

	CHECK(file && fputs(text, file) >= 0 && fclose(file) == 0);
}

static const char *contents(const char *path)
{
	static char text[64];
	FILE *file = fopen(path, "r");

	if (!file)
		return NULL;
	text[fread(text, 1, sizeof(text) - 1, file)] = '\0';
	fclose(file);
	return text;
}

static int entries(void)
{
	DIR *dir = opendir(directory);
	int count = -2;

	while (readdir(dir))
		count++;
	closedir(dir);
	return count;
}

static void clean(void)
{
	DIR *dir = opendir(directory);
	struct dirent *entry;

	while ((entry = readdir(dir)))
		unlinkat(dirfd(dir), entry->d_name, 0);
	closedir(dir);
}

static void a_new_file_has_the_usual_mode(void)
{
	mode_t mask = umask(027);
	struct stat st;

	CHECK_EQ(output_file__write(in_directory("new"), NULL, write_new), 0);
	umask(mask);
	CHECK_STR(contents(in_directory("new")), "new");
	CHECK(stat(in_directory("new"), &st) == 0);
	CHECK_EQ(st.st_mode & 07777, 0640);
	CHECK_EQ(entries(), 1);
	clean();
}

static void an_old_file_stays_whole_until_it_is_replaced(void)
{
	FILE *old;
	char text[8] = "";

	put("file", "old");
	CHECK_EQ(output_file__write(in_directory("file"), NULL, write_half), -ENOMEM);
	CHECK_STR(contents(in_directory("file")), "old");
	CHECK_EQ(entries(), 1);
	old = fopen(in_directory("file"), "r");
	CHECK_EQ(output_file__write(in_directory("file"), NULL, write_new), 0);
	CHECK_STR(contents(in_directory("file")), "new");
	CHECK(fgets(text, sizeof(text), old) != NULL);
	CHECK_STR(text, "old"); /* another file, not the old one rewritten */
	fclose(old);
	CHECK_EQ(entries(), 1);
	clean();
}

static void a_symbolic_link_is_replaced_not_followed(void)
{
	char target[128];
	struct stat st;

	put("target", "precious");
	snprintf(target, sizeof(target), "%s", in_directory("target"));
	CHECK(symlink(target, in_directory("link")) == 0);
	CHECK_EQ(output_file__write(in_directory("link"), NULL, write_new), 0);
	CHECK_STR(contents(target), "precious");
	CHECK(lstat(in_directory("link"), &st) == 0 && S_ISREG(st.st_mode));
	CHECK_STR(contents(in_directory("link")), "new");
	CHECK(symlink("nowhere", in_directory("dangling")) == 0);
	CHECK_EQ(output_file__write(in_directory("dangling"), NULL, write_new), 0);
	CHECK(access(in_directory("nowhere"), F_OK) != 0);
	CHECK_STR(contents(in_directory("dangling")), "new");
	clean();
}

static void streams_are_written_directly(void)
{
	char text[8] = "";
	struct stat st;
	int reader;

	CHECK_EQ(output_file__write("/dev/null", NULL, write_new), 0);
	CHECK(stat("/dev/null", &st) == 0 && S_ISCHR(st.st_mode));
	CHECK_EQ(output_file__write("/dev/full", NULL, write_new), -ENOSPC);

	CHECK(mkfifo(in_directory("fifo"), 0600) == 0);
	reader = open(in_directory("fifo"), O_RDONLY | O_NONBLOCK);
	CHECK_EQ(output_file__write(in_directory("fifo"), NULL, write_new), 0);
	CHECK_EQ(read(reader, text, sizeof(text)), 3);
	CHECK_STR(text, "new");
	close(reader);
	CHECK_EQ(entries(), 1);
	clean();
}

static void a_name_of_our_own_is_a_new_file(void)
{
	static const char *const names[] = {"device", "fifo", "link", "dangling"};
	char target[128];
	struct stat st;
	size_t i;

	put("target", "precious");
	snprintf(target, sizeof(target), "%s", in_directory("target"));
	CHECK(symlink("/dev/full", in_directory("device")) == 0);
	CHECK(mkfifo(in_directory("fifo"), 0600) == 0);
	CHECK(symlink(target, in_directory("link")) == 0);
	CHECK(symlink("nowhere", in_directory("dangling")) == 0);
	for (i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		CHECK_EQ(output_file__create(in_directory(names[i]), NULL, write_new), 0);
		CHECK(lstat(in_directory(names[i]), &st) == 0 && S_ISREG(st.st_mode));
		CHECK_STR(contents(in_directory(names[i])), "new");
	}
	CHECK_STR(contents(target), "precious");
	CHECK_EQ(entries(), 5);
	clean();
}

static void a_disk_is_not_written(void)
{
	struct stat st;

	/* A device number that no driver has. */
	if (mknod(in_directory("disk"), S_IFBLK | 0600, makedev(7, 0xfffff)))
		SKIP("cannot: making a device needs root");
	CHECK_EQ(output_file__write(in_directory("disk"), NULL, write_new), -ENOTSUP);
	CHECK(lstat(in_directory("disk"), &st) == 0 && S_ISBLK(st.st_mode));
	CHECK_EQ(entries(), 1);
	clean();
}

/* Runs the write with stdout redirected to `name` in the directory. */
static int with_stdout(const char *name, const char *path, bool append)
{
	int saved = dup(STDOUT_FILENO), fd, err;

	fflush(stdout);
	fd = open(in_directory(name), O_WRONLY | O_CREAT | (append ? O_APPEND : 0), 0600);
	dup2(fd, STDOUT_FILENO);
	close(fd);
	err = output_file__write(path, NULL, write_new);
	fflush(stdout);
	dup2(saved, STDOUT_FILENO);
	close(saved);
	return err;
}

static void standard_output_is_written_where_it_points(void)
{
	struct stat before, after;

	CHECK_EQ(with_stdout("out", "-", false), 0);
	CHECK_STR(contents(in_directory("out")), "new");
	put("log", "first ");
	CHECK(lstat("/dev/stdout", &before) == 0);
	CHECK_EQ(with_stdout("log", "/dev/stdout", true), 0);
	CHECK_EQ(with_stdout("log", "/proc/self/fd/1", true), 0);
	CHECK_STR(contents(in_directory("log")), "first newnew");
	CHECK(lstat("/dev/stdout", &after) == 0 && before.st_ino == after.st_ino);
	CHECK_EQ(entries(), 2);
	clean();
}

static void an_open_file_of_another_number_is_written_through(void)
{
	char path[64];
	int fd;

	put("file", "");
	fd = open(in_directory("file"), O_WRONLY);
	snprintf(path, sizeof(path), "/dev/fd/%d", fd);
	CHECK_EQ(output_file__write(path, NULL, write_new), 0);
	CHECK_STR(contents(in_directory("file")), "new");
	close(fd);
	clean();
}

static void a_closed_pipe_is_an_error(void)
{
	char path[64];
	int ends[2];

	signal(SIGPIPE, SIG_IGN);
	CHECK(pipe(ends) == 0);
	close(ends[0]);
	snprintf(path, sizeof(path), "/dev/fd/%d", ends[1]);
	CHECK_EQ(output_file__write(path, NULL, write_new), -EPIPE);
	close(ends[1]);
}

static void impossible_destinations_say_why(void)
{
	CHECK_EQ(output_file__write(directory, NULL, write_new), -EISDIR);
	CHECK_EQ(output_file__write(in_directory("no/file"), NULL, write_new), -ENOENT);
	CHECK_EQ(output_file__write(in_directory("no/"), NULL, write_new), -EISDIR);
	CHECK_EQ(output_file__write("", NULL, write_new), -ENOENT);
	put("file", "old");
	CHECK_EQ(output_file__write(in_directory("file/below"), NULL, write_new), -ENOTDIR);
	clean();
}

static void a_path_without_a_directory_is_in_the_current_one(void)
{
	char saved[256];

	CHECK(getcwd(saved, sizeof(saved)) && chdir(directory) == 0);
	CHECK_EQ(output_file__write("here", NULL, write_new), 0);
	CHECK_STR(contents("here"), "new");
	CHECK(chdir(saved) == 0);
	clean();
}

static void a_full_disk_leaves_the_old_file(void)
{
	put("seen", "");
	if (mount("tmpfs", directory, "tmpfs", 0, "size=64k"))
		SKIP("cannot: mounting a tmpfs needs root");
	put("file", "old");
	CHECK_EQ(output_file__write(in_directory("file"), NULL, write_much), -ENOSPC);
	CHECK_STR(contents(in_directory("file")), "old");
	CHECK_EQ(entries(), 1);
	CHECK(umount(directory) == 0);
	clean();
}

int main(void)
{
	snprintf(directory, sizeof(directory), "/tmp/luaspy-test-XXXXXX");
	if (!mkdtemp(directory))
		return 1;
	RUN(a_new_file_has_the_usual_mode, "a new file has the mode that the umask leaves");
	RUN(an_old_file_stays_whole_until_it_is_replaced, "an old file stays whole until replaced");
	RUN(a_symbolic_link_is_replaced_not_followed, "a symbolic link is replaced, not followed");
	RUN(streams_are_written_directly, "devices and pipes are written directly");
	RUN(a_name_of_our_own_is_a_new_file, "a name of our own is a new file, links and all");
	RUN(a_disk_is_not_written, "a block device is not written");
	RUN(standard_output_is_written_where_it_points, "standard output goes where it points");
	RUN(an_open_file_of_another_number_is_written_through, "/dev/fd/N is written through");
	RUN(a_closed_pipe_is_an_error, "a closed pipe is an error");
	RUN(impossible_destinations_say_why, "impossible destinations say why");
	RUN(a_path_without_a_directory_is_in_the_current_one,
	    "a bare name is in the current directory");
	RUN(a_full_disk_leaves_the_old_file, "a full disk leaves the old file and nothing else");
	rmdir(directory);
	return TEST_RESULT();
}
