// SPDX-License-Identifier: Apache-2.0
/*
 * Steps a Lua program instruction by instruction and walks its stack at each one (a test's own
 * target: the product never stops a process). The program, single_step.lua, declares all of its
 * possible stacks; the walk must give one of them, whichever instruction was interrupted. That
 * covers what sampling hits once in a million: the prologues, calls and returns of the interpreter
 * in which registers and Lua stack disagree.
 *
 * Where the top frame is in its bytecode is known exactly: the interpreter dispatches each
 * instruction by a jump through its table, with PC behind the instruction. With -joff the walk must
 * give the one that was dispatched last (or the JMP or ITERL that belongs to it), or the one that
 * is dispatched next; or, when one has returned, the call in its caller. Of a function that is
 * returning it gives the last return, whose line may be another one's.
 *
 * A stack that is not possible is never accepted. An error that the walk itself reports is, where
 * it is known that nothing can be found out: while a Lua stack is being moved, while libgcc
 * installs the registers of an exception's handler, and in a few instructions of the interpreter
 * (at most MAX_ERROR_PCS, in at most MAX_ERROR_SHARE of all walks; PUC Lua: MAX_PUC_ERRORS). A
 * position is wrong, missing or another return's in at most MAX_POSITION_SHARE of the walks that
 * have one.
 *
 *     single_step [-n STEPS] [-k EVERY] [-v] NAME SCRIPT LUAJIT [ARG...]
 *
 * EVERY: outside the interpreter only each EVERY-th step is walked. Prints a TAP line, and one
 * diagnostic for each distinct pc with a wrong walk.
 */
#include <ctype.h>
#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "../replay/replay_process.h"
#include "bpf/luajit_layout.h"

#define MAX_LINES	   1000
#define MAX_NAME	   32
#define MAX_PAIRS	   400
#define MAX_FINDINGS	   400
#define MAX_PROTO_CACHE	   1024
#define NAMES_SHOWN	   12
#define MAX_ERROR_PCS	   16
#define MAX_ERROR_SHARE	   0.005
#define MAX_PUC_ERRORS	   0.01 /* most while errors are on their way, and stacks are moved */
#define MAX_POSITION_SHARE 0.01
#define MAX_DISPATCHES	   1024
#define MAX_PENDING	   64

struct pair {
	char text[2 * MAX_NAME + 16]; /* "a>b", "a>C>b" */
	uint64_t seen;
};

struct program {
	char names[MAX_LINES][MAX_NAME]; /* by first line; [0] is the main chunk */
	struct pair pairs[MAX_PAIRS];
	size_t pair_count;
};

/* A pc at which a walk was wrong, with the first instance. */
struct finding {
	uint64_t pc; /* ELF virtual address in the interpreter's file, or a runtime address */
	bool in_luajit;
	uint64_t times;
	uint64_t step;
	char what[512];
};

struct proto_line {
	uint64_t proto;
	uint32_t line;
};

struct run {
	struct program program;
	struct replay_process process;
	struct replay_result result;
	uint64_t bias; /* of the file that contains LuaJIT */
	struct finding findings[MAX_FINDINGS];
	size_t finding_count;
	uint64_t walked, in_interpreter, errors_seen, impossible;
	bool interpreted;		     /* without the JIT compiler: all is dispatched */
	uint64_t dispatches[MAX_DISPATCHES]; /* addresses of the jumps that dispatch, ascending */
	size_t dispatch_count;
	uint64_t dispatched; /* the bytecode instruction that runs */
	struct {
		uint64_t address, pc;
	} pending[MAX_PENDING]; /* what must be the next one, by the walk at `pc` */
	size_t pending_count;
	uint64_t positions, positions_missing, positions_wrong, other_returns;
	struct proto_line lines[MAX_PROTO_CACHE];
	uint64_t stops[STOP_COUNT], errors[LUA_ERROR_COUNT];
};

/* ---- what the program declares --------------------------------------------------------------- */

