/* SPDX-License-Identifier: Apache-2.0 */
#include "off_cpu.h"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <linux/membarrier.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "../bpf/fingerprint.h"
#include "../target/process_info.h"
#include "sampler.skel.h"

#define READ_AT_ONCE 1024u
#define GRACE_NS     50000000l

struct off_cpu {
	struct sampler_bpf *bpf;
	struct bpf_link *link;
};

int off_cpu__prepare(struct sampler_bpf *bpf, bool wanted, uint64_t min_ns)
{
	bpf->rodata->with_off_cpu = wanted;
	bpf->rodata->off_cpu_min_ns = min_ns;
	/* Attached by off_cpu__new. */
	bpf_program__set_autoattach(bpf->progs.on_switch, false);
	if (wanted)
		return 0;
	bpf_program__set_autoload(bpf->progs.on_switch, false);
	return bpf_map__set_max_entries(bpf->maps.threads, 1);
}

int off_cpu__new(struct sampler_bpf *bpf, struct off_cpu **out)
{
	struct off_cpu *self = calloc(1, sizeof(*self));
	int err;

	if (!self)
		return -ENOMEM;
	self->bpf = bpf;
	self->link = bpf_program__attach_raw_tracepoint(bpf->progs.on_switch, "sched_switch");
	if (!self->link) {
		err = -errno;
		free(self);
		return err;
	}
	*out = self;
	return 0;
}

void off_cpu__free(struct off_cpu *self)
{
	if (!self)
		return;
	bpf_link__destroy(self->link);
	free(self);
}

void off_cpu__start(struct off_cpu *self, uint64_t now_ns)
{
	if (!self->bpf->bss->off_cpu_from_ns)
		__atomic_store_n(&self->bpf->bss->off_cpu_from_ns, now_ns, __ATOMIC_RELEASE);
}

void off_cpu__stop(struct off_cpu *self, uint64_t now_ns)
{
	struct timespec grace = {.tv_nsec = GRACE_NS};

	__atomic_store_n(&self->bpf->bss->off_cpu_until_ns, now_ns, __ATOMIC_RELEASE);
	bpf_link__destroy(self->link);
	self->link = NULL;
	/* Waits for an RCU grace period, and so for the programs that have begun before. It is not
	 * there with nohz_full. */
	if (syscall(SYS_membarrier, MEMBARRIER_CMD_GLOBAL, 0, 0) != 0)
		nanosleep(&grace, NULL);
}

int off_cpu__add_sleeper(struct off_cpu *self, const struct record_task *task, uint64_t hash)
{
	struct thread thread = {
		.hash = hash, .ran_ns = task->ran_ns, .tgid = task->tgid, .tid = task->tid};
	struct stack_count none = {};
	struct process process;
	uint32_t tgid = task->tgid, tid = task->kernel_tid;

	if (bpf_map_lookup_elem(bpf_map__fd(self->bpf->maps.processes), &tgid, &process) != 0)
		return 0; /* it has ended */
	thread.off_since_ns = self->bpf->bss->off_cpu_from_ns;
	if (thread.off_since_ns < process.since_ns)
		thread.off_since_ns = process.since_ns;
	/* First the stack: the thread may come back at once. Where the map is full, there is a
	 * record. */
	if (bpf_map_update_elem(bpf_map__fd(self->bpf->maps.stacks), &hash, &none, BPF_NOEXIST) !=
		    0 &&
	    errno != EEXIST && errno != E2BIG)
		return -errno;
	if (bpf_map_update_elem(bpf_map__fd(self->bpf->maps.threads), &tid, &thread, BPF_NOEXIST) !=
		    0 &&
	    errno != EEXIST && errno != E2BIG)
		return -errno;
	return 0;
}

/* ---- what is off the CPU at the end ------------------------------------------------------- */

struct rest {
	struct off_cpu *self;
	struct stack_store *stacks;
	uint64_t *counters;
	uint64_t from_ns, until_ns;
	uint32_t *seen; /* the threads that the kernel side knows, in luaspy's PID namespace */
	size_t seen_count, seen_room;
	int err;
};

static void add(struct rest *rest, uint64_t hash, uint64_t ns)
{
	if (hash && ns < rest->self->bpf->rodata->off_cpu_min_ns) {
		rest->counters[COUNTER_OFF_SHORT]++;
		rest->counters[COUNTER_OFF_SHORT_NS] += ns;
	} else if (!hash || !stack_store__add_off_cpu(rest->stacks, hash, ns)) {
		rest->counters[COUNTER_OFF_LOST]++;
		rest->counters[COUNTER_OFF_LOST_NS] += ns;
	}
}

/* Calls `take` for each element of a map with keys of 32 bits, which is not written meanwhile. */
static int for_each(int fd, size_t value_size,
		    void (*take)(struct rest *rest, uint32_t key, const void *value),
		    struct rest *rest)
{
	uint32_t *keys = calloc(READ_AT_ONCE, sizeof(*keys));
	char *values = calloc(READ_AT_ONCE, value_size);
	uint32_t batch = 0, count, i;
	bool begun = false;
	int err = keys && values ? 0 : -ENOMEM;

