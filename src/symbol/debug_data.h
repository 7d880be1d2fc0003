/* SPDX-License-Identifier: Apache-2.0 */
/*
 * .gnu_debugdata ("minidebuginfo"): an xz-compressed ELF file inside an ELF file that holds the
 * .symtab which strip took away (GDB manual, "Debugging information in a special section").
 */
#ifndef LUASPY_DEBUG_DATA_H
#define LUASPY_DEBUG_DATA_H

#include <libelf.h>
#include <stddef.h>

#define DEBUG_DATA_MAX_BYTES (256U << 20) /* unpacked */

struct debug_data {
	Elf *elf;
	void *image;
};

/* Returns 0, -ENOENT when the file has none, -EINVAL when it does not unpack to an ELF file of at
 * most DEBUG_DATA_MAX_BYTES, -ENOMEM. The caller calls debug_data__close. */
int debug_data__open(Elf *elf, struct debug_data *data);
void debug_data__close(struct debug_data *data);

/* Unpacks one xz stream of at most `limit` bytes. Returns as above. The caller frees *output. */
int debug_data__unpack(const void *input, size_t input_size, size_t limit, void **output,
		       size_t *output_size);

#endif
