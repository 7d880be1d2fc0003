// SPDX-License-Identifier: Apache-2.0
/* The table of formats, and what its smaller writers write: tables, perf script's text, JSON. */
#include <json-c/json.h>
#include <stdlib.h>
#include <string.h>

#include "../test.h"
#include "output/formats.h"
#include "output/output.h"

static void check_format(const char *path, const char *name)
{
	const struct format *format = format__of_path(path);

	CHECK_STR(format ? format->name : NULL, name);
}

static void endings_tell_formats(void)
{
	check_format("x.html", "html");
	check_format("a/b.htm", "html");
	check_format("x.svg", "svg");
	check_format("x.folded", "folded");
	check_format("x.txt", "folded");
	check_format("x.pb.gz", "pprof");
	check_format("x.pprof", "pprof");
	check_format("x.speedscope.json", "speedscope");
	check_format("dir.html/speedscope.json", "speedscope");
	check_format("x.json", "json");
	check_format("perf.txt", "perf");
	check_format("x.perf.txt", "perf");
	check_format("laptop.txt", "folded");
	check_format("top.txt", "top");
	check_format("dir/top", "top");
	check_format("-", "folded");
	check_format("/dev/stdout", "folded");
	check_format("x.gz", NULL);
	check_format("x", NULL);
	check_format(".html/x", NULL);
	CHECK(format__named("pprof") == format__of_path("x.pb.gz"));
	CHECK(format__named("png") == NULL);
	CHECK(format__named("pprof")->binary && !format__named("json")->binary);
}

/* Two stacks of a process, one of another; 3, 5 and 2 samples of 10 ms. */
static struct profile *example(enum profile_kind kind, bool with_times)
{
	static const uint64_t times[] = {50000000, 5, 1000000001};
	struct profile *profile = profile__new();
	struct profile_label web[] = {{"pid", "7"}, {"comm", "web 1"}, {"thread", "8"}};
	struct profile_label job[] = {{"pid", "9"}, {"comm", "a\nb"}};
	struct profile_mapping mapping = {.path = "/lib/x (deleted)"};
	struct profile_info info = {.title = "t", .kind = kind, .rate_hz = 100};
	struct profile_frame native = {
		.name = "x+0x10", .type = PROFILE_NATIVE, .mapping = 1, .address = 0x1a};
	struct profile_frame one = {
		.name = "f@a.lua:3", .file = "a.lua", .first_line = 3, .type = PROFILE_LUA};
	struct profile_frame same = one;
	uint32_t ids[4];

	same.type = PROFILE_LUA_COMPILED;
	profile__set_info(profile, &info);
	profile__add_mapping(profile, &mapping);
	ids[0] = (uint32_t)profile__add_frame(profile, &native);
	ids[1] = (uint32_t)profile__add_frame(profile, &one);
	ids[2] = (uint32_t)profile__add_frame(profile, &same);
	ids[3] = (uint32_t)profile__frame(profile, PROFILE_KERNEL, "sys_\x1b[2J\"");
	struct profile_stack stacks[] = {
		{.frames = ids,
		 .frame_count = 3,
		 .count = 3,
		 .nanoseconds = 30000001,
		 .times = times,
		 .time_count = with_times ? 3 : 0},
		{.frames = ids, .frame_count = 2, .count = 5, .nanoseconds = 50000000},
		{.frames = ids + 3, .frame_count = 1, .count = 2, .nanoseconds = 20000000},
	};
	for (int i = 0; i < 3; i++) {
		stacks[i].labels = (uint32_t)(i < 2 ? profile__add_labels(profile, web, 3)
						    : profile__add_labels(profile, job, 2));
		CHECK_EQ(profile__add_stack(profile, &stacks[i]), 0);
	}
	info.samples = 10;
	info.unique_stacks = 3;
	profile__set_info(profile, &info);
	return profile;
}

static char *text_of(const struct profile *profile, int (*write)(const struct profile *, FILE *))
{
	char *text = NULL;
	size_t size;
	FILE *out = open_memstream(&text, &size);

	CHECK_EQ(write(profile, out), 0);
	fclose(out);
	return text;
}

static void a_table_has_a_row_for_each_function(void)
{
	struct profile *profile = example(PROFILE_CPU, false);
	char *text = text_of(profile, flat_table__write);

	CHECK_STR(text, "t\n"
			"10 samples in 0.0 s at 100 Hz, 3 unique stacks\n"
			"\n"
			"  SELF%       SELF  TOTAL%      TOTAL  TYPE      FUNCTION\n"
			"  80.00          8   80.00          8  Lua       f@a.lua:3\n"
			"  20.00          2   20.00          2  kernel    sys_\xef\xbf\xbd[2J\"\n"
			"   0.00          0   80.00          8  C         x+0x10\n");
	free(text);
	profile__free(profile);
}

