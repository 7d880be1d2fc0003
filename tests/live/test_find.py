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

CONTAINER = "beef" + "0123456789abcdef" * 3 + "facade000000"
NEIGHBOUR = "beef" + "fedcba9876543210" * 3 + "facade000000"
BUSY = "local function %s()\n local s = 0 for i = 1, 1e5 do s = s + i %% 7 end return s\nend\nwhile true do %s() end\n"
OUT = os.path.join(live.SCRATCH, "found.folded")


def command(name):
    """A LuaJIT that spends its time in a function of that name, in a file of that name."""
    path = os.path.join(live.SCRATCH, name + ".lua")
    with open(path, "w") as f:
        f.write(BUSY % (name, name))
    return [live.fixture("bookworm-luajit"), "-joff", path]


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
    live.check("-n twice, and one that ends: no error", r.status == 0 and r.lost() == 0 and count(r, "alpha_work"),
               r.stderr)
    for child in later:
        live.stop(child)
    refused("-n without a match", 1, ["nothing matches -n nosuchthing", "luaspy list"], "-n", "nosuchthing", "-d", "1")
    sleeper = live.start(["sleep", "987654"])
    refused("-n of what has no Lua", 1, ["none has Lua", "-p PID"], "-n", "^sleep 987654", "-d", "1")
    live.stop(sleeper)
    refused("-n with a broken expression", 2, ["regular expression"], "-n", "a(", "-d", "1")
    refused("a command and -a", 2, ["not both"], "-a", "--", "true")


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
    refused("an id that is cut too short", 1, ["several containers", "beef"], "-c", "beef", "-d", "1")
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
    seen = {pid: sum(n for root, n in roots.items() if root.endswith("/%d" % pid) or str(pid) in root)
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
    live.check("-n of a master: its workers, through a reload", r.status == 0 and count(r, "spin") > 50 and
               len({frames[0] for frames, _ in r.stacks}) >= 4, {frames[0] for frames, _ in r.stacks}, r.stderr)
    nginx.stop()


by_name()
by_container()
by_master()
live.finish()
