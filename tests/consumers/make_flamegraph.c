// SPDX-License-Identifier: Apache-2.0
/*
 * Writes made-up profiles for the flame graph's browser tests:
 *   make_flamegraph nginx|large|hostile|empty|heat|off svg|html|folded|heatmap|times FILE
 * "heat" is 600 seconds of four workers at 99 Hz with a timer every five seconds and one burst;
 * "times" writes the milliseconds of each stack's samples. "large" has 50,000 distinct frames and
 * as many nodes or more, 120 levels deep. The numbers are pseudo-random but always the same.
 */
#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "output/output.h"

static uint64_t random_state = 0x9e3779b97f4a7c15u;

static uint32_t random_below(uint32_t limit)
{
	random_state ^= random_state << 13;
	random_state ^= random_state >> 7;
	random_state ^= random_state << 17;
	return (uint32_t)(random_state >> 33) % limit;
}

struct maker {
	struct profile *profile;
	struct profile_info info;
	uint32_t stack[512];
	uint32_t depth;
};

static void push(struct maker *self, enum profile_frame_type type, const char *name)
{
	int64_t id = profile__frame(self->profile, type, name);

	if (id < 0 || self->depth >= 512)
		abort();
	self->stack[self->depth++] = (uint32_t)id;
}

static void add(struct maker *self, uint64_t count)
{
	if (profile__add(self->profile, self->stack, self->depth, count))
		abort();
	self->info.samples += count;
	self->info.unique_stacks++;
}

/* "k:name;c:name;..." onto the stack. */
static void push_line(struct maker *self, const char *line)
{
	static const char letters[] = "tkcljbn";
	char *copy = strdup(line), *rest = copy, *part;

	while ((part = strsep(&rest, ";"))) {
		const char *letter = strchr(letters, part[0]);

		if (!letter)
			abort();
		push(self, (enum profile_frame_type)(letter - letters), part + 2);
	}
	free(copy);
}

/* A stack below what is on the stack. */
static void add_line(struct maker *self, uint64_t count, const char *line)
{
	uint32_t depth = self->depth;

	push_line(self, line);
	add(self, count);
	self->depth = depth;
}

#define CORE                                                                                       \
	"c:main;c:ngx_master_process_cycle;c:ngx_start_worker_processes;c:ngx_spawn_process;"      \
	"c:ngx_worker_process_cycle;c:ngx_process_events_and_timers;c:ngx_epoll_process_events"
#define REQUEST                                                                                    \
	CORE ";c:ngx_http_wait_request_handler;c:ngx_http_process_request_line;"                   \
	     "c:ngx_http_process_request_headers;c:ngx_http_process_request;"                      \
	     "c:ngx_http_core_run_phases;c:ngx_http_core_content_phase;"                           \
	     "c:ngx_http_lua_content_handler;c:ngx_http_lua_content_by_chunk;"                     \
	     "c:ngx_http_lua_run_thread;c:lua_resume"
#define APP    REQUEST ";l:content@/etc/nginx/app/main.lua:1;l:_M.handle@/etc/nginx/app/main.lua:42"
#define ROUTE  APP ";l:dispatch@/usr/share/lua/5.1/router.lua:118"
#define ORDERS ROUTE ";l:orders.list@/etc/nginx/app/handlers/orders.lua:27"

