/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * LuaJIT 2.1's object layouts, as far as the walk reads them. They have been the same in every 2.1
 * since the 2017 beta (LuaJIT src/lj_obj.h, upstream and OpenResty's fork); what does differ
 * between builds is found in each build's own code and stands in struct luajit_build.
 *
 * Two columns: GC64 (64-bit references, two-slot frames) and GC32 (32-bit references, one slot).
 */
#ifndef LUASPY_LUAJIT_LAYOUT_H
#define LUASPY_LUAJIT_LAYOUT_H

/* lua_State */
#define GC64_L_GLREF	0x10
#define GC64_L_BASE	0x20
#define GC64_L_MAXSTACK 0x30
#define GC64_L_STACK	0x38
#define GC64_L_CFRAME	0x50
#define GC32_L_GLREF	0x08
#define GC32_L_BASE	0x10
#define GC32_L_MAXSTACK 0x20
#define GC32_L_STACK	0x24
#define GC32_L_CFRAME	0x30
#define GC64_L_STATUS	0x0b
#define GC32_L_STATUS	0x07
#define L_STATUS_YIELD	1
#define L_SIZE		0x58 /* enough for both */

/* GCHeader: the type byte of a collectable object is ~itype */
#define GC64_GCT	  0x09
#define GC32_GCT	  0x05
#define GCT_STRING	  4
#define GCT_THREAD	  6
#define GCT_PROTO	  7
#define GCT_FUNCTION	  8
#define GCT_TRACE	  9
#define GC64_TAG_SHIFT	  47
#define GC64_TAG_FUNCTION 0x1fff7u /* ~8 in 17 bits */
#define GC64_TAG_THREAD	  0x1fff9u
#define GC64_ADDRESS_MASK ((1ull << GC64_TAG_SHIFT) - 1)

/* GCfunc; pc points to the bytecode behind the GCproto */
#define GC64_FUNC_FFID 0x0a
#define GC64_FUNC_PC   0x20
#define GC64_FUNC_C    0x28
#define GC32_FUNC_FFID 0x06
#define GC32_FUNC_PC   0x10
#define GC32_FUNC_C    0x18
#define FUNC_SIZE      0x30 /* enough for both */

/* GCproto */
#define GC64_PROTO_SIZEBC    0x0c
#define GC64_PROTO_NUMPARAMS 0x0a
#define GC64_PROTO_FLAGS     0x3d
#define GC64_PROTO_CHUNKNAME 0x40
#define GC64_PROTO_FIRSTLINE 0x48
#define GC64_PROTO_NUMLINE   0x4c
#define GC64_PROTO_LINEINFO  0x50
#define GC64_PROTO_SIZE	     0x68
#define GC64_PROTO_K	     0x20
#define GC64_PROTO_SIZEKGC   0x30
#define GC64_PROTO_SIZEPT    0x38
#define GC64_PROTO_SIZEUV    0x3c
#define GC64_PROTO_UVINFO    0x58
#define GC64_PROTO_VARINFO   0x60
#define GC32_PROTO_SIZEBC    0x08
#define GC32_PROTO_NUMPARAMS 0x06
#define GC32_PROTO_FLAGS     0x25
#define GC32_PROTO_CHUNKNAME 0x28
#define GC32_PROTO_FIRSTLINE 0x2c
#define GC32_PROTO_NUMLINE   0x30
#define GC32_PROTO_LINEINFO  0x34
#define GC32_PROTO_SIZE	     0x40
#define GC32_PROTO_K	     0x10
#define GC32_PROTO_SIZEKGC   0x18
#define GC32_PROTO_SIZEPT    0x20
#define GC32_PROTO_SIZEUV    0x24
#define GC32_PROTO_UVINFO    0x38
#define GC32_PROTO_VARINFO   0x3c
#define PROTO_READ_SIZE	     0x50 /* up to its lines, in both */
#define PROTO_DESCRIBED_SIZE 0x58 /* and its lineinfo */

/* global_State.vmstate: the number of the running trace, or the complement of one of these. */
#define VMST_INTERP 0
#define VMST_C	    1
#define VMST_GC	    2
#define VMST_EXIT   3
#define VMST_RECORD 4
#define VMST_OPT    5
#define VMST_ASM    6

/* GCtrace (lj_jit.h). ir, snap and snapmap lie in one block behind it, in this order, so that the
 * pointers tell the size of a snapshot: 8 bytes (2017 to 2019, where nsnap stood elsewhere) or 12.
 */
#define GC64_TRACE_NSNAP    0x0a
#define GC64_TRACE_NINS	    0x0c
#define GC64_TRACE_IR	    0x20
#define GC64_TRACE_NK	    0x28
#define GC64_TRACE_NSNAPMAP 0x2c /* before 2019: nsnap, nsnapmap, 16 bits each */
#define GC64_TRACE_SNAP	    0x30
#define GC64_TRACE_SNAPMAP  0x38
#define GC64_TRACE_SZMCODE  0x54
#define GC64_TRACE_MCODE    0x58
#define GC64_TRACE_TRACENO  0x68
#define GC32_TRACE_NSNAP    0x06
#define GC32_TRACE_NINS	    0x08
#define GC32_TRACE_IR	    0x10
#define GC32_TRACE_NK	    0x18
#define GC32_TRACE_NSNAPMAP 0x1c
#define GC32_TRACE_SNAP	    0x20
#define GC32_TRACE_SNAPMAP  0x28
#define GC32_TRACE_SZMCODE  0x3c
#define GC32_TRACE_MCODE    0x40
#define GC32_TRACE_TRACENO  0x50
#define TRACE_READ_SIZE	    0x60 /* enough for both */
#define J_SIZETRACE	    0x0c /* from jit_State.trace to the size of that array */

/* SnapShot: mapofs, ref, [mcofs,] nslots, topslot, nent, count. mcofs, where a snapshot's machine
 * code starts, came in 2021. */
#define SNAP_OLD_SIZE  8 /* mapofs has 16 bits */
#define SNAP_OLD_REF   2
#define SNAP_OLD_NENT  6
#define SNAP_SIZE      12
#define SNAP_REF       4
#define SNAP_MCOFS     6
#define SNAP_NENT      10
#define SNAP_NENT_2019 8

/* SnapEntry: slot << 24 | flags | IR reference; constants have references below IR_BIAS. */
#define SNAP_FRAME     0x10000u
#define IR_BIAS	       0x8000u
#define IR_SIZE	       8
#define IR_TYPE_MASK   0x1f
#define IR_TYPE_OFFSET 4

/* Opcodes (lj_bc.h); those up to JMP are the same in every 2.1 (vm/luajit_code.c compares some).
 * FUNCF is 89, since July 2026 96: luajit_build.bc_funcf. */
#define BC_MOV	  18
#define BC_KSTR	  39
#define BC_KPRI	  43
#define BC_UGET	  45
#define BC_GGET	  54
#define BC_TGETS  57
#define BC_CALLM  65
#define BC_CALL	  66
#define BC_RETM	  73
#define BC_RET1	  76
#define BC_CALLMT 67
#define BC_CALLT  68
#define BC_ITERC  69
#define BC_ITERN  70
#define BC_JMP	  88

/* Opcodes of a function's header from FUNCF on: FUNCF, IFUNCF, JFUNCF, FUNCV, IFUNCV, JFUNCV (and
 * FUNCC, FUNCCW). */
#define BC_LUA_HEADERS 6
#define BC_HEADERS     8

#define PROTO_VARARG 0x02 /* in the flags */

/* The first byte of a variable's entry in varinfo: the end, a loop's hidden variable, or (this one
 * and above) the first character of its name. */
#define VARNAME_END   0
#define VARNAME_COUNT 7

/* A frame link's low bits (lj_frame.h). Lua frames hold a bytecode pc, the others a byte delta. */
#define LINK_TYPE	  3
#define LINK_TYPE_P	  7
#define LINK_LUA	  0
#define LINK_C		  1
#define LINK_CONT	  2
#define LINK_VARG	  3
#define LINK_CP		  5
#define LINK_PCALL	  6
#define CONT_FFI_CALLBACK 1

/* The word of the interpreter's C frame that holds SAVE_PC; in GC32 its upper half, beside SAVE_L.
 */
#define SAVE_PC_WORD 0x18

/* Bits of a cframe pointer that are flags (lj_frame.h CFRAME_RAWMASK). */
#define CFRAME_FLAGS 3ull

#endif
