/* SPDX-License-Identifier: Apache-2.0 */
#include <inttypes.h>
#include <string.h>

#include "../output/text.h"
#include "dump_names.h"
#include "dump_write.h"

struct writer {
	const struct dump *dump;
	const struct dump_write_options *options;
	FILE *out;
};

/* SGR codes of the terminal; those of the flame graphs' kinds of frames, about. */
static const char *colour_of(const struct profile_frame *frame)
{
	switch (frame->type) {
	case PROFILE_LUA:
		return "32";
	case PROFILE_LUA_COMPILED:
		return "36";
	case PROFILE_BUILTIN:
		return "33";
	case PROFILE_NOTE:
		return "35";
	default:
		return "2";
	}
}

static void begin_colour(const struct writer *self, const char *code)
{
	if (self->options->colour)
		fprintf(self->out, "\033[%sm", code);
}

static void end_colour(const struct writer *self)
{
	if (self->options->colour)
		fputs("\033[0m", self->out);
}

/* The base name of a C frame's file; NULL without one. */
static const char *file_of(const struct writer *self, const struct profile_frame *frame)
{
	const char *path, *slash;

	if (!frame->mapping || frame->mapping > profile__mapping_count(self->dump->profile))
		return NULL;
	path = profile__mapping_at(self->dump->profile, frame->mapping - 1)->path;
	slash = strrchr(path, '/');
	return slash ? slash + 1 : path;
}

static void write_place(const struct writer *self, const struct profile_frame *frame)
{
	const char *file = file_of(self, frame);

	if (*frame->file) {
		fputs(" (", self->out);
		text__write(self->out, frame->file);
		if (frame->line)
			fprintf(self->out, ":%u", frame->line);
		else
			fprintf(self->out, ", function of line %u", frame->first_line);
		fputc(')', self->out);
	} else if (file && !strstr(frame->name, "+0x")) {
		fputs(" (", self->out);
		text__write(self->out, file);
		fputc(')', self->out);
	}
	if (frame->estimated)
		fputs(" (estimated)", self->out);
}

static void write_variables(const struct writer *self, const struct dump_variables *variables)
{
	const struct dump_variable *variable;
	uint32_t i;

	for (i = 0; i < variables->count; i++) {
		variable = &variables->items[i];
		fprintf(self->out, "            %s", variable->is_upvalue ? "upvalue " : "");
		text__write(self->out, variable->name);
		fputs(" = ", self->out);
		text__write(self->out, variable->text ? variable->text : "(could not be read)");
		if (variable->function) {
			fputs(" ", self->out);
			text__write(self->out, variable->function);
		}
		fputc('\n', self->out);
	}
	if (variables->why_none)
		fprintf(self->out, "            local variables: %s\n", variables->why_none);
}

static void write_stack(const struct writer *self, const struct dump_stack *stack)
{
	const struct profile_frame *frame;
	uint32_t i;

	for (i = 0; i < stack->frame_count; i++) {
		frame = profile__frame_at(self->dump->profile, stack->frames[i]);
		if (!dump_names__is_shown(frame, self->options->native))
			continue;
		fprintf(self->out, "    %-7s  ", dump_names__kind(frame));
		begin_colour(self, colour_of(frame));
		text__write(self->out, *frame->name ? frame->name : "(no name)");
		end_colour(self);
		write_place(self, frame);
		fputc('\n', self->out);
		if (stack->variables && stack->lua[i])
			write_variables(self, &stack->variables[stack->lua[i] - 1]);
	}
}

static void write_thread(const struct writer *self, const struct dump_thread *thread)
{
	char state[DUMP_STATE_BYTES];

	dump_names__state(thread, state);
	begin_colour(self, "1");
	fprintf(self->out, "Thread %d \"", (int)thread->tid);
	text__write(self->out, thread->comm);
	fprintf(self->out, "\" (%s)", state);
	end_colour(self);
	fputc('\n', self->out);
	if (!thread->stack.stored)
		fputs("    (no stack: it neither stood still while it was looked at nor used the "
		      "CPU, or there was no time left)\n",
		      self->out);
	write_stack(self, &thread->stack);
	fputc('\n', self->out);
}

