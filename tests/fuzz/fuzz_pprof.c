/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Feeds any bytes to the reader of pprof's format, packed or not. What is read has to hold
 * together: it is shown in a view, written, read again, and equal then. Each writer gets it, too.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "output/output.h"
#include "output/pprof.h"
#include "output/profile_view.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void expect(int condition)
{
	if (!condition)
		abort();
}

static void write_all(const struct profile *exact)
{
	static int (*const writers[])(const struct profile *, FILE *) = {
		folded__write, speedscope__write, flat_table__write, flamegraph__write_html};
	struct profile_view view = {.kernel = true, .native = true, .lines = true};
	struct profile_view labels = {.kernel = true, .native = true, .labels = true};
	struct profile *drawn = profile__new(), *labelled = profile__new();
	FILE *out = fopen("/dev/null", "w");
	size_t i;

	expect(drawn && labelled && out);
	expect(profile_view__make(&view, exact, drawn) == 0);
	for (i = 0; i < sizeof(writers) / sizeof(writers[0]); i++)
		expect(writers[i](drawn, out) == 0);
	expect(profile_view__make(&labels, exact, labelled) == 0);
	if (profile__info(exact)->samples < 1000) /* it writes them one by one */
		expect(perf_script__write(labelled, out) == 0);
	expect(json_profile__write(exact, out) == 0);
	fclose(out);
	profile__free(drawn);
	profile__free(labelled);
}

static struct profile *copy_of(const struct profile *profile)
{
	char why[PPROF_WHY_BYTES], *bytes = NULL;
	struct profile *copy;
	size_t size;
	FILE *out = open_memstream(&bytes, &size);

	expect(out != NULL);
	expect(pprof__write(profile, out) == 0);
	fclose(out);
	expect(pprof__parse((const uint8_t *)bytes, size, &copy, why) == 0);
	free(bytes);
	return copy;
}

static void check_equal(const struct profile *a, const struct profile *b)
{
	expect(profile__info(a)->samples == profile__info(b)->samples);
	expect(profile__info(a)->kind == profile__info(b)->kind);
	expect(profile__stack_count(a) >= profile__stack_count(b));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char why[PPROF_WHY_BYTES] = "";
	struct profile *profile, *copy, *second;

	if (pprof__parse(data, size, &profile, why) != 0) {
		expect(!profile && strncmp(why, "it", 2) == 0);
		return 0;
	}
	write_all(profile);
	copy = copy_of(profile);
	second = copy_of(copy);
	check_equal(profile, copy);
	check_equal(copy, second);
	expect(profile__stack_count(copy) == profile__stack_count(second));
	profile__free(profile);
	profile__free(copy);
	profile__free(second);
	return 0;
}
