/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The objects on a Lua heap (tables, strings, functions, userdata), LuaJIT's or PUC Lua's, read
 * from outside while the program runs. Nothing read is trusted: each object is checked for its type
 * byte, its alignment and a sane size, and a table that changes while it is read is read again or
 * left out.
 *
 * Here is what all heaps have in common; luajit_heap.h and puc_heap.h know what objects look like.
 * What they are for is lua_builtins.h's matter.
 */
#ifndef LUASPY_LUA_HEAP_H
#define LUASPY_LUA_HEAP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "../bpf/contract.h"

#define LUA_MAX_STRING 128    /* bytes of a string that is read; longer ones are no names */
#define LUA_MAX_NODES  65536u /* of one table; larger ones are data */

/* What one struct lua_heap reads at most: after that every read fails with -ETIME. A program's
 * heap takes some thousand reads and some milliseconds of CPU time; one that was made for us, as
 * long as it likes. On a busy machine those milliseconds take a while. */
#define LUA_MAX_READS	(1u << 18)
#define LUA_MAX_CPU_NS	250000000u
#define LUA_MAX_TIME_NS 2000000000u

/* Reads all `size` bytes at `address`, or fails with a negative errno. */
typedef int (*lua_read_fn)(void *context, uint64_t address, void *bytes, size_t size);

enum lua_type {
	VALUE_OTHER, /* nil, numbers, booleans, cdata, whatever is not one of these */
	VALUE_LIGHTUSERDATA,
	VALUE_STRING,
	VALUE_THREAD,
	VALUE_FUNCTION,
	VALUE_LIGHT_FUNCTION, /* PUC Lua since 5.2: a C function that is no object */
	VALUE_TABLE,
	VALUE_USERDATA,
};

struct lua_value {
	enum lua_type type;
	uint64_t ref; /* the object's address (a light function's: its code's); 0 for those without
		       */
};

struct lua_function {
	uint64_t env;	/* 0 in PUC Lua since 5.2 */
	uint64_t entry; /* of the C code; 0 for a Lua function */
	uint8_t ffid;	/* 0: Lua function, 1: C function, others: LuaJIT's built-in */
};

/* Where a table's hash part is. */
struct lua_nodes {
	uint64_t metatable; /* 0: none */
	uint64_t address;
	uint32_t count; /* a power of 2 */
};

/* A table's hash part, as it was at one moment. */
struct lua_table {
	uint64_t metatable; /* 0: none */
	uint32_t count;	    /* nodes, the empty ones too */
	void *nodes;
};

/* A value with all that it says by itself; an object is an address that was not looked at. */
enum lua_kind_of_value {
	RAW_NIL,
	RAW_FALSE,
	RAW_TRUE,
	RAW_INTEGER,
	RAW_NUMBER,
	RAW_LIGHTUSERDATA,
	RAW_STRING,
	RAW_TABLE,
	RAW_FUNCTION,
	RAW_LIGHT_FUNCTION, /* PUC Lua since 5.2 */
	RAW_USERDATA,
	RAW_THREAD,
	RAW_CDATA,
	RAW_OTHER, /* no value of a program's */
};

struct lua_raw {
	enum lua_kind_of_value kind;
	int64_t integer;
	double number;
	uint64_t ref; /* of an object, or a light userdata's or function's own value */
};

#define LUA_MAX_COUNTED 4096u /* items of a table's part that are looked at */

/* How many items a table has in its parts, as far as they were looked at. */
struct lua_items {
	uint32_t array, hash;
	bool more_array, more_hash;
};

/* Of a function that is Lua's. */
struct lua_closure {
	uint64_t proto;
	uint32_t upvalue_count;
};

struct lua_heap;

/* What depends on the kind of the heap. Those with a result return it as lua_heap__thread does. */
struct lua_heap_ops {
	int (*thread)(struct lua_heap *self, uint64_t ref, uint64_t *env, uint64_t *g);
	int (*main_thread)(struct lua_heap *self, uint64_t g, uint64_t *ref);
	int (*function)(struct lua_heap *self, uint64_t ref, struct lua_function *function);
	int (*userdata_metatable)(struct lua_heap *self, uint64_t ref, uint64_t *metatable);
	int (*string)(struct lua_heap *self, uint64_t ref, char *text);
	int (*nodes)(struct lua_heap *self, uint64_t ref, struct lua_nodes *nodes);
	void (*node)(const struct lua_heap *self, const void *node, struct lua_value *key,
		     struct lua_value *value);
	uint64_t (*registry)(struct lua_heap *self, uint64_t g);
	uint64_t (*base_metatable)(struct lua_heap *self, uint64_t g, unsigned int index,
				   const char **name);
	size_t value_size; /* of a slot of the Lua stack, or of an array */
	void (*raw)(const struct lua_heap *self, const void *slot, struct lua_raw *raw);
	int (*string_place)(struct lua_heap *self, uint64_t ref, uint64_t *address,
			    uint64_t *length);
	int (*array_items)(struct lua_heap *self, uint64_t ref, struct lua_items *items);
	int (*closure)(struct lua_heap *self, uint64_t ref, struct lua_closure *closure);
	int (*upvalue)(struct lua_heap *self, uint64_t ref, uint32_t index, void *slot);
	int (*userdata_size)(struct lua_heap *self, uint64_t ref, uint64_t *size);
	int (*cdata_type)(struct lua_heap *self, uint64_t ref, uint32_t *type);
};

