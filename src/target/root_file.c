/* SPDX-License-Identifier: Apache-2.0 */
/*
 * See root_file.h. A file is first opened with O_PATH, which has no side effect on any kind of
 * file, looked at, and only then opened for reading through its descriptor: between the look and
 * the opening nobody can put another file in its place.
 */
#include "root_file.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/syscall.h>
#include <unistd.h>

/* Takes ownership of `path_fd`. */
static int reopen_regular(int path_fd, struct stat *status)
{
	char self_path[64];
	struct stat st;
	int fd;

	if (fstat(path_fd, &st)) {
		fd = -errno;
		goto out;
	}
	if (!S_ISREG(st.st_mode)) {
		fd = -EINVAL;
		goto out;
	}
	snprintf(self_path, sizeof(self_path), "/proc/self/fd/%d", path_fd);
	fd = open(self_path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
	if (fd < 0)
		fd = -errno;
	else if (status)
		*status = st;
out:
	close(path_fd);
	return fd;
}

int root_file__open(int root_fd, const char *path, struct stat *status)
{
	struct open_how how = {
		.flags = O_PATH | O_CLOEXEC,
		.resolve = RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS,
	};
	int fd;

	fd = (int)syscall(SYS_openat2, root_fd, path, &how, sizeof(how));
	if (fd < 0 && (errno == ENOSYS || errno == EPERM)) {
		while (*path == '/')
			path++;
		fd = openat(root_fd, *path ? path : ".", O_PATH | O_CLOEXEC);
	}
	if (fd < 0)
		return -errno;
	return reopen_regular(fd, status);
}

int root_file__open_own(const char *path, struct stat *status)
{
	int fd = open(path, O_PATH | O_CLOEXEC);

	if (fd < 0)
		return -errno;
	return reopen_regular(fd, status);
}
