/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How much of a profile each function has, itself and with what it calls. Not part of the module's
 * interface: the writers of tables use it.
 */
#ifndef LUASPY_FUNCTION_TABLE_H
#define LUASPY_FUNCTION_TABLE_H

#include "../sample/profile.h"

struct function_row {
	const char *name;
	enum profile_frame_type type; /* PROFILE_LUA also for compiled ones */
	uint64_t self, total;	      /* samples or events; each stack counts once in `total` */
	uint64_t self_ns, total_ns;
	uint64_t self_weight, total_weight; /* profile__weight */
};

struct function_table {
	struct function_row *rows; /* by weight, of themselves and then in total; then by name */
	size_t count;
	uint64_t weight; /* of the whole */
	char **names;
	size_t name_count;
};

/* Frames with the same text and type are a row; `named`: their names are their texts already
 * (profile_view.h). To be freed in every case. 0 or -ENOMEM. */
int function_table__build(struct function_table *self, const struct profile *profile, bool named);
void function_table__free(struct function_table *self);

/* "C", "Lua", ...: what a table calls the type. */
const char *function_table__type(enum profile_frame_type type);

#endif
