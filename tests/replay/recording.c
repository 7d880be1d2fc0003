// SPDX-License-Identifier: Apache-2.0
/* See recording.h. */
#include "recording.h"

#include <ctype.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <zlib.h>

#include "vm/puc.h"

#define MAX_TEXT 32768 /* of a line: the longest holds MAX_WORDS words */

/* ---- reading -------------------------------------------------------------------------------- */

struct reader {
	struct recording *recording;
	uint64_t *rows; /* of the last file */
	size_t row_count;
	struct file_table file;
	bool in_file;
	char *at; /* the rest of the line */
};

static uint64_t take_number(struct reader *reader)
{
	return strtoull(reader->at, &reader->at, 16);
}

/* Exactly `size` bytes as hexadecimal digits. */
static bool take_bytes(struct reader *reader, void *bytes, size_t size)
{
	uint8_t *to = bytes;
	unsigned int value;
	size_t i;

	while (*reader->at == ' ')
		reader->at++;
	for (i = 0; i < size; i++, reader->at += 2) {
		if (!isxdigit((unsigned char)reader->at[0]) ||
		    !isxdigit((unsigned char)reader->at[1]) ||
		    sscanf(reader->at, "%2x", &value) != 1)
			return false;
		to[i] = (uint8_t)value;
	}
	return !*reader->at; /* another length: made with another layout */
}

/* The rows of a file follow it: it is complete when something else comes. */
static int end_file(struct reader *reader)
{
	int id = 0;

	if (reader->in_file)
		id = replay__add_file_rows(reader->recording->replay, &reader->file, reader->rows,
					   reader->row_count);
	reader->in_file = false;
	reader->row_count = 0;
	return id < 0 ? id : 0;
}

static int read_row(struct reader *reader)
{
	uint64_t *grown;

	take_number(reader); /* the file: always the last one */
	if (!reader->in_file)
		return -EINVAL;
	grown = realloc(reader->rows, (reader->row_count + 1) * sizeof(*grown));
	if (!grown)
		return -ENOMEM;
	reader->rows = grown;
	grown[reader->row_count++] = take_number(reader);
	return 0;
}

static int read_rule(struct reader *reader)
{
	struct replay *replay = reader->recording->replay;
	struct unwind_rule rule = {}, none = {.cfa_kind = CFA_NONE, .vm_base_reg = VM_NO_REG};
	uint64_t id = take_number(reader);
	int i;

	if (id < replay->rule_count || id >= MAX_RULES)
		return -EINVAL;
	rule.cfa_offset = (int32_t)take_number(reader);
	rule.cfa_offset2 = (int32_t)take_number(reader);
	rule.cfa_kind = (uint8_t)take_number(reader);
	rule.cfa_reg = (uint8_t)take_number(reader);
	rule.flags = (uint8_t)take_number(reader);
	rule.vm_flags = (uint8_t)take_number(reader);
	rule.vm_base_reg = (uint8_t)take_number(reader);
	for (i = 0; i < SAVED_COUNT; i++) {
		rule.saved_base[i] = (uint8_t)take_number(reader);
		rule.saved_offset[i] = (int16_t)take_number(reader);
	}
	rule.vm_pc = (uint8_t)take_number(reader);
	rule.vm_pc_slot = (uint8_t)take_number(reader);
	if (*reader->at)
		return -EINVAL;
	while (replay->rule_count < id) {
		if (replay__add_rule(replay, &none) < 0)
			return -ENOMEM;
	}
	return replay__add_rule(replay, &rule) < 0 ? -ENOMEM : 0;
}

static int read_build(struct reader *reader)
{
	struct replay *replay = reader->recording->replay;
	struct luajit_build build = {.interpreter_start = take_number(reader)};

	build.interpreter_end = take_number(reader);
	build.dispatch_from_g = (int32_t)take_number(reader);
	build.vmstate = (uint32_t)take_number(reader);
	build.cur_L = (uint32_t)take_number(reader);
	build.jit_base = (uint32_t)take_number(reader);
	build.trace_array = (uint32_t)take_number(reader);
	build.trace_exit = (uint32_t)take_number(reader);
	build.gc64 = (uint8_t)take_number(reader);
	build.save_L = (uint8_t)take_number(reader);
	build.save_cframe = (uint8_t)take_number(reader);
	build.frame_size = (uint8_t)take_number(reader);
	build.string_data = (uint8_t)take_number(reader);
	build.string_length = (uint8_t)take_number(reader);
	build.bc_funcf = (uint8_t)take_number(reader);
	build.ffi = (uint8_t)take_number(reader);
	if (*reader->at || replay->build_count == REPLAY_BUILDS)
		return -EINVAL;
	replay->builds[replay->build_count++] = build;
	return 0;
}

