// SPDX-License-Identifier: Apache-2.0
/*
 * The profile as a table: the functions (lines, chunks) that have most, themselves and with what
 * they call. Numbers first, so that sort(1) and awk find them.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdbool.h>

#include "flamegraph_parts.h"
#include "function_table.h"
#include "output.h"
#include "text.h"

#define MAX_ROWS 50u /* where --min does not say */

static double percent(uint64_t part, uint64_t whole)
{
	return whole ? 100.0 * (double)part / (double)whole : 0;
}

static void write_line(FILE *out, const char *before, const char *text)
{
	if (!text || !*text)
		return;
	fputs(before, out);
	text__write(out, text);
}

/* What a profile's stacks are counted in, as at the end of a recording. */
static const char *counted(enum profile_kind kind)
{
	switch (kind) {
	case PROFILE_OFF_CPU:
		return "times off the CPU";
	case PROFILE_WALL:
		return "samples and times off the CPU";
	default:
		return "samples";
	}
}

void profile_text__write_info(const struct profile_info *info, FILE *out)
{
	uint64_t errors = 0;
	char time[64];
	size_t i;

	flamegraph_data__format_time(info->start_time, time, sizeof(time));
	text__write(out, text__name(info->title));
	write_line(out, " on ", info->host);
	write_line(out, ", ", time);
	write_line(out, ": ", info->command_line);
	fprintf(out, "\n%" PRIu64 " %s in %.1f s", info->samples, counted(info->kind),
		info->duration_seconds);
	if (info->rate_hz)
		fprintf(out, " at %" PRIu32 " Hz", info->rate_hz);
	fprintf(out, ", %" PRIu64 " unique stacks\n", info->unique_stacks);
	if (!info->version)
		return; /* what follows is counted by luaspy only */
	for (i = 0; i < info->error_count; i++)
		errors += info->errors[i].count;
	fprintf(out,
		"of the recording: with Lua frames %" PRIu64 ", unwound to the thread's start "
		"%" PRIu64 ", truncated %" PRIu64 ", lost %" PRIu64 ", errors %" PRIu64,
		info->with_lua, info->complete, info->truncated, info->lost, errors);
	for (i = 0; i < info->error_count; i++) {
		fputs(i ? ", " : " (", out);
		text__write(out, info->errors[i].name);
		fprintf(out, ": %" PRIu64, info->errors[i].count);
	}
	fprintf(out, "%s\n", info->error_count ? ")" : "");
}

static void write_weight(uint64_t weight, enum profile_kind kind, FILE *out)
{
	if (kind == PROFILE_CPU)
		fprintf(out, " %10" PRIu64, weight);
	else
		fprintf(out, " %10.3f", (double)weight / 1e6); /* of microseconds */
}

static void write_row(const struct function_row *row, const struct function_table *table,
		      enum profile_kind kind, FILE *out)
{
	fprintf(out, "%7.2f", percent(row->self_weight, table->weight));
	write_weight(row->self_weight, kind, out);
	fprintf(out, " %7.2f", percent(row->total_weight, table->weight));
	write_weight(row->total_weight, kind, out);
	fprintf(out, "  %-8s  ", function_table__type(row->type));
	text__write(out, text__name(row->name));
	putc('\n', out);
}

int flat_table__write(const struct profile *profile, FILE *out)
{
	const struct profile_info *info = profile__info(profile);
	bool time = info->kind != PROFILE_CPU;
	struct function_table table;
	size_t shown = 0, i;
	int err = function_table__build(&table, profile, true);

	if (err)
		goto out;
	errno = 0;
	profile_text__write_info(info, out);
	fprintf(out, "\n%7s %10s %7s %10s  %-8s  %s\n", "SELF%", time ? "SELF,s" : "SELF", "TOTAL%",
		time ? "TOTAL,s" : "TOTAL", "TYPE", "FUNCTION");
	for (i = 0; i < table.count; i++) {
		if (info->least_percent > 0 ? percent(table.rows[i].total_weight, table.weight) <
						      info->least_percent
					    : shown == MAX_ROWS)
			continue;
		write_row(&table.rows[i], &table, info->kind, out);
		shown++;
	}
	if (shown < table.count)
		fprintf(out, "%zu more row%s%s\n", table.count - shown,
			table.count - shown == 1 ? "" : "s",
			info->least_percent > 0 ? "" : "; --min PERCENT says which to show");
	if (fflush(out) || ferror(out))
		err = errno ? -errno : -EIO;
out:
	function_table__free(&table);
	return err;
}
