/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What `luaspy dump` found: processes with their threads, Lua VMs with their coroutines, and the
 * stack of each. It is gathered first (dump_threads.h, dump_coroutines.h), as the words of the
 * walk, named when all is known (dump_names.h), and then written (dump_write.h).
 */
#ifndef LUASPY_DUMP_MODEL_H
#define LUASPY_DUMP_MODEL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "../bpf/task_record.h"
#include "../sample/profile.h"
#include "../sample/stack_store.h"
#include "../vm/lua_threads.h"

/* Texts are the target's: escape them. */
struct dump_variable {
	bool is_upvalue;
	char *name;
	char *text;	       /* the value; NULL: it could not be read */
	uint64_t word, second; /* of a function, as a frame's words; 0: it is none */
	const char *function;  /* its name, once it has one; borrowed from the dump's profile */
};

struct dump_variables {
	struct dump_variable *items;
	uint32_t count;
	const char *why_none; /* NULL, or why they are not known */
};

struct dump_stack {
	struct stored_stack *stored;	  /* NULL: there is none */
	struct dump_variables *variables; /* per LUA word, with --locals; else NULL */
	uint32_t lua_count;
	uint32_t *frames; /* ids in the dump's profile, leaf first */
	uint32_t *lua;	  /* beside them: 1 + which of the LUA words, or 0 */
	uint32_t frame_count;
};

struct dump_thread {
	pid_t tid;
	char comm[17];
	bool is_running; /* its stack is that of a sample */
	uint32_t state;	 /* TASK_STATE_*, of one that is not */
	int64_t system_call;
	struct dump_stack stack;
	uint32_t coroutine_count; /* lua_States on its C stack, innermost first */
	uint64_t coroutines[MAX_COROUTINES];
};

struct dump_coroutine {
	uint64_t L;
	enum lua_thread_status status;
	pid_t thread;	   /* of an active one: on whose stack it is; 0: not known */
	bool is_innermost; /* ... and that runs it */
	bool is_torn;	   /* it went on whenever it was looked at */
	struct dump_stack stack;
};

struct dump_vm {
	uint64_t g;
	char runtime[64];
	struct dump_coroutine *coroutines;
	size_t count;
	size_t left_out;	       /* whose stacks were not walked any more: out of time */
	bool is_complete, out_of_time; /* as struct lua_threads */
	bool has_run;		       /* the process ran meanwhile: they are not of one moment */
	const char *error;	       /* why there are no coroutines */
};

struct dump_process {
	pid_t pid;
	char comm[64];
	char command[256];
	char runtimes[256]; /* "LuaJIT 2.1.0-beta3 GC64 (/usr/lib/...)"; "" without Lua */
	struct dump_thread *threads;
	size_t thread_count;
	struct dump_vm *vms;
	size_t vm_count;
	bool hides_values;   /* of variables, and addresses, from this user */
	bool vms_incomplete; /* not all memory could be searched for them */
};

struct dump {
	struct dump_process *processes;
	size_t count;
	struct profile *profile; /* the names of frames */
};

void dump__free(struct dump *self);

/* Each returns a new element, zeroed, valid until the next one is added; NULL when out of memory.
 */
struct dump_process *dump__add_process(struct dump *self, pid_t pid);
struct dump_thread *dump_process__add_thread(struct dump_process *self);
struct dump_vm *dump_process__add_vm(struct dump_process *self);
struct dump_coroutine *dump_vm__add_coroutine(struct dump_vm *self);
/* NULL when there is none. */
struct dump_process *dump__process(const struct dump *self, pid_t pid);

void dump_variables__clear(struct dump_variables *self);
void dump_stack__free(struct dump_stack *self);
/* Calls `visit` for each stack. What it returns ends it, unless it is 0. */
int dump__each_stack(struct dump *self, int (*visit)(void *context, struct dump_stack *stack),
		     void *context);

#endif
