/* SPDX-License-Identifier: Apache-2.0 */
#include "lua_tables.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MAX_TABLES   16384u
#define MAX_DEPTH    6
#define MAX_CHILDREN 512u /* of a table below the roots: one with more is data */
#define VISITED_SIZE 65536u
#define MAX_VISITED  (VISITED_SIZE / 2)
#define MAX_INDEXES  4 /* environments chained by __index */

/* What a path is worth as a name, the best first. */
enum path_class {
	PATH_STANDARD_GLOBAL, /* `pairs`, named in the manual */
	PATH_STANDARD,	      /* a field of a standard library */
	PATH_OTHER,
	PATH_METAMETHOD,
	PATH_NAMELESS, /* starts with '?' */
};

enum path_source {
	SOURCE_MODULE, /* package.loaded */
	SOURCE_GLOBAL,
	SOURCE_ENVIRONMENT,
	SOURCE_REGISTRY,
};

struct place {
	uint64_t table;
	char *path;
	uint8_t depth; /* components of the path */
	uint8_t class;
	uint8_t source;
	char separator; /* before the functions: '.', or ':' in an __index table */
};

struct walk {
	struct lua_heap *heap;
	lua_found_fn found;
	void *context;
	struct lua_tables_result *result;
	uint64_t visited[VISITED_SIZE]; /* open addressing; a table is visited once it is queued */
	uint32_t visited_count;
	struct place *queue;
	size_t count, capacity, next;
	uint64_t registry, loaded, globals;
	uint8_t components; /* of keys of the roots: tables under longer ones are left for later */
};

/* The manuals of Lua 5.1 to 5.5 and LuaJIT: for these, other names are aliases. */
static const char *const standard_globals[] = {
	"assert", "collectgarbage", "dofile",	"error",    "gcinfo", "getfenv",
	"ipairs", "getmetatable",   "load",	"loadfile", "module", "loadstring",
	"next",	  "newproxy",	    "pairs",	"pcall",    "print",  "rawequal",
	"rawget", "rawlen",	    "rawset",	"require",  "select", "setfenv",
	"unpack", "setmetatable",   "tonumber", "tostring", "type",   "xpcall",
	"warn",
};
static const char *const standard_libraries[] = {
	"string", "table",   "math", "io",  "os",    "coroutine",
	"debug",  "package", "bit",  "jit", "bit32", "utf8",
};
#define COUNT_OF(array) (sizeof(array) / sizeof((array)[0]))

static bool is_standard_global(const char *name)
{
	size_t i;

	for (i = 0; i < COUNT_OF(standard_globals); i++) {
		if (strcmp(name, standard_globals[i]) == 0)
			return true;
	}
	return false;
}

/* ---- bounds ------------------------------------------------------------------------------- */

static bool is_over(struct walk *walk)
{
	if (lua_heap__exhausted(walk->heap))
		walk->result->bounded = true;
	return walk->result->bounded;
}

static uint64_t *visited_slot(struct walk *walk, uint64_t table)
{
	size_t at = (table >> 3) * 0x9e3779b97f4a7c15ull >> 48;

	while (walk->visited[at] && walk->visited[at] != table)
		at = (at + 1) % VISITED_SIZE;
	return &walk->visited[at];
}

static bool is_visited(struct walk *walk, uint64_t table)
{
	return table == 0 || *visited_slot(walk, table) == table;
}

static void mark_visited(struct walk *walk, uint64_t table)
{
	if (is_visited(walk, table))
		return;
	if (walk->visited_count == MAX_VISITED) {
		walk->result->bounded = true;
		return;
	}
	*visited_slot(walk, table) = table;
	walk->visited_count++;
}

/* ---- paths -------------------------------------------------------------------------------- */

