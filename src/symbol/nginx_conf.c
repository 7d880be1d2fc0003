/* SPDX-License-Identifier: Apache-2.0 */
/* See nginx_conf.h. Words are split as ngx_conf_read_token does. */
#include "nginx_conf.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "lua_lexer.h"

#define MAX_WORDS 3 /* the directive, and "set_by_lua $variable code" */

struct word {
	const char *text; /* without quotes */
	size_t size;
};

struct scan {
	const char *at;
	const char *end;
	uint32_t line; /* as nginx counts: line feeds only */
	struct word words[MAX_WORDS];
	size_t word_count;
	const struct nginx_conf_visitor *visitor;
};

static bool ends_with(const struct word *word, const char *suffix)
{
	size_t size = strlen(suffix);

	return word->size >= size && memcmp(word->text + word->size - size, suffix, size) == 0;
}

static bool word_is(const struct word *word, const char *text)
{
	return word->size == strlen(text) && memcmp(word->text, text, word->size) == 0;
}

static void skip_to(struct scan *self, const char *to)
{
	for (; self->at < to; self->at++)
		self->line += *self->at == '\n';
}

/* The text of a word as nginx passes it on, NUL-terminated; NULL when out of memory. */
static char *unescape(const struct word *word, size_t *size)
{
	char *text = malloc(word->size + 1), *to = text;

	if (!text)
		return NULL;
	for (const char *from = word->text, *end = from + word->size; from < end; from++) {
		if (*from == '\\' && from + 1 < end) {
			static const char codes[] = "\"'\\tnr", plain[] = "\"'\\\t\n\r";
			const char *code = memchr(codes, from[1], sizeof(codes) - 1);

			if (code) {
				*to++ = plain[code - codes];
				from++;
				continue;
			}
		}
		*to++ = *from;
	}
	*to = '\0';
	*size = (size_t)(to - text);
	return text;
}

static bool ends_word(char c)
{
	return c == ' ' || c == '\t' || c == '\r' || c == '\n' || c == ';' || c == '{';
}

static void read_word(struct scan *self)
{
	char quote = *self->at == '"' || *self->at == '\'' ? *self->at : '\0';
	const char *at = self->at + (quote != '\0');
	struct word word = {.text = at};

	for (; at < self->end && (quote ? *at != quote : !ends_word(*at)); at++) {
		bool escapes = *at == '\\';
		bool is_variable = !quote && *at == '$' && at + 1 < self->end && at[1] == '{';

		if ((escapes || is_variable) && at + 1 < self->end)
			at++;
	}
	word.size = (size_t)(at - word.text);
	if (self->word_count < MAX_WORDS)
		self->words[self->word_count] = word;
	self->word_count++;
	skip_to(self, at < self->end && quote ? at + 1 : at);
}

/* Stands on the brace that opens a block of Lua code; leaves behind the one that closes it. */
static int read_lua_block(struct scan *self)
{
	const struct word *directive = &self->words[0];
	const char *text = self->at + 1;
	struct lua_lexer lexer;
	uint32_t line = self->line;
	int level = 1;

	lua_lexer__init_inside(&lexer, text, (size_t)(self->end - text));
	for (; lexer.token.kind != LUA_TOKEN_EOF; lua_lexer__next(&lexer)) {
		level += lexer.token.kind == LUA_TOKEN_BRACE_OPEN;
		level -= lexer.token.kind == LUA_TOKEN_BRACE_CLOSE;
		if (level == 0)
			break;
	}
	if (level) { /* nginx would refuse the file */
		skip_to(self, self->end);
		return 0;
	}
	skip_to(self, lexer.token.text + 1);
	return self->visitor->lua(self->visitor->data, directive->text,
				  directive->size - strlen("_block"), line, text,
				  (size_t)(lexer.token.text - text));
}

/* A directive has ended with a semicolon. */
static int finish_directive(struct scan *self)
{
	bool is_include = word_is(&self->words[0], "include");
	size_t argument = word_is(&self->words[0], "set_by_lua") ? 2 : 1;
	size_t size;
	char *text;
	int err;

	if (self->word_count <= argument || (!is_include && !ends_with(&self->words[0], "_by_lua")))
		return 0;
	text = unescape(&self->words[argument], &size);
	if (!text)
		return -ENOMEM;
	if (is_include)
		err = self->visitor->include(self->visitor->data, text);
	else
		err = self->visitor->lua(self->visitor->data, self->words[0].text,
					 self->words[0].size, self->line, text, size);
	free(text);
	return err;
}

int nginx_conf__scan(const char *text, size_t size, const struct nginx_conf_visitor *visitor)
{
	struct scan self = {.at = text, .end = text + size, .line = 1, .visitor = visitor};
	const char *line_end;
	int err = 0;

	while (!err && self.at < self.end) {
		switch (*self.at) {
		case ' ':
		case '\t':
		case '\r':
		case '\n':
			skip_to(&self, self.at + 1);
			break;
		case '#':
			line_end = memchr(self.at, '\n', (size_t)(self.end - self.at));
			self.at = line_end ? line_end : self.end;
			break;
		case ';':
			if (self.word_count)
				err = finish_directive(&self);
			self.word_count = 0;
			self.at++;
			break;
		case '{':
			if (self.word_count && ends_with(&self.words[0], "_by_lua_block"))
				err = read_lua_block(&self);
			else
				self.at++;
			self.word_count = 0;
			break;
		case '}':
			self.word_count = 0;
			self.at++;
			break;
		default:
			read_word(&self);
		}
	}
	return err;
}
