/* SPDX-License-Identifier: Apache-2.0 */
#include "btf_excerpt.h"

#include <bpf/btf.h>
#include <errno.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

/* Of task_struct and all that is in it: about 300. */
#define MAX_TYPES 4096u

/* The place of one type in so many is remembered: those between are found from there. */
#define PLACE_STEP 32u

/* What follows a struct btf_type: `fixed` bytes, and `each` for each of its elements (vlen). */
static const struct {
	uint8_t known, fixed, each;
} shapes[] = {
	[BTF_KIND_INT] = {1, sizeof(uint32_t), 0},
	[BTF_KIND_PTR] = {1, 0, 0},
	[BTF_KIND_ARRAY] = {1, sizeof(struct btf_array), 0},
	[BTF_KIND_STRUCT] = {1, 0, sizeof(struct btf_member)},
	[BTF_KIND_UNION] = {1, 0, sizeof(struct btf_member)},
	[BTF_KIND_ENUM] = {1, 0, sizeof(struct btf_enum)},
	[BTF_KIND_FWD] = {1, 0, 0},
	[BTF_KIND_TYPEDEF] = {1, 0, 0},
	[BTF_KIND_VOLATILE] = {1, 0, 0},
	[BTF_KIND_CONST] = {1, 0, 0},
	[BTF_KIND_RESTRICT] = {1, 0, 0},
	[BTF_KIND_FUNC] = {1, 0, 0},
	[BTF_KIND_FUNC_PROTO] = {1, 0, sizeof(struct btf_param)},
	[BTF_KIND_VAR] = {1, sizeof(struct btf_var), 0},
	[BTF_KIND_DATASEC] = {1, 0, sizeof(struct btf_var_secinfo)},
	[BTF_KIND_FLOAT] = {1, 0, 0},
	[BTF_KIND_DECL_TAG] = {1, sizeof(struct btf_decl_tag), 0},
	[BTF_KIND_TYPE_TAG] = {1, 0, 0},
	[BTF_KIND_ENUM64] = {1, 0, sizeof(struct btf_enum64)},
};

struct source {
	const char *types, *strings;
	uint32_t types_size, strings_size;
	uint32_t *places; /* of the types 1, 1 + PLACE_STEP, ... */
	uint32_t type_count;
};

/* The source's types that are taken; a type's id in the excerpt is its index + 1. */
struct taken {
	uint32_t ids[MAX_TYPES];
	uint32_t count;
	size_t types_size, strings_size;
};

struct excerpt {
	char *types, *strings; /* where the next goes */
	uint32_t strings_used;
};

static int open_source(struct source *self, const void *btf, size_t size)
{
	const struct btf_header *header = btf;
	size_t content;

	if (size < sizeof(*header) || size > UINT32_MAX)
		return -EINVAL;
	if (header->magic != BTF_MAGIC || header->version != BTF_VERSION)
		return header->magic == __builtin_bswap16(BTF_MAGIC) ? -ENOTSUP : -EINVAL;
	if (header->hdr_len < sizeof(*header) || header->hdr_len > size)
		return -EINVAL;
	content = size - header->hdr_len;
	if (header->type_off > content || header->type_len > content - header->type_off ||
	    header->str_off > content || header->str_len > content - header->str_off ||
	    (header->hdr_len + header->type_off) % 4 || !header->str_len)
		return -EINVAL;
	self->types = (const char *)btf + header->hdr_len + header->type_off;
	self->types_size = header->type_len;
	self->strings = (const char *)btf + header->hdr_len + header->str_off;
	self->strings_size = header->str_len;
	/* The last one's end, so that each offset in there is a string. */
	if (self->strings[0] || self->strings[self->strings_size - 1])
		return -EINVAL;
	self->places = calloc(self->types_size / sizeof(struct btf_type) / PLACE_STEP + 1,
			      sizeof(*self->places));
	return self->places ? 0 : -ENOMEM;
}

/* NULL if there is no string at this offset. */
static const char *string_at(const struct source *self, uint32_t offset)
{
	return offset < self->strings_size ? self->strings + offset : NULL;
}

