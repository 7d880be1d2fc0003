/* SPDX-License-Identifier: Apache-2.0 */
/* The one translation unit that compiles the walk, and what describes its frames, for user space.
 */
#include "user_walk.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "../bpf/walk.h"

/* Keys that were sent: a power of two. Only a filter: what is overwritten is sent again. */
#define SENT_KEYS 4096u

struct user_walk {
	struct walk walk;
	struct user_walk_view *view;
	const struct walk_rows *rows; /* the last one that was looked into, and where */
	uint32_t entry;
	uint64_t hashes;
	bool not_begun; /* its only frame is that of a function that was not called yet */
	struct known_frame known[KNOWN_FRAMES];
	struct outer_frames outer;
	struct lua_place places[MAX_LUA_FRAMES];
	uint64_t sent[SENT_KEYS];
	__u64 nothing;
	union {
		struct record_proto proto;
		struct record_call call;
		struct record_frame frame;
	} record;
};

/* The walk's functions have no argument that could carry it. */
static _Thread_local struct user_walk *current;

/* ---- the walk's surroundings (walk_env.h) -----------------------------------------------------
 */

struct walk *walk_state(void)
{
	return &current->walk;
}

long env__read_user(void *dst, __u32 size, const void *address)
{
	const struct user_walk_view *view = current->view;

	if ((uint64_t)address + size >= (uint64_t)address &&
	    view->read(view->context, (uint64_t)address, dst, size) == 0)
		return 0;
	memset(dst, 0, size);
	return -EFAULT;
}

const struct mapping *mapping_at(__u32 index)
{
	return index < current->view->mapping_count ? &current->view->mappings[index] : NULL;
}

const struct file_table *file_at(__u32 file_id)
{
	const struct walk_tables *tables = current->view->tables;

	return file_id < tables->file_count ? &tables->files[file_id] : NULL;
}

table_handle table_of(__u32 file_id)
{
	const struct walk_tables *tables = current->view->tables;

	return file_id < tables->file_count ? &tables->rows[file_id] : NULL;
}

const __u64 *table_entry(struct table_look *look, __u32 index)
{
	if (index >= look->table->count)
		return NULL;
	current->rows = look->table;
	current->entry = index;
	return (const __u64 *)&look->table->entries[index];
}

const struct unwind_rule *rule_at(__u32 rule)
{
	const struct walk_tables *tables = current->view->tables;

	/* A rule is asked for when its row was found, which was the last entry looked at. */
	if (current->rows && current->rows->used)
		current->rows->used[current->entry] = 1;
	return rule < tables->rule_count ? &tables->rules[rule] : NULL;
}

struct known_frame *known_frame(__u32 slot)
{
	return slot < KNOWN_FRAMES && !current->view->no_memory ? &current->known[slot] : NULL;
}

struct outer_frames *outer_frames(__u32 tid)
{
	return current->view->generation ? &current->outer : NULL;
}

struct lua_place *lua_place(__u32 index)
{
	return index < MAX_LUA_FRAMES ? &current->places[index] : NULL;
}

const struct luajit_build *build_at(__u32 vm)
{
	const struct walk_tables *tables = current->view->tables;

	return vm < tables->build_count ? &tables->builds[vm] : NULL;
}

const struct puc_build *puc_at(__u32 puc)
{
	const struct walk_tables *tables = current->view->tables;

	return puc < tables->puc_count ? &tables->pucs[puc] : NULL;
}

__u64 thread_vm(__u32 tid)
{
	return tid == current->view->tid ? current->view->thread_vm : 0;
}

void thread_vm_set(__u32 tid, __u64 g)
{
	if (tid == current->view->tid)
		current->view->thread_vm = g;
}

/* Without hints: each lookup has to find its trace. */
__u32 trace_hint(__u64 pc)
{
	return 0;
}

void trace_hint_set(__u64 pc, __u32 trace)
{
}

/* ---- what the descriptions are written with (sampler_results.h) --------------------------------
 */

