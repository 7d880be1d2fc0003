// SPDX-License-Identifier: Apache-2.0
/* Profiles that other programs have written, and what is wrong with some. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "pprof.pb-c.h"
#include "test_pprof.h"

/* As Go writes it: two values, inlined lines, no luaspy. The caller changes what it wants. */
struct other {
	Pb__Profile profile;
	Pb__ValueType types[2], period;
	Pb__ValueType *type_pointers[2];
	Pb__Sample sample;
	Pb__Sample *sample_pointer;
	Pb__Mapping mapping;
	Pb__Mapping *mapping_pointer;
	Pb__Location locations[2];
	Pb__Location *location_pointers[2];
	Pb__Line lines[2];
	Pb__Line *line_pointers[2];
	Pb__Function functions[2];
	Pb__Function *function_pointers[2];
	Pb__Label label;
	Pb__Label *label_pointer;
	uint64_t location_ids[2];
	int64_t values[2];
};

static void make_other(struct other *o)
{
	static char *texts[] = {"",	  "samples",	 "count",  "cpu",     "nanoseconds",
				"/bin/x", "main.run",	 "run.go", "inlined", "key",
				"value",  "inuse_space", "bytes"};
	int i;

	pb__profile__init(&o->profile);
	for (i = 0; i < 2; i++) {
		pb__value_type__init(&o->types[i]);
		o->types[i].type = i ? 3 : 1;
		o->types[i].unit = i ? 4 : 2;
		o->type_pointers[i] = &o->types[i];
		pb__location__init(&o->locations[i]);
		o->locations[i].id = i ? 70 : 9;
		o->locations[i].mapping_id = 5;
		o->locations[i].address = i ? 0x2000 : 0x1000;
		o->location_pointers[i] = &o->locations[i];
		pb__line__init(&o->lines[i]);
		o->lines[i].function_id = i ? 1 : 88;
		o->lines[i].line = i ? 12 : 30;
		o->line_pointers[i] = &o->lines[i];
		pb__function__init(&o->functions[i]);
		o->functions[i].id = i ? 88 : 1;
		o->functions[i].name = i ? 8 : 6;
		o->functions[i].filename = 7;
		o->function_pointers[i] = &o->functions[i];
	}
	o->locations[1].n_line = 2; /* the other one has no symbol */
	o->locations[1].line = o->line_pointers;
	pb__mapping__init(&o->mapping);
	o->mapping.id = 5;
	o->mapping.filename = 5;
	o->mapping_pointer = &o->mapping;
	pb__label__init(&o->label);
	o->label.key = 9;
	o->label.str = 10;
	o->label_pointer = &o->label;
	pb__value_type__init(&o->period);
	o->period.type = 3;
	o->period.unit = 4;
	pb__sample__init(&o->sample);
	o->location_ids[0] = 9;
	o->location_ids[1] = 70;
	o->values[0] = 2;
	o->values[1] = 20000000;
	o->sample.n_location_id = o->sample.n_value = 2;
	o->sample.location_id = o->location_ids;
	o->sample.value = o->values;
	o->sample.n_label = 1;
	o->sample.label = &o->label_pointer;
	o->sample_pointer = &o->sample;
	o->profile.n_sample_type = 2;
	o->profile.sample_type = o->type_pointers;
	o->profile.n_sample = 1;
	o->profile.sample = &o->sample_pointer;
	o->profile.n_mapping = 1;
	o->profile.mapping = &o->mapping_pointer;
	o->profile.n_location = o->profile.n_function = 2;
	o->profile.location = o->location_pointers;
	o->profile.function = o->function_pointers;
	o->profile.n_string_table = sizeof(texts) / sizeof(texts[0]);
	o->profile.string_table = texts;
	o->profile.period_type = &o->period;
	o->profile.period = 10000000;
	o->profile.duration_nanos = 1500000000;
}

static uint8_t *pack(const struct other *o, size_t *size)
{
	uint8_t *bytes = malloc(pb__profile__get_packed_size(&o->profile) + 1);

	*size = pb__profile__pack(&o->profile, bytes);
	return bytes;
}

static struct profile *read_other(const struct other *o)
{
	size_t size;
	uint8_t *bytes = pack(o, &size);
	struct profile *profile = read_profile(bytes, size);

	free(bytes);
	return profile;
}

static void check_other_refused(const struct other *o, const char *expected)
{
	size_t size;
	uint8_t *bytes = pack(o, &size);

	check_refused(bytes, size, -EINVAL, expected);
	free(bytes);
}

static void profiles_of_other_programs_are_read(void)
{
	struct other o;
	struct profile *profile;
	struct profile_stack stack;
	const struct profile_frame *frame;
	const struct profile_info *info;

	make_other(&o);
	profile = read_other(&o);
	info = profile__info(profile);
	CHECK_STR(info->title, "x");
	CHECK_EQ(info->kind, PROFILE_CPU);
	CHECK_EQ(info->rate_hz, 100);
	CHECK_EQ(info->samples, 2);
	CHECK_EQ((uint64_t)(info->duration_seconds * 10), 15);
	CHECK_EQ(profile__stack_count(profile), 1);
	stack = profile__stack_at(profile, 0);
	CHECK_EQ(stack.count, 2);
	CHECK_EQ(stack.nanoseconds, 20000000);
	CHECK_EQ(stack.frame_count, 3);
	frame = profile__frame_at(profile, stack.frames[0]);
	CHECK_STR(frame->name, "main.run"); /* the function that the other was inlined into */
	CHECK_STR(frame->file, "run.go");
	CHECK_EQ(frame->line, 12);
	CHECK_EQ(frame->type, PROFILE_NATIVE);
	CHECK_STR(profile__frame_at(profile, stack.frames[1])->name, "inlined");
	CHECK_STR(profile__frame_at(profile, stack.frames[2])->name, "x+0x1000");
	CHECK_STR(profile__label(profile, stack.labels, "key"), "value");
	profile__free(profile);
}

