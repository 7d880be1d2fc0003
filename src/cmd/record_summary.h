/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What `luaspy record` says at its end, and the same facts for the outputs' headers.
 */
#ifndef LUASPY_RECORD_SUMMARY_H
#define LUASPY_RECORD_SUMMARY_H

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "../bpf/contract.h"
#include "../sample/profile.h"
#include "../symbol/profile_builder.h"

struct record_summary {
	uint64_t counters[COUNTER_COUNT];
	uint64_t vm_states[VM_STATE_COUNT]; /* samples */
	struct profile_count errors[STOP_COUNT + LUA_ERROR_COUNT + 4];
	size_t error_count;
	struct off_cpu_totals off_cpu;
	uint64_t min_block_us;
	double target_cpu_seconds;   /* of all targets, while they were sampled */
	double profiler_cpu_seconds; /* luaspy's own, user space */
};

/* Fills `self` from the kernel's counters, the samples whose stacks were not kept, and the counts
 * of `info`. `info` borrows self->errors. */
void record_summary__make(struct record_summary *self, const uint64_t *counters, uint64_t not_kept,
			  const struct off_cpu_totals *off_cpu, struct profile_info *info);

/* CPU time of this process so far, user and kernel. */
double record_summary__own_cpu_seconds(void);

/* Sample output:
 *
 *   991 samples in 10.0 s at 99 Hz, 540 unique stacks
 *     with Lua frames               84.3 %
 *     unwound to the thread's start 100.0 %
 *     truncated                     0
 *     lost                          0
 *     missed                        35286 of the 99990 samples that the CPU time is worth (35.3 %)
 *     errors                        1 (BASE not known)
 *     luaspy's own CPU time         0.08 s
 *
 * Of times off the CPU it begins with
 *
 *   312 times off the CPU, 9.871 s in all, in 10.0 s, 45 unique stacks
 *     blocked                       9.862 s
 *     waiting for a CPU             0.009 s
 *     off since before              0.000 s
 *     shorter than 100 us           5312, 0.120 s in all: left out
 */
void record_summary__print(const struct record_summary *self, const struct profile_info *info,
			   FILE *out);

#endif
