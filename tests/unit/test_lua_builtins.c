// SPDX-License-Identifier: Apache-2.0
/*
 * Names of built-in and C functions, over heaps built by hand in both layouts: which paths are
 * found, which of several is the name, and that broken and changing heaps do no harm.
 */
#include <time.h>

#include "../test.h"

#include "test_luajit_image.h"
#include "vm/lua_builtins.h"
#include "vm/luajit_heap.h"

#define C_CODE 0x55d000001000ull /* entries of C functions */

static bool gc64;

static struct lua_builtins *read_at(struct image *image, uint64_t vm)
{
	struct lua_builtins *builtins = NULL;
	struct lua_heap heap;

	luajit_heap__init(&heap, &image->build, image_read, image);
	CHECK_EQ(lua_builtins__read(&heap, vm, &builtins), 0);
	if (!builtins)
		abort();
	return builtins;
}

static void check_no_vm(struct image *image, uint64_t vm, int err)
{
	struct lua_builtins *builtins;
	struct lua_heap heap;

	luajit_heap__init(&heap, &image->build, image_read, image);
	CHECK_EQ(lua_builtins__read(&heap, vm, &builtins), err);
	CHECK(builtins == NULL);
}

static void check_ffid(struct image *image, uint8_t ffid, const char *name)
{
	struct lua_builtins *builtins = read_at(image, image->main);

	CHECK_STR(lua_builtins__by_ffid(builtins, ffid), name);
	lua_builtins__free(builtins);
}

static void check_entry(struct image *image, uint64_t entry, const char *name)
{
	struct lua_builtins *builtins = read_at(image, image->main);

	CHECK_STR(lua_builtins__by_entry(builtins, entry), name);
	lua_builtins__free(builtins);
}

static void globals_and_libraries(void)
{
	struct lua_builtins *builtins;
	struct image image;
	uint64_t library;

	image_open(&image, gc64);
	image_define(&image, image.globals, "pairs", 5, C_CODE);
	library = image_library(&image, "string");
	image_define(&image, library, "gsub", 80, C_CODE + 16);
	library = image_library(&image, "cjson");
	image_define(&image, library, "encode", 1, C_CODE + 32);
	library = image_table(&image, 2);
	image_set(&image, image.loaded, "resty.core.x", 11, library);
	image_define(&image, library, "f", 1, C_CODE + 48);
	library = image_subtable(&image, image_library(&image, "ngx"), "req", 2);
	image_define(&image, library, "get", 1, C_CODE + 64);
	image_define(&image, image.loaded, "thread.exdata", 90, C_CODE + 80);
	image_define(&image, image.globals, "exdata", 90, C_CODE + 80);
	/* Lua functions have no name here. */
	image_define(&image, image.globals, "lua", 0, C_CODE + 96);

	builtins = read_at(&image, image.main);
	CHECK_STR(lua_builtins__by_ffid(builtins, 5), "pairs");
	CHECK_STR(lua_builtins__by_ffid(builtins, 80), "string.gsub");
	CHECK_STR(lua_builtins__by_entry(builtins, C_CODE + 16), "string.gsub");
	CHECK_STR(lua_builtins__by_entry(builtins, C_CODE + 32), "cjson.encode");
	CHECK_STR(lua_builtins__by_entry(builtins, C_CODE + 48), "resty.core.x.f");
	CHECK_STR(lua_builtins__by_entry(builtins, C_CODE + 64), "ngx.req.get");
	CHECK_STR(lua_builtins__by_ffid(builtins, 90), "thread.exdata");
	CHECK_STR(lua_builtins__by_entry(builtins, C_CODE + 96), NULL);
	CHECK_STR(lua_builtins__by_ffid(builtins, 0), NULL);
	CHECK_STR(lua_builtins__by_ffid(builtins, 1), NULL);
	CHECK_STR(lua_builtins__by_ffid(builtins, 6), NULL);
	CHECK_STR(lua_builtins__version(builtins), NULL);
	CHECK(!lua_builtins__effort(builtins).bounded);
	lua_builtins__free(builtins);
	image_close(&image);
}

