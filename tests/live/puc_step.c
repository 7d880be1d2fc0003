// SPDX-License-Identifier: Apache-2.0
/*
 * Steps a program with PUC Lua inside instruction by instruction and checks, at each one of
 * luaV_execute, where its unwind rows say that L and the position in the bytecode are (a test's own
 * target: the product never stops a process).
 *
 * What is true is found without the rows: L is the first argument at luaV_execute's entry, kept for
 * each activation by the place of its frame; the CFA likewise. The current instruction is the one
 * that was loaded last from the bytecode of the innermost function when the interpreter jumped
 * through a table. The position must be that instruction's or the one that is dispatched next.
 * Where the rows name a CallInfo in place of it, that must be the innermost function's, or one
 * beside that while a function is called or left.
 *
 *     puc_step [-n STEPS] [-v] NAME PROGRAM [ARG...]
 *
 * Prints a TAP line, and with -v each pc at which something was wrong.
 */
#include <errno.h>
#include <fcntl.h>
#include <gelf.h>
#include <inttypes.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/uio.h>
#include <sys/user.h>
#include <sys/wait.h>
#include <unistd.h>

#include "../replay/replay_process.h"
#include "unwind/unwind_table.h"
#include "vm/puc.h"
#include "vm/x86_code.h"

#define MAX_DEPTH   250
#define MAX_FRAMES  4096 /* CallInfos, by their addresses */
#define MAX_PENDING 64

struct activation {
	uint64_t cfa, L;
};

struct frame {
	uint64_t ci, current; /* the address of the instruction in the bytecode */
};

struct function {
	uint64_t ci, key, code, savedpc;
	uint32_t size;
	bool is_lua;
};

struct pending {
	uint64_t ci, pc, instruction;
};

struct run {
	pid_t pid;
	uint64_t bias;
	struct puc_build build;
	struct unwind_table *table;
	struct unwind_rules *rules;
	struct x86_code code;
	struct user_regs_struct regs;
	struct activation stack[MAX_DEPTH];
	size_t depth;
	struct frame frames[MAX_FRAMES];
	struct pending pending[MAX_PENDING];
	size_t pending_count;
	uint64_t loaded, loaded_before; /* last, from the bytecode */
	uint64_t steps, checked, wrong_L, no_L, wrong_cfa, unsafe_call, no_rule;
	uint64_t wrong_ci, positions, wrong_position, far_position, left, left_early, popped,
		popped_silent;
	uint64_t shown[256];
	size_t shown_count;
	bool verbose;
};

static bool read_target(const struct run *run, uint64_t address, void *bytes, size_t size)
{
	struct iovec to = {bytes, size}, from = {(void *)(uintptr_t)address, size};

	return process_vm_readv(run->pid, &to, 1, &from, 1, 0) == (ssize_t)size;
}

static uint64_t word(const struct run *run, uint64_t address)
{
	uint64_t value = 0;

	read_target(run, address, &value, sizeof(value));
	return value;
}

static uint64_t reg(const struct run *run, unsigned int number)
{
	const struct user_regs_struct *r = &run->regs;
	const uint64_t all[] = {r->rax, r->rdx, r->rcx, r->rbx, r->rsi, r->rdi, r->rbp, r->rsp,
				r->r8,	r->r9,	r->r10, r->r11, r->r12, r->r13, r->r14, r->r15};

	return number < 16 ? all[number] : 0;
}

/* ---- what is true -----------------------------------------------------------------------------
 */

