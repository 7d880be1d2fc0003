/* SPDX-License-Identifier: Apache-2.0 */
#include "json_text.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "../output/text.h"

struct json_object *json_text__new(const char *text)
{
	struct json_object *object;
	uint32_t code_point;
	size_t length = 0;
	char *clean;

	if (!*text)
		return NULL;
	clean = malloc(4 * strlen(text) + 4);
	if (!clean)
		return NULL;
	while ((code_point = text__next(&text)))
		length += text__encode(code_point, clean + length);
	object = json_object_new_string_len(clean, (int)length);
	free(clean);
	return object;
}

int json_text__write(struct json_object *object, FILE *out)
{
	const char *text = NULL;

	if (object)
		text = json_object_to_json_string_ext(
			object, JSON_C_TO_STRING_PRETTY | JSON_C_TO_STRING_NOSLASHESCAPE);
	if (text)
		fprintf(out, "%s\n", text);
	json_object_put(object);
	return text ? 0 : -ENOMEM;
}
