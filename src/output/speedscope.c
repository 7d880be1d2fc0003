// SPDX-License-Identifier: Apache-2.0
/*
 * speedscope's own format: one sampled profile, stacks root first, weights in nanoseconds, or
 * samples where their time is not known.
 */
#include <errno.h>
#include <inttypes.h>

#include "output.h"
#include "text.h"

#define SCHEMA "https://www.speedscope.app/file-format-schema.json"

static void write_string(FILE *out, const char *text)
{
	putc('"', out);
	text__write_json(out, text);
	putc('"', out);
}

static void write_frames(const struct profile *profile, FILE *out)
{
	const struct profile_frame *frame;
	uint32_t line;
	size_t i;

	for (i = 0; i < profile__frame_count(profile); i++) {
		frame = profile__frame_at(profile, (uint32_t)i);
		fputs(i ? ",\n{\"name\":" : "\n{\"name\":", out);
		write_string(out, text__name(frame->name));
		if (*frame->file) {
			fputs(",\"file\":", out);
			write_string(out, frame->file);
		}
		line = frame->line ? frame->line : frame->first_line;
		if (line)
			fprintf(out, ",\"line\":%" PRIu32, line);
		putc('}', out);
	}
}

static uint64_t sum_of_time(const struct profile *profile)
{
	uint64_t nanoseconds = 0;
	size_t i;

	for (i = 0; i < profile__stack_count(profile); i++)
		nanoseconds += profile__stack_at(profile, i).nanoseconds;
	return nanoseconds;
}

int speedscope__write(const struct profile *profile, FILE *out)
{
	const struct profile_info *info = profile__info(profile);
	uint64_t time = sum_of_time(profile);
	struct profile_stack stack;
	uint32_t f;
	size_t i;

	errno = 0;
	fputs("{\"$schema\":\"" SCHEMA "\",\n\"exporter\":\"luaspy", out);
	if (info->version) {
		putc('@', out);
		text__write_json(out, info->version);
	}
	fputs("\",\n\"name\":", out);
	write_string(out, text__name(info->title));
	fputs(",\n\"activeProfileIndex\":0,\n\"shared\":{\"frames\":[", out);
	write_frames(profile, out);
	fputs("]},\n\"profiles\":[{\"type\":\"sampled\",\"name\":", out);
	write_string(out, text__name(info->title));
	fprintf(out, ",\"unit\":\"%s\",\"startValue\":0,\"endValue\":%" PRIu64 ",\n\"samples\":[",
		time ? "nanoseconds" : "none", time ? time : info->samples);
	for (i = 0; i < profile__stack_count(profile); i++) {
		stack = profile__stack_at(profile, i);
		fputs(i ? ",\n[" : "\n[", out);
		for (f = 0; f < stack.frame_count; f++)
			fprintf(out, "%s%" PRIu32, f ? "," : "", stack.frames[f]);
		putc(']', out);
	}
	fputs("],\n\"weights\":[", out);
	for (i = 0; i < profile__stack_count(profile); i++) {
		stack = profile__stack_at(profile, i);
		fprintf(out, "%s%" PRIu64, i ? "," : "", time ? stack.nanoseconds : stack.count);
	}
	fputs("]}]}\n", out);
	if (fflush(out) || ferror(out))
		return errno ? -errno : -EIO;
	return 0;
}
