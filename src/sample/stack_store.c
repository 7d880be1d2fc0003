/* SPDX-License-Identifier: Apache-2.0 */
#include "stack_store.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* A failed add leaves hh.tbl NULL instead of ending the process. */
#define HASH_NONFATAL_OOM 1
#include <uthash.h>

#include "../bpf/fingerprint.h"

#define DEFAULT_BYTES (256ul << 20)

/* What an entry takes beside itself: of malloc, and of the table's buckets. */
#define ENTRY_OVERHEAD 32u

/* What threads' entries for stacks that are not kept may take beside the limit, as its share. */
#define NOT_KEPT_SHARE 16

struct stack_entry {
	UT_hash_handle hh;	   /* keyed by stack.hash; its list keeps the order of arrival */
	struct stack_count kernel; /* what of stack.count the kernel has said */
	struct stack_count marked; /* stack.count and ns at the last mark */
	uint64_t taking;	   /* which taking its last record came in */
	uint64_t *times;
	size_t time_room;
	struct stored_stack stack; /* last: it ends in an array */
};

struct proto_entry {
	UT_hash_handle hh;
	struct stored_proto proto;
};

struct call_entry {
	struct record_call call; /* first: it is what is freed */
	struct call_entry *next;
};

struct stack_store {
	struct stack_entry *stacks;
	struct proto_entry *protos;
	struct call_entry *calls, *last_call;
	uint64_t takings; /* that have begun */
	size_t bytes, max_bytes;
	size_t note_bytes; /* of entries for stacks that are not kept */
	uint64_t not_kept;
};

struct stack_store *stack_store__new(void)
{
	struct stack_store *self = calloc(1, sizeof(*self));

	if (self)
		self->max_bytes = DEFAULT_BYTES;
	return self;
}

void stack_store__limit(struct stack_store *self, size_t bytes)
{
	self->max_bytes = bytes;
}

uint64_t stack_store__not_kept(const struct stack_store *self)
{
	return self->not_kept;
}

static bool has_room(const struct stack_store *self, size_t bytes)
{
	return self->bytes + bytes <= self->max_bytes;
}

static size_t stack_bytes(const struct stack_entry *entry)
{
	return sizeof(*entry) + entry->stack.word_count * sizeof(uint64_t) +
	       entry->time_room * sizeof(uint64_t) + ENTRY_OVERHEAD;
}

static void free_stack(struct stack_store *self, struct stack_entry *entry)
{
	self->bytes -= stack_bytes(entry);
	if (entry->stack.stop == STOP_NOT_KEPT)
		self->note_bytes -= stack_bytes(entry);
	HASH_DEL(self->stacks, entry); /* NOLINT(clang-analyzer-unix.Malloc): uthash */
	free(entry->times);
	free(entry);
}

void stack_store__begin_taking(struct stack_store *self)
{
	self->takings++;
}

void stack_store__clear(struct stack_store *self)
{
	struct stack_entry *entry, *next;

	HASH_ITER (hh, self->stacks, entry, next) {
		if (entry->taking != self->takings) {
			free_stack(self, entry);
			continue;
		}
		entry->kernel = entry->marked = (struct stack_count){};
		entry->stack.count = entry->stack.recent = 0;
		entry->stack.ns = entry->stack.recent_ns = 0;
		entry->stack.time_count = 0;
	}
}

void stack_store__free(struct stack_store *self)
{
	struct stack_entry *stack, *next_stack;
	struct proto_entry *proto, *next_proto;
	struct record_call *call;

	if (!self)
		return;
	while ((call = stack_store__take_call(self)))
		free(call);
	HASH_ITER (hh, self->stacks, stack, next_stack)
		free_stack(self, stack);
	HASH_ITER (hh, self->protos, proto, next_proto) {
		HASH_DEL(self->protos, proto); /* NOLINT(clang-analyzer-unix.Malloc): uthash */
		free(proto);
	}
	free(self);
}

static struct stack_entry *find(const struct stack_store *self, uint64_t hash)
{
	struct stack_entry *entry;

	HASH_FIND(hh, self->stacks, &hash, sizeof(hash), entry);
	return entry;
}

static void put_image(struct stored_stack *stack, uint32_t image)
{
	uint32_t i;

	for (i = 0; i < stack->word_count; i++) {
		switch (stack->words[i] >> FRAME_KIND_SHIFT) {
		case FRAME_KIND_BUILTIN:
			stack->words[i] |= (uint64_t)image << FRAME_IMAGE_SHIFT;
			i++;
			break;
		case FRAME_KIND_LUA:
			i++; /* its second word is anything */
			break;
		}
	}
}

