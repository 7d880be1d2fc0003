/* SPDX-License-Identifier: Apache-2.0 */
#include "map_events.h"

#include <linux/perf_event.h>
#include <stdint.h>
#include <stddef.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "../target/process_info.h"

#define MAX_THREADS 64

/* PERF_RECORD_MMAP, perf_event_open(2). Its size is a multiple of 8. */
struct mmap_record {
	struct perf_event_header header;
	uint32_t pid, tid;
	uint64_t start, length, offset;
	char file[8]; /* or more */
};

struct map_event {
	int fd;
	struct perf_event_mmap_page *page; /* followed by one page of records */
};

struct map_events {
	size_t count;
	struct map_event events[MAX_THREADS];
};

static int watch(pid_t tid, int epoll_fd, struct map_event *event)
{
	struct perf_event_attr attr = {.type = PERF_TYPE_SOFTWARE,
				       .size = sizeof(attr),
				       .config = PERF_COUNT_SW_DUMMY,
				       .mmap = 1,
				       .watermark = 1,
				       .wakeup_watermark = 1,
				       .exclude_kernel = 1,
				       .exclude_hv = 1};
	struct epoll_event wake = {.events = EPOLLIN};
	size_t size = 2 * (size_t)sysconf(_SC_PAGESIZE);

	event->fd = (int)syscall(SYS_perf_event_open, &attr, tid, -1, -1, PERF_FLAG_FD_CLOEXEC);
	if (event->fd < 0)
		return -1;
	event->page = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, event->fd, 0);
	if (event->page == MAP_FAILED) {
		close(event->fd);
		return -1;
	}
	wake.data.fd = event->fd;
	/* Without it the next look does. */
	epoll_ctl(epoll_fd, EPOLL_CTL_ADD, event->fd, &wake);
	return 0;
}

struct map_events *map_events__new(pid_t pid, int epoll_fd)
{
	struct map_events *self;
	size_t count, i;
	pid_t *tids;

	if (process_info__threads(pid, &tids, &count) != 0)
		return NULL;
	self = calloc(1, sizeof(*self));
	for (i = 0; self && i < count && self->count < MAX_THREADS; i++) {
		if (watch(tids[i], epoll_fd, &self->events[self->count]) == 0)
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

/*
 * Takes all records out and tells whether one is about a file. Anonymous memory ("//anon") is not
 * of interest, and a JIT compiler changes its protection for each trace.
 */
static bool drain(struct perf_event_mmap_page *page)
{
	uint64_t head = __atomic_load_n(&page->data_head, __ATOMIC_ACQUIRE);
	uint64_t at = page->data_tail, size = (uint64_t)sysconf(_SC_PAGESIZE);
	const char *records = (const char *)page + size;
	const struct perf_event_header *header;
	bool found = false;
	const char *file;

	while (at < head) {
		/* Records wrap, but aligned words do not. */
		header = (const void *)(records + at % size);
		file = records + (at + offsetof(struct mmap_record, file)) % size;
		if (header->type != PERF_RECORD_MMAP || (file[0] == '/' && file[1] != '/'))
			found = true;
		if (header->size < sizeof(*header))
			break;
		at += header->size;
	}
	__atomic_store_n(&page->data_tail, head, __ATOMIC_RELEASE);
	return found;
}

bool map_events__pending(struct map_events *self)
{
	bool pending = false;
	size_t i;

	for (i = 0; self && i < self->count; i++)
		pending |= drain(self->events[i].page);
	return pending;
}
