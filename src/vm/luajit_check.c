/* SPDX-License-Identifier: Apache-2.0 */
#include "luajit_check.h"

#include <errno.h>
#include <string.h>
#include <time.h>

#include "../bpf/luajit_layout.h"
#include "../target/elf_file.h"
#include "../target/memory.h"
#include "../unwind/unwind_table.h"
#include "luajit_vms.h"

#define TRIES	       16
#define PAUSE_NS       1500000
#define MAX_VMS_LOOKED 8u /* of a process, whose heaps are looked at */

#define L_ENV_GC64 0x48
#define L_ENV_GC32 0x2c
#define GCT_TABLE  11

#define G_READ	       0x400u /* of global_State and what follows it in the same object */
#define STATES	       7
#define CFRAMES_LOOKED 8u
#define CFRAME_SPREAD  (64ull << 20) /* more than any C stack between two activations */
#define MAX_TRACES     65536u	     /* their numbers have 16 bits */
#define TRACES_READ    512u
#define TRACES_LOOKED  16u
#define MAX_MCODE      (1u << 22)
#define MCAREA_OLD     0x18 /* from jit_State.parent to .mcarea */
#define MCAREA	       0x20
#define STACK_SLOTS    512u
#define FUNCTIONS      32u
#define STRING_READ    0x30u

struct vm {
	pid_t pid;
	const struct maps *maps;
	const struct luajit_build *build;
	uint64_t interpreter, interpreter_end;
	uint64_t g, main; /* global_State, main lua_State */
	uint8_t bytes[G_READ];
};

/* What one look at one offset says. */
struct look {
	enum luajit_verdict verdict;
	const char *wants;
	uint64_t value;
};

static struct look disagrees(const char *wants, uint64_t value)
{
	return (struct look){LUAJIT_DISAGREES, wants, value};
}

static const struct look agrees = {LUAJIT_AGREES, NULL, 0};
static const struct look not_checked = {LUAJIT_NOT_CHECKED, NULL, 0};

/* ---- reading --------------------------------------------------------------------------------- */

static uint32_t ref_size(const struct vm *vm)
{
	return vm->build->gc64 ? 8 : 4;
}

/* A reference or a number at `address`; 0 when it cannot be read. */
static uint64_t word_at(const struct vm *vm, uint64_t address, size_t size)
{
	uint64_t word = 0;

	return memory__read(vm->pid, address, &word, size) == 0 ? word : 0;
}

static uint64_t ref_at(const struct vm *vm, uint64_t address)
{
	return word_at(vm, address, ref_size(vm));
}

static uint64_t g_ref(const struct vm *vm, uint32_t offset)
{
	uint64_t ref = 0;

	if (offset > G_READ - ref_size(vm))
		return ref_at(vm, vm->g + offset);
	memcpy(&ref, vm->bytes + offset, ref_size(vm));
	return ref;
}

static bool has_type(const struct vm *vm, uint64_t ref, uint8_t type)
{
	return ref && ref % 4 == 0 && ref >> 47 == 0 &&
	       word_at(vm, ref + (vm->build->gc64 ? GC64_GCT : GC32_GCT), 1) == type;
}

static bool is_thread(const struct vm *vm, uint64_t ref)
{
	return has_type(vm, ref, GCT_THREAD) &&
	       ref_at(vm, ref + (vm->build->gc64 ? GC64_L_GLREF : GC32_L_GLREF)) == vm->g;
}

static bool in_interpreter(const struct vm *vm, uint64_t address)
{
	return address >= vm->interpreter && address < vm->interpreter_end;
}

/* Finds the main thread by the fixed layout alone. Its table of globals is one of the last things
 * that are freed when a VM is closed, and tells that this one is not. */
static bool is_alive(struct vm *vm)
{
	uint32_t step = ref_size(vm), back;

	for (back = LUAJIT_G_FROM_L_MIN; back <= LUAJIT_G_FROM_L_MAX; back += step) {
		if (!is_thread(vm, vm->g - back))
			continue;
		vm->main = vm->g - back;
		return has_type(vm,
				ref_at(vm, vm->main + (vm->build->gc64 ? L_ENV_GC64 : L_ENV_GC32)),
				GCT_TABLE);
	}
	return false;
}

