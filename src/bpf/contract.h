/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The contract between the BPF programs and user space: records, map keys and values, limits,
 * stop reasons. Everything here has a fixed width; both sides assert the sizes.
 *
 * It says nothing about how a walk is done (walk.h) or what a frame is called (symbol/).
 */
#ifndef LUASPY_CONTRACT_H
#define LUASPY_CONTRACT_H

#ifdef LUASPY_BPF
#include "kernel_types.h"
#else
#include <linux/types.h>
#endif

/* ---- limits ---------------------------------------------------------------------------- */

#define MAX_NATIVE_FRAMES 320u /* C frames and activations of a walk */
#define MAX_LUA_FRAMES	  320u /* Lua frames of a walk, over all activations */
#define MAX_KERNEL_FRAMES 127u
#define MAX_WORDS	  1152u	  /* words of an encoded stack; > kernel + native + 2 * Lua */
#define MAX_COROUTINES	  32u	  /* distinct lua_States on one C stack */
#define MAX_VMS		  64u	  /* LuaJIT builds known at once */
#define MAX_FILES	  8192u	  /* ELF files with unwind tables */
#define MAX_RULES	  16384u  /* distinct unwind rules over all files */
#define MAX_MAPPINGS	  131072u /* executable mappings of all processes, double-buffered */
#define MAX_PROCESSES	  4096u
#define MAX_STACKS	  65536u /* distinct stacks counted in the kernel; more are sent one by one */
#define MAX_PROTOS	  32768u
#define MAX_THREADS	  65536u /* whose time off the CPU is followed */
#define MAX_CHUNK_NAME	  256u
#define TEXT_PAGE_SHIFT	  12 /* unwind rows are indexed by 4 KiB pages of text */

/* ---- frames ---------------------------------------------------------------------------- */

/*
 * A stack is an array of 64-bit words, leaf first. The top four bits of a frame's first word say
 * what it is. Kernel addresses need no tag: their top bits are all ones.
 *
 *   NATIVE    file id (bits 44-59), ELF virtual address (bits 0-43). The address of a caller is
 *             that of its call instruction's last byte (return address - 1): look it up as it is.
 *   ADDRESS   an address outside every known file (bits 0-59), the same adjustment.
 *   LUA       bits 0-31: bytecode position (0 = the function header) or BCPOS_NONE; bits 32-57:
 *             its line, 0 = not known (set only in what is sent, not part of a stack's identity);
 *             LUA_COMPILED when the frame runs in a trace, LUA_ESTIMATED when what is inlined there
 *             is not known exactly. Second word: proto id.
 *   BUILTIN   a C function or fast function on the Lua stack. bits 0-7: ffid; bits 8-39: 0 from the
 *             kernel, in user space which of the process's images it is of (sample/lua_vms.h).
 *             Second word: its C entry as a NATIVE or ADDRESS word, or 0.
 *   SKIPPED   native frames that could not be unwound; the walk went on at the VM's activation
 *             below.
 *   LUA_LOST  an activation whose Lua frames could not be read; bits 0-7: enum walk_error.
 *   COROUTINE where a coroutine begins: what follows resumed it. Only on request.
 *   TAIL_CALL frames that tail calls have replaced (PUC Lua, which counts them).
 */
enum frame_kind {
	FRAME_KIND_NATIVE = 1,
	FRAME_KIND_ADDRESS = 2,
	FRAME_KIND_LUA = 3,
	FRAME_KIND_BUILTIN = 4,
	FRAME_KIND_LUA_LOST = 5,
	FRAME_KIND_SKIPPED = 6,
	FRAME_KIND_COROUTINE = 7,
	FRAME_KIND_TAIL_CALL = 8,
	FRAME_KIND_KERNEL = 15,
};

#define FRAME_KIND_SHIFT    60
#define FRAME_FILE_SHIFT    44
#define FRAME_VADDR_MASK    ((1ull << FRAME_FILE_SHIFT) - 1)
#define FRAME_FILE_MASK	    0xffffull
#define FRAME_LUA_COMPILED  (1ull << 59)
#define FRAME_LUA_ESTIMATED (1ull << 58)
#define FRAME_IMAGE_SHIFT   8
#define FRAME_LINE_SHIFT    32
#define FRAME_LINE_MASK	    ((1ull << 26) - 1)
#define BCPOS_NONE	    0xffffffffu

