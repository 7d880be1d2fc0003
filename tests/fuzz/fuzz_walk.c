/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Walks over recordings (tests/replay/recordings) whose memory, registers, mappings, rules, tables
 * and build of LuaJIT or PUC Lua were changed as the input says: a corrupt, racing or hostile
 * target. Built with
 *
 *   clang -std=gnu11 -D_GNU_SOURCE -Isrc -g -O1 -fsanitize=fuzzer,address,undefined \
 *         tests/fuzz/fuzz_walk.c tests/replay/replay_env.c tests/replay/recording.c \
 *         src/unwind/unwind_rules.c src/vm/puc_layout.c -lz -o fuzz_walk
 *
 * and run in the top folder of the tree. The first byte of the input chooses a take, each 12 bytes
 * that follow are a change: what, where (two bytes), a byte more, a value of 8 bytes.
 */
#include <glob.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "../replay/recording.h"
#include "vm/puc.h"

#define MAX_TAKES	    128
#define TAKES_PER_RECORDING 8
#define MAX_CHANGES	    64

int LLVMFuzzerInitialize(int *argc, char ***argv);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* What a walk reads, as it was recorded and as it is changed; the two have the same sizes. */
struct pair {
	struct replay *recorded;
	struct replay *changed;
};

static struct pair pairs[MAX_TAKES];
static size_t pair_count;

struct change {
	uint8_t what;
	uint16_t where;
	uint8_t detail;
	uint64_t value;
};

static void expect(int condition)
{
	if (!condition)
		abort();
}

/* ---- the takes ------------------------------------------------------------------------------- */

/* Brings `to`, a copy of `from` of an earlier call, into the same state again. */
static void restore(struct replay *to, const struct replay *from)
{
	size_t i;

	memcpy(to->lines, from->lines, from->line_count * sizeof(*from->lines));
	memcpy(to->mappings, from->mappings, from->mapping_count * sizeof(*from->mappings));
	memcpy(to->files, from->files, from->file_count * sizeof(*from->files));
	memcpy(to->rules, from->rules, from->rule_count * sizeof(*from->rules));
	memcpy(to->builds, from->builds, sizeof(from->builds));
	memcpy(to->pucs, from->pucs, sizeof(from->pucs));
	memcpy(to->registers, from->registers, sizeof(from->registers));
	for (i = 0; i < from->file_count; i++)
		memcpy(to->tables[i].entries, from->tables[i].entries,
		       from->tables[i].count * sizeof(*from->tables[i].entries));
	to->line_count = from->line_count;
	to->mapping_count = from->mapping_count;
	to->vm = from->vm;
	to->tid = from->tid;
	to->thread_vm = from->thread_vm;
}

static struct replay *copy(const struct replay *from)
{
	struct replay *to = replay__new();
	size_t i;

	expect(to != NULL);
	for (i = 0; i < from->line_count; i++)
		replay__set_memory(to, from->lines[i].address, from->lines[i].bytes, REPLAY_LINE);
	for (i = 0; i < from->mapping_count; i++)
		expect(replay__add_mapping(to, &from->mappings[i]) >= 0);
	for (i = 0; i < from->file_count; i++)
		expect(replay__add_file(to, &from->files[i], from->tables[i].entries,
					from->tables[i].count) >= 0);
	for (i = 1; i < from->rule_count; i++)
		expect(replay__add_rule(to, &from->rules[i]) >= 0);
	to->build_count = from->build_count;
	to->puc_count = from->puc_count;
	restore(to, from);
	return to;
}

static void take_recording(const char *path)
{
	struct recording recording;
	size_t line, i, step;

	expect(recording__read(path, &recording, &line) == 0);
	step = recording.take_count / TAKES_PER_RECORDING + 1;
	for (i = 0; i < recording.take_count; i++) {
		recording__load(&recording, i);
		if (i % step || pair_count == MAX_TAKES)
			continue;
		pairs[pair_count].recorded = copy(recording.replay);
		pairs[pair_count++].changed = copy(recording.replay);
	}
	recording__free(&recording);
}

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
	glob_t found = {};
	size_t i;

	expect(glob("tests/replay/recordings/*.rec.gz", 0, NULL, &found) == 0);
	for (i = 0; i < found.gl_pathc; i++)
		take_recording(found.gl_pathv[i]);
	globfree(&found);
	expect(pair_count > 0);
	return 0;
}

