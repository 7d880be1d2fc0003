/* SPDX-License-Identifier: Apache-2.0 */
#include "top_settings.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "../output/text.h"

#define KEY_ERASE_LINE 21 /* Ctrl-U */

int top_settings__filter(struct top_settings *self, const char *pattern)
{
	regex_t regex;
	int err;

	self->problem[0] = '\0';
	if (*pattern) {
		err = regcomp(&regex, pattern, REG_EXTENDED | REG_NOSUB);
		if (err) {
			regerror(err, &regex, self->problem, sizeof(self->problem));
			return -EINVAL;
		}
	}
	if (self->has_filter)
		regfree(&self->regex);
	self->has_filter = *pattern;
	if (self->has_filter)
		self->regex = regex;
	if (pattern != self->filter)
		snprintf(self->filter, sizeof(self->filter), "%s", pattern);
	return 0;
}

bool top_settings__matches(const struct top_settings *self, const char *text)
{
	return !self->has_filter || regexec(&self->regex, text, 0, NULL, 0) == 0;
}

void top_settings__free(struct top_settings *self)
{
	if (self->has_filter)
		regfree(&self->regex);
	self->has_filter = false;
}

/* ---- the filter's line ------------------------------------------------------------------------
 */

static void erase_one(char *text)
{
	size_t length = strlen(text);

	while (length && ((unsigned char)text[length - 1] & 0xc0) == 0x80)
		length--;
	text[length ? length - 1 : 0] = '\0';
}

static void append(char *text, uint32_t key)
{
	size_t length = strlen(text), size;
	char bytes[4];

	size = text__encode(key, bytes);
	if (length + size >= TOP_FILTER_BYTES)
		return;
	memcpy(text + length, bytes, size);
	text[length + size] = '\0';
}

static enum top_action type(struct top_settings *self, uint32_t key)
{
	switch (key) {
	case TOP_KEY_ESCAPE:
		snprintf(self->filter, sizeof(self->filter), "%s", self->before);
		self->typing = false;
		break;
	case TOP_KEY_ENTER:
	case '\r':
		/* What is no regular expression (yet) goes on being typed. */
		self->typing = self->problem[0];
		return TOP_DRAW;
	case TOP_KEY_BACKSPACE:
	case '\b':
	case 127:
		erase_one(self->filter);
		break;
	case KEY_ERASE_LINE:
		self->filter[0] = '\0';
		break;
	default:
		if (key < ' ' || key > 0x10ffff)
			return TOP_NOTHING;
		append(self->filter, key);
	}
	top_settings__filter(self, self->filter);
	self->first = 0;
	return TOP_DRAW;
}

/* ---- keys ------------------------------------------------------------------------------------ */

static void move(struct top_settings *self, int rows)
{
	int *row = self->processes ? &self->selected : &self->first;

	*row = rows > 0 && *row > INT32_MAX - rows ? INT32_MAX : *row + rows;
	if (*row < 0)
		*row = 0;
}

static enum top_action move_key(struct top_settings *self, uint32_t key, int page)
{
	switch (key) {
	case TOP_KEY_UP:
	case 'k':
		move(self, -1);
		break;
	case TOP_KEY_DOWN:
	case 'j':
		move(self, 1);
		break;
	case TOP_KEY_PAGE_UP:
		move(self, -page);
		break;
	case TOP_KEY_PAGE_DOWN:
		move(self, page);
		break;
	case TOP_KEY_HOME:
		self->first = self->selected = 0;
		break;
	case TOP_KEY_END:
		move(self, INT32_MAX);
		break;
	default:
		return TOP_NOTHING;
	}
	return TOP_DRAW;
}

static void go_back(struct top_settings *self)
{
	if (self->pid) {
		self->pid = 0;
		self->processes = true;
	} else if (self->has_filter) {
		top_settings__filter(self, "");
	} else {
		self->processes = false;
	}
}

static enum top_action view_key(struct top_settings *self, uint32_t key)
{
	switch (key) {
	case 's':
		self->sort = (self->sort + 1) % TOP_SORTS;
		break;
	case 't':
		self->window = (self->window + 1) % TOP_WINDOWS;
		break;
	case 'c':
		self->show = (self->show + 1) % TOP_SHOWS;
		break;
	case 'l':
		self->lines = !self->lines;
		self->processes = false;
		break;
	case 'w':
		self->processes = !self->processes;
		break;
	case TOP_KEY_ESCAPE:
	case TOP_KEY_BACKSPACE:
	case 127:
		go_back(self);
		break;
	default:
		return TOP_NOTHING;
	}
	self->first = 0;
	return TOP_DRAW;
}

enum top_action top_settings__key(struct top_settings *self, uint32_t key, int page)
{
	enum top_action action;

	if (self->typing)
		return type(self, key);
	if (self->help) {
		self->help = false;
		return key == 'q' ? TOP_QUIT : TOP_DRAW;
	}
	switch (key) {
	case 'q':
		return TOP_QUIT;
	case 'h':
	case '?':
		self->help = true;
		return TOP_DRAW;
	case 'p':
	case ' ':
		self->paused = !self->paused;
		return TOP_DRAW;
	case 'r':
		return TOP_CLEAR;
	case '/':
		self->typing = true;
		self->processes = false;
		memcpy(self->before, self->filter, sizeof(self->before));
		return TOP_DRAW;
	case TOP_KEY_ENTER:
	case '\r':
		return self->processes ? TOP_ENTER : TOP_NOTHING;
	}
	action = move_key(self, key, page);
	return action == TOP_NOTHING ? view_key(self, key) : action;
}

void top_settings__clamp(struct top_settings *self, int count, int page)
{
	if (self->selected >= count)
		self->selected = count ? count - 1 : 0;
	if (self->processes && self->selected < self->first)
		self->first = self->selected;
	if (self->processes && self->selected >= self->first + page)
		self->first = self->selected - page + 1;
	if (self->first > count - page)
		self->first = count - page;
	if (self->first < 0)
		self->first = 0;
}
