/* SPDX-License-Identifier: Apache-2.0 */
/*
 * `luaspy dump`: what the threads of processes do now, and what their coroutines wait for.
 */
#include <argp.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "../sample/targets.h"
#include "../symbol/frame_names.h"
#include "../target/process_info.h"
#include "../target/small_file.h"
#include "../vm/lua_files.h"
#include "commands.h"
#include "dump_coroutines.h"
#include "dump_names.h"
#include "dump_threads.h"
#include "dump_values.h"
#include "dump_write.h"
#include "session.h"

/* Of threads that run: each has a sample within two milliseconds of CPU time. */
#define RATE_HZ 499

#define OPT_LOCALS     256
#define OPT_COROUTINES 257
#define OPT_JSON       258
#define OPT_KERNEL     259
#define OPT_NO_NATIVE  260

struct dump_command {
	struct target_options targets;
	struct dump_write_options write;
	bool json, kernel, verbose;
	struct session common; /* targets, sampler, names */
	struct dump dump;
	struct dump_session session;
};

static const struct argp_option options[] = {
	{"locals", OPT_LOCALS, 0, 0,
	 "of each Lua frame, the names and values of its local variables and upvalues", 2},
	{"all-coroutines", OPT_COROUTINES, 0, 0,
	 "every coroutine of the Lua VMs, with its status and stack", 2},
	{"kernel", OPT_KERNEL, 0, 0, "show kernel frames", 3},
	{"no-native", OPT_NO_NATIVE, 0, 0, "leave C frames out", 3},
	{"json", OPT_JSON, 0, 0, "write JSON", 3},
	{"quiet", 'q', 0, 0, "say nothing but errors", 4},
	{"verbose", 'v', 0, 0, "show what the kernel says of luaspy's programs", 4},
	{0},
};

static const char doc[] =
	"Shows the current stacks of all threads of processes: C and Lua, in the order of the "
	"calls, innermost first, with current lines. Nothing is stopped for it."
	"\vExamples:\n"
	"  luaspy dump -p 1234                    what it does now\n"
	"  luaspy dump -p 1234 --locals           with the values of local variables\n"
	"  luaspy dump -n nginx --all-coroutines  what each suspended request waits for\n";

static error_t parse(int key, char *arg, struct argp_state *state)
{
	struct dump_command *self = state->input;

	switch (key) {
	case ARGP_KEY_INIT:
		state->child_inputs[0] = &self->targets;
		return 0;
	case OPT_LOCALS:
		self->write.values = true;
		return 0;
	case OPT_COROUTINES:
		self->write.coroutines = true;
		return 0;
	case OPT_JSON:
		self->json = true;
		return 0;
	case OPT_KERNEL:
		self->kernel = true;
		return 0;
	case OPT_NO_NATIVE:
		self->write.native = false;
		return 0;
	case 'q':
		self->common.quiet = true;
		return 0;
	case 'v':
		self->verbose = true;
		return 0;
	case ARGP_KEY_ARG:
		argp_error(state, "what is '%s'? A process is chosen with -p PID", arg);
		return 0;
	case ARGP_KEY_END:
		if (!target_options__given(&self->targets))
			argp_error(state, "what to look at? -p PID, -n NAME, -c CONTAINER, "
					  "--cgroup PATH or -a");
		return 0;
	default:
		return ARGP_ERR_UNKNOWN;
	}
}

/* ---- what is looked at -------------------------------------------------------------------------
 */

static int open_session(struct dump_command *self)
{
	struct sampler_options sampler = {.rate_hz = RATE_HZ,
					  .kernel = self->kernel,
					  .per_thread = true,
					  .user_walks = true,
					  .values = self->write.values,
					  .verbose = self->verbose};
	struct dump_session *session = &self->session;
	int err;

	err = session__open(&self->common, &sampler);
	if (err)
		return err;
	err = thread_states__new(&session->states, &self->common.refusal);
	if (err) {
		session__print_load_error(&self->common, err, self->verbose);
		return err;
	}
	session->dump = &self->dump;
	session->kernel = self->kernel;
	session->sampler = self->common.sampler;
	session->walker = user_walk__new();
	if (self->write.values)
		session->values = dump_values__new();
	if (!session->walker || (self->write.values && !session->values)) {
		fprintf(stderr, "luaspy: out of memory.\n");
		return -ENOMEM;
	}
	if (session->values)
		sampler__on_frame(session->sampler, dump_values__keep, session->values);
	return 0;
}

static void append_runtime(struct dump_process *process, const struct luajit_build *build,
			   const struct lua_file *file, const char *path)
{
	size_t length = strlen(process->runtimes);

	snprintf(process->runtimes + length, sizeof(process->runtimes) - length, "%s%s%s (%.120s)",
		 length ? ", " : "", file->version, build ? build->gc64 ? " GC64" : " GC32" : "",
		 path);
}

/* The files with Lua in them that the process has mapped. */
static void find_runtimes(struct dump_command *self, struct lua_files *files,
			  struct dump_process *process)
{
	const struct modules *modules = sampler__modules(self->session.sampler);
	const struct map_entry *entry;
	const struct mapping *mappings;
	const struct lua_file *file;
	const struct module *module;
	uint32_t count, vm, i, last = UINT32_MAX;
	struct maps maps;

