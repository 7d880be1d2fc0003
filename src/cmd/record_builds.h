/* SPDX-License-Identifier: Apache-2.0 */
/* `luaspy record -v`: which LuaJIT was met, and how its offsets were found. */
#ifndef LUASPY_RECORD_BUILDS_H
#define LUASPY_RECORD_BUILDS_H

#include <stdio.h>

#include "../sample/lua_vms.h"
#include "../sample/modules.h"

void record_builds__print(const struct modules *modules, const struct lua_vms *vms, FILE *out);

#endif
