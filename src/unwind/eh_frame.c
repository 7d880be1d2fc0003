/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Splits .eh_frame into CIEs and FDEs. libdw (dwarf_next_cfi) takes the entries apart; augmentation
 * data and encoded pointers are decoded here (Linux Standard Base, "The .eh_frame section").
 */
#include <dwarf.h>
#include <elfutils/libdw.h>
#include <errno.h>
#include <gelf.h>
#include <stdlib.h>
#include <string.h>

#include "eh_frame.h"
#include "eh_frame_find.h"

/* Zero bytes behind the copy of the section: libdw reads the augmentation data of a CIE without 'z'
 * (two encodings and a pointer) before it compares with the entry's end. */
#define PADDING_BYTES 64

/* Linkers merge equal CIEs: real files have 1 to 20. One takes 20 times its bytes in the file. */
#define MAX_CIES 4096u

static struct dwarf_reader reader_between(const struct eh_frame *self, const uint8_t *start,
					  const uint8_t *end)
{
	return (struct dwarf_reader){
		.next = start,
		.end = end,
		.origin = self->bytes,
		.origin_vaddr = self->vaddr,
	};
}

/* [start, end) as libdw gave it, checked against the section. */
static bool is_inside(const struct eh_frame *self, const uint8_t *start, const uint8_t *end)
{
	return start && end && start >= self->bytes && start <= end &&
	       end <= self->bytes + self->size;
}

/* Makes room for one more element in an array that grows by doubling. */
static int reserve(void **array, size_t count, size_t element_bytes)
{
	void *grown;
	size_t capacity;

	if (count & (count - 1) || count == 1) /* not full: capacities are 0, 2, 4, 8... */
		return 0;
	capacity = count ? 2 * count : 2;
	grown = reallocarray(*array, capacity, element_bytes);
	if (!grown)
		return -ENOMEM;
	*array = grown;
	return 0;
}

/* Decodes a CIE's augmentation; -EINVAL when its FDEs could not be understood. */
static int read_augmentation(const struct eh_frame *self, const Dwarf_CIE *cie,
			     struct eh_frame_cie *out)
{
	const char *letter = cie->augmentation;
	const uint8_t *data = cie->augmentation_data;
	struct dwarf_reader reader;
	uint8_t encoding;

	out->cfi.pointer_encoding = DW_EH_PE_absptr;
	out->is_sized = *letter == 'z';
	if (out->is_sized) {
		if (!is_inside(self, data, self->bytes + self->size) ||
		    cie->augmentation_data_size > (size_t)(self->bytes + self->size - data))
			return -EINVAL;
		reader = reader_between(self, data, data + cie->augmentation_data_size);
		letter++;
	} else {
		/* libdw has left the data where the instructions start, or has stepped over it. */
		const uint8_t *end = cie->initial_instructions;

		reader = reader_between(self, end, end);
		if (is_inside(self, data, end))
			reader.next = data;
	}

	for (; *letter; letter++) {
		switch (*letter) {
		case 'R':
			out->cfi.pointer_encoding = dwarf_reader__u8(&reader);
			break;
		case 'L': /* the language-specific data's encoding: its pointer stands in FDEs */
			dwarf_reader__u8(&reader);
			break;
		case 'P': /* the personality routine */
			encoding = dwarf_reader__u8(&reader);
			/* How long it is matters, not what it points to. */
			dwarf_reader__pointer(&reader, encoding & 0x0f, 0, NULL);
			break;
		case 'S':
			out->cfi.is_signal_frame = true;
			break;
		case 'B': /* arm64: return addresses are signed with key B */
			break;
		default:
			/* Unknown data may follow; its length is known only with 'z'. */
			return out->is_sized && !reader.failed ? 0 : -EINVAL;
		}
	}
	return reader.failed ? -EINVAL : 0;
}

static int add_cie(struct eh_frame *self, uint64_t offset, const Dwarf_CIE *cie)
{
	struct eh_frame_cie out = {.offset = offset};
	struct dwarf_reader instructions;
	void *array = self->cies;

	if (self->cie_count == MAX_CIES ||
	    !is_inside(self, cie->initial_instructions, cie->initial_instructions_end) ||
	    cie->return_address_register != DW_REG_RA || read_augmentation(self, cie, &out))
		return -EINVAL;
	out.fde_augmentation_bytes = cie->fde_augmentation_data_size;
	out.cfi.code_alignment = cie->code_alignment_factor;
	out.cfi.data_alignment = cie->data_alignment_factor;
	instructions =
		reader_between(self, cie->initial_instructions, cie->initial_instructions_end);
	if (cfi_program__run_initial(&out.cfi, &instructions))
		return -EINVAL;

	if (reserve(&array, self->cie_count, sizeof(out)))
		return -ENOMEM;
	self->cies = array;
	self->cies[self->cie_count++] = out;
	return 0;
}

