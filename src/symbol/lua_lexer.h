/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Tokens of Lua source text: Lua 5.1 to 5.5 and LuaJIT, all at once. Takes any bytes: what no Lua
 * would accept comes out as some token. Lines are counted as every Lua does ("\n", "\r", "\r\n" and
 * "\n\r" end one line each). Only as precise as finding functions needs: operators are one kind,
 * and `goto` and `global`, words with a meaning in some versions and places only, are names.
 */
#ifndef LUASPY_LUA_LEXER_H
#define LUASPY_LUA_LEXER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum lua_token_kind {
	LUA_TOKEN_EOF,
	LUA_TOKEN_NAME,
	LUA_TOKEN_STRING,
	LUA_TOKEN_NUMBER,
	LUA_TOKEN_VALUE,    /* nil, true, false */
	LUA_TOKEN_OPERATOR, /* unary or binary, with and, or, not */
	LUA_TOKEN_ASSIGN,
	LUA_TOKEN_DOT,
	LUA_TOKEN_COLON,
	LUA_TOKEN_DOUBLE_COLON,
	LUA_TOKEN_COMMA,
	LUA_TOKEN_SEMICOLON,
	LUA_TOKEN_ELLIPSIS,
	LUA_TOKEN_PAREN_OPEN,
	LUA_TOKEN_PAREN_CLOSE,
	LUA_TOKEN_BRACKET_OPEN,
	LUA_TOKEN_BRACKET_CLOSE,
	LUA_TOKEN_BRACE_OPEN,
	LUA_TOKEN_BRACE_CLOSE,
	LUA_TOKEN_BREAK,
	LUA_TOKEN_DO,
	LUA_TOKEN_ELSE,
	LUA_TOKEN_ELSEIF,
	LUA_TOKEN_END,
	LUA_TOKEN_FOR,
	LUA_TOKEN_FUNCTION,
	LUA_TOKEN_IF,
	LUA_TOKEN_IN,
	LUA_TOKEN_LOCAL,
	LUA_TOKEN_REPEAT,
	LUA_TOKEN_RETURN,
	LUA_TOKEN_THEN,
	LUA_TOKEN_UNTIL,
	LUA_TOKEN_WHILE,
	LUA_TOKEN_OTHER, /* a character that is in no version's grammar */
};

struct lua_token {
	enum lua_token_kind kind;
	const char *text; /* in the source; of a string what is between its quotes, as written */
	size_t size;
	uint32_t line; /* on which it ends, from 1 */
};

struct lua_lexer {
	const char *at; /* behind `token`, or behind `ahead` if there is one */
	const char *end;
	uint32_t line;
	struct lua_token token; /* the current one */
	struct lua_token ahead;
	bool has_ahead;
};

/* Starts at `text`, which stays the caller's; a byte order mark and a first line with '#' are
 * skipped as luaL_loadfile does. The current token is the first one. */
void lua_lexer__init(struct lua_lexer *self, const char *text, size_t size);

/* The same for a text that begins in the middle of something: nothing is skipped. */
void lua_lexer__init_inside(struct lua_lexer *self, const char *text, size_t size);

/* Makes the next token the current one. At the end it is LUA_TOKEN_EOF for ever. */
void lua_lexer__next(struct lua_lexer *self);

/* The kind of the token after the current one. */
enum lua_token_kind lua_lexer__peek(struct lua_lexer *self);

/* Makes the current and every further token LUA_TOKEN_EOF. */
void lua_lexer__stop(struct lua_lexer *self);

bool lua_token__is(const struct lua_token *self, const char *text);

/* Whether `text` can be written as a field, t.text, in every version. */
bool lua_lexer__is_identifier(const char *text, size_t size);

#endif
