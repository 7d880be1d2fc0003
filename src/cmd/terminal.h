/* SPDX-License-Identifier: Apache-2.0 */
#ifndef LUASPY_TERMINAL_H
#define LUASPY_TERMINAL_H

#include <stddef.h>

/* The columns of the terminal that stdout is; 80 when it does not tell, `otherwise` when stdout is
 * no terminal. */
size_t terminal__width(size_t otherwise);

#endif
