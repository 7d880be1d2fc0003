// SPDX-License-Identifier: Apache-2.0
/*
 * Makes a profile of pprof's messages, luaspy's or another program's. Nothing in them is trusted:
 * numbers that lead nowhere are an error, and what can be multiplied by references is counted.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "pprof.h"
#include "pprof_parts.h"
#include "pprof_unpack.h"
#include "text.h"

#define MAX_DEPTH    8192u	     /* of deeper stacks the leaf's side is kept */
#define MAX_FRAMES   (1u << 26)	     /* of all stacks together */
#define MAX_TEXT     (1ul << 30)     /* of all names, each as often as it is used */
#define MAX_MAPPINGS 16384u	     /* they are compared one by one */
#define MAX_TYPES    64u	     /* of values */
#define MAX_LABELS   64u	     /* of a sample */
#define MAX_ERRORS   256u	     /* reasons that are told in comments */
#define MAX_SUM	     (INT64_MAX / 4) /* of values */
#define NO_INDEX     SIZE_MAX
#define NANOSECONDS  1000000000.0

/* Where the element with an id is in its array. */
struct reference {
	uint64_t id;
	size_t index;
};

/* The frames of a location, the outermost first, in reader.frames. */
struct place {
	size_t first;
	uint32_t count;
};

struct reader {
	const Pb__Profile *messages;
	struct profile *profile;
	char *why;
	struct reference *functions, *mappings, *locations;
	uint32_t *mapping_ids; /* of the profile, 0 for pseudo mappings, by index */
	size_t *pseudo;	       /* by mapping index */
	struct place *places;  /* by location index */
	uint32_t *frames;
	size_t frame_count;
	size_t count_value, time_value; /* indices of sample values; NO_INDEX: none */
	double time_unit;		/* nanoseconds */
	enum profile_kind kind;
	uint32_t *stack, truncated; /* the stack being made; the frame of those cut off */
	struct profile_label labels[MAX_LABELS];
	uint64_t *times;
	size_t time_room;
	uint64_t used_frames, used_text, counts, nanoseconds;
};

static int refuse(struct reader *r, const char *format, ...) __attribute__((format(printf, 2, 3)));

static int refuse(struct reader *r, const char *format, ...)
{
	va_list arguments;

	va_start(arguments, format);
	vsnprintf(r->why, PPROF_WHY_BYTES, format, arguments);
	va_end(arguments);
	return -EINVAL;
}

/* "" for an index that leads nowhere. */
static const char *text_at(const struct reader *r, int64_t index)
{
	if (index < 0 || (uint64_t)index >= r->messages->n_string_table ||
	    !r->messages->string_table[index])
		return "";
	return r->messages->string_table[index];
}

/* The same of a text that is compared and kept: one of many megabytes may be referred to as often
 * as there are functions. What adds it has to call check_text first. */
static const char *used_text(struct reader *r, int64_t index)
{
	const char *text = text_at(r, index);

	r->used_text += strlen(text);
	return text;
}

static int check_text(struct reader *r)
{
	if (r->used_text <= MAX_TEXT)
		return 0;
	return refuse(r, "its names have more than %lu MB together, each as often as it is used",
		      MAX_TEXT >> 20);
}

/* ---- ids ------------------------------------------------------------------------------------ */

static int compare_references(const void *left, const void *right)
{
	const struct reference *a = left, *b = right;

	return (a->id > b->id) - (a->id < b->id);
}

static int sort_references(struct reader *r, struct reference *all, size_t count, const char *what)
{
	size_t i;

	qsort(all, count, sizeof(*all), compare_references);
	for (i = 0; i < count; i++) {
		if (!all[i].id || (i && all[i - 1].id == all[i].id))
			return refuse(r, "it is damaged: two %s have the number %" PRIu64, what,
				      all[i].id);
	}
	return 0;
}

static size_t find(const struct reference *all, size_t count, uint64_t id)
{
	struct reference wanted = {.id = id}, *found;

	if (id && id <= count && all[id - 1].id == id) /* most count from 1 */
		return all[id - 1].index;
	found = bsearch(&wanted, all, count, sizeof(*all), compare_references);
	return found ? found->index : NO_INDEX;
}

