/* SPDX-License-Identifier: Apache-2.0 */
#include "kernel_names.h"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <stdlib.h>
#include <string.h>
#include <uthash.h>

#include "kernel_names.skel.h"

struct named {
	uint64_t address;
	char *name; /* may be NULL */
	UT_hash_handle hh;
};

struct kernel_names {
	struct kernel_names_bpf *bpf;
	struct named *by_address;
};

struct kernel_names *kernel_names__new(void)
{
	struct kernel_names *self;

	if (libbpf_probe_bpf_helper(BPF_PROG_TYPE_RAW_TRACEPOINT, BPF_FUNC_snprintf, NULL) != 1)
		return NULL;
	self = calloc(1, sizeof(*self));
	if (!self)
		return NULL;
	self->bpf = kernel_names_bpf__open_and_load();
	if (self->bpf)
		return self;
	free(self);
	return NULL;
}

void kernel_names__free(struct kernel_names *self)
{
	struct named *named, *next;

	if (!self)
		return;
	HASH_ITER (hh, self->by_address, named, next) {
		HASH_DEL(self->by_address, named); /* NOLINT(clang-analyzer-unix.Malloc): uthash */
		free(named->name);
		free(named);
	}
	kernel_names_bpf__destroy(self->bpf);
	free(self);
}

/* For the caller to free; NULL if there is none. */
static char *ask(struct kernel_names *self, uint64_t address)
{
	LIBBPF_OPTS(bpf_test_run_opts, options, .ctx_in = &address, .ctx_size_in = sizeof(address));
	const char *name = self->bpf->bss->name;

	if (bpf_prog_test_run_opts(bpf_program__fd(self->bpf->progs.name_function), &options) != 0)
		return NULL;
	/* An address that is in no function is printed as it is. */
	if ((int)options.retval <= 0 || strncmp(name, "0x", 2) == 0)
		return NULL;
	return strndup(name, sizeof(self->bpf->bss->name) - 1);
}

const char *kernel_names__find(struct kernel_names *self, uint64_t address)
{
	struct named *named;

	/* NOLINTNEXTLINE(clang-analyzer-core.UndefinedBinaryOperatorResult): uthash */
	HASH_FIND(hh, self->by_address, &address, sizeof(address), named);
	if (named)
		return named->name;
	named = calloc(1, sizeof(*named));
	if (!named)
		return NULL;
	named->address = address;
	named->name = ask(self, address);
	HASH_ADD(hh, self->by_address, address, sizeof(address), named);
	return named->name;
}
