/* SPDX-License-Identifier: Apache-2.0 */
/*
 * `luaspy record`: samples targets for a while and writes what was seen.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <libgen.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/utsname.h>
#include <time.h>
#include <unistd.h>

#include "../output/output.h"
#include "../output/profile_view.h"
#include "../sample/profile.h"
#include "../symbol/profile_builder.h"
#include "child_command.h"
#include "commands.h"
#include "privileges.h"
#include "profile_file.h"
#include "record_builds.h"
#include "record_options.h"
#include "record_summary.h"
#include "session.h"

#define POLL_MS		  100
#define MAX_CHANGED_SHOWN 3u

struct recording {
	struct record_options options;
	struct session session;
	struct child_command child;
	char comm[64]; /* of the first target */
	char title[256];
	char command_line[512];
	char path[512];
	struct timespec started;
	double seconds;
	int64_t start_time;
};

/* ---- signals ---------------------------------------------------------------------------- */

static volatile sig_atomic_t stop_signal;

static void on_signal(int number)
{
	/* The second one means it. */
	if (stop_signal)
		_exit(128 + number);
	stop_signal = number;
}

static void catch_signals(void)
{
	struct sigaction action = {.sa_handler = on_signal};

	sigaction(SIGINT, &action, NULL);
	sigaction(SIGTERM, &action, NULL);
	sigaction(SIGHUP, &action, NULL);
	/* A closed pipe is an error of writing, reported like any other. */
	signal(SIGPIPE, SIG_IGN);
}

/* ---- targets ------------------------------------------------------------------------------ */

static int add_targets(struct recording *r)
{
	int err = session__add_targets(&r->session);

	if (err)
		return err;
	snprintf(r->comm, sizeof(r->comm), "%s", r->session.targets.comm);
	session__title(&r->session, r->title, sizeof(r->title));
	return 0;
}

/* `record 1234` is what other profilers call `record -p 1234`. */
static void print_not_started(const char *command, int err)
{
	bool number = strspn(command, "0123456789") == strlen(command);

	fprintf(stderr, "luaspy: %s cannot be started: %s.%s%s%s\n", command, strerror(-err),
		number ? " A process is chosen with -p " : "", number ? command : "",
		number ? "." : "");
}

static int add_command(struct recording *r)
{
	int err;

	snprintf(r->comm, sizeof(r->comm), "%s", basename(r->options.command[0]));
	err = sampler__add(r->session.sampler, r->child.pid, true);
	if (err) {
		record_targets__print_error(r->child.pid, err, r->options.rate_hz);
		child_command__abandon(&r->child);
		return err;
	}
	err = child_command__start(&r->child);
	if (err) {
		print_not_started(r->options.command[0], err);
		r->child.pid = 0;
		return err;
	}
	snprintf(r->title, sizeof(r->title), "%s %d", r->comm, (int)r->child.pid);
	return 0;
}

static int open_session(struct recording *r)
{
	static const enum sampler_kind kinds[] = {[PROFILE_CPU] = SAMPLER_CPU,
						  [PROFILE_OFF_CPU] = SAMPLER_OFF_CPU,
						  [PROFILE_WALL] = SAMPLER_WALL};
	struct sampler_options options = {
		.kind = kinds[r->options.kind],
		.off_min_ns = r->options.min_block_us * 1000,
		.rate_hz = r->options.rate_hz,
		.stack_bytes = (size_t)r->options.memory_mb << 20,
		.kernel = r->options.view.view.kernel && r->options.view.view.native,
		.per_thread = r->options.per_thread,
		.children = r->options.command != NULL ||
			    record_targets__with_children(&r->session.targets),
		.added_later = record_targets__goes_on(&r->session.targets),
		.coroutines = r->options.coroutines,
		.times = r->options.times,
		.verbose = r->options.verbose};

	return session__open(&r->session, &options);
}

/* ---- the output's place --------------------------------------------------------------------- */

static void choose_path(struct recording *r)
{
	char stamp[32];
	struct tm local;
	time_t now = time(NULL);
	pid_t pid = r->options.command ? r->child.pid : r->session.targets.first;
	char *c;

	if (r->options.output) {
		snprintf(r->path, sizeof(r->path), "%s", r->options.output);
		return;
	}
	localtime_r(&now, &local);
	strftime(stamp, sizeof(stamp), "%Y%m%d-%H%M%S", &local);
	for (c = r->comm; *c; c++) {
		/* Also of a command's name, which a terminal may obey as well. */
		if (*c == '/' || *c <= ' ' || *c > '~')
			*c = '_';
	}
	snprintf(r->path, sizeof(r->path), "luaspy-%s-%d-%s%s", r->comm, (int)pid, stamp,
		 r->options.format->endings[0]);
}

