// SPDX-License-Identifier: Apache-2.0
/* The profile model: interning of frames and stacks. */
#include <errno.h>
#include <stdio.h>

#include "../test.h"
#include "sample/profile.h"

static void frames_are_interned_by_type_and_name(void)
{
	struct profile *profile = profile__new();
	char name[] = "main";

	CHECK_EQ(profile__frame(profile, PROFILE_NATIVE, name), 0);
	CHECK_EQ(profile__frame(profile, PROFILE_LUA, name), 1);
	CHECK_EQ(profile__frame(profile, PROFILE_NATIVE, "main2"), 2);
	CHECK_EQ(profile__frame(profile, PROFILE_NATIVE, "main"), 0);
	CHECK_EQ(profile__frame(profile, PROFILE_NATIVE, ""), 3);
	CHECK_EQ(profile__frame(profile, PROFILE_NATIVE, ""), 3);
	CHECK_EQ(profile__frame_count(profile), 4);
	name[0] = 'M';
	CHECK_STR(profile__frame_at(profile, 0)->name, "main");
	CHECK_EQ(profile__frame_at(profile, 1)->type, PROFILE_LUA);
	CHECK_EQ(profile__frame(profile, PROFILE_FRAME_TYPES, "x"), (int64_t)-EINVAL);
	profile__free(profile);
}

static void equal_stacks_are_merged(void)
{
	struct profile *profile = profile__new();
	uint32_t a = (uint32_t)profile__frame(profile, PROFILE_THREAD, "t");
	uint32_t b = (uint32_t)profile__frame(profile, PROFILE_NATIVE, "b");
	uint32_t stack[] = {a, b};
	struct profile_stack got;

	CHECK_EQ(profile__add(profile, stack, 2, 3), 0);
	CHECK_EQ(profile__add(profile, stack, 1, 5), 0);
	CHECK_EQ(profile__add(profile, stack, 2, UINT64_C(1) << 40), 0);
	CHECK_EQ(profile__add(profile, NULL, 0, 2), 0);
	CHECK_EQ(profile__add(profile, NULL, 0, 2), 0);
	stack[0] = b;
	CHECK_EQ(profile__stack_count(profile), 3);
	got = profile__stack_at(profile, 0);
	CHECK_EQ(got.frame_count, 2);
	CHECK_EQ(got.frames[0], a);
	CHECK_EQ(got.frames[1], b);
	CHECK_EQ(got.count, (UINT64_C(1) << 40) + 3);
	CHECK_EQ(profile__stack_at(profile, 1).count, 5);
	CHECK_EQ(profile__stack_at(profile, 2).frame_count, 0);
	CHECK_EQ(profile__stack_at(profile, 2).count, 4);
	profile__free(profile);
}

static void what_adds_nothing_is_not_kept(void)
{
	struct profile *profile = profile__new();
	uint32_t stack[] = {0, 1};

	profile__frame(profile, PROFILE_THREAD, "t");
	CHECK_EQ(profile__add(profile, stack, 1, 0), 0);
	CHECK_EQ(profile__add(profile, stack, 2, 1), -EINVAL);
	CHECK_EQ(profile__stack_count(profile), 0);
	profile__free(profile);
	profile__free(NULL);
}

static void frames_stay_where_they_are_while_more_are_added(void)
{
	struct profile *profile = profile__new();
	const struct profile_frame *first;
	char name[32];

	profile__frame(profile, PROFILE_NATIVE, "first");
	first = profile__frame_at(profile, 0);
	for (uint32_t i = 1; i < 20000; i++) {
		snprintf(name, sizeof(name), "f%u", i);
		CHECK_EQ(profile__frame(profile, PROFILE_NATIVE, name), i);
		CHECK_EQ(profile__add(profile, &i, 1, i), 0);
	}
	CHECK(first == profile__frame_at(profile, 0));
	CHECK_STR(first->name, "first");
	CHECK_STR(profile__frame_at(profile, 19999)->name, "f19999");
	CHECK_EQ(profile__stack_at(profile, 12344).count, 12345);
	profile__free(profile);
}

static void the_information_is_copied(void)
{
	struct profile *profile = profile__new();
	struct profile_info info = {.title = "nginx", .rate_hz = 99};

	CHECK_STR(profile__info(profile)->title, NULL);
	profile__set_info(profile, &info);
	info.rate_hz = 1;
	CHECK_STR(profile__info(profile)->title, "nginx");
	CHECK_EQ(profile__info(profile)->rate_hz, 99);
	profile__free(profile);
}

int main(void)
{
	RUN(frames_are_interned_by_type_and_name, "frames are interned by type and name");
	RUN(equal_stacks_are_merged, "equal stacks are merged");
	RUN(what_adds_nothing_is_not_kept, "zero samples and unknown frames add nothing");
	RUN(frames_stay_where_they_are_while_more_are_added, "frames do not move");
	RUN(the_information_is_copied, "the information is copied");
	return TEST_RESULT();
}
