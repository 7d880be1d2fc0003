/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Where luaV_execute keeps L and the position in the bytecode at each of its instructions, found by
 * decoding it: a forward data-flow analysis over registers and stack slots (puc_state.h), from L in
 * the register of the first argument. The result is unwind rows: .eh_frame's with those facts.
 *
 * It also proves that a function is luaV_execute: it fetches instructions from where a CallInfo's
 * savedpc points and jumps by a table of as many entries as there are opcodes.
 */
#ifndef LUASPY_PUC_FLOW_H
#define LUASPY_PUC_FLOW_H

#include "puc_code.h"
#include "puc_state.h"

/* For tests and people. */
struct puc_flow_counts {
	size_t instructions, reached;
	size_t without_L;	 /* of those reached */
	size_t without_position; /* and not in memory either */
	size_t fetches, dispatches, saves, returns;
	bool is_newest; /* puc_release.h */
};

struct puc_flow {
	struct unwind_row *rows; /* of all parts, ascending; row_count[k] of part k */
	size_t row_counts[PUC_MAX_PARTS];
	struct puc_flow_counts counts;
};

/*
 * Analyses the code of a release with `opcodes` opcodes; build->release and the layouts are filled
 * in. Returns 0, -EINVAL when it is not luaV_execute or not understood, -ENOMEM, or -ENOSPC from
 * the rule set. puc_flow__free releases what *flow holds.
 */
int puc_flow__analyse(const struct puc_code *code, const struct puc_build *build,
		      unsigned int opcodes, struct unwind_rules *rules, struct puc_flow *flow);
void puc_flow__free(struct puc_flow *flow);

#endif
