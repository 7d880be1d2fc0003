/* SPDX-License-Identifier: Apache-2.0 */
/*
 * luaV_execute as decoded instructions: the parts that the compiler made of it, its jump tables and
 * its basic blocks. What its code does with L and the position is puc_state.c and puc_flow.c.
 */
#ifndef LUASPY_PUC_CODE_H
#define LUASPY_PUC_CODE_H

#include "../unwind/unwind_table.h"
#include "puc_image.h"
#include "x86_code.h"

#define PUC_MAX_PARTS 8u /* the function and what was split off as cold */

struct puc_jump_table {
	uint64_t base;
	uint32_t first, count; /* of puc_code.targets */
};

struct puc_block {
	uint32_t first, end; /* instructions [first, end) */
};

struct puc_code {
	struct unwind_function parts[PUC_MAX_PARTS]; /* ascending */
	size_t part_count;
	uint64_t entry;
	struct x86_code code;
	uint32_t *rules;	       /* of each instruction */
	uint16_t *clobbers;	       /* ... that is a call: registers that it changes */
	uint8_t *ends;		       /* control does not go on behind it */
	struct puc_jump_table *tables; /* ascending by base */
	size_t table_count;
	uint32_t *targets; /* indices of instructions */
	size_t target_count;
	struct puc_block *blocks; /* ascending */
	size_t block_count;
	uint32_t *block_of; /* of each instruction */
};

/* Has `function` a jump table of at least `opcodes` entries? Looks at its bytes only: quick. */
bool puc_code__may_be(struct puc_image *image, const struct unwind_function *function,
		      unsigned int opcodes);

/* 0, -EINVAL when it cannot be decoded or is too large, -ENOMEM, -EIO. To be closed only after 0.
 */
int puc_code__open(struct puc_code *self, struct puc_image *image, const struct unwind_table *table,
		   const struct unwind_rules *rules, const struct unwind_function *function);
void puc_code__close(struct puc_code *self);

/* The jump table at `base`, -1 for none. */
int puc_code__table(const struct puc_code *self, uint64_t base);

#endif
