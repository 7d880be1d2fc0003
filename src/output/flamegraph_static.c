// SPDX-License-Identifier: Apache-2.0
/*
 * The flame graph as a still picture: what an image viewer, a chat's preview or a site that forbids
 * scripts shows of the SVG file. The widest frames only, so that its size is bounded.
 */
#include "flamegraph_parts.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>

#include "text.h"

#define WIDTH	   1200
#define MARGIN	   12
#define ROW	   18
#define HEADING	   84 /* title, command line, figures, legend */
#define MAX_FRAMES 2500
#define MIN_PIXELS 0.4
/* Of the 12 pixel sans-serif font: a little more than the average, as there is no measuring. */
#define CHARACTER_PIXELS 7.0
#define COLUMNS		 ((size_t)((WIDTH - 2 * MARGIN) / CHARACTER_PIXELS))

struct candidate {
	uint64_t total;
	size_t node;
};

/* Widest first. A parent is never narrower than its child and stands before it, so any first part
 * of this order is a tree without holes. */
static int by_width(const void *left, const void *right)
{
	const struct candidate *a = left, *b = right;

	if (a->total != b->total)
		return a->total > b->total ? -1 : 1;
	return (a->node > b->node) - (a->node < b->node);
}

static int by_node(const void *left, const void *right)
{
	const struct candidate *a = left, *b = right;

	return (a->node > b->node) - (a->node < b->node);
}

static double percent(uint64_t part, uint64_t whole)
{
	return whole ? 100.0 * (double)part / (double)whole : 0;
}

/* The nodes to show, in preorder; returns their number. */
static size_t choose(const struct flamegraph_tree *tree, struct candidate *chosen)
{
	double scale = (double)(WIDTH - 2 * MARGIN) / (double)tree->nodes[0].total;
	size_t count = 0;

	for (size_t i = 0; i < tree->node_count; i++) {
		if ((double)tree->nodes[i].total * scale >= MIN_PIXELS)
			chosen[count++] = (struct candidate){tree->nodes[i].total, i};
	}
	if (count > MAX_FRAMES) {
		qsort(chosen, count, sizeof(*chosen), by_width);
		count = MAX_FRAMES;
		qsort(chosen, count, sizeof(*chosen), by_node);
	}
	return count;
}

static void write_style(const struct flamegraph_look *look, FILE *out)
{
	fputs("<style>\n"
	      "text{font:12px system-ui,\"Segoe UI\",Roboto,\"DejaVu Sans\",sans-serif;"
	      "fill:#14171c}\n"
	      ".bg{fill:#fff}.f "
	      "text{fill:#14171c}.title{font-size:17px;font-weight:600}.muted{fill:#4a5261}\n"
	      "g.f:hover rect{stroke:#14171c}\n",
	      out);
	for (unsigned int i = 0; i < look->color_count; i++)
		fprintf(out, ".t%u{fill:%s}", i, look->colors[i].light);
	fputs("\n@media (prefers-color-scheme:dark){\n"
	      "text{fill:#f3f5f9}.f text{fill:#0d1014}.bg{fill:#15181d}.muted{fill:#b4bcc9}\n"
	      "g.f:hover rect{stroke:#fff}\n",
	      out);
	for (unsigned int i = 0; i < look->color_count; i++)
		fprintf(out, ".t%u{fill:%s}", i, look->colors[i].dark);
	fputs("}\n</style>\n", out);
}

/* "12345 samples", of time "1.23 s in 456 events". */
static void write_amount(const struct profile *profile, const struct flamegraph_tree *tree,
			 FILE *out)
{
	const struct profile_info *info = profile__info(profile);
	char weight[48];

	if (info->kind == PROFILE_CPU) {
		fprintf(out, "%" PRIu64 " samples", info->samples);
		return;
	}
	flamegraph_data__format_weight(profile, tree->nodes[0].total, weight, sizeof(weight));
	fprintf(out, "%s %s in %" PRIu64 " %s", weight,
		info->kind == PROFILE_OFF_CPU ? "off the CPU" : "of wall time", info->samples,
		info->kind == PROFILE_OFF_CPU ? "events" : "samples and events");
}

/* Of a recording: its command line, and what was counted. */
static void write_line(const struct flamegraph_page *page, int line, FILE *out)
{
	const struct profile_info *info = profile__info(page->profile);
	char time[64];

	if (line == 0) {
		text__write_xml(out, info->command_line ? info->command_line : "", COLUMNS);
		return;
	}
	flamegraph_data__format_time(info->start_time, time, sizeof(time));
	write_amount(page->profile, page->tree, out);
	fprintf(out,
		", %" PRIu64 " lost, %" PRIu64
		" truncated, %.2f %% complete, %.2f %% with Lua; %.1f s",
		info->lost, info->truncated, percent(info->complete, info->samples),
		percent(info->with_lua, info->samples), info->duration_seconds);
	if (info->rate_hz)
		fprintf(out, " at %" PRIu32 " Hz", info->rate_hz);
	if (time[0])
		fprintf(out, ", from %s", time);
	if (info->host) {
		fputs(", on ", out);
		text__write_xml(out, info->host, 40);
	}
}

