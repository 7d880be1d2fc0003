/* SPDX-License-Identifier: Apache-2.0 */
#include "dump_threads.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "../sample/thread_stacks.h"

#define MAX_TIME_MS 2000
#define POLL_MS	    5

struct collecting {
	struct dump_session *session;
	struct thread_stacks *stacks;
	const struct stored_stack *seen; /* of the sampler's, the last one */
};

static uint64_t now_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

static struct dump_thread *add_thread(struct dump_session *session, pid_t pid, pid_t tid,
				      const char *comm)
{
	struct dump_process *process = dump__process(session->dump, pid);
	struct dump_thread *thread = process ? dump_process__add_thread(process) : NULL;

	if (!thread)
		return NULL;
	thread->tid = tid;
	thread->system_call = NO_SYSTEM_CALL;
	memcpy(thread->comm, comm, sizeof(thread->comm) - 1);
	return thread;
}

static int take_walk(void *context, const struct record_task *task,
		     const struct user_walk_result *walk)
{
	struct collecting *self = context;
	struct dump_thread *thread;

	thread = add_thread(self->session, (pid_t)task->tgid, (pid_t)task->tid, task->comm);
	if (!thread)
		return dump__process(self->session->dump, (pid_t)task->tgid) ? -ENOMEM : 0;
	thread->state = task->state;
	thread->system_call = task->system_call;
	thread->coroutine_count = walk->coroutine_count;
	memcpy(thread->coroutines, walk->coroutines,
	       walk->coroutine_count * sizeof(*walk->coroutines));
	return dump_session__put_walk(self->session, &thread->stack, (pid_t)task->tgid, walk, task);
}

static bool has_thread(const struct dump_process *process, pid_t tid)
{
	size_t i;

	for (i = 0; i < process->thread_count; i++) {
		if (process->threads[i].tid == tid)
			return true;
	}
	return false;
}

/* The threads that have come to have a sample. */
static int take_samples(struct collecting *self)
{
	const struct stack_store *store = sampler__stacks(self->session->sampler);
	const struct stored_stack *sample;
	struct dump_process *process;
	struct dump_thread *thread;
	int err = 0;

	while (!err && (sample = stack_store__next(store, self->seen))) {
		self->seen = sample;
		process = dump__process(self->session->dump, (pid_t)sample->tgid);
		if (!process || has_thread(process, (pid_t)sample->tid))
			continue;
		thread = add_thread(self->session, process->pid, (pid_t)sample->tid, sample->comm);
		if (!thread)
			return -ENOMEM;
		thread->is_running = true;
		thread_stacks__done(self->stacks, thread->tid);
		err = dump_session__put_sample(self->session, &thread->stack, sample);
	}
	return err;
}

/* One that neither stood still nor gave a sample. */
static void add_left(void *context, const struct record_task *task)
{
	struct collecting *self = context;
	struct dump_thread *thread;

	thread = add_thread(self->session, (pid_t)task->tgid, (pid_t)task->tid, task->comm);
	if (!thread)
		return;
	thread->is_running = task->on_cpu;
	thread->state = task->state;
	thread->system_call = task->system_call;
}

static int compare_threads(const void *a, const void *b)
{
	const struct dump_thread *left = a, *right = b;

	return left->tid < right->tid ? -1 : left->tid > right->tid;
}

/* In the order of their numbers, not in that in which they could be read. */
static void sort_threads(const struct dump *dump)
{
	size_t i;

	for (i = 0; i < dump->count; i++) {
		if (dump->processes[i].thread_count < 2)
			continue;
		qsort(dump->processes[i].threads, dump->processes[i].thread_count,
		      sizeof(struct dump_thread), compare_threads);
	}
}

int dump_threads__collect(struct dump_session *session)
{
	struct collecting self = {.session = session};
	uint64_t began = now_ms();
	int left, err;

	self.stacks =
		thread_stacks__new(session->sampler, session->states, session->values != NULL);
	if (!self.stacks)
		return -ENOMEM;
	for (;;) {
		left = err = thread_stacks__look(self.stacks, take_walk, &self);
		if (err <= 0 || now_ms() - began > MAX_TIME_MS)
			break;
		err = sampler__poll(session->sampler, POLL_MS);
		if (err == -EINTR)
			err = 0;
		if (!err)
			err = take_samples(&self);
		if (err)
			break;
	}
	if (left > 0 && err >= 0)
		thread_stacks__left(self.stacks, add_left, &self);
	thread_stacks__free(self.stacks);
	sort_threads(session->dump);
	return err < 0 ? err : 0;
}
