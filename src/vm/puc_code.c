/* SPDX-License-Identifier: Apache-2.0 */
/* See puc_code.h. In order: the quick look, the parts, the jump tables, the blocks. */
#include "puc_code.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "puc_calls.h"

/* luaV_execute is 5 KB (5.1, -Os) to 60 KB (5.5, -O0). */
#define MIN_FUNCTION	  (2u << 10)
#define MAX_FUNCTION	  (256u << 10)
#define MAX_PART	  (64u << 10)
#define MAX_TABLES	  256u
#define MAX_TABLE_ENTRIES 512u
#define MIN_TABLE_ENTRIES 4u
#define MAX_BLOCKS	  8192u

static bool holds(const struct unwind_function *function, uint64_t vaddr)
{
	return vaddr >= function->start && vaddr < function->end;
}

/* ---- the quick look ---------------------------------------------------------------------------
 */

/* The number of entries of the table at `base`, relative to it or pointers, that lead into the
 * function; what is elsewhere in the text may be a part of it that was split off. */
static bool has_entries(struct puc_image *image, const struct unwind_function *function,
			uint64_t base, unsigned int opcodes, bool relative)
{
	unsigned int i, inside = 0;
	uint64_t target;
	int32_t offset;

	for (i = 0; i < opcodes; i++) {
		if (relative) {
			if (!puc_image__s32(image, base + 4ull * i, &offset))
				return false;
			target = base + (uint64_t)(int64_t)offset;
		} else if (!puc_image__pointer(image, base + 8ull * i, &target)) {
			return false;
		}
		inside += holds(function, target);
		if (i + 1 - inside > opcodes / 4)
			return false;
	}
	return true;
}

/* The address of a table that the instruction whose opcode is at `at` may refer to; 0 for none. */
static uint64_t referred(const uint8_t *at, const uint8_t *end, uint64_t vaddr)
{
	int32_t disp;

	if (end - at < 7)
		return 0;
	if (at[0] == 0x8d && (at[1] & 0xc7) == 0x05) { /* lea disp(%rip), reg */
		memcpy(&disp, at + 2, sizeof(disp));
		return vaddr + 6 + (uint64_t)(int64_t)disp;
	}
	/* jmp *disp(, reg, 8); mov disp(, reg, 8), reg */
	if (((at[0] == 0xff && at[1] == 0x24) || (at[0] == 0x8b && (at[1] & 0xc7) == 0x04)) &&
	    (at[2] & 0xc7) == 0xc5) {
		memcpy(&disp, at + 3, sizeof(disp));
		return (uint64_t)(int64_t)disp;
	}
	/* mov $disp, reg: of a file at a fixed address below 2 GiB */
	if (at[0] >= 0xb8 && at[0] <= 0xbf) {
		memcpy(&disp, at + 1, sizeof(disp));
		return disp > 0 ? (uint64_t)disp : 0;
	}
	return 0;
}

bool puc_code__may_be(struct puc_image *image, const struct unwind_function *function,
		      unsigned int opcodes)
{
	uint64_t size = function->end - function->start, base, i, last = 0;
	const uint8_t *text;

	if (size < MIN_FUNCTION || size > MAX_FUNCTION)
		return false;
	text = puc_image__bytes(image, function->start, size);
	if (!text)
		return false;
	for (i = 0; i < size; i++) {
		base = referred(text + i, text + size, function->start + i);
		if (!base || base == last)
			continue;
		last = base;
		if (has_entries(image, function, base, opcodes, true) ||
		    has_entries(image, function, base, opcodes, false))
			return true;
	}
	return false;
}

/* ---- the parts --------------------------------------------------------------------------------
 */

static bool in_parts(const struct puc_code *self, uint64_t vaddr)
{
	size_t i;

	for (i = 0; i < self->part_count; i++) {
		if (holds(&self->parts[i], vaddr))
			return true;
	}
	return false;
}

static int decode(struct puc_code *self, struct puc_image *image)
{
	const uint8_t *text;
	uint64_t size;
	size_t i;
	int err = 0;

	x86_code__free(&self->code);
	for (i = 0; !err && i < self->part_count; i++) {
		size = self->parts[i].end - self->parts[i].start;
		text = puc_image__bytes(image, self->parts[i].start, size);
		err = text ? x86_code__append(text, size, self->parts[i].start, &self->code)
			   : -EINVAL;
	}
	return err;
}

/* A part split off begins with the frame made; a function with only the return address on the
 * stack. */
static bool is_split_off(const struct unwind_table *table, const struct unwind_rules *rules,
			 const struct unwind_function *function)
{
	const struct unwind_rule *rule;

	if (function->end - function->start > MAX_PART)
		return false;
	rule = unwind_rules__get(rules, unwind_table__rule_at(table, function->start));
	return rule && rule->cfa_kind == CFA_REG &&
	       (rule->cfa_reg != DW_REG_RSP || rule->cfa_offset > 8);
}

