/* SPDX-License-Identifier: Apache-2.0 */
#include "targets.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>
#include <uthash.h>

#include "../target/maps.h"
#include "../target/process_info.h"
#include "map_events.h"

#define LOOK_EVERY_MS 1000

/* Reading a list of 10,000 mappings takes 10 ms, and a process may change it all the time: a read
 * that takes longer than this is repeated so seldom that a tenth of a CPU goes into it. */
#define SHORT_READ_NS 2000000ull
#define READ_SHARE    10

struct target {
	pid_t pid;
	int pidfd; /* readable when the process has ended; -1 where pidfds are not available */
	bool ended, end_taken;
	bool distrusted;
	bool until_exec;       /* it will execute the program that is meant */
	bool stale;	       /* its mappings may have changed */
	uint64_t next_read_ms; /* not before */
	uint32_t vm;
	bool has_puc;
	struct mapping *mappings; /* as sent to the kernel */
	uint32_t mapping_count;
	uint64_t cpu_before_ns, cpu_ns; /* CPU time of the process: not counted, in all */
	struct map_events *events;
	UT_hash_handle hh;
};

struct targets {
	struct kernel_tables *tables;
	struct modules *modules;
	struct target *by_pid;
	int epoll_fd; /* the caller's */
	uint64_t looked_ms;
	uint64_t replaced_cpu_ns; /* counted CPU time of processes whose entry is no more */
	size_t ended;		  /* whose end was not taken */
};

static uint64_t now_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000 + (uint64_t)t.tv_nsec / 1000000;
}

static uint64_t own_cpu_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
	return (uint64_t)t.tv_sec * 1000000000ull + (uint64_t)t.tv_nsec;
}

struct targets *targets__new(struct kernel_tables *tables, struct modules *modules, int epoll_fd)
{
	struct targets *self = calloc(1, sizeof(*self));

	if (self) {
		self->tables = tables;
		self->modules = modules;
		self->epoll_fd = epoll_fd;
	}
	return self;
}

static void target_free(struct target *target)
{
	map_events__free(target->events);
	if (target->pidfd >= 0)
		close(target->pidfd);
	free(target->mappings);
	free(target);
}

void targets__free(struct targets *self)
{
	struct target *target, *next;

	if (!self)
		return;
	HASH_ITER (hh, self->by_pid, target, next) {
		HASH_DEL(self->by_pid, target); /* NOLINT(clang-analyzer-unix.Malloc): uthash */
		target_free(target);
	}
	free(self);
}

/* The executable mappings with a file, ascending; anonymous code is the walk's own matter. */
static int collect(struct targets *self, struct target *target, const struct maps *maps,
		   struct mapping **out, uint32_t *count, uint32_t *vm)
{
	const struct module *module;
	struct mapping *mappings;
	uint64_t bias;
	uint32_t n = 0;
	size_t i;
	int err;

	*vm = 0;
	target->has_puc = false;
	mappings = calloc(maps->count + 1, sizeof(*mappings));
	if (!mappings)
		return -ENOMEM;
	for (i = 0; i < maps->count; i++) {
		const struct map_entry *entry = &maps->entries[i];

		if (!entry->executable)
			continue;
		err = modules__get(self->modules, target->pid, entry, &module, &bias);
		if (err == -EINVAL)
			continue;
		if (err) {
			free(mappings);
			return err;
		}
		mappings[n++] = (struct mapping){.start = entry->start,
						 .end = entry->end,
						 .bias = bias,
						 .file_id = module->id};
		if (!*vm)
			*vm = module->vm;
		target->has_puc |= module->puc != 0;
	}
	*out = mappings;
	*count = n;
	return 0;
}

static int read_mappings(struct targets *self, struct target *target)
{
	struct mapping *mappings;
	struct maps maps;
	uint32_t count, vm;
	int err;

	target->stale = false;
	err = maps__read(target->pid, &maps);
	if (!err)
		err = collect(self, target, &maps, &mappings, &count, &vm);
	maps__free(&maps);
	if (err)
		return err;
	if (target->mappings && count == target->mapping_count && vm == target->vm &&
	    memcmp(mappings, target->mappings, count * sizeof(*mappings)) == 0) {
		free(mappings);
		return 0;
	}
	err = kernel_tables__put_process(self->tables, (uint32_t)target->pid, mappings, count,
					 target->distrusted ? 0 : vm,
					 target->until_exec ? PROCESS_UNTIL_EXEC : 0);
	if (err) {
		free(mappings);
		return err;
	}
	free(target->mappings);
	target->mappings = mappings;
	target->mapping_count = count;
	target->vm = vm;
	return 0;
}

