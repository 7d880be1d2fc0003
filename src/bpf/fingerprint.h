/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The identity of a Lua function's proto, computed by the walk in the sample and by user space when
 * it reads the proto later: only while they agree is it still the same one.
 */
#ifndef LUASPY_FINGERPRINT_H
#define LUASPY_FINGERPRINT_H

#include "contract.h"

#define CHUNK_HASHED_SIZE 72u
#define CHUNK_READ_SIZE	  104u /* header, up to 0x18 bytes, and what is hashed */

static inline __attribute__((always_inline)) __u64 hash_mix(__u64 hash, __u64 value)
{
	hash = (hash ^ value) * 0x9e3779b97f4a7c15ull;
	return hash ^ hash >> 29;
}

/* Of a chunk name's length and first 72 characters. `bytes` are the first CHUNK_READ_SIZE of its
 * string, 8-aligned, whose characters start at `data` (at most 0x1c). */
static inline __attribute__((always_inline)) __u64 chunk_fingerprint(const __u8 *bytes, __u32 data,
								     __u32 length)
{
	__u64 word, hash = hash_mix(1, length);
	__u32 left, i;

	for (i = 0; i < CHUNK_HASHED_SIZE; i += 8) {
		if (i >= length)
			break;
		left = length - i;
		word = *(const __u32 *)(bytes + data + i) |
		       (__u64) * (const __u32 *)(bytes + data + i + 4) << 32;
		/* What lies behind the name is not part of it. */
		if (left < 8)
			word &= (1ull << 8 * left) - 1;
		hash = hash_mix(hash, word);
	}
	return hash;
}

/* Of a stack, without its words. */
static inline __attribute__((always_inline)) __u64
stack_fingerprint(__u32 stop, __u32 flags, __u32 tgid, __u32 tid, const __u64 *comm)
{
	__u64 hash = hash_mix(0x6c75617370790000ull + stop + (flags << 8), (__u64)tgid << 32 | tid);

	return hash_mix(hash_mix(hash, comm[0]), comm[1]);
}

/* `lines` has the first line in its lower half, their number in the upper one. Two processes may
 * have different functions at one address. */
static inline __attribute__((always_inline)) __u64
proto_fingerprint(__u64 chunk, __u64 proto, __u64 lines, __u32 bytecodes, __u32 tgid)
{
	return hash_mix(hash_mix(hash_mix(chunk, proto), lines), bytecodes | (__u64)tgid << 32);
}

#endif