#define INDEX(r, all, messages, number)                                                            \
	for (size_t index_ = 0; index_ < (number); index_++)                                       \
		(r)->all[index_] = (struct reference)                                              \
		{                                                                                  \
			(messages)[index_]->id, index_                                             \
		}

static int index_all(struct reader *r)
{
	const Pb__Profile *m = r->messages;
	int err;

	r->functions = calloc(m->n_function + 1, sizeof(*r->functions));
	r->mappings = calloc(m->n_mapping + 1, sizeof(*r->mappings));
	r->locations = calloc(m->n_location + 1, sizeof(*r->locations));
	if (!r->functions || !r->mappings || !r->locations)
		return -ENOMEM;
	INDEX(r, functions, m->function, m->n_function);
	INDEX(r, mappings, m->mapping, m->n_mapping);
	INDEX(r, locations, m->location, m->n_location);
	err = sort_references(r, r->functions, m->n_function, "functions");
	if (!err)
		err = sort_references(r, r->mappings, m->n_mapping, "mappings");
	if (!err)
		err = sort_references(r, r->locations, m->n_location, "locations");
	return err;
}

/* ---- what the values are -------------------------------------------------------------------- */

static double nanoseconds_of(const char *unit)
{
	static const struct {
		const char *name;
		double nanoseconds;
	} units[] = {{"nanoseconds", 1},    {"ns", 1},	 {"microseconds", 1e3}, {"us", 1e3},
		     {"milliseconds", 1e6}, {"ms", 1e6}, {"seconds", 1e9},	{"s", 1e9}};
	size_t i;

	for (i = 0; i < sizeof(units) / sizeof(units[0]); i++) {
		if (strcmp(units[i].name, unit) == 0)
			return units[i].nanoseconds;
	}
	return 0;
}

static enum profile_kind kind_of(const char *type)
{
	if (strcmp(type, "cpu") == 0)
		return PROFILE_CPU;
	if (strcmp(type, "off_cpu") == 0 || strcmp(type, "delay") == 0)
		return PROFILE_OFF_CPU;
	return PROFILE_WALL;
}

/* For a message: printable, and not long. */
static void shown_text(const char *bytes, char *out, size_t size)
{
	size_t length = 0;
	uint32_t c;

	while ((c = text__next(&bytes)) && length + 5 < size)
		length += text__encode(c, out + length);
	out[length] = '\0';
}

static int refuse_values(struct reader *r)
{
	char types[3][40] = {};
	size_t i;

	for (i = 0; i < r->messages->n_sample_type && i < 3; i++)
		shown_text(text_at(r, r->messages->sample_type[i]->type), types[i],
			   sizeof(types[i]));
	if (!i)
		return refuse(r, "it holds no profile");
	return refuse(r, "it holds %s%s%s%s%s, and no time or samples of it", types[0],
		      i > 1 ? ", " : "", types[1], i > 2 ? ", " : "", types[2]);
}

/* One kind of time: the one that is to be shown, else the last one. One kind of count. */
static int choose_values(struct reader *r)
{
	const Pb__Profile *m = r->messages;
	const char *preferred = text_at(r, m->default_sample_type), *type, *unit;
	bool settled = false;
	size_t i;

	if (m->n_sample_type > MAX_TYPES)
		return refuse(r, "it has more than %u kinds of values", MAX_TYPES);
	r->count_value = r->time_value = NO_INDEX;
	for (i = 0; i < m->n_sample_type; i++) {
		type = text_at(r, m->sample_type[i]->type);
		unit = text_at(r, m->sample_type[i]->unit);
		if (nanoseconds_of(unit) > 0 && !settled) {
			r->time_value = i;
			r->time_unit = nanoseconds_of(unit);
			r->kind = kind_of(type);
			settled = *preferred && strcmp(type, preferred) == 0;
		} else if (strcmp(unit, "count") == 0 &&
			   (strcmp(type, "samples") == 0 || strcmp(type, "events") == 0 ||
			    strcmp(type, "sample") == 0 || strcmp(type, "contentions") == 0)) {
			r->count_value = i;
		}
	}
	if (r->time_value == NO_INDEX && r->count_value == NO_INDEX)
		return refuse_values(r);
	return 0;
}

