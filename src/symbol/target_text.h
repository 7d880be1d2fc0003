/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Text files of a target, found by the paths that the target itself uses, and read without any risk
 * to us. What is in them is others' matter.
 */
#ifndef LUASPY_TARGET_TEXT_H
#define LUASPY_TARGET_TEXT_H

#include <limits.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/stat.h>
#include <sys/types.h>

#define TARGET_TEXT_MAX_BYTES (16UL << 20)

struct target_root {
	int fd;
	char cwd[PATH_MAX];	   /* below the root; empty when unknown */
	char executable[PATH_MAX]; /* likewise */
	uint64_t start_ns; /* of the process, rounded up, on the clock of files (CLOCK_REALTIME) */
};

/* Returns 0, -ESRCH, -EACCES, ...; the caller closes `self`. */
int target_root__open(struct target_root *self, pid_t pid);

void target_root__close(struct target_root *self);

/* `path` as an absolute one: relative ones start at `folder`. Returns false if it is too long or
 * `folder` is unknown (empty). */
bool target_root__absolute(const char *folder, const char *path, char absolute[PATH_MAX]);

/* When the file was last changed in any way: also a file that was put in place with an old date. */
uint64_t target_text__changed_ns(const struct stat *status);

/*
 * Reads an open file up to its end. Returns 0, -EFBIG over TARGET_TEXT_MAX_BYTES, -ENOMEM, or an
 * errno of read(2). The caller frees *text.
 */
int target_text__read(int fd, char **text, size_t *size);

#endif
