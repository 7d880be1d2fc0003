/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A recording in progress: loads the BPF programs, samples the targets, keeps the kernel's tables
 * up to date and gathers what comes out.
 */
#ifndef LUASPY_SAMPLER_H
#define LUASPY_SAMPLER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "lua_vms.h"
#include "modules.h"
#include "stack_store.h"
#include "walk_tables.h"

struct refusal;
struct sampler;
struct targets;

/* What is recorded of the targets. */
enum sampler_kind {
	SAMPLER_CPU,	 /* samples of their CPU time */
	SAMPLER_OFF_CPU, /* times during which their threads were not on a CPU */
	SAMPLER_WALL,	 /* both */
};

struct sampler_options {
	enum sampler_kind kind;
	uint32_t rate_hz;	 /* of CPU time */
	uint64_t off_min_ns;	 /* times off the CPU that are shorter do not count */
	size_t stack_bytes;	 /* stack_store__limit; 0: its default */
	bool kernel;		 /* kernel frames */
	bool per_thread;	 /* keep the stacks of threads apart */
	bool children;		 /* processes that a target forks are targets, too */
	bool added_later;	 /* processes may be added while others are sampled */
	bool coroutines;	 /* a frame where a coroutine begins */
	bool times;		 /* when each sample (of CPU time) was taken: stored_stack.times */
	bool user_walks;	 /* walks in user space will be done, too: sampler__tables */
	bool all_vms;		 /* the programs for all kinds of Lua are loaded at once */
	bool values;		 /* the values in Lua frames are sent: sampler__on_frame */
	bool verbose;		 /* libbpf's warnings go to stderr */
	struct refusal *refusal; /* may be NULL: set when the verifier refuses a program */
};

/*
 * Loads the programs. `pids`, which may be NULL, are processes that will be targets: their files
 * are read while the kernel verifies the programs. Returns 0; -EPERM and -EACCES (privileges, or
 * the verifier), -ENOTSUP (a kernel without what is needed), -EXDEV when the mounted /proc is not
 * that of luaspy's PID namespace, -ENOMEM, or another errno of bpf(2). The caller frees *sampler.
 */
int sampler__new(const struct sampler_options *options, const pid_t *pids, size_t count,
		 struct sampler **sampler);
void sampler__free(struct sampler *self);

/*
 * Makes a process a target, all its threads; with `on_exec` its sampling starts when it executes
 * another program. One that is a target already, as a child of another for example, stays what it
 * is. After sampler__start its sampling starts at once. Errors: those of targets__add and
 * cpu_events__add.
 */
int sampler__add(struct sampler *self, pid_t pid, bool on_exec);

/* Tells when a target has ended or executes another program, during poll and stop. What it left
 * before is in the store. */
void sampler__on_end(struct sampler *self, void (*ended)(void *context, pid_t pid), void *context);

/* Takes the values in the Lua frames of stacks, in front of each. */
void sampler__on_frame(struct sampler *self,
		       void (*frame)(void *context, const struct record_frame *record),
		       void *context);

void sampler__start(struct sampler *self);

/* Takes a record as if it came from the kernel (contract.h): `self` is the sampler. 0 or
 * -ENOMEM. */
int sampler__take_record(void *self, void *data, size_t size);

/* Whether a target with another kind of Lua VM makes it load programs, for which it raises
 * CAP_PERFMON. */
bool sampler__may_load(const struct sampler *self);

/* CPU time that the targets have used while they were sampled, until sampler__stop. */
double sampler__cpu_seconds(const struct sampler *self);

/* Takes in what has come and looks after the targets; waits up to `timeout_ms` for something to
 * come. Call it at least ten times a second. 0, -EINTR after a signal, -ENOMEM. */
int sampler__poll(struct sampler *self, int timeout_ms);

/*
 * Takes the counts so far into the store while sampling goes on: of each stack `count` is then what
 * was counted until now, and `recent` what came between this call and the one before it, or the
 * start. A time off the CPU counts when it has ended. Call it between two polls. Some 10 ms where
 * there are 10,000 stacks. 0, -ENOMEM, or a negative errno of bpf(2).
 */
int sampler__collect(struct sampler *self);

/*
 * The same, and the kernel forgets its stacks: then stack_store__clear is to be called before the
 * next poll, and each of them begins anew. For those who go on for hours, and keep sums instead of
 * stacks. A sample that another CPU is just counting may be missed. Not with times off the CPU,
 * whose threads come back to stacks that were forgotten.
 */
int sampler__take(struct sampler *self);

/* Stops sampling, ends the times off the CPU that have not ended, and takes in everything that is
 * left, as sampler__collect does. 0 or a negative errno, as there. */
int sampler__stop(struct sampler *self);

/* Targets that have not ended, and how many had a Lua VM. */
size_t sampler__alive(const struct sampler *self);
size_t sampler__with_vm(const struct sampler *self);

/* The sum over all CPUs of each counter of the contract; `counters` has COUNTER_COUNT elements. */
void sampler__counters(const struct sampler *self, uint64_t *counters);

/* When sampling started, CLOCK_MONOTONIC in ns: what stored_stack.times are relative to. */
uint64_t sampler__start_ns(const struct sampler *self);

/* When the first sample was taken, CLOCK_MONOTONIC in ns; 0: there was none. */
uint64_t sampler__first_sample_ns(const struct sampler *self);

/* As it was made, but with what the kernel or other options have changed. */
const struct sampler_options *sampler__options(const struct sampler *self);

/* Owned by the sampler. */
struct stack_store *sampler__stacks(const struct sampler *self);
struct modules *sampler__modules(const struct sampler *self);
const struct lua_vms *sampler__vms(const struct sampler *self);
const struct targets *sampler__targets(const struct sampler *self);

/* What user_walk.h needs; NULL without the option `user_walks`. */
const struct walk_tables *sampler__tables(const struct sampler *self);

#endif
