/* SPDX-License-Identifier: Apache-2.0 */
/* Statements, and the whole: see lua_parser_parts.h. */
#include "lua_parser_parts.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define MAX_DEPTH   400 /* LuaJIT and PUC Lua stop at 200 nested levels of syntax */
#define MAX_TARGETS 256 /* a Lua function has at most 250 registers */

bool parser__enter(struct parser *self)
{
	if (++self->depth <= MAX_DEPTH)
		return true;
	lua_lexer__stop(&self->lexer);
	return false;
}

void parser__leave(struct parser *self)
{
	self->depth--;
}

static void parse_expressions(struct parser *self, enum lua_naming naming)
{
	do {
		struct place place = place__nowhere();

		place.naming = naming;
		parse_expression(self, &place);
	} while (parser__accept(self, LUA_TOKEN_COMMA));
}

static void add_target(struct parser *self, size_t first, struct label label)
{
	if (self->target_count - first >= MAX_TARGETS) {
		label__drop(self, label.start);
		return;
	}
	if (self->target_count == self->target_capacity) {
		size_t wanted = self->target_capacity ? self->target_capacity * 2 : 16;
		void *grown = reallocarray(self->targets, wanted, sizeof(*self->targets));

		if (!grown) {
			parser__fail(self, -ENOMEM);
			return;
		}
		self->targets = grown;
		self->target_capacity = wanted;
	}
	self->targets[self->target_count++] = label;
}

/* The values for the targets from `first` on. */
static void parse_values(struct parser *self, size_t first)
{
	size_t last = self->target_count;

	do {
		struct place place = place__nowhere();

		if (first < last) {
			place.naming = LUA_NAMING_NAME;
			place.label = self->targets[first++];
		}
		parse_expression(self, &place);
	} while (parser__accept(self, LUA_TOKEN_COMMA));
}

static void parse_call_or_assignment(struct parser *self)
{
	size_t labels = self->labels.size, first = self->target_count;
	struct place nowhere = place__nowhere();

	add_target(self, first, parse_suffixed(self, &nowhere));
	while (parser__accept(self, LUA_TOKEN_COMMA)) {
		if (parser__kind(self) != LUA_TOKEN_NAME &&
		    parser__kind(self) != LUA_TOKEN_PAREN_OPEN)
			break;
		add_target(self, first, parse_suffixed(self, &nowhere));
	}
	if (parser__accept(self, LUA_TOKEN_ASSIGN))
		parse_values(self, first);
	self->target_count = first;
	label__drop(self, labels);
}

/* <const>, <close>: Lua 5.4. */
static void skip_attribute(struct parser *self)
{
	if (parser__kind(self) != LUA_TOKEN_OPERATOR || !lua_token__is(&self->lexer.token, "<"))
		return;
	parser__next(self);
	parser__accept(self, LUA_TOKEN_NAME);
	parser__accept(self, LUA_TOKEN_OPERATOR);
}

static void parse_named_function(struct parser *self)
{
	struct place place = place__nowhere();

	parser__next(self);
	place.label = label__new(self);
	if (parser__kind(self) == LUA_TOKEN_NAME) {
		place.naming = LUA_NAMING_NAME;
		label__extend_token(self, &place.label);
		parser__next(self);
	}
	parse_function(self, &place, false, self->lexer.token.line);
	label__drop(self, place.label.start);
}

/* Behind `local`, or `global` of Lua 5.5. */
static void parse_declaration(struct parser *self)
{
	size_t labels = self->labels.size, first = self->target_count;

	if (parser__kind(self) == LUA_TOKEN_FUNCTION) {
		parse_named_function(self);
		return;
	}
	do {
		struct label label = label__new(self);

		skip_attribute(self);
		if (parser__kind(self) != LUA_TOKEN_NAME) {
			parser__accept(self, LUA_TOKEN_OPERATOR); /* global * */
			break;
		}
		label__extend_token(self, &label);
		add_target(self, first, label);
		parser__next(self);
		skip_attribute(self);
	} while (parser__accept(self, LUA_TOKEN_COMMA));
	if (parser__accept(self, LUA_TOKEN_ASSIGN))
		parse_values(self, first);
	self->target_count = first;
	label__drop(self, labels);
}

/* function a.b:c(): stands on `function`, whose line is the function's. */
static void parse_function_statement(struct parser *self)
{
	uint32_t line = self->lexer.token.line;
	struct place place = place__nowhere();
	bool is_method = false;

	parser__next(self);
	place.naming = LUA_NAMING_NAME;
	place.label = label__new(self);
	while (parser__kind(self) == LUA_TOKEN_NAME) {
		label__extend_token(self, &place.label);
		parser__next(self);
		if (is_method ||
		    (parser__kind(self) != LUA_TOKEN_DOT && parser__kind(self) != LUA_TOKEN_COLON))
			break;
		is_method = parser__kind(self) == LUA_TOKEN_COLON;
		label__extend_string(self, &place.label, is_method ? ":" : ".");
		parser__next(self);
	}
	if (!place.label.size)
		place.naming = LUA_NAMING_NONE;
	parse_function(self, &place, is_method, line);
	label__drop(self, place.label.start);
}

