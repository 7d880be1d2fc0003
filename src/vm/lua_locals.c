/* SPDX-License-Identifier: Apache-2.0 */
#include "lua_locals.h"

#include <errno.h>
#include <string.h>

#include "luajit_proto.h"
#include "puc_proto.h"

struct reader {
	struct lua_heap *heap;
	const struct lua_frame_place *place;
	lua_variable_fn found;
	void *context;
};

static int give_local(const struct reader *self, uint32_t slot, const char *name)
{
	size_t size = self->heap->ops->value_size;
	const uint8_t *value = NULL;

	if (!self->place->slots)
		return 0;

	if ((slot + 1) * size <= self->place->slots_size)
		value = self->place->slots + slot * size;
	return self->found(self->context, false, name, value);
}

static int give_upvalue(const struct reader *self, uint32_t index, const char *name)
{
	uint8_t slot[16] = {};
	int err = self->heap->ops->upvalue(self->heap, self->place->function, index, slot);

	return self->found(self->context, true, name, err ? NULL : slot);
}

/* How many upvalues the function has; 0 also when it is not the proto's. */
static uint32_t upvalue_count(const struct reader *self)
{
	struct lua_closure closure;

	if (!self->place->function ||
	    self->heap->ops->closure(self->heap, self->place->function, &closure) != 0 ||
	    closure.proto != self->place->proto)
		return 0;
	return closure.upvalue_count;
}

static int read_luajit(const struct reader *self)
{
	uint32_t count = upvalue_count(self), i;
	struct luajit_proto proto;
	const char *name;
	int err;

	err = luajit_proto__open_any(self->heap, self->place->proto, self->place->tgid, &proto);
	if (err)
		return err;
	if (proto.id != self->place->proto_id)
		err = -ESTALE;
	else if (!proto.variables)
		err = -ENODATA;
	for (i = 0; !err && i < LUA_MAX_LOCALS && i < proto.frame_size; i++) {
		name = luajit_proto__variable_name(&proto, self->place->position, i);
		if (name)
			err = give_local(self, i, name);
	}
	for (i = 0; !err && i < count && i < LUA_MAX_UPVALUES; i++) {
		name = luajit_proto__upvalue_name(&proto, i);
		if (name)
			err = give_upvalue(self, i, name);
	}
	luajit_proto__close(&proto);
	return err;
}

static int read_puc(const struct reader *self)
{
	uint32_t count = upvalue_count(self), i;
	char name[LUA_MAX_STRING + 1];
	struct puc_proto proto;
	int err;

	err = puc_proto__open(self->heap, self->place->proto, self->place->tgid, &proto);
	if (!err && proto.head.id != self->place->proto_id)
		err = -ESTALE;
	else if (!err && !proto.head.variable_count && !proto.line_count)
		err = -ENODATA;
	for (i = 0; !err && i < LUA_MAX_LOCALS; i++) {
		if (puc_proto__variable_name(&proto, self->heap, self->place->position, i, name))
			err = give_local(self, i, name);
	}
	for (i = 0; !err && i < count && i < LUA_MAX_UPVALUES; i++) {
		if (puc_proto__upvalue_name(&proto, self->heap, i, name))
			err = give_upvalue(self, i, name);
	}
	puc_proto__close(&proto);
	return err;
}

int lua_locals__read(struct lua_heap *heap, const struct lua_frame_place *place,
		     lua_variable_fn found, void *context)
{
	struct reader self = {.heap = heap, .place = place, .found = found, .context = context};

	return heap->puc ? read_puc(&self) : read_luajit(&self);
}
