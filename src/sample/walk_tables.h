/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the walk knows of files and of Lua's builds, in user space: the same that kernel_tables.h
 * sends to the kernel, for walks that are done here (user_walk.h).
 */
#ifndef LUASPY_WALK_TABLES_H
#define LUASPY_WALK_TABLES_H

#include <stddef.h>
#include <stdint.h>

#include "../bpf/contract.h"

/* A file's unwind table (contract.h). */
struct walk_rows {
	uint64_t *entries;
	uint32_t count;
	uint8_t *used; /* NULL, or per entry: a row that a walk has used (tests) */
};

struct walk_tables {
	struct unwind_rule *rules; /* as the walk gets them (unwind_rule__for_walk) */
	size_t rule_count;
	struct file_table *files; /* by file id */
	struct walk_rows *rows;	  /* beside them */
	size_t file_count;
	struct luajit_build *builds;
	size_t build_count;
	struct puc_build *pucs;
	size_t puc_count;
};

void walk_tables__free(struct walk_tables *self);

/* Each copies what it is given and returns 0 or -ENOMEM. Rules and builds come in order. */
int walk_tables__put_rule(struct walk_tables *self, const struct unwind_rule *rule);
int walk_tables__put_file(struct walk_tables *self, uint32_t file_id, const struct file_table *file,
			  const uint64_t *entries, size_t count);
int walk_tables__put_build(struct walk_tables *self, const struct luajit_build *build);
int walk_tables__put_puc(struct walk_tables *self, const struct puc_build *build);

#endif
