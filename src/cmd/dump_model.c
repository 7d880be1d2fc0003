/* SPDX-License-Identifier: Apache-2.0 */
#include "dump_model.h"

#include <stdlib.h>
#include <string.h>

void dump_variables__clear(struct dump_variables *self)
{
	uint32_t i;

	for (i = 0; i < self->count; i++) {
		free(self->items[i].name);
		free(self->items[i].text);
	}
	free(self->items);
	*self = (struct dump_variables){};
}

void dump_stack__free(struct dump_stack *self)
{
	uint32_t i;

	for (i = 0; self->variables && i < self->lua_count; i++)
		dump_variables__clear(&self->variables[i]);
	free(self->variables);
	free(self->stored);
	free(self->frames);
	free(self->lua);
	*self = (struct dump_stack){};
}

static void free_process(struct dump_process *process)
{
	size_t i, k;

	for (i = 0; i < process->thread_count; i++)
		dump_stack__free(&process->threads[i].stack);
	for (i = 0; i < process->vm_count; i++) {
		for (k = 0; k < process->vms[i].count; k++)
			dump_stack__free(&process->vms[i].coroutines[k].stack);
		free(process->vms[i].coroutines);
	}
	free(process->threads);
	free(process->vms);
}

void dump__free(struct dump *self)
{
	size_t i;

	for (i = 0; i < self->count; i++)
		free_process(&self->processes[i]);
	free(self->processes);
	profile__free(self->profile);
	*self = (struct dump){};
}

/* Room for one more element, zeroed; NULL when out of memory. */
static void *add(void *array, size_t *count, size_t size)
{
	char *items, *grown;

	memcpy(&items, array, sizeof(items));
	if ((*count & (*count - 1)) == 0) {
		grown = reallocarray(items, *count ? 2 * *count : 1, size);
		if (!grown)
			return NULL;
		items = grown;
		memcpy(array, &items, sizeof(items));
	}
	return memset(items + (*count)++ * size, 0, size);
}

struct dump_process *dump__process(const struct dump *self, pid_t pid)
{
	size_t i;

	for (i = 0; i < self->count; i++) {
		if (self->processes[i].pid == pid)
			return &self->processes[i];
	}
	return NULL;
}

struct dump_process *dump__add_process(struct dump *self, pid_t pid)
{
	struct dump_process *process =
		add(&self->processes, &self->count, sizeof(*self->processes));

	if (process)
		process->pid = pid;
	return process;
}

struct dump_thread *dump_process__add_thread(struct dump_process *self)
{
	return add(&self->threads, &self->thread_count, sizeof(*self->threads));
}

struct dump_vm *dump_process__add_vm(struct dump_process *self)
{
	return add(&self->vms, &self->vm_count, sizeof(*self->vms));
}

struct dump_coroutine *dump_vm__add_coroutine(struct dump_vm *self)
{
	return add(&self->coroutines, &self->count, sizeof(*self->coroutines));
}

int dump__each_stack(struct dump *self, int (*visit)(void *context, struct dump_stack *stack),
		     void *context)
{
	struct dump_process *process;
	size_t p, i, k;
	int err = 0;

	for (p = 0; p < self->count && !err; p++) {
		process = &self->processes[p];
		for (i = 0; i < process->thread_count && !err; i++)
			err = visit(context, &process->threads[i].stack);
		for (i = 0; i < process->vm_count && !err; i++) {
			for (k = 0; k < process->vms[i].count && !err; k++)
				err = visit(context, &process->vms[i].coroutines[k].stack);
		}
	}
	return err;
}
