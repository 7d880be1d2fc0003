/* SPDX-License-Identifier: Apache-2.0 */
#include "list_rows.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "../output/text.h"
#include "json_text.h"

#define CELL	  64
#define SHORT_ID  12
#define MAX_WIDTH 28 /* of a column but the last */

enum column {
	COLUMN_PID,
	COLUMN_ROLE,
	COLUMN_USER,
	COLUMN_CONTAINER,
	COLUMN_PROGRAM,
	COLUMN_RUNTIME,
	COLUMN_JIT,
	COLUMN_VMS,
	COLUMN_HEAP,
	COLUMN_CPU,
	COLUMN_UP,
	COLUMN_SYMBOLS,
	COLUMN_COUNT,
};

static const struct {
	const char *title;
	bool right;
} columns_of_table[COLUMN_COUNT] = {
	[COLUMN_PID] = {"PID", true},
	[COLUMN_ROLE] = {"ROLE", false},
	[COLUMN_USER] = {"USER", false},
	[COLUMN_CONTAINER] = {"CONTAINER", false},
	[COLUMN_PROGRAM] = {"PROGRAM", false},
	[COLUMN_RUNTIME] = {"RUNTIME", false},
	[COLUMN_JIT] = {"JIT", false},
	[COLUMN_VMS] = {"VMS", true},
	[COLUMN_HEAP] = {"HEAP", true},
	[COLUMN_CPU] = {"CPU%", true},
	[COLUMN_UP] = {"UP", true},
	[COLUMN_SYMBOLS] = {"SYMBOLS", false},
};

const char *list_role__name(enum list_role role)
{
	static const char *const names[] = {
		[ROLE_EMBEDDED] = "embedded", [ROLE_COMMAND] = "cli",	[ROLE_MASTER] = "master",
		[ROLE_WORKER] = "worker",     [ROLE_HELPER] = "helper", [ROLE_SINGLE] = "single",
	};

	return names[role];
}

static const char *jit_name(enum luajit_jit jit)
{
	static const char *const names[] = {
		[LUAJIT_JIT_UNKNOWN] = "-",
		[LUAJIT_JIT_OFF] = "off",
		[LUAJIT_JIT_ON] = "on",
		[LUAJIT_JIT_MIXED] = "mixed",
	};

	return names[jit];
}

/* ---- the table ------------------------------------------------------------------------------- */

static void format_bytes(uint64_t bytes, char *cell)
{
	static const char units[] = "KMGT";
	double value = (double)bytes / 1024;
	size_t unit = 0;

	while (value >= 999.5 && units[unit + 1]) {
		value /= 1024;
		unit++;
	}
	snprintf(cell, CELL, value < 9.95 ? "%.1f%c" : "%.0f%c", value, units[unit]);
}

static void format_time(uint64_t seconds, char *cell)
{
	uint64_t minutes = seconds / 60, hours = minutes / 60, days = hours / 24;

	if (days)
		snprintf(cell, CELL, "%" PRIu64 "d%02" PRIu64 "h", days, hours % 24);
	else if (hours)
		snprintf(cell, CELL, "%" PRIu64 "h%02" PRIu64 "m", hours, minutes % 60);
	else
		snprintf(cell, CELL, "%" PRIu64 "m%02" PRIu64 "s", minutes, seconds % 60);
}

/* nginx/1.22.1 as "nginx 1.22.1": the slash stands in HTTP headers. */
static void format_server(const char *server, char *cell)
{
	char *slash;

	snprintf(cell, CELL, "%.60s", server);
	slash = strchr(cell, '/');
	if (slash)
		*slash = ' ';
}

static void format_cell(const struct list_row *row, enum column column, char *cell)
{
	snprintf(cell, CELL, "-");
	switch (column) {
	case COLUMN_PID:
		snprintf(cell, CELL, "%d", (int)row->pid);
		break;
	case COLUMN_ROLE:
		snprintf(cell, CELL, "%s", list_role__name(row->role));
		break;
	case COLUMN_USER:
		snprintf(cell, CELL, "%.60s", row->user);
		if (!row->user[0])
			snprintf(cell, CELL, "%u", (unsigned int)row->uid);
		break;
	case COLUMN_CONTAINER:
		if (row->container_name[0])
			snprintf(cell, CELL, "%.60s", row->container_name);
		else if (row->container.engine != CONTAINER_NONE)
			snprintf(cell, CELL, "%.*s", SHORT_ID, row->container.id);
		break;
	case COLUMN_PROGRAM:
		if (row->application[0])
			snprintf(cell, CELL, "%.60s", row->application);
		else if (row->server[0])
			format_server(row->server, cell);
		else
			snprintf(cell, CELL, "%.60s", row->program);
		break;
	case COLUMN_RUNTIME:
		snprintf(cell, CELL, "%s%s", row->runtime,
			 !row->has_build ? ""
			 : row->gc64	 ? " GC64"
					 : " GC32");
		break;
	case COLUMN_JIT:
		snprintf(cell, CELL, "%s", jit_name(row->jit));
		break;
	case COLUMN_VMS:
		if (row->vms_known)
			snprintf(cell, CELL, "%u", row->vms);
		break;
	case COLUMN_HEAP:
		if (row->vms_known)
			format_bytes(row->heap_bytes, cell);
		break;
	case COLUMN_CPU:
		if (row->cpu_percent >= 0)
			snprintf(cell, CELL, "%.1f", row->cpu_percent);
		break;
	case COLUMN_UP:
		format_time(row->uptime_seconds, cell);
		break;
	case COLUMN_SYMBOLS:
		snprintf(cell, CELL, "%s", row->has_symbols ? "yes" : "stripped");
		break;
	case COLUMN_COUNT:
		break;
	}
}

