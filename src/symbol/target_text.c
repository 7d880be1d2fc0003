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

bool text_budget__keep(struct text_budget *self, size_t size)
{
	if (size > self->kept) {
		self->exceeded = true;
		return false;
	}
	self->kept -= size;
	return true;
}

static void spend(struct text_budget *self, size_t read)
{
	size_t cost = read > TEXT_MIN_COST ? read : TEXT_MIN_COST;

	self->read -= cost < self->read ? cost : self->read;
}

/* Reads up to the end, or to somewhat more than `limit`. */
static int read_up_to(int fd, size_t limit, char **text, size_t *size)
{
	size_t capacity = 0;
	ssize_t got;

	/* Not by st_size: files of some network file systems have none. */
	do {
		if (*size == capacity) {
			size_t wanted = capacity ? capacity * 2 : 64UL << 10;
			char *grown = realloc(*text, wanted);

			if (!grown)
				return -ENOMEM;
			*text = grown;
			capacity = wanted;
		}
		got = read(fd, *text + *size, capacity - *size);
		if (got < 0 && errno != EINTR)
			return -errno;
		if (got > 0)
			*size += (size_t)got;
	} while (got && *size <= limit);
	return 0;
}

int target_text__read(int fd, struct text_budget *budget, char **text, size_t *size)
{
	size_t limit = budget->read < TARGET_TEXT_MAX_BYTES ? budget->read : TARGET_TEXT_MAX_BYTES;
	int err;

	*text = NULL;
	*size = 0;
	err = limit < TEXT_MIN_COST ? -ENOSPC : read_up_to(fd, limit, text, size);
	if (!err && *size > limit)
		err = limit < TARGET_TEXT_MAX_BYTES ? -ENOSPC : -EFBIG;
	spend(budget, *size);
	if (err) {
		budget->exceeded |= err == -ENOSPC;
		free(*text);
		*text = NULL;
	}
	return err;
}
