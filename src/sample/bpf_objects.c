/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The compiled BPF programs, which the executable contains compressed: 0.1 MB instead of 0.4. The
 * Makefile takes them out of what bpftool writes (NAME.skel.h), which asks for them here.
 */
#include <stdlib.h>
#include <zlib.h>

#include "kernel_names.skel.h"
#include "sampler.skel.h"
#include "tasks.skel.h"

#include "kernel_names.object.h"
#include "sampler.object.h"
#include "tasks.object.h"

#define GZIP_FORMAT (16 + MAX_WBITS) /* of inflateInit2's windowBits, zlib.h */

/* `size` bytes for the caller to free, or NULL. */
static void *inflated(const unsigned char *compressed, size_t compressed_size, size_t size)
{
	z_stream stream = {.next_in = (Bytef *)compressed, .avail_in = (uInt)compressed_size};
	void *bytes = malloc(size);
	int status;

	if (!bytes || inflateInit2(&stream, GZIP_FORMAT) != Z_OK) {
		free(bytes);
		return NULL;
	}
	stream.next_out = bytes;
	stream.avail_out = (uInt)size;
	status = inflate(&stream, Z_FINISH);
	inflateEnd(&stream);
	if (status == Z_STREAM_END && !stream.avail_out)
		return bytes;
	free(bytes);
	return NULL;
}

/* libbpf does not say for how long it uses the bytes, so they are kept. Without them it finds
 * that there is no object. */
const void *sampler_bpf__elf_bytes(size_t *size)
{
	static void *bytes;

	if (!bytes)
		bytes = inflated(sampler_object, sizeof(sampler_object), SAMPLER_OBJECT_BYTES);
	*size = bytes ? SAMPLER_OBJECT_BYTES : 0;
	return bytes;
}

const void *tasks_bpf__elf_bytes(size_t *size)
{
	static void *bytes;

	if (!bytes)
		bytes = inflated(tasks_object, sizeof(tasks_object), TASKS_OBJECT_BYTES);
	*size = bytes ? TASKS_OBJECT_BYTES : 0;
	return bytes;
}

const void *kernel_names_bpf__elf_bytes(size_t *size)
{
	static void *bytes;

	if (!bytes)
		bytes = inflated(kernel_names_object, sizeof(kernel_names_object),
				 KERNEL_NAMES_OBJECT_BYTES);
	*size = bytes ? KERNEL_NAMES_OBJECT_BYTES : 0;
	return bytes;
}
