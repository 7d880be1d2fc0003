/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Function names of one ELF file: from .symtab, else from its debug file (build-id path,
 * .gnu_debuglink) and .gnu_debugdata (xz-compressed .symtab, "minidebuginfo"), with .dynsym always
 * added. Sorted once; looked up by ELF virtual address.
 */
#ifndef LUASPY_ELF_SYMBOLS_H
#define LUASPY_ELF_SYMBOLS_H

#include <libelf.h>
#include <stddef.h>
#include <stdint.h>

struct elf_symbols;

/*
 * Loads the names of `elf`. `root_fd` is a directory descriptor of the target's root
 * (/proc/PID/root), below which /usr/lib/debug is searched for separate debug files, or -1 for
 * none; `file_dir` is the directory of the file inside that root ("/usr/sbin"), for debuglink, or
 * NULL. Debug files are used only when their build id (or debuglink CRC) matches.
 * Corrupt sections are ignored. Returns 0 (also for a file without any symbol) or -ENOMEM. The
 * caller frees *symbols.
 */
int elf_symbols__load(Elf *elf, int root_fd, const char *file_dir, struct elf_symbols **symbols);
void elf_symbols__free(struct elf_symbols *self);

/*
 * The function that covers `vaddr`: st_value <= vaddr < st_value + st_size; a symbol of size 0
 * reaches to the next symbol of its section. Of several at one address the one that a person would
 * pick (global over weak over local, without leading underscores over with). Borrowed; NULL when
 * no symbol covers it. *start, if not NULL, is set to the symbol's address.
 */
const char *elf_symbols__find(const struct elf_symbols *self, uint64_t vaddr, uint64_t *start);
size_t elf_symbols__count(const struct elf_symbols *self);

/* Where the names come from; the best of them. */
enum symbol_source {
	SYMBOLS_NONE,
	SYMBOLS_EXPORTED,   /* .dynsym only: functions that are not exported have no name */
	SYMBOLS_DEBUG_DATA, /* .gnu_debugdata */
	SYMBOLS_DEBUG_FILE,
	SYMBOLS_TABLE, /* .symtab */
};
enum symbol_source elf_symbols__source(const struct elf_symbols *self);

/* The build id as lower-case hex, NUL-terminated, into `hex` of `size` bytes (41 is enough for
 * SHA-1). Returns its length in characters, or -ENOENT, or -E2BIG. */
int elf_build_id(Elf *elf, char *hex, size_t size);

#endif
