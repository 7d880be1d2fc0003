/* SPDX-License-Identifier: Apache-2.0 */
#include "puc_names.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "puc_bytecode.h"
#include "puc_proto.h"

#define MAX_WORK  (1u << 22) /* instructions and variables that are looked at in one tree */
#define MAX_DEPTH 12	     /* of a.b.c and of tables in tables */
#define MAX_TREE  4096u	     /* of one tree */
#define NOT_FOUND UINT32_MAX

/* A function whose instructions are looked at. */
struct body {
	struct lua_heap *heap;
	struct puc_proto proto;
	struct puc_proto_head *children;
	uint8_t *starts;  /* of each instruction: does a variable start there? */
	uint32_t *work;	  /* what may still be done */
	bool definitions; /* "()" and "[?]" may stand in names */
};

static bool has_work(const struct body *b, uint32_t amount)
{
	if (*b->work < amount) {
		*b->work = 0;
		return false;
	}
	*b->work -= amount;
	return true;
}

static struct puc_instruction instruction(const struct body *b, uint32_t position)
{
	return puc_bytecode__decode(b->heap->puc->release, b->proto.code[position]);
}

/* The instructions behind a closure's that only tell its upvalues: in 5.1. */
static uint32_t upvalue_instructions(const struct body *b, const struct puc_instruction *ins)
{
	if (ins->op != PUC_OP_CLOSURE || !b->children || ins->b >= b->proto.head.child_count)
		return 0;
	return b->children[ins->b].upvalue_count;
}

static bool variable_name(const struct body *b, uint32_t position, uint32_t reg, char *text)
{
	return has_work(b, 1 + b->proto.head.variable_count) &&
	       puc_proto__variable_name(&b->proto, b->heap, position, reg, text);
}

/* ---- where values come from --------------------------------------------------------------------
 */

/* The instruction that has set the register when `position` is reached, NOT_FOUND when there are
 * several that may have (ldebug.c, findsetreg()). */
static uint32_t find_setter(const struct body *b, uint32_t position, uint32_t reg)
{
	uint32_t at, setter = NOT_FOUND, target = 0;
	struct puc_instruction ins;
	int64_t to;

	for (at = 0; at < position && has_work(b, 1); at++) {
		ins = instruction(b, at);
		to = (int64_t)at + 1 + ins.jump;
		if (ins.op == PUC_OP_JMP && to <= position && to > target)
			target = (uint32_t)to;
		if (puc_bytecode__sets(&ins, reg))
			setter = at < target ? NOT_FOUND : at;
		at += upvalue_instructions(b, &ins);
	}
	return setter;
}

/* The key, as a string of the program's or as "[1]"; false when it is neither. */
static bool key_text(const struct body *b, uint32_t position, const struct puc_instruction *ins,
		     char *text, bool *is_string)
{
	enum puc_key key = ins->key;
	uint32_t index = ins->key_index;
	struct puc_instruction setter;
	int64_t number = index;

	*is_string = false;
	if (key == PUC_KEY_REGISTER) {
		/* What is too far behind in the constants is loaded first. */
		if (variable_name(b, position, index, text))
			return false;
		position = find_setter(b, position, index);
		if (position == NOT_FOUND)
			return false;
		setter = instruction(b, position);
		if (setter.op != PUC_OP_LOADK)
			return false;
		key = PUC_KEY_CONSTANT;
		index = setter.key_index;
	}
	if (key == PUC_KEY_CONSTANT) {
		*is_string = puc_proto__string(&b->proto, b->heap, index, text);
		if (*is_string)
			return true;
		if (!puc_proto__integer(&b->proto, b->heap, index, &number))
			return false;
	}
	snprintf(text, LUA_MAX_STRING, "[%lld]", (long long)number);
	return true;
}

/* Adds what a field is called to the name of its table, if that has one. */
static bool append_key(const struct body *b, uint32_t position, const struct puc_instruction *ins,
		       char separator, struct lua_call_name *name)
{
	char text[LUA_MAX_STRING + 1];
	bool is_string;

	if (!key_text(b, position, ins, text, &is_string)) {
		/* A local variable's register, a longer string. */
		return b->definitions && name->text[0] && lua_call_name__append_raw(name, "[?]");
	}
	if (is_string)
		return lua_call_name__append(name, separator, text);
	return name->text[0] && lua_call_name__append_raw(name, text);
}