static int read_program(const char *path, struct program *program)
{
	FILE *file = fopen(path, "r");
	char text[512], *at, *end, *word;
	size_t line = 0;

	if (!file)
		return -errno;
	strcpy(program->names[0], "main");
	while (fgets(text, sizeof(text), file) && ++line < MAX_LINES) {
		at = strstr(text, "--@");
		if (at && strstr(text, "function")) {
			for (end = at += 3; isalnum((unsigned char)*end) || *end == '_'; end++)
				;
			snprintf(program->names[line], MAX_NAME, "%.*s", (int)(end - at), at);
		}
		if (strncmp(text, "--:", 3) != 0)
			continue;
		for (word = strtok(text + 3, " \n"); word; word = strtok(NULL, " \n")) {
			if (program->pair_count == MAX_PAIRS)
				abort();
			snprintf(program->pairs[program->pair_count++].text,
				 sizeof(program->pairs[0].text), "%s", word);
		}
	}
	fclose(file);
	return 0;
}

static bool is_declared(struct program *program, const char *text)
{
	size_t i;

	for (i = 0; i < program->pair_count; i++) {
		if (strcmp(program->pairs[i].text, text) == 0) {
			program->pairs[i].seen++;
			return true;
		}
	}
	return false;
}

/* ---- names of frames --------------------------------------------------------------------------
 */

static bool read_target(struct run *run, uint64_t address, void *bytes, size_t size)
{
	return replay_process__read(&run->process, address, bytes, size);
}

static const char *proto_name(struct run *run, uint64_t proto)
{
	struct proto_line *memo = &run->lines[(proto >> 4) % MAX_PROTO_CACHE];
	const struct replay *replay = run->process.replay;
	uint32_t line, offset = GC32_PROTO_FIRSTLINE;
	const char *name;

	if (replay->puc_count)
		offset = replay->pucs[0].proto_first_line;
	else if (replay->builds[0].gc64)
		offset = GC64_PROTO_FIRSTLINE;

	if (memo->proto != proto) {
		if (!read_target(run, proto + offset, &line, sizeof(line)))
			return "unreadable";
		memo->proto = proto;
		memo->line = line;
	}
	name = memo->line < MAX_LINES ? run->program.names[memo->line] : "";
	return *name ? name : "library"; /* Lua code inside LuaJIT: table.foreach */
}

/* The Lua stack, root first: "C>main>round>..."; runs of built-ins as they are. */
static void stack_names(struct run *run, const char *names[], size_t *count)
{
	const struct replay_result *r = &run->result;
	const char *leaf_first[MAX_WORDS];
	size_t n = 0, proto = 0, i;

	for (i = 0; i < r->word_count; i++) {
		switch (r->words[i] >> FRAME_KIND_SHIFT) {
		case FRAME_KIND_LUA:
			leaf_first[n++] = proto_name(run, r->protos[proto++]);
			i++;
			break;
		case FRAME_KIND_BUILTIN:
			leaf_first[n++] = "C";
			i++;
			break;
		case FRAME_KIND_LUA_LOST:
			leaf_first[n++] = "lost";
			break;
		}
	}
	for (i = 0; i < n; i++)
		names[i] = leaf_first[n - 1 - i];
	*count = n;
}

/* ---- the checks --------------------------------------------------------------------------------
 */

/* NULL when the sequence is a possible stack; otherwise what is wrong with it. */
static const char *impossible(struct run *run, const char *const names[], size_t count)
{
	static char text[4 * MAX_NAME];
	char any[4 * MAX_NAME];
	size_t i, builtins = 0, length;
	const char *caller = NULL;

	/* LuaJIT's main chunk is called by a C function that has a frame on the Lua stack. */
	if (count && !run->process.replay->puc_count && strcmp(*names++, "C") == 0)
		count--;
	if (!count || strcmp(names[0], "main") != 0)
		return "does not start with main";
	for (i = 0; i < count; i++) {
		if (strcmp(names[i], "C") == 0) {
			builtins++;
			continue;
		}
		if (caller) {
			length = (size_t)snprintf(text, sizeof(text), "%s>", caller);
			for (; builtins && length + 3 < sizeof(text); builtins--)
				length += (size_t)snprintf(text + length, sizeof(text) - length,
							   "C>");
			snprintf(text + length, sizeof(text) - length, "%s", names[i]);
			snprintf(any, sizeof(any), "*>%s", names[i]);
			if (!is_declared(&run->program, text) && !is_declared(&run->program, any))
				return text;
		}
		caller = names[i];
		builtins = 0;
	}
	return builtins > 3 ? "many built-ins at the leaf" : NULL;
}

