// SPDX-License-Identifier: Apache-2.0
/* The figures of `luaspy top`: what of a profile counts for which function, line and process, in
 * which window; and the rows that are made of them as keys and options say. */
#include <stdlib.h>
#include <string.h>

#include "../test.h"
#include "cmd/top_model.h"
#include "cmd/top_settings.h"
#include "cmd/top_table.h"

/* A stack as it is written here: frames by type and name, the outermost first, "L" Lua, "J" Lua
 * compiled, "B" built-in, "C" native, "K" kernel, "N" a note; Lua functions as
 * name@file:first:line. */
static void add(struct profile *profile, const char *pid, const char *state, uint64_t count,
		const char *const *frames)
{
	static const char letters[] = "LJBCKN";
	static const enum profile_frame_type types[] = {PROFILE_LUA,	 PROFILE_LUA_COMPILED,
							PROFILE_BUILTIN, PROFILE_NATIVE,
							PROFILE_KERNEL,	 PROFILE_NOTE};
	struct profile_label labels[3] = {{"pid", pid}, {"comm", "nginx"}, {"vmstate", state}};
	struct profile_stack stack = {.count = count};
	struct profile_mapping file = {.path = "/usr/lib/libc.so.6", .build_id = ""};
	struct profile_frame frame;
	char name[64], chunk[64];
	uint32_t ids[16];

	for (; frames[stack.frame_count]; stack.frame_count++) {
		const char *text = frames[stack.frame_count];

		frame = (struct profile_frame){.type = types[strchr(letters, *text) - letters]};
		snprintf(name, sizeof(name), "%s", text + 1);
		if (frame.type == PROFILE_LUA || frame.type == PROFILE_LUA_COMPILED) {
			CHECK_EQ(sscanf(text + 1, "%63[^@]@%63[^:]:%u:%u", name, chunk,
					&frame.first_line, &frame.line),
				 4);
			frame.file = chunk;
		}
		frame.name = name;
		if (frame.type == PROFILE_NATIVE)
			frame.mapping = (uint32_t)profile__add_mapping(profile, &file);
		ids[stack.frame_count] = (uint32_t)profile__add_frame(profile, &frame);
	}
	stack.frames = ids;
	stack.labels = (uint32_t)profile__add_labels(profile, labels, state ? 3 : 2);
	CHECK_EQ(profile__add_stack(profile, &stack), 0);
}

#define ADD(profile, pid, state, count, ...)                                                       \
	add(profile, pid, state, count, (const char *const[]){__VA_ARGS__, NULL})

/* Two workers: 10 samples in `work` (6 interpreted, on two lines; 4 compiled), 5 in a built-in that
 * it calls, 3 in the collector, 2 in C alone, of which 1 incomplete. */
static struct profile *example(void)
{
	struct profile *profile = profile__new();

	ADD(profile, "7", "interpreted", 4, "Cmain", "Lrun@app:1:5", "Lwork@app:10:11");
	ADD(profile, "7", "interpreted", 2, "Cmain", "Lrun@app:1:5", "Lwork@app:10:12");
	ADD(profile, "8", "compiled", 4, "Cmain", "Lrun@app:1:6", "Jwork@app:10:12");
	ADD(profile, "8", "C function", 5, "Cmain", "Lrun@app:1:6", "Lwork@app:10:12",
	    "Bstring.gsub", "Cmemcpy");
	ADD(profile, "7", "GC", 3, "Cmain", "Lrun@app:1:5", "N[gc]", "Clj_gc_step");
	ADD(profile, "7", NULL, 1, "Cmain", "Kdo_poll");
	ADD(profile, "7", NULL, 1, "N[incomplete: stack not readable]", "Cmain", "Kdo_poll");
	return profile;
}

static struct top_model *example_model(void)
{
	struct top_model *model = top_model__new();
	struct profile *profile = example();

	CHECK_EQ(top_model__add(model, profile), 0);
	top_model__refresh(model);
	profile__free(profile);
	return model;
}

static void add_and_show(struct top_model *model, const struct profile *profile)
{
	CHECK_EQ(top_model__add(model, profile), 0);
	top_model__refresh(model);
}

