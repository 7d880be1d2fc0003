#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Targets that exit, exec, fork, start threads, load, replace and unload libraries, reload."""
import os
import re
import subprocess
import time

import live

LUAJIT = live.fixture("bookworm-luajit")
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
r = live.record("-d", 1, "--", "sh", "-c", "sleep 2; exit 5")
live.check("-d ends the recording, not the command", r.status == 5 and time.time() - begin >= 1.9, r.status)
r = live.record("-F", 499, "--", "sh", "-c", LUAJIT + " -joff -e '%s'; true" % (SPIN % "1e8"))
live.check("the children of a command are profiled",
           r.count_where(lambda f: f[0] == "luajit" and any(x.startswith("@") for x in f)) > 50, r.stderr)

# ---- exit
target = live.start([LUAJIT, "-joff", "-e", SPIN % "1.5e8"])
r = live.record("-F", 997, "-d", 30, "-p", target.pid, timeout=25)
live.check("a target that exits ends the recording, which is valid",
           r.status == 0 and r.samples > 100 and (r.complete() or 0) > 99, r.stderr)
target.wait()

# ---- exec
target = live.start(["sh", "-c", "i=0; while [ $i -lt 300000 ]; do i=$((i+1)); done; exec %s -joff -e '%s'" %
                     (LUAJIT, SPIN % "1.5e8")])
r = live.record("-F", 499, "-d", 30, "-p", target.pid, timeout=28)
shell = r.count_where(lambda f: f[0] == "sh" and "main" in f or any("dash" in x for x in f))
lua = r.count_where(lambda f: any(x.startswith("@") for x in f))
# Inside execve itself the name changes before the old image is gone: that is no mixture.
mixed = r.count_where(lambda f: not any("execve" in x for x in f) and
                      (f[0] == "luajit" and any("dash+" in x for x in f) or
                       f[0] == "sh" and any("luajit+" in x or x.startswith("@") for x in f)))
suspects = [";".join(f) for f, _ in r.stacks if any("dash+" in x for x in f) and f[0] == "luajit"]
live.check("exec: samples of both images, none mixed", shell > 20 and lua > 20 and mixed == 0,
           shell, lua, mixed, suspects, r.stderr)
target.wait()

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

# ---- threads that come and go: none counted twice, none missed. (Each thread's timer starts anew, so a
# thread loses half a period: they live for many.)
THREADS = r"""
#include <pthread.h>
static void *work(void *p) { for (int i = 0; i < 60000000; i++) __asm__ volatile(""); return p; }
int main(void) {
	for (;;) {
		pthread_t t[4];
		for (int i = 0; i < 4; i++) pthread_create(&t[i], 0, work, 0);
		for (int i = 0; i < 4; i++) pthread_join(t[i], 0);
	}
}
"""
target = live.start([live.compile_c(THREADS, "threads", "-lpthread")])
time.sleep(0.3)
with open("/proc/%d/stat" % target.pid) as f:
    before = sum(map(int, f.read().rpartition(")")[2].split()[11:13])) / os.sysconf("SC_CLK_TCK")
begin = time.time()
r = live.record("-F", 499, "-d", 4, "-p", target.pid)
took = time.time() - begin
with open("/proc/%d/stat" % target.pid) as f:
    used = sum(map(int, f.read().rpartition(")")[2].split()[11:13])) / os.sysconf("SC_CLK_TCK") - before
live.stop(target)
expected = 499 * used * 4 / took
live.note("threads: %d samples, %d expected from the CPU time" % (r.samples, expected))
live.check("threads that come and go are counted once", 0.8 < r.samples / max(1, expected) < 1.1,
           r.samples, expected)

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
int main(int argc, char **argv) {
	usleep(700000);
	for (int round = 0;; round++) {
		void *h = dlopen(argv[1 + round %% (argc - 1)], RTLD_NOW);
		void (*work)(void) = (void (*)(void))dlsym(h, "work");
		for (int i = 0; i < 6 || argc == 2; i++) work();
		dlclose(h);
	}
}
""".replace("%%", "%")
for name in ("alpha", "beta"):
    live.compile_c(LIBRARY % {"name": name}, "lib%s.so" % name, "-shared", "-fPIC")
paths = [os.path.join(live.SCRATCH, "lib%s.so" % name) for name in ("alpha", "beta")]
target = live.start([live.compile_c(HOST, "host", "-ldl"), *paths])
r = live.record("-F", 997, "-d", 5, "-p", target.pid)
live.stop(target)
alpha = r.count_where(lambda f: f[-1] == "alpha_inner")
beta = r.count_where(lambda f: f[-1] == "beta_inner")
mixed = r.count_where(lambda f: any(x.startswith("alpha") for x in f) and any(x.startswith("beta") for x in f))
live.note("dlopen: alpha %d, beta %d, mixed %d, %s %% complete" % (alpha, beta, mixed, r.complete()))
live.check("dlopen and dlclose during the recording: both libraries are named, none mixed",
           alpha > 300 and beta > 300 and not mixed, r.stderr)
live.check("... and 98 % of the samples are complete", (r.complete() or 0) >= 98, r.stderr)
target = live.start([os.path.join(live.SCRATCH, "host"), paths[0]])
time.sleep(1)
os.unlink(paths[0])
with open(paths[0], "w") as f:
    f.write("not a library any more")
r = live.record("-F", 499, "-d", 2, "-p", target.pid)
live.stop(target)
live.check("a library that was replaced on disk is read through the mapping",
           r.count_where(lambda f: f[-1] == "alpha_inner") > r.samples / 2, r.stderr)

# ---- several processes, threads' ids
targets = [live.start([LUAJIT, "-joff", "-e", "local function %s() for i = 1, 1e12 do local x = i %% 3 end end %s()" %
                       (n, n)]) for n in ("one", "two")]
time.sleep(0.2)
r = live.record("-F", 499, "-d", 2, "-p", ",".join(str(t.pid) for t in targets))
live.check("several pids at once", r.status == 0 and 1500 < r.samples < 2100, r.samples, r.stderr)
for t in targets:
    live.stop(t)

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
