/* SPDX-License-Identifier: Apache-2.0 */
#include "lua_vms.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/types.h>
#include <time.h>
#include <uthash.h>

#include "../vm/lua_builtins.h"
#include "../vm/luajit_check.h"

/* The VMs of a process have the same libraries, mostly; a read takes some milliseconds. */
#define MAX_VMS_PER_PROCESS 8

/* One read takes some milliseconds, at most what lua_heap.h says; a check of the offsets some
 * milliseconds as well, and other things have to wait. What a process, and all together, may take
 * before their names are not read any more; a thousand VMs of the usual kind fit into the second.
 */
#define MAX_PROCESS_NS 2000000000ull
#define MAX_ALL_NS     10000000000ull

#define MAX_CONFLICTS 16 /* of different processes that are told one by one */

struct lua_vm {
	uint64_t g;
	uint32_t build;		       /* of LuaJIT (modules__build); 0: none */
	uint32_t puc;		       /* of PUC Lua (modules__puc); 0: none */
	struct lua_builtins *builtins; /* NULL when they could not be read */
};

/* An image of a process. */
struct vm_process {
	uint32_t tgid;
	uint32_t image;
	uint32_t count;
	bool distrusted;
	bool lacks_names;
	uint64_t read_ns; /* spent in reading its names */
	struct lua_vm vms[MAX_VMS_PER_PROCESS];
	/* When names were last read, for the addresses of C functions once the image is no more. */
	struct mapping *mappings;
	uint32_t mapping_count;
	struct vm_process *older; /* the image before this one */
	UT_hash_handle hh;	  /* of the newest */
};

/* What the VMs of a build said. */
struct build_facts {
	struct luajit_fact facts[LUAJIT_OFFSETS];
	size_t count;
	uint32_t checked;
};

struct lua_vms {
	const struct modules *modules;
	struct targets *targets;
	struct vm_process *processes;
	uint64_t read_ns;
	struct build_facts *builds[MAX_VMS + 1]; /* by module.vm */
	struct lua_conflict conflicts[MAX_CONFLICTS];
	size_t conflict_count;
};

struct lua_vms *lua_vms__new(const struct modules *modules, struct targets *targets)
{
	struct lua_vms *self = calloc(1, sizeof(*self));

	if (self) {
		self->modules = modules;
		self->targets = targets;
	}
	return self;
}

static void process_free(struct vm_process *process)
{
	struct vm_process *older;
	uint32_t i;

	for (; process; process = older) {
		older = process->older;
		for (i = 0; i < process->count; i++)
			lua_builtins__free(process->vms[i].builtins);
		free(process->mappings);
		free(process);
	}
}

void lua_vms__free(struct lua_vms *self)
{
	struct vm_process *process, *next;
	size_t i;

	if (!self)
		return;
	HASH_ITER (hh, self->processes, process, next) {
		HASH_DEL(self->processes, process); /* NOLINT(clang-analyzer-unix.Malloc): uthash */
		process_free(process);
	}
	for (i = 0; i <= MAX_VMS; i++)
		free(self->builds[i]);
	free(self);
}

static uint64_t now_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

static bool has_time(const struct lua_vms *self, const struct vm_process *process)
{
	return process->read_ns < MAX_PROCESS_NS && self->read_ns < MAX_ALL_NS;
}

static void take_time(struct lua_vms *self, struct vm_process *process, uint64_t began)
{
	uint64_t spent = now_ns() - began;

	process->read_ns += spent;
	self->read_ns += spent;
}

static struct build_facts *build_facts(struct lua_vms *self, uint32_t build,
				       const struct luajit_found *found)
{
	struct build_facts *all = build <= MAX_VMS ? self->builds[build] : NULL;

	if (!all && build <= MAX_VMS) {
		all = self->builds[build] = calloc(1, sizeof(*all));
		if (all)
			all->count = luajit__facts(found, all->facts);
	}
	return all;
}

static void distrust(struct lua_vms *self, struct vm_process *process, uint32_t build,
		     const struct luajit_fact *fact)
{
	process->distrusted = true;
	targets__distrust(self->targets, (pid_t)process->tgid);
	if (self->conflict_count < MAX_CONFLICTS)
		self->conflicts[self->conflict_count] =
			(struct lua_conflict){process->tgid, build, *fact};
	self->conflict_count++;
}

