/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Opening a file that the target controls: below the target's root, without leaving it through a
 * symbolic link, and only if it is a regular file of a file system for data, so that a FIFO, a
 * device or a file of /proc, /sys and the like can neither block us nor be set in motion by us.
 * Says nothing about the file's content.
 */
#ifndef LUASPY_ROOT_FILE_H
#define LUASPY_ROOT_FILE_H

#include <sys/stat.h>

/*
 * Opens `path` (absolute, as the target sees it) for reading, where "/" is `root_fd`. Absolute
 * links and ".." stay inside that root on kernels with openat2; where a seccomp filter refuses
 * openat2, they do not. Fills *status if it is not NULL.
 * Returns a descriptor that the caller closes, -EINVAL for anything but a regular file, for one of
 * a pseudo file system, or of a FUSE one other than that of `root_fd`, or another negative errno.
 */
int root_file__open(int root_fd, const char *path, struct stat *status);

/*
 * The same for an existing path (of our own root, magic links such as /proc/PID/map_files/...
 * included), which may be FUSE's: what a target executes from has been read.
 */
int root_file__open_own(const char *path, struct stat *status);

#endif
