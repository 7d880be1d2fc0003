/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The parts that flamegraph.c puts together. Not part of the module's interface.
 */
#ifndef LUASPY_FLAMEGRAPH_PARTS_H
#define LUASPY_FLAMEGRAPH_PARTS_H

#include <stdio.h>

#include "flamegraph_tree.h"

/* How a type of frame looks. The one place for these colours: the page gets them with its data.
 * Labels are dark in both themes; on every shade that the page makes of `light` and of `dark` they
 * have a contrast of at least 4.5 : 1 (tests/consumers checks it). */
struct flamegraph_color {
	const char *label;
	const char *light, *dark; /* fills in the light and in the dark theme: #rrggbb */
};

extern const struct flamegraph_color flamegraph_colors[PROFILE_FRAME_TYPES];

/* Writes the recording and the tree as one JSON object that is safe inside of a script element of
 * HTML and of XML. assets/model.js describes and reads it. */
void flamegraph_data__write(const struct profile *profile, const struct flamegraph_tree *tree,
			    FILE *out);

/* Writes the graph as plain SVG elements, for viewers that run no scripts: the opening <svg> tag,
 * a heading, the widest frames and a legend. The caller closes the element. */
int flamegraph_static__write(const struct profile *profile, const struct flamegraph_tree *tree,
			     FILE *out);

/* What a node of the tree weighs: "123 samples", or of time "12.345 ms". */
void flamegraph_data__format_amount(const struct profile *profile, uint64_t weight, char *text,
				    size_t size);

/* "2026-01-31 12:00:00 UTC", empty for a time that is not known. */
void flamegraph_data__format_time(int64_t seconds, char *text, size_t size);

#endif
