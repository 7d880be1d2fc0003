/* SPDX-License-Identifier: Apache-2.0 */
#include "lua_vms.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/types.h>
#include <time.h>
#include <uthash.h>

#include "../vm/luajit_builtins.h"

/* The VMs of a process have the same libraries, mostly; a read takes some milliseconds. */
#define MAX_VMS_PER_PROCESS 8

/* One read takes at most a quarter of a second (luajit_heap.h), and other things have to wait. What
 * a process, and all together, may take before their names are not read any more; a thousand VMs of
 * the usual kind fit into the second. */
#define MAX_PROCESS_NS 500000000ull
#define MAX_ALL_NS     10000000000ull

struct lua_vm {
	uint64_t g;
	uint32_t build;
	struct luajit_builtins *builtins; /* NULL when they could not be read */
};

struct vm_process {
	uint32_t tgid;
	uint32_t count;
	uint64_t read_ns; /* spent in reading its names */
	struct lua_vm vms[MAX_VMS_PER_PROCESS];
	UT_hash_handle hh;
};

struct lua_vms {
	const struct modules *modules;
	const struct targets *targets;
	struct vm_process *processes;
	uint64_t read_ns;
};

struct lua_vms *lua_vms__new(const struct modules *modules, const struct targets *targets)
{
	struct lua_vms *self = calloc(1, sizeof(*self));

	if (self) {
		self->modules = modules;
		self->targets = targets;
	}
	return self;
}

void lua_vms__free(struct lua_vms *self)
{
	struct vm_process *process, *next;
	uint32_t i;

	if (!self)
		return;
	HASH_ITER (hh, self->processes, process, next) {
		HASH_DEL(self->processes, process); /* NOLINT(clang-analyzer-unix.Malloc): uthash */
		for (i = 0; i < process->count; i++)
			luajit_builtins__free(process->vms[i].builtins);
		free(process);
	}
	free(self);
}

static uint64_t now_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

static void read_names(struct lua_vms *self, struct vm_process *process, struct lua_vm *vm)
{
	const struct luajit_build *build = modules__build(self->modules, vm->build);
	struct luajit_builtins *newer;
	uint64_t spent;
	int err;

	if (!build || process->read_ns >= MAX_PROCESS_NS || self->read_ns >= MAX_ALL_NS)
		return;
	spent = now_ns();
	err = luajit_builtins__read((pid_t)process->tgid, vm->g, build, &newer);
	spent = now_ns() - spent;
	process->read_ns += spent;
	self->read_ns += spent;
	if (err)
		return;
	if (!vm->builtins) {
		vm->builtins = newer;
		return;
	}
	luajit_builtins__merge(vm->builtins, newer);
	luajit_builtins__free(newer);
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
	vm->build = record->vm;
	read_names(self, process, vm);
	return 0;
}

void lua_vms__refresh(struct lua_vms *self)
{
	struct vm_process *process;
	uint32_t i;

	for (process = self->processes; process; process = process->hh.next) {
		for (i = 0; i < process->count; i++)
			read_names(self, process, &process->vms[i]);
	}
}

/* The run-time address of a NATIVE or ADDRESS word, 0 when it is not known. */
static uint64_t entry_address(const struct lua_vms *self, uint32_t tgid, uint64_t word)
{
	switch (word >> FRAME_KIND_SHIFT) {
	case FRAME_KIND_NATIVE:
		return targets__address(self->targets, (pid_t)tgid,
					(uint32_t)(word >> FRAME_FILE_SHIFT & FRAME_FILE_MASK),
					word & FRAME_VADDR_MASK);
	case FRAME_KIND_ADDRESS:
		return word & ((1ull << FRAME_KIND_SHIFT) - 1);
	}
	return 0;
}

const char *lua_vms__builtin(const struct lua_vms *self, uint32_t tgid, uint64_t word,
			     uint64_t entry)
{
	const struct vm_process *process;
	uint8_t ffid = (uint8_t)word;
	const char *name = NULL;
	uint64_t address;
	uint32_t i;

	HASH_FIND(hh, self->processes, &tgid, sizeof(tgid), process);
	if (!process)
		return NULL;
	address = ffid > 1 ? 0 : entry_address(self, tgid, entry);
	for (i = 0; i < process->count && !name; i++) {
		if (!process->vms[i].builtins)
			continue;
		if (ffid > 1)
			name = luajit_builtins__by_ffid(process->vms[i].builtins, ffid);
		else if (address)
			name = luajit_builtins__by_entry(process->vms[i].builtins, address);
	}
	return name;
}
