/* SPDX-License-Identifier: Apache-2.0 */
#include "luajit_heap.h"

#include <errno.h>
#include <string.h>

#include "../bpf/luajit_layout.h"

#define GCT_TABLE    11
#define GCT_USERDATA 12
#define GCT_UPVALUE  5
#define GCT_CDATA    10

#define NODE_SIZE     24 /* value, key, next; in GC32 also the free top: the same size */
#define NODE_KEY      8
#define TABLE_SIZE    0x40 /* enough for both */
#define USERDATA_SIZE 0x28
#define STRING_SIZE   0x18 /* at most, without its characters */
#define MAX_ADDRESS   (1ull << 47)

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
	uint8_t array, asize; /* of tables: slots, the one of index 0 among them */
	uint8_t userdata_length;
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
	.array = 0x10,
	.asize = 0x30,
	.userdata_length = 0x18,
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
	.array = 0x08,
	.asize = 0x18,
	.userdata_length = 0x0c,
};

static const struct luajit_layout *layout_of(const struct lua_heap *self)
{
	return self->layout;
}

static uint64_t ref_at(const struct lua_heap *self, const uint8_t *bytes, size_t offset)
{
	return layout_of(self)->gc64 ? lua_word(bytes, offset) : lua_half(bytes, offset);
}

/* The first `size` bytes of the object of type `gct` at `ref`. */
static int read_object(struct lua_heap *self, uint64_t ref, uint8_t gct, uint8_t *bytes,
		       size_t size)
{
	int err = lua_heap__object(self, ref, bytes, size);

	if (err)
		return err;
	return bytes[layout_of(self)->gct] == gct ? 0 : -EINVAL;
}

/* GC64: a 17-bit type over 47 bits of address; GC32: the type in the upper half. */
struct lua_value luajit_heap__decode(const struct lua_heap *self, uint64_t word)
{
	struct lua_value value = {.type = VALUE_OTHER};
	int32_t type;
	uint64_t ref;

	if (layout_of(self)->gc64) {
		type = (int32_t)((int64_t)word >> GC64_TAG_SHIFT);
		ref = word & GC64_ADDRESS_MASK;
	} else {
		type = (int32_t)(word >> 32);
		ref = word & UINT32_MAX;
	}
	switch (~type) {
	case 3:
		value.type = VALUE_LIGHTUSERDATA;
		return value;
	case GCT_STRING:
		value.type = VALUE_STRING;
		break;
	case GCT_THREAD:
		value.type = VALUE_THREAD;
		break;
	case GCT_FUNCTION:
		value.type = VALUE_FUNCTION;
		break;
	case GCT_TABLE:
		value.type = VALUE_TABLE;
		break;
	case GCT_USERDATA:
		value.type = VALUE_USERDATA;
		break;
	default:
		return value;
	}
	if (!lua_heap__is_ref(ref))
		return (struct lua_value){.type = VALUE_OTHER};
	value.ref = ref;
	return value;
}

/* ---- objects ----------------------------------------------------------------------------- */

static int read_thread(struct lua_heap *self, uint64_t ref, uint64_t *env, uint64_t *g)
{
	uint8_t bytes[L_SIZE];
	int err = read_object(self, ref, GCT_THREAD, bytes, sizeof(bytes));

	if (err)
		return err;
	*env = ref_at(self, bytes, layout_of(self)->thread_env);
	*g = ref_at(self, bytes, layout_of(self)->thread_glref);
	return lua_heap__is_ref(*env) && lua_heap__is_ref(*g) ? 0 : -EINVAL;
}

