#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""A kind of Lua that a target gets while it is recorded: the programs, which were loaded for those that there were, are
loaded once more, and from then on its frames are there as if it had been there from the start."""
import os
import re
import subprocess
import time

import live

LIBRARIES = {"PUC Lua": "liblua5.4.so.0",
             "LuaJIT": os.path.join(live.FIXTURES, "bookworm-luajit2", "shared", "libluajit-5.1.so.2")}

# argv[1] is a pipe's end: for each library of the others a byte tells when to open it. Before and between them it works
# in C, and it keeps working in what it has opened, which calls it back.
LATE = r"""
#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <fcntl.h>
#include <unistd.h>
static volatile unsigned long sink;
static int commands;
static void *library;
static int waits(void) {
	char byte;
	return read(commands, &byte, 1) != 1;
}
__attribute__((noinline)) void work_in_c(void) {
	while (waits())
		for (int i = 0; i < 100000; i++)
			sink += (unsigned long)i;
}
static int go_on(void *L) {
	((void (*)(void *, int))dlsym(library, "lua_pushboolean"))(L, waits());
	return 1;
}
__attribute__((noinline)) int work_in_lua(const char *name) {
	static const char text[] =
		"local function %s_inner(n) local s = 0 ; for i = 1, n do s = s + i %% 7 end return s end\n"
		"local function %s_outer(step) local s = 0 ; while step() do s = s + %s_inner(20000) end return s end\n"
		"return (%s_outer(...))\n";
	char source[1024], chunk[32];
	void *L = ((void *(*)(void))dlsym(library, "luaL_newstate"))();
	int (*call)(void *, int, int, int, long, void *) = dlsym(library, "lua_pcallk");
	if (!call)
		call = dlsym(library, "lua_pcall");
	snprintf(source, sizeof(source), text, name, name, name, name);
	snprintf(chunk, sizeof(chunk), "=%s", name);
	((void (*)(void *))dlsym(library, "luaL_openlibs"))(L);
	if (((int (*)(void *, const char *, size_t, const char *, void *))dlsym(library,
		dlsym(library, "luaL_loadbufferx") ? "luaL_loadbufferx" : "luaL_loadbuffer"))
		(L, source, __builtin_strlen(source), chunk, NULL))
		return 1;
	((void (*)(void *, int (*)(void *), int))dlsym(library, "lua_pushcclosure"))(L, go_on, 0);
	return call(L, 1, 0, 0, 0, NULL);
}
int main(int argc, char **argv) {
	commands = atoi(argv[1]);
	fcntl(commands, F_SETFL, O_NONBLOCK);
	for (int i = 2; i + 1 < argc; i += 2) {
		work_in_c();
		library = dlopen(argv[i], RTLD_NOW | RTLD_LOCAL);
		if (!library || work_in_lua(argv[i + 1]))
			return 1;
	}
	work_in_c();
}
"""


class Late:
    """The program, with the libraries that it is going to open."""

    def __init__(self, program, names):
        commands, self.pipe = os.pipe()
        arguments = [word for name in names for word in (LIBRARIES[name], name.split()[0].lower())]
        self.process = live.start([program, str(commands), *arguments], pass_fds=[commands])
        os.close(commands)
        self.pid = self.process.pid

    def next(self):
        os.write(self.pipe, b".")

    def stop(self):
        os.close(self.pipe)
        live.stop(self.process)


def loaded_programs(pid):
    """How many sampling programs a luaspy has."""
    folder = "/proc/%d/fdinfo" % pid
    facts = [live.read(os.path.join(folder, name)) for name in os.listdir(folder)]
    return sum(text.count(b"\nprog_type:\t7\n") for text in facts)  # BPF_PROG_TYPE_PERF_EVENT


def effective(pid):
    with open("/proc/%d/status" % pid) as f:
        return {key: int(value, 16) for key, value in re.findall(r"^(Cap\w+):\s*(\w+)", f.read(), re.M)}


def recorded(target, names, *options):
    """Records while it opens its libraries; the stacks, and how many sampling programs there were after each."""
    path = os.path.join(live.SCRATCH, "late.folded")
    luaspy = live.start([live.LUASPY, "record", "-F", "499", "-f", "folded", "-o", path, *options, "-p", str(target.pid)],
                        stderr=subprocess.PIPE)
    programs = []
    live.wait_until(lambda: loaded_programs(luaspy.pid))
    for _ in names:
        time.sleep(1)
        programs.append(loaded_programs(luaspy.pid))
        if len(programs) == 1:
            capabilities = effective(luaspy.pid)
        target.next()  # opens it
        time.sleep(2)
        target.next()  # leaves it
    time.sleep(1)
    programs.append(loaded_programs(luaspy.pid))
    luaspy.terminate()
    errors = luaspy.stderr.read().decode(errors="replace")
    return live.Recording(luaspy.wait(), errors, live.read(path).decode(errors="replace")), programs, capabilities


PERFMON = 1 << 38
late = live.compile_c(LATE, "late", "-ldl")
for names in (("PUC Lua", "LuaJIT"), ("LuaJIT", "PUC Lua")):
    title = ", then ".join(names)
    target = Late(late, names)
    r, programs, capabilities = recorded(target, names)
    target.stop()
    incomplete = r.count_where(lambda f: any(x.startswith("[incomplete") for x in f))
    shares = {}
    for name in names:
        word = name.split()[0].lower()
        shares[name] = r.count_where(lambda f: [found["name"] for found in live.lua_frames(f)][1:3] ==
                                     [word + "_outer", word + "_inner"])
    own = r.count_where(lambda f: "work_in_c" in f)
    live.note("%s: %d samples, in C %d, %s, incomplete %d; programs %s" %
              (title, r.samples, own, shares, incomplete, programs))
    live.check("%s: the recording" % title, r.status == 0 and r.samples > 1000, r.stderr)
    live.check("%s: loaded once more, when the first comes" % title, programs == [1, 2, 2], programs)
    live.check("%s: until then the right to load is kept, and not in effect" % title,
               capabilities["CapPrm"] & PERFMON and not capabilities["CapEff"] & PERFMON, capabilities)
    live.check("%s: the frames of both, from main on" % title,
               all(n > 0.08 * r.samples for n in shares.values()) and own > 0.2 * r.samples,
               shares, own, r.stderr)
    # While the verifier works what is new has no table yet, and its samples say so.
    live.check("%s: little is incomplete" % title, incomplete < 0.2 * r.samples, incomplete, r.samples)
    wrong = r.count_where(lambda f: "work_in_lua" in f and "main" not in f or "work_in_c" in f and live.lua_frames(f))
    live.check("%s: nothing stands in the wrong place" % title, wrong == 0, wrong)
live.finish()
