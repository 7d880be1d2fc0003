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

static void write_style(FILE *out)
{
	fputs("<style>\n"
	      "text{font:12px system-ui,\"Segoe UI\",Roboto,\"DejaVu Sans\",sans-serif;"
	      "fill:#14171c}\n"
	      ".bg{fill:#fff}.f "
	      "text{fill:#14171c}.title{font-size:17px;font-weight:600}.muted{fill:#4a5261}\n"
	      "g.f:hover rect{stroke:#14171c}\n",
	      out);
	for (int type = 0; type < PROFILE_FRAME_TYPES; type++)
		fprintf(out, ".t%d{fill:%s}", type, flamegraph_colors[type].light);
	fputs("\n@media (prefers-color-scheme:dark){\n"
	      "text{fill:#f3f5f9}.f text{fill:#0d1014}.bg{fill:#15181d}.muted{fill:#b4bcc9}\n"
	      "g.f:hover rect{stroke:#fff}\n",
	      out);
	for (int type = 0; type < PROFILE_FRAME_TYPES; type++)
		fprintf(out, ".t%d{fill:%s}", type, flamegraph_colors[type].dark);
	fputs("}\n</style>\n", out);
}

/* What was recorded, and at which rate. */
static void write_totals(const struct profile_info *info, uint64_t total, FILE *out)
{
	if (info->kind == PROFILE_CPU)
		fprintf(out, "%" PRIu64 " samples", info->samples);
	else
		fprintf(out, "%.3f s in %" PRIu64 " events", (double)total / 1e6, info->samples);
	fprintf(out,
		", %" PRIu64 " lost, %" PRIu64
		" truncated, %.2f %% complete, %.2f %% with Lua; %.1f s",
		info->lost, info->truncated, percent(info->complete, info->samples),
		percent(info->with_lua, info->samples), info->duration_seconds);
	if (info->rate_hz)
		fprintf(out, " at %" PRIu32 " Hz", info->rate_hz);
}

static void write_heading(const struct profile_info *info, const struct flamegraph_tree *tree,
			  FILE *out)
{
	size_t columns = (size_t)((WIDTH - 2 * MARGIN) / CHARACTER_PIXELS);
	char time[64];
	int x = MARGIN;

	flamegraph_data__format_time(info->start_time, time, sizeof(time));
	fprintf(out, "<text class=\"title\" x=\"%d\" y=\"22\">", MARGIN);
	text__write_xml(out, text__name(info->title), 110);
	fprintf(out, "</text>\n<text class=\"muted\" x=\"%d\" y=\"40\">", MARGIN);
	text__write_xml(out, info->command_line ? info->command_line : "", columns);
	fprintf(out, "</text>\n<text x=\"%d\" y=\"57\">", MARGIN);
	write_totals(info, tree->nodes[0].total, out);
	if (time[0])
		fprintf(out, ", from %s", time);
	if (info->host) {
		fputs(", on ", out);
		text__write_xml(out, info->host, 40);
	}
	fputs("</text>\n", out);
	for (int type = 0; type < PROFILE_FRAME_TYPES; type++) {
		uint64_t samples = tree->leaf_samples[type];
		int length;

		if (!samples)
			continue;
		fprintf(out,
			"<rect class=\"t%d\" x=\"%d\" y=\"65\" width=\"11\" height=\"11\"/>"
			"<text x=\"%d\" y=\"75\">",
			type, x, x + 16);
		length = fprintf(out, "%s %.1f %%", flamegraph_colors[type].label,
				 percent(samples, tree->nodes[0].total));
		fputs("</text>\n", out);
		x += 34 + (int)(length * CHARACTER_PIXELS);
	}
}

static void write_frame(const struct profile *profile, const struct flamegraph_tree *tree,
			const struct flamegraph_node *node, uint32_t depth, FILE *out)
{
	double scale = (double)(WIDTH - 2 * MARGIN) / (double)tree->nodes[0].total;
	double x = MARGIN + (double)node->left * scale, width = (double)node->total * scale;
	uint32_t y = HEADING + (depth - node->depth) * ROW;
	enum profile_frame_type type = PROFILE_THREAD;
	const char *name = "all";
	char amount[48];

	if (node->depth) {
		const struct profile_frame *frame =
			profile__frame_at(profile, tree->frames[node->frame]);

		name = text__name(frame->name);
		type = frame->type;
	}
	fputs("<g class=\"f\"><title>", out);
	text__write_xml(out, name, 400);
	flamegraph_data__format_amount(profile, node->total, amount, sizeof(amount));
	fprintf(out,
		" (%s, %.2f %%)</title>"
		"<rect class=\"t%d\" x=\"%.1f\" y=\"%" PRIu32 "\" width=\"%.1f\" height=\"%d\"/>",
		amount, percent(node->total, tree->nodes[0].total), (int)type, x, y,
		width > 2 ? width - 0.5 : width, ROW - 1);
	if (width >= 30) {
		fprintf(out, "<text x=\"%.1f\" y=\"%" PRIu32 "\">", x + 4, y + 13);
		text__write_xml(out, name, (size_t)((width - 9) / CHARACTER_PIXELS));
		fputs("</text>", out);
	}
	fputs("</g>\n", out);
}

int flamegraph_static__write(const struct profile *profile, const struct flamegraph_tree *tree,
			     FILE *out)
{
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
	write_style(out);
	fputs("<rect class=\"bg\" width=\"100%\" height=\"100%\"/>\n", out);
	write_heading(profile__info(profile), tree, out);
	for (size_t i = 0; i < count; i++)
		write_frame(profile, tree, &tree->nodes[chosen[i].node], depth, out);
	free(chosen);
	return 0;
}
