/* SPDX-License-Identifier: Apache-2.0 */
#include "record_summary.h"

#include <inttypes.h>
#include <string.h>
#include <sys/resource.h>

#include "../symbol/frame_names.h"

#define MIN_EXPECTED 50u /* samples: of fewer, one tick more or less is a few per cent */

static void add_error(struct record_summary *self, const char *name, uint64_t count)
{
	if (name && count && self->error_count < sizeof(self->errors) / sizeof(self->errors[0]))
		self->errors[self->error_count++] =
			(struct profile_count){.name = name, .count = count};
}

double record_summary__own_cpu_seconds(void)
{
	struct rusage usage;

	getrusage(RUSAGE_SELF, &usage);
	return (double)(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) +
	       (double)(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) / 1e6;
}

void record_summary__make(struct record_summary *self, const uint64_t *counters, uint64_t not_kept,
			  const struct off_cpu_totals *off_cpu, struct profile_info *info)
{
	uint32_t i;

	memset(self, 0, sizeof(*self));
	memcpy(self->counters, counters, sizeof(self->counters));
	self->off_cpu = *off_cpu;
	for (i = 0; i < STOP_COUNT; i++) {
		if (i != STOP_COMPLETE && i != STOP_TRUNCATED)
			add_error(self, walk_stop__text(i), counters[COUNTER_STOP + i]);
	}
	for (i = 0; i < LUA_ERROR_COUNT; i++)
		add_error(self, walk_error__text(i), counters[COUNTER_LUA_ERROR + i]);
	add_error(self, "native frames skipped", counters[COUNTER_SKIPPED]);
	add_error(self, "descriptions of Lua functions lost", counters[COUNTER_LOST_PROTO]);
	add_error(self, "times of samples lost", counters[COUNTER_LOST_TIME]);
	add_error(self, "samples whose stacks were not kept", not_kept);
	self->profiler_cpu_seconds = record_summary__own_cpu_seconds();

	info->with_lua = counters[COUNTER_WITH_LUA];
	info->complete = counters[COUNTER_STOP + STOP_COMPLETE];
	/* The counters are those of walks, also of threads that did not come back, or too soon. */
	if (info->kind != PROFILE_CPU) {
		info->with_lua = off_cpu->with_lua;
		info->complete = off_cpu->complete;
	}
	info->truncated = counters[COUNTER_STOP + STOP_TRUNCATED];
	info->lost = counters[COUNTER_LOST] + counters[COUNTER_OFF_LOST];
	info->errors = self->errors;
	info->error_count = self->error_count;
}

static double percent(uint64_t part, uint64_t whole)
{
	return whole ? 100.0 * (double)part / (double)whole : 0;
}

/* Samples in the VM by what it did, the most frequent first. */
static void print_vm_states(const struct record_summary *self, FILE *out)
{
	uint64_t total = 0;
	bool printed[VM_STATE_COUNT] = {};
	unsigned int i, k, best;

	for (i = VM_STATE_NONE + 1; i < VM_STATE_COUNT; i++)
		total += self->vm_states[i];
	if (!total)
		return;
	fprintf(out, "  state of the VM              ");
	for (k = 0; k < VM_STATE_COUNT; k++) {
		best = VM_STATE_NONE;
		for (i = VM_STATE_NONE + 1; i < VM_STATE_COUNT; i++) {
			if (!printed[i] && self->vm_states[i] &&
			    (best == VM_STATE_NONE || self->vm_states[i] > self->vm_states[best]))
				best = i;
		}
		if (best == VM_STATE_NONE)
			break;
		printed[best] = true;
		fprintf(out, "%s %s %.1f %%", k ? "," : "", vm_state__text(best),
			percent(self->vm_states[best], total));
	}
	fprintf(out, "\n");
}

/* The timer measures a thread's CPU time, but is set again only when a sample has been taken: at
 * high rates ticks are left out, and nobody else counts them. A few per cent are the ends of
 * threads. */
static void print_missed(const struct record_summary *self, const struct profile_info *info,
			 FILE *out)
{
	uint64_t expected = (uint64_t)(self->target_cpu_seconds * info->rate_hz);
	uint64_t taken = self->counters[COUNTER_SAMPLES];

	if (expected < MIN_EXPECTED || taken >= expected - expected / 20)
		return;
	fprintf(out,
		"  missed                        %" PRIu64 " of the %" PRIu64
		" samples that the CPU time is worth (%.1f %%)\n",
		expected - taken, expected, percent(expected - taken, expected));
}