/* ---- one offset each ------------------------------------------------------------------------- */

/* All instructions go to the interpreter, whether hooks are active or not; what stands before the
 * table is data. */
static struct look look_dispatch(const struct vm *vm)
{
	uint64_t table[BC_JMP + 2], at = vm->g + (uint64_t)(int64_t)vm->build->dispatch_from_g - 8;
	const char *wants = "the table of instructions, each in the interpreter";
	size_t i;

	if (memory__read(vm->pid, at, table, sizeof(table)) != 0)
		return disagrees(wants, 0);
	if (in_interpreter(vm, table[0]))
		return disagrees("the beginning of the table of instructions", table[0]);
	for (i = 1; i < sizeof(table) / sizeof(table[0]); i++) {
		if (!in_interpreter(vm, table[i]))
			return disagrees(wants, table[i]);
	}
	return agrees;
}

/* Of the references in a global_State, cur_L is the last that may be a thread: behind it are
 * jit_base, ctype_state and the names, tables and files among the GC's roots. */
static struct look look_cur_L(const struct vm *vm)
{
	const char *wants = "the last reference in it to a lua_State of this VM";
	uint32_t cur_L = vm->build->cur_L, step = ref_size(vm), at, reach;
	uint64_t ref = g_ref(vm, cur_L);

	if (ref && !is_thread(vm, ref))
		return disagrees(wants, ref);
	/* Not set before the VM's first call: then nothing else there is a thread, either. */
	reach = ref ? 32 * step : 8 * step;
	for (at = ref ? cur_L + step : cur_L - (cur_L < reach ? cur_L : reach); at < cur_L + reach;
	     at += step) {
		if (is_thread(vm, g_ref(vm, at)))
			return disagrees(wants, ref);
	}
	return ref ? agrees : not_checked;
}

static uint32_t trace_count(const struct vm *vm)
{
	return vm->build->trace_array
		       ? (uint32_t)word_at(vm, vm->g + vm->build->trace_array + J_SIZETRACE, 4)
		       : 0;
}

static uint64_t trace_at(const struct vm *vm, uint32_t number)
{
	uint64_t array = word_at(vm, vm->g + vm->build->trace_array, 8);

	return ref_at(vm, array + (uint64_t)number * ref_size(vm));
}

static struct look look_vmstate(const struct vm *vm)
{
	const char *wants = "a state, or the number of a trace";
	int32_t state = (int32_t)word_at(vm, vm->g + vm->build->vmstate, 4);

	if (state < 0 && state >= -STATES)
		return agrees;
	if (state > 0 && (uint32_t)state < trace_count(vm) &&
	    has_type(vm, trace_at(vm, (uint32_t)state), GCT_TRACE))
		return agrees;
	return disagrees(wants, (uint32_t)state);
}

/* A running lua_State and its innermost C frame; 0 when neither the main thread nor cur_L is in
 * one. */
static uint64_t find_running(const struct vm *vm, uint64_t *cframe)
{
	uint64_t candidates[] = {g_ref(vm, vm->build->cur_L), vm->main}, L;
	size_t i;

	for (i = 0; i < 2; i++) {
		L = candidates[i];
		if (!is_thread(vm, L))
			continue;
		*cframe = word_at(vm, L + (vm->build->gc64 ? GC64_L_CFRAME : GC32_L_CFRAME), 8) &
			  ~CFRAME_FLAGS;
		if (*cframe)
			return L;
	}
	return 0;
}

/* Has L been called or left since? Then what was read of its C frames says nothing. */
static bool still_in(const struct vm *vm, uint64_t L, uint64_t cframe)
{
	uint64_t now = word_at(vm, L + (vm->build->gc64 ? GC64_L_CFRAME : GC32_L_CFRAME), 8);

	return (now & ~CFRAME_FLAGS) == cframe;
}

/* In all the C frames that it has, or in the first ones: another word of one may happen to be L.
 * The innermost may be left and made again while it is looked at; not each time, though. */
static struct look look_save_L(const struct vm *vm)
{
	uint64_t innermost, L = find_running(vm, &innermost), cframe = innermost, saved;
	unsigned int i;

