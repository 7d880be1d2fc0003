/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Lua functions that stand on another line of their file in a later profile: name@file:12 that is
 * name@file:15 now, because the file was edited above it. They are known by their names, where one
 * place of that name and file is in each of the profiles; functions without a name are not.
 */
#ifndef LUASPY_MOVED_FUNCTIONS_H
#define LUASPY_MOVED_FUNCTIONS_H

#include "../sample/profile.h"

struct moved_functions;

/* Of two profiles whose frames' names are their texts (profile_view.h). Keeps none of them. 0 or
 * -ENOMEM. */
int moved_functions__find(const struct profile *before, const struct profile *after,
			  struct moved_functions **moved);
void moved_functions__free(struct moved_functions *self);

size_t moved_functions__count(const struct moved_functions *self);

/* The text of a frame of the earlier profile as the later one has it, its current line moved as far
 * as the function; its own where nothing has moved. Cut to `size`, always terminated. */
void moved_functions__text(const struct moved_functions *self, const struct profile_frame *frame,
			   char *out, size_t size);

#endif
