/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Edits of a heap that is built by hand (tests/unit/test_heap_image.h), made before and in the
 * middle of the reading, as by a VM that runs on. The input is a list of them, 8 bytes each: before
 * which read, how wide and at which byte of the unit, where (2 bytes: units of 4 bytes), what kind
 * of word, which (2 bytes), nothing.
 */
#ifndef LUASPY_IMAGE_EDITS_H
#define LUASPY_IMAGE_EDITS_H

#include "../unit/test_heap_image.h"

struct edits {
	const uint8_t *at;
	size_t left;
	uint32_t most_reads; /* more are a bug: the reading is bounded */
	/* A word with a meaning, for kinds below 100: `ref` is the address of something. */
	uint64_t (*word)(const struct image *image, uint8_t kind, uint64_t ref);
};

static inline void edits_make(struct image *image, uint64_t address, size_t size)
{
	static const uint8_t widths[] = {4, 8, 1, 2};
	struct edits *edits = image->context;
	uint64_t where, word, ref;
	uint16_t which;
	uint8_t kind;

	if (image->reads > edits->most_reads)
		abort();
	while (edits->left >= 8 && edits->at[0] <= image->reads) {
		where = 4 * (edits->at[2] | (uint64_t)edits->at[3] << 8) + (edits->at[1] >> 2 & 3);
		kind = edits->at[4];
		which = (uint16_t)(edits->at[5] | edits->at[6] << 8);
		ref = image->base + which * 8ull % (image->used + 64);
		word = kind < 100   ? edits->word(image, kind, ref)
		       : kind < 160 ? ref
		       : kind < 200 ? which
		       : kind < 220 ? UINT64_MAX
				    : 1ull << which % 64;
		image_put(image, image->base + where % image->used, &word,
			  widths[edits->at[1] & 3]);
		edits->at += 8;
		edits->left -= 8;
	}
}

/* From now on, the edits in `input` are made; `edits` is as long there as the image is read. */
static inline void edits_begin(struct edits *edits, struct image *image, const uint8_t *input,
			       size_t size)
{
	edits->at = input;
	edits->left = size;
	image->context = edits;
	image->before_read = edits_make;
	image->reads = 0;
}

#endif
