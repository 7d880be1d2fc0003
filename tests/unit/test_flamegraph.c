// SPDX-License-Identifier: Apache-2.0
/* The flame graph's files as bytes; what browsers make of them is tests/consumers' subject. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "../test.h"
#include "output/flamegraph_tree.h"
#include "output/output.h"
#include "output/text.h"

static uint32_t frame(struct profile *profile, enum profile_frame_type type, const char *name)
{
	return (uint32_t)profile__frame(profile, type, name);
}

static char *render(const struct profile *profile, int (*write)(const struct profile *, FILE *))
{
	char *text = NULL;
	size_t size;
	FILE *out = open_memstream(&text, &size);

	CHECK_EQ(write(profile, out), 0);
	fclose(out);
	CHECK_EQ(strlen(text), size); /* no NUL inside */
	return text;
}

static struct profile *small_profile(bool backwards)
{
	struct profile *profile = profile__new();
	uint32_t t, a, b, c;

	if (backwards) {
		frame(profile, PROFILE_NOTE, "never used");
		c = frame(profile, PROFILE_KERNEL, "c");
		b = frame(profile, PROFILE_LUA, "b");
		a = frame(profile, PROFILE_NATIVE, "b");
		t = frame(profile, PROFILE_THREAD, "t");
		profile__add(profile, (uint32_t[]){t, b, c}, 3, 5);
		profile__add(profile, (uint32_t[]){t, a, c}, 3, 7);
		profile__add(profile, (uint32_t[]){t, a}, 2, 2);
		profile__add(profile, (uint32_t[]){t}, 1, 1);
	} else {
		t = frame(profile, PROFILE_THREAD, "t");
		a = frame(profile, PROFILE_NATIVE, "b");
		b = frame(profile, PROFILE_LUA, "b");
		c = frame(profile, PROFILE_KERNEL, "c");
		profile__add(profile, (uint32_t[]){t}, 1, 1);
		profile__add(profile, (uint32_t[]){t, a}, 2, 2);
		profile__add(profile, (uint32_t[]){t, a, c}, 3, 7);
		profile__add(profile, (uint32_t[]){t, b, c}, 3, 5);
	}
	return profile;
}

static void stacks_are_merged_into_a_tree(void)
{
	static const struct flamegraph_node expected[] = {
		{15, 0, 0, 0, 0}, {15, 0, 0, 3, 1}, {9, 0, 1, 0, 2},
		{7, 0, 2, 2, 3},  {5, 9, 1, 1, 2},  {5, 9, 4, 2, 3},
	};
	struct profile *profile = small_profile(false);
	struct flamegraph_tree tree;

	CHECK_EQ(flamegraph_tree__build(&tree, profile), 0);
	CHECK_EQ(tree.node_count, 6);
	CHECK_EQ(tree.frame_count, 4);
	CHECK_EQ(tree.depth, 3);
	for (size_t i = 0; i < 6 && i < tree.node_count; i++) {
		CHECK_EQ(tree.nodes[i].total, expected[i].total);
		CHECK_EQ(tree.nodes[i].left, expected[i].left);
		CHECK_EQ(tree.nodes[i].parent, expected[i].parent);
		CHECK_EQ(tree.nodes[i].depth, expected[i].depth);
		if (i)
			CHECK_EQ(tree.nodes[i].frame, expected[i].frame);
	}
	/* By name, then by type: C's "b" before Lua's. */
	CHECK_EQ(profile__frame_at(profile, tree.frames[0])->type, PROFILE_NATIVE);
	CHECK_EQ(profile__frame_at(profile, tree.frames[1])->type, PROFILE_LUA);
	CHECK_EQ(tree.leaf_samples[PROFILE_KERNEL], 12);
	CHECK_EQ(tree.leaf_samples[PROFILE_NATIVE], 2);
	CHECK_EQ(tree.leaf_samples[PROFILE_THREAD], 1);
	flamegraph_tree__free(&tree);
	profile__free(profile);
}

static void an_empty_profile_is_a_root(void)
{
	struct profile *profile = profile__new();
	struct flamegraph_tree tree;
	char *text;

	CHECK_EQ(flamegraph_tree__build(&tree, profile), 0);
	CHECK_EQ(tree.node_count, 1);
	CHECK_EQ(tree.nodes[0].total, 0);
	flamegraph_tree__free(&tree);
	text = render(profile, flamegraph__write_svg);
	CHECK(strstr(text, "nan") == NULL && strstr(text, "inf,") == NULL);
	free(text);
	text = render(profile, flamegraph__write_html);
	CHECK(strstr(text, "\"total\":0,") != NULL);
	free(text);
	profile__free(profile);
}

