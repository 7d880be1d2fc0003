/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Time off the CPU: the scheduler's tracepoint with the program that follows threads
 * (bpf/off_cpu.h), and what is still off the CPU when a recording ends. What times mean is told
 * there and in docs/architecture.md.
 */
#ifndef LUASPY_OFF_CPU_TIMES_H
#define LUASPY_OFF_CPU_TIMES_H

#include <stdbool.h>
#include <stdint.h>

#include "../bpf/task_record.h"
#include "stack_store.h"

struct sampler_bpf; /* the BPF skeleton */
struct off_cpu;

/* Makes the settings of programs that are not loaded yet: with `wanted` the times are followed,
 * those of at least `min_ns`, else they cost neither memory nor time. 0 or a negative errno. */
int off_cpu__prepare(struct sampler_bpf *bpf, bool wanted, uint64_t min_ns);

/* Attaches the program, which has been loaded. 0, -EPERM, -ENOMEM or another errno of bpf(2). The
 * caller frees *self. `bpf` is borrowed. */
int off_cpu__new(struct sampler_bpf *bpf, struct off_cpu **self);
void off_cpu__free(struct off_cpu *self);

/* Times count from now on (what was said first counts), or until `now_ns` (CLOCK_MONOTONIC): after
 * off_cpu__stop the kernel's counts do not change any more. */
void off_cpu__start(struct off_cpu *self, uint64_t now_ns);
void off_cpu__stop(struct off_cpu *self, uint64_t now_ns);

/*
 * `task` is off the CPU since its time counts, with the stack `hash`, which is in the store. A
 * thread that the kernel side has seen leave or come since then stays as it is. 0 or a negative
 * errno of bpf(2).
 */
int off_cpu__add_sleeper(struct off_cpu *self, const struct record_task *task, uint64_t hash);

/*
 * Adds the threads that are off the CPU since before the stop, with their time up to it. The store
 * has to have what the kernel has sent. Adds to `counters` (COUNTER_COUNT of them) what is too
 * short or was lost. 0, -ENOMEM or a negative errno of bpf(2).
 */
int off_cpu__take_rest(struct off_cpu *self, struct stack_store *stacks, uint64_t *counters);

#endif
