/* SPDX-License-Identifier: Apache-2.0 */
#include "target_search.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>
#include <uthash.h>

#include "../target/container_names.h"
#include "../target/process_info.h"
#include "../target/processes.h"
#include "../target/small_file.h"
#include "../vm/lua_files.h"

/* A process may execute a program, take a title or load Lua after it has started: one that did not
 * match is looked at each time while it is young, and now and then later. */
#define YOUNG_MS	3000
#define LATER_MS	4000
#define COMMAND_BYTES	4096
#define MAX_GENERATIONS 32 /* from a process up to an nginx master */

struct seen {
	pid_t pid;
	bool taken;
	bool is_master; /* of nginx, and its children are wanted */
	uint32_t look;	/* the last one that saw it */
	uint64_t first_ms, looked_ms;
	UT_hash_handle hh;
};

struct target_search {
	const struct target_options *options;
	struct lua_files *files;
	struct container_names *names;
	struct seen *by_pid;
	uint32_t look;
	pid_t ancestors[MAX_GENERATIONS]; /* ours: sudo, shells */
	size_t ancestor_count;
	size_t matches, without_lua, masters; /* without_lua: matched but for that */
	size_t denied;			      /* of those, the ones that may not be looked into */
	char ids[TARGET_MAX_PATTERNS][CONTAINER_ID_LENGTH + 1]; /* that each -c prefix found */
	size_t ambiguous; /* 1 + the index of a -c whose prefix fits several ids */
	pid_t *found;
	size_t found_count, found_capacity;
};

struct target_search *target_search__new(const struct target_options *options)
{
	struct target_search *self = calloc(1, sizeof(*self));
	pid_t pid = getpid();

	if (!self)
		return NULL;
	self->options = options;
	self->files = lua_files__new();
	self->names = container_names__new(NULL);
	if (!self->files || !self->names) {
		target_search__free(self);
		return NULL;
	}
	while (pid > 0 && self->ancestor_count < MAX_GENERATIONS) {
		self->ancestors[self->ancestor_count++] = pid;
		pid = process__parent(pid);
	}
	return self;
}

void target_search__free(struct target_search *self)
{
	struct seen *seen, *next;

	if (!self)
		return;
	HASH_ITER (hh, self->by_pid, seen, next) {
		HASH_DEL(self->by_pid, seen); /* NOLINT(clang-analyzer-unix.Malloc): uthash */
		free(seen);
	}
	lua_files__free(self->files);
	container_names__free(self->names);
	free(self->found);
	free(self);
}

static uint64_t now_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000 + (uint64_t)t.tv_nsec / 1000000;
}

static struct seen *find(const struct target_search *self, pid_t pid)
{
	struct seen *seen;

	HASH_FIND_INT(self->by_pid, &pid, seen);
	return seen;
}

/* ---- does a process match? ------------------------------------------------------------------- */

static bool is_ancestor(const struct target_search *self, pid_t pid)
{
	size_t i;

	for (i = 0; i < self->ancestor_count; i++) {
		if (self->ancestors[i] == pid)
			return true;
	}
	return false;
}

static bool matches_name(const struct target_search *self, pid_t pid, const char *command)
{
	const struct target_options *options = self->options;
	char comm[64] = "";
	size_t i;

	/* Our own command line contains the pattern, and so does that of sudo. */
	if (!options->name_count || is_ancestor(self, pid))
		return false;
	small_file__read_process(pid, "comm", comm, sizeof(comm));
	comm[strcspn(comm, "\n")] = '\0';
	for (i = 0; i < options->name_count; i++) {
		if (regexec(&options->names[i].regex, comm, 0, NULL, 0) == 0 ||
		    regexec(&options->names[i].regex, command, 0, NULL, 0) == 0)
			return true;
	}
	return false;
}

