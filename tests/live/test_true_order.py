#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""True order: every sampled stack is one that the program can have.

The program is single_step.lua, which declares who may call whom: "a>b" directly, "a>C>b" through one
C function or built-in. A sampled stack has to be a path of such pairs from the main chunk. Where
functions are compiled, inlined ones are missing from the stacks of this version; there each frame has
to be reachable from the one below.
"""
import os
import re
import signal
import time

import live

SCRIPT = os.path.join(live.TOP, "tests", "live", "single_step.lua")


def declarations():
    names, pairs, anywhere = {}, set(), set()
    with open(SCRIPT) as f:
        for number, line in enumerate(f, 1):
            found = re.search(r"--@(\w+)", line)
            if found:
                names[number] = found.group(1)
            if line.startswith("--:"):
                for chain in line[3:].split():
                    steps = chain.split(">")
                    if steps[0] == "*":
                        anywhere.add(steps[-1])
                    else:
                        pairs.add((steps[0], steps[-1]))
    return names, pairs, anywhere


def closure(pairs):
    reach = set(pairs)
    while True:
        more = {(a, d) for a, b in reach for c, d in pairs if b == c} - reach
        if not more:
            return reach
        reach |= more


NAMES, PAIRS, ANYWHERE = declarations()
REACHABLE = closure(PAIRS | {(a, b) for a in list(NAMES.values()) + ["main"] for b in ANYWHERE})


def lua_frames(frames):
    """Names of the Lua frames; None for one that is not in the program."""
    out = []
    for frame in frames:
        found = re.match(r".*@.*single_step\.lua:(\d+)", frame)
        if found:
            line = int(found.group(1))
            out.append("main" if line == 0 else NAMES.get(line))
        elif frame == "builtin foreach":
            out.append("library")  # LuaJIT's own function, written in Lua
    return out


def impossible(frames, compiled):
    if any(f.startswith("[Lua frames lost") or f.startswith("[Lua stack in transition")
           for f in frames):
        return False  # says of itself that it is not whole; counted as lost
    names = lua_frames(frames)
    if not names:
        return False
    if names[0] != "main" or None in names:
        return True
    for a, b in zip(names, names[1:]):
        if b in ANYWHERE or (a, b) in PAIRS:
            continue
        if not compiled or (a, b) not in REACHABLE:
            return True
    return False


def run(fixture, flags, samples):
    luajit = live.fixture(fixture)
    name = "%s %s" % (fixture, " ".join(flags))
    if not luajit:
        live.check("%s: the fixture is there (tests/fixtures/fetch)" % name, False)
        return
    target = live.start([luajit, *flags, SCRIPT, "3"])

    def stopped():
        with open("/proc/%d/stat" % target.pid) as f:
            return f.read().rpartition(")")[2].split()[0] == "T"

    live.wait_until(stopped, 20)
    os.kill(target.pid, signal.SIGCONT)
    time.sleep(0.2)
    left, wrong, distinct, lost, rate = samples, [], set(), 0, 9999
    while left > 0:
        r = live.record("-F", rate, "-d", min(12, left / rate * 1.3 + 0.3), "-p", target.pid)
        if r.status != 0 or not r.samples:
            live.check("%s: recording" % name, False, r.stderr)
            break
        left -= r.samples
        for frames, count in r.stacks:
            distinct.add(tuple(lua_frames(frames)))
            if impossible(frames, "-joff" not in flags):
                wrong.append((count, ";".join(frames)))
            if any(f.startswith("[Lua ") for f in frames):
                lost += count
    live.stop(target)
    taken = samples - left
    live.note("%s: %d samples, %d distinct Lua stacks, %d without their Lua frames" %
              (name, taken, len(distinct), lost))
    live.check("%s: no impossible stack in %d samples" % (name, samples),
               taken >= samples and not wrong, *wrong[:5])
    live.check("%s: at least 30 distinct stacks were seen" % name, len(distinct) >= 30)
    # This program throws errors and makes stacks grow all the time, and those are the moments in
    # which a Lua stack cannot be read; the bar for ordinary programs is in test_complete.py.
    live.check("%s: at most 0.5 %% of the samples have lost their Lua frames" % name,
               lost <= taken / 200, r.stderr)


run("bookworm-luajit", ["-joff"], 50000)
run("bullseye-luajit", ["-joff"], 20000)
run("bookworm-luajit", ["-jon"], 15000)
run("bullseye-luajit", ["-jon"], 15000)
live.finish()