/* The rows as "name@place self/total/compiled", with spaces between them. */
static void check_rows(const struct top_model *model, const struct top_settings *settings,
		       const char *expected)
{
	char text[2048] = "", place[TOP_TEXT_BYTES];
	struct top_table table = {};
	const struct top_row *row;
	size_t length = 0, i;

	CHECK_EQ(top_table__make(&table, model, settings), 0);
	for (i = 0; i < table.count && length < sizeof(text); i++) {
		row = &table.rows[i];
		top_function__place(row->function, place, sizeof(place));
		length += (size_t)snprintf(text + length, sizeof(text) - length,
					   "%s%s@%s %" PRIu64 "/%" PRIu64 "/%" PRIu64, i ? " " : "",
					   row->function->name, place, row->self, row->total,
					   row->compiled);
	}
	CHECK_STR(text, expected);
	top_table__free(&table);
}

static void lua_functions_have_the_c_code_they_call(void)
{
	struct top_model *model = example_model();
	struct top_settings settings = {};

	check_rows(model, &settings,
		   "work@app:10 10/15/4 string.gsub@ 5/5/0 [gc]@ 3/3/0 run@app:1 0/18/0");
	settings.sort = TOP_BY_TOTAL;
	check_rows(model, &settings,
		   "run@app:1 0/18/0 work@app:10 10/15/4 string.gsub@ 5/5/0 [gc]@ 3/3/0");
	settings.sort = TOP_BY_NAME;
	check_rows(model, &settings,
		   "[gc]@ 3/3/0 run@app:1 0/18/0 string.gsub@ 5/5/0 work@app:10 10/15/4");
	top_model__free(model);
}

static void lines_are_told_apart(void)
{
	struct top_model *model = example_model();
	struct top_settings settings = {.lines = true};

	check_rows(model, &settings,
		   "work@app:12 6/11/4 string.gsub@ 5/5/0 work@app:11 4/4/0 [gc]@ 3/3/0 "
		   "run@app:5 0/9/0 run@app:6 0/9/0");
	top_model__free(model);
}

static void c_functions_and_both(void)
{
	struct top_model *model = example_model();
	struct top_settings settings = {.show = TOP_C};

	check_rows(model, &settings,
		   "main@libc.so.6 10/20/0 memcpy@libc.so.6 5/5/0 lj_gc_step@libc.so.6 3/3/0 "
		   "do_poll@[kernel] 2/2/0");
	settings.show = TOP_MIXED;
	check_rows(model, &settings,
		   "work@app:10 10/15/4 memcpy@libc.so.6 5/5/0 lj_gc_step@libc.so.6 3/3/0 "
		   "do_poll@[kernel] 2/2/0 main@libc.so.6 0/20/0 run@app:1 0/18/0 string.gsub@ "
		   "0/5/0 [gc]@ 0/3/0");
	top_model__free(model);
}

static void recursion_counts_once(void)
{
	struct profile *profile = profile__new();
	struct top_model *model = top_model__new();
	struct top_settings settings = {};

	ADD(profile, "7", "compiled", 3, "Lf@a:1:2", "Lg@a:5:6", "Jf@a:1:2");
	ADD(profile, "7", "interpreted", 2, "Jf@a:1:3", "Lf@a:1:2");
	add_and_show(model, profile);
	check_rows(model, &settings, "f@a:1 5/5/3 g@a:5 0/3/0");
	profile__free(profile);
	top_model__free(model);
}

