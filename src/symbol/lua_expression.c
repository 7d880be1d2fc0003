/* SPDX-License-Identifier: Apache-2.0 */
/* Expressions and function bodies: see lua_parser_parts.h. */
#include "lua_parser_parts.h"

#include <errno.h>
#include <stdlib.h>

#include "lua_source.h"

#define MAX_FUNCTIONS (1U << 18)

/* ---- functions ------------------------------------------------------------------------------- */

static void add_to_pool(struct parser *self, const char *text, size_t size)
{
	if (!lua_text__append(&self->out->pool, text, size) ||
	    !lua_text__append(&self->out->pool, "", 1))
		parser__fail(self, -ENOMEM);
}

/* Returns the new function's index, or -1. */
static int32_t add_function(struct parser *self, struct place *place, uint32_t line)
{
	struct lua_definitions *out = self->out;
	struct lua_definition *item;

	if (parser__kind(self) == LUA_TOKEN_EOF || out->count == MAX_FUNCTIONS ||
	    out->pool.size >= LUA_SOURCE_MAX_NAMES) {
		lua_lexer__stop(&self->lexer);
		return -1;
	}
	if (out->count == out->capacity) {
		size_t wanted = out->capacity ? out->capacity * 2 : 64;
		void *grown = reallocarray(out->items, wanted, sizeof(*out->items));

		if (!grown) {
			parser__fail(self, -ENOMEM);
			return -1;
		}
		out->items = grown;
		out->capacity = wanted;
	}
	item = &out->items[out->count];
	*item = (struct lua_definition){
		.first_line = line,
		.parent = self->function,
		.next = -1,
		.naming = place->naming,
		.label = out->pool.size,
	};
	if (place->label.size)
		add_to_pool(self, self->labels.data + place->label.start, place->label.size);
	else
		add_to_pool(self, "", 0);
	item->parameters = out->pool.size;
	if (place->in_parens) {
		if (place->last >= 0)
			out->items[place->last].next = (int32_t)out->count;
		else
			place->first = (int32_t)out->count;
		place->last = (int32_t)out->count;
	}
	return (int32_t)out->count++;
}

static void parse_parameters(struct parser *self, struct lua_definition *item)
{
	if (!parser__accept(self, LUA_TOKEN_PAREN_OPEN))
		return;
	do {
		if (parser__accept(self, LUA_TOKEN_ELLIPSIS)) {
			item->vararg = true;
			parser__accept(self, LUA_TOKEN_NAME); /* Lua 5.5: ...name */
		} else if (parser__kind(self) == LUA_TOKEN_NAME) {
			add_to_pool(self, self->lexer.token.text, self->lexer.token.size);
			item->parameter_count++;
			parser__next(self);
		}
	} while (parser__accept(self, LUA_TOKEN_COMMA));
	parser__accept(self, LUA_TOKEN_PAREN_CLOSE);
}

/* Stands on the parenthesis that opens the parameters. */
void parse_function(struct parser *self, struct place *place, bool is_method, uint32_t line)
{
	int32_t outer = self->function;
	int32_t index = add_function(self, place, line);
	struct lua_definition *item;

	if (index < 0)
		return;
	item = &self->out->items[index];
	if (is_method) {
		add_to_pool(self, "self", 4);
		item->parameter_count++;
	}
	parse_parameters(self, item);
	self->function = index;
	parse_block(self);
	self->function = outer;
	if (parser__kind(self) == LUA_TOKEN_END) {
		self->out->items[index].last_line = self->lexer.token.line;
		parser__next(self);
	}
}

/* Stands on the word `function` of an expression. */
static void parse_function_value(struct parser *self, struct place *place)
{
	parser__next(self);
	parse_function(self, place, false, self->lexer.token.line);
}

/* ---- expressions ----------------------------------------------------------------------------- */

