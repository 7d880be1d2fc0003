/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a caller calls a function, over heaps built by hand in both layouts: which instruction gives
 * which name, and that there is none where the target's memory does not agree.
 */
#include "../test.h"

#include "test_luajit_proto_image.h"
#include "vm/luajit_call_site.h"
#include "vm/luajit_proto.h"

static bool gc64;
static struct image image;
static struct lua_heap heap;
static struct record_call call;
static struct lua_call_name name;
static uint64_t callee; /* a function object */

static uint64_t value_of(uint32_t itype, uint64_t ref)
{
	return image_value(&image, itype, ref);
}

static uint64_t table_value(uint64_t table)
{
	return value_of(11, table);
}

/* A function that does nothing. */
static uint64_t new_function(void)
{
	struct proto_parts parts = {.code = {ins_ad(OP_RET0, 0, 1)}};

	return image_closure(&image, image_proto(&image, &parts), NULL, 0);
}

static uint64_t proto_of(uint64_t function)
{
	uint64_t pc = 0;

	memcpy(&pc, image.bytes + (function - image.base) + (gc64 ? 0x20 : 0x10), gc64 ? 8 : 4);
	return pc - (gc64 ? 0x68 : 0x40);
}

static void open_heap(void)
{
	image_open(&image, gc64);
	luajit_heap__init(&heap, &image.build, image_read, &image);
	callee = new_function();
}

/* A call from a new function; its slots are all nil. */
static void make_call(const struct proto_parts *parts, uint32_t position, const uint64_t *upvalues)
{
	struct luajit_proto proto;
	uint32_t i;

	call = (struct record_call){.tgid = 77,
				    .caller = image_proto(&image, parts),
				    .callee = proto_of(callee),
				    .g = image.g,
				    .position = position,
				    .slot_count = MAX_CALL_SLOTS};
	for (i = 0; i < MAX_CALL_SLOTS; i++)
		call.slots[i] = UINT64_MAX;
	call.function = image_closure(&image, call.caller, upvalues, count_of(parts->upvalues, 4));
	CHECK_EQ(luajit_proto__open(&heap, call.caller, call.tgid, &proto), 0);
	call.caller_id = proto.id;
	luajit_proto__close(&proto);
}

static void set_constant_field(uint64_t table, uint64_t proto, uint32_t index, uint64_t value)
{
	image_set_value(&image, table, value_of(4, image_constant(&image, proto, index)), value);
}

static void check_name(const char *expected, enum lua_call_rank rank)
{
	CHECK_EQ(luajit_call_site__name(&heap, &call, &name), 0);
	CHECK_STR(name.text, expected);
	CHECK_EQ(name.rank, rank);
}

static void check_none(void)
{
	int err = luajit_call_site__name(&heap, &call, &name);

	if (!err)
		printf("# there is a name: %s\n", name.text);
	CHECK_EQ(err, -ENOENT);
}

/* ---- names ------------------------------------------------------------------------------------
 */

static void a_global(void)
{
	struct proto_parts parts = {
		.code = {ins_ad(OP_GGET, 3, 1), ins_ad(OP_MOV, 5, 0), ins_abc(OP_CALL, 3, 1, 2)},
		.constants = {"other", "get"}};

	open_heap();
	make_call(&parts, 3, NULL);
	check_none();
	set_constant_field(image.globals, call.caller, 1, value_of(8, callee));
	check_name("get", LUA_CALL_GLOBAL);
	call.function = 0; /* inlined by a trace: the globals will do */
	check_name("get", LUA_CALL_GLOBAL);
	image_close(&image);
}