static void processes_have_their_own(void)
{
	struct top_model *model = example_model();
	struct top_settings settings = {.pid = 8};
	struct top_process_count count;
	struct top_table table = {};

	check_rows(model, &settings, "string.gsub@ 5/5/0 work@app:10 4/9/4 run@app:1 0/9/0");
	settings = (struct top_settings){.processes = true};
	CHECK_EQ(top_table__make(&table, model, &settings), 0);
	CHECK_EQ(table.count, 2);
	CHECK_EQ(table.rows[0].process->pid, 7);
	CHECK_EQ(table.rows[0].total, 11);
	CHECK_STR(table.rows[0].function->name, "work");
	CHECK_EQ(table.rows[1].process->pid, 8);
	CHECK_EQ(table.rows[1].total, 9);
	CHECK_STR(table.rows[1].function->name, "string.gsub");
	CHECK_STR(table.rows[1].process->comm, "nginx");
	top_table__free(&table);

	count = top_model__sum(model, TOP_RECENT, 0);
	CHECK_EQ(count.samples, 20);
	CHECK_EQ(count.with_lua, 18);
	CHECK_EQ(count.incomplete, 1);
	CHECK_EQ(count.states[VM_STATE_INTERPRETED], 6);
	CHECK_EQ(count.states[VM_STATE_COMPILED], 4);
	CHECK_EQ(count.states[VM_STATE_C], 5);
	CHECK_EQ(count.states[VM_STATE_GC], 3);
	CHECK_EQ(count.states[VM_STATE_NONE], 2);
	CHECK_EQ(top_model__sum(model, TOP_RECENT, 8).samples, 9);
	CHECK_EQ(top_model__sum(model, TOP_RECENT, 9).samples, 0);
	top_model__free(model);
}

static void a_refresh_replaces_the_last_and_adds_to_all(void)
{
	struct top_model *model = example_model();
	struct profile *next = profile__new();
	struct top_settings settings = {};

	ADD(next, "7", "interpreted", 2, "Cmain", "Lrun@app:1:5", "Llate@app:20:21");
	add_and_show(model, next);
	check_rows(model, &settings, "late@app:20 2/2/0 run@app:1 0/2/0");
	CHECK_EQ(top_model__sum(model, TOP_RECENT, 0).samples, 2);
	settings.window = TOP_SINCE;
	check_rows(model, &settings,
		   "work@app:10 10/15/4 string.gsub@ 5/5/0 [gc]@ 3/3/0 late@app:20 2/2/0 "
		   "run@app:1 0/20/0");
	CHECK_EQ(top_model__sum(model, TOP_SINCE, 0).samples, 22);
	top_model__clear(model);
	check_rows(model, &settings, "");
	CHECK_EQ(top_model__sum(model, TOP_SINCE, 0).samples, 0);
	add_and_show(model, next);
	check_rows(model, &settings, "late@app:20 2/2/0 run@app:1 0/2/0");
	profile__free(next);
	top_model__free(model);
}

static void what_comes_before_a_refresh_is_not_shown(void)
{
	struct top_model *model = example_model();
	struct profile *next = profile__new();
	struct top_settings settings = {};

	ADD(next, "7", "interpreted", 2, "Llate@app:20:21");
	CHECK_EQ(top_model__add(model, next), 0);
	CHECK_EQ(top_model__add(model, next), 0);
	CHECK_EQ(top_model__sum(model, TOP_RECENT, 0).samples, 20);
	top_model__refresh(model);
	check_rows(model, &settings, "late@app:20 4/4/0");
	CHECK_EQ(top_model__sum(model, TOP_RECENT, 0).samples, 4);
	CHECK_EQ(top_model__sum(model, TOP_SINCE, 0).samples, 24);
	top_model__refresh(model);
	check_rows(model, &settings, "");
	profile__free(next);
	top_model__free(model);
}

static void names_that_come_later_are_used(void)
{
	struct top_model *model = example_model();
	struct profile *named = profile__new(), *first = profile__new();
	struct top_settings settings = {.window = TOP_SINCE};

	ADD(first, "7", "interpreted", 3, "Lunnamed@app:30:31");
	add_and_show(model, first);
	ADD(named, "7", "interpreted", 3, "Lhandler@app:30:31");
	CHECK_EQ(top_model__replace(model, named), 0);
	check_rows(model, &settings, "handler@app:30 3/3/0");
	/* What is kept is not replaced. */
	top_model__keep(model);
	CHECK_EQ(top_model__replace(model, first), 0);
	check_rows(model, &settings, "handler@app:30 3/3/0 unnamed@app:30 3/3/0");
	CHECK_EQ(top_model__sum(model, TOP_SINCE, 0).samples, 6);
	/* The last refresh is not touched by it. */
	settings.window = TOP_RECENT;
	check_rows(model, &settings, "unnamed@app:30 3/3/0");
	profile__free(named);
	profile__free(first);
	top_model__free(model);
}

