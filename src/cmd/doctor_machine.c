/* SPDX-License-Identifier: Apache-2.0 */
#include "doctor_machine.h"

#include <errno.h>
#include <inttypes.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "../symbol/kernel_symbols.h"
#include "../target/container.h"
#include "../target/kernel_version.h"
#include "../target/process_info.h"
#include "../target/small_file.h"
#include "doctor_trial.h"
#include "kernel_needs.h"
#include "privileges.h"

#define DEFAULT_RATE_HZ 99
#define LARGEST_RATE_HZ 9999
#define TRIAL_SECONDS	0.15
#define TRIAL_RATE_HZ	999
#define MAP_BYTES	(64u << 20) /* of the BPF maps, and a reserve */

/* A sysctl's value; `otherwise` when this kernel has none. */
static long read_sysctl(const char *path, long otherwise)
{
	char line[64], *end;
	long value;

	small_file__read_line(path, line, sizeof(line));
	value = strtol(line, &end, 10);
	return end == line ? otherwise : value;
}

static void check_kernel(struct doctor_section *section)
{
	struct doctor_check *check = doctor_section__add(section, "kernel");
	struct utsname kernel;

	uname(&kernel);
	doctor_check__found(check, DOCTOR_OK, "Linux %s, %s", kernel.release, kernel.machine);
	if (kernel_version() < KERNEL_VERSION_OF(OLDEST_MAJOR, OLDEST_MINOR)) {
		check->status = DOCTOR_FAIL;
		doctor_check__advise(check, "luaspy needs Linux %d.%d or newer.", OLDEST_MAJOR,
				     OLDEST_MINOR);
	}
	if (strcmp(kernel.machine, "x86_64") != 0) {
		check->status = DOCTOR_FAIL;
		doctor_check__advise(check, "luaspy knows x86_64 only.");
	}
}

static void check_btf(struct doctor_section *section)
{
	struct doctor_check *check = doctor_section__add(section, "BTF");
	struct stat status;

	if (access(BTF_PATH, R_OK) == 0 && stat(BTF_PATH, &status) == 0) {
		doctor_check__found(check, DOCTOR_OK, "%s, %.1f MB", BTF_PATH,
				    (double)status.st_size / 1e6);
		return;
	}
	doctor_check__found(check, DOCTOR_FAIL, "%s: %s", BTF_PATH, strerror(errno));
	doctor_check__advise(check, errno == ENOENT
					    ? "The kernel has to be built with "
					      "CONFIG_DEBUG_INFO_BTF, as those of Debian 11, "
					      "Ubuntu 20.10, RHEL 8.2 and later are; in a "
					      "container, mount /sys into it."
					    : "It has to be readable.");
}

static void check_privileges(struct doctor_section *section)
{
	struct doctor_check *check = doctor_section__add(section, "privileges");
	struct privilege privileges[PRIVILEGES_MAX];
	size_t count = privileges__read(privileges), i;
	char why[PRIVILEGES_TEXT_BYTES], missing[256];

	privileges__missing(missing, sizeof(missing));
	if (*missing) {
		privileges__explain(why, sizeof(why));
		doctor_check__found(check, DOCTOR_FAIL, "missing: %s", missing);
		doctor_check__advise(check, "%s", why);
	} else {
		doctor_check__found(check, DOCTOR_OK, "uid %d, with the capabilities that it takes",
				    (int)geteuid());
	}
	for (i = 0; i < count; i++) {
		if (privileges[i].have || privileges[i].needed)
			continue;
		check = doctor_section__add(section, "privileges");
		doctor_check__found(check, DOCTOR_NOTE, "no %s: %s", privileges[i].name,
				    privileges[i].lost);
	}
}

static void check_lockdown(struct doctor_section *section)
{
	struct doctor_check *check;
	char line[128];

	small_file__read_line("/sys/kernel/security/lockdown", line, sizeof(line));
	check = doctor_section__add(section, "lockdown");
	if (!strstr(line, "[confidentiality]")) {
		doctor_check__found(check, DOCTOR_OK, "%s", *line ? line : "not in this kernel");
		return;
	}
	doctor_check__found(check, DOCTOR_FAIL, "%s: BPF programs may not read memory", line);
	doctor_check__advise(check,
			     "It is a setting of the kernel's command line (lockdown=), or "
			     "comes with Secure Boot: lockdown=integrity is enough for that.");
}