/* ---- registers and unwind rules --------------------------------------------------------- */

/* DWARF register numbers of the x86-64 psABI (figure 3.36). 16 is the return address. */
enum dwarf_register {
	DW_REG_RAX = 0,
	DW_REG_RDX = 1,
	DW_REG_RCX = 2,
	DW_REG_RBX = 3,
	DW_REG_RSI = 4,
	DW_REG_RDI = 5,
	DW_REG_RBP = 6,
	DW_REG_RSP = 7,
	DW_REG_R8 = 8,
	DW_REG_R10 = 10,
	DW_REG_R12 = 12,
	DW_REG_R13 = 13,
	DW_REG_R14 = 14,
	DW_REG_R15 = 15,
	DW_REG_RA = 16,
	DW_REG_COUNT = 17,
};

/* The registers a rule restores, in the order of struct unwind_rule's arrays. */
enum saved_register {
	SAVED_RBX,
	SAVED_RBP,
	SAVED_R12,
	SAVED_R13,
	SAVED_R14,
	SAVED_R15,
	SAVED_RA,
	SAVED_COUNT,
};

enum cfa_kind {
	CFA_NONE,	  /* no table entry for this pc: frame-pointer fallback */
	CFA_END,	  /* the outermost frame: its return address is undefined */
	CFA_REG,	  /* CFA = reg + offset */
	CFA_DEREF,	  /* CFA = *(reg + offset) + offset2 */
	CFA_PLT,	  /* CFA = rsp + 8 + ((pc & 15) >= offset ? 8 : 0) */
	CFA_SIGNAL,	  /* signal trampoline: all registers from the sigcontext at rsp + 40 */
	CFA_LUAJIT_TRACE, /* compiled code or its exit handler: CFA from g->cur_L->cframe */
	CFA_UNSUPPORTED,  /* a CFI expression that this version does not evaluate */
};

/* Where a register's caller value is. Values below DW_REG_COUNT mean: at *(that register + offset).
 */
enum saved_base {
	BASE_SAME = 32, /* unchanged */
	BASE_CFA = 33,	/* at *(CFA + offset) */
	BASE_UNDEFINED = 34,
	BASE_VALUE = 64, /* BASE_VALUE + reg: the value is reg + offset itself */
};

/* Flags of a rule. */
#define RULE_KEEPS_REGISTERS 0x01 /* caller-saved registers hold their values in the caller too */
#define RULE_LUAJIT	     0x02 /* an activation of LuaJIT's interpreter; see struct unwind_rule.vm_* */
#define RULE_SIMPLE	     0x04 /* each register is unchanged or at 8 to 128 bytes below the CFA */
#define RULE_PUC	     0x08 /* an activation of PUC Lua's luaV_execute; see below */

/* What is known of the interpreter's state at a pc; found by decoding it (vm/luajit_flow.c). */
#define VM_L_BASE 0x01 /* L->base is synchronised with BASE */
#define VM_NO_FRAME                                                                                \
	0x02		    /* the activation has no Lua frame: being entered or left. With        \
			     * VM_L_BASE: unless the frame at L->base is an FFI callback's */
#define VM_ENTRY_CHECK 0x04 /* no Lua frame if PC's type bits are those of a call from C */
#define VM_LINK_IN_PC                                                                              \
	0x08 /* the top frame's link is in PC, its slot is not (or no longer) valid                \
	      */
#define VM_FUNC_GONE                                                                               \
	0x10 /* the top frame's function slot is being overwritten: drop that frame                \
	      */
#define VM_LINK_SAVED                                                                              \
	0x20 /* ... is in SAVE_PC; the top frame is a built-in's, whose C code may put             \
	      * its result over its function and link */
#define VM_LINK_TOGGLED 0x40 /* with VM_LINK_IN_PC: its lowest bit is inverted */
#define VM_LINK_MASKED                                                                             \
	0x80	       /* with VM_LINK_IN_PC: without its type bits; that of a metamethod's        \
			* continuation with VM_LINK_TOGGLED, else of a pcall */
#define VM_NO_REG 0xff /* vm_base_reg: no register holds BASE */

/* vm_base_reg with VM_NO_FRAME: an activation that has dropped its boundary but has not yet stored
 * the caller's BASE into L->base (VM_NO_REG: it has). */