static unsigned int type_of(const struct flamegraph_page *page, size_t node)
{
	const struct flamegraph_tree *tree = page->tree;

	return node ? profile__frame_at(page->profile, tree->frames[tree->nodes[node].frame])->type
		    : PROFILE_THREAD;
}

static void write_figures(const struct flamegraph_page *page, size_t node, FILE *out)
{
	uint64_t total = page->tree->nodes[node].total;
	char weight[48];

	flamegraph_data__format_weight(page->profile, total, weight, sizeof(weight));
	fprintf(out, "%s, %.2f %%", weight, percent(total, page->tree->nodes[0].total));
}

static const struct flamegraph_look types = {
	.color_count = PROFILE_FRAME_TYPES,
	.colors = flamegraph_colors,
	.color_of = type_of,
	.write_figures = write_figures,
	.write_line = write_line,
};

static void write_legend(const struct flamegraph_page *page, const struct flamegraph_look *look,
			 FILE *out)
{
	int x = MARGIN;

	for (unsigned int i = 0; i < look->color_count; i++) {
		uint64_t leaves = look == &types ? page->tree->leaf_samples[i] : 1;
		int length;

		if (!leaves || !look->colors[i].label)
			continue;
		fprintf(out,
			"<rect class=\"t%u\" x=\"%d\" y=\"65\" width=\"11\" height=\"11\"/>"
			"<text x=\"%d\" y=\"75\">",
			i, x, x + 16);
		length = fprintf(out, "%s", look->colors[i].label);
		if (look == &types)
			length += fprintf(out, " %.1f %%",
					  percent(leaves, page->tree->nodes[0].total));
		fputs("</text>\n", out);
		x += 34 + (int)(length * CHARACTER_PIXELS);
	}
}

static void write_heading(const struct flamegraph_page *page, const struct flamegraph_look *look,
			  FILE *out)
{
	fprintf(out, "<text class=\"title\" x=\"%d\" y=\"22\">", MARGIN);
	text__write_xml(out, text__name(profile__info(page->profile)->title), 110);
	fprintf(out, "</text>\n<text class=\"muted\" x=\"%d\" y=\"40\">", MARGIN);
	look->write_line(page, 0, out);
	fprintf(out, "</text>\n<text x=\"%d\" y=\"57\">", MARGIN);
	look->write_line(page, 1, out);
	fputs("</text>\n", out);
	write_legend(page, look, out);
}

static void write_frame(const struct flamegraph_page *page, const struct flamegraph_look *look,
			size_t number, uint32_t depth, FILE *out)
{
	const struct flamegraph_tree *tree = page->tree;
	const struct flamegraph_node *node = &tree->nodes[number];
	double scale = (double)(WIDTH - 2 * MARGIN) / (double)tree->nodes[0].total;
	double x = MARGIN + (double)node->left * scale, width = (double)node->total * scale;
	uint32_t y = HEADING + (depth - node->depth) * ROW;
	const char *name = "all";

	if (node->depth)
		name = text__name(
			profile__frame_at(page->profile, tree->frames[node->frame])->name);
	fputs("<g class=\"f\"><title>", out);
	text__write_xml(out, name, 400);
	fputs(" (", out);
	look->write_figures(page, number, out);
	fprintf(out,
		")</title>"
		"<rect class=\"t%u\" x=\"%.1f\" y=\"%" PRIu32 "\" width=\"%.1f\" height=\"%d\"/>",
		look->color_of(page, number), x, y, width > 2 ? width - 0.5 : width, ROW - 1);
	if (width >= 30) {
		fprintf(out, "<text x=\"%.1f\" y=\"%" PRIu32 "\">", x + 4, y + 13);
		text__write_xml(out, name, (size_t)((width - 9) / CHARACTER_PIXELS));
		fputs("</text>", out);
	}
	fputs("</g>\n", out);
}

int flamegraph_static__write(const struct flamegraph_page *page, FILE *out)
{
	const struct profile *profile = page->profile;
	const struct flamegraph_tree *tree = page->tree;
	const struct flamegraph_look *look = page->look ? page->look : &types;
	struct candidate *chosen = calloc(tree->node_count, sizeof(*chosen));
	size_t count;
	uint32_t depth = 0;

	if (!chosen)
		return -ENOMEM;
	count = choose(tree, chosen);
	for (size_t i = 0; i < count; i++) {
		if (tree->nodes[chosen[i].node].depth > depth)
			depth = tree->nodes[chosen[i].node].depth;
	}
	fprintf(out,
		"<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"%d\" height=\"%" PRIu32
		"\" viewBox=\"0 0 %d %" PRIu32 "\">\n",
		WIDTH, HEADING + (depth + 1) * ROW + MARGIN, WIDTH,
		HEADING + (depth + 1) * ROW + MARGIN);
	fputs("<title>", out);
	text__write_xml(out, text__name(profile__info(profile)->title), 0);
	fputs("</title>\n", out);
	write_style(look, out);
	fputs("<rect class=\"bg\" width=\"100%\" height=\"100%\"/>\n", out);
	write_heading(page, look, out);
	for (size_t i = 0; i < count; i++)
		write_frame(page, look, chosen[i].node, depth, out);
	free(chosen);
	return 0;
}
