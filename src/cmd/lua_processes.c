/* SPDX-License-Identifier: Apache-2.0 */
#include "lua_processes.h"

#include <errno.h>
#include <pwd.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "../target/container_names.h"
#include "../target/process_info.h"
#include "../target/processes.h"
#include "../target/small_file.h"
#include "../vm/lua_files.h"
#include "../vm/luajit_vms.h"
#include "../vm/puc.h"
#include "../vm/puc_vms.h"

#define MIN_INTERVAL_NS 100000000ull /* for a share of CPU time that means something */
#define COMMAND_BYTES	4096

/* A search for VMs that is still to be done. */
struct pending {
	size_t row;
	const struct lua_file *file;
	uint64_t bytes;
};

struct gathering {
	struct lua_files *files;
	struct container_names *names;
	uint64_t started_ns, deadline_ns, boot_ns;
	struct list_row *rows;
	struct pending *pending; /* as many as rows */
	size_t count, capacity;
	struct lua_processes_hidden hidden;
};

static uint64_t now_ns(clockid_t clock)
{
	struct timespec t;

	clock_gettime(clock, &t);
	return (uint64_t)t.tv_sec * 1000000000ull + (uint64_t)t.tv_nsec;
}

static const char *base_name(const char *path)
{
	const char *slash = strrchr(path, '/');

	return slash ? slash + 1 : path;
}

/* From the machine's own list of users, like ps; a container's may have other names. */
static void find_user(struct list_row *row)
{
	FILE *file = fopen("/etc/passwd", "re");
	const struct passwd *user;

	if (!file)
		return;
	while ((user = fgetpwent(file))) {
		if (user->pw_uid == row->uid) {
			snprintf(row->user, sizeof(row->user), "%s", user->pw_name);
			break;
		}
	}
	fclose(file);
}

/* `ld.so --library-path DIR PROGRAM ARG...` executes PROGRAM: its path in the command line, or
 * `exe`. */
static const char *program_path(const char *exe, const char *command, char *word, size_t size)
{
	static const char *const with_value[] = {"--library-path",     "--argv0",
						 "--preload",	       "--audit",
						 "--inhibit-rpath",    "--glibc-hwcaps-prepend",
						 "--glibc-hwcaps-mask"};
	size_t length, i;
	bool skip = true; /* the loader itself */

	if (strncmp(base_name(exe), "ld-", 3) != 0 && strncmp(base_name(exe), "ld.so", 5) != 0)
		return exe;
	for (; *command; command += strspn(command, " ")) {
		length = strcspn(command, " ");
		if (length >= size)
			return exe;
		memcpy(word, command, length);
		word[length] = '\0';
		command += length;
		if (skip) {
			skip = false;
			continue;
		}
		if (strncmp(word, "--", 2) != 0)
			return word;
		for (i = 0; i < sizeof(with_value) / sizeof(with_value[0]); i++)
			skip |= strcmp(word, with_value[i]) == 0;
	}
	return exe;
}

/* The mapped file that is the program; NULL when it is not among them. */
static const struct map_entry *program_mapping(const struct maps *maps, const char *path)
{
	const char *name = base_name(path);
	size_t i;

	for (i = 0; i < maps->count; i++) {
		if (maps->entries[i].executable && map_entry__is_file(&maps->entries[i]) &&
		    strcmp(base_name(maps->entries[i].path), name) == 0)
			return &maps->entries[i];
	}
	return NULL;
}

static void find_role(struct list_row *row, bool is_command)
{
	switch (nginx__role(row->command)) {
	case NGINX_MASTER:
		row->role = ROLE_MASTER;
		return;
	case NGINX_WORKER:
		row->role = ROLE_WORKER;
		return;
	case NGINX_HELPER:
		row->role = ROLE_HELPER;
		return;
	case NGINX_NONE:
		break;
	}
	if (row->server[0])
		row->role = ROLE_SINGLE;
	else
		row->role = is_command ? ROLE_COMMAND : ROLE_EMBEDDED;
}

