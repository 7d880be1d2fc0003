// SPDX-License-Identifier: Apache-2.0
/*
 * Where an output goes. A regular file is replaced in one step, through a temporary file beside it;
 * symbolic links to files are replaced, never followed (the directory may be writable by others,
 * and luaspy runs as root). Streams (a pipe, a terminal, /dev/null, /dev/stdout) are written to
 * when a person named them; a name of luaspy's own choice is that of a new file whatever stands
 * there.
 */
#include "output.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <linux/magic.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

typedef int (*writer)(const void *subject, FILE *out);

/* A profile and its writer, as a subject. */
struct profile_job {
	const struct profile *profile;
	int (*write)(const struct profile *profile, FILE *out);
};

static int write_profile(const void *subject, FILE *out)
{
	const struct profile_job *job = subject;

	return job->write(job->profile, out);
}

static int flush(FILE *out)
{
	errno = 0;
	if (fflush(out) || ferror(out))
		return errno ? -errno : -EIO;
	return 0;
}

/* Takes the descriptor over: it is closed in every case. */
static int write_to(int fd, const void *subject, writer write)
{
	FILE *out = fdopen(fd, "w");
	int err;

	if (!out) {
		err = -errno;
		close(fd);
		return err;
	}
	err = write(subject, out);
	if (!err)
		err = flush(out);
	if (fclose(out) && !err)
		err = errno ? -errno : -EIO;
	return err;
}

/* Whether `path` is a magic link of procfs, such as /dev/fd/3: another name of an open file. */
static bool names_open_file(const char *path)
{
	int fd = open(path, O_PATH | O_NOFOLLOW | O_CLOEXEC);
	struct statfs fs;
	bool result;

	if (fd < 0)
		return false;
	result = fstatfs(fd, &fs) == 0 && (unsigned long)fs.f_type == PROC_SUPER_MAGIC;
	close(fd);
	return result;
}

/* The descriptor to write to where the destination is to be written directly; -ENOENT where it is
 * to be replaced. */
static int open_stream(const char *path)
{
	struct stat st, standard;
	int fd;

	if (stat(path, &st))
		return -ENOENT; /* what is wrong with it, if anything, the rename will say */
	for (fd = STDOUT_FILENO; fd <= STDERR_FILENO; fd++) {
		/* /dev/stdout when it is redirected to a file: share its offset. */
		if (!fstat(fd, &standard) && standard.st_dev == st.st_dev &&
		    standard.st_ino == st.st_ino) {
			fd = fcntl(fd, F_DUPFD_CLOEXEC, 3);
			return fd < 0 ? -errno : fd;
		}
	}
	if (S_ISREG(st.st_mode) && !names_open_file(path))
		return -ENOENT;
	if (S_ISDIR(st.st_mode))
		return -EISDIR;
	if (S_ISBLK(st.st_mode))
		return -ENOTSUP; /* nobody wants a disk overwritten */
	fd = open(path, O_WRONLY | O_CLOEXEC | O_NOCTTY);
	return fd < 0 ? -errno : fd;
}

static int open_directory_of(const char *path, const char *base)
{
	char *directory = base == path ? strdup(".") : strndup(path, (size_t)(base - path));
	int fd;

	if (!directory)
		return -ENOMEM;
	fd = open(directory, O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0)
		fd = -errno;
	free(directory);
	return fd;
}

static int create(const char *path, const void *subject, writer write)
{
	const char *slash = strrchr(path, '/');
	const char *base = slash ? slash + 1 : path;
	char temporary[48];
	bool exists = false;
	uint64_t random;
	int directory, fd, err;

	if (!*base)
		return *path ? -EISDIR : -ENOENT;
	directory = open_directory_of(path, base);
	if (directory < 0)
		return directory;
	if (getrandom(&random, sizeof(random), 0) != sizeof(random)) {
		err = -EIO;
		goto out;
	}
	snprintf(temporary, sizeof(temporary), ".luaspy-%016" PRIx64 ".tmp", random);
	fd = openat(directory, temporary, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC,
		    0666);
	if (fd < 0) {
		err = -errno;
		goto out;
	}
	exists = true;
	err = write_to(fd, subject, write);
	if (err)
		goto out;
	if (renameat(directory, temporary, directory, base))
		err = -errno;
	else
		exists = false;
out:
	if (exists)
		unlinkat(directory, temporary, 0);
	close(directory);
	return err;
}

int output_file__write_any(const char *path, const void *subject, writer write)
{
	int fd, err;

	if (strcmp(path, "-") == 0) {
		err = write(subject, stdout);
		return err ? err : flush(stdout);
	}
	fd = open_stream(path);
	if (fd >= 0)
		return write_to(fd, subject, write);
	if (fd != -ENOENT)
		return fd;
	return create(path, subject, write);
}

int output_file__write(const char *path, const struct profile *profile,
		       int (*write)(const struct profile *profile, FILE *out))
{
	struct profile_job job = {profile, write};

	return output_file__write_any(path, &job, write_profile);
}

int output_file__create(const char *path, const struct profile *profile,
			int (*write)(const struct profile *profile, FILE *out))
{
	struct profile_job job = {profile, write};

	return create(path, &job, write_profile);
}
