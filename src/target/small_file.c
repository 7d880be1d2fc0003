/* SPDX-License-Identifier: Apache-2.0 */
#include "small_file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "root_file.h"

/* Up to `size` bytes; their number or a negative errno. */
static ssize_t read_all(int fd, char *buffer, size_t size)
{
	size_t length = 0;
	ssize_t got;

	do {
		got = read(fd, buffer + length, size - length);
		if (got > 0)
			length += (size_t)got;
	} while (got > 0 && length < size);
	return got < 0 ? -errno : (ssize_t)length;
}

void small_file__read_line(const char *path, char *line, size_t size)
{
	FILE *f = fopen(path, "re");

	*line = '\0';
	if (!f)
		return;
	if (fgets(line, (int)size, f))
		line[strcspn(line, "\n")] = '\0';
	fclose(f);
}

ssize_t small_file__read_process(pid_t pid, const char *name, char *buffer, size_t size)
{
	char path[64];
	ssize_t length;
	int fd;

	snprintf(path, sizeof(path), "/proc/%d/%s", (int)pid, name);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return errno == ENOENT ? -ESRCH : -errno;
	length = read_all(fd, buffer, size - 1);
	close(fd);
	if (length >= 0)
		buffer[length] = '\0';
	return length;
}

int small_file__read_below(int root_fd, const char *path, size_t limit, char **text)
{
	struct stat status;
	ssize_t length;
	int fd;

	*text = NULL;
	fd = root_file__open(root_fd, path, &status);
	if (fd < 0)
		return fd;
	if (status.st_size < 0 || (size_t)status.st_size > limit) {
		close(fd);
		return -EFBIG;
	}
	*text = malloc((size_t)status.st_size + 1);
	if (!*text) {
		close(fd);
		return -ENOMEM;
	}
	length = read_all(fd, *text, (size_t)status.st_size);
	close(fd);
	if (length < 0) {
		free(*text);
		*text = NULL;
		return (int)length;
	}
	(*text)[length] = '\0';
	return 0;
}

int small_file__command_line(pid_t pid, char *buffer, size_t size)
{
	ssize_t length = small_file__read_process(pid, "cmdline", buffer, size), i;

	if (length < 0)
		return (int)length;
	while (length > 0 && (buffer[length - 1] == '\0' || buffer[length - 1] == ' '))
		length--;
	buffer[length] = '\0';
	for (i = 0; i < length; i++) {
		if (buffer[i] == '\0')
			buffer[i] = ' ';
	}
	return 0;
}