static double off_seconds(const struct record_summary *self, enum off_cpu_reason reason)
{
	return (double)self->off_cpu.ns[reason] / 1e9;
}

static void print_off_cpu(const struct record_summary *self, const struct profile_info *info,
			  FILE *out)
{
	double seconds = 0;
	char shorter[48];
	unsigned int i;

	for (i = OFF_CPU_NONE + 1; i < OFF_CPU_REASONS; i++)
		seconds += off_seconds(self, (enum off_cpu_reason)i);
	if (info->kind == PROFILE_WALL)
		fprintf(out, "%" PRIu64 " samples at %u Hz: %.3f s of CPU time; ",
			self->off_cpu.count[OFF_CPU_NONE], info->rate_hz,
			(double)self->off_cpu.count[OFF_CPU_NONE] / info->rate_hz);
	fprintf(out,
		"%" PRIu64 " times off the CPU, %.3f s in all, in %.1f s, %" PRIu64
		" unique stacks\n",
		info->samples - self->off_cpu.count[OFF_CPU_NONE], seconds, info->duration_seconds,
		info->unique_stacks);
	fprintf(out,
		"  blocked                       %.3f s\n"
		"  waiting for a CPU             %.3f s\n"
		"  off since before              %.3f s\n",
		off_seconds(self, OFF_CPU_BLOCKED), off_seconds(self, OFF_CPU_WAITING),
		off_seconds(self, OFF_CPU_BEFORE));
	if (!self->min_block_us)
		return;
	snprintf(shorter, sizeof(shorter), "shorter than %" PRIu64 " us", self->min_block_us);
	fprintf(out, "  %-29s %" PRIu64 ", %.3f s in all: left out\n", shorter,
		self->counters[COUNTER_OFF_SHORT],
		(double)self->counters[COUNTER_OFF_SHORT_NS] / 1e9);
}

void record_summary__print(const struct record_summary *self, const struct profile_info *info,
			   FILE *out)
{
	uint64_t taken = self->counters[COUNTER_SAMPLES], errors = 0;
	uint64_t through = self->counters[COUNTER_THROUGH_VM];
	size_t i;

	if (info->kind != PROFILE_CPU) {
		print_off_cpu(self, info, out);
		/* Of what was off the CPU before, nothing is known. */
		taken = info->samples - self->off_cpu.count[OFF_CPU_BEFORE];
	} else {
		fprintf(out, "%" PRIu64 " samples in %.1f s at %u Hz, %" PRIu64 " unique stacks\n",
			info->samples, info->duration_seconds, info->rate_hz, info->unique_stacks);
	}
	fprintf(out, "  with Lua frames               %.1f %%%s", percent(info->with_lua, taken),
		info->kind == PROFILE_CPU ? "" : " of their number");
	if (through)
		fprintf(out, " (%.2f %% of those in the Lua VM)",
			percent(self->counters[COUNTER_LUA_COMPLETE], through));
	fprintf(out, "\n  unwound to the thread's start %.2f %%\n", percent(info->complete, taken));
	print_vm_states(self, out);
	fprintf(out, "  truncated                     %" PRIu64 "\n", info->truncated);
	fprintf(out, "  lost                          %" PRIu64, info->lost);
	if (self->counters[COUNTER_OFF_LOST_NS])
		fprintf(out, ", of them times off the CPU of %.3f s in all",
			(double)self->counters[COUNTER_OFF_LOST_NS] / 1e9);
	fprintf(out, "\n");
	if (info->kind != PROFILE_OFF_CPU)
		print_missed(self, info, out);
	for (i = 0; i < info->error_count; i++)
		errors += info->errors[i].count;
	fprintf(out, "  errors                        %" PRIu64, errors);
	for (i = 0; i < info->error_count; i++)
		fprintf(out, "%s%s: %" PRIu64, i ? ", " : " (", info->errors[i].name,
			info->errors[i].count);
	fprintf(out, "%s\n", info->error_count ? ")" : "");
	fprintf(out, "  luaspy's own CPU time         %.2f s", self->profiler_cpu_seconds);
	if (taken && info->kind == PROFILE_CPU)
		fprintf(out, " (%.0f us per sample)",
			self->profiler_cpu_seconds * 1e6 / (double)taken);
	fprintf(out, "\n");
}
