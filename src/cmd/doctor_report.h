/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What `luaspy doctor` has found, and how it is written. Each check says what was seen and, unless
 * all is well, what is lost by it and what to do.
 */
#ifndef LUASPY_DOCTOR_REPORT_H
#define LUASPY_DOCTOR_REPORT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <sys/types.h>

#define DOCTOR_MAX_CHECKS 32

enum doctor_status {
	DOCTOR_OK,
	DOCTOR_NOTE, /* worth knowing; little is lost */
	DOCTOR_WARN, /* profiles work, but something is missing in them */
	DOCTOR_FAIL, /* no profile */
};

struct doctor_check {
	const char *name;
	enum doctor_status status;
	bool own;	   /* of this one process; like processes differ in it */
	char found[640];   /* may hold a target's text */
	char advice[1280]; /* "" when there is nothing to do */
};

/* An offset of a LuaJIT build, from its sources. */
struct doctor_offset {
	const char *name;
	const char *from; /* where it was decoded from */
	long long decoded;
	bool in_table;
	long long table;
	const char
		*heap; /* the live heap's verdict; NULL: not checked, for nothing is there to see */
};
#define DOCTOR_MAX_OFFSETS 24

struct doctor_section {
	char title[256];
	pid_t *pids; /* of like processes; owned */
	size_t pid_count;
	size_t count;
	struct doctor_check checks[DOCTOR_MAX_CHECKS];
	size_t offset_count;
	struct doctor_offset offsets[DOCTOR_MAX_OFFSETS];
};

struct doctor_report {
	struct doctor_section **sections; /* owned; the first is the machine's */
	size_t count;
};

/* A new section at the end; its checks are added by doctor_section__add. NULL when out of memory.
 */
struct doctor_section *doctor_report__add_section(struct doctor_report *self, const char *title);

/* Drops the last section if an earlier one is equal to it but for its pids and own checks; its pids
 * go there. 0 or -ENOMEM. */
int doctor_report__merge_last(struct doctor_report *self);
void doctor_report__drop_last(struct doctor_report *self);
void doctor_report__free(struct doctor_report *self);

/* A new check, which is OK with nothing found. What is too many goes into the last one. */
struct doctor_check *doctor_section__add(struct doctor_section *self, const char *name);

/* Sets what was found, and its weight. */
__attribute__((format(printf, 3, 4))) void
doctor_check__found(struct doctor_check *self, enum doctor_status status, const char *format, ...);
__attribute__((format(printf, 2, 3))) void doctor_check__advise(struct doctor_check *self,
								const char *format, ...);

/* The heaviest of all checks. */
enum doctor_status doctor_section__status(const struct doctor_section *self);
enum doctor_status doctor_report__status(const struct doctor_report *self);

void doctor_report__write_text(const struct doctor_report *self, size_t columns, FILE *out);

/* {"status": ..., "sections": [{"title", "pids", "checks": [...], "offsets": [...]}]}. 0 or
 * -ENOMEM. */
int doctor_report__write_json(const struct doctor_report *self, FILE *out);

#endif
