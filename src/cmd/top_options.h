/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The options of `luaspy top`.
 */
#ifndef LUASPY_TOP_OPTIONS_H
#define LUASPY_TOP_OPTIONS_H

#include <stdbool.h>
#include <stdint.h>

#include "target_options.h"
#include "top_settings.h"

struct top_options {
	struct target_options targets;
	struct top_settings settings; /* to begin with */
	double delay_seconds;	      /* between refreshes */
	uint32_t count;		      /* refreshes; 0: no limit */
	uint32_t rate_hz;
	uint32_t rows; /* of plain text */
	bool plain;    /* also on a terminal */
	bool kernel, quiet, verbose;
};

/* Parses the command line; on a mistake prints what is wrong and exits with status 2, on --help
 * with 0. */
void top_options__parse(struct top_options *self, int argc, char **argv);

void top_options__free(struct top_options *self);

#endif