/* Before anything is recorded: could the result be written? */
static int check_writable(const struct recording *r)
{
	char copy[512];
	struct stat st;

	if (strcmp(r->path, "-") == 0)
		return 0;
	/* What stands under a name of our own choice does not matter: it is not opened. */
	if (!r->options.output && access(".", W_OK | X_OK) == 0)
		return 0;
	if (stat(r->path, &st) == 0 && S_ISDIR(st.st_mode)) {
		fprintf(stderr,
			"luaspy: %s is a directory. Name a file in it with -o, or leave -o out and "
			"run luaspy there.\n",
			r->path);
		return -EISDIR;
	}
	if (access(r->path, W_OK) == 0)
		return 0;
	if (errno == ENOENT) {
		snprintf(copy, sizeof(copy), "%s", r->path);
		if (access(dirname(copy), W_OK | X_OK) == 0)
			return 0;
	}
	fprintf(stderr, "luaspy: %s cannot be written: %s. Choose another place with -o.\n",
		r->path, strerror(errno));
	return -EACCES;
}

static int check_path(const struct recording *r)
{
	struct capabilities saved;
	int err;

	privileges__become_user(&saved);
	err = check_writable(r);
	privileges__become_self(&saved);
	return err;
}

/* Could root only write there because it is root? Before the rights to do so are given up. */
static bool needs_override(const struct recording *r)
{
	struct capabilities saved, without;
	struct stat st;
	char copy[512];
	bool needs;

	if (strcmp(r->path, "-") == 0)
		return false;
	snprintf(copy, sizeof(copy), "%s", r->path);
	capabilities__get(&saved);
	without = saved;
	without.effective = 0;
	capabilities__set(&without);
	needs = faccessat(AT_FDCWD, dirname(copy), W_OK | X_OK, AT_EACCESS) != 0 ||
		/* Also of a file that is replaced: folders with the sticky bit ask for it. */
		(stat(r->path, &st) == 0 &&
		 (st.st_uid != geteuid() || faccessat(AT_FDCWD, r->path, W_OK, AT_EACCESS) != 0));
	capabilities__set(&saved);
	return needs;
}

/* From here on no new kind of thing is done. */
static int drop_privileges(struct recording *r)
{
	struct privileges_needs needs = {
		.new_targets = r->options.command != NULL ||
			       record_targets__with_children(&r->session.targets) ||
			       record_targets__goes_on(&r->session.targets),
		.new_programs = sampler__may_load(r->session.sampler),
		.signal_child = r->options.command != NULL,
		.override_file = needs_override(r),
	};

	return session__drop_privileges(&r->session, &needs,
					r->options.view.view.kernel && r->options.view.view.native);
}

/* What was recorded is not thrown away because a disk is full. */
static int write_elsewhere(const struct recording *r, const struct profile *profile)
{
	static const char *const places[] = {"/tmp", "/var/tmp", "/dev/shm"};
	char copy[512], path[640];
	size_t i;

	snprintf(copy, sizeof(copy), "%s", strcmp(r->path, "-") == 0 ? "luaspy-output" : r->path);
	for (i = 0; i < sizeof(places) / sizeof(places[0]); i++) {
		snprintf(path, sizeof(path), "%s/%s.%d", places[i], basename(copy), (int)getpid());
		if (access(path, F_OK) != 0 &&
		    output_file__create(path, profile, r->options.format->write) == 0) {
			fprintf(stderr, "luaspy: the result was written to %s instead.\n", path);
			return 0;
		}
	}
	fprintf(stderr, "luaspy: no other place (/tmp, /var/tmp, /dev/shm) had room for it.\n");
	return -ENOSPC;
}

static int write_result(const struct recording *r, const struct profile *profile)
{
	struct capabilities saved;
	int err;

	privileges__become_user(&saved);
	if (r->options.output)
		err = output_file__write(r->path, profile, r->options.format->write);
	else
		err = output_file__create(r->path, profile, r->options.format->write);
	if (err)
		fprintf(stderr, "luaspy: writing %s failed: %s.\n",
			strcmp(r->path, "-") == 0 ? "to stdout" : r->path, strerror(-err));
	if (err && err != -EPIPE)
		write_elsewhere(r, profile);
	privileges__become_self(&saved);
	return err;
}

/* ---- the recording --------------------------------------------------------------------------- */

static double seconds_since(const struct timespec *start)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (double)(now.tv_sec - start->tv_sec) + (double)(now.tv_nsec - start->tv_nsec) / 1e9;
}

