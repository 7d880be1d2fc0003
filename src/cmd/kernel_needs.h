/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What luaspy needs of a kernel (docs/kernels.md has those that were tried).
 */
#ifndef LUASPY_KERNEL_NEEDS_H
#define LUASPY_KERNEL_NEEDS_H

#define OLDEST_MAJOR 5
#define OLDEST_MINOR 10
#define BTF_PATH     "/sys/kernel/btf/vmlinux"

#endif
