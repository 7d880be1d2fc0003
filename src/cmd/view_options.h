/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The options that say what of a profile is shown, shared by all commands that write one: --only,
 * --hide, --root, --by, --lines, --no-kernel, ... What they do is profile_view.h's matter.
 */
#ifndef LUASPY_VIEW_OPTIONS_H
#define LUASPY_VIEW_OPTIONS_H

#include <argp.h>
#include <stdbool.h>

#include "../output/profile_view.h"

struct view_options {
	struct profile_view view; /* ready for use; it borrows what follows */
	regex_t only, hide, root;
	char *by[PROFILE_VIEW_MAX_BY];
};

/* Everything, by functions. */
void view_options__init(struct view_options *self);
void view_options__free(struct view_options *self);

/* For a command's argp: its parser sets state->child_inputs[i] to an initialised struct
 * view_options at ARGP_KEY_INIT. Mistakes end the process with a message and status 2. */
extern const struct argp view_options_argp;

/* As --by KEY. False when there are too many. */
bool view_options__add_by(struct view_options *self, const char *key);
bool view_options__has_by(const struct view_options *self, const char *key);

/* The first label of --by that no recording has; NULL when there is none. */
const char *view_options__unknown_by(const struct view_options *self);
#define VIEW_OPTIONS_KNOWN_BY "pid, thread, comm, vmstate, state and container"

/* The same for this profile, which may come from elsewhere. */
const char *view_options__missing_by(const struct view_options *self,
				     const struct profile *profile);

#endif
