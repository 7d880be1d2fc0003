// SPDX-License-Identifier: Apache-2.0
/*
 * Tests of two counts. The exact ones add up what is no likelier than what was seen, going outwards
 * from it and from the far side of the likeliest, and stop where nothing more is added: a few
 * hundred steps, whatever the counts.
 */
#include "significance.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>

#define ENOUGH	 10.0 /* expected in each cell, for the normal approximation */
#define SAME	 1e-7 /* relative: probabilities that differ by less are equal, as in R */
#define NOTHING	 1e-18
#define MAX_STEP 10000
/* Beyond, the logarithms of factorials are not precise enough. No recording has so many samples. */
#define TOO_MANY 1e10

static double two_sided(double z)
{
	return erfc(fabs(z) / sqrt(2));
}

static double log_choose(double n, double k)
{
	int sign;

	return lgamma_r(n + 1, &sign) - lgamma_r(k + 1, &sign) - lgamma_r(n - k + 1, &sign);
}

/* Of `drawn` things, out of n + m, how many are of the n; or, without m, how many of `drawn` fall
 * to a side that has probability `chance`. */
struct distribution {
	double n, m, drawn, chance;
	double low, high; /* the values that there can be */
	double mode;
};

static double probability(const struct distribution *d, double x)
{
	if (d->m >= 0)
		return exp(log_choose(d->n, x) + log_choose(d->m, d->drawn - x) -
			   log_choose(d->n + d->m, d->drawn));
	return exp(log_choose(d->drawn, x) + x * log(d->chance) +
		   (d->drawn - x) * log1p(-d->chance));
}

/* The sum over all values, from `x` away from the mode, whose probability is at most `limit`. */
static double tail(const struct distribution *d, double x, double direction, double limit)
{
	double sum = 0, p;

	for (int step = 0; step < MAX_STEP && x >= d->low && x <= d->high; step++) {
		p = probability(d, x);
		if (p <= limit)
			sum += p;
		if (p <= limit && p <= sum * NOTHING)
			break;
		x += direction;
	}
	return sum;
}

/* The first value on the other side of the mode that is no likelier than `limit`. */
static double other_side(const struct distribution *d, double direction, double limit)
{
	double near = d->mode, far = direction > 0 ? d->high : d->low, middle;

	/* Probabilities fall from the mode to both ends. */
	while (fabs(far - near) > 1) {
		middle = floor((near + far) / 2);
		if (probability(d, middle) <= limit)
			far = middle;
		else
			near = middle;
	}
	return far;
}

static double exact(const struct distribution *d, double seen)
{
	double limit = probability(d, seen) * (1 + SAME), sum, far;
	double away = seen < d->mode ? -1 : 1;

	if (probability(d, d->mode) <= limit)
		return 1;
	sum = tail(d, seen, away, limit);
	far = other_side(d, -away, limit);
	if ((far - d->mode) * away < 0)
		sum += tail(d, far, -away, limit);
	return sum < 1 ? sum : 1;
}

double significance__of_shares(uint64_t a, uint64_t a_total, uint64_t b, uint64_t b_total)
{
	double n = (double)a_total, m = (double)b_total, all = n + m, pooled, least;
	double in = (double)a + (double)b, out = all - in;
	struct distribution d = {.n = n, .m = m};

	if (!a_total || !b_total || in <= 0 || out <= 0)
		return 1;
	least = (in < out ? in : out) * (n < m ? n : m) / all;
	if (least >= ENOUGH || all > TOO_MANY) {
		pooled = in / all;
		return two_sided(((double)b / m - (double)a / n) /
				 sqrt(pooled * (1 - pooled) * (1 / n + 1 / m)));
	}
	d.drawn = in;
	d.low = in > m ? in - m : 0;
	d.high = in < n ? in : n;
	d.mode = floor((in + 1) * (n + 1) / (all + 2));
	return exact(&d, (double)a);
}

double significance__of_rates(uint64_t a, double a_time, uint64_t b, double b_time)
{
	double all = (double)a + (double)b, chance = a_time / (a_time + b_time), least;
	struct distribution d = {.m = -1, .drawn = all, .chance = chance, .high = all};

	if (!(a_time > 0) || !(b_time > 0) || !(chance > 0 && chance < 1) || all <= 0)
		return 1;
	least = all * (chance < 0.5 ? chance : 1 - chance);
	if (least >= ENOUGH || all > TOO_MANY)
		return two_sided(((double)a - all * chance) / sqrt(all * chance * (1 - chance)));
	d.mode = floor((all + 1) * chance);
	if (d.mode > all)
		d.mode = all;
	return exact(&d, (double)a);
}

struct ranked {
	double p;
	size_t index;
};

static int by_p(const void *left, const void *right)
{
	const struct ranked *a = left, *b = right;

	return a->p != b->p ? (a->p < b->p ? -1 : 1)
			    : (a->index > b->index) - (a->index < b->index);
}

int significance__correct(const double *p, double *q, size_t count)
{
	struct ranked *order = calloc(count + 1, sizeof(*order));
	double least = 1;

	if (!order)
		return -ENOMEM;
	for (size_t i = 0; i < count; i++)
		order[i] = (struct ranked){p[i], i};
	qsort(order, count, sizeof(*order), by_p);
	for (size_t i = count; i-- > 0;) {
		double corrected = order[i].p * (double)count / (double)(i + 1);

		if (corrected < least)
			least = corrected;
		q[order[i].index] = least;
	}
	free(order);
	return 0;
}
