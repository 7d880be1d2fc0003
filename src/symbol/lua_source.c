/* SPDX-License-Identifier: Apache-2.0 */
/* See lua_source.h. The grammar is behind lua_parser.h; here are the names of what it found. */
#include "lua_source.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lua_parser.h"

struct lua_source {
	struct lua_source_function *functions;
	size_t count;
	uint32_t line_count;
	char *pool;
	size_t pool_size;
};

/* Writes the name of an anonymous function, with that of the nearest named one around it. */
static bool add_anonymous_name(struct lua_definitions *found, const struct lua_definition *item)
{
	const struct lua_definition *around;
	const char *outer = LUA_SOURCE_MAIN_CHUNK;
	int32_t parent = item->parent;
	char name[512];
	int size;

	/* Each anonymous parent's `parent` has been moved to the nearest named one already. */
	if (parent >= 0) {
		around = &found->items[parent];
		outer = found->pool.data + around->label;
	}
	if (item->naming == LUA_NAMING_ARGUMENT)
		size = snprintf(name, sizeof(name), "<anonymous in %s, for %s>", outer,
				found->pool.data + item->label);
	else if (item->naming == LUA_NAMING_RETURNED)
		size = snprintf(name, sizeof(name), "<anonymous in %s, returned>", outer);
	else
		size = snprintf(name, sizeof(name), "<anonymous in %s>", outer);
	if ((size_t)size >= sizeof(name))
		size = sizeof(name) - 1;
	return lua_text__append(&found->pool, name, (size_t)size + 1);
}

/* Sets each label to the function's final name. */
static int name_all(struct lua_definitions *found)
{
	size_t start = found->pool.size;

	for (size_t i = 0; i < found->count; i++) {
		struct lua_definition *item = &found->items[i];
		size_t name = found->pool.size;

		/* Parents come first, so theirs is a named one's or -1. */
		if (item->parent >= 0 && found->items[item->parent].naming != LUA_NAMING_NAME)
			item->parent = found->items[item->parent].parent;
		if (item->naming == LUA_NAMING_NAME)
			continue;
		if (name - start >= LUA_SOURCE_MAX_NAMES) {
			found->count = i;
			break;
		}
		if (!add_anonymous_name(found, item))
			return -ENOMEM;
		item->label = name;
	}
	return 0;
}

int lua_source__parse(const char *text, size_t size, struct lua_source **out)
{
	struct lua_definitions found;
	struct lua_source *self = NULL;
	int err;

	*out = NULL;
	err = lua_definitions__parse(text, size, &found);
	if (!err)
		err = name_all(&found);
	if (err)
		goto out;
	err = -ENOMEM;
	self = calloc(1, sizeof(*self));
	if (!self)
		goto out;
	self->functions = calloc(found.count ? found.count : 1, sizeof(*self->functions));
	if (!self->functions)
		goto out;
	self->line_count = found.line_count;
	/* What it has grown to may be twice of what it holds. */
	self->pool = realloc(found.pool.data, found.pool.size + 1);
	if (!self->pool)
		goto out;
	found.pool.data = NULL;
	self->pool_size = found.pool.size + 1;
	for (size_t i = 0; i < found.count; i++) {
		const struct lua_definition *item = &found.items[i];

		if (!item->last_line)
			continue;
		self->functions[self->count++] = (struct lua_source_function){
			.first_line = item->first_line,
			.last_line = item->last_line,
			.parameter_count = (int)item->parameter_count,
			.vararg = item->vararg,
			.parameters = self->pool + item->parameters,
			.name = self->pool + item->label,
		};
	}
	*out = self;
	self = NULL;
	err = 0;
out:
	lua_source__free(self);
	lua_definitions__free(&found);
	return err;
}

void lua_source__free(struct lua_source *self)
{
	if (!self)
		return;
	free(self->functions);
	free(self->pool);
	free(self);
}

size_t lua_source__size(const struct lua_source *self)
{
	return sizeof(*self) + (self->count + 1) * sizeof(*self->functions) + self->pool_size;
}

const struct lua_source_function *lua_source__functions(const struct lua_source *self,
							size_t *count)
{
	*count = self->count;
	return self->functions;
}

uint32_t lua_source__line_count(const struct lua_source *self)
{
	return self->line_count;
}

static bool agrees(const struct lua_source_function *function, const struct lua_function_hint *hint)
{
	const char *parameter = function->parameters;

	if (function->first_line != hint->first_line || function->last_line != hint->last_line)
		return false;
	if (hint->vararg >= 0 && function->vararg != (hint->vararg != 0))
		return false;
	if (hint->parameter_count < 0)
		return true;
	if (function->parameter_count != hint->parameter_count)
		return false;
	for (int i = 0; hint->parameters && i < hint->parameter_count; i++) {
		if (hint->parameters[i] && strcmp(hint->parameters[i], parameter) != 0)
			return false;
		parameter += strlen(parameter) + 1;
	}
	return true;
}

static bool is_wrapped_main(const struct lua_source *self, const struct lua_function_hint *hint)
{
	/* No function of the text itself can end behind its last line. */
	return hint->first_line == 1 && hint->last_line == self->line_count + 1;
}

/* The first function at or behind a line. */
static size_t find_line(const struct lua_source *self, uint32_t line)
{
	size_t low = 0, high = self->count;

	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (self->functions[middle].first_line < line)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

bool lua_source__has(const struct lua_source *self, const struct lua_function_hint *hint)
{
	size_t i = find_line(self, hint->first_line);

	if (hint->first_line == 0)
		return hint->last_line == self->line_count;
	for (; i < self->count && self->functions[i].first_line == hint->first_line; i++) {
		if (agrees(&self->functions[i], hint))
			return true;
	}
	return is_wrapped_main(self, hint);
}

const char *lua_source__name(const struct lua_source *self, const struct lua_function_hint *hint)
{
	size_t i = find_line(self, hint->first_line);
	const char *name = NULL;

	if (hint->first_line == 0 || is_wrapped_main(self, hint))
		return LUA_SOURCE_MAIN_CHUNK;
	for (; i < self->count && self->functions[i].first_line == hint->first_line; i++) {
		if (!agrees(&self->functions[i], hint))
			continue;
		if (name && strcmp(name, self->functions[i].name) != 0)
			return NULL;
		name = self->functions[i].name;
	}
	return name;
}
