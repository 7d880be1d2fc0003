/* SPDX-License-Identifier: Apache-2.0 */
#include "puc_proto.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "../bpf/fingerprint.h"

#define OBJECT_TYPE    8
#define HEAD_SIZE      128
#define STRING_HEAD    32
#define VALUE_SIZE     16
#define TYPE_OF_VALUE  8
#define ABSOLUTE_LINE  (-128) /* in lineinfo: the line is in abslineinfo (5.4) */
#define MAX_CODE       (1u << 18)
#define MAX_ELEMENTS   (1u << 16) /* of the others */
#define TYPE_STRING    4
#define VARIANT_LONG   0x10
#define TYPE_NUMBER_0  0x03 /* a double up to 5.3, an integer since 5.4 */
#define TYPE_NUMBER_1  0x13 /* the other one, since 5.3 */
#define TYPE_MASK      0x3f
#define LONG_SINCE_5_5 0x80

/* Offsets in Proto by version, as in puc_layout.c, which has those that the walk needs. */
struct layout {
	uint8_t size; /* what is read */
	uint8_t constants, constant_count;
	uint8_t children, child_count;
	uint8_t variables, variable_count;
	uint8_t upvalues, upvalue_count, upvalue_size;
	uint8_t line_count;
	uint8_t upvalues_of_closure; /* 5.1: their number, which so many instructions follow */
};

static const struct layout lua_51 = {
	.size = 120,
	.constants = 16,
	.constant_count = 76,
	.children = 32,
	.child_count = 88,
	.variables = 48,
	.variable_count = 92,
	.upvalues = 56,
	.upvalue_count = 72,
	.upvalue_size = 8,
	.line_count = 84,
	.upvalues_of_closure = 112,
};

static const struct layout lua_52 = {
	.size = 124,
	.constants = 16,
	.constant_count = 84,
	.children = 32,
	.child_count = 96,
	.variables = 48,
	.variable_count = 100,
	.upvalues = 56,
	.upvalue_count = 80,
	.upvalue_size = 16,
	.line_count = 92,
};

static const struct layout lua_53 = {
	.size = 120,
	.constants = 48,
	.constant_count = 20,
	.children = 64,
	.child_count = 32,
	.variables = 80,
	.variable_count = 36,
	.upvalues = 88,
	.upvalue_count = 16,
	.upvalue_size = 16,
	.line_count = 28,
};

static const struct layout lua_54 = {
	.size = 120,
	.constants = 56,
	.constant_count = 20,
	.children = 72,
	.child_count = 32,
	.variables = 104,
	.variable_count = 36,
	.upvalues = 80,
	.upvalue_count = 16,
	.upvalue_size = 16,
	.line_count = 28,
};

static const struct layout *layout_of(const struct lua_heap *heap)
{
	switch (heap->puc->release / 100) {
	case 501:
		return &lua_51;
	case 502:
		return &lua_52;
	case 503:
		return &lua_53;
	}
	return &lua_54;
}

/* ---- identity --------------------------------------------------------------------------------
 */

/* As puc_chunk_hash() of bpf/walk_puc.h. */
static int hash_chunk(struct lua_heap *heap, uint64_t string, uint64_t *hash)
{
	const struct puc_build *build = heap->puc;
	uint64_t at = string + build->string_data, length, last;
	uint8_t bytes[CHUNK_READ_SIZE] __attribute__((aligned(8))), short_length;
	int err;

	*hash = 1;
	if (!string)
		return 0;
	err = lua_heap__object(heap, string, bytes, STRING_HEAD);
	if (err)
		return err;
	length = lua_word(bytes, build->string_length);
	if (build->string_short_length) {
		short_length = bytes[build->string_short_length];
		if (build->string_is_pointer ? short_length < LONG_SINCE_5_5
					     : !(bytes[OBJECT_TYPE] & VARIANT_LONG))
			length = short_length;
		else if (build->string_is_pointer)
			at = lua_word(bytes, build->string_data);
	}
	err = lua_heap__read(heap, at, bytes, CHUNK_HASHED_SIZE);
	if (err)
		return err;
	*hash = chunk_fingerprint(bytes, 0, (uint32_t)length);
	if (length > CHUNK_HASHED_SIZE &&
	    lua_heap__read(heap, at + length - sizeof(last), &last, sizeof(last)) == 0)
		*hash = hash_mix(*hash, last);
	return 0;
}

