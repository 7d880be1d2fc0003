/* SPDX-License-Identifier: Apache-2.0 */
#include "walk_tables.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

void walk_tables__free(struct walk_tables *self)
{
	size_t i;

	for (i = 0; i < self->file_count; i++) {
		free(self->rows[i].entries);
		free(self->rows[i].used);
	}
	free(self->rules);
	free(self->files);
	free(self->rows);
	free(self->builds);
	free(self->pucs);
	*self = (struct walk_tables){};
}

/* Appends an element of `size` bytes to an array of `*count`. */
static int append(void *array, size_t *count, const void *element, size_t size)
{
	char *items, *grown;

	memcpy(&items, array, sizeof(items));
	/* The size doubles at each power of two. */
	if ((*count & (*count - 1)) == 0) {
		grown = reallocarray(items, *count ? 2 * *count : 1, size);
		if (!grown)
			return -ENOMEM;
		items = grown;
		memcpy(array, &items, sizeof(items));
	}
	memcpy(items + *count * size, element, size);
	(*count)++;
	return 0;
}

int walk_tables__put_rule(struct walk_tables *self, const struct unwind_rule *rule)
{
	return append(&self->rules, &self->rule_count, rule, sizeof(*rule));
}

int walk_tables__put_build(struct walk_tables *self, const struct luajit_build *build)
{
	return append(&self->builds, &self->build_count, build, sizeof(*build));
}

int walk_tables__put_puc(struct walk_tables *self, const struct puc_build *build)
{
	return append(&self->pucs, &self->puc_count, build, sizeof(*build));
}

/* Files up to `file_id`, those that are not there yet without a table. */
static int make_room(struct walk_tables *self, uint32_t file_id)
{
	static const struct file_table no_file;
	static const struct walk_rows no_rows;
	size_t count;
	int err = 0;

	while (!err && self->file_count <= file_id) {
		count = self->file_count;
		err = append(&self->rows, &count, &no_rows, sizeof(no_rows));
		if (!err)
			err = append(&self->files, &self->file_count, &no_file, sizeof(no_file));
	}
	return err;
}

int walk_tables__put_file(struct walk_tables *self, uint32_t file_id, const struct file_table *file,
			  const uint64_t *entries, size_t count)
{
	uint64_t *copy = NULL;
	int err;

	err = make_room(self, file_id);
	if (err)
		return err;
	if (count) {
		copy = calloc(count, sizeof(*copy));
		if (!copy)
			return -ENOMEM;
		memcpy(copy, entries, count * sizeof(*copy));
	}
	free(self->rows[file_id].entries);
	self->files[file_id] = *file;
	self->rows[file_id].entries = copy;
	self->rows[file_id].count = (uint32_t)count;
	return 0;
}
