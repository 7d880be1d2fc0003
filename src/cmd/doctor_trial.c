/* SPDX-License-Identifier: Apache-2.0 */
#include "doctor_trial.h"

#include <errno.h>
#include <string.h>
#include <time.h>

#include "../sample/sampler.h"

#define POLL_MS 20

static double now_seconds(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static int add_all(struct doctor_trial *self, struct sampler *sampler, const pid_t *pids,
		   size_t count)
{
	size_t i, added = 0;
	int err;

	for (i = 0; i < count; i++) {
		err = sampler__add(sampler, pids[i], false);
		if (!err) {
			added++;
		} else if (!self->failed_pid) {
			self->failed_pid = pids[i];
			self->add_error = err;
		}
	}
	return added ? 0 : self->add_error;
}

int doctor_trial__run(struct doctor_trial *self, const pid_t *pids, size_t count, double seconds,
		      void (*work)(void))
{
	struct sampler_options options = {.rate_hz = self->rate_hz,
					  .kernel = true,
					  .all_vms = true,
					  .refusal = &self->refusal};
	double started = now_seconds(), sampling;
	struct sampler *sampler;
	int err;

	err = sampler__new(&options, pids, count, &sampler);
	if (err)
		return err;
	self->load_seconds = now_seconds() - started;
	err = add_all(self, sampler, pids, count);
	if (err)
		goto out;
	sampler__start(sampler);
	sampling = now_seconds();
	while (now_seconds() - sampling < seconds) {
		if (work)
			work();
		err = sampler__poll(sampler, work ? 0 : POLL_MS);
		if (err && err != -EINTR)
			goto out;
	}
	err = sampler__stop(sampler);
	sampler__counters(sampler, self->counters);
out:
	self->total_seconds = now_seconds() - started;
	sampler__free(sampler);
	return err;
}
