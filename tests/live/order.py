# SPDX-License-Identifier: Apache-2.0
"""Which stacks the program single_step.lua can have.

It declares who may call whom: "a>b" directly, "a>C>b" through one C function or built-in. A sampled stack has
to be a path of such pairs from the main chunk. Where functions are compiled, inlined ones may be missing; there
each frame has to be reachable from the one below.
"""
import os
import re

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
