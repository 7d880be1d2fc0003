/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a process allows, and what would be missing in its profile: its files, their unwind tables
 * and names, its Lua. Nothing is loaded into the kernel for it.
 */
#ifndef LUASPY_DOCTOR_PROCESS_H
#define LUASPY_DOCTOR_PROCESS_H

#include <sys/types.h>

#include "doctor_report.h"

/* Sets the section's title as well. -ESRCH when there is no such process (any more), which is a
 * failed check too; else 0. */
int doctor_process__check(pid_t pid, struct doctor_section *section);

#endif
