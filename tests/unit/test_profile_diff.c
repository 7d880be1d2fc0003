// SPDX-License-Identifier: Apache-2.0
/* Two profiles compared: what is the same function, what has changed and by how much. */
#include <errno.h>
#include <math.h>
#include <stdlib.h>

#include "../test.h"
#include "output/profile_diff.h"
#include "output/profile_view.h"

struct sample {
	const char
		*names[6]; /* "name@file:line" is Lua, "+..." compiled, others are C; root first */
	uint64_t count;
};

static uint32_t frame(struct profile *profile, const char *text)
{
	struct profile_frame frame = {.type = PROFILE_NATIVE, .name = text, .file = ""};
	char file[64] = "", name[64] = "";
	const char *at;

	if (*text == '+') {
		frame.type = PROFILE_LUA_COMPILED;
		text++;
	}
	at = strchr(text, '@');
	if (at) {
		snprintf(name, sizeof(name), "%.*s", (int)(at - text), text);
		CHECK(sscanf(at, "@%63[^:]:%u:%u", file, &frame.first_line, &frame.line) >= 2);
		frame.name = name;
		frame.file = file;
		if (frame.type == PROFILE_NATIVE)
			frame.type = PROFILE_LUA;
	}
	return (uint32_t)profile__add_frame(profile, &frame);
}

/* As a command makes it: with texts for names and a root. */
static struct profile *make(const struct sample *samples, enum profile_kind kind, double seconds,
			    bool lines)
{
	struct profile *exact = profile__new(), *shown = profile__new();
	struct profile_view view = PROFILE_VIEW_DEFAULT;
	struct profile_label label = {"comm", "nginx"};
	struct profile_info info = {.kind = kind, .rate_hz = 100, .duration_seconds = seconds};
	uint32_t labels = (uint32_t)profile__add_labels(exact, &label, 1);

	for (; samples->count; samples++) {
		struct profile_stack stack = {.labels = labels,
					      .count = samples->count,
					      .nanoseconds = samples->count * 10000000};
		uint32_t ids[6];

		while (stack.frame_count < 6 && samples->names[stack.frame_count]) {
			ids[stack.frame_count] = frame(exact, samples->names[stack.frame_count]);
			stack.frame_count++;
		}
		stack.frames = ids;
		CHECK_EQ(profile__add_stack(exact, &stack), 0);
	}
	profile__set_info(exact, &info);
	view.lines = lines;
	view.table = true;
	CHECK_EQ(profile_view__make(&view, exact, shown), 0);
	profile__free(exact);
	return shown;
}

static const struct profile_diff_function *find(const struct profile_diff *diff, const char *name)
{
	for (size_t i = 0; i < diff->function_count; i++) {
		const struct profile_diff_function *one = &diff->functions[i];

		if (strcmp(profile__frame_at(diff->merged, one->frame)->name, name) == 0)
			return one;
	}
	printf("# no function %s\n", name);
	return NULL;
}

static bool near(double a, double b)
{
	return fabs(a - b) <= 1e-6 * fabs(b) + 1e-12;
}

static const struct sample before[] = {
	{{"main", "f@/a.lua:1", "g@/a.lua:9"}, 100},
	{{"main", "f@/a.lua:1"}, 300},
	{{"main", "f@/a.lua:1", "f@/a.lua:1", "gone"}, 7},
	{{"main", "rest"}, 593},
	{},
};
static const struct sample after[] = {
	{{"main", "f@/a.lua:1", "g@/a.lua:9"}, 90},
	{{"main", "+f@/a.lua:1", "+g@/a.lua:9"}, 210},
	{{"main", "f@/a.lua:1"}, 590},
	{{"main", "f@/a.lua:1", "new"}, 40},
	{{"main", "rest"}, 1070},
	{},
};

