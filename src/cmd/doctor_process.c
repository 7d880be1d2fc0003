/* SPDX-License-Identifier: Apache-2.0 */
#include "doctor_process.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#include "../symbol/elf_symbols.h"
#include "../target/container.h"
#include "../target/elf_file.h"
#include "../target/process_info.h"
#include "../target/small_file.h"
#include "../unwind/unwind_table.h"
#include "../vm/lua_files.h"
#include "../vm/luajit_check.h"
#include "../vm/luajit_vms.h"
#include "../vm/puc.h"
#include "../vm/puc_vms.h"
#include "privileges.h"

#define NAMES_SHOWN	      4
#define VM_SEARCH_NS	      500000000ull
#define DESCRIPTORS_PER_FILE  2
#define DESCRIPTORS_OF_THREAD 2 /* its timer, and what tells of new mappings */
#define OWN_DESCRIPTORS	      64

/* The first few names of a kind of file. */
struct file_names {
	size_t count;
	char text[400];
};

struct examination {
	pid_t pid;
	struct doctor_section *section;
	struct process_info info;
	struct maps maps;
	struct lua_files *lua_files;
	struct unwind_rules *rules;
	int root_fd;
	size_t files, with_table, with_names, deleted;
	struct file_names unreadable, without_unwind, without_names;
	int open_error;	   /* of the first unreadable one */
	char build_id[64]; /* of the first one without names */
	/* The first file with PUC Lua: what puc__find said of it; inode 0: there is none. */
	uint64_t puc_device, puc_inode;
	struct puc_build puc;
	int puc_error;
};

static void file_names__add(struct file_names *self, const char *name)
{
	size_t length = strlen(self->text);

	if (self->count < NAMES_SHOWN)
		snprintf(self->text + length, sizeof(self->text) - length, "%s%.80s",
			 self->count ? ", " : "", name);
	else if (self->count == NAMES_SHOWN)
		snprintf(self->text + length, sizeof(self->text) - length, " and others");
	self->count++;
}

static const char *base_name(const char *path)
{
	const char *slash = strrchr(path, '/');

	return slash ? slash + 1 : path;
}

/* ---- the process ----------------------------------------------------------------------------- */

static void check_identity(struct examination *e)
{
	struct doctor_check *check = doctor_section__add(e->section, "process");
	char cgroup[CGROUP_TEXT_SIZE], command[256] = "", place[96] = "";
	struct container container;

	check->own = true;
	small_file__command_line(e->pid, command, sizeof(command));
	if (cgroup__read(e->pid, cgroup) == 0 && container__parse(cgroup, &container))
		snprintf(place, sizeof(place), ", in %s container %.12s",
			 container_engine__name(container.engine), container.id);
	doctor_check__found(check, DOCTOR_OK, "uid %d%s: %s", (int)e->info.uid, place,
			    *command ? command : e->info.comm);
	if (e->info.is_kernel_thread) {
		doctor_check__found(check, DOCTOR_FAIL,
				    "%s is a kernel thread: it has no user stack", e->info.comm);
		doctor_check__advise(check, "`perf record -g -p %d` shows what it does.",
				     (int)e->pid);
	} else if (e->info.is_zombie) {
		doctor_check__found(check, DOCTOR_FAIL,
				    "%s has ended and waits to be reaped by its parent %d",
				    e->info.comm, (int)e->info.parent);
	}
}

static void check_threads(struct examination *e)
{
	struct doctor_check *check = doctor_section__add(e->section, "threads");
	struct rlimit limit = {};
	size_t count = 0, needed;
	pid_t *tids;

	if (process_info__threads(e->pid, &tids, &count) == 0)
		free(tids);
	needed = OWN_DESCRIPTORS + count * DESCRIPTORS_OF_THREAD + e->files * DESCRIPTORS_PER_FILE;
	getrlimit(RLIMIT_NOFILE, &limit);
	doctor_check__found(check, DOCTOR_OK, "%zu, each with a timer of its own", count);
	if (needed > limit.rlim_max) {
		doctor_check__found(check, DOCTOR_FAIL,
				    "%zu, which takes %zu file descriptors; only %" PRIu64
				    " are allowed",
				    count, needed, (uint64_t)limit.rlim_max);
		doctor_check__advise(check, "ulimit -Hn %zu", needed * 2);
	}
}

/* ---- its files ------------------------------------------------------------------------------- */

static void examine_names(struct examination *e, const struct elf_file *file, const char *path)
{
	struct elf_symbols *symbols;
	char directory[4096];
	char *slash;

	snprintf(directory, sizeof(directory), "%s", path);
	slash = strrchr(directory, '/');
	if (slash)
		*slash = '\0';
	if (elf_symbols__load(file->elf, e->root_fd, directory, &symbols) != 0)
		return;
	if (elf_symbols__source(symbols) > SYMBOLS_EXPORTED) {
		e->with_names++;
	} else {
		if (!e->without_names.count)
			elf_build_id(file->elf, e->build_id, sizeof(e->build_id));
		file_names__add(&e->without_names, base_name(path));
	}
	elf_symbols__free(symbols);
}

