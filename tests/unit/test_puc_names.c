/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What PUC Lua's functions are called where they are defined and where they are called, over protos
 * built by hand in the form of each version; and that nothing else is taken for a proto.
 */
#include "../test.h"

#include "test_puc_proto_image.h"
#include "vm/puc_heap.h"
#include "vm/puc_names.h"
#include "vm/puc_proto.h"

#define TGID 77

static struct image image;
static struct lua_heap heap;
static struct proto_parts parts;
static uint64_t child;

static const uint32_t releases[] = {50105, 50203, 50306, 50408, 50501};

static void open_heap(uint32_t release)
{
	size_t i;

	for (i = 0; families[i].release != release; i++)
		;
	image_open_whole(&image, &families[i]);
	CHECK_EQ(puc_heap__init(&heap, &image.puc, image_read, &image), 0);
	parts = (struct proto_parts){.code = {ins(&image, RETURN, 0, 1, 0)},
				     .code_count = 1,
				     .first_line = 20,
				     .constants = {"unused"}};
	child = image_proto(&image, &parts);
	parts = (struct proto_parts){
		.constants = {"get", "sub", "x-y"}, .upvalues = {"_ENV", "M"}, .children = {child}};
}

static void add(uint32_t instruction)
{
	parts.code[parts.code_count++] = instruction;
}

#define ADD(op, a, b, c) add(ins(&image, op, a, b, c))

static uint64_t id_of(uint64_t proto)
{
	struct puc_proto_head head = {};

	CHECK_EQ(puc_proto__head(&heap, proto, TGID, NULL, &head), 0);
	return head.id;
}

/* What was said of `child`. */
struct said {
	uint64_t id;
	unsigned int count;
	enum puc_naming naming;
	char label[LUA_CALL_NAME_SIZE];
};

static void note(void *context, const struct puc_definition *definition)
{
	struct said *said = context;

	if (definition->id != said->id)
		return;
	said->count++;
	said->naming = definition->naming;
	snprintf(said->label, sizeof(said->label), "%s", definition->label);
}

static void check_definition(enum puc_naming naming, const char *label)
{
	uint64_t proto;
	struct said said = {.id = id_of(child)};

	ADD(RETURN, 0, 1, 0);
	proto = image_proto(&image, &parts);
	CHECK_EQ(puc_names__definitions(&heap, proto, id_of(proto), TGID, note, &said), 0);
	CHECK_EQ(said.count, 1);
	CHECK_EQ(said.naming, naming);
	CHECK_STR(said.label, label);
	image_close(&image);
}

static void a_call(int err, const char *text, enum lua_call_rank rank)
{
	struct record_call call = {.tgid = TGID, .position = parts.code_count - 1};
	struct lua_call_name name;

	ADD(RETURN, 0, 1, 0);
	call.caller = image_proto(&image, &parts);
	call.caller_id = id_of(call.caller);
	CHECK_EQ(puc_names__call(&heap, &call, &name), err);
	if (!err) {
		CHECK_STR(name.text, text);
		CHECK_EQ(name.rank, rank);
	}
	call.caller_id++;
	CHECK_EQ(puc_names__call(&heap, &call, &name), -ESTALE);
	call.caller_id--;
	call.position = 1u << 20;
	CHECK_EQ(puc_names__call(&heap, &call, &name), -ENOENT);
	image_close(&image);
}

#define EACH_VERSION                                                                               \
	for (size_t v_ = 0;                                                                        \
	     v_ < sizeof(releases) / sizeof(releases[0]) && (open_heap(releases[v_]), 1); v_++)

/* ---- definitions -------------------------------------------------------------------------------
 */

static void a_global(void)
{
	EACH_VERSION
	{
		ADD(CLOSURE, 0, 0, 0);
		ADD(SETGLOBAL, 0, 0, 0);
		check_definition(PUC_NAMED, "get");
	}
}

static void a_local_variable(void)
{
	EACH_VERSION
	{
		parts.variables[0].name = "M";
		parts.variables[0].end = 9;
		parts.variables[1].name = "f";
		parts.variables[1].start = 2;
		parts.variables[1].end = 9;
		ADD(NEWTABLE, 0, 0, 0);
		ADD(CLOSURE, 1, 0, 0);
		check_definition(PUC_NAMED, "f");
	}
}

static void an_upvalue(void)
{
	EACH_VERSION
	{
		ADD(CLOSURE, 0, 0, 0);
		ADD(SETUPVAL, 0, 1, 0);
		check_definition(PUC_NAMED, "M");
	}
}

