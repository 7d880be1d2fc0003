// SPDX-License-Identifier: Apache-2.0
/*
 * From the bytes of a file to the messages of pprof.proto: gunzips and unpacks, within limits. A
 * few kilobytes may stand for terabytes.
 */
#include "pprof_unpack.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <zlib.h>

#define GZIP_WINDOW    (15 + 16)
#define FILE_BYTES     (256ul << 20)
#define UNPACKED_BYTES (256ul << 20)
#define MESSAGES_BYTES (512ul << 20)
#define FIRST_BYTES    65536ul
#define MEGABYTES(n)   ((n) >> 20)

/* ---- gzip ----------------------------------------------------------------------------------- */

static int grow(uint8_t **data, size_t *room, size_t limit)
{
	size_t wanted = *room ? *room * 2 : FIRST_BYTES;
	uint8_t *grown;

	if (*room >= limit)
		return -EFBIG;
	grown = realloc(*data, wanted);
	if (!grown)
		return -ENOMEM;
	*data = grown;
	*room = wanted;
	return 0;
}

int pprof__read_bytes(FILE *in, uint8_t **data, size_t *size, char why[PPROF_WHY_BYTES])
{
	size_t room = 0;
	int err = 0;

	*data = NULL;
	*size = 0;
	errno = 0;
	while (!err && !feof(in) && !ferror(in)) {
		if (*size == room)
			err = grow(data, &room, FILE_BYTES);
		if (!err)
			*size += fread(*data + *size, 1, room - *size, in);
	}
	if (!err && ferror(in))
		err = errno ? -errno : -EIO;
	if (err == -EFBIG)
		snprintf(why, PPROF_WHY_BYTES, "it is larger than %lu MB", MEGABYTES(FILE_BYTES));
	else if (err)
		snprintf(why, PPROF_WHY_BYTES, "it cannot be read: %s", strerror(-err));
	if (err) {
		free(*data);
		*data = NULL;
	}
	return err;
}

/* Inflates all members of a gzip file. */
static int inflate_all(z_stream *gzip, uint8_t **data, size_t *size)
{
	size_t room = 0;
	int status = Z_OK, err = 0;

	while (!err) {
		if (*size == room) {
			err = grow(data, &room, UNPACKED_BYTES);
			continue;
		}
		gzip->next_out = *data + *size;
		gzip->avail_out = (uInt)(room - *size);
		status = inflate(gzip, Z_NO_FLUSH);
		*size = room - gzip->avail_out;
		if (status == Z_STREAM_END) {
			if (!gzip->avail_in)
				break;
			if (inflateReset(gzip) != Z_OK)
				err = -EIO;
		} else if (status == Z_MEM_ERROR) {
			err = -ENOMEM;
		} else if (status == Z_BUF_ERROR && gzip->avail_out) {
			err = -ENODATA;
		} else if (status != Z_OK && status != Z_BUF_ERROR) {
			err = -EBADMSG;
		}
	}
	return err;
}

static int gunzip(const uint8_t *packed, size_t packed_size, uint8_t **data, size_t *size,
		  char why[PPROF_WHY_BYTES])
{
	z_stream gzip = {.next_in = (uint8_t *)packed, .avail_in = (uInt)packed_size};
	int err;

	if (inflateInit2(&gzip, GZIP_WINDOW) != Z_OK) {
		snprintf(why, PPROF_WHY_BYTES, "it cannot be unpacked: out of memory");
		return -ENOMEM;
	}
	err = inflate_all(&gzip, data, size);
	inflateEnd(&gzip);
	switch (err) {
	case 0:
		return 0;
	case -ENODATA:
		snprintf(why, PPROF_WHY_BYTES, "it ends too early: was it copied whole?");
		return -EINVAL;
	case -EBADMSG:
	case -EIO:
		snprintf(why, PPROF_WHY_BYTES,
			 "it is damaged: what is compressed in it is not what was written");
		return -EINVAL;
	case -EFBIG:
		snprintf(why, PPROF_WHY_BYTES, "it is larger than %lu MB when it is unpacked",
			 MEGABYTES(UNPACKED_BYTES));
		return err;
	default:
		snprintf(why, PPROF_WHY_BYTES, "it cannot be unpacked: %s", strerror(-err));
		return err;
	}
}

/* ---- messages ------------------------------------------------------------------------------- */

/* Each block begins with its size, in 16 bytes for the alignment of what follows. */
#define BLOCK_HEADER 16

static void *take(void *data, size_t size)
{
	struct pprof_memory *memory = data;
	uint8_t *block;

	if (size > memory->left || memory->left - size < BLOCK_HEADER) {
		memory->exceeded = true;
		return NULL;
	}
	block = malloc(size + BLOCK_HEADER);
	if (!block)
		return NULL;
	memory->left -= size + BLOCK_HEADER;
	memcpy(block, &size, sizeof(size));
	return block + BLOCK_HEADER;
}

static void give_back(void *data, void *pointer)
{
	struct pprof_memory *memory = data;
	size_t size;

	if (!pointer)
		return;
	memcpy(&size, (uint8_t *)pointer - BLOCK_HEADER, sizeof(size));
	memory->left += size + BLOCK_HEADER;
	free((uint8_t *)pointer - BLOCK_HEADER);
}

int pprof__unpack(const uint8_t *data, size_t size, struct pprof_memory *memory,
		  Pb__Profile **messages, char why[PPROF_WHY_BYTES])
{
	bool gzip = size > 1 && data[0] == 0x1f && data[1] == 0x8b;
	uint8_t *unpacked = NULL;
	size_t unpacked_size = 0;
	int err = 0;

	*messages = NULL;
	*memory = (struct pprof_memory){.left = MESSAGES_BYTES};
	memory->allocator = (ProtobufCAllocator){take, give_back, memory};
	if (!size) {
		snprintf(why, PPROF_WHY_BYTES, "it is empty");
		return -EINVAL;
	}
	if (size > FILE_BYTES) {
		snprintf(why, PPROF_WHY_BYTES, "it is larger than %lu MB", MEGABYTES(FILE_BYTES));
		return -EFBIG;
	}
	if (gzip)
		err = gunzip(data, size, &unpacked, &unpacked_size, why);
	if (!err)
		*messages = pb__profile__unpack(&memory->allocator, gzip ? unpacked_size : size,
						gzip ? unpacked : data);
	free(unpacked);
	if (err || *messages)
		return err;
	if (memory->exceeded) {
		snprintf(why, PPROF_WHY_BYTES, "it takes more than %lu MB of memory",
			 MEGABYTES(MESSAGES_BYTES));
		return -EFBIG;
	}
	snprintf(why, PPROF_WHY_BYTES, "it is not in pprof's format%s",
		 gzip ? "" : " (`luaspy record -o FILE.pb.gz` writes it)");
	return -EINVAL;
}

void pprof__free_unpacked(Pb__Profile *messages, struct pprof_memory *memory)
{
	if (messages)
		pb__profile__free_unpacked(messages, &memory->allocator);
}
