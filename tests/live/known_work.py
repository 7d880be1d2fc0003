# SPDX-License-Identifier: Apache-2.0
"""Lua programs whose shares of CPU time per function and per line are known by construction.

Each step of work is the same statement on a line of its own: it depends on the step before, so that the
compiler can neither drop nor move it, and stores something, so that a snapshot follows it. The share of a
function or a line is its number of steps. Loops and calls are on other lines; what they cost is not known.

A program can also say what holds in every sample, whatever things cost: which function calls which, on
which line (Program.call), and which operator of which line calls C (Program.helper).
"""
import math
import os

import live


class Program:
    """Collects source lines; step() writes work on a line and remembers whose it is."""

    def __init__(self, name):
        self.name = name
        self.lines = []
        self.weights = {}  # line number: relative number of steps
        self.function_of = {}  # line number: first line of its function
        self.stack = []
        self.ends = {}  # first line of a function: last line
        self.calls = {}  # first line of a function: (first line of its caller, line of the call)
        self.builtins = {}  # name of a built-in: (first line of its caller, line of the call)
        self.helpers = {}  # lines whose operator calls a C function that no other line's does: often?
        self.helpers_in = None  # first line of the function they are in
        self.add("local ring, seen = {}, {}")
        self.add("for i = 1, 64 do ring[i] = (i * 37) % 64 + 1 ; seen[i] = 0 end")

    def add(self, text):
        self.lines.append(text)
        return len(self.lines)

    def open(self, text):
        self.stack.append(self.add(text))

    def close(self, text="end"):
        self.ends[self.stack.pop()] = self.add(text)

    def step(self, times=1, text="s = ring[s] ; seen[s] = s"):
        line = self.add(text)
        self.weights[line] = self.weights.get(line, 0) + times
        self.function_of[line] = self.stack[-1] if self.stack else 0
        return line

    def call(self, text, callee=None, builtin=None):
        """A line that calls the function that starts at line `callee`, a built-in, or both; nothing
        else calls them."""
        line = self.add(text)
        place = (self.stack[-1] if self.stack else 0, line)
        if callee:
            self.calls[callee] = place
        if builtin:
            self.builtins[builtin] = place

    def helper(self, text, often=True):
        line = self.add(text)
        self.helpers[line] = often
        self.helpers_in = self.stack[-1]

    def forever(self):
        """The main loop: until it is stopped, or for as many seconds as its argument says."""
        self.add("local clock, stop = os.clock, os.clock() + (tonumber(arg[1]) or 1e9)")
        self.add("while clock() < stop do s = run(s) end")

    def path(self):
        path = os.path.join(live.SCRATCH, self.name + ".lua")
        with open(path, "w") as f:
            f.write("\n".join(self.lines) + "\n")
        return path


def leaf(p, name, steps, times=1, local=True, **step):
    """A function of steps; the line where it starts."""
    p.open("%s %s(s)" % ("local function" if local else "function", name))
    first = p.stack[-1]
    for _ in range(steps):
        p.step(times, **step)
    p.add("return s")
    p.close()
    return first


def nest(p, rounds, **step):
    """run(s), which does `rounds` rounds of steps, and what it calls."""
    three = leaf(p, "three", 15, **step)
    five = leaf(p, "five", 25, **step)
    p.open("local function eight(s)")
    eight = p.stack[-1]
    for _ in range(10):
        p.step(**step)
    p.call("s = five(s)", five)
    p.call("s = three(s)", three)
    for _ in range(5):
        p.step(**step)
    p.add("return s")
    p.close()
    p.open("local function run(s)")
    p.add("for i = 1, %d do" % rounds)
    p.add("s = ring[s] ; seen[s] = s")  # has what entering the trace costs as well
    for _ in range(5):
        p.step(**step)
    p.call("s = eight(s)", eight)
    p.add("end")
    p.add("return s")
    p.close()


def nested():
    p = Program("nested")
    nest(p, 10000)
    p.add("local s = 1")
    p.forever()
    return p


def shares(recording, program):
    """Samples by line of the innermost Lua frame, and by function: ours, and the trace's first one. Only
    those on lines whose cost is known; the number of the others comes last."""
    lines, functions, naive, others = {}, {}, {}, 0
    for frames, count in recording.stacks:
        lua = live.lua_frames(frames)
        line = int(lua[-1]["line"] or 0) if lua and "[gc]" not in frames else 0
        if line not in program.weights:
            others += count
            continue
        lines[line] = lines.get(line, 0) + count
        first = int(lua[-1]["first"])
        functions[first] = functions.get(first, 0) + count
        start = next((m for m in lua if m["compiled"]), lua[-1])
        naive[int(start["first"])] = naive.get(int(start["first"]), 0) + count
    return lines, functions, naive, others


def worst(got, wanted):
    """The greatest difference of two sets of shares, in points."""
    total, whole = max(1, sum(got.values())), sum(wanted.values())
    return max(abs(100.0 * got.get(k, 0) / total - 100.0 * wanted.get(k, 0) / whole)
               for k in set(got) | set(wanted))


def wanted(program):
    """Steps by function."""
    functions = {}
    for line, weight in program.weights.items():
        function = program.function_of[line]
        functions[function] = functions.get(function, 0) + weight
    return functions


def right(got, weights):
    """How many of the samples stand where they belong: what one has beyond its share does not."""
    total, whole = sum(got.values()), sum(weights.values())
    return sum(min(got.get(k, 0), total * weight / whole) for k, weight in weights.items())


def chance(total, weights):
    """How many samples stand elsewhere by chance alone when nothing is wrong (the mean of it)."""
    whole = sum(weights.values())
    shares_wanted = [weight / whole for weight in weights.values()]
    return sum(math.sqrt(total * p * (1 - p) / (2 * math.pi)) for p in shares_wanted)
