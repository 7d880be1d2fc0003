/* SPDX-License-Identifier: Apache-2.0 */
#include "cpu_events.h"

#include <errno.h>
#include <linux/perf_event.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "../target/process_info.h"

#define MAX_TRIES 20

struct cpu_event {
	int fd;
	pid_t pid; /* the process */
};

struct cpu_events {
	uint32_t rate_hz;
	int program_fd;
	bool children, enabled;
	struct cpu_event *events;
	size_t count, capacity;
};

struct cpu_events *cpu_events__new(uint32_t rate_hz, int program_fd, bool children)
{
	struct cpu_events *self = calloc(1, sizeof(*self));

	if (self) {
		self->rate_hz = rate_hz;
		self->program_fd = program_fd;
		self->children = children;
	}
	return self;
}

static void close_from(struct cpu_events *self, size_t first)
{
	while (self->count > first)
		close(self->events[--self->count].fd);
}

void cpu_events__free(struct cpu_events *self)
{
	if (!self)
		return;
	close_from(self, 0);
	free(self->events);
	free(self);
}

static int open_event(const struct cpu_events *self, pid_t tid, bool on_exec)
{
	struct perf_event_attr attr = {.type = PERF_TYPE_SOFTWARE,
				       .size = sizeof(attr),
				       .config = PERF_COUNT_SW_CPU_CLOCK,
				       .sample_freq = self->rate_hz,
				       .freq = 1,
				       .disabled = 1,
				       .inherit = 1,
				       .inherit_thread = !self->children,
				       .enable_on_exec = on_exec};
	int fd;

	fd = (int)syscall(SYS_perf_event_open, &attr, tid, -1, -1, PERF_FLAG_FD_CLOEXEC);
	if (fd < 0 && attr.inherit_thread) {
		/* Before Linux 5.13: children inherit it, too, and the program leaves them out. */
		attr.inherit_thread = 0;
		fd = (int)syscall(SYS_perf_event_open, &attr, tid, -1, -1, PERF_FLAG_FD_CLOEXEC);
	}
	return fd < 0 ? -errno : fd;
}

static int add_thread(struct cpu_events *self, pid_t pid, pid_t tid, bool on_exec)
{
	struct cpu_event *grown;
	int fd, err;

	if (self->count == self->capacity) {
		grown = realloc(self->events, (self->capacity + 64) * sizeof(*grown));
		if (!grown)
			return -ENOMEM;
		self->events = grown;
		self->capacity += 64;
	}
	fd = open_event(self, tid, on_exec);
	if (fd == -ESRCH)
		return 0; /* the thread has ended; that the process has not is checked by listing */
	if (fd < 0)
		return fd;
	if (ioctl(fd, PERF_EVENT_IOC_SET_BPF, self->program_fd) != 0) {
		err = -errno;
		close(fd);
		return err;
	}
	self->events[self->count++] = (struct cpu_event){.fd = fd, .pid = pid};
	return 0;
}

static void enable_from(struct cpu_events *self, size_t first, bool enable)
{
	size_t i;

	for (i = first; i < self->count; i++)
		ioctl(self->events[i].fd, enable ? PERF_EVENT_IOC_ENABLE : PERF_EVENT_IOC_DISABLE,
		      0);
}

static int pid_compare(const void *a, const void *b)
{
	pid_t x = *(const pid_t *)a, y = *(const pid_t *)b;

	return (x > y) - (x < y);
}

/*
 * A thread that starts while the list is worked through may or may not have inherited a timer, and
 * a second one would count its samples twice. So the list is read before and after, and if it has
 * grown everything is done again.
 */
int cpu_events__add(struct cpu_events *self, pid_t pid, bool on_exec)
{
	size_t first = self->count, before_count, after_count, i;
	pid_t *before, *after;
	bool same;
	int tries, err;

	for (tries = 0; tries < MAX_TRIES; tries++) {
		err = process_info__threads(pid, &before, &before_count);
		if (err)
			return err;
		for (i = 0; !err && i < before_count; i++)
			err = add_thread(self, pid, before[i], on_exec);
		after = NULL;
		if (!err)
			err = process_info__threads(pid, &after, &after_count);
		if (err) {
			free(before);
			close_from(self, first);
			return err;
		}
		same = after_count <= before_count;
		for (i = 0; same && i < after_count; i++)
			same = bsearch(&after[i], before, before_count, sizeof(pid_t), pid_compare);
		free(before);
		free(after);
		if (same) {
			if (self->enabled && !on_exec)
				enable_from(self, first, true);
			return self->count == first ? -ESRCH : 0;
		}
		close_from(self, first);
	}
	return -EBUSY;
}

void cpu_events__enable(struct cpu_events *self, bool enable)
{
	self->enabled = enable;
	enable_from(self, 0, enable);
}

void cpu_events__remove(struct cpu_events *self, pid_t pid)
{
	size_t i, kept = 0;

	for (i = 0; i < self->count; i++) {
		if (self->events[i].pid == pid)
			close(self->events[i].fd);
		else
			self->events[kept++] = self->events[i];
	}
	self->count = kept;
}

bool cpu_events__always_inherited(void)
{
	struct perf_event_attr attr = {.type = PERF_TYPE_SOFTWARE,
				       .size = sizeof(attr),
				       .config = PERF_COUNT_SW_DUMMY,
				       .disabled = 1,
				       .inherit = 1,
				       .inherit_thread = 1,
				       .exclude_kernel = 1};
	int fd = (int)syscall(SYS_perf_event_open, &attr, 0, -1, -1, PERF_FLAG_FD_CLOEXEC);

	if (fd >= 0)
		close(fd);
	return fd < 0 && errno == EINVAL;
}
