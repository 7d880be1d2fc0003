/* SPDX-License-Identifier: Apache-2.0 */
/* See lua_lexer.h. Every function advances `at` or stops, so that the work is linear. */
#include "lua_lexer.h"

#include <string.h>

static const struct keyword {
	const char *text;
	enum lua_token_kind kind;
} keywords[] = {
	{"and", LUA_TOKEN_OPERATOR},
	{"break", LUA_TOKEN_BREAK},
	{"do", LUA_TOKEN_DO},
	{"else", LUA_TOKEN_ELSE},
	{"elseif", LUA_TOKEN_ELSEIF},
	{"end", LUA_TOKEN_END},
	{"false", LUA_TOKEN_VALUE},
	{"for", LUA_TOKEN_FOR},
	{"function", LUA_TOKEN_FUNCTION},
	{"if", LUA_TOKEN_IF},
	{"in", LUA_TOKEN_IN},
	{"local", LUA_TOKEN_LOCAL},
	{"nil", LUA_TOKEN_VALUE},
	{"not", LUA_TOKEN_OPERATOR},
	{"or", LUA_TOKEN_OPERATOR},
	{"repeat", LUA_TOKEN_REPEAT},
	{"return", LUA_TOKEN_RETURN},
	{"then", LUA_TOKEN_THEN},
	{"true", LUA_TOKEN_VALUE},
	{"until", LUA_TOKEN_UNTIL},
	{"while", LUA_TOKEN_WHILE},
};

static bool is_digit(char c)
{
	return c >= '0' && c <= '9';
}

/* LuaJIT takes every byte of a multi-byte character as a letter. */
static bool is_letter(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_' || (c & 0x80);
}

static bool is_newline(char c)
{
	return c == '\n' || c == '\r';
}

static bool is_blank(char c)
{
	return c == ' ' || c == '\t' || c == '\v' || c == '\f';
}

static enum lua_token_kind word_kind(const char *text, size_t size)
{
	for (size_t i = 0; i < sizeof(keywords) / sizeof(keywords[0]); i++) {
		if (strlen(keywords[i].text) == size && memcmp(keywords[i].text, text, size) == 0)
			return keywords[i].kind;
	}
	return LUA_TOKEN_NAME;
}

bool lua_token__is(const struct lua_token *self, const char *text)
{
	return strlen(text) == self->size && memcmp(self->text, text, self->size) == 0;
}

bool lua_lexer__is_identifier(const char *text, size_t size)
{
	if (size == 0 || !is_letter(text[0]))
		return false;
	for (size_t i = 0; i < size; i++) {
		if ((!is_letter(text[i]) && !is_digit(text[i])) || (text[i] & 0x80))
			return false;
	}
	return word_kind(text, size) == LUA_TOKEN_NAME;
}

/* The character `offset` ahead, NUL behind the end. */
static char peek_char(const struct lua_lexer *self, size_t offset)
{
	return (size_t)(self->end - self->at) > offset ? self->at[offset] : '\0';
}

static void skip_newline(struct lua_lexer *self)
{
	char first = *self->at++;

	if (self->at < self->end && is_newline(*self->at) && *self->at != first)
		self->at++;
	self->line++;
}

static void skip_line(struct lua_lexer *self)
{
	while (self->at < self->end && !is_newline(*self->at))
		self->at++;
}

/* The level of the long bracket at `at` ("[[" is 0), or -1 if it is none. */
static int long_bracket_level(const struct lua_lexer *self)
{
	size_t level = 0;

	while (peek_char(self, 1 + level) == '=')
		level++;
	return peek_char(self, 1 + level) == '[' && level < INT32_MAX ? (int)level : -1;
}

/* Stands on the opening bracket; fills in text and size of `token`. */
static void skip_long_bracket(struct lua_lexer *self, size_t level, struct lua_token *token)
{
	self->at += level + 2;
	token->text = self->at;
	while (self->at < self->end) {
		size_t signs = 0;

		if (is_newline(*self->at)) {
			skip_newline(self);
			continue;
		}
		if (*self->at++ != ']')
			continue;
		/* At most as many as the level: or "]====...]" at level 0 is looked at often. */
		while (signs < level && peek_char(self, signs) == '=')
			signs++;
		if (signs == level && peek_char(self, signs) == ']') {
			token->size = (size_t)(self->at - 1 - token->text);
			self->at += level + 1;
			return;
		}
		self->at += signs;
	}
	token->size = (size_t)(self->at - token->text);
}

static void skip_blanks_and_comments(struct lua_lexer *self)
{
	struct lua_token ignored;

	while (self->at < self->end) {
		if (is_newline(*self->at)) {
			skip_newline(self);
		} else if (is_blank(*self->at)) {
			self->at++;
		} else if (*self->at == '-' && peek_char(self, 1) == '-') {
			int level;

			self->at += 2;
			level = peek_char(self, 0) == '[' ? long_bracket_level(self) : -1;
			if (level >= 0)
				skip_long_bracket(self, (size_t)level, &ignored);
			else
				skip_line(self);
		} else {
			return;
		}
	}
}

