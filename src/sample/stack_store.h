/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the ring buffer brought: distinct stacks with their counts, still as encoded words, and the
 * descriptions of Lua functions. Names come later (symbol/).
 */
#ifndef LUASPY_STACK_STORE_H
#define LUASPY_STACK_STORE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "../bpf/contract.h"

struct stack_store;

/* stored_stack.stop, beside enum walk_stop: the stacks of a thread for which there was no room, as
 * one without words. */
#define STOP_NOT_KEPT 0xff

struct stored_stack {
	uint64_t hash;
	uint64_t count; /* samples, or times off the CPU, so far: as of the last set_count or record
			 */
	uint64_t ns;	/* of times off the CPU: their sum */
	uint64_t recent, recent_ns; /* of both, what came between the last two calls of mark */
	/* When the samples were taken, in ns since the recording's start, in the order in which
	 * the CPUs told it. As many as samples, but for those that had no room (a counter); none
	 * unless it was asked for. */
	const uint64_t *times;
	size_t time_count;
	uint32_t tgid;
	uint32_t tid; /* 0 unless recorded per thread */
	uint8_t stop;
	uint8_t flags;
	uint16_t word_count;
	char comm[17];
	uint64_t words[]; /* leaf first */
};

struct stored_proto {
	uint64_t id;
	uint64_t address;
	uint32_t puc; /* module.puc; 0: LuaJIT's */
	uint32_t first_line;
	uint32_t line_count;
	uint32_t chunk_length;
	uint32_t tgid;
	uint8_t parameter_count;
	bool vararg;
	bool stripped; /* its lines are not known */
	uint32_t bytecode_count;
	char chunk[]; /* terminated; cut to MAX_CHUNK_NAME - 1 bytes */
};

struct stack_store *stack_store__new(void);
void stack_store__free(struct stack_store *self);

/*
 * How much memory distinct stacks, their times and descriptions may take, in bytes. What comes
 * beyond it: a stack's samples are counted for its thread as STOP_NOT_KEPT; a time or description
 * is not taken (-ENOSPC). The first MAX_STACKS stacks are always taken: those are the ones that the
 * kernel may go on counting by their hash.
 */
void stack_store__limit(struct stack_store *self, size_t bytes);

/* Samples, so far, of stacks that were not kept. */
uint64_t stack_store__not_kept(const struct stack_store *self);

/* Takes a record of `size` bytes; one that is too short for what it claims is ignored. `image` is
 * put into its BUILTIN frames, `flags` (STACK_*) are added. 0, -ENOMEM, or -ENOSPC if there is no
 * room to count it even as one that was not kept. */
int stack_store__add_stack(struct stack_store *self, const struct record_stack *record, size_t size,
			   uint32_t image, uint8_t flags);
/* The same for the description of a Lua function. */
int stack_store__add_proto(struct stack_store *self, const struct record_proto *record,
			   size_t size);

int stack_store__add_call(struct stack_store *self, const struct record_call *record, size_t size);

/* Adds the time of a sample, `start_ns` being the recording's start, CLOCK_MONOTONIC. A record that
 * is too short or of an unknown stack is ignored. 0, -ENOMEM, or -ENOSPC: it, or its stack, was not
 * kept. */
int stack_store__add_time(struct stack_store *self, const struct record_time *record, size_t size,
			  uint64_t start_ns);

/* What the kernel has counted so far of a stack, beyond the records. It only grows, and what was
 * said before is not added again. False for an unknown hash: its record has not come yet, and a
 * later call says the same and more. */
bool stack_store__set_count(struct stack_store *self, uint64_t hash,
			    const struct stack_count *count);

/* Adds a time off the CPU that the kernel's map has not counted. False when the stack is unknown.
 */
bool stack_store__add_off_cpu(struct stack_store *self, uint64_t hash, uint64_t ns);

/* Makes what came since the last call, or since the beginning, each stack's `recent` and
 * `recent_ns`. */
void stack_store__mark(struct stack_store *self);

/*
 * To forget stacks while they go on coming, the kernel has to forget them as well, and tells them
 * anew. So: begin; take the kernel's records; take_count with each count that was removed from its
 * map, which begins at 0 again (false: the stack is not known); use what is in the store; clear.
 * Those whose record came after the beginning may be known to the kernel: clear leaves them there,
 * without counts. The others are gone with all that was borrowed of them. What describes functions
 * stays.
 */
void stack_store__begin_taking(struct stack_store *self);
bool stack_store__take_count(struct stack_store *self, uint64_t hash,
			     const struct stack_count *count);
void stack_store__clear(struct stack_store *self);

size_t stack_store__count(const struct stack_store *self);

/* Why the thread was not on a CPU. */
enum off_cpu_reason stored_stack__off_cpu(const struct stored_stack *stack);

/* The stacks in order of arrival, those too that have not been counted yet: pass NULL for the
 * first; NULL after the last. Borrowed. */
const struct stored_stack *stack_store__next(const struct stack_store *self,
					     const struct stored_stack *previous);

/* The descriptions of Lua functions, in the same way. */
const struct stored_proto *stack_store__next_proto(const struct stack_store *self,
						   const struct stored_proto *previous);

/* The oldest call that was not taken yet, NULL when there is none. The caller frees it. */
struct record_call *stack_store__take_call(struct stack_store *self);

/* NULL when its description was lost. Borrowed. */
const struct stored_proto *stack_store__proto(const struct stack_store *self, uint64_t id);

#endif