#define VM_CALLER_BELOW	  0x40 /* caller's BASE = rdx - (rbx & ~7) */
#define VM_CALLER_NEGATED 0x41 /* caller's BASE = -rbx */
#define VM_CALLER_IN_PC	  0x42 /* caller's BASE = rbx */
#define VM_CALLER_IN_BASE 0x43 /* caller's BASE = rdx */

/* vm_pc: what PC is to the top frame, if that is a Lua function's. */
#define VM_PC_CURRENT  0 /* behind its current instruction */
#define VM_PC_ENTERING 1 /* where it returns to: it has not begun yet */
#define VM_PC_LEAVING  2 /* where it returns to: it is about to */
#define VM_PC_NEXT     3 /* at the instruction that is being fetched */

/*
 * With RULE_PUC: where luaV_execute keeps L and the position in the bytecode at a pc, found by
 * decoding it (vm/puc_flow.c). L is in register vm_base_reg or, with VM_NO_REG, at *(CFA +
 * cfa_offset2); cfa_offset2 is 0 when it is nowhere. The position is in register vm_pc or, with
 * VM_NO_REG, at *(CFA - 8 * vm_pc_slot); vm_pc_slot is 0 when it is nowhere. With a register vm_pc,
 * vm_pc_slot is 0 or says when that is another function's: if the low half of register vm_pc_slot
 * >> 4 is vm_pc_slot & 15. The position points behind the current instruction. vm_flags:
 */
#define PUC_NO_FRAME 0x01 /* it is being left: its Lua frame is gone */
#define PUC_PC_OF_CI 0x02 /* the register or slot holds `ci`, which holds the position */
/* The position, also the one in memory if it is nowhere else, points at the current instruction;
 * with PUC_PC_PAST: at the one before it. PUC_PC_PAST alone: two behind it. */
#define PUC_PC_NEXT 0x04
#define PUC_PC_PAST 0x10
#define PUC_POPPED  0x08 /* L->ci is the caller of the frame that is being left */
/* A jump's distance as it is stored has been added, and is to be corrected yet (puc_build's
 * jump_bits). */
#define PUC_PC_FAR 0x20
/* 5.1, a call of luaD_poscall: it pops the frame, and while it runs memory tells whether it has. */
#define PUC_POPPING 0x40

struct unwind_rule {
	__s32 cfa_offset;		 /* bytes */
	__s32 cfa_offset2;		 /* bytes, CFA_DEREF, or of L with RULE_PUC */
	__u8 cfa_kind;			 /* enum cfa_kind */
	__u8 cfa_reg;			 /* enum dwarf_register */
	__u8 flags;			 /* RULE_* */
	__u8 vm_flags;			 /* VM_*, with RULE_LUAJIT; PUC_*, with RULE_PUC */
	__u8 vm_base_reg;		 /* register that holds BASE (RULE_PUC: L), or VM_NO_REG */
	__u8 saved_base[SAVED_COUNT];	 /* enum saved_base or a register */
	__s16 saved_offset[SAVED_COUNT]; /* bytes */
	__u8 vm_pc;			 /* VM_PC_*, with RULE_LUAJIT; a register, with RULE_PUC */
	__u8 vm_pc_slot;		 /* with RULE_PUC */
	__u32 saved_mask; /* bit per DWARF register that the rule restores, with RULE_SIMPLE */
};
_Static_assert(sizeof(struct unwind_rule) == 40, "unwind_rule is part of the contract");

/* Rule 0 is always CFA_NONE. */
#define RULE_ID_NONE 0u

/*
 * A file's unwind table is an array of 64-bit entries: first `pages + 1` entries, entry i being the
 * index (counted from 0 at the first row) of the first row at or after text_base + (i << 12); then
 * the rows in ascending order of pc: bits 0-31 = pc - text_base, bits 32-47 = rule id. A row holds
 * up to the next one.
 */
#define ROW_PC(row)	   ((__u32)(row))
#define ROW_RULE(row)	   ((__u32)((row) >> 32) & 0xffffu)
#define ROW_MAKE(pc, rule) ((__u64)(__u32)(pc) | (__u64)(rule) << 32)

/* A table goes to the kernel in pieces, each a value of its map: what is in one piece is found
 * without another call. */
#define TABLE_PIECE 512u
struct table_piece {
	__u64 entries[TABLE_PIECE];
};

