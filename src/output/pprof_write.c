// SPDX-License-Identifier: Apache-2.0
/*
 * Writes a profile in pprof's format. A protocol buffer may be cut into parts that are written one
 * after the other: first what samples refer to, then each sample, then the texts.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <zlib.h>

#define HASH_NONFATAL_OOM 1
#include <uthash.h>

#include "output.h"
#include "pprof.pb-c.h"
#include "pprof_parts.h"
#include "text.h"

#define GZIP_WINDOW  (15 + 16) /* zlib: with gzip's header and checksum */
#define GZIP_MEMORY  9
#define GZIP_BYTES   65536
#define NANOSECONDS  1000000000.0
#define MAX_COMMENTS 256u
#define COUNT_BYTES  32

struct text {
	int64_t index;
	UT_hash_handle hh;
	char bytes[];
};

struct function {
	struct {
		int64_t name, system_name, file, first_line;
	} key;
	uint64_t id;
	UT_hash_handle hh;
};

struct writer {
	const struct profile *profile;
	FILE *out;
	z_stream gzip;
	uint8_t compressed[GZIP_BYTES];
	uint8_t *packed;
	size_t packed_room;
	struct text *texts;
	struct function *functions;
	size_t first_mapping;	 /* the main program's, which goes first */
	uint64_t *location_ids;	 /* by frame id */
	uint64_t *location_refs; /* of the sample being written */
	int64_t comments[MAX_COMMENTS];
	size_t comment_count;
	int err; /* the first one; nothing is written after it */
};

/* ---- bytes ---------------------------------------------------------------------------------- */

static void compress_bytes(struct writer *w, const uint8_t *data, size_t size, int flush)
{
	size_t length;

	w->gzip.next_in = (uint8_t *)data;
	while (!w->err) {
		if (!w->gzip.avail_in) {
			w->gzip.avail_in = size > UINT32_MAX / 2 ? UINT32_MAX / 2 : (uInt)size;
			size -= w->gzip.avail_in;
		}
		w->gzip.next_out = w->compressed;
		w->gzip.avail_out = GZIP_BYTES;
		if (deflate(&w->gzip, size ? Z_NO_FLUSH : flush) == Z_STREAM_ERROR)
			w->err = -EIO;
		length = GZIP_BYTES - w->gzip.avail_out;
		errno = 0;
		if (length && fwrite(w->compressed, 1, length, w->out) != length)
			w->err = errno ? -errno : -EIO;
		if (w->gzip.avail_out && !w->gzip.avail_in && !size)
			break;
	}
}

static void write_part(struct writer *w, const Pb__Profile *part)
{
	size_t size = pb__profile__get_packed_size(part);
	uint8_t *grown;

	if (w->err)
		return;
	if (size > w->packed_room) {
		grown = realloc(w->packed, size * 2);
		if (!grown) {
			w->err = -ENOMEM;
			return;
		}
		w->packed = grown;
		w->packed_room = size * 2;
	}
	compress_bytes(w, w->packed, pb__profile__pack(part, w->packed), Z_NO_FLUSH);
}

/* ---- texts ---------------------------------------------------------------------------------- */

/* The index of a text, which becomes valid UTF-8 by that. */
static int64_t text(struct writer *w, const char *bytes)
{
	struct text *known = NULL, *added;
	size_t length = 0;
	uint32_t c;

	if (w->err)
		return 0;
	/* A bad byte becomes the three of U+FFFD. */
	added = calloc(1, sizeof(*added) + 3 * strlen(bytes) + 1);
	if (!added) {
		w->err = -ENOMEM;
		return 0;
	}
	while ((c = text__next(&bytes)))
		length += text__encode(c, added->bytes + length);
	HASH_FIND(hh, w->texts, added->bytes, length, known);
	if (known) {
		free(added);
		return known->index;
	}
	added->index = HASH_COUNT(w->texts);
	HASH_ADD_KEYPTR(hh, w->texts, added->bytes, length, added);
	if (!added->hh.tbl) {
		free(added);
		w->err = -ENOMEM;
		return 0;
	}
	return added->index;
}