static void more_processes_than_there_is_room_for_are_one(void)
{
	struct profile *profile = profile__new();
	struct top_model *model = top_model__new();
	const struct top_process *last;
	char pid[16];
	unsigned int i;

	for (i = 1; i <= 5000; i++) {
		snprintf(pid, sizeof(pid), "%u", i);
		ADD(profile, pid, NULL, 1, "Cmain");
	}
	add_and_show(model, profile);
	CHECK_EQ(top_model__sum(model, TOP_SINCE, 0).samples, 5000);
	CHECK_EQ(top_model__processes(model), 4097);
	last = top_model__process(model, 4096);
	CHECK_EQ(last->pid, 0);
	CHECK_STR(last->comm, "[others]");
	CHECK_EQ(last->counts[TOP_SINCE].samples, 904);
	profile__free(profile);
	top_model__free(model);
}

static void press(struct top_settings *settings, const char *keys, enum top_action last)
{
	enum top_action action = TOP_NOTHING;

	for (; *keys; keys++)
		action = top_settings__key(settings, (unsigned char)*keys, 10);
	CHECK_EQ(action, last);
}

static void filters_are_typed(void)
{
	struct top_model *model = example_model();
	struct top_settings settings = {};

	press(&settings, "/wo", TOP_DRAW);
	CHECK(settings.typing);
	check_rows(model, &settings, "work@app:10 10/15/4");
	/* What is no regular expression yet leaves the last one as it is. */
	press(&settings, "(", TOP_DRAW);
	CHECK(*settings.problem);
	check_rows(model, &settings, "work@app:10 10/15/4");
	press(&settings, "\n", TOP_DRAW);
	CHECK(settings.typing);
	press(&settings, "\b\b\bapp:1$\n", TOP_DRAW);
	CHECK(!settings.typing);
	CHECK_STR(settings.filter, "app:1$");
	check_rows(model, &settings, "run@app:1 0/18/0");
	/* Escape while typing: what it was before; then: none. */
	press(&settings, "/q\033", TOP_DRAW);
	CHECK_STR(settings.filter, "app:1$");
	check_rows(model, &settings, "run@app:1 0/18/0");
	press(&settings, "\033", TOP_DRAW);
	CHECK_STR(settings.filter, "");
	check_rows(model, &settings,
		   "work@app:10 10/15/4 string.gsub@ 5/5/0 [gc]@ 3/3/0 run@app:1 0/18/0");
	top_settings__free(&settings);
	top_model__free(model);
}

static void a_filter_takes_no_more_than_fits(void)
{
	struct top_settings settings = {};
	unsigned int i;

	press(&settings, "/", TOP_DRAW);
	for (i = 0; i < 300; i++)
		top_settings__key(&settings, 0xe4, 10);
	CHECK_EQ(strlen(settings.filter), (TOP_FILTER_BYTES - 1) / 2 * 2);
	top_settings__key(&settings, TOP_KEY_BACKSPACE, 10);
	CHECK_EQ(strlen(settings.filter), (TOP_FILTER_BYTES - 1) / 2 * 2 - 2);
	top_settings__key(&settings, TOP_KEY_UP, 10);
	CHECK_EQ(strlen(settings.filter), (TOP_FILTER_BYTES - 1) / 2 * 2 - 2);
	press(&settings, "\025", TOP_DRAW); /* Ctrl-U */
	CHECK_STR(settings.filter, "");
	CHECK(!settings.has_filter);
	top_settings__free(&settings);
}

