/* SPDX-License-Identifier: Apache-2.0 */
#ifndef LUASPY_SYSTEM_CALLS_H
#define LUASPY_SYSTEM_CALLS_H

#include <stdint.h>

/* The name of a system call of x86-64 by its number; NULL for one that was not known when this was
 * built. */
const char *system_call__name(int64_t number);

#endif
