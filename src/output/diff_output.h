/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Writers of a comparison of two profiles, for output_file__write_any: the subject is a struct
 * diff_output. Each returns 0 or a negative errno.
 */
#ifndef LUASPY_DIFF_OUTPUT_H
#define LUASPY_DIFF_OUTPUT_H

#include <stdio.h>

#include "profile_diff.h"

struct diff_output {
	const struct profile_diff *diff;
	const char *title; /* of the page */
	const char *command_line;
	const char *version;	/* of luaspy */
	const char *sources[2]; /* where the profiles come from: files' names */
	double min_percent;	/* tables leave rows out that have less in both; 0: the first 30 */
	bool by_total;	   /* tables: changes of functions with what they call, not of their own */
	bool width_before; /* graphs: frames are as wide as they were before */
};

/* A table of the functions that have changed most. */
int diff_table__write(const void *diff_output, FILE *out);
/* All functions, for programs: docs/heat-map-and-diff.md. */
int diff_json__write(const void *diff_output, FILE *out);
/* The differential flame graph. */
int diff_graph__write_html(const void *diff_output, FILE *out);
int diff_graph__write_svg(const void *diff_output, FILE *out);

/* What is compared with what, in one line of text: "shares of 1000 samples before and of 2000
 * after". */
void diff_output__write_basis(const struct diff_output *self, FILE *out);

#endif
