/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A minimal test harness. Each test program runs TEST functions and prints one TAP line a test
 * ("ok - name", "not ok - name", "ok - name # SKIP why"); tests/run counts them. A failed CHECK
 * prints what was expected and what was got.
 */
#ifndef LUASPY_TEST_H
#define LUASPY_TEST_H

#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

static int test_failures_in_case;
static int test_failures;
static const char *test_skip_reason;

#define CHECK(condition)                                                                           \
	do {                                                                                       \
		if (!(condition)) {                                                                \
			printf("# %s:%d: expected %s\n", __FILE__, __LINE__, #condition);          \
			test_failures_in_case++;                                                   \
		}                                                                                  \
	} while (0)

#define CHECK_EQ(got, expected)                                                                    \
	do {                                                                                       \
		uint64_t g_ = (uint64_t)(got), e_ = (uint64_t)(expected);                          \
		if (g_ != e_) {                                                                    \
			printf("# %s:%d: %s: expected %" PRIu64 " (0x%" PRIx64 "), got %" PRIu64   \
			       " (0x%" PRIx64 ")\n",                                               \
			       __FILE__, __LINE__, #got, e_, e_, g_, g_);                          \
			test_failures_in_case++;                                                   \
		}                                                                                  \
	} while (0)

#define CHECK_STR(got, expected)                                                                   \
	do {                                                                                       \
		const char *g_ = (got), *e_ = (expected);                                          \
		if (!g_ || !e_ ? g_ != e_ : strcmp(g_, e_) != 0) {                                 \
			printf("# %s:%d: %s: expected \"%s\", got \"%s\"\n", __FILE__, __LINE__,   \
			       #got, e_ ? e_ : "(null)", g_ ? g_ : "(null)");                      \
			test_failures_in_case++;                                                   \
		}                                                                                  \
	} while (0)

/* Leaves the test function; the test is counted as skipped. */
#define SKIP(why)                                                                                  \
	do {                                                                                       \
		test_skip_reason = (why);                                                          \
		return;                                                                            \
	} while (0)

#define RUN(function, name)                                                                        \
	do {                                                                                       \
		test_failures_in_case = 0;                                                         \
		test_skip_reason = NULL;                                                           \
		function();                                                                        \
		test_failures += test_failures_in_case != 0;                                       \
		if (test_failures_in_case)                                                         \
			printf("not ok - %s\n", name);                                             \
		else if (test_skip_reason)                                                         \
			printf("ok - %s # SKIP %s\n", name, test_skip_reason);                     \
		else                                                                               \
			printf("ok - %s\n", name);                                                 \
		fflush(stdout);                                                                    \
	} while (0)

#define TEST_RESULT() (test_failures ? 1 : 0)

#endif
