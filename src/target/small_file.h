/* SPDX-License-Identifier: Apache-2.0 */
/* Reading small files whole: those of /proc/PID, and others below a limit. */
#ifndef LUASPY_SMALL_FILE_H
#define LUASPY_SMALL_FILE_H

#include <stddef.h>
#include <sys/types.h>

/* Reads /proc/PID/NAME as a string, cut off where `buffer` ends. Returns its length, -ESRCH when
 * there is no such process, or another negative errno. */
ssize_t small_file__read_process(pid_t pid, const char *name, char *buffer, size_t size);

/* The first line of a file of our own /proc or /sys, without its end; "" when it cannot be read. */
void small_file__read_line(const char *path, char *line, size_t size);

/*
 * Reads the regular file `path` below `root_fd` (root_file.h) as a string. Returns 0, -EFBIG over
 * `limit` bytes, -ENOMEM, or what root_file__open returns. The caller frees *text.
 */
int small_file__read_below(int root_fd, const char *path, size_t limit, char **text);

/* The command line of a process with blanks between the words; "" when it has none. Returns 0 or a
 * negative errno. */
int small_file__command_line(pid_t pid, char *buffer, size_t size);

#endif
