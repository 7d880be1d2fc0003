// SPDX-License-Identifier: Apache-2.0
/*
 * A flame graph's data as compact JSON. Numbers of the tree are variable-length quantities in
 * base 64, as in source maps: 5 bits a digit, lowest first, bit 6 says that more follow.
 */
#include "flamegraph_parts.h"

#include <inttypes.h>
#include <time.h>

#include "text.h"

static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

/* Warm colours for the machine (kernel, C), cold ones for Lua. */
const struct flamegraph_color flamegraph_colors[PROFILE_FRAME_TYPES] = {
	[PROFILE_THREAD] = {"Thread", "#c3c9d4", "#98a1b2"},
	[PROFILE_KERNEL] = {"Kernel", "#f28b6b", "#e2734f"},
	[PROFILE_NATIVE] = {"C", "#f3c65a", "#d8a638"},
	[PROFILE_LUA] = {"Lua, interpreted", "#82b6f2", "#5a97e0"},
	[PROFILE_LUA_COMPILED] = {"Lua, compiled", "#5fcfae", "#3bae8c"},
	[PROFILE_BUILTIN] = {"Lua built-in", "#d6a3ea", "#b780d2"},
	[PROFILE_NOTE] = {"Note", "#dcd6cb", "#b3ab9b"},
};

void flamegraph_data__write_number(uint64_t value, FILE *out)
{
	do {
		unsigned int digit = value & 31;

		value >>= 5;
		putc_unlocked(digits[digit | (value ? 32 : 0)], out);
	} while (value);
}

/* How many leading characters two names share, counting only plain ASCII, where a byte is a
 * character on every side; at most what one digit can say. */
static unsigned int shared_prefix(const char *a, const char *b)
{
	unsigned int i = 0;

	while (i < 63 && a[i] == b[i] && a[i] >= 0x20 && a[i] < 0x7f)
		i++;
	return i;
}

/* One name a line; its first character is a digit: how much to keep of the name before it. */
static void write_names(const struct profile *profile, const struct flamegraph_tree *tree,
			FILE *out)
{
	const char *before = "";

	for (uint32_t i = 0; i < tree->frame_count; i++) {
		const char *name = text__name(profile__frame_at(profile, tree->frames[i])->name);
		unsigned int shared = shared_prefix(before, name);

		if (i)
			fputs("\\n", out);
		putc_unlocked(digits[shared], out);
		text__write_json(out, name + shared);
		before = name;
	}
}

/* Per node, in preorder: how many levels up from the node before it its parent is, its numbers,
 * its frame. Where it starts follows from the nodes before it. */
static void write_nodes(const struct flamegraph_page *page, FILE *out)
{
	const struct flamegraph_tree *tree = page->tree;

	for (size_t i = 1; i < tree->node_count; i++) {
		const struct flamegraph_node *node = &tree->nodes[i];

		flamegraph_data__write_number(tree->nodes[i - 1].depth + 1 - node->depth, out);
		for (unsigned int c = 0; c < page->columns; c++)
			flamegraph_data__write_number(
				page->values[c] ? page->values[c][i] : node->total, out);
		flamegraph_data__write_number(node->frame, out);
	}
}

/* What the numbers count. */
static const char *unit(const struct flamegraph_page *page)
{
	if (profile__info(page->profile)->kind == PROFILE_CPU)
		return "samples";
	return page->counts ? "events" : "microseconds";
}

static void write_string(FILE *out, const char *key, const char *value)
{
	fprintf(out, "\"%s\":\"", key);
	text__write_json(out, value ? value : "");
	fputs("\",\n", out);
}

static void write_count(FILE *out, const char *key, uint64_t value)
{
	fprintf(out, "\"%s\":%" PRIu64 ",\n", key, value);
}

void flamegraph_data__format_time(int64_t seconds, char *text, size_t size)
{
	time_t time = (time_t)seconds;
	struct tm tm;

	text[0] = '\0';
	if (seconds > 0 && gmtime_r(&time, &tm))
		strftime(text, size, "%Y-%m-%d %H:%M:%S UTC", &tm);
}

void flamegraph_data__format_weight(const struct profile *profile, uint64_t weight, char *text,
				    size_t size)
{
	double value = (double)weight;
	int digits_behind;

	if (profile__info(profile)->kind == PROFILE_CPU) {
		snprintf(text, size, "%" PRIu64 " samples", weight);
		return;
	}
	if (weight < 1000) {
		snprintf(text, size, "%" PRIu64 " \u00b5s", weight);
		return;
	}
	value /= weight < 1000000 ? 1e3 : 1e6;
	digits_behind = value < 10 ? 2 : value < 100 ? 1 : 0;
	snprintf(text, size, "%.*f %s", digits_behind, value, weight < 1000000 ? "ms" : "s");
}

void flamegraph_data__write_info(const struct profile_info *info, FILE *out)
{
	char time[64];

	flamegraph_data__format_time(info->start_time, time, sizeof(time));
	write_string(out, "title", info->title);
	write_string(out, "commandLine", info->command_line);
	write_string(out, "version", info->version);
	write_string(out, "host", info->host);
	write_string(out, "startTime", time);
	fprintf(out, "\"startSeconds\":%" PRId64 ",\n", info->start_time);
	fprintf(out, "\"durationSeconds\":%.3f,\n", info->duration_seconds);
	write_count(out, "rateHz", info->rate_hz);
	write_string(out, "kind",
		     info->kind == PROFILE_CPU	     ? "cpu"
		     : info->kind == PROFILE_OFF_CPU ? "off-cpu"
						     : "wall");
	write_count(out, "samples", info->samples);
	write_count(out, "uniqueStacks", info->unique_stacks);
	write_count(out, "withLua", info->with_lua);
	write_count(out, "complete", info->complete);
	write_count(out, "truncated", info->truncated);
	write_count(out, "lost", info->lost);
	fputs("\"errors\":[", out);
	for (size_t i = 0; i < info->error_count; i++) {
		fputs(i ? ",[\"" : "[\"", out);
		text__write_json(out, text__name(info->errors[i].name));
		fprintf(out, "\",%" PRIu64 "]", info->errors[i].count);
	}
	fputs("],\n", out);
}

void flamegraph_data__write(const struct flamegraph_page *page, FILE *out)
{
	const struct profile *profile = page->profile;
	const struct flamegraph_tree *tree = page->tree;

	fputs("{\n", out);
	flamegraph_data__write_info(profile__info(profile), out);
	write_string(out, "unit", unit(page));
	if (page->write_more)
		page->write_more(page, out);
	fputs("\"types\":[", out);
	for (int i = 0; i < PROFILE_FRAME_TYPES; i++)
		fprintf(out, "%s[\"%s\",\"%s\",\"%s\"]", i ? "," : "", flamegraph_colors[i].label,
			flamegraph_colors[i].light, flamegraph_colors[i].dark);
	fprintf(out, "],\n\"total\":%" PRIu64 ",\n\"names\":\"", tree->nodes[0].total);
	write_names(profile, tree, out);
	fputs("\",\n\"nameTypes\":\"", out);
	for (uint32_t i = 0; i < tree->frame_count; i++)
		fprintf(out, "%d", (int)profile__frame_at(profile, tree->frames[i])->type);
	fprintf(out, "\",\n\"nodeCount\":%zu,\n\"columns\":%u,\n\"nodes\":\"", tree->node_count,
		page->columns);
	write_nodes(page, out);
	fputs("\"\n}", out);
}