static void a_field_of_a_module(void)
{
	struct proto_parts parts = {.code = {ins_ad(OP_UGET, 3, 1), ins_abc(OP_TGETS, 3, 3, 0),
					     ins_abc(OP_CALLM, 3, 1, 0)},
				    .constants = {"get"},
				    .upvalues = {"other", "M"}};
	uint64_t upvalues[2], module;

	open_heap();
	module = image_table(&image, 2);
	upvalues[0] = UINT64_MAX;
	upvalues[1] = table_value(module);
	make_call(&parts, 3, upvalues);
	set_constant_field(module, call.caller, 0, value_of(8, callee));
	check_name("M.get", LUA_CALL_FIELD);
	/* The upvalues are the function's, which is not known. */
	call.function = 0;
	check_none();
	image_close(&image);
}

static void fields_of_fields(void)
{
	struct proto_parts parts = {.code = {ins_ad(OP_GGET, 3, 0), ins_abc(OP_TGETS, 3, 3, 1),
					     ins_abc(OP_TGETS, 3, 3, 2), ins_abc(OP_CALL, 3, 1, 1)},
				    .constants = {"app", "db", "x-y"}};
	uint64_t app, db;

	open_heap();
	make_call(&parts, 4, NULL);
	app = image_table(&image, 1);
	db = image_table(&image, 1);
	set_constant_field(image.globals, call.caller, 0, table_value(app));
	set_constant_field(app, call.caller, 1, table_value(db));
	set_constant_field(db, call.caller, 2, value_of(8, callee));
	check_name("app.db[\"x-y\"]", LUA_CALL_FIELD);
	image_close(&image);
}

static struct proto_parts method_parts(void)
{
	return (struct proto_parts){.code = {ins_ad(OP_MOV, gc64 ? 5 : 4, 1),
					     ins_abc(OP_TGETS, 3, 1, 0), ins_abc(OP_CALL, 3, 2, 2)},
				    .constants = {"read"},
				    .variables = {"first", "obj"}};
}

static void a_method(void)
{
	struct proto_parts parts = method_parts();
	uint64_t object, class;

	open_heap();
	make_call(&parts, 3, NULL);
	class = image_table(&image, 2);
	image_set(&image, class, "__index", 11, class);
	set_constant_field(class, call.caller, 0, value_of(8, callee));
	object = image_table(&image, 0);
	image_set_metatable(&image, object, class);
	call.slots[1] = table_value(object);
	check_name("obj:read", LUA_CALL_METHOD);
	call.slots[1] = value_of(12, image_userdata(&image, class));
	check_name("obj:read", LUA_CALL_METHOD);
	/* What is in a compiled frame's slot may belong to another variable. */
	call.compiled = 1;
	check_name("read", LUA_CALL_KEY);
	image_close(&image);
}

static void variables(void)
{
	struct proto_parts local = {.code = {ins_ad(OP_MOV, 3, 1), ins_abc(OP_CALL, 3, 1, 1)},
				    .variables = {"first", "helper"}};
	struct proto_parts upvalue = {.code = {ins_ad(OP_UGET, 3, 0), ins_abc(OP_CALL, 3, 1, 1)},
				      .upvalues = {"helper"}};
	uint64_t value;

	open_heap();
	make_call(&local, 2, NULL);
	check_none();
	call.slots[1] = value_of(8, callee);
	check_name("helper", LUA_CALL_LOCAL);
	call.compiled = 1;
	check_none();
	value = value_of(8, callee);
	make_call(&upvalue, 2, &value);
	check_name("helper", LUA_CALL_UPVALUE);
	image_close(&image);
}

static void stripped_functions(void)
{
	struct proto_parts parts = method_parts();
	uint64_t object;

	open_heap();
	parts.stripped = true;
	make_call(&parts, 3, NULL);
	object = image_table(&image, 0);
	set_constant_field(object, call.caller, 0, value_of(8, callee));
	call.slots[1] = table_value(object);
	check_name("read", LUA_CALL_KEY);
	image_close(&image);
}

