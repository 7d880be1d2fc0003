/* SPDX-License-Identifier: Apache-2.0 */
/*
 * `luaspy top`: samples targets and shows the figures of each interval as it ends, on a terminal or
 * as plain text.
 */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "../sample/profile.h"
#include "../symbol/profile_builder.h"
#include "commands.h"
#include "record_summary.h"
#include "session.h"
#include "terminal.h"
#include "top_grid.h"
#include "top_model.h"
#include "top_options.h"
#include "top_page.h"
#include "top_screen.h"
#include "top_settings.h"
#include "top_table.h"

#define POLL_MS		50    /* how long a key may wait */
#define MAX_STACKS_KEPT 2048u /* then they become sums */
#define RENAME_SHARE	50    /* naming all stacks again takes at most this part of the time */

struct top {
	struct top_options options;
	struct session session;
	struct top_model *model;
	struct top_table table;
	struct top_grid grid;
	struct top_info info;
	char title[256], time[16];
	uint64_t counters[COUNTER_COUNT]; /* at the last refresh */
	uint64_t lost_before;		  /* ... at the start of what is counted */
	uint64_t refreshed_ns, began_ns;  /* the last refresh; the start */
	uint64_t learned;		  /* names, when all stacks were named last */
	uint64_t named_ns, naming_ns;	  /* when that was, how long it took */
	uint32_t refreshes;
	int kernel_error; /* of reading the counts */
	bool on_screen, ended;
	char *warnings; /* said while the screen is there */
	size_t warnings_size;
};

static volatile sig_atomic_t stop_signal;

static void on_signal(int number)
{
	stop_signal = number;
}

static void catch_signals(void)
{
	struct sigaction action = {.sa_handler = on_signal};

	sigaction(SIGINT, &action, NULL);
	sigaction(SIGTERM, &action, NULL);
	sigaction(SIGHUP, &action, NULL);
	signal(SIGPIPE, SIG_IGN);
}

static double seconds_between(uint64_t from, uint64_t to)
{
	return (double)(to - from) / 1e9;
}

/* ---- figures -------------------------------------------------------------------------------- */

static int build_profile(struct top *t, bool recent, struct profile **profile)
{
	struct profile_builder_options options = {.recent = recent,
						  .period_ns = 1000000000u / t->options.rate_hz};
	int err;

	*profile = profile__new();
	if (!*profile)
		return -ENOMEM;
	err = profile_builder__add(*profile, sampler__stacks(t->session.sampler), &t->session.names,
				   &options);
	if (err) {
		profile__free(*profile);
		*profile = NULL;
	}
	return err;
}

/* A function's name may be known only after some of its samples: once in a while all of them are
 * named again. */
static int name_again(struct top *t)
{
	uint64_t start = record_start__now(),
		 learned = lua_functions__learned(t->session.lua_functions);
	struct profile *all = NULL;
	int err;

	err = build_profile(t, false, &all);
	if (!err)
		err = top_model__replace(t->model, all);
	profile__free(all);
	t->learned = learned;
	t->named_ns = record_start__now();
	t->naming_ns = t->named_ns - start;
	return err;
}

static bool is_time_to_name(const struct top *t, bool last)
{
	if (t->learned == lua_functions__learned(t->session.lua_functions))
		return false;
	return last || record_start__now() - t->named_ns >= RENAME_SHARE * t->naming_ns;
}

static void count(struct top *t, uint64_t now)
{
	uint64_t counters[COUNTER_COUNT], before = t->counters[COUNTER_LOST];

	sampler__counters(t->session.sampler, counters);
	memcpy(t->counters, counters, sizeof(counters));
	t->info.lost[TOP_RECENT] = counters[COUNTER_LOST] - before;
	t->info.lost[TOP_SINCE] = counters[COUNTER_LOST] - t->lost_before;
	t->info.seconds[TOP_RECENT] = seconds_between(t->refreshed_ns, now);
	t->info.seconds[TOP_SINCE] = seconds_between(t->began_ns, now);
	t->refreshed_ns = now;
}

