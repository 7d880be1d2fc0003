/* SPDX-License-Identifier: Apache-2.0 */
#include "privileges.h"

#include <errno.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/resource.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "../target/kernel_version.h"
#include "../target/small_file.h"

#define NONE (-1)

/* ---- the table ---------------------------------------------------------------------------- */

enum keep {
	KEEP_NEVER,
	KEEP_ALWAYS,	  /* while recording */
	KEEP_NEW_TARGETS, /* while processes may be added; permitted only, while programs may */
};

static const struct row {
	int capability;
	int contained_in; /* another one that the kernel takes for it, or NONE */
	bool needed;
	bool before_5_11; /* of no use later */
	enum keep keep;
	const char *name, *option; /* as setcap and Docker spell it */
	const char *purpose, *lost;
} table[] = {
	/* Maps are read and made all the time: each new library has one. */
	{CAP_BPF, CAP_SYS_ADMIN, true, false, KEEP_ALWAYS, "CAP_BPF", "cap_bpf",
	 "load the BPF programs that walk the stacks, and read what they found",
	 "nothing can be profiled"},
	{CAP_PERFMON, CAP_SYS_ADMIN, true, false, KEEP_NEW_TARGETS, "CAP_PERFMON", "cap_perfmon",
	 "sample processes by a timer, and let BPF programs read their memory",
	 "nothing can be profiled"},
	{CAP_SYS_PTRACE, NONE, true, false, KEEP_ALWAYS, "CAP_SYS_PTRACE", "cap_sys_ptrace",
	 "see the mappings and read the memory of other users' processes, and of those that are "
	 "not dumpable, such as nginx's workers",
	 "only the user's own processes can be profiled, and of them only dumpable ones"},
	/* The kernel asks for it when kallsyms is opened, which is before the drop. */
	{CAP_SYSLOG, NONE, false, false, KEEP_NEVER, "CAP_SYSLOG", "cap_syslog",
	 "read the addresses of the kernel's functions", "kernel frames have no names"},
	{CAP_DAC_READ_SEARCH, NONE, false, false, KEEP_ALWAYS, "CAP_DAC_READ_SEARCH",
	 "cap_dac_read_search",
	 "open programs, libraries and sources of the targets that the user may not read",
	 "code in files that the user may not read is not unwound, Lua in them not seen, and "
	 "functions of such sources are called what their callers call them"},
	{CAP_CHECKPOINT_RESTORE, CAP_SYS_ADMIN, false, false, KEEP_ALWAYS, "CAP_CHECKPOINT_RESTORE",
	 "cap_checkpoint_restore", "open libraries that were deleted or replaced (an upgrade)",
	 "code in libraries that were deleted or replaced since they were mapped is not unwound, "
	 "and Lua in them not seen, until their process is restarted"},
	{CAP_SYS_RESOURCE, NONE, false, true, KEEP_NEVER, "CAP_SYS_RESOURCE", "cap_sys_resource",
	 "raise the limit of locked memory, which BPF maps count against before Linux 5.11",
	 "BPF maps (about 30 MB) have to fit into `ulimit -l`"},
};

#define ROWS (sizeof(table) / sizeof(table[0]))
_Static_assert(ROWS <= PRIVILEGES_MAX, "the callers' arrays");

bool privileges__locked_memory_counts(void)
{
	unsigned int version = kernel_version();

	return version && version < KERNEL_VERSION_OF(5, 11);
}

/* The capability of `set` that does for a row; NONE when it has none. */
static int one_for(const struct row *row, uint64_t set)
{
	if (set & CAPABILITY_BIT(row->capability))
		return row->capability;
	if (row->contained_in != NONE && set & CAPABILITY_BIT(row->contained_in))
		return row->contained_in;
	return NONE;
}

size_t privileges__read(struct privilege *privileges)
{
	bool old = privileges__locked_memory_counts();
	struct capabilities own;
	size_t i, count = 0;

	capabilities__get(&own);
	for (i = 0; i < ROWS; i++) {
		if (table[i].before_5_11 && !old)
			continue;
		privileges[count++] = (struct privilege){
			.name = table[i].name,
			.have = one_for(&table[i], own.permitted) != NONE,
			.needed = table[i].needed,
			.purpose = table[i].purpose,
			.lost = table[i].lost,
		};
	}
	return count;
}