/* The maps of what was sent already, as numbers that are mixed into their keys; the sent_*
 * are the kernel's quicker filters in front of known_*, which are not needed here. */
static const uint64_t sent_protos = 0, known_protos = 1, known_calls = 2, known_vms = 3,
		      sent_calls = 4, sent_vms = 5;

struct vm_key {
	__u64 g;
	__u32 tgid;
	__u32 exec_id;
};

#define SENT_PROTOS 1024u
#define SENT_VMS    64u
#define SENT_CALLS  1024u

static uint64_t *sent_slot(uint64_t map, uint64_t key, uint64_t *mark)
{
	*mark = hash_mix(hash_mix(map, key), 1) | 1;
	return &current->sent[*mark >> 40 & (SENT_KEYS - 1)];
}

static void *map_find(const uint64_t *map, uint64_t key)
{
	uint64_t mark, *slot = sent_slot(*map, key, &mark);

	if (map == &sent_vms)
		return NULL;
	if (map == &sent_protos || map == &sent_calls) {
		current->nothing = 0;
		return &current->nothing;
	}
	return *slot == mark ? slot : NULL;
}

static void map_put(const uint64_t *map, uint64_t key)
{
	uint64_t mark, *slot = sent_slot(*map, key, &mark);

	*slot = mark;
}

/* Keys are of 4, 8 or 16 bytes. */
static uint64_t key_word(const void *key, size_t size)
{
	uint64_t words[2] = {};

	memcpy(words, key, size < sizeof(words) ? size : sizeof(words));
	return size > 8 ? hash_mix(words[0], words[1]) : words[0];
}

static void *record_reserve(size_t size)
{
	memset(&current->record, 0, size);
	return &current->record;
}

static int record_submit(void *data, size_t size)
{
	return current->view->record(current->view->record_context, data, size);
}

static void read_string(char *to, size_t size, uint64_t address)
{
	size_t at = 0, part;

	/* Not over a page's end, where the mapping may end behind the string. */
	while (at + 1 < size) {
		part = 4096 - (address + at) % 4096;
		if (part > size - 1 - at)
			part = size - 1 - at;
		if (env__read_user(to + at, (__u32)part, (const void *)(address + at)) != 0 ||
		    memchr(to + at, '\0', part))
			break;
		at += part;
	}
	/* What was not read is zeros. */
	to[size - 1] = '\0';
}

#define bpf_map_lookup_elem(map, key) map_find(map, key_word(key, sizeof(*(key))))
#define bpf_map_update_elem(map, key, value, flag)                                                 \
	((void)(value), map_put(map, key_word(key, sizeof(*(key)))))
#define bpf_ringbuf_reserve(map, size, flags)	   record_reserve(size)
#define bpf_ringbuf_submit(data, flags)		   record_submit(data, sizeof(*(data)))
#define bpf_ringbuf_output(map, data, size, flags) record_submit(data, size)
#define bpf_probe_read_user_str(to, size, address) read_string(to, size, (uint64_t)(address))
#define with_values				   (current->view->with_values)
#define count(counter)				   ((void)0)
#define current_image()				   0
#define wakeup_flags()				   0

int send_puc_proto(__u32 i, __u64 id);
int puc_absolute_line(__u32 i, __u32 pc);
int puc_line_of(__u32 i, __u32 pc);
int send_proto(__u32 i, __u64 id);
int line_of(__u32 i, __u32 position);
int send_call(__u32 i, __u64 callee, __u64 caller, __u64 word);
int send_values(__u32 i);
int send_frame(__u32 i);
int send_frames(__u32 at);
int send_protos(void);
int send_vm(void);

#include "../bpf/sampler_results.h"

/* ---- walks -------------------------------------------------------------------------------------
 */

struct user_walk *user_walk__new(void)
{
	return calloc(1, sizeof(struct user_walk));
}

void user_walk__free(struct user_walk *self)
{
	free(self);
}

static struct walk *begin(struct user_walk *self, struct user_walk_view *view)
{
	struct walk *w = &self->walk;