/* The innermost function of L. */
static bool innermost(const struct run *run, uint64_t L, struct function *out)
{
	const struct puc_build *b = &run->build;
	uint64_t func, closure, proto;
	uint32_t status = 0;
	uint8_t is_c = 1;

	memset(out, 0, sizeof(*out));
	out->ci = word(run, L + b->L_ci);
	/* In 5.1 they are an array, which may be moved. */
	out->key = b->L_savedpc ? L + out->ci - word(run, L + b->L_base_ci) + 1 : out->ci;
	func = word(run, out->ci + b->ci_func);
	closure = word(run, func);
	if (b->L_savedpc) {
		read_target(run, closure + 10, &is_c, 1);
		out->savedpc = word(run, L + b->L_savedpc);
		out->is_lua = !is_c && (word(run, func + 8) & 0xff) == 6;
	} else {
		read_target(run, out->ci + b->ci_callstatus, &status, b->ci_lua > 0xffff ? 4 : 2);
		if (b->ci_lua == 0x8000)
			read_target(run, out->ci + b->ci_callstatus, &status, 4);
		out->savedpc = word(run, out->ci + b->ci_savedpc);
		out->is_lua = (status & b->ci_lua) == b->ci_lua_value;
	}
	if (!out->is_lua)
		return false;
	proto = word(run, closure + b->closure_proto);
	out->code = word(run, proto + b->proto_code);
	return read_target(run, proto + b->proto_size_code, &out->size, 4);
}

static struct frame *frame_of(struct run *run, uint64_t ci)
{
	size_t at = (ci >> 3) * 2654435761u % MAX_FRAMES, i;

	for (i = 0; i < MAX_FRAMES; i++, at = (at + 1) % MAX_FRAMES) {
		if (run->frames[at].ci == ci || !run->frames[at].ci) {
			run->frames[at].ci = ci;
			return &run->frames[at];
		}
	}
	abort();
}

static bool is_in(const struct function *f, uint64_t address)
{
	return address >= f->code && address < f->code + 4ull * f->size;
}

static void show(struct run *run, uint64_t pc, const char *what, uint64_t got, uint64_t wanted)
{
	size_t i;

	for (i = 0; i < run->shown_count; i++) {
		if (run->shown[i] == pc)
			return;
	}
	if (!run->verbose || run->shown_count == 256)
		return;
	run->shown[run->shown_count++] = pc;
	printf("# 0x%" PRIx64 ": %s 0x%" PRIx64 ", not 0x%" PRIx64 " (step %" PRIu64 ")\n", pc,
	       what, got, wanted, run->steps);
}

static void wrong_position(struct run *run, const struct pending *p, uint64_t current)
{
	int64_t off = (int64_t)(p->instruction - current) / 4;

	run->wrong_position++;
	if (off < -1 || off > 1)
		run->far_position++;
	show(run, p->pc, off < -1 || off > 1 ? "position FAR" : "position", p->instruction,
	     current);
}

/* What was not the instruction dispatched last has to be this one. */
static void settle(struct run *run, uint64_t ci, uint64_t before, uint64_t current)
{
	size_t i;

	for (i = 0; i < run->pending_count; i++) {
		if (run->pending[i].ci == ci && run->pending[i].instruction != current)
			wrong_position(run, &run->pending[i], before);
	}
	run->pending_count = 0;
}

/* ---- what the rows say ------------------------------------------------------------------------
 */

static bool is_around(const struct run *run, uint64_t ci, uint64_t named)
{
	return named == ci || named == word(run, ci + run->build.ci_previous) ||
	       named == word(run, ci + run->build.ci_previous + 8);
}

