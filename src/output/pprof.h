/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Profiles as files: pprof's format (pprof.proto, gzip), which keeps all that a recording knows and
 * which other tools read, too. pprof__write is in output.h.
 *
 * Beyond what the format has places for:
 *   frame types	  the name of the mapping: "[Lua]", "[Lua compiled]", "[Lua built-in]",
 *"[kernel]",
 *			  "[luaspy]" for notes; with ", estimated" behind it before the bracket
 *   Lua functions	  their name is name@chunk:first_line, their system name the bare one
 *   labels		  strings; a number "time", as often as there are samples: nanoseconds since
 *the recording's start the rest		  comments "key: value"; the first is "luaspy:
 *VERSION"
 */
#ifndef LUASPY_PPROF_H
#define LUASPY_PPROF_H

#include <stdint.h>
#include <stdio.h>

#include "../sample/profile.h"

#define PPROF_WHY_BYTES 256

/*
 * Reads a profile, luaspy's or another program's, as long as its values are times or samples in
 * time. The file is not trusted. Returns 0 and a new profile, whose info's strings it owns; or
 * -EINVAL, -EFBIG, -ENOMEM, or the errno of reading, and in `why` a part of a sentence that begins
 * with "it".
 */
int pprof__read(FILE *in, struct profile **profile, char why[PPROF_WHY_BYTES]);

/* The same of bytes in memory. */
int pprof__parse(const uint8_t *data, size_t size, struct profile **profile,
		 char why[PPROF_WHY_BYTES]);

#endif
