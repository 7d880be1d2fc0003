#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""PUC Lua 5.1 to 5.5: complete stacks, true order, known shares of functions and lines.

The program of the order is single_step.lua (see test_true_order.py), those of the shares are known_work.py's.
"""
import os
import re
import shutil
import signal
import time

import known_work
import live
import order

SAMPLES = 20000


def stopped(pid):
    with open("/proc/%d/stat" % pid) as f:
        return f.read().rpartition(")")[2].split()[0] == "T"


def check_order(name, command):
    target = live.start([*command, order.SCRIPT, "3"])
    live.wait_until(lambda: stopped(target.pid), 20)
    os.kill(target.pid, signal.SIGCONT)
    time.sleep(0.2)
    left, wrong, distinct, lost, complete = SAMPLES, [], set(), 0, []
    while left > 0:
        r = live.record("-F", 9999, "-d", min(12, left / 9999 * 1.3 + 0.3), "-p", target.pid)
        if r.status != 0 or not r.samples:
            live.check("%s: recording" % name, False, r.stderr)
            break
        left -= r.samples
        complete.append(r.complete())
        for frames, count in r.stacks:
            distinct.add(tuple(order.lua_frames(frames)))
            if order.impossible(frames, False):
                wrong.append((count, ";".join(frames)))
            if any(f.startswith("[Lua ") for f in frames):
                lost += count
    live.stop(target)
    taken = SAMPLES - left
    live.note("%s: %d samples, %d impossible, %d distinct Lua stacks, %d without their Lua frames, complete %s %%" %
              (name, taken, sum(c for c, _ in wrong), len(distinct), lost, min(complete, default=0)))
    live.check("%s: no impossible stack in %d samples" % (name, SAMPLES), taken >= SAMPLES and not wrong, *wrong[:5])
    live.check("%s: at least 30 distinct stacks" % name, len(distinct) >= 30)
    # A function that is being called or left by C, an error on its way, a stack that grows: this program does
    # nothing else.
    live.check("%s: at most 1 %% of the samples have lost their Lua frames" % name, lost <= taken / 100, r.stderr)
    live.check("%s: complete" % name, complete and min(complete) >= 99.5, r.stderr)


def check_shares(name, command):
    program = known_work.nested()
    target = live.start([*command, program.path()])
    live.wait_until(lambda: False, 0.2)
    r = live.record("--lines", "-F", 9999, "-d", 2.5, "-p", target.pid)
    live.stop(target)
    lines, functions, _, others = known_work.shares(r, program)
    total = sum(lines.values()) + others
    off = known_work.worst(functions, known_work.wanted(program))
    off_lines = known_work.worst(lines, program.weights)
    live.note("%s: %d samples, functions %.1f points off, lines %.1f, %.1f %% on other lines, Lua frames %s %%" %
              (name, r.samples, off, off_lines, 100 * others / max(1, total), r.lua_complete()))
    live.check("%s: 20,000 samples" % name, r.samples >= SAMPLES, r.stderr)
    live.check("%s: the shares of functions are right within 2 points" % name, off <= 2, functions)
    live.check("%s: all samples have their Lua frames" % name, (r.lua_complete() or 0) >= 99.9, r.stderr)


for version in ("5.1", "5.2", "5.3", "5.4"):
    command = shutil.which("lua" + version)
    if not live.check("lua%s is installed" % version, command):
        continue
    check_order("lua" + version, [command])
    check_shares("lua" + version, [command])
live.finish()
