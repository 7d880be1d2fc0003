/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What luaspy is allowed to do: the table of the capabilities it uses, and what for; what to tell a
 * user whom the kernel refused; and how it gives up what it does not need. docs/security.md tells
 * the reasons.
 */
#ifndef LUASPY_PRIVILEGES_H
#define LUASPY_PRIVILEGES_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#include "../target/capabilities.h"

#define PRIVILEGES_MAX	      8
#define PRIVILEGES_TEXT_BYTES 2048

struct privilege {
	const char *name; /* "CAP_BPF" */
	bool have;	  /* it, or one that contains it */
	bool needed;	  /* nothing can be profiled without it, or only few processes */
	const char *purpose;
	const char *lost; /* what is lost without it */
};

/* Fills at most PRIVILEGES_MAX elements, the needed ones first, and returns their number. */
size_t privileges__read(struct privilege *privileges);

/* Whether this one of the table (CAP_BPF, ...) is there. */
bool privileges__have(int capability);

/* The names of those that are needed and missing, with commas; "" when none is. */
void privileges__missing(char *names, size_t size);

/* Whether all that are needed are there. */
bool privileges__complete(void);

/* Do BPF maps count against the limit of locked memory, as before Linux 5.11? */
bool privileges__locked_memory_counts(void);

/*
 * Writes to `text` (PRIVILEGES_TEXT_BYTES will do) why profiling is not permitted here (the missing
 * capabilities, or the sysctl, limit or lockdown that stands in the way although none is missing)
 * and what to do: sentences without a newline. Always terminated.
 */
void privileges__explain(char *text, size_t size);

/*
 * To be called first. A user who is not root and has luaspy's capabilities from its file is not to
 * have more of the file systems by it than he has without: CAP_DAC_READ_SEARCH is lowered, and
 * raised only to open what a target has mapped (target/elf_file.h) and to see which of its pages
 * are there (vm/luajit_vms.c). Of the others, those that luaspy has a use for are made effective.
 * 0, or -EPERM after a message: a setuid or setgid file.
 */
int privileges__begin(void);

/* Whether the user may see values in the memory of a process without luaspy: his own and dumpable
 * ones, or any if he has CAP_SYS_PTRACE himself and not by luaspy's file. */
bool privileges__may_see_values(pid_t pid);

/* Around what is done with a path that the user named for writing: between these luaspy has the
 * rights that the user has without it. */
void privileges__become_user(struct capabilities *saved);
void privileges__become_self(const struct capabilities *saved);

/* What the rest of a recording needs. */
struct privileges_needs {
	bool new_targets;   /* processes may be added */
	bool new_programs;  /* BPF programs may have to be loaded for a VM that comes */
	bool signal_child;  /* a command of the user's, which may change its user */
	bool override_file; /* root writes where the permissions do not let it */
};

/* Gives up everything else for good. 0 or a negative errno. */
int privileges__drop(const struct privileges_needs *needs);

/* The same for a command that looks at no process: all is given up, but, with `writes_file`, what
 * makes root root where its files are written (between become_user and become_self). */
int privileges__drop_all(bool writes_file);

#endif
