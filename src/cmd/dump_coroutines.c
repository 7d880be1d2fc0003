/* SPDX-License-Identifier: Apache-2.0 */
#include "dump_coroutines.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "../sample/targets.h"
#include "../target/maps.h"
#include "../vm/luajit_vms.h"
#include "../vm/puc_vms.h"

/* Of a process: what searching its memory for VMs may take of CPU time, what following the
 * collector's list, and walking coroutines, of each VM. */
#define SEARCH_NS 500000000ull
#define LIST_NS	  1500000000ull
#define WALK_NS	  5000000000ull
#define TRIES	  3

struct collecting {
	struct dump_session *session;
	struct dump_process *process;
	struct maps maps;
	struct user_walk_result result;
};

static uint64_t now_ns(clockid_t clock)
{
	struct timespec now;

	clock_gettime(clock, &now);
	return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

/* ---- has the process run? ----------------------------------------------------------------------
 */

struct activity {
	pid_t pid;
	uint64_t switches, threads;
	bool is_running;
};

static int add_activity(void *context, const struct record_task *task)
{
	struct activity *self = context;

	if ((pid_t)task->tgid != self->pid)
		return 0;
	self->switches += task->switches;
	self->threads++;
	self->is_running |= task->on_cpu;
	return 0;
}

static struct activity read_activity(const struct collecting *self)
{
	struct activity activity = {.pid = self->process->pid};

	if (thread_states__read(self->session->states, add_activity, &activity) != 0)
		activity.is_running = true;
	return activity;
}

/* ---- one coroutine -----------------------------------------------------------------------------
 */

/* Which thread has it on its C stack. */
static void find_thread(const struct dump_process *process, struct dump_coroutine *coroutine)
{
	const struct dump_thread *thread;
	size_t i;
	uint32_t k;

	for (i = 0; i < process->thread_count; i++) {
		thread = &process->threads[i];
		for (k = 0; k < thread->coroutine_count; k++) {
			if (thread->coroutines[k] != coroutine->L)
				continue;
			coroutine->thread = thread->tid;
			coroutine->is_innermost = k == 0;
			return;
		}
	}
}

enum walked {
	WALKED,
	WALKED_TORN, /* it went on each time */
	WALKED_GONE,
};

/* Walks it while it does not go on. */
static enum walked walk(struct collecting *self, const struct lua_vm_place *vm,
			struct user_walk_view *view, uint32_t puc, struct lua_thread *thread)
{
	struct lua_thread after;
	int tries;

	for (tries = 0; tries < TRIES; tries++) {
		user_walk__coroutine(self->session->walker, view, thread->L, puc,
				     thread->status == LUA_THREAD_SUSPENDED, &self->result);
		if (lua_thread__read(vm, thread->L, &after) != 0)
			return WALKED_GONE;
		if (lua_thread__unchanged(thread, &after))
			return WALKED;
		*thread = after;
	}
	return WALKED_TORN;
}

static int add_coroutine(struct collecting *self, const struct lua_vm_place *place, uint32_t luajit,
			 uint32_t puc, struct lua_thread *thread, struct dump_vm *vm, bool in_time)
{
	struct dump_session *session = self->session;
	struct dump_coroutine *coroutine = dump_vm__add_coroutine(vm);
	struct user_walk_view view;
	const pid_t pid = self->process->pid;
	enum walked walked;
	int err;

	if (!coroutine)
		return -ENOMEM;
	coroutine->L = thread->L;
	coroutine->status = thread->status;
	if (thread->status == LUA_THREAD_ACTIVE)
		find_thread(self->process, coroutine);
	/* The frames of an active one are on its thread's stack, and not all on its own. */
	if (thread->status != LUA_THREAD_SUSPENDED && thread->status != LUA_THREAD_INITIAL)
		return 0;
	if (!in_time) {
		vm->left_out++;
		return 0;
	}
	if (!dump_session__view(session, &pid, &view))
		return -ESRCH;
	if (luajit)
		view.vm = luajit;
	walked = walk(self, place, &view, puc, thread);
	coroutine->status = thread->status;
	coroutine->is_torn = walked == WALKED_TORN;
	if (walked == WALKED_GONE)
		vm->count--;
	if (walked != WALKED)
		return 0;
	err = dump_session__put_walk(session, &coroutine->stack, pid, &self->result, NULL);
	/* What has nothing to call has been called. */
	if (!err && thread->status == LUA_THREAD_INITIAL && !self->result.word_count)
		coroutine->status = LUA_THREAD_FINISHED;
	return err;
}

/* ---- VMs ---------------------------------------------------------------------------------------
 */

static void name_runtime(const struct luajit_build *build, const struct puc_build *puc,
			 struct dump_vm *vm)
{
	if (build)
		snprintf(vm->runtime, sizeof(vm->runtime), "LuaJIT %s",
			 build->gc64 ? "GC64" : "GC32");
	else
		snprintf(vm->runtime, sizeof(vm->runtime), "Lua %u.%u.%u", puc->release / 10000,
			 puc->release / 100 % 100, puc->release % 100);
}

static int add_vm(struct collecting *self, uint64_t g, uint32_t luajit, uint32_t puc)
{
	const struct modules *modules = sampler__modules(self->session->sampler);
	struct dump_vm *vm = dump_process__add_vm(self->process);
	struct lua_vm_place place = {.pid = self->process->pid,
				     .g = g,
				     .build = modules__build(modules, luajit),
				     .puc = modules__puc(modules, puc),
				     .maps = &self->maps};
	struct activity before, after;
	struct lua_threads threads;
	uint64_t deadline;
	size_t i;
	int err;

	if (!vm)
		return -ENOMEM;
	vm->g = g;
	name_runtime(place.build, place.puc, vm);
	before = read_activity(self);
	err = lua_threads__list(&place, now_ns(CLOCK_MONOTONIC) + LIST_NS, &threads);
	vm->is_complete = !err && threads.is_complete;
	vm->out_of_time = threads.out_of_time;
	if (err)
		vm->error = err == -ENOENT ? "this release's list of objects is not known"
					   : "its list of objects could not be read";
	err = err == -ENOMEM ? err : 0;
	deadline = now_ns(CLOCK_MONOTONIC) + WALK_NS;
	for (i = 0; i < threads.count && !err; i++)
		err = add_coroutine(self, &place, luajit, puc, &threads.threads[i], vm,
				    now_ns(CLOCK_MONOTONIC) < deadline);
	lua_threads__free(&threads);
	after = read_activity(self);
	vm->has_run = before.is_running || after.is_running || before.switches != after.switches ||
		      before.threads != after.threads;
	return err;
}

/* Those of one file with LuaJIT or PUC Lua in it. */
static int add_vms(struct collecting *self, const struct module *module, struct found_vms *found)
{
	const struct modules *modules = sampler__modules(self->session->sampler);
	const struct luajit_build *build = modules__build(modules, module->vm);
	const struct puc_build *puc = modules__puc(modules, module->puc);
	uint64_t deadline = now_ns(CLOCK_PROCESS_CPUTIME_ID) + SEARCH_NS;
	pid_t pid = self->process->pid;
	uint32_t i;
	int err;

	found->count = 0;
	if (build)
		err = luajit_vms__find(pid, &self->maps, build, deadline, found);
	else if (puc)
		err = puc_vms__find(pid, &self->maps, puc, deadline, found);
	else
		return 0;
	if (err == -ETIME || err == -E2BIG || err == -ENODATA) {
		self->process->vms_incomplete = true;
		err = 0;
	}
	for (i = 0; i < found->count && !err; i++)
		err = add_vm(self, found->vms[i].g, module->vm, build ? 0 : module->puc);
	return err;
}

static bool is_first(const struct mapping *mappings, uint32_t at)
{
	uint32_t i;

	for (i = 0; i < at; i++) {
		if (mappings[i].file_id == mappings[at].file_id)
			return false;
	}
	return true;
}

int dump_coroutines__collect(struct dump_session *session, struct dump_process *process)
{
	const struct modules *modules = sampler__modules(session->sampler);
	struct collecting *self = calloc(1, sizeof(*self));
	struct found_vms *found = calloc(1, sizeof(*found));
	const struct module *module;
	struct mapping *mappings = NULL;
	uint32_t count = 0, i;
	int err = -ENOMEM;

	if (!self || !found)
		goto out;
	self->session = session;
	self->process = process;
	/* A copy: reading VMs may refresh the process's. */
	mappings = targets__mappings(sampler__targets(session->sampler), process->pid, &count);
	err = maps__read(process->pid, &self->maps);
	for (i = 0; i < count && !err; i++) {
		module = modules__find(modules, mappings[i].file_id);
		if (!module || !(module->vm || module->puc) || !is_first(mappings, i) ||
		    lua_vms__distrusts(sampler__vms(session->sampler), (uint32_t)process->pid))
			continue;
		err = add_vms(self, module, found);
	}
	maps__free(&self->maps);
	/* What has ended meanwhile has none. */
	if (err == -ESRCH)
		err = 0;
out:
	free(mappings);
	free(found);
	free(self);
	return err;
}