/* ---- processes, files, VMs --------------------------------------------------------------- */

struct mapping {
	__u64 start;
	__u64 end;
	__u64 bias;    /* ELF virtual address = pc - bias */
	__u32 file_id; /* index into the files map */
	__u32 reserved;
};
_Static_assert(sizeof(struct mapping) == 32, "mapping is part of the contract");

struct process {
	__u32 first_mapping; /* index into the mappings array; ascending by start */
	__u32 mapping_count;
	__u32 vm;	  /* 1 + index of the process's LuaJIT build; 0 = none */
	__u32 generation; /* of the mapping list: new with every change, over all processes */
	__u64 since_ns;	  /* when it was followed first, CLOCK_MONOTONIC */
	__u32 flags;	  /* PROCESS_* */
	__u32 reserved;
};
_Static_assert(sizeof(struct process) == 32, "process is part of the contract");
/* process.flags: */
#define PROCESS_UNTIL_EXEC 0x01 /* its time off the CPU counts once it executes another program */

struct file_table {
	__u64 text_base; /* lowest ELF virtual address of the table */
	__u32 pages;
	__u32 rows;
	__u32 vm;  /* 1 + index into the vms map when the file contains LuaJIT's interpreter */
	__u32 puc; /* 1 + index into the pucs map when it contains PUC Lua's */
};
_Static_assert(sizeof(struct file_table) == 24, "file_table is part of the contract");

/* One build of LuaJIT: what differs between builds. Fixed layouts stand in luajit_layout.h. */
struct luajit_build {
	__u64 interpreter_start; /* ELF virtual addresses */
	__u64 interpreter_end;
	__s32 dispatch_from_g; /* bytes from global_State to the dispatch register's value */
	__u32 vmstate;	       /* offsets in global_State, bytes */
	__u32 cur_L;
	__u32 jit_base;
	__u32 trace_array; /* jit_State.trace; 0: no JIT compiler */
	__u32 trace_exit;  /* jit_State.parent, with exitno behind it: of the exit being taken */
	__u8 gc64;
	__u8 save_L;	  /* offset of SAVE_L from rsp in the interpreter's C frame */
	__u8 save_cframe; /* offset of the previous cframe */
	__u8 frame_size;  /* rsp to CFA, 80 */
	__u8 string_data; /* offsets in GCstr: of the characters, and of their number (32 bits) */
	__u8 string_length;
	__u8 bc_funcf; /* opcode FUNCF; 0: no JIT compiler */
	__u8 ffi;
};
_Static_assert(sizeof(struct luajit_build) == 48, "luajit_build is part of the contract");

/*
 * One build of PUC Lua. Its layouts depend on the release only (vm/puc_layout.c); offsets are bytes
 * in the structure that the name begins with.
 */
enum puc_boundary {
	PUC_FRESH_SET,	 /* a Lua frame entered from C has the bits of ci_fresh in its callstatus */
	PUC_FRESH_CLEAR, /* ... has them not (5.2, 5.3.0: CIST_REENTRY) */
	PUC_FRESH_ALL,	 /* each Lua frame has an activation of its own (5.4.0, 5.4.1) */
	PUC_FRESH_CALLER /* 5.1: its caller is no Lua function at a call instruction */
};

