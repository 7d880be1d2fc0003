/* SPDX-License-Identifier: Apache-2.0 */
#include "sleepers.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "../bpf/fingerprint.h"
#include "thread_stacks.h"
#include "thread_states.h"

struct sleepers {
	struct thread_states *states;
	struct sampler *sampler;
	struct off_cpu *off_cpu;
	struct record_stack record;
};

int sleepers__new(struct sleepers **out)
{
	struct sleepers *self = calloc(1, sizeof(*self));
	int err;

	if (!self)
		return -ENOMEM;
	err = thread_states__new(&self->states, NULL);
	if (err) {
		free(self);
		return err;
	}
	*out = self;
	return 0;
}

void sleepers__free(struct sleepers *self)
{
	if (!self)
		return;
	thread_states__free(self->states);
	free(self);
}

void sleepers__want(struct sleepers *self, pid_t pid)
{
	/* Without it, the stacks of its threads are not known at first. */
	thread_states__want(self->states, pid);
}

/* The stack as the tracepoint's program would have sent it. */
static void make_record(struct record_stack *record, const struct record_task *task,
			const struct user_walk_result *walk, bool per_thread, bool kernel)
{
	uint32_t count = kernel ? task->kernel_count : 0, i;
	__u64 comm[2];

	memset(record, 0, RECORD_STACK_HEADER);
	record->type = RECORD_STACK;
	record->tgid = task->tgid;
	record->tid = per_thread ? task->tid : 0;
	record->stop = (uint8_t)walk->stop;
	record->flags =
		(uint8_t)((walk->lua_error == LUA_ORDER ? STACK_LUA_ORDER : 0) |
			  (task->state ? OFF_CPU_BLOCKED : OFF_CPU_WAITING) << STACK_OFF_CPU_SHIFT |
			  walk->vm_state << STACK_VM_STATE_SHIFT);
	memcpy(record->comm, task->comm, sizeof(record->comm));
	memcpy(comm, task->comm, sizeof(comm));
	for (i = 0; i < count; i++)
		record->words[i] = task->kernel[i];
	for (i = 0; i < walk->word_count && count < MAX_WORDS; i++)
		record->words[count++] = walk->words[i];
	record->word_count = (uint16_t)count;
	record->hash =
		stack_fingerprint(record->stop, record->flags, record->tgid, record->tid, comm);
	for (i = 0; i < count; i++)
		record->hash = hash_mix(record->hash, record->words[i]);
}

static int take(void *context, const struct record_task *task, const struct user_walk_result *walk)
{
	struct sleepers *self = context;
	const struct sampler_options *options = sampler__options(self->sampler);
	int err;

	if (task->state & TASK_STATE_DEAD)
		return 0;
	make_record(&self->record, task, walk, options->per_thread, options->kernel);
	err = sampler__take_record(self->sampler, &self->record,
				   RECORD_STACK_HEADER + 8ull * self->record.word_count);
	return err ? err : off_cpu__add_sleeper(self->off_cpu, task, self->record.hash);
}

int sleepers__find(struct sleepers *self, struct sampler *sampler, struct off_cpu *off_cpu)
{
	struct thread_stacks *stacks = thread_stacks__new(sampler, self->states, false);
	int left;

	if (!stacks)
		return -ENOMEM;
	self->sampler = sampler;
	self->off_cpu = off_cpu;
	left = thread_stacks__look(stacks, take, self);
	thread_stacks__free(stacks);
	return left < 0 ? left : 0;
}
