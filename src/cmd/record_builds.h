/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What `luaspy record` says about the LuaJIT builds that it met: with -v all that is known of each,
 * always where the sources of that knowledge disagree.
 */
#ifndef LUASPY_RECORD_BUILDS_H
#define LUASPY_RECORD_BUILDS_H

#include <stdio.h>

#include "../sample/lua_vms.h"
#include "../sample/modules.h"

/* How much of it has been said. */
struct record_builds {
	uint32_t modules;
	size_t conflicts;
};

/* A line for each disagreement that has come to light since the last call. */
void record_builds__warn(struct record_builds *self, const struct modules *modules,
			 const struct lua_vms *vms, FILE *out);

/* For the closing lines: which files and processes are without Lua frames, and why. */
void record_builds__print_conflicts(const struct modules *modules, const struct lua_vms *vms,
				    FILE *out);

/* Each build with its offsets. Sample:
 *
 *   /usr/bin/luajit: LuaJIT 2.1.1737090214, GC64, with JIT compiler, with FFI
 *     known build: OpenResty 20250117; heaps checked: 1
 *     g->cur_L              0x170    stored by the entries [table agrees, heap agrees]
 */
void record_builds__print(const struct modules *modules, const struct lua_vms *vms, FILE *out);

#endif