static bool is_environment(const char *text)
{
	return strcmp(text, "_ENV") == 0;
}

static bool origin_name(const struct body *b, uint32_t position, uint32_t reg,
			struct lua_call_name *name, unsigned int depth);

/* Of an upvalue as a table: "" when that is the globals. False when it has no name. */
static bool upvalue_table(const struct body *b, uint32_t index, struct lua_call_name *name)
{
	char text[LUA_MAX_STRING + 1];

	name->rank = LUA_CALL_KEY;
	if (!puc_proto__upvalue_name(&b->proto, b->heap, index, text))
		return false;
	name->rank = is_environment(text) ? LUA_CALL_GLOBAL : LUA_CALL_FIELD;
	return is_environment(text) || lua_call_name__append(name, '.', text);
}

/* Of a field; with its key alone where its table has no name. */
static bool field_name(const struct body *b, uint32_t position, const struct puc_instruction *ins,
		       struct lua_call_name *name, unsigned int depth)
{
	bool method = ins->op == PUC_OP_SELF;

	if (!origin_name(b, position, ins->b, name, depth + 1)) {
		*name = (struct lua_call_name){.rank = LUA_CALL_KEY};
		if (b->definitions && b->proto.head.variable_count &&
		    !lua_call_name__append_raw(name, "(...)"))
			return false;
	} else if (is_environment(name->text)) {
		*name = (struct lua_call_name){.rank = LUA_CALL_GLOBAL};
	} else if (name->rank != LUA_CALL_KEY) {
		name->rank =
			method || name->rank >= LUA_CALL_METHOD ? LUA_CALL_METHOD : LUA_CALL_FIELD;
	}
	return append_key(b, position, ins, method ? ':' : '.', name);
}

/* What the value of a register is called when `position` is reached, in front of it. */
static bool origin_name(const struct body *b, uint32_t position, uint32_t reg,
			struct lua_call_name *name, unsigned int depth)
{
	char text[LUA_MAX_STRING + 1];
	struct puc_instruction ins;

	name->rank = LUA_CALL_LOCAL;
	if (depth >= MAX_DEPTH)
		return false;
	if (variable_name(b, position, reg, text))
		return lua_call_name__append(name, '.', text);
	position = find_setter(b, position, reg);
	if (position == NOT_FOUND)
		return false;
	ins = instruction(b, position);
	switch (ins.op) {
	case PUC_OP_MOVE:
		return variable_name(b, position, ins.b, text) &&
		       lua_call_name__append(name, '.', text);
	case PUC_OP_GETUPVAL:
		name->rank = LUA_CALL_UPVALUE;
		return puc_proto__upvalue_name(&b->proto, b->heap, ins.b, text) &&
		       lua_call_name__append(name, '.', text);
	case PUC_OP_GETGLOBAL:
		name->rank = LUA_CALL_GLOBAL;
		return append_key(b, position, &ins, '.', name);
	case PUC_OP_GETTABUP:
		upvalue_table(b, ins.b, name);
		return append_key(b, position, &ins, '.', name);
	case PUC_OP_GETTABLE:
	case PUC_OP_SELF:
		return field_name(b, position, &ins, name, depth);
	case PUC_OP_CALL:
		return b->definitions && origin_name(b, position, ins.a, name, depth + 1) &&
		       lua_call_name__append_raw(name, "()");
	default:
		return false;
	}
}

/* ---- where values go ---------------------------------------------------------------------------
 */

static enum puc_naming destination(const struct body *b, uint32_t position, uint32_t reg,
				   const struct puc_proto_head *function,
				   struct lua_call_name *name, unsigned int depth);

/* The table in a register: what it is called, or where it goes while it is `constructed`. */
static enum puc_naming table_name(const struct body *b, uint32_t position, uint32_t reg,
				  struct lua_call_name *name, unsigned int depth, bool *constructed)
{
	char text[LUA_MAX_STRING + 1];
	uint32_t setter;

