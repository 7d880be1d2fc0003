/* SPDX-License-Identifier: Apache-2.0 */
#include "kernel_tables.h"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <linux/bpf.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>
#include <uthash.h>

#include "sampler.skel.h"

/*
 * The mappings of all processes share one array. A process's new list is written to a free extent
 * and becomes current when its process entry is replaced; the old extent may still be read by a
 * walk that is under way, so it is only reused a while later. A walk takes microseconds.
 */
#define REUSE_AFTER_NS 1000000000ull

struct extent {
	uint32_t first;
	uint32_t count;
	uint64_t free_since_ns; /* of extents that are not in use */
};

struct process_entry {
	uint32_t tgid;
	struct extent extent;
	uint64_t since_ns; /* when it was followed first */
	UT_hash_handle hh;
};

/* Row tables that are ready but not yet in the outer map: see kernel_tables__put_file. */
#define MAX_PENDING 64

struct kernel_tables {
	struct sampler_bpf *bpf;
	struct walk_tables *copy; /* may be NULL */
	uint32_t pending_count;
	uint32_t pending_ids[MAX_PENDING];
	int pending_tables[MAX_PENDING];
	uint32_t rules_sent;
	struct unwind_rule *rules; /* the map's memory; NULL until it is used */
	uint32_t generation;	   /* the kernel side adds 1 at an exec */
	uint32_t next_mapping;	   /* above it nothing was ever used */
	struct extent *freed;
	size_t freed_count, freed_capacity;
	struct process_entry *processes;
};

static uint64_t now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000000000ull + (uint64_t)t.tv_nsec;
}

struct kernel_tables *kernel_tables__new(struct sampler_bpf *bpf, struct walk_tables *copy)
{
	struct kernel_tables *self = calloc(1, sizeof(*self));

	if (self) {
		self->bpf = bpf;
		self->copy = copy;
	}
	return self;
}

static void close_pending(struct kernel_tables *self)
{
	while (self->pending_count)
		close(self->pending_tables[--self->pending_count]);
}

void kernel_tables__free(struct kernel_tables *self)
{
	struct process_entry *entry, *next;

	if (!self)
		return;
	close_pending(self);
	if (self->rules)
		munmap(self->rules, MAX_RULES * sizeof(*self->rules));
	HASH_ITER (hh, self->processes, entry, next) {
		HASH_DEL(self->processes, entry); /* NOLINT(clang-analyzer-unix.Malloc): uthash */
		free(entry);
	}
	free(self->freed);
	free(self);
}

/* Writes to the memory of the map: a system call for each of a thousand rules takes a millisecond.
 */
static int map_rules(struct kernel_tables *self)
{
	void *memory;

	_Static_assert(sizeof(struct unwind_rule) % 8 == 0, "as the kernel places them");
	if (self->rules)
		return 0;
	memory = mmap(NULL, MAX_RULES * sizeof(*self->rules), PROT_READ | PROT_WRITE, MAP_SHARED,
		      bpf_map__fd(self->bpf->maps.rules), 0);
	if (memory == MAP_FAILED)
		return -errno;
	self->rules = memory;
	return 0;
}

int kernel_tables__put_rules(struct kernel_tables *self, const struct unwind_rules *rules)
{
	uint32_t count = unwind_rules__count(rules);
	int err = map_rules(self);

	for (; !err && self->rules_sent < count; self->rules_sent++) {
		uint32_t id = self->rules_sent;

		self->rules[id] = unwind_rule__for_walk(unwind_rules__get(rules, id));
		if (self->copy)
			err = walk_tables__put_rule(self->copy, &self->rules[id]);
	}
	return err;
}

/* By way of its memory: an update of each entry, in batches too, takes twenty times as long. */
static int fill_array(int fd, const uint64_t *entries, size_t count)
{
	uint64_t *memory = mmap(NULL, count * sizeof(*entries), PROT_WRITE, MAP_SHARED, fd, 0);

	if (memory == MAP_FAILED)
		return -errno;
	memcpy(memory, entries, count * sizeof(*entries));
	munmap(memory, count * sizeof(*entries));
	return 0;
}

/*
 * Each update of a map of maps waits for an RCU grace period, 10 to 20 ms, in the system call. So
 * the tables of the files that a process maps are put in by one call, just before the process's
 * mappings become current.
 */
int kernel_tables__flush(struct kernel_tables *self)
{
	int fd = bpf_map__fd(self->bpf->maps.tables), err = 0;
	uint32_t count = self->pending_count, i;

	if (!count)
		return 0;
	if (bpf_map_update_batch(fd, self->pending_ids, self->pending_tables, &count, NULL) != 0) {
		/* Before Linux 5.14 there is no batch for this type. */
		for (i = 0; !err && i < self->pending_count; i++) {
			if (bpf_map_update_elem(fd, &self->pending_ids[i], &self->pending_tables[i],
						BPF_ANY) != 0)
				err = -errno;
		}
	}
	close_pending(self); /* the outer map holds them now */
	return err;
}