	if (!L)
		return not_checked;
	for (i = 0; i < CFRAMES_LOOKED && cframe; i++) {
		saved = ref_at(vm, cframe + vm->build->save_L);
		if (saved != L && !still_in(vm, L, innermost))
			return not_checked;
		if (saved != L)
			return disagrees("the lua_State whose C frame it is", saved);
		cframe = word_at(vm, cframe + vm->build->save_cframe, 8) & ~CFRAME_FLAGS;
	}
	return agrees;
}

/* Frames of one lua_State are linked to older ones, which lie above. */
static struct look look_save_cframe(const struct vm *vm)
{
	uint64_t cframe, L = find_running(vm, &cframe), previous;
	const char *wants = "an older C frame of the same lua_State, or 0";

	if (!L)
		return not_checked;
	previous = word_at(vm, cframe + vm->build->save_cframe, 8) & ~CFRAME_FLAGS;
	if (!previous)
		return not_checked;
	if (previous > cframe && previous - cframe <= CFRAME_SPREAD &&
	    ref_at(vm, previous + vm->build->save_L) == L)
		return agrees;
	return still_in(vm, L, cframe) ? disagrees(wants, previous) : not_checked;
}

static struct look look_frame_size(const struct vm *vm)
{
	uint64_t cframe, L = find_running(vm, &cframe), return_address;
	const struct map_entry *entry;

	if (!L)
		return not_checked;
	return_address = word_at(vm, cframe + vm->build->frame_size - 8u, 8);
	entry = maps__find(vm->maps, return_address);
	if (entry && entry->executable)
		return agrees;
	return still_in(vm, L, cframe)
		       ? disagrees("a return address at the frame's end", return_address)
		       : not_checked;
}

/* The names of metamethods are among the GC's roots, behind cur_L, "__index" first (lj_obj.h, MMDEF
 * and GCROOT_MMNAME): a string whose length and text are known. */
static struct look look_string(const struct vm *vm, bool length)
{
	static const char name[] = "__index";
	uint32_t at, step = ref_size(vm), value;
	uint8_t bytes[STRING_READ];
	const uint8_t *text;
	uint64_t word;

	for (at = vm->build->cur_L; at < vm->build->cur_L + 64 * step; at += step) {
		uint64_t ref = g_ref(vm, at);

		if (!has_type(vm, ref, GCT_STRING) ||
		    memory__read(vm->pid, ref, bytes, sizeof(bytes)) != 0)
			continue;
		text = memmem(bytes, sizeof(bytes), name, sizeof(name));
		if (!text)
			continue;
		if (!length && vm->build->string_data == text - bytes)
			return agrees;
		if (!length) {
			word = word_at(vm, ref + vm->build->string_data, sizeof(word));
			return disagrees("the characters of \"__index\"", word);
		}
		memcpy(&value, bytes + vm->build->string_length % (STRING_READ - 3), sizeof(value));
		return value == sizeof(name) - 1 ? agrees
						 : disagrees("the length of \"__index\", 7", value);
	}
	return not_checked;
}

/* Set while a trace runs: to a place on the Lua stack. */
static struct look look_jit_base(const struct vm *vm)
{
	uint64_t base = g_ref(vm, vm->build->jit_base), L = g_ref(vm, vm->build->cur_L), low, high;
	bool gc64 = vm->build->gc64;

	if (!base)
		return (int32_t)word_at(vm, vm->g + vm->build->vmstate, 4) < 0
			       ? not_checked
			       : disagrees("where on the Lua stack the running trace starts", 0);
	if (!is_thread(vm, L))
		return not_checked;
	low = ref_at(vm, L + (gc64 ? GC64_L_STACK : GC32_L_STACK));
	high = ref_at(vm, L + (gc64 ? GC64_L_MAXSTACK : GC32_L_MAXSTACK));
	if (base % 8 || base < low || base > high)
		return disagrees("0, or a place on the Lua stack", base);
	return agrees;
}

/* Does the trace say of itself what the array says of it, and is its machine code not in a file?
 * (That memory may have been mapped just now, and not be executable while it is written to.) */
