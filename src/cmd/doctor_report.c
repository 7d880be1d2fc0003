/* SPDX-License-Identifier: Apache-2.0 */
#include "doctor_report.h"

#include <errno.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "../output/text.h"
#include "json_text.h"

#define NAME_WIDTH   17
#define TEXT_COLUMN  (2 + 6 + NAME_WIDTH + 2) /* where what was found begins */
#define MIN_WRAPPED  24
#define PIDS_SHOWN   8
#define OFFSET_WIDTH 26

struct doctor_section *doctor_report__add_section(struct doctor_report *self, const char *title)
{
	struct doctor_section **grown, *section = calloc(1, sizeof(*section));

	grown = section ? reallocarray(self->sections, self->count + 1,
				       sizeof(struct doctor_section *))
			: NULL;
	if (!grown) {
		free(section);
		return NULL;
	}
	self->sections = grown;
	self->sections[self->count++] = section;
	snprintf(section->title, sizeof(section->title), "%s", title);
	return section;
}

static void section_free(struct doctor_section *section)
{
	free(section->pids);
	free(section);
}

void doctor_report__drop_last(struct doctor_report *self)
{
	section_free(self->sections[--self->count]);
}

void doctor_report__free(struct doctor_report *self)
{
	while (self->count)
		doctor_report__drop_last(self);
	free(self->sections);
	self->sections = NULL;
}

static bool equal_checks(const struct doctor_check *a, const struct doctor_check *b)
{
	return strcmp(a->name, b->name) == 0 && a->status == b->status &&
	       (a->own || (strcmp(a->found, b->found) == 0 && strcmp(a->advice, b->advice) == 0));
}

/* What a heap shows depends on what its VM does at the moment; one that shows nothing is like any.
 */
static bool equal_offsets(const struct doctor_offset *a, const struct doctor_offset *b)
{
	return strcmp(a->name, b->name) == 0 && a->decoded == b->decoded &&
	       a->in_table == b->in_table && a->table == b->table &&
	       (!a->heap || !b->heap || strcmp(a->heap, b->heap) == 0);
}

static bool equal_sections(const struct doctor_section *a, const struct doctor_section *b)
{
	size_t i;

	if (strcmp(a->title, b->title) != 0 || a->count != b->count ||
	    a->offset_count != b->offset_count)
		return false;
	for (i = 0; i < a->count; i++) {
		if (!equal_checks(&a->checks[i], &b->checks[i]))
			return false;
	}
	for (i = 0; i < a->offset_count; i++) {
		if (!equal_offsets(&a->offsets[i], &b->offsets[i]))
			return false;
	}
	return true;
}

int doctor_report__merge_last(struct doctor_report *self)
{
	struct doctor_section *last = self->sections[self->count - 1], *same;
	size_t i, k;
	pid_t *pids;

	for (i = 0; i + 1 < self->count; i++) {
		same = self->sections[i];
		if (!same->pid_count || !equal_sections(same, last))
			continue;
		pids = reallocarray(same->pids, same->pid_count + last->pid_count, sizeof(*pids));
		if (!pids)
			return -ENOMEM;
		memcpy(pids + same->pid_count, last->pids, last->pid_count * sizeof(*pids));
		same->pids = pids;
		same->pid_count += last->pid_count;
		for (k = 0; k < same->offset_count; k++) {
			if (!same->offsets[k].heap)
				same->offsets[k].heap = last->offsets[k].heap;
		}
		section_free(last);
		self->count--;
		break;
	}
	return 0;
}

struct doctor_check *doctor_section__add(struct doctor_section *self, const char *name)
{
	struct doctor_check *check;

	if (self->count < DOCTOR_MAX_CHECKS)
		self->count++;
	check = &self->checks[self->count - 1];
	memset(check, 0, sizeof(*check));
	check->name = name;
	return check;
}

void doctor_check__found(struct doctor_check *self, enum doctor_status status, const char *format,
			 ...)
{
	va_list args;

	self->status = status;
	va_start(args, format);
	vsnprintf(self->found, sizeof(self->found), format, args);
	va_end(args);
}

