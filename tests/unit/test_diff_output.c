// SPDX-License-Identifier: Apache-2.0
/* Comparisons as bytes; what readers make of them is tests/consumers' subject. */
#include <errno.h>
#include <stdlib.h>

#include "../test.h"
#include "output/diff_output.h"

static struct profile *make(const uint64_t counts[3], enum profile_kind kind)
{
	static const char *const names[] = {"same", "</script>]]>\x1b[31m", "gone"};
	struct profile *profile = profile__new();
	struct profile_info info = {.kind = kind, .title = "<b>", .host = "\x1b]0;x\x07"};
	uint32_t root = (uint32_t)profile__frame(profile, PROFILE_THREAD, "nginx");

	for (int i = 0; i < 3; i++) {
		uint32_t frames[] = {root,
				     (uint32_t)profile__frame(profile, PROFILE_NATIVE, names[i])};
		struct profile_stack stack = {.frames = frames,
					      .frame_count = 2,
					      .count = counts[i],
					      .nanoseconds = counts[i] * 1000000};

		CHECK_EQ(profile__add_stack(profile, &stack), 0);
		info.samples += counts[i];
	}
	profile__set_info(profile, &info);
	return profile;
}

static const struct writer {
	const char *name;
	int (*write)(const void *diff_output, FILE *out);
} writers[] = {
	{"table", diff_table__write},
	{"json", diff_json__write},
	{"html", diff_graph__write_html},
	{"svg", diff_graph__write_svg},
};

static char *render(const struct diff_output *output, const char *name)
{
	char *text = NULL;
	size_t size;

	for (size_t i = 0; i < sizeof(writers) / sizeof(writers[0]); i++) {
		FILE *out;

		if (strcmp(writers[i].name, name) != 0)
			continue;
		out = open_memstream(&text, &size);
		CHECK_EQ(writers[i].write(output, out), 0);
		fclose(out);
		CHECK_EQ(strlen(text), size);
	}
	return text;
}

static struct diff_output output_of(const struct profile_diff *diff)
{
	return (struct diff_output){.diff = diff,
				    .title = "a, </title>",
				    .command_line = "luaspy diff",
				    .version = "1",
				    .sources = {"a.pb.gz", "<i>b\x1b.pb.gz"}};
}

static void the_page_has_the_weights_of_both(void)
{
	struct profile *a = make((const uint64_t[]){500, 100, 20}, PROFILE_CPU);
	struct profile *b = make((const uint64_t[]){500, 500, 0}, PROFILE_CPU);
	struct profile_diff diff;
	struct diff_output output;
	char *text;

	CHECK_EQ(profile_diff__make(a, b, false, &diff), 0);
	output = output_of(&diff);
	text = render(&output, "html");
	/* In the order of names, "<" first. Up 0: 620, 1000, noise, frame "nginx"; 100, 500; up 1:
	 * 20, 0; 500, 500. The share of "same" fell from 81 % to 50 %. */
	CHECK(strstr(text, "\"columns\":3,\n\"nodes\":\"AsTofBCAkD0PAABUAABB0P0PAD\""));
	CHECK(strstr(text, "\"totals\":[620,1000],") != NULL);
	CHECK(strstr(text, "\"perSecond\":false,\n\"tested\":true,\n\"widthBefore\":false,") !=
	      NULL);
	/* Three functions, the greatest change first; self and total are equal. */
	CHECK(strstr(text, "\"functions\":[[1,100,500,0,100,500,0],[4,500,500,0,500,500,0],"
			   "[2,20,0,0,20,0,0]],"));
	CHECK(strstr(text, "\x1b") == NULL && strstr(text, "</script>]]>") == NULL);
	free(text);
	profile_diff__free(&diff);
	profile__free(a);
	profile__free(b);
}

static void untrusted_text_stays_text(void)
{
	struct profile *a = make((const uint64_t[]){500, 100, 20}, PROFILE_CPU);
	struct profile *b = make((const uint64_t[]){400, 500, 0}, PROFILE_CPU);
	struct profile_diff diff;
	struct diff_output output;

	CHECK_EQ(profile_diff__make(a, b, false, &diff), 0);
	output = output_of(&diff);
	for (size_t i = 0; i < sizeof(writers) / sizeof(writers[0]); i++) {
		char *text = render(&output, writers[i].name);

		CHECK(strchr(text, '\x1b') == NULL && strchr(text, '\x07') == NULL);
		if (i > 0)
			CHECK(strstr(text, "</script>]]>") == NULL && strstr(text, "<i>") == NULL);
		free(text);
	}
	profile_diff__free(&diff);
	profile__free(a);
	profile__free(b);
}

/* Nothing at all on one side, or on both: no division by zero reaches an output. */
static void empty_profiles_are_written(void)
{
	static const uint64_t none[3], some[3] = {5, 0, 1};
	static const uint64_t *const sides[][2] = {{none, none}, {none, some}, {some, none}};

	for (size_t k = 0; k < sizeof(sides) / sizeof(sides[0]); k++) {
		for (int kind = PROFILE_CPU; kind <= PROFILE_WALL; kind++) {
			struct profile *a = make(sides[k][0], (enum profile_kind)kind);
			struct profile *b = make(sides[k][1], (enum profile_kind)kind);
			struct profile_diff diff;
			struct diff_output output;

			CHECK_EQ(profile_diff__make(a, b, false, &diff), 0);
			output = output_of(&diff);
			for (size_t i = 0; i < sizeof(writers) / sizeof(writers[0]); i++) {
				char *text = render(&output, writers[i].name), *data = text;

				if (i > 1)
					data = strstr(text, "id=\"luaspy-data\"");
				CHECK(data && !strstr(data, ":nan") && !strstr(data, " nan") &&
				      !strstr(data, ":inf") && !strstr(data, "[nan"));
				free(text);
			}
			profile_diff__free(&diff);
			profile__free(a);
			profile__free(b);
		}
	}
}

static void a_full_disk_is_an_error(void)
{
	struct profile *a = make((const uint64_t[]){500, 100, 20}, PROFILE_CPU);
	struct profile_diff diff;
	struct diff_output output;

	CHECK_EQ(profile_diff__make(a, a, false, &diff), 0);
	output = output_of(&diff);
	for (size_t i = 0; i < sizeof(writers) / sizeof(writers[0]); i++) {
		FILE *full = fopen("/dev/full", "w");

		if (!full)
			SKIP("cannot: no /dev/full");
		CHECK_EQ(writers[i].write(&output, full), -ENOSPC);
		fclose(full);
	}
	profile_diff__free(&diff);
	profile__free(a);
}

int main(void)
{
	RUN(the_page_has_the_weights_of_both, "the page has the weights of both");
	RUN(untrusted_text_stays_text, "untrusted text stays text");
	RUN(empty_profiles_are_written, "empty profiles are written");
	RUN(a_full_disk_is_an_error, "a full disk is an error");
	return TEST_RESULT();
}
