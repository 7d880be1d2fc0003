/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Names of kernel functions from the kernel itself, one by one: 3 microseconds each, where reading
 * /proc/kallsyms takes 60 ms and 6 MB. It takes bpf_snprintf (Linux 5.13).
 */
#ifndef LUASPY_KERNEL_NAMES_H
#define LUASPY_KERNEL_NAMES_H

#include <stdint.h>

struct kernel_names;

/* NULL where there is no such thing. It takes the privileges to load BPF programs. */
struct kernel_names *kernel_names__new(void);
void kernel_names__free(struct kernel_names *self);

/* The function that an address is in, as in "nf_hook [nf_tables]"; valid until the end. NULL if it
 * is in none, or could not be asked for. */
const char *kernel_names__find(struct kernel_names *self, uint64_t address);

#endif
