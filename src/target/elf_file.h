/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The ELF file behind a mapping of a target: found even when it was replaced or deleted on disk or
 * lies in a container, opened without any risk to us from what the target put there, and the bias
 * between its addresses and the target's. Its symbols and unwind tables are others' matter.
 */
#ifndef LUASPY_ELF_FILE_H
#define LUASPY_ELF_FILE_H

#include <libelf.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "maps.h"

/* One PT_LOAD. */
struct elf_load {
	uint64_t vaddr;
	uint64_t memory_size;
	uint64_t offset;
	uint64_t file_size;
	bool executable;
};

struct elf_file {
	Elf *elf;
	uint16_t machine; /* EM_X86_64, ... */
	bool from_memory; /* the vdso: a copy, no file */
	uint64_t size_bytes;
	struct elf_load *loads; /* as in the file */
	size_t load_count;
	int fd; /* -1 for the vdso */
	void *memory;
};

/*
 * Opens the file of `entry`. First through /proc/PID/map_files, which finds replaced, deleted and
 * memfd files (needs CAP_SYS_ADMIN or CAP_CHECKPOINT_RESTORE), then by path: below the target's
 * root, or, for a process in a chroot, below ours; the program itself through /proc/PID/exe. If the
 * user may not read it, and we may by a CAP_DAC_READ_SEARCH that is permitted but not effective,
 * with that one.
 * Returns 0; -ESTALE when another file stands at the path now and map_files is closed to us;
 * -EACCES when we may not read it;
 * -EINVAL for a mapping without a regular file; -EFBIG over 2 GiB; -ENOEXEC for a file that is not
 * 64-bit ELF of this machine's byte order or is corrupt; -ENOMEM; or another errno of open(2). The
 * caller frees *file.
 */
int elf_file__open_mapping(pid_t pid, const struct map_entry *entry, struct elf_file **file);

/* Opens a copy of the [vdso] mapping, read from the target's memory. Returns 0, -EINVAL for another
 * mapping, -ENOEXEC, -ENOMEM, -ESRCH, -EPERM. */
int elf_file__open_vdso(pid_t pid, const struct map_entry *entry, struct elf_file **file);

/* Gives back the memory of all bytes that libelf has read so far; what points to them is invalid.
 * 0, or the errors of opening: then there is no `elf` any more. */
int elf_file__forget_bytes(struct elf_file *self);

void elf_file__free(struct elf_file *self);

/*
 * Sets *bias such that ELF vaddr = runtime address - *bias (modulo 2^64) for all addresses of
 * `entry`. Returns 0, or -ENOENT when no PT_LOAD covers the mapping's file offset.
 */
int elf_file__bias(const struct elf_file *self, const struct map_entry *entry, uint64_t *bias);

#endif
