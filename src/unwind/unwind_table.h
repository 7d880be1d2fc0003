/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Compact unwind tables from an ELF file's .eh_frame.
 *
 * CIEs and FDEs are split by libdw (dwarf_next_cfi); their call frame instructions are executed
 * here, once per FDE, into rows of (pc, rule) where a rule (struct unwind_rule of the contract) is
 * interned, because a process with tens of thousands of functions has a few hundred distinct ones.
 * Nothing here reads a process: the input is one ELF file, which may be corrupt.
 */
#ifndef LUASPY_UNWIND_TABLE_H
#define LUASPY_UNWIND_TABLE_H

#include <libelf.h>
#include <stddef.h>
#include <stdint.h>

#include "../bpf/contract.h"

/* ---- rules ------------------------------------------------------------------------------ */

/* The set of distinct rules, shared by all tables. Ids are small, stable and dense from 0. */
struct unwind_rules;

/* Returns NULL when out of memory. Id 0 (RULE_ID_NONE) is the CFA_NONE rule from the start. */
struct unwind_rules *unwind_rules__new(void);
void unwind_rules__free(struct unwind_rules *self);

/* Returns the id of a rule equal to `rule`, adding it if needed; -ENOSPC when MAX_RULES are in
 * use, -ENOMEM. The caller zeroes unused fields: rules are compared as bytes. */
int unwind_rules__intern(struct unwind_rules *self, const struct unwind_rule *rule);

/* Borrowed pointer, valid until the next intern; NULL for an id that was never given out. */
const struct unwind_rule *unwind_rules__get(const struct unwind_rules *self, uint32_t id);
uint32_t unwind_rules__count(const struct unwind_rules *self);

/* The rule as the walk gets it: with RULE_SIMPLE and saved_mask where they apply. */
struct unwind_rule unwind_rule__for_walk(const struct unwind_rule *rule);

/* ---- tables ------------------------------------------------------------------------------ */

struct unwind_row {
	uint64_t pc;   /* ELF virtual address where the rule starts to hold */
	uint32_t rule; /* id in the rule set; RULE_ID_NONE where no FDE covers */
};

/* The text range of one FDE: ELF virtual addresses [start, end). */
struct unwind_function {
	uint64_t start;
	uint64_t end;
};

struct unwind_table {
	struct unwind_row
		*rows; /* ascending by pc, no two equal, no two neighbours with one rule */
	size_t row_count;
	struct unwind_function *functions; /* ascending by start */
	size_t function_count;
	size_t skipped; /* FDEs that were corrupt or of an unknown form, or too many, and left out
			 */
	size_t bytes;	/* of .eh_frame that were read */
};

/*
 * Builds the table of an ELF file (any libelf handle: file descriptor or memory). A file without
 * .eh_frame gives an empty table and 0. Corrupt entries are skipped and counted; the walk over the
 * section ends at the first entry whose length cannot be trusted.
 * .eh_frame is found by its section or, without section headers, through PT_GNU_EH_FRAME.
 * Returns 0 or negative errno (-ENOMEM, -ENOEXEC for a file that is not x86-64 ELF,
 * -ENOSPC when the rule set is full). The caller frees *table.
 */
int unwind_table__build(Elf *elf, struct unwind_rules *rules, struct unwind_table **table);
void unwind_table__free(struct unwind_table *self);

/* The rule in force at `vaddr`; RULE_ID_NONE when none is. */
uint32_t unwind_table__rule_at(const struct unwind_table *self, uint64_t vaddr);

/* The FDE that covers `vaddr`, or NULL. Borrowed. */
const struct unwind_function *unwind_table__function_at(const struct unwind_table *self,
							uint64_t vaddr);

/*
 * Replaces the rows of [start, end) by `rows` (ascending, all within the range); the rule that was
 * in force at `end` goes on from there. Before the first of `rows`, the rule in force before
 * `start` goes on. Returns 0, -ENOMEM, or -EINVAL for rows or a range that break these terms.
 */
int unwind_table__replace(struct unwind_table *self, uint64_t start, uint64_t end,
			  const struct unwind_row *rows, size_t row_count);

/*
 * Encodes the table as the array of 64-bit entries that the kernel side searches (contract.h:
 * "A file's unwind table"). *entries has *count elements and is the caller's to free. Fills
 * text_base, pages and rows of *file. An empty table gives count 0. Returns 0, -ENOMEM, or -E2BIG
 * when the text range does not fit 32 bits.
 */
int unwind_table__encode(const struct unwind_table *self, struct file_table *file,
			 uint64_t **entries, size_t *count);

#endif
