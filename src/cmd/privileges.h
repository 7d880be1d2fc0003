/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What to tell a user whom the kernel refused.
 */
#ifndef LUASPY_PRIVILEGES_H
#define LUASPY_PRIVILEGES_H

#include <stdbool.h>
#include <stddef.h>

/*
 * Writes to `text` why profiling is not permitted here (the missing capabilities, or the sysctl or
 * lockdown that stands in the way although none is missing) and what to do. Always terminated.
 */
void privileges__explain(char *text, size_t size);

/* Whether none of the capabilities is missing. */
bool privileges__complete(void);

#endif
