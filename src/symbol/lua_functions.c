/* SPDX-License-Identifier: Apache-2.0 */
#include "lua_functions.h"

#include <stdlib.h>
#include <string.h>

#define HASH_NONFATAL_OOM 1
#include <uthash.h>

#include "../target/memory.h"
#include "../vm/luajit_call_site.h"

#define MAX_FUNCTIONS 262144u
#define MAX_TRIES     256u /* call sites without a name, of one function */
#define MAX_NAMES     16u  /* call sites with one */

/* A function that the source does not name, or not for sure. */
struct function {
	UT_hash_handle hh;
	uint64_t id;
	const char *source;		 /* its name in the source; NULL: none */
	bool certain;			 /* that is what runs, if `fit` confirms it */
	const struct lua_chunk_fit *fit; /* NULL: need not */
	char *called;			 /* by callers; NULL: none */
	enum luajit_call_rank rank;
	uint32_t tries, names;
};

struct lua_functions {
	struct stack_store *stacks;
	const struct modules *modules;
	struct lua_names *names;
	const struct stored_proto *last; /* that was taken in */
	struct function *functions;
};

struct lua_functions *lua_functions__new(struct stack_store *stacks, const struct modules *modules,
					 struct lua_names *names)
{
	struct lua_functions *self = calloc(1, sizeof(*self));

	if (self)
		*self = (struct lua_functions){
			.stacks = stacks, .modules = modules, .names = names};
	return self;
}

void lua_functions__free(struct lua_functions *self)
{
	struct function *function, *next;

	if (!self)
		return;
	HASH_ITER (hh, self->functions, function, next) {
		/* NOLINTNEXTLINE(clang-analyzer-unix.Malloc): uthash */
		HASH_DEL(self->functions, function);
		free(function->called);
		free(function);
	}
	free(self);
}

static struct function *find(const struct lua_functions *self, uint64_t id)
{
	struct function *function;

	HASH_FIND(hh, self->functions, &id, sizeof(id), function);
	return function;
}

static struct function *get(struct lua_functions *self, uint64_t id)
{
	struct function *function = find(self, id);

	if (function || HASH_COUNT(self->functions) >= MAX_FUNCTIONS)
		return function;
	function = calloc(1, sizeof(*function));
	if (!function)
		return NULL;
	function->id = id;
	HASH_ADD(hh, self->functions, id, sizeof(function->id), function);
	if (!function->hh.tbl) {
		free(function);
		return NULL;
	}
	return function;
}

static bool is_certain(const struct function *function)
{
	return function->certain && (!function->fit || lua_chunk_fit__confirms(function->fit));
}

/* ---- sources ----------------------------------------------------------------------------------
 */

static void read_source(struct lua_functions *self, const struct stored_proto *proto)
{
	struct lua_function_hint hint = {.first_line = proto->first_line,
					 .last_line = proto->first_line + proto->line_count,
					 .parameter_count = proto->parameter_count,
					 .vararg = proto->vararg};
	struct lua_chunk_name chunk = {.text = proto->chunk, .size = strlen(proto->chunk)};
	struct function *function = get(self, proto->id);
	enum lua_names_reason reason;

	/* Without line information the lines are 0, which is the main chunk's first. */
	if (!function || proto->stripped)
		return;
	chunk.cut = chunk.size < proto->chunk_length;
	function->source = lua_names__find(self->names, (pid_t)proto->tgid, &chunk, &hint, &reason,
					   &function->fit);
	function->certain = reason == LUA_NAMES_FOUND;
}

/* ---- call sites -------------------------------------------------------------------------------
 */

static int read_process(void *context, uint64_t address, void *bytes, size_t size)
{
	return memory__read(*(const pid_t *)context, address, bytes, size);
}

static bool is_better(const struct luajit_call_name *name, const struct function *than)
{
	size_t size = strlen(name->text), its_size;

	if (!than->called)
		return true;
	if (name->rank != than->rank)
		return name->rank < than->rank;
	its_size = strlen(than->called);
	return size != its_size ? size < its_size : strcmp(name->text, than->called) < 0;
}

static void read_call(struct lua_functions *self, const struct record_call *call)
{
	const struct luajit_build *build = modules__build(self->modules, call->vm);
	struct function *callee = get(self, call->callee_id);
	struct luajit_call_name name;
	struct lua_heap heap;
	pid_t pid = (pid_t)call->tgid;
	char *text;

	if (!build || !callee || is_certain(callee) || callee->tries >= MAX_TRIES ||
	    callee->names >= MAX_NAMES)
		return;
	luajit_heap__init(&heap, build, read_process, &pid);
	if (luajit_call_site__name(&heap, call, &name) != 0) {
		callee->tries++;
		return;
	}
	callee->names++;
	if (!is_better(&name, callee))
		return;
	text = strdup(name.text);
	if (!text)
		return;
	free(callee->called);
	callee->called = text;
	callee->rank = name.rank;
}

void lua_functions__read(struct lua_functions *self)
{
	const struct stored_proto *proto;
	struct record_call *call;

	while ((proto = stack_store__next_proto(self->stacks, self->last))) {
		read_source(self, proto);
		self->last = proto;
	}
	while ((call = stack_store__take_call(self->stacks))) {
		read_call(self, call);
		free(call);
	}
}

void lua_functions__process_ended(struct lua_functions *self, pid_t pid)
{
	/* What came before can still be answered from what was read of it. */
	lua_functions__read(self);
	lua_names__forget(self->names, pid);
}

/* ---- names -------------------------------------------------------------------------------- */

/* Behind the last separator: `get` of M.get, a.b:get. */
static const char *last_part(const char *name)
{
	const char *part = name;

	for (; *name; name++) {
		if (*name == '.' || *name == ':')
			part = name + 1;
	}
	return part;
}

const char *lua_functions__name(const struct lua_functions *self, uint64_t proto_id)
{
	const struct function *function = find(self, proto_id);

	if (!function)
		return NULL;
	if (function->source && (is_certain(function) ||
				 (function->called && strcmp(last_part(function->source),
							     last_part(function->called)) == 0)))
		return function->source;
	return function->called;
}
