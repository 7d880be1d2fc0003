#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""A kind of Lua that a target gets while it is recorded: the programs, which were loaded for those that there were, are
loaded once more, and from then on its frames are there as if it had been there from the start. And where they cannot
be, that is said, and the rest is right."""
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
static int commands, naps;
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
	if (naps)
		usleep(1000);
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
	naps = getenv("NAPS") != NULL;
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

    def __init__(self, *names, **environment):
        commands, self.pipe = os.pipe()
        arguments = [word for name in names for word in (LIBRARIES[name], WORDS[name])]
        self.process = live.start([late, str(commands), *arguments], pass_fds=[commands],
                                  env=dict(os.environ, **environment))
        os.close(commands)
        self.pid = self.process.pid
        self.count = len(names)

    def next(self):
        os.write(self.pipe, b".")

    def stop(self):
        os.close(self.pipe)
        live.stop(self.process)


def verified(pid):
    """How many instructions the verifier went through for the largest of a luaspy's programs, the one that walks; 0: it
    is not loaded yet."""
    try:
        folder = "/proc/%d/fdinfo" % pid
        facts = [live.read(os.path.join(folder, name)).decode() for name in os.listdir(folder)]
    except OSError:
        return 0
    found = [int(n) for text in facts for n in re.findall(r"^verified_insns:\s*(\d+)", text, re.M)]
    return max((n for n in found if n > 5000), default=0)


def sets(pid):
    with open("/proc/%d/status" % pid) as f:
        return {key: int(value, 16) for key, value in re.findall(r"^(Cap\w+):\s*(\w+)", f.read(), re.M)}


def limit_files(pid, limit):
    subprocess.check_call(["prlimit", "--pid", str(pid), "--nofile=%d:" % limit])


class Recorded:
    """A recording of a target while it opens its libraries: what came out, and what luaspy was before they came."""

    def __init__(self, target, *options, prefix=(), few_files=False):
        path = os.path.join(live.SCRATCH, "late.folded")
        luaspy = live.start([*prefix, live.LUASPY, "record", "-f", "folded", "-o", path, *options, "-p",
                             str(target.pid)], stderr=subprocess.PIPE)
        live.wait_until(lambda: verified(luaspy.pid) or luaspy.poll() is not None)
        time.sleep(1)
        self.verified, self.sets = verified(luaspy.pid), sets(luaspy.pid)
        if few_files:
            limit_files(luaspy.pid, max(map(int, os.listdir("/proc/%d/fd" % luaspy.pid))) + 8)
        for _ in range(target.count):
            target.next()  # opens it
            time.sleep(2)
            target.next()  # leaves it
            time.sleep(1)
        if few_files:
            limit_files(luaspy.pid, 1024)
        luaspy.terminate()
        errors = luaspy.stderr.read().decode(errors="replace")
        self.result = live.Recording(luaspy.wait(), errors, live.read(path).decode(errors="replace"))
        self.errors = self.result.stderr
        self.total = sum(n for _, n in self.result.stacks)

    def share(self, test):
        return self.result.count_where(test) / max(1, self.total)

    def share_of(self, name):
        """Of the stacks with this Lua's frames in their order."""
        wanted = [WORDS[name] + "_outer", WORDS[name] + "_inner"]
        return self.share(lambda f: [found["name"] for found in live.lua_frames(f)][1:3] == wanted)


def incomplete(frames):
    return any(x.startswith("[incomplete") for x in frames)


PERFMON = 1 << 38
WORDS = {"PUC Lua": "puc", "LuaJIT": "luajit"}
late = live.compile_c(LATE, "late", "-ldl")
by_kind = live.loads_by_kind()

# Of a command nothing is known when the programs are loaded.
command = live.start([live.LUASPY, "record", "-q", "-o", os.devnull, "--", "sleep", "3"])
live.wait_until(lambda: verified(command.pid))
whole = verified(command.pid)
doctor = live.start([live.LUASPY, "doctor"], stdout=subprocess.DEVNULL)
live.wait_until(lambda: verified(doctor.pid) or doctor.poll() is not None)
tried = doctor.poll() is None and verified(doctor.pid)
live.check("doctor tries all of them", tried > 0.9 * whole, tried, whole)

for names in (("PUC Lua", "LuaJIT"), ("LuaJIT", "PUC Lua")):
    title = ", then ".join(names)
    target = Late(*names)
    r = Recorded(target, "-F", "499")
    target.stop()
    own = r.share(lambda f: "work_in_c" in f)
    shares = {name: r.share_of(name) for name in names}
    live.note("%s: %d samples, in C %.2f, %s, incomplete %.3f; verified %d of %d" %
              (title, r.total, own, shares, r.share(incomplete), r.verified, whole))
    live.check("%s: the recording" % title, r.result.status == 0 and r.total > 1000, r.errors)
    live.check("%s: no walk of Lua is loaded before it comes" % title, not by_kind or r.verified < 0.5 * whole,
               r.verified, whole)
    live.check("%s: until then the right to load is kept, and not in effect" % title, not by_kind or
               r.sets["CapPrm"] & PERFMON and not r.sets["CapEff"] & PERFMON, r.sets)
    live.check("%s: the frames of both, from main on" % title, min(shares.values()) > 0.1 and own > 0.2, shares, own,
               r.errors)
    # While the verifier works what is new has no table yet, and its samples say so.
    live.check("%s: little is incomplete" % title, r.share(incomplete) < 0.15, r.share(incomplete), r.errors)
    wrong = r.share(lambda f: not incomplete(f) and (
        "main" not in f or "work_in_c" in f and live.lua_frames(f) or live.lua_frames(f) and "work_in_lua" not in f))
    live.check("%s: nothing stands in the wrong place" % title, wrong == 0, wrong)

# Off the CPU another program walks.
target = Late("LuaJIT", "PUC Lua", NAPS="1")
r = Recorded(target, "--off-cpu")
target.stop()
slept = {name: r.share(lambda f: any("usleep" in x or "nanosleep" in x for x in f) and
                       any(found["name"] == word + "_outer" for found in live.lua_frames(f)))
         for name, word in WORDS.items()}
live.check("off the CPU: the frames of both", r.result.status == 0 and min(slept.values()) > 0.3, slept, r.errors)

# A right that contains the one that it takes.
target = Late("PUC Lua")
kept = "-all,+bpf,+sys_admin,+sys_ptrace,+dac_read_search,+checkpoint_restore"
r = Recorded(target, "-F", "499", prefix=["setpriv", "--bounding-set=" + kept])
target.stop()
live.check("with CAP_SYS_ADMIN instead of CAP_PERFMON", r.result.status == 0 and r.share_of("PUC Lua") > 0.2,
           r.sets, r.errors)

# No room for what is opened while they are loaded.
target = Late("PUC Lua")
r = Recorded(target, "-F", "499", few_files=True)
target.stop()
lines = re.findall(r"warning: (\S*liblua5.4\S*): the BPF programs for its kind of Lua, which came after the start, could "
                   r"not be loaded: Too many open files\.", r.errors)
live.check("they cannot be loaded: one line says so", r.result.status == 0 and (len(lines) == 1 or not by_kind),
           r.errors)
in_lua = r.share(lambda f: "work_in_lua" in f)
live.check("... and the C frames are there", in_lua > 0.2 and r.share(incomplete) < 0.15 and
           (r.share_of("PUC Lua") == 0 or not by_kind), in_lua, r.share(incomplete), r.errors)
live.finish()