static bool matches_container(struct target_search *self, const struct container *container,
			      pid_t pid, size_t which)
{
	const char *wanted = self->options->containers[which], *name;
	char *id = self->ids[which];

	name = container_names__get(self->names, container, pid);
	if (name && strcmp(name, wanted) == 0)
		return true;
	if (!container__is_id_prefix(wanted) || strncmp(container->id, wanted, strlen(wanted)) != 0)
		return false;
	if (*id && strcmp(id, container->id) != 0)
		self->ambiguous = which + 1;
	snprintf(id, CONTAINER_ID_LENGTH + 1, "%s", container->id);
	return true;
}

static bool matches_cgroup(struct target_search *self, pid_t pid)
{
	const struct target_options *options = self->options;
	char text[CGROUP_TEXT_SIZE];
	struct container container;
	size_t i;

	if ((!options->cgroup_count && !options->container_count) || cgroup__read(pid, text) != 0)
		return false;
	for (i = 0; i < options->cgroup_count; i++) {
		if (cgroup__contains(text, options->cgroups[i]))
			return true;
	}
	if (!options->container_count || !container__parse(text, &container))
		return false;
	for (i = 0; i < options->container_count; i++) {
		if (matches_container(self, &container, pid, i))
			return true;
	}
	return false;
}

static bool has_lua(struct target_search *self, pid_t pid)
{
	size_t refused = lua_files__refused(self->files);
	struct maps maps;
	bool found;
	int err;

	err = maps__read(pid, &maps);
	if (err) {
		self->denied += err == -EACCES || err == -EPERM;
		return false;
	}
	found = lua_files__of_process(self->files, pid, &maps) != NULL;
	maps__free(&maps);
	self->denied += !found && lua_files__refused(self->files) != refused;
	return found;
}

/* A process of nginx below a master that was taken; after a change of the binary, the new master
 * and its workers, too. */
static bool has_master(const struct target_search *self, pid_t pid, const char *command)
{
	const struct seen *seen;
	int i;

	if (!self->masters || nginx__role(command) == NGINX_NONE)
		return false;
	for (i = 0; i < MAX_GENERATIONS; i++) {
		pid = process__parent(pid);
		seen = pid > 1 ? find(self, pid) : NULL;
		if (pid <= 1)
			return false;
		if (seen && seen->is_master)
			return true;
	}
	return false;
}

static bool matches(struct target_search *self, pid_t pid, const char *command)
{
	if (pid == getpid())
		return false;
	if (has_master(self, pid, command))
		return true;
	if (!matches_name(self, pid, command) && !matches_cgroup(self, pid) && !self->options->all)
		return false;
	self->matches++;
	if (has_lua(self, pid))
		return true;
	self->without_lua++;
	return false;
}

/* ---- a look ---------------------------------------------------------------------------------- */

static int take(struct target_search *self, struct seen *seen, const char *command)
{
	pid_t *grown;

	if (self->found_count == self->found_capacity) {
		self->found_capacity = self->found_capacity ? self->found_capacity * 2 : 64;
		grown = reallocarray(self->found, self->found_capacity, sizeof(*grown));
		if (!grown)
			return -ENOMEM;
		self->found = grown;
	}
	self->found[self->found_count++] = seen->pid;
	seen->taken = true;
	if (nginx__role(command) == NGINX_MASTER && !self->options->no_children) {
		seen->is_master = true;
		self->masters++;
	}
	return 0;
}

static struct seen *see(struct target_search *self, pid_t pid, uint64_t now)
{
	struct seen *seen = find(self, pid);

	if (!seen) {
		seen = calloc(1, sizeof(*seen));
		if (!seen)
			return NULL;
		seen->pid = pid;
		seen->first_ms = now;
		HASH_ADD_INT(self->by_pid, pid, seen);
	}
	seen->look = self->look;
	return seen;
}

static int look_at(struct target_search *self, pid_t pid, uint64_t now, bool wanted)
{
	struct seen *seen = see(self, pid, now);
	char command[COMMAND_BYTES] = "";

	if (!seen)
		return -ENOMEM;
	if (seen->taken || (seen->looked_ms && now - seen->first_ms > YOUNG_MS &&
			    now - seen->looked_ms < LATER_MS))
		return 0;
	seen->looked_ms = now;
	if (small_file__command_line(pid, command, sizeof(command)) != 0 && !wanted)
		return 0;
	if (!wanted && !matches(self, pid, command))
		return 0;
	return take(self, seen, command);
}

