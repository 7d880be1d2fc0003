/* SPDX-License-Identifier: Apache-2.0 */
#include "lua_call_name.h"

#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include "lua_heap.h"

static bool is_identifier(const char *text)
{
	const unsigned char *c = (const unsigned char *)text;

	if (!*c || (*c >= '0' && *c <= '9'))
		return false;
	for (; *c; c++) {
		if (!(*c == '_' || *c >= 0x80 || (*c >= '0' && *c <= '9') ||
		      (*c >= 'A' && *c <= 'Z') || (*c >= 'a' && *c <= 'z')))
			return false;
	}
	return true;
}

/* The words of the language, which are no names. */
static bool is_reserved(const char *text)
{
	static const char *const words[] = {
		"and",	    "break",  "do",   "else", "elseif", "end",	 "false", "for",
		"function", "goto",   "if",   "in",   "local",	"nil",	 "not",	  "or",
		"repeat",   "return", "then", "true", "until",	"while",
	};
	size_t i;

	for (i = 0; i < sizeof(words) / sizeof(words[0]); i++) {
		if (strcmp(text, words[i]) == 0)
			return true;
	}
	return false;
}

static bool is_printable(const char *text)
{
	for (; *text; text++) {
		if ((unsigned char)*text < ' ' || *text == 0x7f || *text == '"' || *text == '\\')
			return false;
	}
	return true;
}

bool lua_call_name__append(struct lua_call_name *self, char separator, const char *text)
{
	size_t length = strlen(self->text), size = strlen(text);

	if (!size || size > LUA_MAX_STRING || length + size + 6 > sizeof(self->text))
		return false;
	if (!is_identifier(text) || is_reserved(text)) {
		if (!is_printable(text))
			return false;
		snprintf(self->text + length, sizeof(self->text) - length, "[\"%s\"]", text);
		return true;
	}
	if (length)
		self->text[length++] = separator;
	memcpy(self->text + length, text, size + 1);
	return true;
}

bool lua_call_name__append_raw(struct lua_call_name *self, const char *text)
{
	size_t length = strlen(self->text), size = strlen(text);

	if (length + size >= sizeof(self->text))
		return false;
	memcpy(self->text + length, text, size + 1);
	return true;
}
