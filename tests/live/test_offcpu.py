#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""record --off-cpu and --wall: the time off the CPU of programs that block for known times, by their own clock."""
import concurrent.futures
import os
import shutil
import signal
import subprocess
import time

import live

LUAJIT = live.fixture("bookworm-luajit")
LUAJIT = LUAJIT and os.path.join(os.path.dirname(LUAJIT), "usr/bin/luajit")
WAITING, BEFORE = "[waiting for a CPU]", "[off the CPU since before the recording]"

# Waits in four ways and says how long, by the machine's clock (10 ms), which PUC Lua can read only so.
LUA = """
local function now()
  local f = io.open("/proc/uptime") local s = f:read("*l") f:close() return tonumber(s:match("%S+"))
end
local function run_command() os.execute("sleep 0.7") end
local function read_command() local p = io.popen("sleep 0.7; echo x") local s = p:read("*a") p:close() return s end
local function read_fifo() local f = io.open(arg[1]) local s = f:read("*a") f:close() return s end
local function in_callback() string.gsub("ab", ".", function() os.execute("sleep 0.35") end) end
local function in_coroutine() coroutine.wrap(function() os.execute("sleep 0.7") end)() end
local work = { run_command = run_command, read_command = read_command, read_fifo = read_fifo,
  in_callback = in_callback, in_coroutine = in_coroutine }
io.stdin:read("*l")
for _, name in ipairs({ "run_command", "read_command", "read_fifo", "in_callback", "in_coroutine" }) do
  local start = now()
  for i = 1, 2 do work[name]() end
  print(name, math.floor((now() - start) * 1e6))
end
print("done")
io.stdout:flush()
io.stdin:read("*a")
"""


class Recorder:
    """A recording that goes on until it is stopped."""

    def __init__(self, *arguments):
        self.path = os.path.join(live.SCRATCH, "%s-off.folded" % arguments[-1])
        command = [live.LUASPY, "record", "-f", "folded", "-o", self.path, *[str(a) for a in arguments]]
        self.child = live.start(command, stderr=subprocess.PIPE)
        self.began = live.wait_until(self.attached, 20)
        time.sleep(1)

    def attached(self):
        """Does it hear of switches?"""
        folder = "/proc/%d/fdinfo/" % self.child.pid
        try:
            return any(b"sched_switch" in live.read(folder + fd) for fd in os.listdir(folder))
        except OSError:
            return False

    def stop(self):
        self.child.send_signal(signal.SIGINT)
        _, stderr = self.child.communicate(timeout=60)
        text = live.read(self.path).decode(errors="replace")
        if os.path.exists(self.path):
            os.unlink(self.path)
        return live.Recording(self.child.returncode, stderr.decode(errors="replace"), text)


def said(target, recorder):
    """Lets a target work: what it says of each function, in microseconds; the recording; when that was stopped."""
    own = {}
    target.stdin.write(b"go\n")
    target.stdin.flush()
    while True:
        line = target.stdout.readline().decode().split()
        if not line or line[0] == "done":
            break
        own[line[0]] = int(line[1])
    stopped = time.monotonic()
    r = recorder.stop()
    target.stdin.close()
    return own, r, stopped


def agree(name, own, r, slack_us, inside):
    """Each function has the time that the program itself has measured, within 2 %."""
    live.note("%s: %s" % (name, r.stderr.splitlines()[0] if r.stderr else "?"))
    for function, us in own.items():
        got = r.count_where(lambda f, function=function: any(inside(x, function) for x in f))
        live.check("%s: %s: %d us, by its own clock %d" % (name, function, got, us),
                   abs(got - us) <= 0.02 * us + slack_us, r.stderr)
    live.check("%s: nothing lost" % name, r.lost() == 0, r.stderr)


