#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""2,000 libraries in one process, each a file of its own with unwind tables: C and Lua call each other through eight of
them at a time. All stacks are complete, in order, and nothing is lost; when libraries come while
it is recorded, what cannot be unwound yet is noted.

    tests/soak/mappings.py [LIBRARIES [SECONDS]]      2,000 and 8 unless told
"""
import os
import re
import shutil
import sys
import time

import scale
from scale import live

COUNT = int(sys.argv[1]) if len(sys.argv) > 1 else 2000
SECONDS = float(sys.argv[2]) if len(sys.argv) > 2 else 8

# Each library's function keeps something on the stack and calls on. Compiled without frame pointers.
LIBRARY = r"""
void through(int n, int (*next)(int)) {
	volatile char room[48];
	room[0] = (char)n;
	room[1] = (char)next(n);
}
"""
# argv: the folder with the libraries, how many there are, how many to open at first, and how many each second.
PROGRAM = r"""
#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
typedef struct lua_State lua_State;
lua_State *luaL_newstate(void); void luaL_openlibs(lua_State *); int luaL_loadstring(lua_State *, const char *);
int lua_pcall(lua_State *, int, int, int); void lua_getfield(lua_State *, int, const char *);
void lua_call(lua_State *, int, int); void lua_pushinteger(lua_State *, long); long lua_tointeger(lua_State *, int);
void lua_pushcclosure(lua_State *, int (*)(lua_State *), int); void lua_setfield(lua_State *, int, const char *);
#define GLOBALS -10002
typedef void through(int, int (*)(int));
static through **libraries;
static int opened;
static lua_State *L;
static const char *folder;
static double now(void) { struct timespec t; clock_gettime(CLOCK_MONOTONIC, &t); return t.tv_sec + t.tv_nsec / 1e9; }
static void open_until(int count) {
	char path[512];
	for (; opened < count; opened++) {
		snprintf(path, sizeof(path), "%s/lib%d.so", folder, opened);
		void *handle = dlopen(path, RTLD_NOW | RTLD_LOCAL);
		if (!handle) { fprintf(stderr, "%s\n", dlerror()); exit(1); }
		libraries[opened] = (through *)dlsym(handle, "through");
	}
}

static int pick(void) { return rand() % opened; }
static int next(int n) {
	if (n)
		libraries[pick()](n - 1, next);
	else {
		lua_getfield(L, GLOBALS, "spin");
		lua_call(L, 0, 0);
	}
	return n;
}
static int descend(lua_State *state) { next((int)lua_tointeger(state, 1)); return 0; }
int main(int argc, char **argv) {
	int total = atoi(argv[2]), each = atoi(argv[4]);
	folder = argv[1];
	libraries = calloc(total, sizeof(*libraries));
	open_until(atoi(argv[3]));
	L = luaL_newstate();
	luaL_openlibs(L);
	lua_pushcclosure(L, descend, 0);
	lua_setfield(L, GLOBALS, "descend");
	if (luaL_loadstring(L, "function spin() local s = 0 for i = 1, 3000 do s = s + i % 7 end end\n"
			       "function enter() descend(8) end") || lua_pcall(L, 0, 0, 0)) return 1;
	if (argc > 5) { getchar(); }
	for (double began = now();;) {
		int wanted = atoi(argv[3]) + (int)((now() - began) * each);
		open_until(wanted < total ? wanted : total);
		lua_getfield(L, GLOBALS, "enter");
		lua_call(L, 0, 0);
	}
}
"""


def make_libraries():
    folder = os.path.join(live.SCRATCH, "libraries")
    os.mkdir(folder)
    first = live.compile_c(LIBRARY, "through.so", "-shared", "-fPIC", "-O2", "-fomit-frame-pointer", "-s")
    for i in range(COUNT):
        shutil.copyfile(first, os.path.join(folder, "lib%d.so" % i))
    return folder


def executable(pid):
    return sum(b" r-xp " in line for line in live.read("/proc/%d/maps" % pid).splitlines())


def calls(frames):
    """What stands between Lua's two functions: whole, with a note that something is missing, or neither."""
    libraries = sum(re.match(r"lib\d+\.so|through$", f) is not None for f in frames)
    lua = [f.split("@")[0] for f in frames if re.match("(enter|spin)@", f)]
    if libraries == 8 and lua == ["enter", "spin"]:
        return "whole"
    return "noted" if any("without unwind information" in f or "[incomplete" in f for f in frames) else "silent"


def check(name, r, mappings, tables, whole):
    """`whole`: which share of the chains has to be, in %."""
    chains = [(calls(frames), frames, count) for frames, count in r.stacks
              if any(f.startswith("spin@") for f in frames)]
    kinds = {kind: sum(count for k, _, count in chains if k == kind) for kind in ("whole", "noted", "silent")}
    first = re.search(r"first sample (\d+) ms", r.stderr)
    live.note("%s: %d executable mappings, %d samples, %s %% complete, through eight libraries %s, lost %s; "
              "first sample %s ms; peak %d KB, BPF maps %d KB and unwind tables %d KB, %.2f s of its own CPU; %s" %
              (name, mappings, r.samples, r.complete(), kinds, r.lost(), first and first.group(1), r.peak_kb,
               max(kb for _, _, kb in r.memory), tables, r.cpu_seconds, scale.errors(r)))
    live.check(name + ": recorded, nothing lost", r.status == 0 and r.lost() == 0 and r.samples > 100, r.stderr)
    live.check(name + ": complete", (r.complete() or 0) >= 99, r.stderr)
    live.check(name + ": %d %% of the calls are whole" % whole, sum(kinds.values()) > 50 and
               kinds["whole"] >= whole / 100 * sum(kinds.values()),
               kinds, *[frames for kind, frames, _ in chains if kind != "whole"][:3])
    live.check(name + ": nothing is missing in silence", not kinds["silent"],
               *[frames for kind, frames, _ in chains if kind == "silent"][:3])
    live.check(name + ": the summary's samples are the file's", scale.told(r)[0] == r.samples)


def compile_program():
    shared = os.path.join(live.FIXTURES, "bookworm-luajit", "shared", "libluajit-5.1.so.2")
    return shared, live.compile_c(PROGRAM, "mappings", shared, "-ldl")


def main():
    shared, program = compile_program()
    folder = make_libraries()
    environment = dict(os.environ, LD_LIBRARY_PATH=os.path.dirname(shared))
    target = live.start([program, folder, str(COUNT), str(COUNT), "0"], env=environment)
    live.wait_until(lambda: executable(target.pid) >= COUNT, 60)
    run = scale.Running("-v", "-F", 997, "-d", SECONDS, "-p", target.pid)
    run.started()
    tables = scale.tables_kb(run.child.pid)
    check("all there", run.end(), executable(target.pid), tables, 99.9)
    live.stop(target)
    # The other half comes while it is recorded.
    each = int(COUNT / 2 / max(1, SECONDS - 3))
    target = live.start([program, folder, str(COUNT), str(COUNT // 2), str(each), "wait"], env=environment,
                        stdin=scale.subprocess.PIPE)
    live.wait_until(lambda: executable(target.pid) >= COUNT // 2, 60)
    run = scale.Running("-v", "-F", 997, "-d", SECONDS, "-p", target.pid)
    run.started()
    target.stdin.write(b"\n")
    target.stdin.flush()
    tables = scale.tables_kb(run.child.pid)
    check("%d a second while it is recorded" % each, run.end(), executable(target.pid), tables, 20)
    live.stop(target)


if __name__ == "__main__":
    main()
    live.finish()