static void write_texts(struct writer *w)
{
	Pb__Profile part = PB__PROFILE__INIT;
	struct text *one, *next;
	char **all = calloc(HASH_COUNT(w->texts) + 1, sizeof(*all));

	if (!all) {
		w->err = -ENOMEM;
		return;
	}
	HASH_ITER (hh, w->texts, one, next)
		all[part.n_string_table++] = one->bytes; /* uthash keeps the order */
	part.string_table = all;
	write_part(w, &part);
	free(all);
}

static void add_comment(struct writer *w, const char *key, const char *value)
{
	char *comment;

	if (w->err || w->comment_count == MAX_COMMENTS)
		return;
	if (asprintf(&comment, "%s: %s", key, value ? value : "") < 0) {
		w->err = -ENOMEM;
		return;
	}
	w->comments[w->comment_count++] = text(w, comment);
	free(comment);
}

static void add_count(struct writer *w, const char *key, uint64_t count)
{
	char value[COUNT_BYTES];

	snprintf(value, sizeof(value), "%" PRIu64, count);
	add_comment(w, key, value);
}

static void add_comments(struct writer *w, const struct profile_info *info)
{
	char *key;
	size_t i;

	add_comment(w, PPROF_VERSION, info->version);
	if (info->title)
		add_comment(w, PPROF_TITLE, info->title);
	if (info->command_line)
		add_comment(w, PPROF_COMMAND, info->command_line);
	if (info->host)
		add_comment(w, PPROF_HOST, info->host);
	add_count(w, PPROF_WITH_LUA, info->with_lua);
	add_count(w, PPROF_COMPLETE, info->complete);
	add_count(w, PPROF_TRUNCATED, info->truncated);
	add_count(w, PPROF_LOST, info->lost);
	for (i = 0; i < info->error_count; i++) {
		if (asprintf(&key, PPROF_ERROR ": %s", info->errors[i].name) < 0) {
			w->err = -ENOMEM;
			return;
		}
		add_count(w, key, info->errors[i].count);
		free(key);
	}
}

/* ---- mappings, functions, locations --------------------------------------------------------- */

static bool is_library(const char *path)
{
	const char *base = strrchr(path, '/'), *so;

	so = strstr(base ? base : path, ".so");
	return *path == '[' || (so && (!so[3] || so[3] == '.'));
}

static void find_main(struct writer *w)
{
	size_t i;

	for (i = 0; i < profile__mapping_count(w->profile); i++) {
		if (!is_library(profile__mapping_at(w->profile, i)->path)) {
			w->first_mapping = i;
			return;
		}
	}
}

/* Of mapping `i` of the profile, and of the pseudo mappings, which come after all those. */
static uint64_t mapping_id(const struct writer *w, size_t i)
{
	if (i == w->first_mapping && i < profile__mapping_count(w->profile))
		return 1;
	return i < w->first_mapping ? i + 2 : i + 1;
}

static void write_mappings(struct writer *w)
{
	size_t files = profile__mapping_count(w->profile), i;
	size_t count = files + PPROF_PSEUDO_MAPPINGS;
	Pb__Mapping *mappings = calloc(count, sizeof(*mappings));
	Pb__Mapping **all = calloc(count, sizeof(Pb__Mapping *));
	Pb__Profile part = PB__PROFILE__INIT;
	const struct profile_mapping *file;
	Pb__Mapping *one;

	if (!mappings || !all)
		w->err = -ENOMEM;
	for (i = 0; i < count && !w->err; i++) {
		one = &mappings[i];
		pb__mapping__init(one);
		one->id = mapping_id(w, i);
		one->has_functions = true;
		if (i < files) {
			file = profile__mapping_at(w->profile, i);
			one->memory_start = file->start;
			one->memory_limit = file->limit;
			one->file_offset = file->offset;
			one->filename = text(w, file->path);
			one->build_id = text(w, file->build_id);
		} else {
			one->filename = text(w, pprof_pseudo_mappings[i - files].name);
			one->has_filenames = one->has_line_numbers =
				pprof_pseudo_mappings[i - files].type == PROFILE_LUA ||
				pprof_pseudo_mappings[i - files].type == PROFILE_LUA_COMPILED;
		}
		all[one->id - 1] = one;
	}
	part.n_mapping = count;
	part.mapping = all;
	if (!w->err)
		write_part(w, &part);
	free(all);
	free(mappings);
}

