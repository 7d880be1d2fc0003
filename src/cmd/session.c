/* SPDX-License-Identifier: Apache-2.0 */
#include "session.h"

#include <errno.h>
#include <string.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "../target/kernel_version.h"
#include "../target/process_info.h"
#include "kernel_needs.h"
#include "record_files.h"

static void print_wrong_proc(void)
{
	fprintf(stderr,
		"luaspy: /proc is not mounted, or is that of another PID namespace than luaspy's, "
		"so that processes have other numbers in it. Start the container with "
		"--pid=host, or mount the right one (unshare --mount-proc).\n");
}

int session__check_proc(void)
{
	int err = process_info__check_proc();

	if (err)
		print_wrong_proc();
	return err;
}

int session__find(struct session *self, struct target_options *options, uint32_t rate_hz)
{
	return record_targets__find(&self->targets, options, rate_hz, self->quiet);
}

static void print_refusal(const struct refusal *refusal, const char *release, bool verbose)
{
	if (verbose && refusal->log)
		fprintf(stderr, "%s", refusal->log);
	fprintf(stderr,
		"luaspy: the verifier of this kernel (Linux %s) refused the BPF program %s: a "
		"mistake in luaspy, or in the kernel. %s.\n",
		release, refusal->program,
		verbose ? "Please report it with the log above"
			: "Run again with -v for the verifier's log, and report it");
}

void session__print_load_error(const struct session *self, int err, bool verbose)
{
	char why[PRIVILEGES_TEXT_BYTES];
	struct utsname kernel = {};
	bool denied = err == -EPERM || err == -EACCES, old, may_load;

	uname(&kernel);
	old = kernel_version() < KERNEL_VERSION_OF(OLDEST_MAJOR, OLDEST_MINOR);
	/* What the verifier has refused to somebody who may load programs is no matter of
	 * privilege. */
	may_load = privileges__have(CAP_BPF) && privileges__have(CAP_PERFMON);
	if (err == -EXDEV) {
		print_wrong_proc();
	} else if (denied &&
		   (self->refusal.program[0] ? !may_load : !old || !privileges__complete())) {
		privileges__explain(why, sizeof(why));
		fprintf(stderr, "luaspy: not permitted to load BPF programs: %s\n", why);
	} else if (old) {
		fprintf(stderr, "luaspy: Linux %s is too old: it has to be %d.%d or newer.\n",
			kernel.release, OLDEST_MAJOR, OLDEST_MINOR);
	} else if (self->refusal.program[0]) {
		print_refusal(&self->refusal, kernel.release, verbose);
	} else if (err == -ENOMEM) {
		fprintf(stderr, "luaspy: out of memory for the BPF maps (about 30 MB).\n");
	} else if (access(BTF_PATH, R_OK) != 0) {
		fprintf(stderr,
			"luaspy: the BPF programs need the kernel's BTF, but " BTF_PATH
			" cannot be read (%s). In a container, mount /sys into it; else the kernel "
			"has to be built with CONFIG_DEBUG_INFO_BTF.\n",
			strerror(errno));
	} else {
		fprintf(stderr, "luaspy: the BPF programs do not load on Linux %s: %s. %s.\n",
			kernel.release, strerror(-err),
			verbose ? "Please report it with the lines above"
				: "Run again with -v, which shows at which step, and report it");
	}
}

static void process_ended(void *context, pid_t pid)
{
	struct session *self = context;

	lua_functions__process_ended(self->lua_functions, pid);
}

static int open_names(struct session *self)
{
	self->lua_names = lua_names__new();
	self->containers = record_containers__new();
	if (self->lua_names && self->containers)
		self->lua_functions =
			lua_functions__new(sampler__stacks(self->sampler),
					   sampler__modules(self->sampler), self->lua_names);
	if (!self->lua_functions) {
		fprintf(stderr, "luaspy: out of memory.\n");
		return -ENOMEM;
	}
	self->names = (struct frame_names){
		.stacks = sampler__stacks(self->sampler),
		.modules = sampler__modules(self->sampler),
		.vms = sampler__vms(self->sampler),
		.lua = self->lua_functions,
	};
	sampler__on_end(self->sampler, process_ended, self);
	return 0;
}