static void equal_profiles_give_equal_files(void)
{
	struct profile *one = small_profile(false), *other = small_profile(true);
	char *first = render(one, flamegraph__write_svg);
	char *second = render(other, flamegraph__write_svg);

	CHECK(strcmp(first, second) == 0);
	free(first);
	free(second);
	first = render(one, flamegraph__write_html);
	second = render(other, flamegraph__write_html);
	CHECK(strcmp(first, second) == 0);
	free(first);
	free(second);
	profile__free(one);
	profile__free(other);
}

static void the_data_is_compact(void)
{
	struct profile *profile = small_profile(false);
	char *text = render(profile, flamegraph__write_html);

	/* Names: "b", "b" (shares 1 character), "c", "t". */
	CHECK(strstr(text, "\"names\":\"Ab\\nB\\nAc\\nAt\",") != NULL);
	CHECK(strstr(text, "\"nameTypes\":\"2310\",") != NULL);
	/* up 0, 15 samples, frame 3; 0 9 0; 0 7 2; 2 5 1; 0 5 2 */
	CHECK(strstr(text, "\"nodes\":\"APD"
			   "AJA"
			   "AHC"
			   "CFB"
			   "AFC\"") != NULL);
	free(text);
	profile__free(profile);
}

static void time_is_shown_as_time(void)
{
	static const struct {
		uint64_t nanoseconds;
		const char *shown;
	} cases[] = {
		{999999, "(999 \u00b5s, "}, {1230000, "(1.23 ms, "},   {45600000, "(45.6 ms, "},
		{789000000, "(789 ms, "},   {2500000000, "(2.50 s, "}, {1234000000000, "(1234 s, "},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		struct profile *profile = profile__new();
		struct profile_info info = {.kind = PROFILE_OFF_CPU, .samples = 17};
		uint32_t id = frame(profile, PROFILE_KERNEL, "futex_wait");
		struct profile_stack stack = {.frames = &id,
					      .frame_count = 1,
					      .count = 17,
					      .nanoseconds = cases[i].nanoseconds};
		char expected[64], *text;

		profile__add_stack(profile, &stack);
		profile__set_info(profile, &info);
		text = render(profile, flamegraph__write_svg);
		snprintf(expected, sizeof(expected), "<title>futex_wait %s", cases[i].shown);
		CHECK(strstr(text, expected) != NULL);
		CHECK(strstr(text, " off the CPU in 17 events, ") != NULL);
		free(text);
		text = render(profile, flamegraph__write_html);
		snprintf(expected, sizeof(expected), "\"total\":%llu,\n",
			 (unsigned long long)cases[i].nanoseconds / 1000);
		CHECK(strstr(text, expected) != NULL);
		CHECK(strstr(text, "\n\"kind\":\"off-cpu\",\n") != NULL);
		CHECK(strstr(text, "\n\"unit\":\"microseconds\",\n") != NULL);
		free(text);
		profile__free(profile);
	}
}

/* Other weights than the profile's own: the same nodes, of which some have nothing. */
static void a_tree_can_be_weighed_again(void)
{
	static const uint64_t weights[] = {0, 4, 0, 6}; /* t; t,b; t,b,c; t,b(Lua),c */
	static const uint64_t totals[] = {10, 10, 4, 0, 6, 6}, lefts[] = {0, 0, 0, 0, 4, 4};
	struct profile *profile = small_profile(false);
	struct flamegraph_tree tree;

	CHECK_EQ(flamegraph_tree__build(&tree, profile), 0);
	CHECK_EQ(flamegraph_tree__weigh(&tree, profile, weights), 0);
	CHECK_EQ(tree.node_count, 6);
	for (size_t i = 0; i < 6 && i < tree.node_count; i++) {
		CHECK_EQ(tree.nodes[i].total, totals[i]);
		CHECK_EQ(tree.nodes[i].left, lefts[i]);
	}
	CHECK_EQ(tree.ends[0], 1);
	CHECK_EQ(tree.ends[1], 2);
	CHECK_EQ(tree.ends[2], 3);
	CHECK_EQ(tree.ends[3], 5);
	CHECK_EQ(tree.leaf_samples[PROFILE_KERNEL], 6);
	CHECK_EQ(tree.leaf_samples[PROFILE_NATIVE], 4);
	flamegraph_tree__free(&tree);
	profile__free(profile);
}