/* The time between two samples; 0 when it is not told. */
static double period_of(const struct reader *r)
{
	const Pb__ValueType *type = r->messages->period_type;

	if (!type || r->messages->period <= 0)
		return 0;
	return (double)r->messages->period * nanoseconds_of(text_at(r, type->unit));
}

/* ---- mappings and frames -------------------------------------------------------------------- */

static int read_mappings(struct reader *r)
{
	const Pb__Profile *m = r->messages;
	struct profile_mapping file;
	const Pb__Mapping *one;
	int64_t id;
	size_t i;

	if (m->n_mapping > MAX_MAPPINGS)
		return refuse(r, "it has more than %u mappings", MAX_MAPPINGS);
	r->mapping_ids = calloc(m->n_mapping + 1, sizeof(*r->mapping_ids));
	r->pseudo = calloc(m->n_mapping + 1, sizeof(*r->pseudo));
	if (!r->mapping_ids || !r->pseudo)
		return -ENOMEM;
	for (i = 0; i < m->n_mapping; i++) {
		one = m->mapping[i];
		file = (struct profile_mapping){.path = used_text(r, one->filename),
						.build_id = used_text(r, one->build_id),
						.start = one->memory_start,
						.limit = one->memory_limit,
						.offset = one->file_offset};
		if (check_text(r) != 0)
			return -EINVAL;
		r->pseudo[i] = pprof_pseudo_mapping__named(file.path);
		if (r->pseudo[i] < PPROF_PSEUDO_MAPPINGS || strncmp(file.path, "[kernel", 7) == 0)
			continue;
		id = profile__add_mapping(r->profile, &file);
		if (id < 0)
			return (int)id;
		r->mapping_ids[i] = (uint32_t)id;
	}
	return 0;
}

static uint32_t line_number(int64_t line)
{
	return line > 0 && line <= UINT32_MAX ? (uint32_t)line : 0;
}

/* Takes "@chunk:first_line" from the end of a Lua function's name, if it is there. */
static void cut_place(char *name, const struct profile_frame *frame)
{
	size_t size = strlen(frame->file) + 16, length = strlen(name), place;
	char *text = malloc(size);

	if (!text)
		return; /* the name is longer than it has to be */
	place = (size_t)snprintf(text, size, "@%s:%" PRIu32, frame->file, frame->first_line);
	if (place <= length && strcmp(name + length - place, text) == 0)
		name[length - place] = '\0';
	free(text);
}

static int64_t add_lua_frame(struct reader *r, struct profile_frame *frame)
{
	char *name = strdup(frame->name);
	int64_t id;

	if (!name)
		return -ENOMEM;
	cut_place(name, frame);
	frame->name = name;
	id = profile__add_frame(r->profile, frame);
	free(name);
	return id;
}

/* The frame of a location's line, which is NULL where it has none. */
static int64_t add_frame(struct reader *r, const Pb__Location *location, const Pb__Line *line)
{
	struct profile_frame frame = {
		.name = "", .file = "", .type = PROFILE_NATIVE, .address = location->address};
	const struct pprof_pseudo_mapping *pseudo = NULL;
	size_t mapping = NO_INDEX, function = NO_INDEX;
	const char *path = "", *base;
	char unnamed[160];

	if (location->mapping_id) {
		mapping = find(r->mappings, r->messages->n_mapping, location->mapping_id);
		if (mapping == NO_INDEX)
			return refuse(r, "it is damaged: there is no mapping %" PRIu64,
				      location->mapping_id);
		path = used_text(r, r->messages->mapping[mapping]->filename);
		if (r->pseudo[mapping] < PPROF_PSEUDO_MAPPINGS)
			pseudo = &pprof_pseudo_mappings[r->pseudo[mapping]];
		frame.mapping = r->mapping_ids[mapping];
	}
	if (line) {
		function = find(r->functions, r->messages->n_function, line->function_id);
		if (function == NO_INDEX)
			return refuse(r, "it is damaged: there is no function %" PRIu64,
				      line->function_id);
		frame.name = used_text(r, r->messages->function[function]->name);
		frame.file = used_text(r, r->messages->function[function]->filename);
		frame.first_line = line_number(r->messages->function[function]->start_line);
		frame.line = line_number(line->line);
	}
	if (check_text(r) != 0)
		return -EINVAL;
	if (pseudo) {
		frame.type = pseudo->type;
		frame.estimated = pseudo->estimated;
	} else if (strncmp(path, "[kernel", 7) == 0) {
		frame.type = PROFILE_KERNEL;
	}
	if (frame.type == PROFILE_LUA || frame.type == PROFILE_LUA_COMPILED)
		return add_lua_frame(r, &frame);
	if (!*frame.name) {
		base = strrchr(path, '/');
		snprintf(unnamed, sizeof(unnamed), "%.100s+0x%" PRIx64, base ? base + 1 : path,
			 location->address);
		frame.name = unnamed;
	}
	return profile__add_frame(r->profile, &frame);
}

