/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Names of functions from Lua source text: the corpus in tests/names (see its README), what Lua
 * compilers record about it, and texts that are broken, ambiguous, enormous or deep.
 */
#include <errno.h>
#include <glob.h>
#include <locale.h>
#include <stdlib.h>
#include <time.h>

#include "../test.h"
#include "symbol/lua_source.h"

#define MAX_LINES 4096

static char *read_file(const char *path, size_t *size)
{
	FILE *file = fopen(path, "rb");
	char *text = calloc(1, 1 << 20);

	*size = file && text ? fread(text, 1, (1 << 20) - 1, file) : 0;
	if (file)
		fclose(file);
	return text;
}

/* Lua's lines, in place: every line end becomes NULs. Returns how many there are. */
static size_t split_lines(char *text, size_t size, char *lines[MAX_LINES])
{
	size_t count = 0;
	char *start = text;

	for (char *at = text; at <= text + size && count < MAX_LINES; at++) {
		if (at < text + size && *at != '\n' && *at != '\r')
			continue;
		if (at + 1 < text + size && (at[1] == '\n' || at[1] == '\r') && at[1] != *at)
			*at++ = '\0';
		*at = '\0';
		lines[count++] = start;
		start = at + 1;
	}
	return count;
}

/* Compares one line's names, "a | b", with those of the functions that start there. */
static size_t check_line(const char *path, size_t number, char *expected,
			 const struct lua_source_function **at,
			 const struct lua_source_function *end)
{
	size_t count = 0;
	char where[512];

	while (expected || (*at < end && (*at)->first_line == number)) {
		char *separator = expected ? strstr(expected, " | ") : NULL;
		const char *name = NULL;

		if (separator)
			*separator = '\0';
		if (*at < end && (*at)->first_line == number)
			name = (*at)++->name;
		if (!name || !expected || strcmp(name, expected) != 0) {
			snprintf(where, sizeof(where), "%s:%zu", path, number);
			printf("# %s: expected \"%s\", got \"%s\"\n", where,
			       expected ? expected : "nothing", name ? name : "nothing");
			test_failures_in_case++;
		}
		expected = separator ? separator + 3 : NULL;
		count++;
	}
	return count;
}

static size_t check_file(const char *path)
{
	const struct lua_source_function *at, *end;
	struct lua_source *source = NULL;
	char *lines[MAX_LINES];
	size_t size, count, total = 0;
	char *text = read_file(path, &size);

	CHECK(size > 0);
	CHECK_EQ(lua_source__parse(text, size, &source), 0);
	at = lua_source__functions(source, &count);
	end = at + count;
	count = split_lines(text, size, lines);
	CHECK_EQ(lua_source__line_count(source), count);
	for (size_t i = 0; i < count; i++) {
		char *expected = strstr(lines[i], "--> ");

		total += check_line(path, i + 1, expected ? expected + 4 : NULL, &at, end);
	}
	CHECK(at == end);
	lua_source__free(source);
	free(text);
	return total;
}

static void every_name_of_the_corpus_is_found(void)
{
	size_t total = 0;
	glob_t files;

	CHECK_EQ(glob("tests/names/*.lua*", 0, NULL, &files), 0);
	for (size_t i = 0; i < files.gl_pathc; i++)
		total += check_file(files.gl_pathv[i]);
	printf("# %zu functions in %zu files\n", total, files.gl_pathc);
	CHECK(total >= 300);
	globfree(&files);
}

/* ---- what compilers say -----------------------------------------------------------------------
 */

struct proto {
	unsigned int first, last, parameters, vararg;
};

static int compare_protos(const void *left, const void *right)
{
	return memcmp(left, right, sizeof(struct proto));
}

static size_t read_protos(const char *command, struct proto *protos, size_t capacity)
{
	FILE *pipe = popen(command, "r");
	size_t count = 0;

	while (pipe && count < capacity &&
	       fscanf(pipe, "%u %u %u %u", &protos[count].first, &protos[count].last,
		      &protos[count].parameters, &protos[count].vararg) == 4)
		count++;
	if (pipe)
		pclose(pipe);
	return count;
}