static void computed_fields(void)
{
	struct proto_parts parts = {.code = {ins_ad(OP_UGET, 3, 0), ins_ad(OP_MOV, 4, 0),
					     ins_abc(OP_TGETV, 3, 3, 4), ins_abc(OP_CALL, 3, 1, 1)},
				    .upvalues = {"handlers"}};
	uint64_t table, value;

	open_heap();
	table = image_table(&image, 3);
	value = table_value(table);
	make_call(&parts, 4, &value);
	check_none();
	image_set(&image, table, "while", 8, callee);
	check_name("handlers[\"while\"]", LUA_CALL_FIELD);
	/* Of several keys always the same one. */
	image_set(&image, table, "get", 8, callee);
	image_set(&image, table, "fet", 8, callee);
	check_name("handlers.fet", LUA_CALL_FIELD);
	image_close(&image);
}

static void one_of_two(void)
{
	struct proto_parts parts = {.code = {ins_ad(OP_GGET, 3, 0), ins_ad(OP_IST, 0, 3),
					     ins_ad(OP_JMP, 4, 0x8001), ins_ad(OP_GGET, 3, 1),
					     ins_abc(OP_CALL, 3, 1, 1)},
				    .constants = {"left", "right"}};
	uint64_t other;

	open_heap();
	make_call(&parts, 5, NULL);
	other = new_function();
	set_constant_field(image.globals, call.caller, 0, value_of(8, callee));
	set_constant_field(image.globals, call.caller, 1, value_of(8, other));
	check_name("left", LUA_CALL_GLOBAL);
	call.callee = proto_of(other);
	check_name("right", LUA_CALL_GLOBAL);
	image_close(&image);
}

/* ---- what must not be named -------------------------------------------------------------------
 */

static void a_tail_call(void)
{
	struct proto_parts outer = {.code = {ins_ad(OP_GGET, 3, 0), ins_abc(OP_CALL, 3, 1, 1)},
				    .constants = {"outer"}};
	struct proto_parts middle = {.code = {ins_ad(OP_UGET, 0, 0), ins_ad(OP_CALLT, 0, 1)},
				     .upvalues = {"inner"}};
	uint64_t value;

	open_heap();
	make_call(&outer, 2, NULL);
	/* What was called is not what runs. */
	set_constant_field(image.globals, call.caller, 0, value_of(8, new_function()));
	check_none();
	image_close(&image);

	open_heap();
	make_call(&outer, 2, NULL);
	value = value_of(8, callee);
	set_constant_field(
		image.globals, call.caller, 0,
		value_of(8, image_closure(&image, image_proto(&image, &middle), &value, 1)));
	check_name("inner", LUA_CALL_UPVALUE);
	image_close(&image);
}

static void the_calls_own_slots(void)
{
	struct proto_parts parts = {.code = {ins_abc(OP_CALL, 3, 2, 1), ins_abc(OP_CALL, 3, 1, 1)},
				    .variables = {"a", "b", "c", "d"}};
	uint32_t i;

	open_heap();
	make_call(&parts, 2, NULL);
	for (i = 3; i < MAX_CALL_SLOTS; i++)
		call.slots[i] = value_of(8, callee);
	check_none();
	image_close(&image);
}

static void a_proto_that_is_another_one(void)
{
	struct proto_parts parts = {.code = {ins_ad(OP_GGET, 3, 0), ins_abc(OP_CALL, 3, 1, 1)},
				    .constants = {"get"}};

	open_heap();
	make_call(&parts, 2, NULL);
	set_constant_field(image.globals, call.caller, 0, value_of(8, callee));
	check_name("get", LUA_CALL_GLOBAL);
	call.tgid++;
	CHECK_EQ(luajit_call_site__name(&heap, &call, &name), -ESTALE);
	call.tgid--;
	image_put32(&image, call.caller + (gc64 ? 0x48 : 0x2c), 11); /* first line */
	CHECK_EQ(luajit_call_site__name(&heap, &call, &name), -ESTALE);
	image_put32(&image, call.caller + (gc64 ? 0x48 : 0x2c), 10);
	call.position = 3;
	CHECK_EQ(luajit_call_site__name(&heap, &call, &name), -ESTALE);
	call.position = 2;
	image_put8(&image, call.caller + (gc64 ? 9 : 5), 4); /* freed, now a string */
	CHECK_EQ(luajit_call_site__name(&heap, &call, &name), -EINVAL);
	image_close(&image);
}

