// SPDX-License-Identifier: Apache-2.0
#include "record_containers.h"

#include <stdio.h>
#include <stdlib.h>

#define HASH_NONFATAL_OOM 1
#include <uthash.h>

#include "../target/container.h"
#include "../target/container_names.h"

#define SHORT_ID    12
#define LABEL_BYTES 64

struct known_process {
	uint32_t pid;
	char label[LABEL_BYTES]; /* "" outside of containers */
	UT_hash_handle hh;
};

struct record_containers {
	struct container_names *names;
	struct known_process *processes;
	const struct stored_stack *last; /* stack that was looked at */
};

struct record_containers *record_containers__new(void)
{
	struct record_containers *self = calloc(1, sizeof(*self));

	if (!self)
		return NULL;
	self->names = container_names__new(NULL);
	if (!self->names) {
		free(self);
		return NULL;
	}
	return self;
}

void record_containers__free(struct record_containers *self)
{
	struct known_process *process, *next;

	if (!self)
		return;
	HASH_ITER (hh, self->processes, process, next) {
		HASH_DEL(self->processes, process); /* NOLINT(clang-analyzer-unix.Malloc): uthash */
		free(process);
	}
	container_names__free(self->names);
	free(self);
}

static struct known_process *find(const struct record_containers *self, uint32_t pid)
{
	struct known_process *process = NULL;

	/* NOLINTNEXTLINE(clang-analyzer-core.UndefinedBinaryOperatorResult): uthash */
	HASH_FIND(hh, self->processes, &pid, sizeof(pid), process);
	return process;
}

void record_containers__note(struct record_containers *self, pid_t pid)
{
	uint32_t number = (uint32_t)pid;
	char text[CGROUP_TEXT_SIZE];
	struct container container;
	struct known_process *process;
	const char *name;

	if (find(self, number))
		return;
	process = calloc(1, sizeof(*process));
	if (!process)
		return; /* a label less */
	process->pid = number;
	if (cgroup__read(pid, text) == 0 && container__parse(text, &container)) {
		name = container_names__get(self->names, &container, pid);
		if (name)
			snprintf(process->label, sizeof(process->label), "%.60s", name);
		else
			snprintf(process->label, sizeof(process->label), "%.*s", SHORT_ID,
				 container.id);
	}
	HASH_ADD(hh, self->processes, pid, sizeof(process->pid), process);
	if (!process->hh.tbl)
		free(process);
}

void record_containers__restart(struct record_containers *self)
{
	self->last = NULL;
}

void record_containers__look(struct record_containers *self, const struct stack_store *stacks)
{
	const struct stored_stack *stack;

	while ((stack = stack_store__next(stacks, self->last))) {
		record_containers__note(self, (pid_t)stack->tgid);
		self->last = stack;
	}
}

const char *record_containers__label(void *self, uint32_t tgid)
{
	const struct known_process *process = find(self, tgid);

	return process && process->label[0] ? process->label : NULL;
}