static int read_locations(struct reader *r)
{
	const Pb__Profile *m = r->messages;
	size_t lines = 0, i, k;
	const Pb__Location *one;
	int64_t id;

	for (i = 0; i < m->n_location; i++)
		lines += m->location[i]->n_line + 1;
	r->places = calloc(m->n_location + 1, sizeof(*r->places));
	r->frames = calloc(lines + 1, sizeof(*r->frames));
	if (!r->places || !r->frames)
		return -ENOMEM;
	for (i = 0; i < m->n_location; i++) {
		one = m->location[i];
		r->places[i].first = r->frame_count;
		for (k = one->n_line ? one->n_line : 1; k-- > 0;) {
			id = add_frame(r, one, one->n_line ? one->line[k] : NULL);
			if (id < 0)
				return (int)id;
			r->frames[r->frame_count++] = (uint32_t)id;
		}
		r->places[i].count = (uint32_t)(r->frame_count - r->places[i].first);
	}
	return 0;
}

/* ---- samples -------------------------------------------------------------------------------- */

/* The labels' id and the times of a sample. */
static int read_labels(struct reader *r, const Pb__Sample *sample, struct profile_stack *stack)
{
	const Pb__Label *one;
	uint32_t count = 0;
	uint64_t *grown;
	int64_t id;
	size_t i;

	if (sample->n_label > r->time_room) {
		grown = reallocarray(r->times, sample->n_label, sizeof(*grown));
		if (!grown)
			return -ENOMEM;
		r->times = grown;
		r->time_room = sample->n_label;
	}
	stack->times = r->times;
	for (i = 0; i < sample->n_label; i++) {
		one = sample->label[i];
		if (one->str && count < MAX_LABELS)
			r->labels[count++] = (struct profile_label){used_text(r, one->key),
								    used_text(r, one->str)};
		else if (!one->str && one->num >= 0 &&
			 strcmp(text_at(r, one->key), PPROF_TIME_LABEL) == 0)
			r->times[stack->time_count++] = (uint64_t)one->num;
	}
	if (stack->time_count > stack->count)
		stack->time_count = stack->count;
	if (check_text(r) != 0)
		return -EINVAL;
	id = profile__add_labels(r->profile, r->labels, count);
	stack->labels = id < 0 ? 0 : (uint32_t)id;
	return id < 0 ? (int)id : 0;
}

/* How many samples, and how much time. */
static int read_values(struct reader *r, const Pb__Sample *sample, struct profile_stack *stack)
{
	double period = period_of(r), nanoseconds = 0;
	int64_t count = 0;

	if (sample->n_value != r->messages->n_sample_type)
		return refuse(r, "it is damaged: a sample has %zu values and not %zu",
			      sample->n_value, r->messages->n_sample_type);
	if (r->count_value != NO_INDEX)
		count = sample->value[r->count_value];
	if (r->time_value != NO_INDEX)
		nanoseconds = (double)sample->value[r->time_value] * r->time_unit;
	else
		nanoseconds = (double)count * period;
	if (count < 0 || nanoseconds < 0)
		return refuse(r, "it has negative values: is it a difference of two profiles?");
	if (nanoseconds > (double)MAX_SUM || count > MAX_SUM)
		return refuse(r, "it is damaged: a sample's values are too large");
	stack->nanoseconds = r->time_value != NO_INDEX && r->time_unit == 1
				     ? (uint64_t)sample->value[r->time_value]
				     : (uint64_t)nanoseconds;
	if (!count && nanoseconds > 0) /* it was not counted, or is less than a sample */
		count = r->count_value == NO_INDEX && period > 0 && nanoseconds > period
				? (int64_t)(nanoseconds / period + 0.5)
				: 1;
	stack->count = (uint64_t)count;
	r->counts += stack->count;
	r->nanoseconds += stack->nanoseconds;
	if (r->counts > MAX_SUM || r->nanoseconds > MAX_SUM)
		return refuse(r, "it is damaged: its values are too large");
	return 0;
}

