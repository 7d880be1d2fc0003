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
#define GC64_PROTO_CHUNKNAME 0x40
#define GC64_PROTO_FIRSTLINE 0x48
#define GC64_PROTO_NUMLINE   0x4c
#define GC64_PROTO_SIZE	     0x68
#define GC32_PROTO_SIZEBC    0x08
#define GC32_PROTO_CHUNKNAME 0x28
#define GC32_PROTO_FIRSTLINE 0x2c
#define GC32_PROTO_NUMLINE   0x30
#define GC32_PROTO_SIZE	     0x40
#define PROTO_READ_SIZE	     0x50 /* enough for both */

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
