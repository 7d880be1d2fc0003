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
		  struct luajit_build *build)
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
		*build = code.build;
		luajit_code__close(&code);
		return 0;
	}
	return err;
}

int luajit__find(Elf *elf, struct unwind_table *table, struct unwind_rules *rules,
		 struct luajit_build *build)
{
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
		*build = flow.build;
		err = unwind_table__replace(table, function->start, function->end, flow.rows,
					    flow.row_count);
		luajit_flow__free(&flow);
		return err;
	}
	return err;
}

size_t luajit__facts(const struct luajit_build *build, struct luajit_fact *facts)
{
	const struct luajit_fact all[] = {
		{"dispatch register - g", (uint32_t)build->dispatch_from_g,
		 "the entries' `add r14`"},
		{"g->vmstate", build->vmstate, "the most frequent store of -1"},
		{"g->cur_L", build->cur_L, "stored by the entries"},
		{"SAVE_L", build->save_L, "stored by the entries"},
		{"previous cframe", build->save_cframe, "stored by the entries"},
		{"string's length", build->string_length, "string.byte"},
		{"string's characters", build->string_data, "string.byte"},
		{"g->jit_base", build->jit_base, "behind cur_L, loaded by the exit handler"},
		{"traces - g", build->trace_array, "loaded by BC_JLOOP"},
		{"exit's trace - g", build->trace_exit, "stored by the exit handler"},
		{"opcode FUNCF", build->bc_funcf, "compared with behind the exit handler"},
	};
	size_t count = sizeof(all) / sizeof(all[0]);

	_Static_assert(sizeof(all) / sizeof(all[0]) == LUAJIT_MAX_FACTS, "all fit");
	if (!build->trace_array)
		count -= 4; /* of the JIT compiler */
	memcpy(facts, all, count * sizeof(all[0]));
	return count;
}
