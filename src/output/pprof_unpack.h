/* SPDX-License-Identifier: Apache-2.0 */
/*
 * From the bytes of a file to the messages of pprof.proto, within limits of memory. Not part of the
 * module's interface: pprof_read.c makes a profile of them.
 */
#ifndef LUASPY_PPROF_UNPACK_H
#define LUASPY_PPROF_UNPACK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "pprof.h"
#include "pprof.pb-c.h"

/* What messages may take. */
struct pprof_memory {
	ProtobufCAllocator allocator;
	size_t left;
	bool exceeded;
};

/* All of a stream; the caller frees *data. Errors as those of pprof__read. */
int pprof__read_bytes(FILE *in, uint8_t **data, size_t *size, char why[PPROF_WHY_BYTES]);

/* The messages in `data`, with or without gzip; `memory` must outlive them. Errors as those of
 * pprof__parse. */
int pprof__unpack(const uint8_t *data, size_t size, struct pprof_memory *memory,
		  Pb__Profile **messages, char why[PPROF_WHY_BYTES]);

/* NULL-safe. */
void pprof__free_unpacked(Pb__Profile *messages, struct pprof_memory *memory);

#endif
