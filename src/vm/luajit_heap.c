/* SPDX-License-Identifier: Apache-2.0 */
#include "luajit_heap.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "../bpf/luajit_layout.h"

#define GCT_TABLE    11
#define GCT_USERDATA 12
#define GCT_UPVALUE  5

#define NODE_SIZE     24 /* value, key, next; in GC32 also the free top: the same size */
#define NODE_KEY      8
#define TABLE_SIZE    0x40 /* enough for both */
#define USERDATA_SIZE 0x28
#define STRING_SIZE   0x18 /* at most, without its characters */
#define MAX_ADDRESS   (1ull << 47)
#define TABLE_TRIES   3

/* The tables of cdata and of the base types stand among the last things in the global_State, behind
 * cur_L; the registry stands before it. */
#define ROOTS_SIZE 0x400

/* Offsets (LuaJIT src/lj_obj.h) that were the same in every 2.1 build from the 2017 beta to 2026,
 * upstream and OpenResty's. What the kernel side reads as well is in bpf/luajit_layout.h. */
struct luajit_layout {
	bool gc64;
	uint8_t ref_size;
	uint8_t gct;
	uint8_t thread_glref, thread_env;
	uint8_t object_env; /* of functions and userdata */
	uint8_t metatable;  /* of tables and userdata */
	uint8_t node, hmask;
	uint8_t ffid, entry;
	uint8_t pc, upvalues; /* of Lua functions: their bytecode, references to upvalues */
	uint8_t upvalue;      /* of upvalues: where the value is */
	uint8_t proto_size;   /* the bytecode is behind the proto */
};

static const struct luajit_layout layout_gc64 = {
	.gc64 = true,
	.ref_size = 8,
	.gct = GC64_GCT,
	.thread_glref = GC64_L_GLREF,
	.thread_env = 0x48,
	.object_env = 0x10,
	.metatable = 0x20,
	.node = 0x28,
	.hmask = 0x34,
	.ffid = GC64_FUNC_FFID,
	.entry = GC64_FUNC_C,
	.pc = GC64_FUNC_PC,
	.upvalues = 0x28,
	.upvalue = 0x20,
	.proto_size = GC64_PROTO_SIZE,
};

static const struct luajit_layout layout_gc32 = {
	.gc64 = false,
	.ref_size = 4,
	.gct = GC32_GCT,
	.thread_glref = GC32_L_GLREF,
	.thread_env = 0x2c,
	.object_env = 0x08,
	.metatable = 0x10,
	.node = 0x14,
	.hmask = 0x1c,
	.ffid = GC32_FUNC_FFID,
	.entry = GC32_FUNC_C,
	.pc = GC32_FUNC_PC,
	.upvalues = 0x14,
	.upvalue = 0x10,
	.proto_size = GC32_PROTO_SIZE,
};

static uint64_t now_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

void luajit_heap__init(struct luajit_heap *self, const struct luajit_build *build,
		       luajit_read_fn read, void *context)
{
	*self = (struct luajit_heap){
		.read = read,
		.context = context,
		.layout = build->gc64 ? &layout_gc64 : &layout_gc32,
		.build = build,
		.deadline_ns = now_ns() + LUAJIT_MAX_TIME_NS,
	};
}

bool luajit_heap__exhausted(struct luajit_heap *self)
{
	if (self->reads >= LUAJIT_MAX_READS || now_ns() > self->deadline_ns)
		self->exhausted = true;
	return self->exhausted;
}

int luajit_heap__read(struct luajit_heap *self, uint64_t address, void *bytes, size_t size)
{
	if (luajit_heap__exhausted(self))
		return -ETIME;
	self->reads++;
	return self->read(self->context, address, bytes, size);
}

static uint32_t word32(const uint8_t *bytes, size_t offset)
{
	uint32_t word;

	memcpy(&word, bytes + offset, sizeof(word));
	return word;
}

static uint64_t word64(const uint8_t *bytes, size_t offset)
{
	uint64_t word;

	memcpy(&word, bytes + offset, sizeof(word));
	return word;
}

static uint64_t ref_at(const struct luajit_heap *self, const uint8_t *bytes, size_t offset)
{
	return self->layout->gc64 ? word64(bytes, offset) : word32(bytes, offset);
}

static bool is_ref(uint64_t ref)
{
	return ref != 0 && ref % 8 == 0 && ref < MAX_ADDRESS;
}