static bool has_many_stacks(const struct top *t)
{
	return stack_store__count(sampler__stacks(t->session.sampler)) > MAX_STACKS_KEPT;
}

/* Adds what came to the figures; those of the last refresh stay what they are. */
static int gather(struct top *t)
{
	bool full = has_many_stacks(t);
	struct profile *recent = NULL;
	int err;

	err = full ? sampler__take(t->session.sampler) : sampler__collect(t->session.sampler);
	if (err)
		return t->kernel_error = err;
	lua_functions__read(t->session.lua_functions);
	err = build_profile(t, true, &recent);
	if (!err)
		err = top_model__add(t->model, recent);
	profile__free(recent);
	if (!err && is_time_to_name(t, full))
		err = name_again(t);
	if (full) {
		top_model__keep(t->model);
		session__clear_stacks(&t->session);
	}
	return err;
}

/* Makes the figures those of now. */
static int refresh(struct top *t)
{
	int err;

	count(t, record_start__now());
	err = gather(t);
	top_model__refresh(t->model);
	t->refreshes++;
	return err;
}

/* From now on figures are those since now. */
static int start_over(struct top *t)
{
	int err = t->kernel_error = sampler__take(t->session.sampler);

	count(t, record_start__now());
	session__clear_stacks(&t->session);
	top_model__clear(t->model);
	t->began_ns = t->refreshed_ns;
	t->lost_before = t->counters[COUNTER_LOST];
	t->info.lost[TOP_RECENT] = t->info.lost[TOP_SINCE] = 0;
	t->info.seconds[TOP_RECENT] = t->info.seconds[TOP_SINCE] = 0;
	return err;
}

/* ---- text and screen --------------------------------------------------------------------------
 */

/* Processes come and go: how many there have been is of no interest here. */
static void set_title(struct top *t)
{
	size_t length;

	session__title(&t->session, t->title, sizeof(t->title));
	if (t->session.targets.count < 2)
		return;
	length = strlen(t->title);
	snprintf(t->title + length, sizeof(t->title) - length, ", %zu running",
		 sampler__alive(t->session.sampler));
}

static int make_table(struct top *t)
{
	time_t now = time(NULL);
	struct tm local;

	localtime_r(&now, &local);
	strftime(t->time, sizeof(t->time), "%H:%M:%S", &local);
	set_title(t);
	t->info.title = t->title;
	t->info.time = t->time;
	t->info.note = "";
	t->info.rate_hz = t->options.rate_hz;
	return top_table__make(&t->table, t->model, &t->options.settings);
}

static int write_text(struct top *t)
{
	int err = make_table(t);

	if (!err)
		err = top_page__draw_plain(&t->grid, (int)t->options.rows, (int)terminal__width(0),
					   &t->info, &t->options.settings, t->model, &t->table);
	if (err)
		return err;
	if (t->refreshes > 1)
		putchar('\n');
	top_grid__write(&t->grid, stdout);
	errno = 0;
	if (fflush(stdout) != 0 || ferror(stdout)) {
		err = errno ? -errno : -EIO;
		fprintf(stderr, "luaspy: writing to stdout failed: %s.\n", strerror(-err));
	}
	return err;
}

static void set_note(struct top *t)
{
	fflush(t->session.warnings);
	if (t->ended)
		t->info.note = "All processes have ended: these are the last figures. q quits";
	else if (!sampler__alive(t->session.sampler))
		t->info.note = "No such process is running now; those that start are added";
	else if (t->warnings_size)
		t->info.note = "There are warnings; they are shown after you quit";
}

