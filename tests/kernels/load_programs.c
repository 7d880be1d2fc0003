// SPDX-License-Identifier: Apache-2.0
/*
 * Loads the BPF programs as the sampler does, with all of its options on, and prints what the
 * verifier says of each (those that are named; of all without arguments):
 *
 *     PROGRAM INSTRUCTIONS
 *
 * the number of instructions that it went through (its limit is a million), and
 *
 *     lacks FEATURE
 *
 * beside on_sample, for each thing that luaspy does in another way because this kernel has not got
 * it, and
 *
 *     relocated by all of the BTF (WHY)
 *
 * if the part that src/sample/kernel_btf.h makes could not be had. Exit status 1, and the end of
 * the verifier's log, when a program is refused.
 */
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <linux/perf_event.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "sample/kernel_btf.h"
#include "sampler.skel.h"
#include "tasks.skel.h"

#define LOG_SIZE     (15u << 20)
#define LOG_STATES   1u /* BPF_LOG_LEVEL1, slow, and BPF_LOG_STATS: include/linux/bpf_verifier.h */
#define LOG_STATS    4u
#define LOG_SHOWN    3000u
#define MAX_PROGRAMS 16

struct log {
	struct bpf_program *program;
	char *text;
};

struct wanted {
	char **names; /* of the programs; none: all */
	int count;
	bool has_task_pt_regs;
};

static int print_nothing(enum libbpf_print_level level, const char *format, va_list args)
{
	return 0;
}

