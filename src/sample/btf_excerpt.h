/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A small BTF out of a large one, both as raw bytes: the structs of some names with all that their
 * layout depends on. Pointers point to void in it.
 *
 * libbpf's CO-RE relocations of fields are the same with it as with the large one: each struct that
 * libbpf may take for one of a name is there, whole, if there are several, and what a pointer
 * points to is not looked at.
 */
#ifndef LUASPY_BTF_EXCERPT_H
#define LUASPY_BTF_EXCERPT_H

#include <stddef.h>

/*
 * `btf` has `size` bytes, aligned to 4, and may have anything in them. names[i] is taken without
 * flavour (task_struct, not task_struct___old), and fits structs and unions with and without one.
 *
 * 0, and *excerpt with *excerpt_size bytes for the caller to free; or -ENOENT if there is none of a
 * name, -EINVAL for what is no BTF or has a type that may not be there, -ENOTSUP for another byte
 * order or a kind of types that is not known, -E2BIG if thousands of types would be needed,
 * -ENOMEM.
 *
 * The format: the kernel's Documentation/bpf/btf.rst, include/uapi/linux/btf.h.
 */
int btf_excerpt__make(const void *btf, size_t size, const char *const *names, size_t name_count,
		      void **excerpt, size_t *excerpt_size);

#endif