/* The first `size` bytes of the object of type `gct` at `ref`. */
static int read_object(struct luajit_heap *self, uint64_t ref, uint8_t gct, uint8_t *bytes,
		       size_t size)
{
	int err;

	if (!is_ref(ref))
		return -EINVAL;
	err = luajit_heap__read(self, ref, bytes, size);
	if (err)
		return err;
	return bytes[self->layout->gct] == gct ? 0 : -EINVAL;
}

/* GC64: a 17-bit type over 47 bits of address; GC32: the type in the upper half. */
struct luajit_value luajit_heap__decode(const struct luajit_heap *self, uint64_t word)
{
	struct luajit_value value = {.type = LUAJIT_OTHER};
	int32_t type;
	uint64_t ref;

	if (self->layout->gc64) {
		type = (int32_t)((int64_t)word >> GC64_TAG_SHIFT);
		ref = word & GC64_ADDRESS_MASK;
	} else {
		type = (int32_t)(word >> 32);
		ref = word & UINT32_MAX;
	}
	switch (~type) {
	case 3:
		value.type = LUAJIT_LIGHTUSERDATA;
		return value;
	case GCT_STRING:
		value.type = LUAJIT_STRING;
		break;
	case GCT_THREAD:
		value.type = LUAJIT_THREAD;
		break;
	case GCT_FUNCTION:
		value.type = LUAJIT_FUNCTION;
		break;
	case GCT_TABLE:
		value.type = LUAJIT_TABLE;
		break;
	case GCT_USERDATA:
		value.type = LUAJIT_USERDATA;
		break;
	default:
		return value;
	}
	if (!is_ref(ref))
		return (struct luajit_value){.type = LUAJIT_OTHER};
	value.ref = ref;
	return value;
}

/* ---- objects ----------------------------------------------------------------------------- */

int luajit_heap__thread(struct luajit_heap *self, uint64_t ref, uint64_t *env, uint64_t *g)
{
	uint8_t bytes[L_SIZE];
	int err = read_object(self, ref, GCT_THREAD, bytes, sizeof(bytes));

	if (err)
		return err;
	*env = ref_at(self, bytes, self->layout->thread_env);
	*g = ref_at(self, bytes, self->layout->thread_glref);
	return is_ref(*env) && is_ref(*g) ? 0 : -EINVAL;
}

int luajit_heap__function(struct luajit_heap *self, uint64_t ref, struct luajit_function *function)
{
	/* A function without upvalues ends with its entry. */
	size_t size = self->layout->entry + sizeof(uint64_t);
	uint8_t bytes[FUNC_SIZE];
	int err;

	/* The smallest Lua function in GC64 ends before a C function's entry. It may stand at the
	 * end of a mapping, but then it is not one we want either. */
	err = read_object(self, ref, GCT_FUNCTION, bytes, size);
	if (err)
		return err;
	function->ffid = bytes[self->layout->ffid];
	function->env = ref_at(self, bytes, self->layout->object_env);
	function->entry = function->ffid ? word64(bytes, self->layout->entry) : 0;
	if (function->ffid && (function->entry == 0 || function->entry >= MAX_ADDRESS))
		return -EINVAL;
	return 0;
}

int luajit_heap__closure(struct luajit_heap *self, uint64_t ref, struct luajit_closure *closure)
{
	const struct luajit_layout *layout = self->layout;
	uint8_t bytes[FUNC_SIZE];
	uint64_t pc;
	int err;

	err = read_object(self, ref, GCT_FUNCTION, bytes, layout->upvalues);
	if (err)
		return err;
	pc = ref_at(self, bytes, layout->pc);
	if (bytes[layout->ffid] != 0 || pc % 4 || pc < layout->proto_size || pc >= MAX_ADDRESS)
		return -EINVAL;
	closure->env = ref_at(self, bytes, layout->object_env);
	closure->proto = pc - layout->proto_size;
	closure->upvalue_count = bytes[layout->ffid + 1];
	return 0;
}

int luajit_heap__upvalue(struct luajit_heap *self, uint64_t ref, unsigned int index,
			 struct luajit_value *value)
{
	const struct luajit_layout *layout = self->layout;
	uint8_t bytes[0x28] = {};
	uint64_t upvalue, word;
	int err;

