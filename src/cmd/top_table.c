/* SPDX-License-Identifier: Apache-2.0 */
#include "top_table.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct maker {
	struct top_table *table;
	const struct top_settings *settings;
	const struct top_function *skipped; /* the last that the filter left out */
	int err;
};

void top_function__place(const struct top_function *function, char *out, size_t size)
{
	uint32_t line = function->line ? function->line : function->first_line;

	if (line)
		snprintf(out, size, "%s:%u", function->file, line);
	else
		snprintf(out, size, "%s", function->file);
}

static struct top_row *add_row(struct top_table *self)
{
	size_t room = self->room ? 2 * self->room : 256;
	struct top_row *grown;

	if (!self->rows || self->count == self->room) {
		grown = reallocarray(self->rows, room, sizeof(*grown));
		if (!grown)
			return NULL;
		self->rows = grown;
		self->room = room;
	}
	self->rows[self->count] = (struct top_row){};
	return &self->rows[self->count++];
}

static bool is_chosen(const struct top_settings *settings, const struct top_function *function)
{
	char text[2 * TOP_TEXT_BYTES], place[TOP_TEXT_BYTES];

	if (!(function->shown & 1u << settings->show))
		return false;
	top_function__place(function, place, sizeof(place));
	snprintf(text, sizeof(text), "%.*s@%s", TOP_TEXT_BYTES - 2, function->name, place);
	return top_settings__matches(settings, text);
}

static void add_function(void *context, const struct top_function *function, uint32_t pid,
			 const struct top_count *count)
{
	struct maker *m = context;
	struct top_table *table = m->table;
	struct top_row *row = table->count ? &table->rows[table->count - 1] : NULL;

	if (function == m->skipped)
		return;
	if (!row || row->function != function) {
		if (!is_chosen(m->settings, function)) {
			m->skipped = function;
			return;
		}
		row = add_row(table);
		if (!row) {
			m->err = -ENOMEM;
			return;
		}
		row->function = function;
	}
	row->self += count->self[m->settings->show];
	row->total += count->total;
	row->compiled += count->compiled;
}

static int by_name(const struct top_row *a, const struct top_row *b)
{
	const struct top_function *f = a->function, *g = b->function;
	int order = strcmp(f->name, g->name);

	if (!order)
		order = strcmp(f->file, g->file);
	if (!order)
		order = (f->first_line > g->first_line) - (f->first_line < g->first_line);
	if (!order)
		order = (f->line > g->line) - (f->line < g->line);
	return order ? order : (f->type > g->type) - (f->type < g->type);
}

static int more(uint64_t a, uint64_t b)
{
	return (a < b) - (a > b);
}

static int by_self(const void *a, const void *b)
{
	const struct top_row *x = a, *y = b;
	int order = more(x->self, y->self);

	if (!order)
		order = more(x->total, y->total);
	return order ? order : by_name(x, y);
}

static int by_total(const void *a, const void *b)
{
	const struct top_row *x = a, *y = b;
	int order = more(x->total, y->total);

	if (!order)
		order = more(x->self, y->self);
	return order ? order : by_name(x, y);
}

static int by_name_only(const void *a, const void *b)
{
	return by_name(a, b);
}

static int make_functions(struct top_table *self, const struct top_model *model,
			  const struct top_settings *settings)
{
	static int (*const orders[TOP_SORTS])(const void *, const void *) = {
		[TOP_BY_SELF] = by_self,
		[TOP_BY_TOTAL] = by_total,
		[TOP_BY_NAME] = by_name_only,
	};
	struct maker m = {.table = self, .settings = settings};

	top_model__visit(model, settings->window, settings->lines, settings->pid, add_function, &m);
	if (!m.err && self->count)
		qsort(self->rows, self->count, sizeof(*self->rows), orders[settings->sort]);
	return m.err;
}

/* ---- processes ------------------------------------------------------------------------------ */

static int by_samples(const void *a, const void *b)
{
	const struct top_row *x = a, *y = b;
	int order = more(x->total, y->total);

	return order ? order
		     : (x->process->pid > y->process->pid) - (x->process->pid < y->process->pid);
}

static int by_program(const void *a, const void *b)
{
	const struct top_row *x = a, *y = b;
	int order = strcmp(x->process->comm, y->process->comm);

	return order ? order : by_samples(a, b);
}

static int by_pid(const void *a, const void *b)
{
	const struct top_row *x = *(struct top_row *const *)a, *y = *(struct top_row *const *)b;

	return (x->process->pid > y->process->pid) - (x->process->pid < y->process->pid);
}

struct pid_index {
	struct top_row **rows; /* by pid */
	size_t count;
};

static void find_hottest(void *context, const struct top_function *function, uint32_t pid,
			 const struct top_count *count)
{
	struct pid_index *index = context;
	struct top_process process = {.pid = pid};
	struct top_row wanted = {.process = &process}, *key = &wanted, **found;

	found = bsearch(&key, index->rows, index->count, sizeof(struct top_row *), by_pid);
	if (!found || count->self[TOP_LUA] <= (*found)->self)
		return;
	(*found)->self = count->self[TOP_LUA];
	(*found)->function = function;
}

static int make_processes(struct top_table *self, const struct top_model *model,
			  const struct top_settings *settings)
{
	const struct top_process *process;
	struct pid_index index = {};
	struct top_row *row;
	size_t i;

	for (i = 0; i < top_model__processes(model); i++) {
		process = top_model__process(model, i);
		if (!process->counts[settings->window].samples)
			continue;
		row = add_row(self);
		if (!row)
			return -ENOMEM;
		row->process = process;
		row->total = process->counts[settings->window].samples;
	}
	index.rows = calloc(self->count + 1, sizeof(struct top_row *));
	if (!index.rows)
		return -ENOMEM;
	for (i = 0; i < self->count; i++)
		index.rows[i] = &self->rows[i];
	index.count = self->count;
	qsort(index.rows, index.count, sizeof(struct top_row *), by_pid);
	top_model__visit(model, settings->window, false, 0, find_hottest, &index);
	free(index.rows);
	if (self->count)
		qsort(self->rows, self->count, sizeof(*self->rows),
		      settings->sort == TOP_BY_NAME ? by_program : by_samples);
	return 0;
}

int top_table__make(struct top_table *self, const struct top_model *model,
		    const struct top_settings *settings)
{
	self->count = 0;
	self->samples = top_model__sum(model, settings->window, settings->pid).samples;
	return settings->processes ? make_processes(self, model, settings)
				   : make_functions(self, model, settings);
}

void top_table__free(struct top_table *self)
{
	free(self->rows);
	*self = (struct top_table){};
}