/* What the figures are: shares of 1000 and 2000, p values as Python computes them. */
static void functions_have_their_figures(void)
{
	struct profile *a = make(before, PROFILE_CPU, 10, false);
	struct profile *b = make(after, PROFILE_CPU, 20, false);
	const struct profile_diff_function *one;
	struct profile_diff diff;

	CHECK_EQ(profile_diff__make(a, b, false, &diff), 0);
	CHECK_EQ(diff.total[0], 1000);
	CHECK_EQ(diff.total[1], 2000);
	CHECK(diff.tested && !diff.per_second);
	CHECK_EQ(diff.moved, 0);
	CHECK_EQ(diff.function_count, 6); /* not the root */

	one = find(&diff, "g@/a.lua:9"); /* interpreted and compiled are one */
	CHECK_EQ(one->self.weight[0], 100);
	CHECK_EQ(one->self.weight[1], 300);
	CHECK(near(one->self.points, 5));
	CHECK(near(one->self.p, 0.000146002155923)); /* z */
	CHECK(!one->self.noise);

	one = find(&diff, "gone");
	CHECK(near(one->self.points, -0.7));
	CHECK(near(one->self.p, 0.000450872209769)); /* Fisher: 7/1000, 0/2000 */
	CHECK(!one->self.noise);

	one = find(&diff, "f@/a.lua:1"); /* counts once in a stack, twice in it or not */
	CHECK_EQ(one->total.weight[0], 407);
	CHECK_EQ(one->total.weight[1], 930);
	CHECK_EQ(one->self.weight[0], 300);
	CHECK_EQ(one->self.weight[1], 590);
	CHECK(near(one->self.points, -0.5));
	CHECK(near(one->self.p, 0.777464901219));
	CHECK(one->self.noise);

	one = find(&diff, "main");
	CHECK(near(one->total.points, 0));
	CHECK(one->total.p == 1 && one->total.noise);
	CHECK_EQ(one->self.weight[0] + one->self.weight[1], 0);

	/* The greatest change first: rest -5.8, g +5, new +2, gone -0.7, f -0.5, main 0. */
	one = &diff.functions[0];
	CHECK_STR(profile__frame_at(diff.merged, one->frame)->name, "rest");
	CHECK(near(one->self.points, -5.8));
	CHECK_STR(profile__frame_at(diff.merged, diff.functions[1].frame)->name, "g@/a.lua:9");
	CHECK_STR(profile__frame_at(diff.merged, diff.functions[2].frame)->name, "new");
	CHECK_STR(profile__frame_at(diff.merged, diff.functions[5].frame)->name, "main");
	/* q of five that have samples of their own: f's p is the greatest. */
	CHECK(near(find(&diff, "f@/a.lua:1")->self.q, 0.777464901219));
	CHECK(near(find(&diff, "gone")->self.q, 0.000450872209769 * 5 / 3));

	profile_diff__free(&diff);
	profile__free(a);
	profile__free(b);
}

static void stacks_keep_the_weights_of_both(void)
{
	struct profile *a = make(before, PROFILE_CPU, 10, false);
	struct profile *b = make(after, PROFILE_CPU, 20, false);
	struct profile_diff diff;
	uint64_t found = 0;

	CHECK_EQ(profile_diff__make(a, b, false, &diff), 0);
	CHECK_EQ(profile__stack_count(diff.merged), 5);
	for (size_t i = 0; i < profile__stack_count(diff.merged); i++) {
		struct profile_stack stack = profile__stack_at(diff.merged, i);
		const char *leaf =
			profile__frame_at(diff.merged, stack.frames[stack.frame_count - 1])->name;

		CHECK_EQ(profile__frame_at(diff.merged, stack.frames[0])->type, PROFILE_THREAD);
		if (strcmp(leaf, "g@/a.lua:9") == 0) {
			CHECK_EQ(diff.weights[0][i], 100);
			CHECK_EQ(diff.weights[1][i], 300);
			found++;
		} else if (strcmp(leaf, "gone") == 0) {
			CHECK_EQ(diff.weights[0][i], 7);
			CHECK_EQ(diff.weights[1][i], 0);
			found++;
		} else if (strcmp(leaf, "new") == 0) {
			CHECK_EQ(diff.weights[0][i], 0);
			CHECK_EQ(diff.weights[1][i], 40);
			found++;
		}
	}
	CHECK_EQ(found, 3);
	profile_diff__free(&diff);
	profile__free(a);
	profile__free(b);
}

static void functions_that_have_moved_are_the_same(void)
{
	static const struct sample old[] = {
		{{"handler@/a.lua:10", "one@/a.lua:20:25"}, 50}, /* moved by 5 */
		{{"handler@/a.lua:10", "two@/a.lua:40:41"}, 50}, /* there are two now */
		{{"handler@/a.lua:10", "@/a.lua:60:61"}, 50},	 /* has no name */
		{{"handler@/a.lua:10", "<anonymous in f>@/a.lua:70:71"},
		 50}, /* has a description */
		{{"handler@/a.lua:10", "one@/b.lua:20:22"},
		 50}, /* in another file: has not moved */
		{},
	};
	static const struct sample new[] = {
		{{"handler@/a.lua:10", "one@/a.lua:25:30"}, 50},
		{{"handler@/a.lua:10", "two@/a.lua:45:46"}, 25},
		{{"handler@/a.lua:10", "two@/a.lua:145:146"}, 25},
		{{"handler@/a.lua:10", "@/a.lua:65:66"}, 50},
		{{"handler@/a.lua:10", "<anonymous in f>@/a.lua:75:76"}, 50},
		{{"handler@/a.lua:10", "one@/b.lua:20:22"}, 50},
		{},
	};

	for (int lines = 0; lines < 2; lines++) {
		struct profile *a = make(old, PROFILE_CPU, 10, lines);
		struct profile *b = make(new, PROFILE_CPU, 10, lines);
		const struct profile_diff_function *one;
		struct profile_diff diff;

		CHECK_EQ(profile_diff__make(a, b, false, &diff), 0);
		CHECK_EQ(diff.moved, 2);
		one = find(&diff, lines ? "one@/a.lua:25:30" : "one@/a.lua:25");
		CHECK_EQ(one->self.weight[0], 50);
		CHECK_EQ(one->self.weight[1], 50);
		one = find(&diff, lines ? "two@/a.lua:40:41" : "two@/a.lua:40");
		CHECK_EQ(one->self.weight[1], 0);
		one = find(&diff, lines ? "@/a.lua:60:61" : "@/a.lua:60");
		CHECK_EQ(one->self.weight[1], 0);
		one = find(&diff,
			   lines ? "<anonymous in f>@/a.lua:75:76" : "<anonymous in f>@/a.lua:75");
		CHECK_EQ(one->self.weight[0], 50);
		CHECK_EQ(one->self.weight[1], 50);
		one = find(&diff, lines ? "one@/b.lua:20:22" : "one@/b.lua:20");
		CHECK_EQ(one->self.weight[0], 50);
		profile_diff__free(&diff);
		profile__free(a);
		profile__free(b);
	}
}

