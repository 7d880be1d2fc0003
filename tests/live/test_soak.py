#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Functions and traces that die and are reused all the time: no frame may name what was never there.

The target (soak.lua) logs the chunks and functions that it makes. LUASPY_SOAK_SECONDS is the length per build
(`./dev soak`: 600).
"""
import os

import live

SECONDS = float(os.environ.get("LUASPY_SOAK_SECONDS", 8))
HERE = os.path.dirname(os.path.abspath(__file__))

for build in ("bookworm-luajit", "bullseye-luajit", "sid-luajit"):
    luajit = live.fixture(build)
    if not luajit:
        live.skip(build, "cannot: no such fixture")
        continue
    log = os.path.join(live.SCRATCH, build + ".log")
    target = live.start([luajit, os.path.join(HERE, "soak.lua"), log])
    live.wait_until(lambda: os.path.exists(log) and os.path.getsize(log) > 1000)
    r = live.record("--lines", "-F", 997, "-d", SECONDS, "-p", target.pid, timeout=SECONDS + 120)
    live.stop(target)
    made = {}
    with open(log) as f:
        for row in f:
            name, *numbers = row.split()
            if len(numbers) == 8:
                made[name] = {int(a): (int(a), int(b)) for a, b in zip(numbers[::2], numbers[1::2])}
    seen, lines, wrong = 0, 0, []
    for frames, count in r.stacks:
        for frame in frames:
            found = live.lua_frame(frame)
            if not found or not found["chunk"].startswith("soak_"):
                continue
            seen += count
            name, first, line = found["chunk"], int(found["first"]), int(found["line"] or 0)
            function = made.get(name, {}).get(first)
            if not function:
                wrong.append((frame, count))
            elif line and first:
                lines += count
                if not function[0] <= line <= function[1]:
                    wrong.append((frame, count))
    compiled = r.count_where(lambda f: f[-1].endswith("_[j]"))
    live.note("%s: %d chunks made, %d frames of them in %d samples, %d with a line, %d compiled leaves; %s" %
              (build, len(made), seen, r.samples, lines, compiled, r.figure(r"lost +(\d+)")))
    live.check("%s: frames of dying functions were seen, compiled ones among them" % build,
               seen > 30 * SECONDS and compiled > 10 * SECONDS, seen, compiled, r.stderr)
    live.check("%s: no frame names a chunk, function or line that was not there" % build, not wrong,
               wrong[:20], len(wrong), r.stderr)
live.finish()