/* A worker has overwritten its command line with its title; its master's tells. */
static void find_application(struct list_row *row)
{
	char master[COMMAND_BYTES], prefix[COMMAND_BYTES], version[32];
	int err;

	if (row->role == ROLE_WORKER || row->role == ROLE_HELPER) {
		if (small_file__command_line(row->parent, master, sizeof(master)) != 0)
			return;
	} else if (row->role == ROLE_MASTER || row->role == ROLE_SINGLE) {
		snprintf(master, sizeof(master), "%s", row->command);
	} else {
		return;
	}
	if (!nginx__prefix(master, prefix, sizeof(prefix)))
		return;
	err = apisix__version(row->pid, prefix, version, sizeof(version));
	if (err == 0)
		snprintf(row->application, sizeof(row->application), "APISIX %s", version);
	else if (err == -ENODATA)
		snprintf(row->application, sizeof(row->application), "APISIX");
}

static void find_container(struct gathering *g, struct list_row *row)
{
	char text[CGROUP_TEXT_SIZE];
	const char *name;

	if (cgroup__read(row->pid, text) != 0 || !container__parse(text, &row->container))
		return;
	name = container_names__get(g->names, &row->container, row->pid);
	if (name)
		snprintf(row->container_name, sizeof(row->container_name), "%s", name);
}

static void describe(struct gathering *g, const struct process_info *info, const struct maps *maps,
		     const struct lua_file *file, struct list_row *row)
{
	const struct lua_program *program;
	const struct map_entry *mapping;
	uint64_t started_ns;
	char word[256];
	const char *path;

	row->pid = info->pid;
	row->parent = info->parent;
	row->uid = info->uid;
	row->cpu_ns = process_info__cpu_time_ns(info->pid);
	find_user(row);
	find_container(g, row);
	small_file__command_line(info->pid, row->command, sizeof(row->command));
	path = program_path(info->exe, row->command, word, sizeof(word));
	snprintf(row->program, sizeof(row->program), "%.255s",
		 *path ? base_name(path) : info->comm);
	mapping = program_mapping(maps, path);
	if (mapping) {
		program = lua_files__program(g->files, info->pid, mapping);
		memcpy(row->server, program->server, sizeof(row->server));
		find_role(row, program->is_command);
	} else {
		find_role(row, false);
	}
	find_application(row);
	snprintf(row->runtime, sizeof(row->runtime), "%s", file->version);
	row->has_symbols = file->has_symbols;
	started_ns = info->start_ticks * (1000000000ull / (uint64_t)sysconf(_SC_CLK_TCK));
	row->uptime_seconds =
		g->boot_ns > started_ns ? (g->boot_ns - started_ns) / 1000000000ull : 0;
	row->is_luajit = file->kind == LUA_LUAJIT;
	row->has_build = file->has_build;
	row->gc64 = file->build.gc64;
}

static int add(struct gathering *g, pid_t pid)
{
	const struct lua_file *file;
	struct process_info info;
	struct pending *pending;
	struct list_row *grown;
	struct maps maps;
	size_t refused;
	int err;

	err = maps__read(pid, &maps);
	if (err) {
		g->hidden.denied += err == -EACCES || err == -EPERM;
		return err == -ENOMEM ? err : 0;
	}
	refused = lua_files__refused(g->files);
	file = lua_files__of_process(g->files, pid, &maps);
	g->hidden.unreadable += !file && lua_files__refused(g->files) != refused;
	if (!file || process_info__read(pid, &info) != 0)
		goto out;
	if (g->count == g->capacity) {
		g->capacity = g->capacity ? g->capacity * 2 : 32;
		grown = reallocarray(g->rows, g->capacity, sizeof(*grown));
		if (!grown) {
			err = -ENOMEM;
			goto out;
		}
		g->rows = grown;
		pending = reallocarray(g->pending, g->capacity, sizeof(*pending));
		if (!pending) {
			err = -ENOMEM;
			goto out;
		}
		g->pending = pending;
	}
	g->pending[g->count] = (struct pending){
		.row = g->count,
		.file = file,
		.bytes = vm_search__bytes(&maps, file->has_build && !file->build.gc64),
	};
	memset(&g->rows[g->count], 0, sizeof(g->rows[0]));
	describe(g, &info, &maps, file, &g->rows[g->count]);
	g->count++;
out:
	maps__free(&maps);
	return err;
}