static void make_nginx(struct maker *self)
{
	static const struct profile_count errors[] = {
		{"C unwinding: no table for pc", 7},
		{"Lua stack changed during the walk", 4},
	};

	self->info = (struct profile_info){
		.title = "nginx worker 1234",
		.command_line = "luaspy record -p 1234 -d 20 -F 997 -o nginx.svg",
		.version = "0.1",
		.host = "web-7.example",
		.rate_hz = 997,
		.duration_seconds = 20.03,
		.start_time = 1767225600,
		.errors = errors,
		.error_count = 2,
	};
	push(self, PROFILE_THREAD, "nginx");
	add_line(self, 610,
		 CORE ";c:epoll_wait;k:entry_SYSCALL_64_after_hwframe;k:do_syscall_64;k:__x64_sys_"
		      "epoll_wait;k:do_epoll_wait;k:schedule_hrtimeout_range;k:schedule");
	add_line(self, 143,
		 CORE ";c:ngx_event_accept;c:accept4;k:entry_SYSCALL_64_after_hwframe;k:do_syscall_"
		      "64;k:__x64_sys_accept4;k:inet_csk_accept");
	add_line(self, 410,
		 REQUEST ";c:ngx_http_lua_socket_tcp_connect;c:connect;k:entry_SYSCALL_64_after_"
			 "hwframe;k:do_syscall_64;k:__x64_sys_connect;k:tcp_v4_connect");
	add_line(self, 820,
		 ORDERS ";l:fetch@/etc/nginx/app/db.lua:88;l:query@/usr/share/lua/5.1/resty/"
			"mysql.lua:961;l:read_result@/usr/share/lua/5.1/resty/mysql.lua:720");
	add_line(self, 1322,
		 ORDERS
		 ";l:fetch@/etc/nginx/app/db.lua:88;l:query@/usr/share/lua/5.1/resty/"
		 "mysql.lua:961;j:parse_row@/usr/share/lua/5.1/resty/mysql.lua:402;b:string.byte");
	add_line(self, 240,
		 ORDERS ";l:fetch@/etc/nginx/app/db.lua:88;l:query@/usr/share/lua/5.1/resty/"
			"mysql.lua:961;j:parse_row@/usr/share/lua/5.1/resty/"
			"mysql.lua:402;c:lj_str_new;c:lj_alloc_malloc");
	add_line(self, 2212,
		 ORDERS ";l:render@/etc/nginx/app/"
			"view.lua:12;b:cjson.encode;c:json_append_data;c:json_append_string;c:"
			"strbuf_append_char");
	add_line(self, 987,
		 ORDERS ";l:render@/etc/nginx/app/"
			"view.lua:12;b:cjson.encode;c:json_append_data;c:json_append_number;c:"
			"snprintf;c:__vfprintf_internal;c:__printf_fp");
	add_line(self, 530,
		 ORDERS ";l:render@/etc/nginx/app/view.lua:12;b:table.concat;c:lj_buf_puttab");
	add_line(self, 640,
		 ORDERS ";l:render@/etc/nginx/app/view.lua:12;b:string.gsub;c:lj_str_new;l:escape@/"
			"etc/nginx/app/view.lua:55;b:string.format");
	add_line(self, 1404,
		 ORDERS ";b:table.sort;c:auxsort;c:sort_comp;j:by_date@/etc/nginx/app/handlers/"
			"orders.lua:61");
	add_line(self, 312,
		 ORDERS ";b:table.sort;c:auxsort;c:auxsort;c:sort_comp;j:by_date@/etc/nginx/app/"
			"handlers/orders.lua:61");
	add_line(self, 38,
		 ORDERS ";b:table.sort;c:auxsort;c:sort_comp;l:by_date@/etc/nginx/app/handlers/"
			"orders.lua:61");
	add_line(self, 960,
		 ROUTE ";b:ngx.re.match;c:ngx_http_lua_ffi_exec_regex;c:pcre_exec;c:match");
	add_line(self, 377,
		 ROUTE ";b:ngx.re.match;c:ngx_http_lua_ffi_exec_regex;c:pcre_exec;c:match;c:match;"
		       "c:match");
	add_line(self, 205,
		 ROUTE ";l:@/etc/nginx/app/handlers/"
		       "health.lua:3;b:ngx.say;c:ngx_http_lua_ngx_echo;c:ngx_http_output_filter;c:"
		       "ngx_linux_sendfile_chain;c:writev;k:entry_SYSCALL_64_after_hwframe;k:do_"
		       "syscall_64;k:do_writev;k:sock_write_iter;k:tcp_sendmsg;k:tcp_push;k:__tcp_"
		       "push_pending_frames;k:tcp_write_xmit");
	add_line(self, 1710,
		 APP ";l:log@/etc/nginx/app/"
		     "log.lua:9;b:ngx.log;c:ngx_log_error_core;c:write;k:entry_SYSCALL_64_after_"
		     "hwframe;k:do_syscall_64;k:ksys_write;k:vfs_write;k:ext4_file_write_iter;k:"
		     "copy_page_from_iter_atomic");
	add_line(self, 880,
		 APP ";l:@/etc/nginx/app/"
		     "main.lua:77;b:coroutine.wrap;c:lj_ffh_coroutine_wrap_aux;l:worker@/etc/nginx/"
		     "app/task.lua:14;j:step@/etc/nginx/app/task.lua:30");
	add_line(self, 455, APP ";c:lj_gc_step;c:gc_onestep;c:propagatemark");
	add_line(self, 301, APP ";c:lj_gc_step;c:gc_onestep;c:gc_sweep;c:lj_alloc_free");
	add_line(self, 190, APP ";c:lj_trace_ins;c:trace_state;c:lj_asm_trace;c:asm_ir");
	for (int i = 0; i < 160; i++) {
		char line[2048];

		snprintf(line, sizeof(line),
			 APP ";l:plugin_%d@/etc/nginx/app/plugins/plugin_%d.lua:%d;%s:%s%d%s",
			 i % 23, i % 23, 10 + i, i % 3 ? "l" : "j", "check_", i,
			 "@/etc/nginx/app/plugins/rules.lua:7");
		add_line(self, 1 + random_below(60), line);
	}
	self->depth = 0;
	add_line(self, 33,
		 "t:nginx;n:[truncated];l:deep@/etc/nginx/app/walk.lua:5;l:deep@/etc/nginx/app/"
		 "walk.lua:5;l:deep@/etc/nginx/app/walk.lua:5");
	self->info.with_lua = self->info.samples - 1163;
	self->info.complete = self->info.samples - 44;
	self->info.truncated = 33;
}

