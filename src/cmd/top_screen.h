/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The terminal of `luaspy top`: shows a page, tells keys and the size, and is given back as it was,
 * whatever ends the process.
 */
#ifndef LUASPY_TOP_SCREEN_H
#define LUASPY_TOP_SCREEN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "top_grid.h"

#define TOP_KEY_NONE   UINT32_MAX
#define TOP_KEY_RESIZE (UINT32_MAX - 1)
#define TOP_KEY_HANGUP (UINT32_MAX - 2)

/* Takes over the terminal of stdin and stdout, which must be one. 0; -ENOTSUP when nothing is known
 * of a terminal like TERM says, or it cannot place the cursor; -ENOMEM. There can be one. */
int top_screen__open(void);
/* Gives it back; may be called again. */
void top_screen__close(void);

void top_screen__size(int *rows, int *columns);

void top_screen__show(const struct top_grid *grid);

/* A character, an enum top_key, TOP_KEY_RESIZE, TOP_KEY_HANGUP when the terminal has gone, or
 * TOP_KEY_NONE when no key was pressed. Does not wait. */
uint32_t top_screen__key(void);

#endif
