/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A short recording, to see what samples really come out.
 */
#ifndef LUASPY_DOCTOR_TRIAL_H
#define LUASPY_DOCTOR_TRIAL_H

#include <stdint.h>
#include <sys/types.h>

#include "../bpf/contract.h"
#include "../sample/program_logs.h"

struct doctor_trial {
	double load_seconds;  /* to load the programs into the kernel */
	double total_seconds; /* with attaching to the processes */
	uint32_t rate_hz;
	pid_t failed_pid; /* could not be added, for `add_error`; 0: none */
	int add_error;
	struct refusal refusal; /* of the program that did not load; the caller clears it */
	uint64_t counters[COUNTER_COUNT];
};

/* Samples the processes for a time, in which `work`, if not NULL, is called again and again. 0, or
 * the errors of sampler__new and sampler__add: then no process could be added. */
int doctor_trial__run(struct doctor_trial *self, const pid_t *pids, size_t count, double seconds,
		      void (*work)(void));

#endif