	/* The caller has checked the function; what is read here is checked to be an upvalue. */
	err = luajit_heap__read(self, ref + layout->upvalues + (uint64_t)index * layout->ref_size,
				bytes, layout->ref_size);
	if (err)
		return err;
	upvalue = ref_at(self, bytes, 0);
	err = read_object(self, upvalue, GCT_UPVALUE, bytes,
			  (size_t)layout->upvalue + layout->ref_size);
	if (err)
		return err;
	err = luajit_heap__read(self, ref_at(self, bytes, layout->upvalue), &word, sizeof(word));
	if (err)
		return err;
	*value = luajit_heap__decode(self, word);
	return 0;
}

int luajit_heap__userdata_metatable(struct luajit_heap *self, uint64_t ref, uint64_t *metatable)
{
	uint8_t bytes[USERDATA_SIZE];
	int err = read_object(self, ref, GCT_USERDATA, bytes,
			      self->layout->metatable + self->layout->ref_size);

	if (err)
		return err;
	*metatable = ref_at(self, bytes, self->layout->metatable);
	return 0;
}

int luajit_heap__string(struct luajit_heap *self, uint64_t ref, char *text)
{
	const struct luajit_build *build = self->build;
	uint8_t bytes[STRING_SIZE];
	uint32_t length;
	int err;

	if (build->string_data > sizeof(bytes) ||
	    build->string_length > build->string_data - sizeof(length))
		return -EINVAL;
	err = read_object(self, ref, GCT_STRING, bytes, build->string_data);
	if (err)
		return err;
	length = word32(bytes, build->string_length);
	if (length == 0 || length > LUAJIT_MAX_STRING)
		return -EINVAL;
	/* The '\0' that stands behind every string tells that this is one. */
	err = luajit_heap__read(self, ref + build->string_data, text, length + 1);
	if (err)
		return err;
	return memchr(text, '\0', length + 1) == text + length ? 0 : -EINVAL;
}

/* ---- tables ------------------------------------------------------------------------------ */

/* The nodes that the table whose bytes are `bytes` has. */
static int read_nodes(struct luajit_heap *self, const uint8_t *bytes, struct luajit_table *table)
{
	const struct luajit_layout *layout = self->layout;
	uint64_t node = ref_at(self, bytes, layout->node);
	uint32_t hmask = word32(bytes, layout->hmask);
	size_t size = (hmask + 1ul) * NODE_SIZE;

	if (!is_ref(node) || (hmask & (hmask + 1)) != 0)
		return -EINVAL;
	if (hmask >= LUAJIT_MAX_NODES)
		return -E2BIG;
	table->nodes = malloc(size);
	if (!table->nodes)
		return -ENOMEM;
	table->count = hmask + 1;
	table->metatable = ref_at(self, bytes, layout->metatable);
	return luajit_heap__read(self, node, table->nodes, size);
}

int luajit_heap__table(struct luajit_heap *self, uint64_t ref, struct luajit_table *table)
{
	const struct luajit_layout *layout = self->layout;
	uint8_t before[TABLE_SIZE], after[TABLE_SIZE];
	size_t size = layout->hmask + sizeof(uint32_t);
	int tries, err;

	*table = (struct luajit_table){};
	err = read_object(self, ref, GCT_TABLE, before, size);
	for (tries = 0; !err && tries < TABLE_TRIES; tries++) {
		luajit_heap__table_free(table);
		err = read_nodes(self, before, table);
		/* Was that block the table's all the time? Freed, it may be anything's. When it
		 * could not be read, there may be a new one by now. */
		if (err && err != -EFAULT)
			break;
		if (read_object(self, ref, GCT_TABLE, after, size) != 0) {
			err = -EINVAL;
			break;
		}
		if (memcmp(before + layout->node, after + layout->node, layout->ref_size) == 0 &&
		    memcmp(before + layout->hmask, after + layout->hmask, sizeof(uint32_t)) == 0) {
			if (!err)
				return 0;
			break;
		}
		err = 0;
		memcpy(before, after, size);
	}
	luajit_heap__table_free(table);
	return err ? err : -EAGAIN;
}

void luajit_heap__table_free(struct luajit_table *table)
{
	free(table->nodes);
	*table = (struct luajit_table){};
}

void luajit_heap__node(const struct luajit_heap *self, const struct luajit_table *table, uint32_t i,
		       struct luajit_value *key, struct luajit_value *value)
{
	const uint8_t *node = (const uint8_t *)table->nodes + (size_t)i * NODE_SIZE;