/* `command` prints "first last parameters vararg" of each function but the main chunk. */
static size_t compare_with_compiler(const char *path, const char *command)
{
	static struct proto theirs[MAX_LINES], ours[MAX_LINES];
	const struct lua_source_function *functions;
	struct lua_source *source = NULL;
	size_t size, count, found;
	char *text = read_file(path, &size);

	memset(theirs, 0, sizeof(theirs));
	memset(ours, 0, sizeof(ours));
	CHECK_EQ(lua_source__parse(text, size, &source), 0);
	functions = lua_source__functions(source, &count);
	for (size_t i = 0; i < count && i < MAX_LINES; i++)
		ours[i] = (struct proto){functions[i].first_line, functions[i].last_line,
					 (unsigned int)functions[i].parameter_count,
					 functions[i].vararg};
	found = read_protos(command, theirs, MAX_LINES);
	if (found != count)
		printf("# %s\n", command);
	CHECK_EQ(count, found);
	qsort(theirs, found, sizeof(theirs[0]), compare_protos);
	qsort(ours, count, sizeof(ours[0]), compare_protos);
	for (size_t i = 0; i < count && i < found; i++) {
		if (memcmp(&ours[i], &theirs[i], sizeof(ours[i])) == 0)
			continue;
		printf("# %s: expected %u-%u (%u parameters, vararg %u), got %u-%u (%u, %u)\n",
		       path, theirs[i].first, theirs[i].last, theirs[i].parameters,
		       theirs[i].vararg, ours[i].first, ours[i].last, ours[i].parameters,
		       ours[i].vararg);
		test_failures_in_case++;
		break;
	}
	lua_source__free(source);
	free(text);
	return found;
}

static size_t compare_all(const char *pattern, const char *format)
{
	char command[2048];
	size_t total = 0;
	glob_t files;

	CHECK_EQ(glob(pattern, 0, NULL, &files), 0);
	for (size_t i = 0; i < files.gl_pathc; i++) {
		char *to = command;

		for (const char *from = format; *from; from++) {
			if (*from == '%')
				to += sprintf(to, "%s", files.gl_pathv[i]);
			else
				*to++ = *from;
		}
		*to = '\0';
		total += compare_with_compiler(files.gl_pathv[i], command);
	}
	globfree(&files);
	return total;
}

static void compare_with_luajit(const char *luajit)
{
	char format[1024];
	size_t total;

	snprintf(format, sizeof(format),
		 "%s -e 'local u = require(\"jit.util\") "
		 "local function walk(p, main) local i = u.funcinfo(p) "
		 "if not main then print(i.linedefined, i.lastlinedefined, i.params, "
		 "i.isvararg and 1 or 0) end "
		 "for n = -1, -100000, -1 do local k = u.funck(p, n) if k == nil then break end "
		 "if type(k) == \"proto\" then walk(k) end end end "
		 "walk(assert(loadfile(\"%%\")), true)'",
		 luajit);
	for (char *at = strstr(format, "%%"); at; at = NULL)
		memmove(at, at + 1, strlen(at));
	total = compare_all("tests/names/*.lua", format);
	printf("# %zu functions, %s\n", total, luajit);
	CHECK(total >= 300);
}

static void lines_and_parameters_are_those_that_luajit_records(void)
{
	size_t builds = 0;
	glob_t found;

	if (system("command -v luajit > /dev/null 2>&1") == 0) {
		compare_with_luajit("luajit");
		builds++;
	}
	if (glob("build/fixtures/*/luajit", 0, NULL, &found) == 0) {
		for (size_t i = 0; i < found.gl_pathc; i++) {
			char test[512];

			/* A newer suite's may need a newer libc; without the FFI there are no
			 * numbers like 1LL. */
			snprintf(test, sizeof(test), "%s -e 'require(\"ffi\")' > /dev/null 2>&1",
				 found.gl_pathv[i]);
			if (system(test) != 0)
				continue;
			compare_with_luajit(found.gl_pathv[i]);
			builds++;
		}
		globfree(&found);
	}
	if (!builds)
		SKIP("no luajit");
}

static void lines_and_parameters_are_those_that_lua_54_records(void)
{
	/* function <FILE:FIRST,LAST> (...) and on the next line N+ params, ... */
	static const char list[] =
		"luac5.4 -l -p % | sed -n '/^function </{s/.*:\\([0-9]*\\),\\([0-9]*\\)>.*/\\1 "
		"\\2/;N;s/\\n\\([0-9]*\\)+ param.*/ \\1 1/;s/\\n\\([0-9]*\\) param.*/ \\1 0/;p}'";

	if (system("command -v luac5.4 > /dev/null 2>&1") != 0)
		SKIP("no luac5.4");
	printf("# %zu functions\n", compare_all("tests/names/*.lua54", list));
	compare_all("tests/names/[o-t]*.lua", list);
}

/* ---- looking up ------------------------------------------------------------------------------ */