def threads():
    """A C program that waits for time, a pipe, a socket, events, a lock and the disk."""
    source = os.path.join(live.TOP, "tests", "live", "off_cpu.c")
    with open(source) as f:
        program = live.compile_c(f.read(), "off_cpu", "-lpthread", "-g")
    target = live.start([program, os.path.join(live.SCRATCH, "disk")], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    time.sleep(0.2)
    begin = time.monotonic()
    recorder = Recorder("--off-cpu", "-p", target.pid)
    middle = time.monotonic()
    own, r, stopped = said(target, recorder)
    inside, length = stopped - middle, time.monotonic() - begin
    # Writing to the disk is work, too.
    disk = r.count_where(lambda f: "write_to_disk" in f)
    live.check("C: write_to_disk: %d us of the %d that it takes" % (disk, own.get("write_to_disk", 0)),
               0 < disk < 1.02 * own.pop("write_to_disk", 0) + 5000, r.stderr)
    # The end of a wait, until the thread has looked at its clock, is on the CPU.
    agree("C", own, r, 10000, lambda frame, function: frame == function)
    for function, kernel in (("wait_for_time", "nanosleep"), ("read_pipe", "pipe_read"), ("take_lock", "futex"),
                             ("receive_from_socket", "unix_stream"), ("wait_for_events", "epoll_wait")):
        whole = r.count_where(lambda f, function=function: function in f)
        why = r.count_where(lambda f, function=function, kernel=kernel: function in f and any(
            kernel in x and x.endswith("_[k]") for x in f))
        live.check("C: the kernel's stack says why in %s" % function, why > 0.9 * whole,
                   [f for f, _ in r.stacks if function in f])
    never = r.count_where(lambda f: "never_comes_back" in f and any("pause" in x and x.endswith("_[k]") for x in f))
    live.check("C: a thread that never comes back has the whole time (%d us) and a stack" % never,
               0.98 * inside * 1e6 < never < 1.02 * length * 1e6, inside, length, r.stderr)
    live.check("C: nothing is without a stack", r.count_where(lambda f: BEFORE in f) < 100000, r.stderr)
    live.check("C: no frame of the scheduler or of luaspy's program",
               not r.count_where(lambda f: any("bpf" in x or x.startswith("__schedule_") for x in f)), r.stacks[:3])
    live.check("C: whole stacks", (r.complete() or 0) >= 99.5, r.stderr)
    live.stop(target)


def is_function(frame, function):
    """A Lua function's frame? A caller may have called it by a longer name, as work.in_callback."""
    found = live.lua_frame(frame)
    return found and found["name"].split(".")[-1] == function


def lua(name, command):
    fifo = os.path.join(live.SCRATCH, "fifo " + name)
    os.mkfifo(fifo)
    target = live.start([*command, SCRIPT, fifo], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    writer = live.start(["sh", "-c", "while true; do exec 3> '%s'; sleep 0.7; echo x >&3; exec 3>&-; sleep 0.05; done"
                         % fifo])
    time.sleep(0.2)
    own, r, _ = said(target, Recorder("--off-cpu", "-p", target.pid))
    live.stop(writer)
    # The clock that the program reads has hundredths.
    agree(name, own, r, 25000, is_function)
    live.check("%s: five functions" % name, len(own) == 5, own)
    for function, builtin in (("run_command", "os.execute"), ("read_command", "file:read"),
                              ("in_callback", "os.execute")):
        order = r.count_where(lambda f, function=function, builtin=builtin: builtin in f and any(
            is_function(x, function) for x in f[:f.index(builtin)]))
        live.check("%s: %s waits in %s" % (name, function, builtin), order > 1e6, r.stderr)
    first = r.count_where(lambda f: f[-1] != WAITING and "file:read" in f and is_function(
        f[f.index("file:read") - 1], "main chunk"))
    live.check("%s: what it waited for when the recording began (%d us)" % (name, first), first > 0.5e6, r.stderr)
    live.check("%s: whole stacks with their Lua frames" % name,
               (r.complete() or 0) >= 99.5 and r.lua_complete() == 100, r.stderr)
    live.stop(target)


def off_cpu_us(pid):
    """The clock and the CPU time of a process's only thread, in microseconds."""
    return time.monotonic() * 1e6, int(live.read("/proc/%d/schedstat" % pid).split()[0]) / 1000


def wait_for_cpu():
    """Two that spin share a CPU: what one of them is off the CPU it waits for one."""
    cpu = min(os.sched_getaffinity(0))
    targets = [live.start([spinner()], preexec_fn=lambda: os.sched_setaffinity(0, {cpu})) for _ in range(2)]
    time.sleep(0.3)
    outside = off_cpu_us(targets[0].pid)
    recorder = Recorder("--off-cpu", "-p", targets[0].pid)
    before = off_cpu_us(targets[0].pid)
    time.sleep(1.5)
    after = off_cpu_us(targets[0].pid)
    r = recorder.stop()
    end = off_cpu_us(targets[0].pid)
    waited = r.count_where(lambda f: f[-1] == WAITING)
    least = after[0] - before[0] - (after[1] - before[1])
    most = end[0] - outside[0] - (end[1] - outside[1])
    live.check("a thread that is preempted waits for a CPU: %d us, by the kernel at least %d, at most %d" %
               (waited, least, most), 0.98 * least < waited < 1.02 * most + 20000 and least > 300000, r.stderr)
    live.check("it does not wait for anything else",
               r.count_where(lambda f: f[-1] not in (WAITING, BEFORE)) < 0.01 * r.samples, r.stderr, r.stacks)
    for target in targets:
        live.stop(target)


def spinner():
    return live.compile_c("int main(void) { for (volatile unsigned long x = 0;; x++) ; }", "spinner")


def wall():
    """Half of the time work, half of it sleep: together all of it."""
    program = live.compile_c(r"""
#include <time.h>
static volatile unsigned long x;
static double cpu(void) {
	struct timespec t;
	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
	return t.tv_sec + t.tv_nsec / 1e9;
}
__attribute__((noinline)) static void work(void) { for (double end = cpu() + 0.02; cpu() < end;) x++; }
__attribute__((noinline)) static void rest(void) { struct timespec t = {.tv_nsec = 20000000}; nanosleep(&t, 0); }
int main(void) { for (;;) { work(); rest(); } }""", "half")
    target = live.start([program])
    time.sleep(0.1)
    r = live.record("--wall", "-F", 499, "-d", 3, "-p", target.pid)
    on = r.figure(r"Hz: ([\d.]+) s of CPU")
    off = r.figure(r"off the CPU, ([\d.]+) s in all")
    live.note("wall: %s" % r.stderr.splitlines()[0])
    live.check("wall: on and off the CPU together are the recording's time", abs(r.samples - 3e6) < 0.05 * 3e6 and
               abs(on + off - 3) < 0.15, r.stderr)
    live.check("wall: work is on the CPU, rest is not",
               r.count_where(lambda f: "work" in f and WAITING not in f) > 0.9e6 * on and
               r.count_where(lambda f: "rest" in f and WAITING not in f) > 0.95e6 * r.figure(r"blocked +([\d.]+)"),
               r.stderr, r.stacks)
    cpu_only = live.record("-F", 499, "-d", 1, "-p", target.pid)
    live.check("a recording of CPU time has no sleep in it", cpu_only.count_where(lambda f: "do_nanosleep_[k]" in f) <
               0.02 * cpu_only.samples and "off the CPU" not in cpu_only.stderr, cpu_only.stderr)
    r = live.record("--off-cpu", "--min-block", 30000, "-d", 2, "-p", target.pid)
    short = r.figure(r"shorter than 30000 us +(\d+)")
    live.check("--min-block leaves out what is shorter, and says so (%s)" % short, short and short > 20 and
               r.count_where(lambda f: "rest" in f) < 1e6, r.stderr)
    live.stop(target)


def come_and_go():
    """Threads and processes that come and go."""
    churn = live.compile_c(r"""
#include <pthread.h>
#include <stdio.h>
#include <time.h>
static long total;
static long now_us(void) {
	struct timespec t;
	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * 1000000 + t.tv_nsec / 1000;
}
__attribute__((noinline)) static void *brief(void *arg) {
	struct timespec t = {.tv_nsec = 5000000};
	long start = now_us();
	nanosleep(&t, 0);
	__sync_fetch_and_add(&total, now_us() - start);
	return arg;
}
int main(void) {
	getchar();
	for (long end = now_us() + 1500000; now_us() < end;) {
		pthread_t t[4];
		for (int i = 0; i < 4; i++) pthread_create(&t[i], 0, brief, 0);
		for (int i = 0; i < 4; i++) pthread_join(t[i], 0);
	}
	printf("brief %ld\ndone\n", total);
	fflush(stdout);
	while (getchar() != EOF) ;
}""", "churn", "-lpthread")
    target = live.start([churn], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    time.sleep(0.1)
    own, r, _ = said(target, Recorder("--off-cpu", "-p", target.pid))
    # In each of some 1,000 sleeps the thread looks at its clock twice.
    agree("threads that come and go", own, r, 50000, lambda frame, function: frame == function)
    live.check("... and nothing is without a stack", r.count_where(lambda f: BEFORE in f) < 100000, r.stderr)
    live.stop(target)
    r = live.record("--off-cpu", "--", "sh", "-c", "sleep 0.5; true")
    child = r.count_where(lambda f: f[0] == "sleep" and "do_nanosleep_[k]" in f)
    parent = r.count_where(lambda f: f[0] == "sh" and any("do_wait" in x for x in f))
    live.check("a command's child that sleeps at once (%d us), and its parent (%d us)" % (child, parent),
               490000 < child < 600000 and 490000 < parent < 800000, r.stderr, r.stacks)


def messages():
    for arguments, text in ((["--off-cpu", "-F", "99"], "-F has no meaning"),
                            (["--min-block", "5"], "--min-block needs"),
                            (["--off-cpu", "--wall"], "either --off-cpu or --wall"),
                            (["--off-cpu", "--times"], "--times are those of samples"),
                            (["--off-cpu", "--min-block", "x"], "--min-block must be a whole number")):
        r = live.record(*arguments, "-p", os.getpid())
        live.check("%s: %s" % (" ".join(arguments), text), r.status == 2 and text in r.stderr, r.stderr)


def nginx():
    """A worker that is idle or under load: off and on the CPU it has the whole time."""
    if not shutil.which("nginx") or not shutil.which("wrk"):
        live.skip("nginx", "no nginx or wrk")
        return
    server = live.Nginx()
    load = server.load(8)
    time.sleep(0.5)
    r = live.record("--wall", "-F", 499, "-d", 3, "-p", server.worker)
    live.stop(load)
    live.note("nginx: %s" % r.stderr.splitlines()[0])
    live.check("nginx: on and off the CPU together are the recording's time (%d us)" % r.samples,
               abs(r.samples - 3e6) < 0.1 * 3e6, r.stderr)
    # (Some 5 of 10,000 come while the VM changes its own structures, and say so; of these 1,200 that may be three.)
    live.check("nginx: whole stacks with their Lua frames", (r.complete() or 0) >= 99.5 and
               (r.lua_complete() or 0) >= 99.7, r.stderr)
    live.check("nginx: nothing lost", r.lost() == 0, r.stderr)
    r = live.record("--off-cpu", "-d", 1, "-p", server.worker)
    live.check("nginx: an idle worker waits for events", r.count_where(
        lambda f: any("epoll_wait" in x for x in f)) > 0.98e6, r.stderr, r.stacks)
    server.stop()


messages()
SCRIPT = os.path.join(live.SCRATCH, "off.lua")
with open(SCRIPT, "w") as script:
    script.write(LUA)
commands = {"LuaJIT": [LUAJIT], "LuaJIT, interpreted": [LUAJIT, "-joff"]} if LUAJIT else {}
for version in ("5.1", "5.4"):
    if shutil.which("lua" + version):
        commands["Lua " + version] = ["lua" + version]
    else:
        live.skip("Lua " + version, "no lua" + version)
time.sleep(0.1)  # a script that is as old as its process may be another one: its names would not be used
# They sleep, mostly.
with concurrent.futures.ThreadPoolExecutor(8) as pool:
    done = [pool.submit(threads), *[pool.submit(lua, name, command) for name, command in commands.items()]]
for job in done:
    job.result()
wait_for_cpu()
wall()
come_and_go()
nginx()
live.finish()
