/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Lua functions on a heap built by hand (test_luajit_image.h): their protos with bytecode and
 * constants, their upvalues. For test_luajit_call_site.c and fuzz_call_site.c.
 */
#ifndef LUASPY_TEST_LUAJIT_PROTO_IMAGE_H
#define LUASPY_TEST_LUAJIT_PROTO_IMAGE_H

#include "test_luajit_image.h"

/* Numbers of LuaJIT's lj_bc.h. */
enum {
	OP_ISLT = 0,
	OP_ISTC = 12,
	OP_IST = 14,
	OP_MOV = 18,
	OP_ADDVN = 22,
	OP_ADDVV = 32,
	OP_CAT = 38,
	OP_KSTR = 39,
	OP_UGET = 45,
	OP_GGET = 54,
	OP_TGETV = 56,
	OP_TGETS = 57,
	OP_CALLM = 65,
	OP_CALL = 66,
	OP_CALLT = 68,
	OP_ITERC = 69,
	OP_RET0 = 75,
	OP_JMP = 88,
	OP_FUNCF = 89,
};

static inline uint32_t ins_ad(uint32_t op, uint32_t a, uint32_t d)
{
	return op | a << 8 | d << 16;
}

static inline uint32_t ins_abc(uint32_t op, uint32_t a, uint32_t b, uint32_t c)
{
	return op | a << 8 | c << 16 | b << 24;
}

/* What a proto is made of; the arrays end with the first 0. */
struct proto_parts {
	uint32_t code[16]; /* the header is put before it */
	const char *constants[6];
	const char *upvalues[4];
	const char *variables[4]; /* alive everywhere */
	bool stripped;
	uint8_t header; /* another instruction than FUNCF */
};

static inline uint32_t count_of(const char *const *names, uint32_t most)
{
	uint32_t count = 0;

	while (count < most && names[count])
		count++;
	return count;
}

static inline void put_text(struct image *image, uint64_t *at, const char *text)
{
	image_put(image, *at, text, strlen(text) + 1);
	*at += strlen(text) + 1;
}

static inline uint64_t image_proto(struct image *image, const struct proto_parts *parts)
{
	uint32_t constants = count_of(parts->constants, 6), upvalues = count_of(parts->upvalues, 4);
	uint32_t variables = count_of(parts->variables, 4), code = 0, i;
	uint32_t header = image->gc64 ? 0x68 : 0x40, ref = image->gc64 ? 8 : 4, size, k;
	uint64_t chunk = image_string(image, "=chunk of a test, with characters that are read");
	uint64_t strings[6], proto, at, uvinfo = 0, varinfo = 0;

	for (i = 0; i < constants; i++)
		strings[i] = image_string(image, parts->constants[i]);
	image_object(image, 0, 0x80); /* what is read behind the chunk name */
	while (code < 16 && parts->code[code])
		code++;
	k = (header + 4 * (code + 1) + ref * constants + 7) & ~7u;
	size = k + 256;
	proto = image_object(image, 7, size);
	image_put32(image, proto + header, parts->header ? parts->header : OP_FUNCF);
	for (i = 0; i < code; i++)
		image_put32(image, proto + header + 4 + 4 * i, parts->code[i]);
	for (i = 0; i < constants; i++)
		image_put_ref(image, proto + k - (i + 1ul) * ref, strings[i]);
	at = proto + k;
	if (!parts->stripped) {
		uvinfo = at;
		for (i = 0; i < upvalues; i++)
			put_text(image, &at, parts->upvalues[i]);
		varinfo = at;
		for (i = 0; i < variables; i++) {
			put_text(image, &at, parts->variables[i]);
			image_put8(image, at++, 0);  /* starts where the one before does */
			image_put8(image, at++, 99); /* its length */
		}
	}
	image_put8(image, proto + (image->gc64 ? 0x0b : 0x07), 20); /* frame size */
	image_put32(image, proto + (image->gc64 ? 0x0c : 0x08), code + 1);
	image_put_ref(image, proto + (image->gc64 ? 0x20 : 0x10), proto + k);
	image_put32(image, proto + (image->gc64 ? 0x30 : 0x18), constants);
	image_put32(image, proto + (image->gc64 ? 0x38 : 0x20), size);
	image_put8(image, proto + (image->gc64 ? 0x3c : 0x24), (uint8_t)upvalues);
	image_put_ref(image, proto + (image->gc64 ? 0x40 : 0x28), chunk);
	image_put32(image, proto + (image->gc64 ? 0x48 : 0x2c), 10);
	image_put32(image, proto + (image->gc64 ? 0x4c : 0x30), 5);
	image_put_ref(image, proto + (image->gc64 ? 0x58 : 0x38), uvinfo);
	image_put_ref(image, proto + (image->gc64 ? 0x60 : 0x3c), varinfo);
	return proto;
}

/* A function with `count` upvalues, each closed over one of `values`. */
static inline uint64_t image_closure(struct image *image, uint64_t proto, const uint64_t *values,
				     uint32_t count)
{
	uint32_t ref = image->gc64 ? 8 : 4, i;
	uint64_t upvalue,
		function = image_object(image, 8, (image->gc64 ? 0x28ul : 0x14ul) + ref * count);

	image_put8(image, function + (image->gc64 ? 0x0b : 0x07), (uint8_t)count);
	image_put_ref(image, function + (image->gc64 ? 0x10 : 0x08), image->globals);
	image_put_ref(image, function + (image->gc64 ? 0x20 : 0x10),
		      proto + (image->gc64 ? 0x68 : 0x40));
	for (i = 0; i < count; i++) {
		upvalue = image_object(image, 5, 0x30);
		image_put64(image, upvalue + (image->gc64 ? 0x10 : 0x08), values[i]);
		image_put_ref(image, upvalue + (image->gc64 ? 0x20 : 0x10),
			      upvalue + (image->gc64 ? 0x10 : 0x08));
		image_put_ref(image, function + (image->gc64 ? 0x28ul : 0x14ul) + i * ref, upvalue);
	}
	return function;
}

/* Strings are unique in a VM: `text` as the object that the proto has as constant `index`. */
static inline uint64_t image_constant(const struct image *image, uint64_t proto, uint32_t index)
{
	uint32_t ref = image->gc64 ? 8 : 4;
	uint64_t k = 0, string = 0;

	memcpy(&k, image->bytes + (proto - image->base) + (image->gc64 ? 0x20 : 0x10), ref);
	memcpy(&string, image->bytes + (k - image->base) - (index + 1ul) * ref, ref);
	return string;
}

#endif
