/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Writers of a profile. Each writes to an open stream and returns 0 or a negative errno (a full
 * disk, a closed pipe); atomic replacement of the destination file is output_file's job.
 */
#ifndef LUASPY_OUTPUT_H
#define LUASPY_OUTPUT_H

#include <stdio.h>

#include "../sample/profile.h"

/* One line per stack: `root;...;leaf count`; of time off the CPU the number is microseconds. Kernel
 * frames end in _[k], Lua frames in compiled traces in _[j]. `;` and control characters in names
 * are replaced. Sorted, so that equal profiles give equal files. */
int folded__write(const struct profile *profile, FILE *out);

/* A self-contained flame graph: one SVG file, or one HTML page around the same drawing code. */
int flamegraph__write_svg(const struct profile *profile, FILE *out);
int flamegraph__write_html(const struct profile *profile, FILE *out);

/* When the samples were taken, second by second, with the flame graph of any part of that time: one
 * HTML page. -EINVAL for a profile with samples, none of which has its time. */
int heatmap__write_html(const struct profile *profile, FILE *out);

/* speedscope's format. */
int speedscope__write(const struct profile *profile, FILE *out);

/* As `perf script` writes it; of a profile with labels (profile_view.h). */
int perf_script__write(const struct profile *profile, FILE *out);

/* A table of functions, those that have most themselves first; and what stands above it. */
int flat_table__write(const struct profile *profile, FILE *out);
void profile_text__write_info(const struct profile_info *info, FILE *out);

/* JSON for programs: docs/formats.md. Of an exact profile (profile_view.h). */
int json_profile__write(const struct profile *profile, FILE *out);

/* What a frame's type is called in JSON; of Lua it does not say whether it is compiled. */
const char *json_profile__type(enum profile_frame_type type);

/* All of it, to be read again: pprof.h. */
int pprof__write(const struct profile *profile, FILE *out);

/* Writes `write(profile)` to `path`, which a person has named, through a temporary file in the same
 * directory that is renamed at the end, so that no half file ever stands under `path`; "-" is
 * stdout. A destination that is not a regular file (a pipe, /dev/null) is written directly, a block
 * device never (-ENOTSUP). On error nothing is left behind. A FIFO waits for a reader: -EINTR after
 * a signal. */
int output_file__write(const char *path, const struct profile *profile,
		       int (*write)(const struct profile *profile, FILE *out));

/* The same for what is no profile: `write` gets the subject. */
int output_file__write_any(const char *path, const void *subject,
			   int (*write)(const void *subject, FILE *out));

/* The same for a name that luaspy has chosen itself: a new file in every case. What stands there, a
 * symbolic link or a FIFO that somebody else put into the directory, is replaced and never opened.
 */
int output_file__create(const char *path, const struct profile *profile,
			int (*write)(const struct profile *profile, FILE *out));

#endif
