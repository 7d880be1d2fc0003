/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The sampling programs are loaded for the kinds of Lua VM that the targets have, because the
 * verifier takes as long for the walks of both as for all else. When another kind comes (a library
 * is opened, a process executes something else or is added), they are loaded once more, with all
 * walks, and the first ones go over to these by a tail call. Both use the same maps.
 *
 * That takes CAP_PERFMON, which is raised for it.
 */
#ifndef LUASPY_VM_PROGRAMS_H
#define LUASPY_VM_PROGRAMS_H

#include <stdbool.h>

struct sampler_bpf; /* the BPF skeleton */
struct vm_programs;

/* Sets the skeleton's settings for `kinds` (enum vm_kinds), before it is loaded; for all kinds
 * where the kernel would gain nothing by less, or could not go over. `bpf` is borrowed. NULL when
 * out of memory. */
struct vm_programs *vm_programs__new(struct sampler_bpf *bpf, unsigned int kinds);
void vm_programs__free(struct vm_programs *self);

/* The programs of `bpf` are loaded: loads the others if they were needed meanwhile. 0 or a negative
 * errno of bpf(2). */
int vm_programs__loaded(struct vm_programs *self);

/* Whether there are programs that may still have to be loaded. */
bool vm_programs__may_load(const struct vm_programs *self);

/*
 * To be called before the kernel is told of a VM of this kind: loads the programs that walk it, if
 * that was not done, which may take as long as the start of a recording. 0 or a negative errno of
 * bpf(2). It is tried once; after a failure it is the same errno each time. `self` is a struct
 * vm_programs.
 */
int vm_programs__need(void *self, unsigned int kind);

#endif