/* A newline ends a string that nobody closed. */
static void read_string(struct lua_lexer *self, struct lua_token *token)
{
	char quote = *self->at++;

	token->text = self->at;
	while (self->at < self->end && *self->at != quote && !is_newline(*self->at)) {
		if (*self->at++ != '\\' || self->at == self->end)
			continue;
		if (is_newline(*self->at)) {
			skip_newline(self);
		} else if (*self->at++ == 'z') {
			while (self->at < self->end &&
			       (is_blank(*self->at) || is_newline(*self->at))) {
				if (is_newline(*self->at))
					skip_newline(self);
				else
					self->at++;
			}
		}
	}
	token->size = (size_t)(self->at - token->text);
	if (self->at < self->end && *self->at == quote)
		self->at++;
}

/* Also 0x1p-4, 1e+5, 10LL, 10ULL, 2i. */
static void read_number(struct lua_lexer *self)
{
	char exponent = 'e';

	if (*self->at == '0' && (peek_char(self, 1) | 0x20) == 'x')
		exponent = 'p';
	while (self->at < self->end) {
		char c = *self->at;

		if (!is_letter(c) && !is_digit(c) && c != '.' &&
		    !((c == '+' || c == '-') && (self->at[-1] | 0x20) == exponent))
			return;
		self->at++;
	}
}

static enum lua_token_kind read_symbol(struct lua_lexer *self)
{
	char c = *self->at++;

	switch (c) {
	case '(':
		return LUA_TOKEN_PAREN_OPEN;
	case ')':
		return LUA_TOKEN_PAREN_CLOSE;
	case '[':
		return LUA_TOKEN_BRACKET_OPEN;
	case ']':
		return LUA_TOKEN_BRACKET_CLOSE;
	case '{':
		return LUA_TOKEN_BRACE_OPEN;
	case '}':
		return LUA_TOKEN_BRACE_CLOSE;
	case ',':
		return LUA_TOKEN_COMMA;
	case ';':
		return LUA_TOKEN_SEMICOLON;
	case ':':
		if (peek_char(self, 0) != ':')
			return LUA_TOKEN_COLON;
		self->at++;
		return LUA_TOKEN_DOUBLE_COLON;
	case '.':
		if (peek_char(self, 0) != '.')
			return LUA_TOKEN_DOT;
		self->at++;
		if (peek_char(self, 0) != '.')
			return LUA_TOKEN_OPERATOR;
		self->at++;
		return LUA_TOKEN_ELLIPSIS;
	case '=':
		if (peek_char(self, 0) != '=')
			return LUA_TOKEN_ASSIGN;
		self->at++;
		return LUA_TOKEN_OPERATOR;
	case '<':
	case '>':
	case '/':
		if (peek_char(self, 0) == c || (c != '/' && peek_char(self, 0) == '='))
			self->at++;
		return LUA_TOKEN_OPERATOR;
	case '~':
		if (peek_char(self, 0) == '=')
			self->at++;
		return LUA_TOKEN_OPERATOR;
	case '+':
	case '-':
	case '*':
	case '%':
	case '^':
	case '#':
	case '&':
	case '|':
		return LUA_TOKEN_OPERATOR;
	default:
		return LUA_TOKEN_OTHER;
	}
}

static void read_token(struct lua_lexer *self, struct lua_token *token)
{
	int level;
	char c;

	skip_blanks_and_comments(self);
	token->text = self->at;
	token->size = 0;
	token->line = self->line;
	if (self->at == self->end) {
		token->kind = LUA_TOKEN_EOF;
		return;
	}
	c = *self->at;
	if (c == '"' || c == '\'') {
		token->kind = LUA_TOKEN_STRING;
		read_string(self, token);
		token->line = self->line;
		return;
	}
	level = c == '[' ? long_bracket_level(self) : -1;
	if (level >= 0) {
		token->kind = LUA_TOKEN_STRING;
		skip_long_bracket(self, (size_t)level, token);
		token->line = self->line;
		return;
	}
	if (is_letter(c)) {
		while (self->at < self->end && (is_letter(*self->at) || is_digit(*self->at)))
			self->at++;
		token->kind = word_kind(token->text, (size_t)(self->at - token->text));
	} else if (is_digit(c) || (c == '.' && is_digit(peek_char(self, 1)))) {
		token->kind = LUA_TOKEN_NUMBER;
		read_number(self);
	} else {
		token->kind = read_symbol(self);
	}
	token->size = (size_t)(self->at - token->text);
}

void lua_lexer__init_inside(struct lua_lexer *self, const char *text, size_t size)
{
	memset(self, 0, sizeof(*self));
	self->at = text;
	self->end = text + size;
	self->line = 1;
	read_token(self, &self->token);
}

void lua_lexer__init(struct lua_lexer *self, const char *text, size_t size)
{
	const char *start = text;

	if (size >= 3 && memcmp(text, "\xef\xbb\xbf", 3) == 0)
		start += 3;
	if (start < text + size && *start == '#') {
		while (start < text + size && !is_newline(*start))
			start++;
	}
	lua_lexer__init_inside(self, start, (size_t)(text + size - start));
}

void lua_lexer__next(struct lua_lexer *self)
{
	if (self->has_ahead) {
		self->token = self->ahead;
		self->has_ahead = false;
		return;
	}
	read_token(self, &self->token);
}

enum lua_token_kind lua_lexer__peek(struct lua_lexer *self)
{
	if (!self->has_ahead) {
		read_token(self, &self->ahead);
		self->has_ahead = true;
	}
	return self->ahead.kind;
}

void lua_lexer__stop(struct lua_lexer *self)
{
	self->at = self->end;
	self->has_ahead = false;
	self->token =
		(struct lua_token){.kind = LUA_TOKEN_EOF, .text = self->end, .line = self->line};
}