	while (!err && !rest->err) {
		count = READ_AT_ONCE;
		/* -ENOENT comes with the last ones. */
		if (bpf_map_lookup_batch(fd, begun ? &batch : NULL, &batch, keys, values, &count,
					 NULL) != 0)
			err = -errno;
		if (err && err != -ENOENT)
			break;
		begun = true;
		for (i = 0; i < count; i++)
			take(rest, keys[i], values + i * value_size);
	}
	free(keys);
	free(values);
	if (rest->err)
		return rest->err;
	return err == -ENOENT ? 0 : err;
}

static void take_thread(struct rest *rest, uint32_t key, const void *value)
{
	const struct thread *thread = value;
	size_t room = rest->seen_room ? 2 * rest->seen_room : 256;
	uint32_t *grown;

	if (rest->seen_count == rest->seen_room) {
		grown = reallocarray(rest->seen, room, sizeof(*grown));
		if (!grown) {
			rest->err = -ENOMEM;
			return;
		}
		rest->seen = grown;
		rest->seen_room = room;
	}
	rest->seen[rest->seen_count++] = thread->tid;
	if (thread->off_since_ns && thread->off_since_ns < rest->until_ns)
		add(rest, thread->hash, rest->until_ns - thread->off_since_ns);
}

static int compare(const void *a, const void *b)
{
	uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;

	return (x > y) - (x < y);
}

/* When a thread was started, CLOCK_MONOTONIC in ns; up to one tick too early. */
static int64_t started_ns(const struct thread_info *info)
{
	struct timespec boot, monotonic;
	int64_t suspended_ns;

	clock_gettime(CLOCK_MONOTONIC, &monotonic);
	clock_gettime(CLOCK_BOOTTIME, &boot);
	suspended_ns =
		(boot.tv_sec - monotonic.tv_sec) * 1000000000ll + boot.tv_nsec - monotonic.tv_nsec;
	return (int64_t)(info->start_ticks * (1000000000ull / (uint64_t)sysconf(_SC_CLK_TCK))) -
	       suspended_ns;
}

/* A thread that has not left or entered a CPU since `from_ns`: it slept all the while, or, which
 * its state tells, ran. */
static void take_sleeper(struct rest *rest, uint32_t tgid, uint32_t tid, uint64_t from_ns)
{
	struct record_stack record = {.type = RECORD_STACK, .tgid = tgid};
	struct thread_info info;

	if (process_info__thread((pid_t)tgid, (pid_t)tid, &info) != 0 || info.state == 'R' ||
	    info.state == 'Z' || info.state == 'X')
		return;
	/* It may be so new that it has begun after the stop. */
	if (started_ns(&info) >= (int64_t)from_ns)
		return;
	if (rest->self->bpf->rodata->per_thread)
		record.tid = tid;
	record.stop = STOP_COMPLETE;
	record.flags = OFF_CPU_BEFORE << STACK_OFF_CPU_SHIFT;
	memcpy(record.comm, info.comm, strnlen(info.comm, sizeof(record.comm) - 1));
	record.hash = stack_fingerprint(record.stop, record.flags, tgid, record.tid,
					(const __u64 *)record.comm);
	rest->err = stack_store__add_stack(rest->stacks, &record, RECORD_STACK_HEADER, 0, 0);
	if (rest->err == -ENOSPC)
		rest->err = 0; /* then its time counts as lost */
	if (!rest->err)
		add(rest, record.hash, rest->until_ns - from_ns);
}

static void take_process(struct rest *rest, uint32_t tgid, const void *value)
{
	const struct process *process = value;
	uint64_t from_ns = process->since_ns;
	size_t count, i;
	uint32_t tid;
	pid_t *tids;

	if (from_ns < rest->from_ns)
		from_ns = rest->from_ns;
	if (process->flags & PROCESS_UNTIL_EXEC || from_ns >= rest->until_ns ||
	    process_info__threads((pid_t)tgid, &tids, &count) != 0)
		return;
	for (i = 0; i < count && !rest->err; i++) {
		tid = (uint32_t)tids[i];
		if (!rest->seen_count ||
		    !bsearch(&tid, rest->seen, rest->seen_count, sizeof(tid), compare))
			take_sleeper(rest, tgid, tid, from_ns);
	}
	free(tids);
}

int off_cpu__take_rest(struct off_cpu *self, struct stack_store *stacks, uint64_t *counters)
{
	struct rest rest = {.self = self,
			    .stacks = stacks,
			    .counters = counters,
			    .from_ns = self->bpf->bss->off_cpu_from_ns,
			    .until_ns = self->bpf->bss->off_cpu_until_ns};
	int err;

	if (!rest.from_ns || rest.until_ns <= rest.from_ns)
		return 0;
	err = for_each(bpf_map__fd(self->bpf->maps.threads), sizeof(struct thread), take_thread,
		       &rest);
	if (rest.seen_count)
		qsort(rest.seen, rest.seen_count, sizeof(*rest.seen), compare);
	/* Once there was no room for a thread, that one is not known says nothing. */
	if (!err && !self->bpf->bss->threads_lost)
		err = for_each(bpf_map__fd(self->bpf->maps.processes), sizeof(struct process),
			       take_process, &rest);
	free(rest.seen);
	return err;
}
