// SPDX-License-Identifier: Apache-2.0
/* What is shown of a profile: filters, roots, lines, small parts. Stacks are compared as folded
 * lines. */
#include <regex.h>
#include <stdlib.h>
#include <string.h>

#include "../test.h"
#include "output/output.h"
#include "output/profile_view.h"

static uint32_t frame(struct profile *profile, enum profile_frame_type type, const char *name,
		      const char *file, uint32_t first_line, uint32_t line, uint64_t address)
{
	struct profile_frame wanted = {.type = type,
				       .name = name,
				       .file = file,
				       .first_line = first_line,
				       .line = line,
				       .address = address};

	return (uint32_t)profile__add_frame(profile, &wanted);
}

/* main > run@app:1 (line 5, then 6) > compress (two addresses), > write > sys_write; 4, 3, 2 and 1
 * samples. */
static struct profile *example(void)
{
	struct profile *profile = profile__new();
	struct profile_label web[] = {{"pid", "7"}, {"comm", "nginx"}, {"vmstate", "C function"}};
	struct profile_label job[] = {{"pid", "8"}, {"comm", "job"}, {"thread", "9"}};
	uint32_t main_frame = frame(profile, PROFILE_NATIVE, "main", NULL, 0, 0, 16);
	uint32_t run5 = frame(profile, PROFILE_LUA, "run", "app", 1, 5, 0);
	uint32_t run6 = frame(profile, PROFILE_LUA, "run", "app", 1, 6, 0);
	uint32_t one = frame(profile, PROFILE_NATIVE, "compress", NULL, 0, 0, 100);
	uint32_t two = frame(profile, PROFILE_NATIVE, "compress", NULL, 0, 0, 200);
	uint32_t out = frame(profile, PROFILE_BUILTIN, "io.write", NULL, 0, 0, 0);
	uint32_t kernel = frame(profile, PROFILE_KERNEL, "sys_write", NULL, 0, 0, 1);
	struct profile_stack stacks[] = {
		{.frames = (uint32_t[]){main_frame, run5, one}, .frame_count = 3, .count = 4},
		{.frames = (uint32_t[]){main_frame, run5, two}, .frame_count = 3, .count = 3},
		{.frames = (uint32_t[]){main_frame, run6, out, kernel},
		 .frame_count = 4,
		 .count = 2},
		{.frames = (uint32_t[]){main_frame}, .frame_count = 1, .count = 1},
	};
	struct profile_info info = {.title = "t", .samples = 10};
	uint32_t i;

	for (i = 0; i < 4; i++) {
		stacks[i].labels = (uint32_t)(i < 3 ? profile__add_labels(profile, web, 3)
						    : profile__add_labels(profile, job, 3));
		CHECK_EQ(profile__add_stack(profile, &stacks[i]), 0);
	}
	profile__set_info(profile, &info);
	return profile;
}

static void check_view(const struct profile_view *view, const char *folded, uint64_t samples)
{
	struct profile *profile = example(), *shown = profile__new();
	char *text = NULL;
	size_t size;
	FILE *out = open_memstream(&text, &size);

	CHECK_EQ(profile_view__make(view, profile, shown), 0);
	CHECK_EQ(profile__info(shown)->samples, samples);
	CHECK_EQ(folded__write(shown, out), 0);
	fclose(out);
	CHECK_STR(text, folded);
	free(text);
	profile__free(shown);
	profile__free(profile);
}

static void functions_are_shown_once(void)
{
	struct profile_view view = PROFILE_VIEW_DEFAULT;

	check_view(&view,
		   "job;main 1\nnginx;main;run@app:1;compress 7\n"
		   "nginx;main;run@app:1;io.write;sys_write_[k] 2\n",
		   10);
	view.lines = true;
	check_view(&view,
		   "job;main 1\nnginx;main;run@app:1:5;compress 7\n"
		   "nginx;main;run@app:1:6;io.write;sys_write_[k] 2\n",
		   10);
}

static void kinds_of_frames_are_left_out(void)
{
	struct profile_view view = {.native = true};

	check_view(&view,
		   "job;main 1\nnginx;main;run@app:1;compress 7\n"
		   "nginx;main;run@app:1;io.write 2\n",
		   10);
	view = (struct profile_view){.kernel = true};
	check_view(&view, "job 1\nnginx;run@app:1 7\nnginx;run@app:1;io.write 2\n", 10);
}

