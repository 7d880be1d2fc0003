#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Targets that exit, exec, fork, start threads, load, replace and unload libraries, reload."""
import os
import re
import subprocess
import threading
import time

import live

LUAJIT = live.fixture("bookworm-luajit")
# The fixture's command is a script: while its shell runs, the process already has the name "luajit".
LUAJIT = LUAJIT and os.path.join(os.path.dirname(LUAJIT), "usr/bin/luajit")
SPIN = "local function spin() local s = 0 for i = 1, %s do s = s + i %% 7 end return s end spin()"


def cpu_seconds(pid):
    total = 0
    for tid in os.listdir("/proc/%d/task" % pid):
        with open("/proc/%d/task/%s/schedstat" % (pid, tid)) as f:
            total += int(f.read().split()[0])
    return total / 1e9


# ---- commands
for code, status in (("os.exit(0)", 0), ("os.exit(3)", 3)):
    r = live.record("--", LUAJIT, "-e", code)
    live.check("a command's status %d is passed on" % status, r.status == status, r.stderr)
r = live.record("--", "sh", "-c", "kill -9 $$")
live.check("a command that is killed by signal 9 gives 137", r.status == 137, r.status)
begin = time.time()
r = live.record("-d", 1, "--", "sh", "-c", "sleep 4; exit 5")
live.check("-d ends the recording, not the command", r.status == 5 and time.time() - begin >= 3.9 and
           re.search(r"luaspy: waiting for sh \(pid \d+\), which goes on\.", r.stderr), r.status, r.stderr)
r = live.record("-F", 499, "--", "sh", "-c", LUAJIT + " -joff -e '%s'; true" % (SPIN % "1e8"))
live.check("the children of a command are profiled",
           r.count_where(lambda f: f[0] == "luajit" and live.lua_frames(f)) > 50, r.stderr)

# ---- exit
target = live.start([LUAJIT, "-joff", "-e", SPIN % "1.5e8"])
r = live.record("-F", 997, "-d", 30, "-p", target.pid, timeout=25)
live.check("a target that exits ends the recording, which is valid",
           r.status == 0 and r.samples > 100 and (r.complete() or 0) > 99, r.stderr)
target.wait()

# ---- exec
target = live.start(["sh", "-c", "i=0; while [ $i -lt 1500000 ]; do i=$((i+1)); done; exec %s -joff -e '%s'" %
                     (LUAJIT, SPIN % "1.5e8")])
r = live.record("-F", 499, "-d", 30, "-p", target.pid, timeout=28)
shell = r.count_where(lambda f: f[0] == "sh" and "main" in f or any("dash" in x for x in f))
lua = r.count_where(lambda f: live.lua_frames(f))
# Inside execve itself the name changes before the old image is gone: that is no mixture.
mixed = r.count_where(lambda f: not any("execve" in x for x in f) and
                      (f[0] == "luajit" and any("dash+" in x for x in f) or
                       f[0] == "sh" and any("luajit+" in x or live.lua_frame(x) for x in f)))
suspects = [";".join(f) for f, _ in r.stacks if any("dash+" in x for x in f) and f[0] == "luajit"]
live.check("exec: samples of both images, none mixed", shell > 20 and lua > 20 and mixed == 0,
           shell, lua, mixed, suspects, r.stderr)
target.wait()
spinner = live.compile_c("int main(void) { for (volatile long i = 0; i < 400000000; i++) ; }", "spinner")
target = live.start([LUAJIT, "-joff", "-e", SPIN % "3e8" + """
local ffi = require("ffi")
ffi.cdef("int execl(const char *, const char *, ...);")
ffi.C.execl("%s", "spinner", ffi.cast("char *", nil))""" % spinner])
r = live.record("-F", 499, "-d", 30, "-p", target.pid, timeout=28)
lua = r.count_where(lambda f: f[0] == "luajit" and live.lua_frames(f))
after = r.count_where(lambda f: f[0] == "spinner" and "main" in f)
mixed = [";".join(f) for f, _ in r.stacks if f[0] == "spinner" and not any("execve" in x for x in f) and
         any(live.lua_frame(x) or "lua" in x for x in f)]
