/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Written by tests/fixtures/known_builds from LuaJIT's own headers: luajit_known.h says what for.
 */
#include "luajit_known.h"

/* clang-format off */
const struct luajit_known luajit_known_table[] = {
	{0x8161a49c9eeccd50ull, {.dispatch_from_g = 0xf80, .vmstate = 0xb8, .cur_L = 0x170, .jit_base = 0x178, .trace_array = 0x458, .trace_exit = 0xea0, .gc64 = 0x1, .save_L = 0x10, .save_cframe = 0x20, .frame_size = 0x50, .string_data = 0x18, .string_length = 0x14, .bc_funcf = 0x59, .ffi = 0x1},
	 "GC64",
	 "LuaJIT 2022-03-08"},
	{0x29553df2ffda65a1ull, {.dispatch_from_g = 0xf80, .vmstate = 0xb8, .cur_L = 0x170, .jit_base = 0x178, .trace_array = 0x458, .trace_exit = 0xea0, .gc64 = 0x1, .save_L = 0x10, .save_cframe = 0x20, .frame_size = 0x50, .string_data = 0x18, .string_length = 0x14, .bc_funcf = 0x59, .ffi = 0x1},
	 "GC64, Lua 5.2 compatible",
	 "LuaJIT 2022-03-08"},
	{0x9640e819b7d43e27ull, {.dispatch_from_g = 0xf80, .vmstate = 0xb8, .cur_L = 0x170, .jit_base = 0x178, .trace_array = 0x458, .trace_exit = 0xea0, .gc64 = 0x1, .save_L = 0x10, .save_cframe = 0x20, .frame_size = 0x50, .string_data = 0x18, .string_length = 0x14, .bc_funcf = 0x59, .ffi = 0x1},
	 "GC64, dual numbers, Lua 5.2 compatible",
	 "LuaJIT 2022-03-08"},
};
/* clang-format on */

const size_t luajit_known_count =
	sizeof(luajit_known_table) / sizeof(luajit_known_table[0]);