static void other_instruction_sets(void)
{
	struct proto_parts parts = {.code = {ins_ad(OP_GGET, 3, 0), ins_abc(OP_CALL, 3, 1, 1)},
				    .constants = {"get"}};

	open_heap();
	make_call(&parts, 2, NULL);
	set_constant_field(image.globals, call.caller, 0, value_of(8, callee));
	image_put8(&image, call.caller + (gc64 ? 0x68 : 0x40), OP_FUNCF + 7);
	CHECK_EQ(luajit_call_site__name(&heap, &call, &name), -ENOTSUP);
	image_put8(&image, call.caller + (gc64 ? 0x68 : 0x40), OP_FUNCF + 2); /* JFUNCF */
	check_name("get", LUA_CALL_GLOBAL);
	image_close(&image);
}

static void change_constants(struct image *changed, uint64_t address, size_t size)
{
	uint64_t *reads = changed->context;

	/* The block's second reading is the last thing that is done. */
	if (address == call.caller && size > 0x68 && ++*reads == 2)
		image_put32(changed, call.caller + (changed->gc64 ? 0x68 : 0x40) + 12, 0x12345678);
}

static void a_proto_that_changes_meanwhile(void)
{
	struct proto_parts parts = {.code = {ins_ad(OP_GGET, 3, 0), ins_abc(OP_CALL, 3, 1, 1)},
				    .constants = {"get"}};
	uint64_t reads = 0;

	open_heap();
	make_call(&parts, 2, NULL);
	set_constant_field(image.globals, call.caller, 0, value_of(8, callee));
	image.context = &reads;
	image.before_read = change_constants;
	CHECK_EQ(luajit_call_site__name(&heap, &call, &name), -ESTALE);
	CHECK_EQ(reads, 2);
	image_close(&image);
}

static void names_that_are_none(void)
{
	struct proto_parts parts = {.code = {ins_ad(OP_GGET, 3, 0), ins_abc(OP_CALL, 3, 1, 1)},
				    .constants = {"a\nb"}};

	open_heap();
	make_call(&parts, 2, NULL);
	set_constant_field(image.globals, call.caller, 0, value_of(8, callee));
	check_none();
	image_close(&image);
}

/* ---- metamethods ------------------------------------------------------------------------------
 */

static void check_metamethod(uint32_t instruction, uint32_t operand, const char *event)
{
	struct proto_parts parts = {.code = {instruction}};
	uint64_t class, object;

	open_heap();
	make_call(&parts, 1, NULL);
	class = image_table(&image, 1);
	object = image_table(&image, 0);
	image_set_metatable(&image, object, class);
	call.slots[operand] = table_value(object);
	check_none();
	image_set(&image, class, event, 8, new_function());
	check_none();
	class = image_table(&image, 1);
	image_set_metatable(&image, object, class);
	image_set(&image, class, event, 8, callee);
	check_name(event, LUA_CALL_METAMETHOD);
	call.slots[operand] = UINT64_MAX;
	check_none();
	image_close(&image);
}

static void metamethods(void)
{
	check_metamethod(ins_ad(OP_ISLT, 2, 3), 2, "__lt");
	check_metamethod(ins_ad(OP_ISLT, 2, 3), 3, "__lt");
	check_metamethod(ins_abc(OP_ADDVN, 1, 2, 9), 2, "__add");
	check_metamethod(ins_abc(OP_ADDVV + 3, 1, 2, 3), 3, "__div");
	check_metamethod(ins_abc(OP_CAT, 1, 2, 5), 4, "__concat");
	check_metamethod(ins_abc(OP_TGETS, 1, 2, 0), 2, "__index");
}