static void parse_if(struct parser *self)
{
	do {
		parser__next(self); /* if, elseif */
		parse_expressions(self, LUA_NAMING_NONE);
		parser__accept(self, LUA_TOKEN_THEN);
		parse_block(self);
	} while (parser__kind(self) == LUA_TOKEN_ELSEIF);
	if (parser__accept(self, LUA_TOKEN_ELSE))
		parse_block(self);
	parser__accept(self, LUA_TOKEN_END);
}

/* while, for, do: all end with `do` block `end`. */
static void parse_loop(struct parser *self)
{
	if (parser__kind(self) == LUA_TOKEN_FOR) {
		do {
			parser__next(self);
		} while (parser__kind(self) == LUA_TOKEN_NAME ||
			 parser__kind(self) == LUA_TOKEN_COMMA);
		if (!parser__accept(self, LUA_TOKEN_ASSIGN))
			parser__accept(self, LUA_TOKEN_IN);
		parse_expressions(self, LUA_NAMING_NONE);
	} else if (parser__accept(self, LUA_TOKEN_WHILE)) {
		parse_expressions(self, LUA_NAMING_NONE);
	}
	parser__accept(self, LUA_TOKEN_DO);
	parse_block(self);
	parser__accept(self, LUA_TOKEN_END);
}

/* Words that are a statement's start only if something certain follows. */
static bool parse_contextual(struct parser *self)
{
	const struct lua_token *token = &self->lexer.token;
	enum lua_token_kind ahead;

	if (lua_token__is(token, "goto")) {
		if (lua_lexer__peek(&self->lexer) != LUA_TOKEN_NAME)
			return false;
		parser__next(self);
		parser__next(self);
		return true;
	}
	if (!lua_token__is(token, "global"))
		return false;
	ahead = lua_lexer__peek(&self->lexer);
	if (ahead != LUA_TOKEN_NAME && ahead != LUA_TOKEN_FUNCTION && ahead != LUA_TOKEN_OPERATOR)
		return false;
	parser__next(self);
	parse_declaration(self);
	return true;
}

static void parse_statement(struct parser *self)
{
	if (!parser__enter(self))
		goto out;
	switch (parser__kind(self)) {
	case LUA_TOKEN_IF:
		parse_if(self);
		break;
	case LUA_TOKEN_WHILE:
	case LUA_TOKEN_FOR:
	case LUA_TOKEN_DO:
		parse_loop(self);
		break;
	case LUA_TOKEN_REPEAT:
		parser__next(self);
		parse_block(self);
		if (parser__accept(self, LUA_TOKEN_UNTIL))
			parse_expressions(self, LUA_NAMING_NONE);
		break;
	case LUA_TOKEN_FUNCTION:
		parse_function_statement(self);
		break;
	case LUA_TOKEN_LOCAL:
		parser__next(self);
		parse_declaration(self);
		break;
	case LUA_TOKEN_RETURN:
		parser__next(self);
		parse_expressions(self, LUA_NAMING_RETURNED);
		break;
	case LUA_TOKEN_NAME:
		if (!parse_contextual(self))
			parse_call_or_assignment(self);
		break;
	case LUA_TOKEN_PAREN_OPEN:
		parse_call_or_assignment(self);
		break;
	default: /* ; break :: and, in broken text, anything */
		parser__next(self);
	}
out:
	parser__leave(self);
}

/* Up to a word that ends a block, which is left to the caller. */
void parse_block(struct parser *self)
{
	for (;;) {
		switch (parser__kind(self)) {
		case LUA_TOKEN_EOF:
		case LUA_TOKEN_END:
		case LUA_TOKEN_ELSE:
		case LUA_TOKEN_ELSEIF:
		case LUA_TOKEN_UNTIL:
			return;
		default:
			parse_statement(self);
		}
	}
}

int lua_definitions__parse(const char *text, size_t size, struct lua_definitions *out)
{
	struct parser self = {.out = out, .function = -1};

	memset(out, 0, sizeof(*out));
	lua_lexer__init(&self.lexer, text, size);
	do {
		parse_block(&self);
		parser__next(&self); /* an `end` too many */
	} while (parser__kind(&self) != LUA_TOKEN_EOF);
	out->line_count = self.lexer.line;
	free(self.labels.data);
	free(self.targets);
	return self.error;
}

void lua_definitions__free(struct lua_definitions *self)
{
	free(self->items);
	free(self->pool.data);
	memset(self, 0, sizeof(*self));
}
