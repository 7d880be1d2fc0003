// SPDX-License-Identifier: Apache-2.0
/*
 * Writes a made-up profile in pprof's format, for the tests of its readers:
 *   make_profile cpu|times|off_cpu|wall FILE
 * It has every type of frame, recursions, two processes, threads, labels, and names such as targets
 * have; `times` has the time of each sample.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "output/output.h"

#define PERIOD 1001001u /* of 999 Hz, in nanoseconds */

static const struct profile_mapping mappings[] = {
	{.path = "/usr/lib/x86_64-linux-gnu/libc.so.6",
	 .build_id = "51657f818beb1ae70372216a99b7412b8a100a20",
	 .start = 0x26000,
	 .limit = 0x17d000,
	 .offset = 0x26000},
	{.path = "/usr/sbin/nginx",
	 .build_id = "0123456789abcdef0123456789abcdef01234567",
	 .start = 0x24000,
	 .limit = 0x100000,
	 .offset = 0x24000},
};

static const struct profile_frame frames[] = {
	{.name = "main", .type = PROFILE_NATIVE, .mapping = 2, .address = 0x24100},
	{.name = "ngx_worker_cycle", .type = PROFILE_NATIVE, .mapping = 2, .address = 0x25200},
	{.name = "nginx+0x31c0", .type = PROFILE_NATIVE, .mapping = 2, .address = 0x31cc},
	{.name = "main chunk", .file = "content_by_lua(nginx.conf:48)", .type = PROFILE_LUA},
	{.name = "_M.content",
	 .file = "shop/app.lua",
	 .first_line = 92,
	 .line = 95,
	 .type = PROFILE_LUA},
	{.name = "_M.content",
	 .file = "shop/app.lua",
	 .first_line = 92,
	 .line = 99,
	 .type = PROFILE_LUA},
	{.name = "<anonymous in _M.search, for table.sort>",
	 .file = "shop/catalog.lua",
	 .first_line = 70,
	 .line = 70,
	 .type = PROFILE_LUA_COMPILED},
	{.name = "<anonymous in _M.search, for table.sort>",
	 .file = "shop/catalog.lua",
	 .first_line = 70,
	 .line = 71,
	 .type = PROFILE_LUA_COMPILED,
	 .estimated = 1},
	{.name = "",
	 .file = "[string \"return 1; -- a 'b' \\ <c>\"]",
	 .first_line = 1,
	 .line = 1,
	 .type = PROFILE_LUA},
	{.name = "table.sort", .type = PROFILE_BUILTIN},
	{.name = "memcpy", .type = PROFILE_NATIVE, .mapping = 1, .address = 0x31000},
	{.name = "memcpy", .type = PROFILE_NATIVE, .mapping = 1, .address = 0x31040},
	{.name = "do_syscall_64", .type = PROFILE_KERNEL, .address = 0xffffffff81c001b0},
	{.name = "[gc]", .type = PROFILE_NOTE},
	{.name = "[truncated]", .type = PROFILE_NOTE},
	{.name = "[code outside any file]", .type = PROFILE_NATIVE, .address = 0x7f0000001000},
};

#define FRAMES (sizeof(frames) / sizeof(frames[0]))

/* Indices of frames, root first, -1 behind the leaf. */
static const struct {
	int frames[12];
	unsigned int labels, count;
} stacks[] = {
	{{0, 1, 3, 4, 9, 6, -1}, 0, 31},
	{{0, 1, 3, 4, 9, 6, -1}, 2, 12},
	{{0, 1, 3, 4, 9, 7, -1}, 0, 5},
	{{0, 1, 3, 5, 10, -1}, 1, 17},
	{{0, 1, 3, 5, 11, -1}, 1, 8},
	{{0, 1, 2, 12, -1}, 1, 3},
	{{0, 1, 3, 4, 4, 5, 4, 13, -1}, 0, 9},
	{{14, 8, 8, 8, 9, 8, -1}, 3, 101},
	{{15, -1}, 3, 1},
	{{0, 1, -1}, 3, 2},
};

#define STACKS (sizeof(stacks) / sizeof(stacks[0]))

static const struct profile_label labels[4][5] = {
	{{"pid", "4001"}, {"comm", "nginx"}, {"thread", "4001"}, {"vmstate", "compiled"}},
	{{"pid", "4001"}, {"comm", "nginx"}, {"thread", "4009"}, {"container", "web"}},
	{{"pid", "4001"}, {"comm", "nginx"}, {"thread", "4001"}, {"vmstate", "interpreted"}},
	{{"pid", "5002"}, {"comm", "luajit"}, {"thread", "5002"}},
};

static void check(int64_t status)
{
	if (status < 0)
		exit(1);
}

static void add_stack(struct profile *profile, size_t i, enum profile_kind kind, bool with_times)
{
	struct profile_stack stack = {.count = stacks[i].count};
	uint64_t times[128];
	uint32_t ids[12];
	int64_t id;
	uint32_t k;

	while (stacks[i].frames[stack.frame_count] >= 0) {
		id = profile__add_frame(profile, &frames[stacks[i].frames[stack.frame_count]]);
		check(id);
		ids[stack.frame_count++] = (uint32_t)id;
	}
	stack.frames = ids;
	for (k = 0; labels[stacks[i].labels][k].key; k++)
		;
	id = profile__add_labels(profile, labels[stacks[i].labels], k);
	check(id);
	stack.labels = (uint32_t)id;
	stack.nanoseconds = kind == PROFILE_CPU ? stack.count * (uint64_t)PERIOD
						: stack.count * 1234567ull * (i + 1);
	for (k = 0; with_times && k < stack.count; k++)
		times[stack.time_count++] = (k * STACKS + i) * PERIOD;
	stack.times = times;
	check(profile__add_stack(profile, &stack));
}

int main(int argc, char **argv)
{
	static const struct profile_count errors[] = {{"BASE not known", 4}};
	struct profile_info info = {.title = "nginx 4001 and 1 other",
				    .command_line = "luaspy record -n nginx -d 1",
				    .version = "test",
				    .host = "web-7.example",
				    .rate_hz = 999,
				    .duration_seconds = 1.5,
				    .start_time = 1767225600,
				    .with_lua = 183,
				    .complete = 88,
				    .truncated = 101,
				    .lost = 2,
				    .errors = errors,
				    .error_count = 1};
	struct profile *profile = profile__new();
	FILE *out = argc == 3 ? fopen(argv[2], "w") : NULL;
	size_t i;

	if (!profile || !out)
		return 2;
	if (strcmp(argv[1], "off_cpu") == 0) {
		info.kind = PROFILE_OFF_CPU;
		info.rate_hz = 0;
	} else if (strcmp(argv[1], "wall") == 0) {
		info.kind = PROFILE_WALL;
	}
	for (i = 0; i < sizeof(mappings) / sizeof(mappings[0]); i++)
		check(profile__add_mapping(profile, &mappings[i]));
	for (i = 0; i < STACKS; i++)
		add_stack(profile, i, info.kind, strcmp(argv[1], "times") == 0);
	profile__set_info(profile, &info);
	check(pprof__write(profile, out));
	if (fclose(out))
		return 1;
	profile__free(profile);
	return 0;
}