/* 1000 samples at 100 Hz in 10 s are a whole CPU, 2000 in 40 s half of one. */
static void per_second_is_cpu_time(void)
{
	struct profile *a = make(before, PROFILE_CPU, 10, false);
	struct profile *b = make(after, PROFILE_CPU, 40, false);
	const struct profile_diff_function *one;
	struct profile_info info;
	struct profile_diff diff;

	CHECK_EQ(profile_diff__make(a, b, true, &diff), 0);
	one = find(&diff, "g@/a.lua:9"); /* 10 % of a CPU, 7.5 % */
	CHECK(near(one->self.points, -2.5));
	/* 400 in 5000 periods: 80 expected before, 320 after. */
	CHECK(near(one->self.p, 0.0124193306516));
	CHECK(near(find(&diff, "main")->total.points, -50));
	profile_diff__free(&diff);

	info = *profile__info(b);
	info.duration_seconds = 0;
	profile__set_info(b, &info);
	CHECK_EQ(profile_diff__make(a, b, true, &diff), -ERANGE);
	profile_diff__free(&diff);
	CHECK_EQ(profile_diff__make(a, b, false, &diff), 0);
	profile_diff__free(&diff);
	profile__free(a);
	profile__free(b);
}

static void of_time_nothing_is_said_of_noise(void)
{
	struct profile *a = make(before, PROFILE_OFF_CPU, 10, false);
	struct profile *b = make(after, PROFILE_OFF_CPU, 10, false);
	struct profile *c = make(after, PROFILE_CPU, 10, false);
	const struct profile_diff_function *one;
	struct profile_diff diff;

	CHECK_EQ(profile_diff__make(a, b, false, &diff), 0);
	CHECK(!diff.tested);
	one = find(&diff, "g@/a.lua:9");
	CHECK_EQ(one->self.weight[0], 1000000); /* microseconds */
	CHECK(near(one->self.points, 5));
	CHECK(one->self.q == 0 && !one->self.noise);
	profile_diff__free(&diff);
	CHECK_EQ(profile_diff__make(a, c, false, &diff), -EINVAL);
	profile_diff__free(&diff);
	profile__free(a);
	profile__free(b);
	profile__free(c);
}

static void empty_profiles_have_no_figures(void)
{
	static const struct sample none[] = {{}};
	struct profile *a = make(none, PROFILE_CPU, 10, false);
	struct profile *b = make(after, PROFILE_CPU, 10, false);
	struct profile_diff diff;

	CHECK_EQ(profile_diff__make(a, a, false, &diff), 0);
	CHECK_EQ(diff.function_count, 0);
	profile_diff__free(&diff);
	CHECK_EQ(profile_diff__make(a, b, false, &diff), 0);
	CHECK_EQ(diff.function_count, 5);
	/* With nothing before there is nothing to tell it from. */
	CHECK(find(&diff, "new")->self.noise);
	CHECK(near(find(&diff, "new")->self.points, 2));
	profile_diff__free(&diff);
	profile__free(a);
	profile__free(b);
}

int main(void)
{
	RUN(functions_have_their_figures, "functions have their figures");
	RUN(stacks_keep_the_weights_of_both, "stacks keep the weights of both");
	RUN(functions_that_have_moved_are_the_same, "functions that have moved are the same");
	RUN(per_second_is_cpu_time, "per second, it is CPU time");
	RUN(of_time_nothing_is_said_of_noise, "of time, nothing is said of noise");
	RUN(empty_profiles_have_no_figures, "empty profiles have no figures");
	return TEST_RESULT();
}
