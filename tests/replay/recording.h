/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Recordings: what walks of a live thread read and what they found, in a file that a test can
 * replay anywhere. They are made by tests/replay/tools/record_process.c.
 *
 * The format is text, gzip-compressed or not, one item a line, all numbers hexadecimal:
 *
 *     luaspy-recording 1
 *     # comment
 *     build N...                    the fields of struct luajit_build, in order
 *     puc RELEASE START END         a build of PUC Lua: release (50404 is 5.4.4) and luaV_execute;
 *                                   the layouts are those that vm/puc_layout.c has for it
 *     rule ID N...                  the fields of struct unwind_rule up to vm_base_reg, then base
 *                                   and offset per saved register, vm_pc, vm_pc_slot. Only rules
 *                                   in use; ids ascend
 *     file TEXT_BASE PAGES VM PUC   the next file id, counted from 0
 *     row FILE ROW                  a row of its table that is used (contract.h: ROW_MAKE)
 *     mapping START END BIAS FILE
 *     vm VM TID
 *     take                          one moment; memory carries over from the take before
 *     registers R0 ... R16          by DWARF number, the last is the pc
 *     thread_vm G                   before the walk
 *     memory ADDRESS BYTES          a line of REPLAY_LINE bytes
 *     result STOP LUA_ERROR WORD... what the walk gave
 *
 * Numbers that are missing at the end of a line are 0.
 */
#ifndef LUASPY_RECORDING_H
#define LUASPY_RECORDING_H

#include "replay_env.h"

struct recording_take {
	uint64_t registers[DW_REG_COUNT];
	uint64_t thread_vm;
	struct replay_line *lines;
	size_t line_count;
	uint32_t stop;
	uint32_t lua_error;
	uint64_t *words;
	size_t word_count;
};

struct recording {
	struct replay *replay; /* everything but memory and registers */
	struct recording_take *takes;
	size_t take_count;
};

/* Reads a file. 0, -errno of open, or -EINVAL with *line set to where the file is not understood.
 */
int recording__read(const char *path, struct recording *self, size_t *line);
void recording__free(struct recording *self);

/* Puts the memory and registers of take `index` into self->replay. Takes build on one another: they
 * are to be loaded in order, from 0. */
void recording__load(struct recording *self, size_t index);

/* Appends the replay's present registers and memory, and `result`, as a take. 0 or -ENOMEM. */
int recording__add_take(struct recording *self, const struct replay *replay, uint64_t thread_vm,
			const struct replay_result *result);
/* Writes takes with `replay`'s tables, as far as they were used (replay->log). 0 or -errno. */
int recording__write(const struct recording *self, const struct replay *replay, const char *path);

#endif
