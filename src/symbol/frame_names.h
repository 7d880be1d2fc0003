/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a frame of the contract is called, and what its numbers are called in words. Which frames
 * are shown is profile_builder.h.
 */
#ifndef LUASPY_FRAME_NAMES_H
#define LUASPY_FRAME_NAMES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "../sample/lua_vms.h"
#include "../sample/modules.h"
#include "../sample/profile.h"
#include "../sample/stack_store.h"
#include "kernel_symbols.h"
#include "lua_functions.h"

/* Where names come from; everything is borrowed. */
struct frame_names {
	const struct stack_store *stacks;
	struct modules *modules;
	const struct lua_vms *vms;
	const struct lua_functions *lua;
	const struct kernel_symbols *kernel; /* NULL: kernel frames have no names */
};

#define FRAME_NAME_BYTES 1024
#define FRAME_FILE_BYTES (MAX_CHUNK_NAME + 32)

/*
 * What the frame `word` is (`second` is its second word, 0 without one). The strings of *frame
 * are in `name` (FRAME_NAME_BYTES) and `file` (FRAME_FILE_BYTES):
 *   Lua       the function's name or "", its chunk, its first and its current line
 *   built-in  string.gsub, cjson.encode; without a Lua name its C function's symbol, else builtin#N
 *             (a fast function) or file+0xoffset
 *   C         symbol, else file+0xoffset of the function
 * Its mapping is the file id of its module + 1 (modules.h), 0 without one.
 */
void frame_names__frame(const struct frame_names *self, uint32_t tgid, uint64_t word,
			uint64_t second, struct profile_frame *frame, char *name, char *file);

/* The name that the C function of a BUILTIN frame has as a native frame. */
void frame_names__entry(const struct frame_names *self, uint64_t entry, char *out, size_t size);

/* The name of a kernel frame; "[kernel]" without one. */
void frame_names__kernel(const struct frame_names *self, uint64_t address, char *out, size_t size);

/* "on CPU", "blocked" ... */
const char *off_cpu_reason__text(enum off_cpu_reason reason);

/* What a walk_stop, a walk_error or a vm_state is called; NULL for the good ones and for none. */
const char *walk_stop__text(unsigned int stop);
const char *walk_error__text(unsigned int error);
const char *vm_state__text(unsigned int state);

#endif