static void check_position(struct run *run, const struct unwind_rule *rule, uint64_t pc, uint64_t L,
			   uint64_t cfa)
{
	uint64_t position = 0, instruction;
	struct function f;
	struct frame *frame;
	uint32_t saved = 0;

	if (!innermost(run, L, &f)) {
		run->popped++;
		if (!(rule->vm_flags & PUC_POPPED)) {
			run->popped_silent++;
			show(run, pc, "popped", f.ci, 0);
		}
		return;
	}
	run->positions++;
	if (rule->vm_pc == VM_NO_REG)
		position = rule->vm_pc_slot ? word(run, cfa - 8ull * rule->vm_pc_slot) : 0;
	else if (!rule->vm_pc_slot ||
		 (uint32_t)reg(run, rule->vm_pc_slot >> 4) != (rule->vm_pc_slot & 15u))
		position = reg(run, rule->vm_pc);
	if (rule->vm_flags & PUC_PC_FAR)
		position -= 4 * ((1ull << (run->build.jump_bits - 1)) - 1);
	/* The one that has been popped: no position is asked for. */
	if (rule->vm_flags & PUC_POPPED && rule->vm_flags & PUC_PC_OF_CI &&
	    f.ci == word(run, position + run->build.ci_previous))
		return;
	if (rule->vm_flags & PUC_PC_OF_CI && !is_around(run, f.ci, position)) {
		run->wrong_ci++;
		show(run, pc, "CallInfo", position, f.ci);
	}
	instruction = position - 4;
	if (rule->vm_flags & PUC_PC_NEXT)
		instruction = position + (rule->vm_flags & PUC_PC_PAST ? 4 : 0);
	else if (rule->vm_flags & PUC_PC_PAST)
		instruction = position - 8;
	/* It is the caller's, or there is none: then the saved one counts, which stands behind. */
	if (rule->vm_flags & PUC_PC_OF_CI)
		instruction += f.savedpc - position;
	else if (position < f.code || position > f.code + 4ull * f.size)
		instruction = f.savedpc - 4;
	if (rule->vm_flags & PUC_POPPING) {
		read_target(run, f.savedpc - 4, &saved, sizeof(saved));
		if ((saved & 0x3f) != run->build.op_call + 2u)
			instruction = 0; /* it is not at OP_RETURN */
	}
	frame = frame_of(run, f.key);
	/* An instruction may be executed behind another one without a jump by the table. */
	if (instruction == frame->current || instruction == run->loaded ||
	    instruction == run->loaded_before || instruction + 4 == f.code)
		return;
	if (run->pending_count < MAX_PENDING)
		run->pending[run->pending_count++] = (struct pending){f.key, pc, instruction};
}

static void check_rule(struct run *run, uint64_t pc, const struct x86_instruction *i)
{
	const struct activation *top = &run->stack[run->depth - 1];
	const struct unwind_rule *rule =
		unwind_rules__get(run->rules, unwind_table__rule_at(run->table, pc));
	uint64_t cfa, L;
	bool safe;

	run->checked++;
	if (!rule || !(rule->flags & RULE_PUC)) {
		run->no_rule++;
		show(run, pc, "no rule", 0, 0);
		return;
	}
	cfa = reg(run, rule->cfa_reg) + (uint64_t)(int64_t)rule->cfa_offset;
	if (rule->cfa_kind == CFA_DEREF)
		cfa = word(run, cfa) + (uint64_t)(int64_t)rule->cfa_offset2;
	if (cfa != top->cfa) {
		run->wrong_cfa++;
		show(run, pc, "CFA", cfa, top->cfa);
		return;
	}
	if (rule->vm_flags & PUC_NO_FRAME) {
		struct function f;

		run->left++;
		/* Nothing of it may be left: its frame has been popped. */
		if (innermost(run, top->L, &f) && frame_of(run, f.key)->current == run->loaded)
			run->left_early++;
		return;
	}
	L = rule->vm_base_reg != VM_NO_REG ? reg(run, rule->vm_base_reg)
	    : rule->cfa_offset2 && rule->cfa_kind == CFA_REG
		    ? word(run, cfa + (uint64_t)(int64_t)rule->cfa_offset2)
		    : 0;
	if (L != top->L) {
		run->wrong_L += L != 0;
		run->no_L += L == 0;
		show(run, pc, "L", L, top->L);
	}
	safe = rule->vm_base_reg == VM_NO_REG || 1u << rule->vm_base_reg & 0xf048;
	safe &= rule->vm_pc == VM_NO_REG || 1u << rule->vm_pc & 0xf048;
	if (i->op == X86_CALL && !safe) {
		run->unsafe_call++;
		show(run, pc, "unsafe at call", 0, 0);
	}
	check_position(run, rule, pc, top->L, cfa);
}

static bool is_load(const struct x86_instruction *i)
{
	return (i->op == X86_LOAD || i->op == X86_LOAD_EXTEND || i->op == X86_LOAD_SIGNED) &&
	       i->width <= 4 && i->base != X86_NO_REG;
}