/* False when it gets too long for a name. */
static bool join(char out[LUA_MAX_PATH], const char *path, char separator, const char *key)
{
	int length;

	if (path[0] == '\0')
		length = snprintf(out, LUA_MAX_PATH, "%s", key);
	else
		length = snprintf(out, LUA_MAX_PATH, "%s%c%s", path, separator, key);
	return length < LUA_MAX_PATH;
}

static uint8_t components(const char *key)
{
	uint8_t count = 1;

	for (; *key; key++)
		count += *key == '.' && count < UINT8_MAX;
	return count;
}

static uint32_t rank_of(const struct place *place, const char *key)
{
	uint8_t class = place->class;
	uint32_t depth = place->depth + (uint32_t)components(key);

	/* A module that is one function is called by its key, whatever dots are in that. */
	if (place->path[0] == '\0' && place->source == SOURCE_MODULE)
		depth = 1;

	if (strncmp(key, "__", 2) == 0 && class < PATH_METAMETHOD)
		class = PATH_METAMETHOD;
	if (place->path[0] == '\0' && is_standard_global(key))
		class = PATH_STANDARD_GLOBAL;
	return (uint32_t) class << 24 | depth << 8 | place->source;
}

/* Queues a table once. `path` is taken over. */
static int enqueue(struct walk *walk, struct place place)
{
	struct place *grown;

	if (is_visited(walk, place.table) || place.depth > MAX_DEPTH) {
		free(place.path);
		return 0;
	}
	if (walk->count == MAX_TABLES) {
		walk->result->bounded = true;
		free(place.path);
		return 0;
	}
	if (walk->count == walk->capacity) {
		size_t capacity = walk->capacity ? 2 * walk->capacity : 256;

		grown = realloc(walk->queue, capacity * sizeof(*grown));
		if (!grown) {
			free(place.path);
			return -ENOMEM;
		}
		walk->queue = grown;
		walk->capacity = capacity;
	}
	mark_visited(walk, place.table);
	walk->queue[walk->count++] = place;
	return 0;
}

static int enqueue_at(struct walk *walk, const struct place *like, uint64_t table, const char *path,
		      char separator)
{
	struct place place = *like;

	if (is_visited(walk, table))
		return 0;
	place.table = table;
	place.separator = separator;
	place.path = strdup(path);
	if (!place.path)
		return -ENOMEM;
	return enqueue(walk, place);
}

/* The metatable of what stands at `path`: its __index table's functions are methods. */
static int enqueue_metatable(struct walk *walk, const struct place *like, uint64_t metatable,
			     const char *path)
{
	struct lua_value index;
	int err = 0;

	if (is_visited(walk, metatable) || is_over(walk))
		return 0;
	index = lua_heap__field(walk->heap, metatable, "__index");
	if (index.type == VALUE_TABLE)
		err = enqueue_at(walk, like, index.ref, path, ':');
	if (!err)
		err = enqueue_at(walk, like, metatable, path, '.');
	return err;
}

/* ---- functions ----------------------------------------------------------------------------- */

static bool is_metatable(struct walk *walk, uint64_t table)
{
	return lua_heap__field(walk->heap, table, "__index").type != VALUE_OTHER ||
	       lua_heap__field(walk->heap, table, "__gc").type != VALUE_OTHER;
}

/* What a library's functions create often has their environment for a metatable. */
static int follow_environment(struct walk *walk, const struct place *place, uint64_t env)
{
	if (is_over(walk) || place->path[0] == '\0' || !is_metatable(walk, env))
		return 0;
	return enqueue_metatable(walk, place, env, place->path);
}

/* *env: that of a C function, else 0. */
static int visit_function(struct walk *walk, const struct place *place, uint64_t key,
			  const struct lua_value *value, uint64_t *env)
{
	char name[LUA_MAX_STRING + 1], path[LUA_MAX_PATH];
	struct lua_function function;

	*env = 0;
	if (lua_heap__function(walk->heap, value, &function) != 0 || function.ffid == 0 ||
	    lua_heap__string(walk->heap, key, name) != 0 ||
	    !join(path, place->path, place->separator, name))
		return 0;
	*env = function.env;
	return walk->found(walk->context, path, rank_of(place, name), &function);
}

