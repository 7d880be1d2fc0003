// SPDX-License-Identifier: Apache-2.0
#include "formats.h"

#include <stddef.h>
#include <string.h>

#include "output.h"

/* Of endings that fit, the first counts: the longer ones stand before the shorter. */
static const struct format formats[] = {
	{"heatmap",
	 {".heatmap.html", ".heatmap"},
	 heatmap__write_html,
	 FORMAT_DRAWN,
	 false,
	 "open it in a browser"},
	{"html",
	 {".html", ".htm"},
	 flamegraph__write_html,
	 FORMAT_DRAWN,
	 false,
	 "open it in a browser"},
	{"svg", {".svg"}, flamegraph__write_svg, FORMAT_DRAWN, false, "open it in a browser"},
	{"pprof",
	 {".pb.gz", ".pprof"},
	 pprof__write,
	 FORMAT_EXACT,
	 true,
	 "`luaspy report` and `go tool pprof` read it"},
	{"speedscope",
	 {".speedscope.json", ".speedscope"},
	 speedscope__write,
	 FORMAT_DRAWN,
	 false,
	 "open it in speedscope"},
	{"perf",
	 {".perf.txt", ".perf"},
	 perf_script__write,
	 FORMAT_LABELS,
	 false,
	 "as of `perf script`, for the Firefox Profiler, FlameScope and the like"},
	{"top", {".top.txt", ".top"}, flat_table__write, FORMAT_TABLE, false, "read it"},
	{"json", {".json"}, json_profile__write, FORMAT_EXACT, false, "for programs"},
	{"folded",
	 {".folded", ".txt"},
	 folded__write,
	 FORMAT_DRAWN,
	 false,
	 "folded stacks, for flamegraph.pl, speedscope and the like"},
};

#define FORMAT_COUNT (sizeof(formats) / sizeof(formats[0]))

const struct format *format__named(const char *name)
{
	size_t i;

	for (i = 0; i < FORMAT_COUNT; i++) {
		if (strcmp(formats[i].name, name) == 0)
			return &formats[i];
	}
	return NULL;
}

/* Does the path end so, or is it the ending without its dot? */
static bool fits(const char *path, const char *ending)
{
	const char *slash = strrchr(path, '/'), *base = slash ? slash + 1 : path;
	size_t length = strlen(base), wanted = strlen(ending);

	return (length > wanted && strcmp(base + length - wanted, ending) == 0) ||
	       strcmp(base, ending + 1) == 0;
}

const struct format *format__of_path(const char *path)
{
	size_t i, k;

	if (strcmp(path, "-") == 0 || strncmp(path, "/dev/", 5) == 0)
		return format__named("folded");
	for (i = 0; i < FORMAT_COUNT; i++) {
		for (k = 0; k < FORMAT_MAX_ENDINGS && formats[i].endings[k]; k++) {
			if (fits(path, formats[i].endings[k]))
				return &formats[i];
		}
	}
	return NULL;
}

void format__adapt(const struct format *self, struct profile_view *view)
{
	view->table = self->needs == FORMAT_TABLE;
	view->labels = self->needs == FORMAT_LABELS;
	view->exact = self->needs == FORMAT_EXACT;
	if (view->table)
		view->reverse = false; /* a function's own part is that of the leaf */
}

bool format__keeps_labels(const struct format *self)
{
	return self->needs == FORMAT_LABELS || self->needs == FORMAT_EXACT;
}

bool format__uses_times(const struct format *self)
{
	return self->write == heatmap__write_html || self->write == perf_script__write;
}