static void write_function(struct writer *w, const struct function *function)
{
	Pb__Profile part = PB__PROFILE__INIT;
	Pb__Function one = PB__FUNCTION__INIT, *all = &one;

	one.id = function->id;
	one.name = function->key.name;
	one.system_name = function->key.system_name;
	one.filename = function->key.file;
	one.start_line = function->key.first_line;
	part.n_function = 1;
	part.function = &all;
	write_part(w, &part);
}

static uint64_t function_id(struct writer *w, const struct profile_frame *frame)
{
	size_t size = strlen(frame->name) + strlen(frame->file) + 64;
	struct profile_frame certain = *frame;
	struct function *known = NULL, *added = calloc(1, sizeof(*added));
	char *name = malloc(size);

	if (!added || !name) {
		free(added);
		free(name);
		w->err = -ENOMEM;
		return 0;
	}
	certain.estimated = 0;
	profile_frame__text(&certain, false, name, size);
	added->key.name = text(w, name);
	added->key.system_name = text(w, frame->name);
	added->key.file = text(w, frame->file);
	added->key.first_line = frame->first_line;
	free(name);
	/* NOLINTNEXTLINE(clang-analyzer-core.UndefinedBinaryOperatorResult): uthash */
	HASH_FIND(hh, w->functions, &added->key, sizeof(added->key), known);
	if (known) {
		free(added);
		return known->id;
	}
	added->id = HASH_COUNT(w->functions) + 1;
	HASH_ADD(hh, w->functions, key, sizeof(added->key), added);
	if (!added->hh.tbl) {
		free(added);
		w->err = -ENOMEM;
		return 0;
	}
	write_function(w, added);
	return added->id;
}

static void write_location(struct writer *w, uint32_t frame_id)
{
	const struct profile_frame *frame = profile__frame_at(w->profile, frame_id);
	size_t pseudo = pprof_pseudo_mapping__of(frame);
	Pb__Profile part = PB__PROFILE__INIT;
	Pb__Location one = PB__LOCATION__INIT, *all = &one;
	Pb__Line line = PB__LINE__INIT, *lines = &line;

	line.function_id = function_id(w, frame);
	line.line = frame->line;
	one.id = w->location_ids[frame_id];
	if (pseudo < PPROF_PSEUDO_MAPPINGS)
		one.mapping_id = mapping_id(w, profile__mapping_count(w->profile) + pseudo);
	else if (frame->mapping)
		one.mapping_id = mapping_id(w, frame->mapping - 1);
	one.address = frame->address;
	one.n_line = 1;
	one.line = &lines;
	part.n_location = 1;
	part.location = &all;
	write_part(w, &part);
}

/* Frames that no stack has are left out: a view may have dropped them. */
static void write_locations(struct writer *w)
{
	size_t frames = profile__frame_count(w->profile), i, deepest = 0;
	struct profile_stack stack;
	uint64_t next = 1;
	uint32_t f;

	w->location_ids = calloc(frames + 1, sizeof(*w->location_ids));
	for (i = 0; i < profile__stack_count(w->profile) && w->location_ids; i++) {
		stack = profile__stack_at(w->profile, i);
		if (stack.frame_count > deepest)
			deepest = stack.frame_count;
		for (f = 0; f < stack.frame_count; f++)
			w->location_ids[stack.frames[f]] = 1;
	}
	w->location_refs = calloc(deepest + 1, sizeof(*w->location_refs));
	if (!w->location_ids || !w->location_refs)
		w->err = -ENOMEM;
	for (i = 0; i < frames && !w->err; i++) {
		if (!w->location_ids[i])
			continue;
		w->location_ids[i] = next++;
		write_location(w, (uint32_t)i);
	}
}

/* ---- samples -------------------------------------------------------------------------------- */