/* The frames of a sample, from the leaf on, put into r->stack from its end. */
static int read_stack(struct reader *r, const Pb__Sample *sample, struct profile_stack *stack)
{
	uint32_t at = MAX_DEPTH + 1, k;
	const struct place *place;
	size_t i, location;

	for (i = 0; i < sample->n_location_id; i++) {
		location = find(r->locations, r->messages->n_location, sample->location_id[i]);
		if (location == NO_INDEX)
			return refuse(r, "it is damaged: there is no location %" PRIu64,
				      sample->location_id[i]);
		place = &r->places[location];
		for (k = place->count; k-- > 0 && at > 1;)
			r->stack[--at] = r->frames[place->first + k];
		if (at == 1) {
			r->stack[--at] = r->truncated;
			break;
		}
	}
	stack->frames = r->stack + at;
	stack->frame_count = MAX_DEPTH + 1 - at;
	r->used_frames += stack->frame_count;
	if (r->used_frames > MAX_FRAMES)
		return refuse(r, "its stacks have more than %u frames together", MAX_FRAMES);
	return 0;
}

static int read_samples(struct reader *r)
{
	struct profile_stack stack;
	int64_t id;
	size_t i;
	int err = 0;

	id = profile__frame(r->profile, PROFILE_NOTE, "[truncated]");
	r->stack = calloc(MAX_DEPTH + 1, sizeof(*r->stack));
	if (id < 0 || !r->stack)
		return -ENOMEM;
	r->truncated = (uint32_t)id;
	for (i = 0; i < r->messages->n_sample && !err; i++) {
		stack = (struct profile_stack){};
		err = read_values(r, r->messages->sample[i], &stack);
		if (!err)
			err = read_stack(r, r->messages->sample[i], &stack);
		if (!err)
			err = read_labels(r, r->messages->sample[i], &stack);
		if (!err)
			err = profile__add_stack(r->profile, &stack);
	}
	return err;
}

/* ---- the recording -------------------------------------------------------------------------- */

/* What follows "key: " in a comment; NULL when it has another key. */
static const char *value_of(const char *comment, const char *key)
{
	size_t length = strlen(key);

	if (strncmp(comment, key, length) != 0 || strncmp(comment + length, ": ", 2) != 0)
		return NULL;
	return comment + length + 2;
}

/* "NAME: COUNT", whose name is ended where the colon was. */
static bool read_error(char *text, struct profile_count *error)
{
	char *colon = strrchr(text, ':');

	if (!colon)
		return false;
	*colon = '\0';
	*error = (struct profile_count){text, strtoull(colon + 1, NULL, 10)};
	return true;
}

static int read_comment(struct reader *r, char *comment, struct profile_info *info,
			struct profile_count *errors)
{
	const struct {
		const char *key, **text;
		uint64_t *count;
	} keys[] = {
		{PPROF_VERSION, &info->version, NULL},	    {PPROF_TITLE, &info->title, NULL},
		{PPROF_COMMAND, &info->command_line, NULL}, {PPROF_HOST, &info->host, NULL},
		{PPROF_WITH_LUA, NULL, &info->with_lua},    {PPROF_COMPLETE, NULL, &info->complete},
		{PPROF_TRUNCATED, NULL, &info->truncated},  {PPROF_LOST, NULL, &info->lost},
	};
	const char *value = value_of(comment, PPROF_ERROR);
	size_t i;

