/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Scripts that teach a shell luaspy's commands, options and their values, made from the tables that
 * `--help` is made from.
 */
#ifndef LUASPY_COMPLETION_SCRIPTS_H
#define LUASPY_COMPLETION_SCRIPTS_H

#include <stdio.h>

#include "commands.h"

/* `all`: up to one without a name. 0 or -ENOMEM; `out` is not checked. */
int completion_script__bash(const struct command *all, FILE *out);
int completion_script__zsh(const struct command *all, FILE *out);
int completion_script__fish(const struct command *all, FILE *out);

#endif
