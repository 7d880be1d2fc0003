#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""True shares: a program whose shares are fixed by construction, interpreted, beside LuaJIT's own
profiler (-jp) on the same program in the same test."""
import math
import re
import subprocess
import time

import live

PROGRAM = """
-- Each function does the same work per unit; the units are the shares.
local function work50(n) local s = 0 for i = 1, n do s = s + i % 7 end return s end
local function work30(n) local s = 0 for i = 1, n do s = s + i % 7 end return s end
local function work15(n) local s = 0 for i = 1, n do s = s + i % 7 end return s end
local function work05(n) local s = 0 for i = 1, n do s = s + i % 7 end return s end
for round = 1, tonumber(arg[1]) do
  work50(50000) work30(30000) work15(15000) work05(5000)
end
"""
SHARES = {"work50": (3, 50), "work30": (4, 30), "work15": (5, 15), "work05": (6, 5)}

path = live.os.path.join(live.SCRATCH, "shares.lua")
with open(path, "w") as f:
    f.write(PROGRAM)
luajit = live.fixture("bookworm-luajit")

# How many rounds make about 12 seconds?
begin = time.time()
subprocess.check_call([luajit, "-joff", path, "100"])
rounds = str(int(100 * 12 / (time.time() - begin)))

# Both profilers watch the same process: -jp from inside (raw counts, at most 250 a second), luaspy from
# outside.
target = live.start([luajit, "-joff", "-jp=fi4m0r", path, rounds], stdout=subprocess.PIPE)
r = live.record("-F", 4999, "-p", target.pid, timeout=120)
out = target.communicate()[0].decode()

theirs = {name: int(count) for count, name in re.findall(r"(\d+)\s+(work\d+)", out)}
ours = dict.fromkeys(SHARES, 0)
for frames, count in r.stacks:
    lua = live.lua_frames(frames)
    for name, (line, _) in SHARES.items():
        if lua and lua[-1]["chunk"].endswith("shares.lua") and lua[-1]["name"] == name:
            ours[name] += count
their_sum, our_sum = sum(theirs.values()), sum(ours.values())
live.check("20,000 samples were taken", our_sum >= 20000, r.stderr)
live.check("LuaJIT's profiler counted, too", their_sum > 1000, out)
for name, (_, share) in SHARES.items():
    our_share = 100 * ours[name] / max(1, our_sum)
    their_share = 100 * theirs.get(name, 0) / max(1, their_sum)
    # Two standard deviations of the other's own counting: it takes twenty times fewer samples.
    noise = 2 * 100 * math.sqrt(share / 100 * (1 - share / 100) / max(1, their_sum))
    live.note("%s: %d %% by construction, luaspy %.2f %% of %d, -jp %.2f %% of %d" %
              (name, share, our_share, our_sum, their_share, their_sum))
    live.check("%s has %d %% within 2 points" % (name, share), abs(our_share - share) <= 2)
    live.check("%s: within 2 points of LuaJIT's own profiler (beyond its noise)" % name,
               abs(our_share - their_share) <= 2 + noise)
live.finish()