	if (value && info->error_count < MAX_ERRORS) {
		if (read_error(comment + (value - comment), &errors[info->error_count]))
			info->error_count++;
		return 0;
	}
	for (i = 0; i < sizeof(keys) / sizeof(keys[0]); i++) {
		value = value_of(comment, keys[i].key);
		if (!value)
			continue;
		if (keys[i].count)
			*keys[i].count = strtoull(value, NULL, 10);
		else
			*keys[i].text = profile__string(r->profile, value);
		return keys[i].text && !*keys[i].text ? -ENOMEM : 0;
	}
	return 0;
}

/* The comments have a meaning in luaspy's own files only. */
static int read_comments(struct reader *r, struct profile_info *info)
{
	struct profile_count *errors = calloc(MAX_ERRORS, sizeof(*errors));
	const Pb__Profile *m = r->messages;
	int err = errors ? 0 : -ENOMEM;
	size_t i;

	if (m->n_comment && value_of(text_at(r, m->comment[0]), PPROF_VERSION)) {
		for (i = 0; i < m->n_comment && !err; i++) {
			if (!*used_text(r, m->comment[i]))
				continue;
			err = check_text(r);
			if (!err)
				err = read_comment(r, m->string_table[m->comment[i]], info, errors);
		}
	}
	if (!err && info->error_count) {
		info->errors = profile__counts(r->profile, errors, info->error_count);
		err = info->errors ? 0 : -ENOMEM;
	}
	free(errors);
	return err;
}

static int read_info(struct reader *r)
{
	struct profile_info info = {.kind = r->kind,
				    .samples = r->counts,
				    .unique_stacks = profile__stack_count(r->profile)};
	const char *path = "", *base;
	double period = period_of(r);
	int err = read_comments(r, &info);

	if (err)
		return err;
	if (!info.title) {
		if (profile__mapping_count(r->profile))
			path = profile__mapping_at(r->profile, 0)->path;
		base = strrchr(path, '/');
		info.title = profile__string(r->profile, base ? base + 1 : path);
		if (!info.title)
			return -ENOMEM;
	}
	/* luaspy's off-CPU profiles have events instead of a rate, and a period of 1. */
	if (period > 1 && period <= NANOSECONDS)
		info.rate_hz = (uint32_t)(NANOSECONDS / period + 0.5);
	if (r->messages->duration_nanos > 0)
		info.duration_seconds = (double)r->messages->duration_nanos / NANOSECONDS;
	if (r->messages->time_nanos > 0)
		info.start_time = r->messages->time_nanos / 1000000000;
	profile__set_info(r->profile, &info);
	return 0;
}

/* ---- all of it ------------------------------------------------------------------------------ */

static int read_messages(struct reader *r)
{
	int err = choose_values(r);

	if (!err)
		err = index_all(r);
	if (!err)
		err = read_mappings(r);
	if (!err)
		err = read_locations(r);
	if (!err)
		err = read_samples(r);
	if (!err)
		err = read_info(r);
	return err;
}

int pprof__parse(const uint8_t *data, size_t size, struct profile **profile,
		 char why[PPROF_WHY_BYTES])
{
	struct reader r = {.why = why};
	struct pprof_memory memory;
	Pb__Profile *messages;
	int err;

	*profile = NULL;
	err = pprof__unpack(data, size, &memory, &messages, why);
	if (err)
		return err;
	r.messages = messages;
	r.profile = profile__new();
	err = r.profile ? read_messages(&r) : -ENOMEM;
	if (err == -ENOMEM)
		snprintf(why, PPROF_WHY_BYTES, "it takes more memory than there is");
	if (err)
		profile__free(r.profile);
	else
		*profile = r.profile;
	free(r.functions);
	free(r.mappings);
	free(r.locations);
	free(r.mapping_ids);
	free(r.pseudo);
	free(r.places);
	free(r.frames);
	free(r.stack);
	free(r.times);
	pprof__free_unpacked(messages, &memory);
	return err;
}

int pprof__read(FILE *in, struct profile **profile, char why[PPROF_WHY_BYTES])
{
	uint8_t *data;
	size_t size;
	int err;

	*profile = NULL;
	err = pprof__read_bytes(in, &data, &size, why);
	if (err)
		return err;
	err = pprof__parse(data, size, profile, why);
	free(data);
	return err;
}
