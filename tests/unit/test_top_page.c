// SPDX-License-Identifier: Apache-2.0
/* What `luaspy top` draws: texts that fit, whole pages, and nothing of a target that a terminal
 * would obey. */
#include <stdlib.h>
#include <string.h>

#include "../test.h"
#include "cmd/top_grid.h"
#include "cmd/top_page.h"

static char *text_of(const struct top_grid *grid)
{
	char *text = NULL;
	size_t size;
	FILE *out = open_memstream(&text, &size);

	top_grid__write(grid, out);
	fclose(out);
	return text;
}

static void check_put(int width, enum top_cut cut, const char *text, const char *expected, int used)
{
	struct top_grid grid = {};
	char *got;

	CHECK_EQ(top_grid__make(&grid, 1, 20), 0);
	CHECK_EQ(top_grid__put(&grid, 0, 2, width, TOP_PLAIN, cut, text), used);
	got = text_of(&grid);
	CHECK_STR(got, expected);
	free(got);
	top_grid__free(&grid);
}

static void long_texts_are_shortened_where_it_hurts_least(void)
{
	check_put(6, TOP_CUT_END, "abcdef", "  abcdef\n", 6);
	check_put(6, TOP_CUT_END, "abcdefg", "  abcde…\n", 6);
	check_put(6, TOP_CUT_START, "abcdefg", "  …cdefg\n", 6);
	check_put(6, TOP_CUT_MIDDLE, "abcdefg", "  ab…efg\n", 6);
	check_put(1, TOP_CUT_MIDDLE, "abcdefg", "  …\n", 1);
	check_put(0, TOP_CUT_END, "abc", "", 0);
	check_put(-3, TOP_CUT_END, "abc", "", 0);
}

static void wide_characters_take_two_columns(void)
{
	check_put(6, TOP_CUT_END, "日本語", "  日本語\n", 6);
	check_put(5, TOP_CUT_END, "日本語", "  日本…\n", 5);
	check_put(4, TOP_CUT_END, "日本語", "  日…\n", 3);
	check_put(4, TOP_CUT_START, "日本語", "  …語\n", 3);
	CHECK_EQ(top_grid__width("a日b"), 4);
}

static void nothing_that_a_terminal_obeys_gets_through(void)
{
	check_put(18, TOP_CUT_END, "a\033[2Jb\x07\x7f",
		  "  a\xef\xbf\xbd[2Jb\xef\xbf\xbd\xef\xbf\xbd\n", 8);
	check_put(18, TOP_CUT_END, "\xff\xc3(", "  \xef\xbf\xbd\xef\xbf\xbd(\n", 3);
	/* C1 controls, marks that would take no column, and what turns the direction around. */
	check_put(18, TOP_CUT_END,
		  "\xc2\x9b"
		  "e\xcc\x81\xe2\x80\xae",
		  "  \xef\xbf\xbd"
		  "e\xef\xbf\xbd\xef\xbf\xbd\n",
		  4);
}

static void what_is_outside_of_the_page_is_left_out(void)
{
	struct top_grid grid = {};
	char *got;

	CHECK_EQ(top_grid__make(&grid, 2, 5), 0);
	top_grid__put(&grid, 0, 3, 9, TOP_PLAIN, TOP_CUT_END, "abcd");
	top_grid__put(&grid, 1, 4, 9, TOP_PLAIN, TOP_CUT_END, "日");
	top_grid__put(&grid, 2, 0, 9, TOP_PLAIN, TOP_CUT_END, "x");
	top_grid__put(&grid, -1, 0, 9, TOP_PLAIN, TOP_CUT_END, "x");
	top_grid__style(&grid, 2, TOP_BAR);
	got = text_of(&grid);
	CHECK_STR(got, "   ab\n");
	free(got);
	CHECK_EQ(top_grid__make(&grid, 0, 5), 0);
	top_grid__put(&grid, 0, 0, 9, TOP_PLAIN, TOP_CUT_END, "x");
	CHECK_EQ(grid.rows, 0);
	top_grid__free(&grid);
}

/* ---- pages ------------------------------------------------------------------------------------
 */

struct page {
	struct top_model *model;
	struct top_table table;
	struct top_settings settings;
	struct top_info info;
};

/* 200 samples in 2 s at 100 Hz: 120 in `search`, half of them compiled, 60 in the built-in that it
 * calls, 20 in nothing but C. */
