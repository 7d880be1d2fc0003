// SPDX-License-Identifier: Apache-2.0
/*
 * Loads the BPF programs as the sampler does, with all of its options on, and prints what the
 * verifier says of each:
 *
 *     PROGRAM INSTRUCTIONS
 *
 * the number of instructions that it went through (its limit is a million). Exit status 1, and the
 * end of the verifier's log, when one is refused.
 */
#include <bpf/libbpf.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "sampler.skel.h"

#define LOG_SIZE     (15u << 20)
#define LOG_REFUSED  1u /* BPF_LOG_LEVEL1 and BPF_LOG_STATS, include/linux/bpf_verifier.h */
#define LOG_STATS    4u
#define LOG_SHOWN    3000u
#define MAX_PROGRAMS 16

struct log {
	struct bpf_program *program;
	char *text;
};

static int print_nothing(enum libbpf_print_level level, const char *format, va_list args)
{
	return 0;
}

/* The last "processed N insns" of a log: each has one, at its end. */
static unsigned long processed(const char *text)
{
	const char *at, *last = NULL;

	for (at = text; (at = strstr(at, "processed ")); at++)
		last = at;
	return last ? strtoul(last + strlen("processed "), NULL, 10) : 0;
}

static void print_end(const struct log *log)
{
	size_t length = strlen(log->text);

	printf("%s is refused:\n%s\n", bpf_program__name(log->program),
	       log->text + (length > LOG_SHOWN ? length - LOG_SHOWN : 0));
}

int main(void)
{
	struct log logs[MAX_PROGRAMS];
	struct bpf_program *program;
	struct sampler_bpf *bpf;
	int i, count = 0, err;

	libbpf_set_strict_mode(LIBBPF_STRICT_ALL);
	libbpf_set_print(print_nothing);
	bpf = sampler_bpf__open();
	if (!bpf) {
		perror("cannot open the BPF programs");
		return 1;
	}
	bpf->rodata->pid_namespace = 1; /* any but the initial one */
	bpf->rodata->with_kernel = true;
	bpf->rodata->with_user = true;
	bpf->rodata->per_thread = true;
	bpf->rodata->with_coroutines = true;
	bpf->rodata->with_times = true;
	bpf->rodata->with_off_cpu = true;
	bpf->rodata->follow_children = true;
	bpf->rodata->has_task_pt_regs =
		libbpf_probe_bpf_helper(BPF_PROG_TYPE_PERF_EVENT, BPF_FUNC_task_pt_regs, NULL) == 1;
	bpf_object__for_each_program(program, bpf->obj)
	{
		if (count == MAX_PROGRAMS)
			break;
		logs[count].program = program;
		logs[count].text = calloc(1, LOG_SIZE);
		if (!logs[count].text)
			return 1;
		bpf_program__set_log_level(program, LOG_STATS | LOG_REFUSED);
		bpf_program__set_log_buf(program, logs[count].text, LOG_SIZE);
		count++;
	}
	err = sampler_bpf__load(bpf);
	for (i = 0; i < count; i++) {
		if (bpf_program__fd(logs[i].program) >= 0)
			printf("%s %lu\n", bpf_program__name(logs[i].program),
			       processed(logs[i].text));
		else if (logs[i].text[0])
			print_end(&logs[i]);
	}
	if (err)
		printf("loading failed: %s\n", strerror(-err));
	sampler_bpf__destroy(bpf);
	for (i = 0; i < count; i++)
		free(logs[i].text);
	return err != 0;
}
