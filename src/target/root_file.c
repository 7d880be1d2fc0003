/* SPDX-License-Identifier: Apache-2.0 */
/*
 * See root_file.h. A file is first opened with O_PATH, which has no side effect on any kind of
 * file, looked at, and only then opened for reading through its descriptor: between the look and
 * the opening nobody can put another file in its place.
 */
#include "root_file.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <linux/openat2.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/syscall.h>
#include <sys/vfs.h>
#include <unistd.h>

/* Not in linux/magic.h, or not in older ones. */
#define CONFIGFS_MAGIC	 0x62656570
#define FUSE_CONTROL	 0x65735543
#define MQUEUE_MAGIC	 0x19800202
#define FUNCTIONFS_MAGIC 0x0a647361
#define NFSD_MAGIC	 0x6e667364
#define RPC_PIPEFS_MAGIC 0x67596969
#define XENFS_MAGIC	 0xabba1974
#define FUSE_MAGIC	 0x65735546

/* File systems whose regular files are the kernel speaking: reading one can wait for ever
 * (trace_pipe), take away what others wait for (kmsg), or have it do work. */
static bool is_pseudo(uint32_t type)
{
	static const uint32_t types[] = {
		PROC_SUPER_MAGIC, SYSFS_MAGIC,		DEBUGFS_MAGIC,
		TRACEFS_MAGIC,	  SECURITYFS_MAGIC,	SELINUX_MAGIC,
		SMACK_MAGIC,	  CGROUP_SUPER_MAGIC,	BPF_FS_MAGIC,
		PSTOREFS_MAGIC,	  CGROUP2_SUPER_MAGIC,	RDTGROUP_SUPER_MAGIC,
		BINFMTFS_MAGIC,	  EFIVARFS_MAGIC,	NSFS_MAGIC,
		AAFS_MAGIC,	  DEVPTS_SUPER_MAGIC,	USBDEVICE_SUPER_MAGIC,
		CONFIGFS_MAGIC,	  FUSE_CONTROL,		MQUEUE_MAGIC,
		FUNCTIONFS_MAGIC, NFSD_MAGIC,		RPC_PIPEFS_MAGIC,
		XENFS_MAGIC,	  BINDERFS_SUPER_MAGIC, AUTOFS_SUPER_MAGIC,
	};

	for (size_t i = 0; i < sizeof(types) / sizeof(types[0]); i++) {
		if (types[i] == type)
			return true;
	}
	return false;
}

/*
 * FUSE's files are a process speaking, maybe the target: it need never answer, and the wait would
 * not end at Ctrl-C. The target's root file system is an exception, since rootless containers live
 * on fuse-overlayfs. (Finding the file has asked that process already; this keeps a file from
 * being read that is only slow or endless.) File systems of the network are not refused: people
 * keep their applications there.
 */
static bool is_readable(int path_fd, const struct stat *status, int root_fd)
{
	struct statfs fs;
	struct stat root;

	if (fstatfs(path_fd, &fs) || is_pseudo((uint32_t)fs.f_type))
		return false;
	return (uint32_t)fs.f_type != FUSE_MAGIC || root_fd < 0 ||
	       (fstat(root_fd, &root) == 0 && root.st_dev == status->st_dev);
}

/* Takes ownership of `path_fd`. `root_fd` is -1 for files that need not be the target's. */
static int reopen_regular(int path_fd, int root_fd, struct stat *status)
{
	char self_path[64];
	struct stat st;
	int fd;

	if (fstat(path_fd, &st)) {
		fd = -errno;
		goto out;
	}
	if (!S_ISREG(st.st_mode) || !is_readable(path_fd, &st, root_fd)) {
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
	return reopen_regular(fd, root_fd, status);
}

int root_file__open_own(const char *path, struct stat *status)
{
	int fd = open(path, O_PATH | O_CLOEXEC);

	if (fd < 0)
		return -errno;
	return reopen_regular(fd, -1, status);
}
