/* SPDX-License-Identifier: Apache-2.0 */
#include "puc_heap.h"

#include <errno.h>
#include <string.h>

/* lobject.h: a type in the low four bits, its variant above. */
#define TYPE_MASK	0x0fu
#define TYPE_STRING	4
#define TYPE_TABLE	5
#define TYPE_FUNCTION	6
#define TYPE_USERDATA	7
#define TYPE_THREAD	8
#define VARIANT_LIGHT	0x16  /* a C function that is no object */
#define VARIANT_C	0x26  /* a C function */
#define VARIANT_LONG	0x14  /* a string */
#define VALUE_TYPE_MASK 0x3fu /* without the bit of collectable objects */

#define OBJECT_TYPE	  8 /* behind the pointer to the next object */
#define OBJECT_SIZE	  0x30
#define TABLE_SIZE	  0x48 /* at most */
#define TABLE_LSIZE	  11   /* log2 of the number of nodes, but in lua_51_redis */
#define MAX_LSIZE	  30
#define VALUE_SIZE	  16
#define VALUE_TYPE	  8
#define NODE_KEY	  16
#define THREAD_GLOBALS_51 0x78
#define GLOBALS_INDEX	  2 /* LUA_RIDX_GLOBALS, since 5.2 */

/*
 * Offsets by release: offsetof() in each release's lobject.h and lstate.h, compiled for x86-64 with
 * the default luaconf.h. Those that the walk needs as well are in struct puc_build.
 */
struct puc_heap_layout {
	uint8_t node_size;
	uint8_t node_key_type;
	uint8_t table_lsize;
	uint8_t table_metatable;
	uint8_t table_array;
	uint8_t table_size; /* of it, in slots */
	uint8_t table_node;
	uint8_t userdata_metatable;
	uint8_t function_is_c; /* 0: its variant tells */
	uint8_t function_env;  /* 5.1; 0 else */
	uint8_t g_allocator;
	uint8_t g_total;
	uint8_t g_debt; /* 0: none */
	uint8_t g_registry;
	int16_t g_metatables; /* of the base types, from the main thread's place on */
	int8_t debt_sign;     /* the heap is total + sign * debt */
	bool array_of_values; /* 5.5: the array part has no types in it, and lies in front */
};

static const struct puc_heap_layout lua_51 = {
	.node_size = 40,
	.node_key_type = 24,
	.table_lsize = TABLE_LSIZE,
	.table_metatable = 0x10,
	.table_array = 0x18,
	.table_size = 0x38,
	.table_node = 0x20,
	.userdata_metatable = 0x10,
	.function_is_c = 10,
	.function_env = 0x18,
	.g_allocator = 0x10,
	.g_total = 0x78,
	.g_registry = 0xa0,
	.g_metatables = 0x30,
};

/* Redis's own Lua 5.1 (since 7.0, and in the last of 6.x): an int `readonly` in front of a table's
 * lsizenode. */
static const struct puc_heap_layout lua_51_redis = {
	.node_size = 40,
	.node_key_type = 24,
	.table_lsize = 0x10,
	.table_metatable = 0x18,
	.table_array = 0x20,
	.table_size = 0x40,
	.table_node = 0x28,
	.userdata_metatable = 0x10,
	.function_is_c = 10,
	.function_env = 0x18,
	.g_allocator = 0x10,
	.g_total = 0x78,
	.g_registry = 0xa0,
	.g_metatables = 0x30,
};

static const struct puc_heap_layout lua_520 = {
	.node_size = 40,
	.node_key_type = 24,
	.table_lsize = TABLE_LSIZE,
	.table_metatable = 0x10,
	.table_array = 0x18,
	.table_size = 0x38,
	.table_node = 0x20,
	.userdata_metatable = 0x10,
	.function_is_c = 10,
	.g_total = 0x10,
	.g_debt = 0x18,
	.g_registry = 0x38,
	.g_metatables = 0xa0,
	.debt_sign = 1,
};

static const struct puc_heap_layout lua_52 = {
	.node_size = 40,
	.node_key_type = 24,
	.table_lsize = TABLE_LSIZE,
	.table_metatable = 0x10,
	.table_array = 0x18,
	.table_size = 0x38,
	.table_node = 0x20,
	.userdata_metatable = 0x10,
	.g_total = 0x10,
	.g_debt = 0x18,
	.g_registry = 0x40,
	.g_metatables = 0xa0,
	.debt_sign = 1,
};