int kernel_tables__put_file(struct kernel_tables *self, uint32_t file_id,
			    const struct file_table *file, const uint64_t *entries, size_t count)
{
	LIBBPF_OPTS(bpf_map_create_opts, options, .map_flags = BPF_F_INNER_MAP | BPF_F_MMAPABLE);
	int table, err = 0;

	if (count) {
		if (self->pending_count == MAX_PENDING)
			err = kernel_tables__flush(self);
		if (err)
			return err;
		table = bpf_map_create(BPF_MAP_TYPE_ARRAY, "unwind_rows", sizeof(uint32_t),
				       sizeof(struct table_piece),
				       (uint32_t)((count + TABLE_PIECE - 1) / TABLE_PIECE),
				       &options);
		if (table < 0)
			return -errno;
		err = fill_array(table, entries, count);
		if (err) {
			close(table);
			return err;
		}
		self->pending_ids[self->pending_count] = file_id;
		self->pending_tables[self->pending_count++] = table;
	}
	if (bpf_map_update_elem(bpf_map__fd(self->bpf->maps.files), &file_id, file, BPF_ANY) != 0)
		err = -errno;
	if (!err && self->copy)
		err = walk_tables__put_file(self->copy, file_id, file, entries, count);
	return err;
}

int kernel_tables__put_build(struct kernel_tables *self, uint32_t vm,
			     const struct luajit_build *build)
{
	if (bpf_map_update_elem(bpf_map__fd(self->bpf->maps.builds), &vm, build, BPF_ANY) != 0)
		return -errno;
	return self->copy ? walk_tables__put_build(self->copy, build) : 0;
}

int kernel_tables__put_puc(struct kernel_tables *self, uint32_t puc, const struct puc_build *build)
{
	if (bpf_map_update_elem(bpf_map__fd(self->bpf->maps.pucs), &puc, build, BPF_ANY) != 0)
		return -errno;
	return self->copy ? walk_tables__put_puc(self->copy, build) : 0;
}

/* ---- extents of the mappings array ------------------------------------------------------- */

static int extent_allocate(struct kernel_tables *self, uint32_t count, struct extent *extent)
{
	uint64_t now = now_ns();
	struct extent *e;
	size_t i;

	extent->count = count;
	extent->first = 0;
	if (!count)
		return 0;
	for (i = 0; i < self->freed_count; i++) {
		e = &self->freed[i];
		if (e->count < count || now - e->free_since_ns < REUSE_AFTER_NS)
			continue;
		extent->first = e->first;
		e->first += count;
		e->count -= count;
		if (!e->count)
			*e = self->freed[--self->freed_count];
		return 0;
	}
	if (count > MAX_MAPPINGS - self->next_mapping)
		return -ENOSPC;
	extent->first = self->next_mapping;
	self->next_mapping += count;
	return 0;
}

static void extent_free(struct kernel_tables *self, const struct extent *extent)
{
	struct extent *grown;

	if (!extent->count)
		return;
	if (self->freed_count == self->freed_capacity) {
		grown = realloc(self->freed, (self->freed_capacity + 64) * sizeof(*grown));
		if (!grown)
			return; /* the extent is lost, which only costs space */
		self->freed = grown;
		self->freed_capacity += 64;
	}
	self->freed[self->freed_count] = *extent;
	self->freed[self->freed_count++].free_since_ns = now_ns();
}

/* ---- processes ----------------------------------------------------------------------------- */

int kernel_tables__put_process(struct kernel_tables *self, uint32_t tgid,
			       const struct mapping *mappings, uint32_t count, uint32_t vm,
			       uint32_t flags)
{
	int fd = bpf_map__fd(self->bpf->maps.mappings), err;
	int processes = bpf_map__fd(self->bpf->maps.processes);
	struct process_entry *entry;
	struct process process;
	struct extent extent;
	uint32_t i, index;

	HASH_FIND(hh, self->processes, &tgid, sizeof(tgid), entry);
	if (!entry) {
		entry = calloc(1, sizeof(*entry));
		if (!entry)
			return -ENOMEM;
		entry->tgid = tgid;
		/* The kernel side follows children from the fork on. */
		entry->since_ns = bpf_map_lookup_elem(processes, &tgid, &process) == 0
					  ? process.since_ns
					  : now_ns();
		HASH_ADD(hh, self->processes, tgid, sizeof(tgid), entry);
	}
	err = kernel_tables__flush(self);
	if (!err)
		err = extent_allocate(self, count, &extent);
	if (err)
		return err;
	for (i = 0; i < count; i++) {
		index = extent.first + i;
		if (bpf_map_update_elem(fd, &index, &mappings[i], BPF_ANY) != 0) {
			err = -errno;
			extent_free(self, &extent);
			return err;
		}
	}
	process = (struct process){.first_mapping = extent.first,
				   .mapping_count = count,
				   .vm = vm,
				   .generation = self->generation += 2,
				   .since_ns = entry->since_ns,
				   .flags = flags};
	if (bpf_map_update_elem(processes, &tgid, &process, BPF_ANY) != 0) {
		err = errno == E2BIG ? -ENOSPC : -errno;
		extent_free(self, &extent);
		return err;
	}
	extent_free(self, &entry->extent);
	entry->extent = extent;
	return 0;
}

void kernel_tables__remove_process(struct kernel_tables *self, uint32_t tgid)
{
	struct process_entry *entry;

	bpf_map_delete_elem(bpf_map__fd(self->bpf->maps.processes), &tgid);
	HASH_FIND(hh, self->processes, &tgid, sizeof(tgid), entry);
	if (!entry)
		return;
	extent_free(self, &entry->extent);
	HASH_DEL(self->processes, entry);
	free(entry);
}
