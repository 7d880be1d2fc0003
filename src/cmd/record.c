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
#include "../sample/sampler.h"
#include "../symbol/frame_names.h"
#include "../symbol/kernel_symbols.h"
#include "../symbol/profile_builder.h"
#include "../target/process_info.h"
#include "child_command.h"
#include "commands.h"
#include "privileges.h"
#include "record_builds.h"
#include "record_files.h"
#include "record_options.h"
#include "record_start.h"
#include "record_summary.h"
#include "record_targets.h"

#define POLL_MS		  100
#define MAX_CHANGED_SHOWN 3u

struct recording {
	struct record_options options;
	struct record_targets targets;
	struct sampler *sampler;
	struct frame_names names;
	struct lua_names *lua_names;
	struct lua_functions *lua_functions;
	struct child_command child;
	struct record_builds builds;
	FILE *kernel_symbols; /* opened while we may see the addresses */
	uint32_t files_told;  /* modules whose files were complained about */
	char comm[64];	      /* of the first target */
	char title[256];
	char command_line[512];
	char path[512];
	struct record_start start;
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
	int err = record_targets__add(&r->targets, r->sampler);
	char others[48] = "";

	if (err)
		return err;
	if (!r->options.quiet)
		record_files__warn(r->names.modules, &r->files_told, stderr);
	snprintf(r->comm, sizeof(r->comm), "%s", r->targets.comm);
	if (r->targets.count > 1)
		snprintf(others, sizeof(others), " and %zu other%s", r->targets.count - 1,
			 r->targets.count > 2 ? "s" : "");
	snprintf(r->title, sizeof(r->title), "%s %d%s%s%s", r->comm, (int)r->targets.first, others,
		 r->targets.container[0] ? " in " : "", r->targets.container);
	return 0;
}

static int add_command(struct recording *r)
{
	int err;

	snprintf(r->comm, sizeof(r->comm), "%s", basename(r->options.command[0]));
	err = sampler__add(r->sampler, r->child.pid, true);
	if (err) {
		record_targets__print_error(r->child.pid, err, r->options.rate_hz);
		child_command__abandon(&r->child);
		return err;
	}
	err = child_command__start(&r->child);
	if (err) {
		fprintf(stderr, "luaspy: %s cannot be started: %s.\n", r->options.command[0],
			strerror(-err));
		r->child.pid = 0;
		return err;
	}
	snprintf(r->title, sizeof(r->title), "%s %d", r->comm, (int)r->child.pid);
	return 0;
}

static void print_wrong_proc(void)
{
	fprintf(stderr,
		"luaspy: /proc is not mounted, or is that of another PID namespace than luaspy's, "
		"so that processes have other numbers in it. Start the container with "
		"--pid=host, or mount the right one (unshare --mount-proc).\n");
}

static int open_sampler(struct recording *r)
{
	static const enum sampler_kind kinds[] = {[PROFILE_CPU] = SAMPLER_CPU,
						  [PROFILE_OFF_CPU] = SAMPLER_OFF_CPU,
						  [PROFILE_WALL] = SAMPLER_WALL};
	struct sampler_options options = {.kind = kinds[r->options.kind],
					  .off_min_ns = r->options.min_block_us * 1000,
					  .rate_hz = r->options.rate_hz,
					  .kernel = r->options.kernel && r->options.native,
					  .per_thread = r->options.threads,
					  .children = r->options.command != NULL ||
						      record_targets__with_children(&r->targets),
					  .added_later = record_targets__goes_on(&r->targets),
					  .coroutines = r->options.coroutines,
					  .verbose = r->options.verbose};
	struct utsname kernel;
	char why[PRIVILEGES_TEXT_BYTES];
	int err;

	r->start.found = record_start__now();
	err = sampler__new(&options, r->targets.found, r->targets.found_count, &r->sampler);
	r->start.loaded = record_start__now();
	if (!err)
		return 0;
	if (err == -EACCES && privileges__complete()) {
		/* What is not permitted is -EPERM; this comes from the verifier. */
		fprintf(stderr,
			"luaspy: the kernel's BPF verifier refused luaspy's programs. That is not "
			"a "
			"matter of privileges but a mistake in luaspy, or in this kernel (%s). "
			"Please report it with what -v shows.\n",
			uname(&kernel) == 0 ? kernel.release : "unknown");
	} else if (err == -EPERM || err == -EACCES) {
		privileges__explain(why, sizeof(why));
		fprintf(stderr, "luaspy: not permitted to load BPF programs: %s\n", why);
	} else if (err == -EXDEV) {
		print_wrong_proc();
	} else if (err == -ENOMEM) {
		fprintf(stderr, "luaspy: out of memory for the BPF maps (about 30 MB).\n");
	} else {
		uname(&kernel);
		fprintf(stderr,
			"luaspy: the BPF programs do not load on Linux %s: %s. It has to be 5.10 "
			"or "
			"newer with BPF and BTF (CONFIG_BPF_SYSCALL, CONFIG_DEBUG_INFO_BTF); -v "
			"shows "
			"what the kernel says.\n",
			kernel.release, strerror(-err));
	}
	return err;
}

