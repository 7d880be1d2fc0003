#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Several VMs in one process: each sample's Lua frames are of the VM that ran, and of no other one. Also LuaJIT
linked statically into stripped programs: nginx, and one of our own."""
import os
import re
import subprocess
import time

import live

LUA = r"""
#include <stddef.h>
typedef struct lua_State lua_State;
lua_State *luaL_newstate(void); void luaL_openlibs(lua_State *);
int luaL_loadbuffer(lua_State *, const char *, size_t, const char *); int lua_pcall(lua_State *, int, int, int);
void lua_getfield(lua_State *, int, const char *); void lua_call(lua_State *, int, int);
#define GLOBALS -10002
"""

# 50 VMs, thread t runs those with number % 8 == t in turn. Each VM has a C function of its own below its Lua frames,
# and its functions bear its number.
MANY = LUA + r"""
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#define VMS 50
#define THREADS 8
static lua_State *vms[VMS];
static volatile int sink;
#define ENTER(n) __attribute__((noinline)) void enter_##n(void) \
	{ lua_getfield(vms[n], GLOBALS, "run_" #n); lua_call(vms[n], 0, 0); sink++; }
#define TEN(f, n) f(n##0) f(n##1) f(n##2) f(n##3) f(n##4) f(n##5) f(n##6) f(n##7) f(n##8) f(n##9)
#define ENTER1(n) ENTER(n)
TEN(ENTER, 1) TEN(ENTER, 2) TEN(ENTER, 3) TEN(ENTER, 4)
ENTER(0) ENTER(1) ENTER(2) ENTER(3) ENTER(4) ENTER(5) ENTER(6) ENTER(7) ENTER(8) ENTER(9)
#define NAME(n) enter_##n,
static void (*const enter[VMS])(void) = {
	enter_0, enter_1, enter_2, enter_3, enter_4, enter_5, enter_6, enter_7, enter_8, enter_9,
	TEN(NAME, 1) TEN(NAME, 2) TEN(NAME, 3) TEN(NAME, 4) };
static const char text[] =
	"%s local function inner_%d(n) local s = 0 ; for i = 1, n do s = s + i %% 7 end return s end\n"
	"function run_%d() local s = 0 ; for i = 1, 30 do s = s + inner_%d(1000 + i %% 2) end\n"
	"  return select(2, pcall(inner_%d, 500)) + s end\n";
static void *run(void *t) {
	for (;;)
		for (int i = (int)(long)t; i < VMS; i += THREADS)
			enter[i]();
}
int main(int argc, char **argv) {
	pthread_t thread;
	for (int i = 0; i < VMS; i++) {
		char source[1024], name[32];
		int length = snprintf(source, sizeof(source), text, i % 2 ? "jit.off()" : "", i, i, i, i);
		snprintf(name, sizeof(name), "=vm_%d", i);
		vms[i] = luaL_newstate();
		luaL_openlibs(vms[i]);
		if (luaL_loadbuffer(vms[i], source, (size_t)length, name) || lua_pcall(vms[i], 0, 0, 0))
			return 1;
	}
	for (long t = 1; t < THREADS; t++)
		pthread_create(&thread, NULL, run, (void *)t);
	run((void *)0L);
}
"""

# Two LuaJITs in one process, a thread each: argv names the libraries.
TWO = r"""
#include <dlfcn.h>
#include <pthread.h>
#include <string.h>
typedef void lua_State;
static void *run(void *library) {
	char *options = strchr(library, '|'), *name = strchr(options + 1, '|');
	*options++ = '\0'; *name++ = '\0';
	void *handle = dlopen(library, RTLD_NOW | RTLD_LOCAL);
	if (!handle) return NULL;
	lua_State *(*newstate)(void) = (lua_State *(*)(void))dlsym(handle, "luaL_newstate");
	void (*openlibs)(lua_State *) = (void (*)(lua_State *))dlsym(handle, "luaL_openlibs");
	int (*load)(lua_State *, const char *, size_t, const char *) =
		(int (*)(lua_State *, const char *, size_t, const char *))dlsym(handle, "luaL_loadbuffer");
	int (*pcall)(lua_State *, int, int, int) = (int (*)(lua_State *, int, int, int))dlsym(handle, "lua_pcall");
	lua_State *L = newstate();
	openlibs(L);
	if (load(L, options, strlen(options), name) == 0) pcall(L, 0, 0, 0);
	return NULL;
}
int main(int argc, char **argv) {
	pthread_t thread;
	pthread_create(&thread, NULL, run, argv[1]);
	run(argv[2]);
	pthread_join(thread, NULL);
}
"""

NGINX = """
worker_processes 1;
daemon off;
pid nginx.pid;
error_log error.log warn;
events { worker_connections 64; }
http {
	access_log off;
	client_body_temp_path body;
	init_worker_by_lua_block {
		local function spin()
			local s, stop = 0, os.clock() + 0.05
			while os.clock() < stop do for i = 1, 1000 do s = s + i % 7 end end
			return s
		end
		local function tick() table.sort({ 3, 2, 1 }, function(a, b) return spin() * 0 + a < b end) end
		ngx.timer.every(0.1, function() tick() end)
	}
}
"""


def shared(build):
    return os.path.join(live.FIXTURES, build, "shared", "libluajit-5.1.so.2")


def is_stripped(path):
    return ".symtab" not in subprocess.check_output(["readelf", "-SW", path], text=True)


def many(build):
    program = live.compile_c(MANY, "many", shared(build), "-lpthread", "-O1")
    target = live.start([program], env=dict(os.environ, LD_LIBRARY_PATH=os.path.dirname(shared(build))))
    time.sleep(1)
    r = live.record("-F", 997, "-d", 4, "-p", target.pid)
    live.stop(target)
    vms, wrong, examples = {}, 0, []
    for frames, count in r.stacks:
        lua = live.lua_frames(frames)
        if not lua:
            continue
        entered = {int(f[6:]) for f in frames if re.fullmatch(r"enter_\d+", f)}
        named = {int(found.group(1)) for f in lua for found in [re.search(r"_(\d+)$", f["name"])] if found}
        chunks = {int(found.group(1)) for f in lua for found in [re.search(r"vm_(\d+)", f["chunk"])] if found}
        if len(entered) == 1 and chunks == entered and (not named or named == entered):
            vm = vms.setdefault(entered.pop(), [0, 0])
            vm[0] += count
            vm[1] += count if named else 0
        else:
            wrong += count
            examples.append(";".join(frames))
    right = sum(vm[0] for vm in vms.values())
    named = sum(vm[1] for vm in vms.values())
    live.check("%s: 50 VMs on 8 threads: no sample has another VM's functions" % build,
               wrong == 0 and right > 0.98 * r.samples > 500, wrong, right, r.samples, *examples[:5], r.stderr)
    live.check("%s: all 50 are seen" % build, set(vms) == set(range(50)), sorted(vms))
    live.check("%s: their functions have names, their stacks are complete, no source disagrees" % build,
               named >= 0.98 * right and r.complete() >= 99.5 and r.lua_complete() >= 99.5 and
               "by its code" not in r.stderr, named, right, r.stderr)
    live.note("%s: %d samples, %d with their own VM's functions (%d by name), %d wrong" %
              (build, r.samples, right, named, wrong))


def two_libraries(first, second):
    """Interpreted: there each activation says itself whose it is."""
    program = live.compile_c(TWO, "two", "-ldl", "-lpthread")
    text = "jit.off() local function %s(n) local s = 0 ; for i = 1, n do s = s + i %% 7 end return s end " \
           "while true do %s(1000) end"
    words = ["%s|%s|=%s" % (shared(build), text % (name, name), name)
             for build, name in ((first, "one"), (second, "two"))]
    target = live.start([program, *words])
    time.sleep(0.5)
    r = live.record("-v", "-F", 997, "-d", 2, "-p", target.pid)
    live.stop(target)
    seen = {"one": 0, "two": 0}
    mixed = 0
    for frames, count in r.stacks:
        chunks = {frame["chunk"] for frame in live.lua_frames(frames)}
        if len(chunks) == 1 and chunks <= set(seen):
            seen[chunks.pop()] += count
        else:
            mixed += count
    live.check("%s and %s in one process, interpreted: both are shown, none is distrusted" % (first, second),
               min(seen.values()) > 100 and mixed <= 0.002 * r.samples and
               r.stderr.count("heaps checked: 1") == 2 and "without Lua frames" not in r.stderr,
               seen, mixed, r.stderr)


def static_nginx():
    nginx = os.path.join(live.FIXTURES, "static-nginx", "nginx")
    if not live.check("static nginx: the fixture is there, stripped", os.access(nginx, os.X_OK) and
                      is_stripped(nginx), nginx):
        return
    needed = subprocess.check_output(["readelf", "-dW", nginx], text=True)
    live.check("static nginx: LuaJIT is in its own file", "luajit" not in needed.lower(), needed)
    prefix = os.path.join(live.SCRATCH, "static-nginx")
    os.makedirs(prefix)
    os.chmod(live.SCRATCH, 0o755)
    with open(os.path.join(prefix, "nginx.conf"), "w") as f:
        f.write(NGINX)
    master = live.start([nginx, "-p", prefix, "-c", "nginx.conf", "-e", "error.log"])
    time.sleep(1)
    r = live.record("-v", "-F", 997, "-d", 3, "-p", master.pid)
    live.stop(master)
    lua = r.count_where(live.lua_frames)
    spin = r.count_where(lambda f: any(x.startswith("spin@init_worker_by_lua(nginx.conf:") for x in f))
    order = r.count_where(lambda f: [x for x in f if "tick@" in x or x == "table.sort" or "spin@" in x][:1] == [] or
                          "table.sort" in f and
                          [i for i, x in enumerate(f) if "tick@" in x] < [f.index("table.sort")] <
                          [i for i, x in enumerate(f) if "spin@" in x])
    live.check("static nginx: samples are complete and have their Lua frames, in order",
               r.samples > 100 and r.complete() >= 99.5 and r.lua_complete() >= 99.5 and order >= 0.99 * r.samples,
               r.samples, order, r.stderr, r.stacks[:5])
    live.check("static nginx: the functions have names", spin >= 0.95 * lua > 100, spin, lua, r.stacks[:5])
    live.check("static nginx: a known build", "known build: " in r.stderr and "disagrees" not in r.stderr, r.stderr)
    live.note("static nginx: %d samples, %d with Lua frames, %d of spin()" % (r.samples, lua, spin))


def main():
    for build in ("bookworm-luajit", "bookworm-luajit2"):
        many(build)
    two_libraries("bookworm-luajit", "bullseye-luajit")
    static_nginx()
    live.finish()


main()
