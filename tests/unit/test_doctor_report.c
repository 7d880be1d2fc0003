/* SPDX-License-Identifier: Apache-2.0 */
/* The report of `luaspy doctor`: like processes together, wrapped lines, hostile bytes, JSON. */
#include <json-c/json.h>
#include <stdlib.h>

#include "../test.h"
#include "cmd/doctor_report.h"

static struct doctor_section *add_process(struct doctor_report *report, pid_t pid,
					  const char *found, const char *own)
{
	struct doctor_section *section = doctor_report__add_section(report, "nginx");
	struct doctor_check *check;

	section->pids = malloc(sizeof(pid_t));
	section->pids[0] = pid;
	section->pid_count = 1;
	check = doctor_section__add(section, "VMs");
	check->own = true;
	doctor_check__found(check, DOCTOR_OK, "%s", own);
	doctor_check__found(doctor_section__add(section, "files"), DOCTOR_OK, "%s", found);
	return section;
}

static char *text_of(const struct doctor_report *report, size_t columns)
{
	char *text = NULL;
	size_t size;
	FILE *out = open_memstream(&text, &size);

	doctor_report__write_text(report, columns, out);
	fclose(out);
	return text;
}

static void like_processes_share_a_section(void)
{
	struct doctor_report report = {};
	struct doctor_section *section;
	char *text;

	add_process(&report, 11, "3 with code", "1 with 2 MB");
	add_process(&report, 12, "3 with code", "1 with 5 MB");
	CHECK_EQ(doctor_report__merge_last(&report), 0);
	CHECK_EQ(report.count, 1);
	CHECK_EQ(report.sections[0]->pid_count, 2);
	CHECK_EQ(report.sections[0]->pids[1], 12);

	add_process(&report, 13, "4 with code", "1 with 2 MB");
	doctor_report__merge_last(&report);
	CHECK_EQ(report.count, 2);

	section = add_process(&report, 14, "3 with code", "1 with 2 MB");
	section->checks[0].status = DOCTOR_WARN;
	doctor_report__merge_last(&report);
	CHECK_EQ(report.count, 3);

	section = add_process(&report, 15, "3 with code", "1 with 2 MB");
	section->offset_count = 1;
	section->offsets[0] = (struct doctor_offset){.name = "cur_L",
						     .from = "x",
						     .decoded = 8,
						     .table = 8,
						     .in_table = true,
						     .heap = "agrees"};
	doctor_report__merge_last(&report);
	CHECK_EQ(report.count, 4);

	text = text_of(&report, 0);
	CHECK(strstr(text, "nginx, pids 11, 12\n") != NULL);
	CHECK(strstr(text, "nginx, pid 13\n") != NULL);
	free(text);
	doctor_report__free(&report);
}

static void the_heaviest_check_decides(void)
{
	struct doctor_report report = {};
	struct doctor_section *section = doctor_report__add_section(&report, "This machine");
	char *text;

	CHECK_EQ(doctor_report__status(&report), DOCTOR_OK);
	doctor_check__found(doctor_section__add(section, "a"), DOCTOR_NOTE, "x");
	CHECK_EQ(doctor_report__status(&report), DOCTOR_NOTE);
	section = doctor_report__add_section(&report, "nginx");
	doctor_check__found(doctor_section__add(section, "b"), DOCTOR_FAIL, "y");
	doctor_check__found(doctor_section__add(section, "c"), DOCTOR_WARN, "z");
	CHECK_EQ(doctor_section__status(section), DOCTOR_FAIL);
	CHECK_EQ(doctor_report__status(&report), DOCTOR_FAIL);
	text = text_of(&report, 0);
	CHECK(strstr(text, "luaspy cannot profile here. (fail: 1, warn: 1, note: 1)\n") != NULL);
	free(text);
	doctor_report__free(&report);
}

static void lines_are_broken_between_words(void)
{
	struct doctor_report report = {};
	struct doctor_section *section = doctor_report__add_section(&report, "nginx\33[2Jx");
	struct doctor_check *check = doctor_section__add(section, "files");
	char *text, *c;

	doctor_check__found(check, DOCTOR_WARN,
			    "a name with\33]0;a terminal's command and words enough for two lines");
	doctor_check__advise(check, "do something about it, which is a long story as well");
	text = text_of(&report, 60);
	for (c = text; *c; c++) {
		CHECK(*c == '\n' || (unsigned char)*c >= ' ');
	}
	for (c = strstr(text, "a name"); c && *c && *c != '\n'; c = strchr(c, '\n') + 1)
		CHECK(strcspn(c, "\n") <= 62); /* U+FFFD is three bytes */
	CHECK(strstr(text, "\n                           do something") != NULL);
	free(text);
	doctor_report__free(&report);
}

static void too_many_checks_are_cut_off(void)
{
	struct doctor_report report = {};
	struct doctor_section *section = doctor_report__add_section(&report, "x");
	int i;

	for (i = 0; i < 2 * DOCTOR_MAX_CHECKS; i++)
		doctor_check__found(doctor_section__add(section, "a"), DOCTOR_OK, "%d", i);
	CHECK_EQ(section->count, DOCTOR_MAX_CHECKS);
	CHECK_STR(section->checks[DOCTOR_MAX_CHECKS - 1].found, "63");
	doctor_report__free(&report);
}

static void json_says_the_same(void)
{
	struct doctor_report report = {};
	struct doctor_section *section = add_process(&report, 7, "bytes \xff here", "1");
	struct json_object *document, *sections, *object, *value;
	char *text = NULL;
	size_t size;
	FILE *out = open_memstream(&text, &size);

	section->offset_count = 2;
	section->offsets[0] = (struct doctor_offset){.name = "cur_L",
						     .from = "entries",
						     .decoded = 368,
						     .table = 360,
						     .in_table = true,
						     .heap = "agrees"};
	section->offsets[1] = (struct doctor_offset){
		.name = "vmstate", .from = "stores", .decoded = -184, .heap = NULL};
	CHECK_EQ(doctor_report__write_json(&report, out), 0);
	fclose(out);
	document = json_tokener_parse(text);
	CHECK(document != NULL);
	CHECK_STR(json_object_get_string(json_object_object_get(document, "status")), "ok");
	sections = json_object_object_get(document, "sections");
	CHECK_EQ(json_object_array_length(sections), 1);
	object = json_object_array_get_idx(sections, 0);
	value = json_object_array_get_idx(json_object_object_get(object, "pids"), 0);
	CHECK_EQ(json_object_get_int(value), 7);
	value = json_object_array_get_idx(json_object_object_get(object, "checks"), 1);
	CHECK_STR(json_object_get_string(json_object_object_get(value, "found")),
		  "bytes \xef\xbf\xbd here");
	CHECK(json_object_object_get(value, "advice") == NULL);
	value = json_object_array_get_idx(json_object_object_get(object, "offsets"), 0);
	CHECK_EQ(json_object_get_int(json_object_object_get(value, "table")), 360);
	value = json_object_array_get_idx(json_object_object_get(object, "offsets"), 1);
	CHECK_EQ(json_object_get_int(json_object_object_get(value, "decoded")), -184);
	CHECK(json_object_object_get(value, "table") == NULL);
	json_object_put(document);
	free(text);
	doctor_report__free(&report);
}

int main(void)
{
	RUN(like_processes_share_a_section, "like processes share a section");
	RUN(the_heaviest_check_decides, "the heaviest check decides");
	RUN(lines_are_broken_between_words, "lines are broken between words");
	RUN(too_many_checks_are_cut_off, "too many checks are cut off");
	RUN(json_says_the_same, "JSON says the same");
	return TEST_RESULT();
}
