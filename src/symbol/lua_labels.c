/* SPDX-License-Identifier: Apache-2.0 */
/* The texts of names under construction: see lua_parser_parts.h. */
#include "lua_parser_parts.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define MAX_LABEL 160 /* bytes, before the dots that stand for what is cut */
#define MAX_KEY	  40

static bool reserve(struct lua_text *self, size_t size)
{
	size_t wanted = (self->capacity ? self->capacity * 2 : 1024) + size;
	char *grown;

	if (size <= self->capacity - self->size && self->data)
		return true;
	grown = realloc(self->data, wanted);
	if (!grown)
		return false;
	self->data = grown;
	self->capacity = wanted;
	return true;
}

bool lua_text__append(struct lua_text *self, const char *text, size_t size)
{
	if (!reserve(self, size))
		return false;
	memcpy(self->data + self->size, text, size);
	self->size += size;
	return true;
}

struct label label__new(const struct parser *self)
{
	return (struct label){.start = self->labels.size};
}

void label__drop(struct parser *self, size_t start)
{
	self->labels.size = start;
}

/* `label` is the last one on the stack. One that is full stays as it is. */
void label__extend(struct parser *self, struct label *label, const char *text, size_t size)
{
	static const char dots[] = "......";
	size_t room = label->size < MAX_LABEL ? MAX_LABEL - label->size : 0;
	size_t fits = size;

	if (label->size > MAX_LABEL)
		return;
	if (fits > room) {
		fits = room;
		/* Not in the middle of a character. */
		while (fits && room - fits < 3 && (text[fits] & 0xc0) == 0x80)
			fits--;
	}
	if (!lua_text__append(&self->labels, text, fits) ||
	    (fits < size && !lua_text__append(&self->labels, dots, 3 + room - fits))) {
		parser__fail(self, -ENOMEM);
		return;
	}
	label->size = self->labels.size - label->start;
}

void label__extend_string(struct parser *self, struct label *label, const char *text)
{
	label__extend(self, label, text, strlen(text));
}

struct label label__copy(struct parser *self, struct label from)
{
	struct label copy = label__new(self);

	if (!reserve(&self->labels, from.size)) {
		parser__fail(self, -ENOMEM);
		return copy;
	}
	memcpy(self->labels.data + copy.start, self->labels.data + from.start, from.size);
	self->labels.size += from.size;
	copy.size = from.size;
	return copy;
}

void label__extend_token(struct parser *self, struct label *label)
{
	label__extend(self, label, self->lexer.token.text, self->lexer.token.size);
}

void label__extend_key(struct parser *self, struct label *label, const struct key *key)
{
	char text[MAX_KEY];
	size_t size = key->size < MAX_KEY ? key->size : MAX_KEY;

	if (key->kind == KEY_NAME) {
		if (label->size)
			label__extend_string(self, label, ".");
		label__extend(self, label, key->text, key->size);
		return;
	}
	while (size < key->size && size && (key->text[size] & 0xc0) == 0x80)
		size--;
	for (size_t i = 0; i < size; i++) {
		unsigned char c = (unsigned char)key->text[i];

		text[i] = (char)(c < ' ' || c == 0x7f ? '?' : c);
	}
	label__extend_string(self, label, key->kind == KEY_CONSTANT ? "[\"" : "[");
	label__extend(self, label, text, size);
	if (size < key->size)
		label__extend_string(self, label, "...");
	label__extend_string(self, label, key->kind == KEY_CONSTANT ? "\"]" : "]");
}
