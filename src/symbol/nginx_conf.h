/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The Lua code in the text of an nginx configuration file, and the other files that it includes.
 * Knows nginx's syntax, no files: nginx_config.h does.
 *
 * nginx's Lua modules name such a chunk =DIRECTIVE(FILE:LINE), for example
 * "=content_by_lua(nginx.conf:42)" or "=access_by_lua(conf.d/site.conf:7)":
 *   - DIRECTIVE is the directive's name without "_block";
 *   - LINE is that of the brace that opens the block; where the code is a string, that of the
 *     semicolon that ends the directive. Lines within the chunk count from 1 at that brace or at
 * the string's first character;
 *   - FILE is "nginx.conf" for every file of that base name; else the path relative to the folder
 * of the main configuration file if it is below that, else the whole path, and "..." and the end of
 * it when it is too long (60 bytes). Before version 0.10.23 it is the base name only. Very old
 * versions have "=content_by_lua" alone, and so have init_by_lua and others up to 0.10.22.
 * (Measured with 0.10.23; the rest from the history of lua-nginx-module's
 * ngx_http_lua_directive.c.)
 */
#ifndef LUASPY_NGINX_CONF_H
#define LUASPY_NGINX_CONF_H

#include <stddef.h>
#include <stdint.h>

struct nginx_conf_visitor {
	void *data;
	/* The code of a directive. `text` is as Lua got it, and valid during the call only. */
	int (*lua)(void *data, const char *directive, size_t directive_size, uint32_t line,
		   const char *text, size_t size);
	/* The argument of an include directive, NUL-terminated. */
	int (*include)(void *data, const char *pattern);
};

/*
 * Calls the visitor for all that is in `text`, which may be any bytes, in their order, and stops
 * when that returns other than 0. Returns that value, 0 or -ENOMEM.
 */
int nginx_conf__scan(const char *text, size_t size, const struct nginx_conf_visitor *visitor);

#endif
