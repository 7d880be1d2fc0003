/* SPDX-License-Identifier: Apache-2.0 */
/*
 * From what is known at each instruction of luaV_execute (puc_flow.c) to unwind rows: which of the
 * places that hold L and the position a row names.
 */
#ifndef LUASPY_PUC_ROWS_H
#define LUASPY_PUC_ROWS_H

#include "puc_flow.h"

/* The analysis of one function; puc_flow.c fills it. */
struct puc_analysis {
	const struct puc_code *code;
	const struct puc_build *build;
	struct unwind_rules *rules;
	unsigned int opcodes;
	uint32_t entry;	      /* the first block */
	struct puc_state *in; /* of each block */
	struct puc_state *out;
	struct puc_state entered, now, met;
	uint32_t *first_from, *from; /* the graph backwards */
	uint8_t *loads;		     /* of each instruction: loads from the bytecode */
	uint8_t *kinds;		     /* of those: enum puc_load */
	uint8_t *changes;	     /* ... stores L->ci */
	uint8_t *left;		     /* ... from here only the return is reached, without a call */
	uint8_t *popped;	     /* ... the frame may have been popped */
	int16_t *tables;	     /* of each block's indirect jump; -1: not known */
	uint8_t *events;	     /* of each block: what comes next from its beginning */
	uint8_t *queued;
	bool changed; /* while events are spread */
	int successors;
};

/* Fills flow->rows and some of flow->counts. 0, -ENOMEM, -ENOSPC. */
int puc_rows__make(struct puc_analysis *analysis, struct puc_flow *flow);

#endif
