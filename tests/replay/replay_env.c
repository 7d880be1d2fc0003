// SPDX-License-Identifier: Apache-2.0
/* See replay_env.h. */
#include "replay_env.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "unwind/unwind_table.h"

/* ---- memory ---------------------------------------------------------------------------------- */

/* The index of the line at `address`, or of the first one behind it. */
static size_t line_index(const struct replay *self, uint64_t address)
{
	size_t low = 0, high = self->line_count, middle;

	while (low < high) {
		middle = low + (high - low) / 2;
		if (self->lines[middle].address < address)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

static struct replay_line *line_find(const struct replay *self, uint64_t address)
{
	size_t at = line_index(self, address);

	if (at < self->line_count && self->lines[at].address == address)
		return &self->lines[at];
	return NULL;
}

static struct replay_line *line_make(struct replay *self, uint64_t address)
{
	size_t at = line_index(self, address);
	struct replay_line *grown;

	if (at < self->line_count && self->lines[at].address == address)
		return &self->lines[at];
	if (self->line_count == self->line_capacity) {
		size_t capacity = self->line_capacity ? 2 * self->line_capacity : 256;

		grown = realloc(self->lines, capacity * sizeof(*grown));
		if (!grown)
			abort(); /* a test has nothing better to do */
		self->lines = grown;
		self->line_capacity = capacity;
	}
	memmove(self->lines + at + 1, self->lines + at,
		(self->line_count - at) * sizeof(*self->lines));
	self->line_count++;
	memset(&self->lines[at], 0, sizeof(*self->lines));
	self->lines[at].address = address;
	return &self->lines[at];
}

void replay__set_memory(struct replay *self, uint64_t address, const void *bytes, size_t size)
{
	const uint8_t *from = bytes;

	while (size) {
		size_t offset = address % REPLAY_LINE, part = REPLAY_LINE - offset;

		if (part > size)
			part = size;
		memcpy(line_make(self, address - offset)->bytes + offset, from, part);
		address += part;
		from += part;
		size -= part;
	}
}

void replay__set_word(struct replay *self, uint64_t address, uint64_t value)
{
	replay__set_memory(self, address, &value, sizeof(value));
}

void replay__drop_memory(struct replay *self, uint64_t address, uint64_t size)
{
	size_t from = line_index(self, address - address % REPLAY_LINE);
	size_t to = line_index(self, address + size);

	memmove(self->lines + from, self->lines + to,
		(self->line_count - to) * sizeof(*self->lines));
	self->line_count -= to - from;
}

static bool read_lines(const struct replay *self, uint64_t address, uint8_t *to, size_t size)
{
	while (size) {
		size_t offset = address % REPLAY_LINE, part = REPLAY_LINE - offset;
		const struct replay_line *line = line_find(self, address - offset);

		if (!line)
			return false;
		if (part > size)
			part = size;
		memcpy(to, line->bytes + offset, part);
		address += part;
		to += part;
		size -= part;
	}
	return true;
}

/* Keeps the whole lines around what was read: a page boundary is never inside one. */
static void log_lines(struct replay *self, uint64_t address, size_t size)
{
	uint64_t line = address - address % REPLAY_LINE;

	for (; line < address + size; line += REPLAY_LINE)
		self->fetch(self->fetch_context, line, line_make(self, line)->bytes, REPLAY_LINE);
}

int replay__read(struct replay *self, uint64_t address, void *bytes, size_t size)
{
	bool ok;

	if (address + size < address)
		ok = false;
	else if (self->fetch)
		ok = self->fetch(self->fetch_context, address, bytes, size);
	else
		ok = read_lines(self, address, bytes, size);
	if (!ok) {
		memset(bytes, 0, size);
		return -EFAULT;
	}
	if (self->fetch && self->log)
		log_lines(self, address, size);
	return 0;
}

/* ---- the target
 * ---------------------------------------------------------------------------------- */

struct replay *replay__new(void)
{
	struct unwind_rule none = {.cfa_kind = CFA_NONE, .vm_base_reg = VM_NO_REG};
	struct replay *self = calloc(1, sizeof(*self));

	if (!self)
		return NULL;
	self->generation = 1;
	self->walk = user_walk__new();
	if (!self->walk || replay__add_rule(self, &none) < 0) {
		replay__free(self);
		return NULL;
	}
	return self;
}

void replay__free(struct replay *self)
{
	size_t i;

	if (!self)
		return;
	for (i = 0; i < self->file_count; i++) {
		free(self->tables[i].entries);
		free(self->tables[i].used);
	}
	free(self->lines);
	free(self->mappings);
	free(self->files);
	free(self->tables);
	free(self->rules);
	user_walk__free(self->walk);
	free(self);
}

int replay__add_mapping(struct replay *self, const struct mapping *mapping)
{
	struct mapping *grown;

	grown = realloc(self->mappings, (self->mapping_count + 1) * sizeof(*grown));
	if (!grown)
		return -ENOMEM;
	self->mappings = grown;
	grown[self->mapping_count] = *mapping;
	return (int)self->mapping_count++;
}

int replay__add_rule(struct replay *self, const struct unwind_rule *rule)
{
	struct unwind_rule *grown;

	grown = realloc(self->rules, (self->rule_count + 1) * sizeof(*grown));
	if (!grown)
		return -ENOMEM;
	self->rules = grown;
	grown[self->rule_count] = unwind_rule__for_walk(rule);
	return (int)self->rule_count++;
}

int replay__add_file(struct replay *self, const struct file_table *file, const uint64_t *entries,
		     size_t count)
{
	struct file_table *files;
	struct walk_rows *tables, table = {.count = (uint32_t)count};

	files = realloc(self->files, (self->file_count + 1) * sizeof(*files));
	if (!files)
		return -ENOMEM;
	self->files = files;
	tables = realloc(self->tables, (self->file_count + 1) * sizeof(*tables));
	if (!tables)
		return -ENOMEM;
	self->tables = tables;
	table.entries = calloc(count + 1, sizeof(*table.entries));
	table.used = calloc(count + 1, 1);
	if (!table.entries || !table.used) {
		free(table.entries);
		free(table.used);
		return -ENOMEM;
	}
	if (count)
		memcpy(table.entries, entries, count * sizeof(*entries));
	files[self->file_count] = *file;
	tables[self->file_count] = table;
	return (int)self->file_count++;
}

int replay__add_file_rows(struct replay *self, const struct file_table *file, const uint64_t *rows,
			  size_t count)
{
	struct file_table filled = *file;
	size_t pages = (size_t)file->pages + 1, page, row = 0;
	uint64_t *entries;
	int id;

	entries = calloc(pages + count, sizeof(*entries));
	if (!entries)
		return -ENOMEM;
	for (page = 0; page < pages; page++) {
		while (row < count && ROW_PC(rows[row]) < (uint64_t)page << TEXT_PAGE_SHIFT)
			row++;
		entries[page] = page + 1 < pages ? row : count;
	}
	if (count)
		memcpy(entries + pages, rows, count * sizeof(*rows));
	filled.rows = (uint32_t)count;
	id = replay__add_file(self, &filled, entries, pages + count);
	free(entries);
	return id;
}

static int read_memory(void *context, uint64_t address, void *bytes, size_t size)
{
	return replay__read(context, address, bytes, size);
}

void replay__walk(struct replay *self, struct replay_result *result)
{
	struct walk_tables tables = {
		.rules = self->rules,
		.rule_count = self->rule_count,
		.files = self->files,
		.rows = self->tables,
		.file_count = self->file_count,
		.builds = self->builds,
		.build_count = self->build_count,
		.pucs = self->pucs,
		.puc_count = self->puc_count,
	};
	struct user_walk_view view = {
		.tables = &tables,
		.mappings = self->mappings,
		.mapping_count = (uint32_t)self->mapping_count,
		.tgid = 0, /* recorded ids are the same in every process */
		.tid = self->tid,
		.vm = self->vm,
		.thread_vm = self->thread_vm,
		.read = read_memory,
		.context = self,
		.no_memory = self->log, /* a log has to see the rows themselves */
		.generation = self->log ? 0 : self->generation,
	};

	user_walk__thread(self->walk, &view, self->registers, result);
	self->thread_vm = view.thread_vm;
}

const char *replay__stop_name(uint32_t stop)
{
	static const char *const names[STOP_COUNT] = {[STOP_COMPLETE] = "complete",
						      [STOP_KERNEL_ONLY] = "kernel only",
						      [STOP_TRUNCATED] = "truncated",
						      [STOP_NO_MAPPING] = "no mapping",
						      [STOP_NO_RULE] = "no rule",
						      [STOP_UNSUPPORTED] = "unsupported",
						      [STOP_READ_STACK] = "read stack",
						      [STOP_CFA_ORDER] = "CFA order",
						      [STOP_REGISTER] = "register",
						      [STOP_TRACE] = "trace",
						      [STOP_BUSY] = "busy"};

	return stop < STOP_COUNT ? names[stop] : "?";
}

const char *replay__error_name(uint32_t lua_error)
{
	static const char *const names[LUA_ERROR_COUNT] = {[LUA_OK] = "ok",
							   [LUA_READ_STATE] = "read state",
							   [LUA_CFRAME] = "cframe",
							   [LUA_BASE] = "base",
							   [LUA_READ_STACK] = "read stack",
							   [LUA_FRAME_LINK] = "frame link",
							   [LUA_FUNCTION] = "function",
							   [LUA_COROUTINES] = "coroutines",
							   [LUA_ORDER] = "order"};

	return lua_error < LUA_ERROR_COUNT ? names[lua_error] : "?";
}
