/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * What the sampling program sends to user space: new stacks, and what they refer to: protos and
 * VMs, described once each in the sample that meets them first, while the target stands still.
 */
#ifndef LUASPY_SAMPLER_RESULTS_H
#define LUASPY_SAMPLER_RESULTS_H

#ifndef LUASPY_WALK_H
#error "included after walk.h, by sampler.bpf.c behind its maps and by sample/user_walk.c"
#endif

#ifdef LUASPY_BPF
static __always_inline void count_up(__u32 counter, __u64 by)
{
	__u64 *value = bpf_map_lookup_elem(&counters, &counter);

	if (value)
		*value += by;
}

static __always_inline void count(__u32 counter)
{
	count_up(counter, 1);
}

/* Wakes user space only when a good part of the buffer is full; it looks in by itself otherwise. */
static __always_inline __u64 wakeup_flags(void)
{
	return bpf_ringbuf_query(&records, BPF_RB_AVAIL_DATA) > (1 << 20) ? BPF_RB_FORCE_WAKEUP
									  : BPF_RB_NO_WAKEUP;
}

static __always_inline void send_process(__u32 event, __u32 tgid, __u32 child, __u64 pc)
{
	struct record_process record = {
		.type = RECORD_PROCESS, .event = event, .tgid = tgid, .child = child, .pc = pc};

	bpf_ringbuf_output(&records, &record, sizeof(record), BPF_RB_FORCE_WAKEUP);
}

/* Which image of its process the current thread runs. */
static __always_inline __u32 current_image(void)
{
	struct task_struct *task = (void *)bpf_get_current_task();

	return BPF_CORE_READ(task, self_exec_id);
}
#endif

/* Room for the description of a Lua function, with what all of them have; NULL: lost. */
static __always_inline struct record_proto *reserve_proto(const struct walk *w, __u64 id,
							  __u64 address)
{
	struct record_proto *record = bpf_ringbuf_reserve(&records, sizeof(*record), 0);

	if (!record) {
		count(COUNTER_LOST_PROTO);
		return NULL;
	}
	record->type = RECORD_PROTO;
	record->tgid = w->record.tgid;
	record->proto_id = id;
	record->address = address;
	return record;
}

/* Sends it. */
static __always_inline void submit_proto(struct record_proto *record, __u64 id)
{
	__u8 one = 1;

	bpf_ringbuf_submit(record, wakeup_flags());
	bpf_map_update_elem(&known_protos, &id, &one, BPF_ANY);
}

#include "sampler_puc.h"

/* Describes the i-th Lua frame's proto unless that was done before. The target stands still in this
 * sample, so what is read now is what the frame's id was made from. */
__attribute__((noinline)) int send_proto(__u32 i, __u64 id)
{
	struct walk *w = walk_state();
	struct lua_place *place;
	const struct luajit_build *build;
	struct record_proto *record;
	__u32 slot = id & (SENT_PROTOS - 1);
	__u8 bytes[PROTO_DESCRIBED_SIZE] __attribute__((aligned(8)));
	__u64 proto, chunk, *sent;

	if (!w || i >= MAX_LUA_FRAMES)
		return 0;
	sent = bpf_map_lookup_elem(&sent_protos, &slot);
	if (!sent || *sent == id)
		return 0;
	if (bpf_map_lookup_elem(&known_protos, &id)) {
		*sent = id;
		return 0;
	}
	place = lua_place(i);
	if (!place)
		return 0;
	if (with_puc && place->puc) {
		if (send_puc_proto(i, id))
			*sent = id;
		return 0;
	}
	build = build_at(w->vm - 1);
	proto = place->proto;
	if (!build || bpf_probe_read_user(bytes, sizeof(bytes), (void *)proto) != 0)
		return 0;
	record = reserve_proto(w, id, proto);
	if (!record)
		return 0;
	if (w->gc64) {
		record->bytecode_count = *(__u32 *)(bytes + GC64_PROTO_SIZEBC);
		record->first_line = *(__u32 *)(bytes + GC64_PROTO_FIRSTLINE);
		record->line_count = *(__u32 *)(bytes + GC64_PROTO_NUMLINE);
		record->parameter_count = bytes[GC64_PROTO_NUMPARAMS];
		record->vararg = !!(bytes[GC64_PROTO_FLAGS] & PROTO_VARARG);
		record->stripped = !*(__u64 *)(bytes + GC64_PROTO_LINEINFO);
		chunk = *(__u64 *)(bytes + GC64_PROTO_CHUNKNAME);
	} else {
		record->parameter_count = bytes[GC32_PROTO_NUMPARAMS];
		record->vararg = !!(bytes[GC32_PROTO_FLAGS] & PROTO_VARARG);
		record->bytecode_count = *(__u32 *)(bytes + GC32_PROTO_SIZEBC);
		record->first_line = *(__u32 *)(bytes + GC32_PROTO_FIRSTLINE);
		record->line_count = *(__u32 *)(bytes + GC32_PROTO_NUMLINE);
		record->stripped = !*(__u32 *)(bytes + GC32_PROTO_LINEINFO);
		chunk = *(__u32 *)(bytes + GC32_PROTO_CHUNKNAME);
	}
	record->puc = 0;
	record->chunk_length = 0;
	bpf_probe_read_user(&record->chunk_length, 4, (void *)(chunk + build->string_length));
	record->chunk[0] = 0;
	bpf_probe_read_user_str(record->chunk, MAX_CHUNK_NAME,
				(void *)(chunk + build->string_data));
	submit_proto(record, id);
	*sent = id;
	return 0;
}

