/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The local variables and upvalues of a function's activation: their names, from its proto, and the
 * slots that hold their values.
 */
#ifndef LUASPY_LUA_LOCALS_H
#define LUASPY_LUA_LOCALS_H

#include "lua_heap.h"

#define LUA_MAX_LOCALS	 200u /* Lua's own limit (LUAI_MAXVARS, LJ_MAX_LOCVAR) */
#define LUA_MAX_UPVALUES 255u

struct lua_frame_place {
	uint64_t proto;	   /* addresses */
	uint64_t function; /* 0: not known; then there are no upvalues */
	uint64_t proto_id; /* bpf/fingerprint.h: what the proto has to be */
	uint32_t tgid;
	uint32_t position;    /* in the bytecode, of the instruction where it is */
	const uint8_t *slots; /* NULL: it has none yet, and there are only upvalues */
	size_t slots_size;    /* bytes of its slots that were read */
};

/* `slot` is of heap->ops->value_size bytes, NULL when it could not be read. Nonzero ends it. */
typedef int (*lua_variable_fn)(void *context, bool is_upvalue, const char *name, const void *slot);

/*
 * Calls `found` for the local variables that are there at the position, in their order, then for
 * the upvalues. Those without a name (a loop's hidden ones) are left out. Returns 0; -ENODATA when
 * the function has no names of variables (it was stripped); -ESTALE when it is another one by now;
 * what `found` returned; or an error of reading it (luajit_proto.h, puc_proto.h).
 */
int lua_locals__read(struct lua_heap *heap, const struct lua_frame_place *place,
		     lua_variable_fn found, void *context);

#endif
