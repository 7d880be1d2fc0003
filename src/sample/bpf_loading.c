/* SPDX-License-Identifier: Apache-2.0 */
#include "bpf_loading.h"

#include <bpf/libbpf.h>
#include <errno.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdlib.h>

#include "sampler.skel.h"

/* The section of the program that takes long. libbpf makes all maps before it loads the first
 * program, and calls the handler of a program's section just before it loads that. */
#define SECTION "perf_event"

struct bpf_loading {
	struct sampler_bpf *bpf;
	pthread_t thread;
	bool running;
	pthread_mutex_t lock; /* of what follows */
	pthread_cond_t changed;
	bool has_maps, ended;
	int err;
};

/* The one that is under way, for the handler of SECTION, which there is one of in a process: libbpf
 * (1.1.2) uses memory that it has freed when one is registered after the last was unregistered. */
static struct bpf_loading *current;

static int before_program(struct bpf_program *program, struct bpf_prog_load_opts *options,
			  long cookie)
{
	struct bpf_loading *self = current;

	pthread_mutex_lock(&self->lock);
	self->has_maps = true;
	pthread_cond_signal(&self->changed);
	pthread_mutex_unlock(&self->lock);
	return 0;
}

int bpf_loading__open(struct bpf_loading **loading, struct sampler_bpf **bpf)
{
	struct bpf_loading *self = calloc(1, sizeof(*self));
	LIBBPF_OPTS(libbpf_prog_handler_opts, options, .prog_prepare_load_fn = before_program);
	static int handler;
	int err;

	if (!self)
		return -ENOMEM;
	pthread_mutex_init(&self->lock, NULL);
	pthread_cond_init(&self->changed, NULL);
	if (handler <= 0)
		handler = libbpf_register_prog_handler(SECTION, BPF_PROG_TYPE_PERF_EVENT,
						       (enum bpf_attach_type)0, &options);
	err = handler < 0 ? handler : 0;
	if (!err) {
		self->bpf = sampler_bpf__open();
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

	current = self;
	err = -pthread_create(&self->thread, NULL, load, self);
	if (err)
		return err;
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
	self->running = false;
	return self->err;
}

void bpf_loading__free(struct bpf_loading *self)
{
	if (!self)
		return;
	if (self->running)
		pthread_join(self->thread, NULL);
	pthread_cond_destroy(&self->changed);
	pthread_mutex_destroy(&self->lock);
	free(self);
}