static void a_table_of_time_off_the_cpu_has_seconds(void)
{
	struct profile *profile = example(PROFILE_OFF_CPU, false);
	struct profile_info info = *profile__info(profile);
	char *text;

	info.rate_hz = 0;
	info.least_percent = 50;
	profile__set_info(profile, &info);
	text = text_of(profile, flat_table__write);
	CHECK_STR(text, "t\n"
			"10 times off the CPU in 0.0 s, 3 unique stacks\n"
			"\n"
			"  SELF%     SELF,s  TOTAL%    TOTAL,s  TYPE      FUNCTION\n"
			"  80.00      0.080   80.00      0.080  Lua       f@a.lua:3\n"
			"   0.00      0.000   80.00      0.080  C         x+0x10\n"
			"1 more row\n");
	free(text);
	info.kind = PROFILE_WALL;
	profile__set_info(profile, &info);
	text = text_of(profile, flat_table__write);
	CHECK(strstr(text, "\n10 samples and times off the CPU in 0.0 s") != NULL);
	free(text);
	profile__free(profile);
}

/* What a table leaves out it counts; where --min says nothing it has 50 rows. */
static void a_long_table_is_cut(void)
{
	struct profile *profile = profile__new();
	char *text, name[32];
	uint32_t i, id;

	for (i = 0; i < 60; i++) {
		snprintf(name, sizeof(name), "f%02u", i);
		id = (uint32_t)profile__frame(profile, PROFILE_NATIVE, name);
		profile__add(profile, &id, 1, 100 - i);
	}
	text = text_of(profile, flat_table__write);
	CHECK(strstr(text, "  f49\n10 more rows; --min PERCENT says which to show\n") != NULL);
	CHECK(strstr(text, "f50") == NULL);
	free(text);
	profile__free(profile);
}

#define NATIVE "\t              1a x+0x10+0x0 (/lib/x__deleted_)\n"
#define LUA    "\t               0 f@a.lua:3 ([Lua])\n"
#define JIT    "\t               0 f@a.lua:3 ([Lua-compiled])\n"
#define KERNEL "\t               0 sys_\xef\xbf\xbd[2J\" ([kernel.kallsyms])\n"

/* Each thread has its own clock; what a time does not divide into is in the last part. */
static void samples_follow_each_other_in_perf_script(void)
{
	struct profile *profile = example(PROFILE_CPU, false);
	char *text = text_of(profile, perf_script__write);

	CHECK_STR(text, "web 1  7/8      0.000000000:   10000000 cpu-clock: \n" JIT LUA NATIVE "\n"
			"a\xef\xbf\xbd"
			"b  9/9      0.000000000:   10000000 cpu-clock: \n" KERNEL "\n"
			"web 1  7/8      0.010000000:   10000000 cpu-clock: \n" JIT LUA NATIVE "\n"
			"a\xef\xbf\xbd"
			"b  9/9      0.010000000:   10000000 cpu-clock: \n" KERNEL "\n"
			"web 1  7/8      0.020000000:   10000001 cpu-clock: \n" JIT LUA NATIVE "\n"
			"web 1  7/8      0.030000001:   10000000 cpu-clock: \n" LUA NATIVE "\n"
			"web 1  7/8      0.040000001:   10000000 cpu-clock: \n" LUA NATIVE "\n"
			"web 1  7/8      0.050000001:   10000000 cpu-clock: \n" LUA NATIVE "\n"
			"web 1  7/8      0.060000001:   10000000 cpu-clock: \n" LUA NATIVE "\n"
			"web 1  7/8      0.070000001:   10000000 cpu-clock: \n" LUA NATIVE "\n");
	free(text);
	profile__free(profile);
}

static void recorded_times_are_written(void)
{
	struct profile *profile = example(PROFILE_OFF_CPU, true);
	char *text = text_of(profile, perf_script__write);

	CHECK(strstr(text, "web 1  7/8      0.000000005:   10000000 off-cpu: \n" JIT LUA) != NULL);
	CHECK(strstr(text, "web 1  7/8      0.050000000:   10000000 off-cpu: \n" JIT LUA) != NULL);
	CHECK(strstr(text, "web 1  7/8      1.000000001:   10000001 off-cpu: \n" JIT LUA) != NULL);
	free(text);
	profile__free(profile);
}

/* A file may claim as many samples as it likes. */
static void too_many_samples_are_written_by_stack(void)
{
	struct profile *profile = profile__new();
	uint32_t id = (uint32_t)profile__frame(profile, PROFILE_LUA, "f");
	char *text;

	profile__add_stack(profile, &(struct profile_stack){.frames = &id,
							    .frame_count = 1,
							    .count = UINT64_C(1) << 60,
							    .nanoseconds = 77});
	text = text_of(profile, perf_script__write);
	CHECK_STR(text, "(no name)  0/0      0.000000000:         77 cpu-clock: \n"
			"\t               0 f ([Lua])\n\n");
	free(text);
	profile__free(profile);
}

