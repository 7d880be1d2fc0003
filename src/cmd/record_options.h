/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The options of `luaspy record`.
 */
#ifndef LUASPY_RECORD_OPTIONS_H
#define LUASPY_RECORD_OPTIONS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/types.h>

#include "../sample/profile.h"
#include "target_options.h"

struct record_options {
	struct target_options targets;
	char **command;		 /* NULL-terminated, or NULL: then targets */
	double duration_seconds; /* 0: no limit */
	enum profile_kind kind;
	uint32_t rate_hz;
	uint64_t min_block_us; /* times off the CPU that are shorter do not count */
	const char *output;    /* NULL: a name of our own; "-": stdout */
	const char *extension;
	int (*write)(const struct profile *profile, FILE *out);
	bool kernel, native, threads, lines, by_vm_state, coroutines, quiet, verbose;
};

/* Parses the command line; on a mistake prints what is wrong and exits with status 2, on --help
 * with 0. */
void record_options__parse(struct record_options *self, int argc, char **argv);

#endif