static void add_part(struct puc_code *self, const struct unwind_function *part)
{
	size_t i = self->part_count++;

	for (; i && self->parts[i - 1].start > part->start; i--)
		self->parts[i] = self->parts[i - 1];
	self->parts[i] = *part;
}

/* Adds what is jumped to outside the parts. True when there was some. */
static bool grow(struct puc_code *self, const struct unwind_table *table,
		 const struct unwind_rules *rules)
{
	const struct unwind_function *function;
	const struct x86_instruction *i;
	size_t at, before = self->part_count;

	for (at = 0; at < self->code.count && self->part_count < PUC_MAX_PARTS; at++) {
		i = &self->code.instructions[at];
		if ((i->op != X86_JUMP && i->op != X86_BRANCH) || !i->target ||
		    in_parts(self, i->target))
			continue;
		function = unwind_table__function_at(table, i->target);
		if (function && !in_parts(self, function->start) &&
		    !in_parts(self, function->end - 1) && is_split_off(table, rules, function))
			add_part(self, function);
	}
	return self->part_count > before;
}

/* ---- the jump tables ---------------------------------------------------------------------------
 */

static int compare_bases(const void *one, const void *other)
{
	uint64_t a = *(const uint64_t *)one, b = *(const uint64_t *)other;

	return a < b ? -1 : a > b;
}

/* What may be the address of a table: ascending, each once. */
static size_t collect_bases(const struct puc_code *self, uint64_t *bases)
{
	const struct x86_instruction *i;
	size_t at, count = 0, kept = 0;
	uint64_t base;

	for (at = 0; at < self->code.count && count < 4 * MAX_TABLES; at++) {
		i = &self->code.instructions[at];
		base = 0;
		if (i->op == X86_LEA && i->base == X86_NO_REG && i->index == X86_NO_REG)
			base = i->target;
		else if (i->op == X86_MOVE_IMM && i->imm > 0)
			base = (uint64_t)i->imm;
		else if ((i->op == X86_LOAD || i->op == X86_JUMP) && i->base == X86_NO_REG &&
			 i->index != X86_NO_REG && i->disp > 0)
			base = (uint64_t)i->disp;
		if (base && !in_parts(self, base))
			bases[count++] = base;
	}
	qsort(bases, count, sizeof(*bases), compare_bases);
	for (at = 0; at < count; at++) {
		if (!kept || bases[kept - 1] != bases[at])
			bases[kept++] = bases[at];
	}
	return kept;
}

static int add_target(struct puc_code *self, size_t *capacity, uint32_t target)
{
	uint32_t *grown;

	if (self->target_count == *capacity) {
		*capacity = *capacity ? 2 * *capacity : 1024;
		grown = reallocarray(self->targets, *capacity, sizeof(*grown));
		if (!grown)
			return -ENOMEM;
		self->targets = grown;
	}
	self->targets[self->target_count++] = target;
	return 0;
}

/* The entries from `base` up to `limit` that lead to instructions. */
static int read_table(struct puc_code *self, struct puc_image *image, uint64_t base, uint64_t limit,
		      size_t *capacity)
{
	size_t before = self->target_count;
	struct puc_jump_table *table;
	uint64_t target, at;
	ptrdiff_t index;
	int32_t offset;
	int relative, err;

	for (relative = 1; relative >= 0; relative--) {
		for (at = base; at < limit && self->target_count - before < MAX_TABLE_ENTRIES;
		     at += relative ? 4 : 8) {
			if (relative) {
				if (!puc_image__s32(image, at, &offset))
					break;
				target = base + (uint64_t)(int64_t)offset;
			} else if (!puc_image__pointer(image, at, &target)) {
				break;
			}
			index = x86_code__find(&self->code, target);
			if (index < 0)
				break;
			err = add_target(self, capacity, (uint32_t)index);
			if (err)
				return err;
		}
		if (self->target_count - before >= MIN_TABLE_ENTRIES)
			break;
		self->target_count = before;
	}
	if (self->target_count == before)
		return 0;
	table = &self->tables[self->table_count++];
	table->base = base;
	table->first = (uint32_t)before;
	table->count = (uint32_t)(self->target_count - before);
	return 0;
}

static int find_tables(struct puc_code *self, struct puc_image *image)
{
	size_t count, i, capacity = 0;
	uint64_t *bases;
	int err = 0;

	bases = calloc(4 * MAX_TABLES, sizeof(*bases));
	self->tables = calloc(MAX_TABLES, sizeof(*self->tables));
	if (!bases || !self->tables) {
		free(bases);
		return -ENOMEM;
	}
	count = collect_bases(self, bases);
	for (i = 0; !err && i < count && self->table_count < MAX_TABLES; i++)
		err = read_table(self, image, bases[i], i + 1 < count ? bases[i + 1] : UINT64_MAX,
				 &capacity);
	free(bases);
	return err;
}

