/* SPDX-License-Identifier: Apache-2.0 */
#include "lua_heap.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define MAX_ADDRESS (1ull << 47)
#define TABLE_TRIES 3

/* Asking for CPU time is a system call. */
#define READS_PER_LOOK 16u

static uint64_t now_ns(clockid_t clock)
{
	struct timespec now;

	clock_gettime(clock, &now);
	return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

void lua_heap__init(struct lua_heap *self, const struct lua_heap_ops *ops, const void *layout,
		    size_t node_size, lua_read_fn read, void *context)
{
	*self = (struct lua_heap){
		.read = read,
		.context = context,
		.ops = ops,
		.layout = layout,
		.node_size = node_size,
		.deadline_ns = now_ns(CLOCK_MONOTONIC) + LUA_MAX_TIME_NS,
		.cpu_deadline_ns = now_ns(CLOCK_THREAD_CPUTIME_ID) + LUA_MAX_CPU_NS,
	};
}

bool lua_heap__exhausted(struct lua_heap *self)
{
	if (self->reads >= LUA_MAX_READS || now_ns(CLOCK_MONOTONIC) > self->deadline_ns)
		self->exhausted = true;
	if (!self->until_look--) {
		self->until_look = READS_PER_LOOK - 1;
		if (now_ns(CLOCK_THREAD_CPUTIME_ID) > self->cpu_deadline_ns)
			self->exhausted = true;
	}
	return self->exhausted;
}

int lua_heap__read(struct lua_heap *self, uint64_t address, void *bytes, size_t size)
{
	if (lua_heap__exhausted(self))
		return -ETIME;
	self->reads++;
	return self->read(self->context, address, bytes, size);
}

bool lua_heap__is_ref(uint64_t ref)
{
	return ref != 0 && ref % 8 == 0 && ref < MAX_ADDRESS;
}

/* ---- objects ----------------------------------------------------------------------------- */

int lua_heap__object(struct lua_heap *self, uint64_t ref, void *bytes, size_t size)
{
	return lua_heap__is_ref(ref) ? lua_heap__read(self, ref, bytes, size) : -EINVAL;
}

int lua_heap__thread(struct lua_heap *self, uint64_t ref, uint64_t *env, uint64_t *g)
{
	return self->ops->thread(self, ref, env, g);
}

int lua_heap__main_thread(struct lua_heap *self, uint64_t g, uint64_t *ref)
{
	return lua_heap__is_ref(g) ? self->ops->main_thread(self, g, ref) : -EINVAL;
}

int lua_heap__function(struct lua_heap *self, const struct lua_value *value,
		       struct lua_function *function)
{
	int err = 0;

	if (value->type == VALUE_LIGHT_FUNCTION)
		*function = (struct lua_function){.entry = value->ref, .ffid = 1};
	else
		err = self->ops->function(self, value->ref, function);
	if (!err && function->ffid && (function->entry == 0 || function->entry >= MAX_ADDRESS))
		return -EINVAL;
	return err;
}

int lua_heap__userdata_metatable(struct lua_heap *self, uint64_t ref, uint64_t *metatable)
{
	return self->ops->userdata_metatable(self, ref, metatable);
}

int lua_heap__string(struct lua_heap *self, uint64_t ref, char *text)
{
	return self->ops->string(self, ref, text);
}

int lua_heap__characters(struct lua_heap *self, uint64_t address, uint64_t length, char *text)
{
	int err;

	if (length == 0 || length > LUA_MAX_STRING)
		return -EINVAL;
	/* The '\0' that stands behind every string tells that this is one. */
	err = lua_heap__read(self, address, text, length + 1);
	if (err)
		return err;
	return memchr(text, '\0', length + 1) == text + length ? 0 : -EINVAL;
}

/* ---- tables ------------------------------------------------------------------------------ */

static int read_nodes(struct lua_heap *self, const struct lua_nodes *nodes, struct lua_table *table)
{
	size_t size = nodes->count * self->node_size;

	if (!lua_heap__is_ref(nodes->address))
		return -EINVAL;
	if (nodes->count > LUA_MAX_NODES)
		return -E2BIG;
	table->nodes = malloc(size);
	if (!table->nodes)
		return -ENOMEM;
	table->count = nodes->count;
	table->metatable = nodes->metatable;
	return lua_heap__read(self, nodes->address, table->nodes, size);
}

int lua_heap__table(struct lua_heap *self, uint64_t ref, struct lua_table *table)
{
	struct lua_nodes before, after;
	int tries, err;

	*table = (struct lua_table){};
	err = self->ops->nodes(self, ref, &before);
	for (tries = 0; !err && tries < TABLE_TRIES; tries++) {
		lua_heap__table_free(table);
		err = read_nodes(self, &before, table);
		/* Was that block the table's all the time? Freed, it may be anything's. When it
		 * could not be read, there may be a new one by now. */
		if (err && err != -EFAULT)
			break;
		if (self->ops->nodes(self, ref, &after) != 0) {
			err = -EINVAL;
			break;
		}
		if (before.address == after.address && before.count == after.count) {
			if (!err)
				return 0;
			break;
		}
		err = 0;
		before = after;
	}
	lua_heap__table_free(table);
	return err ? err : -EAGAIN;
}

void lua_heap__table_free(struct lua_table *table)
{
	free(table->nodes);
	*table = (struct lua_table){};
}

void lua_heap__node(const struct lua_heap *self, const struct lua_table *table, uint32_t i,
		    struct lua_value *key, struct lua_value *value)
{
	self->ops->node(self, (const uint8_t *)table->nodes + i * self->node_size, key, value);
}

struct lua_value lua_heap__field(struct lua_heap *self, uint64_t ref, const char *name)
{
	struct lua_value key, value, found = {.type = VALUE_OTHER};
	char text[LUA_MAX_STRING + 1];
	struct lua_table table;
	uint32_t i;

	if (lua_heap__table(self, ref, &table) != 0)
		return found;
	for (i = 0; i < table.count && !self->exhausted; i++) {
		lua_heap__node(self, &table, i, &key, &value);
		if (key.type == VALUE_STRING && value.type != VALUE_OTHER &&
		    lua_heap__string(self, key.ref, text) == 0 && strcmp(text, name) == 0) {
			found = value;
			break;
		}
	}
	lua_heap__table_free(&table);
	return found;
}

struct lua_value lua_heap__field_by_ref(struct lua_heap *self, uint64_t ref, uint64_t key,
					uint64_t *metatable)
{
	struct lua_value its_key, value, found = {.type = VALUE_OTHER};
	struct lua_table table;
	uint32_t i;

	if (metatable)
		*metatable = 0;
	if (lua_heap__table(self, ref, &table) != 0)
		return found;
	if (metatable)
		*metatable = table.metatable;
	for (i = 0; i < table.count; i++) {
		lua_heap__node(self, &table, i, &its_key, &value);
		if (its_key.type == VALUE_STRING && its_key.ref == key) {
			found = value;
			break;
		}
	}
	lua_heap__table_free(&table);
	return found;
}

/* ---- roots ------------------------------------------------------------------------------- */

uint64_t lua_heap__registry(struct lua_heap *self, uint64_t g)
{
	return self->ops->registry(self, g);
}

uint64_t lua_heap__base_metatable(struct lua_heap *self, uint64_t g, unsigned int index,
				  const char **name)
{
	*name = NULL;
	return self->ops->base_metatable(self, g, index, name);
}
