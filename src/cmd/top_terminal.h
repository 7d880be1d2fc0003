/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What kind of terminal stdout is: the machine's description of it, or a built-in one.
 */
#ifndef LUASPY_TOP_TERMINAL_H
#define LUASPY_TOP_TERMINAL_H

#include <stddef.h>

/* The name of a description by which the cursor can be placed: that of TERM or, where there is none
 * of it, one for terminals like xterm (then TERMINFO in the environment has it). NULL without. */
const char *top_terminal__choose(void);

/* After that: writes what makes the terminal usable again, for when there is no time for more.
 * Returns its size. */
size_t top_terminal__reset(char *bytes, size_t size);

#endif
