// SPDX-License-Identifier: Apache-2.0
/*
 * Names of C functions over heaps of PUC Lua built by hand in the layouts of each family of
 * releases. Which of several paths is the name is test_lua_builtins.c's matter.
 */
#include "../test.h"

#include "test_puc_image.h"
#include "vm/lua_builtins.h"
#include "vm/puc_heap.h"

#define C_CODE	  0x55d000001001ull /* entries of C functions: code has no alignment */
#define LONG_NAME "a_name_of_more_than_forty_characters_is_a_long_string"

static const struct family *family;

static struct lua_builtins *read_at(struct image *image, uint64_t vm)
{
	struct lua_builtins *builtins = NULL;
	struct lua_heap heap;

	CHECK_EQ(puc_heap__init(&heap, &image->puc, image_read, image), 0);
	CHECK_EQ(lua_builtins__read(&heap, vm, &builtins), 0);
	if (!builtins)
		abort();
	return builtins;
}

static void check_entry(struct image *image, uint64_t vm, uint64_t entry, const char *name)
{
	struct lua_builtins *builtins = read_at(image, vm);

	CHECK_STR(lua_builtins__by_entry(builtins, entry), name);
	lua_builtins__free(builtins);
}

static void globals_libraries_and_modules(void)
{
	struct lua_builtins *builtins;
	struct image image;
	uint64_t redis;

	image_open(&image, family);
	image_define(&image, image.globals, "print", C_CODE);
	image_define(&image, image_library(&image, "string"), "gsub", C_CODE + 16);
	image_define(&image, image.globals, "a_gsub", C_CODE + 16);
	image_define(&image, image_library(&image, "utf8"), "len", C_CODE + 17);
	redis = image_subtable(&image, image.globals, "redis", 2);
	image_define(&image, redis, "call", C_CODE + 32);
	image_define(&image, redis, LONG_NAME, C_CODE + 48);
	/* A C function with upvalues is an object in all releases. */
	image_set(&image, redis, "sha1hex", T_C_FUNCTION,
		  image_closure(&image, T_C_FUNCTION, C_CODE + 64));
	image_set(&image, redis, "lua", T_LUA_FUNCTION,
		  image_closure(&image, T_LUA_FUNCTION, C_CODE + 80));

	builtins = read_at(&image, image.g);
	CHECK_STR(lua_builtins__by_entry(builtins, C_CODE), "print");
	CHECK_STR(lua_builtins__by_entry(builtins, C_CODE + 16), "string.gsub");
	CHECK_STR(lua_builtins__by_entry(builtins, C_CODE + 17), "utf8.len");
	CHECK_STR(lua_builtins__by_entry(builtins, C_CODE + 32), "redis.call");
	CHECK_STR(lua_builtins__by_entry(builtins, C_CODE + 48), "redis." LONG_NAME);
	CHECK_STR(lua_builtins__by_entry(builtins, C_CODE + 64), "redis.sha1hex");
	CHECK_STR(lua_builtins__by_entry(builtins, C_CODE + 80), NULL);
	CHECK_EQ(lua_builtins__effort(builtins).entries, 6);
	CHECK_STR(lua_builtins__by_ffid(builtins, 1), NULL);
	CHECK_STR(lua_builtins__version(builtins), NULL);
	CHECK(!lua_builtins__effort(builtins).bounded);
	lua_builtins__free(builtins);
	image_close(&image);
}