int session__open(struct session *self, const struct sampler_options *options)
{
	struct sampler_options own = *options;
	int err;

	own.refusal = &self->refusal;
	self->start.found = record_start__now();
	err = sampler__new(&own, self->targets.found, self->targets.found_count, &self->sampler);
	self->start.loaded = record_start__now();
	if (err) {
		session__print_load_error(self, err, options->verbose);
		return err;
	}
	return open_names(self);
}

int session__add_targets(struct session *self)
{
	int err = record_targets__add(&self->targets, self->sampler, self->containers);

	if (!err)
		session__warn_files(self);
	return err;
}

int session__drop_privileges(struct session *self, const struct privileges_needs *needs,
			     bool kernel)
{
	int err;

	if (kernel)
		session__open_kernel_symbols(self);
	err = privileges__drop(needs);
	if (err)
		fprintf(stderr,
			"luaspy: what it does not need any more could not be given up: %s.\n",
			strerror(-err));
	return err;
}

int session__poll(struct session *self, int timeout_ms)
{
	int err = sampler__poll(self->sampler, timeout_ms);

	if (err == -EINTR)
		err = 0;
	lua_functions__read(self->lua_functions);
	record_containers__look(self->containers, self->names.stacks);
	session__warn_builds(self);
	record_targets__tend(&self->targets, self->sampler);
	return err;
}

void session__clear_stacks(struct session *self)
{
	record_containers__restart(self->containers);
	stack_store__clear(sampler__stacks(self->sampler));
}

void session__open_kernel_symbols(struct session *self)
{
	self->kernel_symbols = kernel_symbols__open();
	self->kernel_names = kernel_names__new();
}

void session__drop_stacks(struct session *self)
{
	/* Those that came before it are what clear forgets. */
	stack_store__begin_taking(sampler__stacks(self->sampler));
	session__clear_stacks(self);
}

void session__read_kernel_symbols(struct session *self)
{
	if (self->kernel_symbols &&
	    kernel_symbols__read_or_ask(self->kernel_symbols, self->kernel_names, &self->kernel) ==
		    -EPERM &&
	    !self->quiet)
		fprintf(self->warnings,
			"luaspy: warning: kernel function names are hidden: they need "
			"CAP_SYSLOG and `sysctl kernel.kptr_restrict` below 2.\n");
	self->names.kernel = self->kernel;
}

void session__warn_files(struct session *self)
{
	if (!self->quiet)
		record_files__warn(self->names.modules, &self->files_told, self->warnings);
}

void session__warn_builds(struct session *self)
{
	if (!self->quiet)
		record_builds__warn(&self->builds, self->names.modules, self->names.vms,
				    self->warnings);
}

void session__title(const struct session *self, char *title, size_t size)
{
	const struct record_targets *targets = &self->targets;
	char others[48] = "";

	if (targets->count > 1)
		snprintf(others, sizeof(others), " and %zu other%s", targets->count - 1,
			 targets->count > 2 ? "s" : "");
	snprintf(title, size, "%s %d%s%s%s", targets->comm, (int)targets->first, others,
		 targets->container ? " in " : "", targets->container ? targets->container : "");
}

void session__free(struct session *self)
{
	refusal__clear(&self->refusal);
	kernel_symbols__free(self->kernel);
	kernel_names__free(self->kernel_names);
	if (self->kernel_symbols)
		fclose(self->kernel_symbols);
	lua_functions__free(self->lua_functions);
	lua_names__free(self->lua_names);
	record_containers__free(self->containers);
	sampler__free(self->sampler);
	record_targets__free(&self->targets);
}