static int add_entry(struct stack_store *self, struct stack_entry *entry)
{
	HASH_ADD(hh, self->stacks, stack.hash, sizeof(entry->stack.hash), entry);
	if (!entry->hh.tbl) {
		free(entry);
		return -ENOMEM;
	}
	self->bytes += stack_bytes(entry);
	return 0;
}

/* Counts a stack for its thread only; what the VM did, and why it was off the CPU, is kept. */
static int count_only(struct stack_store *self, const struct record_stack *record, uint64_t samples)
{
	uint8_t flags = record->flags & (uint8_t) ~(STACK_LUA_ORDER | STACK_LUA_DISTRUST);
	struct stack_entry *entry;
	__u64 comm[2];
	uint64_t hash;

	memcpy(comm, record->comm, sizeof(comm));
	hash = stack_fingerprint(STOP_NOT_KEPT, flags, record->tgid, record->tid, comm);
	entry = find(self, hash);
	if (!entry) {
		if (self->note_bytes > self->max_bytes / NOT_KEPT_SHARE)
			return -ENOSPC;
		entry = calloc(1, sizeof(*entry));
		if (!entry)
			return -ENOMEM;
		entry->stack.hash = hash;
		entry->stack.tgid = record->tgid;
		entry->stack.tid = record->tid;
		entry->stack.stop = STOP_NOT_KEPT;
		entry->stack.flags = flags;
		memcpy(entry->stack.comm, record->comm, sizeof(record->comm));
		if (add_entry(self, entry) != 0)
			return -ENOMEM;
		self->note_bytes += stack_bytes(entry);
	}
	entry->taking = self->takings;
	entry->stack.count += samples;
	self->not_kept += samples;
	return 0;
}

int stack_store__add_stack(struct stack_store *self, const struct record_stack *record, size_t size,
			   uint32_t image, uint8_t flags)
{
	struct stack_entry *entry;
	uint64_t samples;
	size_t words;

	if (size < RECORD_STACK_HEADER || record->word_count > MAX_WORDS ||
	    size < RECORD_STACK_HEADER + 8 * (size_t)record->word_count)
		return 0;
	entry = find(self, record->hash);
	/* A thread that leaves the CPU counts when it comes back. */
	samples = record->flags & STACK_OFF_CPU_MASK ? 0 : 1;
	if (entry) {
		/* Two CPUs met the same new stack, the kernel's map of known ones is full, or it
		 * was taken out of that. */
		entry->taking = self->takings;
		entry->stack.count += samples;
		return 0;
	}
	words = record->word_count;
	if (HASH_COUNT(self->stacks) >= MAX_STACKS &&
	    !has_room(self, sizeof(*entry) + words * sizeof(uint64_t) + ENTRY_OVERHEAD))
		return count_only(self, record, samples);
	entry = calloc(1, sizeof(*entry) + words * sizeof(uint64_t));
	if (!entry)
		return -ENOMEM;
	entry->taking = self->takings;
	entry->stack.hash = record->hash;
	entry->stack.count = samples;
	entry->stack.tgid = record->tgid;
	entry->stack.tid = record->tid;
	entry->stack.stop = record->stop;
	entry->stack.flags = record->flags | flags;
	entry->stack.word_count = record->word_count;
	memcpy(entry->stack.comm, record->comm, sizeof(record->comm));
	memcpy(entry->stack.words, record->words, words * sizeof(uint64_t));
	put_image(&entry->stack, image);
	return add_entry(self, entry);
}

int stack_store__add_proto(struct stack_store *self, const struct record_proto *record, size_t size)
{
	struct proto_entry *entry;
	size_t length, bytes;
	uint64_t id;

	if (size < sizeof(*record))
		return 0;
	id = record->proto_id;
	HASH_FIND(hh, self->protos, &id, sizeof(id), entry);
	if (entry)
		return 0;
	length = strnlen(record->chunk, sizeof(record->chunk) - 1);
	bytes = sizeof(*entry) + length + 1;
	if (!has_room(self, bytes + ENTRY_OVERHEAD))
		return -ENOSPC;
	entry = calloc(1, bytes);
	if (!entry)
		return -ENOMEM;
	entry->proto.id = id;
	entry->proto.address = record->address;
	entry->proto.puc = record->puc;
	entry->proto.first_line = record->first_line;
	entry->proto.line_count = record->line_count;
	entry->proto.chunk_length = record->chunk_length;
	entry->proto.tgid = record->tgid;
	entry->proto.parameter_count = record->parameter_count;
	entry->proto.vararg = record->vararg != 0;
	entry->proto.stripped = record->stripped != 0;
	entry->proto.bytecode_count = record->bytecode_count;
	memcpy(entry->proto.chunk, record->chunk, length);
	HASH_ADD(hh, self->protos, proto.id, sizeof(entry->proto.id), entry);
	if (!entry->hh.tbl) {
		free(entry);
		return -ENOMEM;
	}
	self->bytes += bytes + ENTRY_OVERHEAD;
	return 0;
}

