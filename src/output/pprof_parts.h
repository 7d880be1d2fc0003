/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the writer and the reader of pprof's format agree on. Not part of the module's interface.
 */
#ifndef LUASPY_PPROF_PARTS_H
#define LUASPY_PPROF_PARTS_H

#include <stddef.h>

#include "../sample/profile.h"

/* Frames that are not in a file have a mapping that says what they are. `go tool pprof` does not
 * look for a file whose name begins with a bracket. */
struct pprof_pseudo_mapping {
	const char *name;
	enum profile_frame_type type;
	uint32_t estimated;
};

#define PPROF_PSEUDO_MAPPINGS 8u
extern const struct pprof_pseudo_mapping pprof_pseudo_mappings[PPROF_PSEUDO_MAPPINGS];

/* The index of a frame's; PPROF_PSEUDO_MAPPINGS for native frames. */
size_t pprof_pseudo_mapping__of(const struct profile_frame *frame);
/* By its name, in the same way. */
size_t pprof_pseudo_mapping__named(const char *name);

/* The two values of each sample, by enum profile_kind: how often and how long. */
struct pprof_values {
	const char *count_type, *time_type;
};
extern const struct pprof_values pprof_values[PROFILE_WALL + 1];

#define PPROF_TIME_LABEL "time"

/* Keys of comments. */
#define PPROF_VERSION	"luaspy"
#define PPROF_TITLE	"title"
#define PPROF_COMMAND	"command"
#define PPROF_HOST	"host"
#define PPROF_WITH_LUA	"with Lua frames"
#define PPROF_COMPLETE	"unwound to the thread's start"
#define PPROF_TRUNCATED "truncated"
#define PPROF_LOST	"lost"
#define PPROF_ERROR	"error" /* "error: NAME: COUNT" */

#endif
