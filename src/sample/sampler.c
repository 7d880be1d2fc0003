/* SPDX-License-Identifier: Apache-2.0 */
#include "sampler.h"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#include "../target/process_info.h"
#include "bpf_loading.h"
#include "cpu_events.h"
#include "kernel_tables.h"
#include "lua_vms.h"
#include "off_cpu.h"
#include "sampler.skel.h"
#include "sleepers.h"
#include "targets.h"
#include "vm_kinds.h"
#include "vm_programs.h"

#define WAKEUP_GAP_NS  2000000ll
#define MAX_READ_AHEAD 64u
#define COUNT_BATCH    1024u

struct sampler {
	struct sampler_options options;
	struct sampler_bpf *bpf;
	struct bpf_loading *loading; /* until it has ended */
	struct vm_programs *programs;
	struct kernel_tables *tables;
	struct walk_tables copy; /* of them, with user_walks */
	struct modules *modules;
	struct targets *targets;
	struct cpu_events *events; /* NULL if CPU time is not sampled, and when it is stopped */
	struct off_cpu *off_cpu;   /* NULL if times off the CPU are not recorded */
	struct sleepers *sleepers; /* may be NULL; until the start */
	struct stack_store *stacks;
	struct lua_vms *vms;
	struct ring_buffer *ring;
	void (*ended)(void *context, pid_t pid); /* may be NULL */
	void *ended_context;
	void (*frame)(void *context, const struct record_frame *record); /* may be NULL */
	void *frame_context;
	struct timespec woken;
	int epoll_fd;	  /* the ring buffer's and what targets waits for */
	int record_error; /* set by the ring buffer's callback */
	bool stopped;
	uint64_t cpu_time_ns;		  /* of the targets, once it is stopped */
	uint64_t start_ns;		  /* CLOCK_MONOTONIC */
	uint64_t counters[COUNTER_COUNT]; /* beside the kernel's */
};

__attribute__((format(printf, 2, 0))) static int print_warnings(enum libbpf_print_level level,
								const char *format, va_list args)
{
	return level == LIBBPF_DEBUG ? 0 : vfprintf(stderr, format, args);
}

__attribute__((format(printf, 2, 0))) static int print_nothing(enum libbpf_print_level level,
							       const char *format, va_list args)
{
	return 0;
}

static int handle_process(struct sampler *self, const struct record_process *record)
{
	int err = 0;

	if (self->ended && (record->event == PROCESS_EXEC || record->event == PROCESS_EXIT))
		self->ended(self->ended_context, (pid_t)record->tgid);
	switch (record->event) {
	case PROCESS_UNKNOWN_PC:
		targets__changed(self->targets, (pid_t)record->tgid);
		break;
	case PROCESS_EXEC:
		err = lua_vms__new_image(self->vms, record->tgid);
		targets__executed(self->targets, (pid_t)record->tgid);
		break;
	case PROCESS_EXIT:
		/* A child that has gone before it could be added. */
		if (!targets__follows(self->targets, (pid_t)record->tgid))
			targets__remove(self->targets, (pid_t)record->tgid);
		break;
	case PROCESS_FORK:
		/* Whatever had this number before. */
		err = lua_vms__new_image(self->vms, record->child);
		if (self->options.children &&
		    targets__add(self->targets, (pid_t)record->child, false) != 0)
			targets__remove(self->targets, (pid_t)record->child);
		break;
	case PROCESS_NEW:
		targets__add(self->targets, (pid_t)record->tgid, false);
		break;
	}
	return err;
}

/* What the store had no room for is counted. */
static int count_lost(struct sampler *self, int err, uint32_t counter)
{
	if (err != -ENOSPC)
		return err;
	self->counters[counter]++;
	return 0;
}

static int handle_stack(struct sampler *self, const struct record_stack *record, size_t size)
{
	uint32_t image = 0;
	uint8_t flags = 0;
	int err;

	if (size >= RECORD_STACK_HEADER) {
		image = lua_vms__image(self->vms, record->tgid);
		if (lua_vms__distrusts(self->vms, record->tgid))
			flags = STACK_LUA_DISTRUST;
	}
	err = stack_store__add_stack(self->stacks, record, size, image, flags);
	return count_lost(self, err,
			  record->flags & STACK_OFF_CPU_MASK ? COUNTER_OFF_LOST : COUNTER_LOST);
}