/* The instruction is about to be executed. */
static void watch(struct run *run, const struct x86_instruction *i)
{
	const struct activation *top = &run->stack[run->depth - 1];
	struct function f;
	struct frame *frame;
	uint64_t address;

	if (is_load(i)) {
		address = reg(run, i->base) + (uint64_t)(int64_t)i->disp;
		if (i->index != X86_NO_REG) /* behind a jump */
			address += reg(run, i->index) * i->scale;
		address &= ~3ull;
		if (innermost(run, top->L, &f) && is_in(&f, address))
			run->loaded_before = run->loaded, run->loaded = address;
	} else if (i->op == X86_JUMP && !i->target && innermost(run, top->L, &f) &&
		   is_in(&f, run->loaded)) {
		frame = frame_of(run, f.key);
		settle(run, f.key, frame->current, run->loaded);
		frame->current = run->loaded;
	}
}

static int step_through(struct run *run, uint64_t steps)
{
	const struct puc_build *b = &run->build;
	struct iovec iov = {&run->regs, sizeof(run->regs)};
	ptrdiff_t at;
	uint64_t pc;
	int err;

	for (run->steps = 0; run->steps < steps; run->steps++) {
		if (ptrace(PTRACE_GETREGSET, run->pid, (void *)1, &iov) != 0)
			return -errno;
		pc = run->regs.rip - run->bias;
		while (run->depth && run->regs.rsp >= run->stack[run->depth - 1].cfa)
			run->depth--;
		if (pc == b->execute_start) {
			if (run->depth == MAX_DEPTH)
				return -E2BIG;
			run->stack[run->depth].cfa = run->regs.rsp + 8;
			run->stack[run->depth++].L = run->regs.rdi;
		}
		at = run->depth ? x86_code__find(&run->code, pc) : -1;
		if (at >= 0) {
			check_rule(run, pc, &run->code.instructions[at]);
			watch(run, &run->code.instructions[at]);
		}
		err = replay_process__step(run->pid);
		if (err == -ECHILD)
			return 0;
		if (err)
			return err;
	}
	return 0;
}

/* ---- the program ------------------------------------------------------------------------------
 */

static int decode_parts(struct run *run, Elf *elf)
{
	const struct unwind_function *f;
	GElf_Phdr phdr;
	Elf_Data *data;
	size_t count, i, k;
	int err = 0;

	elf_getphdrnum(elf, &count);
	for (k = 0; !err && k < run->table->function_count; k++) {
		f = &run->table->functions[k];
		/* luaV_execute's rows are the ones with RULE_PUC. */
		if (!(unwind_rules__get(run->rules, unwind_table__rule_at(run->table, f->start))
			      ->flags &
		      RULE_PUC))
			continue;
		for (i = 0; i < count; i++) {
			if (!gelf_getphdr(elf, (int)i, &phdr) || phdr.p_type != PT_LOAD ||
			    f->start < phdr.p_vaddr || f->end > phdr.p_vaddr + phdr.p_filesz)
				continue;
			data = elf_getdata_rawchunk(
				elf, (int64_t)(phdr.p_offset + f->start - phdr.p_vaddr),
				f->end - f->start, ELF_T_BYTE);
			err = data ? x86_code__append(data->d_buf, data->d_size, f->start,
						      &run->code)
				   : -EIO;
		}
	}
	return err ? err : run->code.count ? 0 : -ENOENT;
}

static int open_program(struct run *run, const char *path)
{
	Elf *elf = NULL;
	int fd, err;

	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	elf_version(EV_CURRENT);
	elf = elf_begin(fd, ELF_C_READ, NULL);
	run->rules = unwind_rules__new();
	err = elf && run->rules ? 0 : -ENOMEM;
	if (!err)
		err = unwind_table__build(elf, run->rules, &run->table);
	if (!err)
		err = puc__find(elf, -1, run->table, run->rules, &run->build);
	if (!err)
		err = decode_parts(run, elf);
	elf_end(elf);
	close(fd);
	return err;
}

