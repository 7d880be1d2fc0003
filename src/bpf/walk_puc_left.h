/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Frames of PUC Lua that no activation of luaV_execute has: they are moved to where the outermost
 * activation of their coroutine ends. Included by walk_puc.h.
 */
#ifndef LUASPY_WALK_PUC_LEFT_H
#define LUASPY_WALK_PUC_LEFT_H

/* Of a long loop the verifier goes through each round: so these are blocks of a few. */
#define REVERSE_WORDS  24u
#define REVERSE_PLACES 16u

/* Exchanges the first words of [from, to) with the last ones, from the ends on. */
SUBPROGRAM int puc_exchange_words(__u32 from, __u32 to)
{
	struct walk *w = walk_state();
	__u32 i, low, high;
	__u64 word;

	if (!w)
		return 0;
	for (i = 0; i < REVERSE_WORDS; i++) {
		if (from + i + 1 >= to - i)
			break;
		low = from + i;
		high = to - i - 1;
		barrier_var(low);
		barrier_var(high);
		if (low >= MAX_WORDS || high >= MAX_WORDS)
			break;
		word = w->record.words[low];
		w->record.words[low] = w->record.words[high];
		w->record.words[high] = word;
	}
	return 0;
}

SUBPROGRAM int puc_reverse_words(__u32 from, __u32 to)
{
	__u32 i;

	for (i = 0; i < MAX_WORDS / 2; i += REVERSE_WORDS) {
		if (from + i + 1 >= to - i)
			break;
		puc_exchange_words(from + i, to - i);
	}
	return 0;
}

SUBPROGRAM int puc_exchange_places(__u32 from, __u32 to)
{
	struct lua_place *left, *right, place;
	__u32 i;

	for (i = 0; i < REVERSE_PLACES; i++) {
		if (from + i + 1 >= to - i)
			break;
		left = lua_place(from + i);
		right = lua_place(to - i - 1);
		if (!left || !right)
			break;
		place = *left;
		*left = *right;
		*right = place;
	}
	return 0;
}

SUBPROGRAM int puc_reverse_places(__u32 from, __u32 to)
{
	__u32 i;

	for (i = 0; i < MAX_LUA_FRAMES / 2; i += REVERSE_PLACES) {
		if (from + i + 1 >= to - i)
			break;
		puc_exchange_places(from + i, to - i);
	}
	return 0;
}

/* Frames were put in front of those of the index-th coroutine. */
SUBPROGRAM int puc_move(__u32 index, __u32 words, __u32 lua)
{
	struct walk *w = walk_state();

	if (!w || index >= MAX_COROUTINES || index >= w->coroutines)
		return 0;
	w->coroutine[index].words += words;
	w->coroutine[index].lua += lua;
	return 0;
}

/*
 * The frames of the index-th coroutine that are left: moved to where its outermost activation ends.
 * Negative when it is a main thread's and has some.
 */
SUBPROGRAM int puc_leftover(__u32 index)
{
	struct walk *w = walk_state();
	__u32 words, lua, at, lua_at, i, count, lua_count;

	if (!w || index >= MAX_COROUTINES || !w->coroutine[index].puc)
		return 0;
	w->puc = w->coroutine[index].puc;
	w->L = w->coroutine[index].L;
	if (puc_state_read() != 0)
		return lua_fail(w, LUA_READ_STATE);
	w->frame = w->coroutine[index].next;
	if (w->frame == w->bottom)
		return 0;
	words = w->words;
	lua = w->lua_frames;
	w->puc_pc = 0;
	w->puc_rest = PUC_LEFT;
	if (puc_frames() < 0) {
		w->words = words;
		w->lua_frames = lua;
		w->lua_error = LUA_ORDER;
		return -1;
	}
	if (w->lua_frames == lua) {
		/* C functions that were called from C: their C frames are enough. */
		w->words = words;
		return 0;
	}
	if (w->puc_is_main) {
		w->words = words;
		w->lua_frames = lua;
		return lua_fail(w, LUA_ORDER);
	}
	at = w->coroutine[index].words;
	lua_at = w->coroutine[index].lua;
	count = w->words - words;
	lua_count = w->lua_frames - lua;
	puc_reverse_words(at, words);
	puc_reverse_words(words, w->words);
	puc_reverse_words(at, w->words);
	puc_reverse_places(lua_at, lua);
	puc_reverse_places(lua, w->lua_frames);
	puc_reverse_places(lua_at, w->lua_frames);
	for (i = 1; i < MAX_COROUTINES; i++)
		puc_move(index + i, count, lua_count);
	return 0;
}

#endif
