/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A bounded cursor over DWARF bytes of an untrusted file: fixed-width numbers, LEB128 and the
 * encoded pointers of .eh_frame (Linux Standard Base, "DWARF Exception Header Encoding").
 *
 * A read past the end, or of a malformed number, gives 0 and sets `failed`, which stays set:
 * callers read a whole group and check once. Little-endian, 64-bit addresses only.
 */
#ifndef LUASPY_DWARF_READER_H
#define LUASPY_DWARF_READER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct dwarf_reader {
	const uint8_t *next;
	const uint8_t *end;
	const uint8_t *origin; /* the byte that is at origin_vaddr */
	uint64_t origin_vaddr; /* for pc-relative pointers */
	bool failed;
};

uint8_t dwarf_reader__u8(struct dwarf_reader *self);
uint16_t dwarf_reader__u16(struct dwarf_reader *self);
uint32_t dwarf_reader__u32(struct dwarf_reader *self);
uint64_t dwarf_reader__u64(struct dwarf_reader *self);
uint64_t dwarf_reader__uleb128(struct dwarf_reader *self);
int64_t dwarf_reader__sleb128(struct dwarf_reader *self);

/* Steps over `count` bytes and returns where they start; NULL when there are fewer. */
const uint8_t *dwarf_reader__skip(struct dwarf_reader *self, uint64_t count);

/*
 * A pointer in encoding DW_EH_PE_*. `data_vaddr` is what DW_EH_PE_datarel counts from, 0 if that is
 * unknown. *is_null (may be NULL) says that the stored number was 0, which stands for "no address"
 * whatever it is relative to. Indirect, text-, function-relative and aligned pointers, which
 * .eh_frame has no use for on x86-64, set `failed`.
 */
uint64_t dwarf_reader__pointer(struct dwarf_reader *self, uint8_t encoding, uint64_t data_vaddr,
			       bool *is_null);

#endif
