/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a command's struct argp says about it, in the order in which `--help` groups it. --help
 * itself is argp's matter; this is for what else is made from the same tables: manual pages
 * (manual_page.h) and the completions of shells (completion_scripts.h).
 *
 * How texts in those tables are read, so that they say the same to everybody:
 *
 *   an option's or command's argument  html|svg: one of these words; with [,...] behind: several;
 *                                      ...FILE or PATH: a file; PID: process ids; other
 *                                      capitals: something else
 *   args_doc                           the same, and "-- COMMAND": a command line; COMMAND alone: a
 *                                      command of luaspy
 *   doc behind \v                      a line "Examples:" with indented lines after it: a section,
 *                                      each line "  TERM  two or more spaces, then what it is";
 *                                      everything else is prose
 *   `text`                             literally that
 */
#ifndef LUASPY_MANUAL_H
#define LUASPY_MANUAL_H

#include <argp.h>
#include <stdbool.h>
#include <stddef.h>

/* All texts are those of the argp tables. */
struct manual_option {
	const char *name;   /* without its dashes; NULL: it has only a letter */
	char letter;	    /* 0: it has only a name */
	const char *arg;    /* NULL: it takes none */
	const char *doc;    /* "" when there is none */
	const char *header; /* over the options that begin with this one, or NULL */
	bool arg_optional;
	bool begins_group;
	/* where it stands: manual.c */
	const struct argp_child *child; /* that it comes from, or NULL */
	int place[2];
};

struct manual {
	const struct argp *argp;
	struct manual_option *options;
	size_t count;
};

enum manual_value {
	MANUAL_NOTHING, /* no argument, or none that could be completed */
	MANUAL_WORDS,	/* one of the words that `|` separates */
	MANUAL_FILE,
	MANUAL_PID,
	MANUAL_COMMAND_LINE,
	MANUAL_COMMAND, /* of luaspy */
};

/* 0 or -ENOMEM. Hidden options and those that are only documentation are left out; --help and
 * --usage, which argp adds to each command, are at the end. */
int manual__new(const struct argp *argp, struct manual **self);
void manual__free(struct manual *self);

/* What may stand for an option's argument; text: manual_option.arg or args_doc, or NULL. */
enum manual_value manual__value(const char *text);

/* The next of the words of a MANUAL_WORDS text: its length, and *text behind it. 0 at the end. */
size_t manual__next_word(const char **text, const char **word);

#endif
