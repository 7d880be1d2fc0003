/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * What the walk of PUC Lua's frames reads again and again, with as few reads of the target as can
 * be (one costs 60 ns): CallInfos in blocks, values with the Lua stack's block, closures once a
 * sample.
 */
#ifndef LUASPY_WALK_PUC_READ_H
#define LUASPY_WALK_PUC_READ_H

#ifndef LUASPY_WALK_PUC_H
#error "included by walk_puc.h"
#endif

/* Since 5.4.5, while a stack is reallocated, what points into it are distances from its beginning
 * (ldo.c: relstack). */
INLINE __u64 puc_stack_place(const struct walk *w, __u64 place)
{
	return place < w->stack_high - w->stack_low ? w->stack_low + place : place;
}

/*
 * Puts the CallInfo at `ci` into walk.scratch. With it come those around it, in the same page: the
 * walk goes to callers, which stand below it in 5.1's array, and mostly in what malloc gave as
 * well; above it when that was so for the one before. Negative when it cannot be read.
 */
INLINE int puc_call_read(struct walk *w, __u64 ci)
{
	struct call_block *b = &w->calls;
	__u64 at = ci - b->start, start, size;
	const __u8 *from;
	__u32 i;

	if (!ci || ci & 7)
		return -1;
	barrier_var(at);
	if (b->size < PUC_CALL_SIZE || at > b->size - PUC_CALL_SIZE) {
		start = ci;
		size = 4096 - (ci & 4095);
		if (ci < b->start) {
			size = (ci & 4095) + PUC_CALL_SIZE;
			if (size > CALLS_SIZE)
				size = CALLS_SIZE;
			start = ci + PUC_CALL_SIZE - size;
		}
		if (size > CALLS_SIZE)
			size = CALLS_SIZE;
		if (size < PUC_CALL_SIZE || start + size < size)
			size = PUC_CALL_SIZE;
		barrier_var(size);
		if (size > CALLS_SIZE)
			return -1;
		b->start = start;
		b->size = size;
		if (bpf_probe_read_user(b->bytes, size, (void *)start) != 0) {
			b->size = 0;
			return -1;
		}
		at = ci - start;
		barrier_var(at);
	}
	if (at > CALLS_SIZE - PUC_CALL_SIZE)
		return -1;
	from = b->bytes + at;
	for (i = 0; i < PUC_CALL_SIZE; i += 8)
		*(__u64 *)(w->scratch + i) = load_u64(from + i);
	return 0;
}

/* The value at `address`, mostly of the Lua stack: what it holds, and its type. */
INLINE int puc_value_read(struct walk *w, __u64 address, __u64 value[2])
{
	if (address >= w->stack_low && address < w->stack_high &&
	    lua_stack_load(w, address + 8) == 0) {
		value[0] = lua_slot(w, address);
		value[1] = lua_slot(w, address + 8);
		return 0;
	}
	return bpf_probe_read_user(value, 16, (void *)address) == 0 ? 0 : -1;
}

/* What is known of the closure at `address`, memorised within the sample; NULL when there is none
 * of that type: of a value that is being written the address comes first. walk.scratch is used. */
INLINE struct function_memo *puc_closure(struct walk *w, const struct puc_build *build,
					 __u64 address, __u32 type)
{
	struct function_memo *known = &w->functions[(address >> 4) & (FUNCTION_MEMO - 1)];
	__u32 size = build->closure_proto + 8;

	if (known->function != address || known->sample != w->sample) {
		barrier_var(size);
		if (size > PUC_CLOSURE_SIZE ||
		    bpf_probe_read_user(w->scratch, size, (void *)address) != 0)
			return NULL;
		known->function = address;
		known->sample = w->sample;
		known->gct = w->scratch[PUC_GCT] & PUC_VALUE_TYPE;
		known->ffid = w->scratch[PUC_IS_C];
		known->pc = puc_word(w, build->closure_proto);
	}
	return known->gct == type ? known : NULL;
}

#endif