	*constructed = false;
	if (depth >= MAX_DEPTH)
		return PUC_UNKNOWN;
	if (variable_name(b, position, reg, text)) {
		if (is_environment(text))
			return PUC_NAMED;
		return lua_call_name__append(name, '.', text) ? PUC_NAMED : PUC_UNKNOWN;
	}
	setter = find_setter(b, position, reg);
	*constructed = setter != NOT_FOUND && instruction(b, setter).op == PUC_OP_NEWTABLE;
	if (*constructed)
		return destination(b, position + 1, reg, NULL, name, depth + 1);
	if (!origin_name(b, position, reg, name, depth)) {
		*name = (struct lua_call_name){};
		return PUC_UNKNOWN;
	}
	if (is_environment(name->text))
		*name = (struct lua_call_name){};
	return PUC_NAMED;
}

/* `function M:f()` and `function M.f(self)` are the same but for what the author wrote; a method it
 * is in both. `M.f = function(self)` has its assignment behind its end. */
static bool is_method(const struct body *b, uint32_t position,
		      const struct puc_proto_head *function)
{
	return function && puc_proto__has_self(function, b->heap) && has_work(b, position + 1) &&
	       puc_proto__line(&b->proto, b->heap, position) == function->first_line;
}

/* The value is a field of a table that is known by `naming` and `name`. */
static enum puc_naming field_of(const struct body *b, uint32_t position,
				const struct puc_instruction *ins,
				const struct puc_proto_head *function, enum puc_naming naming,
				struct lua_call_name *name)
{
	struct lua_call_name key = {};
	char separator = '.';

	if (naming == PUC_NAMED) {
		if (name->text[0] && is_method(b, position, function))
			separator = ':';
		return append_key(b, position, ins, separator, name) ? PUC_NAMED : PUC_UNKNOWN;
	}
	/* [1] alone would be no name: such an item goes where the table goes. */
	if (!append_key(b, position, ins, '.', &key))
		return naming;
	*name = key;
	return PUC_NAMED;
}

static enum puc_naming list_item(const struct body *b, uint32_t position,
				 const struct puc_instruction *ins, uint32_t reg,
				 struct lua_call_name *name, unsigned int depth)
{
	bool constructed;
	enum puc_naming naming = table_name(b, position, ins->a, name, depth, &constructed);
	char text[16];

	if (naming != PUC_NAMED || !name->text[0])
		return naming;
	snprintf(text, sizeof(text), "[%u]", ins->first + (reg - ins->a));
	if (ins->first_more)
		snprintf(text, sizeof(text), "[?]");
	return lua_call_name__append_raw(name, text) ? PUC_NAMED : PUC_UNKNOWN;
}

static bool named(struct lua_call_name *name, const char *text)
{
	return lua_call_name__append(name, '.', text);
}

/* What an instruction does with the value of a register: PUC_NAMING_NONE when nothing. */
#define PUC_NAMING_NONE ((enum puc_naming) - 1)