static int compare_cie(const void *key, const void *element)
{
	uint64_t offset = *(const uint64_t *)key;
	const struct eh_frame_cie *cie = element;

	return offset < cie->offset ? -1 : offset > cie->offset;
}

/* FDEs follow their CIE: only CIEs already met are looked up, each parsed once. */
static const struct eh_frame_cie *find_cie(const struct eh_frame *self, uint64_t offset)
{
	if (!self->cie_count)
		return NULL;
	return bsearch(&offset, self->cies, self->cie_count, sizeof(*self->cies), compare_cie);
}

static int add_fde(struct eh_frame *self, const Dwarf_FDE *fde, const struct eh_frame_place *place)
{
	const struct eh_frame_cie *cie = find_cie(self, fde->CIE_pointer);
	struct eh_frame_fde out;
	struct dwarf_reader reader;
	uint8_t encoding;
	uint64_t range, instruction_bytes;
	bool is_discarded;
	void *array = self->fdes;

	if (!cie || !is_inside(self, fde->start, fde->end))
		return -EINVAL;
	reader = reader_between(self, fde->start, fde->end);
	encoding = cie->cfi.pointer_encoding;
	out.start = dwarf_reader__pointer(&reader, encoding, 0, &is_discarded);
	range = dwarf_reader__pointer(&reader, encoding & 0x0f, 0, NULL);
	dwarf_reader__skip(&reader, cie->is_sized ? dwarf_reader__uleb128(&reader)
						  : cie->fde_augmentation_bytes);
	if (reader.failed || __builtin_add_overflow(out.start, range, &out.end))
		return -EINVAL;
	if (is_discarded || range == 0) /* its function was removed by the linker */
		return 0;
	instruction_bytes = (uint64_t)(reader.end - reader.next);
	if (out.start < place->text_start || out.end > place->text_end ||
	    instruction_bytes > UINT32_MAX)
		return -EINVAL;
	out.cie = (uint32_t)(cie - self->cies);
	out.instructions = (uint64_t)(reader.next - self->bytes);
	out.instruction_bytes = (uint32_t)instruction_bytes;

	if (reserve(&array, self->fde_count, sizeof(out)))
		return -ENOMEM;
	self->fdes = array;
	self->fdes[self->fde_count++] = out;
	return 0;
}

static int read_entries(struct eh_frame *self, const struct eh_frame_place *place)
{
	const unsigned char ident[EI_NIDENT] = {
		[EI_CLASS] = ELFCLASS64,
		[EI_DATA] = ELFDATA2LSB,
	};
	Elf_Data data = {.d_buf = self->bytes, .d_size = self->size, .d_type = ELF_T_BYTE};
	Dwarf_Off offset = 0, next;

	while (offset < self->size) {
		Dwarf_CFI_Entry entry;
		int err, found;

		next = offset;
		found = dwarf_next_cfi(ident, &data, true, offset, &next, &entry);
		if (found > 0) /* the terminator */
			break;
		if (found < 0)
			err = -EINVAL;
		else if (dwarf_cfi_cie_p(&entry))
			err = add_cie(self, offset, &entry.cie);
		else
			err = add_fde(self, &entry.fde, place);
		if (err == -EINVAL)
			self->skipped++;
		else if (err)
			return err;
		/* libdw did not move on: the entry's length is beyond the section. */
		if (next <= offset)
			break;
		offset = next;
	}
	return 0;
}

static int compare_fdes(const void *a, const void *b)
{
	const struct eh_frame_fde *x = a, *y = b;

	if (x->start != y->start)
		return x->start < y->start ? -1 : 1;
	return x->instructions < y->instructions ? -1 : x->instructions > y->instructions;
}

int eh_frame__read(struct eh_frame *self, Elf *elf)
{
	struct eh_frame_place place;
	int err;

	memset(self, 0, sizeof(*self));
	err = eh_frame_place__find(&place, elf);
	if (err || !place.bytes)
		return err;

	self->bytes = malloc(place.size + PADDING_BYTES);
	if (!self->bytes)
		return -ENOMEM;
	memcpy(self->bytes, place.bytes, place.size);
	memset(self->bytes + place.size, 0, PADDING_BYTES);
	self->size = place.size;
	self->vaddr = place.vaddr;

	err = read_entries(self, &place);
	if (!err && self->fde_count)
		qsort(self->fdes, self->fde_count, sizeof(*self->fdes), compare_fdes);
	return err;
}

void eh_frame__clear(struct eh_frame *self)
{
	free(self->bytes);
	free(self->cies);
	free(self->fdes);
	memset(self, 0, sizeof(*self));
}

struct dwarf_reader eh_frame__instructions(const struct eh_frame *self,
					   const struct eh_frame_fde *fde)
{
	const uint8_t *start = self->bytes + fde->instructions;

	return reader_between(self, start, start + fde->instruction_bytes);
}