struct puc_build {
	__u64 execute_start; /* of luaV_execute, ELF virtual addresses */
	__u64 execute_end;
	__u32 release; /* 50404 is 5.4.4 */
	__u32 ci_lua;  /* a Lua function: callstatus & ci_lua equals ci_lua_value; 5.1: 0 */
	__u32 ci_lua_value;
	__u32 ci_fresh; /* bits of callstatus */
	__u32 ci_tail;
	__u16 g_mainthread; /* a pointer; in 5.5 the main thread itself */
	__u8 boundary;	    /* enum puc_boundary */
	__u8 mainthread_inside;
	__u8 L_g;
	__u8 L_ci;
	__u8 L_stack;
	__u8 L_stack_last;
	__u8 L_base_ci; /* 5.1: a pointer; the first CallInfo itself else */
	__u8 L_savedpc; /* 5.1: of the innermost frame; 0 else */
	__u8 ci_func;
	__u8 ci_previous; /* 5.1: 0, they are an array */
	__u8 ci_size;	  /* 5.1: of its elements */
	__u8 ci_savedpc;
	__u8 ci_callstatus;
	__u8 ci_tailcalls; /* 5.1: their number; 0 else */
	__u8 closure_proto;
	__u8 closure_c; /* of a C closure: its function */
	__u8 proto_code;
	__u8 proto_size_code;
	__u8 proto_line_info;
	__u8 proto_first_line; /* the last one is behind it */
	__u8 proto_source;
	__u8 proto_parameters; /* whether it is vararg is behind it */
	__u8 proto_abs_lines;  /* 0: one int for each instruction */
	__u8 proto_size_abs_lines;
	__u8 string_data;
	__u8 string_length;	  /* 64 bits; of long strings where there are short ones */
	__u8 string_short_length; /* 0: no such field */
	__u8 string_is_pointer;	  /* 5.5: long strings' characters are elsewhere */
	__u8 proto_type;	  /* LUA_TPROTO */
	__u8 op_call;		  /* up to 5.3: OP_CALL; OP_TAILCALL is behind it */
	/* The function's place on the stack while a hook of its yields (the bit behind ci_tail),
	 * when ci_func is another; 0: it never is. 5.2 and 5.3 */
	__u8 ci_extra;
	__u8 ci_base;	/* up to 5.3: of a Lua function's frame; PUC_BASE_AT_FUNC: behind ci_func */
	__u8 jump_bits; /* of a jump's distance, stored with (1 << (jump_bits - 1)) - 1 added */
	__u8 reserved[5];
};
#define PUC_BASE_AT_FUNC 0xff
_Static_assert(sizeof(struct puc_build) == 80, "puc_build is part of the contract");

/* ---- results ----------------------------------------------------------------------------- */

/* Why a walk ended. Each has a counter; the first is the only complete one. */
enum walk_stop {
	STOP_COMPLETE,	  /* reached main's or the thread's outermost frame */
	STOP_KERNEL_ONLY, /* user part not walked: a task without user registers */
	STOP_TRUNCATED,	  /* more frames than the limits allow */
	STOP_NO_MAPPING,  /* a pc outside every executable mapping */
	STOP_NO_RULE,	  /* no table entry and the frame pointer leads nowhere */
	STOP_UNSUPPORTED, /* a CFI expression that is not evaluated */
	STOP_READ_STACK,  /* the C stack could not be read */
	STOP_CFA_ORDER,	  /* the CFA did not grow: a loop or a corrupt stack */
	STOP_REGISTER,	  /* a rule needs a register whose value is not known any more */
	STOP_TRACE,	  /* compiled code whose VM could not be found */
	STOP_BUSY,	  /* the process's mapping list was not ready yet */
	STOP_COUNT,
};

/* What went wrong with the Lua frames of an activation; the C walk goes on. */
enum walk_error {
	LUA_OK,
	LUA_READ_STATE, /* the lua_State could not be read or is none */
	LUA_CFRAME,	/* the activation is not in L's chain of C frames */
	LUA_BASE,	/* no valid BASE */
	LUA_READ_STACK, /* the Lua stack could not be read */
	LUA_FRAME_LINK, /* a frame link leads nowhere */
	LUA_FUNCTION,	/* a frame's function is none, or its proto does not hold the caller's pc */
	LUA_COROUTINES, /* more than MAX_COROUTINES lua_States on one C stack */
	LUA_ORDER,	/* activations and frames of a lua_State do not match: see walk.h */
	LUA_ERROR_COUNT,
};

/* Per-CPU counters. */
enum counter {
	COUNTER_SAMPLES,      /* timer ticks in a target */
	COUNTER_LOST,	      /* samples for which the ring buffer had no room */
	COUNTER_LOST_PROTO,   /* proto descriptions for which it had none (sent again later) */
	COUNTER_STACKS_FULL,  /* samples sent one by one because the stack map is full */
	COUNTER_ACTIVATIONS,  /* activations of the interpreter or of a trace seen in samples */
	COUNTER_WITH_LUA,     /* samples that carry Lua frames */
	COUNTER_THROUGH_VM,   /* samples whose C stack passes through the interpreter or a trace */
	COUNTER_SKIPPED,      /* samples with native frames that had to be skipped */
	COUNTER_LUA_COMPLETE, /* of those, the ones whose every activation gave its Lua frames */
	COUNTER_LOST_TIME,    /* samples that are counted but whose time had no room */
	COUNTER_SWITCHES,     /* walks of threads that left a CPU */
	COUNTER_OFF_SHORT,    /* times off the CPU that were too short to count ... */
	COUNTER_OFF_SHORT_NS, /* ... and their sum */
	COUNTER_OFF_LOST,     /* those whose stack or thread had no room ... */
	COUNTER_OFF_LOST_NS,  /* ... and their sum, as far as it is known */
	COUNTER_STOP,	      /* + enum walk_stop */
	COUNTER_LUA_ERROR = COUNTER_STOP + STOP_COUNT, /* + enum walk_error */
	COUNTER_COUNT = COUNTER_LUA_ERROR + LUA_ERROR_COUNT,
};