/* Holds the build's offsets against the VM's heap. */
static void check_heap(struct lua_vms *self, struct vm_process *process, const struct lua_vm *vm)
{
	const struct module *module = modules__of_build(self->modules, vm->build);
	const struct luajit_found *found =
		module ? modules__luajit(self->modules, module->id) : NULL;
	struct luajit_fact facts[LUAJIT_OFFSETS];
	const struct luajit_fact *conflict;
	struct build_facts *all;
	uint64_t interpreter, began;
	size_t count, i;
	int err;

	if (!found || !has_time(self, process))
		return;
	interpreter = targets__address(self->targets, (pid_t)process->tgid, module->id,
				       found->build.interpreter_start);
	if (!interpreter)
		return;
	count = luajit__facts(found, facts);
	began = now_ns();
	err = luajit_check__vm((pid_t)process->tgid, vm->g, interpreter, &found->build, facts,
			       count);
	take_time(self, process, began);
	all = err ? NULL : build_facts(self, vm->build, found);
	if (!all)
		return;
	all->checked++;
	for (i = 0; i < count; i++) {
		if (all->facts[i].heap != LUAJIT_DISAGREES && facts[i].heap != LUAJIT_NOT_CHECKED)
			all->facts[i] = facts[i];
	}
	conflict = luajit_facts__conflict(facts, count);
	if (conflict && !process->distrusted)
		distrust(self, process, vm->build, conflict);
}

static int read_builtins(const struct lua_vms *self, pid_t pid, const struct lua_vm *vm,
			 struct lua_builtins **out)
{
	const struct luajit_build *build = modules__build(self->modules, vm->build);
	const struct puc_build *puc = modules__puc(self->modules, vm->puc);

	if (build)
		return lua_builtins__read_luajit(pid, vm->g, build, out);
	return puc ? lua_builtins__read_puc(pid, vm->g, puc, out) : -ENOENT;
}

static void read_names(struct lua_vms *self, struct vm_process *process, struct lua_vm *vm)
{
	struct lua_builtins *newer;
	uint64_t began;
	int err;

	if (process->distrusted || !has_time(self, process))
		return;
	began = now_ns();
	err = read_builtins(self, (pid_t)process->tgid, vm, &newer);
	take_time(self, process, began);
	if (err)
		return;
	free(process->mappings);
	process->mappings =
		targets__mappings(self->targets, (pid_t)process->tgid, &process->mapping_count);
	if (!vm->builtins) {
		vm->builtins = newer;
		return;
	}
	lua_builtins__merge(vm->builtins, newer);
	lua_builtins__free(newer);
}

int lua_vms__add(struct lua_vms *self, const struct record_vm *record, size_t size)
{
	struct vm_process *process;
	struct lua_vm *vm;
	uint32_t tgid, i;

	if (size < sizeof(*record))
		return 0;
	tgid = record->tgid;
	HASH_FIND(hh, self->processes, &tgid, sizeof(tgid), process);
	if (!process) {
		process = calloc(1, sizeof(*process));
		if (!process)
			return -ENOMEM;
		process->tgid = tgid;
		HASH_ADD(hh, self->processes, tgid, sizeof(process->tgid), process);
	}
	for (i = 0; i < process->count; i++) {
		if (process->vms[i].g == record->g)
			return 0;
	}
	if (process->count == MAX_VMS_PER_PROCESS)
		return 0;
	vm = &process->vms[process->count++];
	vm->g = record->g;
	vm->build = record->puc ? 0 : record->vm;
	vm->puc = record->puc;
	check_heap(self, process, vm);
	read_names(self, process, vm);
	return 0;
}

bool lua_vms__distrusts(const struct lua_vms *self, uint32_t tgid)
{
	const struct vm_process *process;

	HASH_FIND(hh, self->processes, &tgid, sizeof(tgid), process);
	return process && process->distrusted;
}

const struct lua_conflict *lua_vms__conflict(const struct lua_vms *self, size_t index)
{
	return index < self->conflict_count && index < MAX_CONFLICTS ? &self->conflicts[index]
								     : NULL;
}

size_t lua_vms__conflicts(const struct lua_vms *self)
{
	return self->conflict_count;
}

size_t lua_vms__facts(const struct lua_vms *self, uint32_t build, const struct luajit_fact **facts,
		      uint32_t *checked)
{
	const struct build_facts *all = build <= MAX_VMS ? self->builds[build] : NULL;

	*facts = all ? all->facts : NULL;
	*checked = all ? all->checked : 0;
	return all ? all->count : 0;
}

