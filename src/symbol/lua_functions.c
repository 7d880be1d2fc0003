/* SPDX-License-Identifier: Apache-2.0 */
#include "lua_functions.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define HASH_NONFATAL_OOM 1
#include <uthash.h>

#include "../target/memory.h"
#include "../vm/luajit_call_site.h"
#include "../vm/puc_heap.h"
#include "../vm/puc_names.h"

#define MAX_FUNCTIONS 262144u
#define MAX_TRIES     256u	   /* call sites without a name, of one function */
#define MAX_NAMES     16u	   /* call sites with one */
#define MAX_TIME_NS   10000000000u /* for protos of PUC Lua, in one recording */
#define MAX_NESTING   200	   /* of functions, as in Lua */

/* A function that the source does not name, or not for sure. */
struct function {
	UT_hash_handle hh;
	uint64_t id;
	const char *source;		 /* its name in the source; NULL: none */
	bool certain;			 /* that is what runs, if `fit` confirms it */
	const struct lua_chunk_fit *fit; /* NULL: need not */
	char *called;			 /* by callers; NULL: none */
	enum lua_call_rank rank;
	uint32_t tries, names;
	enum puc_naming naming; /* by the function around it; PUC_UNKNOWN: none */
	char *label;
	char *anonymous; /* made of them when it is asked for */
	uint64_t parent;
};

struct lua_functions {
	struct stack_store *stacks;
	const struct modules *modules;
	struct lua_names *names;
	const struct stored_proto *last; /* that was taken in */
	uint64_t spent_ns;		 /* with protos of PUC Lua */
	uint64_t learned;
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
		free(function->label);
		free(function->anonymous);
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

static uint64_t now_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

static int read_process(void *context, uint64_t address, void *bytes, size_t size)
{
	return memory__read(*(const pid_t *)context, address, bytes, size);
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
	/* It may be what confirms the source of others. */
	if (function->fit)
		self->learned++;
}

/* ---- definitions ------------------------------------------------------------------------------
 */

static void read_definition(void *context, const struct puc_definition *definition)
{
	struct lua_functions *self = context;
	struct function *function = get(self, definition->id);

	if (!function || function->naming != PUC_UNKNOWN || definition->naming == PUC_UNKNOWN)
		return;
	function->label = strdup(definition->label);
	if (!function->label)
		return;
	function->naming = definition->naming;
	function->parent = definition->parent_id;
	self->learned++;
}

/* The functions in a function of PUC Lua that is on a stack, unless their source is known. That of
 * a main chunk may be: it has its name without one. */
static void read_definitions(struct lua_functions *self, const struct stored_proto *proto)
{
	const struct puc_build *build = proto->puc ? modules__puc(self->modules, proto->puc) : NULL;
	const struct function *function = find(self, proto->id);
	pid_t pid = (pid_t)proto->tgid;
	uint64_t start = now_ns();
	struct lua_heap heap;

	if (!build || !function || (proto->first_line && is_certain(function)) ||
	    self->spent_ns >= MAX_TIME_NS || puc_heap__init(&heap, build, read_process, &pid) != 0)
		return;
	puc_names__definitions(&heap, proto->address, proto->id, proto->tgid, read_definition,
			       self);
	self->spent_ns += now_ns() - start;
}

/* ---- call sites -------------------------------------------------------------------------------
 */

static bool is_better(const struct lua_call_name *name, const struct function *than)
{
	size_t size = strlen(name->text), its_size;

	if (!than->called)
		return true;
	if (name->rank != than->rank)
		return name->rank < than->rank;
	its_size = strlen(than->called);
	return size != its_size ? size < its_size : strcmp(name->text, than->called) < 0;
}

static int name_call(struct lua_functions *self, const struct record_call *call,
		     struct lua_call_name *name)
{
	const struct luajit_build *luajit = modules__build(self->modules, call->vm);
	const struct puc_build *puc = modules__puc(self->modules, call->puc);
	pid_t pid = (pid_t)call->tgid;
	uint64_t start = now_ns();
	struct lua_heap heap;
	int err = -ENOENT;

	if (luajit) {
		luajit_heap__init(&heap, luajit, read_process, &pid);
		err = luajit_call_site__name(&heap, call, name);
	} else if (puc && self->spent_ns < MAX_TIME_NS) {
		err = puc_heap__init(&heap, puc, read_process, &pid);
		if (!err)
			err = puc_names__call(&heap, call, name);
		self->spent_ns += now_ns() - start;
	}
	return err;
}

static void read_call(struct lua_functions *self, const struct record_call *call)
{
	struct function *callee = get(self, call->callee_id);
	struct lua_call_name name;
	char *text;

	if (!callee || is_certain(callee) || callee->naming != PUC_UNKNOWN ||
	    callee->tries >= MAX_TRIES || callee->names >= MAX_NAMES)
		return;
	if (name_call(self, call, &name) != 0) {
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
	self->learned++;
}

void lua_functions__read(struct lua_functions *self)
{
	const struct stored_proto *proto;
	struct record_call *call;

	while ((proto = stack_store__next_proto(self->stacks, self->last))) {
		read_source(self, proto);
		read_definitions(self, proto);
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

uint64_t lua_functions__learned(const struct lua_functions *self)
{
	return self->learned;
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

static const char *source_name(const struct function *function)
{
	const char *source = function->source;

	if (!source || is_certain(function))
		return source;
	if (function->called && strcmp(last_part(source), last_part(function->called)) == 0)
		return source;
	if (function->naming == PUC_NAMED &&
	    strcmp(last_part(source), last_part(function->label)) == 0)
		return source;
	return NULL;
}

/* The nearest function around it that has a name of its own; NULL when that is not known. */
static const char *enclosing_name(const struct lua_functions *self, const struct function *function)
{
	unsigned int i;
	const char *name;

	for (i = 0; i < MAX_NESTING; i++) {
		function = find(self, function->parent);
		if (!function)
			return NULL;
		name = source_name(function);
		if (name && *name != '<')
			return name;
		if (function->naming == PUC_NAMED)
			return function->label;
		if (function->naming == PUC_UNKNOWN)
			return function->called;
	}
	return NULL;
}

/* As lua_source.h has it. NULL when it is not known where it is, or out of memory. */
static const char *anonymous_name(const struct lua_functions *self, struct function *function)
{
	const char *outer = enclosing_name(self, function), *why = "", *callee = "";

	if (function->anonymous || !outer)
		return function->anonymous;
	if (function->naming == PUC_RETURNED)
		why = ", returned";
	if (function->naming == PUC_ARGUMENT && *function->label) {
		why = ", for ";
		callee = function->label;
	}
	if (asprintf(&function->anonymous, "<anonymous in %s%s%s>", outer, why, callee) < 0)
		function->anonymous = NULL;
	return function->anonymous;
}

const char *lua_functions__name(const struct lua_functions *self, uint64_t proto_id)
{
	struct function *function = find(self, proto_id);
	const char *name;

	if (!function)
		return NULL;
	name = source_name(function);
	if (!name && function->naming == PUC_NAMED)
		name = function->label;
	else if (!name && function->naming != PUC_UNKNOWN)
		name = anonymous_name(self, function);
	return name ? name : function->called;
}