static void labels_split_the_root(void)
{
	struct profile_view view = {.by = {"thread", "pid", "vmstate", "container"}, .by_count = 4};

	check_view(&view,
		   "job 8/9;[outside the VM];[container: none] 1\n"
		   "nginx 7;[C function];[container: none];run@app:1 7\n"
		   "nginx 7;[C function];[container: none];run@app:1;io.write 2\n",
		   10);
}

static void patterns_filter(void)
{
	struct profile_view view = PROFILE_VIEW_DEFAULT;
	regex_t write, run;

	regcomp(&write, "write$", REG_EXTENDED | REG_NOSUB);
	regcomp(&run, "^run@app:1", REG_EXTENDED | REG_NOSUB);
	view.only = &write;
	check_view(&view, "nginx;main;run@app:1;io.write;sys_write_[k] 2\n", 2);
	view.only = NULL;
	view.hide = &write;
	check_view(&view, "job;main 1\nnginx;main;run@app:1 2\nnginx;main;run@app:1;compress 7\n",
		   10);
	view.hide = NULL;
	view.root = &run;
	check_view(&view, "nginx;run@app:1;compress 7\nnginx;run@app:1;io.write;sys_write_[k] 2\n",
		   9);
	/* What is hidden still tells where the root is, and which stacks are meant. */
	view.hide = &run;
	view.only = &write;
	check_view(&view, "nginx;io.write;sys_write_[k] 2\n", 2);
	regfree(&write);
	regfree(&run);
}

static void callers_stand_above(void)
{
	struct profile_view view = {.kernel = true, .native = true, .reverse = true};

	check_view(&view,
		   "job;main 1\nnginx;compress;run@app:1;main 7\n"
		   "nginx;sys_write_[k];io.write;run@app:1;main 2\n",
		   10);
}

static void small_parts_are_their_callers(void)
{
	struct profile_view view = {.kernel = true, .native = true, .min_percent = 20};

	/* main of job has 10 %; what nginx wrote has exactly 20. */
	check_view(&view,
		   "job 1\nnginx;main;run@app:1;compress 7\n"
		   "nginx;main;run@app:1;io.write;sys_write_[k] 2\n",
		   10);
	view.min_percent = 21;
	check_view(&view, "job 1\nnginx;main;run@app:1 2\nnginx;main;run@app:1;compress 7\n", 10);
}

static void lua_is_shown_by_chunk(void)
{
	struct profile *profile = profile__new(), *shown = profile__new();
	struct profile_view view = {.native = true, .chunks = true, .lines = true};
	uint32_t ids[] = {
		frame(profile, PROFILE_LUA, "a", "one", 1, 5, 0),
		frame(profile, PROFILE_LUA, "b", "one", 8, 9, 0),
		frame(profile, PROFILE_LUA, "c", "two", 1, 1, 0),
		frame(profile, PROFILE_LUA, "a", "one", 1, 6, 0),
		frame(profile, PROFILE_NATIVE, "f", NULL, 0, 0, 0),
		frame(profile, PROFILE_NATIVE, "f", NULL, 0, 0, 0),
	};
	regex_t function;
	char *text = NULL;
	size_t size;
	FILE *out = open_memstream(&text, &size);

	regcomp(&function, "^b@one", REG_EXTENDED | REG_NOSUB);
	view.only = &function; /* patterns are of functions all the same */
	profile__set_info(profile, &(struct profile_info){.title = "prog"}); /* of no comm */
	profile__add(profile, ids, 6, 3);
	profile__add(profile, ids, 1, 4);
	CHECK_EQ(profile_view__make(&view, profile, shown), 0);
	CHECK_EQ(folded__write(shown, out), 0);
	fclose(out);
	CHECK_STR(text, "prog;one;two;one;f;f 3\n");
	regfree(&function);
	free(text);
	profile__free(shown);
	profile__free(profile);
}