static int refresh(struct targets *self, struct target *target)
{
	uint64_t began_ns = own_cpu_ns(), taken_ns;
	int err = read_mappings(self, target);

	taken_ns = own_cpu_ns() - began_ns;
	if (taken_ns > SHORT_READ_NS)
		target->next_read_ms = now_ms() + taken_ns * (READ_SHARE - 1) / 1000000;
	return err;
}

void targets__read_files(struct targets *self, pid_t pid)
{
	struct target target = {.pid = pid};
	struct mapping *mappings;
	uint32_t count, vm;
	struct maps maps;

	if (maps__read(pid, &maps) == 0 &&
	    collect(self, &target, &maps, &mappings, &count, &vm) == 0) {
		kernel_tables__flush(self->tables);
		free(mappings);
	}
	maps__free(&maps);
}

int targets__add(struct targets *self, pid_t pid, bool will_exec)
{
	struct epoll_event wake = {.events = EPOLLIN};
	struct target *target;
	int err;

	HASH_FIND_INT(self->by_pid, &pid, target);
	if (target && !target->ended)
		return 0;
	if (target) {
		self->replaced_cpu_ns += target->cpu_ns - target->cpu_before_ns;
		HASH_DEL(self->by_pid, target); /* the pid was given out again */
		target_free(target);
	}
	target = calloc(1, sizeof(*target));
	if (!target)
		return -ENOMEM;
	target->pid = pid;
	target->pidfd = (int)syscall(SYS_pidfd_open, pid, 0);
	wake.data.fd = target->pidfd;
	if (target->pidfd >= 0 &&
	    epoll_ctl(self->epoll_fd, EPOLL_CTL_ADD, target->pidfd, &wake) != 0) {
		close(target->pidfd);
		target->pidfd = -1;
	}
	/* Before the first look, so that nothing is missed in between. */
	target->events = map_events__new(pid, self->epoll_fd);
	target->until_exec = will_exec;
	err = will_exec ? kernel_tables__put_process(self->tables, (uint32_t)pid, NULL, 0, 0,
						     PROCESS_UNTIL_EXEC)
			: refresh(self, target);
	if (err) {
		target_free(target);
		return err;
	}
	HASH_ADD_INT(self->by_pid, pid, target);
	return 0;
}

void targets__remove(struct targets *self, pid_t pid)
{
	struct target *target;

	HASH_FIND_INT(self->by_pid, &pid, target);
	/* The kernel side may follow a child that is none of ours. */
	kernel_tables__remove_process(self->tables, (uint32_t)pid);
	if (!target)
		return;
	HASH_DEL(self->by_pid, target); /* NOLINT(clang-analyzer-unix.Malloc): uthash */
	target_free(target);
}

void targets__changed(struct targets *self, pid_t pid)
{
	struct target *target;

	HASH_FIND_INT(self->by_pid, &pid, target);
	if (target)
		target->stale = true;
}

/* The next list is sent even if it is an equal one. */
static void forget_mappings(struct target *target)
{
	free(target->mappings);
	target->mappings = NULL;
}

void targets__executed(struct targets *self, pid_t pid)
{
	struct target *target;

	HASH_FIND_INT(self->by_pid, &pid, target);
	if (!target || target->ended)
		return;
	/* The kernel side has forgotten the old image. */
	forget_mappings(target);
	target->distrusted = false;
	target->until_exec = false;
	target->next_read_ms = 0; /* that was the old image's */
	refresh(self, target);
}

void targets__distrust(struct targets *self, pid_t pid)
{
	struct target *target;

	HASH_FIND_INT(self->by_pid, &pid, target);
	if (!target || target->ended || target->distrusted)
		return;
	forget_mappings(target);
	target->distrusted = true;
	refresh(self, target);
}

static bool has_ended(const struct target *target)
{
	struct pollfd poll_fd = {.fd = target->pidfd, .events = POLLIN};

	if (target->pidfd >= 0)
		return poll(&poll_fd, 1, 0) == 1;
	return kill(target->pid, 0) != 0 && errno == ESRCH;
}

static void update_cpu_time(struct target *target)
{
	uint64_t now = target->ended ? 0 : process_info__cpu_time_ns(target->pid);

	/* 0: it has gone. */
	if (now > target->cpu_ns)
		target->cpu_ns = now;
}

