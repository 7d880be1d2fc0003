/* SPDX-License-Identifier: Apache-2.0 */
#ifndef LUASPY_HELP_H
#define LUASPY_HELP_H

#include <stdio.h>

/* What `luaspy --help` prints. */
void help__print(FILE *out);

#endif