static void aliases_do_not_hide_the_name(void)
{
	struct image image;
	uint64_t library, module;

	image_open(&image, gc64);
	image_define(&image, image.globals, "aaa", 80, C_CODE);
	library = image_library(&image, "string");
	image_define(&image, library, "format", 80, C_CODE);
	image_define(&image, image.globals, "unpack", 14, C_CODE + 16);
	image_define(&image, image_library(&image, "table"), "unpack", 14, C_CODE + 16);
	/* A module that the program also calls `json`, and one under two keys. */
	module = image_subtable(&image, image.globals, "a_json", 2);
	image_define(&image, module, "encode", 1, C_CODE + 32);
	image_set(&image, image.loaded, "cjson", 11, module);
	image_set(&image, image.loaded, "a.cjson", 11, module);
	/* One C function, two fields. */
	image_define(&image, module, "zz", 1, C_CODE + 48);
	image_define(&image, module, "close", 1, C_CODE + 48);
	/* ... and a metamethod before it in the alphabet. */
	image_define(&image, module, "__gc", 1, C_CODE + 48);
	/* The library itself under another name. */
	image_set(&image, image.globals, "a", 11, library);

	check_ffid(&image, 80, "string.format");
	check_ffid(&image, 14, "unpack");
	check_entry(&image, C_CODE + 32, "cjson.encode");
	check_entry(&image, C_CODE + 48, "cjson.close");
	image_close(&image);
}

static void built_ins_that_share_their_entry(void)
{
	struct lua_builtins *builtins;
	struct image image;
	uint64_t math;

	image_open(&image, gc64);
	math = image_library(&image, "math");
	image_define(&image, math, "sin", 40, C_CODE);
	image_define(&image, math, "cos", 41, C_CODE);
	builtins = read_at(&image, image.main);
	CHECK_STR(lua_builtins__by_ffid(builtins, 40), "math.sin");
	CHECK_STR(lua_builtins__by_ffid(builtins, 41), "math.cos");
	CHECK_STR(lua_builtins__by_entry(builtins, C_CODE), NULL);
	lua_builtins__free(builtins);
	image_close(&image);
}

static void functions_that_built_ins_return(void)
{
	struct image image;
	uint64_t coroutine;

	image_open(&image, gc64);
	image_define(&image, image.globals, "ipairs", 7, C_CODE);
	image_define(&image, image.globals, "generator", 36, C_CODE + 16);
	image_define(&image, image_library(&image, "string"), "gmatch", 83, C_CODE + 32);
	coroutine = image_library(&image, "coroutine");
	image_define(&image, coroutine, "wrap", 1, C_CODE + 64); /* nginx's */
	image_define(&image, coroutine, "_wrap", 37, C_CODE + 48);
	image_define(&image, coroutine, "unwrap", 60, C_CODE + 80);
	check_ffid(&image, 6, "ipairs_aux");
	check_ffid(&image, 36, "coroutine.wrap_aux");
	check_ffid(&image, 82, "string.gmatch_aux");
	check_ffid(&image, 59, NULL);
	check_entry(&image, C_CODE + 16, "coroutine.wrap_aux");
	image_close(&image);
}

static void methods_by_metatables(void)
{
	struct lua_builtins *builtins;
	uint64_t class, io, cats, index, buffer, method;
	struct image image;

	image_open(&image, gc64);
	/* io: the class is its own __index, and has a name in the registry. */
	class = image_subtable(&image, image.registry, "FILE*", 3);
	image_set(&image, class, "__index", 11, class);
	image_define(&image, class, "read", 100, C_CODE);
	image_define(&image, class, "__gc", 101, C_CODE + 16);
	io = image_library(&image, "io");
	image_set(&image, io, "stdout", 12, image_userdata(&image, class));
	/* A table with a metatable. */
	cats = image_subtable(&image,
			      image_subtable(&image, image_library(&image, "ngx"), "shared", 1),
			      "cats", 1);
	class = image_table(&image, 2);
	index = image_subtable(&image, class, "__index", 2);
	image_define(&image, index, "get", 1, C_CODE + 32);
	image_define(&image, class, "__newindex", 1, C_CODE + 48);
	image_set_metatable(&image, cats, class);
	/* What a library creates has the environment of its functions for a metatable. */
	buffer = image_table(&image, 2);
	image_set(&image, image.loaded, "string.buffer", 11, buffer);
	method = image_table(&image, 2);
	image_set(&image, method, "__index", 11, method);
	image_define(&image, method, "put", 110, C_CODE + 64);
	image_set(&image, buffer, "new", 8, image_function(&image, 111, C_CODE + 80, method));
	/* Without a name: a light userdata key. */
	class = image_table(&image, 2);
	image_set(&image, class, "__index", 11, class);
	image_define(&image, class, "receive", 1, C_CODE + 96);
	image_set_value(&image, image.registry, image_value(&image, 3, 0x1000),
			image_value(&image, 11, class));
	/* The metatable of cdata is a root of the collector, behind cur_L. */
	class = image_table(&image, 2);
	image_set(&image, class, "__metatable", 4, image_string(&image, "ffi"));
	image_define(&image, class, "__call", 120, C_CODE + 112);
	image_put_ref(&image, image.g + IMAGE_CUR_L + 0x88, class);

	builtins = read_at(&image, image.main);
	CHECK_STR(lua_builtins__by_ffid(builtins, 100), "file:read");
	CHECK_STR(lua_builtins__by_ffid(builtins, 101), "file:__gc");
	CHECK_STR(lua_builtins__by_entry(builtins, C_CODE + 32), "ngx.shared.cats:get");
	CHECK_STR(lua_builtins__by_entry(builtins, C_CODE + 48), "ngx.shared.cats.__newindex");
	CHECK_STR(lua_builtins__by_ffid(builtins, 110), "string.buffer:put");
	CHECK_STR(lua_builtins__by_entry(builtins, C_CODE + 96), "?:receive");
	CHECK_STR(lua_builtins__by_ffid(builtins, 120), "ffi.meta.__call");
	lua_builtins__free(builtins);
	image_close(&image);
}

