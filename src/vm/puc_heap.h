/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the objects on a heap of PUC Lua 5.1 to 5.5 look like (lua_heap.h), and what its
 * global_State tells of the heap.
 */
#ifndef LUASPY_PUC_HEAP_H
#define LUASPY_PUC_HEAP_H

#include "lua_heap.h"

/* `build` and `context` are borrowed for as long as the heap is used. Its time begins now. 0, or
 * -ENOENT for a release that is not known. */
int puc_heap__init(struct lua_heap *self, const struct puc_build *build, lua_read_fn read,
		   void *context);

/* The allocator's address and the bytes that are allocated (collectgarbage("count") * 1024) of the
 * global_State at `g`. 0 or what `read` returned. */
int puc_heap__allocation(struct lua_heap *self, uint64_t g, uint64_t *allocator, int64_t *bytes);

#endif
