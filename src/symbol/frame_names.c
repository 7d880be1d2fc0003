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
			 proto->chunk_length >= MAX_CHUNK_NAME ? "..." : "");
		return;
	}
	/* As LuaJIT does it: a chunk that was loaded from bytecode starts with an escape. */
	for (line = 0; line < 60 && (unsigned char)chunk[line] >= ' '; line++)
		;
	snprintf(out, size, "[string \"%.*s%s\"]", (int)line, chunk, chunk[line] ? "..." : "");
}

static void lua_frame(const struct frame_names *self, uint64_t word, uint64_t proto_id,
		      struct profile_frame *frame, char *name, char *file)
{
	const struct stored_proto *proto = stack_store__proto(self->stacks, proto_id);
	const char *known;

	frame->type = word & FRAME_LUA_COMPILED ? PROFILE_LUA_COMPILED : PROFILE_LUA;
	frame->line = (uint32_t)(word >> FRAME_LINE_SHIFT & FRAME_LINE_MASK);
	frame->estimated = word & FRAME_LUA_ESTIMATED ? 1 : 0;
	*name = '\0';
	if (!proto) {
		snprintf(file, FRAME_FILE_BYTES, "[description lost]");
		return;
	}
	chunk_name(proto, file, FRAME_FILE_BYTES);
	frame->first_line = proto->first_line;
	known = lua_functions__name(self->lua, proto_id);
	if (known)
		snprintf(name, FRAME_NAME_BYTES, "%s", known);
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

void frame_names__kernel(const struct frame_names *self, uint64_t address, char *out, size_t size)
{
	const char *name = self->kernel ? kernel_symbols__find(self->kernel, address) : NULL;

	if (name)
		snprintf(out, size, "%s", name);
	else
		snprintf(out, size, "[kernel]");
}

void frame_names__frame(const struct frame_names *self, uint32_t tgid, uint64_t word,
			uint64_t second, struct profile_frame *frame, char *name, char *file)
{
	const size_t size = FRAME_NAME_BYTES;
	const char *why;

	*frame = (struct profile_frame){.name = name, .file = file, .type = PROFILE_NOTE};
	*file = '\0';
	switch (word >> FRAME_KIND_SHIFT) {
	case FRAME_KIND_NATIVE:
		frame->mapping = 1 + (uint32_t)(word >> FRAME_FILE_SHIFT & FRAME_FILE_MASK);
		frame->address = word & FRAME_VADDR_MASK;
		frame->type = PROFILE_NATIVE;
		native_name(self, word, name, size);
		break;
	case FRAME_KIND_ADDRESS:
		frame->type = PROFILE_NATIVE;
		native_name(self, word, name, size);
		break;
	case FRAME_KIND_LUA:
		if (library_name(self, second, name, size))
			frame->type = PROFILE_BUILTIN;
		else
			lua_frame(self, word, second, frame, name, file);
		break;
	case FRAME_KIND_BUILTIN:
		builtin_name(self, tgid, word, second, name, size);
		frame->type = PROFILE_BUILTIN;
		break;
	case FRAME_KIND_COROUTINE:
		snprintf(name, size, "[coroutine]");
		break;
	case FRAME_KIND_TAIL_CALL:
		snprintf(name, size, "(...tail calls...)");
		break;
	case FRAME_KIND_SKIPPED:
		snprintf(name, size, PROFILE_NOTE_SKIPPED);
		break;
	case FRAME_KIND_LUA_LOST:
		why = walk_error__text(word & 0xff);
		snprintf(name, size, "[Lua frames lost: %s]", why ? why : "unknown");
		break;
	default:
		/* Without its address, which would tell where the kernel is, to whoever gets the
		 * file. */
		frame->type = PROFILE_KERNEL;
		frame_names__kernel(self, word, name, size);
	}
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

const char *off_cpu_reason__text(enum off_cpu_reason reason)
{
	switch (reason) {
	case OFF_CPU_BLOCKED:
		return "blocked";
	case OFF_CPU_WAITING:
		return "waiting for a CPU";
	case OFF_CPU_BEFORE:
		return "off CPU since before the recording";
	default:
		return "on CPU";
	}
}
