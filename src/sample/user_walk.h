/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The walk (bpf/walk.h) in user space, over a process that is not disturbed by it: of a thread that
 * is not running, from its registers, and of a coroutine that no thread runs. What it reads may
 * change meanwhile unless the caller knows better (thread_states.h); it is checked as in the
 * kernel, and every loop over it is bounded.
 */
#ifndef LUASPY_USER_WALK_H
#define LUASPY_USER_WALK_H

#include <stdbool.h>

#include "../bpf/contract.h"
#include "../bpf/walk_state.h"
#include "walk_tables.h"

struct user_walk;

/* What is walked over. Everything is borrowed. */
struct user_walk_view {
	const struct walk_tables *tables;
	const struct mapping *mappings; /* ascending */
	uint32_t mapping_count;
	uint32_t tgid, tid;
	uint32_t vm;	    /* 1 + index of the process's LuaJIT build, or 0 */
	uint64_t thread_vm; /* the global_State that was seen on the thread, or 0 */
	/* All `size` bytes at `address`; 0 or negative. */
	int (*read)(void *context, uint64_t address, void *bytes, size_t size);
	void *context;
	/* Takes what the kernel's programs put into the ring buffer beside a stack: RECORD_PROTO,
	 * RECORD_CALL, RECORD_VM and, with_values, RECORD_FRAME, whose hash is that of the result.
	 * NULL: nobody; then lines are not looked up either. */
	int (*record)(void *context, void *data, size_t size);
	void *record_context;
	bool with_values;
	bool no_memory; /* each frame is looked up in the tables, also what was found before (tests)
			 */
	/* Of the mappings: with the same one, frames are kept from one walk to the next
	 * (walk_outer.h). 0: none are. */
	uint32_t generation;
};

struct user_walk_result {
	uint32_t stop;	    /* enum walk_stop */
	uint32_t lua_error; /* enum walk_error */
	uint32_t activations;
	uint32_t native_frames;
	uint32_t lua_frames;
	uint32_t vm_state; /* enum vm_state */
	uint32_t word_count;
	uint32_t coroutine_count; /* lua_States on the C stack, innermost first */
	uint64_t coroutines[MAX_COROUTINES];
	uint64_t unknown_pc;
	uint64_t thread_vm;
	uint64_t hash;			 /* new with each walk */
	uint64_t words[MAX_WORDS];	 /* contract.h: "frames", leaf first */
	uint64_t protos[MAX_LUA_FRAMES]; /* address per LUA frame */
};

/* NULL when out of memory. */
struct user_walk *user_walk__new(void);
void user_walk__free(struct user_walk *self);

/* The stack of a thread with these registers (DW_REG_COUNT, by DWARF number; [DW_REG_RA] is the
 * pc). */
void user_walk__thread(struct user_walk *self, struct user_walk_view *view,
		       const uint64_t *registers, struct user_walk_result *result);

/*
 * The Lua stack of the coroutine whose lua_State is at `L`, of the view's LuaJIT build, or with
 * `puc` (1 + index) of that build of PUC Lua: `suspended` when it has yielded. One that has not
 * begun has its function as its only frame, without a line (a LUA word with position 0, or a
 * BUILTIN word). LUA_OK in lua_error means that all of it could be read.
 */
void user_walk__coroutine(struct user_walk *self, struct user_walk_view *view, uint64_t L,
			  uint32_t puc, bool suspended, struct user_walk_result *result);

/* The function object at `function` (PUC Lua's light ones: their code), as the one word and its
 * second that the frame has before it begins; no word when none is there. */
void user_walk__function(struct user_walk *self, struct user_walk_view *view, uint64_t function,
			 bool is_light, uint32_t puc, struct user_walk_result *result);

#endif