live.check("exec from Lua: samples of both images, none of LuaJIT in the new one's",
           lua > 50 and after > 50 and not mixed, lua, after, mixed, r.stderr)
target.wait()

MODULE = r"""
typedef struct lua_State lua_State;
void lua_createtable(lua_State *, int, int);
void lua_pushcclosure(lua_State *, int (*)(lua_State *), int);
void lua_setfield(lua_State *, int, const char *);
static int work(lua_State *L) { for (volatile int i = 0; i < 2000; i++) ; return 0; }
int luaopen_worker(lua_State *L);
int luaopen_worker(lua_State *L)
{
	lua_createtable(L, 0, 0);
	lua_pushcclosure(L, work, 0);
	lua_setfield(L, -2, "exported");
	return 1;
}
"""
IMAGE = """
jit.off()
package.cpath = "%s/?.so"
local file, worker = io.tmpfile(), require("worker")
local stop = arg[1] and os.time() + 5 or math.huge
repeat for k = 1, 10 do file:seek("set", 0) end worker.exported() until os.time() >= stop
if arg[1] then
	local ffi = require("ffi")
	ffi.cdef("int execl(const char *, const char *, ...);")
	ffi.C.execl("/bin/sh", "sh", arg[1], arg[2], ffi.cast("char *", nil))
end
""" % live.SCRATCH
live.compile_c(MODULE, "worker.so", "-shared", "-fPIC")
for name in ("first", "second"):
    with open(os.path.join(live.SCRATCH, name + ".lua"), "w") as f:
        f.write(IMAGE)
# Another build has other numbers for its built-in functions; without address space randomisation the same build has
# its VM where the old one was.
for what, then, wrapper in (("another build", live.fixture("bookworm-luajit2"), []),
                            ("the same build at the same addresses", live.fixture("bookworm-luajit"), ["setarch", "-R"])):
    target = live.start([*wrapper, LUAJIT, live.SCRATCH + "/first.lua", then, live.SCRATCH + "/second.lua"])
    time.sleep(0.5)  # names are read when a VM is first seen, and at the end
    r = live.record("-F", 499, "-d", 7, "-p", target.pid)
    live.stop(target)
    wrong = {f for stack, _ in r.stacks for f in stack if re.match(r"io\.|file:(?!seek)", f) and
             not f.startswith("io.tmpfile")}
    # What an image loads after its names were read, and loses by exec before they are read again.
    unnamed = r.count_where(lambda f: any(x.startswith("builtin#") for x in f))
    counts = [r.count_where(lambda f, image=image, name=name: name in f and any(image in x for x in f))
              for image in ("first.lua", "second.lua") for name in ("file:seek", "worker.exported")]
    live.check("exec of %s: the built-in and C functions of both images have their names" % what,
               min(counts) > 5 and not wrong and unnamed <= 0.01 * r.samples, counts, wrong, unnamed, r.stderr)

# ---- fork
FORK = r"""
#include <unistd.h>
static volatile unsigned long x;
__attribute__((noinline)) static void parent_work(void) { for (;;) x++; }
__attribute__((noinline)) static void child_work(void) { for (;;) x++; }
int main(void) { sleep(1); if (fork() == 0) { alarm(6); child_work(); } parent_work(); }
"""
target = live.start([live.compile_c(FORK, "forker")])
time.sleep(0.2)
r = live.record("-F", 499, "-d", 3, "-p", target.pid)
live.check("fork: the parent is profiled, its child is not",
           r.count_where(lambda f: "parent_work" in f) > 200 and not r.count_where(lambda f: "child_work" in f),
           r.stderr)
live.stop(target)

