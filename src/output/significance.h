/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Whether two counts differ by more than chance. Samples are taken to be independent of each other;
 * where they come in bursts (one long request gives many), chance does more than this says.
 */
#ifndef LUASPY_SIGNIFICANCE_H
#define LUASPY_SIGNIFICANCE_H

#include <stddef.h>
#include <stdint.h>

/*
 * The chance, from 0 to 1, that shares at least as far apart as a of a_total and b of b_total come
 * from one and the same share: two-sided; Fisher's exact test (by the probability of tables, as R's
 * fisher.test) where fewer than 10 are expected in a cell of the table, else the pooled z test. `a`
 * and `b` are at most their totals. 1 where a total is 0.
 */
double significance__of_shares(uint64_t a, uint64_t a_total, uint64_t b, uint64_t b_total);

/*
 * The same for numbers of events in a_time and b_time, of which no totals are known: given their
 * sum, `b` is binomial if the rates are equal (exact where fewer than 10 are expected, as R's
 * binom.test, else z). 1 where a time is not above 0.
 */
double significance__of_rates(uint64_t a, double a_time, uint64_t b, double b_time);

/*
 * Corrects p values for their number (Benjamini and Hochberg 1995): of those with q <= 0.05 about 5
 * % are there by chance. q[i] belongs to p[i]. 0 or -ENOMEM.
 */
int significance__correct(const double *p, double *q, size_t count);

#endif
