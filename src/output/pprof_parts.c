// SPDX-License-Identifier: Apache-2.0
#include "pprof_parts.h"

#include <string.h>

const struct pprof_pseudo_mapping pprof_pseudo_mappings[PPROF_PSEUDO_MAPPINGS] = {
	{"[Lua]", PROFILE_LUA, 0},
	{"[Lua, estimated]", PROFILE_LUA, 1},
	{"[Lua compiled]", PROFILE_LUA_COMPILED, 0},
	{"[Lua compiled, estimated]", PROFILE_LUA_COMPILED, 1},
	{"[Lua built-in]", PROFILE_BUILTIN, 0},
	{"[kernel]", PROFILE_KERNEL, 0},
	{"[luaspy]", PROFILE_NOTE, 0},
	{"[thread]", PROFILE_THREAD, 0},
};

const struct pprof_values pprof_values[PROFILE_WALL + 1] = {
	[PROFILE_CPU] = {"samples", "cpu"},
	[PROFILE_OFF_CPU] = {"events", "off_cpu"},
	[PROFILE_WALL] = {"samples", "wall"},
};

size_t pprof_pseudo_mapping__of(const struct profile_frame *frame)
{
	uint32_t estimated = frame->type == PROFILE_LUA || frame->type == PROFILE_LUA_COMPILED
				     ? frame->estimated
				     : 0;
	size_t i;

	for (i = 0; i < PPROF_PSEUDO_MAPPINGS; i++) {
		if (pprof_pseudo_mappings[i].type == frame->type &&
		    pprof_pseudo_mappings[i].estimated == estimated)
			break;
	}
	return i;
}

size_t pprof_pseudo_mapping__named(const char *name)
{
	size_t i;

	for (i = 0; i < PPROF_PSEUDO_MAPPINGS; i++) {
		if (strcmp(pprof_pseudo_mappings[i].name, name) == 0)
			break;
	}
	return i;
}
