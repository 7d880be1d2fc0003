/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Draws what `luaspy top` shows: on a page of a terminal's size, or on one that is as long and wide
 * as what is to be written to a file.
 */
#ifndef LUASPY_TOP_PAGE_H
#define LUASPY_TOP_PAGE_H

#include <stdbool.h>
#include <stdint.h>

#include "top_grid.h"
#include "top_model.h"
#include "top_settings.h"
#include "top_table.h"

/* What is said above the table. */
struct top_info {
	const char *title; /* "nginx 1234 and 3 others" */
	const char *time;  /* "12:04:59" */
	const char *note;  /* what is to be told now, "" for nothing */
	uint32_t rate_hz;
	double seconds[TOP_WINDOWS];
	uint64_t lost[TOP_WINDOWS]; /* samples that could not be kept */
};

/* The rows of the table that fit on a page of so many rows. */
int top_page__rows(int rows);

/* On a grid that is already made. */
void top_page__draw(struct top_grid *grid, const struct top_info *info,
		    const struct top_settings *settings, const struct top_model *model,
		    const struct top_table *table);

/* Makes the grid for at most `rows` rows of the table, at most `width` columns wide (0: so that
 * nothing is shortened), and draws on it; without what is only of use where there are keys. 0 or
 * -ENOMEM. */
int top_page__draw_plain(struct top_grid *grid, int rows, int width, const struct top_info *info,
			 const struct top_settings *settings, const struct top_model *model,
			 const struct top_table *table);

#endif
