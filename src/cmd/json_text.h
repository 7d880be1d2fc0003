/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The target's text as JSON strings, and whole documents written, with json-c.
 */
#ifndef LUASPY_JSON_TEXT_H
#define LUASPY_JSON_TEXT_H

#include <json-c/json.h>
#include <stdio.h>

/* A string that is valid UTF-8 whatever the bytes were; NULL, which is null, for "". */
struct json_object *json_text__new(const char *text);

/* Writes it, with a line end, and frees it. 0 or -ENOMEM; NULL is one that could not be made. */
int json_text__write(struct json_object *object, FILE *out);

#endif
