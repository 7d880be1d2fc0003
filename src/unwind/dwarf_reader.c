/* SPDX-License-Identifier: Apache-2.0 */
/* The bounded cursor over DWARF bytes; see dwarf_reader.h. */
#include <dwarf.h>
#include <string.h>

#include "dwarf_reader.h"

static void read_fixed(struct dwarf_reader *self, void *value, size_t size)
{
	const uint8_t *bytes = dwarf_reader__skip(self, size);

	if (bytes)
		memcpy(value, bytes, size);
}

uint8_t dwarf_reader__u8(struct dwarf_reader *self)
{
	uint8_t value = 0;

	read_fixed(self, &value, sizeof(value));
	return value;
}

uint16_t dwarf_reader__u16(struct dwarf_reader *self)
{
	uint16_t value = 0;

	read_fixed(self, &value, sizeof(value));
	return value;
}

uint32_t dwarf_reader__u32(struct dwarf_reader *self)
{
	uint32_t value = 0;

	read_fixed(self, &value, sizeof(value));
	return value;
}

uint64_t dwarf_reader__u64(struct dwarf_reader *self)
{
	uint64_t value = 0;

	read_fixed(self, &value, sizeof(value));
	return value;
}

/* The bits of a LEB128 number, and how many of them were stored (a multiple of 7). */
static uint64_t read_leb128(struct dwarf_reader *self, unsigned int *bits)
{
	uint64_t value = 0;
	unsigned int shift = 0;

	while (!self->failed) {
		uint8_t byte = dwarf_reader__u8(self);

		if (shift >= 64) { /* longer than any 64-bit number */
			self->failed = true;
			break;
		}
		value |= (uint64_t)(byte & 0x7f) << shift;
		shift += 7;
		if (!(byte & 0x80))
			break;
	}
	*bits = shift;
	return self->failed ? 0 : value;
}

uint64_t dwarf_reader__uleb128(struct dwarf_reader *self)
{
	unsigned int bits;

	return read_leb128(self, &bits);
}

int64_t dwarf_reader__sleb128(struct dwarf_reader *self)
{
	unsigned int bits;
	uint64_t value = read_leb128(self, &bits);

	if (!self->failed && bits < 64 && value >> (bits - 1) & 1)
		value |= ~0ull << bits;
	return (int64_t)value;
}

const uint8_t *dwarf_reader__skip(struct dwarf_reader *self, uint64_t count)
{
	const uint8_t *bytes = self->next;

	if (self->failed || count > (uint64_t)(self->end - self->next)) {
		self->failed = true;
		return NULL;
	}
	self->next += count;
	return bytes;
}

static uint64_t read_pointer_format(struct dwarf_reader *self, uint8_t encoding)
{
	switch (encoding & 0x0f) {
	case DW_EH_PE_absptr:
	case DW_EH_PE_udata8:
	case DW_EH_PE_sdata8:
		return dwarf_reader__u64(self);
	case DW_EH_PE_uleb128:
		return dwarf_reader__uleb128(self);
	case DW_EH_PE_udata2:
		return dwarf_reader__u16(self);
	case DW_EH_PE_udata4:
		return dwarf_reader__u32(self);
	case DW_EH_PE_sleb128:
		return (uint64_t)dwarf_reader__sleb128(self);
	case DW_EH_PE_sdata2:
		return (uint64_t)(int64_t)(int16_t)dwarf_reader__u16(self);
	case DW_EH_PE_sdata4:
		return (uint64_t)(int64_t)(int32_t)dwarf_reader__u32(self);
	default:
		self->failed = true;
		return 0;
	}
}

uint64_t dwarf_reader__pointer(struct dwarf_reader *self, uint8_t encoding, uint64_t data_vaddr,
			       bool *is_null)
{
	uint64_t here = self->origin_vaddr + (uint64_t)(self->next - self->origin);
	uint64_t value = read_pointer_format(self, encoding);

	if (is_null)
		*is_null = value == 0;
	switch (encoding & 0xf0) {
	case DW_EH_PE_absptr:
		return value;
	case DW_EH_PE_pcrel:
		return here + value;
	case DW_EH_PE_datarel:
		if (data_vaddr)
			return data_vaddr + value;
		break;
	default:
		break;
	}
	self->failed = true;
	return 0;
}