/* ---- tables --------------------------------------------------------------------------------- */

struct child {
	char name[LUA_MAX_STRING + 1];
	uint64_t ref; /* a table, or the metatable of userdata */
	bool is_metatable;
};

/* Shorter paths first: a module under two keys is found by the simpler. */
static int compare_children(const void *left, const void *right)
{
	const struct child *a = left, *b = right;
	int by_length = (int)components(a->name) - (int)components(b->name);

	return by_length ? by_length : strcmp(a->name, b->name);
}

static int enqueue_children(struct walk *walk, const struct place *place, struct child *children,
			    size_t count)
{
	struct place like = *place;
	char path[LUA_MAX_PATH];
	size_t i;
	int err = 0;

	qsort(children, count, sizeof(*children), compare_children);
	for (i = 0; !err && i < count; i++) {
		if (!join(path, place->path, '.', children[i].name))
			continue;
		like.depth = (uint8_t)(place->depth + components(children[i].name));
		if (children[i].is_metatable)
			err = enqueue_metatable(walk, &like, children[i].ref, path);
		else
			err = enqueue_at(walk, &like, children[i].ref, path, '.');
	}
	return err;
}

/* A table, or userdata with a metatable, that was not seen before. */
static bool is_child(struct walk *walk, const struct lua_value *value, struct child *child)
{
	child->ref = value->ref;
	child->is_metatable = value->type == VALUE_USERDATA;
	if (value->type == VALUE_USERDATA)
		return lua_heap__userdata_metatable(walk->heap, value->ref, &child->ref) == 0 &&
		       !is_visited(walk, child->ref);
	return value->type == VALUE_TABLE && !is_visited(walk, child->ref);
}

static int add_child(struct child **children, size_t *count, size_t *capacity,
		     const struct child *child)
{
	struct child *grown;

	if (*count == *capacity) {
		grown = realloc(*children, (*capacity + 64) * 2 * sizeof(*grown));
		if (!grown)
			return -ENOMEM;
		*children = grown;
		*capacity = (*capacity + 64) * 2;
	}
	(*children)[(*count)++] = *child;
	return 0;
}

/* Reports the functions in the table and queues the tables in it. */
static int visit_table(struct walk *walk, const struct place *place)
{
	size_t count = 0, capacity = 0, limit = place->path[0] ? MAX_CHILDREN : MAX_TABLES;
	struct lua_value key, value;
	struct child *children = NULL;
	struct lua_table table;
	uint64_t env, some_env = 0;
	struct child child;
	uint32_t i;
	int err;

	err = lua_heap__table(walk->heap, place->table, &table);
	if (err)
		return err == -ENOMEM ? err : 0;
	walk->result->tables++;
	for (i = 0; i < table.count && !is_over(walk); i++) {
		lua_heap__node(walk->heap, &table, i, &key, &value);
		if (key.type != VALUE_STRING)
			continue;
		if (value.type == VALUE_FUNCTION || value.type == VALUE_LIGHT_FUNCTION) {
			err = visit_function(walk, place, key.ref, &value, &env);
			if (err)
				goto out;
			if (env && !is_visited(walk, env))
				some_env = env;
			continue;
		}
		if (count == limit || !is_child(walk, &value, &child) ||
		    lua_heap__string(walk->heap, key.ref, child.name) != 0 ||
		    (!place->path[0] && components(child.name) > walk->components))
			continue;
		err = add_child(&children, &count, &capacity, &child);
		if (err)
			goto out;
	}
	if (count)
		err = enqueue_children(walk, place, children, count);
	if (!err && table.metatable)
		err = enqueue_metatable(walk, place, table.metatable, place->path);
	if (!err && some_env)
		err = follow_environment(walk, place, some_env);
out:
	free(children);
	lua_heap__table_free(&table);
	return err;
}

