// SPDX-License-Identifier: Apache-2.0
/*
 * A comparison of two profiles as a table for people and as JSON for programs.
 */
#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <stdlib.h>

#include "diff_output.h"
#include "flamegraph_parts.h"
#include "function_table.h"
#include "text.h"

#define ROWS	       30u /* where --min does not say */
#define FORMAT_VERSION 1

static int finish(FILE *out)
{
	if (fflush(out) || ferror(out))
		return errno ? -errno : -EIO;
	return 0;
}

void diff_output__write_basis(const struct diff_output *self, FILE *out)
{
	const struct profile_diff *diff = self->diff;
	char weight[2][48];

	for (int side = 0; side < 2; side++)
		flamegraph_data__format_weight(diff->merged, diff->total[side], weight[side],
					       sizeof(weight[side]));
	if (!diff->per_second)
		fprintf(out,
			"shares of the whole, as if both totals were equal: %s before, %s after",
			weight[0], weight[1]);
	else if (diff->tested)
		fprintf(out, "CPU time per second: %.1f %% of a CPU before, %.1f %% after",
			(double)diff->total[0] * diff->scale[0],
			(double)diff->total[1] * diff->scale[1]);
	else
		fprintf(out, "time per second: %.1f %% of the recording before, %.1f %% after",
			(double)diff->total[0] * diff->scale[0],
			(double)diff->total[1] * diff->scale[1]);
}

/* ---- the table --------------------------------------------------------------------------------
 */

static const struct profile_change *change_of(const struct diff_output *self,
					      const struct profile_diff_function *function)
{
	return self->by_total ? &function->total : &function->self;
}

static int by_points(const void *left, const void *right, void *context)
{
	const struct diff_output *self = context;
	const struct profile_diff_function *const *a = left, *const *b = right;
	double x = fabs(change_of(self, *a)->points), y = fabs(change_of(self, *b)->points);

	if (profile_diff__is_news(*a) != profile_diff__is_news(*b))
		return profile_diff__is_news(*a) ? -1 : 1;
	if (x != y)
		return x > y ? -1 : 1;
	return (*a > *b) - (*a < *b); /* as they were */
}

static void write_side(const struct diff_output *self, int side, FILE *out)
{
	const struct profile_info *info = &self->diff->info[side];
	char time[64];

	flamegraph_data__format_time(info->start_time, time, sizeof(time));
	fputs(side ? "after   " : "before  ", out);
	text__write(out, self->sources[side]);
	fputs(": ", out);
	text__write(out, text__name(info->title));
	if (info->host && *info->host) {
		fputs(" on ", out);
		text__write(out, info->host);
	}
	fprintf(out, "%s%s, %" PRIu64 " %s in %.1f s", *time ? ", " : "", time, info->samples,
		info->kind == PROFILE_OFF_CPU ? "events" : "samples", info->duration_seconds);
	if (info->rate_hz)
		fprintf(out, " at %" PRIu32 " Hz", info->rate_hz);
	putc('\n', out);
}

static void write_chance(const struct diff_output *self, const struct profile_change *change,
			 FILE *out)
{
	char text[16] = "-";

	if (!self->diff->tested)
		return;
	if (!change->weight[0] && !change->weight[1])
		; /* nothing to compare */
	else if (change->noise)
		snprintf(text, sizeof(text), "noise");
	else if (change->q < 1e-9)
		snprintf(text, sizeof(text), "<1e-9");
	else
		snprintf(text, sizeof(text), "%.1g", change->q);
	fprintf(out, " %6s", text);
}

static void write_row(const struct diff_output *self, const struct profile_diff_function *function,
		      FILE *out)
{
	const struct profile_diff *diff = self->diff;
	const struct profile_frame *frame = profile__frame_at(diff->merged, function->frame);
	const struct profile_change *changes[] = {&function->self, &function->total};

	for (int i = 0; i < 2; i++) {
		bool equal = fabs(changes[i]->points) < 0.005;

		fprintf(out, equal ? "%s%7.2f %7.2f %8.2f" : "%s%7.2f %7.2f %+8.2f", i ? "  " : "",
			(double)changes[i]->weight[0] * diff->scale[0],
			(double)changes[i]->weight[1] * diff->scale[1],
			equal ? 0 : changes[i]->points);
		write_chance(self, changes[i], out);
	}
	fprintf(out, "  %-8s  ", function_table__type(frame->type));
	text__write(out, text__name(frame->name));
	putc('\n', out);
}

static bool has_enough(const struct diff_output *self, const struct profile_diff_function *function)
{
	const struct profile_diff *diff = self->diff;

	return (double)function->total.weight[0] * diff->scale[0] >= self->min_percent ||
	       (double)function->total.weight[1] * diff->scale[1] >= self->min_percent;
}

static void write_notes(const struct diff_output *self, size_t left_out, FILE *out)
{
	const struct profile_diff *diff = self->diff;
	size_t news = 0;

	for (size_t i = 0; i < diff->function_count; i++)
		news += profile_diff__is_news(&diff->functions[i]);
	if (left_out)
		fprintf(out, "%zu more row%s%s\n", left_out, left_out == 1 ? "" : "s",
			self->min_percent > 0 ? "" : "; --min PERCENT says which to show");
	if (diff->tested)
		fprintf(out,
			"\nCHANCE: that a change so great comes by chance, corrected for the "
			"number of functions\n(Benjamini-Hochberg); noise: more than %g. Of %zu "
			"functions %zu changed beyond noise, of\nthemselves or in total: these "
			"come "
			"first. Samples are taken to be independent; bursts make\nmore seem "
			"significant than is.\n",
			PROFILE_DIFF_NOISE, diff->function_count, news);
	else
		fputs("\nProfiles of time: nothing is said of noise; compare several recordings.\n",
		      out);
	if (diff->moved)
		fprintf(out, "%zu function%s found on another line of %s file, by name.\n",
			diff->moved, diff->moved == 1 ? " was" : "s were",
			diff->moved == 1 ? "its" : "their");
}