static void calls_of_objects(void)
{
	struct proto_parts parts = {.code = {ins_ad(OP_UGET, 3, 0), ins_abc(OP_CALL, 3, 1, 1)},
				    .upvalues = {"obj"}};
	uint64_t class, value, object;

	open_heap();
	class = image_table(&image, 1);
	object = image_table(&image, 0);
	image_set_metatable(&image, object, class);
	image_set(&image, class, "__call", 8, callee);
	value = table_value(object);
	make_call(&parts, 2, &value);
	check_name("__call", LUA_CALL_METAMETHOD);
	image_close(&image);
}

static void iterators(void)
{
	struct proto_parts parts = {.code = {ins_abc(OP_ITERC, 6, 3, 3)}};

	open_heap();
	make_call(&parts, 1, NULL);
	check_none();
	call.slots[3] = value_of(8, callee);
	check_name("for iterator", LUA_CALL_ITERATOR);
	image_close(&image);
}

/* A heap that has read as much as it may reads nothing more, for whomever. */
static void the_heaps_bounds(void)
{
	struct proto_parts parts = {
		.code = {ins_ad(OP_GGET, 3, 0), ins_ad(OP_MOV, 5, 0), ins_abc(OP_CALL, 3, 1, 2)},
		.constants = {"get"}};
	struct luajit_proto proto;
	uint64_t reads;

	open_heap();
	make_call(&parts, 3, NULL);
	set_constant_field(image.globals, call.caller, 0, value_of(8, callee));
	CHECK_EQ(luajit_proto__open(&heap, call.caller, call.tgid, &proto), 0);
	CHECK(luajit_proto__unchanged(&proto, &heap));
	reads = heap.reads;
	check_name("get", LUA_CALL_GLOBAL);
	CHECK(heap.reads > reads);
	heap.reads = LUA_MAX_READS;
	reads = image.reads;
	CHECK(!luajit_proto__unchanged(&proto, &heap));
	luajit_proto__close(&proto);
	CHECK_EQ(luajit_proto__open(&heap, call.caller, call.tgid, &proto), -ETIME);
	CHECK_EQ(luajit_call_site__name(&heap, &call, &name), -ETIME);
	CHECK_EQ(image.reads, reads);
	CHECK_EQ(heap.reads, LUA_MAX_READS);
	image_close(&image);
}

#define RUN_LAYOUT(function, what) RUN(function, gc64 ? "GC64: " what : "GC32: " what)

static void both_layouts(void)
{
	for (int i = 0; i < 2; i++) {
		gc64 = i;
		RUN_LAYOUT(a_global, "a global");
		RUN_LAYOUT(a_field_of_a_module, "a field of a module");
		RUN_LAYOUT(fields_of_fields, "fields of fields");
		RUN_LAYOUT(a_method, "a method");
		RUN_LAYOUT(variables, "variables");
		RUN_LAYOUT(stripped_functions, "stripped functions");
		RUN_LAYOUT(computed_fields, "fields whose name is computed");
		RUN_LAYOUT(one_of_two, "one of two");
		RUN_LAYOUT(a_tail_call, "a tail call's function has no name by what was called");
		RUN_LAYOUT(the_calls_own_slots, "the call's own slots prove nothing");
		RUN_LAYOUT(a_proto_that_is_another_one, "a proto that is another one");
		RUN_LAYOUT(other_instruction_sets, "other instruction sets");
		RUN_LAYOUT(a_proto_that_changes_meanwhile, "a proto that changes meanwhile");
		RUN_LAYOUT(names_that_are_none, "names that are none");
		RUN_LAYOUT(metamethods, "metamethods");
		RUN_LAYOUT(calls_of_objects, "calls of objects");
		RUN_LAYOUT(iterators, "iterators");
		RUN_LAYOUT(the_heaps_bounds, "the heap's bounds hold for protos and calls");
	}
}

int main(void)
{
	both_layouts();
	return TEST_RESULT();
}
