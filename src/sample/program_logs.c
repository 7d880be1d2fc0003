/* SPDX-License-Identifier: Apache-2.0 */
#include "program_logs.h"

#include <bpf/libbpf.h>
#include <stdlib.h>
#include <string.h>

#define MAX_PROGRAMS 16

/* The most that every kernel takes (log.len_total in kernel/bpf/verifier.c of Linux 5.10): in one
 * that is too small the older ones keep the beginning. It is touched only when there is something
 * to say. */
#define LONG_LOG_BYTES ((16u << 20) - 1) /* of the programs that walk */
#define LOG_BYTES      (1u << 20)
#define KEPT_BYTES     (64u << 10) /* of its end */

struct program_logs {
	struct {
		const struct bpf_program *program;
		char *text;
	} logs[MAX_PROGRAMS];
	size_t count;
};

struct program_logs *program_logs__new(struct bpf_object *object)
{
	struct program_logs *self = calloc(1, sizeof(*self));
	struct bpf_program *program;
	size_t size;
	char *text;

	if (!self)
		return NULL;
	bpf_object__for_each_program(program, object)
	{
		if (!bpf_program__autoload(program) || self->count == MAX_PROGRAMS)
			continue;
		size = bpf_program__type(program) == BPF_PROG_TYPE_PERF_EVENT ? LONG_LOG_BYTES
									      : LOG_BYTES;
		text = calloc(1, size);
		/* Where memory is short, what is not needed must not be missed. */
		if (!text || bpf_program__set_log_buf(program, text, size) != 0) {
			free(text);
			continue;
		}
		self->logs[self->count].program = program;
		self->logs[self->count++].text = text;
	}
	return self;
}

/* The end of a text, from the beginning of a line. */
static const char *end_of(const char *text)
{
	size_t length = strlen(text);
	const char *line;

	if (length <= KEPT_BYTES)
		return text;
	text += length - KEPT_BYTES;
	line = strchr(text, '\n');
	return line ? line + 1 : text;
}

void program_logs__take(struct program_logs *self, struct refusal *refusal)
{
	const char *name;
	size_t i;

	/* The first that is refused ends the loading. */
	for (i = 0; i < self->count && !self->logs[i].text[0]; i++)
		;
	if (i == self->count)
		return;
	name = bpf_program__name(self->logs[i].program);
	strncpy(refusal->program, name, sizeof(refusal->program) - 1);
	refusal->log = strdup(end_of(self->logs[i].text));
}

void program_logs__free(struct program_logs *self)
{
	size_t i;

	if (!self)
		return;
	for (i = 0; i < self->count; i++)
		free(self->logs[i].text);
	free(self);
}

void refusal__clear(struct refusal *refusal)
{
	free(refusal->log);
	*refusal = (struct refusal){};
}