static void labels_may_stay_with_texts(void)
{
	struct profile *profile = example(), *shown = profile__new();
	struct profile_view view = {.native = true, .kernel = true, .labels = true};
	struct profile_stack got;

	CHECK_EQ(profile_view__make(&view, profile, shown), 0);
	CHECK_EQ(profile__stack_count(shown), 4);
	got = profile__stack_at(shown, 0);
	CHECK_EQ(got.frame_count, 3);
	CHECK_STR(profile__frame_at(shown, got.frames[1])->name, "run@app:1");
	CHECK_EQ(profile__frame_at(shown, got.frames[1])->line, 0);
	CHECK_EQ(profile__frame_at(shown, got.frames[2])->address, 100);
	CHECK_STR(profile__label(shown, got.labels, "pid"), "7");
	profile__free(shown);
	profile__free(profile);
}

static void tables_leave_small_rows_to_their_writer(void)
{
	struct profile *profile = example(), *shown = profile__new();
	struct profile_view view = {.native = true, .table = true, .min_percent = 21};

	CHECK_EQ(profile_view__make(&view, profile, shown), 0);
	CHECK_EQ(profile__stack_count(shown), 3);
	CHECK_EQ((uint64_t)profile__info(shown)->least_percent, 21);
	profile__free(shown);
	profile__free(profile);
}

static void times_and_values_are_added_up(void)
{
	struct profile *profile = profile__new(), *shown = profile__new();
	struct profile_view view = PROFILE_VIEW_DEFAULT;
	uint32_t one = frame(profile, PROFILE_NATIVE, "f", NULL, 0, 0, 1);
	uint32_t two = frame(profile, PROFILE_NATIVE, "f", NULL, 0, 0, 2);
	struct profile_stack got;
	struct profile_info info = {.kind = PROFILE_OFF_CPU};
	uint64_t times[] = {5, 6, 7};

	profile__set_info(profile, &info);
	profile__add_stack(profile, &(struct profile_stack){.frames = &one,
							    .frame_count = 1,
							    .count = 2,
							    .nanoseconds = 5000,
							    .times = times,
							    .time_count = 2});
	profile__add_stack(profile, &(struct profile_stack){.frames = &two,
							    .frame_count = 1,
							    .count = 1,
							    .nanoseconds = 3000,
							    .times = times + 2,
							    .time_count = 1});
	CHECK_EQ(profile__stack_count(profile), 2);
	CHECK_EQ(profile_view__make(&view, profile, shown), 0);
	CHECK_EQ(profile__stack_count(shown), 1);
	got = profile__stack_at(shown, 0);
	CHECK_EQ(got.count, 3);
	CHECK_EQ(got.nanoseconds, 8000);
	CHECK_EQ(profile__weight(shown, &got), 8);
	CHECK_EQ(got.time_count, 3);
	CHECK_EQ(got.times[0] + got.times[1] + got.times[2], 18);
	profile__free(shown);
	profile__free(profile);
}

static void exact_views_keep_all(void)
{
	struct profile *profile = example(), *shown = profile__new();
	struct profile_view view = {.native = true, .exact = true};
	struct profile_stack got;

	CHECK_EQ(profile_view__make(&view, profile, shown), 0);
	CHECK_EQ(profile__stack_count(shown), 4);
	got = profile__stack_at(shown, 1);
	CHECK_EQ(got.frame_count, 3);
	CHECK_EQ(profile__frame_at(shown, got.frames[2])->address, 200);
	CHECK_EQ(profile__frame_at(shown, got.frames[1])->line, 5);
	CHECK_STR(profile__frame_at(shown, got.frames[1])->name, "run");
	CHECK_STR(profile__label(shown, got.labels, "vmstate"), "C function");
	CHECK_STR(profile__label(shown, profile__stack_at(shown, 3).labels, "thread"), "9");
	profile__free(shown);
	profile__free(profile);
}

int main(void)
{
	RUN(functions_are_shown_once, "functions are shown once, lines on request");
	RUN(kinds_of_frames_are_left_out, "kernel and C frames can be left out");
	RUN(labels_split_the_root, "labels split the root");
	RUN(patterns_filter, "patterns choose stacks, frames and roots");
	RUN(callers_stand_above, "callers stand above callees");
	RUN(small_parts_are_their_callers, "what is too small is its caller's");
	RUN(lua_is_shown_by_chunk, "Lua is shown by chunk");
	RUN(labels_may_stay_with_texts, "labels may stay, with texts for frames");
	RUN(tables_leave_small_rows_to_their_writer, "tables leave small rows to their writer");
	RUN(times_and_values_are_added_up, "times and values are added up");
	RUN(exact_views_keep_all, "exact views keep all");
	return TEST_RESULT();
}