static void open_page(struct page *p, const char *name)
{
	struct profile *profile = profile__new();
	struct profile_label labels[] = {
		{"pid", "7"}, {"comm", "nginx"}, {"vmstate", "interpreted"}};
	struct profile_frame lua = {.type = PROFILE_LUA,
				    .name = name,
				    .file = "lua/shop/catalog.lua",
				    .first_line = 64,
				    .line = 70};
	struct profile_stack stack = {.frame_count = 1, .count = 60};
	uint32_t ids[2];

	*p = (struct page){.info = {.title = "nginx 7 and 1 other in web",
				    .time = "12:04:59",
				    .note = "",
				    .rate_hz = 100,
				    .seconds = {2, 60},
				    .lost = {0, 5}}};
	stack.frames = ids;
	ids[0] = (uint32_t)profile__add_frame(profile, &lua);
	ids[1] = (uint32_t)profile__frame(profile, PROFILE_BUILTIN, "table.sort");
	stack.labels = (uint32_t)profile__add_labels(profile, labels, 3);
	CHECK_EQ(profile__add_stack(profile, &stack), 0);
	stack.frame_count = 2;
	CHECK_EQ(profile__add_stack(profile, &stack), 0);
	lua.type = PROFILE_LUA_COMPILED;
	labels[2].value = "compiled";
	stack.labels = (uint32_t)profile__add_labels(profile, labels, 3);
	stack.frame_count = 1;
	ids[0] = (uint32_t)profile__add_frame(profile, &lua);
	CHECK_EQ(profile__add_stack(profile, &stack), 0);
	labels[0].value = "8";
	stack.labels = (uint32_t)profile__add_labels(profile, labels, 2);
	stack.count = 20;
	ids[0] = (uint32_t)profile__frame(profile, PROFILE_NATIVE, "epoll_wait");
	CHECK_EQ(profile__add_stack(profile, &stack), 0);
	p->model = top_model__new();
	CHECK_EQ(top_model__add(p->model, profile), 0);
	top_model__refresh(p->model);
	profile__free(profile);
}

static void close_page(struct page *p)
{
	top_table__free(&p->table);
	top_settings__free(&p->settings);
	top_model__free(p->model);
}

static char *draw(struct page *p, int rows, int columns)
{
	struct top_grid grid = {};
	char *text;

	CHECK_EQ(top_table__make(&p->table, p->model, &p->settings), 0);
	CHECK_EQ(top_grid__make(&grid, rows, columns), 0);
	top_page__draw(&grid, &p->info, &p->settings, p->model, &p->table);
	text = text_of(&grid);
	top_grid__free(&grid);
	return text;
}

static void check_page(struct page *p, int rows, int columns, const char *expected)
{
	char *text = draw(p, rows, columns);

	CHECK_STR(text, expected);
	free(text);
}

#define KEYS_100                                                                                   \
	"q quit  h help  s sort  t last/all  c Lua/C  l lines  w workers  p pause  / filter  r "   \
	"start "                                                                                   \
	"over\n"

static void a_page_has_all_figures(void)
{
	struct page p;

	open_page(&p, "search");
	check_page(&p, 9, 100,
		   "luaspy top  nginx 7 and 1 other in web                                        "
		   "              12:04:59\n"
		   "last 2.0 s  100 samples/s  CPU 100 %  with Lua 90.0 %  incomplete 0.0 %  lost "
		   "0.0 %\n"
		   "VM  interpreted 60.0 %  compiled 30.0 %  C function 0.0 %  GC 0.0 %  outside "
		   "the VM 10.0 %\n"
		   "Lua functions by self  (2)\n"
		   " SELF% TOTAL%   SELF s  TOTAL s JIT%  FUNCTION                        DEFINED "
		   "AT\n"
		   "  60.0   90.0     1.20     1.80   33  search                          "
		   "lua/shop/catalog.lua:64\n"
		   "  30.0   30.0     0.60     0.60       table.sort\n"
		   "\n" KEYS_100);
	p.settings.lines = true;
	p.settings.window = TOP_SINCE;
	p.settings.paused = true;
	p.info.note = "There are warnings";
	CHECK_EQ(top_settings__filter(&p.settings, "cat.*70$"), 0);
	check_page(&p, 8, 70,
		   "luaspy top  nginx 7 and 1 other in web  PAUSED                12:04:59\n"
		   "60 s  3 samples/s  CPU 3 %  with Lua 90.0 %  incomplete 0.0 %  lost 2…\n"
		   "VM  interpreted 60.0 %  compiled 30.0 %  C function 0.0 %  GC 0.0 %  …\n"
		   "Lua lines by self  matching cat.*70$  (1)\n"
		   " SELF% TOTAL% JIT%  FUNCTION                  LINE\n"
		   "  60.0   90.0   33  search                    lua/shop/catalog.lua:70\n"
		   "\n"
		   "There are warnings\n");
	close_page(&p);
}