void targets__count_cpu_time(struct targets *self, pid_t pid)
{
	struct target *target;

	for (target = self->by_pid; target; target = target->hh.next) {
		if (pid && target->pid != pid)
			continue;
		update_cpu_time(target);
		target->cpu_before_ns = target->cpu_ns;
	}
}

uint64_t targets__cpu_time_ns(struct targets *self)
{
	uint64_t sum = self->replaced_cpu_ns;
	struct target *target;

	for (target = self->by_pid; target; target = target->hh.next) {
		update_cpu_time(target);
		sum += target->cpu_ns - target->cpu_before_ns;
	}
	return sum;
}

void targets__tend(struct targets *self, bool woken)
{
	uint64_t now = now_ms();
	bool look = now - self->looked_ms >= LOOK_EVERY_MS;
	struct target *target, *next;

	if (look)
		self->looked_ms = now;
	HASH_ITER (hh, self->by_pid, target, next) {
		if (target->ended)
			continue;
		if (look)
			update_cpu_time(target);
		/* A pidfd wakes when its process ends. */
		if ((woken || target->pidfd < 0) && has_ended(target)) {
			update_cpu_time(target); /* it may not have been reaped yet */
			target->ended = true;
			if (target->pidfd >= 0)
				close(target->pidfd); /* it would stay readable */
			target->pidfd = -1;
			map_events__free(target->events);
			target->events = NULL;
			self->ended++;
			kernel_tables__remove_process(self->tables, (uint32_t)target->pid);
			continue;
		}
		target->stale |= map_events__pending(target->events) || look;
		if (target->stale && now >= target->next_read_ms)
			refresh(self, target);
	}
}

uint64_t mappings__address(const struct mapping *mappings, uint32_t count, uint32_t file_id,
			   uint64_t vaddr)
{
	uint64_t address;
	uint32_t i;

	for (i = 0; i < count; i++) {
		address = vaddr + mappings[i].bias;
		if (mappings[i].file_id == file_id && address >= mappings[i].start &&
		    address < mappings[i].end)
			return address;
	}
	return 0;
}

uint64_t targets__address(const struct targets *self, pid_t pid, uint32_t file_id, uint64_t vaddr)
{
	const struct target *target;

	HASH_FIND_INT(self->by_pid, &pid, target);
	if (!target || !target->mappings)
		return 0;
	return mappings__address(target->mappings, target->mapping_count, file_id, vaddr);
}

struct mapping *targets__mappings(const struct targets *self, pid_t pid, uint32_t *count)
{
	const struct target *target;
	struct mapping *copy;

	*count = 0;
	HASH_FIND_INT(self->by_pid, &pid, target);
	if (!target || !target->mappings || !target->mapping_count)
		return NULL;
	copy = calloc(target->mapping_count, sizeof(*copy));
	if (!copy)
		return NULL;
	memcpy(copy, target->mappings, target->mapping_count * sizeof(*copy));
	*count = target->mapping_count;
	return copy;
}

bool targets__view(const struct targets *self, pid_t pid, const struct mapping **mappings,
		   uint32_t *count, uint32_t *vm)
{
	const struct target *target;

	HASH_FIND_INT(self->by_pid, &pid, target);
	if (!target || target->ended)
		return false;
	*mappings = target->mappings;
	*count = target->mappings ? target->mapping_count : 0;
	*vm = target->distrusted ? 0 : target->vm;
	return true;
}

bool targets__follows(const struct targets *self, pid_t pid)
{
	const struct target *target;

	HASH_FIND_INT(self->by_pid, &pid, target);
	return target && !target->ended;
}

pid_t targets__take_ended(struct targets *self)
{
	struct target *target;

	if (!self->ended)
		return 0;
	for (target = self->by_pid; target; target = target->hh.next) {
		if (target->ended && !target->end_taken) {
			target->end_taken = true;
			self->ended--;
			return target->pid;
		}
	}
	self->ended = 0;
	return 0;
}

size_t targets__alive(const struct targets *self)
{
	const struct target *target;
	size_t alive = 0;

	for (target = self->by_pid; target; target = target->hh.next)
		alive += !target->ended;
	return alive;
}

size_t targets__with_vm(const struct targets *self)
{
	const struct target *target;
	size_t count = 0;

	for (target = self->by_pid; target; target = target->hh.next)
		count += target->vm || target->has_puc;
	return count;
}