static int read_puc(struct reader *reader)
{
	struct replay *replay = reader->recording->replay;
	struct puc_build puc;

	if (puc_layout__get((unsigned int)take_number(reader), &puc) != 0 ||
	    replay->puc_count == REPLAY_BUILDS)
		return -EINVAL;
	puc.execute_start = take_number(reader);
	puc.execute_end = take_number(reader);
	replay->pucs[replay->puc_count++] = puc;
	return *reader->at ? -EINVAL : 0;
}

static int read_mapping(struct reader *reader)
{
	struct mapping mapping = {};

	mapping.start = take_number(reader);
	mapping.end = take_number(reader);
	mapping.bias = take_number(reader);
	mapping.file_id = (uint32_t)take_number(reader);
	return replay__add_mapping(reader->recording->replay, &mapping) < 0 ? -ENOMEM : 0;
}

static struct recording_take *new_take(struct recording *self)
{
	struct recording_take *grown;

	grown = realloc(self->takes, (self->take_count + 1) * sizeof(*grown));
	if (!grown)
		return NULL;
	self->takes = grown;
	memset(&grown[self->take_count], 0, sizeof(*grown));
	return &grown[self->take_count++];
}

static int add_line(struct recording_take *take, const struct replay_line *line)
{
	struct replay_line *grown;

	grown = realloc(take->lines, (take->line_count + 1) * sizeof(*grown));
	if (!grown)
		return -ENOMEM;
	take->lines = grown;
	grown[take->line_count++] = *line;
	return 0;
}

static int add_word(struct recording_take *take, uint64_t word)
{
	uint64_t *grown;

	grown = realloc(take->words, (take->word_count + 1) * sizeof(*grown));
	if (!grown)
		return -ENOMEM;
	take->words = grown;
	grown[take->word_count++] = word;
	return 0;
}

/* Lines that belong to a take. */
static int read_take_line(struct reader *reader, const char *what)
{
	struct recording *self = reader->recording;
	struct recording_take *take = self->take_count ? &self->takes[self->take_count - 1] : NULL;
	struct replay_line line;
	int i, err = 0;

	if (!take)
		return -EINVAL;
	if (strcmp(what, "registers") == 0) {
		for (i = 0; i < DW_REG_COUNT; i++)
			take->registers[i] = take_number(reader);
	} else if (strcmp(what, "thread_vm") == 0) {
		take->thread_vm = take_number(reader);
	} else if (strcmp(what, "memory") == 0) {
		line.address = take_number(reader);
		if (line.address % REPLAY_LINE || !take_bytes(reader, line.bytes, REPLAY_LINE))
			return -EINVAL;
		err = add_line(take, &line);
	} else if (strcmp(what, "result") == 0) {
		take->stop = (uint32_t)take_number(reader);
		take->lua_error = (uint32_t)take_number(reader);
		while (!err && *reader->at == ' ')
			err = add_word(take, take_number(reader));
	} else {
		err = -EINVAL;
	}
	return err;
}