static const struct puc_heap_layout lua_524 = {
	.node_size = 40,
	.node_key_type = 24,
	.table_lsize = TABLE_LSIZE,
	.table_metatable = 0x28,
	.table_array = 0x10,
	.table_size = 0x0c,
	.table_node = 0x18,
	.userdata_metatable = 0x10,
	.g_total = 0x10,
	.g_debt = 0x18,
	.g_registry = 0x40,
	.g_metatables = 0xa0,
	.debt_sign = 1,
};

static const struct puc_heap_layout lua_53 = {
	.node_size = 32,
	.node_key_type = 24,
	.table_lsize = TABLE_LSIZE,
	.table_metatable = 0x28,
	.table_array = 0x10,
	.table_size = 0x0c,
	.table_node = 0x18,
	.userdata_metatable = 0x10,
	.g_total = 0x10,
	.g_debt = 0x18,
	.g_registry = 0x40,
	.g_metatables = 0xd8,
	.debt_sign = 1,
};

static const struct puc_heap_layout lua_54 = {
	.node_size = 24,
	.node_key_type = 9,
	.table_lsize = TABLE_LSIZE,
	.table_metatable = 0x28,
	.table_array = 0x10,
	.table_size = 0x0c,
	.table_node = 0x18,
	.userdata_metatable = 0x18,
	.g_total = 0x10,
	.g_debt = 0x18,
	.g_registry = 0x40,
	.g_metatables = 0xd8,
	.debt_sign = 1,
};

static const struct puc_heap_layout lua_55 = {
	.node_size = 24,
	.node_key_type = 9,
	.table_lsize = TABLE_LSIZE,
	.table_metatable = 0x20,
	.table_array = 0x10,
	.table_size = 0x0c,
	.table_node = 0x18,
	.userdata_metatable = 0x18,
	.g_total = 0x10,
	.g_debt = 0x18,
	.g_registry = 0x40,
	.g_metatables = 0x1d8 - 0x588,
	.debt_sign = -1,
	.array_of_values = true,
};

static const struct puc_heap_layout *layout_of_release(uint32_t release)
{
	switch (release / 100) {
	case 501:
		return &lua_51;
	case 502:
		return release == 50200 ? &lua_520 : release == 50204 ? &lua_524 : &lua_52;
	case 503:
		return &lua_53;
	case 504:
		return &lua_54;
	case 505:
		return &lua_55;
	}
	return NULL;
}

static const struct puc_heap_layout *layout_of(const struct lua_heap *self)
{
	return self->layout;
}

static int read_word(struct lua_heap *self, uint64_t address, uint64_t *word)
{
	return lua_heap__read(self, address, word, sizeof(*word));
}

/* The object at `ref`, if it is of that type. The smallest objects that are read are strings, of
 * 24 bytes. */
static int read_object(struct lua_heap *self, uint64_t ref, uint8_t type, uint8_t *bytes,
		       size_t size)
{
	int err = lua_heap__object(self, ref, bytes, size);

	if (err)
		return err;
	return (bytes[OBJECT_TYPE] & TYPE_MASK) == type ? 0 : -EINVAL;
}

static struct lua_value decode(uint64_t ref, uint8_t type)
{
	static const uint8_t types[] = {
		[2] = VALUE_LIGHTUSERDATA,	  [TYPE_STRING] = VALUE_STRING,
		[TYPE_TABLE] = VALUE_TABLE,	  [TYPE_FUNCTION] = VALUE_FUNCTION,
		[TYPE_USERDATA] = VALUE_USERDATA, [TYPE_THREAD] = VALUE_THREAD,
	};
	struct lua_value value = {.type = VALUE_OTHER};

	type &= VALUE_TYPE_MASK;
	if (type == VARIANT_LIGHT)
		return (struct lua_value){.type = VALUE_LIGHT_FUNCTION, .ref = ref};
	if ((type & TYPE_MASK) < sizeof(types))
		value.type = types[type & TYPE_MASK];
	if (value.type == VALUE_OTHER || value.type == VALUE_LIGHTUSERDATA)
		return value;
	if (!lua_heap__is_ref(ref))
		return (struct lua_value){.type = VALUE_OTHER};
	value.ref = ref;
	return value;
}

/* ---- objects ----------------------------------------------------------------------------- */

