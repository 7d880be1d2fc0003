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
 * What may still be read of all texts together, and kept of what was found in them: a target can
 * name as many files as it likes. Real applications have some tens of megabytes of sources.
 */
struct text_budget {
	size_t read;
	size_t kept;
	bool exceeded; /* something was left out */
};

#define TEXT_BUDGET_READ (256UL << 20)
#define TEXT_BUDGET_KEPT (128UL << 20)
#define TEXT_MIN_COST	 (16UL << 10) /* of reading a file, so that empty ones are bounded, too */

/* Returns false if that is too much. */
bool text_budget__keep(struct text_budget *self, size_t size);

/*
 * Reads an open file up to its end. Returns 0, -EFBIG over TARGET_TEXT_MAX_BYTES, -ENOSPC when the
 * budget is used up, -ENOMEM, or an errno of read(2). The caller frees *text.
 */
int target_text__read(int fd, struct text_budget *budget, char **text, size_t *size);

#endif
