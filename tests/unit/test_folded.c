// SPDX-License-Identifier: Apache-2.0
/* The folded output: its lines, byte for byte. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "../test.h"
#include "output/output.h"

struct frame {
	enum profile_frame_type type;
	const char *name;
};

static void add(struct profile *profile, uint64_t count, const struct frame *frames, uint32_t n)
{
	uint32_t stack[16];

	for (uint32_t i = 0; i < n; i++)
		stack[i] = (uint32_t)profile__frame(profile, frames[i].type, frames[i].name);
	CHECK_EQ(profile__add(profile, stack, n, count), 0);
}

#define ADD(profile, count, ...)                                                                   \
	add(profile, count, (const struct frame[]){__VA_ARGS__},                                   \
	    sizeof((const struct frame[]){__VA_ARGS__}) / sizeof(struct frame))

/* To be freed. */
static char *fold(const struct profile *profile)
{
	char *text = NULL;
	size_t size;
	FILE *out = open_memstream(&text, &size);

	CHECK_EQ(folded__write(profile, out), 0);
	fclose(out);
	return text;
}

static void kernel_and_compiled_frames_have_a_suffix(void)
{
	struct profile *profile = profile__new();
	char *text;

	ADD(profile, 7, {PROFILE_THREAD, "nginx"}, {PROFILE_NATIVE, "main"},
	    {PROFILE_LUA, "handle@app.lua:3"}, {PROFILE_LUA_COMPILED, "sum@app.lua:9"},
	    {PROFILE_BUILTIN, "string.byte"}, {PROFILE_KERNEL, "do_page_fault"});
	ADD(profile, 2, {PROFILE_THREAD, "nginx"}, {PROFILE_NOTE, "[truncated]"});
	text = fold(profile);
	CHECK_STR(text, "nginx;[truncated] 2\n"
			"nginx;main;handle@app.lua:3;sum@app.lua:9_[j];string.byte;"
			"do_page_fault_[k] 7\n");
	free(text);
	profile__free(profile);
}

static void separators_and_bad_bytes_are_replaced(void)
{
	struct profile *profile = profile__new();
	char *text;

	ADD(profile, 1, {PROFILE_THREAD, "a;b"}, {PROFILE_NATIVE, "x\ny\tz\x7f"},
	    {PROFILE_NATIVE, "\xff\xc0\xaf"}, {PROFILE_NATIVE, "\xe6\xbc\xa2 <&>"},
	    {PROFILE_NATIVE, ""});
	text = fold(profile);
	CHECK_STR(text, "a:b;x y z ;\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd;\xe6\xbc\xa2 <&>;"
			"(no name) 1\n");
	free(text);
	profile__free(profile);
}

static void stacks_that_read_the_same_are_one_line(void)
{
	struct profile *profile = profile__new();
	char *text;

	ADD(profile, 1, {PROFILE_THREAD, "t"}, {PROFILE_NATIVE, "f;g"});
	ADD(profile, 10, {PROFILE_THREAD, "t"}, {PROFILE_BUILTIN, "f:g"});
	ADD(profile, 100, {PROFILE_THREAD, "t"}, {PROFILE_NATIVE, "f:g"});
	/* The semicolon in a line is a border of frames, never a part of a name. */
	ADD(profile, 1000, {PROFILE_THREAD, "t"}, {PROFILE_NATIVE, "f"}, {PROFILE_NATIVE, "g"});
	text = fold(profile);
	CHECK_STR(text, "t;f:g 111\nt;f;g 1000\n");
	free(text);
	profile__free(profile);
}

static void the_order_of_adding_does_not_matter(void)
{
	static const char *const names[] = {"m", "mm", "m!", "m<", "a", "m;n", "\xc3\xa9"};
	enum { COUNT = sizeof(names) / sizeof(*names) };
	struct profile *one = profile__new(), *other = profile__new();
	char *first, *second;

	profile__frame(other, PROFILE_NATIVE, "never used");
	for (int i = 0; i < COUNT; i++) {
		for (int j = 0; j < COUNT; j++) {
			ADD(one, 1, {PROFILE_THREAD, names[i]}, {PROFILE_LUA, names[j]});
			ADD(other, 1, {PROFILE_THREAD, names[COUNT - 1 - j]},
			    {PROFILE_LUA, names[COUNT - 1 - i]});
		}
		ADD(one, 1, {PROFILE_THREAD, names[i]});
		ADD(other, 1, {PROFILE_THREAD, names[COUNT - 1 - i]});
	}
	first = fold(one);
	second = fold(other);
	CHECK_STR(first, second);
	CHECK(strstr(first, "a 1\na;a 1\na;m 1\na;m! 1\na;m:n 1\na;m< 1\na;mm 1\n") == first);
	/* In byte order: "m", "m!...", "m:n...", "m;...", "m<...", "mm...". */
	CHECK(strstr(first, "\xa9 1\nm 1\nm! 1\n") != NULL);
	CHECK(strstr(first, "m! 1\nm!;a 1\n") != NULL);
	CHECK(strstr(first, "m:n;\xc3\xa9 1\nm;a 1\n") != NULL);
	CHECK(strstr(first, "m;\xc3\xa9 1\nm< 1\n") != NULL);
	free(first);
	free(second);
	profile__free(one);
	profile__free(other);
}

static void nothing_gives_nothing(void)
{
	struct profile *profile = profile__new();
	char *text;

	CHECK_EQ(profile__add(profile, NULL, 0, 4), 0);
	text = fold(profile);
	CHECK_STR(text, "");
	free(text);
	profile__free(profile);
}

static void a_full_disk_is_an_error(void)
{
	struct profile *profile = profile__new();
	FILE *full = fopen("/dev/full", "w");

	ADD(profile, 1, {PROFILE_THREAD, "t"});
	if (!full)
		SKIP("cannot: no /dev/full");
	CHECK_EQ(folded__write(profile, full), -ENOSPC);
	fclose(full);
	profile__free(profile);
}

int main(void)
{
	RUN(kernel_and_compiled_frames_have_a_suffix, "kernel and compiled frames have a suffix");
	RUN(separators_and_bad_bytes_are_replaced, "separators and bad bytes are replaced");
	RUN(stacks_that_read_the_same_are_one_line, "stacks that read the same are one line");
	RUN(the_order_of_adding_does_not_matter, "equal profiles give equal, sorted files");
	RUN(nothing_gives_nothing, "an empty profile is an empty file");
	RUN(a_full_disk_is_an_error, "a full disk is an error");
	return TEST_RESULT();
}
