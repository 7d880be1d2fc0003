/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The state of a walk. It does not fit a BPF program's stack of 512 bytes, so it is one value of a
 * map per CPU, and what one sample leaves there the next one finds.
 */
#ifndef LUASPY_WALK_STATE_H
#define LUASPY_WALK_STATE_H

#include "contract.h"
#include "walk_env.h"

#define BLOCK_SIZE	  4096u
#define BLOCK_SLACK	  128u /* saved registers stand at most this far below the CFA, mostly */
#define PROTO_MEMO	  64u  /* powers of two */
#define CHUNK_MEMO	  32u
#define FUNCTION_MEMO	  32u
#define INSTRUCTION_MEMO  32u
#define SCRATCH_SIZE	  168u /* the registers that the kernel saves */
#define FRAME_TRACE_SHIFT 56   /* walk.in_trace to the flags of a frame */
#define REGISTERS_KEPT                                                                             \
	(1u << DW_REG_RBX | 1u << DW_REG_RBP | 1u << DW_REG_RSP | 1u << DW_REG_R12 |               \
	 1u << DW_REG_R13 | 1u << DW_REG_R14 | 1u << DW_REG_R15 | 1u << DW_REG_RA)
#define REGISTERS_ALL ((1u << DW_REG_COUNT) - 1)

/* Where a pc was found; see find_frame. */
#define KNOWN_CALLERS 4096u
#define KNOWN_EXACT   1024u
#define KNOWN_FRAMES  (KNOWN_CALLERS + KNOWN_EXACT)
struct known_frame {
	__u64 pc;
	__u64 vaddr;
	__u32 tgid;
	__u32 generation;
	__u32 file_id;
	__u16 rule;
	__u16 unmapped; /* in no mapping */
};

/* The outermost frames of a thread; see walk_outer.h. */
#define OUTER_FRAMES 64u
struct outer_frame {
	__u64 rsp; /* when it had made its call */
	__u64 pc;
	__u64 rbp;
	__u64 word;	 /* of the stack that is sent */
	__u32 needs_rbp; /* it, or one outside of it before rbp is restored, has its CFA by rbp */
	__u32 rbp_below; /* bytes below its CFA where it saved rbp; 0: it did not */
};

struct outer_frames {
	__u32 tgid;
	__u32 generation;
	__u32 count;
	__u32 passed_over;			 /* walks in a row of fewer frames */
	struct outer_frame frames[OUTER_FRAMES]; /* the outermost one first */
	struct outer_frame run[OUTER_FRAMES];	 /* of a walk, the innermost one first */
};

/* A copy of a piece of the target's memory. One bulk read costs little more than one word. */
struct block {
	__u64 start;
	__u64 size; /* bytes that are valid */
	__u8 bytes[BLOCK_SIZE + 16];
};

/* PUC Lua's CallInfos are small and stand near one another, mostly: read by the kilobyte. */
#define CALLS_SIZE 1024u
struct call_block {
	__u64 start;
	__u64 size;
	__u8 bytes[CALLS_SIZE];
};

/* A lua_State that the walk has met, and where its next outer activation continues. */
struct coroutine {
	__u64 L;
	__u64 next;   /* frame */
	__u64 bottom; /* a frame at or below this one is none */
	__u32 puc;    /* its build of PUC Lua, 0: it is LuaJIT's */
	__u32 words;  /* of the walk, where its outermost activation so far ends; and Lua frames */
	__u32 lua;
	__u32 reserved;
};

/* What is known of a proto within one sample: functions repeat, and a read costs 60 ns. */
struct proto_memo {
	__u64 proto;
	__u64 sample;
	__u64 id;
	__u32 bytecode_count;
	__u32 reserved;
	__u64 code; /* PUC Lua: of its first instruction */
};