int stack_store__add_call(struct stack_store *self, const struct record_call *record, size_t size)
{
	struct call_entry *entry;

	if (size < sizeof(*record) || record->slot_count > MAX_CALL_SLOTS)
		return 0;
	entry = calloc(1, sizeof(*entry));
	if (!entry)
		return -ENOMEM;
	entry->call = *record;
	if (self->last_call)
		self->last_call->next = entry;
	else
		self->calls = entry;
	self->last_call = entry;
	return 0;
}

struct record_call *stack_store__take_call(struct stack_store *self)
{
	struct call_entry *entry = self->calls;

	if (!entry)
		return NULL;
	self->calls = entry->next;
	if (!self->calls)
		self->last_call = NULL;
	return &entry->call;
}

int stack_store__add_time(struct stack_store *self, const struct record_time *record, size_t size,
			  uint64_t start_ns)
{
	struct stack_entry *entry;
	uint64_t *grown;
	size_t room;

	if (size < sizeof(*record))
		return 0;
	entry = find(self, record->hash);
	if (!entry)
		return self->not_kept ? -ENOSPC : 0;
	if (entry->stack.time_count == entry->time_room) {
		/* Most stacks of a long recording come once. */
		room = entry->time_room ? 2 * entry->time_room : 1;
		if (!has_room(self, (room - entry->time_room) * sizeof(*grown)))
			return -ENOSPC;
		grown = reallocarray(entry->times, room, sizeof(*grown));
		if (!grown)
			return -ENOMEM;
		self->bytes += (room - entry->time_room) * sizeof(*grown);
		entry->times = grown;
		entry->stack.times = grown;
		entry->time_room = room;
	}
	entry->times[entry->stack.time_count++] =
		record->time > start_ns ? record->time - start_ns : 0;
	return 0;
}

bool stack_store__set_count(struct stack_store *self, uint64_t hash,
			    const struct stack_count *count)
{
	struct stack_entry *entry = find(self, hash);

	if (!entry)
		return false;
	entry->stack.count += count->count - entry->kernel.count;
	entry->stack.ns += count->ns - entry->kernel.ns;
	entry->kernel = *count;
	return true;
}

bool stack_store__add_off_cpu(struct stack_store *self, uint64_t hash, uint64_t ns)
{
	struct stack_entry *entry = find(self, hash);

	if (!entry)
		return false;
	entry->stack.count++;
	entry->stack.ns += ns;
	return true;
}

bool stack_store__take_count(struct stack_store *self, uint64_t hash,
			     const struct stack_count *count)
{
	struct stack_entry *entry = find(self, hash);

	if (!entry)
		return false;
	stack_store__set_count(self, hash, count);
	entry->kernel = (struct stack_count){};
	return true;
}

void stack_store__mark(struct stack_store *self)
{
	struct stack_entry *entry;

	for (entry = self->stacks; entry; entry = entry->hh.next) {
		entry->stack.recent = entry->stack.count - entry->marked.count;
		entry->stack.recent_ns = entry->stack.ns - entry->marked.ns;
		entry->marked =
			(struct stack_count){.count = entry->stack.count, .ns = entry->stack.ns};
	}
}

enum off_cpu_reason stored_stack__off_cpu(const struct stored_stack *stack)
{
	return (enum off_cpu_reason)((stack->flags & STACK_OFF_CPU_MASK) >> STACK_OFF_CPU_SHIFT);
}

size_t stack_store__count(const struct stack_store *self)
{
	return HASH_COUNT(self->stacks);
}

const struct stored_stack *stack_store__next(const struct stack_store *self,
					     const struct stored_stack *previous)
{
	const struct stack_entry *entry = self->stacks;

	if (previous) {
		entry = (const struct stack_entry *)((const char *)previous -
						     offsetof(struct stack_entry, stack));
		entry = entry->hh.next;
	}
	return entry ? &entry->stack : NULL;
}

const struct stored_proto *stack_store__next_proto(const struct stack_store *self,
						   const struct stored_proto *previous)
{
	const struct proto_entry *entry = self->protos;

	if (previous) {
		entry = (const struct proto_entry *)((const char *)previous -
						     offsetof(struct proto_entry, proto));
		entry = entry->hh.next;
	}
	return entry ? &entry->proto : NULL;
}

const struct stored_proto *stack_store__proto(const struct stack_store *self, uint64_t id)
{
	struct proto_entry *entry;

	HASH_FIND(hh, self->protos, &id, sizeof(id), entry);
	return entry ? &entry->proto : NULL;
}