/* The line of a bytecode position, 0 when it is not known (lj_debug.c, lj_debug_line). One byte per
 * instruction where the function has fewer than 256 lines, else two or four. */
__attribute__((noinline)) int line_of(__u32 i, __u32 position)
{
	struct walk *w = walk_state();
	struct lua_place *place;
	__u64 proto, table;
	__u32 header[4], entry = 0;

	if (!w || i >= MAX_LUA_FRAMES || position == BCPOS_NONE)
		return 0;
	place = lua_place(i);
	if (!place)
		return 0;
	if (with_puc && place->puc)
		return puc_line_of(i, position);
	/* The first line, the number of lines, and a pointer to the table. */
	_Static_assert(GC64_PROTO_NUMLINE == GC64_PROTO_FIRSTLINE + 4 &&
			       GC64_PROTO_LINEINFO == GC64_PROTO_FIRSTLINE + 8 &&
			       GC32_PROTO_NUMLINE == GC32_PROTO_FIRSTLINE + 4 &&
			       GC32_PROTO_LINEINFO == GC32_PROTO_FIRSTLINE + 8,
		       "one read");
	proto = place->proto + (w->gc64 ? GC64_PROTO_FIRSTLINE : GC32_PROTO_FIRSTLINE);
	if (bpf_probe_read_user(header, w->gc64 ? 16 : 12, (void *)proto) != 0)
		return 0;
	table = w->gc64 ? header[2] | (__u64)header[3] << 32 : header[2];
	if (!table)
		return 0;
	if (position) {
		position--;
		if (header[1] < 256)
			bpf_probe_read_user(&entry, 1, (void *)(table + position));
		else if (header[1] < 65536)
			bpf_probe_read_user(&entry, 2, (void *)(table + 2ull * position));
		else
			bpf_probe_read_user(&entry, 4, (void *)(table + 4ull * position));
	}
	return header[0] + entry;
}

/* Tells how the i-th Lua frame was called by the next one, whose words are `word` and `caller`.
 * Read in the sample, like its description. */
__attribute__((noinline)) int send_call(__u32 i, __u64 callee, __u64 caller, __u64 word)
{
	struct walk *w = walk_state();
	struct lua_place *place, *callee_place;
	struct record_call *record;
	__u64 key, base, *sent;
	__u32 slot;
	__u8 one = 1;

	if (!w || i >= MAX_LUA_FRAMES - 1 || (__u32)word == BCPOS_NONE ||
	    word & FRAME_LUA_ESTIMATED || w->lua_error == LUA_ORDER)
		return 0;
	callee_place = lua_place(i);
	place = lua_place(i + 1);
	if (!place || !callee_place || place->puc != callee_place->puc)
		return 0;
	key = hash_mix(hash_mix(hash_mix(callee, caller), (__u32)word), word & FRAME_LUA_COMPILED);
	slot = key & (SENT_CALLS - 1);
	sent = bpf_map_lookup_elem(&sent_calls, &slot);
	if (!sent || *sent == key)
		return 0;
	if (bpf_map_lookup_elem(&known_calls, &key)) {
		*sent = key;
		return 0;
	}
	record = bpf_ringbuf_reserve(&records, sizeof(*record), 0);
	if (!record)
		return 0;
	record->type = RECORD_CALL;
	record->tgid = w->record.tgid;
	record->caller_id = caller;
	record->callee_id = callee;
	record->caller = place->proto;
	record->callee = callee_place->proto;
	record->function = place->puc ? 0 : place->function;
	record->callee_function = place->puc ? 0 : callee_place->function;
	record->g = w->g;
	record->position = (__u32)word;
	record->vm = place->puc ? 0 : w->vm;
	record->puc = (__u8)place->puc;
	record->slot_count = 0;
	record->compiled = !!(word & FRAME_LUA_COMPILED);
	base = place->puc ? 0 : place->base;
	if (base && bpf_probe_read_user(record->slots, sizeof(record->slots), (void *)base) == 0)
		record->slot_count = MAX_CALL_SLOTS;
	bpf_ringbuf_submit(record, wakeup_flags());
	bpf_map_update_elem(&known_calls, &key, &one, BPF_ANY);
	*sent = key;
	return 0;
}