/* Of the type at `place`, which is in the source: its size, or a negative errno. */
static int64_t type_size(const struct source *self, uint32_t place)
{
	const struct btf_type *type = (const void *)(self->types + place);
	uint32_t left = self->types_size - place;
	uint64_t size;
	uint16_t kind;

	if (left < sizeof(*type))
		return -EINVAL;
	kind = btf_kind(type);
	if (kind >= sizeof(shapes) / sizeof(shapes[0]) || !shapes[kind].known)
		return -ENOTSUP;
	size = sizeof(*type) + shapes[kind].fixed + (uint64_t)btf_vlen(type) * shapes[kind].each;
	return size <= left ? (int64_t)size : -EINVAL;
}

/* Only for ids that `scan` has counted. */
static const struct btf_type *type_of(const struct source *self, uint32_t id)
{
	uint32_t place = self->places[(id - 1) / PLACE_STEP];

	for (uint32_t i = (id - 1) % PLACE_STEP; i; i--)
		place += (uint32_t)type_size(self, place);
	return (const void *)(self->types + place);
}

/* 0 if the type is void or was taken before. */
static int take(struct taken *taken, const struct source *source, uint32_t id)
{
	if (!id)
		return 0;
	if (id > source->type_count)
		return -EINVAL;
	for (uint32_t i = 0; i < taken->count; i++)
		if (taken->ids[i] == id)
			return 0;
	if (taken->count == MAX_TYPES)
		return -E2BIG;
	taken->ids[taken->count++] = id;
	return 0;
}

static uint32_t new_id(const struct taken *taken, uint32_t id)
{
	for (uint32_t i = 0; id && i < taken->count; i++)
		if (taken->ids[i] == id)
			return i + 1;
	return 0;
}

/* With nothing behind it, or a flavour. */
static bool has_name(const char *text, const char *name)
{
	size_t length = strlen(name);

	return !strncmp(text, name, length) && (!text[length] || !strncmp(text + length, "___", 3));
}

/* Counts the types, remembers where they are, and takes those that have one of the names. */
static int scan(struct source *self, const char *const *names, size_t name_count, bool *found,
		struct taken *taken)
{
	const struct btf_type *type;
	const char *text;
	uint32_t place;
	int64_t size;
	size_t i;
	int err;

	for (place = 0; place < self->types_size; place += (uint32_t)size) {
		size = type_size(self, place);
		if (size < 0)
			return (int)size;
		if (self->type_count % PLACE_STEP == 0)
			self->places[self->type_count / PLACE_STEP] = place;
		self->type_count++;
		type = (const void *)(self->types + place);
		if (!btf_is_composite(type))
			continue;
		text = string_at(self, type->name_off);
		if (!text)
			return -EINVAL;
		for (i = 0; i < name_count; i++) {
			if (text[0] != names[i][0] || !has_name(text, names[i]))
				continue;
			found[i] = true;
			err = take(taken, self, self->type_count);
			if (err)
				return err;
		}
	}
	for (i = 0; i < name_count; i++)
		if (!found[i])
			return -ENOENT;
	return 0;
}

/* Adds a string's length to the strings' size. */
static int count_string(const struct source *self, uint32_t offset, struct taken *taken)
{
	const char *text = string_at(self, offset);

	if (!text)
		return -EINVAL;
	taken->strings_size += text[0] ? strlen(text) + 1 : 0;
	return 0;
}

/* Takes what the layout of the type depends on, and counts the space that its copy needs. */
static int take_parts(struct taken *taken, const struct source *self, const struct btf_type *type)
{
	uint16_t kind = btf_kind(type), count = btf_vlen(type);
	const char *element = (const char *)(type + 1);
	int err = count_string(self, type->name_off, taken);

	taken->types_size += sizeof(*type) + shapes[kind].fixed + (size_t)count * shapes[kind].each;
	switch (kind) {
	case BTF_KIND_INT:
	case BTF_KIND_FLOAT:
	case BTF_KIND_FWD:
	case BTF_KIND_PTR:
		return err;
	case BTF_KIND_TYPEDEF:
	case BTF_KIND_VOLATILE:
	case BTF_KIND_CONST:
	case BTF_KIND_RESTRICT:
	case BTF_KIND_TYPE_TAG:
		return err ? err : take(taken, self, type->type);
	case BTF_KIND_ARRAY:
		err = err ? err : take(taken, self, btf_array(type)->type);
		return err ? err : take(taken, self, btf_array(type)->index_type);
	case BTF_KIND_STRUCT:
	case BTF_KIND_UNION:
	case BTF_KIND_ENUM:
	case BTF_KIND_ENUM64:
		/* An element begins with its name; a member's type is behind that. */
		for (; !err && count; count--, element += shapes[kind].each) {
			err = count_string(self, *(const uint32_t *)element, taken);
			if (!err && btf_is_composite(type))
				err = take(taken, self, ((const struct btf_member *)element)->type);
		}
		return err;
	default: /* has no values */
		return -EINVAL;
	}
}