/* ---- roots ---------------------------------------------------------------------------------- */

static int visit_root(struct walk *walk, uint64_t table, enum path_source source)
{
	struct place place = {.table = table,
			      .path = (char[]){""},
			      .class = PATH_OTHER,
			      .source = source,
			      .separator = '.'};

	mark_visited(walk, table);
	return visit_table(walk, &place);
}

/* First, so that no alias of a library hides it. */
static int enqueue_standard_libraries(struct walk *walk)
{
	struct place like = {.depth = 1, .class = PATH_STANDARD, .source = SOURCE_MODULE};
	uint64_t from = walk->loaded ? walk->loaded : walk->globals;
	struct lua_value library;
	size_t i;
	int err = 0;

	for (i = 0; !err && i < COUNT_OF(standard_libraries); i++) {
		library = lua_heap__field(walk->heap, from, standard_libraries[i]);
		if (library.type == VALUE_TABLE)
			err = enqueue_at(walk, &like, library.ref, standard_libraries[i], '.');
	}
	return err;
}

/* A coroutine's own environment (nginx gives one to each request) refers to the globals by its
 * metatable. */
static int visit_environments(struct walk *walk, uint64_t env)
{
	struct lua_value index;
	struct lua_table table;
	int i, err = 0;

	for (i = 0; !err && i < MAX_INDEXES && !is_visited(walk, env); i++) {
		err = visit_root(walk, env, SOURCE_ENVIRONMENT);
		if (err || lua_heap__table(walk->heap, env, &table) != 0)
			break;
		index = (struct lua_value){};
		if (table.metatable)
			index = lua_heap__field(walk->heap, table.metatable, "__index");
		lua_heap__table_free(&table);
		if (index.type != VALUE_TABLE)
			break;
		env = index.ref;
	}
	return err;
}

/* Without a registry (it is always found in the builds at hand): the globals are at the end of
 * the environments' chain, as far as they have the functions that go with globals. */
static void find_globals(struct walk *walk, uint64_t env)
{
	struct lua_value value;
	struct lua_table table;
	int i;

	if (walk->loaded) {
		value = lua_heap__field(walk->heap, walk->loaded, "_G");
		if (value.type == VALUE_TABLE)
			walk->globals = value.ref;
		return;
	}
	for (i = 0; i < MAX_INDEXES && !walk->globals; i++) {
		value = lua_heap__field(walk->heap, env, "package");
		if (value.type == VALUE_TABLE) {
			walk->globals = env;
			value = lua_heap__field(walk->heap, value.ref, "loaded");
			walk->loaded = value.type == VALUE_TABLE ? value.ref : 0;
			return;
		}
		if (lua_heap__table(walk->heap, env, &table) != 0)
			return;
		value = lua_heap__field(walk->heap, table.metatable, "__index");
		lua_heap__table_free(&table);
		if (value.type != VALUE_TABLE)
			return;
		env = value.ref;
	}
}

/* The classes of C libraries: those with the name that luaL_newmetatable got, or the others. */
static int enqueue_registry(struct walk *walk, bool named)
{
	struct place like = {.depth = 1, .source = SOURCE_REGISTRY};
	struct lua_value key, value;
	char name[LUA_MAX_STRING + 1];
	struct lua_table table;
	uint32_t i;
	int err;

	err = lua_heap__table(walk->heap, walk->registry, &table);
	if (err)
		return err == -ENOMEM ? err : 0;
	for (i = 0; !err && i < table.count && !is_over(walk); i++) {
		lua_heap__node(walk->heap, &table, i, &key, &value);
		if (value.type != VALUE_TABLE || (key.type == VALUE_STRING) != named ||
		    is_visited(walk, value.ref) || !is_metatable(walk, value.ref))
			continue;
		like.class = PATH_OTHER;
		if (key.type != VALUE_STRING || lua_heap__string(walk->heap, key.ref, name) != 0) {
			like.class = PATH_NAMELESS;
			strcpy(name, "?");
		} else if (strcmp(name, "FILE*") == 0) {
			strcpy(name, "file"); /* as the manual writes it */
		}
		err = enqueue_metatable(walk, &like, value.ref, name);
	}
	lua_heap__table_free(&table);
	return err;
}