static struct lua_source *parse(const char *text)
{
	struct lua_source *source = NULL;

	CHECK_EQ(lua_source__parse(text, strlen(text), &source), 0);
	return source;
}

static const char *name_of(const struct lua_source *source, uint32_t first, uint32_t last,
			   int parameter_count, int vararg, const char *const *parameters)
{
	struct lua_function_hint hint = {first, last, parameter_count, vararg, parameters};

	return lua_source__name(source, &hint);
}

static void functions_of_one_line_are_told_apart(void)
{
	struct lua_source *source = parse("local function f(a) end local function g(b) end "
					  "local function h(a, b) end function M:i() end "
					  "function v(...) end local function long(a)\nend\n");
	const char *const a[] = {"a"}, *const b[] = {"b"}, *const self[] = {"self"};
	const char *const unknown[] = {NULL};

	CHECK_STR(name_of(source, 1, 1, 1, 0, a), "f");
	CHECK_STR(name_of(source, 1, 1, 1, 0, b), "g");
	CHECK_STR(name_of(source, 1, 1, 1, 0, self), "M:i");
	CHECK_STR(name_of(source, 1, 1, 2, 0, NULL), "h");
	CHECK_STR(name_of(source, 1, 1, 0, 1, NULL), "v");
	CHECK_STR(name_of(source, 1, 1, -1, 1, NULL), "v");
	CHECK_STR(name_of(source, 1, 2, -1, -1, NULL), "long");
	CHECK_STR(name_of(source, 1, 2, 1, 0, unknown), "long");
	/* Several names, wrong parameters, no such lines. */
	CHECK_STR(name_of(source, 1, 1, 1, 0, NULL), NULL);
	CHECK_STR(name_of(source, 1, 1, 1, 0, unknown), NULL);
	CHECK_STR(name_of(source, 1, 1, -1, -1, NULL), NULL);
	CHECK_STR(name_of(source, 1, 2, 1, 0, b), NULL);
	CHECK_STR(name_of(source, 1, 2, 1, 1, NULL), NULL);
	CHECK_STR(name_of(source, 1, 3, -1, -1, NULL), NULL);
	CHECK_STR(name_of(source, 2, 2, -1, -1, NULL), NULL);
	lua_source__free(source);
}

static void several_of_one_name_are_no_question(void)
{
	struct lua_source *source = parse("x = c and function(a) end or function(b) end\n"
					  "p(function() end, function() end)");

	CHECK_STR(name_of(source, 1, 1, -1, -1, NULL), "x");
	CHECK_STR(name_of(source, 2, 2, 0, 0, NULL), "<anonymous in main chunk, for p>");
	lua_source__free(source);
}

static void the_main_chunk_has_a_name(void)
{
	struct lua_source *source = parse("local x\nreturn x\n");

	CHECK_STR(name_of(source, 0, 3, 0, 1, NULL), "main chunk");
	/* nginx's Lua module on plain LuaJIT: return function() local x ... <newline> end */
	CHECK_STR(name_of(source, 1, 4, 0, 0, NULL), "main chunk");
	CHECK_STR(name_of(source, 1, 3, 0, 0, NULL), NULL);
	lua_source__free(source);
}

static void broken_text_gives_what_can_be_found(void)
{
	struct lua_source *source;

	source = parse(
		"end end function f() end ) ] } until else local = function g( h = function() "
		"if x then local function k() end");
	CHECK_STR(name_of(source, 1, 1, -1, -1, NULL), NULL);
	lua_source__free(source);
	source = parse("function f() end\nlocal function cut(a,\n");
	CHECK_STR(name_of(source, 1, 1, -1, -1, NULL), "f");
	CHECK_STR(name_of(source, 2, 2, -1, -1, NULL), NULL);
	lua_source__free(source);
	source = parse("x = { \nfunction f() end \n");
	lua_source__free(source);
	source = parse("local s = \"not closed\nfunction f() end");
	CHECK_STR(name_of(source, 2, 2, -1, -1, NULL), "f");
	lua_source__free(source);
	source = parse("\xef\xbb\xbf#!/usr/bin/lua\nfunction f() end");
	CHECK_STR(name_of(source, 2, 2, -1, -1, NULL), "f");
	lua_source__free(source);
	CHECK_EQ(lua_source__parse("function f() end\0 function g()\nend", 34, &source), 0);
	CHECK_STR(name_of(source, 1, 2, -1, -1, NULL), "g");
	lua_source__free(source);
	source = parse("");
	CHECK_STR(name_of(source, 1, 1, -1, -1, NULL), NULL);
	lua_source__free(source);
}

