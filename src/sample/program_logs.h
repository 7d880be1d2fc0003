/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the kernel's verifier says of a BPF program that it refuses. It is asked only then: a
 * program that loads costs nothing.
 */
#ifndef LUASPY_PROGRAM_LOGS_H
#define LUASPY_PROGRAM_LOGS_H

struct bpf_object;
struct program_logs;

struct refusal {
	char program[32]; /* its name; empty: the verifier has refused none */
	char *log;	  /* what the verifier says, or the end of it; allocated */
};

/* Before the object is loaded, and after its programs' autoload is set. NULL without memory. */
struct program_logs *program_logs__new(struct bpf_object *object);

/* After loading has failed: *refusal, empty before, which the caller clears. */
void program_logs__take(struct program_logs *self, struct refusal *refusal);

/* After the object is destroyed, or its loading has ended. */
void program_logs__free(struct program_logs *self);

void refusal__clear(struct refusal *refusal);

#endif
