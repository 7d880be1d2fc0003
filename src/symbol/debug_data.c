/* SPDX-License-Identifier: Apache-2.0 */
/* See debug_data.h. */
#include "debug_data.h"

#include <errno.h>
#include <lzma.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "../target/elf_image.h"

#define MAX_PACKED_BYTES     (128U << 20)
#define DECODER_MEMORY_BYTES (128U << 20) /* xz -9 needs 65 MiB */

int debug_data__unpack(const void *input, size_t input_size, size_t limit, void **output,
		       size_t *output_size)
{
	lzma_stream stream = LZMA_STREAM_INIT;
	size_t capacity = 0;
	uint8_t *buffer = NULL;
	lzma_ret result;
	int err;

	result = lzma_stream_decoder(&stream, DECODER_MEMORY_BYTES, 0);
	if (result != LZMA_OK)
		return result == LZMA_MEM_ERROR ? -ENOMEM : -EINVAL;
	stream.next_in = input;
	stream.avail_in = input_size;
	do {
		if (stream.avail_out == 0) {
			size_t wanted = capacity ? capacity * 2 : 64U << 10;
			uint8_t *grown;

			if (wanted > limit)
				wanted = limit;
			err = -EINVAL;
			if (wanted <= capacity)
				goto out;
			err = -ENOMEM;
			grown = realloc(buffer, wanted);
			if (!grown)
				goto out;
			buffer = grown;
			stream.next_out = buffer + capacity;
			stream.avail_out = wanted - capacity;
			capacity = wanted;
		}
		result = lzma_code(&stream, LZMA_FINISH);
	} while (result == LZMA_OK);
	err = result == LZMA_MEM_ERROR ? -ENOMEM : -EINVAL;
	if (result != LZMA_STREAM_END)
		goto out;
	*output_size = (size_t)stream.total_out;
	*output = buffer;
	buffer = NULL;
	err = 0;
out:
	free(buffer);
	lzma_end(&stream);
	return err;
}

int debug_data__open(Elf *elf, struct debug_data *data)
{
	const Elf64_Shdr *section;
	struct elf_image image;
	const void *packed;
	size_t size;
	int err;

	data->elf = NULL;
	data->image = NULL;
	err = elf_image__read(elf, &image);
	if (err)
		return err == -ENOMEM ? err : -ENOENT;
	err = -ENOENT;
	section = elf_image__section(&image, ".gnu_debugdata");
	packed = section ? elf_image__section_bytes(&image, section, MAX_PACKED_BYTES) : NULL;
	if (!packed)
		goto out;
	err = debug_data__unpack(packed, section->sh_size, DEBUG_DATA_MAX_BYTES, &data->image,
				 &size);
	if (err)
		goto out;
	if (elf_image__open_memory(data->image, size, &data->elf)) {
		debug_data__close(data);
		err = -EINVAL;
	}
out:
	elf_image__free(&image);
	return err;
}

void debug_data__close(struct debug_data *data)
{
	elf_end(data->elf);
	free(data->image);
	data->elf = NULL;
	data->image = NULL;
}
