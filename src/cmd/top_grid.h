/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A page of characters in rows and columns, each with a style. `luaspy top` draws on it; a terminal
 * shows it (top_screen.h), or a file gets it as lines of text. Whatever text is put there becomes
 * printable: what output/text.h does not let through, and what would not take up a column of its
 * own, is U+FFFD.
 */
#ifndef LUASPY_TOP_GRID_H
#define LUASPY_TOP_GRID_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

enum top_style {
	TOP_PLAIN,
	TOP_BAR, /* title, head of the table, selected row */
	TOP_STRONG,
	TOP_FAINT,
	TOP_HOT,
	TOP_LUA_NAME,
	TOP_C_NAME,
	TOP_KERNEL_NAME,
	TOP_NOTE,
	TOP_STYLES,
};

struct top_cell {
	uint32_t character; /* 0: the second column of a wide one */
	enum top_style style;
};

struct top_grid {
	int rows, columns;
	struct top_cell *cells; /* row by row */
};

/* How a text that is too wide is shortened. */
enum top_cut {
	TOP_CUT_END,
	TOP_CUT_MIDDLE,
	TOP_CUT_START,
};

/* Empty, of blanks. 0 or -ENOMEM. Can be made again with another size. */
int top_grid__make(struct top_grid *self, int rows, int columns);
void top_grid__free(struct top_grid *self);

const struct top_cell *top_grid__at(const struct top_grid *self, int row, int column);

/* Puts a text into at most `width` columns and returns how many it took. What is outside of the
 * page is left out. */
int top_grid__put(struct top_grid *self, int row, int column, int width, enum top_style style,
		  enum top_cut cut, const char *text);

/* The style of a whole row. */
void top_grid__style(struct top_grid *self, int row, enum top_style style);

/* The columns that a text takes. */
int top_grid__width(const char *text);

/* As lines in UTF-8, without blanks at their ends and without empty lines at the end. */
void top_grid__write(const struct top_grid *self, FILE *out);

#endif
