/* SPDX-License-Identifier: Apache-2.0 */
/* Builds the table of a hand-made .eh_frame and looks at the rules in it. */
#ifndef LUASPY_TEST_UNWIND_BUILT_H
#define LUASPY_TEST_UNWIND_BUILT_H

#include <libelf.h>

#include "../test.h"
#include "test_unwind_synthetic.h"
#include "unwind/unwind_table.h"

struct built {
	struct unwind_rules *rules;
	struct unwind_table *table;
};

static inline struct built build(const struct piece *piece)
{
	struct built built = {.rules = unwind_rules__new()};
	size_t file_size = 0;
	struct synthetic_elf *file = synthetic_elf__new(piece->bytes, piece->size, 1, &file_size);
	Elf *elf = elf_memory((char *)file, file_size);

	CHECK(built.rules && file && elf);
	CHECK_EQ(unwind_table__build(elf, built.rules, &built.table), 0);
	elf_end(elf);
	free(file);
	return built;
}

static inline void release(struct built *built)
{
	unwind_table__free(built->table);
	unwind_rules__free(built->rules);
}

static inline const struct unwind_rule *rule_at(const struct built *built, uint64_t pc)
{
	return unwind_rules__get(built->rules, unwind_table__rule_at(built->table, pc));
}

#define CHECK_CFA(built_, pc_, kind_, reg_, offset_)                                               \
	do {                                                                                       \
		const struct unwind_rule *rule_ = rule_at(built_, pc_);                            \
		CHECK_EQ(rule_->cfa_kind, kind_);                                                  \
		CHECK_EQ(rule_->cfa_reg, reg_);                                                    \
		CHECK_EQ(rule_->cfa_offset, offset_);                                              \
		CHECK_EQ(rule_->vm_base_reg, VM_NO_REG);                                           \
		CHECK_EQ(rule_->flags | rule_->vm_flags | rule_->vm_pc_slot, 0);                   \
	} while (0)

#define CHECK_SAVED(built_, pc_, which_, base_, offset_)                                           \
	do {                                                                                       \
		const struct unwind_rule *rule_ = rule_at(built_, pc_);                            \
		CHECK_EQ(rule_->saved_base[which_], base_);                                        \
		CHECK_EQ(rule_->saved_offset[which_], offset_);                                    \
	} while (0)

#endif