/* "3 coroutines: 2 suspended, 1 finished". */
static void write_counts(const struct writer *self, const struct dump_vm *vm)
{
	static const char *const words[] = {
		"suspended", "not started", "running", "running or normal",
		"normal",    "finished",    "failed"};
	const char *separator = ": ";
	size_t i, k, count;

	fprintf(self->out, "%zu coroutine%s", vm->count, vm->count == 1 ? "" : "s");
	for (i = 0; i < sizeof(words) / sizeof(words[0]); i++) {
		for (k = count = 0; k < vm->count; k++)
			count += strcmp(dump_names__status(&vm->coroutines[k]), words[i]) == 0;
		if (!count)
			continue;
		fprintf(self->out, "%s%zu %s", separator, count, words[i]);
		separator = ", ";
	}
}

static void write_notes(const struct writer *self, const struct dump_vm *vm)
{
	if (vm->error)
		fprintf(self->out, "  Not all of them are known: %s.\n", vm->error);
	else if (vm->out_of_time)
		fputs("  Not all of them are known: its heap is too large to be looked through in "
		      "time.\n",
		      self->out);
	else if (!vm->is_complete)
		fputs("  Not all of them are known: the heap changed while it was looked through. "
		      "Try again.\n",
		      self->out);
	if (vm->left_out)
		fprintf(self->out, "  %zu of them have no stack here: there was no time left.\n",
			vm->left_out);
	if (vm->has_run)
		fputs("  The process ran meanwhile: each stack is true, but they are not of one "
		      "moment.\n",
		      self->out);
}

/* "Lua VM 0x7f...", or "Lua VM 1" where addresses are not this user's business. */
static void write_object(const struct writer *self, const struct dump_process *process,
			 const char *what, uint64_t address, size_t index)
{
	if (process->hides_values)
		fprintf(self->out, "%s %zu", what, index + 1);
	else
		fprintf(self->out, "%s 0x%" PRIx64, what, address);
}

static void write_coroutine(const struct writer *self, const struct dump_process *process,
			    const struct dump_coroutine *coroutine, size_t index)
{
	/* Nothing is left of them but the object. */
	if (coroutine->status == LUA_THREAD_FINISHED || coroutine->status == LUA_THREAD_FAILED)
		return;
	begin_colour(self, "1");
	write_object(self, process, "Coroutine", coroutine->L, index);
	fprintf(self->out, " (%s)", dump_names__status(coroutine));
	end_colour(self);
	fputc('\n', self->out);
	if (coroutine->thread)
		fprintf(self->out, "    (in the stack of thread %d)\n", (int)coroutine->thread);
	if (coroutine->is_torn)
		fputs("    (no stack: it went on whenever it was looked at)\n", self->out);
	write_stack(self, &coroutine->stack);
	fputc('\n', self->out);
}

static void write_vm(const struct writer *self, const struct dump_process *process, size_t at)
{
	const struct dump_vm *vm = &process->vms[at];
	size_t i;

	begin_colour(self, "1");
	write_object(self, process, "Lua VM", vm->g, at);
	fprintf(self->out, " (%s): ", vm->runtime);
	write_counts(self, vm);
	end_colour(self);
	fputc('\n', self->out);
	write_notes(self, vm);
	fputc('\n', self->out);
	for (i = 0; i < vm->count; i++)
		write_coroutine(self, process, &vm->coroutines[i], i);
}

static void write_process(const struct writer *self, const struct dump_process *process)
{
	size_t i;

	begin_colour(self, "1");
	fprintf(self->out, "Process %d (", (int)process->pid);
	text__write(self->out, process->comm);
	fputs(")", self->out);
	if (*process->command) {
		fputs(": ", self->out);
		text__write(self->out, process->command);
	}
	end_colour(self);
	fputs("\n  ", self->out);
	text__write(self->out, *process->runtimes ? process->runtimes
						  : "no Lua that is known here: C stacks only");
	fputs("\n\n", self->out);
	for (i = 0; i < process->thread_count; i++)
		write_thread(self, &process->threads[i]);
	if (!self->options->coroutines)
		return;
	for (i = 0; i < process->vm_count; i++)
		write_vm(self, process, i);
	if (process->vms_incomplete)
		fputs("There may be other Lua VMs: not all of the memory could be searched.\n\n",
		      self->out);
	else if (!process->vm_count && *process->runtimes)
		fputs("No Lua VM was found in its memory.\n\n", self->out);
}

void dump__write_text(const struct dump *self, const struct dump_write_options *options, FILE *out)
{
	struct writer writer = {.dump = self, .options = options, .out = out};
	size_t i;

	for (i = 0; i < self->count; i++)
		write_process(&writer, &self->processes[i]);
}