/* ---- changes -----------------------------------------------------------------------------------
 */

/* A value that leads somewhere: into one of the lines. */
static uint64_t pointer(const struct replay *replay, uint64_t value)
{
	return replay->lines[(uint16_t)value % replay->line_count].address + (value >> 16 & 0xff);
}

static void change_memory(struct replay *replay, const struct change *change, uint64_t value)
{
	struct replay_line *line = &replay->lines[change->where % replay->line_count];
	size_t width = change->detail & 0x80 ? 1 : change->detail & 0x40 ? 4 : 8;
	size_t offset = change->detail % (REPLAY_LINE - width + 1);

	memcpy(line->bytes + offset, &value, width);
}

static void change_mapping(struct replay *replay, const struct change *change)
{
	struct mapping *mapping = &replay->mappings[change->where % replay->mapping_count];

	switch (change->detail % 5) {
	case 0:
		mapping->start = change->value;
		break;
	case 1:
		mapping->end = change->value;
		break;
	case 2:
		mapping->bias = change->value;
		break;
	case 3:
		mapping->file_id = (uint32_t)change->value;
		break;
	case 4:
		replay->mapping_count = change->value % (replay->mapping_count + 1);
		break;
	}
}

static void change_file(struct replay *replay, const struct change *change)
{
	struct file_table *file = &replay->files[change->where % replay->file_count];
	struct walk_rows *table = &replay->tables[change->where % replay->file_count];

	switch (change->detail % 6) {
	case 0:
		file->text_base = change->value;
		break;
	case 1:
		file->pages = (uint32_t)change->value;
		break;
	case 2:
		file->vm = (uint32_t)change->value;
		break;
	case 3:
		file->puc = (uint32_t)change->value;
		break;
	default:
		if (table->count)
			table->entries[(change->value >> 48) % table->count] = change->value;
	}
}

/* The rules come from our own side: what they can be is what the tables' builder makes. */
static void change_rule(struct replay *replay, const struct change *change)
{
	struct unwind_rule *rule = &replay->rules[change->where % replay->rule_count];

	switch (change->detail % 9) {
	case 0:
		rule->cfa_kind = (uint8_t)(change->value % (CFA_UNSUPPORTED + 1));
		break;
	case 1:
		rule->cfa_reg = (uint8_t)(change->value % DW_REG_RA);
		break;
	case 2:
		rule->cfa_offset = (int32_t)change->value;
		break;
	case 3:
		rule->cfa_offset2 = (int32_t)change->value;
		break;
	case 4:
		rule->flags = (uint8_t)((rule->flags & RULE_SIMPLE) | (change->value & 0xb));
		break;
	case 5:
		rule->vm_flags = (uint8_t)change->value;
		break;
	case 6:
		rule->vm_base_reg = (uint8_t)change->value;
		break;
	case 7:
		rule->vm_pc = (uint8_t)change->value;
		rule->vm_pc_slot = (uint8_t)(change->value >> 8);
		break;
	default:
		rule->flags &= (uint8_t)~RULE_SIMPLE;
		rule->saved_base[change->value % SAVED_COUNT] = (uint8_t)(change->value >> 8);
		rule->saved_offset[change->value % SAVED_COUNT] = (int16_t)(change->value >> 16);
	}
}

static void change_build(struct replay *replay, const struct change *change)
{
	struct luajit_build *build = &replay->builds[0];

	switch (change->detail % 6) {
	case 0:
		build->gc64 = change->value & 1;
		break;
	case 1:
		build->save_L = (uint8_t)change->value;
		break;
	case 2:
		build->frame_size = (uint8_t)change->value;
		break;
	case 3:
		build->string_data = (uint8_t)change->value;
		break;
	case 4:
		build->dispatch_from_g = (int32_t)change->value;
		break;
	case 5:
		build->cur_L = (uint32_t)change->value;
		build->save_cframe = (uint8_t)(change->value >> 32);
		break;
	}
}

