/* SPDX-License-Identifier: Apache-2.0 */
#include "top_page.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#define HEAD_ROWS  4 /* above the table's own head */
#define HOT_SHARE  0.10
#define COLD_SHARE 0.01
#define MAX_WIDTH  1000 /* of plain text */

/* From this many columns on there is room for: */
#define WITH_PLACE	60
#define WITH_SECONDS	90
#define NAME_SHARE	0.5 /* of what names and places have together */
#define PROCESS_COLUMNS 74  /* in front of a process's hottest function */

struct page {
	struct top_grid *grid;
	const struct top_info *info;
	const struct top_settings *settings;
	const struct top_model *model;
	const struct top_table *table;
	bool plain;
};

int top_page__rows(int rows)
{
	/* The table's head and the line of keys. */
	return rows > HEAD_ROWS + 2 ? rows - HEAD_ROWS - 2 : 1;
}

__attribute__((format(printf, 5, 6))) static int
print(const struct page *p, int row, int column, enum top_style style, const char *format, ...)
{
	char text[1024];
	va_list args;

	va_start(args, format);
	vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	return column + top_grid__put(p->grid, row, column, p->grid->columns - column, style,
				      TOP_CUT_END, text);
}

static double share(uint64_t part, uint64_t whole)
{
	return whole ? (double)part / (double)whole : 0;
}

static double percent(uint64_t part, uint64_t whole)
{
	return 100 * share(part, whole);
}

/* ---- above the table --------------------------------------------------------------------------
 */

static void draw_title(const struct page *p)
{
	int room = p->grid->columns - 12, column = 0;
	const char *state = p->settings->paused ? "  PAUSED" : "";

	column += top_grid__put(p->grid, 0, 0, room, TOP_BAR, TOP_CUT_END, "luaspy top  ");
	column += top_grid__put(p->grid, 0, column, room - column - (int)strlen(state), TOP_BAR,
				TOP_CUT_END, p->info->title);
	top_grid__put(p->grid, 0, column, room - column, TOP_BAR, TOP_CUT_END, state);
	if (!p->plain)
		top_grid__style(p->grid, 0, TOP_BAR);
	top_grid__put(p->grid, 0, p->grid->columns - top_grid__width(p->info->time),
		      p->grid->columns, TOP_BAR, TOP_CUT_END, p->info->time);
}

static void draw_samples(const struct page *p, const struct top_process_count *sum)
{
	enum top_window window = p->settings->window;
	double seconds = p->info->seconds[window];
	uint64_t lost = p->info->lost[window];
	int column;

	column = print(p, 1, 0, TOP_STRONG, window == TOP_RECENT ? "last %.1f s" : "%.0f s",
		       seconds);
	column = print(p, 1, column, TOP_PLAIN, "  %.0f samples/s  CPU %.0f %%",
		       seconds > 0 ? (double)sum->samples / seconds : 0,
		       seconds > 0 ? 100 * (double)sum->samples / seconds / p->info->rate_hz : 0);
	column = print(p, 1, column, TOP_PLAIN, "  with Lua %.1f %%",
		       percent(sum->with_lua, sum->samples));
	column = print(p, 1, column, sum->incomplete ? TOP_NOTE : TOP_PLAIN, "  incomplete %.1f %%",
		       percent(sum->incomplete, sum->samples));
	print(p, 1, column, lost ? TOP_HOT : TOP_PLAIN, "  lost %.1f %%",
	      percent(lost, sum->samples + lost));
}

static void draw_states(const struct page *p, const struct top_process_count *sum)
{
	const uint64_t *states = sum->states;
	const struct {
		const char *name;
		uint64_t samples;
		bool always;
	} shown[] = {
		{"interpreted", states[VM_STATE_INTERPRETED], true},
		{"compiled", states[VM_STATE_COMPILED], true},
		{"C function", states[VM_STATE_C], true},
		{"GC", states[VM_STATE_GC], true},
		{"JIT compiler",
		 states[VM_STATE_RECORD] + states[VM_STATE_OPTIMISE] + states[VM_STATE_ASSEMBLE],
		 false},
		{"trace exit", states[VM_STATE_EXIT], false},
		{"outside the VM", states[VM_STATE_NONE], false},
	};
	int column = print(p, 2, 0, TOP_STRONG, "VM");
	size_t i;

	for (i = 0; i < sizeof(shown) / sizeof(shown[0]); i++) {
		if (shown[i].samples || shown[i].always)
			column = print(p, 2, column, shown[i].samples ? TOP_PLAIN : TOP_FAINT,
				       "  %s %.1f %%", shown[i].name,
				       percent(shown[i].samples, sum->samples));
	}
}

