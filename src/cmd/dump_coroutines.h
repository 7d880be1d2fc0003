/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The Lua VMs of a dump's processes, running or not, and all of their coroutines with their stacks.
 */
#ifndef LUASPY_DUMP_COROUTINES_H
#define LUASPY_DUMP_COROUTINES_H

#include "dump_session.h"

/* Adds them to a process whose threads are known. 0 or a negative errno. */
int dump_coroutines__collect(struct dump_session *session, struct dump_process *process);

#endif
