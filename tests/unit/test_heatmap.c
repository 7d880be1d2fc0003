// SPDX-License-Identifier: Apache-2.0
/* The heat map's data as bytes; what a browser makes of them is tests/consumers' subject. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "../test.h"
#include "output/output.h"

#define MS UINT64_C(1000000)

static uint32_t frame(struct profile *profile, const char *name)
{
	return (uint32_t)profile__frame(profile, PROFILE_NATIVE, name);
}

static void add(struct profile *profile, uint32_t a, uint32_t b, uint64_t count,
		const uint64_t *times, size_t time_count)
{
	uint32_t frames[] = {a, b};
	struct profile_stack stack = {.frames = frames,
				      .frame_count = 2,
				      .count = count,
				      .nanoseconds = count * 10 * MS,
				      .times = times,
				      .time_count = time_count};

	CHECK_EQ(profile__add_stack(profile, &stack), 0);
}

static char *render(const struct profile *profile, int expected)
{
	char *text = NULL;
	size_t size;
	FILE *out = open_memstream(&text, &size);

	CHECK_EQ(heatmap__write_html(profile, out), expected);
	fclose(out);
	return text;
}

/* Nodes: 1 is "t", 2 to 4 the others. */
static struct profile *small_profile(bool backwards)
{
	static const uint64_t a[] = {1500 * MS, 40 * MS + 999999}, b[] = {40 * MS, 0, 2000 * MS};
	struct profile *profile = profile__new();
	uint32_t t = frame(profile, "t");

	if (backwards) {
		add(profile, t, frame(profile, "b"), 3, b, 3);
		add(profile, t, frame(profile, "a"), 2, a, 2);
	} else {
		add(profile, t, frame(profile, "a"), 2, a, 2);
		add(profile, t, frame(profile, "b"), 3, b, 3);
	}
	return profile;
}

static void samples_stand_in_the_order_of_time(void)
{
	struct profile *profile = small_profile(false);
	char *text = render(profile, 0);

	/* b's stack, of three samples, is the first; it ends at node 3, a's at 2. */
	CHECK(strstr(text, "\"heat\":{\"rows\":50,\"untimed\":0,\n\"stackCount\":2,"
			   "\"stacks\":\"DC\",\n") != NULL);
	/* 0 b, 40 b, 40 a, 1500 a, 2000 b: 1460 is 20 + 13 * 32 + 1 * 1024, 500 is 20 + 15 * 32. */
	CHECK(strstr(text, "\"sampleCount\":5,\"samples\":\"AAoBAAB0tBB0PA\"},\n") != NULL);
	/* The nodes carry no numbers of their own: up 0, frame "t"; up 0, "a"; up 1, "b". */
	CHECK(strstr(text, "\"columns\":0,\n\"nodes\":\"ACAABB\"") != NULL);
	CHECK(strstr(text, "\"total\":5,") != NULL);
	free(text);
	profile__free(profile);
}

static void equal_profiles_give_equal_files(void)
{
	struct profile *one = small_profile(false), *other = small_profile(true);
	char *first = render(one, 0), *second = render(other, 0);

	CHECK_STR(first, second);
	free(first);
	free(second);
	profile__free(one);
	profile__free(other);
}

static void samples_without_a_time_are_counted(void)
{
	static const uint64_t times[] = {7 * MS, 100000000 * MS, UINT64_MAX, 99999999 * MS};
	struct profile *profile = profile__new();
	uint32_t t = frame(profile, "t");
	char *text;

	add(profile, t, frame(profile, "a"), 10, times, 4);
	add(profile, t, frame(profile, "b"), 5, NULL, 0);
	text = render(profile, 0);
	/* 10 - 4, 2 that are too late to be drawn, 5. */
	CHECK(strstr(text, "\"untimed\":13,\n\"stackCount\":1,") != NULL);
	CHECK(strstr(text, "\"sampleCount\":2,") != NULL);
	CHECK(strstr(text, "\"total\":2,") != NULL);
	free(text);
	profile__free(profile);
}

static void a_profile_without_times_is_an_error(void)
{
	struct profile *profile = profile__new();
	char *text = render(profile, 0); /* nothing at all was sampled: an empty map */

	free(text);
	add(profile, frame(profile, "t"), frame(profile, "a"), 10, NULL, 0);
	text = render(profile, -EINVAL);
	CHECK_STR(text, "");
	free(text);
	profile__free(profile);
}

static void of_time_off_the_cpu_events_are_counted(void)
{
	struct profile *profile = small_profile(false);
	struct profile_info info = {.kind = PROFILE_OFF_CPU, .samples = 5};
	char *text;

	profile__set_info(profile, &info);
	text = render(profile, 0);
	CHECK(strstr(text, "\"kind\":\"off-cpu\",\n") != NULL);
	CHECK(strstr(text, "\"unit\":\"events\",\n") != NULL);
	CHECK(strstr(text, "\"total\":5,") != NULL);
	free(text);
	profile__free(profile);
}

static void a_full_disk_is_an_error(void)
{
	struct profile *profile = small_profile(false);
	FILE *full = fopen("/dev/full", "w");

	if (!full)
		SKIP("cannot: no /dev/full");
	CHECK_EQ(heatmap__write_html(profile, full), -ENOSPC);
	fclose(full);
	profile__free(profile);
}

int main(void)
{
	RUN(samples_stand_in_the_order_of_time, "samples stand in the order of time");
	RUN(equal_profiles_give_equal_files, "equal profiles give equal files");
	RUN(samples_without_a_time_are_counted, "samples without a time are counted");
	RUN(a_profile_without_times_is_an_error, "a profile without times is an error");
	RUN(of_time_off_the_cpu_events_are_counted, "of time off the CPU, events are counted");
	RUN(a_full_disk_is_an_error, "a full disk is an error");
	return TEST_RESULT();
}
