/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a direct call does to the caller's registers, and whether it ever returns, found by decoding
 * the callees and theirs. Compilers use both: gcc keeps values in registers that a callee of the
 * same file leaves alone (-fipa-ra), and lays other code behind the call of a function that raises
 * an error.
 */
#ifndef LUASPY_PUC_CALLS_H
#define LUASPY_PUC_CALLS_H

#include <stdbool.h>

#include "../unwind/unwind_table.h"
#include "puc_image.h"

/* All registers that a function may change. */
#define PUC_CALLER_SAVED 0x0f37u

struct puc_callee {
	uint64_t start;	   /* of its part of the code */
	uint16_t clobbers; /* bit per DWARF register */
	bool returns;
};

struct puc_calls {
	struct puc_image *image; /* borrowed, as is the table */
	const struct unwind_table *table;
	struct puc_callee *callees;
	size_t count;
	struct puc_calls_edge {
		uint32_t from, to;
		bool jumps;
	} * edges;
	size_t edge_count;
	uint64_t decoded; /* bytes so far */
};

/* Of the code at `image` and `table`. 0 or -ENOMEM; to be freed in any case. */
int puc_calls__open(struct puc_calls *self, struct puc_image *image,
		    const struct unwind_table *table);
void puc_calls__free(struct puc_calls *self);

/* Adds a function that is called. */
void puc_calls__add(struct puc_calls *self, uint64_t entry);

/* Examines all that have been added, and what they call. 0 or -ENOMEM. */
int puc_calls__solve(struct puc_calls *self);

/* What calling `entry` does; without more knowledge it clobbers all and returns. */
struct puc_callee puc_calls__get(const struct puc_calls *self, uint64_t entry);

#endif