static int draw_screen(struct top *t)
{
	int rows, columns, err, page;

	top_screen__size(&rows, &columns);
	page = top_page__rows(rows);
	err = make_table(t);
	if (!err)
		err = top_grid__make(&t->grid, rows, columns);
	if (err)
		return err;
	set_note(t);
	top_settings__clamp(&t->options.settings, (int)t->table.count, page);
	top_page__draw(&t->grid, &t->info, &t->options.settings, t->model, &t->table);
	top_screen__show(&t->grid);
	return 0;
}

/* ---- keys -------------------------------------------------------------------------------------
 */

static void enter_process(struct top *t)
{
	struct top_settings *settings = &t->options.settings;

	if (settings->selected < 0 || (size_t)settings->selected >= t->table.count)
		return;
	settings->pid = t->table.rows[settings->selected].process->pid;
	settings->processes = false;
	settings->first = 0;
}

/* Sets *draw if the page has changed, *quit if that is enough. */
static int read_keys(struct top *t, bool *draw, bool *quit)
{
	int rows, columns, err = 0;
	uint32_t key;

	top_screen__size(&rows, &columns);
	while (!err && !*quit && (key = top_screen__key()) != TOP_KEY_NONE) {
		if (key == TOP_KEY_RESIZE) {
			*draw = true;
			continue;
		}
		if (key == TOP_KEY_HANGUP) {
			*quit = true;
			break;
		}
		switch (top_settings__key(&t->options.settings, key, top_page__rows(rows))) {
		case TOP_QUIT:
			*quit = true;
			break;
		case TOP_CLEAR:
			err = start_over(t);
			*draw = true;
			break;
		case TOP_ENTER:
			enter_process(t);
			*draw = true;
			break;
		case TOP_DRAW:
			*draw = true;
			break;
		case TOP_NOTHING:
			break;
		}
		/* What a key does may depend on the table that the one before made. */
		if (*draw && !err)
			err = make_table(t);
	}
	return err;
}

/* ---- the session ------------------------------------------------------------------------------
 */

static bool have_ended(const struct top *t)
{
	return !sampler__alive(t->session.sampler) &&
	       !target_options__searches(&t->options.targets);
}

static bool is_due(const struct top *t)
{
	return seconds_between(t->refreshed_ns, record_start__now()) >= t->options.delay_seconds;
}

static bool is_enough(const struct top *t)
{
	return t->options.count && t->refreshes >= t->options.count;
}

/* However long it takes until the next refresh: stacks are not piled up meanwhile. */
static int wait_for_samples(struct top *t, int timeout_ms)
{
	int err = session__poll(&t->session, timeout_ms);

	return !err && has_many_stacks(t) ? gather(t) : err;
}

static int run_text(struct top *t)
{
	bool ended = false;
	int err = 0;

	while (!err && !stop_signal && !ended && !is_enough(t)) {
		err = wait_for_samples(t, 2 * POLL_MS);
		ended = have_ended(t);
		if (err || stop_signal || (!is_due(t) && !ended))
			continue;
		err = refresh(t);
		if (!err)
			err = write_text(t);
	}
	return err;
}

static int run_screen(struct top *t)
{
	struct top_settings *settings = &t->options.settings;
	bool quit = false, draw = true;
	int err = 0;

	while (!err && !stop_signal && !quit && !is_enough(t)) {
		if (draw)
			err = draw_screen(t);
		draw = false;
		if (!err)
			err = wait_for_samples(t, POLL_MS);
		if (!err && !t->ended && (have_ended(t) || (is_due(t) && !settings->paused))) {
			t->ended = have_ended(t);
			err = refresh(t);
			draw = true;
		}
		if (!err)
			err = read_keys(t, &draw, &quit);
	}
	return err;
}

