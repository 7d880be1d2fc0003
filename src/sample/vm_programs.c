/* SPDX-License-Identifier: Apache-2.0 */
#include "vm_programs.h"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "../target/capabilities.h"
#include "program_logs.h"
#include "sampler.skel.h"
#include "vm_kinds.h"

struct vm_programs {
	struct sampler_bpf *bpf;
	struct sampler_bpf *whole; /* NULL until it is needed */
	struct refusal *refusal;   /* may be NULL */
	unsigned int walked, needed;
	bool loaded;
};

/* The kernel's interpreter, which runs programs where there is no JIT compiler, knows no tail calls
 * in programs that have functions. */
static bool can_go_over(void)
{
	int fd = open("/proc/sys/net/core/bpf_jit_enable", O_RDONLY | O_CLOEXEC);
	char value = '1'; /* without the file it is always on */

	if (fd < 0)
		return true;
	if (read(fd, &value, 1) != 1)
		value = '1';
	close(fd);
	return value != '0';
}

struct vm_programs *vm_programs__new(struct sampler_bpf *bpf, unsigned int kinds,
				     struct refusal *refusal)
{
	struct vm_programs *self = calloc(1, sizeof(*self));

	if (!self)
		return NULL;
	self->bpf = bpf;
	self->refusal = refusal;
	self->walked = kinds == VM_ALL || !can_go_over() ? VM_ALL : kinds;
	bpf->rodata->with_luajit = self->walked & VM_LUAJIT;
	bpf->rodata->with_puc = self->walked & VM_PUC;
	return self;
}

void vm_programs__free(struct vm_programs *self)
{
	if (!self)
		return;
	sampler_bpf__destroy(self->whole);
	free(self);
}

/* The maps of the first programs, but for the settings. */
static int share_maps(const struct vm_programs *self)
{
	const struct bpf_map *first;
	struct bpf_map *map;
	int err;

	bpf_object__for_each_map(map, self->whole->obj)
	{
		if (map == self->whole->maps.rodata)
			continue;
		first = bpf_object__find_map_by_name(self->bpf->obj, bpf_map__name(map));
		err = first ? bpf_map__reuse_fd(map, bpf_map__fd(first)) : -ENOENT;
		if (err)
			return err;
	}
	return 0;
}

static int load(struct sampler_bpf *whole, struct refusal *refusal)
{
	struct program_logs *logs = program_logs__new(whole->obj);
	bool raised = capabilities__raise(CAP_PERFMON);
	int err = logs ? sampler_bpf__load(whole) : -ENOMEM;

	if (raised)
		capabilities__lower(CAP_PERFMON);
	if (err && logs && refusal)
		program_logs__take(logs, refusal);
	program_logs__free(logs);
	return err;
}

static int go_over(struct bpf_map *map, const struct bpf_program *program)
{
	uint32_t zero = 0;
	int fd;

	if (!bpf_program__autoload(program))
		return 0;
	fd = bpf_program__fd(program);
	return bpf_map_update_elem(bpf_map__fd(map), &zero, &fd, BPF_ANY) == 0 ? 0 : -errno;
}

static int load_whole(struct vm_programs *self)
{
	struct bpf_program *program;
	struct sampler_bpf *whole;
	int err;

	whole = sampler_bpf__open();
	if (!whole)
		return -errno;
	self->whole = whole;
	memcpy(whole->rodata, self->bpf->rodata, sizeof(*whole->rodata));
	whole->rodata->with_luajit = true;
	whole->rodata->with_puc = true;
	bpf_object__for_each_program(program, whole->obj)
	{
		bpf_program__set_autoload(program, false);
	}
	bpf_program__set_autoload(whole->progs.on_sample,
				  bpf_program__autoload(self->bpf->progs.on_sample));
	bpf_program__set_autoload(whole->progs.on_switch,
				  bpf_program__autoload(self->bpf->progs.on_switch));
	err = share_maps(self);
	if (!err)
		err = load(whole, self->refusal);
	if (!err)
		err = go_over(self->bpf->maps.whole_sample, whole->progs.on_sample);
	if (!err)
		err = go_over(self->bpf->maps.whole_switch, whole->progs.on_switch);
	if (!err)
		self->walked = VM_ALL;
	return err;
}

bool vm_programs__may_load(const struct vm_programs *self)
{
	return self->walked != VM_ALL && !self->whole;
}

int vm_programs__need(void *context, unsigned int kind)
{
	struct vm_programs *self = context;

	self->needed |= kind;
	/* libbpf does one thing at a time. */
	if (!self->loaded || !(self->needed & ~self->walked))
		return 0;
	/* It was tried, in vain. */
	if (self->whole)
		return -ENOTSUP;
	return load_whole(self);
}

int vm_programs__loaded(struct vm_programs *self)
{
	self->loaded = true;
	return vm_programs__need(self, 0);
}
