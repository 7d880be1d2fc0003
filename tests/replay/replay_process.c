// SPDX-License-Identifier: Apache-2.0
/* See replay_process.h. */
#include "replay_process.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/uio.h>
#include <sys/user.h>
#include <sys/wait.h>
#include <unistd.h>

#include "target/elf_file.h"
#include "target/maps.h"
#include "unwind/unwind_table.h"
#include "vm/luajit.h"
#include "vm/puc.h"

bool replay_process__read(void *context, uint64_t address, void *bytes, size_t size)
{
	struct replay_process *self = context;
	struct iovec local = {.iov_base = bytes, .iov_len = size};
	struct iovec remote = {.iov_base = (void *)address, .iov_len = size};

	return process_vm_readv(self->pid, &local, 1, &remote, 1, 0) == (ssize_t)size;
}

/* ---- files -------------------------------------------------------------------------------------
 */

/* The tables of one file; its id, or negative errno. */
static int add_file(struct replay_process *self, struct unwind_rules *rules, struct elf_file *file,
		    const char *name)
{
	struct replay *replay = self->replay;
	struct file_table table = {};
	struct unwind_table *unwind = NULL;
	struct luajit_found found;
	struct puc_build puc;
	uint64_t *entries = NULL;
	char **names;
	size_t count;
	int id;

	id = unwind_table__build(file->elf, rules, &unwind);
	if (id)
		return id;
	if (luajit__find(file->elf, unwind, rules, &found) == 0 &&
	    replay->build_count < REPLAY_BUILDS) {
		self->luajit = (int)replay->file_count;
		replay->builds[replay->build_count++] = found.build;
		replay->vm = (uint32_t)replay->build_count;
		table.vm = replay->vm;
	} else if (puc__find(file->elf, file->fd, unwind, rules, &puc) == 0 &&
		   replay->puc_count < REPLAY_BUILDS) {
		self->luajit = (int)replay->file_count;
		replay->pucs[replay->puc_count++] = puc;
		table.puc = (uint32_t)replay->puc_count;
	}
	id = unwind_table__encode(unwind, &table, &entries, &count);
	if (id == 0)
		id = replay__add_file(replay, &table, entries, count);
	free(entries);
	unwind_table__free(unwind);
	if (id < 0)
		return id;
	names = realloc(self->names, replay->file_count * sizeof(*names));
	if (!names)
		return -ENOMEM;
	self->names = names;
	names[id] = strdup(name);
	return id;
}

/* The id of an earlier mapping's file, or -1. */
static int known_file(const struct replay_process *self, const struct maps *maps, size_t entry,
		      const int *ids)
{
	size_t i;

	for (i = 0; i < entry; i++) {
		if (ids[i] >= 0 && maps->entries[i].inode == maps->entries[entry].inode &&
		    maps->entries[i].device == maps->entries[entry].device &&
		    maps->entries[entry].inode)
			return ids[i];
	}
	return -1;
}

static int add_mapping(struct replay_process *self, struct unwind_rules *rules,
		       const struct maps *maps, size_t at, int *ids)
{
	const struct map_entry *entry = &maps->entries[at];
	struct mapping mapping = {.start = entry->start, .end = entry->end};
	bool vdso = strcmp(entry->path, "[vdso]") == 0;
	struct elf_file *file = NULL;
	uint64_t bias;
	int err;

	err = vdso ? elf_file__open_vdso(self->pid, entry, &file)
		   : elf_file__open_mapping(self->pid, entry, &file);
	if (err)
		return err;
	err = elf_file__bias(file, entry, &bias);
	ids[at] = known_file(self, maps, at, ids);
	if (!err && ids[at] < 0)
		err = ids[at] = add_file(self, rules, file, entry->path);
	if (err >= 0) {
		mapping.bias = bias;
		mapping.file_id = (uint32_t)ids[at];
		err = replay__add_mapping(self->replay, &mapping);
	}
	elf_file__free(file);
	return err < 0 ? err : 0;
}

