/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Profiles in files as commands read and write them: with messages, with a user's rights, and, once
 * a file is open, without those that luaspy has for profiling.
 */
#ifndef LUASPY_PROFILE_FILE_H
#define LUASPY_PROFILE_FILE_H

#include <stdio.h>

#include "../output/formats.h"
#include "../sample/profile.h"
#include "view_options.h"

/* Opens a file that the user named; "-" is stdin. NULL after a message. */
FILE *profile_file__open(const char *path);

/* Reads the profile in it and closes it. Call privileges__drop_all() before: the file may be
 * anybody's. NULL after a message. */
struct profile *profile_file__read(FILE *in, const char *path);

/* Writes what `view` shows of the profile (the view is adapted to the format) to `path`, "-" being
 * stdout; with a warning when nothing is left of it. 0, or a negative errno after a message. */
int profile_file__write(const struct profile *profile, struct view_options *options,
			const struct format *format, const char *path);

/* Says so when a format is not for the terminal that stdout is. */
bool profile_file__suits(const struct format *format, const char *path);

/* "wrote PATH: what it is for". */
void profile_file__print_hint(const struct format *format, const char *path);

#endif