static void note(struct run *run, uint64_t step, bool in_luajit, const char *kind, const char *what,
		 const char *const names[], size_t count)
{
	uint64_t pc = run->process.replay->registers[DW_REG_RA] - (in_luajit ? run->bias : 0);
	struct finding *finding = NULL;
	char text[sizeof(finding->what)];
	size_t i, length;

	length = (size_t)snprintf(text, sizeof(text), "%s: %s:", kind, what);
	for (i = count > NAMES_SHOWN ? count - NAMES_SHOWN : 0; i < count && length < sizeof(text);
	     i++)
		length += (size_t)snprintf(text + length, sizeof(text) - length, " %s", names[i]);
	for (i = 0; i < run->finding_count && !finding; i++) {
		if (run->findings[i].in_luajit == in_luajit &&
		    (run->findings[i].pc == pc || !in_luajit) &&
		    strcmp(run->findings[i].what, text) == 0)
			finding = &run->findings[i];
	}
	if (finding) {
		finding->times++;
		return;
	}
	if (run->finding_count == MAX_FINDINGS)
		return;
	finding = &run->findings[run->finding_count++];
	finding->pc = pc;
	finding->in_luajit = in_luajit;
	finding->times = 1;
	finding->step = step;
	memcpy(finding->what, text, sizeof(text));
}

/* ---- the position in the bytecode ------------------------------------------------------------ */

/* Finds `jmp [r14 + rbp * 8]` in the interpreter's code. */
static int find_dispatches(struct run *run)
{
	static const uint8_t jump[] = {0x41, 0xff, 0x24, 0xee};
	const struct luajit_build *build = &run->process.replay->builds[0];
	size_t size = build->interpreter_end - build->interpreter_start, i;
	uint64_t start = build->interpreter_start + run->bias;
	uint8_t *text = malloc(size);

	if (!text)
		return -ENOMEM;
	for (i = 0; i < size; i += 4096) {
		if (!read_target(run, start + i, text + i, size - i < 4096 ? size - i : 4096)) {
			free(text);
			return -EFAULT;
		}
	}
	for (i = 0; i + sizeof(jump) <= size && run->dispatch_count < MAX_DISPATCHES; i++) {
		if (memcmp(text + i, jump, sizeof(jump)) == 0)
			run->dispatches[run->dispatch_count++] = start + i;
	}
	free(text);
	return run->dispatch_count ? 0 : -ENOENT;
}

/* What was not the instruction dispatched last has to be the next one. */
static void settle(struct run *run, bool verbose)
{
	size_t i;

	for (i = 0; i < run->pending_count; i++) {
		if (run->pending[i].address == run->dispatched)
			continue;
		run->positions_wrong++;
		if (verbose)
			printf("# position at luajit+0x%" PRIx64 ": %" PRId64
			       " instructions off the one dispatched next\n",
			       run->pending[i].pc - run->bias,
			       (int64_t)(run->pending[i].address - run->dispatched) / 4);
	}
	run->pending_count = 0;
}

static void watch_dispatch(struct run *run, bool verbose)
{
	const uint64_t *registers = run->process.replay->registers;
	size_t low = 0, high = run->dispatch_count, middle;

	while (low < high) {
		middle = (low + high) / 2;
		if (run->dispatches[middle] < registers[DW_REG_RA])
			low = middle + 1;
		else
			high = middle;
	}
	if (low == run->dispatch_count || run->dispatches[low] != registers[DW_REG_RA])
		return;
	run->dispatched = registers[DW_REG_RBX] - 4;
	settle(run, verbose);
}

static bool is_return(uint32_t op)
{
	return op >= BC_RETM && op <= BC_RET1;
}

/* 0 when there is none. */
static uint32_t opcode_at(struct run *run, uint64_t address)
{
	uint32_t instruction;

	return read_target(run, address, &instruction, 4) ? instruction & 0xff : 0;
}

/* Is this the opcode of a return, of a tail call, or of a built-in's header? */
static bool leaves(const struct run *run, uint32_t op)
{
	uint32_t funcf = run->process.replay->builds[0].bc_funcf;

	return is_return(op) || op == BC_CALLMT || op == BC_CALLT ||
	       op >= (funcf ? funcf : BC_JMP + 1) + BC_LUA_HEADERS;
}