static void long_names_are_cut_between_characters(void)
{
	char text[2048] = "";
	struct lua_source *source;
	const char *name;

	for (int i = 0; i < 100; i++)
		strcat(text, "\xc3\xbc\xc3\xa4.");
	strcat(text, "x = function() end");
	setlocale(LC_CTYPE, "C.UTF-8");
	source = parse(text);
	name = name_of(source, 1, 1, -1, -1, NULL);
	CHECK(name && strlen(name) < 200 && strcmp(name + strlen(name) - 3, "...") == 0);
	CHECK(name && mbstowcs(NULL, name, 0) != (size_t)-1);
	lua_source__free(source);
}

/* They would be thirty times as long as the text. */
static void names_are_bounded(void)
{
	static const char part[] = "function()end,";
	size_t size = 4 << 20, used, count;
	struct lua_source *source = NULL;
	char *text = malloc(size);

	used = (size_t)snprintf(text, size, "f%0150d({", 0);
	for (; used + sizeof(part) < size; used += sizeof(part) - 1)
		memcpy(text + used, part, sizeof(part) - 1);
	CHECK_EQ(lua_source__parse(text, used, &source), 0);
	lua_source__functions(source, &count);
	CHECK(count > 10000 && count < 100000);
	CHECK(lua_source__size(source) > LUA_SOURCE_MAX_NAMES);
	CHECK(lua_source__size(source) < 2 * LUA_SOURCE_MAX_NAMES + (8UL << 20));
	lua_source__free(source);
	free(text);
}

static double parse_repeated(const char *part, size_t size)
{
	size_t length = strlen(part), used = 0;
	struct timespec before, after;
	struct lua_source *source = NULL;
	char *text = malloc(size);

	for (; used + length <= size; used += length)
		memcpy(text + used, part, length);
	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &before);
	CHECK_EQ(lua_source__parse(text, used, &source), 0);
	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &after);
	lua_source__free(source);
	free(text);
	return (double)(after.tv_sec - before.tv_sec) +
	       (double)(after.tv_nsec - before.tv_nsec) / 1e9;
}

/* Any of these in quadratic time would take hours, in linear time even under sanitizers seconds. */
static void sixteen_megabytes_of_anything_take_linear_time(void)
{
	static const char *const parts[] = {
		"local function f(a) return a end\n",
		"(",
		"{",
		"[",
		"function ",
		"end ",
		"a.",
		"a,",
		"a=",
		"a(",
		"[=",
		"[[",
		"]]",
		"--[==[",
		"]=]",
		"\"",
		"\"\\\n",
		"\\",
		"if x then ",
		"f{function() end,",
		"x=x+",
		"1e+",
		"..",
		"((function()end))",
		"return ",
		"=",
		":",
		"::",
		"local ",
		"local x <",
		"goto x ",
		"not ",
		"-",
		"repeat ",
		"until ",
		"M.a[1].b = { c = { function() end } } ",
		"f(function() end) ",
		"\r\n",
		"\xff",
		"elseif ",
	};
	double worst = 0;

	for (size_t i = 0; i < sizeof(parts) / sizeof(parts[0]); i++) {
		double seconds = parse_repeated(parts[i], 16 << 20);

		if (seconds > worst)
			worst = seconds;
		if (seconds > 20)
			printf("# \"%s\"\n", parts[i]);
		CHECK(seconds <= 20);
	}
	printf("# 16 MB: at most %.2f s; of functions %.2f s\n", worst,
	       parse_repeated(parts[0], 16 << 20));
}

int main(void)
{
	RUN(every_name_of_the_corpus_is_found, "every name of the corpus is found");
	RUN(lines_and_parameters_are_those_that_luajit_records,
	    "lines and parameters are those that LuaJIT records");
	RUN(lines_and_parameters_are_those_that_lua_54_records,
	    "lines and parameters are those that Lua 5.4 records");
	RUN(functions_of_one_line_are_told_apart, "functions of one line are told apart");
	RUN(several_of_one_name_are_no_question, "several functions of one name are no question");
	RUN(the_main_chunk_has_a_name, "the main chunk has a name");
	RUN(broken_text_gives_what_can_be_found, "broken text gives what can be found");
	RUN(long_names_are_cut_between_characters, "long names are cut between characters");
	RUN(names_are_bounded, "names are bounded");
	RUN(sixteen_megabytes_of_anything_take_linear_time, "16 MB of anything take linear time");
	return TEST_RESULT();
}
