/* SPDX-License-Identifier: Apache-2.0 */
/* See target_text.h. */
#include "target_text.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "target/process_info.h"

static uint64_t to_ns(const struct timespec *time)
{
	return (uint64_t)time->tv_sec * 1000000000ULL + (uint64_t)time->tv_nsec;
}

/* When the machine was started, on CLOCK_REALTIME. */
static uint64_t boot_ns(void)
{
	struct timespec real, boot;

	clock_gettime(CLOCK_REALTIME, &real);
	clock_gettime(CLOCK_BOOTTIME, &boot);
	return to_ns(&real) - to_ns(&boot);
}

static void read_link(pid_t pid, const char *name, char path[PATH_MAX])
{
	char link[64];
	ssize_t length;

	snprintf(link, sizeof(link), "/proc/%d/%s", (int)pid, name);
	length = readlink(link, path, PATH_MAX - 1);
	path[length > 0 ? length : 0] = '\0';
}

/* The kernel shows a chroot's inside with the path of the chroot before it. */
static void read_link_below(pid_t pid, const char *name, const char *root, char path[PATH_MAX])
{
	size_t length = strlen(root);

	read_link(pid, name, path);
	if (length > 1 && strncmp(path, root, length) == 0 &&
	    (path[length] == '/' || path[length] == '\0')) {
		memmove(path, path + length, strlen(path + length) + 1);
		if (!path[0])
			memcpy(path, "/", 2);
	}
	if (path[0] != '/')
		path[0] = '\0';
}

int target_root__open(struct target_root *self, pid_t pid)
{
	struct process_info *info = malloc(sizeof(*info));
	char path[64], root[PATH_MAX];
	int err;

	memset(self, 0, sizeof(*self));
	self->fd = -1;
	if (!info)
		return -ENOMEM;
	err = process_info__read(pid, info);
	if (err)
		goto out;
	/* The tick in which it was started has passed by then. */
	self->start_ns = boot_ns() +
			 (info->start_ticks + 1) * (1000000000ULL / (uint64_t)sysconf(_SC_CLK_TCK));
	snprintf(path, sizeof(path), "/proc/%d/root", (int)pid);
	self->fd = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (self->fd < 0) {
		err = errno == ENOENT ? -ESRCH : -errno;
		goto out;
	}
	read_link(pid, "root", root);
	read_link_below(pid, "cwd", root, self->cwd);
	read_link_below(pid, "exe", root, self->executable);
out:
	free(info);
	return err;
}

void target_root__close(struct target_root *self)
{
	if (self->fd >= 0)
		close(self->fd);
	self->fd = -1;
}

bool target_root__absolute(const char *folder, const char *path, char absolute[PATH_MAX])
{
	int length;

	if (path[0] == '/')
		length = snprintf(absolute, PATH_MAX, "%s", path);
	else if (folder[0])
		length = snprintf(absolute, PATH_MAX, "%s/%s", folder, path);
	else
		return false;
	return length < PATH_MAX;
}

uint64_t target_text__changed_ns(const struct stat *status)
{
	uint64_t modified = to_ns(&status->st_mtim), changed = to_ns(&status->st_ctim);

	return modified > changed ? modified : changed;
}

int target_text__read(int fd, char **text, size_t *size)
{
	size_t used = 0, capacity = 0;
	char *data = NULL;
	ssize_t got;

	/* Not by st_size: files of /proc and some network file systems have none. */
	do {
		if (used == capacity) {
			size_t wanted = capacity ? capacity * 2 : 64UL << 10;
			char *grown = realloc(data, wanted);

			if (!grown) {
				free(data);
				return -ENOMEM;
			}
			data = grown;
			capacity = wanted;
		}
		got = read(fd, data + used, capacity - used);
		if (got < 0 && errno == EINTR)
			continue;
		if (got > 0)
			used += (size_t)got;
		if (got < 0 || used > TARGET_TEXT_MAX_BYTES) {
			free(data);
			return got < 0 ? -errno : -EFBIG;
		}
	} while (got);
	*text = data;
	*size = used;
	return 0;
}