/* The line of an instruction, from the function's first; lj_debug.c, lj_debug_line. */
static uint32_t line_at(struct run *run, uint64_t proto, uint32_t position)
{
	bool gc64 = run->process.replay->builds[0].gc64;
	uint32_t lines = 0, line = 0, size;
	uint64_t table = 0;

	read_target(run, proto + (gc64 ? GC64_PROTO_NUMLINE : GC32_PROTO_NUMLINE), &lines, 4);
	read_target(run, proto + (gc64 ? GC64_PROTO_LINEINFO : GC32_PROTO_LINEINFO), &table,
		    gc64 ? 8 : 4);
	size = lines < 256 ? 1 : lines < 65536 ? 2 : 4;
	if (position)
		read_target(run, table + (position - 1ull) * size, &line, size);
	return line;
}

/* Compares the top frame's position with the instruction that was dispatched last. */
static void check_position(struct run *run)
{
	const struct replay_result *r = &run->result;
	bool gc64 = run->process.replay->builds[0].gc64;
	uint64_t bytecode, address;
	uint32_t position, op, was;

	if (!r->word_count || r->words[0] >> FRAME_KIND_SHIFT != FRAME_KIND_LUA ||
	    r->words[0] & FRAME_LUA_COMPILED || !run->dispatched)
		return;
	run->positions++;
	position = (uint32_t)r->words[0];
	if (position == BCPOS_NONE) {
		run->positions_missing++;
		return;
	}
	bytecode = r->protos[0] + (gc64 ? GC64_PROTO_SIZE : GC32_PROTO_SIZE);
	address = bytecode + 4ull * position;
	op = opcode_at(run, address);
	was = opcode_at(run, run->dispatched);
	if (address == run->dispatched ||
	    (address == run->dispatched + 4 && (op == BC_JMP || was == BC_ITERN)))
		return;
	if (is_return(was) && is_return(op)) {
		run->other_returns +=
			line_at(run, r->protos[0], position) !=
			line_at(run, r->protos[0], (uint32_t)((run->dispatched - bytecode) / 4));
	} else if (is_return(op) || !leaves(run, was)) {
		if (run->pending_count == MAX_PENDING)
			return;
		run->pending[run->pending_count].pc = run->process.replay->registers[DW_REG_RA];
		run->pending[run->pending_count++].address = address;
	}
}

/* ---- the walk ----------------------------------------------------------------------------------
 */

static void check_walk(struct run *run, uint64_t step, bool in_luajit)
{
	const char *names[MAX_WORDS], *wrong;
	size_t count;

	replay__walk(run->process.replay, &run->result);
	run->walked++;
	run->stops[run->result.stop]++;
	run->errors[run->result.lua_error]++;
	stack_names(run, names, &count);
	run->errors_seen += run->result.stop != STOP_COMPLETE || run->result.lua_error != LUA_OK;
	if (run->result.stop != STOP_COMPLETE) {
		note(run, step, in_luajit, "stop", replay__stop_name(run->result.stop), names,
		     count);
		return;
	}
	if (run->result.lua_error != LUA_OK) {
		note(run, step, in_luajit, "error", replay__error_name(run->result.lua_error),
		     names, count);
		return;
	}
	wrong = impossible(run, names, count);
	if (!wrong) {
		if (in_luajit && run->interpreted)
			check_position(run);
		return;
	}
	run->impossible++;
	note(run, step, in_luajit, "stack", wrong, names, count);
}

static int find_bias(struct run *run)
{
	const struct replay *replay = run->process.replay;
	size_t i;

	for (i = 0; i < replay->mapping_count; i++) {
		if ((int)replay->mappings[i].file_id == run->process.luajit) {
			run->bias = replay->mappings[i].bias;
			return 0;
		}
	}
	return -ENOENT;
}

static int step_through(struct run *run, uint64_t steps, unsigned int every, bool verbose)
{
	const struct replay *replay = run->process.replay;
	uint64_t start = replay->builds[0].interpreter_start,
		 end = replay->builds[0].interpreter_end;
	pid_t pid = run->process.pid;
	uint64_t step, pc;
	bool inside;
	int err;

	if (replay->puc_count) {
		start = replay->pucs[0].execute_start;
		end = replay->pucs[0].execute_end;
	}
	for (step = 0; step < steps; step++) {
		err = replay_process__step(pid);
		if (err)
			return err;
		err = replay_process__registers(&run->process, pid);
		if (err)
			return err;
		pc = run->process.replay->registers[DW_REG_RA] - run->bias;
		inside = pc >= start && pc < end;
		run->in_interpreter += inside;
		if (inside || step % every == 0)
			check_walk(run, step, inside);
		watch_dispatch(run, verbose);
	}
	return 0;
}