static void write_sample(struct writer *w, const struct profile_stack *stack)
{
	int64_t values[2] = {(int64_t)stack->count, (int64_t)stack->nanoseconds};
	uint32_t label_count, i;
	const struct profile_label *known =
		profile__labels_at(w->profile, stack->labels, &label_count);
	size_t count = label_count + stack->time_count, k;
	Pb__Label *labels = calloc(count + 1, sizeof(*labels));
	Pb__Label **all = calloc(count + 1, sizeof(Pb__Label *));
	Pb__Profile part = PB__PROFILE__INIT;
	Pb__Sample one = PB__SAMPLE__INIT, *samples = &one;
	int64_t time = 0, unit = 0;

	if (stack->time_count) {
		time = text(w, PPROF_TIME_LABEL);
		unit = text(w, "nanoseconds");
	}
	if (!labels || !all)
		w->err = -ENOMEM;
	for (k = 0; k < count && !w->err; k++) {
		pb__label__init(&labels[k]);
		all[k] = &labels[k];
		if (k < label_count) {
			labels[k].key = text(w, known[k].key);
			labels[k].str = text(w, known[k].value);
		} else {
			labels[k].key = time;
			labels[k].num = (int64_t)stack->times[k - label_count];
			labels[k].num_unit = unit;
		}
	}
	for (i = 0; i < stack->frame_count && !w->err; i++)
		w->location_refs[i] = w->location_ids[stack->frames[stack->frame_count - 1 - i]];
	one.n_location_id = stack->frame_count;
	one.location_id = w->location_refs;
	one.n_value = 2;
	one.value = values;
	one.n_label = count;
	one.label = all;
	part.n_sample = 1;
	part.sample = &samples;
	if (!w->err)
		write_part(w, &part);
	free(all);
	free(labels);
}

/* What the values are, and the recording. */
static void write_info(struct writer *w)
{
	const struct profile_info *info = profile__info(w->profile);
	const struct pprof_values *values = &pprof_values[info->kind];
	Pb__ValueType count = PB__VALUE_TYPE__INIT, time = PB__VALUE_TYPE__INIT;
	Pb__ValueType period = PB__VALUE_TYPE__INIT, *types[] = {&count, &time};
	Pb__Profile part = PB__PROFILE__INIT;

	count.type = text(w, values->count_type);
	count.unit = text(w, "count");
	time.type = text(w, values->time_type);
	time.unit = period.unit = text(w, "nanoseconds");
	period.type = info->rate_hz ? text(w, "cpu") : time.type;
	part.n_sample_type = 2;
	part.sample_type = types;
	part.default_sample_type = time.type;
	part.period_type = &period;
	part.period = info->rate_hz ? 1000000000 / info->rate_hz : 1;
	part.time_nanos = info->start_time * 1000000000;
	part.duration_nanos = (int64_t)(info->duration_seconds * NANOSECONDS + 0.5);
	add_comments(w, info);
	part.n_comment = w->comment_count;
	part.comment = w->comments;
	write_part(w, &part);
}

static void free_all(struct writer *w)
{
	struct text *one, *next;
	struct function *function, *next_function;

	HASH_ITER (hh, w->texts, one, next) {
		HASH_DEL(w->texts, one); /* NOLINT(clang-analyzer-unix.Malloc): uthash */
		free(one);
	}
	HASH_ITER (hh, w->functions, function, next_function) {
		HASH_DEL(w->functions, function); /* NOLINT(clang-analyzer-unix.Malloc): uthash */
		free(function);
	}
	free(w->location_ids);
	free(w->location_refs);
	free(w->packed);
}

int pprof__write(const struct profile *profile, FILE *out)
{
	struct writer w = {.profile = profile, .out = out};
	struct profile_stack stack;
	size_t i;

	if (deflateInit2(&w.gzip, Z_DEFAULT_COMPRESSION, Z_DEFLATED, GZIP_WINDOW, GZIP_MEMORY,
			 Z_DEFAULT_STRATEGY) != Z_OK)
		return -ENOMEM;
	text(&w, "");
	write_info(&w);
	find_main(&w);
	write_mappings(&w);
	write_locations(&w);
	for (i = 0; i < profile__stack_count(profile) && !w.err; i++) {
		stack = profile__stack_at(profile, i);
		write_sample(&w, &stack);
	}
	if (!w.err)
		write_texts(&w);
	compress_bytes(&w, NULL, 0, Z_FINISH);
	deflateEnd(&w.gzip);
	errno = 0;
	if (!w.err && (fflush(out) || ferror(out)))
		w.err = errno ? -errno : -EIO;
	free_all(&w);
	return w.err;
}
