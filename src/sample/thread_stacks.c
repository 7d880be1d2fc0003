/* SPDX-License-Identifier: Apache-2.0 */
#include "thread_stacks.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "../target/memory.h"
#include "targets.h"

/* So many are walked between two reads of their states: a walk takes some tenths of a millisecond,
 * in which few threads wake up, and a read of the states of a large machine about as much as that
 * many walks. */
#define BATCH 64u

/* Each batch takes a read of the states of all threads there are: without an end, tens of thousands
 * of threads would take minutes. */
#define MAX_LOOK_MS 3000u

#define MAX_DONE 65536u

struct walked {
	struct record_task task;
	struct user_walk_result walk;
};

struct task_list {
	struct record_task *tasks;
	size_t count, capacity;
	size_t found; /* where the last one was that was looked for */
};

struct thread_stacks {
	struct sampler *sampler;
	struct thread_states *states;
	bool values;
	struct user_walk *walker;
	struct task_list tasks; /* those that are not done */
	struct task_list after; /* the same a little later */
	pid_t *done;		/* ascending */
	size_t done_count, done_capacity;
	struct walked batch[BATCH];
};

struct thread_stacks *thread_stacks__new(struct sampler *sampler, struct thread_states *states,
					 bool values)
{
	struct thread_stacks *self = calloc(1, sizeof(*self));

	if (!self)
		return NULL;
	self->sampler = sampler;
	self->states = states;
	self->values = values;
	self->walker = user_walk__new();
	if (!self->walker) {
		free(self);
		return NULL;
	}
	return self;
}

void thread_stacks__free(struct thread_stacks *self)
{
	if (!self)
		return;
	user_walk__free(self->walker);
	free(self->tasks.tasks);
	free(self->after.tasks);
	free(self->done);
	free(self);
}