static void a_field(void)
{
	EACH_VERSION
	{
		ADD(GETUPVAL, 0, 1, 0);
		ADD(GETFIELD, 0, 0, 1);
		ADD(CLOSURE, 1, 0, 0);
		ADD(SETFIELD, 0, 0, 1);
		check_definition(PUC_NAMED, "M.sub.get");
	}
	EACH_VERSION
	{
		parts.variables[0].name = "T";
		parts.variables[0].end = 9;
		ADD(CLOSURE, 1, 0, 0);
		ADD(SETFIELD, 0, 2, 1);
		check_definition(PUC_NAMED, "T[\"x-y\"]");
	}
	EACH_VERSION
	{ /* of something that has no name, as in stripped code */
		parts.upvalues[0] = NULL;
		ADD(GETUPVAL, 0, 1, 0);
		ADD(CLOSURE, 1, 0, 0);
		ADD(SETFIELD, 0, 0, 1);
		check_definition(PUC_NAMED, "get");
	}
}

static void a_table_under_construction(void)
{
	EACH_VERSION
	{
		parts.variables[0].name = "T";
		parts.variables[0].start = 5;
		parts.variables[0].end = 9;
		ADD(NEWTABLE, 0, 0, 0);
		ADD(NEWTABLE, 1, 0, 0);
		ADD(CLOSURE, 2, 0, 0);
		ADD(SETFIELD, 1, 0, 2);
		ADD(SETFIELD, 0, 1, 1);
		check_definition(PUC_NAMED, "T.sub.get");
	}
	EACH_VERSION
	{
		ADD(NEWTABLE, 0, 0, 0);
		ADD(LOADK, 1, 0, 0);
		ADD(CLOSURE, 2, 0, 0);
		ADD(SETLIST, 0, 2, 0);
		ADD(SETGLOBAL, 0, 1, 0);
		check_definition(PUC_NAMED, "sub[2]");
	}
}

static void no_name_of_its_own(void)
{
	EACH_VERSION
	{
		parts.variables[0].name = "v";
		parts.variables[0].end = 9;
		ADD(GETGLOBAL, 1, 0, 0);
		ADD(CLOSURE, 2, 0, 0);
		ADD(CALL, 1, 2, 1);
		check_definition(PUC_ARGUMENT, "get");
	}
	EACH_VERSION
	{
		parts.variables[0].name = "v";
		parts.variables[0].end = 9;
		ADD(SELF, 1, 0, 0);
		ADD(CLOSURE, 3, 0, 0);
		ADD(CALL, 1, 3, 1);
		check_definition(PUC_ARGUMENT, "v:get");
	}
	EACH_VERSION
	{
		parts.variables[0].name = "v";
		parts.variables[0].end = 9;
		ADD(CLOSURE, 1, 0, 0);
		ADD(RETURN, 1, 2, 0);
		check_definition(PUC_RETURNED, "");
	}
	EACH_VERSION
	{ /* may be a variable's value in stripped code */
		ADD(CLOSURE, 1, 0, 0);
		ADD(RETURN, 1, 2, 0);
		check_definition(PUC_UNKNOWN, "");
	}
}

static void behind_an_or(void)
{
	EACH_VERSION
	{
		ADD(GETGLOBAL, 0, 0, 0);
		ADD(TEST, 0, 0, 1);
		ADD(JMP, 0, 1, 0);
		ADD(CLOSURE, 0, 0, 0);
		ADD(SETGLOBAL, 0, 1, 0);
		check_definition(PUC_NAMED, "sub");
	}
	EACH_VERSION
	{
		ADD(CLOSURE, 0, 0, 0);
		ADD(TEST, 0, 0, 1);
		ADD(JMP, 0, 1, 0);
		ADD(GETGLOBAL, 0, 0, 0);
		ADD(SETGLOBAL, 0, 1, 0);
		check_definition(PUC_NAMED, "sub");
	}
}

/* ---- calls -----------------------------------------------------------------------------------
 */

static void names_of_callees(void)
{
	EACH_VERSION
	{
		ADD(GETGLOBAL, 0, 0, 0);
		ADD(CALL, 0, 1, 1);
		a_call(0, "get", LUA_CALL_GLOBAL);
	}
	EACH_VERSION
	{
		ADD(GETUPVAL, 0, 1, 0);
		ADD(CALL, 0, 1, 1);
		a_call(0, "M", LUA_CALL_UPVALUE);
	}
	EACH_VERSION
	{
		ADD(GETUPVAL, 0, 1, 0);
		ADD(GETFIELD, 0, 0, 0);
		ADD(CALL, 0, 1, 1);
		a_call(0, "M.get", LUA_CALL_FIELD);
	}
	EACH_VERSION
	{
		parts.variables[0].name = "obj";
		parts.variables[0].end = 9;
		ADD(SELF, 1, 0, 0);
		ADD(CALL, 1, 2, 1);
		a_call(0, "obj:get", LUA_CALL_METHOD);
	}
	EACH_VERSION
	{
		parts.variables[0].name = "f";
		parts.variables[0].end = 9;
		ADD(MOVE, 1, 0, 0);
		ADD(CALL, 1, 1, 1);
		a_call(0, "f", LUA_CALL_LOCAL);
	}
}