static bool is_trace(const struct vm *vm, uint64_t ref, uint32_t number)
{
	bool gc64 = vm->build->gc64;
	const struct map_entry *entry;
	uint64_t mcode, size;

	if (!has_type(vm, ref, GCT_TRACE) ||
	    word_at(vm, ref + (gc64 ? GC64_TRACE_TRACENO : GC32_TRACE_TRACENO), 2) != number)
		return false;
	mcode = word_at(vm, ref + (gc64 ? GC64_TRACE_MCODE : GC32_TRACE_MCODE), 8);
	size = word_at(vm, ref + (gc64 ? GC64_TRACE_SZMCODE : GC32_TRACE_SZMCODE), 4);
	entry = maps__find(vm->maps, mcode);
	return mcode && size && size < MAX_MCODE && (!entry || !entry->inode);
}

static struct look look_trace_array(const struct vm *vm)
{
	uint64_t array = word_at(vm, vm->g + vm->build->trace_array, 8), ref = 0;
	const char *wants = "the array of traces, each with its number";
	uint32_t count = trace_count(vm), i, looked = 0;
	uint8_t bytes[TRACES_READ * 8];

	if (!array && !count)
		return not_checked; /* none was ever made */
	if (!array || array % 4 || !count || count > MAX_TRACES)
		return disagrees(wants, array);
	if (count > TRACES_READ)
		count = TRACES_READ;
	if (memory__read(vm->pid, array, bytes, (size_t)count * ref_size(vm)) != 0)
		return disagrees(wants, array);
	for (i = 1; i < count && looked < TRACES_LOOKED; i++) {
		memcpy(&ref, bytes + (size_t)i * ref_size(vm), ref_size(vm));
		/* The one that is being recorded is a part of jit_State (J->cur), and no trace yet.
		 */
		if (!ref || ref - vm->g < (uint64_t)vm->build->dispatch_from_g)
			continue;
		if (is_trace(vm, ref, i))
			looked++;
		else if (trace_at(vm, i) == ref)
			return disagrees(wants, ref);
	}
	return looked ? agrees : not_checked;
}

/* Behind parent and exitno stand, since 2021 after 8 bytes more, a bytecode pc and an instruction,
 * the protection of the area for machine code, its start, and where its free part ends (lj_jit.h,
 * jit_State). No start: there is none, or none any more (jit.flush), and the rest says nothing. */
static bool may_be_mcode_area(const struct vm *vm, uint32_t behind)
{
	uint64_t at = vm->g + vm->build->trace_exit + behind;
	uint64_t protection = word_at(vm, at - 4, 4), area = word_at(vm, at, 8);
	uint64_t top = word_at(vm, at + 8, 8);
	const struct map_entry *entry = maps__find(vm->maps, area);

	if (!area)
		return true;
	return area % 4096 == 0 && area >> 47 == 0 && (!entry || !entry->inode) && protection < 8 &&
	       top > area && top - area <= MAX_MCODE;
}

/* Those of the last exit; 0 before the first one. */
static struct look look_trace_exit(const struct vm *vm)
{
	uint64_t pair = word_at(vm, vm->g + vm->build->trace_exit, 8);
	uint32_t parent = (uint32_t)pair, exit = (uint32_t)(pair >> 32), count = trace_count(vm);

	if (exit >= MAX_TRACES || parent >= (count ? count : 1) ||
	    (count && !may_be_mcode_area(vm, MCAREA_OLD) && !may_be_mcode_area(vm, MCAREA)))
		return disagrees("the number of a trace and of one of its exits", pair);
	return parent ? agrees : not_checked;
}

/* The first instruction of the Lua function at `ref`, less what it should be if FUNCF were 0: -1
 * when there is no Lua function. */
