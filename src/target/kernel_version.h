/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The version of the running kernel, for what cannot be asked of it in another way.
 */
#ifndef LUASPY_KERNEL_VERSION_H
#define LUASPY_KERNEL_VERSION_H

#define KERNEL_VERSION_OF(major, minor) ((unsigned int)(major) << 16 | (minor))

/* As KERNEL_VERSION_OF makes it; 0 when its release does not look like a version. */
unsigned int kernel_version(void);

#endif