static void draw_settings(const struct page *p)
{
	static const char *const shows[TOP_SHOWS] = {"Lua", "C", "Lua and C"};
	static const char *const sorts[TOP_SORTS] = {"self", "total", "name"};
	const struct top_settings *settings = p->settings;
	int column;

	if (settings->processes) {
		print(p, 3, 0, TOP_PLAIN, "processes by %s",
		      settings->sort == TOP_BY_NAME ? "name" : "CPU");
		return;
	}
	column = print(p, 3, 0, TOP_PLAIN, "%s %s by %s", shows[settings->show],
		       settings->lines ? "lines" : "functions", sorts[settings->sort]);
	if (settings->pid)
		column = print(p, 3, column, TOP_STRONG, "  of process %u", settings->pid);
	if (settings->has_filter)
		column = print(p, 3, column, TOP_STRONG, "  matching %s", settings->filter);
	print(p, 3, column, TOP_FAINT, "  (%zu)", p->table->count);
}

/* ---- the table of functions -------------------------------------------------------------------
 */

static enum top_style name_style(enum profile_frame_type type)
{
	switch (type) {
	case PROFILE_KERNEL:
		return TOP_KERNEL_NAME;
	case PROFILE_NATIVE:
		return TOP_C_NAME;
	case PROFILE_NOTE:
		return TOP_NOTE;
	default:
		return TOP_LUA_NAME;
	}
}

static const char *name_of(const struct top_function *function)
{
	return *function->name ? function->name : "(no name)";
}

static enum top_style heat(double of_all)
{
	return of_all >= HOT_SHARE ? TOP_HOT : of_all < COLD_SHARE ? TOP_FAINT : TOP_PLAIN;
}

static void draw_function(const struct page *p, int row, const struct top_row *shown, bool compiled,
			  int name_width, int gap)
{
	double self = share(shown->self, p->table->samples);
	double total = share(shown->total, p->table->samples);
	char place[TOP_TEXT_BYTES];
	int column;

	column = print(p, row, 0, heat(self), "%6.1f", 100 * self);
	column = print(p, row, column, heat(total), "%7.1f", 100 * total);
	if (p->grid->columns >= WITH_SECONDS)
		column = print(p, row, column, TOP_FAINT, "%9.2f%9.2f",
			       (double)shown->self / p->info->rate_hz,
			       (double)shown->total / p->info->rate_hz);
	if (compiled && shown->compiled)
		column = print(p, row, column, TOP_PLAIN, "%5.0f",
			       percent(shown->compiled, shown->total));
	else if (compiled)
		column += 5;
	column += 2;
	top_grid__put(p->grid, row, column, name_width, name_style(shown->function->type),
		      TOP_CUT_MIDDLE, name_of(shown->function));
	if (p->grid->columns < WITH_PLACE)
		return;
	top_function__place(shown->function, place, sizeof(place));
	column += name_width + gap;
	top_grid__put(p->grid, row, column, p->grid->columns - column, TOP_FAINT, TOP_CUT_START,
		      place);
}

static bool any_compiled(const struct top_table *table)
{
	size_t i;

	for (i = 0; i < table->count; i++) {
		if (table->rows[i].compiled)
			return true;
	}
	return false;
}

static int function_column(const struct page *p, bool compiled)
{
	return 13 + (p->grid->columns >= WITH_SECONDS ? 18 : 0) + (compiled ? 5 : 0) + 2;
}

