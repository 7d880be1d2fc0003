/* SPDX-License-Identifier: Apache-2.0 */
#include "top_grid.h"

#include <errno.h>
#include <stdlib.h>

#include "../output/text.h"

#define REPLACEMENT 0xfffdu
#define ELLIPSIS    0x2026u
#define MAX_PUT	    2048 /* code points of one text */

int top_grid__make(struct top_grid *self, int rows, int columns)
{
	size_t count = (size_t)rows * (size_t)columns, i;
	struct top_cell *cells;

	if (rows < 1 || columns < 1) {
		rows = columns = 0;
		count = 0;
	}
	cells = reallocarray(self->cells, count + 1, sizeof(*cells));
	if (!cells)
		return -ENOMEM;
	for (i = 0; i < count; i++)
		cells[i] = (struct top_cell){.character = ' '};
	*self = (struct top_grid){.rows = rows, .columns = columns, .cells = cells};
	return 0;
}

void top_grid__free(struct top_grid *self)
{
	free(self->cells);
	*self = (struct top_grid){};
}

const struct top_cell *top_grid__at(const struct top_grid *self, int row, int column)
{
	return &self->cells[(size_t)row * (size_t)self->columns + (size_t)column];
}

/* Those that take no column of their own: Unicode's marks, as far as names could have them. */
static bool is_mark(uint32_t c)
{
	return (c >= 0x300 && c < 0x370) || (c >= 0x483 && c < 0x48a) ||
	       (c >= 0x591 && c < 0x5be) || (c >= 0x610 && c < 0x61b) ||
	       (c >= 0x64b && c < 0x660) || (c >= 0x1160 && c < 0x1200) ||
	       (c >= 0x1ab0 && c < 0x1b00) || (c >= 0x1dc0 && c < 0x1e00) ||
	       (c >= 0x200b && c < 0x2010) || (c >= 0x2060 && c < 0x2070) ||
	       (c >= 0x20d0 && c < 0x2100) || (c >= 0xfe00 && c < 0xfe10) ||
	       (c >= 0xfe20 && c < 0xfe30) || c == 0xad || c >= 0xe0000;
}

/* The next character of a text; 0 at its end. */
static uint32_t next(const char **text)
{
	uint32_t c = text__next(text);

	return is_mark(c) ? REPLACEMENT : c;
}

static int columns_of(uint32_t c)
{
	return (int)text__columns(c);
}

int top_grid__width(const char *text)
{
	int width = 0;
	uint32_t c;

	while ((c = next(&text)))
		width += columns_of(c);
	return width;
}

/* The characters from `low` to `high` that are left out, so that the others and an ellipsis take
 * `width` columns. */
static void choose_cut(const uint32_t *characters, int count, int width, enum top_cut cut, int *low,
		       int *high)
{
	int start = cut == TOP_CUT_START ? 0 : cut == TOP_CUT_END ? width - 1 : (width - 1) / 2;
	int room = width - 1, i;

	for (i = 0; i < count && columns_of(characters[i]) <= start; i++) {
		start -= columns_of(characters[i]);
		room -= columns_of(characters[i]);
	}
	*low = i;
	for (i = count; i > *low && cut != TOP_CUT_END && columns_of(characters[i - 1]) <= room;
	     i--)
		room -= columns_of(characters[i - 1]);
	*high = i;
}

static int put_one(struct top_grid *self, int row, int column, enum top_style style, uint32_t c)
{
	int wide = columns_of(c), i;
	struct top_cell *cell;

	if (column < 0 || column + wide > self->columns)
		return wide;
	cell = &self->cells[(size_t)row * (size_t)self->columns + (size_t)column];
	for (i = 0; i < wide; i++)
		cell[i] = (struct top_cell){.character = i ? 0 : c, .style = style};
	return wide;
}

int top_grid__put(struct top_grid *self, int row, int column, int width, enum top_style style,
		  enum top_cut cut, const char *text)
{
	uint32_t characters[MAX_PUT] = {}, c;
	int count = 0, total = 0, used = 0, low, high, i;

	if (row < 0 || row >= self->rows || width < 1)
		return 0;
	while (count < MAX_PUT && (c = next(&text))) {
		characters[count++] = c;
		total += columns_of(c);
	}
	low = high = count;
	if (total > width)
		choose_cut(characters, count, width, cut, &low, &high);
	for (i = 0; i < low; i++)
		used += put_one(self, row, column + used, style, characters[i]);
	if (total > width)
		used += put_one(self, row, column + used, style, ELLIPSIS);
	for (i = high; i < count; i++)
		used += put_one(self, row, column + used, style, characters[i]);
	return used;
}

void top_grid__style(struct top_grid *self, int row, enum top_style style)
{
	int i;

	for (i = 0; row >= 0 && row < self->rows && i < self->columns; i++)
		self->cells[(size_t)row * (size_t)self->columns + (size_t)i].style = style;
}

void top_grid__write(const struct top_grid *self, FILE *out)
{
	int row, column, end, blank = 0;
	const struct top_cell *cell;
	char bytes[4] = {};

	for (row = 0; row < self->rows; row++) {
		for (end = self->columns; end; end--) {
			if (top_grid__at(self, row, end - 1)->character != ' ')
				break;
		}
		if (!end) {
			blank++;
			continue;
		}
		for (; blank; blank--)
			putc('\n', out);
		for (column = 0; column < end; column++) {
			cell = top_grid__at(self, row, column);
			if (cell->character)
				fwrite(bytes, 1, text__encode(cell->character, bytes), out);
		}
		putc('\n', out);
	}
}
