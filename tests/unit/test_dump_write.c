// SPDX-License-Identifier: Apache-2.0
/*
 * A dump as text and as JSON: what each part looks like, and that nothing of the target's reaches
 * the terminal as it is.
 */
#include <json-c/json.h>
#include <stdlib.h>

#include "../test.h"

#include "cmd/dump_write.h"

static char *text_of(const struct dump *dump, const struct dump_write_options *options, bool json)
{
	char *text = NULL;
	size_t size;
	FILE *out = open_memstream(&text, &size);

	if (!out)
		return NULL;
	if (json)
		CHECK_EQ(dump__write_json(dump, options, out), 0);
	else
		dump__write_text(dump, options, out);
	fclose(out);
	return text;
}

static void put_frames(struct dump_stack *stack, const int64_t *ids, uint32_t count)
{
	uint32_t i;

	stack->stored = calloc(1, sizeof(*stack->stored));
	stack->frames = calloc(count, sizeof(*stack->frames));
	stack->lua = calloc(count, sizeof(*stack->lua));
	stack->frame_count = count;
	for (i = 0; i < count; i++)
		stack->frames[i] = (uint32_t)ids[i];
}

static void make(struct dump *dump)
{
	struct profile_mapping file = {.path = "/opt/lib/li\033b.so", .build_id = ""};
	struct profile_frame frame = {
		.name = "fo\033[31mo", .file = "a\nb.lua", .first_line = 3, .line = 7};
	struct dump_coroutine *coroutine;
	struct dump_process *process;
	struct dump_thread *thread;
	struct dump_vm *vm;
	int64_t ids[2];

	*dump = (struct dump){.profile = profile__new()};
	frame.type = PROFILE_LUA;
	ids[0] = profile__add_frame(dump->profile, &frame);
	frame = (struct profile_frame){.name = "call", .file = "", .type = PROFILE_NATIVE};
	frame.mapping = (uint32_t)profile__add_mapping(dump->profile, &file);
	ids[1] = profile__add_frame(dump->profile, &frame);
	process = dump__add_process(dump, 12);
	snprintf(process->comm, sizeof(process->comm), "we\033b");
	snprintf(process->command, sizeof(process->command), "web\r-x");
	snprintf(process->runtimes, sizeof(process->runtimes), "Lua 5.4.6 (/usr/bin/lua)");
	thread = dump_process__add_thread(process);
	thread->tid = 13;
	memcpy(thread->comm, "na\tme", 6);
	thread->state = TASK_STATE_INTERRUPTIBLE;
	thread->system_call = 0;
	put_frames(&thread->stack, ids, 2);
	thread->stack.lua[0] = 1;
	thread->stack.lua_count = 1;
	thread->stack.variables = calloc(1, sizeof(*thread->stack.variables));
	thread->stack.variables->items = calloc(2, sizeof(struct dump_variable));
	thread->stack.variables->count = 2;
	thread->stack.variables->items[0] =
		(struct dump_variable){.name = strdup("x"), .text = strdup("\"\xe2\x80\xae\"")};
	thread->stack.variables->items[1] =
		(struct dump_variable){.name = strdup("up"), .is_upvalue = true};
	thread = dump_process__add_thread(process);
	thread->tid = 14;
	thread->is_running = true;
	vm = dump_process__add_vm(process);
	vm->g = 0x1000;
	vm->is_complete = vm->has_run = true;
	snprintf(vm->runtime, sizeof(vm->runtime), "Lua 5.4.6");
	coroutine = dump_vm__add_coroutine(vm);
	coroutine->L = 0x2000;
	put_frames(&coroutine->stack, ids, 1);
	coroutine = dump_vm__add_coroutine(vm);
	coroutine->L = 0x3000;
	coroutine->status = LUA_THREAD_FINISHED;
}