static int read_line(struct reader *reader, char *text)
{
	struct replay *replay = reader->recording->replay;
	char *what = text;
	int err = 0;

	text[strcspn(text, "\n")] = 0;
	reader->at = text + strcspn(text, " ");
	if (*reader->at)
		*reader->at++ = 0;
	if (strcmp(what, "row") == 0)
		return read_row(reader);
	err = end_file(reader);
	if (err || *what == '#' || !*what)
		return err;
	if (strcmp(what, "build") == 0) {
		return read_build(reader);
	} else if (strcmp(what, "puc") == 0) {
		return read_puc(reader);
	} else if (strcmp(what, "rule") == 0) {
		return read_rule(reader);
	} else if (strcmp(what, "file") == 0) {
		reader->file = (struct file_table){.text_base = take_number(reader)};
		reader->file.pages = (uint32_t)take_number(reader);
		reader->file.vm = (uint32_t)take_number(reader);
		reader->file.puc = (uint32_t)take_number(reader);
		if (reader->file.pages > 1u << 20)
			return -EINVAL;
		reader->in_file = true;
	} else if (strcmp(what, "mapping") == 0) {
		return read_mapping(reader);
	} else if (strcmp(what, "vm") == 0) {
		replay->vm = (uint32_t)take_number(reader);
		replay->tid = (uint32_t)take_number(reader);
	} else if (strcmp(what, "take") == 0) {
		return new_take(reader->recording) ? 0 : -ENOMEM;
	} else {
		return read_take_line(reader, what);
	}
	return 0;
}

int recording__read(const char *path, struct recording *self, size_t *line)
{
	struct reader reader = {.recording = self};
	char *text = malloc(MAX_TEXT);
	gzFile file = NULL;
	int err = -ENOMEM;

	*self = (struct recording){.replay = replay__new()};
	*line = 0;
	if (!self->replay || !text)
		goto out;
	file = gzopen(path, "rb");
	err = file ? -EINVAL : -errno;
	if (!file || !gzgets(file, text, MAX_TEXT) || strcmp(text, "luaspy-recording 1\n") != 0)
		goto out;
	for (*line = 2, err = 0; !err && gzgets(file, text, MAX_TEXT); ++*line)
		err = read_line(&reader, text);
	if (!err)
		err = end_file(&reader);
out:
	if (file)
		gzclose(file);
	free(text);
	free(reader.rows);
	if (err)
		recording__free(self);
	return err;
}

void recording__free(struct recording *self)
{
	size_t i;

	for (i = 0; i < self->take_count; i++) {
		free(self->takes[i].lines);
		free(self->takes[i].words);
	}
	free(self->takes);
	replay__free(self->replay);
	memset(self, 0, sizeof(*self));
}

void recording__load(struct recording *self, size_t index)
{
	const struct recording_take *take = &self->takes[index];
	size_t i;

	memcpy(self->replay->registers, take->registers, sizeof(take->registers));
	self->replay->thread_vm = take->thread_vm;
	for (i = 0; i < take->line_count; i++)
		replay__set_memory(self->replay, take->lines[i].address, take->lines[i].bytes,
				   REPLAY_LINE);
}

/* ---- writing -------------------------------------------------------------------------------- */

/* What an earlier take has left at the line's address, or NULL. */
static const struct replay_line *line_before(const struct recording *self, uint64_t address)
{
	size_t t = self->take_count - 1, i;

	while (t--) {
		for (i = 0; i < self->takes[t].line_count; i++) {
			if (self->takes[t].lines[i].address == address)
				return &self->takes[t].lines[i];
		}
	}
	return NULL;
}

int recording__add_take(struct recording *self, const struct replay *replay, uint64_t thread_vm,
			const struct replay_result *result)
{
	struct recording_take *take = new_take(self);
	const struct replay_line *before;
	size_t i;
	int err = 0;

	if (!take)
		return -ENOMEM;
	memcpy(take->registers, replay->registers, sizeof(take->registers));
	take->thread_vm = thread_vm;
	take->stop = result->stop;
	take->lua_error = result->lua_error;
	for (i = 0; !err && i < replay->line_count; i++) {
		before = line_before(self, replay->lines[i].address);
		if (!before || memcmp(before->bytes, replay->lines[i].bytes, REPLAY_LINE) != 0)
			err = add_line(take, &replay->lines[i]);
	}
	for (i = 0; !err && i < result->word_count; i++)
		err = add_word(take, result->words[i]);
	return err;
}

static void print_bytes(gzFile file, const void *bytes, size_t size)
{
	const uint8_t *from = bytes;
	size_t i;

	for (i = 0; i < size; i++)
		gzprintf(file, "%02x", from[i]);
	gzprintf(file, "\n");
}