/* Entry GLOBALS_INDEX of the registry; 0 when no table is there. */
static uint64_t read_globals(struct lua_heap *self, uint64_t g)
{
	const struct puc_heap_layout *layout = layout_of(self);
	uint64_t registry = self->ops->registry(self, g), value[2] = {}, array;
	uint8_t type = 0;

	if (!registry || read_word(self, registry + layout->table_array, &array) != 0)
		return 0;
	if (layout->array_of_values) {
		/* ltable.h: values in front of `array` in reverse order; behind it, after an
		 * unsigned number, the types. */
		if (read_word(self, array - GLOBALS_INDEX * 8ull, &value[0]) != 0 ||
		    lua_heap__read(self, array + sizeof(uint32_t) + GLOBALS_INDEX - 1, &type,
				   sizeof(type)) != 0)
			return 0;
	} else {
		if (lua_heap__read(self, array + (GLOBALS_INDEX - 1) * VALUE_SIZE, value,
				   sizeof(value)) != 0)
			return 0;
		type = (uint8_t)value[1];
	}
	return (type & VALUE_TYPE_MASK) == TYPE_TABLE ? value[0] : 0;
}

static int read_thread(struct lua_heap *self, uint64_t ref, uint64_t *env, uint64_t *g)
{
	uint8_t bytes[THREAD_GLOBALS_51 + 8] = {};
	int err = read_object(self, ref, TYPE_THREAD, bytes, sizeof(bytes));

	if (err)
		return err;
	*g = lua_word(bytes, self->puc->L_g);
	if (!lua_heap__is_ref(*g))
		return -EINVAL;
	if (layout_of(self)->function_env)
		*env = lua_word(bytes, THREAD_GLOBALS_51);
	else
		*env = read_globals(self, *g);
	return 0;
}

static int find_main_thread(struct lua_heap *self, uint64_t g, uint64_t *ref)
{
	const struct puc_build *build = self->puc;
	uint8_t bytes[OBJECT_SIZE];
	int err = 0;

	if (build->mainthread_inside)
		*ref = g + build->g_mainthread;
	else
		err = read_word(self, g + build->g_mainthread, ref);
	if (!err)
		err = read_object(self, *ref, TYPE_THREAD, bytes, sizeof(bytes));
	if (err)
		return err;
	return lua_word(bytes, build->L_g) == g ? 0 : -EINVAL;
}

static int read_function(struct lua_heap *self, uint64_t ref, struct lua_function *function)
{
	const struct puc_heap_layout *layout = layout_of(self);
	uint8_t bytes[OBJECT_SIZE];
	bool is_c;
	int err;

	/* A function without upvalues ends with its entry, or its proto. */
	err = read_object(self, ref, TYPE_FUNCTION, bytes, self->puc->closure_c + sizeof(uint64_t));
	if (err)
		return err;
	is_c = layout->function_is_c ? bytes[layout->function_is_c] != 0
				     : bytes[OBJECT_TYPE] == VARIANT_C;
	function->ffid = is_c;
	function->env = layout->function_env ? lua_word(bytes, layout->function_env) : 0;
	function->entry = is_c ? lua_word(bytes, self->puc->closure_c) : 0;
	return 0;
}

static int read_userdata_metatable(struct lua_heap *self, uint64_t ref, uint64_t *metatable)
{
	const struct puc_heap_layout *layout = layout_of(self);
	uint8_t bytes[OBJECT_SIZE];
	int err = read_object(self, ref, TYPE_USERDATA, bytes,
			      layout->userdata_metatable + sizeof(*metatable));

	if (err)
		return err;
	*metatable = lua_word(bytes, layout->userdata_metatable);
	return 0;
}

static int string_place(struct lua_heap *self, uint64_t ref, uint64_t *address, uint64_t *length)
{
	const struct puc_build *build = self->puc;
	uint8_t bytes[OBJECT_SIZE];
	bool is_long;
	int err;

	err = read_object(self, ref, TYPE_STRING, bytes, build->string_length + sizeof(*length));
	if (err)
		return err;
	*address = ref + build->string_data;
	is_long = (bytes[OBJECT_TYPE] & VALUE_TYPE_MASK) == VARIANT_LONG;
	*length = lua_word(bytes, build->string_length);
	if (build->string_short_length && !is_long)
		*length = bytes[build->string_short_length];
	return build->string_is_pointer && is_long ? read_word(self, *address, address) : 0;
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
	const struct puc_heap_layout *layout = layout_of(self);
	uint8_t bytes[OBJECT_SIZE];
	int err = read_object(self, ref, TYPE_TABLE, bytes, sizeof(bytes));

	if (err)
		return err;
	if (bytes[layout->table_lsize] > MAX_LSIZE)
		return -EINVAL;
	nodes->count = 1u << bytes[layout->table_lsize];
	nodes->address = lua_word(bytes, layout->table_node);
	nodes->metatable = lua_word(bytes, layout->table_metatable);
	return 0;
}