static int occurrences(const char *text, const char *part)
{
	int count = 0;

	for (; (text = strstr(text, part)); text += strlen(part))
		count++;
	return count;
}

/* How often hostile text occurs where the same file of an honest profile does not have it. */
static void names_cannot_leave_their_place(void)
{
	static const char *const names[] = {
		"</script><script>x()</script>",
		"]]><script>",
		"<!--",
		"\"});x();//",
		"\\\"",
		"a&b<c>",
		"\x01\x02\n\r\xff\xed\xa0\x80\xef\xbf\xbe",
		"\xe2\x80\xae\xe2\x80\xa8",
	};
	int (*const writers[])(const struct profile *, FILE *) = {flamegraph__write_svg,
								  flamegraph__write_html};
	struct profile *honest = small_profile(false);

	for (int w = 0; w < 2; w++) {
		struct profile *profile = small_profile(false);
		struct profile_info info = {.title = names[0],
					    .command_line = names[1],
					    .host = names[2],
					    .version = names[3]};
		struct profile_count errors[] = {{names[0], 1}};
		char *text, *reference = render(honest, writers[w]);

		info.errors = errors;
		info.error_count = 1;
		profile__set_info(profile, &info);
		for (size_t i = 0; i < sizeof(names) / sizeof(*names); i++) {
			uint32_t id = frame(profile, PROFILE_LUA, names[i]);

			profile__add(profile, &id, 1, 100);
		}
		text = render(profile, writers[w]);
		CHECK_EQ(occurrences(text, "<script"), occurrences(reference, "<script"));
		CHECK_EQ(occurrences(text, "</script"), occurrences(reference, "</script"));
		CHECK_EQ(occurrences(text, "]]>"), occurrences(reference, "]]>"));
		CHECK_EQ(occurrences(text, "<!--"), occurrences(reference, "<!--"));
		CHECK_EQ(occurrences(text, "\"});x"), occurrences(text, "\\\"});x"));
		CHECK_EQ(occurrences(text, "\xff") + occurrences(text, "\x01"), 0);
		CHECK_EQ(occurrences(text, "\xed\xa0\x80") + occurrences(text, "\xe2\x80\xae"), 0);
		CHECK(strstr(text, "\\u003c/script\\u003e\\u003cscript\\u003ex()") != NULL);
		CHECK(strstr(text, "\\\"});x();//") != NULL);
		free(text);
		free(reference);
		profile__free(profile);
	}
	profile__free(honest);
}

/* The scripts and the style stand in CDATA sections and script elements. */
static void the_assets_fit_their_places(void)
{
	struct profile *profile = small_profile(false);
	char *svg = render(profile, flamegraph__write_svg);
	char *html = render(profile, flamegraph__write_html);

	CHECK_EQ(occurrences(svg, "<script"), 3);
	CHECK_EQ(occurrences(svg, "</script"), 3);
	CHECK_EQ(occurrences(svg, "]]>"), 2);
	CHECK_EQ(occurrences(html, "<script"), 2);
	CHECK_EQ(occurrences(html, "</script"), 2);
	CHECK_EQ(occurrences(html, "<!--"), 0);
	/* Nothing is fetched: the only addresses are names of namespaces. */
	CHECK_EQ(occurrences(svg, "://"), 2);
	CHECK_EQ(occurrences(svg, "http://www.w3.org/"), 2);
	CHECK_EQ(occurrences(html, "://"), 1);
	CHECK(strstr(html, "default-src 'none'") != NULL);
	free(svg);
	free(html);
	profile__free(profile);
}