/* The seccomp mode of our own process: 0, 1 strict, 2 a filter. */
static int seccomp_mode(void)
{
	FILE *f = fopen("/proc/self/status", "re");
	char line[256];
	int mode = 0;

	while (f && fgets(line, sizeof(line), f)) {
		if (sscanf(line, "Seccomp: %d", &mode) == 1)
			break;
	}
	if (f)
		fclose(f);
	return mode;
}

static void explain_refusal(struct doctor_check *check, int err)
{
	switch (err) {
	case -EPERM:
	case -EACCES:
		if (!privileges__complete()) {
			doctor_check__advise(check, "See privileges.");
		} else if (seccomp_mode()) {
			doctor_check__advise(check,
					     "No capability is missing, but a seccomp filter is in "
					     "force: the container's profile has to let bpf and "
					     "perf_event_open through (docker run --security-opt "
					     "seccomp=unconfined, or --privileged).");
		} else {
			doctor_check__advise(check, "`luaspy record -v` shows what the kernel "
						    "says.");
		}
		break;
	case -EXDEV:
		doctor_check__advise(check, "/proc is that of another PID namespace: see view.");
		break;
	case -ENOMEM:
		doctor_check__advise(check, "The BPF maps take about 30 MB.");
		break;
	default:
		doctor_check__advise(check, "`luaspy record -v` shows what the kernel says.");
	}
}

/* The compiler must not see that nothing comes of it. */
static void burn(void)
{
	int i;

	for (i = 0; i < 100000; i++)
		__asm__ volatile("" : : "r"(i));
}

/* Samples luaspy itself: that shows whether programs load, timers open and stacks unwind. */
static void check_sampling(struct doctor_section *section, long max_rate)
{
	struct doctor_trial trial = {.rate_hz = max_rate < TRIAL_RATE_HZ ? (uint32_t)max_rate
									 : TRIAL_RATE_HZ};
	struct doctor_check *programs = doctor_section__add(section, "BPF programs"), *sampling;
	uint64_t samples, complete;
	pid_t self = getpid();
	int err;

	err = doctor_trial__run(&trial, &self, 1, TRIAL_SECONDS, burn);
	if (err && !trial.failed_pid) {
		if (trial.refusal.program[0])
			doctor_check__found(programs, DOCTOR_FAIL,
					    "the kernel's verifier refused %s: %s",
					    trial.refusal.program, strerror(-err));
		else
			doctor_check__found(programs, DOCTOR_FAIL, "the kernel refused them: %s",
					    strerror(-err));
		explain_refusal(programs, err);
		refusal__clear(&trial.refusal);
		return;
	}
	doctor_check__found(programs, DOCTOR_OK, "loaded in %.2f s", trial.load_seconds);
	sampling = doctor_section__add(section, "sampling");
	if (err) {
		explain_refusal(sampling, err);
		doctor_check__found(sampling, DOCTOR_FAIL, "no timer could be opened: %s",
				    strerror(-err));
		return;
	}
	samples = trial.counters[COUNTER_SAMPLES];
	complete = trial.counters[COUNTER_STOP + STOP_COMPLETE];
	doctor_check__found(sampling, DOCTOR_OK,
			    "%" PRIu64 " samples of luaspy itself in %.2f s, %" PRIu64
			    " with a complete stack",
			    samples, TRIAL_SECONDS, complete);
	if (!samples || complete < samples - samples / 10) {
		sampling->status = samples ? DOCTOR_WARN : DOCTOR_FAIL;
		doctor_check__advise(sampling,
				     samples ? "Please report this with the kernel's version."
					     : "The timers open but never fire. In a virtual "
					       "machine of an unusual kind, try its host.");
	}
}

static void check_rate(struct doctor_section *section, long max_rate)
{
	struct doctor_check *check = doctor_section__add(section, "sampling rate");

	if (max_rate >= LARGEST_RATE_HZ) {
		doctor_check__found(check, DOCTOR_OK, "up to %d Hz", LARGEST_RATE_HZ);
		return;
	}
	doctor_check__found(check, max_rate < DEFAULT_RATE_HZ ? DOCTOR_WARN : DOCTOR_NOTE,
			    "up to %ld Hz (kernel.perf_event_max_sample_rate; the kernel lowers it "
			    "when samples take long)",
			    max_rate);
	if (max_rate < DEFAULT_RATE_HZ)
		doctor_check__advise(check,
				     "Use -F %ld, or: sudo sysctl "
				     "kernel.perf_event_max_sample_rate=10000",
				     max_rate);
}

