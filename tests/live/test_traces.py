#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Compiled code: programs whose shares per function and per line are known by construction.

Each step of work is the same statement on a line of its own: it depends on the step before, so that the compiler
can neither drop nor move it, and stores something, so that a snapshot follows it. The share of a function or a
line is its number of steps. Loops and calls are on other lines; what they cost is not known. Beside it: the naive
attribution, to the function in which the trace starts, computed from the same samples; and LuaJIT's own profiler
(-jp), which can only look where a trace is left or loops.

Options: --bar POINTS (default 2), --samples N, --builds NAME,...
"""
import os
import re
import subprocess
import sys

import live

SAMPLES = 20000
RATE = 4999
BUILDS = ["bookworm-luajit", "bookworm-luajit2", "trixie-luajit", "sid-luajit"]


class Program:
    """Collects source lines; step() writes work on a line and remembers whose it is."""

    def __init__(self, name):
        self.name = name
        self.lines = []
        self.weights = {}  # line number: relative number of steps
        self.function_of = {}  # line number: first line of its function
        self.stack = []
        self.add("local ring, seen = {}, {}")
        self.add("for i = 1, 64 do ring[i] = (i * 37) % 64 + 1 ; seen[i] = 0 end")

    def add(self, text):
        self.lines.append(text)
        return len(self.lines)

    def open(self, text):
        self.stack.append(self.add(text))

    def close(self, text="end"):
        self.add(text)
        self.stack.pop()

    def step(self, times=1, text="s = ring[s] ; seen[s] = s"):
        line = self.add(text)
        self.weights[line] = self.weights.get(line, 0) + times
        self.function_of[line] = self.stack[-1] if self.stack else 0
        return line

    def forever(self):
        """The main loop: until it is stopped, or as many seconds as its argument says."""
        self.add("local clock, stop = os.clock, os.clock() + (tonumber(arg[1]) or 1e9)")
        self.add("while clock() < stop do s = run(s) end")

    def path(self):
        path = os.path.join(live.SCRATCH, self.name + ".lua")
        with open(path, "w") as f:
            f.write("\n".join(self.lines) + "\n")
        return path


def leaf(p, name, steps, times=1, local=True):
    p.open("%s %s(s)" % ("local function" if local else "function", name))
    for _ in range(steps):
        p.step(times)
    p.add("return s")
    p.close()


def nested():
    p = Program("nested")
    leaf(p, "three", 15)
    leaf(p, "five", 25)
    p.open("local function eight(s)")
    for _ in range(10):
        p.step()
    p.add("s = five(s)")
    p.add("s = three(s)")
    for _ in range(5):
        p.step()
    p.add("return s")
    p.close()
    p.open("local function run(s)")
    p.add("for i = 1, 1e4 do")
    for _ in range(5):
        p.step()
    p.add("s = eight(s)")
    p.add("end")
    p.add("return s")
    p.close()
    p.add("local s = 1")
    p.forever()
    return p


def loop_in_callee():
    p = Program("loop")
    p.open("local function callee(s)")
    p.add("for i = 1, 40 do")
    p.step(40)
    p.step(40)
    p.add("end")
    p.add("return s")
    p.close()
    p.open("local function run(s)")
    p.add("for i = 1, 1e3 do")
    for _ in range(20):
        p.step()
    p.add("s = callee(s)")
    p.add("end")
    p.add("return s")
    p.close()
    p.add("local s = 1")
    p.forever()
    return p


def side_traces():
    p = Program("side")
    leaf(p, "often", 16, 3)
    leaf(p, "seldom", 40, 1)
    p.open("local function run(s)")
    p.add("for i = 1, 1e4 do")
    for _ in range(20):
        p.step(4)
    p.add("if i % 4 ~= 0 then s = often(s)")
    p.add("else s = seldom(s) end")
    p.add("end")
    p.add("return s")
    p.close()
    p.add("local s = 1")
    p.forever()
    return p


def recursion():
    p = Program("recursion")
    three = " ; ".join(["s = ring[s] ; seen[s] = s"] * 3)
    p.open("local function work(s)")
    for _ in range(12):
        p.step(3, three)
    p.add("return s")
    p.close()
    p.open("local function down(n, s)")
    p.add("seen[1] = s")  # what the call itself costs
    for _ in range(12):
        p.step(3, three)
    p.add("s = work(s)")
    p.add("if n > 0 then s = down(n - 1, s) end")
    p.add("return s")
    p.close()
    p.open("local function run(s)")
    p.add("for i = 1, 1e3 do s = down(30, s) end")
    p.add("return s")
    p.close()
    p.add("local s = 1")
    p.forever()
    return p


def closure():
    p = Program("closure")
    p.open("local function make(k)")
    p.open("return function(s)")
    for _ in range(20):
        p.step()
    p.add("return s, k")
    p.close()
    p.close()
    p.open("local function run(s)")
    p.add("for i = 1, 1e3 do")
    p.add("local f = make(i % 64 + 1)")
    p.add("for j = 1, 50 do")
    for _ in range(12):
        p.step()
    p.add("s = f(s)")
    p.add("end end")
    p.add("return s")
    p.close()
    p.add("local s = 1")
    p.forever()
    return p


def iterators():
    p = Program("iterators")
    p.add("local list, map = {}, {}")
    p.add("for i = 1, 50 do list[i] = i ; map['k' .. i] = i end")
    p.open("local function each(s)")
    p.add("for i, v in ipairs(list) do")
    for _ in range(6):
        p.step()
    p.add("end return s")
    p.close()
    p.open("local function keys(s)")
    p.add("for k, v in pairs(map) do")
    for _ in range(6):
        p.step()
    p.add("end return s")
    p.close()
    p.open("local function run(s)")
    p.add("for i = 1, 1e3 do s = each(s) ; s = keys(s) end")
    p.add("return s")
    p.close()
    p.add("local s = 1")
    p.forever()
    return p


def shares(recording, program):
    """Samples by line of the innermost Lua frame, and by function: ours, and the trace's first one. Only
    those on lines whose cost is known; the number of the others comes last."""
    lines, functions, naive, others = {}, {}, {}, 0
    for frames, count in recording.stacks:
        lua = live.lua_frames(frames)
        line = int(lua[-1]["line"] or 0) if lua else 0
        if line not in program.weights:
            others += count
            continue
        lines[line] = lines.get(line, 0) + count
        first = int(lua[-1]["first"])
        functions[first] = functions.get(first, 0) + count
        start = next((m for m in lua if m["compiled"]), lua[-1])
        naive[int(start["first"])] = naive.get(int(start["first"]), 0) + count
    return lines, functions, naive, others


def their_shares(luajit, program):
    """Samples by function, of LuaJIT's own profiler: one per millisecond, on lines whose cost is known."""
    done = subprocess.run([luajit, "-jp=li1m0r", program.path(), "3"], stdout=subprocess.PIPE, check=True)
    functions = {}
    for count, line in re.findall(r"^\s*(\d+)\s+%s\.lua:(\d+)" % program.name, done.stdout.decode(), re.M):
        function = program.function_of.get(int(line))
        if function is not None:
            functions[function] = functions.get(function, 0) + int(count)
    return functions