/* Stands behind the opening bracket; leaves behind the closing one. */
static struct key parse_key(struct parser *self)
{
	struct key key = {.kind = KEY_COMPUTED, .text = "?", .size = 1};
	const struct lua_token *token = &self->lexer.token;
	enum lua_token_kind first = parser__kind(self);
	struct place nowhere = place__nowhere();

	if ((first == LUA_TOKEN_STRING || first == LUA_TOKEN_NUMBER || first == LUA_TOKEN_VALUE) &&
	    lua_lexer__peek(&self->lexer) == LUA_TOKEN_BRACKET_CLOSE) {
		key.text = token->text;
		key.size = token->size;
		if (first != LUA_TOKEN_STRING)
			key.kind = KEY_NUMBER;
		else if (lua_lexer__is_identifier(key.text, key.size))
			key.kind = KEY_NAME;
		else
			key.kind = KEY_CONSTANT;
		parser__next(self);
	} else {
		parse_expression(self, &nowhere);
	}
	parser__accept(self, LUA_TOKEN_BRACKET_CLOSE);
	return key;
}

static void parse_field(struct parser *self, const struct place *table, bool has_prefix,
			unsigned int *position)
{
	struct place place = *table;
	struct key key = {.kind = KEY_COMPUTED};
	char number[16];
	bool has_key = false;

	place.in_parens = false;
	if (parser__accept(self, LUA_TOKEN_BRACKET_OPEN)) {
		key = parse_key(self);
		parser__accept(self, LUA_TOKEN_ASSIGN);
		has_key = true;
	} else if (parser__kind(self) == LUA_TOKEN_NAME &&
		   lua_lexer__peek(&self->lexer) == LUA_TOKEN_ASSIGN) {
		key = (struct key){KEY_NAME, self->lexer.token.text, self->lexer.token.size};
		parser__next(self);
		parser__next(self);
		has_key = true;
	} else {
		(*position)++;
	}
	/* [1] alone would be no name: such an item goes where the table goes. */
	if (!has_prefix && (!has_key || key.kind == KEY_NUMBER || key.kind == KEY_COMPUTED)) {
		parse_expression(self, &place);
		return;
	}
	place.naming = LUA_NAMING_NAME;
	place.label = has_prefix ? label__copy(self, table->label) : label__new(self);
	if (!has_key) {
		int digits = 0;

		for (unsigned int rest = *position; rest || !digits; rest /= 10)
			number[sizeof(number) - 1 - (size_t)digits++] = (char)('0' + rest % 10);
		key = (struct key){KEY_NUMBER, number + sizeof(number) - digits, (size_t)digits};
	}
	label__extend_key(self, &place.label, &key);
	parse_expression(self, &place);
	label__drop(self, place.label.start);
}

static void parse_table(struct parser *self, const struct place *place)
{
	bool has_prefix = place->naming == LUA_NAMING_NAME && !place->in_parens;
	struct place items =
		has_prefix || place->naming != LUA_NAMING_NAME ? *place : place__nowhere();
	unsigned int position = 0;

	parser__next(self);
	while (parser__kind(self) != LUA_TOKEN_BRACE_CLOSE && parser__kind(self) != LUA_TOKEN_EOF) {
		const char *before = self->lexer.token.text;

		parse_field(self, &items, has_prefix, &position);
		if (!parser__accept(self, LUA_TOKEN_COMMA) &&
		    !parser__accept(self, LUA_TOKEN_SEMICOLON) && self->lexer.token.text == before)
			parser__next(self);
	}
	parser__accept(self, LUA_TOKEN_BRACE_CLOSE);
}

static bool starts_call(enum lua_token_kind token)
{
	return token == LUA_TOKEN_PAREN_OPEN || token == LUA_TOKEN_STRING ||
	       token == LUA_TOKEN_BRACE_OPEN;
}