static void print_build(gzFile file, const struct luajit_build *build)
{
	gzprintf(file, "build %llx %llx %x %x %x %x %x %x", build->interpreter_start,
		 build->interpreter_end, (unsigned int)build->dispatch_from_g, build->vmstate,
		 build->cur_L, build->jit_base, build->trace_array, build->trace_exit);
	gzprintf(file, " %x %x %x %x %x %x %x %x\n", build->gc64, build->save_L, build->save_cframe,
		 build->frame_size, build->string_data, build->string_length, build->bc_funcf,
		 build->ffi);
}

static void print_rule(gzFile file, size_t id, const struct unwind_rule *rule)
{
	int i;

	gzprintf(file, "rule %zx %x %x %x %x %x %x %x", id, (unsigned int)rule->cfa_offset,
		 (unsigned int)rule->cfa_offset2, rule->cfa_kind, rule->cfa_reg,
		 rule->flags & ~RULE_SIMPLE, rule->vm_flags, rule->vm_base_reg);
	for (i = 0; i < SAVED_COUNT; i++)
		gzprintf(file, " %x %x", rule->saved_base[i], (uint16_t)rule->saved_offset[i]);
	gzprintf(file, " %x %x\n", rule->vm_pc, rule->vm_pc_slot);
}

static void print_tables(gzFile file, const struct replay *replay)
{
	uint8_t *rules = calloc(replay->rule_count, 1);
	size_t i, entry;

	if (!rules)
		return;
	for (i = 0; i < replay->build_count; i++)
		print_build(file, &replay->builds[i]);
	for (i = 0; i < replay->puc_count; i++)
		gzprintf(file, "puc %x %llx %llx\n", replay->pucs[i].release,
			 replay->pucs[i].execute_start, replay->pucs[i].execute_end);
	for (i = 0; i < replay->file_count; i++) {
		const struct file_table *table = &replay->files[i];
		const struct walk_rows *rows = &replay->tables[i];

		gzprintf(file, "file %llx %x %x %x\n", table->text_base, table->pages, table->vm,
			 table->puc);
		for (entry = (size_t)table->pages + 1; entry < rows->count; entry++) {
			if (!rows->used[entry])
				continue;
			gzprintf(file, "row %zx %" PRIx64 "\n", i, rows->entries[entry]);
			if (ROW_RULE(rows->entries[entry]) < replay->rule_count)
				rules[ROW_RULE(rows->entries[entry])] = 1;
		}
	}
	for (i = 1; i < replay->rule_count; i++) {
		if (rules[i])
			print_rule(file, i, &replay->rules[i]);
	}
	for (i = 0; i < replay->mapping_count; i++)
		gzprintf(file, "mapping %llx %llx %llx %x\n", replay->mappings[i].start,
			 replay->mappings[i].end, replay->mappings[i].bias,
			 replay->mappings[i].file_id);
	gzprintf(file, "vm %x %x\n", replay->vm, replay->tid);
	free(rules);
}

static void print_take(gzFile file, const struct recording_take *take)
{
	size_t i;

	gzprintf(file, "take\nregisters");
	for (i = 0; i < DW_REG_COUNT; i++)
		gzprintf(file, " %" PRIx64, take->registers[i]);
	gzprintf(file, "\nthread_vm %" PRIx64 "\n", take->thread_vm);
	for (i = 0; i < take->line_count; i++) {
		gzprintf(file, "memory %" PRIx64 " ", take->lines[i].address);
		print_bytes(file, take->lines[i].bytes, REPLAY_LINE);
	}
	gzprintf(file, "result %x %x", take->stop, take->lua_error);
	for (i = 0; i < take->word_count; i++)
		gzprintf(file, " %" PRIx64, take->words[i]);
	gzprintf(file, "\n");
}

int recording__write(const struct recording *self, const struct replay *replay, const char *path)
{
	gzFile file = gzopen(path, "wb9");
	size_t i;

	if (!file)
		return -errno;
	gzprintf(file, "luaspy-recording 1\n");
	print_tables(file, replay);
	for (i = 0; i < self->take_count; i++)
		print_take(file, &self->takes[i]);
	return gzclose(file) == Z_OK ? 0 : -EIO;
}
