/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Protos of PUC Lua on a heap built by hand: what test_puc_names.c names and fuzz_puc_names.c
 * breaks. Offsets, opcodes and formats stand here as numbers of their own (each release's lobject.h
 * and lopcodes.h), so that a wrong one in the source does not agree with itself.
 */
#ifndef LUASPY_TEST_PUC_PROTO_IMAGE_H
#define LUASPY_TEST_PUC_PROTO_IMAGE_H

#include "test_puc_image.h"
#include "vm/puc.h"

#define MAX_PARTS 12

/* By version: 5.1, 5.2, 5.3, 5.4, 5.5. */
struct proto_offsets {
	uint8_t k, code, p, lines, variables, upvalues, source;
	uint8_t upvalue_count, k_count, code_count, line_count, p_count, variable_count, first_line;
	uint8_t parameters, upvalue_size, type;
};

/* clang-format off */
static const struct proto_offsets proto_offsets[] = {
	{16, 24, 32, 40,  48, 56,  64, 72, 76, 80, 84, 88,  92,  96, 113,  8,  9},
	{16, 24, 32, 40,  48, 56,  72, 80, 84, 88, 92, 96, 100, 104, 120, 16,  9},
	{48, 56, 64, 72,  80, 88, 104, 16, 20, 24, 28, 32,  36,  40,  10, 16,  9},
	{56, 64, 72, 88, 104, 80, 112, 16, 20, 24, 28, 32,  36,  44,  10, 16, 10},
	{56, 64, 72, 88, 104, 80, 112, 16, 20, 24, 28, 32,  36,  44,  10, 16, 10},
};

enum op { MOVE, LOADK, GETUPVAL, GETGLOBAL, GETFIELD, SETGLOBAL, SETUPVAL, SETFIELD, NEWTABLE, SELF, JMP, TEST, CALL,
	  RETURN, SETLIST, CLOSURE, OPS };
static const uint8_t opcodes[5][OPS] = {
	{0, 1, 4,  5,  6,  7,  8,  9, 10, 11, 22, 26, 28, 30, 34, 36},
	{0, 1, 5,  6,  7,  8,  9, 10, 11, 12, 23, 27, 29, 31, 36, 37},
	{0, 1, 5,  6,  7,  8,  9, 10, 11, 12, 30, 34, 36, 38, 43, 44},
	{0, 3, 9, 11, 14, 15, 10, 18, 19, 20, 56, 66, 68, 70, 78, 79},
	{0, 3, 9, 11, 14, 15, 10, 18, 19, 20, 56, 66, 68, 70, 78, 79},
};
/* clang-format on */

static inline unsigned int version_of(const struct image *image)
{
	return image->family->release / 100 - 501;
}

/* Fields A, B, C; which of B and C is a constant the opcode tells: keys are, values are not. */
static inline uint32_t ins(const struct image *image, enum op op, uint32_t a, uint32_t b,
			   uint32_t c)
{
	unsigned int version = version_of(image);
	uint32_t code = opcodes[version][op];

	if (version >= 3) {
		if (op == CLOSURE || op == LOADK)
			return code | a << 7 | b << 15;
		if (op == JMP)
			return code | (b + 16777215) << 7;
		if (op == SETLIST && version == 4)
			return code | a << 7 | b << 16 | c << 22;
		/* TEST's condition and SELF's constant are bit k. */
		if (op == TEST)
			return code | a << 7 | c << 15;
		return code | a << 7 | (op == SELF) << 15 | b << 16 | c << 24;
	}
	if (op == CLOSURE || op == LOADK)
		return code | a << 6 | b << 14;
	if (op == JMP)
		return code | (b + 131071) << 14;
	if (op == GETGLOBAL)
		return version ? code | a << 6 | b << 23 | (c | 0x100) << 14
			       : code | a << 6 | c << 14;
	if (op == SETGLOBAL) /* A: the upvalue, B: the key, C: the register */
		return version ? code | a << 6 | (b | 0x100) << 23 | c << 14
			       : code | c << 6 | b << 14;
	if (op == SETFIELD)
		return code | a << 6 | (b | 0x100) << 23 | c << 14;
	if (op == GETFIELD || op == SELF)
		return code | a << 6 | b << 23 | (c | 0x100) << 14;
	if (op == SETLIST)
		return code | a << 6 | b << 23 | (c / 50 + 1) << 14;
	return code | a << 6 | b << 23 | c << 14;
}

struct proto_parts {
	uint32_t code[MAX_PARTS];
	uint32_t code_count;
	const char *constants[MAX_PARTS];
	const char *upvalues[MAX_PARTS];
	struct {
		const char *name;
		int32_t start, end;
	} variables[MAX_PARTS];
	uint64_t children[MAX_PARTS];
	uint32_t first_line;
	uint8_t parameters;
};

/* Opens an image whose build has all layouts. */
static inline void image_open_whole(struct image *image, const struct family *family)
{
	image_open(image, family);
	if (puc_layout__get(family->release, &image->puc) != 0)
		abort();
}

static inline uint64_t image_proto(struct image *image, const struct proto_parts *parts)
{
	const struct proto_offsets *at = &proto_offsets[version_of(image)];
	uint64_t proto = image_object(image, 0, 0x90), block;
	uint32_t i;

	image_put8(image, proto + 8, at->type);
	image_put64(image, proto + at->source, image_string(image, "=a chunk"));
	image_put32(image, proto + at->first_line, parts->first_line);
	image_put32(image, proto + at->first_line + 4, parts->first_line + 3);
	image_put8(image, proto + at->parameters, parts->parameters);
	block = image_object(image, 0, 4 * MAX_PARTS);
	for (i = 0; i < parts->code_count; i++)
		image_put32(image, block + 4ull * i, parts->code[i]);
	image_put64(image, proto + at->code, block);
	image_put32(image, proto + at->code_count, parts->code_count);
	block = image_object(image, 0, 16 * MAX_PARTS);
	for (i = 0; i < MAX_PARTS && parts->constants[i]; i++)
		image_put_value(image, block + 16ull * i, T_STRING,
				image_string(image, parts->constants[i]));
	image_put64(image, proto + at->k, block);
	image_put32(image, proto + at->k_count, i);
	block = image_object(image, 0, 16 * MAX_PARTS);
	for (i = 0; i < MAX_PARTS && parts->upvalues[i]; i++)
		image_put64(image, block + (uint64_t)at->upvalue_size * i,
			    image_string(image, parts->upvalues[i]));
	image_put64(image, proto + at->upvalues, block);
	image_put32(image, proto + at->upvalue_count, i);
	block = image_object(image, 0, 16 * MAX_PARTS);
	for (i = 0; i < MAX_PARTS && parts->variables[i].name; i++) {
		image_put64(image, block + 16ull * i,
			    image_string(image, parts->variables[i].name));
		image_put32(image, block + 16ull * i + 8, (uint32_t)parts->variables[i].start);
		image_put32(image, block + 16ull * i + 12, (uint32_t)parts->variables[i].end);
	}
	image_put64(image, proto + at->variables, block);
	image_put32(image, proto + at->variable_count, i);
	block = image_object(image, 0, 8 * MAX_PARTS);
	for (i = 0; i < MAX_PARTS && parts->children[i]; i++)
		image_put64(image, block + 8ull * i, parts->children[i]);
	image_put64(image, proto + at->p, block);
	image_put32(image, proto + at->p_count, i);
	return proto;
}

#endif