static void examine_puc(struct examination *e, const struct elf_file *file,
			struct unwind_table *table, const struct map_entry *entry)
{
	if (e->puc_inode)
		return;
	e->puc_error = puc__find(file->elf, file->fd, table, e->rules, &e->puc);
	if (e->puc_error == -ENOENT)
		return;
	e->puc_device = entry->device;
	e->puc_inode = entry->inode;
}

static void examine_unwinding(struct examination *e, const struct elf_file *file,
			      const struct map_entry *entry)
{
	const char *path = entry->path;
	struct unwind_table *table;

	if (unwind_table__build(file->elf, e->rules, &table) != 0) {
		file_names__add(&e->without_unwind, base_name(path));
		return;
	}
	examine_puc(e, file, table, entry);
	if (table->function_count)
		e->with_table++;
	else
		file_names__add(&e->without_unwind, base_name(path));
	unwind_table__free(table);
}

/* Has an earlier mapping the same file? */
static bool seen_before(const struct maps *maps, size_t at)
{
	const struct map_entry *entry = &maps->entries[at];
	size_t i;

	for (i = 0; i < at; i++) {
		if (maps->entries[i].executable && maps->entries[i].inode == entry->inode &&
		    maps->entries[i].device == entry->device)
			return true;
	}
	return false;
}

static void examine_files(struct examination *e)
{
	const struct map_entry *entry;
	struct elf_file *file;
	size_t i;
	int err;

	for (i = 0; i < e->maps.count; i++) {
		entry = &e->maps.entries[i];
		if (!entry->executable || !map_entry__is_file(entry) || seen_before(&e->maps, i))
			continue;
		e->files++;
		e->deleted += entry->deleted;
		err = elf_file__open_mapping(e->pid, entry, &file);
		if (err) {
			if (!e->unreadable.count)
				e->open_error = err;
			file_names__add(&e->unreadable, base_name(entry->path));
			continue;
		}
		examine_unwinding(e, file, entry);
		examine_names(e, file, entry->path);
		elf_file__free(file);
	}
}

static void check_files(struct examination *e)
{
	struct doctor_check *check = doctor_section__add(e->section, "files");
	char replaced[96] = "";

	if (e->deleted)
		snprintf(replaced, sizeof(replaced), ", %zu of them replaced or deleted on disk",
			 e->deleted);
	doctor_check__found(check, DOCTOR_OK, "%zu with code%s, all could be read", e->files,
			    replaced);
	if (e->unreadable.count) {
		doctor_check__found(check, DOCTOR_WARN,
				    "%zu of %zu cannot be read: %s (%s): what runs below them is "
				    "lost from the stacks",
				    e->unreadable.count, e->files, e->unreadable.text,
				    e->open_error == -ESTALE ? "replaced on disk"
							     : strerror(-e->open_error));
		if (e->open_error == -ESTALE)
			doctor_check__advise(check, "Give luaspy CAP_CHECKPOINT_RESTORE (Linux "
						    "5.9; CAP_SYS_ADMIN before), or run it as "
						    "root: replaced files can then be opened.");
		else if (e->open_error == -EACCES || e->open_error == -EPERM)
			doctor_check__advise(check, "Give luaspy CAP_DAC_READ_SEARCH, or run it as "
						    "root.");
	}

	check = doctor_section__add(e->section, "unwinding");
	doctor_check__found(check, DOCTOR_OK, "%zu files with .eh_frame", e->with_table);
	if (e->without_unwind.count) {
		doctor_check__found(check, DOCTOR_NOTE,
				    "%zu of %zu files have no usable .eh_frame: %s",
				    e->without_unwind.count, e->files, e->without_unwind.text);
		doctor_check__advise(check,
				     "Their frames are followed by frame pointers, where they were "
				     "built with them (-fno-omit-frame-pointer).");
	}

	check = doctor_section__add(e->section, "C names");
	doctor_check__found(check, DOCTOR_OK, "%zu files with all their functions' names",
			    e->with_names);
	if (e->without_names.count) {
		doctor_check__found(check, DOCTOR_NOTE,
				    "%zu of %zu files are stripped: %s. Functions that they do not "
				    "export are shown as file+0xoffset; nothing else is lost",
				    e->without_names.count, e->files, e->without_names.text);
		if (e->build_id[0])
			doctor_check__advise(
				check,
				"The distribution's debug packages (-dbgsym, -dbg, -debuginfo) "
				"have the names; also looked for: "
				"/usr/lib/debug/.build-id/%.2s/%s.debug in the target's root.",
				e->build_id, e->build_id + 2);
	}
}