static int read_function(struct lua_heap *self, uint64_t ref, struct lua_function *function)
{
	/* A function without upvalues ends with its entry. */
	size_t size = layout_of(self)->entry + sizeof(uint64_t);
	uint8_t bytes[FUNC_SIZE];
	int err;

	/* The smallest Lua function in GC64 ends before a C function's entry. It may stand at the
	 * end of a mapping, but then it is not one we want either. */
	err = read_object(self, ref, GCT_FUNCTION, bytes, size);
	if (err)
		return err;
	function->ffid = bytes[layout_of(self)->ffid];
	function->env = ref_at(self, bytes, layout_of(self)->object_env);
	function->entry = function->ffid ? lua_word(bytes, layout_of(self)->entry) : 0;
	return 0;
}

int luajit_heap__closure(struct lua_heap *self, uint64_t ref, struct luajit_closure *closure)
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

static int upvalue_slot(struct lua_heap *self, uint64_t ref, uint32_t index, void *slot)
{
	const struct luajit_layout *layout = self->layout;
	uint8_t bytes[0x28] = {};
	uint64_t upvalue;
	int err;

	/* The caller has checked the function; what is read here is checked to be an upvalue. */
	err = lua_heap__read(self, ref + layout->upvalues + (uint64_t)index * layout->ref_size,
			     bytes, layout->ref_size);
	if (err)
		return err;
	upvalue = ref_at(self, bytes, 0);
	err = read_object(self, upvalue, GCT_UPVALUE, bytes,
			  (size_t)layout->upvalue + layout->ref_size);
	if (err)
		return err;
	return lua_heap__read(self, ref_at(self, bytes, layout->upvalue), slot, sizeof(uint64_t));
}

int luajit_heap__upvalue(struct lua_heap *self, uint64_t ref, unsigned int index,
			 struct lua_value *value)
{
	uint64_t word;
	int err = upvalue_slot(self, ref, index, &word);

	if (!err)
		*value = luajit_heap__decode(self, word);
	return err;
}

static int read_userdata_metatable(struct lua_heap *self, uint64_t ref, uint64_t *metatable)
{
	uint8_t bytes[USERDATA_SIZE];
	int err = read_object(self, ref, GCT_USERDATA, bytes,
			      layout_of(self)->metatable + layout_of(self)->ref_size);

	if (err)
		return err;
	*metatable = ref_at(self, bytes, layout_of(self)->metatable);
	return 0;
}

static int string_place(struct lua_heap *self, uint64_t ref, uint64_t *address, uint64_t *length)
{
	const struct luajit_build *build = self->build;
	uint8_t bytes[STRING_SIZE];
	int err;

	if (build->string_data > sizeof(bytes) ||
	    build->string_length > build->string_data - sizeof(uint32_t))
		return -EINVAL;
	/* The empty string is a part of the global_State, and in GC32 on a multiple of 4. */
	if (!ref || ref % 4 || ref >= MAX_ADDRESS)
		return -EINVAL;
	err = lua_heap__read(self, ref, bytes, build->string_data);
	if (err)
		return err;
	if (bytes[layout_of(self)->gct] != GCT_STRING)
		return -EINVAL;
	*address = ref + build->string_data;
	*length = lua_half(bytes, build->string_length);
	return 0;
}

static int read_string(struct lua_heap *self, uint64_t ref, char *text)
{
	uint64_t address, length;
	int err = string_place(self, ref, &address, &length);

	return err ? err : lua_heap__characters(self, address, length, text);
}

/* ---- tables ------------------------------------------------------------------------------ */

static int read_nodes(struct lua_heap *self, uint64_t ref, struct lua_nodes *nodes)
{
	const struct luajit_layout *layout = self->layout;
	uint8_t bytes[TABLE_SIZE];
	uint32_t hmask;
	int err;

	err = read_object(self, ref, GCT_TABLE, bytes, layout->hmask + sizeof(hmask));
	if (err)
		return err;
	hmask = lua_half(bytes, layout->hmask);
	if ((hmask & (hmask + 1)) != 0 || hmask == UINT32_MAX)
		return -EINVAL;
	nodes->count = hmask + 1;
	nodes->address = ref_at(self, bytes, layout->node);
	nodes->metatable = ref_at(self, bytes, layout->metatable);
	return 0;
}