static void make_large(struct maker *self)
{
	char name[160];
	uint32_t made = 1;

	self->info = (struct profile_info){
		.title = "large",
		.command_line = "luaspy record -p 1",
		.version = "0.1",
		.rate_hz = 999,
		.duration_seconds = 60,
	};
	push(self, PROFILE_THREAD, "worker");
	while (made < 50000) {
		/* From some level of the stack before it, mostly a near one, a new branch. */
		if (random_below(30) == 0)
			self->depth = 1 + random_below(self->depth);
		else
			self->depth -= random_below(self->depth < 12 ? self->depth : 12);
		for (uint32_t n = 1 + random_below(14); n && self->depth < 120 && made < 50000;
		     n--) {
			enum profile_frame_type type = PROFILE_KERNEL + random_below(5);

			snprintf(name, sizeof(name),
				 type >= PROFILE_LUA && type <= PROFILE_LUA_COMPILED
					 ? "function_%u@/usr/local/share/application/"
					   "module_%u.lua:%u"
					 : "native_function_number_%u_%u",
				 made, made % 700, made % 3000);
			push(self, type, name);
			made++;
		}
		add(self, 1 + random_below(40));
	}
	self->info.complete = self->info.samples;
}

/* A sample with its time, below what is on the stack. */
static void add_timed(struct maker *self, const char *line, uint64_t time)
{
	uint32_t depth = self->depth;
	struct profile_stack stack = {.times = &time, .time_count = 1, .count = 1};

	push_line(self, line);
	stack.frames = self->stack;
	stack.frame_count = self->depth;
	stack.nanoseconds = 10101010;
	if (profile__add_stack(self->profile, &stack))
		abort();
	self->info.samples++;
	self->depth = depth;
}

static void make_heat(struct maker *self)
{
	static const char *const usual[] = {
		CORE ";c:epoll_wait;k:do_epoll_wait",
		ORDERS ";l:render@/etc/nginx/app/view.lua:12;b:cjson.encode",
		ORDERS ";l:fetch@/etc/nginx/app/db.lua:88",
		ROUTE ";b:ngx.re.match;c:pcre_exec",
		APP ";c:lj_gc_step;c:propagatemark",
	};
	char plugin[2048];
	const char *line;

	self->info = (struct profile_info){
		.title = "nginx 1234",
		.command_line = "luaspy record -p 1234 -d 600 -f heatmap",
		.version = "0.1",
		.host = "web-7.example",
		.rate_hz = 99,
		.duration_seconds = 600.01,
		.start_time = 1767225600,
	};
	push(self, PROFILE_THREAD, "nginx");
	for (uint64_t sample = 0; sample < 4 * 99 * 600; sample++) {
		uint64_t time = sample / 4 * 1000000000 / 99 + random_below(500000);
		uint64_t ms = time / 1000000;
		bool timer = ms % 5000 >= 400 && ms % 5000 < 520;
		bool burst = ms >= 123456 && ms < 124256;

		/* A worker is idle for most of the time; less so in the middle of the recording. */
		if (timer && sample % 4 == 0)
			line = CORE ";c:ngx_event_expire_timers;l:on_timer@/etc/nginx/app/"
				    "timer.lua:9;b:table.sort";
		else if (burst)
			line = APP ";l:rebuild@/etc/nginx/app/cache.lua:31;b:string.rep";
		else if (random_below(1000) >= (ms > 200000 && ms < 330000 ? 390u : 210u))
			continue;
		else if (random_below(4))
			line = usual[random_below(5)];
		else {
			snprintf(plugin, sizeof(plugin),
				 APP ";l:plugin_%u@/etc/nginx/app/plugin.lua:%u", random_below(40),
				 1 + random_below(300));
			line = plugin;
		}
		add_timed(self, line, time);
	}
	self->info.complete = self->info.with_lua = self->info.samples;
	self->info.unique_stacks = profile__stack_count(self->profile);
}