static uint32_t put_string(struct excerpt *self, const struct source *source, uint32_t offset)
{
	const char *text = string_at(source, offset);
	uint32_t place = self->strings_used;
	size_t size = strlen(text) + 1;

	if (!text[0])
		return 0;
	memcpy(self->strings + place, text, size);
	self->strings_used += (uint32_t)size;
	return place;
}

/* Of a type that take_parts has accepted. */
static void put_type(struct excerpt *self, const struct source *source, const struct taken *taken,
		     const struct btf_type *type)
{
	uint16_t kind = btf_kind(type), count = btf_vlen(type);
	size_t size = sizeof(*type) + shapes[kind].fixed + (size_t)count * shapes[kind].each;
	struct btf_type *copy = (void *)self->types;
	char *element = (char *)(copy + 1);
	struct btf_member *member;

	memcpy(copy, type, size);
	self->types += size;
	copy->name_off = put_string(self, source, type->name_off);
	if (btf_is_ptr(type)) {
		copy->type = 0;
	} else if (btf_is_mod(type) || btf_is_typedef(type)) {
		copy->type = new_id(taken, type->type);
	} else if (btf_is_array(type)) {
		btf_array(copy)->type = new_id(taken, btf_array(type)->type);
		btf_array(copy)->index_type = new_id(taken, btf_array(type)->index_type);
	}
	for (; count && shapes[kind].each; count--, element += shapes[kind].each) {
		*(uint32_t *)element = put_string(self, source, *(uint32_t *)element);
		member = (void *)element;
		if (btf_is_composite(type))
			member->type = new_id(taken, member->type);
	}
}

/* Writes all that is taken. */
static int write_excerpt(const struct source *source, const struct taken *taken, void **bytes,
			 size_t *bytes_size)
{
	size_t size = sizeof(struct btf_header) + taken->types_size + taken->strings_size;
	struct btf_header *header;
	struct excerpt excerpt;

	if (size > UINT32_MAX)
		return -E2BIG;
	header = calloc(1, size);
	if (!header)
		return -ENOMEM;
	*header = (struct btf_header){
		.magic = BTF_MAGIC,
		.version = BTF_VERSION,
		.hdr_len = sizeof(*header),
		.type_len = (uint32_t)taken->types_size,
		.str_off = (uint32_t)taken->types_size,
		.str_len = (uint32_t)taken->strings_size,
	};
	excerpt.types = (char *)(header + 1);
	excerpt.strings = excerpt.types + taken->types_size;
	excerpt.strings_used = 1; /* behind the empty one */
	for (uint32_t i = 0; i < taken->count; i++)
		put_type(&excerpt, source, taken, type_of(source, taken->ids[i]));
	*bytes = header;
	*bytes_size = size;
	return 0;
}

int btf_excerpt__make(const void *btf, size_t size, const char *const *names, size_t name_count,
		      void **excerpt, size_t *excerpt_size)
{
	struct taken *taken = calloc(1, sizeof(*taken));
	bool *found = calloc(name_count + 1, sizeof(*found));
	struct source source = {0};
	int err = taken && found ? open_source(&source, btf, size) : -ENOMEM;

	if (!err)
		err = scan(&source, names, name_count, found, taken);
	if (!err)
		taken->strings_size = 1;
	/* What a type depends on is put behind it, until nothing new comes. */
	for (uint32_t i = 0; !err && i < taken->count; i++)
		err = take_parts(taken, &source, type_of(&source, taken->ids[i]));
	if (!err)
		err = write_excerpt(&source, taken, excerpt, excerpt_size);
	free(source.places);
	free(found);
	free(taken);
	return err;
}
