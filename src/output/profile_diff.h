/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Two profiles of the same program, compared: the stacks of both, and what each function had before
 * and has after, with the chance that the difference is noise.
 */
#ifndef LUASPY_PROFILE_DIFF_H
#define LUASPY_PROFILE_DIFF_H

#include <stdbool.h>

#include "../sample/profile.h"

#define PROFILE_DIFF_NOISE 0.05 /* changes with a greater q are noise */

/* What one thing had in the two profiles; [0] is before, [1] after. */
struct profile_change {
	uint64_t weight[2]; /* profile__weight */
	double points;	    /* weight[1] * scale[1] - weight[0] * scale[0] */
	/* The chance of such a difference where there is none, and the same corrected for the
	 * number of things compared (significance.h). Both 0 where nothing is tested. */
	double p, q;
	bool noise;
};

struct profile_diff_function {
	uint32_t frame; /* of `merged` */
	struct profile_change self, total;
};

struct profile_diff {
	/* The stacks of both. Functions that have moved to another line have the later one's name;
	 * interpreted and compiled Lua are one. Its own counts mean nothing. */
	struct profile *merged;
	uint64_t *weights[2]; /* by stack of `merged` */
	uint64_t total[2];
	struct profile_info info[2]; /* with the profiles' strings */
	/* What a weight of 1 is in points: of the profile's total, in percent; or, per second, of
	 * one CPU's time (of off-CPU and wall profiles: of the recording's). */
	double scale[2];
	/* What the counts are counted in, for tests per second: expected counts are proportional
	 * to it. */
	double exposure[2];
	bool per_second;
	bool tested; /* false: profiles of time, of which nothing is said of noise */
	/* All but roots (PROFILE_THREAD): first those that changed beyond noise, of themselves or
	 * in total; of these and of the others, the greatest change of their own first. */
	struct profile_diff_function *functions;
	size_t function_count;
	size_t moved; /* functions matched by name on another line */
};

/*
 * Compares two profiles whose frames' names are their texts (profile_view.h). `per_second`: not
 * shares of equal totals, but what there was of each in a second of the recordings. Fills `diff`,
 * to be freed in every case; it borrows the strings of the profiles' infos. 0; -ENOMEM;
 * -EINVAL for profiles of different kinds; -ERANGE for per_second where a recording's duration or
 * rate is not known.
 */
int profile_diff__make(const struct profile *before, const struct profile *after, bool per_second,
		       struct profile_diff *diff);
void profile_diff__free(struct profile_diff *diff);

/* Has it changed beyond noise, of itself or in total? */
bool profile_diff__is_news(const struct profile_diff_function *function);

/* Sets points, p and noise (without correction) from the weights. */
void profile_diff__judge(const struct profile_diff *diff, struct profile_change *change);

/* Sets q and noise of changes whose p is known, `stride` bytes apart. 0 or -ENOMEM. */
int profile_diff__correct(const struct profile_diff *diff, struct profile_change *first,
			  size_t count, size_t stride);

#endif