static void print_progress(const struct recording *r, double elapsed)
{
	uint64_t counters[COUNTER_COUNT];

	sampler__counters(r->session.sampler, counters);
	fprintf(stderr, "\r%.1f s, %" PRIu64 " %s, %" PRIu64 " lost (Ctrl-C writes the result) ",
		elapsed, counters[COUNTER_SAMPLES] + counters[COUNTER_SWITCHES],
		r->options.kind == PROFILE_CPU ? "samples" : "stacks",
		counters[COUNTER_LOST] + counters[COUNTER_OFF_LOST]);
}

/* Sources that may not be what runs, and those that were not read. */
static void print_sources(const struct recording *r)
{
	size_t count = lua_names__changed(r->session.lua_names), i;

	for (i = 0; i < count && i < MAX_CHANGED_SHOWN; i++)
		fprintf(stderr,
			"luaspy: warning: %s was changed after the process had started. What its "
			"functions are called is taken from the bytecode of their callers, where "
			"that tells it.\n",
			lua_names__changed_name(r->session.lua_names, i));
	if (count > i)
		fprintf(stderr, "luaspy: warning: %zu more source files were, too.\n", count - i);
	if (lua_names__exceeded(r->session.lua_names))
		fprintf(stderr,
			"luaspy: warning: the targets' Lua sources and nginx configurations "
			"are too large to be read all; some were left out.\n");
}

static int run(struct recording *r)
{
	bool progress = !r->options.quiet && isatty(STDERR_FILENO);
	double elapsed = 0, printed = -1, left;
	int err = 0, timeout_ms;

	clock_gettime(CLOCK_MONOTONIC, &r->started);
	r->start_time = (int64_t)time(NULL);
	sampler__start(r->session.sampler);
	r->session.start.started = record_start__now();
	while (!err && !stop_signal) {
		timeout_ms = POLL_MS;
		elapsed = seconds_since(&r->started);
		if (r->options.duration_seconds > 0) {
			left = r->options.duration_seconds - elapsed;
			if (left <= 0)
				break;
			if (left * 1000 < timeout_ms)
				timeout_ms = (int)(left * 1000) + 1;
		}
		if (progress && elapsed - printed >= 0.2) {
			print_progress(r, elapsed);
			printed = elapsed;
		}
		err = session__poll(&r->session, timeout_ms);
		if (child_command__ended(&r->child, false) ||
		    (!sampler__alive(r->session.sampler) &&
		     !target_options__searches(&r->options.targets)))
			break;
	}
	r->seconds = seconds_since(&r->started);
	if (progress)
		fprintf(stderr, "\r%*s\r", 70, "");
	if (stop_signal == SIGTERM && r->child.pid > 0 && !r->child.ended)
		kill(r->child.pid, SIGTERM);
	if (sampler__stop(r->session.sampler))
		err = -ENOMEM;
	lua_functions__read(r->session.lua_functions);
	record_containers__look(r->session.containers, r->session.names.stacks);
	return err;
}

static void fill_info(const struct recording *r, const struct profile *profile,
		      struct profile_info *info)
{
	size_t i;

	info->title = r->title;
	info->command_line = r->command_line;
	info->version = LUASPY_VERSION;
	info->kind = r->options.kind;
	info->rate_hz = r->options.kind == PROFILE_OFF_CPU ? 0 : r->options.rate_hz;
	info->duration_seconds = r->seconds;
	info->start_time = r->start_time;
	info->unique_stacks = stack_store__count(sampler__stacks(r->session.sampler));
	for (i = 0; i < profile__stack_count(profile); i++)
		info->samples += profile__stack_at(profile, i).count;
}

static void print_no_samples(const struct recording *r, double cpu_seconds)
{
	if (r->options.kind == PROFILE_OFF_CPU)
		fprintf(stderr, "luaspy: the target was on a CPU all the while%s.\n",
			r->options.min_block_us ? ", or left it for less than --min-block only"
						: "");
	else if (cpu_seconds * r->options.rate_hz < 2)
		fprintf(stderr,
			"luaspy: no samples: the target used %s CPU time in this while. --off-cpu "
			"shows what it waits for.\n",
			cpu_seconds < 0.001 ? "no" : "hardly any");
	else
		fprintf(stderr,
			"luaspy: no samples, although the target used %.2f s of CPU time: the "
			"kernel's timers did not come. Please report it.\n",
			cpu_seconds);
}