/* The bias of the program, from its first mapping; 0 for one at a fixed address. */
static int find_bias(struct run *run, const char *path)
{
	char name[64], line[512], real[256];
	unsigned long start;
	uint16_t type = 0;
	int fd, err = -ENOENT;
	FILE *maps;

	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0 || pread(fd, &type, sizeof(type), 16) != sizeof(type))
		return -EIO;
	close(fd);
	if (type == ET_EXEC)
		return 0;
	snprintf(name, sizeof(name), "/proc/%d/maps", run->pid);
	maps = fopen(name, "r");
	if (!maps || !realpath(path, line))
		return -ENOENT;
	snprintf(real, sizeof(real), "%.250s", line);
	while (err && fgets(line, sizeof(line), maps)) {
		if (strstr(line, real) && sscanf(line, "%lx", &start) == 1) {
			run->bias = start;
			err = 0;
		}
	}
	fclose(maps);
	return err;
}

/* To luaV_execute's first entry. */
static int run_to_entry(struct run *run)
{
	uint64_t address = run->build.execute_start + run->bias;
	struct user_regs_struct regs;
	long bytes;
	int status;

	errno = 0;
	bytes = ptrace(PTRACE_PEEKTEXT, run->pid, (void *)address, NULL);
	if (errno)
		return -errno;
	ptrace(PTRACE_POKETEXT, run->pid, (void *)address, (void *)((bytes & ~0xffl) | 0xcc));
	ptrace(PTRACE_CONT, run->pid, NULL, NULL);
	if (waitpid(run->pid, &status, 0) != run->pid || !WIFSTOPPED(status) ||
	    WSTOPSIG(status) != SIGTRAP)
		return -ECHILD;
	ptrace(PTRACE_POKETEXT, run->pid, (void *)address, (void *)bytes);
	ptrace(PTRACE_GETREGS, run->pid, NULL, &regs);
	regs.rip = address;
	return ptrace(PTRACE_SETREGS, run->pid, NULL, &regs) ? -errno : 0;
}

static bool is_good(const struct run *run)
{
	return run->checked && run->positions && !run->wrong_L && !run->no_L && !run->wrong_cfa &&
	       !run->no_rule && !run->unsafe_call && !run->wrong_ci && !run->wrong_position &&
	       !run->left_early;
}

int main(int argc, char **argv)
{
	static struct run run;
	uint64_t steps = 200000;
	int option, err;
	const char *name;

	while ((option = getopt(argc, argv, "+n:v")) != -1) {
		if (option == 'n')
			steps = strtoull(optarg, NULL, 0);
		else
			run.verbose = true;
	}
	if (argc - optind < 2)
		return 2;
	name = argv[optind];
	err = open_program(&run, argv[optind + 1]);
	if (!err)
		err = run.pid = replay_process__start(argv + optind + 1);
	if (err >= 0)
		err = find_bias(&run, argv[optind + 1]);
	if (!err)
		err = run_to_entry(&run);
	if (!err)
		err = step_through(&run, steps);
	if (err)
		printf("# %s\n", strerror(-err));
	printf("# %s: %" PRIu64 " steps, %" PRIu64 " in luaV_execute; L wrong %" PRIu64
	       ", nowhere %" PRIu64 ", unsafe at calls %" PRIu64 "; CFA wrong %" PRIu64
	       "; without rule %" PRIu64 "\n",
	       name, run.steps, run.checked, run.wrong_L, run.no_L, run.unsafe_call, run.wrong_cfa,
	       run.no_rule);
	printf("# CallInfo wrong %" PRIu64 "; positions %" PRIu64 ", wrong %" PRIu64
	       " (%.3f%%), of them far %" PRIu64 "; left %" PRIu64 ", too early %" PRIu64
	       "; popped %" PRIu64 ", not told %" PRIu64 "\n",
	       run.wrong_ci, run.positions, run.wrong_position,
	       100.0 * (double)run.wrong_position / (run.positions ? (double)run.positions : 1),
	       run.far_position, run.left, run.left_early, run.popped, run.popped_silent);
	printf("%s - %s\n", err || !is_good(&run) ? "not ok" : "ok", name);
	if (run.pid > 0) {
		kill(run.pid, SIGKILL);
		waitpid(run.pid, NULL, 0);
	}
	x86_code__free(&run.code);
	unwind_table__free(run.table);
	unwind_rules__free(run.rules);
	return err || !is_good(&run) ? 1 : 0;
}