static void write_headings(const struct diff_output *self, FILE *out)
{
	const char *chance = self->diff->tested ? " CHANCE" : "";
	int width = self->diff->tested ? 31 : 24;

	fprintf(out, "\n\n%-*s  %s\n", width, self->by_total ? "SELF%" : "SELF% (by this)",
		self->by_total ? "TOTAL% (by this)" : "TOTAL%");
	fprintf(out, "%7s %7s %8s%s  %7s %7s %8s%s  %-8s  %s\n", "BEFORE", "AFTER", "CHANGE",
		chance, "BEFORE", "AFTER", "CHANGE", chance, "TYPE", "FUNCTION");
}

int diff_table__write(const void *diff_output, FILE *out)
{
	const struct diff_output *self = diff_output;
	const struct profile_diff *diff = self->diff;
	const struct profile_diff_function **order =
		calloc(diff->function_count + 1, sizeof(void *));
	size_t shown = 0;

	if (!order)
		return -ENOMEM;
	for (size_t i = 0; i < diff->function_count; i++)
		order[i] = &diff->functions[i];
	qsort_r(order, diff->function_count, sizeof(void *), by_points, (void *)self);

	errno = 0;
	write_side(self, 0, out);
	write_side(self, 1, out);
	fputs("compared ", out);
	diff_output__write_basis(self, out);
	write_headings(self, out);
	for (size_t i = 0; i < diff->function_count; i++) {
		const struct profile_diff_function *one = order[i];

		if (self->min_percent > 0 ? !has_enough(self, one) : shown == ROWS)
			continue;
		write_row(self, one, out);
		shown++;
	}
	write_notes(self, diff->function_count - shown, out);
	free(order);
	return finish(out);
}

/* ---- JSON -------------------------------------------------------------------------------------
 */

static void write_string(FILE *out, const char *before, const char *text)
{
	fputs(before, out);
	putc('"', out);
	text__write_json(out, text ? text : "");
	putc('"', out);
}

static void write_json_side(const struct diff_output *self, int side, FILE *out)
{
	const struct profile_info *info = &self->diff->info[side];

	write_string(out, side ? ",\n\"after\":{\"file\":" : ",\n\"before\":{\"file\":",
		     self->sources[side]);
	write_string(out, ",\"title\":", info->title);
	write_string(out, ",\"host\":", info->host);
	fprintf(out,
		",\"start_time\":%" PRId64 ",\"duration_seconds\":%.6f,\"rate_hz\":%" PRIu32
		",\"samples\":%" PRIu64 ",\"weight\":%" PRIu64 "}",
		info->start_time, info->duration_seconds, info->rate_hz, info->samples,
		self->diff->total[side]);
}

static void write_json_change(const struct diff_output *self, const char *key,
			      const struct profile_change *change, FILE *out)
{
	const struct profile_diff *diff = self->diff;

	fprintf(out,
		",\n  \"%s\":{\"before\":%" PRIu64 ",\"after\":%" PRIu64
		",\"before_percent\":%.6g,\"after_percent\":%.6g,\"change_points\":%.6g",
		key, change->weight[0], change->weight[1],
		(double)change->weight[0] * diff->scale[0],
		(double)change->weight[1] * diff->scale[1], change->points);
	if (diff->tested)
		fprintf(out, ",\"p\":%.6g,\"q\":%.6g,\"noise\":%s}", change->p, change->q,
			change->noise ? "true" : "false");
	else
		fputs(",\"p\":null,\"q\":null,\"noise\":null}", out);
}

int diff_json__write(const void *diff_output, FILE *out)
{
	const struct diff_output *self = diff_output;
	const struct profile_diff *diff = self->diff;
	static const char *const kinds[] = {
		[PROFILE_CPU] = "cpu", [PROFILE_OFF_CPU] = "off_cpu", [PROFILE_WALL] = "wall"};

	errno = 0;
	fprintf(out, "{\"format\":\"luaspy-diff\",\"format_version\":%d", FORMAT_VERSION);
	write_string(out, ",\n\"luaspy\":", self->version);
	write_string(out, ",\n\"command\":", self->command_line);
	fprintf(out, ",\n\"kind\":\"%s\",\"unit\":\"%s\",\"basis\":\"%s\",\"moved_functions\":%zu",
		kinds[diff->info[0].kind],
		diff->info[0].kind == PROFILE_CPU ? "samples" : "microseconds",
		diff->per_second ? "per_second" : "share", diff->moved);
	write_json_side(self, 0, out);
	write_json_side(self, 1, out);
	fputs(",\n\"functions\":[", out);
	for (size_t i = 0; i < diff->function_count; i++) {
		const struct profile_diff_function *one = &diff->functions[i];
		const struct profile_frame *frame = profile__frame_at(diff->merged, one->frame);

		write_string(out, i ? ",\n {\"name\":" : "\n {\"name\":", frame->name);
		write_string(out, ",\"type\":", function_table__type(frame->type));
		write_json_change(self, "self", &one->self, out);
		write_json_change(self, "total", &one->total, out);
		putc('}', out);
	}
	fputs("]}\n", out);
	return finish(out);
}