static int handle_record(void *context, void *data, size_t size)
{
	const struct record_off_cpu *off_cpu = data;
	struct sampler *self = context;
	const uint32_t *type = data;
	int err = 0;

	if (size < sizeof(*type))
		return 0;
	switch (*type) {
	case RECORD_STACK:
		err = handle_stack(self, data, size);
		break;
	case RECORD_TIME:
		err = count_lost(self,
				 stack_store__add_time(self->stacks, data, size, self->start_ns),
				 COUNTER_LOST_TIME);
		break;
	case RECORD_OFF_CPU:
		if (size >= sizeof(*off_cpu) &&
		    !stack_store__add_off_cpu(self->stacks, off_cpu->hash, off_cpu->ns)) {
			self->counters[COUNTER_OFF_LOST]++;
			self->counters[COUNTER_OFF_LOST_NS] += off_cpu->ns;
		}
		break;
	case RECORD_PROTO:
		err = count_lost(self, stack_store__add_proto(self->stacks, data, size),
				 COUNTER_LOST_PROTO);
		break;
	case RECORD_CALL:
		err = stack_store__add_call(self->stacks, data, size);
		break;
	case RECORD_VM:
		err = lua_vms__add(self->vms, data, size);
		break;
	case RECORD_FRAME:
		if (size >= sizeof(struct record_frame) && self->frame)
			self->frame(self->frame_context, data);
		break;
	case RECORD_PROCESS:
		if (size >= sizeof(struct record_process))
			err = handle_process(self, data);
		break;
	}
	if (err)
		self->record_error = err;
	return 0;
}

/* Before Linux 5.11 maps count against RLIMIT_MEMLOCK; and every file of a target is kept open. */
static void raise_limits(void)
{
	struct rlimit limit = {RLIM_INFINITY, RLIM_INFINITY};

	/* Above the hard limit it takes CAP_SYS_RESOURCE. */
	if (setrlimit(RLIMIT_MEMLOCK, &limit) != 0 && getrlimit(RLIMIT_MEMLOCK, &limit) == 0) {
		limit.rlim_cur = limit.rlim_max;
		setrlimit(RLIMIT_MEMLOCK, &limit);
	}
	if (getrlimit(RLIMIT_NOFILE, &limit) == 0) {
		limit.rlim_cur = limit.rlim_max;
		setrlimit(RLIMIT_NOFILE, &limit);
	}
}

/* Begins to load the programs, for VMs of these kinds; the maps are there when it returns. */
static int start_loading(struct sampler *self, unsigned int vm_kinds)
{
	struct sampler_bpf *bpf;
	int err;

	err = process_info__check_proc();
	if (err)
		return err;
	libbpf_set_strict_mode(LIBBPF_STRICT_ALL);
	libbpf_set_print(self->options.verbose ? print_warnings : print_nothing);
	err = bpf_loading__open(&self->loading, &self->bpf);
	if (err)
		return err;
	bpf = self->bpf;
	bpf->rodata->pid_namespace = process_info__pid_namespace();
	bpf->rodata->with_kernel = self->options.kernel;
	bpf->rodata->per_thread = self->options.per_thread;
	bpf->rodata->follow_children = self->options.children;
	bpf->rodata->with_coroutines = self->options.coroutines;
	bpf->rodata->with_values = self->options.values;
	bpf->rodata->with_times = self->options.times;
	bpf->rodata->has_task_pt_regs =
		libbpf_probe_bpf_helper(BPF_PROG_TYPE_PERF_EVENT, BPF_FUNC_task_pt_regs, NULL) == 1;
	self->programs = vm_programs__new(bpf, vm_kinds);
	if (!self->programs)
		return -ENOMEM;
	err = off_cpu__prepare(bpf, self->options.kind != SAMPLER_CPU, self->options.off_min_ns);
	if (err)
		return err;
	/* The sampling program has no attach point of its own: cpu_events attaches it. */
	bpf_program__set_autoattach(bpf->progs.on_sample, false);
	bpf_program__set_autoload(bpf->progs.on_sample, self->options.kind != SAMPLER_OFF_CPU);
	err = bpf_loading__start(self->loading);
	if (err && self->options.refusal)
		bpf_loading__refusal(self->loading, self->options.refusal);
	return err;
}

