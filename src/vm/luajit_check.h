/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Is what was decoded from LuaJIT's code true of a running VM? Each offset is held against that
 * VM's memory: at g + cur_L must be a lua_State of this VM, trace number i of the array of traces
 * must say of itself that it is number i, and so on. What a check rests on are the fixed layouts
 * (bpf/luajit_layout.h) and values that LuaJIT itself puts there, not other decoded offsets,
 * wherever that is possible.
 *
 * The target runs meanwhile. What disagrees is looked at again, and disagrees only if it does each
 * time; a VM that is closed meanwhile says nothing.
 */
#ifndef LUASPY_LUAJIT_CHECK_H
#define LUASPY_LUAJIT_CHECK_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "../target/maps.h"
#include "luajit.h"

/*
 * Sets .heap, .heap_wants and .heap_value of `facts`, whose other fields luajit__facts has filled
 * from *build. `g` is the VM's global_State, `interpreter` where in the process
 * build->interpreter_start is. A fact that disagrees already stays so, one that agrees already may
 * come to disagree: so several VMs can be checked one after the other. Takes some milliseconds;
 * some tens more when something disagrees. Returns 0, -ENOENT when there is no VM at `g` (any
 * more), -ESRCH, -EPERM, -EACCES or -ENOMEM; then no fact was changed.
 */
int luajit_check__vm(pid_t pid, uint64_t g, uint64_t interpreter, const struct luajit_build *build,
		     struct luajit_fact *facts, size_t count);

/* All that can be known of the LuaJIT in a file that a process has mapped. */
struct luajit_check {
	struct luajit_found found;
	struct luajit_fact facts[LUAJIT_OFFSETS];
	size_t fact_count;
	uint64_t interpreter; /* where in the process it is */
	uint32_t vm_count;    /* VMs found in the process */
	uint32_t vm_checked;  /* of those, whose heaps the facts were held against */
	bool vm_all;	      /* the whole memory of the process was looked at */
};

/*
 * Needs no recording and no BPF. `maps` are the process's mappings, `entry` an executable one of
 * the file; `deadline_ns` (CLOCK_PROCESS_CPUTIME_ID) ends the search for VMs. Returns 0 also when
 * the sources disagree (luajit_facts__conflict) or no VM was found. -ENOENT: no LuaJIT in this
 * file; -EINVAL: one that is not understood; errors of elf_file__open_mapping; -ENOMEM.
 */
int luajit_check__process(pid_t pid, const struct maps *maps, const struct map_entry *entry,
			  uint64_t deadline_ns, struct luajit_check *check);

#endif
