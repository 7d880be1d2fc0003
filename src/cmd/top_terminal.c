/* SPDX-License-Identifier: Apache-2.0 */
#include "top_terminal.h"

#include <curses.h>
#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>
#include <unistd.h>

#include <term.h> /* after curses.h */

#include "terminfo.h" /* made from top_terminal.ti */

#define BUILTIN_NAME "luaspy-ansi"

/* The beginnings of the names of those that the built-in description is good for. */
static bool is_like_xterm(const char *name)
{
	static const char *const names[] = {
		"xterm",   "screen",  "tmux",	   "linux", "rxvt",   "vte",
		"gnome",   "konsole", "alacritty", "foot",  "kitty",  "st-",
		"wezterm", "ghostty", "putty",	   "iterm", "mintty", "contour",
	};
	size_t i;

	for (i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		if (strncmp(name, names[i], strlen(names[i])) == 0)
			return true;
	}
	return strcmp(name, "st") == 0 || strcmp(name, "vt220") == 0;
}

/* ncurses takes a description out of the environment, in hexadecimal. */
static bool use_builtin(void)
{
	static char text[sizeof("hex:") + 2 * sizeof(builtin_terminfo)] = "hex:";
	static const char digits[] = "0123456789ABCDEF";
	size_t i, at = strlen("hex:");

	for (i = 0; i < sizeof(builtin_terminfo); i++) {
		text[at++] = digits[builtin_terminfo[i] >> 4];
		text[at++] = digits[builtin_terminfo[i] & 15];
	}
	text[at] = '\0';
	return setenv("TERMINFO", text, 1) == 0;
}

static bool can_place_cursor(const char *name)
{
	char *text;
	int err;

	if (setupterm(name, STDOUT_FILENO, &err) != OK)
		return false;
	text = tigetstr("cup");
	return text && text != (char *)-1;
}

/* A file with capabilities is run by people who have fewer: what ncurses reads is not to be theirs.
 */
static void forget_users_descriptions(void)
{
	static const char *const names[] = {"TERMINFO", "TERMINFO_DIRS", "TERMCAP", "TERMPATH",
					    "HOME"};
	size_t i;

	for (i = 0; getauxval(AT_SECURE) && i < sizeof(names) / sizeof(names[0]); i++)
		unsetenv(names[i]);
}

const char *top_terminal__choose(void)
{
	const char *name = getenv("TERM");

	forget_users_descriptions();
	if (!name || !*name)
		return NULL;
	if (can_place_cursor(name))
		return name;
	if (is_like_xterm(name) && use_builtin() && can_place_cursor(BUILTIN_NAME))
		return BUILTIN_NAME;
	return NULL;
}

size_t top_terminal__reset(char *bytes, size_t size)
{
	static const char *const capabilities[] = {"sgr0", "cnorm", "rmcup"};
	size_t i, count = 0;
	const char *text;

	for (i = 0; i < sizeof(capabilities) / sizeof(capabilities[0]); i++) {
		text = tigetstr(capabilities[i]);
		if (!text || text == (char *)-1)
			continue;
		/* Up to the padding, which no terminal of today needs. */
		while (*text && strncmp(text, "$<", 2) != 0 && count < size)
			bytes[count++] = *text++;
	}
	return count;
}