struct function_memo {
	__u64 function;
	__u64 sample;
	__u64 pc;    /* PUC Lua: its proto, or where C's starts */
	__u64 entry; /* of a C function */
	__u32 ffid;  /* PUC Lua: it is C's (5.1) */
	__u32 gct;   /* PUC Lua: its type */
};

struct instruction_memo {
	__u64 address;
	__u64 sample;
	__u32 instruction;
	__u32 reserved;
};

struct chunk_memo {
	__u64 string;
	__u64 sample;
	__u64 hash;
};

/* Of a LUA frame, in their order: for what describes its function, and tells how it called the one
 * before it. */
struct lua_place {
	__u64 proto;
	__u64 function; /* 0: only its proto is known */
	__u64 base;	/* 0: not on the Lua stack */
	__u32 puc;	/* 1 + index of its build of PUC Lua; 0: it is LuaJIT's */
	__u32 reserved;
};

/* The frames of calls that a trace inlined, innermost first. */
#define MAX_INLINED 64u
struct inlined_frame {
	__u64 object; /* the function, or its proto */
	__u64 link;
	__u64 continue_pc; /* of a continuation */
	__u8 is_proto;
	__u8 slot; /* of the link, counted as in the snapshot */
	__u8 top;  /* ... of the link of a vararg function's second frame, if it has one */
};

struct inlined {
	__u64 pc; /* of the instruction that runs next in the innermost one */
	__u64 base_function;
	__u32 count;
	__u32 reserved;
	struct inlined_frame frames[MAX_INLINED];
};

struct walk {
	/* the frame that is looked at */
	__u64 regs[32]; /* by DWARF number; [DW_REG_RA] is its pc */
	__u32 valid;	/* bit per register */
	__u32 exact_pc; /* the pc was interrupted there; otherwise it is a return address */
	__u64 lookup_pc;
	__u64 vaddr;
	__u64 cfa;
	__u32 mapping;
	__u32 file_id;
	__u32 rule;
	__u32 vm_pc; /* the rule's VM_PC_* */

	/* the target */
	__u32 tid;
	__u32 first_mapping;
	__u32 mapping_count;
	__u32 vm; /* 1 + index of the process's LuaJIT build */
	__u32 generation;
	__u32 with_coroutines; /* COROUTINE frames are asked for */

	/* the activation that is looked at; see walk_luajit.h */
	__u64 activation; /* rsp inside the interpreter's C frame */
	__u64 L;
	__u64 limits_of; /* LuaJIT's lua_State whose stack's limits and g are in the walk; 0: none's
			  */
	__u64 frame;
	__u64 bottom;
	__u64 stack_low;
	__u64 stack_high;
	__u64 link_override;
	__u64 return_pc; /* bytecode position in the next frame's function, 0 = not known */
	__u64 function;
	__u64 frame_base;  /* BASE of the frame that is written; 0: it is not on the Lua stack */
	__u64 vararg_base; /* of a vararg function, whose frame comes next */
	__u64 no_frame_activation;
	__u64 thrown_to;      /* the activation that an error is on its way to */
	__u32 return_pc_soft; /* only a hint: no error when it is not in the function */
	__u32 compiled;
	__u32 no_pc; /* the activation's PC register means nothing */
	__u32 first;
	__u32 vm_flags;
	__u32 gc64;
	__u32 coroutine_index;
	__u32 status;	 /* of L */
	__u32 foreign;	 /* the VM is not in the dispatch register: this is no trace's code */
	__u32 skipped;	 /* native frames were skipped in this sample */
	__u64 candidate; /* a global_State that vm_try found */

