/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * What the walk needs from its surroundings: memory of the target, the tables of the contract, and
 * scratch space. In the kernel these are helpers and maps (sampler.bpf.c defines the maps before
 * it includes the walk); in user space sample/user_walk.c supplies functions.
 *
 * Subprograms of the walk are *global* functions without pointer arguments (SUBPROGRAM): the
 * verifier checks each of them once, by itself, instead of once per call and path. That is what
 * lets hundreds of frames be walked in one program on every kernel from 5.10 on, without tail
 * calls or bpf_loop. They find their state by walk_state().
 */
#ifndef LUASPY_WALK_ENV_H
#define LUASPY_WALK_ENV_H

#include "contract.h"

struct walk;

#ifdef LUASPY_BPF

#include <bpf/bpf_helpers.h>

#define SUBPROGRAM	  __attribute__((noinline))
#define load_u64(address) (*(const __u64 *)(address))
#define INLINE		  static __attribute__((always_inline)) inline

#else

#include <stdbool.h>
#include <stddef.h>
#include <string.h>

/* Which VMs are walked (sampler.bpf.c). */
#define with_luajit true
#define with_puc    true

#define SUBPROGRAM
#define INLINE					static inline
#define bpf_probe_read_user(dst, size, address) env__read_user(dst, size, address)
#define barrier_var(x)				((void)0)

/* A hostile rsp makes words of the copied stack unaligned, which only C minds. */
static inline __u64 load_u64(const void *address)
{
	__u64 value;

	memcpy(&value, address, sizeof(value));
	return value;
}

/* Supplied by whoever compiles the walk for user space. */
struct walk *walk_state(void);
long env__read_user(void *dst, __u32 size, const void *address); /* 0 or negative errno; zero-fills
								  * dst when it fails */
const struct mapping *mapping_at(__u32 index);
const struct file_table *file_at(__u32 file_id);
typedef const struct walk_rows *table_handle;
table_handle table_of(__u32 file_id);
struct table_look {
	table_handle table;
};
const __u64 *table_entry(struct table_look *look, __u32 index); /* NULL outside the table */
const struct unwind_rule *rule_at(__u32 rule);
struct known_frame *known_frame(__u32 slot);  /* may be NULL */
struct outer_frames *outer_frames(__u32 tid); /* may be NULL */
struct lua_place *lua_place(__u32 index);     /* may be NULL */
const struct luajit_build *build_at(__u32 vm);
const struct puc_build *puc_at(__u32 puc);
__u64 thread_vm(__u32 tid); /* the global_State last seen on a thread, or 0 */
void thread_vm_set(__u32 tid, __u64 g);
__u32 trace_hint(__u64 pc); /* the trace that had this pc, or 0 */
void trace_hint_set(__u64 pc, __u32 trace);

int find_frame(void);
int outer_take_one(__u32 at, __u32 i);
int outer_take(__u32 from);
int outer_known(void);
int outer_keep_one(__u32 from, __u32 to, __u32 needs_rbp);
int outer_keep(__u32 taken);
int walk_some_steps(void);
int walk_step(void);
int unwind_frame_pointer(void);
int walk_check_order(void);
int lua_some_frames(void);
int coroutine_find(void);
int vm_check(__u64 g);
int vm_try(__u32 offset);
int vm_find(void);
int vm_resume(void);
int lua_activation(void);
int lua_frame(void);
int lua_function(void);
int lua_proto_frame(void);
int trace_try(__u32 number);
int trace_scan_block(__u32 first, __u32 count);
int trace_scan(void);
int snapshot_key(__u32 at);
int snapshot_find(void);
int snapshot_entry(__u32 which, __u32 i);
int snapshot_parse(__u32 which, __u32 index);
int prepared_call(__u64 pc);
int refine_return(__u32 i);
int refine_call(__u32 depth);
int inlined_write(void);
int trace_locate(void);
int exit_set(__u32 trace, __u32 exit);
int trace_at_exit(void);
int trace_at_stub(__u32 trace);
int exit_frame_matches(__u32 first, __u32 i);
int exit_frames_match(__u32 first);
int exit_restored(void);
int trace_proto_try(__u32 first, __u32 count);
int trace_proto_find(void);
int trace_enter(void);
int trace_frames(void);
int trace_leave(void);
int walk_trace(void);
int puc_state_read(void);
int puc_lua_frame(void);
int puc_look(void);
int puc_find_current(void);
int puc_frame(void);
int puc_some_frames(void);
int puc_activation(void);
int puc_exchange_words(__u32 from, __u32 to);
int puc_reverse_words(__u32 from, __u32 to);
int puc_exchange_places(__u32 from, __u32 to);
int puc_reverse_places(__u32 from, __u32 to);
int puc_move(__u32 index, __u32 words, __u32 lua);
int puc_leftover(__u32 index);
int find_mapping(void);
int find_rule(void);

#endif

#endif
