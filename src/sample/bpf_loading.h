/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Loads the BPF programs in a thread of its own. The kernel's verifier takes 0.15 to 0.2 seconds
 * for the sampling program, but the maps are there before it begins: meanwhile the caller reads the
 * targets' files and fills them.
 */
#ifndef LUASPY_BPF_LOADING_H
#define LUASPY_BPF_LOADING_H

struct sampler_bpf; /* the BPF skeleton */
struct bpf_loading;
struct refusal;
struct kernel_btf;

/* Opens the skeleton with the part of the kernel's BTF that it needs, to be closed when it is
 * loaded or destroyed. NULL with errno set. */
struct sampler_bpf *bpf_loading__skeleton(struct kernel_btf *kernel_btf);

/* Opens the skeleton: *bpf, whose settings are to be made before bpf_loading__start and which the
 * caller destroys, after bpf_loading__free. One at a time in a process. 0 or a negative errno. */
int bpf_loading__open(struct bpf_loading **self, struct sampler_bpf **bpf);

/* Begins to load, and waits until the maps exist. 0, or a negative errno of what failed before. The
 * maps' descriptors are closed at once if the programs do not load: what fails after this may fail
 * of that, which bpf_loading__finish tells. */
int bpf_loading__start(struct bpf_loading *self);

/* Waits until all is loaded: 0, or the negative errno of bpf(2). To be called once. */
int bpf_loading__finish(struct bpf_loading *self);

/* After either has failed: did the verifier refuse a program? *refusal as of program_logs__take. */
void bpf_loading__refusal(struct bpf_loading *self, struct refusal *refusal);

/* Waits for the thread if that was not done. */
void bpf_loading__free(struct bpf_loading *self);

#endif