/* ---- the output's place --------------------------------------------------------------------- */

static void choose_path(struct recording *r)
{
	char stamp[32];
	struct tm local;
	time_t now = time(NULL);
	pid_t pid = r->options.command ? r->child.pid : r->targets.first;
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
	snprintf(r->path, sizeof(r->path), "luaspy-%s-%d-%s.%s", r->comm, (int)pid, stamp,
		 r->options.extension);
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
			       record_targets__with_children(&r->targets) ||
			       record_targets__goes_on(&r->targets),
		.signal_child = r->options.command != NULL,
		.override_file = needs_override(r),
	};
	int err;

	if (r->options.kernel && r->options.native)
		r->kernel_symbols = kernel_symbols__open();
	err = privileges__drop(&needs);
	if (err)
		fprintf(stderr,
			"luaspy: what it does not need any more could not be given up: %s.\n",
			strerror(-err));
	return err;
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
		    output_file__create(path, profile, r->options.write) == 0) {
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
		err = output_file__write(r->path, profile, r->options.write);
	else
		err = output_file__create(r->path, profile, r->options.write);
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

	sampler__counters(r->sampler, counters);
	fprintf(stderr, "\r%.1f s, %" PRIu64 " %s, %" PRIu64 " lost (Ctrl-C writes the result) ",
		elapsed, counters[COUNTER_SAMPLES] + counters[COUNTER_SWITCHES],
		r->options.kind == PROFILE_CPU ? "samples" : "stacks",
		counters[COUNTER_LOST] + counters[COUNTER_OFF_LOST]);
}

static void process_ended(void *context, pid_t pid)
{
	struct recording *r = context;

	lua_functions__process_ended(r->lua_functions, pid);
}

static int open_names(struct recording *r)
{
	r->lua_names = lua_names__new();
	if (r->lua_names)
		r->lua_functions = lua_functions__new(sampler__stacks(r->sampler),
						      sampler__modules(r->sampler), r->lua_names);
	if (!r->lua_functions) {
		fprintf(stderr, "luaspy: out of memory.\n");
		return -ENOMEM;
	}
	r->names = (struct frame_names){
		.stacks = sampler__stacks(r->sampler),
		.modules = sampler__modules(r->sampler),
		.vms = sampler__vms(r->sampler),
		.lua = r->lua_functions,
	};
	sampler__on_end(r->sampler, process_ended, r);
	return 0;
}

/* Sources that may not be what runs, and those that were not read. */
static void print_sources(const struct recording *r)
{
	size_t count = lua_names__changed(r->lua_names), i;

	for (i = 0; i < count && i < MAX_CHANGED_SHOWN; i++)
		fprintf(stderr,
			"luaspy: warning: %s was changed after the process had started. What its "
			"functions are called is taken from the bytecode of their callers, where "
			"that tells it.\n",
			lua_names__changed_name(r->lua_names, i));
	if (count > i)
		fprintf(stderr, "luaspy: warning: %zu more source files were, too.\n", count - i);
	if (lua_names__exceeded(r->lua_names))
		fprintf(stderr,
			"luaspy: warning: the targets' Lua sources and nginx configurations "
			"are too large to be read all; some were left out.\n");
}

static void warn_builds(struct recording *r)
{
	record_builds__warn(&r->builds, r->names.modules, r->names.vms, stderr);
}

static int run(struct recording *r)
{
	bool progress = !r->options.quiet && isatty(STDERR_FILENO);
	double elapsed = 0, printed = -1, left;
	int err = 0, timeout_ms;

	clock_gettime(CLOCK_MONOTONIC, &r->started);
	r->start_time = (int64_t)time(NULL);
	sampler__start(r->sampler);
	r->start.started = record_start__now();
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
		err = sampler__poll(r->sampler, timeout_ms);
		if (err == -EINTR)
			err = 0;
		lua_functions__read(r->lua_functions);
		if (!r->options.quiet)
			warn_builds(r);
		record_targets__tend(&r->targets, r->sampler);
		if (child_command__ended(&r->child, false) ||
		    (!sampler__alive(r->sampler) && !target_options__searches(&r->options.targets)))
			break;
	}
	r->seconds = seconds_since(&r->started);
	if (progress)
		fprintf(stderr, "\r%*s\r", 70, "");
	if (stop_signal == SIGTERM && r->child.pid > 0 && !r->child.ended)
		kill(r->child.pid, SIGTERM);
	if (sampler__stop(r->sampler))
		err = -ENOMEM;
	lua_functions__read(r->lua_functions);
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
	info->unique_stacks = stack_store__count(sampler__stacks(r->sampler));
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
		fprintf(stderr, "luaspy: no samples: the target used %s CPU time in this while.\n",
			cpu_seconds < 0.001 ? "no" : "hardly any");
	else
		fprintf(stderr,
			"luaspy: no samples, although the target used %.2f s of CPU time: the "
			"kernel's timers did not come. Please report it.\n",
			cpu_seconds);
}