static void any_thread_or_the_global_state(void)
{
	struct lua_builtins *builtins = NULL;
	uint64_t env, metatable, thread;
	struct image image;
	uint64_t at[3];
	size_t i;

	image_open(&image, gc64);
	image_define(&image, image.globals, "pairs", 5, C_CODE);
	env = image_table(&image, 2);
	image_define(&image, env, "own", 1, C_CODE + 16);
	metatable = image_table(&image, 1);
	image_set(&image, metatable, "__index", 11, image.globals);
	image_set_metatable(&image, env, metatable);
	thread = image_thread(&image, env);
	at[0] = image.main;
	at[1] = image.g;
	at[2] = thread;
	for (i = 0; i < 3; i++) {
		builtins = read_at(&image, at[i]);
		CHECK_STR(lua_builtins__by_ffid(builtins, 5), "pairs");
		CHECK_STR(lua_builtins__by_entry(builtins, C_CODE + 16), i == 2 ? "own" : NULL);
		lua_builtins__free(builtins);
	}
	/* With neither registry nor package.loaded in reach, by the environment alone. */
	image_put64(&image, image.g + 0x78, 0);
	builtins = read_at(&image, thread);
	CHECK_STR(lua_builtins__by_ffid(builtins, 5), "pairs");
	lua_builtins__free(builtins);

	check_no_vm(&image, image.globals, -EINVAL);
	check_no_vm(&image, 0x1000, -EFAULT);
	check_no_vm(&image, image.main + 1, -EINVAL);
	image_close(&image);
}

static void the_version(void)
{
	struct lua_builtins *builtins;
	struct image image;

	image_open(&image, gc64);
	image_set(&image, image_library(&image, "jit"), "version", 4,
		  image_string(&image, "LuaJIT 2.1.1700206165"));
	builtins = read_at(&image, image.main);
	CHECK_STR(lua_builtins__version(builtins), "LuaJIT 2.1.1700206165");
	lua_builtins__free(builtins);
	image_close(&image);
}

static void names_that_are_none(void)
{
	struct lua_builtins *builtins;
	char text[LUA_MAX_STRING + 2];
	uint64_t function, key;
	struct image image;
	int i;

	image_open(&image, gc64);
	memset(text, 'x', sizeof(text));
	for (i = 0; i < 4; i++) {
		function = image_function(&image, 1, C_CODE + 16u * (unsigned int)i, image.globals);
		key = i == 0   ? image_string_of(&image, text, LUA_MAX_STRING)
		      : i == 1 ? image_string_of(&image, text, LUA_MAX_STRING + 1)
		      : i == 2 ? image_string_of(&image, "a\0b", 3)
			       : image_string(&image, "");
		image_set_value(&image, image.globals, image_value(&image, 4, key),
				image_value(&image, 8, function));
	}
	text[LUA_MAX_STRING] = '\0';
	builtins = read_at(&image, image.main);
	CHECK_STR(lua_builtins__by_entry(builtins, C_CODE), text);
	for (i = 1; i < 4; i++)
		CHECK_STR(lua_builtins__by_entry(builtins, C_CODE + 16u * (unsigned int)i), NULL);
	lua_builtins__free(builtins);
	image_close(&image);
}

