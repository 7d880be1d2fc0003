/* SPDX-License-Identifier: Apache-2.0 */
/*
 * All coroutines of a Lua VM, LuaJIT's or PUC Lua's, running or not: the lua_States in the garbage
 * collector's list of all objects, which is followed from its head while the program goes on. New
 * objects are put in front of it; where the collector takes some out behind us the rest of the list
 * may be missed, which shows, and it is read again.
 *
 * LuaJIT src/lj_obj.h (GCState), lj_gc.c; PUC Lua lstate.h, lgc.c of 5.1 to 5.5.
 */
#ifndef LUASPY_LUA_THREADS_H
#define LUASPY_LUA_THREADS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "../bpf/contract.h"
#include "../target/maps.h"

/* As coroutine.status has it, seen from outside. */
enum lua_thread_status {
	LUA_THREAD_SUSPENDED, /* it has yielded */
	LUA_THREAD_INITIAL,   /* it has not begun ("suspended" as well) */
	LUA_THREAD_ACTIVE,    /* "running", or "normal": it has resumed another one */
	LUA_THREAD_FINISHED,  /* "dead" */
	LUA_THREAD_FAILED,    /* "dead": an error ended it */
};

/* What changes when a coroutine goes on. */
struct lua_thread_state {
	uint64_t base; /* LuaJIT: L->base; PUC Lua: L->ci */
	uint64_t top;
	uint64_t stack;
	uint64_t cframe; /* LuaJIT */
	uint64_t status; /* L->status */
};

struct lua_thread {
	uint64_t L;
	enum lua_thread_status status;
	struct lua_thread_state state;
	bool is_repeated; /* only while they are listed */
};

struct lua_vm_place {
	pid_t pid;
	uint64_t g;			  /* global_State */
	const struct luajit_build *build; /* one of the two */
	const struct puc_build *puc;
	const struct maps *maps;
};

struct lua_threads {
	struct lua_thread *threads; /* the newest first; without the main thread */
	size_t count;
	uint64_t objects; /* of the heap that were looked at */
	bool is_complete; /* the list was followed to its end */
	bool out_of_time; /* ... or not, since that would have taken too long, or too much memory */
};

/* Lists them until `deadline_ns` (CLOCK_MONOTONIC). Returns 0; -ENOENT when the VM's release or its
 * list is not known; -EINVAL when no VM is there; -ENOMEM; memory__read's errors. Freed by
 * __free in any case. A million objects take about 0.1 s. */
int lua_threads__list(const struct lua_vm_place *vm, uint64_t deadline_ns,
		      struct lua_threads *threads);
void lua_threads__free(struct lua_threads *self);

/* What the lua_State at `L` is now. 0, -EINVAL when none of this VM is there, or as above. */
int lua_thread__read(const struct lua_vm_place *vm, uint64_t L, struct lua_thread *thread);

/* Has it not gone on between two reads? */
bool lua_thread__unchanged(const struct lua_thread *before, const struct lua_thread *after);

#endif
