/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a direct call does to the caller's registers, and whether it ever returns, found by decoding
 * the callee. Compilers use both: gcc keeps values in registers that a callee of the same file
 * leaves alone (-fipa-ra), and lays other code behind the call of a function that raises an error.
 */
#ifndef LUASPY_PUC_CALLS_H
#define LUASPY_PUC_CALLS_H

#include <stdbool.h>

#include "../unwind/unwind_table.h"
#include "puc_image.h"

/* All registers that a function may change. */
#define PUC_CALLER_SAVED 0x0f37u

struct puc_callee {
	uint64_t entry;
	uint16_t clobbers; /* bit per DWARF register */
	bool returns;
};

struct puc_calls {
	struct puc_image *image; /* borrowed, as is the table */
	const struct unwind_table *table;
	struct puc_callee *known;
	size_t count;
	uint64_t decoded; /* bytes so far */
};

/* What calling `entry` does; without more knowledge it clobbers all and returns. 0 or -ENOMEM. */
int puc_calls__get(struct puc_calls *self, uint64_t entry, struct puc_callee *callee);
void puc_calls__free(struct puc_calls *self);

#endif