static int finish_loading(struct sampler *self)
{
	int err = bpf_loading__finish(self->loading);

	if (err && self->options.refusal)
		bpf_loading__refusal(self->loading, self->options.refusal);
	bpf_loading__free(self->loading);
	self->loading = NULL;
	if (!err)
		err = vm_programs__loaded(self->programs);
	if (!err)
		err = sampler_bpf__attach(self->bpf);
	if (!err && self->options.kind != SAMPLER_CPU)
		err = off_cpu__new(self->bpf, &self->off_cpu);
	return err;
}

/* Everything but the programs: what their maps are filled by. */
static int open_tables(struct sampler *self)
{
	struct epoll_event wake = {.events = EPOLLIN};

	self->tables = kernel_tables__new(self->bpf, self->options.user_walks ? &self->copy : NULL);
	self->stacks = stack_store__new();
	if (!self->tables || !self->stacks)
		return -ENOMEM;
	if (self->options.stack_bytes)
		stack_store__limit(self->stacks, self->options.stack_bytes);
	self->modules = modules__new(self->tables);
	if (!self->modules)
		return -ENOMEM;
	modules__on_vm(self->modules, vm_programs__need, self->programs);
	self->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	self->targets = targets__new(self->tables, self->modules, self->epoll_fd);
	self->vms = lua_vms__new(self->modules, self->targets);
	self->ring =
		ring_buffer__new(bpf_map__fd(self->bpf->maps.records), handle_record, self, NULL);
	if (!self->targets || !self->vms || !self->ring)
		return -ENOMEM;
	wake.data.fd = ring_buffer__epoll_fd(self->ring);
	if (epoll_ctl(self->epoll_fd, EPOLL_CTL_ADD, wake.data.fd, &wake) != 0)
		return -errno;
	return 0;
}

int sampler__new(const struct sampler_options *options, const pid_t *pids, size_t count,
		 struct sampler **sampler)
{
	struct sampler *self = calloc(1, sizeof(*self));
	size_t i;
	int err, load_err;

	if (!self)
		return -ENOMEM;
	self->epoll_fd = -1;
	self->options = *options;
	self->options.user_walks |= options->kind != SAMPLER_CPU; /* of the sleepers */
	/* Children that are sampled in any case must not be added a second time. */
	if (options->added_later && cpu_events__always_inherited())
		self->options.children = true;
	raise_limits();
	/* Of what a command executes nothing is known yet. */
	err = start_loading(self, count && !options->all_vms ? vm_kinds__of(pids, count) : VM_ALL);
	if (err)
		goto out;
	err = open_tables(self);
	for (i = 0; !err && i < count && i < MAX_READ_AHEAD; i++)
		targets__read_files(self->targets, pids[i]);
	/* Loading that fails takes the maps away with it: then that is why the rest failed. */
	load_err = finish_loading(self);
	if (load_err)
		err = load_err;
	if (err)
		goto out;
	/* Where it cannot be, such threads have a note instead of a stack. */
	if (options->kind != SAMPLER_CPU)
		sleepers__new(&self->sleepers);
	if (options->kind != SAMPLER_OFF_CPU) {
		self->events = cpu_events__new(options->rate_hz,
					       bpf_program__fd(self->bpf->progs.on_sample),
					       self->options.children);
		if (!self->events) {
			err = -ENOMEM;
			goto out;
		}
	}
	*sampler = self;
	return 0;
out:
	sampler__free(self);
	return err;
}

void sampler__free(struct sampler *self)
{
	if (!self)
		return;
	bpf_loading__free(self->loading); /* uses the maps until it has ended */
	cpu_events__free(self->events);
	off_cpu__free(self->off_cpu);
	sleepers__free(self->sleepers);
	ring_buffer__free(self->ring);
	lua_vms__free(self->vms);
	targets__free(self->targets);
	modules__free(self->modules);
	stack_store__free(self->stacks);
	kernel_tables__free(self->tables);
	walk_tables__free(&self->copy);
	if (self->epoll_fd >= 0)
		close(self->epoll_fd);
	sampler_bpf__destroy(self->bpf);
	vm_programs__free(self->programs);
	free(self);
}

static uint64_t now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000000000ull + (uint64_t)t.tv_nsec;
}

