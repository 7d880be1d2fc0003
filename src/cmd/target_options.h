/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The options that say which processes a command is about, shared by all commands that have
 * targets: -p, -n, -c, --cgroup, -a, --no-children. What they find is target_search.h's matter.
 */
#ifndef LUASPY_TARGET_OPTIONS_H
#define LUASPY_TARGET_OPTIONS_H

#include <argp.h>
#include <regex.h>
#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#define TARGET_MAX_PIDS	    4096
#define TARGET_MAX_PATTERNS 16

struct target_pattern {
	const char *text; /* borrowed from argv */
	regex_t regex;
};

struct target_options {
	pid_t *pids;
	size_t pid_count;
	struct target_pattern names[TARGET_MAX_PATTERNS];
	size_t name_count;
	const char *containers[TARGET_MAX_PATTERNS]; /* borrowed from argv */
	size_t container_count;
	char *cgroups[TARGET_MAX_PATTERNS]; /* as in /proc/PID/cgroup */
	size_t cgroup_count;
	bool all;
	bool no_children;
};

/* For a command's argp: its parser sets state->child_inputs[i] to a zeroed struct target_options at
 * ARGP_KEY_INIT. Mistakes end the process with a message and status 2. */
extern const struct argp target_options_argp;

void target_options__free(struct target_options *self);

/* Was anything chosen? Anything but pids? */
bool target_options__given(const struct target_options *self);
bool target_options__searches(const struct target_options *self);

#endif
