/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The objects on a LuaJIT heap (tables, strings, functions, userdata), read from outside while the
 * program runs. Nothing read is trusted: each object is checked for its type byte, its alignment
 * and a sane size, and a table that changes while it is read is read again or left out.
 *
 * It knows what objects look like, not what they are for: that is luajit_builtins.h.
 */
#ifndef LUASPY_LUAJIT_HEAP_H
#define LUASPY_LUAJIT_HEAP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "../bpf/contract.h"

#define LUAJIT_MAX_STRING 128	 /* bytes of a string that is read; longer ones are no names */
#define LUAJIT_MAX_NODES  65536u /* of one table; larger ones are data */

/* What one struct luajit_heap reads at most: after that every read fails with -ETIME. A program's
 * heap takes some thousand reads and some milliseconds; one that was made for us, as long as it
 * likes. */
#define LUAJIT_MAX_READS   (1u << 18)
#define LUAJIT_MAX_TIME_NS 250000000u

/* Reads all `size` bytes at `address`, or fails with a negative errno. */
typedef int (*luajit_read_fn)(void *context, uint64_t address, void *bytes, size_t size);

struct luajit_layout;

struct luajit_heap {
	luajit_read_fn read;
	void *context;
	const struct luajit_layout *layout;
	const struct luajit_build *build;
	uint64_t reads; /* calls of `read` so far */
	uint64_t deadline_ns;
	bool exhausted; /* a read failed because of the bounds */
};

enum luajit_type {
	LUAJIT_OTHER, /* nil, numbers, booleans, cdata, whatever is not one of these */
	LUAJIT_LIGHTUSERDATA,
	LUAJIT_STRING,
	LUAJIT_THREAD,
	LUAJIT_FUNCTION,
	LUAJIT_TABLE,
	LUAJIT_USERDATA,
};

struct luajit_value {
	enum luajit_type type;
	uint64_t ref; /* the object's address; 0 for those without */
};

/* A table's hash part, as it was at one moment. */
struct luajit_table {
	uint64_t metatable; /* 0: none */
	uint32_t count;	    /* nodes, the empty ones too */
	void *nodes;
};

/* A Lua function. */
struct luajit_closure {
	uint64_t env;
	uint64_t proto;
	uint8_t upvalue_count;
};

struct luajit_function {
	uint64_t env;
	uint64_t entry; /* of the C code; 0 for a Lua function */
	uint8_t ffid;	/* 0: Lua function, 1: C function, others: built-in */
};

/* `build` and `context` are borrowed for as long as the heap is used. Its time begins now. */
void luajit_heap__init(struct luajit_heap *self, const struct luajit_build *build,
		       luajit_read_fn read, void *context);

/* Whether it has read as much, or been used as long, as it may: for loops that need not read. */
bool luajit_heap__exhausted(struct luajit_heap *self);

/* All `size` bytes at `address`. All reads go through here, so that none can leave the bounds.
 * Returns what `read` returned, or -ETIME. */
int luajit_heap__read(struct luajit_heap *self, uint64_t address, void *bytes, size_t size);

/* Each returns 0, or -EINVAL when there is no such object at `ref`, or what `read` returned, or
 * -ETIME. */

/* The lua_State's environment (for a main thread: the globals) and its global_State. */
int luajit_heap__thread(struct luajit_heap *self, uint64_t ref, uint64_t *env, uint64_t *g);
/* The main lua_State of the global_State at `g`. */
int luajit_heap__main_thread(struct luajit_heap *self, uint64_t g, uint64_t *ref);
int luajit_heap__function(struct luajit_heap *self, uint64_t ref, struct luajit_function *function);
int luajit_heap__userdata_metatable(struct luajit_heap *self, uint64_t ref, uint64_t *metatable);
/* -EINVAL also for a function that is not Lua's. Its proto has not been looked at. */
int luajit_heap__closure(struct luajit_heap *self, uint64_t ref, struct luajit_closure *closure);
/* The value of upvalue `index` of the Lua function at `ref`, which the caller knows to have that
 * many. */
int luajit_heap__upvalue(struct luajit_heap *self, uint64_t ref, unsigned int index,
			 struct luajit_value *value);
/* What a 64-bit slot of the Lua stack or of an object holds. */
struct luajit_value luajit_heap__decode(const struct luajit_heap *self, uint64_t word);
/* With its '\0'; `text` has room for LUAJIT_MAX_STRING + 1. -EINVAL also for an empty string, a
 * longer one, one with a '\0' in it. */
int luajit_heap__string(struct luajit_heap *self, uint64_t ref, char *text);

/* Also -EAGAIN when the table changes all the time, -E2BIG, -ENOMEM. Freed by __table_free. */
int luajit_heap__table(struct luajit_heap *self, uint64_t ref, struct luajit_table *table);
void luajit_heap__table_free(struct luajit_table *table);
/* Node `i` of `count`. */
void luajit_heap__node(const struct luajit_heap *self, const struct luajit_table *table, uint32_t i,
		       struct luajit_value *key, struct luajit_value *value);

/* The raw field `name` of the table at `ref`; LUAJIT_OTHER when there is none. */
struct luajit_value luajit_heap__field(struct luajit_heap *self, uint64_t ref, const char *name);

/* The same for a key that is the string object at `key`, of which there is only one with its text,
 * so that none has to be read. Also its metatable, 0 without one (NULL: not asked for). */
struct luajit_value luajit_heap__field_by_ref(struct luajit_heap *self, uint64_t ref, uint64_t key,
					      uint64_t *metatable);

/* The registry of the VM whose global_State is `g`: 0 when it is not found. */
uint64_t luajit_heap__registry(struct luajit_heap *self, uint64_t g);
/* The metatable of all cdata objects, 0 when the VM has none. */
uint64_t luajit_heap__cdata_metatable(struct luajit_heap *self, uint64_t g);

#endif
