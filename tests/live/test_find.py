#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Targets by name, container, control group, all, and an nginx master for its workers: also those that come while
the recording goes on, through reloads and crashes."""
import os
import signal
import subprocess
import threading
import time

import live
import targets

# Two ids that begin alike, of this run alone.
CONTAINER, NEIGHBOUR = (("beef%08x" % (os.getpid() * 16 + digit)).ljust(64, "%x" % digit) for digit in (1, 2))
BUSY = "local function %s()\n local s = 0 for i = 1, 1e5 do s = s + i %% 7 end return s\nend\nwhile true do %s() end\n"
OUT = os.path.join(live.SCRATCH, "found.folded")


def write_sources():
    # A source that is as young as its process may be another one than that it has read: no name is taken from it.
    for name in ("alpha_work", "alpha_later", "beta_work", "inside", "outside", "looping"):
        with open(os.path.join(live.SCRATCH, name + ".lua"), "w") as f:
            f.write(BUSY % (name, name))
    time.sleep(0.1)


def command(name):
    """A LuaJIT that spends its time in a function of that name, in a file of that name."""
    return [live.fixture("bookworm-luajit"), "-joff", os.path.join(live.SCRATCH, name + ".lua")]


def luajit(name):
    return live.start(command(name))


def count(r, name):
    return r.count_where(lambda frames: any(f.startswith(name + "@") for f in frames))


def refused(name, status, words, *arguments):
    done = subprocess.run([live.LUASPY, "record", *arguments], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                          stderr=subprocess.PIPE, check=False, timeout=30)
    text = done.stderr.decode(errors="replace")
    live.check(name, done.returncode == status and all(w in text for w in words), done.returncode, text)


def descriptors(pid):
    return len(os.listdir("/proc/%d/fd" % pid))


class During:
    """Does something while a recording goes on, `seconds` after it has begun."""

    def __init__(self, seconds, action):
        self.timer = threading.Timer(seconds, action)
        self.timer.start()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.timer.join()


def by_name():
    alpha, beta = luajit("alpha_work"), luajit("beta_work")
    later = []
    time.sleep(0.3)
    with During(1.5, lambda: later.append(luajit("alpha_later"))):
        r = live.record("-F", 199, "-d", 4, "-n", "alpha_[a-z]+\\.lua$")
    live.check("-n finds the one whose command line matches", count(r, "alpha_work") > 40 and r.status == 0, r.stderr)
    live.check("-n leaves the other out", not count(r, "beta_work"))
    live.check("-n adds one that starts later", count(r, "alpha_later") > 20, count(r, "alpha_later"), r.stderr)
    live.stop(beta)
    with During(1, lambda: live.stop(alpha)):
        r = live.record("-F", 199, "-d", 2, "-n", "alpha_", "-n", "nosuchthing")
    live.check("-n twice, and one that ends: no error", r.status == 0 and r.lost() == 0 and count(r, "alpha_later"),
               r.stderr)
    for child in later:
        live.stop(child)
    refused("-n without a match", 1, ["nothing matches -n nosuchthing", "luaspy list"], "-n", "nosuchthing", "-d", "1")
    sleeper = live.start(["sleep", "987654"])
    refused("-n of what has no Lua", 1, ["none has Lua", "-p PID"], "-n", "^sleep 987654", "-d", "1")
    live.stop(sleeper)
    refused("-n with a broken expression", 2, ["regular expression"], "-n", "a(", "-d", "1")
    refused("a command and -a", 2, ["not both"], "-a", "--", "true")


def crash_loop():
    """A program that is started again and again: each run is found, and nothing stays open of those before."""
    recorder = first = None
    opened = left = 0
    for run in range(6):
        child = luajit("looping")
        if recorder is None:
            time.sleep(0.3)
            recorder = live.start([live.LUASPY, "record", "-F", "199", "-f", "folded", "--threads", "-o", OUT, "-n",
                                   "looping.lua"], stderr=subprocess.PIPE)
            time.sleep(1)
        time.sleep(1.5)
        left = descriptors(recorder.pid)
        if run == 0:
            opened, first = left, child.pid
        child.kill()
        child.wait()
    time.sleep(1)
    live.check("a recording by name goes on when all have ended", recorder.poll() is None)
    recorder.send_signal(signal.SIGINT)
    errors = recorder.communicate(timeout=30)[1].decode(errors="replace")
    with open(OUT) as f:
        roots = {line.split(";")[0] for line in f}
    live.check("a crash loop: each run has samples", recorder.returncode == 0 and len(roots) == 6, first, roots, errors)
    live.check("... and nothing stays open of those before", left <= opened + 2, opened, left)


def by_container():
    first = targets.Container(command("inside"), CONTAINER, "luaspy-first")
    if not first.pid:
        live.skip("containers", "cannot: no control group can be made here")
        return
    other = luajit("outside")
    for what, argument in (("its id's beginning", CONTAINER[:12]), ("its whole id", CONTAINER),
                           ("its name", "luaspy-first")):
        r = live.record("-F", 199, "-d", 1, "-c", argument)
        live.check("-c with " + what, r.status == 0 and count(r, "inside") > 10 and not count(r, "outside"), r.stderr)
    r = live.record("-F", 199, "-d", 1, "--cgroup", first.group)
    live.check("--cgroup with a place in /sys", r.status == 0 and count(r, "inside") > 10, r.stderr)
    r = live.record("-F", 199, "-d", 1, "--cgroup", "/docker/")
    live.check("--cgroup with a group above it", count(r, "inside") > 10 and not count(r, "outside"), r.stderr)
    r = live.record("-F", 199, "-d", 2, "-a")
    live.check("-a has those inside and outside", count(r, "inside") > 10 and count(r, "outside") > 10, r.stderr)
    live.stop(other)
    second = targets.Container(command("inside"), NEIGHBOUR, "luaspy-second")
    refused("an id that is cut too short", 1, ["several containers", CONTAINER[:11]], "-c", CONTAINER[:11], "-d", "1")
    refused("no such container", 1, ["nothing matches -c luaspy-third"], "-c", "luaspy-third", "-d", "1")
    second.stop()
    first.stop()


def by_master():
    """Reloads and crashes: samples of each generation of workers, nothing left open."""
    nginx = targets.OwnNginx(os.path.join(live.SCRATCH, "nginx"), workers=2)
    generations = [set(nginx.workers())]
    recorder = live.start([live.LUASPY, "record", "-F", "199", "-f", "folded", "--threads", "-o", OUT, "-p",
                           str(nginx.pid)], stderr=subprocess.PIPE)
    time.sleep(2)
    opened = descriptors(recorder.pid)
    for _ in range(3):
        nginx.reload()
        generations.append(set(nginx.workers()))
        time.sleep(1.5)
    for _ in range(3):
        victim = nginx.workers()[0]
        os.kill(victim, signal.SIGKILL)
        live.wait_until(lambda: victim not in nginx.workers() and len(nginx.workers()) == 2)
        generations.append(set(nginx.workers()))
        time.sleep(1.5)
    left = descriptors(recorder.pid)
    recorder.send_signal(signal.SIGINT)
    errors = recorder.communicate(timeout=30)[1].decode(errors="replace")
    with open(OUT) as f:
        text = f.read()
    r = live.Recording(recorder.returncode, errors, text)
    roots = {}
    for frames, n in r.stacks:
        roots[frames[0]] = roots.get(frames[0], 0) + n
    seen = {pid: sum(n for root, n in roots.items() if root.endswith("/%d" % pid))
            for workers in generations for pid in workers}
    live.note("samples by worker:", seen)
    live.check("an nginx master: every worker of every generation has samples", len(seen) >= 8 and
               all(n >= 5 for n in seen.values()), seen, sorted(roots), errors)
    live.check("... in one profile without an error", r.status == 0 and r.lost() == 0 and r.complete() > 99, errors)
    live.check("... with Lua functions by name", count(r, "spin") > r.samples / 2, r.samples, text[:2000])
    # Two workers at any time; shutting-down ones may linger.
    live.check("... and no descriptors left of those that have gone", left <= opened + 12, opened, left)

    alone = live.record("-F", 199, "-d", 1, "--no-children", "-p", nginx.pid)
    live.check("--no-children takes just the master", alone.status == 0 and alone.samples < 20, alone.stderr)
    worker = nginx.workers()[0]
    both = live.record("-F", 199, "-d", 2, "--threads", "-p", "%d,%d" % (worker, worker))
    live.check("a worker that is named twice is sampled once", both.status == 0 and both.samples < 199 * 2 * 0.75,
               both.samples, both.stderr)

    # By name the master stands for its workers, too, although their titles say less.
    with During(1, nginx.reload):
        r = live.record("-F", 199, "-d", 4, "--threads", "-n", "master process.*%s" % nginx.prefix)
    roots = {frames[0] for frames, _ in r.stacks}
    live.check("-n of a master: its workers, through a reload", r.status == 0 and count(r, "spin") > 50 and
               all(any(root.endswith("/%d" % pid) for root in roots) for pid in nginx.workers()), roots, r.stderr)
    nginx.stop()


write_sources()
by_name()
crash_loop()
by_container()
by_master()
live.finish()