/* If there is a terminal to show it on. What has to be said meanwhile is said when it is closed. */
static int open_screen(struct top *t)
{
	FILE *warnings;

	if (t->options.plain || !isatty(STDIN_FILENO) || !isatty(STDOUT_FILENO))
		return 0;
	warnings = open_memstream(&t->warnings, &t->warnings_size);
	if (!warnings)
		return -ENOMEM;
	if (top_screen__open() != 0) {
		fclose(warnings);
		fprintf(stderr,
			"luaspy: nothing is known here of a terminal '%s' (TERM) that can place "
			"the cursor: plain text follows. TERM=xterm does for most.\n",
			getenv("TERM") ? getenv("TERM") : "");
		return 0;
	}
	t->session.warnings = warnings;
	t->on_screen = true;
	return 0;
}

static void close_screen(struct top *t)
{
	if (!t->on_screen)
		return;
	top_screen__close();
	fclose(t->session.warnings);
	t->session.warnings = stderr;
	fputs(t->warnings, stderr);
}

/* With a terminal to show it on, or without. */
static int run(struct top *t)
{
	int err;

	err = open_screen(t);
	if (err)
		return err;
	if (!t->on_screen && !t->options.count)
		t->options.count = 1;
	sampler__start(t->session.sampler);
	t->began_ns = t->refreshed_ns = t->named_ns = record_start__now();
	err = t->on_screen ? run_screen(t) : run_text(t);
	close_screen(t);
	return err;
}

static int open_session(struct top *t)
{
	struct sampler_options options = {.rate_hz = t->options.rate_hz,
					  .kernel = t->options.kernel,
					  .verbose = t->options.verbose};
	struct privileges_needs needs = {};
	int err;

	err = session__check_proc();
	if (!err)
		err = session__find(&t->session, &t->options.targets, t->options.rate_hz);
	if (err)
		return err;
	options.children = record_targets__with_children(&t->session.targets);
	options.added_later = record_targets__goes_on(&t->session.targets);
	needs.new_targets = options.children || options.added_later;
	err = session__open(&t->session, &options);
	if (!err)
		err = session__add_targets(&t->session);
	needs.new_programs = !err && sampler__may_load(t->session.sampler);
	if (!err)
		err = session__drop_privileges(&t->session, &needs, t->options.kernel);
	if (!err)
		session__read_kernel_symbols(&t->session);
	return err;
}

static void print_end(const struct top *t)
{
	double seconds = seconds_between(t->session.start.began, record_start__now());
	double own = record_summary__own_cpu_seconds();

	fprintf(stderr,
		"luaspy: %llu samples in %.1f s, %llu lost; luaspy's own CPU time was %.2f s (%.1f "
		"%%).\n",
		(unsigned long long)t->counters[COUNTER_SAMPLES], seconds,
		(unsigned long long)t->counters[COUNTER_LOST], own,
		seconds > 0 ? 100 * own / seconds : 0);
}

/* What was not said where it happened, since the screen was there. */
static void print_error(const struct top *t, int err)
{
	if (err == -ENOMEM)
		fprintf(stderr, "luaspy: out of memory.\n");
	else if (t->kernel_error)
		fprintf(stderr, "luaspy: the counts cannot be read from the kernel: %s.\n",
			strerror(-t->kernel_error));
}

int cmd_top(int argc, char **argv)
{
	struct top *t = calloc(1, sizeof(*t));
	int err;

	if (!t) {
		fprintf(stderr, "luaspy: out of memory.\n");
		return 1;
	}
	t->session.start.began = record_start__now();
	t->session.warnings = stderr;
	top_options__parse(&t->options, argc, argv);
	t->session.quiet = t->options.quiet;
	catch_signals();
	err = open_session(t);
	if (!err) {
		t->model = top_model__new();
		err = t->model ? run(t) : -ENOMEM;
		print_error(t, err);
	}
	if (!err && !t->options.quiet && (t->on_screen || t->options.verbose))
		print_end(t);
	free(t->warnings);
	top_grid__free(&t->grid);
	top_table__free(&t->table);
	top_model__free(t->model);
	session__free(&t->session);
	top_options__free(&t->options);
	free(t);
	return err ? 1 : 0;
}