static void calls_that_may_be_of_several(void)
{
	EACH_VERSION
	{
		ADD(GETGLOBAL, 0, 0, 0);
		ADD(TEST, 0, 0, 1);
		ADD(JMP, 0, 1, 0);
		ADD(GETGLOBAL, 0, 0, 1);
		ADD(CALL, 0, 1, 1);
		a_call(-ENOENT, NULL, 0);
	}
	EACH_VERSION
	{
		ADD(NEWTABLE, 0, 0, 0);
		a_call(-ENOENT, NULL, 0);
	}
}

/* ---- what is no proto --------------------------------------------------------------------------
 */

static void other_things(void)
{
	EACH_VERSION
	{
		const struct proto_offsets *at = &proto_offsets[version_of(&image)];
		struct said said = {.id = id_of(child)};
		uint64_t proto, id;

		ADD(CLOSURE, 0, 3, 0); /* there is no such function in it */
		ADD(SETGLOBAL, 0, 200, 0);
		ADD(CLOSURE, 0, 0, 0);
		ADD(SETGLOBAL, 0, 200, 0); /* nor such a constant */
		ADD(CLOSURE, 255, 0, 0);
		proto = image_proto(&image, &parts);
		id = id_of(proto);
		CHECK_EQ(puc_names__definitions(&heap, proto, id, TGID, note, &said), 0);
		CHECK_EQ(said.count, 2);
		CHECK_EQ(said.naming, PUC_UNKNOWN);
		CHECK_EQ(puc_names__definitions(&heap, proto, id + 1, TGID, note, &said), -ESTALE);
		CHECK_EQ(puc_names__definitions(&heap, proto + 4, id, TGID, note, &said), -EINVAL);
		CHECK_EQ(puc_names__definitions(&heap, image.globals, id, TGID, note, &said),
			 -EINVAL);
		CHECK_EQ(puc_names__definitions(&heap, 0x1000, id, TGID, note, &said), -EFAULT);
		image_put32(&image, proto + at->k_count, UINT32_MAX);
		CHECK_EQ(puc_names__definitions(&heap, proto, id, TGID, note, &said), -E2BIG);
		image_put32(&image, proto + at->k_count, 0);
		image_put32(&image, proto + at->p_count, 1u << 16);
		CHECK_EQ(puc_names__definitions(&heap, proto, id, TGID, note, &said), -EFAULT);
		CHECK_EQ(said.count, 2);
		image_close(&image);
	}
}

/* A proto that is in itself ends. */
static void a_circle(void)
{
	EACH_VERSION
	{
		const struct proto_offsets *at = &proto_offsets[version_of(&image)];
		struct said said = {};
		uint64_t proto;

		ADD(CLOSURE, 0, 0, 0);
		ADD(SETGLOBAL, 0, 0, 0);
		parts.first_line = 1;
		proto = image_proto(&image, &parts);
		image_put64(&image, image_get64(&image, proto + at->p), proto);
		said.id = id_of(proto);
		puc_names__definitions(&heap, proto, said.id, TGID, note, &said);
		CHECK(said.count > 0 && said.count <= 4096);
		CHECK_STR(said.label, "get");
		image_close(&image);
	}
}

int main(void)
{
	RUN(a_global, "a function that a global is set to has its name");
	RUN(a_local_variable, "one that a local variable begins with has its name");
	RUN(an_upvalue, "one that an upvalue is set to has its name");
	RUN(a_field, "one that a field is set to has its name, with the table's");
	RUN(a_table_under_construction, "one in a constructor has the table's name and its key");
	RUN(no_name_of_its_own, "an argument has what is called, a result nothing");
	RUN(behind_an_or, "of an `and` or `or` both sides have the name");
	RUN(names_of_callees, "a call has a name for its callee");
	RUN(calls_that_may_be_of_several, "a call that may be of several functions has none");
	RUN(other_things, "what is no proto is not taken for one");
	RUN(a_circle, "a proto that is in itself is not followed for ever");
	return test_failures ? 1 : 0;
}
