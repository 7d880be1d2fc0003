#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""True order: every sampled stack is one that the program can have.

The program is single_step.lua, which declares who may call whom (order.py).
"""
import os
import signal
import time

import live
import order


def run(fixture, flags, samples):
    luajit = live.fixture(fixture)
    name = "%s %s" % (fixture, " ".join(flags))
    if not luajit:
        live.check("%s: the fixture is there (tests/fixtures/fetch)" % name, False)
        return
    target = live.start([luajit, *flags, order.SCRIPT, "3"])

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
            distinct.add(tuple(order.lua_frames(frames)))
            if order.impossible(frames, "-joff" not in flags):
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