/* Time off the CPU. */
static void make_off(struct maker *self)
{
	static const struct {
		const char *line;
		uint64_t count, nanoseconds;
	} stacks[] = {
		{"t:nginx;c:main;l:sleep@/app/a.lua:3;k:hrtimer_nanosleep", 12, 2400000000},
		{"t:nginx;c:main;l:read@/app/a.lua:9;k:io_schedule", 100, 45600000},
		{"t:nginx;c:main;k:futex_wait", 3, 870000},
	};

	self->info = (struct profile_info){
		.title = "nginx 1234",
		.command_line = "luaspy record --off-cpu -p 1234",
		.version = "0.1",
		.kind = PROFILE_OFF_CPU,
		.duration_seconds = 10,
	};
	for (size_t i = 0; i < sizeof(stacks) / sizeof(*stacks); i++) {
		struct profile_stack stack = {.frames = self->stack,
					      .count = stacks[i].count,
					      .nanoseconds = stacks[i].nanoseconds};

		push_line(self, stacks[i].line);
		stack.frame_count = self->depth;
		if (profile__add_stack(self->profile, &stack))
			abort();
		self->info.samples += stack.count;
		self->depth = 0;
	}
	self->info.complete = self->info.with_lua = self->info.samples;
	self->info.unique_stacks = profile__stack_count(self->profile);
}

static int write_times(const struct profile *profile, FILE *out)
{
	for (size_t i = 0; i < profile__stack_count(profile); i++) {
		struct profile_stack stack = profile__stack_at(profile, i);

		for (uint32_t f = 0; f < stack.frame_count; f++)
			fprintf(out, "%s%s", f ? ";" : "",
				profile__frame_at(profile, stack.frames[f])->name);
		for (size_t t = 0; t < stack.time_count; t++)
			fprintf(out, "%c%llu", t ? ' ' : '\t',
				(unsigned long long)stack.times[t] / 1000000);
		fputc('\n', out);
	}
	return 0;
}

static void make_hostile(struct maker *self)
{
	static const char *const names[] = {
		"</script><script>window.hacked=1</script>",
		"<img src=x onerror=window.hacked=2>",
		"]]><script>window.hacked=3</script>",
		"\"+(window.hacked=4)+\"",
		"'+(window.hacked=5)+'",
		"`${window.hacked=6}`",
		"\\\");window.hacked=7;//",
		"<!--<script>",
		"&lt;&amp;&#60;",
		"javascript:window.hacked=8",
		"</title><svg onload=window.hacked=9>",
		"__proto__",
		"constructor",
		"a\nb\tc\r\x01\x1f\x7f",
		"bad \xff\xfe\xc0\xaf\xed\xa0\x80\xf4\x90\x80\x80 bytes",
		"cut \xe2\x82",
		"line\xe2\x80\xa8separator",
		"right\xe2\x80\xaeleft",
		"nonchar\xef\xbf\xbf",
		"\xe6\xbc\xa2\xe5\xad\x97 \xf0\x9f\x94\xa5 \xc3\xa9t\xc3\xa9",
		"semi;colon",
		"",
	};
	static const struct profile_count errors[] = {{"</script><b>error", 3}};

	self->info = (struct profile_info){
		.title = "</title><script>window.hacked=10</script>",
		.command_line = "luaspy record -- sh -c 'echo "
				"\"</script><script>window.hacked=11</script>\" ]]>'",
		.version = "</script>0.1",
		.host = "<b>host</b>",
		.rate_hz = 99,
		.duration_seconds = 1,
		.errors = errors,
		.error_count = 1,
	};
	push(self, PROFILE_THREAD, "<script>window.hacked=12</script>");
	for (size_t i = 0; i < sizeof(names) / sizeof(*names); i++) {
		self->depth = 1;
		push(self, PROFILE_LUA, names[i]);
		add(self, 10);
	}
}

int main(int argc, char **argv)
{
	struct maker maker = {.profile = profile__new()};
	static const struct {
		const char *name;
		int (*write)(const struct profile *profile, FILE *out);
	} formats[] = {
		{"svg", flamegraph__write_svg}, {"html", flamegraph__write_html},
		{"folded", folded__write},	{"heatmap", heatmap__write_html},
		{"times", write_times},
	};
	int err = -EINVAL;

	if (argc != 4 || !maker.profile)
		return 2;
	if (strcmp(argv[1], "nginx") == 0)
		make_nginx(&maker);
	else if (strcmp(argv[1], "large") == 0)
		make_large(&maker);
	else if (strcmp(argv[1], "hostile") == 0)
		make_hostile(&maker);
	else if (strcmp(argv[1], "heat") == 0)
		make_heat(&maker);
	else if (strcmp(argv[1], "off") == 0)
		make_off(&maker);
	profile__set_info(maker.profile, &maker.info);
	for (size_t i = 0; i < sizeof(formats) / sizeof(*formats) && err == -EINVAL; i++) {
		if (strcmp(argv[2], formats[i].name) == 0)
			err = output_file__write(argv[3], maker.profile, formats[i].write);
	}
	profile__free(maker.profile);
	if (err)
		fprintf(stderr, "%s: %s\n", argv[3], strerror(-err));
	return err ? 1 : 0;
}
