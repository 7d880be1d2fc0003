#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""64 processes with 100 threads in all, recorded at once by pid, by name and by -a: each one's samples are those of its
CPU time, nothing is lost, and the summary's figures are the sum of the file's.

    tests/soak/many.py [SECONDS]      10 unless told
"""
import collections
import os
import re
import shutil
import sys
import time

import scale
from scale import live

SECONDS = float(sys.argv[1]) if len(sys.argv) > 1 else 10
RATE = 997
TICKS = 2  # per second

# For each line on stdin every thread works 4 to 8 ms of CPU time, by its number.
THREADS = r"""
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t more = PTHREAD_COND_INITIALIZER;
static long wanted;
static double used(void)
{ struct timespec t; clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t); return t.tv_sec + t.tv_nsec / 1e9; }
__attribute__((noinline)) static void work(long ms) { double end = used() + ms / 1e3; while (used() < end) ; }
static void *run(void *n) {
	for (long done = 0;; done++) {
		pthread_mutex_lock(&lock);
		while (done == wanted) pthread_cond_wait(&more, &lock);
		pthread_mutex_unlock(&lock);
		work(4 + 2 * (long)n % 5);
	}
	return n;
}
int main(int argc, char **argv) {
	pthread_t t;
	for (long i = 1; i < atol(argv[1]); i++) pthread_create(&t, NULL, run, (void *)i);
	while (getchar() == '\n') {
		pthread_mutex_lock(&lock);
		wanted++;
		pthread_cond_broadcast(&more);
		pthread_mutex_unlock(&lock);
		work(4);
	}
}
"""
# The same for a line on stdin.
LUA = """
local ms = tonumber(arg[1]) / 1000
local function work()
  local s, stop = 0, os.clock() + ms
  while os.clock() < stop do for i = 1, 100 do s = s + i % 7 end end
end
for _ in io.lines() do work() end
"""


def start_all():
    """28 of LuaJIT, 24 of PUC Lua, 12 of C with 4 threads each."""
    script = os.path.join(live.SCRATCH, "many-%d.lua" % os.getpid())
    with open(script, "w") as f:
        f.write(LUA)
    puc = [p for p in map(shutil.which, ("lua5.1", "lua5.2", "lua5.3", "lua5.4")) if p]
    luajit = live.fixture("bookworm-luajit")
    commands = [luajit] * 28 + [puc[i % len(puc)] for i in range(24)]
    lua = [live.start([command, script, str(4 + i % 5)], stdin=scale.subprocess.PIPE)
           for i, command in enumerate(commands)]
    program = live.compile_c(THREADS, "many", "-lpthread")
    return lua, [live.start([program, "4"], stdin=scale.subprocess.PIPE) for _ in range(12)], script


def by_pid(r):
    samples = collections.Counter()
    for frames, count in r.stacks:
        found = re.fullmatch(r".* (\d+)", frames[0])
        samples[int(found.group(1)) if found else 0] += count
    return samples


def main():
    lua, native, script = start_all()
    processes = lua + native
    pids = [p.pid for p in processes]
    live.wait_until(lambda: sum(len(os.listdir("/proc/%d/task" % pid)) for pid in pids) == 100)
    threads = {pid: len(os.listdir("/proc/%d/task" % pid)) for pid in pids}
    live.check("64 processes with 100 threads run", len(pids) == 64 and sum(threads.values()) == 100, threads)
    chosen = {"by pid": (("-p", ",".join(map(str, pids))), pids),
              "by name": (("-n", re.escape(os.path.basename(script))), [p.pid for p in lua]),
              "all": (("-a",), [p.pid for p in lua])}
    runs = {name: scale.Running("-v", "-F", RATE, "--by", "pid", *words) for name, (words, _) in chosen.items()}
    for run in runs.values():
        run.started()
    # They work only while all three record.
    before = {pid: scale.cpu_ns(pid) for pid in pids}
    for _ in range(int(SECONDS * TICKS)):
        for process in processes:
            process.stdin.write(b"\n")
            process.stdin.flush()
        time.sleep(1 / TICKS)
    live.wait_until(lambda: scale.idle(pids), 60)
    cpu = {pid: (scale.cpu_ns(pid) - before[pid]) / 1e9 for pid in pids}
    for name, (_, mine) in chosen.items():
        check(name, runs[name].end(stop=True), {pid: cpu[pid] for pid in mine}, threads)
    for process in processes:
        live.stop(process)


def check(name, r, cpu, threads):
    samples = by_pid(r)
    total, _, _ = scale.told(r)
    mine = sum(samples[pid] for pid in cpu)
    expected = sum(cpu.values()) * RATE
    # A tick more or less for each thread.
    wrong = {pid: (samples[pid], seconds * RATE) for pid, seconds in cpu.items()
             if abs(samples[pid] - seconds * RATE) > 2 * threads[pid] + 0.02 * seconds * RATE}
    live.note("%s: %d processes, %.2f s of CPU time, %d samples of them (%+.2f %%), %d in all, lost %s, "
              "%s %% complete; timers started after %s ms; peak %d KB, BPF maps %d KB, %.2f s of its own CPU" %
              (name, len(cpu), sum(cpu.values()), mine, 100 * (mine / max(1, expected) - 1), total, r.lost(),
               r.complete(), r.figure(r"timers started (\d+)"), r.peak_kb,
               max(kb for _, _, kb in r.memory), r.cpu_seconds))
    live.check(name + ": recorded, nothing lost", r.status == 0 and r.lost() == 0, r.stderr)
    live.check(name + ": each process has the samples of its CPU time", not wrong and mine > 10 * len(cpu), wrong,
               r.stderr)
    live.check(name + ": the summary's samples are the file's", total == r.samples > 0, total, r.samples)
    live.check(name + ": complete", (r.complete() or 0) >= 99.5 and (r.lua_complete() or 0) >= 99.5, r.stderr)
    if name != "all":
        live.check(name + ": nobody else's samples", set(samples) <= set(cpu), set(samples) - set(cpu))


main()
live.finish()