static int function_header(const struct vm *vm, uint64_t ref)
{
	bool gc64 = vm->build->gc64;
	uint64_t pc, proto, vararg;

	if (!has_type(vm, ref, GCT_FUNCTION) ||
	    word_at(vm, ref + (gc64 ? GC64_FUNC_FFID : GC32_FUNC_FFID), 1) != 0)
		return -1;
	pc = ref_at(vm, ref + (gc64 ? GC64_FUNC_PC : GC32_FUNC_PC));
	proto = pc - (gc64 ? GC64_PROTO_SIZE : GC32_PROTO_SIZE);
	if (!has_type(vm, proto, GCT_PROTO))
		return -1;
	vararg =
		word_at(vm, proto + (gc64 ? GC64_PROTO_FLAGS : GC32_PROTO_FLAGS), 1) & PROTO_VARARG;
	return (int)word_at(vm, pc, 1) - (vararg ? BC_LUA_HEADERS / 2 : 0);
}

/* All Lua functions begin with FUNCF, or FUNCV, or one of the two opcodes behind each. Those found
 * on the stacks are looked at. */
static struct look look_bc_funcf(const struct vm *vm)
{
	uint64_t threads[] = {vm->main, g_ref(vm, vm->build->cur_L)}, slots[STACK_SLOTS];
	uint32_t found = 0, exact = 0, i, t;
	bool gc64 = vm->build->gc64;

	for (t = 0; t < 2; t++) {
		uint64_t stack, base, count, ref;

		if (!is_thread(vm, threads[t]) || (t && threads[t] == vm->main))
			continue;
		stack = ref_at(vm, threads[t] + (gc64 ? GC64_L_STACK : GC32_L_STACK));
		base = ref_at(vm, threads[t] + (gc64 ? GC64_L_BASE : GC32_L_BASE));
		count = base > stack ? (base - stack) / 8 : 0;
		if (count > STACK_SLOTS)
			count = STACK_SLOTS;
		if (!count || memory__read(vm->pid, stack, slots, count * 8) != 0)
			continue;
		for (i = 0; i < count && found < FUNCTIONS; i++) {
			int header;

			if (gc64 && slots[i] >> GC64_TAG_SHIFT != GC64_TAG_FUNCTION)
				continue;
			ref = gc64 ? slots[i] & GC64_ADDRESS_MASK : (uint32_t)slots[i];
			header = function_header(vm, ref);
			if (header < 0)
				continue;
			header -= vm->build->bc_funcf;
			if (header < 0 || header >= BC_LUA_HEADERS / 2)
				return disagrees("the first instruction of each Lua function",
						 (uint32_t)header + vm->build->bc_funcf);
			found++;
			exact += header == 0;
		}
	}
	return exact ? agrees : not_checked;
}

static struct look look_at(const struct vm *vm, enum luajit_offset id)
{
	switch (id) {
	case LUAJIT_GC64:
		return agrees; /* by its layout the main thread was found */
	case LUAJIT_FRAME_SIZE:
		return look_frame_size(vm);
	case LUAJIT_DISPATCH:
		return look_dispatch(vm);
	case LUAJIT_VMSTATE:
		return look_vmstate(vm);
	case LUAJIT_CUR_L:
		return look_cur_L(vm);
	case LUAJIT_SAVE_L:
		return look_save_L(vm);
	case LUAJIT_SAVE_CFRAME:
		return look_save_cframe(vm);
	case LUAJIT_STRING_LENGTH:
		return look_string(vm, true);
	case LUAJIT_STRING_DATA:
		return look_string(vm, false);
	case LUAJIT_JIT_BASE:
		return vm->build->trace_array ? look_jit_base(vm) : not_checked;
	case LUAJIT_TRACE_ARRAY:
		return vm->build->trace_array ? look_trace_array(vm) : not_checked;
	case LUAJIT_TRACE_EXIT:
		return vm->build->trace_exit ? look_trace_exit(vm) : not_checked;
	case LUAJIT_BC_FUNCF:
		return vm->build->bc_funcf ? look_bc_funcf(vm) : not_checked;
	case LUAJIT_FFI:
	case LUAJIT_OFFSETS:
		break;
	}
	return not_checked;
}

/* ---- a VM ------------------------------------------------------------------------------------ */

/* One look at all that is not settled yet. Returns the number of disagreements, or an error. */
static int look_at_all(struct vm *vm, const struct luajit_fact *facts, size_t count,
		       struct look *looks, unsigned int *wrongs)
{
	struct look next[LUAJIT_OFFSETS] = {};
	struct maps maps;
	int wrong = 0, err;
	size_t i;