int replay_process__open(struct replay_process *self, pid_t pid)
{
	struct unwind_rules *rules = unwind_rules__new();
	struct maps maps = {};
	int err, *ids = NULL;
	uint32_t rule;
	size_t i;

	*self = (struct replay_process){.pid = pid, .luajit = -1};
	self->replay = replay__new();
	err = maps__read(pid, &maps);
	if (err)
		goto out;
	ids = malloc((maps.count + 1) * sizeof(*ids));
	if (!self->replay || !rules || !ids) {
		err = -ENOMEM;
		goto out;
	}
	for (i = 0; i < maps.count; i++) {
		ids[i] = -1;
		if (!maps.entries[i].executable ||
		    strcmp(maps.entries[i].path, "[vsyscall]") == 0 ||
		    (!map_entry__is_file(&maps.entries[i]) &&
		     strcmp(maps.entries[i].path, "[vdso]") != 0))
			continue;
		err = add_mapping(self, rules, &maps, i, ids);
		if (err)
			goto out;
	}
	for (rule = 1; rule < unwind_rules__count(rules) && err >= 0; rule++)
		err = replay__add_rule(self->replay, unwind_rules__get(rules, rule));
	if (err < 0)
		goto out;
	self->replay->fetch = replay_process__read;
	self->replay->fetch_context = self;
	err = 0;
out:
	free(ids);
	maps__free(&maps);
	unwind_rules__free(rules);
	return err;
}

void replay_process__close(struct replay_process *self)
{
	size_t i;

	for (i = 0; self->replay && self->names && i < self->replay->file_count; i++)
		free(self->names[i]);
	free(self->names);
	replay__free(self->replay);
	memset(self, 0, sizeof(*self));
}

/* ---- ptrace -------------------------------------------------------------------------------------
 */

int replay_process__registers(struct replay_process *self, pid_t tid)
{
	struct user_regs_struct regs;
	uint64_t *to = self->replay->registers;

	if (ptrace(PTRACE_GETREGS, tid, 0, &regs) != 0)
		return -errno;
	to[DW_REG_RAX] = regs.rax;
	to[DW_REG_RDX] = regs.rdx;
	to[DW_REG_RCX] = regs.rcx;
	to[DW_REG_RBX] = regs.rbx;
	to[DW_REG_RSI] = regs.rsi;
	to[DW_REG_RDI] = regs.rdi;
	to[DW_REG_RBP] = regs.rbp;
	to[DW_REG_RSP] = regs.rsp;
	to[DW_REG_R8] = regs.r8;
	to[DW_REG_R8 + 1] = regs.r9;
	to[DW_REG_R10] = regs.r10;
	to[DW_REG_R10 + 1] = regs.r11;
	to[DW_REG_R12] = regs.r12;
	to[DW_REG_R13] = regs.r13;
	to[DW_REG_R14] = regs.r14;
	to[DW_REG_R15] = regs.r15;
	to[DW_REG_RA] = regs.rip;
	self->replay->tid = (uint32_t)tid;
	return 0;
}

pid_t replay_process__start(char *const argv[])
{
	pid_t pid = fork();
	int null, status;

	if (pid < 0)
		return -errno;
	if (pid == 0) {
		null = open("/dev/null", O_WRONLY | O_CLOEXEC);
		if (null < 0 || dup2(null, STDOUT_FILENO) < 0 || ptrace(PTRACE_TRACEME) != 0)
			_exit(126);
		execvp(argv[0], argv);
		_exit(127);
	}
	if (waitpid(pid, &status, 0) != pid || !WIFSTOPPED(status))
		return -ECHILD;
	ptrace(PTRACE_SETOPTIONS, pid, 0, PTRACE_O_EXITKILL);
	return pid;
}

int replay_process__run_to_stop(pid_t pid)
{
	int status, signal = 0;

	for (;;) {
		if (ptrace(PTRACE_CONT, pid, 0, signal) != 0 || waitpid(pid, &status, 0) != pid)
			return -errno;
		if (!WIFSTOPPED(status))
			return -ECHILD;
		signal = WSTOPSIG(status);
		if (signal == SIGSTOP)
			return 0;
		if (signal == SIGTRAP)
			signal = 0; /* an exec on the way, as of a shell script */
	}
}

int replay_process__step(pid_t pid)
{
	int status, signal = 0;

	for (;;) {
		if (ptrace(PTRACE_SINGLESTEP, pid, 0, signal) != 0 ||
		    waitpid(pid, &status, 0) != pid)
			return -errno;
		if (!WIFSTOPPED(status))
			return -ECHILD;
		signal = WSTOPSIG(status);
		if (signal == SIGTRAP)
			return 0;
	}
}
