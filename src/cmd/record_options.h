/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The options of `luaspy record`.
 */
#ifndef LUASPY_RECORD_OPTIONS_H
#define LUASPY_RECORD_OPTIONS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "../output/formats.h"
#include "target_options.h"
#include "view_options.h"

struct record_options {
	struct target_options targets;
	struct view_options view;
	char **command;		 /* NULL-terminated, or NULL: then targets */
	double duration_seconds; /* 0: no limit */
	enum profile_kind kind;
	uint32_t rate_hz;
	uint64_t min_block_us; /* times off the CPU that are shorter do not count */
	uint64_t memory_mb;    /* for distinct stacks; 0: the default */
	const char *output;    /* NULL: a name of our own; "-": stdout */
	const struct format *format;
	bool per_thread; /* stacks of threads are to be kept apart */
	bool times;	 /* of each sample */
	bool coroutines, quiet, verbose;
};

/* Parses the command line; on a mistake prints what is wrong and exits with status 2, on --help
 * with 0. */
void record_options__parse(struct record_options *self, int argc, char **argv);

#endif
