/* SPDX-License-Identifier: Apache-2.0 */
#include "privileges.h"

#include <linux/capability.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#ifndef CAP_PERFMON
#define CAP_PERFMON 38
#endif
#ifndef CAP_BPF
#define CAP_BPF 39
#endif

static uint64_t effective_capabilities(void)
{
	unsigned long long caps = 0;
	char line[256];
	FILE *f;

	f = fopen("/proc/self/status", "re");
	if (!f)
		return 0;
	while (fgets(line, sizeof(line), f)) {
		if (sscanf(line, "CapEff: %llx", &caps) == 1)
			break;
	}
	fclose(f);
	return caps;
}

static void read_word(const char *path, char *word, size_t size)
{
	FILE *f = fopen(path, "re");

	*word = '\0';
	if (!f)
		return;
	if (fgets(word, (int)size, f))
		word[strcspn(word, "\n")] = '\0';
	fclose(f);
}

/* The names of the capabilities that are missing, "" when none is. */
static void list_missing(char *missing, size_t size)
{
	static const struct {
		int bit;
		const char *name;
	} needed[] = {{CAP_BPF, "CAP_BPF"},
		      {CAP_PERFMON, "CAP_PERFMON"},
		      {CAP_SYS_PTRACE, "CAP_SYS_PTRACE"}};
	uint64_t caps = effective_capabilities();
	size_t i, length;

	*missing = '\0';
	/* CAP_SYS_ADMIN contains the first two. */
	if (caps & 1ull << CAP_SYS_ADMIN)
		caps |= 1ull << CAP_BPF | 1ull << CAP_PERFMON;
	for (i = 0; i < sizeof(needed) / sizeof(needed[0]); i++) {
		if (caps & 1ull << needed[i].bit)
			continue;
		length = strlen(missing);
		snprintf(missing + length, size - length, "%s%s", length ? ", " : "",
			 needed[i].name);
	}
}

bool privileges__complete(void)
{
	char missing[128];

	list_missing(missing, sizeof(missing));
	return !*missing;
}

void privileges__explain(char *text, size_t size)
{
	char missing[128], lockdown[128], self[200] = "luaspy";
	char path[200];
	ssize_t n;

	list_missing(missing, sizeof(missing));
	if (*missing) {
		/* A path that is too long to be shown whole would be no help. */
		n = readlink("/proc/self/exe", path, sizeof(path));
		if (n > 0 && n < (ssize_t)sizeof(path))
			snprintf(self, sizeof(self), "%.*s", (int)n, path);
		snprintf(text, size,
			 "missing capability: %s. Run it as root (sudo luaspy ...), or in a "
			 "container with --privileged, or give it the capabilities: sudo setcap "
			 "cap_bpf,cap_perfmon,cap_sys_ptrace,cap_syslog+ep %s",
			 missing, self);
		return;
	}
	read_word("/sys/kernel/security/lockdown", lockdown, sizeof(lockdown));
	if (strstr(lockdown, "[confidentiality]"))
		snprintf(text, size,
			 "the kernel is locked down in confidentiality mode, which closes BPF "
			 "memory reads to everybody. It is a boot setting (lockdown=)");
	else
		snprintf(
			text, size,
			"no capability is missing; look at `sysctl kernel.perf_event_paranoid` (3 "
			"or "
			"more closes perf events on some distributions), at the seccomp profile of "
			"the container, and at `dmesg`");
}
