/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the tests of the reader of pprof's format share.
 */
#ifndef LUASPY_TEST_PPROF_H
#define LUASPY_TEST_PPROF_H

#include "../test.h"
#include "output/pprof.h"

static struct profile *read_profile(const uint8_t *bytes, size_t size)
{
	char why[PPROF_WHY_BYTES] = "";
	struct profile *profile;

	CHECK_EQ(pprof__parse(bytes, size, &profile, why), 0);
	CHECK_STR(why, "");
	return profile;
}

static void check_refused(const uint8_t *bytes, size_t size, int error, const char *expected)
{
	char why[PPROF_WHY_BYTES] = "";
	struct profile *profile;

	CHECK_EQ(pprof__parse(bytes, size, &profile, why), error);
	CHECK(profile == NULL);
	CHECK_STR(why, expected);
}

#endif