/* Pids are given out again. */
static void forget_ended(struct target_search *self)
{
	struct seen *seen, *next;

	HASH_ITER (hh, self->by_pid, seen, next) {
		if (seen->look == self->look)
			continue;
		self->masters -= seen->is_master;
		HASH_DEL(self->by_pid, seen); /* NOLINT(clang-analyzer-unix.Malloc): uthash */
		free(seen);
	}
}

int target_search__look(struct target_search *self, pid_t **pids, size_t *count)
{
	struct processes processes = {};
	uint64_t now = now_ms();
	int err = 0;
	size_t i;

	self->look++;
	self->matches = self->without_lua = self->denied = 0;
	self->found_count = 0;
	for (i = 0; self->look == 1 && !err && i < self->options->pid_count; i++)
		err = look_at(self, self->options->pids[i], now, true);
	if (!err)
		err = processes__read(&processes);
	/* Masters are older than their workers and mostly have lower pids; where they do not, the
	 * next look finds them. */
	for (i = 0; !err && i < processes.count; i++)
		err = look_at(self, processes.pids[i], now, false);
	if (!err)
		forget_ended(self);
	processes__free(&processes);
	if (err)
		return err;
	*pids = calloc(self->found_count + 1, sizeof(pid_t));
	if (!*pids)
		return -ENOMEM;
	if (self->found_count)
		memcpy(*pids, self->found, self->found_count * sizeof(pid_t));
	*count = self->found_count;
	return 0;
}

bool target_search__goes_on(const struct target_search *self)
{
	return self->masters || target_options__searches(self->options);
}

bool target_search__has_master(const struct target_search *self)
{
	return self->masters > 0;
}

size_t target_search__denied(const struct target_search *self)
{
	return self->denied;
}

/* "-n web" or, with several options, all of them. */
static void describe(const struct target_options *options, char *text, size_t size)
{
	size_t length = 0, i;

	*text = '\0';
	for (i = 0; i < options->name_count && length < size; i++)
		length += (size_t)snprintf(text + length, size - length, "%s-n %s",
					   length ? " " : "", options->names[i].text);
	for (i = 0; i < options->container_count && length < size; i++)
		length += (size_t)snprintf(text + length, size - length, "%s-c %s",
					   length ? " " : "", options->containers[i]);
	for (i = 0; i < options->cgroup_count && length < size; i++)
		length += (size_t)snprintf(text + length, size - length, "%s--cgroup %s",
					   length ? " " : "", options->cgroups[i]);
	if (options->all && length < size)
		snprintf(text + length, size - length, "%s-a", length ? " " : "");
}

bool target_search__explain(const struct target_search *self, size_t found, char *text, size_t size)
{
	char what[512];

	if (self->ambiguous) {
		snprintf(text, size,
			 "several containers' ids begin with %s: give more of it; `luaspy list "
			 "--json` shows whole ids",
			 self->options->containers[self->ambiguous - 1]);
		return true;
	}
	if (found)
		return false;
	describe(self->options, what, sizeof(what));
	if (self->denied)
		snprintf(
			text, size,
			"of the %zu processes that match %s none that can be seen has Lua in it; "
			"not all of %zu may be looked into, and `luaspy list` says what that takes",
			self->matches, what, self->denied);
	else if (self->without_lua && !self->options->all)
		snprintf(text, size,
			 "of the %zu processes that match %s none has Lua in it; `luaspy list` "
			 "shows those that have, and -p PID profiles any",
			 self->matches, what);
	else if (self->options->all)
		snprintf(text, size, "no process here has Lua in it");
	else
		snprintf(text, size,
			 "nothing matches %s; `luaspy list` shows the processes with Lua", what);
	return true;
}