int sampler__add(struct sampler *self, pid_t pid, bool on_exec)
{
	int err;

	if (targets__follows(self->targets, pid))
		return 0;
	err = targets__add(self->targets, pid, on_exec);
	if (err)
		return err;
	/* A command begins before the recording does. */
	if (on_exec && self->off_cpu)
		off_cpu__start(self->off_cpu, now_ns());
	if (!on_exec && self->sleepers)
		sleepers__want(self->sleepers, pid);
	if (self->events)
		err = cpu_events__add(self->events, pid, on_exec);
	if (err)
		targets__remove(self->targets, pid);
	else
		targets__count_cpu_time(self->targets, pid);
	return err;
}

void sampler__on_end(struct sampler *self, void (*ended)(void *context, pid_t pid), void *context)
{
	self->ended = ended;
	self->ended_context = context;
}

void sampler__on_frame(struct sampler *self,
		       void (*frame)(void *context, const struct record_frame *record),
		       void *context)
{
	self->frame = frame;
	self->frame_context = context;
}

int sampler__take_record(void *self, void *data, size_t size)
{
	struct sampler *sampler = self;

	handle_record(sampler, data, size);
	return sampler->record_error;
}

void sampler__start(struct sampler *self)
{
	int err;

	targets__count_cpu_time(self->targets, 0);
	self->start_ns = now_ns();
	if (self->off_cpu)
		off_cpu__start(self->off_cpu, self->start_ns);
	if (self->events)
		cpu_events__enable(self->events, true);
	if (self->sleepers) {
		err = sleepers__find(self->sleepers, self, self->off_cpu);
		if (err == -ENOMEM)
			self->record_error = err;
	}
	sleepers__free(self->sleepers);
	self->sleepers = NULL;
}

/* A JIT compiler that changes its memory's protection for each trace may wake us up 15,000 times a
 * second. */
static void limit_wakeups(struct sampler *self)
{
	struct timespec now, pause = {.tv_nsec = WAKEUP_GAP_NS};

	clock_gettime(CLOCK_MONOTONIC, &now);
	if ((now.tv_sec - self->woken.tv_sec) * 1000000000ll + now.tv_nsec - self->woken.tv_nsec <
	    WAKEUP_GAP_NS)
		nanosleep(&pause, NULL);
	clock_gettime(CLOCK_MONOTONIC, &self->woken);
}

/* The timers that children have inherited hang on their parent's: with children they stay. */
static void close_ended(struct sampler *self)
{
	pid_t pid;

	while ((pid = targets__take_ended(self->targets))) {
		if (self->events && !self->options.children)
			cpu_events__remove(self->events, pid);
	}
}

int sampler__poll(struct sampler *self, int timeout_ms)
{
	struct epoll_event events[16];
	int i, count = epoll_wait(self->epoll_fd, events, 16, timeout_ms);

	if (count < 0)
		return -errno;
	if (count > 0)
		limit_wakeups(self);
	for (i = 0; i < count; i++) {
		/* The thread of a mapping event has ended. */
		if (events[i].events & (EPOLLHUP | EPOLLERR))
			epoll_ctl(self->epoll_fd, EPOLL_CTL_DEL, events[i].data.fd, NULL);
	}
	/* Most records come without a wake-up. */
	ring_buffer__consume(self->ring);
	targets__tend(self->targets, count > 0);
	close_ended(self);
	return self->record_error;
}

enum reading {
	READ_SO_FAR, /* more will come */
	READ_TAKE,   /* what is read is removed from the map */
	READ_LAST,   /* nothing comes any more */
};

/* What is not in the store will not come: its record had no room there. */
static void count_unknown(struct sampler *self, const struct stack_count *count)
{
	self->counters[count->ns ? COUNTER_OFF_LOST : COUNTER_LOST] += count->count;
	self->counters[COUNTER_OFF_LOST_NS] += count->ns;
}

/* What the kernel has counted, bucket by bucket of its map, each under its lock: a stack that is
 * new meanwhile may be left out, but none comes twice. */
