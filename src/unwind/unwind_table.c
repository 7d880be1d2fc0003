/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The table of one ELF file: built from its FDEs, searched, patched, and encoded for the kernel
 * side. See unwind_table.h.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "cfi_program.h"
#include "cfi_rule.h"
#include "eh_frame.h"
#include "unwind_table.h"

/* An FDE with more rows is taken for corrupt: real ones have at most some hundreds. */
#define MAX_FDE_ROWS 65536u

/* Of one file; what follows is left out. Real files have a row for five bytes of .eh_frame: libLLVM
 * has a million. Each takes 8 bytes of kernel memory. */
#define MAX_ROWS (8u << 20)

struct row_list {
	struct unwind_row *rows;
	size_t count;
	size_t capacity;
};

/* ---- rows -------------------------------------------------------------------------------- */

/*
 * Appends a row; `pc` must not be below the last one. Keeps the table's invariants: a second rule
 * for one pc replaces the first, and a row that changes nothing is left out.
 */
static int row_list__push(struct row_list *self, uint64_t pc, uint32_t rule)
{
	uint32_t current;

	if (self->count && self->rows[self->count - 1].pc == pc)
		self->count--;
	current = self->count ? self->rows[self->count - 1].rule : RULE_ID_NONE;
	if (current == rule)
		return 0;
	if (self->count == self->capacity) {
		size_t capacity = self->capacity ? 2 * self->capacity : 64;
		struct unwind_row *rows = reallocarray(self->rows, capacity, sizeof(*rows));

		if (!rows)
			return -ENOMEM;
		self->rows = rows;
		self->capacity = capacity;
	}
	self->rows[self->count++] = (struct unwind_row){.pc = pc, .rule = rule};
	return 0;
}

/* How many of the rows, which ascend, start at or before `vaddr`. */
static size_t rows_up_to(const struct unwind_row *rows, size_t count, uint64_t vaddr)
{
	size_t low = 0, high = count;

	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (rows[middle].pc <= vaddr)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

/* ---- building ------------------------------------------------------------------------------ */

/* Appends the rows of one FDE, cut off at `limit`. -EINVAL leaves no trace of a corrupt one. */
static int append_fde(struct row_list *list, const struct eh_frame *frame,
		      const struct eh_frame_fde *fde, uint64_t limit, struct cfi_program *program,
		      struct unwind_rules *rules)
{
	const struct cfi_cie *cie = &frame->cies[fde->cie].cfi;
	struct dwarf_reader instructions = eh_frame__instructions(frame, fde);
	uint64_t end = fde->end < limit ? fde->end : limit;
	size_t count_before = list->count;
	struct unwind_row last = {0};
	bool resuming = false;
	uint32_t row_count = 0;
	uint64_t pc;
	int err;

	if (count_before)
		last = list->rows[count_before - 1];
	cfi_program__start(program, cie, &instructions, fde->start, end);
	while ((err = cfi_program__next_row(program, &pc)) > 0) {
		struct unwind_rule rule;
		int id;

		if (++row_count > MAX_FDE_ROWS) {
			err = -EINVAL;
			break;
		}
		cfi_rule__from_state(&program->state, cie->is_signal_frame, &rule);
		cfi_rule__resume_throw(&rule, &resuming);
		id = unwind_rules__intern(rules, &rule);
		if (id < 0)
			return id;
		err = row_list__push(list, pc, (uint32_t)id);
		if (err)
			return err;
	}
	if (err == -EINVAL) {
		/* Its first row may have replaced the one that ended the function before it. */
		list->count = count_before;
		if (count_before)
			list->rows[count_before - 1] = last;
		return -EINVAL;
	}
	return err ? err : row_list__push(list, end, RULE_ID_NONE);
}

static int append_functions(struct unwind_table *self, struct row_list *list,
			    const struct eh_frame *frame, struct unwind_rules *rules)
{
	struct cfi_program *program = malloc(sizeof(*program));
	size_t next = 0;
	int err = program ? 0 : -ENOMEM;

	for (size_t i = 0; !err && i < frame->fde_count; i++) {
		const struct eh_frame_fde *fde = &frame->fdes[i];

		if (list->count > MAX_ROWS) {
			self->skipped += frame->fde_count - i;
			break;
		}
		struct unwind_function *last =
			self->function_count ? &self->functions[self->function_count - 1] : NULL;

		if (last && last->start == fde->start) /* a duplicate */
			continue;
		while (next < frame->fde_count && frame->fdes[next].start <= fde->start)
			next++;
		err = append_fde(list, frame, fde,
				 next < frame->fde_count ? frame->fdes[next].start : UINT64_MAX,
				 program, rules);
		if (err == -EINVAL) {
			self->skipped++;
			err = 0;
			continue;
		}
		self->functions[self->function_count++] =
			(struct unwind_function){.start = fde->start, .end = fde->end};
	}
	free(program);
	return err;
}

int unwind_table__build(Elf *elf, struct unwind_rules *rules, struct unwind_table **table)
{
	struct unwind_table *self = calloc(1, sizeof(*self));
	struct row_list list = {0};
	struct eh_frame frame = {0};
	int err = -ENOMEM;

	*table = NULL;
	if (!self)
		return -ENOMEM;
	err = eh_frame__read(&frame, elf);
	if (err)
		goto out;
	self->skipped = frame.skipped;
	self->bytes = frame.size;
	if (frame.fde_count) {
		self->functions = calloc(frame.fde_count, sizeof(*self->functions));
		if (!self->functions) {
			err = -ENOMEM;
			goto out;
		}
	}
	err = append_functions(self, &list, &frame, rules);
out:
	eh_frame__clear(&frame);
	self->rows = list.rows;
	self->row_count = list.count;
	if (err) {
		unwind_table__free(self);
		return err;
	}
	*table = self;
	return 0;
}

void unwind_table__free(struct unwind_table *self)
{
	if (!self)
		return;
	free(self->rows);
	free(self->functions);
	free(self);
}

/* ---- searching ----------------------------------------------------------------------------- */

uint32_t unwind_table__rule_at(const struct unwind_table *self, uint64_t vaddr)
{
	size_t count = rows_up_to(self->rows, self->row_count, vaddr);

	return count ? self->rows[count - 1].rule : RULE_ID_NONE;
}

const struct unwind_function *unwind_table__function_at(const struct unwind_table *self,
							uint64_t vaddr)
{
	size_t low = 0, high = self->function_count;

	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (self->functions[middle].start <= vaddr)
			low = middle + 1;
		else
			high = middle;
	}
	if (!low || vaddr >= self->functions[low - 1].end)
		return NULL;
	return &self->functions[low - 1];
}