bool privileges__have(int capability)
{
	struct capabilities own;
	size_t i;

	capabilities__get(&own);
	for (i = 0; i < ROWS; i++) {
		if (table[i].capability == capability)
			return one_for(&table[i], own.permitted) != NONE;
	}
	return false;
}

/* ---- explaining --------------------------------------------------------------------------- */

__attribute__((format(printf, 3, 4))) static void add(char *text, size_t size, const char *format,
						      ...)
{
	size_t length = strlen(text);
	va_list args;

	va_start(args, format);
	vsnprintf(text + length, size - length, format, args);
	va_end(args);
}

void privileges__missing(char *names, size_t size)
{
	struct privilege privileges[PRIVILEGES_MAX];
	size_t count = privileges__read(privileges), i;

	*names = '\0';
	for (i = 0; i < count; i++) {
		if (privileges[i].needed && !privileges[i].have)
			add(names, size, "%s%s", *names ? ", " : "", privileges[i].name);
	}
}

bool privileges__complete(void)
{
	char missing[128];

	privileges__missing(missing, sizeof(missing));
	return !*missing;
}

/* Those of the usual set: CAP_CHECKPOINT_RESTORE is for what is rare, and not every tool knows it.
 */
static bool is_usual(const struct row *row, bool old)
{
	return row->capability != CAP_CHECKPOINT_RESTORE && (old || !row->before_5_11);
}

static void explain_missing(const char *missing, char *text, size_t size)
{
	char path[256], self[256] = "luaspy";
	bool old = privileges__locked_memory_counts();
	ssize_t n;
	size_t i;

	/* A path that is too long to be shown whole would be no help. */
	n = readlink("/proc/self/exe", path, sizeof(path));
	if (n > 0 && n < (ssize_t)sizeof(path))
		snprintf(self, sizeof(self), "%.*s", (int)n, path);
	*text = '\0';
	add(text, size, "missing capability: %s. ", missing);
	if (getxattr("/proc/self/exe", "security.capability", NULL, 0) > 0)
		add(text, size,
		    "(Capabilities of a file count only when they include it, and not on a file "
		    "system mounted with nosuid or for a process with no_new_privs.) ");
	add(text, size,
	    "Run it as root (sudo luaspy ...), or give it the capabilities: `sudo setcap ");
	for (i = 0; i < ROWS; i++) {
		if (is_usual(&table[i], old))
			add(text, size, "%s%s", i ? "," : "", table[i].option);
	}
	add(text, size, "+ep %s`; for a container `docker run --pid=host", self);
	for (i = 0; i < ROWS; i++) {
		if (is_usual(&table[i], old))
			add(text, size, " --cap-add %s", table[i].name + strlen("CAP_"));
	}
	add(text, size,
	    " ...` (SYS_ADMIN for an engine that does not know BPF and PERFMON); in a systemd unit "
	    "`AmbientCapabilities=");
	for (i = 0; i < ROWS; i++) {
		if (is_usual(&table[i], old))
			add(text, size, "%s%s", i ? " " : "", table[i].name);
	}
	add(text, size, "`.");
}

/* In a user namespace one can have all capabilities, and they do not count here. */
static bool in_user_namespace(void)
{
	unsigned long inside, outside, count;
	char map[128];

	small_file__read_line("/proc/self/uid_map", map, sizeof(map));
	return sscanf(map, "%lu %lu %lu", &inside, &outside, &count) == 3 &&
	       !(inside == 0 && outside == 0 && count == UINT32_MAX);
}

