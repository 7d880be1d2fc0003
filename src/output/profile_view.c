// SPDX-License-Identifier: Apache-2.0
/*
 * Maps each frame of a profile once to what stands for it in the view, then each stack.
 */
#include "profile_view.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define HASH_NONFATAL_OOM 1
#include <uthash.h>

#define TEXT_BYTES 2048

/* What becomes of a frame. */
struct shown_frame {
	uint32_t id; /* in the new profile, when `shown` */
	bool shown, only, root;
};

struct viewer {
	const struct profile_view *view;
	const struct profile *from;
	struct profile *to;
	struct shown_frame *frames; /* by id */
	uint32_t *ids;		    /* of the stack being made */
	size_t room;
};

/* ---- frames --------------------------------------------------------------------------------- */

static bool matches(const regex_t *pattern, const char *text)
{
	return pattern && regexec(pattern, text, 0, NULL, 0) == 0;
}

static bool is_left_out(const struct profile_view *view, const struct profile_frame *frame)
{
	switch (frame->type) {
	case PROFILE_KERNEL:
		return !view->kernel || !view->native;
	case PROFILE_NATIVE:
		return !view->native;
	case PROFILE_NOTE:
		return !view->native && (strcmp(frame->name, PROFILE_NOTE_SKIPPED) == 0 ||
					 strncmp(frame->name, PROFILE_NOTE_INCOMPLETE,
						 strlen(PROFILE_NOTE_INCOMPLETE)) == 0);
	default:
		return false;
	}
}

static bool is_lua(const struct profile_frame *frame)
{
	return frame->type == PROFILE_LUA || frame->type == PROFILE_LUA_COMPILED;
}

/* What the frame is called in the view. */
static void frame_text(const struct profile_view *view, const struct profile_frame *frame,
		       char *text, size_t size)
{
	struct profile_frame certain = *frame;

	certain.estimated = 0; /* is not worth a row */
	if (view->chunks && is_lua(frame))
		snprintf(text, size, "%s", frame->file);
	else
		profile_frame__text(view->table ? &certain : frame, view->lines, text, size);
}

static bool keeps_labels(const struct profile_view *view)
{
	return view->labels || view->exact;
}

static int map_frame(struct viewer *v, uint32_t from)
{
	const struct profile_frame *frame = profile__frame_at(v->from, from);
	struct shown_frame *shown = &v->frames[from];
	struct profile_frame copy = *frame;
	char text[TEXT_BYTES];
	int64_t id;

	profile_frame__text(frame, v->view->lines, text, sizeof(text));
	shown->only = matches(v->view->only, text);
	shown->root = matches(v->view->root, text);
	if (is_left_out(v->view, frame) || matches(v->view->hide, text))
		return 0;
	if (!v->view->exact) {
		frame_text(v->view, frame, text, sizeof(text));
		copy.name = text;
		if (!v->view->labels)
			copy.address = copy.mapping = 0;
		if (v->view->chunks && is_lua(frame))
			copy.first_line = copy.line = copy.estimated = 0;
		else if (!v->view->lines)
			copy.line = 0;
	}
	id = profile__add_frame(v->to, &copy);
	if (id < 0)
		return (int)id;
	shown->id = (uint32_t)id;
	shown->shown = true;
	return 0;
}

static int map_mappings(struct viewer *v)
{
	int64_t id;
	size_t i;

	/* In the same order: the frames' numbers stay right. */
	for (i = 0; keeps_labels(v->view) && i < profile__mapping_count(v->from); i++) {
		id = profile__add_mapping(v->to, profile__mapping_at(v->from, i));
		if (id < 0)
			return (int)id;
	}
	return 0;
}

/* ---- roots ---------------------------------------------------------------------------------- */

static int push(struct viewer *v, uint32_t *count, enum profile_frame_type type, const char *name)
{
	int64_t id = profile__frame(v->to, type, name);

	if (id < 0)
		return (int)id;
	v->ids[(*count)++] = (uint32_t)id;
	return 0;
}

static bool by(const struct profile_view *view, const char *key)
{
	unsigned int i;

	for (i = 0; i < view->by_count; i++) {
		if (strcmp(view->by[i], key) == 0)
			return true;
	}
	return false;
}

