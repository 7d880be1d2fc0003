# SPDX-License-Identifier: Apache-2.0
"""What a LuaJIT program loses under LuaJIT's own profiler (-jp), beside luaspy on the same program.

Each window is one process that does a fixed amount of work, compiled and interpreted, and its whole CPU time. luaspy is
attached before the work begins. -jp works inside the process, from its start; its timer is that of the kernel's tick,
so that 1 ms is at most CONFIG_HZ times a second.
"""
import os
import subprocess

import programs
from common import TARGET_CPU, live, pin, say, summary, trimmed_mean, turns
from profilers import Luaspy

WORK = """
io.read()
local text = ("the quick brown fox jumps over the lazy dog "):rep(40)
local seen = 0
local function words(s)
  local counts = {}
  for w in s:gmatch("%a+") do counts[w] = (counts[w] or 0) + 1 end
  return counts
end
local function sorted(counts)
  local keys = {}
  for k in pairs(counts) do keys[#keys + 1] = k end
  table.sort(keys, function(a, b) return counts[a] > counts[b] or (counts[a] == counts[b] and a < b) end)
  return keys
end
local function sum(n) local s = 0 for i = 1, n do s = (s + i * i) % 65521 end return s end
for i = 1, tonumber(arg[1]) do
  seen = seen + #sorted(words(text .. i)) + sum(20000)
end
"""


def one_run(command, script, turns_of_work, profiler=None, rate=0):
    """The CPU seconds of one process."""
    child = subprocess.Popen([*pin(TARGET_CPU), *command, script, str(turns_of_work)], stdin=subprocess.PIPE,
                             stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    live.wait_until(lambda: b"luajit" in os.readlink("/proc/%d/exe" % child.pid).encode(), 5)
    attached = profiler and profiler.start(child.pid, rate)
    child.stdin.write(b"\n")
    child.stdin.close()
    _, status, usage = os.wait4(child.pid, 0)
    child.returncode = os.waitstatus_to_exitcode(status)
    if profiler:
        profiler.stop()
    if child.returncode or (profiler and not attached):
        return None
    return usage.ru_utime + usage.ru_stime


def measure(settings, _web):
    luajit = programs.luajit()
    say("\nA LuaJIT program's CPU time: change by -jp and by luaspy (95 % interval)")
    if not luajit:
        say("there is no LuaJIT here")
        return {}
    script = os.path.join(live.SCRATCH, "work.lua")
    with open(script, "w") as f:
        f.write(WORK)
    work = max(50, int(300 * (0.3 if settings.quick else 1.0) / (one_run([luajit], script, 300) or 1)))
    output = os.path.join(live.SCRATCH, "jp.txt")
    setups = {"plain": ([luajit],), "null": ([luajit],), "-jp, 10 ms": ([luajit, "-jp=fi10," + output],),
              "-jp, 1 ms": ([luajit, "-jp=fi1," + output],),
              "luaspy 99 Hz": ([luajit], Luaspy(settings.luaspy), 99),
              "luaspy 999 Hz": ([luajit], Luaspy(settings.luaspy), 999)}
    if one_run(setups["-jp, 10 ms"][0], script, 10) is None or not live.read(output):
        say("-jp does not work here: jit/p.lua is not installed with this LuaJIT")
        setups = {k: v for k, v in setups.items() if not k.startswith("-jp")}
    found = {name: [] for name in setups}
    for number in range(settings.pairs or (3 if settings.quick else 12)):
        for name in turns(setups, number):
            command, *profiler = setups[name]
            found[name].append(one_run(command, script, work, *profiler))
    result = {}
    for name, times in found.items():
        ratios = [t / plain for t, plain in zip(times, found["plain"]) if t and plain]
        if name != "plain" and ratios:
            result[name] = summary(ratios, trimmed_mean)
            say("%-14s %+.2f %% (%+.2f to %+.2f)" %
                (name, *(100 * (result[name][k] - 1) for k in ("value", "low", "high"))))
    return result
