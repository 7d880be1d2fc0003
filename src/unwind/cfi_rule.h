/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Turns a row of call frame information into the rule that the walker executes. DWARF expressions
 * are not evaluated: the few forms that compilers, linkers and C libraries emit are recognised,
 * the rest becomes CFA_UNSUPPORTED (CFA, return address) or BASE_UNDEFINED (a register).
 */
#ifndef LUASPY_CFI_RULE_H
#define LUASPY_CFI_RULE_H

#include "cfi_program.h"

/* Fills all bytes of *rule, so that equal rules are equal as bytes. */
void cfi_rule__from_state(const struct cfi_state *state, bool is_signal_frame,
			  struct unwind_rule *rule);

/*
 * The end of a function that resumes a throw (GCC's __builtin_eh_return: _Unwind_RaiseException and
 * its kin): the registers are those of the frame that is gone to, and rcx is where its stack
 * starts. GCC's rows say the latter, but keep the places of the registers, which are not there any
 * more. Called for the rows of a function in order; *resuming is kept between them, false at the
 * first.
 */
void cfi_rule__resume_throw(struct unwind_rule *rule, bool *resuming);

#endif
