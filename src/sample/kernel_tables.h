/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The tables that the walk reads, as maps in the kernel: unwind rules, one row table a file,
 * LuaJIT builds, mappings and processes. Writes them in an order in which a walk that runs
 * meanwhile sees either the old or the new state. What goes into them is others' matter.
 */
#ifndef LUASPY_KERNEL_TABLES_H
#define LUASPY_KERNEL_TABLES_H

#include <stddef.h>
#include <stdint.h>

#include "../bpf/contract.h"
#include "../unwind/unwind_table.h"
#include "walk_tables.h"

struct sampler_bpf; /* the BPF skeleton */
struct kernel_tables;

/* `bpf` is borrowed; its maps exist already. `copy`, which may be NULL and is borrowed, gets all
 * rules, files and builds, too. NULL when out of memory. */
struct kernel_tables *kernel_tables__new(struct sampler_bpf *bpf, struct walk_tables *copy);
void kernel_tables__free(struct kernel_tables *self);

/* Sends the rules that were interned since the last call. 0 or negative errno. */
int kernel_tables__put_rules(struct kernel_tables *self, const struct unwind_rules *rules);

/* Sends a file's encoded table (unwind_table__encode) under `file_id`; count may be 0. Its rules
 * must have been sent. Walks see it from the next kernel_tables__put_process on. 0 or negative
 * errno. */
int kernel_tables__put_file(struct kernel_tables *self, uint32_t file_id,
			    const struct file_table *file, const uint64_t *entries, size_t count);

/* Puts the files' tables in that wait to be put in together; kernel_tables__put_process does it,
 * too. 0 or negative errno. */
int kernel_tables__flush(struct kernel_tables *self);

int kernel_tables__put_build(struct kernel_tables *self, uint32_t vm,
			     const struct luajit_build *build);
int kernel_tables__put_puc(struct kernel_tables *self, uint32_t puc, const struct puc_build *build);

/*
 * Sends a process's executable mappings (ascending) and makes them current in one step. `vm` is
 * 1 + the index of its LuaJIT build, or 0; `flags` are PROCESS_*. -ENOSPC when the mappings of all
 * processes do not fit.
 */
int kernel_tables__put_process(struct kernel_tables *self, uint32_t tgid,
			       const struct mapping *mappings, uint32_t count, uint32_t vm,
			       uint32_t flags);
void kernel_tables__remove_process(struct kernel_tables *self, uint32_t tgid);

#endif