/* The program, "nginx", "nginx 1234", "nginx/1240" with the thread; then what else splits it. */
static int push_root(struct viewer *v, uint32_t labels, uint32_t *count)
{
	const struct profile_view *view = v->view;
	const char *comm = profile__label(v->from, labels, "comm");
	const char *title = profile__info(v->from)->title;
	const char *pid = profile__label(v->from, labels, "pid");
	const char *thread = profile__label(v->from, labels, "thread"), *value;
	char text[TEXT_BYTES];
	unsigned int i;
	int err = 0;

	if (!comm) /* another program's profile */
		comm = title && *title ? title : "[no name]";
	snprintf(text, sizeof(text), "%s%s%s%s%s", comm, by(view, "pid") && pid ? " " : "",
		 by(view, "pid") && pid ? pid : "", by(view, "thread") && thread ? "/" : "",
		 by(view, "thread") && thread ? thread : "");
	err = push(v, count, PROFILE_THREAD, text);
	for (i = 0; i < view->by_count && !err; i++) {
		if (strcmp(view->by[i], "pid") == 0 || strcmp(view->by[i], "thread") == 0 ||
		    strcmp(view->by[i], "comm") == 0)
			continue;
		value = profile__label(v->from, labels, view->by[i]);
		if (strcmp(view->by[i], "vmstate") == 0)
			snprintf(text, sizeof(text), "[%s]", value ? value : "outside the VM");
		else
			snprintf(text, sizeof(text), "[%s: %s]", view->by[i],
				 value ? value : "none");
		err = push(v, count, PROFILE_NOTE, text);
	}
	return err;
}

/* ---- stacks --------------------------------------------------------------------------------- */

/* Where the stack begins; its end when it is not shown. */
static uint32_t first_frame(const struct viewer *v, const struct profile_stack *stack)
{
	uint32_t first = 0, i;

	if (v->view->root) {
		while (first < stack->frame_count && !v->frames[stack->frames[first]].root)
			first++;
		if (first == stack->frame_count)
			return UINT32_MAX;
	}
	if (!v->view->only)
		return first;
	for (i = first; i < stack->frame_count; i++) {
		if (v->frames[stack->frames[i]].only)
			return first;
	}
	return UINT32_MAX;
}

static int map_stack(struct viewer *v, const struct profile_stack *stack)
{
	struct profile_stack out = *stack;
	size_t wanted = (size_t)stack->frame_count + PROFILE_VIEW_MAX_BY + 1;
	uint32_t i, first = first_frame(v, stack), count = 0, root, labels_count;
	const struct profile_label *labels;
	int64_t id;
	uint32_t *ids;
	int err;

	if (first == UINT32_MAX)
		return 0;
	if (wanted > v->room) {
		ids = reallocarray(v->ids, wanted, sizeof(*ids));
		if (!ids)
			return -ENOMEM;
		v->ids = ids;
		v->room = wanted;
	}
	out.labels = 0;
	if (keeps_labels(v->view)) {
		labels = profile__labels_at(v->from, stack->labels, &labels_count);
		id = profile__add_labels(v->to, labels, labels_count);
		if (id < 0)
			return (int)id;
		out.labels = (uint32_t)id;
	} else {
		err = push_root(v, stack->labels, &count);
		if (err)
			return err;
	}
	root = count;
	for (i = first; i < stack->frame_count; i++) {
		if (!v->frames[stack->frames[i]].shown)
			continue;
		id = v->frames[stack->frames[i]].id;
		/* Calls inside a chunk are one frame. */
		if (v->view->chunks && count > root && v->ids[count - 1] == id &&
		    is_lua(profile__frame_at(v->to, (uint32_t)id)))
			continue;
		v->ids[count++] = (uint32_t)id;
	}
	for (i = 0; v->view->reverse && i < (count - root) / 2; i++) {
		uint32_t other = v->ids[root + i];

		v->ids[root + i] = v->ids[count - 1 - i];
		v->ids[count - 1 - i] = other;
	}
	out.frames = v->ids;
	out.frame_count = count;
	return profile__add_stack(v->to, &out);
}

/* ---- frames with too little ----------------------------------------------------------------- */

/* A node of the tree of stacks: a frame below a node. */
struct node {
	struct {
		uint32_t parent, frame;
	} key;
	uint32_t id;
	uint64_t weight;
	UT_hash_handle hh;
};

static struct node *find_node(struct node **nodes, uint32_t parent, uint32_t frame, bool add)
{
	struct node *node = NULL, wanted = {};

