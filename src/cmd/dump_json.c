/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "../output/output.h"
#include "../target/system_calls.h"
#include "dump_names.h"
#include "dump_write.h"
#include "json_text.h"

struct writer {
	const struct dump *dump;
	const struct dump_write_options *options;
	bool failed; /* out of memory */
};

static struct json_object *new_object(struct writer *self)
{
	struct json_object *object = json_object_new_object();

	self->failed |= !object;
	return object;
}

static struct json_object *new_array(struct writer *self)
{
	struct json_object *array = json_object_new_array();

	self->failed |= !array;
	return array;
}

/* json_object_object_add takes the value over, also when it fails. */
static void put(struct writer *self, struct json_object *object, const char *key,
		struct json_object *value)
{
	if (!object || json_object_object_add(object, key, value) != 0) {
		json_object_put(value);
		self->failed = true;
	}
}

static void push(struct writer *self, struct json_object *array, struct json_object *value)
{
	if (!array || json_object_array_add(array, value) != 0) {
		json_object_put(value);
		self->failed = true;
	}
}

static void put_text(struct writer *self, struct json_object *object, const char *key,
		     const char *text)
{
	put(self, object, key, text ? json_text__new(text) : NULL);
}

static void put_number(struct writer *self, struct json_object *object, const char *key,
		       int64_t number)
{
	put(self, object, key, json_object_new_int64(number));
}

static void put_flag(struct writer *self, struct json_object *object, const char *key, bool flag)
{
	put(self, object, key, json_object_new_boolean(flag));
}

/* As text: JSON's numbers have 53 bits in many readers. */
static void put_address(struct writer *self, struct json_object *object, const char *key,
			uint64_t address)
{
	char text[24];

	snprintf(text, sizeof(text), "0x%" PRIx64, address);
	put_text(self, object, key, text);
}

/* ---- stacks ------------------------------------------------------------------------------------
 */

static struct json_object *variables_object(struct writer *self,
					    const struct dump_variables *variables)
{
	struct json_object *array = new_array(self), *object;
	const struct dump_variable *variable;
	uint32_t i;

	for (i = 0; i < variables->count; i++) {
		variable = &variables->items[i];
		object = new_object(self);
		put_text(self, object, "name", variable->name);
		put_flag(self, object, "upvalue", variable->is_upvalue);
		put_text(self, object, "value", variable->text);
		if (variable->function)
			put_text(self, object, "function", variable->function);
		push(self, array, object);
	}
	return array;
}

static struct json_object *frame_object(struct writer *self, const struct dump_stack *stack,
					uint32_t at)
{
	const struct profile *profile = self->dump->profile;
	const struct profile_frame *frame = profile__frame_at(profile, stack->frames[at]);
	const struct dump_variables *variables;
	struct json_object *object = new_object(self);

	put_text(self, object, "type", json_profile__type(frame->type));
	put_text(self, object, "name", frame->name);
	if (*frame->file) {
		put_text(self, object, "file", frame->file);
		put(self, object, "line", frame->line ? json_object_new_int64(frame->line) : NULL);
		put_number(self, object, "first_line", frame->first_line);
	} else if (frame->mapping && frame->mapping <= profile__mapping_count(profile)) {
		put_text(self, object, "file",
			 profile__mapping_at(profile, frame->mapping - 1)->path);
		put_address(self, object, "address", frame->address);
	}
	if (frame->type == PROFILE_LUA || frame->type == PROFILE_LUA_COMPILED) {
		put_flag(self, object, "compiled", frame->type == PROFILE_LUA_COMPILED);
		put_flag(self, object, "estimated", frame->estimated != 0);
	}
	if (stack->variables && stack->lua[at]) {
		variables = &stack->variables[stack->lua[at] - 1];
		put(self, object, "locals", variables_object(self, variables));
		if (variables->why_none)
			put_text(self, object, "locals_note", variables->why_none);
	}
	return object;
}