	current = self;
	self->view = view;
	self->rows = NULL;
	w->sample++;
	w->generation = view->generation ? view->generation : 1; /* that of an empty entry is 0 */
	w->record.tgid = view->tgid;
	w->record.hash = ++self->hashes;
	w->tid = view->tid;
	w->first_mapping = 0;
	w->mapping_count = view->mapping_count;
	w->vm = view->vm;
	w->words = 0;
	w->g = 0;
	w->with_coroutines = 0;
	self->not_begun = false;
	return w;
}

/* Tells the view's reader what the frames refer to, and fills in their lines. */
static void describe(struct walk *w)
{
	if (!current->view->record || !w->lua_frames)
		return;
	send_protos();
	if (w->g)
		send_vm();
}

static void finish(struct walk *w, struct user_walk_result *result)
{
	uint32_t i;

	describe(w);
	if (current->not_begun && w->words)
		w->record.words[0] &= ~(FRAME_LINE_MASK << FRAME_LINE_SHIFT);
	result->stop = w->stop;
	result->lua_error = w->lua_error;
	result->activations = w->activations;
	result->native_frames = w->native_frames;
	result->lua_frames = w->lua_frames;
	result->vm_state = w->vm_state;
	result->word_count = w->words;
	result->unknown_pc = w->unknown_pc;
	result->hash = w->record.hash;
	result->thread_vm = current->view->thread_vm;
	result->coroutine_count = w->coroutines;
	for (i = 0; i < w->coroutines; i++)
		result->coroutines[i] = w->coroutine[i].L;
	memcpy(result->words, w->record.words, w->words * sizeof(result->words[0]));
	for (i = 0; i < w->lua_frames; i++)
		result->protos[i] = current->places[i].proto;
	current = NULL;
}

void user_walk__thread(struct user_walk *self, struct user_walk_view *view,
		       const uint64_t *registers, struct user_walk_result *result)
{
	struct walk *w = begin(self, view);

	memset(self->known, 0, sizeof(self->known));
	memset(w->regs, 0, sizeof(w->regs));
	memcpy(w->regs, registers, DW_REG_COUNT * sizeof(*registers));
	w->valid = REGISTERS_ALL;
	walk_user();
	finish(w, result);
}

/* ---- coroutines --------------------------------------------------------------------------------
 */

static void begin_lua(struct walk *w)
{
	walk_reset(w);
	w->stop = STOP_COMPLETE;
	w->coroutine_index = 0;
	w->link_override = 0;
	w->return_pc = 0;
	w->return_pc_soft = 0;
	w->vararg_base = 0;
	w->frame_base = 0;
	w->first = 0;
	w->no_pc = 1; /* no activation has it */
	w->vm_flags = 0;
	w->vm_pc = VM_PC_CURRENT;
	w->compiled = 0;
	w->mapping = 0;
}

/* The frame that a function has before it begins. */
static void luajit_function(struct walk *w, uint64_t function)
{
	current->not_begun = true;
	w->function = function;
	w->no_pc = 0;
	w->first = 1;
	w->vm_pc = VM_PC_ENTERING;
	w->valid = 0;
	lua_function();
}

/* A coroutine that has not begun has nothing but its function on its stack, and what it will get.
 */
static void luajit_initial(struct walk *w, uint64_t base)
{
	uint64_t slot;

	if (env__read_user(&slot, sizeof(slot), (const void *)base) != 0)
		return;
	if (w->gc64 && slot >> GC64_TAG_SHIFT == GC64_TAG_FUNCTION)
		luajit_function(w, slot & GC64_ADDRESS_MASK);
	else if (!w->gc64 && (uint32_t)(slot >> 32) == ~(uint32_t)GCT_FUNCTION)
		luajit_function(w, (uint32_t)slot);
}