const char *lua_vms__version(const struct lua_vms *self, uint32_t build)
{
	const struct vm_process *process;
	const char *version;
	uint32_t i;

	for (process = self->processes; process; process = process->hh.next) {
		for (i = 0; i < process->count; i++) {
			if (process->vms[i].build != build || !process->vms[i].builtins)
				continue;
			version = lua_builtins__version(process->vms[i].builtins);
			if (version)
				return version;
		}
	}
	return NULL;
}

int lua_vms__new_image(struct lua_vms *self, uint32_t tgid)
{
	struct vm_process *process, *fresh;

	HASH_FIND(hh, self->processes, &tgid, sizeof(tgid), process);
	if (!process)
		return 0; /* a VM is told of before the first stack in it: there is nothing to name
			   */
	fresh = calloc(1, sizeof(*fresh));
	if (!fresh)
		return -ENOMEM;
	fresh->tgid = tgid;
	fresh->image = process->image + 1;
	fresh->read_ns = process->read_ns;
	fresh->older = process;
	HASH_DEL(self->processes, process);
	HASH_ADD(hh, self->processes, tgid, sizeof(fresh->tgid), fresh);
	return 0;
}

uint32_t lua_vms__image(const struct lua_vms *self, uint32_t tgid)
{
	const struct vm_process *process;

	HASH_FIND(hh, self->processes, &tgid, sizeof(tgid), process);
	return process ? process->image : 0;
}

/* The run-time address of a NATIVE or ADDRESS word, 0 when it is not known. */
static uint64_t entry_address(const struct lua_vms *self, const struct vm_process *process,
			      bool is_newest, uint64_t word)
{
	uint32_t file_id = (uint32_t)(word >> FRAME_FILE_SHIFT & FRAME_FILE_MASK);
	uint64_t vaddr = word & FRAME_VADDR_MASK;

	switch (word >> FRAME_KIND_SHIFT) {
	case FRAME_KIND_NATIVE:
		if (!is_newest)
			return mappings__address(process->mappings, process->mapping_count, file_id,
						 vaddr);
		return targets__address(self->targets, (pid_t)process->tgid, file_id, vaddr);
	case FRAME_KIND_ADDRESS:
		return word & ((1ull << FRAME_KIND_SHIFT) - 1);
	}
	return 0;
}

const char *lua_vms__builtin(const struct lua_vms *self, uint32_t tgid, uint64_t word,
			     uint64_t entry)
{
	const struct vm_process *process, *newest;
	uint8_t ffid = (uint8_t)word;
	const char *name = NULL;
	uint64_t address;
	uint32_t i;

	HASH_FIND(hh, self->processes, &tgid, sizeof(tgid), newest);
	process = newest;
	while (process && process->image != (uint32_t)(word >> FRAME_IMAGE_SHIFT))
		process = process->older;
	if (!process)
		return NULL;
	address = ffid > 1 ? 0 : entry_address(self, process, process == newest, entry);
	for (i = 0; i < process->count && !name; i++) {
		if (!process->vms[i].builtins)
			continue;
		if (ffid > 1)
			name = lua_builtins__by_ffid(process->vms[i].builtins, ffid);
		else if (address)
			name = lua_builtins__by_entry(process->vms[i].builtins, address);
	}
	return name;
}

/* Marks the process if one of the stack's frames has no name. */
static void look_for_names(struct lua_vms *self, const struct stored_stack *stack)
{
	struct vm_process *process;
	uint32_t tgid = stack->tgid;
	uint16_t i;

	HASH_FIND(hh, self->processes, &tgid, sizeof(tgid), process);
	if (!process || process->lacks_names)
		return;
	for (i = 0; i + 1 < stack->word_count; i++) {
		switch (stack->words[i] >> FRAME_KIND_SHIFT) {
		case FRAME_KIND_BUILTIN:
			if (!lua_vms__builtin(self, tgid, stack->words[i], stack->words[i + 1]))
				process->lacks_names = true;
			i++;
			break;
		case FRAME_KIND_LUA:
			i++;
			break;
		}
	}
}

void lua_vms__refresh(struct lua_vms *self, const struct stack_store *stacks)
{
	const struct stored_stack *stack = NULL;
	struct vm_process *process;
	uint32_t i;

	while ((stack = stack_store__next(stacks, stack)))
		look_for_names(self, stack);
	for (process = self->processes; process; process = process->hh.next) {
		for (i = 0; i < process->count; i++) {
			if (process->lacks_names || !process->vms[i].builtins ||
			    !lua_builtins__version(process->vms[i].builtins))
				read_names(self, process, &process->vms[i]);
		}
		process->lacks_names = false;
	}
}
