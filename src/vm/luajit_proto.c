/* SPDX-License-Identifier: Apache-2.0 */
/* LuaJIT src/lj_obj.h (GCproto), lj_parse.c (fs_finish), lj_debug.c (debug_varname). */
#include "luajit_proto.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "../bpf/fingerprint.h"
#include "../bpf/luajit_layout.h"

#define MAX_PROTO_SIZE (1u << 20)

#define KNOWN_FUNCF 89 /* where the opcodes are numbered as luajit_site.h knows them */

/* Where things are in the proto's block. */
struct proto_layout {
	uint8_t gct, frame_size, code_count, constants, constant_count, size, upvalue_count;
	uint8_t chunk, first_line, upvalue_names, variables;
	uint8_t header, ref_size;
};

static const struct proto_layout layout_gc64 = {
	.gct = GC64_GCT,
	.frame_size = GC64_PROTO_NUMPARAMS + 1,
	.code_count = GC64_PROTO_SIZEBC,
	.constants = GC64_PROTO_K,
	.constant_count = GC64_PROTO_SIZEKGC,
	.size = GC64_PROTO_SIZEPT,
	.upvalue_count = GC64_PROTO_SIZEUV,
	.chunk = GC64_PROTO_CHUNKNAME,
	.first_line = GC64_PROTO_FIRSTLINE,
	.upvalue_names = GC64_PROTO_UVINFO,
	.variables = GC64_PROTO_VARINFO,
	.header = GC64_PROTO_SIZE,
	.ref_size = 8,
};

static const struct proto_layout layout_gc32 = {
	.gct = GC32_GCT,
	.frame_size = GC32_PROTO_NUMPARAMS + 1,
	.code_count = GC32_PROTO_SIZEBC,
	.constants = GC32_PROTO_K,
	.constant_count = GC32_PROTO_SIZEKGC,
	.size = GC32_PROTO_SIZEPT,
	.upvalue_count = GC32_PROTO_SIZEUV,
	.chunk = GC32_PROTO_CHUNKNAME,
	.first_line = GC32_PROTO_FIRSTLINE,
	.upvalue_names = GC32_PROTO_UVINFO,
	.variables = GC32_PROTO_VARINFO,
	.header = GC32_PROTO_SIZE,
	.ref_size = 4,
};

static uint64_t ref_at(const struct proto_layout *layout, const uint8_t *bytes)
{
	uint64_t word;

	if (layout->ref_size == 4)
		return lua_half(bytes, 0);
	memcpy(&word, bytes, sizeof(word));
	return word;
}

static const struct proto_layout *layout_of(const struct lua_heap *heap)
{
	return heap->build->gc64 ? &layout_gc64 : &layout_gc32;
}

/* ---- identity ----------------------------------------------------------------------------- */

/* As the walk does it, which takes the name for empty where it cannot read that much. */
static uint64_t chunk_hash(struct lua_heap *heap, uint64_t string)
{
	uint64_t words[CHUNK_READ_SIZE / 8], last, hash;
	const uint8_t *bytes = (const uint8_t *)words;
	uint32_t data = heap->build->string_data & 0x1c, length;

	if (lua_heap__read(heap, string, words, sizeof(words)) != 0)
		return 0;
	length = lua_half(bytes, heap->build->string_length & 0x1c);
	hash = chunk_fingerprint(bytes, data, length);
	if (length > CHUNK_HASHED_SIZE &&
	    lua_heap__read(heap, string + data + length - 8, &last, sizeof(last)) == 0)
		hash = hash_mix(hash, last);
	return hash;
}

static uint64_t fingerprint(const struct luajit_proto *self, struct lua_heap *heap, uint32_t tgid)
{
	const struct proto_layout *layout = layout_of(heap);
	const uint8_t *lines = self->block + layout->first_line;

	return proto_fingerprint(
		chunk_hash(heap, ref_at(layout, self->block + layout->chunk)), self->address,
		lua_half(lines, 0) | (uint64_t)lua_half(lines, 4) << 32, self->code_count, tgid);
}

/* ---- reading ------------------------------------------------------------------------------ */

/* The offset of what `pointer` of the header points to: 0 for NULL, UINT32_MAX when that is outside
 * of what follows the bytecode. */
static uint32_t inside(const struct luajit_proto *self, const struct proto_layout *layout,
		       uint32_t pointer)
{
	uint64_t address = ref_at(layout, self->block + pointer);

	if (!address)
		return 0;
	address -= self->address;
	return address < self->code + 4ull * self->code_count || address > self->size
		       ? UINT32_MAX
		       : (uint32_t)address;
}

static int check_block(struct luajit_proto *self, const struct proto_layout *layout)
{
	self->code = layout->header;
	self->code_count = lua_half(self->block, layout->code_count);
	self->constant_count = lua_half(self->block, layout->constant_count);
	self->upvalue_count = self->block[layout->upvalue_count];
	self->frame_size = self->block[layout->frame_size];
	if (self->block[layout->gct] != GCT_PROTO || !self->code_count ||
	    self->code_count > (self->size - layout->header) / 4 ||
	    lua_half(self->block, layout->size) != self->size)
		return -EINVAL;
	self->constants = inside(self, layout, layout->constants);
	self->upvalue_names = inside(self, layout, layout->upvalue_names);
	self->variables = inside(self, layout, layout->variables);
	if (!self->constants || self->constants == UINT32_MAX ||
	    self->upvalue_names == UINT32_MAX || self->variables == UINT32_MAX ||
	    self->constant_count >
		    (self->constants - self->code - 4 * self->code_count) / layout->ref_size)
		return -EINVAL;
	return 0;
}