/* The node block of the globals is replaced between the reading of the header and its own. */
static void replace_globals(struct image *image, uint64_t address, size_t size)
{
	uint64_t *old = image->context, fresh;

	if (*old == 0 || address != image_nodes(image, image->globals))
		return;
	*old = 0;
	fresh = image_nodes(image, image_table(image, 3));
	/* The old block now is another table's, with a field that is not a global. */
	image_put_ref(image, image->globals + (image->gc64 ? 0x28 : 0x14), fresh);
	image_put32(image, image->globals + (image->gc64 ? 0x34 : 0x1c), 7);
	image_define(image, image->globals, "right", 1, C_CODE + 16);
}

static void a_table_that_changes_is_read_again(void)
{
	struct lua_builtins *builtins;
	uint64_t pending = 1;
	struct image image;

	image_open(&image, gc64);
	image_define(&image, image.globals, "wrong", 1, C_CODE);
	image.context = &pending;
	image.before_read = replace_globals;
	builtins = read_at(&image, image.main);
	CHECK_EQ(pending, 0);
	CHECK_STR(lua_builtins__by_entry(builtins, C_CODE + 16), "right");
	CHECK_STR(lua_builtins__by_entry(builtins, C_CODE), NULL);
	lua_builtins__free(builtins);
	image_close(&image);
}

static void broken_objects_are_left_out(void)
{
	uint64_t table, function, misaligned, key;
	struct lua_builtins *builtins;
	struct image image;

	image_open(&image, gc64);
	/* A table whose mask is none, one whose nodes are unmapped, one of another type. */
	table = image_subtable(&image, image.globals, "mask", 1);
	image_put32(&image, table + (gc64 ? 0x34 : 0x1c), 5);
	table = image_subtable(&image, image.globals, "nodes", 1);
	image_put_ref(&image, table + (gc64 ? 0x28 : 0x14), 0x2000);
	table = image_subtable(&image, image.globals, "huge", 1);
	image_put32(&image, table + (gc64 ? 0x34 : 0x1c), UINT32_MAX);
	table = image_subtable(&image, image.globals, "type", 1);
	image_put8(&image, table + (gc64 ? 9 : 5), 8);
	/* A function that is a table, a misaligned one, one whose key is not a string. */
	image_set(&image, image.globals, "f", 8, table);
	misaligned = image_function(&image, 1, C_CODE, image.globals) + 4;
	image_set(&image, image.globals, "m", 8, misaligned);
	function = image_function(&image, 1, C_CODE, image.globals);
	key = image_value(&image, 4, table);
	image_set_value(&image, image.globals, key, image_value(&image, 8, function));
	image_define(&image, image.globals, "good", 1, C_CODE + 16);
	builtins = read_at(&image, image.main);
	CHECK_STR(lua_builtins__by_entry(builtins, C_CODE), NULL);
	CHECK_STR(lua_builtins__by_entry(builtins, C_CODE + 16), "good");
	lua_builtins__free(builtins);
	image_close(&image);
}

/* Data does not keep the walk from the modules, and is not read to its end. */
static void much_data(void)
{
	struct lua_builtins *builtins;
	uint64_t data, ngx, at;
	struct image image;
	char name[16];
	unsigned int i;

	image_open(&image, gc64);
	data = image_subtable(&image, image.globals, "aaa", 11);
	for (i = 0; i < 2000; i++) {
		snprintf(name, sizeof(name), "k%u", i);
		image_subtable(&image, data, name, 0);
	}
	ngx = image_subtable(&image, image_library(&image, "ngx"), "req", 1);
	image_define(&image, ngx, "get", 1, C_CODE);
	at = image.globals; /* deeper than any path is followed */
	for (i = 0; i < 50; i++)
		at = image_subtable(&image, at, "d", 1);
	image_define(&image, at, "deep", 1, C_CODE + 16);
	builtins = read_at(&image, image.main);
	CHECK_STR(lua_builtins__by_entry(builtins, C_CODE), "ngx.req.get");
	CHECK_STR(lua_builtins__by_entry(builtins, C_CODE + 16), NULL);
	CHECK(lua_builtins__effort(builtins).tables < 600);
	lua_builtins__free(builtins);
	image_close(&image);
}

/* Fills the words before the registry with references to one large table. */
static void put_large_table(struct image *image)
{
	uint64_t table = image_table(image, 15), node = image_nodes(image, table), at;
	uint64_t text = image_value(image, 4, image_string(image, "not the registry's"));

	for (at = 0; at < (24u << 15); at += 24) {
		image_put64(image, node + at, text);
		image_put64(image, node + at + 8, text);
	}
	for (at = 0; at < 0x70; at += 8)
		image_put64(image, image->g + at, image_value(image, 11, table));
}