static void draw_functions(const struct page *p, int rows, int name_width)
{
	const int gap = 2;
	bool compiled = any_compiled(p->table);
	int left = p->grid->columns - function_column(p, compiled) - gap, i, column;
	size_t at;

	if (p->grid->columns < WITH_PLACE)
		name_width = left + gap;
	else if (!name_width)
		name_width = (int)(left * NAME_SHARE);
	column = print(p, HEAD_ROWS, 0, TOP_BAR, "%6s%7s", "SELF%", "TOTAL%");
	if (p->grid->columns >= WITH_SECONDS)
		column = print(p, HEAD_ROWS, column, TOP_BAR, "%9s%9s", "SELF s", "TOTAL s");
	if (compiled)
		column = print(p, HEAD_ROWS, column, TOP_BAR, "%5s", "JIT%");
	print(p, HEAD_ROWS, column + 2, TOP_BAR, "%s", "FUNCTION");
	if (p->grid->columns >= WITH_PLACE)
		print(p, HEAD_ROWS, column + 2 + name_width + gap, TOP_BAR, "%s",
		      p->settings->show == TOP_C ? "FILE"
		      : p->settings->lines	 ? "LINE"
						 : "DEFINED AT");
	for (i = 0; i < rows; i++) {
		at = (size_t)p->settings->first + (size_t)i;
		if (at < p->table->count)
			draw_function(p, HEAD_ROWS + 1 + i, &p->table->rows[at], compiled,
				      name_width, gap);
	}
}

/* ---- the table of processes -------------------------------------------------------------------
 */

static void draw_process(const struct page *p, int row, const struct top_row *shown)
{
	const struct top_process *process = shown->process;
	const struct top_process_count *count = &process->counts[p->settings->window];
	double seconds = p->info->seconds[p->settings->window];
	int column;

	column = process->pid ? print(p, row, 0, TOP_PLAIN, "%8u", process->pid)
			      : print(p, row, 0, TOP_PLAIN, "%8s", "-");
	top_grid__put(p->grid, row, column + 2, 16, TOP_STRONG, TOP_CUT_END, process->comm);
	column = print(p, row, column + 18, TOP_PLAIN, "%7.1f%7.1f%8.1f%7.1f%7.1f%7.1f",
		       seconds > 0 ? 100 * (double)count->samples / seconds / p->info->rate_hz : 0,
		       percent(count->with_lua, count->samples),
		       percent(count->states[VM_STATE_INTERPRETED], count->samples),
		       percent(count->states[VM_STATE_COMPILED], count->samples),
		       percent(count->states[VM_STATE_C], count->samples),
		       percent(count->states[VM_STATE_GC], count->samples));
	if (shown->function)
		top_grid__put(p->grid, row, column + 2, p->grid->columns - column - 2, TOP_LUA_NAME,
			      TOP_CUT_MIDDLE, name_of(shown->function));
}

static void draw_processes(const struct page *p, int rows)
{
	int i;
	size_t at;

	print(p, HEAD_ROWS, 0, TOP_BAR, "%8s  %-16s%7s%7s%8s%7s%7s%7s  %s", "PID", "PROGRAM",
	      "CPU%", "LUA%", "INTERP%", "JIT%", "C%", "GC%", "HOTTEST FUNCTION");
	for (i = 0; i < rows; i++) {
		at = (size_t)p->settings->first + (size_t)i;
		if (at >= p->table->count)
			break;
		draw_process(p, HEAD_ROWS + 1 + i, &p->table->rows[at]);
		if (!p->plain && at == (size_t)p->settings->selected)
			top_grid__style(p->grid, HEAD_ROWS + 1 + i, TOP_BAR);
	}
}

/* ---- below it ---------------------------------------------------------------------------------
 */