void doctor_check__advise(struct doctor_check *self, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	vsnprintf(self->advice, sizeof(self->advice), format, args);
	va_end(args);
}

enum doctor_status doctor_section__status(const struct doctor_section *self)
{
	enum doctor_status status = DOCTOR_OK;
	size_t i;

	for (i = 0; i < self->count; i++) {
		if (self->checks[i].status > status)
			status = self->checks[i].status;
	}
	return status;
}

enum doctor_status doctor_report__status(const struct doctor_report *self)
{
	enum doctor_status status = DOCTOR_OK, of_section;
	size_t i;

	for (i = 0; i < self->count; i++) {
		of_section = doctor_section__status(self->sections[i]);
		if (of_section > status)
			status = of_section;
	}
	return status;
}

/* ---- text ------------------------------------------------------------------------------------ */

static const char *status_name(enum doctor_status status)
{
	static const char *const names[] = {[DOCTOR_OK] = "ok",
					    [DOCTOR_NOTE] = "note",
					    [DOCTOR_WARN] = "warn",
					    [DOCTOR_FAIL] = "fail"};

	return names[status];
}

/* The word at the start of `text` made printable; its columns. */
static size_t next_word(const char **text, char *word, size_t size)
{
	size_t bytes = 0, columns = 0;
	uint32_t c;

	while (**text && **text != ' ' && bytes + 5 < size && (c = text__next(text))) {
		bytes += text__encode(c, word + bytes);
		columns++;
	}
	word[bytes] = '\0';
	return columns;
}

/* Breaks lines between words where they would be longer than `columns`; the cursor stands at
 * TEXT_COLUMN. */
static void write_wrapped(const char *text, size_t columns, FILE *out)
{
	size_t at = TEXT_COLUMN, width;
	bool first = true;
	char word[512];

	while (*text) {
		text += strspn(text, " ");
		width = next_word(&text, word, sizeof(word));
		if (!width)
			break;
		if (!first && columns && at + 1 + width > columns) {
			fprintf(out, "\n%*s", TEXT_COLUMN, "");
			at = TEXT_COLUMN;
			first = true;
		}
		fprintf(out, "%s%s", first ? "" : " ", word);
		at += width + !first;
		first = false;
	}
	fputc('\n', out);
}

static void write_title(const struct doctor_section *section, FILE *out)
{
	const char *title = section->title;
	char word[sizeof(section->title) * 4];
	size_t i;

	while (*title) {
		next_word(&title, word, sizeof(word));
		fprintf(out, "%s", word);
		if (*title) {
			fputc(*title == ' ' ? ' ' : '?', out);
			title++;
		}
	}
	for (i = 0; i < section->pid_count && i < PIDS_SHOWN; i++)
		fprintf(out, "%s %d",
			i			 ? ","
			: section->pid_count > 1 ? ", pids"
						 : ", pid",
			(int)section->pids[i]);
	if (section->pid_count > PIDS_SHOWN)
		fprintf(out, " and %zu more like them", section->pid_count - PIDS_SHOWN);
	fputc('\n', out);
}

static void write_offsets(const struct doctor_section *section, FILE *out)
{
	const struct doctor_offset *offset;
	char table[32], decoded[32];
	size_t i;

	if (section->offset_count)
		fprintf(out, "\n  %-*s %8s %8s  %-12s %s\n", OFFSET_WIDTH, "OFFSET", "DECODED",
			"TABLE", "HEAP", "DECODED FROM");
	for (i = 0; i < section->offset_count; i++) {
		offset = &section->offsets[i];
		snprintf(decoded, sizeof(decoded), "0x%llx", offset->decoded);
		snprintf(table, sizeof(table), offset->in_table ? "0x%llx" : "-", offset->table);
		fprintf(out, "  %-*s %8s %8s  %-12s %s\n", OFFSET_WIDTH, offset->name, decoded,
			table, offset->heap ? offset->heap : "-", offset->from);
	}
}