static void times_may_have_other_units_and_counts_be_missing(void)
{
	struct other o;
	struct profile *profile;

	make_other(&o);
	o.profile.n_sample_type = o.sample.n_value = 1;
	o.profile.sample_type = o.type_pointers + 1;
	o.profile.string_table[4] = "milliseconds";
	o.values[0] = 30;
	o.profile.period = 10;
	profile = read_other(&o);
	CHECK_EQ(profile__stack_at(profile, 0).nanoseconds, 30000000);
	CHECK_EQ(profile__stack_at(profile, 0).count, 3);
	CHECK_EQ(profile__info(profile)->rate_hz, 100);
	profile__free(profile);
	o.profile.string_table[4] = "nanoseconds";
	make_other(&o);
	o.profile.n_sample_type = o.sample.n_value = 1; /* samples only */
	profile = read_other(&o);
	CHECK_EQ(profile__stack_at(profile, 0).count, 2);
	CHECK_EQ(profile__stack_at(profile, 0).nanoseconds, 20000000);
	profile__free(profile);
}

static void what_does_not_fit_together_is_refused(void)
{
	enum { TYPES = 65 };
	Pb__ValueType *types[TYPES];
	struct other o;
	int i;

	for (i = 0; i < TYPES; i++)
		types[i] = &o.types[0];
	make_other(&o);
	o.types[0].type = o.types[1].type = 11;
	o.types[0].unit = o.types[1].unit = 12;
	check_other_refused(&o, "it holds inuse_space, inuse_space, and no time or samples of it");
	make_other(&o);
	o.profile.n_sample_type = 0;
	check_other_refused(&o, "it holds no profile");
	o.profile.sample_type = types;
	o.profile.n_sample_type = TYPES;
	check_other_refused(&o, "it has more than 64 kinds of values");
	make_other(&o);
	o.location_ids[1] = 71;
	check_other_refused(&o, "it is damaged: there is no location 71");
	make_other(&o);
	o.locations[0].mapping_id = 6;
	check_other_refused(&o, "it is damaged: there is no mapping 6");
	make_other(&o);
	o.lines[0].function_id = 2;
	check_other_refused(&o, "it is damaged: there is no function 2");
	make_other(&o);
	o.functions[0].id = 88;
	check_other_refused(&o, "it is damaged: two functions have the number 88");
	make_other(&o);
	o.sample.n_value = 1;
	check_other_refused(&o, "it is damaged: a sample has 1 values and not 2");
	make_other(&o);
	o.values[1] = -1;
	check_other_refused(&o, "it has negative values: is it a difference of two profiles?");
	make_other(&o);
	o.values[0] = INT64_MAX;
	check_other_refused(&o, "it is damaged: a sample's values are too large");
}

static void texts_that_are_not_there_are_empty(void)
{
	struct other o;
	struct profile *profile;

	make_other(&o);
	o.functions[0].name = 1000;
	o.functions[1].filename = -4;
	profile = read_other(&o);
	CHECK_EQ(profile__stack_count(profile), 1);
	profile__free(profile);
}

static void stacks_that_are_too_deep_are_cut_at_the_root(void)
{
	enum { DEEP = 20000 };
	uint64_t *ids = calloc(DEEP, sizeof(*ids));
	struct profile *profile;
	struct profile_stack stack;
	struct other o;
	int i;

	make_other(&o);
	for (i = 0; i < DEEP; i++)
		ids[i] = i ? 9 : 70;
	o.sample.n_location_id = DEEP;
	o.sample.location_id = ids;
	profile = read_other(&o);
	stack = profile__stack_at(profile, 0);
	CHECK_EQ(stack.frame_count, 8193);
	CHECK_STR(profile__frame_at(profile, stack.frames[0])->name, "[truncated]");
	CHECK_STR(profile__frame_at(profile, stack.frames[1])->name, "x+0x1000");
	CHECK_STR(profile__frame_at(profile, stack.frames[8192])->name, "inlined");
	profile__free(profile);
	free(ids);
}

/* What is named is compared and kept each time that it is referred to: a file of some kilobytes
 * could take hours. */
static void the_size_of_all_names_is_limited(void)
{
	enum { LABELS = 64, SIZE = 16 << 20 };
	Pb__Label *labels[LABELS];
	char *longest = malloc(SIZE + 1);
	struct other o;
	int i;

	memset(longest, 'a', SIZE);
	longest[SIZE] = '\0';
	make_other(&o);
	for (i = 0; i < LABELS; i++)
		labels[i] = &o.label;
	o.label.key = o.label.str = 10;
	o.profile.string_table[10] = longest;
	o.sample.n_label = LABELS;
	o.sample.label = labels;
	check_other_refused(
		&o, "its names have more than 1024 MB together, each as often as it is used");
	o.profile.string_table[10] = "value";
	free(longest);
}

int main(void)
{
	RUN(profiles_of_other_programs_are_read, "profiles of other programs are read");
	RUN(times_may_have_other_units_and_counts_be_missing, "other units, no counts");
	RUN(what_does_not_fit_together_is_refused, "what does not fit together is refused");
	RUN(texts_that_are_not_there_are_empty, "texts that are not there are empty");
	RUN(stacks_that_are_too_deep_are_cut_at_the_root, "deep stacks are cut at the root");
	RUN(the_size_of_all_names_is_limited, "the size of all names is limited");
	return TEST_RESULT();
}
