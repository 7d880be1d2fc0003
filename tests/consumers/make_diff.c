// SPDX-License-Identifier: Apache-2.0
/*
 * Writes two made-up profiles of one program, for tests of `luaspy diff`:
 *   make_diff cpu|off|hostile BEFORE.pb.gz AFTER.pb.gz
 * Between them a few functions change and 300 do not, but for chance. The numbers are pseudo-random
 * but always the same.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "output/output.h"

static uint64_t random_state = 0x2545f4914f6cdd1du;

static uint32_t random_below(uint32_t limit)
{
	random_state ^= random_state << 13;
	random_state ^= random_state >> 7;
	random_state ^= random_state << 17;
	return (uint32_t)(random_state >> 33) % limit;
}

/* How many of `tries` happen, each with `chance` in 10000. */
static uint64_t happen(uint32_t tries, uint32_t chance)
{
	uint64_t count = 0;

	while (tries--)
		count += random_below(10000) < chance;
	return count;
}

struct side {
	struct profile *profile;
	struct profile_info info;
	uint32_t labels;
};

/* "c:main;l:name@file:12;..." */
static void add(struct side *side, const char *line, uint64_t count)
{
	static const char letters[] = "tkcljbn";
	char *copy = strdup(line), *rest = copy, *part;
	struct profile_stack stack = {
		.labels = side->labels, .count = count, .nanoseconds = count * 10101010};
	uint32_t ids[64];

	while ((part = strsep(&rest, ";"))) {
		struct profile_frame frame = {
			.type = (enum profile_frame_type)(strchr(letters, part[0]) - letters),
			.name = part + 2};
		char *at = strchr(part, '@'), *colon = strrchr(part, ':');

		if (at && colon > at) {
			*at = *colon = '\0';
			frame.file = at + 1;
			frame.first_line = (uint32_t)atoi(colon + 1);
			frame.line = frame.first_line + 1;
		}
		ids[stack.frame_count++] = (uint32_t)profile__add_frame(side->profile, &frame);
	}
	stack.frames = ids;
	if (profile__add_stack(side->profile, &stack))
		abort();
	side->info.samples += count;
	free(copy);
}

#define REQUEST                                                                                    \
	"c:main;c:ngx_worker_process_cycle;c:ngx_http_core_run_phases;c:ngx_http_lua_run_thread;"  \
	"l:content@/app/main.lua:1;"
#define ORDERS REQUEST "l:orders@/app/orders.lua:10;"

static void make_cpu(struct side sides[2])
{
	char line[512];

	for (int after = 0; after < 2; after++) {
		struct side *side = &sides[after];
		uint32_t scale = after ? 3 : 2;

		add(side, "c:main;c:ngx_worker_process_cycle;c:epoll_wait;k:do_epoll_wait",
		    900 * scale);
		add(side, ORDERS "l:render@/app/view.lua:20;b:cjson.encode",
		    (after ? 900 : 500) * scale);
		add(side, ORDERS "l:fetch@/app/db.lua:7;c:recv", (after ? 310 : 800) * scale);
		/* Moved by a comment of six lines above it; and now compiled. */
		add(side,
		    after ? ORDERS "j:total@/app/orders.lua:46"
			  : ORDERS "l:total@/app/orders.lua:40",
		    400 * scale);
		if (after)
			add(side, ORDERS "l:audit@/app/audit.lua:3;b:string.format", 61);
		else
			add(side, ORDERS "l:legacy@/app/legacy.lua:8", 37);
		add(side, ORDERS "l:rare@/app/orders.lua:90", after ? 6 : 2);
		for (unsigned int i = 0; i < 300; i++) {
			snprintf(line, sizeof(line),
				 ORDERS "l:plugin_%u@/app/plugins/%u.lua:5;b:%s", i, i % 17,
				 i % 2 ? "string.byte" : "table.concat");
			add(side, line, happen(1000 * scale, 10 + i * i / 400));
			snprintf(line, sizeof(line), ORDERS "l:plugin_%u@/app/plugins/%u.lua:5", i,
				 i % 17);
			add(side, line, happen(1000 * scale, 10 + i / 4));
		}
	}
}

static void make_off(struct side sides[2])
{
	for (int after = 0; after < 2; after++) {
		sides[after].info.kind = PROFILE_OFF_CPU;
		sides[after].info.rate_hz = 0;
		add(&sides[after], REQUEST "l:wait@/app/a.lua:4;k:schedule", after ? 50 : 10);
		add(&sides[after], REQUEST "l:read@/app/a.lua:9;k:io_schedule", 40);
	}
}

static void make_hostile(struct side sides[2])
{
	static const char *const names[] = {
		"l:</script><script>window.hacked=1</script>",
		"c:<img src=x onerror=window.hacked=2>",
		"c:]]><script>window.hacked=3</script>",
		"c:\"+(window.hacked=4)+\"",
		"l:__proto__",
		"c:a\nb\x1b[31mc",
	};

	for (size_t i = 0; i < sizeof(names) / sizeof(*names); i++) {
		add(&sides[0], names[i], 100 + 40 * i);
		add(&sides[1], names[i], 300 - 30 * i);
	}
	sides[0].info.title = "</title><script>window.hacked=5</script>";
	sides[1].info.host = "<b>\x1b]0;host\x07</b>";
}

int main(int argc, char **argv)
{
	struct side sides[2] = {0};
	struct profile_label label = {"comm", "nginx"};
	int err = 0;

	if (argc != 4)
		return 2;
	for (int i = 0; i < 2; i++) {
		sides[i].profile = profile__new();
		sides[i].labels = (uint32_t)profile__add_labels(sides[i].profile, &label, 1);
		sides[i].info = (struct profile_info){
			.title = "nginx 1234",
			.command_line = "luaspy record -p 1234 -d 30 -o x.pb.gz",
			.version = "0.1",
			.host = "web-7.example",
			.rate_hz = 99,
			.duration_seconds = i ? 60 : 30,
			.start_time = 1767225600 + 86400 * i,
		};
	}
	if (strcmp(argv[1], "cpu") == 0)
		make_cpu(sides);
	else if (strcmp(argv[1], "off") == 0)
		make_off(sides);
	else
		make_hostile(sides);
	for (int i = 0; i < 2 && !err; i++) {
		sides[i].info.complete = sides[i].info.with_lua = sides[i].info.samples;
		sides[i].info.unique_stacks = profile__stack_count(sides[i].profile);
		profile__set_info(sides[i].profile, &sides[i].info);
		err = output_file__write(argv[2 + i], sides[i].profile, pprof__write);
		profile__free(sides[i].profile);
	}
	return err ? 1 : 0;
}