/* ---- changing ------------------------------------------------------------------------------ */

int unwind_table__replace(struct unwind_table *self, uint64_t start, uint64_t end,
			  const struct unwind_row *rows, size_t row_count)
{
	size_t before = start ? rows_up_to(self->rows, self->row_count, start - 1) : 0;
	size_t after = rows_up_to(self->rows, self->row_count, end);
	uint32_t rule_at_end = after ? self->rows[after - 1].rule : RULE_ID_NONE;
	struct row_list list = {0};
	uint64_t last_pc = start;

	if (start >= end)
		return -EINVAL;
	for (size_t i = 0; i < row_count; i++) {
		if (rows[i].pc < last_pc || rows[i].pc >= end)
			return -EINVAL;
		last_pc = rows[i].pc;
	}

	/* Room for every row and the one at `end`: no push below can fail. */
	list.capacity = self->row_count + row_count + 1;
	list.rows = calloc(list.capacity, sizeof(*list.rows));
	if (!list.rows)
		return -ENOMEM;
	for (size_t i = 0; i < before; i++)
		row_list__push(&list, self->rows[i].pc, self->rows[i].rule);
	for (size_t i = 0; i < row_count; i++)
		row_list__push(&list, rows[i].pc, rows[i].rule);
	row_list__push(&list, end, rule_at_end);
	for (size_t i = after; i < self->row_count; i++)
		row_list__push(&list, self->rows[i].pc, self->rows[i].rule);

	free(self->rows);
	self->rows = list.rows;
	self->row_count = list.count;
	return 0;
}

/* ---- encoding ------------------------------------------------------------------------------ */

int unwind_table__encode(const struct unwind_table *self, struct file_table *file,
			 uint64_t **entries, size_t *count)
{
	uint64_t span, base, *out;
	size_t pages, row = 0;

	*entries = NULL;
	*count = 0;
	file->text_base = 0;
	file->pages = 0;
	file->rows = 0;
	if (!self->row_count)
		return 0;

	base = self->rows[0].pc;
	span = self->rows[self->row_count - 1].pc - base;
	if (span > UINT32_MAX || self->row_count > UINT32_MAX)
		return -E2BIG;
	pages = (span >> TEXT_PAGE_SHIFT) + 1;
	out = calloc(pages + 1 + self->row_count, sizeof(*out));
	if (!out)
		return -ENOMEM;

	for (size_t page = 0; page <= pages; page++) {
		while (row < self->row_count &&
		       self->rows[row].pc - base < (uint64_t)page << TEXT_PAGE_SHIFT)
			row++;
		out[page] = row;
	}
	for (size_t i = 0; i < self->row_count; i++)
		out[pages + 1 + i] = ROW_MAKE(self->rows[i].pc - base, self->rows[i].rule);

	file->text_base = base;
	file->pages = (uint32_t)pages;
	file->rows = (uint32_t)self->row_count;
	*entries = out;
	*count = pages + 1 + self->row_count;
	return 0;
}
