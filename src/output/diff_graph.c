// SPDX-License-Identifier: Apache-2.0
/*
 * The differential flame graph: frames as wide as they are after (or were before), red where there
 * is more of them than before, blue where there is less, and of one plain colour where that is
 * likely to be noise. The page is flamegraph.c's; assets/diff.js is the part of its script.
 */
#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "diff_output.h"
#include "flamegraph_parts.h"
#include "text.h"

FLAMEGRAPH_ASSET(asset_diff, "diff.js");

#define STEPS	    5	/* of colour, to each side */
#define FUNCTIONS   500 /* in the page's table */
#define COLOR_COUNT (2 * STEPS + 1)
#define COLOR_SAME  0
#define COLOR_LESS  1 /* to STEPS: from little to much */
#define COLOR_MORE  (STEPS + 1)

/* From the least change to the greatest. Labels are dark in both themes, and readable on all of
 * them (tests/consumers checks it). */
static const struct {
	const char *key;
	const char *light[2], *dark[2];
} ramps[] = {
	{"same", {"#dedad2", "#dedad2"}, {"#8b857a", "#8b857a"}},
	{"less", {"#dbe7f8", "#5f9bea"}, {"#a3b7d0", "#4b93ee"}},
	{"more", {"#fde0d8", "#f0705a"}, {"#cfaaa1", "#ee6a52"}},
};

struct diff_graph {
	const struct diff_output *output;
	struct profile_change *changes; /* by node */
	uint32_t *places;		/* by frame of the profile: its number in the page */
	double most;			/* points, of what is not noise */
	struct flamegraph_color colors[COLOR_COUNT];
	struct flamegraph_look look;
};

/* ---- figures of nodes -------------------------------------------------------------------------
 */

/* Fills graph->changes and values[0..2]: before, after, noise. */
static int judge_nodes(struct diff_graph *graph, struct flamegraph_tree *tree, uint64_t **values)
{
	const struct profile_diff *diff = graph->output->diff;
	int err = 0;

	graph->changes = calloc(tree->node_count, sizeof(*graph->changes));
	graph->places = calloc(profile__frame_count(diff->merged) + 1, sizeof(*graph->places));
	for (int i = 0; i < 3; i++) {
		values[i] = calloc(tree->node_count, sizeof(*values[i]));
		if (!values[i])
			return -ENOMEM;
	}
	if (!graph->changes || !graph->places)
		return -ENOMEM;
	for (uint32_t i = 0; i < tree->frame_count; i++)
		graph->places[tree->frames[i]] = i + 1; /* 0 is the root */
	for (int side = 0; side < 2 && !err; side++) {
		err = flamegraph_tree__weigh(tree, diff->merged, diff->weights[side]);
		for (size_t i = 0; i < tree->node_count && !err; i++)
			values[side][i] = graph->changes[i].weight[side] = tree->nodes[i].total;
	}
	for (size_t i = 0; i < tree->node_count; i++)
		profile_diff__judge(diff, &graph->changes[i]);
	if (!err)
		err = profile_diff__correct(diff, graph->changes, tree->node_count,
					    sizeof(*graph->changes));
	for (size_t i = 0; i < tree->node_count; i++) {
		const struct profile_change *change = &graph->changes[i];

		values[2][i] = change->noise;
		if (!change->noise && fabs(change->points) > graph->most)
			graph->most = fabs(change->points);
	}
	return err;
}

/* ---- the still picture ------------------------------------------------------------------------
 */

static void mix(const char *const ends[2], double part, char color[8])
{
	unsigned int from[3], to[3];

	if (sscanf(ends[0], "#%2x%2x%2x", &from[0], &from[1], &from[2]) != 3 ||
	    sscanf(ends[1], "#%2x%2x%2x", &to[0], &to[1], &to[2]) != 3)
		return;
	for (int i = 0; i < 3; i++)
		from[i] = (unsigned int)lround(from[i] + ((double)to[i] - from[i]) * part) & 255;
	snprintf(color, 8, "#%02x%02x%02x", from[0], from[1], from[2]);
}

static void make_colors(struct diff_graph *graph)
{
	for (int i = 0; i < COLOR_COUNT; i++) {
		int ramp = i == COLOR_SAME ? 0 : i < COLOR_MORE ? 1 : 2;
		double part = ramp ? (double)((i - 1) % STEPS) / (STEPS - 1) : 0;

		mix(ramps[ramp].light, part, graph->colors[i].light);
		mix(ramps[ramp].dark, part, graph->colors[i].dark);
	}
	graph->colors[COLOR_LESS + STEPS - 1].label = "shrank";
	graph->colors[COLOR_MORE + STEPS - 1].label = "grew";
	graph->colors[COLOR_SAME].label =
		graph->output->diff->tested ? "the same, within noise" : "the same";
}

/* Square roots, as in the script: small changes can be seen beside great ones. */
static unsigned int color_of(const struct flamegraph_page *page, size_t node)
{
	const struct diff_graph *graph = page->more;
	const struct profile_change *change = &graph->changes[node];
	unsigned int step;

	if (change->noise || change->points == 0 || graph->most == 0)
		return COLOR_SAME;
	step = (unsigned int)lround(sqrt(fabs(change->points) / graph->most) * (STEPS - 1));
	if (step > STEPS - 1)
		step = STEPS - 1;
	return (change->points < 0 ? COLOR_LESS : COLOR_MORE) + step;
}

static void write_figures(const struct flamegraph_page *page, size_t node, FILE *out)
{
	const struct diff_graph *graph = page->more;
	const struct profile_diff *diff = graph->output->diff;
	const struct profile_change *change = &graph->changes[node];

	fprintf(out, "before %.2f %%, after %.2f %%: %+.2f points%s",
		(double)change->weight[0] * diff->scale[0],
		(double)change->weight[1] * diff->scale[1], change->points,
		change->noise ? ", within noise" : "");
}

