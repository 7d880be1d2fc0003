/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * What is sent of PUC Lua's functions: their description, and the line of an instruction.
 */
#ifndef LUASPY_SAMPLER_PUC_H
#define LUASPY_SAMPLER_PUC_H

#ifndef LUASPY_SAMPLER_RESULTS_H
#error "included by sampler_results.h"
#endif

#define PUC_ABS_LINE (-128) /* in lineinfo: the line is in abslineinfo (5.4) */
#define PUC_LINES    256u   /* at least one of so many instructions is such a one */

/* Where the characters of a string are, and their number. */
static __always_inline __u64 puc_string(const struct puc_build *build, __u64 string, __u64 *length)
{
	__u64 at = string + build->string_data;
	__u8 short_length = 0, type = 0;

	*length = 0;
	bpf_probe_read_user(length, sizeof(*length), (void *)(string + build->string_length));
	if (!build->string_short_length)
		return at;
	bpf_probe_read_user(&short_length, 1, (void *)(string + build->string_short_length));
	bpf_probe_read_user(&type, 1, (void *)(string + PUC_GCT));
	if (build->string_is_pointer ? short_length < 0x80 : !(type & 0x10))
		*length = short_length;
	else if (build->string_is_pointer)
		bpf_probe_read_user(&at, sizeof(at), (void *)at);
	return at;
}

/* Describes the i-th Lua frame's proto, which was not described before. 1 when that was done. */
__attribute__((noinline)) int send_puc_proto(__u32 i, __u64 id)
{
	struct walk *w = walk_state();
	const struct puc_build *build;
	struct lua_place *place;
	struct record_proto *record;
	__u64 proto, chunk, length = 0, at;
	__u8 parameters[2] = {};

	if (!w)
		return 0;
	place = lua_place(i);
	if (!place)
		return 0;
	build = puc_at(place->puc - 1);
	proto = place->proto;
	if (!build || bpf_probe_read_user(w->scratch, PUC_PROTO_SIZE, (void *)proto) != 0)
		return 0;
	record = reserve_proto(w, id, proto);
	if (!record)
		return 0;
	record->bytecode_count = puc_half(w, build->proto_size_code);
	record->first_line = puc_half(w, build->proto_first_line);
	record->line_count = puc_half(w, build->proto_first_line + 4) - record->first_line;
	/* The main chunk is said to be at line 0, without an end. */
	if (!record->first_line)
		record->line_count = 0;
	/* Behind PUC_PROTO_SIZE in 5.2. */
	bpf_probe_read_user(parameters, sizeof(parameters),
			    (void *)(proto + build->proto_parameters));
	record->parameter_count = parameters[0];
	record->vararg = !!(parameters[1] & 3);
	record->stripped = !puc_word(w, build->proto_line_info);
	record->puc = (__u8)place->puc;
	chunk = puc_word(w, build->proto_source);
	record->chunk[0] = '=';
	record->chunk[1] = '?';
	record->chunk[2] = 0;
	if (chunk) {
		at = puc_string(build, chunk, &length);
		bpf_probe_read_user_str(record->chunk, MAX_CHUNK_NAME, (void *)at);
	}
	record->chunk_length = (__u32)length;
	submit_proto(record, id);
	return 1;
}

/* The entry of abslineinfo for instruction `pc`, which has one: a pair of instruction and line.
 * They are sorted. */
__attribute__((noinline)) int puc_absolute_line(__u32 i, __u32 pc)
{
	struct walk *w = walk_state();
	const struct puc_build *build;
	struct lua_place *place;
	__u32 low = 0, high = 0, middle, pair[2];
	__u64 table = 0;
	int k;

	if (!w)
		return 0;
	place = lua_place(i);
	build = place ? puc_at(place->puc - 1) : NULL;
	if (!build)
		return 0;
	bpf_probe_read_user(&high, sizeof(high),
			    (void *)(place->proto + build->proto_size_abs_lines));
	bpf_probe_read_user(&table, sizeof(table), (void *)(place->proto + build->proto_abs_lines));
	for (k = 0; k < 26 && low < high; k++) {
		middle = low + (high - low) / 2;
		if (bpf_probe_read_user(pair, sizeof(pair), (void *)(table + 8ull * middle)) != 0)
			return 0;
		if (pair[0] == pc)
			return (int)pair[1];
		if (pair[0] < pc)
			low = middle + 1;
		else
			high = middle;
	}
	return 0;
}

/* The line of instruction `pc` of the i-th Lua frame's function, 0 when it is not known. One int
 * for each instruction; since 5.4 the difference to the line before, and now and then the line
 * itself. */
__attribute__((noinline)) int puc_line_of(__u32 i, __u32 pc)
{
	struct walk *w = walk_state();
	const struct puc_build *build;
	struct lua_place *place;
	__u64 proto, table = 0;
	__u32 line = 0, first, k, size;
	__s32 sum = 0;
	__s8 difference;

	if (!w)
		return 0;
	place = lua_place(i);
	build = place ? puc_at(place->puc - 1) : NULL;
	if (!build)
		return 0;
	proto = place->proto;
	bpf_probe_read_user(&table, sizeof(table), (void *)(proto + build->proto_line_info));
	if (!table)
		return 0;
	if (!build->proto_abs_lines) {
		bpf_probe_read_user(&line, sizeof(line), (void *)(table + 4ull * pc));
		return (int)line;
	}
	first = pc >= PUC_LINES ? pc - (PUC_LINES - 1) : 0;
	size = pc - first + 1;
	barrier_var(size);
	if (size > PUC_LINES ||
	    bpf_probe_read_user(w->lua_stack.bytes, size, (void *)(table + first)) != 0)
		return 0;
	w->lua_stack.size = 0; /* it does not hold the Lua stack any more */
	for (k = 0; k < PUC_LINES; k++) {
		if (k >= size)
			break;
		difference = (__s8)w->lua_stack.bytes[(size - 1 - k) & (PUC_LINES - 1)];
		if (difference == PUC_ABS_LINE) {
			line = (__u32)puc_absolute_line(i, pc - k);
			return line ? (int)line + sum : 0;
		}
		sum += difference;
	}
	if (first)
		return 0;
	bpf_probe_read_user(&line, sizeof(line), (void *)(proto + build->proto_first_line));
	return (int)line + sum;
}

#endif