	if (!targets__view(sampler__targets(self->session.sampler), process->pid, &mappings, &count,
			   &vm) ||
	    maps__read(process->pid, &maps) != 0)
		return;
	for (i = 0; i < count; i++) {
		module = modules__find(modules, mappings[i].file_id);
		if (!module || !(module->vm || module->puc) || module->id == last)
			continue;
		last = module->id;
		entry = maps__find(&maps, mappings[i].start);
		file = entry ? lua_files__get(files, process->pid, entry) : NULL;
		if (file)
			append_runtime(process, modules__build(modules, module->vm), file,
				       module->path);
	}
	maps__free(&maps);
}

/* The processes that the sampler follows. */
static int add_processes(struct dump_command *self, const pid_t *pids, size_t count)
{
	struct lua_files *files = lua_files__new();
	struct dump_process *process;
	struct process_info info;
	size_t i;
	int err = files ? 0 : -ENOMEM;

	for (i = 0; i < count && !err; i++) {
		if (!targets__follows(sampler__targets(self->session.sampler), pids[i]) ||
		    dump__process(&self->dump, pids[i]) || process_info__read(pids[i], &info) != 0)
			continue;
		err = thread_states__want(self->session.states, pids[i]);
		process = err ? NULL : dump__add_process(&self->dump, pids[i]);
		if (!process) {
			err = err ? err : -ENOMEM;
			break;
		}
		snprintf(process->comm, sizeof(process->comm), "%s", info.comm);
		process->hides_values = !privileges__may_see_values(pids[i]);
		if (small_file__command_line(pids[i], process->command, sizeof(process->command)) <
		    0)
			process->command[0] = '\0';
		find_runtimes(self, files, process);
	}
	lua_files__free(files);
	return err;
}

static int find_targets(struct dump_command *self)
{
	pid_t *pids = NULL;
	size_t count;
	int err;

	count = self->common.targets.found_count;
	pids = calloc(count + 1, sizeof(*pids));
	if (!pids)
		return -ENOMEM;
	memcpy(pids, self->common.targets.found, count * sizeof(*pids));
	err = session__add_targets(&self->common);
	if (!err) {
		err = add_processes(self, pids, count);
		if (err)
			fprintf(stderr, "luaspy: the processes cannot be looked at: %s.\n",
				strerror(-err));
	}
	free(pids);
	return err;
}

/* ---- looking -----------------------------------------------------------------------------------
 */

static int gather(struct dump_command *self)
{
	struct dump_session *session = &self->session;
	size_t i;
	int err;

	sampler__start(session->sampler);
	err = dump_threads__collect(session);
	if (sampler__stop(session->sampler) != 0 && !err)
		err = -ENOMEM;
	for (i = 0; i < self->dump.count && !err && self->write.coroutines; i++)
		err = dump_coroutines__collect(session, &self->dump.processes[i]);
	lua_functions__read(self->common.lua_functions);
	if (err)
		fprintf(stderr, "luaspy: the threads cannot be looked at: %s.\n", strerror(-err));
	return err;
}

static int name_all(struct dump_command *self)
{
	int err;

	if (self->kernel) {
		session__open_kernel_symbols(&self->common);
		session__read_kernel_symbols(&self->common);
	}
	err = dump_names__find(&self->dump, &self->common.names);
	if (err)
		fprintf(stderr, "luaspy: out of memory while finding names.\n");
	session__warn_builds(&self->common);
	return err;
}

static int write_result(struct dump_command *self)
{
	int err = 0;

	self->write.colour = isatty(STDOUT_FILENO) && !getenv("NO_COLOR");
	if (self->json)
		err = dump__write_json(&self->dump, &self->write, stdout);
	else
		dump__write_text(&self->dump, &self->write, stdout);
	if (!err && (fflush(stdout) != 0 || ferror(stdout)))
		err = errno ? -errno : -EIO;
	if (err)
		fprintf(stderr, "luaspy: writing to stdout failed: %s.\n", strerror(-err));
	return err;
}

static const struct argp_child children[] = {{&target_options_argp, 0, "What to look at:", 1}, {0}};

const struct argp dump_argp = {
	.options = options, .parser = parse, .doc = doc, .children = children};

int cmd_dump(int argc, char **argv)
{
	static char name[] = "luaspy dump";
	struct dump_command *self = calloc(1, sizeof(*self));
	int err;

	if (!self) {
		fprintf(stderr, "luaspy: out of memory.\n");
		return 1;
	}
	self->write.native = true;
	self->common.warnings = stderr;
	argv[0] = name;
	argp_err_exit_status = 2;
	argp_parse(&dump_argp, argc, argv, 0, NULL, self);
	err = session__check_proc();
	if (!err)
		err = session__find(&self->common, &self->targets, RATE_HZ);
	if (!err)
		err = open_session(self);
	if (!err)
		err = find_targets(self);
	if (!err)
		err = gather(self);
	if (!err)
		err = name_all(self);
	if (!err)
		err = write_result(self);
	dump__free(&self->dump);
	dump_values__free(self->session.values);
	user_walk__free(self->session.walker);
	thread_states__free(self->session.states);
	session__free(&self->common);
	target_options__free(&self->targets);
	free(self);
	return err ? 1 : 0;
}