static void tables_that_look_like_the_registry(void)
{
	struct lua_builtins *builtins;
	struct image image;

	image_open(&image, gc64);
	put_large_table(&image);
	builtins = read_at(&image, image.main);
	CHECK(image.reads <= LUA_MAX_READS);
	CHECK(lua_builtins__effort(builtins).bounded);
	lua_builtins__free(builtins);
	image_close(&image);
}

/* In its 20th read the reader waits, or computes. */
#define SLOW_READ 20u
struct slowness {
	uint64_t wait_ns, cpu_ns;
};

static uint64_t cpu_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
	return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

static void take_long(struct image *image, uint64_t address, size_t size)
{
	const struct slowness *slowness = image->context;
	struct timespec pause = {.tv_sec = (time_t)(slowness->wait_ns / 1000000000u),
				 .tv_nsec = (long)(slowness->wait_ns % 1000000000u)};
	uint64_t end = cpu_ns() + slowness->cpu_ns;

	if (image->reads != SLOW_READ)
		return;
	nanosleep(&pause, NULL);
	while (cpu_ns() < end)
		;
}

static void read_slowly(struct slowness slowness, uint32_t least, uint32_t most)
{
	struct lua_builtins *builtins;
	struct image image;

	image_open(&image, gc64);
	put_large_table(&image);
	image.before_read = take_long;
	image.context = &slowness;
	builtins = read_at(&image, image.main);
	CHECK(image.reads >= least);
	CHECK(image.reads <= most);
	CHECK(lua_builtins__effort(builtins).bounded);
	lua_builtins__free(builtins);
	image_close(&image);
}

static void a_reader_that_is_slow(void)
{
	/* none after it */
	read_slowly((struct slowness){.wait_ns = LUA_MAX_TIME_NS + 10000000u}, SLOW_READ,
		    SLOW_READ);
	/* CPU time is not looked at each time */
	read_slowly((struct slowness){.cpu_ns = LUA_MAX_CPU_NS + 10000000u}, SLOW_READ,
		    SLOW_READ + 20);
	/* on a busy machine */
	read_slowly((struct slowness){.wait_ns = LUA_MAX_CPU_NS + 100000000u}, 10 * SLOW_READ,
		    LUA_MAX_READS);
}

static void modules_loaded_later(void)
{
	struct lua_builtins *builtins, *newer;
	struct image image;
	const char *old;
	uint64_t module;

	image_open(&image, gc64);
	image_define(&image, image.globals, "pairs", 5, C_CODE);
	builtins = read_at(&image, image.main);
	old = lua_builtins__by_ffid(builtins, 5);
	module = image_library(&image, "cjson");
	image_define(&image, module, "encode", 1, C_CODE + 16);
	image_define(&image, module, "null", 90, C_CODE + 32);
	newer = read_at(&image, image.main);
	CHECK_EQ(lua_builtins__merge(builtins, newer), 0);
	lua_builtins__free(newer);
	CHECK(lua_builtins__by_ffid(builtins, 5) == old);
	CHECK_STR(lua_builtins__by_ffid(builtins, 90), "cjson.null");
	CHECK_STR(lua_builtins__by_entry(builtins, C_CODE + 16), "cjson.encode");
	lua_builtins__free(builtins);
	lua_builtins__free(NULL);
	image_close(&image);
}

#define RUN_MODE(function, name) RUN(function, gc64 ? "GC64: " name : "GC32: " name)

int main(void)
{
	int mode;

	for (mode = 0; mode < 2; mode++) {
		gc64 = mode == 0;
		RUN_MODE(globals_and_libraries, "globals, libraries, modules and tables in them");
		RUN_MODE(aliases_do_not_hide_the_name, "aliases do not hide the name");
		RUN_MODE(built_ins_that_share_their_entry,
			 "an entry of several built-ins is none's");
		RUN_MODE(functions_that_built_ins_return, "functions that built-ins return");
		RUN_MODE(methods_by_metatables, "methods and metamethods");
		RUN_MODE(any_thread_or_the_global_state, "from any thread and the global_State");
		RUN_MODE(the_version, "the version");
		RUN_MODE(names_that_are_none, "strings that are no names");
		RUN_MODE(a_table_that_changes_is_read_again, "a table that changes is read again");
		RUN_MODE(broken_objects_are_left_out, "broken objects are left out");
		RUN_MODE(much_data, "much data, deep tables");
		RUN_MODE(tables_that_look_like_the_registry,
			 "large tables that look like the registry: a bounded number of reads");
		RUN_MODE(a_reader_that_is_slow, "no read after the time is over");
		RUN_MODE(modules_loaded_later, "modules loaded later");
	}
	return TEST_RESULT();
}
