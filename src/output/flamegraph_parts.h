/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The parts that flamegraph.c puts together. Not part of the module's interface.
 */
#ifndef LUASPY_FLAMEGRAPH_PARTS_H
#define LUASPY_FLAMEGRAPH_PARTS_H

#include <stdbool.h>
#include <stdio.h>

#include "flamegraph_tree.h"

/* How a type of frame looks. The one place for these colours: the page gets them with its data.
 * Labels are dark in both themes; on every shade that the page makes of `light` and of `dark` they
 * have a contrast of at least 4.5 : 1 (tests/consumers checks it). */
struct flamegraph_color {
	const char *label;
	char light[8], dark[8]; /* fills in the light and in the dark theme: #rrggbb */
};

extern const struct flamegraph_color flamegraph_colors[PROFILE_FRAME_TYPES];

/* A text file of the tree as bytes of the program, `symbol` to `symbol`_end. Paths are relative to
 * the root of the tree, where make runs. */
#define FLAMEGRAPH_ASSET(symbol, file)                                                             \
	__asm__(".pushsection .rodata." #symbol ", \"a\"\n" #symbol ":\n"                          \
		".incbin \"src/output/assets/" file "\"\n" #symbol "_end:\n.popsection\n");        \
	extern const char symbol[] __attribute__((visibility("hidden")));                          \
	extern const char symbol##_end[] __attribute__((visibility("hidden")))

struct flamegraph_page;

/* What a still picture looks like that does not show the types of its frames. */
struct flamegraph_look {
	unsigned int color_count;
	const struct flamegraph_color *colors; /* those with a label stand in the legend */
	unsigned int (*color_of)(const struct flamegraph_page *page, size_t node);
	/* As XML text: what follows a frame's name, and the two lines below the title. */
	void (*write_figures)(const struct flamegraph_page *page, size_t node, FILE *out);
	void (*write_line)(const struct flamegraph_page *page, int line, FILE *out);
};

/* What a page shows. */
struct flamegraph_page {
	const struct profile *profile;
	const struct flamegraph_tree *tree;
	/* The numbers that the script gets of each node, as many as `columns`; NULL: its total. */
	unsigned int columns;
	const uint64_t *values[3]; /* by node */
	bool counts; /* they are samples or events, even where the profile is of time */
	/* Members of the data's object that only this kind of page has, and the part of the script
	 * that reads them; NULL: none. */
	void (*write_more)(const struct flamegraph_page *page, FILE *out);
	const void *more;
	const struct flamegraph_look *look; /* NULL: types */
	const char *script, *script_end;
};

/* The page as a file of its own, and the page in a still picture. Both return 0 or a negative
 * errno. */
int flamegraph_page__write_html(const struct flamegraph_page *page, FILE *out);
int flamegraph_page__write_svg(const struct flamegraph_page *page, FILE *out);

/* Writes the recording and the tree as one JSON object that is safe inside of a script element of
 * HTML and of XML. assets/model.js describes and reads it. */
void flamegraph_data__write(const struct flamegraph_page *page, FILE *out);

/* A variable-length number, as they stand in the data (flamegraph_data.c). */
void flamegraph_data__write_number(uint64_t value, FILE *out);

/* Writes the graph as plain SVG elements, for viewers that run no scripts: the opening <svg> tag,
 * a heading, the widest frames and a legend. The caller closes the element. Returns 0 or -ENOMEM.
 */
int flamegraph_static__write(const struct flamegraph_page *page, FILE *out);

/* What the data say of a recording: members of an object, each with a comma behind it. */
void flamegraph_data__write_info(const struct profile_info *info, FILE *out);

/* "2026-01-31 12:00:00 UTC", empty for a time that is not known. */
void flamegraph_data__format_time(int64_t seconds, char *text, size_t size);

/* What profile__weight says, for a reader: "1234 samples", "12.3 ms". */
void flamegraph_data__format_weight(const struct profile *profile, uint64_t weight, char *text,
				    size_t size);

#endif