int puc_code__table(const struct puc_code *self, uint64_t base)
{
	size_t low = 0, high = self->table_count, middle;

	while (low < high) {
		middle = low + (high - low) / 2;
		if (self->tables[middle].base < base)
			low = middle + 1;
		else
			high = middle;
	}
	return low < self->table_count && self->tables[low].base == base ? (int)low : -1;
}

/* ---- the blocks -------------------------------------------------------------------------------
 */

static bool calls_out(const struct puc_code *self, const struct x86_instruction *i)
{
	return i->op == X86_CALL && i->target && !in_parts(self, i->target);
}

static int find_ends(struct puc_code *self, struct puc_image *image,
		     const struct unwind_table *table)
{
	const struct x86_instruction *i = self->code.instructions;
	struct puc_callee callee;
	struct puc_calls calls;
	size_t at;
	int err;

	self->clobbers = calloc(self->code.count, sizeof(*self->clobbers));
	self->ends = calloc(self->code.count, sizeof(*self->ends));
	err = puc_calls__open(&calls, image, table);
	if (!err && (!self->clobbers || !self->ends))
		err = -ENOMEM;
	for (at = 0; !err && at < self->code.count; at++) {
		if (calls_out(self, &i[at]))
			puc_calls__add(&calls, i[at].target);
	}
	if (!err)
		err = puc_calls__solve(&calls);
	for (at = 0; !err && at < self->code.count; at++) {
		self->ends[at] =
			i[at].op == X86_JUMP || i[at].op == X86_RETURN || i[at].op == X86_STOP;
		if (i[at].op == X86_CALL)
			self->clobbers[at] = PUC_CALLER_SAVED;
		if (!calls_out(self, &i[at]))
			continue;
		callee = puc_calls__get(&calls, i[at].target);
		self->clobbers[at] = callee.clobbers | 1u << DW_REG_RAX;
		self->ends[at] = !callee.returns;
	}
	puc_calls__free(&calls);
	return err;
}

static int find_blocks(struct puc_code *self)
{
	const struct x86_instruction *i = self->code.instructions;
	size_t count = self->code.count, at, block;
	uint8_t *leads = calloc(count + 1, 1);
	ptrdiff_t target;

	self->block_of = calloc(count, sizeof(*self->block_of));
	if (!leads || !self->block_of) {
		free(leads);
		return -ENOMEM;
	}
	for (at = 0; at < count; at++) {
		if (!at || i[at - 1].address + i[at - 1].size != i[at].address)
			leads[at] = 1;
		if (self->ends[at] || i[at].op == X86_BRANCH)
			leads[at + 1] = 1;
		if (i[at].op != X86_JUMP && i[at].op != X86_BRANCH)
			continue;
		target = i[at].target ? x86_code__find(&self->code, i[at].target) : -1;
		if (target >= 0)
			leads[target] = 1;
	}
	for (at = 0; at < self->target_count; at++)
		leads[self->targets[at]] = 1;
	for (at = 0; at < count; at++)
		self->block_count += leads[at];
	self->blocks = self->block_count <= MAX_BLOCKS
			       ? calloc(self->block_count, sizeof(*self->blocks))
			       : NULL;
	if (!self->blocks) {
		free(leads);
		return self->block_count <= MAX_BLOCKS ? -ENOMEM : -EINVAL;
	}
	for (at = 0, block = 0; at < count; at++) {
		if (leads[at])
			self->blocks[block++].first = (uint32_t)at;
		self->block_of[at] = (uint32_t)(block - 1);
		self->blocks[block - 1].end = (uint32_t)at + 1;
	}
	free(leads);
	return 0;
}

static int find_rules(struct puc_code *self, const struct unwind_table *table)
{
	size_t at;

	self->rules = calloc(self->code.count, sizeof(*self->rules));
	if (!self->rules)
		return -ENOMEM;
	for (at = 0; at < self->code.count; at++)
		self->rules[at] = unwind_table__rule_at(table, self->code.instructions[at].address);
	return 0;
}

int puc_code__open(struct puc_code *self, struct puc_image *image, const struct unwind_table *table,
		   const struct unwind_rules *rules, const struct unwind_function *function)
{
	int err;

	memset(self, 0, sizeof(*self));
	self->entry = function->start;
	add_part(self, function);
	do
		err = decode(self, image);
	while (!err && grow(self, table, rules));
	if (!err && !self->code.count)
		err = -EINVAL;
	if (!err)
		err = find_rules(self, table);
	if (!err)
		err = find_tables(self, image);
	if (!err)
		err = find_ends(self, image, table);
	if (!err)
		err = find_blocks(self);
	if (err)
		puc_code__close(self);
	return err;
}

void puc_code__close(struct puc_code *self)
{
	x86_code__free(&self->code);
	free(self->rules);
	free(self->clobbers);
	free(self->ends);
	free(self->tables);
	free(self->targets);
	free(self->blocks);
	free(self->block_of);
	memset(self, 0, sizeof(*self));
}