void privileges__explain(char *text, size_t size)
{
	char missing[128], lockdown[128];
	struct rlimit locked;

	privileges__missing(missing, sizeof(missing));
	small_file__read_line("/sys/kernel/security/lockdown", lockdown, sizeof(lockdown));
	if (*missing)
		explain_missing(missing, text, size);
	else if (in_user_namespace())
		snprintf(
			text, size,
			"luaspy is in a user namespace (a rootless container?), whose capabilities "
			"do not count for BPF and perf events. Run it outside of it.");
	else if (strstr(lockdown, "[confidentiality]"))
		snprintf(text, size,
			 "the kernel is locked down in confidentiality mode, which closes BPF "
			 "memory reads to everybody. It is a boot setting (lockdown=).");
	else if (privileges__locked_memory_counts() && getrlimit(RLIMIT_MEMLOCK, &locked) == 0 &&
		 locked.rlim_cur != RLIM_INFINITY)
		snprintf(text, size,
			 "before Linux 5.11 BPF maps count against the limit of locked memory, "
			 "which "
			 "is %llu KB here. `ulimit -l unlimited` (in a systemd unit "
			 "LimitMEMLOCK=infinity), or CAP_SYS_RESOURCE, mends it.",
			 (unsigned long long)locked.rlim_cur / 1024);
	else
		snprintf(
			text, size,
			"no capability is missing; look at `sysctl kernel.perf_event_paranoid` (3 "
			"or more closes perf events on some distributions), at the seccomp "
			"profile of the container, at security modules (SELinux, AppArmor), and at "
			"`dmesg`.");
}

/* ---- taking and giving up ------------------------------------------------------------------ */

static bool is_root(void)
{
	return geteuid() == 0;
}

int privileges__begin(void)
{
	struct capabilities set;
	uint64_t wanted = 0;
	int err, number;
	size_t i;

	if (getuid() != geteuid() || getgid() != getegid()) {
		fprintf(stderr,
			"luaspy: it is not made to be installed setuid or setgid: who runs it "
			"would write files with another's rights. Give it capabilities instead "
			"(docs/security.md).\n");
		return -EPERM;
	}
	if (is_root())
		return 0;
	err = capabilities__get(&set);
	if (err)
		return 0; /* it goes on with what it has */
	for (i = 0; i < ROWS; i++) {
		number = one_for(&table[i], set.permitted);
		if (number != NONE)
			wanted |= CAPABILITY_BIT(number);
	}
	/* Not the user's own: it comes from the file. */
	if (!(capabilities__ambient() & CAPABILITY_BIT(CAP_DAC_READ_SEARCH)))
		wanted &= ~CAPABILITY_BIT(CAP_DAC_READ_SEARCH);
	set.effective = wanted;
	capabilities__set(&set);
	return 0;
}

/* What makes root root where files are written. */
static const uint64_t file_rights = CAPABILITY_BIT(CAP_DAC_OVERRIDE) |
				    CAPABILITY_BIT(CAP_DAC_READ_SEARCH) |
				    CAPABILITY_BIT(CAP_FOWNER);

bool privileges__may_see_values(pid_t pid)
{
	struct stat st;
	char path[32];

	if (getuid() == 0 || capabilities__ambient() & CAPABILITY_BIT(CAP_SYS_PTRACE))
		return true;
	/* What is not dumpable belongs to root there (proc(5)). */
	snprintf(path, sizeof(path), "/proc/%d", (int)pid);
	return stat(path, &st) == 0 && st.st_uid == getuid();
}

void privileges__become_user(struct capabilities *saved)
{
	struct capabilities set;

	if (capabilities__get(saved) != 0)
		return;
	set = *saved;
	set.effective = is_root() ? set.permitted & file_rights : 0;
	capabilities__set(&set);
}

void privileges__become_self(const struct capabilities *saved)
{
	capabilities__set(saved);
}

int privileges__drop(const struct privileges_needs *needs)
{
	struct capabilities own;
	uint64_t keep = 0, lowered = 0;
	int err, number;
	size_t i;

	err = capabilities__get(&own);
	if (err)
		return err;
	for (i = 0; i < ROWS; i++) {
		number = one_for(&table[i], own.permitted);
		if (number == NONE || table[i].keep == KEEP_NEVER)
			continue;
		if (table[i].keep == KEEP_ALWAYS || needs->new_targets)
			keep |= CAPABILITY_BIT(number);
		else if (needs->new_programs)
			lowered |= CAPABILITY_BIT(number);
	}
	if (is_root() && needs->signal_child)
		keep |= CAPABILITY_BIT(CAP_KILL);
	/* Permitted, but not effective before the result is written. */
	if (is_root() && needs->override_file)
		lowered |= CAPABILITY_BIT(CAP_DAC_OVERRIDE) | CAPABILITY_BIT(CAP_FOWNER);
	return capabilities__drop(keep | lowered, keep & own.effective);
}

int privileges__drop_all(bool writes_file)
{
	return capabilities__drop(is_root() && writes_file ? file_rights : 0, 0);
}