/* Sends the values of the i-th Lua frame. */
__attribute__((noinline)) int send_values(__u32 i)
{
	struct walk *w = walk_state();
	struct record_frame *record;
	struct lua_place *place;
	const void *base;

	if (!w)
		return 0;
	place = lua_place(i);
	if (!place)
		return 0;
	record = bpf_ringbuf_reserve(&records, sizeof(*record), 0);
	if (!record)
		return 0;
	base = (const void *)place->base;
	record->type = RECORD_FRAME;
	record->tgid = w->record.tgid;
	record->hash = w->record.hash;
	record->index = i;
	record->puc = place->puc;
	record->vm = place->puc ? 0 : w->vm;
	record->proto = place->proto;
	record->function = place->function;
	record->base = place->base;
	/* What can be read may end before: where the Lua stack ends with a mapping. */
	record->size = MAX_FRAME_BYTES;
	if (bpf_probe_read_user(record->slots, MAX_FRAME_BYTES, base) != 0) {
		record->size = MAX_FRAME_BYTES / 8;
		if (bpf_probe_read_user(record->slots, MAX_FRAME_BYTES / 8, base) != 0)
			record->size = 0;
	}
	bpf_ringbuf_submit(record, wakeup_flags());
	return 0;
}

/* The frame at word `i`: describes its function, if that is Lua's, and puts in the current line.
 * Returns how many words it has. A Lua frame that follows another one immediately has called it:
 * what C calls has other frames between. */
__attribute__((noinline)) int send_frame(__u32 i)
{
	struct walk *w = walk_state();
	__u64 word, line, id, callee;
	__u32 lua;

	if (!w || i >= MAX_WORDS - 1)
		return 1;
	word = w->record.words[i];
	callee = w->sent_callee;
	w->sent_callee = 0;
	if (word >> FRAME_KIND_SHIFT != FRAME_KIND_LUA)
		return word >> FRAME_KIND_SHIFT == FRAME_KIND_BUILTIN ? 2 : 1;
	id = w->record.words[i + 1];
	lua = w->sent_lua++;
	send_proto(lua, id);
	if (with_values)
		send_values(lua);
	if (callee && lua)
		send_call(lua - 1, callee, id, word);
	/* Whether what an estimate names was called there is not known. */
	if (!(word & FRAME_LUA_ESTIMATED))
		w->sent_callee = id;
	line = (__u32)line_of(lua, (__u32)word);
	if (line <= FRAME_LINE_MASK)
		w->record.words[i] = word | line << FRAME_LINE_SHIFT;
	return 2;
}

/*
 * The verifier goes through a loop round by round, but through a subprogram once: two short loops,
 * one in the other's subprogram, are a tenth of a long one to it. LOOP_BLOCK is about the square
 * root of MAX_WORDS.
 */
#define LOOP_BLOCK 32u

/* The frames from word `at` on, LOOP_BLOCK at most; returns where the next one is. */
__attribute__((noinline)) int send_frames(__u32 at)
{
	struct walk *w = walk_state();
	__u32 i;

	if (!w)
		return MAX_WORDS;
	for (i = 0; i < LOOP_BLOCK; i++) {
		if (at >= w->words)
			break;
		at += (__u32)send_frame(at);
	}
	return (int)at;
}

/* Describes the Lua functions of a stack that is sent. */
__attribute__((noinline)) int send_protos(void)
{
	struct walk *w = walk_state();
	__u32 i, at = 0;

	if (!w)
		return 0;
	w->sent_lua = 0;
	w->sent_callee = 0;
	for (i = 0; i < MAX_WORDS / LOOP_BLOCK; i++) {
		if (at >= w->words)
			break;
		at = (__u32)send_frames(at);
	}
	return 0;
}

