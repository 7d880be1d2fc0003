/* SPDX-License-Identifier: Apache-2.0 */
#include "luajit.h"

#include <errno.h>
#include <gelf.h>
#include <stdbool.h>
#include <string.h>

#include "luajit_code.h"
#include "luajit_flow.h"

/* The interpreter is 12 to 20 KB in the builds that were looked at (2017 to 2026). */
#define MIN_SIZE (8u << 10)
#define MAX_SIZE (128u << 10)
/* Functions that look like it and are analysed, each for some ten milliseconds. */
#define MAX_CANDIDATES 4u

static bool saved_at(const struct unwind_rule *rule, enum saved_register which, int offset)
{
	return rule->saved_base[which] == BASE_CFA && rule->saved_offset[which] == offset;
}

/* One constant rule over the whole function: CFA rsp+80, rbp, rbx, r15, r14 pushed, nothing else.
 * No compiler makes such a function; lj_vm's FDE is written by hand (LuaJIT
 * src/host/buildvm_asm.c). */
static bool is_interpreter(const struct unwind_table *table, const struct unwind_rules *rules,
			   const struct unwind_function *function)
{
	uint64_t size = function->end - function->start;
	const struct unwind_rule *rule;
	uint32_t id;

	if (size < MIN_SIZE || size > MAX_SIZE)
		return false;
	id = unwind_table__rule_at(table, function->start);
	if (id != unwind_table__rule_at(table, function->end - 1) ||
	    id != unwind_table__rule_at(table, function->start + size / 2))
		return false;
	rule = unwind_rules__get(rules, id);
	return rule && rule->cfa_kind == CFA_REG && rule->cfa_reg == DW_REG_RSP &&
	       rule->cfa_offset == 80 && saved_at(rule, SAVED_RBP, -16) &&
	       saved_at(rule, SAVED_RBX, -24) && saved_at(rule, SAVED_R15, -32) &&
	       saved_at(rule, SAVED_R14, -40) && rule->saved_base[SAVED_R12] == BASE_SAME &&
	       rule->saved_base[SAVED_R13] == BASE_SAME;
}

/* The file's bytes for [vaddr, vaddr + size); NULL when they are not all in one segment. Owned by
 * the Elf handle. */
static const uint8_t *text_bytes(Elf *elf, uint64_t vaddr, uint64_t size)
{
	size_t count, i;
	Elf_Data *data;
	GElf_Phdr phdr;

	if (elf_getphdrnum(elf, &count) != 0)
		return NULL;
	for (i = 0; i < count; i++) {
		if (!gelf_getphdr(elf, (int)i, &phdr) || phdr.p_type != PT_LOAD ||
		    vaddr < phdr.p_vaddr || vaddr - phdr.p_vaddr > phdr.p_filesz ||
		    size > phdr.p_filesz - (vaddr - phdr.p_vaddr))
			continue;
		data = elf_getdata_rawchunk(elf, (int64_t)(phdr.p_offset + (vaddr - phdr.p_vaddr)),
					    size, ELF_T_BYTE);
		return data && data->d_size == size ? data->d_buf : NULL;
	}
	return NULL;
}

int luajit__build(Elf *elf, const struct unwind_table *table, const struct unwind_rules *rules,
		  struct luajit_found *found)
{
	const struct unwind_function *function;
	struct luajit_code code;
	const uint8_t *text;
	int err = -ENOENT;
	size_t i;

	for (i = 0; i < table->function_count; i++) {
		function = &table->functions[i];
		if (!is_interpreter(table, rules, function))
			continue;
		text = text_bytes(elf, function->start, function->end - function->start);
		if (!text)
			continue;
		err = luajit_code__open(text, function->end - function->start, function->start,
					&code);
		if (err)
			continue;
		found->build = code.build;
		found->fingerprint = code.fingerprint;
		found->known = luajit_known__find(code.fingerprint);
		luajit_code__close(&code);
		return 0;
	}
	return err;
}

int luajit__find(Elf *elf, struct unwind_table *table, struct unwind_rules *rules,
		 struct luajit_found *found)
{
	struct luajit_fact facts[LUAJIT_OFFSETS];
	const struct unwind_function *function;
	struct luajit_flow flow;
	const uint8_t *text;
	unsigned int candidates = 0;
	int err = -ENOENT;
	size_t i;

