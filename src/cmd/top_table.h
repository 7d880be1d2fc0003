/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The rows that `luaspy top` shows: chosen and sorted as the settings say.
 */
#ifndef LUASPY_TOP_TABLE_H
#define LUASPY_TOP_TABLE_H

#include <stddef.h>
#include <stdint.h>

#include "top_model.h"
#include "top_settings.h"

#define TOP_TEXT_BYTES 2048

/* Functions (or lines), or processes with the Lua function that is hottest in them. */
struct top_row {
	const struct top_function *function; /* of a process: NULL when none is known */
	const struct top_process *process;   /* NULL in a table of functions */
	uint64_t self, total, compiled;	     /* samples */
};

struct top_table {
	struct top_row *rows;
	size_t count;
	uint64_t samples; /* all of the window, of which rows are shares */
	size_t room;
};

/* Borrows from the model until it changes. 0 or -ENOMEM. Can be made again. */
int top_table__make(struct top_table *self, const struct top_model *model,
		    const struct top_settings *settings);
void top_table__free(struct top_table *self);

/* Where a function is: "app.lua:12", of a line "app.lua:14"; a main chunk, or a C function: the
 * file. */
void top_function__place(const struct top_function *function, char *out, size_t size);

#endif
