/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Feeds any bytes to the scanners of Lua source and of nginx's configuration. What they find has to
 * be in order, whatever the text. tests/names is a good start.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "symbol/lua_source.h"
#include "symbol/nginx_conf.h"
#include "symbol/nginx_config.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void expect(int condition)
{
	if (!condition)
		abort();
}

static void check_source(const char *text, size_t size)
{
	const struct lua_source_function *functions;
	struct lua_source *source;
	size_t count;

	expect(lua_source__parse(text, size, &source) == 0);
	functions = lua_source__functions(source, &count);
	for (size_t i = 0; i < count; i++) {
		const struct lua_source_function *function = &functions[i];
		const char *parameter = function->parameters;
		struct lua_function_hint hint = {function->first_line, function->last_line,
						 function->parameter_count, function->vararg, NULL};
		const char *name = lua_source__name(source, &hint);

		expect(function->first_line > 0 && function->last_line >= function->first_line);
		expect(function->last_line <= lua_source__line_count(source));
		expect(i == 0 || function->first_line >= functions[i - 1].first_line);
		expect(function->name[0] && strlen(function->name) < 512);
		for (int j = 0; j < function->parameter_count; j++)
			parameter += strlen(parameter) + 1;
		expect(!name || strcmp(name, function->name) == 0 || count > 1);
	}
	lua_source__free(source);
}

static int check_lua(void *data, const char *directive, size_t directive_size, uint32_t line,
		     const char *text, size_t size)
{
	expect(directive_size >= strlen("_by_lua") && line > 0);
	expect(memcmp(directive + directive_size - strlen("_by_lua"), "_by_lua", 7) == 0);
	check_source(text, size);
	return 0;
}

static int check_include(void *data, const char *pattern)
{
	expect(strlen(pattern) <= *(size_t *)data);
	return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct nginx_conf_visitor visitor = {&size, check_lua, check_include};
	struct nginx_chunk_name name;
	char *text = malloc(size ? size : 1);

	expect(text != NULL);
	if (size)
		memcpy(text, data, size);
	check_source(text, size);
	expect(nginx_conf__scan(text, size, &visitor) == 0);
	if (nginx_chunk_name__parse(text, size, &name))
		expect(name.directive_size && name.path_size < size);
	free(text);
	return 0;
}
