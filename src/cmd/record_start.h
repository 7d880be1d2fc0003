/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How long a recording takes to begin, for `record -v`: by when each step was done.
 */
#ifndef LUASPY_RECORD_START_H
#define LUASPY_RECORD_START_H

#include <stdint.h>
#include <stdio.h>

/* Times of CLOCK_MONOTONIC in ns. */
struct record_start {
	uint64_t began;
	uint64_t found;	  /* the targets */
	uint64_t loaded;  /* the programs, and the tables of the targets' files */
	uint64_t started; /* the timers */
};

/* Now, in the same unit. */
uint64_t record_start__now(void);

/* `first_sample` is 0 when there was none. Sample output:
 *
 *   first sample 172 ms after the start (targets found 6, programs and tables loaded 159, timers
 * started 161)
 */
void record_start__print(const struct record_start *self, uint64_t first_sample, FILE *out);

#endif
