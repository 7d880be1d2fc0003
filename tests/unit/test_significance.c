// SPDX-License-Identifier: Apache-2.0
/*
 * Tests of counts against known values: R's documentation (fisher.test: TeaTasting, Convictions),
 * and exact fractions (sums of binomial coefficients) and erfc() as Python computes them.
 */
#include <math.h>

#include "../test.h"
#include "output/significance.h"

/* Relative. */
static void check_near(double got, double expected, double tolerance)
{
	if (fabs(got - expected) > tolerance * expected)
		printf("# got %.12g, expected %.12g\n", got, expected);
	CHECK(fabs(got - expected) <= tolerance * expected);
}

struct shares_case {
	uint64_t a, a_total, b, b_total;
	double expected;
};

static void small_counts_have_exact_values(void)
{
	static const struct shares_case cases[] = {
		{3, 4, 1, 4, 0.485714285714},
		{2, 12, 15, 18, 0.000536724119143},
		{0, 100, 9, 100, 0.00323661490064},
		{0, 1000, 5, 1000, 0.0621875785163},
		{7, 500, 1, 5000, 3.64049553486e-07},
		{5, 5, 0, 5, 0.00793650793651},
		{990, 1000, 1000, 1000, 0.00190946516534},
		{1, 1000000, 9, 1000000, 0.0214840673836},
		{40, 300, 3, 60, 0.0809986137179},
		{0, 2000, 40, 30000, 0.177658135167},
		{4, 10, 4, 10, 1},
		{10, 10, 1, 3000, 6.63728365371e-28},
		{300, 300, 6, 9, 1.72497563472e-05},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		const struct shares_case *c = &cases[i];

		check_near(significance__of_shares(c->a, c->a_total, c->b, c->b_total), c->expected,
			   1e-6);
		check_near(significance__of_shares(c->b, c->b_total, c->a, c->a_total), c->expected,
			   1e-6);
		/* What has not the share has the rest. */
		check_near(significance__of_shares(c->a_total - c->a, c->a_total, c->b_total - c->b,
						   c->b_total),
			   c->expected, 1e-6);
	}
}

static void large_counts_have_normal_values(void)
{
	static const struct shares_case cases[] = {
		{100, 1000, 150, 1000, 0.00072323271643},
		{500, 10000, 520, 11000, 0.358514784814},
		{45, 300, 12, 150, 0.0353230662089},
		{30000, 60000, 30500, 60000, 0.00389117730918},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++)
		check_near(significance__of_shares(cases[i].a, cases[i].a_total, cases[i].b,
						   cases[i].b_total),
			   cases[i].expected, 1e-9);
}

static void rates_are_compared_over_their_times(void)
{
	static const struct {
		uint64_t a;
		double a_time;
		uint64_t b;
		double b_time, expected;
	} cases[] = {
		{3, 10, 9, 10, 0.14599609375},
		{0, 30, 6, 30, 0.03125},
		{5, 10, 7, 60, 0.0196274763362},
		{1, 60, 8, 10, 1.36295127224e-06},
		{4, 20, 5, 20, 1},
		/* z = (400 - 500) / sqrt(250) */
		{400, 30, 600, 30, 2.53962858947e-10},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		check_near(significance__of_rates(cases[i].a, cases[i].a_time, cases[i].b,
						  cases[i].b_time),
			   cases[i].expected, 1e-6);
		check_near(significance__of_rates(cases[i].b, cases[i].b_time, cases[i].a,
						  cases[i].a_time),
			   cases[i].expected, 1e-6);
	}
}

static void what_cannot_be_compared_does_not_differ(void)
{
	CHECK(significance__of_shares(0, 0, 5, 10) == 1);
	CHECK(significance__of_shares(5, 10, 0, 0) == 1);
	CHECK(significance__of_shares(0, 10, 0, 20) == 1);
	CHECK(significance__of_shares(10, 10, 20, 20) == 1);
	CHECK(significance__of_rates(0, 1, 0, 1) == 1);
	CHECK(significance__of_rates(5, 0, 5, 1) == 1);
	CHECK(significance__of_rates(5, NAN, 5, 1) == 1);
}

/* The most extreme counts come to an end, and to a number. */
static void no_counts_take_long(void)
{
	static const uint64_t counts[] = {0, 1, 9, 1000, 1000000, 1000000000, UINT64_MAX / 4};

	for (size_t n = 1; n < 7; n++) {
		for (size_t m = 1; m < 7; m++) {
			for (size_t a = 0; a <= n; a++) {
				for (size_t b = 0; b <= m; b++) {
					double p = significance__of_shares(counts[a], counts[n],
									   counts[b], counts[m]);
					double r = significance__of_rates(
						counts[a], (double)counts[n], counts[b],
						(double)counts[m]);

					CHECK(p >= 0 && p <= 1);
					CHECK(r >= 0 && r <= 1);
				}
			}
		}
	}
}

/* The example of Benjamini and Hochberg's paper (1995, section 4): at 5 % the first four stay. */
static void many_tests_are_corrected(void)
{
	static const double p[] = {0.0278, 0.0001, 0.0004, 0.0019, 0.0095, 0.0201, 0.0298, 0.0344,
				   0.0459, 0.3240, 0.4262, 0.5719, 0.6528, 0.7590, 1.000};
	double q[15], one[] = {0.03}, none[1];
	int found = 0;

	CHECK_EQ(significance__correct(p, q, 15), 0);
	for (int i = 0; i < 15; i++)
		found += q[i] <= 0.05;
	CHECK_EQ(found, 4);
	check_near(q[1], 0.0001 * 15, 1e-12);
	check_near(q[4], 0.0095 * 15 / 4, 1e-12);
	check_near(q[5], 0.0201 * 15 / 5, 1e-12);
	/* 0.0278 is the sixth, but never more than those of greater p values: 0.0298, the seventh.
	 */
	check_near(q[0], 0.0298 * 15 / 7, 1e-12);
	check_near(q[14], 1, 1e-12);
	CHECK_EQ(significance__correct(one, none, 1), 0);
	check_near(none[0], 0.03, 1e-12);
	CHECK_EQ(significance__correct(NULL, NULL, 0), 0);
}

int main(void)
{
	RUN(small_counts_have_exact_values, "small counts have exact values");
	RUN(large_counts_have_normal_values, "large counts have normal values");
	RUN(rates_are_compared_over_their_times, "rates are compared over their times");
	RUN(what_cannot_be_compared_does_not_differ, "what cannot be compared does not differ");
	RUN(no_counts_take_long, "no counts take long");
	RUN(many_tests_are_corrected, "many tests are corrected");
	return TEST_RESULT();
}
