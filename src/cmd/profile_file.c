/* SPDX-License-Identifier: Apache-2.0 */
#include "profile_file.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>
#include <unistd.h>

#include "../output/output.h"
#include "../output/pprof.h"
#include "privileges.h"

FILE *profile_file__open(const char *path)
{
	struct capabilities saved;
	FILE *in;

	if (strcmp(path, "-") == 0)
		return stdin;
	privileges__become_user(&saved);
	in = fopen(path, "re");
	if (!in)
		fprintf(stderr, "luaspy: %s cannot be opened: %s.\n", path, strerror(errno));
	privileges__become_self(&saved);
	return in;
}

struct profile *profile_file__read(FILE *in, const char *path)
{
	char why[PPROF_WHY_BYTES];
	struct profile *profile;

	if (pprof__read(in, &profile, why) != 0)
		fprintf(stderr, "luaspy: %s is not a profile that can be shown: %s.\n",
			strcmp(path, "-") == 0 ? "stdin" : path, why);
	if (in != stdin)
		fclose(in);
	return profile;
}

static void warn_nothing_left(const struct profile *profile, const struct profile *shown)
{
	uint64_t samples = profile__info(profile)->samples;

	if (samples && !profile__stack_count(shown))
		fprintf(stderr,
			"luaspy: warning: of %" PRIu64 " samples --only and --root leave none.\n",
			samples);
}

int profile_file__write(const struct profile *profile, struct view_options *options,
			const struct format *format, const char *path)
{
	struct profile *shown = profile__new();
	struct capabilities saved;
	int err = -ENOMEM;

	format__adapt(format, &options->view);
	if (shown)
		err = profile_view__make(&options->view, profile, shown);
	if (err) {
		fprintf(stderr, "luaspy: out of memory while writing the result.\n");
		goto out;
	}
	warn_nothing_left(profile, shown);
	privileges__become_user(&saved);
	err = output_file__write(path, shown, format->write);
	privileges__become_self(&saved);
	if (err == -EINVAL && format->write == heatmap__write_html)
		fprintf(stderr, "luaspy: the profile was recorded without times: record with "
				"-f heatmap, or with --times.\n");
	else if (err && err != -EPIPE) /* `| head` has had enough */
		fprintf(stderr, "luaspy: writing %s failed: %s.\n",
			strcmp(path, "-") == 0 ? "to stdout" : path, strerror(-err));
out:
	profile__free(shown);
	return err;
}

bool profile_file__suits(const struct format *format, const char *path)
{
	if (!format->binary || strcmp(path, "-") != 0 || !isatty(STDOUT_FILENO))
		return true;
	fprintf(stderr, "luaspy: %s is not for a terminal: name a file with -o, or add > FILE.\n",
		format->name);
	return false;
}

void profile_file__print_hint(const struct format *format, const char *path)
{
	if (strcmp(path, "-") != 0)
		fprintf(stderr, "wrote %s: %s\n", path, format->hint);
}
