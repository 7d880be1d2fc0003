/* SPDX-License-Identifier: Apache-2.0 */
#include "thread_states.h"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "../target/process_info.h"
#include "program_logs.h"
#include "tasks.skel.h"

#define READ_RECORDS 24u /* at once */

struct thread_states {
	struct tasks_bpf *bpf;
	struct bpf_link *link;
	char bytes[READ_RECORDS * sizeof(struct record_task)];
};

int thread_states__new(struct thread_states **states, struct refusal *refusal)
{
	struct thread_states *self = calloc(1, sizeof(*self));
	struct program_logs *logs = NULL;
	int err;

	if (!self)
		return -ENOMEM;
	self->bpf = tasks_bpf__open();
	if (!self->bpf) {
		err = -errno;
		goto out;
	}
	self->bpf->rodata->pid_namespace = process_info__pid_namespace();
	self->bpf->rodata->has_task_pt_regs =
		libbpf_probe_bpf_helper(BPF_PROG_TYPE_PERF_EVENT, BPF_FUNC_task_pt_regs, NULL) == 1;
	logs = program_logs__new(self->bpf->obj);
	if (!logs) {
		err = -ENOMEM;
		goto out;
	}
	err = tasks_bpf__load(self->bpf);
	if (err && refusal)
		program_logs__take(logs, refusal);
	program_logs__free(logs);
	if (err)
		goto out;
	self->link = bpf_program__attach_iter(self->bpf->progs.on_task, NULL);
	if (!self->link) {
		err = -errno;
		goto out;
	}
	*states = self;
	return 0;
out:
	thread_states__free(self);
	return err;
}

void thread_states__free(struct thread_states *self)
{
	if (!self)
		return;
	bpf_link__destroy(self->link);
	tasks_bpf__destroy(self->bpf);
	free(self);
}

int thread_states__want(struct thread_states *self, pid_t pid)
{
	uint32_t tgid = (uint32_t)pid;
	uint8_t one = 1;

	return bpf_map_update_elem(bpf_map__fd(self->bpf->maps.wanted), &tgid, &one, BPF_ANY) == 0
		       ? 0
		       : -errno;
}

/* A read may end inside a record: the kernel's file of an iterator is one of bytes. */
static int read_all(struct thread_states *self, int fd,
		    int (*found)(void *context, const struct record_task *task), void *context)
{
	struct record_task task;
	size_t have = 0, at;
	ssize_t count;
	int err;

	for (;;) {
		count = read(fd, self->bytes + have, sizeof(self->bytes) - have);
		if (count < 0 && (errno == EINTR || errno == EAGAIN))
			continue;
		if (count <= 0)
			return count < 0 ? -errno : 0;
		have += (size_t)count;
		for (at = 0; have - at >= sizeof(task); at += sizeof(task)) {
			memcpy(&task, self->bytes + at, sizeof(task));
			if (task.kernel_count > MAX_KERNEL_FRAMES)
				task.kernel_count = MAX_KERNEL_FRAMES;
			err = found(context, &task);
			if (err)
				return err;
		}
		have -= at;
		memmove(self->bytes, self->bytes + at, have);
	}
}

int thread_states__read(struct thread_states *self,
			int (*found)(void *context, const struct record_task *task), void *context)
{
	int fd = bpf_iter_create(bpf_link__fd(self->link)), err;

	if (fd < 0)
		return -errno;
	err = read_all(self, fd, found, context);
	close(fd);
	return err;
}

bool record_task__unchanged(const struct record_task *before, const struct record_task *after)
{
	return !before->on_cpu && !after->on_cpu && before->switches == after->switches &&
	       before->tid == after->tid && before->tgid == after->tgid;
}
