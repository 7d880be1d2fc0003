/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The walk (src/bpf/walk.h) in user space: the surroundings that it has in the kernel, over memory
 * and tables that a test supplies. A replay is one target at one moment: memory, mappings, files
 * with their unwind tables, rules, LuaJIT builds and a thread's registers.
 *
 * Where the contents come from is not decided here: a file (recording.h), a live process that is
 * stopped (replay_process.h), or a test's own hands.
 */
#ifndef LUASPY_REPLAY_ENV_H
#define LUASPY_REPLAY_ENV_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "bpf/contract.h"
#include "sample/user_walk.h"

#define REPLAY_LINE   64u /* memory comes and goes in lines of this many bytes */
#define REPLAY_BUILDS 4u

struct replay_line {
	uint64_t address;
	uint8_t bytes[REPLAY_LINE];
};

struct replay {
	struct replay_line *lines; /* ascending */
	size_t line_count, line_capacity;

	struct mapping *mappings; /* ascending */
	size_t mapping_count;
	struct file_table *files;
	struct walk_rows *tables; /* beside files; .used is kept with a log */
	size_t file_count;
	struct unwind_rule *rules;
	size_t rule_count;
	struct luajit_build builds[REPLAY_BUILDS];
	struct puc_build pucs[REPLAY_BUILDS]; /* of PUC Lua */
	size_t puc_count;
	size_t build_count;

	uint64_t registers[DW_REG_COUNT]; /* by DWARF number, [DW_REG_RA] is the pc */
	uint32_t tid;
	uint32_t vm; /* 1 + index of the process's build, 0 = none */
	uint64_t thread_vm;

	/*
	 * Memory that is not in `lines`: reads all of [address, address + size) and returns true,
	 * or returns false. NULL: there is none. With `log`, what it gave is kept in `lines`.
	 */
	bool (*fetch)(void *context, uint64_t address, void *bytes, size_t size);
	void *fetch_context;
	bool log;
	uint32_t generation; /* user_walk_view's; 1 at first */

	struct user_walk *walk;
};

#define replay_result user_walk_result

/* NULL when out of memory. Everything in it belongs to it. */
struct replay *replay__new(void);
void replay__free(struct replay *self);

/* Puts bytes at an address; the rest of a line that is new is zero. */
void replay__set_memory(struct replay *self, uint64_t address, const void *bytes, size_t size);
void replay__set_word(struct replay *self, uint64_t address, uint64_t value);
/* Makes the lines of [address, address + size) absent. */
void replay__drop_memory(struct replay *self, uint64_t address, uint64_t size);
/* 0, or -EFAULT (zero-filling `bytes`) when a byte is absent, as the kernel's helper does. */
int replay__read(struct replay *self, uint64_t address, void *bytes, size_t size);

/* Appends; each returns the index, or -ENOMEM. Mappings are to be added in ascending order. What a
 * rule's RULE_SIMPLE says is found here. */
int replay__add_mapping(struct replay *self, const struct mapping *mapping);
int replay__add_rule(struct replay *self, const struct unwind_rule *rule);
/* `entries` is encoded for `file`; it is copied. */
int replay__add_file(struct replay *self, const struct file_table *file, const uint64_t *entries,
		     size_t count);
/* The same from rows alone (ROW_MAKE, ascending), with file->text_base and file->pages given. */
int replay__add_file_rows(struct replay *self, const struct file_table *file, const uint64_t *rows,
			  size_t count);

/* Walks from the registers. Nothing is left over from an earlier walk but what the kernel keeps. */
void replay__walk(struct replay *self, struct replay_result *result);

const char *replay__stop_name(uint32_t stop);
const char *replay__error_name(uint32_t lua_error);

#endif
