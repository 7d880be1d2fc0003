/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Manual pages (man(7), for groff and mandoc), made from the tables that `--help` is made from.
 */
#ifndef LUASPY_MANUAL_PAGE_H
#define LUASPY_MANUAL_PAGE_H

#include <stdio.h>

#include "commands.h"

struct manual_page {
	const struct command *commands; /* up to one without a name */
	const char *version, *date;	/* of the program; the date as 2026-01-31 */
	const char *summary, *about;	/* of luaspy itself: a line, and some sentences */
};

/* luaspy-COMMAND(1), for one of the commands. 0 or -ENOMEM; `out` is not checked. */
int manual_page__write(const struct manual_page *self, const struct command *command, FILE *out);

/* luaspy(1). */
void manual_page__write_overview(const struct manual_page *self, FILE *out);

#endif
