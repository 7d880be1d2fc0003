/* SPDX-License-Identifier: Apache-2.0 */
#include "record_targets.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "../target/process_info.h"
#include "privileges.h"

#define LOOK_EVERY_MS 500

void record_targets__print_error(pid_t pid, int err, uint32_t rate_hz)
{
	char why[PRIVILEGES_TEXT_BYTES];

	switch (err) {
	case -ESRCH:
		fprintf(stderr, "luaspy: there is no process %d (any more).\n", (int)pid);
		break;
	case -EPERM:
	case -EACCES:
		privileges__explain(why, sizeof(why));
		fprintf(stderr, "luaspy: process %d is not ours to profile: %s\n", (int)pid, why);
		break;
	case -EINVAL:
		fprintf(stderr,
			"luaspy: the kernel does not sample at %u Hz: `sysctl "
			"kernel.perf_event_max_sample_rate` is its limit. Use a lower -F.\n",
			rate_hz);
		break;
	case -EMFILE:
		fprintf(stderr,
			"luaspy: not enough file descriptors for the threads of process %d: raise "
			"`ulimit -n`.\n",
			(int)pid);
		break;
	case -EBUSY:
		fprintf(stderr,
			"luaspy: process %d starts threads faster than they can be listed. Try "
			"again.\n",
			(int)pid);
		break;
	default:
		fprintf(stderr, "luaspy: process %d cannot be profiled: %s.\n", (int)pid,
			strerror(-err));
	}
}

/* Sets *pid to the process that it names or is a thread of. 0, or a negative errno after a
 * message. */
static int check_pid(pid_t *pid, struct process_info *info)
{
	int err = process_info__read(*pid, info);

	if (err) {
		record_targets__print_error(*pid, err, 0);
		return err;
	}
	if (info->is_kernel_thread) {
		fprintf(stderr,
			"luaspy: %d (%s) is a kernel thread: it has no user stack. `perf record -g "
			"-p %d` shows what it does.\n",
			(int)*pid, info->comm, (int)*pid);
		return -EINVAL;
	}
	if (info->is_zombie) {
		fprintf(stderr,
			"luaspy: process %d (%s) has ended and waits to be reaped by its parent "
			"%d.\n",
			(int)*pid, info->comm, (int)info->parent);
		return -ESRCH;
	}
	if (info->exe_error == -EACCES || info->exe_error == -EPERM) {
		/* Newer kernels show the mappings all the same, but no file could be opened. */
		record_targets__print_error(*pid, info->exe_error, 0);
		return info->exe_error;
	}
	if (info->tgid != *pid) {
		fprintf(stderr, "luaspy: %d is a thread of process %d, which is profiled.\n",
			(int)*pid, (int)info->tgid);
		*pid = info->tgid;
	}
	return 0;
}

static uint64_t now_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000 + (uint64_t)t.tv_nsec / 1000000;
}

int record_targets__find(struct record_targets *self, struct target_options *targets,
			 uint32_t rate_hz, bool quiet)
{
	struct process_info info;
	char why[1024];
	size_t i;
	int err;

	self->options = targets;
	self->rate_hz = rate_hz;
	self->quiet = quiet;
	for (i = 0; i < targets->pid_count; i++) {
		err = check_pid(&targets->pids[i], &info);
		if (err)
			return err;
	}
	self->search = target_search__new(targets);
	err = self->search ? target_search__look(self->search, &self->found, &self->found_count)
			   : -ENOMEM;
	if (err) {
		fprintf(stderr, "luaspy: the processes cannot be listed: %s.\n", strerror(-err));
		return err;
	}
	self->looked_ms = now_ms();
	if (target_search__explain(self->search, self->found_count, why, sizeof(why))) {
		fprintf(stderr, "luaspy: %s.\n", why);
		return -ESRCH;
	}
	/* With -a those are mostly not meant. */
	if (target_search__denied(self->search) && !targets->all && !quiet)
		fprintf(stderr,
			"luaspy: warning: left out, though matching, since not all of it may be "
			"looked into: %zu of the processes; `luaspy list` says what that takes.\n",
			target_search__denied(self->search));
	return 0;
}

bool record_targets__with_children(const struct record_targets *self)
{
	return self->search && target_search__has_master(self->search);
}

bool record_targets__goes_on(const struct record_targets *self)
{
	return self->search && target_search__goes_on(self->search);
}

static void warn_without_vm(pid_t pid, const char *comm)
{
	fprintf(stderr,
		"luaspy: warning: process %d (%s) has no Lua that is known here; its C "
		"frames are shown.\n",
		(int)pid, comm);
}

/* Named twice, or two of its threads. */
static bool is_repeated(const struct record_targets *self, size_t at)
{
	size_t i;

	for (i = 0; i < at; i++) {
		if (self->found[i] == self->found[at])
			return true;
	}
	return false;
}

int record_targets__add(struct record_targets *self, struct sampler *sampler,
			struct record_containers *containers)
{
	struct process_info info;
	size_t i, before;
	int err, last = -ESRCH;
	bool named;

	for (i = 0; i < self->found_count; i++) {
		pid_t pid = self->found[i];

		if (is_repeated(self, i))
			continue;
		/* Those that were asked for by their pid have to be there. */
		named = i < self->options->pid_count;
		before = sampler__with_vm(sampler);
		err = process_info__read(pid, &info);
		if (!err)
			err = sampler__add(sampler, pid, false);
		if (err == -ESRCH && !named)
			continue;
		if (err) {
			record_targets__print_error(pid, err, self->rate_hz);
			if (named)
				return err;
			last = err;
			continue;
		}
		record_containers__note(containers, pid);
		if (!self->count++) {
			self->first = pid;
			snprintf(self->comm, sizeof(self->comm), "%s", info.comm);
		}
		if (sampler__with_vm(sampler) == before && !self->quiet)
			warn_without_vm(pid, info.comm);
	}
	self->found_count = 0;
	if (self->count)
		self->container = record_containers__label(containers, (uint32_t)self->first);
	if (!self->count && last == -ESRCH)
		fprintf(stderr, "luaspy: what was to be profiled has ended.\n");
	return self->count ? 0 : last;
}

void record_targets__tend(struct record_targets *self, struct sampler *sampler)
{
	uint64_t now = now_ms();
	size_t i;

	if (!record_targets__goes_on(self) || now - self->looked_ms < LOOK_EVERY_MS)
		return;
	self->looked_ms = now;
	free(self->found);
	self->found = NULL;
	self->found_count = 0;
	if (target_search__look(self->search, &self->found, &self->found_count) != 0)
		return;
	/* Forks that were followed are known before the look's result is used: then those are no
	 * news. */
	sampler__poll(sampler, 0);
	for (i = 0; i < self->found_count; i++) {
		/* One that has gone already, or may not be profiled, is left out. */
		if (sampler__add(sampler, self->found[i], false) == 0)
			self->count++;
	}
	self->found_count = 0;
}

void record_targets__free(struct record_targets *self)
{
	target_search__free(self->search);
	free(self->found);
	memset(self, 0, sizeof(*self));
}