static void luajit_coroutine(struct walk *w, const struct luajit_build *build)
{
	__u64 base, cframe, g;
	int i;

	w->gc64 = build->gc64;
	if (lua_state_read(w, &base, &cframe, &g) != 0 || lua_base_set(w, base) != 0) {
		lua_fail(w, LUA_READ_STATE);
		return;
	}
	w->g = g;
	if (coroutine_add(w, 0) != 0)
		return;
	if (w->frame <= w->bottom) {
		luajit_initial(w, base);
		return;
	}
	/* One activation after the other, without what is between them on a C stack. */
	w->coroutine[0].next = w->frame;
	for (i = 0; i < (int)MAX_LUA_FRAMES && w->frame > w->bottom; i++) {
		w->return_pc = 0;
		if (lua_frames() != 0)
			break;
	}
}

/* The same. */
static void puc_function(struct walk *w, const struct puc_build *build, uint64_t function,
			 uint32_t type)
{
	struct function_memo *known;
	struct proto_memo *memo;
	struct lua_place *place;

	current->not_begun = true;
	if (type == PUC_LIGHT_FUNCTION) {
		puc_c_frame(w, function);
		return;
	}
	if (type != PUC_C_CLOSURE && type != PUC_TYPE_FUNCTION)
		return;
	known = puc_closure(w, build, function, type);
	if (!known)
		return;
	if (type == PUC_C_CLOSURE || (build->boundary == PUC_FRESH_CALLER && known->ffid)) {
		puc_c_frame(w, known->pc);
		return;
	}
	w->proto = known->pc;
	memo = puc_identify(w, build);
	place = lua_place(0);
	if (!memo)
		return;
	emit(w, (__u64)FRAME_KIND_LUA << FRAME_KIND_SHIFT);
	emit(w, memo->id);
	*place = (struct lua_place){.proto = w->proto, .puc = w->puc, .function = function};
	w->lua_frames = 1;
}

static void puc_initial(struct walk *w, const struct puc_build *build)
{
	__u64 value[2];

	if (puc_value_read(w, w->stack_low + PUC_VALUE_SIZE, value) == 0)
		puc_function(w, build, value[0], (uint32_t)value[1] & PUC_VALUE_TYPE);
}

static void puc_coroutine(struct walk *w, const struct puc_build *build, bool suspended)
{
	w->puc_pc = 0;
	w->puc_entered = 0;
	w->puc_rest = suspended ? PUC_SUSPENDED : PUC_LEFT;
	if (puc_state_read() != 0) {
		lua_fail(w, LUA_READ_STATE);
		return;
	}
	if (w->frame == w->bottom)
		puc_initial(w, build);
	else
		puc_frames();
}

void user_walk__coroutine(struct user_walk *self, struct user_walk_view *view, uint64_t L,
			  uint32_t puc, bool suspended, struct user_walk_result *result)
{
	struct walk *w = begin(self, view);

	begin_lua(w);
	w->L = L;
	w->puc = puc;
	if (puc && puc <= view->tables->puc_count)
		puc_coroutine(w, &view->tables->pucs[puc - 1], suspended);
	else if (!puc && view->vm && view->vm <= view->tables->build_count)
		luajit_coroutine(w, &view->tables->builds[view->vm - 1]);
	else
		w->lua_error = LUA_READ_STATE;
	finish(w, result);
}

void user_walk__function(struct user_walk *self, struct user_walk_view *view, uint64_t function,
			 bool is_light, uint32_t puc, struct user_walk_result *result)
{
	struct walk *w = begin(self, view);
	uint8_t type = 0;

	begin_lua(w);
	w->puc = puc;
	if (puc && puc <= view->tables->puc_count) {
		if (is_light)
			type = PUC_LIGHT_FUNCTION;
		else
			env__read_user(&type, sizeof(type), (const void *)(function + PUC_GCT));
		puc_function(w, &view->tables->pucs[puc - 1], function, type & PUC_VALUE_TYPE);
	} else if (!puc && view->vm && view->vm <= view->tables->build_count) {
		w->gc64 = view->tables->builds[view->vm - 1].gc64;
		luajit_function(w, function);
	}
	finish(w, result);
}
