// SPDX-License-Identifier: Apache-2.0
/*
 * The profile as JSON for programs: all that is known, and the table of functions. What the members
 * mean is in docs/formats.md; new ones may come, those that are there stay.
 */
#include <errno.h>
#include <inttypes.h>

#include "function_table.h"
#include "output.h"
#include "text.h"

#define FORMAT_VERSION 1

static const char *const kinds[] = {
	[PROFILE_CPU] = "cpu", [PROFILE_OFF_CPU] = "off_cpu", [PROFILE_WALL] = "wall"};

static const char *const types[PROFILE_FRAME_TYPES] = {
	[PROFILE_THREAD] = "thread", [PROFILE_KERNEL] = "kernel",    [PROFILE_NATIVE] = "native",
	[PROFILE_LUA] = "lua",	     [PROFILE_LUA_COMPILED] = "lua", [PROFILE_BUILTIN] = "builtin",
	[PROFILE_NOTE] = "note"};

const char *json_profile__type(enum profile_frame_type type)
{
	return types[type];
}

static void write_string(FILE *out, const char *before, const char *text)
{
	fputs(before, out);
	putc('"', out);
	text__write_json(out, text ? text : "");
	putc('"', out);
}

static void write_info(const struct profile_info *info, FILE *out)
{
	size_t i;

	fprintf(out, "{\"format\":\"luaspy-profile\",\"format_version\":%d", FORMAT_VERSION);
	write_string(out, ",\n\"luaspy\":", info->version);
	write_string(out, ",\n\"title\":", info->title);
	write_string(out, ",\n\"command\":", info->command_line);
	write_string(out, ",\n\"host\":", info->host);
	fprintf(out,
		",\n\"kind\":\"%s\",\"start_time\":%" PRId64
		",\"duration_seconds\":%.6f,\"rate_hz\":%" PRIu32,
		kinds[info->kind], info->start_time, info->duration_seconds, info->rate_hz);
	fprintf(out,
		",\n\"samples\":%" PRIu64 ",\"unique_stacks\":%" PRIu64
		",\n\"recording\":{\"with_lua\":%" PRIu64 ",\"complete\":%" PRIu64
		",\"truncated\":%" PRIu64 ",\"lost\":%" PRIu64 ",\"errors\":[",
		info->samples, info->unique_stacks, info->with_lua, info->complete, info->truncated,
		info->lost);
	for (i = 0; i < info->error_count; i++) {
		write_string(out, i ? ",{\"reason\":" : "{\"reason\":", info->errors[i].name);
		fprintf(out, ",\"count\":%" PRIu64 "}", info->errors[i].count);
	}
	fputs("]}", out);
}

static void write_mappings(const struct profile *profile, FILE *out)
{
	const struct profile_mapping *one;
	size_t i;

	fputs(",\n\"mappings\":[", out);
	for (i = 0; i < profile__mapping_count(profile); i++) {
		one = profile__mapping_at(profile, i);
		write_string(out, i ? ",\n{\"path\":" : "\n{\"path\":", one->path);
		write_string(out, ",\"build_id\":", one->build_id);
		fprintf(out,
			",\"start\":\"0x%" PRIx64 "\",\"limit\":\"0x%" PRIx64
			"\",\"offset\":\"0x%" PRIx64 "\"}",
			one->start, one->limit, one->offset);
	}
	putc(']', out);
}

static void write_frames(const struct profile *profile, FILE *out)
{
	const struct profile_frame *one;
	size_t i;

	fputs(",\n\"frames\":[", out);
	for (i = 0; i < profile__frame_count(profile); i++) {
		one = profile__frame_at(profile, (uint32_t)i);
		fprintf(out, "%s{\"type\":\"%s\"", i ? ",\n" : "\n", json_profile__type(one->type));
		write_string(out, ",\"name\":", one->name);
		if (*one->file) {
			write_string(out, ",\"file\":", one->file);
			fprintf(out, ",\"first_line\":%" PRIu32, one->first_line);
		}
		if (one->line)
			fprintf(out, ",\"line\":%" PRIu32, one->line);
		if (one->type == PROFILE_LUA || one->type == PROFILE_LUA_COMPILED)
			fprintf(out, ",\"compiled\":%s,\"estimated\":%s",
				one->type == PROFILE_LUA_COMPILED ? "true" : "false",
				one->estimated ? "true" : "false");
		if (one->mapping)
			fprintf(out, ",\"mapping\":%" PRIu32, one->mapping - 1);
		if (one->address)
			fprintf(out, ",\"address\":\"0x%" PRIx64 "\"", one->address);
		putc('}', out);
	}
	putc(']', out);
}

static void write_stack(const struct profile *profile, const struct profile_stack *stack, FILE *out)
{
	const struct profile_label *labels;
	uint32_t count, i;
	size_t t;

	fputs("{\"frames\":[", out);
	for (i = 0; i < stack->frame_count; i++)
		fprintf(out, "%s%" PRIu32, i ? "," : "", stack->frames[i]);
	fputs("],\"labels\":{", out);
	labels = profile__labels_at(profile, stack->labels, &count);
	for (i = 0; i < count; i++) {
		write_string(out, i ? "," : "", labels[i].key);
		write_string(out, ":", labels[i].value);
	}
	fprintf(out, "},\"count\":%" PRIu64 ",\"nanoseconds\":%" PRIu64, stack->count,
		stack->nanoseconds);
	if (stack->time_count)
		fputs(",\"times\":[", out);
	for (t = 0; t < stack->time_count; t++)
		fprintf(out, "%s%" PRIu64, t ? "," : "", stack->times[t]);
	fputs(stack->time_count ? "]}" : "}", out);
}

static void write_functions(const struct function_table *table, FILE *out)
{
	const struct function_row *row;
	size_t i;

	fputs(",\n\"functions\":[", out);
	for (i = 0; i < table->count; i++) {
		row = &table->rows[i];
		write_string(out, i ? ",\n{\"function\":" : "\n{\"function\":", row->name);
		fprintf(out,
			",\"type\":\"%s\",\"self\":%" PRIu64 ",\"total\":%" PRIu64
			",\"self_nanoseconds\":%" PRIu64 ",\"total_nanoseconds\":%" PRIu64 "}",
			json_profile__type(row->type), row->self, row->total, row->self_ns,
			row->total_ns);
	}
	putc(']', out);
}

int json_profile__write(const struct profile *profile, FILE *out)
{
	struct profile_stack stack;
	struct function_table table;
	int err = function_table__build(&table, profile, false);
	size_t i;

	if (err)
		goto out;
	errno = 0;
	write_info(profile__info(profile), out);
	write_functions(&table, out);
	write_mappings(profile, out);
	write_frames(profile, out);
	fputs(",\n\"stacks\":[", out);
	for (i = 0; i < profile__stack_count(profile); i++) {
		stack = profile__stack_at(profile, i);
		fputs(i ? ",\n" : "\n", out);
		write_stack(profile, &stack, out);
	}
	fputs("]}\n", out);
	if (fflush(out) || ferror(out))
		err = errno ? -errno : -EIO;
out:
	function_table__free(&table);
	return err;
}