static void decode_node(const struct lua_heap *self, const void *node, struct lua_value *key,
			struct lua_value *value)
{
	const uint8_t *bytes = node;

	*value = decode(lua_word(node, 0), bytes[VALUE_TYPE]);
	*key = decode(lua_word(node, NODE_KEY), bytes[layout_of(self)->node_key_type]);
}

/* ---- values ------------------------------------------------------------------------------ */

/* lobject.h: up to 5.2 one kind of number, 5.3 floats 0x03 and integers 0x13, since 5.4 the other
 * way round; booleans since 5.4 are two variants. */
static void raw_value(const struct lua_heap *self, const void *slot, struct lua_raw *raw)
{
	uint32_t release = self->puc->release;
	const uint8_t *bytes = slot;
	uint8_t type = bytes[VALUE_TYPE] & VALUE_TYPE_MASK, variant = type >> 4;
	static const uint8_t kinds[] = {
		RAW_NIL,   RAW_FALSE,	 RAW_LIGHTUSERDATA, RAW_NUMBER, RAW_STRING,
		RAW_TABLE, RAW_FUNCTION, RAW_USERDATA,	    RAW_THREAD,
	};

	*raw = (struct lua_raw){.kind = RAW_OTHER, .ref = lua_word(slot, 0)};
	if ((type & TYPE_MASK) < sizeof(kinds))
		raw->kind = kinds[type & TYPE_MASK];
	if (raw->kind == RAW_FALSE && (release >= 50400 ? variant != 0 : (uint32_t)raw->ref != 0))
		raw->kind = RAW_TRUE;
	if (type == VARIANT_LIGHT)
		raw->kind = RAW_LIGHT_FUNCTION;
	if (raw->kind == RAW_NUMBER && release >= 50300 && (variant == 0) == (release >= 50400))
		raw->kind = RAW_INTEGER;
	raw->integer = (int64_t)raw->ref;
	memcpy(&raw->number, slot, sizeof(raw->number));
}

/* Of the array part; since 5.4 its size may be a hint below the next power of two (ltable.c,
 * luaH_realasize), while the flag that says so is set. */
static uint32_t array_size(const struct lua_heap *self, const uint8_t *bytes)
{
	const struct puc_heap_layout *layout = layout_of(self);
	uint32_t size = (uint32_t)lua_word(bytes, layout->table_size), real = 1;

	if (self->puc->release / 100 != 504 || !(bytes[OBJECT_TYPE + 2] & 0x80))
		return size;
	while (real < size && real < 1u << 31)
		real *= 2;
	return size ? real : 0;
}

static int array_items(struct lua_heap *self, uint64_t ref, struct lua_items *items)
{
	const struct puc_heap_layout *layout = layout_of(self);
	uint8_t bytes[TABLE_SIZE], slots[64 * VALUE_SIZE];
	size_t width = layout->array_of_values ? 1 : VALUE_SIZE;
	uint32_t size, i;
	struct lua_raw raw;
	uint64_t at;
	int err;

	/* Whichever comes last; 5.1's are as large as that, the others end before. */
	err = read_object(self, ref, TYPE_TABLE, bytes,
			  layout->table_size > layout->table_array
				  ? layout->table_size + sizeof(size)
				  : layout->table_array + sizeof(at));
	if (err)
		return err;
	size = array_size(self, bytes);
	at = lua_word(bytes, layout->table_array);
	if (layout->array_of_values)
		at += sizeof(uint32_t);
	items->more_array = size > LUA_MAX_COUNTED;
	if (items->more_array)
		size = LUA_MAX_COUNTED;
	for (i = 0; i < size; i++) {
		if (i % 64 == 0) {
			err = lua_heap__read(self, at + i * width, slots,
					     (size - i < 64 ? size - i : 64) * width);
			if (err)
				return err;
		}
		if (layout->array_of_values) {
			items->array += (slots[i % 64] & TYPE_MASK) != 0;
			continue;
		}
		raw_value(self, slots + i % 64 * VALUE_SIZE, &raw);
		items->array += raw.kind != RAW_NIL;
	}
	return 0;
}

/* The number of upvalues stands behind 5.1's flag of C functions. */
static int closure(struct lua_heap *self, uint64_t ref, struct lua_closure *closure)
{
	const struct puc_heap_layout *layout = layout_of(self);
	uint8_t bytes[OBJECT_SIZE];
	struct lua_function function;
	int err = read_function(self, ref, &function);

	if (!err && function.ffid)
		return -EINVAL;
	if (!err)
		err = lua_heap__read(self, ref, bytes, self->puc->closure_proto + sizeof(uint64_t));
	if (err)
		return err;
	closure->proto = lua_word(bytes, self->puc->closure_proto);
	closure->upvalue_count = bytes[layout->function_env ? OBJECT_TYPE + 3 : OBJECT_TYPE + 2];
	return 0;
}

