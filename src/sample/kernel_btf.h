/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The part of the running kernel's BTF that a BPF object is relocated by (CO-RE), as a file for
 * libbpf's bpf_object_open_opts.btf_custom_path.
 *
 * libbpf's own way, without that, is to read and index all of it, some 125,000 types, and to search
 * them by name for each struct: 15 ms of CPU time and 10 MB. This takes 1.4 ms (6 ms before Linux
 * 6.16, where the BTF has to be copied), and nothing stays. Which structs are needed is read off
 * the object itself.
 */
#ifndef LUASPY_KERNEL_BTF_H
#define LUASPY_KERNEL_BTF_H

#include <stddef.h>

struct kernel_btf {
	int fd;	       /* -1: none */
	char path[32]; /* of what `fd` has, in this process */
};

/*
 * `object` has the `size` bytes of a BPF object file. 0, and *self to be closed when libbpf has
 * loaded the object; or a negative errno of whatever does not fit. Then libbpf's own way is to be
 * taken, and what it says is what is wrong.
 */
int kernel_btf__open(const void *object, size_t size, struct kernel_btf *self);

/* May be closed again, and after kernel_btf__open has failed. */
void kernel_btf__close(struct kernel_btf *self);

#endif