__attribute__((noinline)) int send_vm(void)
{
	struct walk *w = walk_state();
	struct record_vm record = {.type = RECORD_VM};
	struct vm_key key = {}, *sent;
	__u32 slot;
	__u8 one = 1;

	if (!w)
		return 0;
	key.g = w->g;
	key.tgid = w->record.tgid;
	key.exec_id = current_image();
	slot = (key.g >> 4 ^ key.tgid) & (SENT_VMS - 1);
	sent = bpf_map_lookup_elem(&sent_vms, &slot);
	if (sent && sent->g == key.g && sent->tgid == key.tgid && sent->exec_id == key.exec_id)
		return 0;
	if (bpf_map_lookup_elem(&known_vms, &key)) {
		if (sent)
			*sent = key;
		return 0;
	}
	record.tgid = w->record.tgid;
	record.g = w->g;
	record.L = w->L;
	record.vm = w->vm;
	record.puc = w->activations && w->coroutine[0].puc ? w->coroutine[0].puc : 0;
	if (bpf_ringbuf_output(&records, &record, sizeof(record), BPF_RB_FORCE_WAKEUP) == 0)
		bpf_map_update_elem(&known_vms, &key, &one, BPF_ANY);
	return 0;
}

#ifdef LUASPY_BPF
/* `hash` with LOOP_BLOCK words from `first` on, or those that there are, mixed in. */
__attribute__((noinline)) __u64 hash_words(__u32 first, __u64 hash)
{
	struct walk *w = walk_state();
	__u32 i, at;

	if (!w)
		return hash;
	for (i = 0; i < LOOP_BLOCK; i++) {
		at = first + i;
		barrier_var(at);
		if (at >= w->words || at >= MAX_WORDS)
			break;
		hash = hash_mix(hash, w->record.words[at]);
	}
	return hash;
}

/* Sets the record's hash. */
__attribute__((noinline)) int hash_stack(void)
{
	struct walk *w = walk_state();
	__u64 hash;
	__u32 i;

	if (!w)
		return 0;
	hash = stack_fingerprint(w->record.stop, w->record.flags, w->record.tgid, w->record.tid,
				 (const __u64 *)w->record.comm);
	for (i = 0; i < MAX_WORDS / LOOP_BLOCK; i++) {
		if (i * LOOP_BLOCK >= w->words)
			break;
		hash = hash_words(i * LOOP_BLOCK, hash);
	}
	w->record.hash = hash;
	return 0;
}

/* Tells when the sample was taken. Its stack was sent before, by whichever CPU met it first. */
__attribute__((noinline)) int send_time(void)
{
	struct walk *w = walk_state();
	struct record_time record = {.type = RECORD_TIME};

	if (!w)
		return 0;
	record.hash = w->record.hash;
	record.time = w->time;
	if (bpf_ringbuf_output(&records, &record, sizeof(record), wakeup_flags()) != 0)
		count(COUNTER_LOST_TIME);
	return 0;
}

/* Sends the walk's stack, whose hash is set, as a new one; 0 when it was lost. */
__attribute__((noinline)) int send_new_stack(void)
{
	struct walk *w = walk_state();
	struct stack_count zero = {};
	__u64 hash, size;

	if (!w)
		return 0;
	hash = w->record.hash;
	w->record.word_count = w->words;
	size = RECORD_STACK_HEADER + 8 * (__u64)w->words;
	if (size > sizeof(w->record))
		size = sizeof(w->record);
	if (bpf_ringbuf_output(&records, &w->record, size, wakeup_flags()) != 0)
		return 0;
	if (bpf_map_update_elem(&stacks, &hash, &zero, BPF_NOEXIST) == -7 /* E2BIG */)
		count(COUNTER_STACKS_FULL);
	return 1;
}

/* Sends the walk's stack if it is new. A sample is counted, too; 0 when it was lost. */
__attribute__((noinline)) int send_stack(void)
{
	struct walk *w = walk_state();
	struct stack_count *known;
	__u64 hash;

	if (!w)
		return 0;
	hash_stack();
	hash = w->record.hash;
	known = bpf_map_lookup_elem(&stacks, &hash);
	if (known && w->off_cpu)
		return 1;
	if (known) {
		__sync_fetch_and_add(&known->count, 1);
	} else {
		if (w->lua_frames) {
			send_protos();
			send_vm();
		}
		if (!send_new_stack()) {
			if (!w->off_cpu)
				count(COUNTER_LOST);
			return 0;
		}
	}
	if (with_times && !w->off_cpu)
		send_time();
	return 1;
}
#endif

#endif
