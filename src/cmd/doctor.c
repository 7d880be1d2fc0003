/* SPDX-License-Identifier: Apache-2.0 */
/*
 * `luaspy doctor`: what this machine and these processes allow.
 */
#include <argp.h>
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "../symbol/frame_names.h"
#include "../target/process_info.h"
#include "commands.h"
#include "doctor_machine.h"
#include "doctor_process.h"
#include "doctor_report.h"
#include "doctor_trial.h"
#include "target_search.h"
#include "terminal.h"

#define OPT_JSON	 256
#define EXAMINED_AT_MOST 64
#define TRIAL_SECONDS	 1.0
#define TRIAL_RATE_HZ	 99
#define TEXT_WIDTH	 100 /* where stdout is no terminal */

struct doctor_options {
	struct target_options targets;
	bool json;
};

static const struct argp_option options[] = {
	{"json", OPT_JSON, 0, 0, "write JSON", 3},
	{0},
};

static const char doc[] =
	"Checks what this machine allows and, with a process, what its profile will show: each "
	"check that fails says what to do. The processes are sampled for one second."
	"\vThe exit status is 1 when a check has failed, which means that there would be no "
	"profile; warnings and notes leave it 0.\n";

static error_t parse(int key, char *arg, struct argp_state *state)
{
	struct doctor_options *self = state->input;

	switch (key) {
	case ARGP_KEY_INIT:
		state->child_inputs[0] = &self->targets;
		return 0;
	case OPT_JSON:
		self->json = true;
		return 0;
	case ARGP_KEY_ARG:
		argp_error(state, "what is '%s'? A process is chosen with -p PID", arg);
		return 0;
	default:
		return ARGP_ERR_UNKNOWN;
	}
}

static const struct argp_child children[] = {{&target_options_argp, 0, "What to look at:", 1}, {0}};

const struct argp doctor_argp = {
	.options = options, .parser = parse, .doc = doc, .children = children};

/* The processes that the options mean; 0 with a failed check where there are none. */
static int find_processes(struct doctor_options *self, struct doctor_report *report, pid_t **pids,
			  size_t *count)
{
	struct target_search *search = target_search__new(&self->targets);
	struct doctor_section *section;
	char why[1024];
	int err;

	err = search ? target_search__look(search, pids, count) : -ENOMEM;
	if (!err && target_search__explain(search, *count, why, sizeof(why))) {
		section = doctor_report__add_section(report, "processes");
		if (section)
			doctor_check__found(doctor_section__add(section, "process"), DOCTOR_FAIL,
					    "%.600s", why);
	}
	target_search__free(search);
	return err;
}

/* Leaves those in `pids` that can be profiled. The first `named` have to be there; of the others,
 * which a search has found, some may have ended meanwhile. */
static int check_processes(struct doctor_report *report, pid_t *pids, size_t *count, size_t named)
{
	size_t i, examined = *count;
	struct doctor_section *section;
	int err;

	*count = 0;
	for (i = 0; i < examined; i++) {
		section = doctor_report__add_section(report, "process");
		if (!section)
			return -ENOMEM;
		if (doctor_process__check(pids[i], section) == -ESRCH && i >= named) {
			doctor_report__drop_last(report);
			continue;
		}
		if (doctor_section__status(section) != DOCTOR_FAIL)
			pids[(*count)++] = pids[i];
		err = doctor_report__merge_last(report);
		if (err)
			return err;
	}
	return 0;
}

static double percent(uint64_t part, uint64_t whole)
{
	return whole ? 100.0 * (double)part / (double)whole : 0;
}

/* What ended the walks that did not reach the end, the most frequent reason. */
static const char *worst_reason(const struct doctor_trial *trial)
{
	uint64_t most = 0;
	const char *reason = NULL;
	uint32_t i;

	for (i = 0; i < STOP_COUNT; i++) {
		if (i != STOP_COMPLETE && trial->counters[COUNTER_STOP + i] > most) {
			most = trial->counters[COUNTER_STOP + i];
			reason = walk_stop__text(i);
		}
	}
	for (i = 0; i < LUA_ERROR_COUNT; i++) {
		if (walk_error__text(i) && trial->counters[COUNTER_LUA_ERROR + i] > most) {
			most = trial->counters[COUNTER_LUA_ERROR + i];
			reason = walk_error__text(i);
		}
	}
	return reason;
}