# ---- threads that come and go, also while the timers are being set: none counted twice, none missed
THREADS = r"""
#include <pthread.h>
#include <stdlib.h>
static long loops;
static void *work(void *p) { for (long i = 0; i < loops; i++) __asm__ volatile(""); return p; }
int main(int argc, char **argv) {
	pthread_t t[8];
	loops = atol(argv[1]);
	for (int i = 0; i < 8; i++) pthread_create(&t[i], 0, work, 0);
	for (int i = 0;; i = (i + 1) % 8) {
		pthread_join(t[i], 0);
		pthread_create(&t[i], 0, work, 0);
	}
}
"""
live.compile_c(THREADS, "threads", "-lpthread")


def recorded_share(children):
    """A recording of the processes, and its samples as a share of what their CPU time is worth."""
    def used():  # CPU time, ended threads included: clock_getcpuclockid(3)
        return sum(time.clock_gettime((~child.pid << 3) | 2) for child in children)

    times = []
    watcher = threading.Thread(target=lambda: (time.sleep(0.6), times.append(used()),
                                               time.sleep(2.4), times.append(used())))
    watcher.start()
    recorded = live.record("-F", 499, "-d", 3, "-p", ",".join(str(child.pid) for child in children))
    watcher.join()
    seconds = recorded.figure(r"samples in ([\d.]+) s")
    return recorded, recorded.samples / max(1, 499 * seconds * (times[1] - times[0]) / 2.4)


def share_within(low, high, *commands):
    """The same of new processes; once more where it is out of bounds, as it may be when others' load changes
    between the recording's beginning and its middle, of which the CPU time is: by a quarter, at times. A mistake
    gives twice as many samples, or half of them."""
    for _ in range(3):
        children = [live.start(command) for command in commands]
        time.sleep(0.3)
        recorded, share = recorded_share(children)
        for child in children:
            live.stop(child)
        if low < share < high:
            break
    return recorded, share


# A thread's timer starts with it: the rest of its life after the last whole period, up to 2 ms, is not seen.
for loops, low, what in ((300000000, 0.75, "100 ms"), (20000000, 0.5, "a few milliseconds")):
    _, share = share_within(low, 1.4, [os.path.join(live.SCRATCH, "threads"), str(loops)])
    live.note("threads that live for %s: %.3f of the samples that their CPU time is worth" % (what, share))
    live.check("threads that live for %s are counted once" % what, low < share < 1.4, share)
_, share = share_within(0, 1.1, [os.path.join(live.SCRATCH, "threads"), "2000000"])
live.note("threads that live for less than the sampling period: %.3f" % share)

# ---- libraries
LIBRARY = r"""
static volatile unsigned long x;
void %(name)s_inner(void);
__attribute__((noinline)) void %(name)s_inner(void) { for (int i = 0; i < 20000000; i++) x++; }
void work(void);
void work(void) { %(name)s_inner(); x++; }
"""
HOST = r"""
#include <dlfcn.h>
#include <stdio.h>
#include <unistd.h>
static volatile int returned;
__attribute__((noinline)) static void with_alpha(void (*work)(void)) { work(); returned++; }
__attribute__((noinline)) static void with_beta(void (*work)(void)) { work(); returned--; }
int main(int argc, char **argv) {
	usleep(700000);
	for (int round = 0;; round++) {
		int which = round % (argc - 1);
		void *h = dlopen(argv[1 + which], RTLD_NOW);
		void (*work)(void) = (void (*)(void))dlsym(h, "work");
		write(1, ".", 1);
		for (int i = 0; i < 6 || argc == 2; i++) (which ? with_beta : with_alpha)(work);
		dlclose(h);
	}
}
"""
for name in ("alpha", "beta"):
    live.compile_c(LIBRARY % {"name": name}, "lib%s.so" % name, "-shared", "-fPIC")
paths = [os.path.join(live.SCRATCH, "lib%s.so" % name) for name in ("alpha", "beta")]
loads_path = os.path.join(live.SCRATCH, "loads")
with open(loads_path, "w") as f:
    target = live.start([live.compile_c(HOST, "host", "-ldl"), *paths], stdout=f)
