/* SPDX-License-Identifier: Apache-2.0 */
#include "vm_programs.h"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <linux/bpf.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "../target/capabilities.h"
#include "../target/kernel_version.h"
#include "bpf_loading.h"
#include "kernel_btf.h"
#include "sampler.skel.h"
#include "vm_kinds.h"

struct vm_programs {
	struct sampler_bpf *bpf;
	unsigned int walked, needed;
	bool loaded;
	int failed; /* a negative errno: to load the others was tried in vain */
};

/* Before that the verifier goes through functions that nothing calls as well. */
static bool verifier_is_lazy(void)
{
	return kernel_version() >= KERNEL_VERSION_OF(6, 8);
}

/* The kernel's interpreter, which runs programs where the JIT compiler is off, knows no tail calls
 * in programs that have functions. */
static bool has_jit(void)
{
	const struct bpf_insn nothing[] = {
		{.code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = BPF_REG_0},
		{.code = BPF_JMP | BPF_EXIT},
	};
	struct bpf_prog_info info = {};
	__u32 size = sizeof(info);
	int fd = bpf_prog_load(BPF_PROG_TYPE_SOCKET_FILTER, NULL, "GPL", nothing, 2, NULL);
	int err;

	if (fd < 0)
		return false;
	err = bpf_obj_get_info_by_fd(fd, &info, &size);
	close(fd);
	return !err && info.jited_prog_len;
}

struct vm_programs *vm_programs__new(struct sampler_bpf *bpf, unsigned int kinds)
{
	struct vm_programs *self = calloc(1, sizeof(*self));

	if (!self)
		return NULL;
	self->bpf = bpf;
	self->walked = kinds != VM_ALL && verifier_is_lazy() && has_jit() ? kinds : VM_ALL;
	bpf->rodata->with_luajit = self->walked & VM_LUAJIT;
	bpf->rodata->with_puc = self->walked & VM_PUC;
	return self;
}

void vm_programs__free(struct vm_programs *self)
{
	free(self);
}

/* The maps of the first programs, but for the settings. */
static int share_maps(const struct sampler_bpf *first, const struct sampler_bpf *whole)
{
	const struct bpf_map *shared;
	struct bpf_map *map;
	int err;

	bpf_object__for_each_map(map, whole->obj)
	{
		if (map == whole->maps.rodata)
			continue;
		shared = bpf_object__find_map_by_name(first->obj, bpf_map__name(map));
		err = shared ? bpf_map__reuse_fd(map, bpf_map__fd(shared)) : -ENOENT;
		if (err)
			return err;
	}
	return 0;
}

/* Only those of the walk, and of them those that were wanted. */
static void choose_programs(const struct sampler_bpf *first, const struct sampler_bpf *whole)
{
	struct bpf_program *program;

	bpf_object__for_each_program(program, whole->obj)
	{
		bpf_program__set_autoload(program, false);
	}
	bpf_program__set_autoload(whole->progs.on_sample,
				  bpf_program__autoload(first->progs.on_sample));
	bpf_program__set_autoload(whole->progs.on_switch,
				  bpf_program__autoload(first->progs.on_switch));
}

/* With the right to, which may be one that contains it. */
static int load(struct sampler_bpf *whole)
{
	const int rights[] = {CAP_PERFMON, CAP_SYS_ADMIN};
	bool raised[2];
	size_t i;
	int err;

	for (i = 0; i < 2; i++)
		raised[i] = capabilities__raise(rights[i]);
	err = sampler_bpf__load(whole);
	for (i = 0; i < 2; i++) {
		if (raised[i])
			capabilities__lower(rights[i]);
	}
	return err;
}

static int go_over(const struct bpf_map *map, const struct bpf_program *program)
{
	uint32_t zero = 0;
	int fd;

	if (!bpf_program__autoload(program))
		return 0;
	fd = bpf_program__fd(program);
	return bpf_map_update_elem(bpf_map__fd(map), &zero, &fd, BPF_ANY) == 0 ? 0 : -errno;
}

static int load_whole(const struct sampler_bpf *first)
{
	struct kernel_btf kernel_btf;
	struct sampler_bpf *whole;
	int err;

	whole = bpf_loading__skeleton(&kernel_btf);
	if (!whole) {
		err = -errno;
		goto out;
	}
	memcpy(whole->rodata, first->rodata, sizeof(*whole->rodata));
	whole->rodata->with_luajit = true;
	whole->rodata->with_puc = true;
	choose_programs(first, whole);
	err = share_maps(first, whole);
	if (!err)
		err = load(whole);
	if (!err)
		err = go_over(first->maps.whole_sample, whole->progs.on_sample);
	if (!err)
		err = go_over(first->maps.whole_switch, whole->progs.on_switch);
out:
	sampler_bpf__destroy(whole); /* the maps of programs hold what was put into them */
	kernel_btf__close(&kernel_btf);
	return err;
}

bool vm_programs__may_load(const struct vm_programs *self)
{
	return self->walked != VM_ALL && !self->failed;
}

int vm_programs__need(void *context, unsigned int kind)
{
	struct vm_programs *self = context;

	if (!self->loaded) {
		self->needed |= kind; /* libbpf does one thing at a time */
		return 0;
	}
	if (!(kind & ~self->walked))
		return 0;
	if (!self->failed)
		self->failed = load_whole(self->bpf);
	if (!self->failed)
		self->walked = VM_ALL;
	return self->failed;
}

int vm_programs__loaded(struct vm_programs *self)
{
	self->loaded = true;
	return vm_programs__need(self, self->needed);
}
