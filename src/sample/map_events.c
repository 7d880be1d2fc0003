/* SPDX-License-Identifier: Apache-2.0 */
#include "map_events.h"

#include <linux/perf_event.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "../target/process_info.h"

#define MAX_THREADS 64

struct map_event {
	int fd;
	struct perf_event_mmap_page *page; /* followed by one page of records */
};

struct map_events {
	size_t count;
	struct map_event events[MAX_THREADS];
};

static int watch(pid_t tid, struct map_event *event)
{
	struct perf_event_attr attr = {.type = PERF_TYPE_SOFTWARE,
				       .size = sizeof(attr),
				       .config = PERF_COUNT_SW_DUMMY,
				       .mmap = 1,
				       .exclude_kernel = 1,
				       .exclude_hv = 1};
	size_t size = 2 * (size_t)sysconf(_SC_PAGESIZE);

	event->fd = (int)syscall(SYS_perf_event_open, &attr, tid, -1, -1, PERF_FLAG_FD_CLOEXEC);
	if (event->fd < 0)
		return -1;
	event->page = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, event->fd, 0);
	if (event->page == MAP_FAILED) {
		close(event->fd);
		return -1;
	}
	return 0;
}

struct map_events *map_events__new(pid_t pid)
{
	struct map_events *self;
	size_t count, i;
	pid_t *tids;

	if (process_info__threads(pid, &tids, &count) != 0)
		return NULL;
	self = calloc(1, sizeof(*self));
	for (i = 0; self && i < count && self->count < MAX_THREADS; i++) {
		if (watch(tids[i], &self->events[self->count]) == 0)
			self->count++;
	}
	free(tids);
	return self;
}

void map_events__free(struct map_events *self)
{
	size_t i;

	if (!self)
		return;
	for (i = 0; i < self->count; i++) {
		munmap(self->events[i].page, 2 * (size_t)sysconf(_SC_PAGESIZE));
		close(self->events[i].fd);
	}
	free(self);
}

bool map_events__pending(struct map_events *self)
{
	struct perf_event_mmap_page *page;
	bool pending = false;
	uint64_t head;
	size_t i;

	for (i = 0; self && i < self->count; i++) {
		page = self->events[i].page;
		head = __atomic_load_n(&page->data_head, __ATOMIC_ACQUIRE);
		if (head == page->data_tail)
			continue;
		/* The records' contents do not matter: what is mapped now does. */
		__atomic_store_n(&page->data_tail, head, __ATOMIC_RELEASE);
		pending = true;
	}
	return pending;
}
