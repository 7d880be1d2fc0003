/* SPDX-License-Identifier: Apache-2.0 */
#include "target_options.h"

#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "../target/container.h"
#include "../target/small_file.h"

#define OPT_CGROUP	300
#define OPT_NO_CHILDREN 301
#define MOUNTS_BYTES	(256UL << 10)

static const struct argp_option options[] = {
	{"pid", 'p', "PID[,PID...]", 0,
	 "these processes, all their threads; an nginx master stands for its workers, present and "
	 "future",
	 1},
	{"name", 'n', "PATTERN", 0,
	 "processes with Lua whose name or command line matches this extended regular expression, "
	 "as with pgrep -f",
	 1},
	{"container", 'c', "ID|NAME", 0,
	 "processes with Lua in this container (Docker, containerd, CRI-O, podman): its name or "
	 "the "
	 "beginning of its id",
	 1},
	{"cgroup", OPT_CGROUP, "PATH", 0, "processes with Lua in this control group and below it",
	 1},
	{"all", 'a', 0, 0, "every process with Lua", 1},
	{"no-children", OPT_NO_CHILDREN, 0, 0,
	 "of an nginx master, just that process and not its workers", 1},
	{0},
};

static void add_pid(struct argp_state *state, struct target_options *self, const char *text)
{
	pid_t *grown;
	char *end;
	long pid;

	errno = 0;
	pid = strtol(text, &end, 10);
	if (errno || end == text || *end || pid < 1 || pid > INT_MAX)
		argp_error(state, "a pid must be a whole number from 1 to %d, not '%s'", INT_MAX,
			   text);
	if (self->pid_count == TARGET_MAX_PIDS)
		argp_error(state, "at most %d pids", TARGET_MAX_PIDS);
	grown = reallocarray(self->pids, self->pid_count + 1, sizeof(*grown));
	if (!grown) {
		argp_failure(state, 1, ENOMEM, "reading the pids");
		return;
	}
	self->pids = grown;
	self->pids[self->pid_count++] = (pid_t)pid;
}

static void add_pids(struct argp_state *state, struct target_options *self, const char *arg)
{
	char *copy = strdup(arg), *save = NULL, *item;
	size_t before = self->pid_count;

	if (!copy) {
		argp_failure(state, 1, ENOMEM, "reading the pids");
		return;
	}
	for (item = strtok_r(copy, ",", &save); item; item = strtok_r(NULL, ",", &save))
		add_pid(state, self, item);
	if (self->pid_count == before)
		argp_error(state, "-p needs a pid");
	free(copy);
}

static void add_name(struct argp_state *state, struct target_options *self, const char *arg)
{
	struct target_pattern *pattern = &self->names[self->name_count];
	char why[256];
	int err;

	if (!*arg)
		argp_error(state, "-n needs a pattern; -a takes every process with Lua");
	if (self->name_count == TARGET_MAX_PATTERNS)
		argp_error(state, "at most %d patterns", TARGET_MAX_PATTERNS);
	err = regcomp(&pattern->regex, arg, REG_EXTENDED | REG_NOSUB);
	if (err) {
		regerror(err, &pattern->regex, why, sizeof(why));
		argp_error(state, "'%s' is no regular expression: %s", arg, why);
	}
	pattern->text = arg;
	self->name_count++;
}

static void add_container(struct argp_state *state, struct target_options *self, const char *arg)
{
	if (!*arg)
		argp_error(state, "-c needs a container's name or the beginning of its id");
	if (self->container_count == TARGET_MAX_PATTERNS)
		argp_error(state, "at most %d containers", TARGET_MAX_PATTERNS);
	self->containers[self->container_count++] = arg;
}

static void add_cgroup(struct argp_state *state, struct target_options *self, const char *arg)
{
	char *mounts = calloc(1, MOUNTS_BYTES), path[PATH_MAX];

	if (!mounts) {
		argp_failure(state, 1, ENOMEM, "reading the mounts");
		return;
	}
	if (self->cgroup_count == TARGET_MAX_PATTERNS)
		argp_error(state, "at most %d control groups", TARGET_MAX_PATTERNS);
	if (small_file__read_process(getpid(), "mountinfo", mounts, MOUNTS_BYTES) < 0)
		*mounts = '\0';
	if (!*arg || !cgroup__normalise(mounts, arg, path, sizeof(path)))
		argp_error(state, "'%s' is no control group", arg);
	free(mounts);
	self->cgroups[self->cgroup_count] = strdup(path);
	if (!self->cgroups[self->cgroup_count])
		argp_failure(state, 1, ENOMEM, "reading the control groups");
	self->cgroup_count++;
}

static error_t parse(int key, char *arg, struct argp_state *state)
{
	struct target_options *self = state->input;

	switch (key) {
	case 'p':
		add_pids(state, self, arg);
		return 0;
	case 'n':
		add_name(state, self, arg);
		return 0;
	case 'c':
		add_container(state, self, arg);
		return 0;
	case OPT_CGROUP:
		add_cgroup(state, self, arg);
		return 0;
	case 'a':
		self->all = true;
		return 0;
	case OPT_NO_CHILDREN:
		self->no_children = true;
		return 0;
	default:
		return ARGP_ERR_UNKNOWN;
	}
}

const struct argp target_options_argp = {.options = options, .parser = parse};

void target_options__free(struct target_options *self)
{
	size_t i;

	for (i = 0; i < self->name_count; i++)
		regfree(&self->names[i].regex);
	for (i = 0; i < self->cgroup_count; i++)
		free(self->cgroups[i]);
	free(self->pids);
	memset(self, 0, sizeof(*self));
}

bool target_options__given(const struct target_options *self)
{
	return self->pid_count || target_options__searches(self);
}

bool target_options__searches(const struct target_options *self)
{
	return self->name_count || self->container_count || self->cgroup_count || self->all;
}