static void write_section(const struct doctor_section *section, size_t columns, FILE *out)
{
	const struct doctor_check *check;
	size_t i;

	write_title(section, out);
	for (i = 0; i < section->count; i++) {
		check = &section->checks[i];
		fprintf(out, "  %-4s  %-*s  ", status_name(check->status), NAME_WIDTH, check->name);
		write_wrapped(check->found, columns, out);
		if (check->advice[0]) {
			fprintf(out, "%*s", TEXT_COLUMN, "");
			write_wrapped(check->advice, columns, out);
		}
	}
	write_offsets(section, out);
	fputc('\n', out);
}

static size_t count_status(const struct doctor_report *self, enum doctor_status status)
{
	size_t i, k, count = 0;

	for (i = 0; i < self->count; i++) {
		for (k = 0; k < self->sections[i]->count; k++)
			count += self->sections[i]->checks[k].status == status;
	}
	return count;
}

void doctor_report__write_text(const struct doctor_report *self, size_t columns, FILE *out)
{
	static const char *const conclusions[] = {
		[DOCTOR_OK] = "All is well: luaspy can profile here.",
		[DOCTOR_NOTE] = "luaspy can profile here.",
		[DOCTOR_WARN] = "luaspy can profile here, but something will be missing.",
		[DOCTOR_FAIL] = "luaspy cannot profile here.",
	};
	enum doctor_status status = doctor_report__status(self);
	size_t i;

	if (columns && columns < TEXT_COLUMN + MIN_WRAPPED)
		columns = TEXT_COLUMN + MIN_WRAPPED;
	for (i = 0; i < self->count; i++)
		write_section(self->sections[i], columns, out);
	fprintf(out, "%s", conclusions[status]);
	if (status != DOCTOR_OK)
		fprintf(out, " (fail: %zu, warn: %zu, note: %zu)", count_status(self, DOCTOR_FAIL),
			count_status(self, DOCTOR_WARN), count_status(self, DOCTOR_NOTE));
	fputc('\n', out);
}

/* ---- JSON ------------------------------------------------------------------------------------ */

static struct json_object *check_object(const struct doctor_check *check)
{
	struct json_object *object = json_object_new_object();

	json_object_object_add(object, "check", json_text__new(check->name));
	json_object_object_add(object, "status", json_text__new(status_name(check->status)));
	json_object_object_add(object, "found", json_text__new(check->found));
	json_object_object_add(object, "advice", json_text__new(check->advice));
	return object;
}

static struct json_object *offset_object(const struct doctor_offset *offset)
{
	struct json_object *object = json_object_new_object();

	json_object_object_add(object, "offset", json_text__new(offset->name));
	json_object_object_add(object, "decoded", json_object_new_int64(offset->decoded));
	json_object_object_add(object, "decoded_from", json_text__new(offset->from));
	json_object_object_add(object, "table",
			       offset->in_table ? json_object_new_int64(offset->table) : NULL);
	json_object_object_add(object, "heap", offset->heap ? json_text__new(offset->heap) : NULL);
	return object;
}

static struct json_object *section_object(const struct doctor_section *section)
{
	struct json_object *object = json_object_new_object();
	struct json_object *pids = json_object_new_array(), *checks = json_object_new_array();
	struct json_object *offsets = json_object_new_array();
	size_t i;

	for (i = 0; i < section->pid_count; i++)
		json_object_array_add(pids, json_object_new_int(section->pids[i]));
	for (i = 0; i < section->count; i++)
		json_object_array_add(checks, check_object(&section->checks[i]));
	for (i = 0; i < section->offset_count; i++)
		json_object_array_add(offsets, offset_object(&section->offsets[i]));
	json_object_object_add(object, "title", json_text__new(section->title));
	json_object_object_add(object, "pids", pids);
	json_object_object_add(object, "checks", checks);
	json_object_object_add(object, "offsets", offsets);
	return object;
}

int doctor_report__write_json(const struct doctor_report *self, FILE *out)
{
	struct json_object *object = json_object_new_object(), *sections = json_object_new_array();
	size_t i;

	json_object_object_add(object, "status",
			       json_text__new(status_name(doctor_report__status(self))));
	for (i = 0; i < self->count; i++)
		json_object_array_add(sections, section_object(self->sections[i]));
	json_object_object_add(object, "sections", sections);
	return json_text__write(object, out);
}
