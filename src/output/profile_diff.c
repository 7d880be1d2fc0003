// SPDX-License-Identifier: Apache-2.0
/*
 * Puts the stacks of two profiles into one, with the weights of each beside it, and adds them up by
 * function.
 */
#include "profile_diff.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "moved_functions.h"
#include "significance.h"

#define TEXT_BYTES 2048

/* ---- one profile of two ------------------------------------------------------------------------
 */

/* Fills ids[], by frame of `from`, with frames of `merged`. */
static int merge_frames(struct profile *merged, const struct profile *from,
			const struct moved_functions *moved, uint32_t *ids)
{
	char text[TEXT_BYTES];

	for (size_t i = 0; i < profile__frame_count(from); i++) {
		const struct profile_frame *frame = profile__frame_at(from, (uint32_t)i);
		enum profile_frame_type type = frame->type;
		const char *name = frame->name;
		int64_t id;

		if (moved) {
			moved_functions__text(moved, frame, text, sizeof(text));
			name = text;
		}
		if (type == PROFILE_LUA_COMPILED)
			type = PROFILE_LUA;
		id = profile__frame(merged, type, name);
		if (id < 0)
			return (int)id;
		ids[i] = (uint32_t)id;
	}
	return 0;
}

/* A stack of the profile before has its weight as count, one of the profile after as nanoseconds as
 * well: so both can be told in what profile__add_stack has added up. */
static int merge_stacks(struct profile *merged, const struct profile *from, const uint32_t *ids,
			bool after)
{
	uint32_t *frames = NULL, *grown;
	size_t room = 0;
	int err = 0;

	for (size_t i = 0; i < profile__stack_count(from) && !err; i++) {
		struct profile_stack stack = profile__stack_at(from, i), out = {0};

		if (stack.frame_count > room) {
			room = stack.frame_count * (size_t)2;
			grown = reallocarray(frames, room, sizeof(*frames));
			if (!grown) {
				err = -ENOMEM;
				break;
			}
			frames = grown;
		}
		for (uint32_t f = 0; f < stack.frame_count; f++)
			frames[f] = ids[stack.frames[f]];
		out.frames = frames;
		out.frame_count = stack.frame_count;
		out.count = profile__weight(from, &stack);
		out.nanoseconds = after ? out.count : 0;
		err = profile__add_stack(merged, &out);
	}
	free(frames);
	return err;
}

static int merge(struct profile_diff *diff, const struct profile *before,
		 const struct profile *after)
{
	const struct profile *from[] = {before, after};
	struct moved_functions *moved = NULL;
	uint32_t *ids = NULL;
	size_t count;
	int err;

	diff->merged = profile__new();
	if (!diff->merged)
		return -ENOMEM;
	profile__set_info(diff->merged, profile__info(after));
	err = moved_functions__find(before, after, &moved);
	for (int side = 0; side < 2 && !err; side++) {
		ids = calloc(profile__frame_count(from[side]) + 1, sizeof(*ids));
		err = ids ? merge_frames(diff->merged, from[side], side ? NULL : moved, ids)
			  : -ENOMEM;
		if (!err)
			err = merge_stacks(diff->merged, from[side], ids, side);
		free(ids);
	}
	if (!err)
		diff->moved = moved_functions__count(moved);
	moved_functions__free(moved);
	if (err)
		return err;

	count = profile__stack_count(diff->merged);
	for (int side = 0; side < 2; side++) {
		diff->weights[side] = calloc(count + 1, sizeof(*diff->weights[side]));
		if (!diff->weights[side])
			return -ENOMEM;
	}
	for (size_t i = 0; i < count; i++) {
		struct profile_stack stack = profile__stack_at(diff->merged, i);

		diff->weights[1][i] = stack.nanoseconds;
		diff->weights[0][i] = stack.count - stack.nanoseconds;
		diff->total[0] += diff->weights[0][i];
		diff->total[1] += diff->weights[1][i];
	}
	return 0;
}

/* ---- figures ----------------------------------------------------------------------------------
 */

/* The time that a weight of 1 stands for, in seconds; 0 when it is not known. */
static double seconds_of_one(const struct profile *profile)
{
	const struct profile_info *info = profile__info(profile);
	double count = 0, ns = 0;

	if (info->kind != PROFILE_CPU)
		return 1e-6;
	if (info->rate_hz)
		return 1.0 / info->rate_hz;
	for (size_t i = 0; i < profile__stack_count(profile); i++) {
		struct profile_stack stack = profile__stack_at(profile, i);

		count += (double)stack.count;
		ns += (double)stack.nanoseconds;
	}
	return count > 0 ? ns / count / 1e9 : 0;
}

static int set_scales(struct profile_diff *diff, const struct profile *before,
		      const struct profile *after)
{
	const struct profile *from[] = {before, after};

	for (int side = 0; side < 2; side++) {
		double duration = profile__info(from[side])->duration_seconds;
		double one = seconds_of_one(from[side]);

		if (!diff->per_second) {
			diff->scale[side] =
				diff->total[side] ? 100.0 / (double)diff->total[side] : 0;
			continue;
		}
		if (!(duration > 0) || !(one > 0))
			return -ERANGE;
		diff->scale[side] = 100 * one / duration;
		diff->exposure[side] = duration / one;
	}
	return 0;
}