static void text(void)
{
	struct dump_write_options options = {.native = true, .values = true, .coroutines = true};
	struct dump dump;
	char *out;

	make(&dump);
	out = text_of(&dump, &options, false);
	CHECK_STR(
		out,
		"Process 12 (we\xef\xbf\xbd"
		"b): web\xef\xbf\xbd-x\n"
		"  Lua 5.4.6 (/usr/bin/lua)\n\n"
		"Thread 13 \"na\xef\xbf\xbdme\" (sleeping in read)\n"
		"    lua      fo\xef\xbf\xbd[31mo (a\xef\xbf\xbd"
		"b.lua:7)\n"
		"            x = \"\xef\xbf\xbd\"\n"
		"            upvalue up = (could not be read)\n"
		"    C        call (li\xef\xbf\xbd"
		"b.so)\n\n"
		"Thread 14 \"\" (running)\n"
		"    (no stack: it neither stood still while it was looked at nor used the CPU, or "
		"there was no time left)\n\n"
		"Lua VM 0x1000 (Lua 5.4.6): 2 coroutines: 1 suspended, 1 finished\n"
		"  The process ran meanwhile: each stack is true, but they are not of one "
		"moment.\n\n"
		"Coroutine 0x2000 (suspended)\n"
		"    lua      fo\xef\xbf\xbd[31mo (a\xef\xbf\xbd"
		"b.lua:7)\n\n");
	free(out);
	/* With colours, and no C frames. */
	options.colour = true;
	options.native = false;
	out = text_of(&dump, &options, false);
	CHECK(strstr(out, "\033[1mThread 13"));
	CHECK(!strstr(out, "call"));
	CHECK(!strstr(out, "fo\033"));
	free(out);
	dump__free(&dump);
}

/* Where another user's process has its memory is not told. */
static void addresses(void)
{
	struct dump_write_options options = {.native = true, .coroutines = true};
	struct dump dump;
	char *out;

	make(&dump);
	dump.processes[0].hides_values = true;
	out = text_of(&dump, &options, false);
	CHECK(strstr(out, "\nLua VM 1 (Lua 5.4.6): 2 coroutines"));
	CHECK(strstr(out, "\nCoroutine 1 (suspended)"));
	CHECK(!strstr(out, "0x"));
	free(out);
	out = text_of(&dump, &options, true);
	CHECK(strstr(out, "\"global_state\""));
	CHECK(strstr(out, "suspended"));
	CHECK(!strstr(out, "0x2000") && !strstr(out, "0x1000"));
	free(out);
	dump__free(&dump);
}

static const char *string_at(struct json_object *object, const char *key)
{
	return json_object_get_string(json_object_object_get(object, key));
}

static struct json_object *item(struct json_object *object, const char *key, size_t i)
{
	return json_object_array_get_idx(json_object_object_get(object, key), i);
}

static void json(void)
{
	struct dump_write_options options = {.native = true, .values = true, .coroutines = true};
	struct json_object *root, *process, *thread, *frame, *vm;
	struct dump dump;
	char *out;

	make(&dump);
	out = text_of(&dump, &options, true);
	CHECK(!strchr(out, '\033'));
	root = json_tokener_parse(out);
	CHECK(root);
	process = item(root, "processes", 0);
	CHECK_EQ(json_object_get_int(json_object_object_get(process, "pid")), 12);
	thread = item(process, "threads", 0);
	CHECK_STR(string_at(thread, "state"), "sleeping in read");
	CHECK_STR(string_at(thread, "system_call"), "read");
	frame = item(thread, "frames", 0);
	CHECK_STR(string_at(frame, "type"), "lua");
	CHECK(json_object_object_get(frame, "compiled"));
	CHECK(!json_object_get_boolean(json_object_object_get(frame, "compiled")));
	CHECK_EQ(json_object_get_int(json_object_object_get(frame, "line")), 7);
	CHECK_STR(string_at(item(frame, "locals", 0), "name"), "x");
	CHECK(!json_object_object_get(item(frame, "locals", 1), "value"));
	CHECK(json_object_get_boolean(json_object_object_get(item(frame, "locals", 1), "upvalue")));
	CHECK(!json_object_object_get(item(process, "threads", 1), "frames"));
	vm = item(process, "vms", 0);
	CHECK_STR(string_at(vm, "global_state"), "0x1000");
	CHECK(!json_object_get_boolean(json_object_object_get(vm, "one_moment")));
	CHECK_STR(string_at(item(vm, "coroutines", 0), "address"), "0x2000");
	CHECK_STR(string_at(item(vm, "coroutines", 1), "status"), "finished");
	json_object_put(root);
	free(out);
	dump__free(&dump);
}

int main(void)
{
	RUN(text, "a dump as text, whatever the target is called");
	RUN(json, "a dump as JSON");
	RUN(addresses, "addresses in another user's process are left out");
	return TEST_RESULT();
}
