/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Kernel function names from /proc/kallsyms, read once and looked up by address.
 */
#ifndef LUASPY_KERNEL_SYMBOLS_H
#define LUASPY_KERNEL_SYMBOLS_H

#include <stddef.h>
#include <stdint.h>

struct kernel_symbols;

/*
 * Reads text symbols (types t, T, w, W) from `path` (NULL: /proc/kallsyms), modules included; the
 * module's name is appended as in "nf_hook [nf_tables]". Returns 0, -EPERM when all addresses are
 * zero (kptr_restrict or no CAP_SYSLOG), or another negative errno. The caller frees *symbols.
 */
int kernel_symbols__load(const char *path, struct kernel_symbols **symbols);
void kernel_symbols__free(struct kernel_symbols *self);

/* The function at or before `address`; borrowed; NULL below the first symbol or without symbols. */
const char *kernel_symbols__find(const struct kernel_symbols *self, uint64_t address);
size_t kernel_symbols__count(const struct kernel_symbols *self);

#endif