static void check_kernel_names(struct doctor_section *section)
{
	struct doctor_check *check = doctor_section__add(section, "kernel names");
	long restricted = read_sysctl("/proc/sys/kernel/kptr_restrict", 0);
	struct kernel_symbols *symbols;
	int err = kernel_symbols__load(NULL, &symbols);

	if (!err) {
		doctor_check__found(check, DOCTOR_OK, "%zu functions (kernel.kptr_restrict is %ld)",
				    kernel_symbols__count(symbols), restricted);
		kernel_symbols__free(symbols);
		return;
	}
	if (err != -EPERM) {
		doctor_check__found(check, DOCTOR_WARN,
				    "/proc/kallsyms: %s: kernel frames will have no names",
				    strerror(-err));
		return;
	}
	doctor_check__found(check, DOCTOR_WARN,
			    "the kernel hides its addresses (kernel.kptr_restrict is %ld): kernel "
			    "frames will have no names",
			    restricted);
	doctor_check__advise(
		check, restricted >= 2 ? "sudo sysctl kernel.kptr_restrict=1"
				       : "Give luaspy CAP_SYSLOG, or leave kernel frames out with "
					 "--no-kernel.");
}

/* What explains refusals; by themselves these settings are nobody's business. */
static void check_settings(struct doctor_section *section)
{
	struct doctor_check *check = doctor_section__add(section, "settings");
	struct rlimit files = {}, locked = {};
	char text[64] = "unlimited";

	getrlimit(RLIMIT_NOFILE, &files);
	getrlimit(RLIMIT_MEMLOCK, &locked);
	if (locked.rlim_max != RLIM_INFINITY)
		snprintf(text, sizeof(text), "%" PRIu64 " KB", (uint64_t)locked.rlim_max >> 10);
	doctor_check__found(check, DOCTOR_OK,
			    "kernel.perf_event_paranoid %ld, kernel.unprivileged_bpf_disabled %ld, "
			    "seccomp %s, %" PRIu64 " file descriptors, locked memory %s",
			    read_sysctl("/proc/sys/kernel/perf_event_paranoid", -1),
			    read_sysctl("/proc/sys/kernel/unprivileged_bpf_disabled", 0),
			    seccomp_mode() ? "in force" : "off", (uint64_t)files.rlim_max, text);
	/* Since then BPF maps count against the control group's memory. */
	if (privileges__locked_memory_counts() && locked.rlim_max < MAP_BYTES && geteuid() != 0) {
		check->status = DOCTOR_WARN;
		doctor_check__advise(check,
				     "On this kernel the BPF maps count as locked memory: `ulimit "
				     "-l unlimited`, or give luaspy CAP_SYS_RESOURCE.");
	}
}

static void check_view(struct doctor_section *section)
{
	struct doctor_check *check = doctor_section__add(section, "view");
	struct container container = {};
	char text[CGROUP_TEXT_SIZE];
	struct process_info first;
	const char *where = "luaspy runs on the host";

	if (cgroup__read(getpid(), text) == 0 && container__parse(text, &container))
		where = "luaspy runs in a container";
	if (process_info__check_proc() == -EXDEV) {
		doctor_check__found(check, DOCTOR_FAIL,
				    "/proc is not mounted, or is that of another PID namespace");
		doctor_check__advise(check, "Start the container with --pid=host, or mount the "
					    "right one (unshare --mount-proc).");
	} else if (process_info__pid_namespace()) {
		doctor_check__found(check, DOCTOR_NOTE,
				    "%s, in a PID namespace of its own: it sees only the processes "
				    "in it",
				    where);
		doctor_check__advise(check, "To see others, start it on the host or with "
					    "--pid=host.");
	} else if (process_info__read(1, &first) != 0) {
		doctor_check__found(check, DOCTOR_WARN,
				    "%s; /proc hides other users' processes (mount option hidepid)",
				    where);
		doctor_check__advise(check, "Run luaspy as root, or in the group that the mount "
					    "option gid= names.");
	} else {
		doctor_check__found(check, DOCTOR_OK, "%s and sees all processes", where);
	}
}

void doctor_machine__check(struct doctor_section *section)
{
	long max_rate = read_sysctl("/proc/sys/kernel/perf_event_max_sample_rate", LARGEST_RATE_HZ);

	if (max_rate < 1)
		max_rate = 1;
	check_kernel(section);
	check_btf(section);
	check_privileges(section);
	check_lockdown(section);
	check_view(section);
	check_sampling(section, max_rate);
	check_rate(section, max_rate);
	check_kernel_names(section);
	check_settings(section);
}