	for (i = 0; i < table->function_count && candidates < MAX_CANDIDATES; i++) {
		function = &table->functions[i];
		if (!is_interpreter(table, rules, function))
			continue;
		candidates++;
		text = text_bytes(elf, function->start, function->end - function->start);
		if (!text)
			continue;
		err = luajit_flow__analyse(text, function->end - function->start, function->start,
					   rules, &flow);
		if (err)
			continue;
		found->build = flow.build;
		found->fingerprint = flow.fingerprint;
		found->known = luajit_known__find(flow.fingerprint);
		/* The rows follow from the code's pushes and pops, not from the offsets. */
		err = unwind_table__replace(table, function->start, function->end, flow.rows,
					    flow.row_count);
		luajit_flow__free(&flow);
		if (!err && luajit_facts__conflict(facts, luajit__facts(found, facts)))
			err = -EBADMSG;
		return err;
	}
	return err;
}

/* ---- the offsets, for people and for comparing them ------------------------------------------ */

static const struct {
	const char *what, *from;
} offsets[LUAJIT_OFFSETS] = {
	[LUAJIT_GC64] = {"GC64", "the width of the entries' `add r14`"},
	[LUAJIT_FRAME_SIZE] = {"frame size", "the interpreter's FDE"},
	[LUAJIT_DISPATCH] = {"dispatch register - g", "the entries' `add r14`"},
	[LUAJIT_VMSTATE] = {"g->vmstate", "the most frequent store of -1"},
	[LUAJIT_CUR_L] = {"g->cur_L", "stored by the entries"},
	[LUAJIT_SAVE_L] = {"SAVE_L", "stored by the entries"},
	[LUAJIT_SAVE_CFRAME] = {"previous cframe", "stored by the entries"},
	[LUAJIT_STRING_LENGTH] = {"string's length", "string.byte"},
	[LUAJIT_STRING_DATA] = {"string's characters", "string.byte"},
	[LUAJIT_FFI] = {"FFI", "the entry of callbacks"},
	[LUAJIT_JIT_BASE] = {"g->jit_base", "behind cur_L, loaded by the exit handler"},
	[LUAJIT_TRACE_ARRAY] = {"traces - g", "loaded by BC_JLOOP"},
	[LUAJIT_TRACE_EXIT] = {"exit's trace - g", "stored by the exit handler"},
	[LUAJIT_BC_FUNCF] = {"opcode FUNCF", "compared with behind the exit handler"},
};

static uint32_t offset_in(const struct luajit_build *build, enum luajit_offset id)
{
	switch (id) {
	case LUAJIT_GC64:
		return build->gc64;
	case LUAJIT_FRAME_SIZE:
		return build->frame_size;
	case LUAJIT_DISPATCH:
		return (uint32_t)build->dispatch_from_g;
	case LUAJIT_VMSTATE:
		return build->vmstate;
	case LUAJIT_CUR_L:
		return build->cur_L;
	case LUAJIT_SAVE_L:
		return build->save_L;
	case LUAJIT_SAVE_CFRAME:
		return build->save_cframe;
	case LUAJIT_STRING_LENGTH:
		return build->string_length;
	case LUAJIT_STRING_DATA:
		return build->string_data;
	case LUAJIT_FFI:
		return build->ffi;
	case LUAJIT_JIT_BASE:
		return build->jit_base;
	case LUAJIT_TRACE_ARRAY:
		return build->trace_array;
	case LUAJIT_TRACE_EXIT:
		return build->trace_exit;
	case LUAJIT_BC_FUNCF:
		return build->bc_funcf;
	case LUAJIT_OFFSETS:
		break;
	}
	return 0;
}

size_t luajit__facts(const struct luajit_found *found, struct luajit_fact *facts)
{
	const struct luajit_known *known = found->known;
	size_t count = LUAJIT_OFFSETS, i;

	if (!found->build.trace_array && !(known && known->build.trace_array))
		count = LUAJIT_JIT_BASE;
	for (i = 0; i < count; i++) {
		facts[i] = (struct luajit_fact){.id = (enum luajit_offset)i,
						.what = offsets[i].what,
						.from = offsets[i].from};
		facts[i].value = offset_in(&found->build, facts[i].id);
		if (!known)
			continue;
		facts[i].table_value = offset_in(&known->build, facts[i].id);
		facts[i].table =
			facts[i].value == facts[i].table_value ? LUAJIT_AGREES : LUAJIT_DISAGREES;
	}
	return count;
}

const struct luajit_fact *luajit_facts__conflict(const struct luajit_fact *facts, size_t count)
{
	size_t i;

	for (i = 0; i < count; i++) {
		if (facts[i].table == LUAJIT_DISAGREES || facts[i].heap == LUAJIT_DISAGREES)
			return &facts[i];
	}
	return NULL;
}