static void write_line(const struct flamegraph_page *page, int line, FILE *out)
{
	const struct diff_graph *graph = page->more;
	const struct diff_output *output = graph->output;
	char *basis = NULL;
	size_t size;
	FILE *text;

	if (line == 0) {
		fputs("before: ", out);
		text__write_xml(out, output->sources[0], 70);
		fputs(", after: ", out);
		text__write_xml(out, output->sources[1], 70);
		return;
	}
	text = open_memstream(&basis, &size);
	if (!text)
		return;
	diff_output__write_basis(output, text);
	if (fclose(text) == 0)
		text__write_xml(out, basis, 0);
	free(basis);
	fprintf(out, "; widths: %s", output->width_before ? "before" : "after");
}

/* ---- the script's data ------------------------------------------------------------------------
 */

static void write_side(const struct diff_output *output, int side, FILE *out)
{
	fprintf(out, "\"%s\":{", side ? "after" : "before");
	flamegraph_data__write_info(&output->diff->info[side], out);
	fputs("\"source\":\"", out);
	text__write_json(out, output->sources[side]);
	fputs("\"},\n", out);
}

static void write_ramps(FILE *out)
{
	fputs("\"ramps\":{", out);
	for (size_t i = 0; i < sizeof(ramps) / sizeof(ramps[0]); i++)
		fprintf(out, "%s\"%s\":{\"light\":[\"%s\",\"%s\"],\"dark\":[\"%s\",\"%s\"]}",
			i ? "," : "", ramps[i].key, ramps[i].light[0], ramps[i].light[1],
			ramps[i].dark[0], ramps[i].dark[1]);
	fputs("},\n", out);
}

static void write_change(const struct profile_change *change, FILE *out)
{
	fprintf(out, ",%" PRIu64 ",%" PRIu64 ",%d", change->weight[0], change->weight[1],
		change->noise);
}

/* [frame of the page, of itself before, after, noise, in total before, after, noise] */
static void write_functions(const struct flamegraph_page *page, FILE *out)
{
	const struct diff_graph *graph = page->more;
	const struct profile_diff *diff = graph->output->diff;

	fputs("\"functions\":[", out);
	for (size_t i = 0; i < diff->function_count && i < FUNCTIONS; i++) {
		fprintf(out, "%s[%" PRIu32, i ? "," : "", graph->places[diff->functions[i].frame]);
		write_change(&diff->functions[i].self, out);
		write_change(&diff->functions[i].total, out);
		putc(']', out);
	}
	fputs("],\n", out);
}

static void write_diff(const struct flamegraph_page *page, FILE *out)
{
	const struct diff_graph *graph = page->more;
	const struct profile_diff *diff = graph->output->diff;

	fputs("\"diff\":{", out);
	write_side(graph->output, 0, out);
	write_side(graph->output, 1, out);
	fprintf(out,
		"\"totals\":[%" PRIu64 ",%" PRIu64 "],\n\"scale\":[%.17g,%.17g],\n"
		"\"most\":%.17g,\n\"perSecond\":%s,\n\"tested\":%s,\n\"widthBefore\":%s,\n"
		"\"moved\":%zu,\n\"functionCount\":%zu,\n\"basis\":\"",
		diff->total[0], diff->total[1], diff->scale[0], diff->scale[1], graph->most,
		diff->per_second ? "true" : "false", diff->tested ? "true" : "false",
		graph->output->width_before ? "true" : "false", diff->moved, diff->function_count);
	diff_output__write_basis(graph->output, out);
	fputs("\",\n", out);
	write_ramps(out);
	write_functions(page, out);
	fputs("\"end\":0},\n", out);
}

/* ---- files ------------------------------------------------------------------------------------
 */

static int write_graph(const struct diff_output *output, FILE *out,
		       int (*write)(const struct flamegraph_page *page, FILE *out))
{
	const struct profile_diff *diff = output->diff;
	struct profile_info info = diff->info[1];
	uint64_t *values[3] = {0};
	struct flamegraph_tree tree;
	struct diff_graph graph = {
		.output = output,
		.look = {.color_count = COLOR_COUNT,
			 .colors = graph.colors,
			 .color_of = color_of,
			 .write_figures = write_figures,
			 .write_line = write_line},
	};
	struct flamegraph_page page = {
		.profile = diff->merged,
		.tree = &tree,
		.columns = 3,
		.write_more = write_diff,
		.more = &graph,
		.look = &graph.look,
		.script = asset_diff,
		.script_end = asset_diff_end,
	};
	int err = flamegraph_tree__build(&tree, diff->merged);

	info.title = output->title;
	info.command_line = output->command_line;
	info.version = output->version;
	profile__set_info(diff->merged, &info);
	if (!err)
		err = judge_nodes(&graph, &tree, values);
	if (!err)
		err = flamegraph_tree__weigh(&tree, diff->merged,
					     diff->weights[output->width_before ? 0 : 1]);
	if (!err) {
		make_colors(&graph);
		memcpy(page.values, values, sizeof(page.values));
		err = write(&page, out);
	}
	flamegraph_tree__free(&tree);
	free(graph.changes);
	free(graph.places);
	for (int i = 0; i < 3; i++)
		free(values[i]);
	return err;
}

int diff_graph__write_html(const void *diff_output, FILE *out)
{
	return write_graph(diff_output, out, flamegraph_page__write_html);
}

int diff_graph__write_svg(const void *diff_output, FILE *out)
{
	return write_graph(diff_output, out, flamegraph_page__write_svg);
}
