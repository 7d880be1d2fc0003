/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A Lua function's proto, read while the program runs: its bytecode, its constants, the names of
 * its variables. All of it lies in one block, which is copied, checked, and compared once more with
 * the target when what was concluded from it is to be used. What the instructions mean is
 * luajit_call_site.h.
 */
#ifndef LUASPY_LUAJIT_PROTO_H
#define LUASPY_LUAJIT_PROTO_H

#include "luajit_heap.h"

struct luajit_proto {
	uint64_t address;
	uint64_t id; /* its fingerprint as the walk makes it (bpf/fingerprint.h) */
	uint8_t *block;
	uint32_t size;
	uint32_t code_count; /* instructions; the first is the function's header */
	uint32_t constant_count;
	uint32_t constants; /* offsets in the block: where they start, counted downwards */
	uint32_t code;
	uint32_t upvalue_names, variables; /* 0: stripped */
	uint8_t upvalue_count;
	uint8_t frame_size;
};

/*
 * Reads the proto at `address` of process `tgid`. Returns 0; -EINVAL when there is none, -ENOTSUP
 * when its bytecode is not that of LuaJIT 2.1 as it is known here, -ENOMEM, or what the heap's
 * lua_heap__read returned. Freed by __close.
 */
int luajit_proto__open(struct lua_heap *heap, uint64_t address, uint32_t tgid,
		       struct luajit_proto *self);
/* The same also when its instructions are others than are known here: for its names only. */
int luajit_proto__open_any(struct lua_heap *heap, uint64_t address, uint32_t tgid,
			   struct luajit_proto *self);
void luajit_proto__close(struct luajit_proto *self);

/* Is it still the same in the target? Instructions do not count, which the JIT compiler patches. */
bool luajit_proto__unchanged(const struct luajit_proto *self, struct lua_heap *heap);

/* Instruction `position`, which must be below code_count. */
uint32_t luajit_proto__instruction(const struct luajit_proto *self, uint32_t position);

/* The object that is constant `index`; 0 when there is no such constant. */
uint64_t luajit_proto__constant(const struct luajit_proto *self, uint32_t index);

/* Names, terminated; NULL when there is none. A loop's hidden variables have none. Borrowed. */
const char *luajit_proto__upvalue_name(const struct luajit_proto *self, uint32_t index);
const char *luajit_proto__variable_name(const struct luajit_proto *self, uint32_t position,
					uint32_t slot);

#endif