static enum puc_naming use(const struct body *b, uint32_t position,
			   const struct puc_instruction *ins, uint32_t reg,
			   const struct puc_proto_head *function, struct lua_call_name *name,
			   unsigned int depth)
{
	char text[LUA_MAX_STRING + 1];
	enum puc_naming naming;
	bool constructed;

	switch (ins->op) {
	case PUC_OP_MOVE:
		if (ins->b != reg)
			break;
		return variable_name(b, position, ins->a, text) && named(name, text) ? PUC_NAMED
										     : PUC_UNKNOWN;
	case PUC_OP_SETGLOBAL:
		if (ins->value != (int32_t)reg)
			break;
		return append_key(b, position, ins, '.', name) ? PUC_NAMED : PUC_UNKNOWN;
	case PUC_OP_SETUPVAL:
		if (ins->value != (int32_t)reg)
			break;
		return puc_proto__upvalue_name(&b->proto, b->heap, ins->b, text) &&
				       named(name, text)
			       ? PUC_NAMED
			       : PUC_UNKNOWN;
	case PUC_OP_SETTABUP:
		if (ins->value != (int32_t)reg)
			break;
		naming = upvalue_table(b, ins->a, name) ? PUC_NAMED : PUC_UNKNOWN;
		return field_of(b, position, ins, function, naming, name);
	case PUC_OP_SETTABLE:
		if (ins->value != (int32_t)reg)
			break;
		naming = table_name(b, position, ins->a, name, depth, &constructed);
		return field_of(b, position, ins, constructed ? NULL : function, naming, name);
	case PUC_OP_SETLIST:
		if (reg <= ins->a || (ins->b && reg > ins->a + ins->b))
			break;
		return list_item(b, position, ins, reg, name, depth);
	case PUC_OP_CALL:
	case PUC_OP_TAILCALL:
		if (reg == ins->a)
			return PUC_ANONYMOUS;
		if (reg < ins->a || (ins->b && reg >= ins->a + ins->b))
			break;
		if (!origin_name(b, position, ins->a, name, depth))
			*name = (struct lua_call_name){};
		return PUC_ARGUMENT;
	case PUC_OP_RETURN:
		if (reg < ins->a || (ins->b && reg + 1 >= ins->a + ins->b))
			break;
		return PUC_RETURNED;
	case PUC_OP_SELF:
	case PUC_OP_GETTABLE:
		if (ins->b == reg)
			return PUC_ANONYMOUS;
		break;
	default:
		break;
	}
	return puc_bytecode__sets(ins, reg) ? PUC_ANONYMOUS : PUC_NAMING_NONE;
}

/* Where the value that the register has from `position` on goes first. `function` is the value
 * itself, NULL for a table around it. */
static enum puc_naming destination(const struct body *b, uint32_t position, uint32_t reg,
				   const struct puc_proto_head *function,
				   struct lua_call_name *name, unsigned int depth)
{
	char text[LUA_MAX_STRING + 1];
	struct puc_instruction ins;
	enum puc_naming naming;

	for (; position < b->proto.code_count && has_work(b, 1); position++) {
		if (b->starts[position] && variable_name(b, position, reg, text))
			return named(name, text) ? PUC_NAMED : PUC_UNKNOWN;
		ins = instruction(b, position);
		switch (ins.op) {
		case PUC_OP_JMP:
			/* Behind an `and` or `or`: both ways lead to the same place. */
			if (ins.jump < 0)
				return PUC_UNKNOWN;
			position += (uint32_t)ins.jump;
			break;
		case PUC_OP_TEST:
		case PUC_OP_TESTSET:
			/* Neither a function nor a table is false. The jump is behind it. */
			if (reg != (ins.op == PUC_OP_TEST ? ins.a : ins.b))
				break;
			if (!ins.condition)
				position++;
			else if (ins.op == PUC_OP_TESTSET)
				reg = ins.a;
			break;
		default:
			naming = use(b, position, &ins, reg, function, name, depth);
			if (naming != PUC_NAMING_NONE)
				return naming;
			position += upvalue_instructions(b, &ins);
		}
	}
	return PUC_UNKNOWN;
}

/* ---- functions -------------------------------------------------------------------------------
 */

static void body_close(struct body *b)
{
	puc_proto__close(&b->proto);
	free(b->children);
	free(b->starts);
}

static int body_open(struct body *b, uint64_t address, uint64_t id, uint32_t tgid)
{
	struct puc_proto *proto = &b->proto;
	uint32_t i;
	int err;

	err = puc_proto__open(b->heap, address, tgid, proto);
	if (err)
		return err;
	if (proto->head.id != id)
		return -ESTALE;
	b->starts = calloc(proto->code_count + 1ul, 1);
	b->children = calloc(proto->head.child_count + 1ul, sizeof(*b->children));
	if (!b->starts || !b->children)
		return -ENOMEM;
	for (i = 0; i < proto->head.variable_count; i++) {
		if (proto->variables[i].start >= 0 &&
		    (uint32_t)proto->variables[i].start < proto->code_count)
			b->starts[proto->variables[i].start] = 1;
	}
	for (i = 0; !err && i < proto->head.child_count; i++)
		err = puc_proto__head(b->heap, proto->children[i], tgid, &proto->head,
				      &b->children[i]);
	return err;
}

