/* SPDX-License-Identifier: Apache-2.0 */
#include "luajit_known.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "../bpf/fingerprint.h"

/* From the bytes, not from what x86_code makes of them: a change to that must not make known builds
 * unknown. */
int luajit_known__fingerprint(const struct x86_code *code, const uint8_t *text, size_t size,
			      uint64_t vaddr, uint64_t *fingerprint)
{
	uint8_t *bytes = malloc(size);
	uint64_t hash = hash_mix(1, size), word;
	size_t at, i;

	if (!bytes)
		return -ENOMEM;
	memcpy(bytes, text, size);
	for (i = 0; i < code->count; i++) {
		const struct x86_instruction *in = &code->instructions[i];

		at = in->address - vaddr + in->link_at;
		if (in->link_size && at < size && in->link_size <= size - at)
			memset(bytes + at, 0, in->link_size);
	}
	for (i = 0; i < size; i += sizeof(word)) {
		word = 0;
		memcpy(&word, bytes + i, size - i < sizeof(word) ? size - i : sizeof(word));
		hash = hash_mix(hash, word);
	}
	free(bytes);
	*fingerprint = hash;
	return 0;
}

const struct luajit_known *luajit_known__find(uint64_t fingerprint)
{
	size_t i;

	for (i = 0; i < luajit_known_count; i++) {
		if (luajit_known_table[i].fingerprint == fingerprint)
			return &luajit_known_table[i];
	}
	return NULL;
}