/* lfunc.h: the pointer to the value is behind the header, which 5.3's upvalues do not have. */
static int upvalue_slot(struct lua_heap *self, uint64_t ref, uint32_t index, void *slot)
{
	uint64_t address;
	int err;

	err = read_word(self, ref + self->puc->closure_proto + 8 + 8ull * index, &address);
	if (!err)
		err = read_word(self, address + (self->puc->release / 100 == 503 ? 0 : 16),
				&address);
	return err ? err : lua_heap__read(self, address, slot, VALUE_SIZE);
}

static int userdata_size(struct lua_heap *self, uint64_t ref, uint64_t *size)
{
	uint32_t release = self->puc->release;
	uint8_t bytes[OBJECT_SIZE];
	int err = read_object(self, ref, TYPE_USERDATA, bytes, sizeof(bytes));

	if (!err)
		*size = lua_word(bytes, release < 50300 ? 0x20 : release < 50400 ? 0x18 : 0x10);
	return err;
}

static int cdata_type(struct lua_heap *self, uint64_t ref, uint32_t *type)
{
	return -ENOENT; /* LuaJIT's */
}

/* ---- roots ------------------------------------------------------------------------------- */

/* The table `_LOADED`, which the first library makes, is there under one layout of tables only:
 * that one holds from here on. */
static void choose_tables(struct lua_heap *self, uint64_t registry)
{
	static const struct puc_heap_layout *const layouts[] = {&lua_51, &lua_51_redis};
	size_t i;

	for (i = 0; i < sizeof(layouts) / sizeof(layouts[0]); i++) {
		self->layout = layouts[i];
		if (lua_heap__field(self, registry, "_LOADED").type == VALUE_TABLE)
			return;
	}
	self->layout = layouts[0];
}

static uint64_t find_registry(struct lua_heap *self, uint64_t g)
{
	struct lua_value value;
	uint64_t words[2];

	if (lua_heap__read(self, g + layout_of(self)->g_registry, words, sizeof(words)) != 0)
		return 0;
	value = decode(words[0], (uint8_t)words[1]);
	if (value.type != VALUE_TABLE)
		return 0;
	if (layout_of_release(self->puc->release) == &lua_51)
		choose_tables(self, value.ref);
	return value.ref;
}

static uint64_t base_metatable(struct lua_heap *self, uint64_t g, unsigned int index,
			       const char **name)
{
	/* lua.h: LUA_TNIL ... LUA_TTHREAD; tables and userdata have their own. */
	static const char *const names[] = {
		"nil",	 "boolean",  "lightuserdata", "number", "string",
		"table", "function", "userdata",      "thread",
	};
	uint64_t address = g + self->puc->g_mainthread + index * 8ull, metatable;

	if (index >= sizeof(names) / sizeof(names[0]))
		return 0;
	*name = names[index];
	address += (uint64_t)(int64_t)layout_of(self)->g_metatables;
	return read_word(self, address, &metatable) == 0 ? metatable : 0;
}

int puc_heap__allocation(struct lua_heap *self, uint64_t g, uint64_t *allocator, int64_t *bytes)
{
	const struct puc_heap_layout *layout = layout_of(self);
	uint64_t total, debt = 0;
	int err;

	err = read_word(self, g + layout->g_allocator, allocator);
	if (!err)
		err = read_word(self, g + layout->g_total, &total);
	if (!err && layout->g_debt)
		err = read_word(self, g + layout->g_debt, &debt);
	if (err)
		return err;
	*bytes = (int64_t)(layout->debt_sign < 0 ? total - debt : total + debt);
	return 0;
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
	.value_size = VALUE_SIZE,
	.raw = raw_value,
	.string_place = string_place,
	.array_items = array_items,
	.closure = closure,
	.upvalue = upvalue_slot,
	.userdata_size = userdata_size,
	.cdata_type = cdata_type,
};

int puc_heap__init(struct lua_heap *self, const struct puc_build *build, lua_read_fn read,
		   void *context)
{
	const struct puc_heap_layout *layout = layout_of_release(build->release);

	if (!layout)
		return -ENOENT;
	lua_heap__init(self, &ops, layout, layout->node_size, read, context);
	self->puc = build;
	return 0;
}