static void the_still_picture_is_bounded(void)
{
	struct profile *profile = profile__new();
	uint32_t root = frame(profile, PROFILE_THREAD, "t");
	char name[32], *text;

	for (uint32_t i = 0; i < 2700; i++) {
		uint32_t stack[] = {root, 0, 0};

		snprintf(name, sizeof(name), "branch%u", i % 60);
		stack[1] = frame(profile, PROFILE_NATIVE, name);
		snprintf(name, sizeof(name), "leaf%u", i);
		stack[2] = frame(profile, PROFILE_LUA, name);
		/* All are wide enough to be shown, were there fewer of them. */
		profile__add(profile, stack, 3, i < 100 ? 2 : 1);
	}
	text = render(profile, flamegraph__write_svg);
	CHECK_EQ(occurrences(text, "<g class=\"f\">"), 2500);
	for (uint32_t i = 0; i < 100; i++) {
		snprintf(name, sizeof(name), ">leaf%u (2 samples", i);
		CHECK_EQ(occurrences(text, name), 1);
	}
	free(text);
	profile__free(profile);
}

static void text_is_decoded_strictly(void)
{
	static const struct {
		const char *bytes;
		uint32_t expected[6];
	} cases[] = {
		{"a~", {'a', '~'}},
		{"\xc3\xa9\xe2\x82\xac\xf0\x9f\x94\xa5", {0xe9, 0x20ac, 0x1f525}},
		{"\xc0\xaf", {0xfffd, 0xfffd}},		    /* overlong */
		{"\xe0\x80\xaf", {0xfffd, 0xfffd, 0xfffd}}, /* overlong */
		{"\xed\xa0\x80", {0xfffd, 0xfffd, 0xfffd}}, /* surrogate */
		{"\xf4\x90\x80\x80", {0xfffd, 0xfffd, 0xfffd, 0xfffd}},
		{"\xf4\x8f\xbf\xbd", {0x10fffd}},
		{"\xe2\x82", {0xfffd, 0xfffd}}, /* cut */
		{"\xc3x", {0xfffd, 'x'}},
		{"\n\x7f\xc2\x85", {0xfffd, 0xfffd, 0xfffd}},
		{"\xef\xbf\xbf\xe2\x80\xae", {0xfffd, 0xfffd}},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		const char *at = cases[i].bytes;

		for (int k = 0; k < 6; k++) {
			uint32_t c = text__next(&at);

			CHECK_EQ(c, cases[i].expected[k]);
			if (!c)
				break;
		}
	}
}

static void text_is_cut_to_columns(void)
{
	static const struct {
		const char *in;
		size_t columns;
		const char *expected;
	} cases[] = {
		{"abcdef", 6, "abcdef"},
		{"abcdef", 5, "abcd\xe2\x80\xa6"},
		{"a<b>&\"'", 0, "a&lt;b&gt;&amp;&quot;&#39;"},
		{"\xe6\xbc\xa2\xe5\xad\x97x", 4, "\xe6\xbc\xa2\xe2\x80\xa6"},
		{"abc", 1, "\xe2\x80\xa6"},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		char *text = NULL;
		size_t size;
		FILE *out = open_memstream(&text, &size);

		text__write_xml(out, cases[i].in, cases[i].columns);
		fclose(out);
		CHECK_STR(text, cases[i].expected);
		free(text);
	}
}

static void a_full_disk_is_an_error(void)
{
	struct profile *profile = small_profile(false);
	FILE *full = fopen("/dev/full", "w");

	if (!full)
		SKIP("cannot: no /dev/full");
	CHECK_EQ(flamegraph__write_svg(profile, full), -ENOSPC);
	fclose(full);
	full = fopen("/dev/full", "w");
	CHECK_EQ(flamegraph__write_html(profile, full), -ENOSPC);
	fclose(full);
	profile__free(profile);
}

int main(void)
{
	RUN(stacks_are_merged_into_a_tree, "stacks are merged into a tree");
	RUN(an_empty_profile_is_a_root, "an empty profile is a root without samples");
	RUN(equal_profiles_give_equal_files, "equal profiles give equal files");
	RUN(the_data_is_compact, "the data is encoded as documented");
	RUN(time_is_shown_as_time, "time off the CPU is shown as time");
	RUN(a_tree_can_be_weighed_again, "a tree can be weighed again");
	RUN(names_cannot_leave_their_place, "names cannot leave their place");
	RUN(the_assets_fit_their_places, "scripts fit their places and fetch nothing");
	RUN(the_still_picture_is_bounded, "the still picture has the widest frames only");
	RUN(text_is_decoded_strictly, "UTF-8 is decoded strictly");
	RUN(text_is_cut_to_columns, "XML text is escaped and cut");
	RUN(a_full_disk_is_an_error, "a full disk is an error");
	return TEST_RESULT();
}