/* ---- records in the ring buffer ------------------------------------------------------------ */

enum record_type {
	RECORD_STACK = 1,
	RECORD_PROTO = 2,
	RECORD_PROCESS = 3,
	RECORD_VM = 4,
	RECORD_CALL = 5,
	RECORD_TIME = 6,
	RECORD_OFF_CPU = 7,
	RECORD_FRAME = 8,
};

/* A stack seen for the first time. It stands for one sample, or, if it is one of a thread that left
 * the CPU, for none yet. What comes later is counted in the map. */
struct record_stack {
	__u32 type;
	__u32 tgid;
	__u32 tid;  /* of the first sample; part of the key with --threads */
	__u8 stop;  /* enum walk_stop */
	__u8 flags; /* STACK_* */
	__u16 word_count;
	__u64 hash; /* key in the stacks map */
	char comm[16];
	__u64 words[MAX_WORDS];
};
/* record_stack.flags: */
#define STACK_LUA_ORDER                                                                            \
	0x01 /* Lua frames are not to be trusted: they do not match the activations */
#define STACK_LUA_DISTRUST                                                                         \
	0x02 /* set in user space: so are those of its whole process (sample/lua_vms.h) */
#define STACK_OFF_CPU_SHIFT  2 /* enum off_cpu_reason */
#define STACK_OFF_CPU_MASK   0x0c
#define STACK_VM_STATE_SHIFT 4 /* enum vm_state */

/* Why a thread was not on a CPU. */
enum off_cpu_reason {
	OFF_CPU_NONE,	 /* it was: the stack is that of samples */
	OFF_CPU_BLOCKED, /* it waited for something else than a CPU */
	OFF_CPU_WAITING, /* it was preempted, or gave way */
	OFF_CPU_BEFORE,	 /* it had left it before it was followed: the stack is not known */
	OFF_CPU_REASONS,
};

/* What the VM was doing. */
enum vm_state {
	VM_STATE_NONE, /* no VM on the stack, or not known */
	VM_STATE_INTERPRETED,
	VM_STATE_C,
	VM_STATE_GC,
	VM_STATE_EXIT,
	VM_STATE_RECORD,
	VM_STATE_OPTIMISE,
	VM_STATE_ASSEMBLE,
	VM_STATE_COMPILED,
	VM_STATE_COUNT,
};
#define RECORD_STACK_HEADER 40u
_Static_assert(sizeof(struct record_stack) == RECORD_STACK_HEADER + 8 * MAX_WORDS,
	       "record_stack is part of the contract");

/* Value of the stacks map: what came after the stack was sent. */
struct stack_count {
	__u64 count;
	__u64 ns; /* off the CPU, in all */
};
_Static_assert(sizeof(struct stack_count) == 16, "stack_count is part of the contract");

/* Value of the threads map, by the kernel's own number of a thread. */
struct thread {
	__u64 off_since_ns; /* CLOCK_MONOTONIC; 0: it is on a CPU */
	__u64 hash;	    /* of the stack with which it left; 0: that was lost */
	__u64 ran_ns;	    /* its CPU time when it left, of all its life */
	__u32 tgid;	    /* its numbers in luaspy's PID namespace */
	__u32 tid;
};
_Static_assert(sizeof(struct thread) == 32, "thread is part of the contract");

/* A time off the CPU whose stack is not in the map, because that is full. */
struct record_off_cpu {
	__u32 type;
	__u32 reserved;
	__u64 hash;
	__u64 ns;
};
_Static_assert(sizeof(struct record_off_cpu) == 24, "record_off_cpu is part of the contract");

