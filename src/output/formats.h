/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The table of output formats: what -f and the endings of -o stand for, in all commands that write
 * profiles.
 */
#ifndef LUASPY_FORMATS_H
#define LUASPY_FORMATS_H

#include <stdbool.h>
#include <stdio.h>

#include "../sample/profile.h"
#include "profile_view.h"

#define FORMAT_MAX_ENDINGS 4

enum format_needs {
	FORMAT_DRAWN,  /* a root frame, and texts for frames */
	FORMAT_TABLE,  /* the same; rows, no tree */
	FORMAT_LABELS, /* labels, and texts for frames */
	FORMAT_EXACT,  /* all there is */
};

struct format {
	const char *name;
	const char *endings[FORMAT_MAX_ENDINGS]; /* NULL-terminated */
	int (*write)(const struct profile *profile, FILE *out);
	enum format_needs needs;
	bool binary;	  /* not for a terminal */
	const char *hint; /* what a file of it is for: "open it in a browser" */
};

/* "html, svg, folded, ...", for messages. */
#define FORMAT_NAMES "html, svg, heatmap, folded, pprof, speedscope, perf, top or json"
#define FORMAT_CHOICES                                                                             \
	"html|svg|heatmap|folded|pprof|speedscope|perf|top|json" /* as cmd/manual.h reads it */

/* By its name; NULL for no such format. */
const struct format *format__named(const char *name);

/* By the ending of a file's name, or by a whole name such as "perf.txt"; folded for "-" and what is
 * in /dev. NULL when it tells none. */
const struct format *format__of_path(const char *path);

/* Makes the view one that the format's writer takes. */
void format__adapt(const struct format *self, struct profile_view *view);

/* Does it have places for labels? A recording for it keeps threads apart. */
bool format__keeps_labels(const struct format *self);

/* Does it show when samples were taken? A recording for it keeps their times. */
bool format__uses_times(const struct format *self);

#endif