static void decode_node(const struct lua_heap *self, const void *node, struct lua_value *key,
			struct lua_value *value)
{
	*value = luajit_heap__decode(self, lua_word(node, 0));
	*key = luajit_heap__decode(self, lua_word(node, NODE_KEY));
}

/* ---- values ------------------------------------------------------------------------------ */

/* lj_obj.h: types are complements; ~13 (and in GC32 what is below it) are numbers. */
static void raw_value(const struct lua_heap *self, const void *slot, struct lua_raw *raw)
{
	static const uint8_t kinds[] = {
		RAW_NIL,   RAW_FALSE,  RAW_TRUE,     RAW_LIGHTUSERDATA, RAW_STRING,
		RAW_OTHER, RAW_THREAD, RAW_OTHER,    RAW_FUNCTION,	RAW_OTHER,
		RAW_CDATA, RAW_TABLE,  RAW_USERDATA, RAW_INTEGER,
	};
	bool gc64 = layout_of(self)->gc64;
	uint64_t word = lua_word(slot, 0);
	uint32_t type =
		gc64 ? ~(uint32_t)((int64_t)word >> GC64_TAG_SHIFT) : ~(uint32_t)(word >> 32);

	*raw = (struct lua_raw){.kind = RAW_NUMBER};
	/* A light userdata is an address of 47 bits, whose upper ones are in the type's place. */
	if (!gc64 && (int32_t)(word >> 32) >> 15 == -2)
		type = 3;
	if (type >= sizeof(kinds)) {
		memcpy(&raw->number, &word, sizeof(raw->number));
		return;
	}
	raw->kind = kinds[type];
	raw->ref =
		gc64 || raw->kind == RAW_LIGHTUSERDATA ? word & GC64_ADDRESS_MASK : (uint32_t)word;
	if (raw->kind == RAW_INTEGER)
		raw->integer = (int32_t)word;
}

static int array_items(struct lua_heap *self, uint64_t ref, struct lua_items *items)
{
	const struct luajit_layout *layout = self->layout;
	uint8_t bytes[TABLE_SIZE];
	uint64_t slots[64], at;
	struct lua_raw raw;
	uint32_t size, i;
	int err;

	err = read_object(self, ref, GCT_TABLE, bytes, layout->hmask + sizeof(size));
	if (err)
		return err;
	size = lua_half(bytes, layout->asize);
	at = ref_at(self, bytes, layout->array);
	items->more_array = size > LUA_MAX_COUNTED;
	if (items->more_array)
		size = LUA_MAX_COUNTED;
	for (i = 0; i < size; i++) {
		if (i % 64 == 0) {
			err = lua_heap__read(self, at + i * sizeof(*slots), slots,
					     (size - i < 64 ? size - i : 64) * sizeof(*slots));
			if (err)
				return err;
		}
		raw_value(self, &slots[i % 64], &raw);
		items->array += raw.kind != RAW_NIL;
	}
	return 0;
}

static int closure(struct lua_heap *self, uint64_t ref, struct lua_closure *closure)
{
	struct luajit_closure own;
	int err = luajit_heap__closure(self, ref, &own);

	if (!err)
		*closure = (struct lua_closure){.proto = own.proto,
						.upvalue_count = own.upvalue_count};
	return err;
}

static int userdata_size(struct lua_heap *self, uint64_t ref, uint64_t *size)
{
	uint8_t bytes[USERDATA_SIZE];
	int err = read_object(self, ref, GCT_USERDATA, bytes, sizeof(bytes));

	if (!err)
		*size = lua_half(bytes, layout_of(self)->userdata_length);
	return err;
}

static int cdata_type(struct lua_heap *self, uint64_t ref, uint32_t *type)
{
	uint8_t bytes[GC64_GCT + 3];
	size_t at = layout_of(self)->gct + 1u;
	int err = read_object(self, ref, GCT_CDATA, bytes, at + 2);

	if (!err)
		*type = bytes[at] | (uint32_t)bytes[at + 1] << 8;
	return err;
}