static int64_t number(struct json_object *object, const char *key)
{
	return json_object_get_int64(json_object_object_get(object, key));
}

static const char *string(struct json_object *object, const char *key)
{
	return json_object_get_string(json_object_object_get(object, key));
}

static struct json_object *element(struct json_object *object, const char *key, size_t i)
{
	return json_object_array_get_idx(json_object_object_get(object, key), i);
}

static void json_has_all_of_it(void)
{
	struct profile *profile = example(PROFILE_CPU, true);
	char *text = text_of(profile, json_profile__write);
	struct json_object *root = json_tokener_parse(text), *one;

	CHECK(root != NULL);
	CHECK_STR(string(root, "format"), "luaspy-profile");
	CHECK_EQ(number(root, "format_version"), 1);
	CHECK_STR(string(root, "kind"), "cpu");
	CHECK_EQ(number(root, "samples"), 10);
	one = element(root, "frames", 0);
	CHECK_STR(string(one, "type"), "native");
	CHECK_STR(string(one, "address"), "0x1a");
	CHECK_EQ(number(one, "mapping"), 0);
	CHECK_STR(string(element(root, "mappings", 0), "path"), "/lib/x (deleted)");
	one = element(root, "frames", 2);
	CHECK_STR(string(one, "type"), "lua");
	CHECK(json_object_get_boolean(json_object_object_get(one, "compiled")));
	one = element(root, "stacks", 0);
	CHECK_EQ(json_object_array_length(json_object_object_get(one, "frames")), 3);
	CHECK_EQ(json_object_get_int64(element(one, "frames", 2)), 2);
	CHECK_STR(string(json_object_object_get(one, "labels"), "comm"), "web 1");
	CHECK_EQ(number(one, "count"), 3);
	CHECK_EQ(number(one, "nanoseconds"), 30000001);
	CHECK_EQ(json_object_get_int64(element(one, "times", 2)), 1000000001);
	/* Names are whole texts in this profile already: what the row says is not of interest. */
	one = element(root, "functions", 0);
	CHECK_EQ(number(one, "self"), 8);
	CHECK_EQ(number(one, "total_nanoseconds"), 80000001);
	json_object_put(root);
	free(text);
	profile__free(profile);
}

static void speedscope_has_weights_in_nanoseconds(void)
{
	struct profile *profile = example(PROFILE_OFF_CPU, false);
	char *text = text_of(profile, speedscope__write);
	struct json_object *root = json_tokener_parse(text), *shown, *frame;

	CHECK(root != NULL);
	shown = element(root, "profiles", 0);
	CHECK_STR(string(shown, "unit"), "nanoseconds");
	CHECK_EQ(number(shown, "endValue"), 100000001);
	CHECK_EQ(json_object_get_int64(element(shown, "weights", 1)), 50000000);
	frame = element(json_object_object_get(root, "shared"), "frames", 1);
	CHECK_STR(string(frame, "name"), "f@a.lua:3");
	CHECK_STR(string(frame, "file"), "a.lua");
	CHECK_EQ(number(frame, "line"), 3);
	json_object_put(root);
	free(text);
	profile__free(profile);
}

static void full_disks_are_reported(void)
{
	static int (*const writers[])(const struct profile *, FILE *) = {
		flat_table__write, perf_script__write, json_profile__write, speedscope__write};
	struct profile *profile = example(PROFILE_CPU, false);
	FILE *out = NULL;

	for (size_t i = 0; i < sizeof(writers) / sizeof(writers[0]); i++) {
		out = fopen("/dev/full", "w");
		if (!out)
			break;
		CHECK_EQ(writers[i](profile, out), -28); /* ENOSPC */
		fclose(out);
	}
	profile__free(profile);
	if (!out)
		SKIP("cannot: no /dev/full");
}

int main(void)
{
	RUN(endings_tell_formats, "endings tell formats");
	RUN(a_table_has_a_row_for_each_function, "a table has a row for each function");
	RUN(a_table_of_time_off_the_cpu_has_seconds, "a table of time off the CPU has seconds");
	RUN(a_long_table_is_cut, "a long table is cut");
	RUN(samples_follow_each_other_in_perf_script, "samples follow each other in perf script");
	RUN(recorded_times_are_written, "recorded times are written");
	RUN(too_many_samples_are_written_by_stack, "too many samples are written by stack");
	RUN(json_has_all_of_it, "JSON has all of it");
	RUN(speedscope_has_weights_in_nanoseconds, "speedscope has weights in nanoseconds");
	RUN(full_disks_are_reported, "full disks are reported");
	return TEST_RESULT();
}
