/* SPDX-License-Identifier: Apache-2.0 */
#include "top_screen.h"

#include <curses.h>
#include <errno.h>
#include <langinfo.h>
#include <locale.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <termios.h>
#include <unistd.h>
#include <wchar.h>

#include "top_settings.h"
#include "top_terminal.h"

#define ESCAPE_DELAY_MS 25
#define REPLACEMENT	0xfffdu
#define ELLIPSIS	0x2026u

/* The terminal is the process's, as are signals and what is done at exit. */
static struct {
	SCREEN *screen;
	bool is_open, utf8, colours;
	struct termios before;
	char reset[128]; /* what makes it usable when there is no time for more */
	size_t reset_size;
} terminal;

/*
 * Is it UTF-8 that the terminal takes? Else it is given ASCII. No other character set is ever set:
 * a static program would load its converter, which belongs to the machine's C library, another
 * version than ours. Where the machine has no such locale either, it has to be ASCII.
 */
static bool choose_charset(void)
{
	const char *names[] = {getenv("LC_ALL"), getenv("LC_CTYPE"), getenv("LANG")}, *name = "";
	size_t i;

	for (i = 0; i < sizeof(names) / sizeof(names[0]) && !*name; i++)
		name = names[i] ? names[i] : "";
	if (!strcasestr(name, "utf-8") && !strcasestr(name, "utf8"))
		return false;
	if (!setlocale(LC_CTYPE, "C.UTF-8") && !setlocale(LC_CTYPE, name))
		return false;
	return strcmp(nl_langinfo(CODESET), "UTF-8") == 0;
}

/* ---- giving it back ---------------------------------------------------------------------------
 */

static void give_back_and_die(int number)
{
	ssize_t written;

	if (terminal.is_open) {
		terminal.is_open = false;
		written = write(STDOUT_FILENO, terminal.reset, terminal.reset_size);
		(void)written;
		tcsetattr(STDIN_FILENO, TCSANOW, &terminal.before);
	}
	signal(number, SIG_DFL);
	raise(number);
}

void top_screen__close(void)
{
	if (!terminal.is_open)
		return;
	terminal.is_open = false;
	endwin();
	delscreen(terminal.screen);
	terminal.screen = NULL;
}

static void catch_crashes(void)
{
	static const int numbers[] = {SIGSEGV, SIGBUS, SIGABRT, SIGFPE, SIGILL, SIGQUIT};
	struct sigaction action = {.sa_handler = give_back_and_die};
	size_t i;

	for (i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++)
		sigaction(numbers[i], &action, NULL);
	atexit(top_screen__close);
}

/* ---- the screen -------------------------------------------------------------------------------
 */

/* Those of a style, readable on dark and on light; -1: the terminal's own. */
static const short colours[TOP_STYLES] = {
	[TOP_PLAIN] = -1,	    [TOP_BAR] = -1,
	[TOP_STRONG] = -1,	    [TOP_FAINT] = -1,
	[TOP_HOT] = COLOR_RED,	    [TOP_LUA_NAME] = -1,
	[TOP_C_NAME] = COLOR_CYAN,  [TOP_KERNEL_NAME] = COLOR_MAGENTA,
	[TOP_NOTE] = COLOR_MAGENTA,
};

static void open_colours(void)
{
	short style;

	terminal.colours = has_colors() && start_color() == OK && use_default_colors() == OK;
	for (style = 1; terminal.colours && style < TOP_STYLES; style++) {
		if (colours[style] >= 0)
			init_pair(style, colours[style], -1);
	}
}

int top_screen__open(void)
{
	const char *name = top_terminal__choose();

	if (!name)
		return -ENOTSUP;
	terminal.utf8 = choose_charset();
	tcgetattr(STDIN_FILENO, &terminal.before);
	terminal.screen = newterm(name, stdout, stdin);
	if (!terminal.screen)
		return -ENOTSUP;
	terminal.is_open = true;
	terminal.reset_size = top_terminal__reset(terminal.reset, sizeof(terminal.reset));
	catch_crashes();
	cbreak();
	noecho();
	nonl();
	curs_set(0);
	set_escdelay(ESCAPE_DELAY_MS);
	keypad(stdscr, TRUE);
	nodelay(stdscr, TRUE);
	open_colours();
	return 0;
}

void top_screen__size(int *rows, int *columns)
{
	getmaxyx(stdscr, *rows, *columns);
}

static attr_t attributes(enum top_style style)
{
	switch (style) {
	case TOP_BAR:
		return A_REVERSE;
	case TOP_STRONG:
	case TOP_HOT:
	case TOP_LUA_NAME:
		return A_BOLD;
	case TOP_FAINT:
		return A_DIM;
	default:
		return A_NORMAL;
	}
}

static short pair_of(enum top_style style)
{
	return terminal.colours && colours[style] >= 0 ? (short)style : 0;
}

static wchar_t shown_character(uint32_t c)
{
	if (terminal.utf8 || c < 0x7f)
		return (wchar_t)c;
	return c == ELLIPSIS ? L'~' : L'?';
}

void top_screen__show(const struct top_grid *grid)
{
	const struct top_cell *cell;
	wchar_t text[2] = {};
	int row, column;
	cchar_t shown;

	erase();
	for (row = 0; row < grid->rows; row++) {
		for (column = 0; column < grid->columns; column++) {
			cell = top_grid__at(grid, row, column);
			if (!cell->character)
				continue;
			text[0] = shown_character(cell->character);
			if (setcchar(&shown, text, attributes(cell->style), pair_of(cell->style),
				     NULL) == OK)
				mvadd_wch(row, column, &shown);
		}
	}
	refresh();
}

/* Without a terminal there is no end of reading nothing, and mostly a SIGHUP, but not always. */
static uint32_t no_key(void)
{
	struct pollfd terminal_fd = {.fd = STDIN_FILENO, .events = POLLIN};

	if (poll(&terminal_fd, 1, 0) > 0 && terminal_fd.revents & (POLLHUP | POLLERR | POLLNVAL))
		return TOP_KEY_HANGUP;
	return TOP_KEY_NONE;
}

uint32_t top_screen__key(void)
{
	static const struct {
		int code;
		uint32_t key;
	} keys[] = {
		{KEY_UP, TOP_KEY_UP},
		{KEY_DOWN, TOP_KEY_DOWN},
		{KEY_PPAGE, TOP_KEY_PAGE_UP},
		{KEY_NPAGE, TOP_KEY_PAGE_DOWN},
		{KEY_HOME, TOP_KEY_HOME},
		{KEY_END, TOP_KEY_END},
		{KEY_BACKSPACE, TOP_KEY_BACKSPACE},
		{KEY_ENTER, TOP_KEY_ENTER},
		{KEY_RESIZE, TOP_KEY_RESIZE},
	};
	size_t i;
	wint_t code;

	switch (get_wch(&code)) {
	case OK:
		return code;
	case KEY_CODE_YES:
		for (i = 0; i < sizeof(keys) / sizeof(keys[0]); i++) {
			if (keys[i].code == (int)code)
				return keys[i].key;
		}
		return 0; /* one that means nothing here */
	default:
		return no_key();
	}
}