/* Names, output and the closing lines. */
static int finish(struct recording *r)
{
	struct profile_builder_options options = {.per_thread = r->options.per_thread,
						  .container = record_containers__label,
						  .context = r->session.containers,
						  .period_ns = 1000000000u / r->options.rate_hz,
						  .states = r->options.kind != PROFILE_CPU};
	uint64_t counters[COUNTER_COUNT];
	struct profile_info info = {};
	struct record_summary summary;
	struct off_cpu_totals off_cpu;
	struct profile *profile, *shown;
	struct utsname host;
	int err = -ENOMEM;

	session__read_kernel_symbols(&r->session);
	profile = profile__new();
	shown = profile__new();
	if (profile && shown)
		err = profile_builder__add(profile, sampler__stacks(r->session.sampler),
					   &r->session.names, &options);
	if (err) {
		fprintf(stderr, "luaspy: out of memory while finding names.\n");
		goto out;
	}
	fill_info(r, profile, &info);
	if (uname(&host) == 0)
		info.host = host.nodename;
	sampler__counters(r->session.sampler, counters);
	profile_builder__off_cpu(sampler__stacks(r->session.sampler), &off_cpu);
	record_summary__make(&summary, counters,
			     stack_store__not_kept(sampler__stacks(r->session.sampler)), &off_cpu,
			     &info);
	summary.target_cpu_seconds = sampler__cpu_seconds(r->session.sampler);
	summary.min_block_us = r->options.min_block_us;
	profile_builder__vm_states(sampler__stacks(r->session.sampler), summary.vm_states);
	/* A million stacks need not be there three times. */
	session__drop_stacks(&r->session);
	profile__set_info(profile, &info);
	format__adapt(r->options.format, &r->options.view.view);
	err = profile_view__make(&r->options.view.view, profile, shown);
	if (err) {
		fprintf(stderr, "luaspy: out of memory while writing the result.\n");
		goto out;
	}
	profile__free(profile);
	profile = NULL;
	err = write_result(r, shown);
	summary.profiler_cpu_seconds = record_summary__own_cpu_seconds();
	if (r->options.verbose)
		record_start__print(&r->session.start, sampler__first_sample_ns(r->session.sampler),
				    stderr);
	if (r->options.verbose)
		record_builds__print(r->session.names.modules, r->session.names.vms, stderr);
	session__warn_builds(&r->session);
	if (!r->options.quiet) {
		record_summary__print(&summary, &info, stderr);
		record_builds__print_conflicts(r->session.names.modules, r->session.names.vms,
					       stderr);
		if (!err)
			profile_file__print_hint(r->options.format, r->path);
	}
	session__warn_files(&r->session);
	if (!r->options.quiet)
		print_sources(r);
	if (!err && !info.samples && !r->options.quiet)
		print_no_samples(r, summary.target_cpu_seconds);
out:
	profile__free(shown);
	profile__free(profile);
	return err;
}

static void join_command_line(struct recording *r, int argc, char **argv)
{
	size_t length = 0;
	int i;

	for (i = 0; i < argc && length + 1 < sizeof(r->command_line); i++)
		length +=
			(size_t)snprintf(r->command_line + length, sizeof(r->command_line) - length,
					 "%s%s", i ? " " : "luaspy ", argv[i]);
}

int cmd_record(int argc, char **argv)
{
	struct recording *r = calloc(1, sizeof(*r));
	int err = -ENOMEM, status;

	if (!r) {
		fprintf(stderr, "luaspy: out of memory.\n");
		return 1;
	}
	r->session.start.began = record_start__now();
	r->session.warnings = stderr;
	join_command_line(r, argc, argv);
	record_options__parse(&r->options, argc, argv);
	r->session.quiet = r->options.quiet;
	if (r->options.output && !profile_file__suits(r->options.format, r->options.output))
		goto out;
	catch_signals();
	if (r->options.command) {
		err = child_command__fork(&r->child, r->options.command);
		if (err) {
			fprintf(stderr, "luaspy: no new process could be made: %s.\n",
				strerror(-err));
			goto out;
		}
	}
	err = session__check_proc();
	if (!err && !r->options.command)
		err = session__find(&r->session, &r->options.targets, r->options.rate_hz);
	if (!err)
		err = open_session(r);
	if (!err && !r->options.command)
		err = add_targets(r);
	if (err)
		goto out;
	choose_path(r);
	err = check_path(r);
	if (!err && r->options.command) {
		err = add_command(r);
		choose_path(r);
	}
	if (!err)
		err = drop_privileges(r);
	if (!err)
		err = run(r);
	if (!err)
		err = finish(r);
out:
	status = err ? 1 : 0;
	if (r->child.pid > 0 && !r->child.ended && !r->title[0])
		child_command__abandon(&r->child);
	else if (r->child.pid > 0) {
		if (!r->options.quiet && !child_command__ended(&r->child, false))
			fprintf(stderr, "luaspy: waiting for %s (pid %d), which goes on.\n",
				r->comm, (int)r->child.pid);
		child_command__ended(&r->child, true);
		if (!err)
			status = child_command__exit_status(&r->child);
	}
	session__free(&r->session);
	target_options__free(&r->options.targets);
	view_options__free(&r->options.view);
	free(r);
	return status;
}