r = live.record("-F", 997, "-d", 5, "-p", target.pid)
live.stop(target)
alpha = r.count_where(lambda f: "with_alpha" in f and f[-1] == "alpha_inner")
beta = r.count_where(lambda f: "with_beta" in f and f[-1] == "beta_inner")
# The second library is mapped where the first was: until luaspy has seen that, its frames get the first one's
# names. How long that takes follows from the share of such samples.
stale = r.count_where(lambda f: "with_alpha" in f and f[-1] == "beta_inner" or
                      "with_beta" in f and f[-1] == "alpha_inner")
loads = max(1, os.path.getsize(loads_path))
live.note("dlopen: alpha %d, beta %d, stale %d (%.1f ms per load), %s %% complete" %
          (alpha, beta, stale, stale * 1000 / 997 / loads, r.complete()))
live.check("dlopen and dlclose during the recording: both libraries are named",
           alpha > 300 and beta > 300, r.stderr)
live.check("... a frame gets the name of a library that was unloaded in fewer than 5 % of samples",
           stale < 0.05 * r.samples, stale, r.samples)
live.check("... and 98 % of the samples are complete", (r.complete() or 0) >= 98, r.stderr)
for what, path in (("replaced", paths[0]), ("deleted", paths[1])):
    target = live.start([os.path.join(live.SCRATCH, "host"), path])
    time.sleep(1)
    os.unlink(path)
    if what == "replaced":
        with open(path, "w") as f:
            f.write("not a library any more")
    r = live.record("-F", 499, "-d", 1.5, "-p", target.pid)
    live.stop(target)
    live.check("a library that was %s on disk is read through the mapping" % what,
               r.count_where(lambda f: f[-1] in ("alpha_inner", "beta_inner")) > r.samples / 2 and
               (r.complete() or 0) > 99, r.stderr)

# ---- several processes, threads' ids
NAMES = ("one", "two")
LOOP = "local function %s() for i = 1, 1e12 do local x = i %% 3 end end %s()"
r, share = share_within(0.75, 1.4, *([LUAJIT, "-joff", "-e", LOOP % (name, name)] for name in NAMES))
of = [r.count_where(lambda f: any(x.startswith(name + "@") for x in f)) for name in NAMES]
live.check("several pids at once", r.status == 0 and 0.75 < share < 1.4 and min(of) > 0.25 * sum(of) > 100, of, share,
           r.stderr)

target = live.start([os.path.join(live.SCRATCH, "threads"), "2000000000"])
time.sleep(0.2)
tid = max(int(t) for t in os.listdir("/proc/%d/task" % target.pid))
r = live.record("-F", 499, "-d", 1, "-p", tid, "--threads")
live.stop(target)
live.check("a thread's id: its process is profiled, and luaspy says so",
           r.status == 0 and "%d is a thread of process %d" % (tid, target.pid) in r.stderr and
           len({frames[0] for frames, _ in r.stacks}) > 1, r.samples, r.stderr)

# ---- nginx reload
server = live.Nginx()
load = server.load(8)
time.sleep(0.5)
with open("/proc/%d/stat" % server.worker) as f:
    master = int(f.read().rpartition(")")[2].split()[1])
recording = subprocess.Popen([live.LUASPY, "record", "-f", "folded", "-F", "499", "-d", "20", "-p",
                              str(server.worker), "-o", os.path.join(live.SCRATCH, "reload.folded")],
                             stderr=subprocess.PIPE)
time.sleep(2)
os.kill(master, 1)
text = recording.communicate(timeout=30)[1].decode()
live.stop(load)
server.stop()
found = re.search(r"thread's start ([\d.]+) %", text)
live.check("nginx reload: the worker's end ends its recording, which is valid",
           recording.returncode == 0 and found and float(found.group(1)) >= 99, text)
live.finish()
