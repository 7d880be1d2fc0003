/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Complains about the targets' files that could not be read for want of rights.
 */
#ifndef LUASPY_RECORD_FILES_H
#define LUASPY_RECORD_FILES_H

#include <stdio.h>

#include "../sample/modules.h"

/*
 * One line about those from module *next on, with what would open them; sets *next to the number of
 * modules, so that the next call is about those that came since.
 */
void record_files__warn(const struct modules *modules, uint32_t *next, FILE *out);

#endif