	err = maps__read(vm->pid, &maps);
	vm->maps = &maps;
	if (!err && !maps.count)
		err = -ESRCH;
	if (!err)
		err = memory__read(vm->pid, vm->g, vm->bytes, sizeof(vm->bytes));
	if (err == -EFAULT || (!err && !is_alive(vm)))
		err = -ENOENT;
	for (i = 0; !err && i < count; i++)
		next[i] = looks[i].verdict == LUAJIT_AGREES ? looks[i] : look_at(vm, facts[i].id);
	/* Still the same VM? Else it was looked at while it was freed. */
	if (!err && !is_alive(vm))
		err = -ENOENT;
	for (i = 0; !err && i < count; i++) {
		looks[i] = next[i];
		if (next[i].verdict == LUAJIT_DISAGREES) {
			wrongs[i]++;
			wrong++;
		}
	}
	maps__free(&maps);
	vm->maps = NULL;
	return err ? err : wrong;
}

int luajit_check__vm(pid_t pid, uint64_t g, uint64_t interpreter, const struct luajit_build *build,
		     struct luajit_fact *facts, size_t count)
{
	const struct timespec pause = {.tv_nsec = PAUSE_NS};
	struct look looks[LUAJIT_OFFSETS] = {};
	struct vm vm = {.pid = pid,
			.build = build,
			.g = g,
			.interpreter = interpreter,
			.interpreter_end =
				interpreter + build->interpreter_end - build->interpreter_start};
	unsigned int wrongs[LUAJIT_OFFSETS] = {};
	int tries, wrong = 0;
	size_t i;

	for (tries = 0; tries < TRIES; tries++) {
		wrong = look_at_all(&vm, facts, count, looks, wrongs);
		if (wrong <= 0)
			break;
		nanosleep(&pause, NULL);
	}
	if (wrong < 0)
		return wrong;
	for (i = 0; i < count; i++) {
		if (facts[i].heap == LUAJIT_DISAGREES || looks[i].verdict == LUAJIT_NOT_CHECKED ||
		    (looks[i].verdict == LUAJIT_DISAGREES && wrongs[i] < TRIES))
			continue;
		facts[i].heap = looks[i].verdict;
		facts[i].heap_wants = looks[i].wants;
		facts[i].heap_value = looks[i].value;
	}
	return 0;
}

/* ---- a process ------------------------------------------------------------------------------- */

static int read_file(pid_t pid, const struct map_entry *entry, struct luajit_found *found,
		     uint64_t *interpreter)
{
	struct unwind_rules *rules = unwind_rules__new();
	struct unwind_table *table = NULL;
	struct elf_file *file = NULL;
	uint64_t bias = entry->start - entry->offset;
	int err;

	err = rules ? elf_file__open_mapping(pid, entry, &file) : -ENOMEM;
	if (!err)
		err = unwind_table__build(file->elf, rules, &table);
	if (!err)
		err = luajit__build(file->elf, table, rules, found);
	if (!err) {
		elf_file__bias(file, entry, &bias);
		*interpreter = found->build.interpreter_start + bias;
	}
	unwind_table__free(table);
	elf_file__free(file);
	unwind_rules__free(rules);
	return err;
}

int luajit_check__process(pid_t pid, const struct maps *maps, const struct map_entry *entry,
			  uint64_t deadline_ns, struct luajit_check *check)
{
	struct found_vms vms;
	uint32_t i;
	int err;

	memset(check, 0, sizeof(*check));
	err = read_file(pid, entry, &check->found, &check->interpreter);
	if (err)
		return err;
	check->fact_count = luajit__facts(&check->found, check->facts);
	err = luajit_vms__find(pid, maps, &check->found.build, deadline_ns, &vms);
	if (err == -ENOMEM)
		return err;
	check->vm_all = err == 0;
	check->vm_count = vms.count;
	for (i = 0; i < vms.count && check->vm_checked < MAX_VMS_LOOKED; i++) {
		if (luajit_check__vm(pid, vms.vms[i].g, check->interpreter, &check->found.build,
				     check->facts, check->fact_count) == 0)
			check->vm_checked++;
	}
	return 0;
}
