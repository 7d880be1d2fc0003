/* SPDX-License-Identifier: Apache-2.0 */
#include "record_start.h"

#include <time.h>

uint64_t record_start__now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000000000ull + (uint64_t)t.tv_nsec;
}

static double after_ms(const struct record_start *self, uint64_t time)
{
	return (double)(time - self->began) / 1e6;
}

void record_start__print(const struct record_start *self, uint64_t first_sample, FILE *out)
{
	if (first_sample)
		fprintf(out, "first sample %.0f ms after the start", after_ms(self, first_sample));
	else
		fprintf(out, "no sample");
	fprintf(out,
		" (targets found %.0f, programs and tables loaded %.0f, timers started %.0f)\n",
		after_ms(self, self->found), after_ms(self, self->loaded),
		after_ms(self, self->started));
}