/* Protos that are still to be looked at. */
struct queue {
	uint32_t count, next;
	struct {
		uint64_t address, id;
	} items[MAX_TREE];
};

static void queue_add(struct queue *self, uint64_t address, uint64_t id)
{
	if (self->count == MAX_TREE)
		return;
	self->items[self->count].address = address;
	self->items[self->count].id = id;
	self->count++;
}

static enum puc_naming name_closure(const struct body *b, uint32_t position,
				    const struct puc_instruction *ins, struct lua_call_name *name)
{
	const struct puc_proto_head *child = &b->children[ins->b];
	char text[LUA_MAX_STRING + 1];
	enum puc_naming naming;

	/* Up to 5.1 it is put straight into the variable that it is assigned to. */
	if (variable_name(b, position, ins->a, text))
		return named(name, text) ? PUC_NAMED : PUC_UNKNOWN;
	naming = destination(b, position + 1 + child->upvalue_count, ins->a, child, name, 0);
	/* In stripped code that may be a variable's value. */
	if (!b->proto.head.variable_count && (naming == PUC_RETURNED || naming == PUC_ANONYMOUS))
		naming = PUC_UNKNOWN;
	return naming;
}

static void name_closures(const struct body *b, struct queue *queue, puc_definition_fn found,
			  void *context)
{
	const struct puc_proto *proto = &b->proto;
	struct puc_definition definition;
	struct puc_instruction ins;
	struct lua_call_name name;
	uint32_t i;

	for (i = 0; i < proto->code_count && has_work(b, 1); i++) {
		ins = instruction(b, i);
		if (ins.op != PUC_OP_CLOSURE || ins.b >= proto->head.child_count)
			continue;
		name = (struct lua_call_name){};
		definition = (struct puc_definition){.id = b->children[ins.b].id,
						     .parent_id = proto->head.id,
						     .naming = name_closure(b, i, &ins, &name),
						     .label = name.text};
		if (!puc_proto__unchanged(proto, b->heap))
			return;
		found(context, &definition);
		if (b->children[ins.b].child_count)
			queue_add(queue, proto->children[ins.b], definition.id);
		i += b->children[ins.b].upvalue_count;
	}
}

int puc_names__definitions(struct lua_heap *heap, uint64_t address, uint64_t id, uint32_t tgid,
			   puc_definition_fn found, void *context)
{
	struct queue *queue = calloc(1, sizeof(*queue));
	uint32_t work = MAX_WORK;
	int err = 0, one;

	if (!queue)
		return -ENOMEM;
	queue_add(queue, address, id);
	while (queue->next < queue->count && work) {
		struct body b = {.heap = heap, .work = &work, .definitions = true};

		one = body_open(&b, queue->items[queue->next].address, queue->items[queue->next].id,
				tgid);
		if (!one && queue->next == 0 && b.proto.head.first_line == 0)
			found(context, &(struct puc_definition){.id = id,
								.parent_id = id,
								.naming = PUC_NAMED,
								.label = "main chunk"});
		if (!one)
			name_closures(&b, queue, found, context);
		body_close(&b);
		if (one && !err)
			err = one;
		queue->next++;
	}
	free(queue);
	return err;
}

/* ---- calls -----------------------------------------------------------------------------------
 */

int puc_names__call(struct lua_heap *heap, const struct record_call *call,
		    struct lua_call_name *name)
{
	uint32_t work = MAX_WORK;
	struct body b = {.heap = heap, .work = &work};
	struct puc_instruction ins;
	int err;

	*name = (struct lua_call_name){};
	err = body_open(&b, call->caller, call->caller_id, call->tgid);
	if (err)
		goto out;
	err = -ENOENT;
	if (call->position >= b.proto.code_count)
		goto out;
	ins = instruction(&b, call->position);
	if (ins.op == PUC_OP_CALL && origin_name(&b, call->position, ins.a, name, 0))
		err = puc_proto__unchanged(&b.proto, heap) ? 0 : -ESTALE;
out:
	body_close(&b);
	return err;
}
