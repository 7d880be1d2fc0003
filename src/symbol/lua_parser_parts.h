/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the parts of lua_parser.h share: the state of a parse, and the texts of names under
 * construction (lua_labels.c), expressions (lua_expression.c) and statements (lua_statement.c). For
 * those files only.
 *
 * Recursive descent without a tree: an expression is passed down the place that its value goes to,
 * and a function takes its name from there. Texts of names lie on a stack (`labels`): whoever puts
 * something there takes it away before returning. Each loop consumes a token a round or leaves, and
 * nesting is bounded, so that broken text costs no more than correct one. On an error the lexer is
 * stopped: every loop sees the end of the text and leaves.
 */
#ifndef LUASPY_LUA_PARSER_PARTS_H
#define LUASPY_LUA_PARSER_PARTS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "lua_lexer.h"
#include "lua_parser.h"

/* A text on the stack of labels. */
struct label {
	size_t start;
	size_t size;
};

struct parser {
	struct lua_lexer lexer;
	struct lua_definitions *out;
	struct lua_text labels;
	struct label *targets; /* of the assignments being parsed, innermost last */
	size_t target_count;
	size_t target_capacity;
	int32_t function; /* the innermost one, -1 at chunk level */
	int depth;
	int error;
};

/* Where the value of an expression goes. */
struct place {
	enum lua_naming naming;
	struct label label;
	bool in_parens; /* collect the functions, for the case that they are called at once */
	int32_t first;
	int32_t last;
};

static inline struct place place__nowhere(void)
{
	return (struct place){.naming = LUA_NAMING_NONE, .first = -1, .last = -1};
}

/* ---- tokens ---------------------------------------------------------------------------------- */

static inline enum lua_token_kind parser__kind(const struct parser *self)
{
	return self->lexer.token.kind;
}

static inline void parser__next(struct parser *self)
{
	lua_lexer__next(&self->lexer);
}

static inline bool parser__accept(struct parser *self, enum lua_token_kind wanted)
{
	if (parser__kind(self) != wanted)
		return false;
	parser__next(self);
	return true;
}

static inline void parser__fail(struct parser *self, int error)
{
	if (!self->error)
		self->error = error;
	lua_lexer__stop(&self->lexer);
}

/* Counts a level of nesting; whoever enters leaves, also after false (deeper than any Lua goes). */
bool parser__enter(struct parser *self);
void parser__leave(struct parser *self);

/* ---- labels ---------------------------------------------------------------------------------- */

/* A key in brackets. */
struct key {
	enum key_kind {
		KEY_NAME,     /* .k, also written ["k"] */
		KEY_CONSTANT, /* ["a-b"] */
		KEY_NUMBER,   /* [1], [true] */
		KEY_COMPUTED, /* [?] */
	} kind;
	const char *text;
	size_t size;
};

struct label label__new(const struct parser *self);
struct label label__copy(struct parser *self, struct label from);

/* `label` is the last one on the stack. One that is full stays as it is. */
void label__extend(struct parser *self, struct label *label, const char *text, size_t size);
void label__extend_string(struct parser *self, struct label *label, const char *text);
void label__extend_token(struct parser *self, struct label *label);
void label__extend_key(struct parser *self, struct label *label, const struct key *key);

/* Takes away everything from `start` on. */
void label__drop(struct parser *self, size_t start);

/* ---- grammar --------------------------------------------------------------------------------- */

/* Up to a word that ends a block, which is left to the caller. */
void parse_block(struct parser *self);

void parse_expression(struct parser *self, struct place *place);

/*
 * A name or something in parentheses with all that hangs on it: fields, keys, calls. Leaves its
 * text as the last one on the stack of labels.
 */
struct label parse_suffixed(struct parser *self, struct place *place);

/* Stands on the parenthesis that opens the parameters. */
void parse_function(struct parser *self, struct place *place, bool is_method, uint32_t line);

#endif
