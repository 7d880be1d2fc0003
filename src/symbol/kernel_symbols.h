/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Kernel function names from /proc/kallsyms, read once and looked up by address.
 */
#ifndef LUASPY_KERNEL_SYMBOLS_H
#define LUASPY_KERNEL_SYMBOLS_H

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

struct kernel_names;
struct kernel_symbols;

/*
 * Reads text symbols (types t, T, w, W) from `path` (NULL: /proc/kallsyms), modules included; the
 * module's name is appended as in "nf_hook [nf_tables]". Returns 0, -EPERM when all addresses are
 * zero (kptr_restrict or no CAP_SYSLOG), or another negative errno. The caller frees *symbols.
 */
int kernel_symbols__load(const char *path, struct kernel_symbols **symbols);

/*
 * The same in two steps: whether the addresses are shown is decided for who opens the file
 * (kallsyms_show_value in the kernel's kernel/kallsyms.c), so that it can be read after the
 * capability was given up. NULL when it cannot be opened (errno); the reader does not close it.
 */
FILE *kernel_symbols__open(void);
int kernel_symbols__read(FILE *file, struct kernel_symbols **symbols);

/* As kernel_symbols__read, but of `file` is only read what it takes to see whether addresses are
 * shown: the names are those of `names`, which is borrowed and may be NULL, if it knows any. */
int kernel_symbols__read_or_ask(FILE *file, struct kernel_names *names,
				struct kernel_symbols **symbols);
void kernel_symbols__free(struct kernel_symbols *self);

/* The function at or before `address`; borrowed; NULL below the first symbol or without symbols. */
const char *kernel_symbols__find(const struct kernel_symbols *self, uint64_t address);
size_t kernel_symbols__count(const struct kernel_symbols *self);

#endif
