/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The local variables and upvalues of the Lua frames of a dump: their slots come with the walks
 * (RECORD_FRAME of contract.h); what they mean is read at once from the process, as long as it is
 * still about the same.
 */
#ifndef LUASPY_DUMP_VALUES_H
#define LUASPY_DUMP_VALUES_H

#include "dump_session.h"

struct dump_values;

/* NULL when out of memory. */
struct dump_values *dump_values__new(void);
void dump_values__free(struct dump_values *self);

/* Keeps a frame until its stack is taken; `self` is one. For sampler__on_frame. */
void dump_values__keep(void *self, const struct record_frame *record);

/* Fills stack->variables, which has an element for each LUA word. 0 or -ENOMEM. */
int dump_values__take(struct dump_values *self, struct dump_session *session,
		      struct dump_stack *stack);

#endif