static void processes_have_a_page(void)
{
	struct page p;

	open_page(&p, "search");
	p.settings.processes = true;
	check_page(&p, 8, 100,
		   "luaspy top  nginx 7 and 1 other in web                                        "
		   "              12:04:59\n"
		   "last 2.0 s  100 samples/s  CPU 100 %  with Lua 90.0 %  incomplete 0.0 %  lost "
		   "0.0 %\n"
		   "VM  interpreted 60.0 %  compiled 30.0 %  C function 0.0 %  GC 0.0 %  outside "
		   "the VM 10.0 %\n"
		   "processes by CPU\n"
		   "     PID  PROGRAM            CPU%   LUA% INTERP%   JIT%     C%    GC%  HOTTEST "
		   "FUNCTION\n"
		   "       7  nginx              90.0  100.0    66.7   33.3    0.0    0.0  search\n"
		   "       8  nginx              10.0    0.0     0.0    0.0    0.0    0.0\n"
		   "Enter its functions  q quit  h help  s sort  t last/all  c Lua/C  l lines  w "
		   "workers  p pause  / fi…\n");
	close_page(&p);
}

static void the_place_gives_way_to_the_name_and_both_are_shortened(void)
{
	struct page p;
	char *text;

	open_page(&p, "<anonymous in _M.a_very_long_name_of_a_function, for table.sort>");
	text = draw(&p, 9, 70);
	CHECK(strstr(text,
		     "\n  60.0   90.0   33  <anonymous … table.sort>  lua/shop/catalog.lua:64"));
	free(text);
	text = draw(&p, 9, 60);
	CHECK(strstr(text, "\n  60.0   90.0   33  <anonymou…ble.sort>  …hop/catalog.lua:64\n"));
	free(text);
	text = draw(&p, 9, 50);
	CHECK(strstr(text, "\n  60.0   90.0   33  <anonymous in …for table.sort>\n"));
	free(text);
	close_page(&p);
}

static void a_function_without_a_name_has_its_place(void)
{
	struct page p;
	char *text;

	open_page(&p, "");
	text = draw(&p, 9, 100);
	CHECK(strstr(text, "  (no name)                       lua/shop/catalog.lua:64\n"));
	free(text);
	close_page(&p);
}

static void plain_text_shortens_nothing(void)
{
	struct top_grid grid = {};
	char name[301], *text;
	struct page p;

	memset(name, 'x', 300);
	name[300] = '\0';
	open_page(&p, name);
	CHECK_EQ(top_table__make(&p.table, p.model, &p.settings), 0);
	CHECK_EQ(top_page__draw_plain(&grid, 30, 0, &p.info, &p.settings, p.model, &p.table), 0);
	text = text_of(&grid);
	CHECK(strstr(text, name));
	CHECK(strstr(text, "xx  lua/shop/catalog.lua:64\n"));
	CHECK(strstr(text, "\n  30.0   30.0     0.60     0.60       table.sort\n"));
	CHECK(!strstr(text, "quit"));
	free(text);
	CHECK_EQ(top_page__draw_plain(&grid, 1, 80, &p.info, &p.settings, p.model, &p.table), 0);
	text = text_of(&grid);
	CHECK(strstr(text, "xxx…xxx"));
	CHECK(!strstr(text, "table.sort"));
	free(text);
	top_grid__free(&grid);
	close_page(&p);
}

static void every_size_can_be_drawn(void)
{
	static const bool choices[] = {false, true};
	int rows, columns, processes, help;
	struct page p;

	open_page(&p, "search日本語");
	for (rows = 1; rows < 25; rows++) {
		for (columns = 1; columns < 140; columns++) {
			for (processes = 0; processes < 2; processes++) {
				for (help = 0; help < 2; help++) {
					p.settings.processes = choices[processes];
					p.settings.help = choices[help];
					p.settings.typing = columns % 2;
					free(draw(&p, rows, columns));
				}
			}
		}
	}
	p.settings = (struct top_settings){};
	check_page(&p, 3, 20, "luaspy …    12:04:59\nlast 2.0 s  100 sam…\nVM  interpreted 60.…\n");
	close_page(&p);
}

int main(void)
{
	RUN(long_texts_are_shortened_where_it_hurts_least,
	    "long texts are shortened where it hurts least");
	RUN(wide_characters_take_two_columns, "wide characters take two columns");
	RUN(nothing_that_a_terminal_obeys_gets_through,
	    "nothing that a terminal obeys gets through");
	RUN(what_is_outside_of_the_page_is_left_out, "what is outside of the page is left out");
	RUN(a_page_has_all_figures, "a page has all figures");
	RUN(processes_have_a_page, "processes have a page");
	RUN(the_place_gives_way_to_the_name_and_both_are_shortened,
	    "the place gives way to the name, and both are shortened");
	RUN(a_function_without_a_name_has_its_place, "a function without a name has its place");
	RUN(plain_text_shortens_nothing, "plain text shortens nothing, unless for a terminal");
	RUN(every_size_can_be_drawn, "every size can be drawn");
	return TEST_RESULT();
}