/* ---- its Lua --------------------------------------------------------------------------------- */

/* In our own CPU time: what is found must not depend on how busy the machine is. */
static uint64_t search_deadline(void)
{
	struct timespec t;

	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
	return (uint64_t)t.tv_sec * 1000000000ull + (uint64_t)t.tv_nsec + VM_SEARCH_NS;
}

static int find_vms(struct examination *e, const struct lua_file *lua, struct found_vms *vms)
{
	if (lua->kind == LUA_PUC)
		return puc_vms__find(e->pid, &e->maps, &e->puc, search_deadline(), vms);
	return luajit_vms__find(e->pid, &e->maps, &lua->build, search_deadline(), vms);
}

static const char *jit_text(const struct lua_file *lua, const struct found_vms *vms)
{
	if (lua->kind == LUA_PUC)
		return "";
	switch (luajit_vms__jit(vms)) {
	case LUAJIT_JIT_ON:
		return ", JIT compiler on";
	case LUAJIT_JIT_OFF:
		return ", JIT compiler off";
	default:
		return ", JIT compiler on in some";
	}
}

static void check_vms(struct examination *e, const struct lua_file *lua)
{
	struct doctor_check *check = doctor_section__add(e->section, "VMs");
	struct found_vms vms;
	int err;

	check->own = true;
	err = find_vms(e, lua, &vms);
	if (err && err != -ETIME && err != -E2BIG && err != -ENODATA) {
		doctor_check__found(check, DOCTOR_WARN, "its memory cannot be read: %s",
				    strerror(-err));
		doctor_check__advise(check, "Give luaspy %s, or run it as root.",
				     privileges__have(CAP_SYS_PTRACE) ? "CAP_DAC_READ_SEARCH"
								      : "CAP_SYS_PTRACE");
		return;
	}
	doctor_check__found(check, DOCTOR_OK, "%s%u with %.1f MB of Lua heap%s",
			    err ? "at least " : "", vms.count,
			    (double)found_vms__heap_bytes(&vms) / 1e6, jit_text(lua, &vms));
	if (!vms.count && !err)
		doctor_check__found(check, DOCTOR_NOTE, "none (yet): no Lua is loaded in it");
}

static const char *verdict_name(enum luajit_verdict verdict)
{
	static const char *const names[] = {[LUAJIT_NOT_CHECKED] = NULL,
					    [LUAJIT_AGREES] = "agrees",
					    [LUAJIT_DISAGREES] = "DISAGREES"};

	return names[verdict];
}

static void list_offsets(struct doctor_section *section, const struct luajit_check *check)
{
	const struct luajit_fact *fact;
	size_t i;

	_Static_assert(LUAJIT_OFFSETS <= DOCTOR_MAX_OFFSETS, "all fit");
	for (i = 0; i < check->fact_count; i++) {
		fact = &check->facts[i];
		section->offsets[i] =
			(struct doctor_offset){.name = fact->what,
					       .from = fact->from,
					       .decoded = (int32_t)fact->value,
					       .in_table = fact->table != LUAJIT_NOT_CHECKED,
					       .table = (int32_t)fact->table_value,
					       .heap = verdict_name(fact->heap)};
	}
	section->offset_count = i;
}

/* The three sources of LuaJIT's offsets: its code, the table of known builds, the live heap. */
static void check_offsets(struct examination *e, const struct lua_file *lua)
{
	struct doctor_check *check = doctor_section__add(e->section, "offsets");
	const struct luajit_fact *conflict;
	struct luajit_check found;
	size_t i, in_heap = 0;
	char table[160];
	int err = -ENOENT;

	check->own = true;
	for (i = 0; i < e->maps.count && err == -ENOENT; i++) {
		if (e->maps.entries[i].executable && e->maps.entries[i].inode == lua->inode &&
		    e->maps.entries[i].device == lua->device)
			err = luajit_check__process(e->pid, &e->maps, &e->maps.entries[i],
						    search_deadline(), &found);
	}
	if (err) {
		doctor_check__found(check, DOCTOR_WARN, "could not be checked: %s", strerror(-err));
		return;
	}
	list_offsets(e->section, &found);
	conflict = luajit_facts__conflict(found.facts, found.fact_count);
	if (conflict) {
		doctor_check__found(
			check, DOCTOR_WARN,
			"%s is 0x%x by LuaJIT's code, which %s contradicts: no Lua frames "
			"would be shown, C frames are right",
			conflict->what, conflict->value,
			conflict->table == LUAJIT_DISAGREES ? "the table of known builds"
							    : "the live heap");
		doctor_check__advise(check, "Please report it, with this output.");
		return;
	}
	for (i = 0; i < found.fact_count; i++)
		in_heap += found.facts[i].heap == LUAJIT_AGREES;
	if (found.found.known)
		snprintf(table, sizeof(table), "the table of known builds (%s) agrees",
			 found.found.known->sources);
	else
		snprintf(table, sizeof(table), "not a build of the table of known ones");
	doctor_check__found(check, DOCTOR_OK,
			    "%zu decoded from its code; %s; %zu seen in the live heap",
			    found.fact_count, table, in_heap);
}