/* Stands on what starts the arguments of a call of `callee`. */
static void parse_arguments(struct parser *self, struct label callee)
{
	struct place place = {
		.naming = LUA_NAMING_ARGUMENT, .label = callee, .first = -1, .last = -1};

	if (parser__kind(self) == LUA_TOKEN_BRACE_OPEN) {
		parse_table(self, &place);
		return;
	}
	if (parser__accept(self, LUA_TOKEN_STRING))
		return;
	parser__next(self);
	do {
		parse_expression(self, &place);
	} while (parser__accept(self, LUA_TOKEN_COMMA));
	parser__accept(self, LUA_TOKEN_PAREN_CLOSE);
}

/* (function ... end)() has no name, (function ... end) the one that it would have without. */
static void parse_parens(struct parser *self, struct place *place)
{
	struct place inner = *place;
	enum lua_token_kind after;

	inner.in_parens = true;
	inner.first = inner.last = -1;
	parser__next(self);
	parse_expression(self, &inner);
	parser__accept(self, LUA_TOKEN_PAREN_CLOSE);
	after = parser__kind(self);
	if (starts_call(after) || after == LUA_TOKEN_DOT || after == LUA_TOKEN_COLON ||
	    after == LUA_TOKEN_BRACKET_OPEN) {
		for (int32_t i = inner.first; i >= 0; i = self->out->items[i].next)
			self->out->items[i].naming = LUA_NAMING_NONE;
	} else if (place->in_parens && inner.first >= 0) {
		if (place->last >= 0)
			self->out->items[place->last].next = inner.first;
		else
			place->first = inner.first;
		place->last = inner.last;
	}
}

/*
 * A name or something in parentheses with all that hangs on it: fields, keys, calls. Leaves its
 * text as the last one on the stack of labels.
 */
struct label parse_suffixed(struct parser *self, struct place *place)
{
	struct label label = label__new(self);
	struct key key;

	if (parser__kind(self) == LUA_TOKEN_NAME) {
		label__extend_token(self, &label);
		parser__next(self);
	} else {
		parse_parens(self, place);
		label__extend_string(self, &label, "(...)");
	}
	for (;;) {
		switch (parser__kind(self)) {
		case LUA_TOKEN_DOT:
		case LUA_TOKEN_COLON:
			label__extend_string(self, &label,
					     parser__kind(self) == LUA_TOKEN_DOT ? "." : ":");
			parser__next(self);
			if (parser__kind(self) != LUA_TOKEN_NAME)
				return label;
			label__extend_token(self, &label);
			parser__next(self);
			break;
		case LUA_TOKEN_BRACKET_OPEN:
			parser__next(self);
			key = parse_key(self);
			label__extend_key(self, &label, &key);
			break;
		case LUA_TOKEN_PAREN_OPEN:
		case LUA_TOKEN_STRING:
		case LUA_TOKEN_BRACE_OPEN:
			parse_arguments(self, label);
			label__extend_string(self, &label, "()");
			break;
		default:
			return label;
		}
	}
}

void parse_expression(struct parser *self, struct place *place)
{
	size_t labels = self->labels.size;

	if (!parser__enter(self))
		goto out;
	for (;;) {
		while (parser__kind(self) == LUA_TOKEN_OPERATOR)
			parser__next(self);
		switch (parser__kind(self)) {
		case LUA_TOKEN_STRING:
		case LUA_TOKEN_NUMBER:
		case LUA_TOKEN_VALUE:
		case LUA_TOKEN_ELLIPSIS:
			parser__next(self);
			break;
		case LUA_TOKEN_FUNCTION:
			parse_function_value(self, place);
			break;
		case LUA_TOKEN_BRACE_OPEN:
			parse_table(self, place);
			break;
		case LUA_TOKEN_NAME:
		case LUA_TOKEN_PAREN_OPEN:
			parse_suffixed(self, place);
			label__drop(self, labels);
			break;
		default:
			goto out;
		}
		if (parser__kind(self) != LUA_TOKEN_OPERATOR)
			goto out;
	}
out:
	parser__leave(self);
}