int luajit_proto__open_any(struct lua_heap *heap, uint64_t address, uint32_t tgid,
			   struct luajit_proto *self)
{
	const struct proto_layout *layout = layout_of(heap);
	uint8_t header[GC64_PROTO_SIZE];
	int err;

	*self = (struct luajit_proto){.address = address};
	if (!address || address % 4)
		return -EINVAL;
	err = lua_heap__read(heap, address, header, layout->header);
	if (err)
		return err;
	self->size = lua_half(header, layout->size);
	if (header[layout->gct] != GCT_PROTO || self->size <= layout->header ||
	    self->size > MAX_PROTO_SIZE)
		return -EINVAL;
	self->block = malloc(self->size);
	if (!self->block)
		return -ENOMEM;
	err = lua_heap__read(heap, address, self->block, self->size);
	if (!err)
		err = check_block(self, layout);
	if (err) {
		luajit_proto__close(self);
		return err;
	}
	self->id = fingerprint(self, heap, tgid);
	return 0;
}

int luajit_proto__open(struct lua_heap *heap, uint64_t address, uint32_t tgid,
		       struct luajit_proto *self)
{
	uint8_t header;
	int err = luajit_proto__open_any(heap, address, tgid, self);

	if (err)
		return err;
	/* The numbers of instructions move when some are added, and the header's with them. */
	header = (uint8_t)luajit_proto__instruction(self, 0);
	if (header >= KNOWN_FUNCF && header < KNOWN_FUNCF + BC_LUA_HEADERS)
		return 0;
	luajit_proto__close(self);
	return -ENOTSUP;
}

void luajit_proto__close(struct luajit_proto *self)
{
	free(self->block);
	*self = (struct luajit_proto){};
}

bool luajit_proto__unchanged(const struct luajit_proto *self, struct lua_heap *heap)
{
	const struct proto_layout *layout = layout_of(heap);
	uint32_t behind_code = self->code + 4 * self->code_count;
	uint8_t *now = malloc(self->size);
	bool same = false;

	if (now && lua_heap__read(heap, self->address, now, self->size) == 0)
		/* Not the collector's links, the flags and the number of a trace. */
		same = now[layout->gct] == GCT_PROTO &&
		       memcmp(now + layout->frame_size, self->block + layout->frame_size,
			      layout->code_count + 4u - layout->frame_size) == 0 &&
		       memcmp(now + layout->constants, self->block + layout->constants,
			      layout->upvalue_count + 1u - layout->constants) == 0 &&
		       memcmp(now + layout->chunk, self->block + layout->chunk,
			      (size_t)layout->header - layout->chunk) == 0 &&
		       memcmp(now + behind_code, self->block + behind_code,
			      self->size - behind_code) == 0;
	free(now);
	return same;
}

/* ---- what is in it ------------------------------------------------------------------------ */

uint32_t luajit_proto__instruction(const struct luajit_proto *self, uint32_t position)
{
	return lua_half(self->block, self->code + (size_t)position * 4);
}

uint64_t luajit_proto__constant(const struct luajit_proto *self, uint32_t index)
{
	/* The header's size tells the layout. */
	const struct proto_layout *layout =
		self->code == GC64_PROTO_SIZE ? &layout_gc64 : &layout_gc32;

	if (index >= self->constant_count)
		return 0;
	return ref_at(layout, self->block + self->constants - (index + 1ul) * layout->ref_size);
}

/* The end of the string at `offset`, UINT32_MAX when it has none. */
static uint32_t string_end(const struct luajit_proto *self, uint32_t offset)
{
	const uint8_t *end;

	if (offset >= self->size)
		return UINT32_MAX;
	end = memchr(self->block + offset, '\0', self->size - offset);
	return end ? (uint32_t)(end - self->block) : UINT32_MAX;
}

const char *luajit_proto__upvalue_name(const struct luajit_proto *self, uint32_t index)
{
	uint32_t offset = self->upvalue_names, end;

	if (!offset || index >= self->upvalue_count)
		return NULL;
	for (;;) {
		end = string_end(self, offset);
		if (end == UINT32_MAX)
			return NULL;
		if (!index--)
			return end > offset ? (const char *)self->block + offset : NULL;
		offset = end + 1;
	}
}

/* A number of 7 bits per byte. False behind the block's end. */
static bool read_number(const struct luajit_proto *self, uint32_t *offset, uint32_t *number)
{
	unsigned int shift;

	*number = 0;
	for (shift = 0; shift < 32 && *offset < self->size; shift += 7) {
		uint8_t byte = self->block[(*offset)++];

		*number |= (uint32_t)(byte & 0x7f) << shift;
		if (byte < 0x80)
			return true;
	}
	return false;
}

const char *luajit_proto__variable_name(const struct luajit_proto *self, uint32_t position,
					uint32_t slot)
{
	uint32_t offset = self->variables, start = 0, name, delta, length;

	/* In the order of their starts; those alive at a position have the slots from 0 on. */
	while (offset && offset < self->size) {
		name = offset;
		if (self->block[name] == VARNAME_END)
			return NULL;
		if (self->block[name] >= VARNAME_COUNT)
			offset = string_end(self, name);
		if (offset == UINT32_MAX)
			return NULL;
		offset++;
		if (!read_number(self, &offset, &delta) || !read_number(self, &offset, &length))
			return NULL;
		start += delta;
		if (start > position)
			return NULL;
		if (position - start < length && slot-- == 0)
			return self->block[name] >= VARNAME_COUNT ? (const char *)self->block + name
								  : NULL;
	}
	return NULL;
}