static void methods_by_metatables(void)
{
	struct lua_builtins *builtins;
	uint64_t class, index, object;
	struct image image;

	image_open(&image, family);
	class = image_subtable(&image, image.registry, "FILE*", 3);
	index = image_subtable(&image, class, "__index", 2);
	image_define(&image, index, "read", C_CODE);
	image_define(&image, class, "__gc", C_CODE + 16);
	/* Userdata whose class has no name in the registry. */
	class = image_table(&image, 2);
	image_set(&image, class, "__index", T_TABLE, class);
	image_define(&image, class, "send", C_CODE + 32);
	image_set(&image, image_library(&image, "net"), "link", T_USERDATA,
		  image_userdata(&image, class));
	/* A table with a metatable whose __index is a Lua function: that is a class, too. */
	class = image_table(&image, 2);
	image_set(&image, class, "__index", T_LUA_FUNCTION,
		  image_closure(&image, T_LUA_FUNCTION, 0x1000));
	image_define(&image, class, "__call", C_CODE + 48);
	object = image_subtable(&image, image.globals, "object", 1);
	image_set_metatable(&image, object, class);
	/* Strings and functions have one metatable each (LUA_TSTRING is 4, LUA_TFUNCTION 6). */
	class = image_table(&image, 2);
	image_define(&image, class, "__add", C_CODE + 64);
	image_put64(&image, image.g + family->g_metatables + 8ull * 4, class);
	class = image_table(&image, 2);
	index = image_subtable(&image, class, "__index", 2);
	image_define(&image, index, "arity", C_CODE + 80);
	image_put64(&image, image.g + family->g_metatables + 8ull * 6, class);

	builtins = read_at(&image, image.g);
	CHECK_STR(lua_builtins__by_entry(builtins, C_CODE), "file:read");
	CHECK_STR(lua_builtins__by_entry(builtins, C_CODE + 16), "file.__gc");
	CHECK_STR(lua_builtins__by_entry(builtins, C_CODE + 32), "net.link:send");
	CHECK_STR(lua_builtins__by_entry(builtins, C_CODE + 48), "object.__call");
	CHECK_STR(lua_builtins__by_entry(builtins, C_CODE + 64), "string.__add");
	CHECK_STR(lua_builtins__by_entry(builtins, C_CODE + 80), "function:arity");
	lua_builtins__free(builtins);
	image_close(&image);
}

/* 5.1: what a library's functions create often has their environment for a metatable. */
static void methods_by_environments(void)
{
	uint64_t class, function;
	struct image image;

	image_open(&image, family);
	class = image_table(&image, 2);
	image_set(&image, class, "__index", T_TABLE, class);
	image_define(&image, class, "put", C_CODE);
	function = image_closure(&image, T_C_FUNCTION, C_CODE + 16);
	image_put64(&image, function + 0x18, class);
	image_set(&image, image_library(&image, "buffer"), "new", T_C_FUNCTION, function);
	check_entry(&image, image.g, C_CODE, "buffer:put");
	check_entry(&image, image.g, C_CODE + 16, "buffer.new");
	image_close(&image);
}

/* A program may load libraries without luaL_openlibs: then the globals are found by the VM's own
 * reference to them. (Not in redis's layout, which is told by package.loaded; redis has it.) */
static void globals_without_package(void)
{
	struct image image;

	image_open(&image, family);
	image_define(&image, image.globals, "print", C_CODE);
	image_put64(&image, image_get64(&image, image.registry + family->node) + 16, 0);
	image_put8(&image, image_get64(&image, image.registry + family->node) + family->key_type,
		   0);
	check_entry(&image, image.g, C_CODE, "print");
	image_close(&image);
}

static void any_thread_or_the_global_state(void)
{
	struct image image;
	uint64_t coroutine;

	image_open(&image, family);
	image_define(&image, image.globals, "print", C_CODE);
	check_entry(&image, image.g, C_CODE, "print");
	check_entry(&image, image.main, C_CODE, "print");
	coroutine = image_thread(&image);
	if (family->release < 50200)
		image_put_value(&image, coroutine + 0x78, T_TABLE, image.globals);
	check_entry(&image, coroutine, C_CODE, "print");
	image_close(&image);
}

static void what_is_no_vm(void)
{
	struct puc_build unknown = {.release = 50600};
	struct lua_builtins *builtins;
	struct lua_heap heap;
	struct image image;

	image_open(&image, family);
	CHECK_EQ(puc_heap__init(&heap, &image.puc, image_read, &image), 0);
	CHECK_EQ(lua_builtins__read(&heap, image.globals, &builtins), -EINVAL);
	CHECK(builtins == NULL);
	CHECK_EQ(lua_builtins__read(&heap, 0x1000, &builtins), -EFAULT);
	CHECK_EQ(lua_builtins__read(&heap, image.main + 1, &builtins), -EINVAL);
	CHECK_EQ(puc_heap__init(&heap, &unknown, image_read, &image), -ENOENT);
	image_close(&image);
}