static bool is_wanted(const struct wanted *wanted, const char *name)
{
	int i;

	for (i = 0; i < wanted->count; i++) {
		if (strcmp(wanted->names[i], name) == 0)
			return true;
	}
	return wanted->count == 0;
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

/* Loads the programs that are wanted, and prints what was found: the numbers, or, with LOG_STATES,
 * why the last one was refused. 0 or what bpf_object__load returned. */
static int load(struct bpf_object *object, const struct wanted *wanted, unsigned int level)
{
	struct log logs[MAX_PROGRAMS];
	struct bpf_program *program;
	int i, count = 0, err = -ENOMEM;

	bpf_object__for_each_program(program, object)
	{
		bpf_program__set_autoload(program, is_wanted(wanted, bpf_program__name(program)));
		if (!bpf_program__autoload(program) || count == MAX_PROGRAMS)
			continue;
		logs[count].program = program;
		logs[count].text = calloc(1, LOG_SIZE);
		if (!logs[count].text)
			goto out;
		bpf_program__set_log_level(program, level);
		bpf_program__set_log_buf(program, logs[count].text, LOG_SIZE);
		count++;
	}
	err = bpf_object__load(object);
	/* The first that is refused ends the loading: the last one with a log. */
	while (err && count && !logs[count - 1].text[0])
		free(logs[--count].text);
	if (err && count && level & LOG_STATES)
		print_end(&logs[count - 1]);
	for (i = 0; i < count; i++) {
		if (!(level & LOG_STATES) && !(err && i == count - 1))
			printf("%s %lu\n", bpf_program__name(logs[i].program),
			       processed(logs[i].text));
	}
out:
	for (i = 0; i < count; i++)
		free(logs[i].text);
	return err;
}

static int load_sampler(const struct wanted *wanted, unsigned int level)
{
	LIBBPF_OPTS(bpf_object_open_opts, options);
	struct sampler_bpf *sampler;
	struct kernel_btf kernel_btf;
	const void *object;
	size_t size;
	int err;

	object = sampler_bpf__elf_bytes(&size);
	err = kernel_btf__open(object, size, &kernel_btf);
	if (err)
		printf("relocated by all of the BTF (%s)\n", strerror(-err));
	else
		options.btf_custom_path = kernel_btf.path;
	sampler = sampler_bpf__open_opts(&options);
	if (!sampler) {
		err = -errno;
		goto out;
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
	sampler->rodata->has_task_pt_regs = wanted->has_task_pt_regs;
	err = load(sampler->obj, wanted, level);
	sampler_bpf__destroy(sampler);
out:
	kernel_btf__close(&kernel_btf);
	return err;
}

static int load_tasks(const struct wanted *wanted, unsigned int level)
{
	struct tasks_bpf *tasks = tasks_bpf__open();
	int err;

	if (!tasks)
		return -errno;
	tasks->rodata->pid_namespace = 1;
	tasks->rodata->has_task_pt_regs = wanted->has_task_pt_regs;
	err = load(tasks->obj, wanted, level);
	tasks_bpf__destroy(tasks);
	return err;
}

static int try_to(int (*load_object)(const struct wanted *wanted, unsigned int level),
		  const struct wanted *wanted)
{
	int err = load_object(wanted, LOG_STATS);

	if (!err)
		return 0;
	load_object(wanted, LOG_STATES | LOG_STATS);
	printf("loading failed: %s\n", strerror(-err));
	return -1;
}

/* ---- what older kernels lack -------------------------------------------------------------------
 */

static bool has_inherit_thread(void)
{
	struct perf_event_attr attr = {.type = PERF_TYPE_SOFTWARE,
				       .size = sizeof(attr),
				       .config = PERF_COUNT_SW_DUMMY,
				       .disabled = 1,
				       .inherit = 1,
				       .inherit_thread = 1};
	int fd = (int)syscall(SYS_perf_event_open, &attr, 0, -1, -1, PERF_FLAG_FD_CLOEXEC);

	if (fd >= 0)
		close(fd);
	return fd >= 0 || errno != EINVAL;
}

/* Several maps put into a map of maps (an array, as the sampler's) by one call. */
static bool has_batches_of_maps(void)
{
	LIBBPF_OPTS(bpf_map_create_opts, inner_options, .map_flags = BPF_F_INNER_MAP);
	LIBBPF_OPTS(bpf_map_create_opts, options);
	__u32 key = 0, count = 1;
	int inner, outer, err = -1;

	inner = bpf_map_create(BPF_MAP_TYPE_ARRAY, "inner", 4, 8, 1, &inner_options);
	options.inner_map_fd = (__u32)inner;
	outer = bpf_map_create(BPF_MAP_TYPE_ARRAY_OF_MAPS, "outer", 4, 4, 1, &options);
	if (inner >= 0 && outer >= 0)
		err = bpf_map_update_batch(outer, &key, &inner, &count, NULL);
	if (outer >= 0)
		close(outer);
	if (inner >= 0)
		close(inner);
	return err == 0;
}

/* Maps count against the control group's memory, and not against RLIMIT_MEMLOCK. */
static bool has_maps_in_cgroup(void)
{
	struct rlimit none = {0, 0}, before;
	int fd;

	if (getrlimit(RLIMIT_MEMLOCK, &before) != 0 || setrlimit(RLIMIT_MEMLOCK, &none) != 0)
		return true; /* not known */
	fd = bpf_map_create(BPF_MAP_TYPE_ARRAY, "counted", 4, 8, 1, NULL);
	if (fd >= 0)
		close(fd);
	setrlimit(RLIMIT_MEMLOCK, &before);
	return fd >= 0;
}

static void print_lacks(bool has_task_pt_regs)
{
	if (!has_task_pt_regs)
		printf("lacks bpf_task_pt_regs\n");
	if (!has_batches_of_maps())
		printf("lacks batches for maps of maps\n");
	if (!has_inherit_thread())
		printf("lacks inherit_thread\n");
	if (libbpf_probe_bpf_helper(BPF_PROG_TYPE_RAW_TRACEPOINT, BPF_FUNC_snprintf, NULL) != 1)
		printf("lacks bpf_snprintf\n");
	if (!has_maps_in_cgroup())
		printf("lacks maps in the control group's memory\n");
}

int main(int argc, char **argv)
{
	struct wanted wanted = {.names = argv + 1, .count = argc - 1};
	struct rlimit no_limit = {RLIM_INFINITY, RLIM_INFINITY};
	int err;

	libbpf_set_strict_mode(LIBBPF_STRICT_ALL);
	libbpf_set_print(print_nothing);
	setrlimit(RLIMIT_MEMLOCK, &no_limit);
	wanted.has_task_pt_regs =
		libbpf_probe_bpf_helper(BPF_PROG_TYPE_PERF_EVENT, BPF_FUNC_task_pt_regs, NULL) == 1;
	if (is_wanted(&wanted, "on_sample"))
		print_lacks(wanted.has_task_pt_regs);
	err = try_to(load_sampler, &wanted);
	if (try_to(load_tasks, &wanted) != 0)
		err = -1;
	return err != 0;
}