	wanted.key.parent = parent;
	wanted.key.frame = frame;
	/* NOLINTNEXTLINE(clang-analyzer-core.UndefinedBinaryOperatorResult): uthash */
	HASH_FIND(hh, *nodes, &wanted.key, sizeof(wanted.key), node);
	if (node || !add)
		return node;
	node = calloc(1, sizeof(*node));
	if (!node)
		return NULL;
	node->key = wanted.key;
	node->id = HASH_COUNT(*nodes) + 1;
	HASH_ADD(hh, *nodes, key, sizeof(node->key), node);
	if (!node->hh.tbl) {
		free(node);
		return NULL;
	}
	return node;
}

/* How many frames of the stack have at least `least`; its root always counts as one. */
static uint32_t heavy_part(struct node **nodes, const struct profile_stack *stack, double least)
{
	struct node *node;
	uint32_t i, parent = 0;

	for (i = 0; i < stack->frame_count; i++) {
		node = find_node(nodes, parent, stack->frames[i], false);
		if (!node || (i && (double)node->weight < least))
			break;
		parent = node->id;
	}
	return i;
}

/* Copies `from`, whose frames and mappings `to` has already under the same ids. */
static int cut_light(const struct profile *from, struct profile *to, double min_percent)
{
	struct node *nodes = NULL, *node, *next;
	struct profile_stack stack;
	uint64_t total = 0;
	double least;
	uint32_t f, parent;
	size_t i;
	int err = 0;

	for (i = 0; i < profile__stack_count(from) && !err; i++) {
		stack = profile__stack_at(from, i);
		total += profile__weight(from, &stack);
		for (f = 0, parent = 0; f < stack.frame_count; f++) {
			node = find_node(&nodes, parent, stack.frames[f], true);
			if (!node) {
				err = -ENOMEM;
				break;
			}
			node->weight += profile__weight(from, &stack);
			parent = node->id;
		}
	}
	least = (double)total * min_percent / 100;
	for (i = 0; i < profile__stack_count(from) && !err; i++) {
		stack = profile__stack_at(from, i);
		stack.frame_count = heavy_part(&nodes, &stack, least);
		err = profile__add_stack(to, &stack);
	}
	HASH_ITER (hh, nodes, node, next) {
		HASH_DEL(nodes, node); /* NOLINT(clang-analyzer-unix.Malloc): uthash */
		free(node);
	}
	return err;
}

/* ---- all of it ------------------------------------------------------------------------------ */

static int map_all(struct viewer *v)
{
	size_t count = profile__frame_count(v->from), i;
	struct profile_stack stack;
	int err;

	v->frames = calloc(count + 1, sizeof(*v->frames));
	if (!v->frames)
		return -ENOMEM;
	profile__set_info(v->to, profile__info(v->from));
	err = map_mappings(v);
	for (i = 0; i < count && !err; i++)
		err = map_frame(v, (uint32_t)i);
	for (i = 0; i < profile__stack_count(v->from) && !err; i++) {
		stack = profile__stack_at(v->from, i);
		err = map_stack(v, &stack);
	}
	return err;
}

static int copy_frames(const struct profile *from, struct profile *to)
{
	const struct profile_label *labels;
	uint32_t id, count;
	int64_t added = 0;
	size_t i;

	for (i = 0; i < profile__mapping_count(from) && added >= 0; i++)
		added = profile__add_mapping(to, profile__mapping_at(from, i));
	for (i = 0; i < profile__frame_count(from) && added >= 0; i++)
		added = profile__add_frame(to, profile__frame_at(from, (uint32_t)i));
	for (id = 1; added >= 0; id++) {
		labels = profile__labels_at(from, id, &count);
		if (!labels)
			break;
		added = profile__add_labels(to, labels, count);
	}
	return added < 0 ? (int)added : 0;
}

int profile_view__make(const struct profile_view *view, const struct profile *profile,
		       struct profile *out)
{
	struct viewer v = {.view = view, .from = profile, .to = out};
	struct profile *whole = NULL;
	struct profile_info info;
	int err = 0;
	size_t i;

	if (view->min_percent > 0 && !view->table) {
		v.to = whole = profile__new();
		if (!whole)
			return -ENOMEM;
	}
	err = map_all(&v);
	if (!err && whole) {
		err = copy_frames(whole, out);
		if (!err) {
			profile__set_info(out, profile__info(whole));
			err = cut_light(whole, out, view->min_percent);
		}
	}
	info = *profile__info(profile);
	info.samples = 0;
	for (i = 0; i < profile__stack_count(out); i++)
		info.samples += profile__stack_at(out, i).count;
	info.unique_stacks = profile__stack_count(out);
	info.least_percent = view->table ? view->min_percent : 0;
	profile__set_info(out, &info);
	free(v.frames);
	free(v.ids);
	profile__free(whole);
	return err;
}
