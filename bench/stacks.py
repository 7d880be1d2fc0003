# SPDX-License-Identifier: Apache-2.0
"""What is in the results: of the samples that the CPU time makes, how many; whole stacks, Lua names; their size.

All profilers are on the same busy nginx worker, one after the other. A stack is whole when it reaches main.
"""
import os
import re
import time

from common import cpu_ns, live, say
from profilers import Luaspy, others

MAIN = re.compile(r"main(\+|$| )")


def one_run(profiler, worker, rate, seconds):
    """The samples that the worker's CPU time should make; None if it did not start."""
    if not profiler.start(worker, rate):
        profiler.stop()
        return None
    cpu = cpu_ns(worker)
    time.sleep(seconds)
    cpu = cpu_ns(worker) - cpu
    profiler.stop()
    profiler.make_readable()
    return cpu / 1e9 * rate


def look_at(profiler, expected):
    stacks = profiler.stacks()
    samples = sum(count for _, count in stacks)
    if not samples:
        return None
    whole = sum(count for frames, count in stacks if any(map(MAIN.match, frames)))
    lua = named = of_lua = 0
    for frames, count in stacks:
        found = live.lua_frames(frames)
        lua += count if found else 0
        of_lua += count * len(found)
        named += count * sum(1 for frame in found if frame["name"])
    return {"samples": samples, "expected": expected,
            "whole %": 100 * whole / samples, "with Lua %": 100 * lua / samples,
            "Lua frames named %": 100 * named / of_lua if of_lua else None,
            "bytes per 1,000 samples": 1000 * os.path.getsize(profiler.path) / samples}


def results(settings, web, seconds):
    found = {}
    for profiler in [Luaspy(settings.luaspy), *others()[:2 if settings.quick else None]]:
        missing = profiler.missing()
        if missing:
            say("%s: %s" % (profiler.name, missing))
            continue
        expected = one_run(profiler, web.worker, 999, seconds)
        entry = look_at(profiler, expected) if expected else None
        if not entry:
            say("%-12s no result: %s" % (profiler.name, profiler.said().strip()[:200]))
            continue
        found[profiler.name] = entry
        say("%-12s %6d samples of %6.0f; to main %6.2f %%; with Lua %5.1f %%; named %5.1f %%; %8.1f KB per 1,000" %
            (profiler.name, entry["samples"], expected, entry["whole %"], entry["with Lua %"],
             entry["Lua frames named %"] or 0, entry["bytes per 1,000 samples"] / 1024))
    return found


def sizes(settings, web, seconds):
    """Bytes per 1,000 samples of luaspy's formats, by the number of samples in their closing lines."""
    found = {}
    for ending in ("html", "pb.gz"):
        profiler = Luaspy(settings.luaspy, "luaspy", ending)
        if one_run(profiler, web.worker, 999, seconds) is None:
            continue
        samples = re.search(r"(\d+) samples in", profiler.said())
        if samples and int(samples.group(1)):
            found[ending] = 1000 * os.path.getsize(profiler.path) / int(samples.group(1))
            say("luaspy, %-5s %.1f KB per 1,000 samples" % (ending, found[ending] / 1024))
    return found


def lost(settings, web, seconds):
    found = {}
    for rate in (999, 4999, 9999):
        profiler = Luaspy(settings.luaspy)
        expected = one_run(profiler, web.worker, rate, seconds)
        words = re.search(r"lost +(\d+)", profiler.said())
        if expected and words:
            taken = sum(count for _, count in profiler.stacks())
            found["%d" % rate] = {"taken": taken, "expected": expected, "lost": int(words.group(1))}
            say("luaspy at %d Hz: %d samples of %.0f, %d lost" % (rate, taken, expected, int(words.group(1))))
    return found


def measure(settings, web):
    seconds = 3 if settings.quick else 10
    say("\nWhat is in the result, 999 Hz, %d s, busy nginx worker" % seconds)
    load = web.busy(20 * seconds + 120)
    time.sleep(0.5)
    try:
        return {"results": results(settings, web, seconds), "bytes per 1,000 samples": sizes(settings, web, seconds),
                "lost": lost(settings, web, seconds / 2)}
    finally:
        live.stop(load)