void profile_diff__judge(const struct profile_diff *diff, struct profile_change *change)
{
	change->points = (double)change->weight[1] * diff->scale[1] -
			 (double)change->weight[0] * diff->scale[0];
	change->p = change->q = 0;
	if (diff->tested && diff->per_second)
		change->p = significance__of_rates(change->weight[0], diff->exposure[0],
						   change->weight[1], diff->exposure[1]);
	else if (diff->tested)
		change->p = significance__of_shares(change->weight[0], diff->total[0],
						    change->weight[1], diff->total[1]);
	change->noise = change->p > PROFILE_DIFF_NOISE;
}

int profile_diff__correct(const struct profile_diff *diff, struct profile_change *first,
			  size_t count, size_t stride)
{
	double *p = calloc(count + 1, sizeof(*p)), *q = calloc(count + 1, sizeof(*q));
	struct profile_change *change;
	size_t compared = 0, i;
	int err = p && q ? 0 : -ENOMEM;

	/* What is in neither profile has not been compared. */
	for (i = 0; i < count && !err; i++) {
		change = (struct profile_change *)((char *)first + i * stride);
		if (change->weight[0] || change->weight[1])
			p[compared++] = change->p;
	}
	if (!err && diff->tested)
		err = significance__correct(p, q, compared);
	for (i = compared = 0; i < count && !err; i++) {
		change = (struct profile_change *)((char *)first + i * stride);
		if (change->weight[0] || change->weight[1])
			change->q = q[compared++];
		else
			change->q = change->p;
		change->noise = change->q > PROFILE_DIFF_NOISE;
	}
	free(p);
	free(q);
	return err;
}

/* By frame of `merged`: all of its weights. */
static int add_up(const struct profile_diff *diff, struct profile_diff_function *all)
{
	size_t *seen = calloc(profile__frame_count(diff->merged) + 1, sizeof(*seen));

	if (!seen)
		return -ENOMEM;
	for (size_t i = 0; i < profile__stack_count(diff->merged); i++) {
		struct profile_stack stack = profile__stack_at(diff->merged, i);

		for (uint32_t f = 0; f < stack.frame_count; f++) {
			struct profile_diff_function *function = &all[stack.frames[f]];
			bool again = seen[stack.frames[f]] == i + 1;

			seen[stack.frames[f]] = i + 1;
			for (int side = 0; side < 2; side++) {
				if (!again)
					function->total.weight[side] += diff->weights[side][i];
				if (f + 1 == stack.frame_count)
					function->self.weight[side] += diff->weights[side][i];
			}
		}
	}
	free(seen);
	return 0;
}

bool profile_diff__is_news(const struct profile_diff_function *function)
{
	return (!function->self.noise && function->self.points != 0) ||
	       (!function->total.noise && function->total.points != 0);
}

static int by_change(const void *left, const void *right, void *context)
{
	const struct profile_diff_function *a = left, *b = right;
	const struct profile *merged = context;
	double x = fabs(a->self.points), y = fabs(b->self.points);
	int order = profile_diff__is_news(b) - profile_diff__is_news(a);

	if (order)
		return order;
	if (x != y)
		return x > y ? -1 : 1;
	x = fabs(a->total.points);
	y = fabs(b->total.points);
	if (x != y)
		return x > y ? -1 : 1;
	order = strcmp(profile__frame_at(merged, a->frame)->name,
		       profile__frame_at(merged, b->frame)->name);
	return order ? order : (a->frame > b->frame) - (a->frame < b->frame);
}

static int compare_functions(struct profile_diff *diff)
{
	size_t frames = profile__frame_count(diff->merged);
	struct profile_diff_function *all = calloc(frames + 1, sizeof(*all));
	int err = all ? add_up(diff, all) : -ENOMEM;

	diff->functions = all;
	for (size_t i = 0; i < frames && !err; i++) {
		struct profile_diff_function one = all[i];

		if (profile__frame_at(diff->merged, (uint32_t)i)->type == PROFILE_THREAD ||
		    (!one.total.weight[0] && !one.total.weight[1]))
			continue;
		one.frame = (uint32_t)i;
		profile_diff__judge(diff, &one.self);
		profile_diff__judge(diff, &one.total);
		all[diff->function_count++] = one;
	}
	if (!err)
		err = profile_diff__correct(diff, &all[0].self, diff->function_count, sizeof(*all));
	if (!err)
		err = profile_diff__correct(diff, &all[0].total, diff->function_count,
					    sizeof(*all));
	if (!err)
		qsort_r(all, diff->function_count, sizeof(*all), by_change, diff->merged);
	return err;
}

int profile_diff__make(const struct profile *before, const struct profile *after, bool per_second,
		       struct profile_diff *diff)
{
	int err;

	memset(diff, 0, sizeof(*diff));
	diff->info[0] = *profile__info(before);
	diff->info[1] = *profile__info(after);
	if (profile__info(before)->kind != profile__info(after)->kind)
		return -EINVAL;
	diff->per_second = per_second;
	diff->tested = profile__info(before)->kind == PROFILE_CPU;
	err = merge(diff, before, after);
	if (!err)
		err = set_scales(diff, before, after);
	if (!err)
		err = compare_functions(diff);
	return err;
}

void profile_diff__free(struct profile_diff *diff)
{
	profile__free(diff->merged);
	free(diff->weights[0]);
	free(diff->weights[1]);
	free(diff->functions);
	memset(diff, 0, sizeof(*diff));
}
