/* SPDX-License-Identifier: Apache-2.0 */
#include "frame_names.h"

#include <stdio.h>
#include <string.h>

const char *walk_stop__text(unsigned int stop)
{
	switch (stop) {
	case STOP_KERNEL_ONLY:
		return "no user registers";
	case STOP_TRUNCATED:
		return "deeper than the limits";
	case STOP_NO_MAPPING:
		return "code outside every file";
	case STOP_NO_RULE:
		return "no unwind table";
	case STOP_UNSUPPORTED:
		return "unsupported unwind expression";
	case STOP_READ_STACK:
		return "stack not readable";
	case STOP_CFA_ORDER:
		return "corrupt stack";
	case STOP_REGISTER:
		return "register not known";
	case STOP_TRACE:
		return "compiled code without its VM";
	case STOP_BUSY:
		return "mappings changing";
	}
	return NULL;
}

const char *walk_error__text(unsigned int error)
{
	switch (error) {
	case LUA_READ_STATE:
		return "lua_State not readable";
	case LUA_CFRAME:
		return "activation not in its lua_State's chain";
	case LUA_BASE:
		return "BASE not known";
	case LUA_READ_STACK:
		return "Lua stack not readable";
	case LUA_FRAME_LINK:
		return "Lua frame link invalid";
	case LUA_FUNCTION:
		return "Lua frame without a function";
	case LUA_COROUTINES:
		return "too many coroutines on one stack";
	case LUA_ORDER:
		return "Lua stack in transition";
	}
	return NULL;
}

/* A chunk name as Lua shows it (luaO_chunkid): "@file" and "=name" without the first character, the
 * first line of a text that was loaded. */
static void chunk_name(const struct stored_proto *proto, char *out, size_t size)
{
	const char *chunk = proto->chunk;
	size_t line;

	if (*chunk == '@' || *chunk == '=') {
		snprintf(out, size, "%s%s", chunk + 1,
			 proto->chunk_length >= sizeof(proto->chunk) ? "..." : "");
		return;
	}
	/* As LuaJIT does it: a chunk that was loaded from bytecode starts with an escape. */
	for (line = 0; line < 60 && (unsigned char)chunk[line] >= ' '; line++)
		;
	snprintf(out, size, "[string \"%.*s%s\"]", (int)line, chunk, chunk[line] ? "..." : "");
}

static void lua_name(const struct frame_names *self, uint64_t proto_id, char *out, size_t size)
{
	const struct stored_proto *proto = stack_store__proto(self->stacks, proto_id);
	char chunk[MAX_CHUNK_NAME + 32];
	const char *name;

	if (!proto) {
		snprintf(out, size, "@[description lost]");
		return;
	}
	chunk_name(proto, chunk, sizeof(chunk));
	name = lua_functions__name(self->lua, proto_id);
	snprintf(out, size, "%s@%s:%u", name ? name : "", chunk, proto->first_line);
}

/* ":line" where the frame is, and whether what is said of a trace is an estimate. */
static void append_position(const struct frame_names *self, uint64_t word, char *out, size_t size)
{
	unsigned int line = (unsigned int)(word >> FRAME_LINE_SHIFT & FRAME_LINE_MASK);
	size_t length = strlen(out);

	if (self->lines && line)
		length += (size_t)snprintf(out + length, size - length, ":%u", line);
	if (word & FRAME_LUA_ESTIMATED && length < size)
		snprintf(out + length, size - length, " (estimated)");
}

/* LuaJIT's own functions that are written in Lua (table.foreach and others) have no lines. */
static bool library_name(const struct frame_names *self, uint64_t proto_id, char *out, size_t size)
{
	const struct stored_proto *proto = stack_store__proto(self->stacks, proto_id);

	if (!proto || proto->first_line != UINT32_MAX)
		return false;
	snprintf(out, size, "builtin %s", proto->chunk + (*proto->chunk == '='));
	return true;
}

static void native_name(const struct frame_names *self, uint64_t word, char *out, size_t size)
{
	uint32_t file = (uint32_t)(word >> FRAME_FILE_SHIFT & FRAME_FILE_MASK);

	if (word >> FRAME_KIND_SHIFT != FRAME_KIND_NATIVE ||
	    modules__name(self->modules, file, word & FRAME_VADDR_MASK, out, size) != 0)
		snprintf(out, size, "[code outside any file]");
}

void frame_names__entry(const struct frame_names *self, uint64_t entry, char *out, size_t size)
{
	native_name(self, entry, out, size);
}

static void builtin_name(const struct frame_names *self, uint32_t tgid, uint64_t word,
			 uint64_t entry, char *out, size_t size)
{
	const char *name = lua_vms__builtin(self->vms, tgid, word, entry);
	unsigned int ffid = word & 0xff;

	if (name) {
		snprintf(out, size, "%s", name);
		return;
	}

	if (entry)
		native_name(self, entry, out, size);
	/* A stripped fast function is only a number; a plain C function at least has a place. */
	if (!entry || (ffid > 1 && strstr(out, "+0x")))
		snprintf(out, size, "builtin#%u", ffid);
}

static void kernel_name(const struct frame_names *self, uint64_t address, char *out, size_t size)
{
	const char *name = self->kernel ? kernel_symbols__find(self->kernel, address) : NULL;

	if (name)
		snprintf(out, size, "%s", name);
	else
		snprintf(out, size, "[kernel]");
}

enum profile_frame_type frame_names__name(const struct frame_names *self, uint32_t tgid,
					  uint64_t word, uint64_t second, char *out, size_t size)
{
	const char *why;

	switch (word >> FRAME_KIND_SHIFT) {
	case FRAME_KIND_NATIVE:
	case FRAME_KIND_ADDRESS:
		native_name(self, word, out, size);
		return PROFILE_NATIVE;
	case FRAME_KIND_LUA:
		if (library_name(self, second, out, size))
			return PROFILE_BUILTIN;
		lua_name(self, second, out, size);
		append_position(self, word, out, size);
		return word & FRAME_LUA_COMPILED ? PROFILE_LUA_COMPILED : PROFILE_LUA;
	case FRAME_KIND_BUILTIN:
		builtin_name(self, tgid, word, second, out, size);
		return PROFILE_BUILTIN;
	case FRAME_KIND_COROUTINE:
		snprintf(out, size, "[coroutine]");
		return PROFILE_NOTE;
	case FRAME_KIND_TAIL_CALL:
		snprintf(out, size, "(...tail calls...)");
		return PROFILE_NOTE;
	case FRAME_KIND_SKIPPED:
		snprintf(out, size, "[frames without unwind information]");
		return PROFILE_NOTE;
	case FRAME_KIND_LUA_LOST:
		why = walk_error__text(word & 0xff);
		snprintf(out, size, "[Lua frames lost: %s]", why ? why : "unknown");
		return PROFILE_NOTE;
	}
	kernel_name(self, word, out, size);
	return PROFILE_KERNEL;
}

/* ---- states of the VM -------------------------------------------------------------------------
 */

const char *vm_state__text(unsigned int state)
{
	static const char *const texts[VM_STATE_COUNT] = {
		[VM_STATE_INTERPRETED] = "interpreted",
		[VM_STATE_C] = "C function",
		[VM_STATE_GC] = "GC",
		[VM_STATE_EXIT] = "trace exit",
		[VM_STATE_RECORD] = "recording",
		[VM_STATE_OPTIMISE] = "optimising",
		[VM_STATE_ASSEMBLE] = "assembling",
		[VM_STATE_COMPILED] = "compiled",
	};

	return state < VM_STATE_COUNT ? texts[state] : NULL;
}