static void check_puc(struct examination *e, struct doctor_check *check, const struct lua_file *lua)
{
	if (e->puc_inode == lua->inode && e->puc_device == lua->device && !e->puc_error) {
		doctor_check__found(check, DOCTOR_OK, "%s%s", lua->version,
				    lua->has_symbols ? "" : ", stripped");
		check_vms(e, lua);
	} else if (!lua->release) {
		doctor_check__found(check, DOCTOR_WARN,
				    "%s, which does not say of which release it is: its C frames "
				    "are shown",
				    lua->version);
		doctor_check__advise(check,
				     "Keep lua_ident when linking: without it the layouts of "
				     "its structures are not known.");
	} else {
		doctor_check__found(check, DOCTOR_WARN,
				    "%s of a form that is not known here: its C frames are shown",
				    lua->version);
		doctor_check__advise(check, "Please report it, with where that Lua comes from.");
	}
}

static void check_lua(struct examination *e)
{
	struct doctor_check *check = doctor_section__add(e->section, "Lua");
	const struct lua_file *lua = lua_files__of_process(e->lua_files, e->pid, &e->maps);

	if (!lua) {
		doctor_check__found(check, DOCTOR_WARN, "none was found in its files");
		doctor_check__advise(check, "Its C frames can be profiled. Of nginx, the workers "
					    "run Lua; `luaspy list` shows all Lua processes.");
	} else if (lua->kind == LUA_PUC) {
		check_puc(e, check, lua);
	} else if (!lua->has_build) {
		doctor_check__found(check, DOCTOR_WARN,
				    "%s of a form that is not known here: its C frames are shown",
				    lua->version);
		doctor_check__advise(check, "Please report it, with where that Lua comes from.");
	} else {
		doctor_check__found(check, DOCTOR_OK, "%s, %s, %s JIT compiler, %s FFI%s",
				    lua->version, lua->build.gc64 ? "GC64" : "GC32",
				    lua->build.trace_array ? "with" : "without",
				    lua->build.ffi ? "with" : "without",
				    lua->has_symbols ? "" : ", stripped");
		check_vms(e, lua);
		check_offsets(e, lua);
	}
}

/* ---- all of it ------------------------------------------------------------------------------- */

static void report_error(struct doctor_section *section, const char *name, pid_t pid, int err)
{
	struct doctor_check *check = doctor_section__add(section, name);

	if (err == -ESRCH) {
		doctor_check__found(check, DOCTOR_FAIL, "there is no process %d", (int)pid);
		return;
	}
	doctor_check__found(check, DOCTOR_FAIL, "it may not be looked into: %s", strerror(-err));
	if ((err == -EACCES || err == -EPERM) && !privileges__complete())
		doctor_check__advise(check, "See privileges.");
}

int doctor_process__check(pid_t pid, struct doctor_section *section)
{
	struct examination e = {.pid = pid, .section = section, .root_fd = -1};
	char path[64];
	int err;

	section->pids = malloc(sizeof(*section->pids));
	if (!section->pids)
		return 0;
	section->pids[section->pid_count++] = pid;
	err = process_info__read(pid, &e.info);
	if (err) {
		report_error(section, "process", pid, err);
		return err == -ESRCH ? err : 0;
	}
	snprintf(section->title, sizeof(section->title), "%s", e.info.comm);
	check_identity(&e);
	if (e.info.is_kernel_thread || e.info.is_zombie)
		return 0;
	err = e.info.exe_error ? e.info.exe_error : maps__read(pid, &e.maps);
	if (err) {
		report_error(section, "access", pid, err);
		return err == -ESRCH ? err : 0;
	}
	e.lua_files = lua_files__new();
	e.rules = unwind_rules__new();
	snprintf(path, sizeof(path), "/proc/%d/root", (int)pid);
	e.root_fd = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (e.lua_files && e.rules) {
		examine_files(&e);
		check_threads(&e);
		check_files(&e);
		check_lua(&e);
	}
	if (e.root_fd >= 0)
		close(e.root_fd);
	unwind_rules__free(e.rules);
	lua_files__free(e.lua_files);
	maps__free(&e.maps);
	return 0;
}