/* When a sample was taken, if times are asked for: one for each sample, behind its stack's. */
struct record_time {
	__u32 type;
	__u32 reserved;
	__u64 hash; /* of its stack */
	__u64 time; /* CLOCK_MONOTONIC, ns */
};
_Static_assert(sizeof(struct record_time) == 24, "record_time is part of the contract");

/* A Lua function seen for the first time, described from the target's memory at that sample. */
struct record_proto {
	__u32 type;
	__u32 tgid;
	__u64 proto_id; /* fingerprint.h */
	__u64 address;
	__u32 first_line;
	__u32 line_count;
	__u32 bytecode_count;
	__u32 chunk_length; /* bytes of the chunk name in the target; chunk holds the first ones */
	__u8 parameter_count;
	__u8 vararg;
	__u8 stripped; /* it has no line information, and its lines are 0 (PUC Lua has the lines) */
	__u8 puc;      /* 1 + index of the build of PUC Lua; 0: LuaJIT's */
	__u8 reserved[4];
	char chunk[MAX_CHUNK_NAME];
};
_Static_assert(sizeof(struct record_proto) == 48 + MAX_CHUNK_NAME,
	       "record_proto is part of the contract");

/*
 * A call of one Lua function by another, seen for the first time: what is needed to tell by which
 * name the caller called it. Slots are those of the caller's frame, in which its locals are; they
 * may be out of date in a compiled frame, which keeps them in registers. In PUC Lua the position is
 * enough: there are no slots and no functions.
 */
#define MAX_CALL_SLOTS 48u
struct record_call {
	__u32 type;
	__u32 tgid;
	__u64 caller_id; /* proto ids */
	__u64 callee_id;
	__u64 caller; /* addresses of protos */
	__u64 callee;
	__u64 function; /* the caller's function object; 0: not known */
	__u64 callee_function;
	__u64 g;	/* global_State */
	__u32 position; /* of the instruction that calls, in the caller's bytecode */
	__u32 vm;	/* 1 + index of the build */
	__u16 slot_count;
	__u8 compiled; /* the caller runs in a trace */
	__u8 puc;      /* 1 + index of the build of PUC Lua, then `vm` is none */
	__u8 reserved[4];
	__u64 slots[MAX_CALL_SLOTS];
};
_Static_assert(sizeof(struct record_call) == 80 + 8 * MAX_CALL_SLOTS,
	       "record_call is part of the contract");

/* The values in a Lua frame of a stack that is sent, if they are asked for. They come before the
 * stack, and in a compiled frame are out of date. */
#define MAX_FRAME_BYTES 2048u
struct record_frame {
	__u32 type;
	__u32 tgid;
	__u64 hash;	/* of the stack */
	__u32 index;	/* among the stack's LUA frames, leaf first */
	__u32 puc;	/* 1 + index of its build of PUC Lua; 0: it is LuaJIT's */
	__u32 vm;	/* ... of LuaJIT */
	__u32 size;	/* of what could be read of the slots */
	__u64 proto;	/* addresses */
	__u64 function; /* 0: not known */
	__u64 base;	/* 0: not on the Lua stack */
	__u8 slots[MAX_FRAME_BYTES];
};
_Static_assert(sizeof(struct record_frame) == 56 + MAX_FRAME_BYTES,
	       "record_frame is part of the contract");

/* A Lua VM seen for the first time. */
struct record_vm {
	__u32 type;
	__u32 tgid;
	__u64 g;   /* its global_State */
	__u64 L;   /* a lua_State of it */
	__u32 vm;  /* 1 + index of its build */
	__u32 puc; /* ... of PUC Lua, then `vm` is none; 0: it is LuaJIT's */
};
_Static_assert(sizeof(struct record_vm) == 32, "record_vm is part of the contract");

enum process_event {
	PROCESS_UNKNOWN_PC = 1, /* a pc outside the known mappings: read them again */
	PROCESS_FORK,		/* tgid has a new child process */
	PROCESS_EXEC,		/* tgid has a new image */
	PROCESS_EXIT,		/* the last thread of tgid has gone */
	PROCESS_NEW,		/* a sample in a process that is not known (a child of a command) */
};

struct record_process {
	__u32 type;
	__u32 event;
	__u32 tgid;
	__u32 child;
	__u64 pc;
};
_Static_assert(sizeof(struct record_process) == 24, "record_process is part of the contract");

#endif
