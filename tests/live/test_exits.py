#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Traces that are left all the time: the functions at the exit come from the exit's snapshot.

With a high hotexit no side trace is made, so every third call of `second` leaves the loop's trace there, and goes
on in the interpreter at the call. The trace has nothing to do on the loop's own line, 17, at which the frame that
is on the Lua stack was last seen by the interpreter.

Some runs compile the loop such that its end, which goes on at line 20, is an exit too: one in 334.
"""
import os

import live

PROGRAM = """jit.opt.start("hotexit=60000")
local flip, sink = {}, 0
for i = 1, 1000 do flip[i] = i % 3 == 0 end
local function third(i)
  if flip[i] then
    return 3
  end
  return 1
end
local function second(i)
  local v = 0
  v = v + third(i)
  return v
end
local function run()
  local n = 0
  for i = 1, 1000 do
     n = n + second(i)
  end
  return n
end
while true do run() end
"""

path = os.path.join(live.SCRATCH, "exits.lua")
with open(path, "w") as f:
    f.write(PROGRAM)
for build in ("bullseye-luajit", "bookworm-luajit", "bookworm-luajit2", "trixie-luajit", "sid-luajit"):
    luajit = live.fixture(build)
    if not luajit:
        live.skip(build, "cannot: no such fixture")
        continue
    target = live.start([luajit, path])
    live.wait_until(lambda: False, 0.3)
    r = live.record("--lines", "--by", "vmstate", "-F", 4999, "-d", 2, "-p", target.pid)
    live.stop(target)
    exits = estimated = known = ends = handled = guessed = 0
    wrong = []
    for frames, count in r.stacks:
        # (GC32: the link of the frame on the stack is rewritten, too; such a sample says so.)
        if "[trace exit]" not in frames or any("Lua frames lost" in x for x in frames):
            continue
        exits += count
        lua = live.lua_frames(frames)
        # Is the exit's handler at work? Then it has stored which exit it is.
        above = frames[max((i for i, x in enumerate(frames) if live.lua_frame(x)), default=-1) + 1:]
        in_handler = any(not x.endswith("_[k]") for x in above)
        handled += count if in_handler else 0
        if lua and lua[-1]["estimated"]:
            estimated += count
            guessed += count if in_handler else 0
        elif lua and (lua[-1]["name"], lua[-1]["line"]) in (("run", "18"), ("third", "5")):
            known += count
        elif lua and (lua[-1]["name"], lua[-1]["line"]) == ("run", "20"):
            known += count
            ends += count
        elif lua:
            wrong.append((frames, count))
    live.note("%s: %d of %d samples in exits: %d known, %d estimated, %d on another line" %
              (build, exits, r.samples, known, estimated, sum(count for _, count in wrong)))
    live.check("%s: samples in trace exits" % build, exits > r.samples / 5, r.stderr)
    # Before, in the trace and its stub, it is not known: 3 to 4 % of the samples on a quiet machine, up to 30 %
    # where many processes share the caches, for the jump to there is far.
    live.check("%s: in the handler of exits each sample has the exit's line" % build,
               handled > exits / 4 and not guessed, handled, exits, guessed, r.stderr)
    live.check("%s: none is on a line where no exit is" % build, not wrong, wrong[:10], r.stderr)
    live.check("%s: the loop's end is one exit in 334" % build, ends <= 0.01 * exits, r.stderr)
live.finish()