/* Another release's layouts, with which this one's memory is read. */
static void change_puc(struct replay *replay, const struct change *change)
{
	static const unsigned int releases[] = {50100, 50105, 50200, 50204, 50300, 50301, 50306,
						50400, 50401, 50402, 50404, 50408, 50500};
	struct puc_build *puc = &replay->pucs[0];

	if (change->value >> 56 & 1)
		expect(puc_layout__get(
			       releases[change->value % (sizeof(releases) / sizeof(releases[0]))],
			       puc) == 0);
	else
		puc->boundary = (uint8_t)(change->value & 3);
}

static void apply(struct replay *replay, const struct change *change)
{
	struct replay_line *line = &replay->lines[change->where % replay->line_count];

	switch (change->what % 12) {
	case 0:
		replay->registers[change->where % DW_REG_COUNT] = change->value;
		break;
	case 1:
		replay->registers[change->where % DW_REG_COUNT] += (uint64_t)(int8_t)change->detail;
		break;
	case 2:
		replay->registers[change->where % DW_REG_COUNT] = pointer(replay, change->value);
		break;
	case 3:
	case 4:
		change_memory(replay, change, change->value);
		break;
	case 5:
		change_memory(replay, change, pointer(replay, change->value));
		break;
	case 6:
		memcpy(line->bytes, replay->lines[change->value % replay->line_count].bytes,
		       REPLAY_LINE);
		break;
	case 7:
		/* Absent: beside the others no address is in order any more, as little as it
		 * matters. */
		if (replay->line_count > 1)
			replay__drop_memory(replay, line->address, 1);
		break;
	case 8:
		change_mapping(replay, change);
		break;
	case 9:
		change_file(replay, change);
		break;
	case 10:
		change_rule(replay, change);
		break;
	case 11:
		if (replay->puc_count)
			change_puc(replay, change);
		else
			change_build(replay, change);
		if (change->detail & 0x80)
			replay->thread_vm = pointer(replay, change->value);
		if (change->detail & 0x40)
			replay->vm = change->value & 1;
		break;
	}
}

/* ---- what holds for every walk
 * -------------------------------------------------------------------- */

static void check(const struct replay_result *result)
{
	uint32_t i, lua = 0;
	uint64_t kind;

	expect(result->stop < STOP_COUNT && result->lua_error < LUA_ERROR_COUNT);
	expect(result->word_count <= MAX_WORDS && result->native_frames <= MAX_NATIVE_FRAMES);
	expect(result->lua_frames <= MAX_LUA_FRAMES);
	for (i = 0; i < result->word_count; i++) {
		kind = result->words[i] >> FRAME_KIND_SHIFT;
		expect(kind >= FRAME_KIND_NATIVE && kind <= FRAME_KIND_TAIL_CALL);
		if (kind != FRAME_KIND_LUA && kind != FRAME_KIND_BUILTIN)
			continue;
		lua += kind == FRAME_KIND_LUA;
		i++; /* the second word is there */
		expect(i < result->word_count);
	}
	expect(lua == result->lua_frames);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct replay_result first, second;
	struct change change;
	struct replay *replay;
	struct pair *pair;
	uint64_t thread_vm;
	int changes;

	if (!size)
		return 0;
	pair = &pairs[*data % pair_count];
	replay = pair->changed;
	restore(replay, pair->recorded);
	data++;
	size--;
	for (changes = 0; size >= 12 && changes < MAX_CHANGES; changes++, data += 12, size -= 12) {
		change.what = data[0];
		memcpy(&change.where, data + 1, 2);
		change.detail = data[3];
		memcpy(&change.value, data + 4, 8);
		if (replay->mapping_count || change.what % 12 != 8)
			apply(replay, &change);
	}
	thread_vm = replay->thread_vm;
	replay__walk(replay, &first);
	check(&first);
	/* The same target gives the same walk, whatever was walked before. */
	replay->thread_vm = thread_vm;
	replay__walk(replay, &second);
	expect(first.stop == second.stop && first.lua_error == second.lua_error);
	expect(first.word_count == second.word_count &&
	       memcmp(first.words, second.words, first.word_count * sizeof(first.words[0])) == 0);
	return 0;
}
