/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What of a profile is shown: filters, the roots of its stacks, and how finely frames are told
 * apart. The same for a recording and for a profile that was read from a file.
 */
#ifndef LUASPY_PROFILE_VIEW_H
#define LUASPY_PROFILE_VIEW_H

#include <regex.h>
#include <stdbool.h>

#include "../sample/profile.h"

#define PROFILE_VIEW_MAX_BY 8u

struct profile_view {
	/* Extended regular expressions, found anywhere in a frame's text (profile_frame__text);
	 * NULL: no such filter. */
	const regex_t *only; /* stacks with a frame that matches */
	const regex_t *hide; /* leaves the frames out */
	const regex_t *root; /* stacks begin at their outermost frame that matches; others go */
	/* Labels that split the profile, in this order, behind the program's name at the root. */
	const char *by[PROFILE_VIEW_MAX_BY];
	unsigned int by_count;
	bool lines;	    /* Lua frames say their current line */
	bool chunks;	    /* Lua frames are their chunks: files, and not functions */
	bool kernel;	    /* kernel frames */
	bool native;	    /* C frames; without them, no kernel frames either */
	bool reverse;	    /* callers above callees */
	double min_percent; /* frames with less of the whole are left out; what they had is their
			     * caller's */
	/* For formats that have places of their own for it: */
	bool labels; /* stacks keep their labels, instead of a root; frames their addresses */
	bool exact;  /* the same, and frames stay as they are */
	bool table;  /* min_percent is left to the writer: what rows of a table have to have */
};

/* Everything, by functions. */
#define PROFILE_VIEW_DEFAULT                                                                       \
	{                                                                                          \
		.kernel = true, .native = true                                                     \
	}

/*
 * Adds what `view` shows of `profile` to the new profile `out`, and its info with `samples` and
 * `unique_stacks` as they are then. The frames' names are their whole texts (unless `exact`); the
 * info's strings stay those of `profile`, which must outlive `out`. Returns 0 or -ENOMEM.
 */
int profile_view__make(const struct profile_view *view, const struct profile *profile,
		       struct profile *out);

#endif