static int read_head(struct lua_heap *heap, uint64_t address, uint32_t tgid,
		     const struct puc_proto_head *like, struct puc_proto_head *head, uint8_t *bytes)
{
	const struct puc_build *build = heap->puc;
	const struct layout *layout = layout_of(heap);
	uint8_t parameters[1];
	uint64_t lines;
	int err;

	*head = (struct puc_proto_head){};
	err = lua_heap__object(heap, address, bytes, layout->size);
	if (err)
		return err;
	if (bytes[OBJECT_TYPE] != build->proto_type)
		return -EINVAL;
	memcpy(parameters, bytes + build->proto_parameters, sizeof(parameters));
	head->parameter_count = parameters[0];
	head->source = lua_word(bytes, build->proto_source);
	if (like && like->source == head->source)
		head->chunk_hash = like->chunk_hash;
	else
		err = hash_chunk(heap, head->source, &head->chunk_hash);
	if (err)
		return err;
	head->first_line = lua_half(bytes, build->proto_first_line);
	lines = (uint64_t)(lua_half(bytes, build->proto_first_line + 4u) - head->first_line) << 32 |
		head->first_line;
	head->id = proto_fingerprint(head->chunk_hash, address, lines,
				     lua_half(bytes, build->proto_size_code), tgid);
	head->child_count = lua_half(bytes, layout->child_count);
	head->variable_count = lua_half(bytes, layout->variable_count);
	head->variables = lua_word(bytes, layout->variables);
	if (layout->upvalues_of_closure)
		head->upvalue_count = bytes[layout->upvalues_of_closure];
	return 0;
}

int puc_proto__head(struct lua_heap *heap, uint64_t address, uint32_t tgid,
		    const struct puc_proto_head *like, struct puc_proto_head *head)
{
	uint8_t bytes[HEAD_SIZE];

	return read_head(heap, address, tgid, like, head, bytes);
}

/* ---- reading ---------------------------------------------------------------------------------
 */

/* `*array` stays NULL when there is nothing. */
static int read_array(struct lua_heap *heap, uint64_t address, uint32_t count, size_t size,
		      uint32_t most, void *array)
{
	void *items;
	int err;

	if (!count)
		return 0;
	if (count > most)
		return -E2BIG;
	items = malloc(count * size);
	if (!items)
		return -ENOMEM;
	err = lua_heap__read(heap, address, items, count * size);
	if (err)
		free(items);
	else
		memcpy(array, &items, sizeof(items));
	return err;
}

int puc_proto__open(struct lua_heap *heap, uint64_t address, uint32_t tgid, struct puc_proto *self)
{
	const struct puc_build *build = heap->puc;
	const struct layout *layout = layout_of(heap);
	size_t line_size = build->proto_abs_lines ? 1 : sizeof(int32_t);
	uint8_t bytes[HEAD_SIZE];
	int err;

	*self = (struct puc_proto){.address = address, .tgid = tgid};
	err = read_head(heap, address, tgid, NULL, &self->head, bytes);
	if (err)
		return err;
	self->code_count = lua_half(bytes, build->proto_size_code);
	self->constant_count = lua_half(bytes, layout->constant_count);
	self->upvalue_count = lua_half(bytes, layout->upvalue_count);
	self->line_count = lua_half(bytes, layout->line_count);
	if (build->proto_abs_lines)
		self->absolute_line_count = lua_half(bytes, build->proto_size_abs_lines);
	err = read_array(heap, lua_word(bytes, build->proto_code), self->code_count,
			 sizeof(*self->code), MAX_CODE, &self->code);
	if (!err)
		err = read_array(heap, lua_word(bytes, layout->constants), self->constant_count,
				 VALUE_SIZE, MAX_ELEMENTS, &self->constants);
	if (!err)
		err = read_array(heap, lua_word(bytes, layout->children), self->head.child_count,
				 sizeof(*self->children), MAX_ELEMENTS, &self->children);
	if (!err)
		err = read_array(heap, self->head.variables, self->head.variable_count,
				 sizeof(*self->variables), MAX_ELEMENTS, &self->variables);
	if (!err)
		err = read_array(heap, lua_word(bytes, layout->upvalues), self->upvalue_count,
				 layout->upvalue_size, MAX_ELEMENTS, &self->upvalue_names);
	if (!err)
		err = read_array(heap, lua_word(bytes, build->proto_line_info), self->line_count,
				 line_size, MAX_CODE, &self->lines);
	if (!err && build->proto_abs_lines)
		err = read_array(heap, lua_word(bytes, build->proto_abs_lines),
				 self->absolute_line_count, 2 * sizeof(int32_t), MAX_ELEMENTS,
				 &self->absolute_lines);
	return err;
}

