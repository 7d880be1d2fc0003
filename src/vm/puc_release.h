/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The release of PUC Lua that a file has, from its text or, where that is missing, from its code.
 *
 * A compiler that sees the whole program drops the text that tells the release, to which nothing
 * refers: "Lua 5.4" is left. Most of a version's releases have the layouts of its newest one; this
 * says by luaV_execute's code whether one is of those.
 */
#ifndef LUASPY_PUC_RELEASE_H
#define LUASPY_PUC_RELEASE_H

#include "puc_rows.h"

/* "Lua 5.4.4": 50404. 0 for another text, and for one without a third number, which does not tell a
 * release; "Lua 5.1" does: 50100, and all of 5.1 have the same layouts. */
unsigned int puc_release__of(const char *version);

/* "Lua 5.4": the release whose layouts are tried, 50408; 0 for another text. */
unsigned int puc_release__newest(const char *version);

/*
 * Has the code that was analysed with the layouts of that release those layouts?
 *
 * 5.2.0 keeps the position elsewhere, where the analysis would not have found it. 5.3.0 and 5.3.1
 * mark frames in another way: luaV_execute does not mark its own at its entry. 5.4.1 and 5.4.2 have
 * hookmask, which luaV_execute reads, in another place. 5.4.0 has it in the same one: what is read
 * of its VMs is not consistent, and not used (walk_puc.h looks for the main thread).
 */
bool puc_release__is_newest(struct puc_analysis *analysis);

#endif