struct lua_heap {
	lua_read_fn read;
	void *context;
	const struct lua_heap_ops *ops;
	const void *layout;		  /* of that kind */
	size_t node_size;		  /* of tables' hash parts */
	const struct luajit_build *build; /* one of the two */
	const struct puc_build *puc;
	uint64_t reads;			       /* calls of `read` so far */
	uint64_t deadline_ns, cpu_deadline_ns; /* of the thread that has made it */
	uint32_t until_look;		       /* reads until the clocks are looked at again */
	bool exhausted;			       /* a read failed because of the bounds */
};

/* For luajit_heap__init and puc_heap__init: `context` is borrowed for as long as the heap is used.
 * Its time begins now. */
void lua_heap__init(struct lua_heap *self, const struct lua_heap_ops *ops, const void *layout,
		    size_t node_size, lua_read_fn read, void *context);

/* Whether it has read as much, or been used as long, as it may: for loops that need not read. */
bool lua_heap__exhausted(struct lua_heap *self);

/* All `size` bytes at `address`. All reads go through here, so that none can leave the bounds.
 * Returns what `read` returned, or -ETIME. */
int lua_heap__read(struct lua_heap *self, uint64_t address, void *bytes, size_t size);

/* Whether an object may be there. */
bool lua_heap__is_ref(uint64_t ref);

/* A number in what was read, at any place. */
static inline uint64_t lua_word(const void *bytes, size_t offset)
{
	uint64_t word;

	memcpy(&word, (const uint8_t *)bytes + offset, sizeof(word));
	return word;
}

static inline uint32_t lua_half(const void *bytes, size_t offset)
{
	uint32_t half;

	memcpy(&half, (const uint8_t *)bytes + offset, sizeof(half));
	return half;
}

/* Each returns 0, or -EINVAL when there is no such object at `ref`, or what `read` returned, or
 * -ETIME. */

/* The first `size` bytes of an object of any type. */
int lua_heap__object(struct lua_heap *self, uint64_t ref, void *bytes, size_t size);

/* The lua_State's environment (for a main thread, and in PUC Lua since 5.2: the globals; 0 when
 * they are not where they are expected) and its global_State. */
int lua_heap__thread(struct lua_heap *self, uint64_t ref, uint64_t *env, uint64_t *g);
/* The main lua_State of the global_State at `g`. */
int lua_heap__main_thread(struct lua_heap *self, uint64_t g, uint64_t *ref);
/* Of a value that is a function or a light one. */
int lua_heap__function(struct lua_heap *self, const struct lua_value *value,
		       struct lua_function *function);
int lua_heap__userdata_metatable(struct lua_heap *self, uint64_t ref, uint64_t *metatable);
/* With its '\0'; `text` has room for LUA_MAX_STRING + 1. -EINVAL also for an empty string, a
 * longer one, one with a '\0' in it. */
int lua_heap__string(struct lua_heap *self, uint64_t ref, char *text);
/* The same for the `length` characters at `address`, for the heaps of either kind. */
int lua_heap__characters(struct lua_heap *self, uint64_t address, uint64_t length, char *text);

/* Also -EAGAIN when the table changes all the time, -E2BIG, -ENOMEM. Freed by __table_free. */
int lua_heap__table(struct lua_heap *self, uint64_t ref, struct lua_table *table);
void lua_heap__table_free(struct lua_table *table);
/* Node `i` of `count`. */
void lua_heap__node(const struct lua_heap *self, const struct lua_table *table, uint32_t i,
		    struct lua_value *key, struct lua_value *value);

/* The raw field `name` of the table at `ref`; VALUE_OTHER when there is none. */
struct lua_value lua_heap__field(struct lua_heap *self, uint64_t ref, const char *name);

/* The same for a key that is the string object at `key`, of which there is only one with its text,
 * so that none has to be read. Also its metatable, 0 without one (NULL: not asked for). */
struct lua_value lua_heap__field_by_ref(struct lua_heap *self, uint64_t ref, uint64_t key,
					uint64_t *metatable);

/* The registry of the VM whose global_State is `g`: 0 when it is not found. */
uint64_t lua_heap__registry(struct lua_heap *self, uint64_t g);

/* The metatable of all values of a type of which each has not its own, and what their methods are
 * called by: "string". The `index`-th of the VM's types; 0 when that has none. *name is NULL when
 * there is no such index. */
uint64_t lua_heap__base_metatable(struct lua_heap *self, uint64_t g, unsigned int index,
				  const char **name);

#endif
