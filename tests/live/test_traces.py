#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Compiled code: programs whose shares per function and per line are known by construction.

What such programs are is known_work.py. The naive attribution, to the function in which the trace starts, is
computed from the same samples.

Options: --bar POINTS (default 2), --samples N, --builds NAME,...
"""
import sys

import live
from known_work import Program, leaf, nested, right, shares, wanted, worst

SAMPLES = 6000 if live.CI else 20000
RATE = 4999
BUILDS = ["bookworm-luajit", "bookworm-luajit2", "trixie-luajit", "sid-luajit"]


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
    p.add("while true do s = run(s) end")
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
    p.add("while true do s = run(s) end")
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
    p.add("while true do s = run(s) end")
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
    p.add("while true do s = run(s) end")
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
    p.add("while true do s = run(s) end")
    return p


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
            live.stop(target)
            functions_wanted = wanted(program)
            lines, functions, naive, others = shares(r, program)
            total = max(1, sum(lines.values()))
            good = right(lines, program.weights)
            by_function = worst(functions, functions_wanted)
            live.note("%s, %s: %d samples; functions %.1f points off (naive %.1f), lines %.1f %% right; %.1f %% elsewhere" %
                      (build, program.name, r.samples, by_function, worst(naive, functions_wanted),
                       100.0 * good / total, 100.0 * others / max(1, r.samples)))
            live.check("%s: at most 15 %% of the samples are on lines without known work" % program.name,
                       others <= 0.15 * r.samples, others, r.samples)
            live.check("%s: at least 95 %% of the samples are on the right line" % program.name,
                       good >= 0.95 * total, good, total, sorted(lines.items()))
            live.check("%s: shares of functions within %g points" % (program.name, bar), by_function <= bar,
                       functions, functions_wanted, sorted(lines.items()), program.weights, r.stderr)
    live.finish()


main()
