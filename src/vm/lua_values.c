/* SPDX-License-Identifier: Apache-2.0 */
#include "lua_values.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

/* lua_Number2str; since 5.3 a float that is a whole number is told from an integer. */
static void show_number(const struct lua_heap *heap, double number, struct lua_shown *shown)
{
	size_t length;

	snprintf(shown->text, sizeof(shown->text), "%.14g", number);
	length = strlen(shown->text);
	if (heap->puc && heap->puc->release >= 50300 && isfinite(number) &&
	    strspn(shown->text, "-0123456789") == length)
		snprintf(shown->text + length, sizeof(shown->text) - length, ".0");
}

/* How many bytes at the end of a text that was cut belong to a character that is not whole. */
static size_t cut_character(const char *bytes, size_t size)
{
	size_t i;

	for (i = 1; i <= 3 && i <= size; i++) {
		unsigned char byte = (unsigned char)bytes[size - i];

		if (byte < 0x80)
			return 0;
		if (byte >= 0xc0)
			return i < (byte >= 0xf0 ? 4u : byte >= 0xe0 ? 3u : 2u) ? i : 0;
	}
	return 0;
}

static size_t escape(char *to, size_t size, const char *bytes, size_t count)
{
	static const char letters[] = "\a\b\f\n\r\t\v\\\"", names[] = "abfnrtv\\\"";
	const char *letter;
	size_t i, at = 0;

	for (i = 0; i < count && at + 5 < size; i++) {
		unsigned char byte = (unsigned char)bytes[i];

		letter = byte ? strchr(letters, byte) : NULL;
		if (letter)
			at += (size_t)snprintf(to + at, size - at, "\\%c", names[letter - letters]);
		else if (byte < ' ' || byte == 0x7f)
			at += (size_t)snprintf(to + at, size - at, "\\%03u", byte);
		else
			to[at++] = (char)byte;
	}
	to[at] = '\0';
	return at;
}

static void show_string(struct lua_heap *heap, uint64_t ref, struct lua_shown *shown)
{
	char bytes[LUA_VALUE_SHOWN];
	uint64_t address, length;
	size_t count, at;
	bool cut;

	if (heap->ops->string_place(heap, ref, &address, &length) != 0)
		goto gone;
	cut = length > sizeof(bytes);
	count = cut ? sizeof(bytes) : (size_t)length;
	if (count && lua_heap__read(heap, address, bytes, count) != 0)
		goto gone;
	if (cut)
		count -= cut_character(bytes, count);
	shown->text[0] = '"';
	at = 1 + escape(shown->text + 1, sizeof(shown->text) - 64, bytes, count);
	if (cut)
		snprintf(shown->text + at, sizeof(shown->text) - at, "...\" (%" PRIu64 " bytes)",
			 length);
	else
		snprintf(shown->text + at, sizeof(shown->text) - at, "\"");
	return;
gone:
	snprintf(shown->text, sizeof(shown->text), "string 0x%" PRIx64, ref);
}

static int count_nodes(struct lua_heap *heap, uint64_t ref, struct lua_items *items)
{
	struct lua_nodes nodes;
	uint8_t bytes[64 * 48];
	struct lua_raw raw;
	uint32_t i, in_block = 64;
	int err = heap->ops->nodes(heap, ref, &nodes);

	if (err)
		return err;
	items->more_hash = nodes.count > LUA_MAX_COUNTED;
	if (items->more_hash)
		nodes.count = LUA_MAX_COUNTED;
	for (i = 0; i < nodes.count; i++) {
		if (i % in_block == 0) {
			err = lua_heap__read(
				heap, nodes.address + i * heap->node_size, bytes,
				(nodes.count - i < in_block ? nodes.count - i : in_block) *
					heap->node_size);
			if (err)
				return err;
		}
		/* A node begins with its value. */
		heap->ops->raw(heap, bytes + i % in_block * heap->node_size, &raw);
		items->hash += raw.kind != RAW_NIL;
	}
	return 0;
}

static void show_table(struct lua_heap *heap, uint64_t ref, struct lua_shown *shown)
{
	struct lua_items items = {};

	if (heap->ops->array_items(heap, ref, &items) != 0 || count_nodes(heap, ref, &items) != 0)
		snprintf(shown->text, sizeof(shown->text), "table 0x%" PRIx64, ref);
	else
		snprintf(shown->text, sizeof(shown->text),
			 "table 0x%" PRIx64 " (%u%s array, %u%s hash)", ref, items.array,
			 items.more_array ? "+" : "", items.hash, items.more_hash ? "+" : "");
}

static void show_userdata(struct lua_heap *heap, uint64_t ref, struct lua_shown *shown)
{
	uint64_t size;

	if (heap->ops->userdata_size(heap, ref, &size) == 0)
		snprintf(shown->text, sizeof(shown->text),
			 "userdata 0x%" PRIx64 " (%" PRIu64 " bytes)", ref, size);
	else
		snprintf(shown->text, sizeof(shown->text), "userdata 0x%" PRIx64, ref);
}

static void show_cdata(struct lua_heap *heap, uint64_t ref, struct lua_shown *shown)
{
	uint32_t type;

	if (heap->ops->cdata_type(heap, ref, &type) == 0)
		snprintf(shown->text, sizeof(shown->text), "cdata 0x%" PRIx64 " (type %u)", ref,
			 type);
	else
		snprintf(shown->text, sizeof(shown->text), "cdata 0x%" PRIx64, ref);
}

void lua_value__show(struct lua_heap *heap, const void *slot, struct lua_shown *shown)
{
	struct lua_raw raw;

	*shown = (struct lua_shown){};
	heap->ops->raw(heap, slot, &raw);
	switch (raw.kind) {
	case RAW_NIL:
		snprintf(shown->text, sizeof(shown->text), "nil");
		return;
	case RAW_FALSE:
	case RAW_TRUE:
		snprintf(shown->text, sizeof(shown->text), "%s",
			 raw.kind == RAW_TRUE ? "true" : "false");
		return;
	case RAW_INTEGER:
		snprintf(shown->text, sizeof(shown->text), "%" PRId64, raw.integer);
		return;
	case RAW_NUMBER:
		show_number(heap, raw.number, shown);
		return;
	case RAW_LIGHTUSERDATA:
		snprintf(shown->text, sizeof(shown->text), "lightuserdata 0x%" PRIx64, raw.ref);
		return;
	case RAW_STRING:
		show_string(heap, raw.ref, shown);
		return;
	case RAW_TABLE:
		show_table(heap, raw.ref, shown);
		return;
	case RAW_FUNCTION:
	case RAW_LIGHT_FUNCTION:
		snprintf(shown->text, sizeof(shown->text), "function 0x%" PRIx64, raw.ref);
		shown->function = raw.ref;
		shown->is_light = raw.kind == RAW_LIGHT_FUNCTION;
		return;
	case RAW_USERDATA:
		show_userdata(heap, raw.ref, shown);
		return;
	case RAW_THREAD:
		snprintf(shown->text, sizeof(shown->text), "thread 0x%" PRIx64, raw.ref);
		return;
	case RAW_CDATA:
		show_cdata(heap, raw.ref, shown);
		return;
	case RAW_OTHER:
		snprintf(shown->text, sizeof(shown->text), "(not a value)");
		return;
	}
}