static void keys_change_what_is_shown(void)
{
	struct top_settings settings = {};

	press(&settings, "s", TOP_DRAW);
	CHECK_EQ(settings.sort, TOP_BY_TOTAL);
	press(&settings, "ss", TOP_DRAW);
	CHECK_EQ(settings.sort, TOP_BY_SELF);
	press(&settings, "c", TOP_DRAW);
	CHECK_EQ(settings.show, TOP_C);
	press(&settings, "cc", TOP_DRAW);
	CHECK_EQ(settings.show, TOP_LUA);
	press(&settings, "t", TOP_DRAW);
	CHECK_EQ(settings.window, TOP_SINCE);
	press(&settings, "p", TOP_DRAW);
	CHECK(settings.paused);
	press(&settings, " ", TOP_DRAW);
	CHECK(!settings.paused);
	press(&settings, "r", TOP_CLEAR);
	press(&settings, "\n", TOP_NOTHING);
	press(&settings, "w\n", TOP_ENTER);
	press(&settings, "l", TOP_DRAW);
	CHECK(settings.lines && !settings.processes);
	press(&settings, "?", TOP_DRAW);
	CHECK(settings.help);
	press(&settings, "s", TOP_DRAW); /* any key: only back */
	CHECK(!settings.help);
	CHECK_EQ(settings.sort, TOP_BY_SELF);
	press(&settings, "hq", TOP_QUIT);
	press(&settings, "x", TOP_NOTHING);
	press(&settings, "q", TOP_QUIT);
}

static void escape_goes_back_step_by_step(void)
{
	struct top_settings settings = {.pid = 7};

	CHECK_EQ(top_settings__filter(&settings, "x"), 0);
	press(&settings, "\033", TOP_DRAW);
	CHECK_EQ(settings.pid, 0);
	CHECK(settings.processes && settings.has_filter);
	press(&settings, "\033", TOP_DRAW);
	CHECK(settings.processes && !settings.has_filter);
	press(&settings, "\033", TOP_DRAW);
	CHECK(!settings.processes);
}

static void rows_scroll_within_the_table(void)
{
	struct top_settings settings = {};

	top_settings__key(&settings, TOP_KEY_UP, 10);
	CHECK_EQ(settings.first, 0);
	top_settings__key(&settings, TOP_KEY_END, 10);
	top_settings__key(&settings, TOP_KEY_END, 10);
	top_settings__clamp(&settings, 25, 10);
	CHECK_EQ(settings.first, 15);
	top_settings__key(&settings, TOP_KEY_PAGE_UP, 10);
	CHECK_EQ(settings.first, 5);
	top_settings__clamp(&settings, 3, 10);
	CHECK_EQ(settings.first, 0);
	/* The selected process stays on the page. */
	settings = (struct top_settings){.processes = true, .selected = 24};
	top_settings__clamp(&settings, 25, 10);
	CHECK_EQ(settings.first, 15);
	top_settings__key(&settings, TOP_KEY_HOME, 10);
	top_settings__clamp(&settings, 25, 10);
	CHECK_EQ(settings.first, 0);
	settings.selected = 30;
	top_settings__clamp(&settings, 0, 10);
	CHECK_EQ(settings.selected, 0);
}

int main(void)
{
	RUN(lua_functions_have_the_c_code_they_call,
	    "Lua functions have the C code that they call");
	RUN(lines_are_told_apart, "lines are told apart");
	RUN(c_functions_and_both, "C functions, and both");
	RUN(recursion_counts_once, "recursion counts once");
	RUN(processes_have_their_own, "processes have figures of their own");
	RUN(a_refresh_replaces_the_last_and_adds_to_all,
	    "a refresh replaces the last one and adds to all");
	RUN(what_comes_before_a_refresh_is_not_shown, "what comes before a refresh is not shown");
	RUN(names_that_come_later_are_used,
	    "names that come later are used for all but what is kept");
	RUN(more_processes_than_there_is_room_for_are_one,
	    "more processes than there is room for are one");
	RUN(filters_are_typed, "filters are typed, mended and left");
	RUN(a_filter_takes_no_more_than_fits,
	    "a filter takes no more than fits, in whole characters");
	RUN(keys_change_what_is_shown, "keys change what is shown");
	RUN(escape_goes_back_step_by_step, "Escape goes back step by step");
	RUN(rows_scroll_within_the_table, "rows scroll within the table");
	return TEST_RESULT();
}