static void read_version(struct walk *walk)
{
	uint64_t from = walk->loaded ? walk->loaded : walk->globals;
	struct lua_value value = lua_heap__field(walk->heap, from, "jit");

	if (value.type == VALUE_TABLE)
		value = lua_heap__field(walk->heap, value.ref, "version");
	if (value.type != VALUE_STRING ||
	    lua_heap__string(walk->heap, value.ref, walk->result->version) != 0)
		walk->result->version[0] = '\0';
}

/* The methods and metamethods of all values of a type. */
static int enqueue_base_types(struct walk *walk, uint64_t g)
{
	struct place like = {.depth = 2, .class = PATH_OTHER, .source = SOURCE_REGISTRY};
	unsigned int index;
	const char *name;
	uint64_t metatable;
	int err = 0;

	for (index = 0; !err; index++) {
		metatable = lua_heap__base_metatable(walk->heap, g, index, &name);
		if (!name)
			break;
		if (metatable)
			err = enqueue_metatable(walk, &like, metatable, name);
	}
	return err;
}

static int visit_roots(struct walk *walk, uint64_t env, uint64_t g)
{
	struct lua_value loaded;
	int err;

	walk->registry = lua_heap__registry(walk->heap, g);
	if (walk->registry) {
		loaded = lua_heap__field(walk->heap, walk->registry, "_LOADED");
		walk->loaded = loaded.type == VALUE_TABLE ? loaded.ref : 0;
	}
	find_globals(walk, env);
	read_version(walk);
	/* The roots are no places in a path. */
	mark_visited(walk, walk->registry);
	mark_visited(walk, walk->loaded);
	err = enqueue_standard_libraries(walk);
	if (!err && walk->globals)
		mark_visited(walk, walk->globals);
	if (!err && walk->registry)
		err = enqueue_registry(walk, true);
	if (!err && walk->loaded)
		err = visit_root(walk, walk->loaded, SOURCE_MODULE);
	if (!err && walk->globals)
		err = visit_root(walk, walk->globals, SOURCE_GLOBAL);
	/* Neovim's global `vim` is the module "vim._editor", which nobody calls it. */
	walk->components = UINT8_MAX;
	if (!err && walk->loaded)
		err = visit_root(walk, walk->loaded, SOURCE_MODULE);
	if (!err)
		err = visit_environments(walk, env);
	if (!err)
		err = enqueue_base_types(walk, g);
	if (!err && walk->registry)
		err = enqueue_registry(walk, false);
	return err;
}

int lua_tables__walk(struct lua_heap *heap, uint64_t vm, lua_found_fn found, void *context,
		     struct lua_tables_result *result)
{
	struct walk *walk;
	struct place place;
	uint64_t env, g, L;
	size_t i;
	int err;

	*result = (struct lua_tables_result){};
	if (lua_heap__main_thread(heap, vm, &L) != 0)
		L = vm;
	err = lua_heap__thread(heap, L, &env, &g);
	if (err)
		return err;
	walk = calloc(1, sizeof(*walk));
	if (!walk)
		return -ENOMEM;
	walk->heap = heap;
	walk->found = found;
	walk->context = context;
	walk->result = result;
	walk->components = 1;
	err = visit_roots(walk, env, g);
	while (!err && walk->next < walk->count && !is_over(walk)) {
		place = walk->queue[walk->next++];
		err = visit_table(walk, &place);
	}
	result->bounded |= heap->exhausted;
	for (i = 0; i < walk->count; i++)
		free(walk->queue[i].path);
	free(walk->queue);
	free(walk);
	return err;
}