/* A line of the table, cut off at a number of code points. */
struct line {
	FILE *out;
	size_t columns, used;
};

static void put(struct line *line, const char *text, size_t limit)
{
	uint32_t code_point;
	char bytes[4] = "";
	size_t length;

	while (limit-- && (!line->columns || line->used < line->columns) &&
	       (code_point = text__next(&text))) {
		length = text__encode(code_point, bytes);
		fwrite(bytes, 1, length, line->out);
		line->used++;
	}
}

static size_t width_of(const char *text)
{
	size_t width = 0;

	while (text__next(&text))
		width++;
	return width;
}

static void put_cell(struct line *line, const char *text, size_t width, bool right)
{
	size_t used = width_of(text), padding;

	padding = used < width ? width - used : 0;
	if (right)
		put(line, "                            ", padding);
	put(line, text, width);
	if (!right)
		put(line, "                            ", padding);
	put(line, "  ", 2);
}

static void measure(const struct list_row *rows, size_t count, size_t widths[COLUMN_COUNT])
{
	char cell[CELL];
	size_t i, width;
	int column;

	for (column = 0; column < COLUMN_COUNT; column++) {
		widths[column] = strlen(columns_of_table[column].title);
		for (i = 0; i < count; i++) {
			format_cell(&rows[i], (enum column)column, cell);
			width = width_of(cell);
			if (width > widths[column])
				widths[column] = width < MAX_WIDTH ? width : MAX_WIDTH;
		}
	}
}

void list_rows__write_table(const struct list_row *rows, size_t count, size_t columns, FILE *out)
{
	struct line line = {.out = out, .columns = columns};
	size_t widths[COLUMN_COUNT], i;
	char cell[CELL];
	int column;

	measure(rows, count, widths);
	for (column = 0; column < COLUMN_COUNT; column++)
		put_cell(&line, columns_of_table[column].title, widths[column],
			 columns_of_table[column].right);
	put(&line, "COMMAND", SIZE_MAX);
	fputc('\n', out);
	for (i = 0; i < count; i++) {
		line.used = 0;
		for (column = 0; column < COLUMN_COUNT; column++) {
			format_cell(&rows[i], (enum column)column, cell);
			put_cell(&line, cell, widths[column], columns_of_table[column].right);
		}
		put(&line, rows[i].command, SIZE_MAX);
		fputc('\n', out);
	}
}

/* ---- JSON ------------------------------------------------------------------------------------ */

static struct json_object *container_object(const struct list_row *row)
{
	struct json_object *object;

	if (row->container.engine == CONTAINER_NONE)
		return NULL;
	object = json_object_new_object();
	json_object_object_add(object, "id", json_text__new(row->container.id));
	json_object_object_add(object, "engine",
			       json_text__new(container_engine__name(row->container.engine)));
	json_object_object_add(object, "name", json_text__new(row->container_name));
	return object;
}

static struct json_object *jit_object(enum luajit_jit jit)
{
	return jit == LUAJIT_JIT_UNKNOWN ? NULL : json_object_new_string(jit_name(jit));
}

static struct json_object *number_object(bool known, uint64_t value)
{
	return known ? json_object_new_int64((int64_t)value) : NULL;
}

static struct json_object *row_object(const struct list_row *row)
{
	struct json_object *object = json_object_new_object();
	char percent[32];

	json_object_object_add(object, "pid", json_object_new_int(row->pid));
	json_object_object_add(object, "parent", json_object_new_int(row->parent));
	json_object_object_add(object, "role", json_text__new(list_role__name(row->role)));
	json_object_object_add(object, "uid", json_object_new_int64(row->uid));
	json_object_object_add(object, "user", json_text__new(row->user));
	json_object_object_add(object, "container", container_object(row));
	json_object_object_add(object, "program", json_text__new(row->program));
	json_object_object_add(object, "server", json_text__new(row->server));
	json_object_object_add(object, "application", json_text__new(row->application));
	json_object_object_add(object, "runtime", json_text__new(row->runtime));
	json_object_object_add(object, "gc64",
			       row->has_build ? json_object_new_boolean(row->gc64) : NULL);
	json_object_object_add(object, "jit", jit_object(row->jit));
	json_object_object_add(object, "vms", number_object(row->vms_known, row->vms));
	json_object_object_add(object, "heap_bytes",
			       number_object(row->vms_known, row->heap_bytes));
	json_object_object_add(object, "symbols", json_object_new_boolean(row->has_symbols));
	json_object_object_add(object, "uptime_seconds", number_object(true, row->uptime_seconds));
	snprintf(percent, sizeof(percent), "%.1f", row->cpu_percent);
	json_object_object_add(
		object, "cpu_percent",
		row->cpu_percent < 0 ? NULL : json_object_new_double_s(row->cpu_percent, percent));
	json_object_object_add(object, "command", json_text__new(row->command));
	return object;
}

int list_rows__write_json(const struct list_row *rows, size_t count, FILE *out)
{
	struct json_object *object = json_object_new_object(), *list = json_object_new_array();
	size_t i;

	if (!object || !list) {
		json_object_put(object);
		json_object_put(list);
		return -ENOMEM;
	}
	for (i = 0; i < count; i++)
		json_object_array_add(list, row_object(&rows[i]));
	json_object_object_add(object, "processes", list);
	return json_text__write(object, out);
}