void puc_proto__close(struct puc_proto *self)
{
	free(self->code);
	free(self->constants);
	free(self->children);
	free(self->variables);
	free(self->upvalue_names);
	free(self->lines);
	free(self->absolute_lines);
	*self = (struct puc_proto){};
}

bool puc_proto__unchanged(const struct puc_proto *self, struct lua_heap *heap)
{
	struct puc_proto_head head;

	return puc_proto__head(heap, self->address, self->tgid, NULL, &head) == 0 &&
	       head.id == self->head.id;
}

/* ---- names -----------------------------------------------------------------------------------
 */

/* ldebug.c, luaF_getlocalname(): the variables that are there, in the order of their registers. */
bool puc_proto__variable_name(const struct puc_proto *self, struct lua_heap *heap,
			      uint32_t position, uint32_t reg, char *text)
{
	const struct puc_variable *variable;
	uint32_t i;

	for (i = 0; i < self->head.variable_count; i++) {
		variable = &self->variables[i];
		if (variable->start > (int64_t)position)
			return false; /* they are sorted */
		if (variable->end <= (int64_t)position)
			continue;
		if (reg--)
			continue;
		return lua_heap__string(heap, variable->name, text) == 0 && text[0] != '(';
	}
	return false;
}

bool puc_proto__upvalue_name(const struct puc_proto *self, struct lua_heap *heap, uint32_t index,
			     char *text)
{
	uint32_t words = layout_of(heap)->upvalue_size / sizeof(uint64_t);

	return index < self->upvalue_count &&
	       lua_heap__string(heap, self->upvalue_names[(size_t)index * words], text) == 0;
}

bool puc_proto__has_self(const struct puc_proto_head *self, struct lua_heap *heap)
{
	char text[LUA_MAX_STRING + 1];
	struct puc_variable variable;

	return self->parameter_count && self->variable_count &&
	       lua_heap__read(heap, self->variables, &variable, sizeof(variable)) == 0 &&
	       lua_heap__string(heap, variable.name, text) == 0 && strcmp(text, "self") == 0;
}

/* NULL when there is no such constant. */
static const uint8_t *constant(const struct puc_proto *self, uint32_t index)
{
	return index < self->constant_count ? self->constants + (size_t)index * VALUE_SIZE : NULL;
}

bool puc_proto__string(const struct puc_proto *self, struct lua_heap *heap, uint32_t index,
		       char *text)
{
	const uint8_t *value = constant(self, index);

	return value && (value[TYPE_OF_VALUE] & 0x0f) == TYPE_STRING &&
	       lua_heap__string(heap, lua_word(value, 0), text) == 0;
}

bool puc_proto__integer(const struct puc_proto *self, struct lua_heap *heap, uint32_t index,
			int64_t *number)
{
	const uint8_t *value = constant(self, index);
	uint32_t release = heap->puc->release;
	uint8_t type;
	double real;

	if (!value)
		return false;
	type = value[TYPE_OF_VALUE] & TYPE_MASK;
	if (type == (release < 50400 ? TYPE_NUMBER_1 : TYPE_NUMBER_0) && release >= 50300) {
		memcpy(number, value, sizeof(*number));
		return true;
	}
	if (type != TYPE_NUMBER_0 && type != TYPE_NUMBER_1)
		return false;
	memcpy(&real, value, sizeof(real));
	if (!(real > -1e15 && real < 1e15))
		return false;
	*number = (int64_t)real;
	return (double)*number == real;
}

/* luaG_getfuncline() (5.4), getline() before. */
uint32_t puc_proto__line(const struct puc_proto *self, struct lua_heap *heap, uint32_t position)
{
	uint32_t line = self->head.first_line, i, k = 0;

	if (position >= self->line_count)
		return 0;
	if (!heap->puc->proto_abs_lines)
		return lua_half(self->lines, (size_t)position * sizeof(int32_t));
	for (i = 0; i <= position; i++) {
		if ((int8_t)self->lines[i] != ABSOLUTE_LINE) {
			line += (uint32_t)(int8_t)self->lines[i];
			continue;
		}
		while (k < self->absolute_line_count &&
		       self->absolute_lines[2 * (size_t)k] < (int64_t)i)
			k++;
		if (k == self->absolute_line_count)
			return 0;
		line = (uint32_t)self->absolute_lines[2 * (size_t)k + 1];
	}
	return line;
}