static struct json_object *stack_object(struct writer *self, const struct dump_stack *stack)
{
	struct json_object *array;
	uint32_t i;

	if (!stack->stored)
		return NULL;
	array = new_array(self);
	for (i = 0; i < stack->frame_count; i++) {
		if (dump_names__is_shown(profile__frame_at(self->dump->profile, stack->frames[i]),
					 self->options->native))
			push(self, array, frame_object(self, stack, i));
	}
	return array;
}

static struct json_object *thread_object(struct writer *self, const struct dump_thread *thread)
{
	struct json_object *object = new_object(self);
	char state[DUMP_STATE_BYTES];

	dump_names__state(thread, state);
	put_number(self, object, "tid", thread->tid);
	put_text(self, object, "name", thread->comm);
	put_text(self, object, "state", state);
	put_flag(self, object, "running", thread->is_running);
	put_text(self, object, "system_call", system_call__name(thread->system_call));
	put(self, object, "frames", stack_object(self, &thread->stack));
	return object;
}

/* ---- VMs and processes -------------------------------------------------------------------------
 */

/* Null where addresses are not this user's business. */
static void put_object_address(struct writer *self, const struct dump_process *process,
			       struct json_object *object, const char *key, uint64_t address)
{
	if (process->hides_values)
		put(self, object, key, NULL);
	else
		put_address(self, object, key, address);
}

static struct json_object *coroutine_object(struct writer *self, const struct dump_process *process,
					    const struct dump_coroutine *coroutine)
{
	struct json_object *object = new_object(self);

	put_object_address(self, process, object, "address", coroutine->L);
	put_text(self, object, "status", dump_names__status(coroutine));
	put(self, object, "thread",
	    coroutine->thread ? json_object_new_int64(coroutine->thread) : NULL);
	put(self, object, "frames", stack_object(self, &coroutine->stack));
	return object;
}

static struct json_object *vm_object(struct writer *self, const struct dump_process *process,
				     const struct dump_vm *vm)
{
	struct json_object *object = new_object(self), *coroutines = new_array(self);
	size_t i;

	put_object_address(self, process, object, "global_state", vm->g);
	put_text(self, object, "runtime", vm->runtime);
	put_flag(self, object, "complete", vm->is_complete && !vm->left_out);
	put_flag(self, object, "one_moment", !vm->has_run);
	for (i = 0; i < vm->count; i++)
		push(self, coroutines, coroutine_object(self, process, &vm->coroutines[i]));
	put(self, object, "coroutines", coroutines);
	return object;
}

static struct json_object *process_object(struct writer *self, const struct dump_process *process)
{
	struct json_object *object = new_object(self), *threads = new_array(self), *vms;
	size_t i;

	put_number(self, object, "pid", process->pid);
	put_text(self, object, "name", process->comm);
	put_text(self, object, "command", process->command);
	put_text(self, object, "lua", process->runtimes);
	for (i = 0; i < process->thread_count; i++)
		push(self, threads, thread_object(self, &process->threads[i]));
	put(self, object, "threads", threads);
	if (!self->options->coroutines)
		return object;
	vms = new_array(self);
	for (i = 0; i < process->vm_count; i++)
		push(self, vms, vm_object(self, process, &process->vms[i]));
	put(self, object, "vms", vms);
	put_flag(self, object, "vms_complete", !process->vms_incomplete);
	return object;
}

int dump__write_json(const struct dump *self, const struct dump_write_options *options, FILE *out)
{
	struct writer writer = {.dump = self, .options = options};
	struct json_object *root = new_object(&writer), *processes = new_array(&writer);
	size_t i;

	for (i = 0; i < self->count; i++)
		push(&writer, processes, process_object(&writer, &self->processes[i]));
	put(&writer, root, "processes", processes);
	if (writer.failed) {
		json_object_put(root);
		return -ENOMEM;
	}
	return json_text__write(root, out);
}
