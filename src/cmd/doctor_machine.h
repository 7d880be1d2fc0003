/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What this machine, and the container and the privileges that luaspy runs with, allow. What can be
 * tried is tried: settings only explain why it did not work.
 */
#ifndef LUASPY_DOCTOR_MACHINE_H
#define LUASPY_DOCTOR_MACHINE_H

#include "doctor_report.h"

/* Takes a quarter of a second: luaspy's own programs are loaded and sample luaspy itself. */
void doctor_machine__check(struct doctor_section *section);

#endif