	*value = luajit_heap__decode(self, word64(node, 0));
	*key = luajit_heap__decode(self, word64(node, NODE_KEY));
}

struct luajit_value luajit_heap__field(struct luajit_heap *self, uint64_t ref, const char *name)
{
	struct luajit_value key, value, found = {.type = LUAJIT_OTHER};
	char text[LUAJIT_MAX_STRING + 1];
	struct luajit_table table;
	uint32_t i;

	if (luajit_heap__table(self, ref, &table) != 0)
		return found;
	for (i = 0; i < table.count && !self->exhausted; i++) {
		luajit_heap__node(self, &table, i, &key, &value);
		if (key.type == LUAJIT_STRING && value.type != LUAJIT_OTHER &&
		    luajit_heap__string(self, key.ref, text) == 0 && strcmp(text, name) == 0) {
			found = value;
			break;
		}
	}
	luajit_heap__table_free(&table);
	return found;
}

struct luajit_value luajit_heap__field_by_ref(struct luajit_heap *self, uint64_t ref, uint64_t key,
					      uint64_t *metatable)
{
	struct luajit_value its_key, value, found = {.type = LUAJIT_OTHER};
	struct luajit_table table;
	uint32_t i;

	if (metatable)
		*metatable = 0;
	if (luajit_heap__table(self, ref, &table) != 0)
		return found;
	if (metatable)
		*metatable = table.metatable;
	for (i = 0; i < table.count; i++) {
		luajit_heap__node(self, &table, i, &its_key, &value);
		if (its_key.type == LUAJIT_STRING && its_key.ref == key) {
			found = value;
			break;
		}
	}
	luajit_heap__table_free(&table);
	return found;
}

/* ---- roots ------------------------------------------------------------------------------- */

/* Where the reference stands differs between builds. It is not the only thread that may be there,
 * but any one of this VM will do. */
int luajit_heap__main_thread(struct luajit_heap *self, uint64_t g, uint64_t *ref)
{
	size_t size = self->build->cur_L & ~7u, i;
	uint8_t bytes[ROOTS_SIZE];
	uint64_t env, its_g;
	int err;

	if (!is_ref(g) || size > sizeof(bytes))
		return -EINVAL;
	err = luajit_heap__read(self, g, bytes, size);
	if (err)
		return err;
	for (i = 0; i < size; i += self->layout->ref_size) {
		*ref = ref_at(self, bytes, i);
		if (luajit_heap__thread(self, *ref, &env, &its_g) == 0 && its_g == g)
			return 0;
	}
	return -EINVAL;
}

/* Where the registry's TValue stands differs between builds. No other table has _LOADED. */
uint64_t luajit_heap__registry(struct luajit_heap *self, uint64_t g)
{
	uint8_t bytes[ROOTS_SIZE];
	struct luajit_value value;
	size_t size = self->build->cur_L & ~7u, i;

	if (size > sizeof(bytes) || luajit_heap__read(self, g, bytes, size) != 0)
		return 0;
	for (i = 0; i < size; i += 8) {
		value = luajit_heap__decode(self, word64(bytes, i));
		if (value.type == LUAJIT_TABLE &&
		    luajit_heap__field(self, value.ref, "_LOADED").type == LUAJIT_TABLE)
			return value.ref;
	}
	return 0;
}

/* It is one of the garbage collector's roots, and "ffi" protects it from getmetatable. */
uint64_t luajit_heap__cdata_metatable(struct luajit_heap *self, uint64_t g)
{
	const struct luajit_layout *layout = self->layout;
	char text[LUAJIT_MAX_STRING + 1];
	uint8_t bytes[ROOTS_SIZE], object[TABLE_SIZE];
	struct luajit_value name;
	uint64_t ref;
	size_t i;

	if (luajit_heap__read(self, g + self->build->cur_L, bytes, sizeof(bytes)) != 0)
		return 0;
	for (i = 0; i < sizeof(bytes); i += layout->ref_size) {
		ref = ref_at(self, bytes, i);
		if (read_object(self, ref, GCT_TABLE, object, layout->gct + 1ul) != 0)
			continue;
		name = luajit_heap__field(self, ref, "__metatable");
		if (name.type == LUAJIT_STRING && luajit_heap__string(self, name.ref, text) == 0 &&
		    strcmp(text, "ffi") == 0)
			return ref;
	}
	return 0;
}
