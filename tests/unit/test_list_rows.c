/* SPDX-License-Identifier: Apache-2.0 */
/* The table and the JSON of `luaspy list`: what is not known, what does not fit, hostile bytes. */
#include <json-c/json.h>
#include <stdlib.h>

#include "../test.h"
#include "cmd/list_rows.h"

static struct list_row known_row(void)
{
	return (struct list_row){
		.pid = 4711,
		.parent = 4700,
		.role = ROLE_WORKER,
		.uid = 33,
		.user = "www-data",
		.container = {CONTAINER_DOCKER, "00112233445566778899aabbccddeeff"
						"00112233445566778899aabbccddeeff"},
		.program = "nginx",
		.server = "openresty/1.21.4.1",
		.runtime = "LuaJIT 2.1.0-beta3",
		.is_luajit = true,
		.has_build = true,
		.gc64 = true,
		.vms_known = true,
		.vms = 2,
		.jit = LUAJIT_JIT_ON,
		.heap_bytes = 3u << 20,
		.uptime_seconds = 90061,
		.cpu_percent = 12.34,
		.command = "nginx: worker process",
	};
}

static struct list_row unknown_row(void)
{
	return (struct list_row){
		.pid = 1,
		.program = "lua5.4",
		.role = ROLE_COMMAND,
		.uid = 1000,
		.runtime = "Lua 5.4.4",
		.has_symbols = true,
		.cpu_percent = -1,
	};
}

static char *table_of(const struct list_row *rows, size_t count, size_t columns)
{
	char *text = NULL;
	size_t size;
	FILE *out = open_memstream(&text, &size);

	list_rows__write_table(rows, count, columns, out);
	fclose(out);
	return text;
}

static void the_table_has_a_column_for_each_fact(void)
{
	struct list_row rows[] = {known_row(), unknown_row()};
	char *text = table_of(rows, 2, 0);

	CHECK_STR(text, " PID  ROLE    USER      CONTAINER     PROGRAM             RUNTIME         "
			"         "
			"JIT  VMS  HEAP  CPU%     UP  SYMBOLS   COMMAND\n"
			"4711  worker  www-data  001122334455  openresty 1.21.4.1  LuaJIT "
			"2.1.0-beta3 GC64  "
			"on     2  3.0M  12.3  1d01h  stripped  nginx: worker process\n"
			"   1  cli     1000      -             lua5.4              Lua 5.4.4       "
			"         "
			"-      -     -     -  0m00s  yes       \n");
	free(text);
}

static void lines_are_cut_off_at_the_terminals_width(void)
{
	struct list_row rows[] = {known_row(), unknown_row()};
	char *text = table_of(rows, 2, 13);

	CHECK_STR(text, " PID  ROLE   \n4711  worker \n   1  cli    \n");
	free(text);
}

static void names_win_over_ids_and_applications_over_servers(void)
{
	struct list_row row = known_row();
	char *text;

	snprintf(row.container_name, sizeof(row.container_name), "web");
	snprintf(row.application, sizeof(row.application), "APISIX 3.8.0");
	row.jit = LUAJIT_JIT_MIXED;
	text = table_of(&row, 1, 0);
	CHECK(strstr(text, "  web  ") != NULL);
	CHECK(strstr(text, "  APISIX 3.8.0  ") != NULL);
	CHECK(strstr(text, "  mixed  ") != NULL);
	CHECK(strstr(text, "openresty") == NULL);
	free(text);
}

static void no_byte_of_a_target_reaches_the_terminal_unchecked(void)
{
	struct list_row row = known_row();
	char *text, *c;

	snprintf(row.command, sizeof(row.command), "a\x1b[31mb\nc\xff\xfe\x80z\u202e");
	snprintf(row.program, sizeof(row.program), "p\r\x07");
	snprintf(row.container_name, sizeof(row.container_name), "\xc3");
	memset(row.user, 'u', sizeof(row.user) - 1);
	row.server[0] = '\0';
	text = table_of(&row, 1, 0);
	for (c = text; *c; c++)
		CHECK((unsigned char)*c >= ' ' || *c == '\n');
	CHECK_EQ(strcspn(strchr(text, '\n') + 1, "\n"), strlen(strchr(text, '\n')) - 2);
	CHECK(strstr(text, "\xff") == NULL && strstr(text, "\u202e") == NULL);
	free(text);
}

static struct json_object *json_of(const struct list_row *rows, size_t count)
{
	struct json_object *object;
	char *text = NULL;
	size_t size;
	FILE *out = open_memstream(&text, &size);

	CHECK_EQ(list_rows__write_json(rows, count, out), 0);
	fclose(out);
	object = json_tokener_parse(text);
	CHECK(object != NULL);
	free(text);
	return object;
}

static struct json_object *field(struct json_object *object, size_t row, const char *name)
{
	struct json_object *list, *value;

	CHECK(json_object_object_get_ex(object, "processes", &list));
	CHECK(json_object_object_get_ex(json_object_array_get_idx(list, row), name, &value));
	return value;
}

static void json_has_null_for_what_is_not_known(void)
{
	static const char *const unknown[] = {"container", "server",	 "application",
					      "user",	   "gc64",	 "jit",
					      "vms",	   "heap_bytes", "cpu_percent"};
	struct list_row rows[] = {known_row(), unknown_row()};
	struct json_object *object = json_of(rows, 2), *container, *value;
	size_t i;

	CHECK_EQ(json_object_get_int(field(object, 0, "pid")), 4711);
	CHECK_EQ(json_object_get_int64(field(object, 0, "heap_bytes")), 3u << 20);
	CHECK_STR(json_object_get_string(field(object, 0, "jit")), "on");
	CHECK_STR(json_object_get_string(field(object, 0, "cpu_percent")), "12.3");
	CHECK_EQ(json_object_get_boolean(field(object, 0, "gc64")), 1);
	container = field(object, 0, "container");
	CHECK(json_object_object_get_ex(container, "id", &value));
	CHECK_EQ(json_object_get_string_len(value), 64);
	CHECK(json_object_object_get_ex(container, "name", &value));
	CHECK(value == NULL);
	for (i = 0; i < sizeof(unknown) / sizeof(unknown[0]); i++)
		CHECK(field(object, 1, unknown[i]) == NULL);
	json_object_put(object);
	object = json_of(NULL, 0);
	json_object_put(object);
}

static void json_is_valid_whatever_the_bytes(void)
{
	struct list_row row = known_row();
	struct json_object *object;

	snprintf(row.command, sizeof(row.command), "\"\\\x01\xff\xed\xa0\x80\xc3");
	object = json_of(&row, 1);
	CHECK(strstr(json_object_get_string(field(object, 0, "command")), "\xff") == NULL);
	CHECK(strncmp(json_object_get_string(field(object, 0, "command")), "\"\\", 2) == 0);
	json_object_put(object);
}

int main(void)
{
	RUN(the_table_has_a_column_for_each_fact,
	    "the table has a column for each fact, - for none");
	RUN(lines_are_cut_off_at_the_terminals_width, "lines are cut off at the terminal's width");
	RUN(names_win_over_ids_and_applications_over_servers,
	    "names win over ids, applications over servers");
	RUN(no_byte_of_a_target_reaches_the_terminal_unchecked,
	    "no byte of a target reaches the terminal unchecked");
	RUN(json_has_null_for_what_is_not_known, "JSON has null for what is not known");
	RUN(json_is_valid_whatever_the_bytes, "JSON is valid whatever the bytes");
	return TEST_RESULT();
}