/* ---- roots ------------------------------------------------------------------------------- */

/* Where the reference stands differs between builds. It is not the only thread that may be there,
 * but any one of this VM will do. */
static int find_main_thread(struct lua_heap *self, uint64_t g, uint64_t *ref)
{
	size_t size = self->build->cur_L & ~7u, i;
	uint8_t bytes[ROOTS_SIZE];
	uint64_t env, its_g;
	int err;

	if (!lua_heap__is_ref(g) || size > sizeof(bytes))
		return -EINVAL;
	err = lua_heap__read(self, g, bytes, size);
	if (err)
		return err;
	for (i = 0; i < size; i += layout_of(self)->ref_size) {
		*ref = ref_at(self, bytes, i);
		if (read_thread(self, *ref, &env, &its_g) == 0 && its_g == g)
			return 0;
	}
	return -EINVAL;
}

/* Where the registry's TValue stands differs between builds. No other table has _LOADED. */
static uint64_t find_registry(struct lua_heap *self, uint64_t g)
{
	uint8_t bytes[ROOTS_SIZE];
	struct lua_value value;
	size_t size = self->build->cur_L & ~7u, i;

	if (size > sizeof(bytes) || lua_heap__read(self, g, bytes, size) != 0)
		return 0;
	for (i = 0; i < size; i += 8) {
		value = luajit_heap__decode(self, lua_word(bytes, i));
		if (value.type == VALUE_TABLE &&
		    lua_heap__field(self, value.ref, "_LOADED").type == VALUE_TABLE)
			return value.ref;
	}
	return 0;
}

/* It is one of the garbage collector's roots, and "ffi" protects it from getmetatable. */
static uint64_t find_cdata_metatable(struct lua_heap *self, uint64_t g)
{
	const struct luajit_layout *layout = self->layout;
	char text[LUA_MAX_STRING + 1];
	uint8_t bytes[ROOTS_SIZE], object[TABLE_SIZE];
	struct lua_value name;
	uint64_t ref;
	size_t i;

	if (lua_heap__read(self, g + self->build->cur_L, bytes, sizeof(bytes)) != 0)
		return 0;
	for (i = 0; i < sizeof(bytes); i += layout->ref_size) {
		ref = ref_at(self, bytes, i);
		if (read_object(self, ref, GCT_TABLE, object, layout->gct + 1ul) != 0)
			continue;
		name = lua_heap__field(self, ref, "__metatable");
		if (name.type == VALUE_STRING && lua_heap__string(self, name.ref, text) == 0 &&
		    strcmp(text, "ffi") == 0)
			return ref;
	}
	return 0;
}

static uint64_t base_metatable(struct lua_heap *self, uint64_t g, unsigned int index,
			       const char **name)
{
	if (index > 0)
		return 0;
	*name = "ffi.meta";
	return find_cdata_metatable(self, g);
}

/* ---- the kind of heap --------------------------------------------------------------------- */

static const struct lua_heap_ops ops = {
	.thread = read_thread,
	.main_thread = find_main_thread,
	.function = read_function,
	.userdata_metatable = read_userdata_metatable,
	.string = read_string,
	.nodes = read_nodes,
	.node = decode_node,
	.registry = find_registry,
	.base_metatable = base_metatable,
	.value_size = sizeof(uint64_t),
	.raw = raw_value,
	.string_place = string_place,
	.array_items = array_items,
	.closure = closure,
	.upvalue = upvalue_slot,
	.userdata_size = userdata_size,
	.cdata_type = cdata_type,
};

void luajit_heap__init(struct lua_heap *self, const struct luajit_build *build, lua_read_fn read,
		       void *context)
{
	lua_heap__init(self, &ops, build->gc64 ? &layout_gc64 : &layout_gc32, NODE_SIZE, read,
		       context);
	self->build = build;
}