static void broken_objects_are_left_out(void)
{
	struct lua_builtins *builtins;
	struct image image;
	uint64_t table, key;

	image_open(&image, family);
	/* code that cannot be, an address that is no object, an object of another type */
	image_set(&image, image.globals, "null", T_C_FUNCTION,
		  image_closure(&image, T_C_FUNCTION, 0));
	image_set(&image, image.globals, "odd", T_C_FUNCTION, image.main + 4);
	image_set(&image, image.globals, "table", T_C_FUNCTION, image_table(&image, 0));
	image_set(&image, image.globals, "kernel", T_C_FUNCTION,
		  image_closure(&image, T_C_FUNCTION, 1ull << 63));
	/* tables of no sane size, and one whose nodes are nowhere */
	table = image_subtable(&image, image.globals, "huge", 1);
	image_put_bits(&image, table, 31);
	table = image_subtable(&image, image.globals, "large", 1);
	image_put_bits(&image, table, 30);
	table = image_subtable(&image, image.globals, "gone", 1);
	image_put64(&image, table + family->node, 0x1000);
	/* a string without its end, and an empty key */
	key = image_string(&image, "cut");
	image_put8(&image, key + family->string_data + 3, '!');
	image_set_value(&image, image.globals, T_STRING, key, T_C_FUNCTION,
			image_closure(&image, T_C_FUNCTION, C_CODE));
	image_set(&image, image.globals, "", T_C_FUNCTION,
		  image_closure(&image, T_C_FUNCTION, C_CODE));
	/* a dead key (LUA_TDEADKEY is 11) */
	image_set_value(&image, image.globals, 11, image_string(&image, "dead"), T_C_FUNCTION,
			image_closure(&image, T_C_FUNCTION, C_CODE));
	image_define(&image, image.globals, "good", C_CODE + 16);

	builtins = read_at(&image, image.g);
	CHECK_STR(lua_builtins__by_entry(builtins, C_CODE), NULL);
	CHECK_STR(lua_builtins__by_entry(builtins, C_CODE + 16), "good");
	CHECK_EQ(lua_builtins__effort(builtins).entries, 1);
	lua_builtins__free(builtins);
	image_close(&image);
}

static void the_heap_in_bytes(void)
{
	uint64_t allocator;
	struct lua_heap heap;
	struct image image;
	int64_t bytes;

	image_open(&image, family);
	if (family->release < 50200) {
		image_put64(&image, image.g + 0x10, C_CODE);
		image_put64(&image, image.g + 0x78, 100000);
	} else {
		image_put64(&image, image.g, C_CODE);
		image_put64(&image, image.g + 0x10, family->in_5_5 ? 70000 : 130000);
		image_put64(&image, image.g + 0x18, (uint64_t)-30000);
	}
	CHECK_EQ(puc_heap__init(&heap, &image.puc, image_read, &image), 0);
	CHECK_EQ(puc_heap__allocation(&heap, image.g, &allocator, &bytes), 0);
	CHECK_EQ(allocator, C_CODE);
	CHECK_EQ(bytes, 100000);
	CHECK_EQ(puc_heap__allocation(&heap, 0x1000, &allocator, &bytes), -EFAULT);
	image_close(&image);
}

int main(void)
{
	char name[128];
	size_t i;

	for (i = 0; i < FAMILIES; i++) {
		family = &families[i];
		RUN_FAMILY(globals_libraries_and_modules, "globals, libraries, modules");
		RUN_FAMILY(methods_by_metatables, "methods and metamethods");
		if (family->release < 50200)
			RUN_FAMILY(methods_by_environments, "methods by environments");
		if (family->log2_size == 11)
			RUN_FAMILY(globals_without_package, "globals without package.loaded");
		RUN_FAMILY(any_thread_or_the_global_state, "from any thread and the global_State");
		RUN_FAMILY(what_is_no_vm, "what is no VM");
		RUN_FAMILY(broken_objects_are_left_out, "broken objects are left out");
		RUN_FAMILY(the_heap_in_bytes, "the heap's size");
	}
	return TEST_RESULT();
}