/* What of the recording is shown. */
static void set_view(const struct recording *r, struct profile_view *view)
{
	*view = (struct profile_view){.kernel = r->options.kernel,
				      .native = r->options.native,
				      .lines = r->options.lines};
	if (r->options.threads)
		view->by[view->by_count++] = "thread";
	if (r->options.by_vm_state)
		view->by[view->by_count++] = "vmstate";
}

/* Names, output and the closing lines. */
static int finish(struct recording *r)
{
	struct profile_builder_options options = {.per_thread = r->options.threads,
						  .period_ns = 1000000000u / r->options.rate_hz,
						  .states = r->options.kind != PROFILE_CPU};
	uint64_t counters[COUNTER_COUNT];
	struct kernel_symbols *kernel = NULL;
	struct profile_info info = {};
	struct record_summary summary;
	struct off_cpu_totals off_cpu;
	struct profile *profile, *shown;
	struct profile_view view;
	struct utsname host;
	int err = -ENOMEM;

	if (r->kernel_symbols && kernel_symbols__read(r->kernel_symbols, &kernel) == -EPERM &&
	    !r->options.quiet)
		fprintf(stderr, "luaspy: warning: kernel function names are hidden: they need "
				"CAP_SYSLOG and `sysctl kernel.kptr_restrict` below 2.\n");
	r->names.kernel = kernel;
	profile = profile__new();
	shown = profile__new();
	if (profile && shown)
		err = profile_builder__add(profile, sampler__stacks(r->sampler), &r->names,
					   &options);
	if (err) {
		fprintf(stderr, "luaspy: out of memory while finding names.\n");
		goto out;
	}
	fill_info(r, profile, &info);
	if (uname(&host) == 0)
		info.host = host.nodename;
	sampler__counters(r->sampler, counters);
	profile_builder__off_cpu(sampler__stacks(r->sampler), &off_cpu);
	record_summary__make(&summary, counters, &off_cpu, &info);
	summary.target_cpu_seconds = sampler__cpu_seconds(r->sampler);
	summary.min_block_us = r->options.min_block_us;
	profile_builder__vm_states(sampler__stacks(r->sampler), summary.vm_states);
	profile__set_info(profile, &info);
	set_view(r, &view);
	err = profile_view__make(&view, profile, shown);
	if (err) {
		fprintf(stderr, "luaspy: out of memory while writing the result.\n");
		goto out;
	}
	err = write_result(r, shown);
	summary.profiler_cpu_seconds = record_summary__own_cpu_seconds();
	if (r->options.verbose)
		record_start__print(&r->start, sampler__first_sample_ns(r->sampler), stderr);
	if (r->options.verbose)
		record_builds__print(r->names.modules, r->names.vms, stderr);
	if (!r->options.quiet) {
		warn_builds(r);
		record_summary__print(&summary, &info, stderr);
		record_builds__print_conflicts(r->names.modules, r->names.vms, stderr);
		if (!err && strcmp(r->path, "-") != 0)
			fprintf(stderr, "wrote %s: %s\n", r->path,
				strcmp(r->options.extension, "folded") == 0
					? "folded stacks, for flamegraph.pl, speedscope and the "
					  "like"
					: "open it in a browser");
	}
	if (!r->options.quiet) {
		record_files__warn(r->names.modules, &r->files_told, stderr);
		print_sources(r);
	}
	if (!err && !info.samples && !r->options.quiet)
		print_no_samples(r, summary.target_cpu_seconds);
out:
	profile__free(shown);
	profile__free(profile);
	kernel_symbols__free(kernel);
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
	r->start.began = record_start__now();
	join_command_line(r, argc, argv);
	record_options__parse(&r->options, argc, argv);
	catch_signals();
	if (r->options.command) {
		err = child_command__fork(&r->child, r->options.command);
		if (err) {
			fprintf(stderr, "luaspy: no new process could be made: %s.\n",
				strerror(-err));
			goto out;
		}
	}
	err = process_info__check_proc();
	if (err)
		print_wrong_proc();
	else if (!r->options.command)
		err = record_targets__find(&r->targets, &r->options);
	if (!err)
		err = open_sampler(r);
	if (!err)
		err = open_names(r);
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
		child_command__ended(&r->child, true);
		if (!err)
			status = child_command__exit_status(&r->child);
	}
	if (r->kernel_symbols)
		fclose(r->kernel_symbols);
	lua_functions__free(r->lua_functions);
	lua_names__free(r->lua_names);
	sampler__free(r->sampler);
	record_targets__free(&r->targets);
	target_options__free(&r->options.targets);
	free(r);
	return status;
}
