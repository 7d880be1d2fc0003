/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the user of `luaspy top` wants to see, by options and then by keys.
 */
#ifndef LUASPY_TOP_SETTINGS_H
#define LUASPY_TOP_SETTINGS_H

#include <regex.h>
#include <stdbool.h>
#include <stdint.h>

#include "top_model.h"

enum top_sort {
	TOP_BY_SELF,
	TOP_BY_TOTAL,
	TOP_BY_NAME,
	TOP_SORTS,
};

#define TOP_FILTER_BYTES 128

struct top_settings {
	enum top_show show;
	enum top_window window;
	enum top_sort sort;
	bool lines;	/* lines instead of functions */
	bool processes; /* processes instead of those */
	bool paused;
	bool help;
	uint32_t pid; /* only this process; 0: all */
	int first;    /* row of the table that is shown first */
	int selected; /* row of the processes */
	/* Only rows whose text matches. Empty: all. */
	char filter[TOP_FILTER_BYTES];
	bool has_filter;
	regex_t regex;
	/* The filter is being typed. */
	bool typing;
	char before[TOP_FILTER_BYTES];
	char problem[96]; /* with what was typed; "" */
};

/* Keys that are no characters, beyond Unicode. */
enum top_key {
	TOP_KEY_UP = 0x110000,
	TOP_KEY_DOWN,
	TOP_KEY_PAGE_UP,
	TOP_KEY_PAGE_DOWN,
	TOP_KEY_HOME,
	TOP_KEY_END,
	TOP_KEY_BACKSPACE,
};
#define TOP_KEY_ESCAPE 27
#define TOP_KEY_ENTER  '\n'

enum top_action {
	TOP_NOTHING,
	TOP_DRAW, /* the page has changed */
	TOP_QUIT,
	TOP_CLEAR, /* start counting anew */
	TOP_ENTER, /* show the selected process by itself */
};

/* What a key does. `page` is the number of rows that are shown. */
enum top_action top_settings__key(struct top_settings *self, uint32_t key, int page);

/* 0, or -EINVAL with `problem` set; then the filter stays what it was. */
int top_settings__filter(struct top_settings *self, const char *pattern);

/* Is a row with this text shown? */
bool top_settings__matches(const struct top_settings *self, const char *text);

/* The row that is shown first and the selected one, for a table of `count` rows. */
void top_settings__clamp(struct top_settings *self, int count, int page);

void top_settings__free(struct top_settings *self);

#endif