static int read_counts(struct sampler *self, enum reading how)
{
	int fd = bpf_map__fd(self->bpf->maps.stacks), err = 0;
	uint32_t batch = 0, read, i;
	struct stack_count *counts = calloc(COUNT_BATCH, sizeof(*counts));
	uint64_t *keys = calloc(COUNT_BATCH, sizeof(*keys));
	bool begun = false;

	if (!counts || !keys)
		err = -ENOMEM;
	while (!err) {
		read = COUNT_BATCH;
		/* -ENOENT comes with the last ones. */
		if ((how == READ_TAKE ? bpf_map_lookup_and_delete_batch : bpf_map_lookup_batch)(
			    fd, begun ? &batch : NULL, &batch, keys, counts, &read, NULL) != 0)
			err = -errno;
		if (err && err != -ENOENT)
			break;
		begun = true;
		/* A stack's record comes before its count: then these are in the store. */
		if (how == READ_TAKE)
			ring_buffer__consume(self->ring);
		for (i = 0; i < read; i++) {
			if (how == READ_TAKE &&
			    !stack_store__take_count(self->stacks, keys[i], &counts[i]))
				self->counters[COUNTER_LOST] += counts[i].count;
			else if (how != READ_TAKE &&
				 !stack_store__set_count(self->stacks, keys[i], &counts[i]) &&
				 how == READ_LAST)
				count_unknown(self, &counts[i]);
		}
	}
	free(keys);
	free(counts);
	return err == -ENOENT ? 0 : err;
}

static int collect(struct sampler *self, enum reading how)
{
	int err;

	/* First the records: a count of a stack that is not there is left for the next time. */
	ring_buffer__consume(self->ring);
	err = read_counts(self, how);
	stack_store__mark(self->stacks);
	return err ? err : self->record_error;
}

int sampler__collect(struct sampler *self)
{
	return collect(self, READ_SO_FAR);
}

int sampler__take(struct sampler *self)
{
	int err;

	stack_store__begin_taking(self->stacks);
	err = read_counts(self, READ_TAKE);
	stack_store__mark(self->stacks);
	return err ? err : self->record_error;
}

int sampler__stop(struct sampler *self)
{
	int err = 0, collect_err;

	if (self->stopped)
		return self->record_error;
	self->stopped = true;
	self->cpu_time_ns = targets__cpu_time_ns(self->targets);
	if (self->off_cpu)
		off_cpu__stop(self->off_cpu, now_ns());
	if (self->events)
		cpu_events__enable(self->events, false);
	/* Closing them also ends the inherited ones of threads that the list does not name. */
	cpu_events__free(self->events);
	self->events = NULL;
	ring_buffer__consume(self->ring);
	if (self->off_cpu)
		err = off_cpu__take_rest(self->off_cpu, self->stacks, self->counters);
	collect_err = collect(self, READ_LAST);
	lua_vms__refresh(self->vms, self->stacks);
	return err ? err : collect_err;
}

double sampler__cpu_seconds(const struct sampler *self)
{
	return (double)self->cpu_time_ns / 1e9;
}

size_t sampler__alive(const struct sampler *self)
{
	return targets__alive(self->targets);
}

size_t sampler__with_vm(const struct sampler *self)
{
	return targets__with_vm(self->targets);
}

void sampler__counters(const struct sampler *self, uint64_t *counters)
{
	int cpus = libbpf_num_possible_cpus(), cpu;
	uint64_t *values;
	uint32_t i;

	for (i = 0; i < COUNTER_COUNT; i++)
		counters[i] = self->counters[i];
	values = cpus > 0 ? calloc((size_t)cpus, sizeof(*values)) : NULL;
	if (!values)
		return;
	for (i = 0; i < COUNTER_COUNT; i++) {
		if (bpf_map_lookup_elem(bpf_map__fd(self->bpf->maps.counters), &i, values) != 0)
			continue;
		for (cpu = 0; cpu < cpus; cpu++)
			counters[i] += values[cpu];
	}
	free(values);
}

bool sampler__may_load(const struct sampler *self)
{
	return vm_programs__may_load(self->programs);
}

uint64_t sampler__start_ns(const struct sampler *self)
{
	return self->start_ns;
}

uint64_t sampler__first_sample_ns(const struct sampler *self)
{
	return self->bpf->bss->first_sample_ns;
}

struct stack_store *sampler__stacks(const struct sampler *self)
{
	return self->stacks;
}

struct modules *sampler__modules(const struct sampler *self)
{
	return self->modules;
}

const struct lua_vms *sampler__vms(const struct sampler *self)
{
	return self->vms;
}

const struct sampler_options *sampler__options(const struct sampler *self)
{
	return &self->options;
}

const struct targets *sampler__targets(const struct sampler *self)
{
	return self->targets;
}

const struct walk_tables *sampler__tables(const struct sampler *self)
{
	return self->options.user_walks ? &self->copy : NULL;
}
