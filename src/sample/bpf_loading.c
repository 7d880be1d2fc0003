/* SPDX-License-Identifier: Apache-2.0 */
#include "bpf_loading.h"

#include <bpf/libbpf.h>
#include <errno.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdlib.h>

#include "kernel_btf.h"
#include "program_logs.h"
#include "sampler.skel.h"

/* The sections of the programs that take long. libbpf makes all maps before it loads the first
 * program, and calls the handler of a program's section just before it loads that. */
static const struct {
	const char *name;
	enum bpf_prog_type type;
} sections[] = {
	{"perf_event", BPF_PROG_TYPE_PERF_EVENT},
	{"raw_tracepoint/sched_switch", BPF_PROG_TYPE_RAW_TRACEPOINT},
};

#define SECTION_COUNT (sizeof(sections) / sizeof(sections[0]))

struct bpf_loading {
	struct sampler_bpf *bpf;
	struct program_logs *logs;
	struct kernel_btf kernel_btf; /* used until the programs are loaded */
	pthread_t thread;
	bool running;
	pthread_mutex_t lock; /* of what follows */
	pthread_cond_t changed;
	bool has_maps, ended;
	int err;
};

/* The one that is under way, for the sections' handlers, which are there once in a process: libbpf
 * (1.1.2) uses memory that it has freed when one is registered after the last was unregistered, or
 * while an object is open. */
static struct bpf_loading *current;

static int before_program(struct bpf_program *program, struct bpf_prog_load_opts *options,
			  long cookie)
{
	struct bpf_loading *self = current;

	if (!self)
		return 0; /* it has ended: this is another object */
	pthread_mutex_lock(&self->lock);
	self->has_maps = true;
	pthread_cond_signal(&self->changed);
	pthread_mutex_unlock(&self->lock);
	return 0;
}

struct sampler_bpf *bpf_loading__skeleton(struct kernel_btf *kernel_btf)
{
	LIBBPF_OPTS(bpf_object_open_opts, options);
	const void *object;
	size_t size;

	object = sampler_bpf__elf_bytes(&size);
	/* Else libbpf looks for the kernel's BTF itself, and tells what is wrong. */
	if (!kernel_btf__open(object, size, kernel_btf))
		options.btf_custom_path = kernel_btf->path;
	return sampler_bpf__open_opts(&options);
}

int bpf_loading__open(struct bpf_loading **loading, struct sampler_bpf **bpf)
{
	struct bpf_loading *self = calloc(1, sizeof(*self));
	LIBBPF_OPTS(libbpf_prog_handler_opts, options, .prog_prepare_load_fn = before_program);
	static int handlers[SECTION_COUNT];
	size_t i;
	int err = 0;

	if (!self)
		return -ENOMEM;
	self->kernel_btf.fd = -1;
	pthread_mutex_init(&self->lock, NULL);
	pthread_cond_init(&self->changed, NULL);
	for (i = 0; !err && i < SECTION_COUNT; i++) {
		if (handlers[i] <= 0)
			handlers[i] =
				libbpf_register_prog_handler(sections[i].name, sections[i].type,
							     (enum bpf_attach_type)0, &options);
		err = handlers[i] < 0 ? handlers[i] : 0;
	}
	if (!err) {
		self->bpf = bpf_loading__skeleton(&self->kernel_btf);
		err = self->bpf ? 0 : -errno;
	}
	if (err) {
		bpf_loading__free(self);
		return err;
	}
	*loading = self;
	*bpf = self->bpf;
	return 0;
}

static void *load(void *context)
{
	struct bpf_loading *self = context;
	int err = sampler_bpf__load(self->bpf);

	pthread_mutex_lock(&self->lock);
	self->ended = true;
	self->err = err;
	pthread_cond_signal(&self->changed);
	pthread_mutex_unlock(&self->lock);
	return NULL;
}

int bpf_loading__start(struct bpf_loading *self)
{
	int err;

	self->logs = program_logs__new(self->bpf->obj);
	if (!self->logs)
		return -ENOMEM;
	current = self;
	err = -pthread_create(&self->thread, NULL, load, self);
	if (err) {
		current = NULL;
		return err;
	}
	self->running = true;
	pthread_mutex_lock(&self->lock);
	while (!self->has_maps && !self->ended)
		pthread_cond_wait(&self->changed, &self->lock);
	err = self->ended ? self->err : 0;
	pthread_mutex_unlock(&self->lock);
	return err;
}

int bpf_loading__finish(struct bpf_loading *self)
{
	pthread_join(self->thread, NULL);
	current = NULL;
	self->running = false;
	return self->err;
}

void bpf_loading__refusal(struct bpf_loading *self, struct refusal *refusal)
{
	if (self->logs)
		program_logs__take(self->logs, refusal);
}

void bpf_loading__free(struct bpf_loading *self)
{
	if (!self)
		return;
	if (self->running)
		bpf_loading__finish(self);
	program_logs__free(self->logs);
	kernel_btf__close(&self->kernel_btf);
	pthread_cond_destroy(&self->changed);
	pthread_mutex_destroy(&self->lock);
	free(self);
}