def worst(got, wanted):
    """The greatest difference of two sets of shares, in points."""
    total, whole = max(1, sum(got.values())), sum(wanted.values())
    return max(abs(100.0 * got.get(k, 0) / total - 100.0 * wanted.get(k, 0) / whole)
               for k in set(got) | set(wanted))


class Result:
    """What a recording says of a program's lines and functions, against what is known of them."""

    def __init__(self, recording, program):
        self.wanted = {}
        for line, weight in program.weights.items():
            function = program.function_of[line]
            self.wanted[function] = self.wanted.get(function, 0) + weight
        self.lines, self.functions, naive, self.others = shares(recording, program)
        total = max(1, sum(self.lines.values()))
        # What a line has beyond its share stands on the wrong line.
        whole = sum(program.weights.values())
        self.right = sum(min(self.lines.get(k, 0), total * w / whole) for k, w in program.weights.items()) / total
        self.off = worst(self.functions, self.wanted)
        self.naive_off = worst(naive, self.wanted)

    def good(self, bar):
        return self.right >= 0.95 and self.off <= bar


def main():
    bar = 2.0
    builds = BUILDS
    arguments = sys.argv[1:]
    samples = SAMPLES
    while arguments:
        option = arguments.pop(0)
        if option == "--bar":
            bar = float(arguments.pop(0))
        elif option == "--samples":
            samples = int(arguments.pop(0))
        elif option == "--builds":
            builds = arguments.pop(0).split(",")
    for build in builds:
        luajit = live.fixture(build)
        if not luajit:
            live.skip(build, "cannot: no such fixture")
            continue
        for make in (nested, loop_in_callee, side_traces, recursion, closure, iterators):
            program = make()
            target = live.start([luajit, program.path()])
            live.wait_until(lambda: False, 0.5)
            r = live.record("--lines", "-F", RATE, "-d", samples / RATE + 0.2, "-p", target.pid)
            result = Result(r, program)
            # On a busy machine there are fewer samples than planned, and more of them decide a close case.
            for _ in range(3):
                if r.samples >= samples and result.good(bar):
                    break
                more = live.record("--lines", "-F", RATE, "-d", samples / RATE, "-p", target.pid)
                r.stacks += more.stacks
                r.samples += more.samples
                result = Result(r, program)
            live.stop(target)
            theirs = their_shares(luajit, program)
            live.note("%s, %s: %d samples; functions %.1f points off (naive %.1f, -jp %.1f of %d), lines %.1f %% right; "
                      "%.1f %% elsewhere" %
                      (build, program.name, r.samples, result.off, result.naive_off, worst(theirs, result.wanted),
                       sum(theirs.values()), 100 * result.right, 100.0 * result.others / max(1, r.samples)))
            live.check("%s: at most 15 %% of the samples are on lines without known work" % program.name,
                       result.others <= 0.15 * r.samples, result.others, r.samples)
            live.check("%s: at least 95 %% of the samples are on the right line" % program.name,
                       result.right >= 0.95, result.right, sorted(result.lines.items()))
            live.check("%s: shares of functions within %g points" % (program.name, bar), result.off <= bar,
                       result.functions, result.wanted, sorted(result.lines.items()), program.weights, r.stderr)
    live.finish()


main()