static void check_trial(struct doctor_section *section, const pid_t *pids, size_t count)
{
	struct doctor_check *check = doctor_section__add(section, "samples");
	struct doctor_trial trial = {.rate_hz = TRIAL_RATE_HZ};
	uint64_t samples, complete, through, lua;
	int err = doctor_trial__run(&trial, pids, count, TRIAL_SECONDS, NULL);

	refusal__clear(&trial.refusal);
	if (err == -ESRCH) {
		doctor_check__found(check, DOCTOR_NOTE, "none: the processes have ended meanwhile");
		return;
	}
	if (err) {
		doctor_check__found(check, DOCTOR_FAIL, "none could be taken%s: %s",
				    trial.failed_pid ? " of these processes" : "", strerror(-err));
		if (!trial.failed_pid)
			doctor_check__advise(check, "See above.");
		return;
	}
	samples = trial.counters[COUNTER_SAMPLES];
	complete = trial.counters[COUNTER_STOP + STOP_COMPLETE];
	through = trial.counters[COUNTER_THROUGH_VM];
	lua = trial.counters[COUNTER_LUA_COMPLETE];
	if (!samples) {
		doctor_check__found(check, DOCTOR_NOTE,
				    "none in %.0f s: the processes did not use the CPU",
				    TRIAL_SECONDS);
		doctor_check__advise(check, "A CPU profile of them would be empty.");
		return;
	}
	doctor_check__found(check, DOCTOR_OK,
			    "%" PRIu64
			    " in %.0f s at %d Hz: %.1f %% unwound to the thread's start, "
			    "%.1f %% of the %" PRIu64 " in the Lua VM with all their Lua frames",
			    samples, TRIAL_SECONDS, TRIAL_RATE_HZ, percent(complete, samples),
			    percent(lua, through), through);
	if (trial.failed_pid && trial.add_error != -ESRCH) {
		check->status = DOCTOR_WARN;
		doctor_check__advise(check, "Process %d was left out: %s.", (int)trial.failed_pid,
				     strerror(-trial.add_error));
	} else if (complete < samples - samples / 20 || lua < through - through / 20) {
		check->status = DOCTOR_WARN;
		doctor_check__advise(check, "The most frequent reason: %s.",
				     worst_reason(&trial) ? worst_reason(&trial) : "not known");
	}
}

static int examine(struct doctor_options *self, struct doctor_report *report)
{
	struct doctor_section *section = doctor_report__add_section(report, "This machine");
	size_t count = 0;
	pid_t *pids = NULL;
	int err = 0;

	if (!section)
		return -ENOMEM;
	doctor_machine__check(section);
	if (!target_options__given(&self->targets))
		return 0;
	/* The numbers in another namespace's /proc are those of others; the machine's check says
	 * so. */
	if (process_info__check_proc() == -EXDEV)
		return 0;
	err = find_processes(self, report, &pids, &count);
	if (!err && count > EXAMINED_AT_MOST) {
		doctor_check__found(doctor_section__add(section, "processes"), DOCTOR_NOTE,
				    "%zu match, the first %d are looked at", count,
				    EXAMINED_AT_MOST);
		count = EXAMINED_AT_MOST;
	}
	if (!err)
		err = check_processes(report, pids, &count, self->targets.pid_count);
	if (!err && count) {
		section = doctor_report__add_section(report, "One second of samples");
		if (section)
			check_trial(section, pids, count);
		else
			err = -ENOMEM;
	}
	free(pids);
	return err;
}

int cmd_doctor(int argc, char **argv)
{
	static char name[] = "luaspy doctor";
	struct doctor_options self = {};
	struct doctor_report report = {};
	bool failed;
	int err;

	argv[0] = name;
	argp_err_exit_status = 2;
	argp_parse(&doctor_argp, argc, argv, 0, NULL, &self);
	err = examine(&self, &report);
	if (err)
		fprintf(stderr, "luaspy: the processes cannot be looked at: %s.\n", strerror(-err));
	failed = err || doctor_report__status(&report) == DOCTOR_FAIL;
	if (!err && self.json)
		err = doctor_report__write_json(&report, stdout);
	else if (!err)
		doctor_report__write_text(&report, terminal__width(TEXT_WIDTH), stdout);
	if (fflush(stdout) != 0)
		err = -errno;
	if (err && !failed)
		fprintf(stderr, "luaspy: writing to stdout failed: %s.\n", strerror(-err));
	doctor_report__free(&report);
	target_options__free(&self.targets);
	return err || failed ? 1 : 0;
}