static int by_pc(const void *a, const void *b)
{
	const struct finding *x = a, *y = b;

	return x->pc < y->pc ? -1 : x->pc > y->pc;
}

static void report(struct run *run, bool verbose)
{
	size_t i;

	qsort(run->findings, run->finding_count, sizeof(run->findings[0]), by_pc);
	for (i = 0; i < run->finding_count; i++) {
		const struct finding *f = &run->findings[i];

		printf("# %s0x%" PRIx64 " x%" PRIu64 " (step %" PRIu64 "): %s\n",
		       f->in_luajit ? "luajit+" : "", f->pc, f->times, f->step, f->what);
	}
	printf("# %" PRIu64 " walks, %" PRIu64 " of them in the interpreter; errors %" PRIu64
	       ", impossible stacks %" PRIu64 "\n",
	       run->walked, run->in_interpreter, run->errors_seen, run->impossible);
	printf("# %" PRIu64 " positions in the bytecode; wrong %" PRIu64 ", missing %" PRIu64
	       ", line of another return %" PRIu64 "\n",
	       run->positions, run->positions_wrong, run->positions_missing, run->other_returns);
	for (i = 0; verbose && i < STOP_COUNT; i++)
		printf("# stop %s %" PRIu64 "\n", replay__stop_name((uint32_t)i), run->stops[i]);
	for (i = 0; verbose && i < LUA_ERROR_COUNT; i++)
		printf("# lua error %s %" PRIu64 "\n", replay__error_name((uint32_t)i),
		       run->errors[i]);
	for (i = 0; verbose && i < run->program.pair_count; i++) {
		if (!run->program.pairs[i].seen)
			printf("# never seen: %s\n", run->program.pairs[i].text);
	}
}

static bool is_good(const struct run *run)
{
	uint64_t last = 0;
	size_t i, pcs = 0;

	for (i = 0; i < run->finding_count; i++) { /* ascending by pc */
		pcs += run->findings[i].in_luajit && run->findings[i].pc != last;
		last = run->findings[i].pc;
	}
	if (run->interpreted != !!run->positions ||
	    (double)(run->positions_wrong + run->positions_missing + run->other_returns) >
		    MAX_POSITION_SHARE * (double)run->positions)
		return false;
	if (!run->in_interpreter || run->impossible)
		return false;
	if (run->process.replay->puc_count)
		return (double)run->errors_seen <= MAX_PUC_ERRORS * (double)run->walked;
	return pcs <= MAX_ERROR_PCS &&
	       (double)run->errors_seen <= MAX_ERROR_SHARE * (double)run->walked;
}

int main(int argc, char **argv)
{
	static struct run run;
	unsigned int every = 1;
	uint64_t steps = 200000;
	bool verbose = false, good;
	pid_t pid = -1;
	int option, err;

	while ((option = getopt(argc, argv, "+n:k:v")) != -1) {
		if (option == 'n')
			steps = strtoull(optarg, NULL, 0);
		else if (option == 'k')
			every = (unsigned int)strtoul(optarg, NULL, 0);
		else
			verbose = true;
	}
	if (argc - optind < 3 || !every)
		return 2;
	err = read_program(argv[optind + 1], &run.program);
	if (!err)
		err = pid = replay_process__start(argv + optind + 2);
	if (err >= 0)
		err = replay_process__run_to_stop(pid);
	if (!err)
		err = replay_process__open(&run.process, pid);
	if (!err)
		err = find_bias(&run);
	run.interpreted = argc - optind > 3 && strcmp(argv[optind + 3], "-joff") == 0;
	if (!err && run.interpreted)
		err = find_dispatches(&run);
	if (!err)
		err = step_through(&run, steps, every, verbose);
	if (err)
		printf("# %s\n", strerror(-err));
	report(&run, verbose);
	good = !err && is_good(&run);
	printf("%s - %s\n", good ? "ok" : "not ok", argv[optind]);
	if (pid > 0) {
		kill(pid, SIGKILL);
		waitpid(pid, NULL, 0);
	}
	replay_process__close(&run.process);
	return good ? 0 : 1;
}