static int compare_pending(const void *a, const void *b)
{
	const struct pending *left = a, *right = b;

	return (left->bytes > right->bytes) - (left->bytes < right->bytes);
}

/* 0 when all VMs of the process were found. */
static int find_vms(const struct gathering *g, pid_t pid, const struct lua_file *file,
		    const struct maps *maps, struct found_vms *vms)
{
	struct puc_build puc;

	if (file->has_build)
		return luajit_vms__find(pid, maps, &file->build, g->deadline_ns, vms);
	if (puc_layout__get(file->release, &puc) != 0)
		return -ENOENT;
	return puc_vms__find(pid, maps, &puc, g->deadline_ns, vms);
}

static void search_vms(const struct gathering *g, const struct pending *pending)
{
	struct list_row *row = &g->rows[pending->row];
	struct found_vms vms;
	struct maps maps;

	if (maps__read(row->pid, &maps) == 0 &&
	    find_vms(g, row->pid, pending->file, &maps, &vms) == 0) {
		row->vms_known = true;
		row->vms = vms.count;
		row->jit = luajit_vms__jit(&vms);
		row->heap_bytes = found_vms__heap_bytes(&vms);
	}
	maps__free(&maps);
}

/* Small processes first: one large heap must not take the time of all others. */
static void search_all_vms(struct gathering *g)
{
	size_t i;

	if (g->count)
		qsort(g->pending, g->count, sizeof(*g->pending), compare_pending);
	for (i = 0; i < g->count; i++)
		search_vms(g, &g->pending[i]);
}

/* A second look at the CPU time, some time after the first. */
static void measure_cpu(struct gathering *g)
{
	uint64_t elapsed = now_ns(CLOCK_MONOTONIC) - g->started_ns, used;
	struct timespec pause = {};
	size_t i;

	if (elapsed < MIN_INTERVAL_NS) {
		pause.tv_nsec = (long)(MIN_INTERVAL_NS - elapsed);
		nanosleep(&pause, NULL);
	}
	elapsed = now_ns(CLOCK_MONOTONIC) - g->started_ns;
	for (i = 0; i < g->count; i++) {
		used = process_info__cpu_time_ns(g->rows[i].pid);
		/* 0: it has ended */
		g->rows[i].cpu_percent =
			used < g->rows[i].cpu_ns
				? -1
				: 100.0 * (double)(used - g->rows[i].cpu_ns) / (double)elapsed;
	}
}

int lua_processes__gather(unsigned int limit_ms, struct list_row **rows, size_t *count,
			  struct lua_processes_hidden *hidden)
{
	struct gathering g = {.files = lua_files__new(), .names = container_names__new(NULL)};
	struct processes processes = {};
	int err = -ENOMEM;
	size_t i;

	if (!g.files || !g.names)
		goto out;
	g.started_ns = now_ns(CLOCK_MONOTONIC);
	/* Our own time: what is found must not depend on how busy the machine is. */
	g.deadline_ns = now_ns(CLOCK_PROCESS_CPUTIME_ID) + limit_ms * 1000000ull;
	g.boot_ns = now_ns(CLOCK_BOOTTIME);
	err = processes__read(&processes);
	for (i = 0; !err && i < processes.count; i++) {
		if (processes.pids[i] != getpid())
			err = add(&g, processes.pids[i]);
	}
	if (!err) {
		search_all_vms(&g);
		measure_cpu(&g);
	}
out:
	free(g.pending);
	processes__free(&processes);
	lua_files__free(g.files);
	container_names__free(g.names);
	if (err) {
		free(g.rows);
		return err;
	}
	*rows = g.rows;
	*count = g.count;
	*hidden = g.hidden;
	return 0;
}
