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
#include "tasks.skel.h"

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

/* Loads what is not loaded yet, and prints what was found. 0 or what `load` returned. */
static int load(struct bpf_object *object)
{
	struct log logs[MAX_PROGRAMS];
	struct bpf_program *program;
	int i, count = 0, err;

	bpf_object__for_each_program(program, object)
	{
		if (count == MAX_PROGRAMS)
			break;
		logs[count].program = program;
		logs[count].text = calloc(1, LOG_SIZE);
		if (!logs[count].text)
			return -1;
		bpf_program__set_log_level(program, LOG_STATS | LOG_REFUSED);
		bpf_program__set_log_buf(program, logs[count].text, LOG_SIZE);
		count++;
	}
	err = bpf_object__load(object);
	for (i = 0; i < count; i++) {
		if (bpf_program__fd(logs[i].program) >= 0)
			printf("%s %lu\n", bpf_program__name(logs[i].program),
			       processed(logs[i].text));
		else if (logs[i].text[0])
			print_end(&logs[i]);
		free(logs[i].text);
	}
	if (err)
		printf("loading failed: %s\n", strerror(-err));
	return err;
}

int main(void)
{
	bool has_task_pt_regs;
	struct sampler_bpf *sampler;
	struct tasks_bpf *tasks;
	int err;

	libbpf_set_strict_mode(LIBBPF_STRICT_ALL);
	libbpf_set_print(print_nothing);
	has_task_pt_regs =
		libbpf_probe_bpf_helper(BPF_PROG_TYPE_PERF_EVENT, BPF_FUNC_task_pt_regs, NULL) == 1;
	sampler = sampler_bpf__open();
	tasks = tasks_bpf__open();
	if (!sampler || !tasks) {
		perror("cannot open the BPF programs");
		return 1;
	}
	sampler->rodata->pid_namespace = 1; /* any but the initial one */
	sampler->rodata->with_kernel = true;
	sampler->rodata->with_user = true;
	sampler->rodata->with_values = true;
	sampler->rodata->per_thread = true;
	sampler->rodata->with_coroutines = true;
	sampler->rodata->with_times = true;
	sampler->rodata->with_off_cpu = true;
	sampler->rodata->follow_children = true;
	sampler->rodata->has_task_pt_regs = has_task_pt_regs;
	tasks->rodata->pid_namespace = 1;
	tasks->rodata->has_task_pt_regs = has_task_pt_regs;
	err = load(sampler->obj);
	if (load(tasks->obj) != 0)
		err = -1;
	sampler_bpf__destroy(sampler);
	tasks_bpf__destroy(tasks);
	return err != 0;
}