	/* PUC Lua's activation; see walk_puc.h */
	__u64 puc_top;	/* L->ci */
	__u64 puc_func; /* where the last CallInfo's function stands on the Lua stack */
	__u64 puc_pc;	/* luaV_execute's position, behind the current instruction; 0: not known */
	__u64 puc_ci;	/* luaV_execute's CallInfo; 0: not known */
	__u64 puc_savedpc;
	__u64 puc_second;   /* L->ci's caller */
	__u64 puc_replaced; /* the CallInfo that a tail call has put its function into; 0: none */
	__u32 puc_words;    /* walk.words and walk.lua_frames in front of L->ci's frame */
	__u32 puc_lua;
	__u32 puc_moving;  /* L's stack has just been moved: not all that points into it has */
	__u32 puc;	   /* 1 + index of its build */
	__u32 puc_is_main; /* L is its VM's main thread */
	__u32 puc_called;  /* the last CallInfo was a Lua function's */
	__u32 puc_begun;   /* the function that was looked at last is past its first instruction */
	__u32 puc_entered; /* luaV_execute was entered for L->ci, which does not say so yet */
	__u32 puc_rest;	   /* no activation has these frames: PUC_LEFT, PUC_SUSPENDED */

	/* the frames that are kept from one walk to the next; see walk_outer.h */
	__u32 outer_left; /* of those that are kept, so many stand at or above the frame */
	__u64 outer_rsp;  /* of the innermost of them */
	__u32 outer_run;  /* frames in a row that can be kept, up to the one that is looked at */

	/* the trace that is looked at; see walk_luajit_trace.h */
	__u64 g;	/* of the innermost activation */
	__u32 vm_state; /* enum vm_state, of the innermost activation */
	__u32 in_trace; /* 0, or the FRAME_LUA_* flags of the next frame, shifted right by 56 */
	__u64 base;	/* jit_base */
	__u64 base_function; /* in the place of the one on the Lua stack: a tail call in the trace
			      */
	__u64 proto;
	__u64 trace_ir;
	__u64 trace_snap;
	__u64 trace_snapmap;
	__u32 trace_nins;
	__u32 trace_nk;
	__u32 trace_nsnap;
	__u32 trace_nsnapmap;
	__u32 trace_offset; /* of the pc in its machine code */
	__u32 trace_size;
	__u64 trace_mcode;
	__u32 snap_exit; /* the snapshot is that of an exit, not of a pc */
	__u32 snap_kind; /* enum snap_kind */
	__u32 snap_index;
	__u32 snaps_size; /* bytes of the snapshots that lua_stack.bytes holds instead of a stack */
	__u32 snap_entries;
	__u32 snap_link; /* GC32: the next frame link in snapmap */
	__u32 snap_top;	 /* the slot of a vararg function's second frame, whose first follows */
	__u32 snapmap[512];
	struct inlined inlined[2]; /* of the snapshot at the pc, of the one after it */
	__u64 inlined_pc;
	__u32 inlined_which;
	__u32 inlined_from;

	/* An object of the target, between its being read and the copying of its fields. No more
	 * than one at a time, and none across a call of a subprogram. */
	__u8 scratch[SCRATCH_SIZE] __attribute__((aligned(8)));

	/* while it is sent: Lua frames so far, the one before if it can have been called */
	__u64 sent_callee;
	__u32 sent_lua;
	__u32 off_cpu; /* enum off_cpu_reason: the thread is leaving the CPU, this is no sample */

	/* the sample */
	__u32 words;
	__u32 native_frames;
	__u32 lua_frames;
	__u32 lua_links;   /* frame links followed, those without a frame too */
	__u32 activations; /* those that must have Lua frames */
	__u32 lua_error;   /* enum walk_error, the first one */
	__u32 stop;
	__u32 coroutines;
	__u64 unknown_pc;
	__u64 sample;
	__u64 time; /* of the sample, CLOCK_MONOTONIC in ns; not set unless it is asked for */
	struct coroutine coroutine[MAX_COROUTINES];
	struct proto_memo protos[PROTO_MEMO];
	struct chunk_memo chunks[CHUNK_MEMO];
	struct function_memo functions[FUNCTION_MEMO];
	struct instruction_memo instructions[INSTRUCTION_MEMO];
	struct block stack;
	struct block lua_stack;
	struct call_block calls;
	struct record_stack record;
};

#endif