/* Where `tid` is, or belongs, among those that are done. */
static size_t done_index(const struct thread_stacks *self, pid_t tid)
{
	size_t low = 0, high = self->done_count, middle;

	while (low < high) {
		middle = low + (high - low) / 2;
		if (self->done[middle] < tid)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

static bool is_done(const struct thread_stacks *self, pid_t tid)
{
	size_t at = done_index(self, tid);

	return at < self->done_count && self->done[at] == tid;
}

void thread_stacks__done(struct thread_stacks *self, pid_t tid)
{
	size_t at = done_index(self, tid), capacity;
	pid_t *grown;

	if ((at < self->done_count && self->done[at] == tid) || self->done_count == MAX_DONE)
		return;
	if (self->done_count == self->done_capacity) {
		capacity = self->done_capacity ? 2 * self->done_capacity : 64;
		grown = reallocarray(self->done, capacity, sizeof(*grown));
		if (!grown)
			return; /* it is looked at again */
		self->done = grown;
		self->done_capacity = capacity;
	}
	memmove(self->done + at + 1, self->done + at,
		(self->done_count - at) * sizeof(*self->done));
	self->done[at] = tid;
	self->done_count++;
}

/* ---- lists of threads --------------------------------------------------------------------------
 */

struct read_context {
	const struct thread_stacks *self;
	struct task_list *list;
};

static int keep_task(void *context, const struct record_task *task)
{
	const struct read_context *read = context;
	struct task_list *list = read->list;
	struct record_task *grown;
	size_t capacity;

	if (is_done(read->self, (pid_t)task->tid))
		return 0;
	if (list->count == list->capacity) {
		capacity = list->capacity ? 2 * list->capacity : 16;
		grown = reallocarray(list->tasks, capacity, sizeof(*grown));
		if (!grown)
			return -ENOMEM;
		list->tasks = grown;
		list->capacity = capacity;
	}
	list->tasks[list->count++] = *task;
	return 0;
}

static int read_tasks(const struct thread_stacks *self, struct task_list *list)
{
	struct read_context read = {.self = self, .list = list};

	list->count = list->found = 0;
	return thread_states__read(self->states, keep_task, &read);
}

/* NULL when it is not there. The lists have the same order: it is behind the last one, mostly. */
static const struct record_task *find_task(struct task_list *list, uint32_t tid)
{
	size_t i, at;

	for (i = 0; i < list->count; i++) {
		at = (list->found + i) % list->count;
		if (list->tasks[at].tid == tid) {
			list->found = at;
			return &list->tasks[at];
		}
	}
	return NULL;
}

static uint64_t now_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

/* ---- walks -------------------------------------------------------------------------------------
 */

static int read_process(void *context, uint64_t address, void *bytes, size_t size)
{
	return memory__read(*(const pid_t *)context, address, bytes, size);
}

static void walk(struct thread_stacks *self, const struct record_task *task,
		 struct user_walk_result *result)
{
	pid_t pid = (pid_t)task->tgid;
	uint64_t registers[DW_REG_COUNT];
	struct user_walk_view view = {
		.tables = sampler__tables(self->sampler),
		.tgid = task->tgid,
		.tid = task->tid,
		.read = read_process,
		.context = &pid,
		.record = sampler__take_record,
		.record_context = self->sampler,
		.with_values = self->values,
	};

	memcpy(registers, task->registers, sizeof(registers));
	if (task->has_registers && targets__view(sampler__targets(self->sampler), pid,
						 &view.mappings, &view.mapping_count, &view.vm)) {
		user_walk__thread(self->walker, &view, registers, result);
		return;
	}
	result->stop = STOP_KERNEL_ONLY;
	result->lua_error = LUA_OK;
	result->word_count = result->lua_frames = result->coroutine_count = 0;
	result->activations = result->native_frames = result->vm_state = 0;
	result->hash = result->unknown_pc = result->thread_vm = 0;
}

/* Walks up to BATCH threads from *at on. */
static size_t walk_batch(struct thread_stacks *self, size_t *at)
{
	size_t count = 0;

	for (; *at < self->tasks.count && count < BATCH; (*at)++) {
		if (self->tasks.tasks[*at].on_cpu)
			continue;
		self->batch[count].task = self->tasks.tasks[*at];
		walk(self, &self->batch[count].task, &self->batch[count].walk);
		count++;
	}
	return count;
}

int thread_stacks__look(struct thread_stacks *self,
			int (*found)(void *context, const struct record_task *task,
				     const struct user_walk_result *walk),
			void *context)
{
	uint64_t deadline = now_ms() + MAX_LOOK_MS;
	const struct record_task *after;
	size_t at = 0, count, i, left = 0;
	int err;

	err = read_tasks(self, &self->tasks);
	while (!err && now_ms() < deadline && (count = walk_batch(self, &at)) > 0) {
		err = read_tasks(self, &self->after);
		for (i = 0; !err && i < count; i++) {
			after = find_task(&self->after, self->batch[i].task.tid);
			if (!after || !record_task__unchanged(&self->batch[i].task, after))
				continue;
			thread_stacks__done(self, (pid_t)after->tid);
			err = found(context, &self->batch[i].task, &self->batch[i].walk);
			if (err > 0)
				err = 0;
		}
		/* The next ones as they are now. */
		for (i = at; i < self->tasks.count; i++) {
			after = find_task(&self->after, self->tasks.tasks[i].tid);
			if (after)
				self->tasks.tasks[i] = *after;
		}
	}
	if (err)
		return err;
	for (i = 0; i < self->tasks.count; i++) {
		if (!is_done(self, (pid_t)self->tasks.tasks[i].tid))
			self->tasks.tasks[left++] = self->tasks.tasks[i];
	}
	self->tasks.count = left;
	return (int)left;
}

void thread_stacks__left(const struct thread_stacks *self,
			 void (*left)(void *context, const struct record_task *task), void *context)
{
	size_t i;

	for (i = 0; i < self->tasks.count; i++)
		left(context, &self->tasks.tasks[i]);
}