static void draw_keys(const struct page *p)
{
	static const char *const keys[][2] = {
		{"q", "quit"},	 {"h", "help"},	      {"s", "sort"},	{"t", "last/all"},
		{"c", "Lua/C"},	 {"l", "lines"},      {"w", "workers"}, {"p", "pause"},
		{"/", "filter"}, {"r", "start over"},
	};
	int row = p->grid->rows - 1, column;
	size_t i;

	if (row <= HEAD_ROWS)
		return;
	if (p->settings->typing) {
		column = print(p, row, 0, TOP_STRONG, "filter (a regular expression): %s",
			       p->settings->filter);
		column = print(p, row, column, TOP_BAR, " ");
		print(p, row, column, TOP_HOT, "  %s", p->settings->problem);
		return;
	}
	if (*p->info->note) {
		print(p, row, 0, TOP_HOT, "%s", p->info->note);
		return;
	}
	column = 0;
	if (p->settings->processes)
		column = print(p, row, 0, TOP_STRONG, "Enter") + 1;
	if (p->settings->processes)
		column = print(p, row, column, TOP_FAINT, "its functions") + 2;
	for (i = 0; i < sizeof(keys) / sizeof(keys[0]); i++) {
		column = print(p, row, column, TOP_STRONG, "%s", keys[i][0]) + 1;
		column = print(p, row, column, TOP_FAINT, "%s", keys[i][1]) + 2;
	}
}

static void draw_help(const struct page *p)
{
	static const char *const lines[] = {
		"q, Ctrl-C      quit",
		"s              sort by self, total or name",
		"t              figures of the last refresh, or since the start",
		"c              Lua functions, C functions, or both",
		"l              lines instead of functions, and back",
		"w              processes (workers); Enter: the functions of one, Esc: back",
		"/              filter: a regular expression for name@place; Esc leaves it",
		"p, space       pause and go on",
		"r              start over: figures since now",
		"arrows, page   scroll; Home and End as well",
		"",
		"SELF    samples with it innermost of what is shown: Lua has its C code",
		"TOTAL   samples with it anywhere on the stack",
		"JIT     the part of TOTAL in which it ran compiled",
		"100 % is all samples of the targets' CPU time, in Lua or not.",
	};
	int i;

	for (i = 0; i < (int)(sizeof(lines) / sizeof(lines[0])); i++)
		print(p, 1 + i, 2, TOP_PLAIN, "%s", lines[i]);
	print(p, p->grid->rows - 1, 0, TOP_STRONG, "any key goes back");
}

static void draw(const struct page *p, int rows, int name_width)
{
	struct top_process_count sum =
		top_model__sum(p->model, p->settings->window, p->settings->pid);

	draw_title(p);
	if (p->settings->help) {
		draw_help(p);
		return;
	}
	draw_samples(p, &sum);
	draw_states(p, &sum);
	draw_settings(p);
	if (p->settings->processes)
		draw_processes(p, rows);
	else
		draw_functions(p, rows, name_width);
	if (!p->plain) {
		top_grid__style(p->grid, HEAD_ROWS, TOP_BAR);
		draw_keys(p);
	}
}

void top_page__draw(struct top_grid *grid, const struct top_info *info,
		    const struct top_settings *settings, const struct top_model *model,
		    const struct top_table *table)
{
	const struct page p = {grid, info, settings, model, table, false};

	draw(&p, top_page__rows(grid->rows), 0);
}

int top_page__draw_plain(struct top_grid *grid, int rows, int width, const struct top_info *info,
			 const struct top_settings *settings, const struct top_model *model,
			 const struct top_table *table)
{
	const struct page p = {grid, info, settings, model, table, true};
	int names = 8, places = 0, wanted, i, columns;
	char place[TOP_TEXT_BYTES];

	if ((size_t)rows > table->count)
		rows = (int)table->count;
	for (i = 0; i < rows; i++) {
		if (!table->rows[i].function)
			continue;
		wanted = top_grid__width(name_of(table->rows[i].function));
		names = wanted > names ? wanted : names;
		top_function__place(table->rows[i].function, place, sizeof(place));
		wanted = top_grid__width(place);
		places = wanted > places ? wanted : places;
	}
	if (names > MAX_WIDTH / 2)
		names = MAX_WIDTH / 2;
	columns = PROCESS_COLUMNS + names + places;
	if (columns < 120)
		columns = 120;
	if (columns > MAX_WIDTH)
		columns = MAX_WIDTH;
	if (width && columns > width) {
		columns = width;
		names = 0;
	}
	if (top_grid__make(grid, HEAD_ROWS + 1 + rows, columns) != 0)
		return -ENOMEM;
	draw(&p, rows, names);
	return 0;
}
