/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The separate debug file of a stripped ELF file: found by build id or by .gnu_debuglink in the
 * places where GDB looks (GDB manual, "Separate Debug Files"), below the target's root, and
 * accepted only when it belongs to the very same build.
 */
#ifndef LUASPY_DEBUG_FILE_H
#define LUASPY_DEBUG_FILE_H

#include <libelf.h>

struct debug_file {
	Elf *elf;
	int fd;
};

/*
 * Looks below `root_fd` for the debug file of `elf`, which lies in directory `file_dir` (absolute
 * inside that root; NULL: unknown). Returns 0, -ENOENT when there is none that fits, -ENOMEM. The
 * caller calls debug_file__close.
 */
int debug_file__open(Elf *elf, int root_fd, const char *file_dir, struct debug_file *file);
void debug_file__close(struct debug_file *file);

#endif
