#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Every LuaJIT build at hand: found for what it is, whole stacks, the right function, the right line.

The builds are those of tests/fixtures/fetch and of tests/fixtures/build_luajit. Each runs two programs of
known_work.py's kind, one interpreted (-joff), one compiled. A table of the results goes to
build/luajit-builds.md.

How a line is known to be right in interpreted code. There is no other profiler to compare with, so the
program is made such that a sample proves its line, wherever one is possible:

  calls    Each line of callers() calls a function of its own, in all the ways there are (from Lua, by pcall,
	   as a metamethod, through string.gsub and table.sort, in a coroutine). Samples inside one must show
	   that line in the caller; and that function's line, for it has only one. The same for built-ins.
  helpers  Each line of helpers() has an operator for which the interpreter calls a C function that no other
	   line needs (a new table, a concatenation, a power...). So each C function below must be seen with
	   one line only. This judges the line of the innermost frame, by PC.
  steps    Lines of plain bytecode are the same statement; there shares are compared. What a line has
	   beyond its share counts as wrong, less what chance explains (known_work.chance).

A function is right when the sample's Lua frames are one of the chains of calls that the program has. Samples
that prove nothing (in a loop's own instruction, say) are left out, except that their line must be one of their
function. In compiled code lines and functions are judged by shares, as in test_traces.py, less what chance
explains.

That each instruction of the interpreter has its line is test_single_step's to show.

Options: --all (every build that build_luajit can make, and each with its shared library), --builds NAME,...,
--table FILE
"""
import os
import subprocess
import sys
import time

import live
from known_work import Program, chance, nested, right, shares, wanted
from line_proof import Run, Verdict, add_builtins, add_callers, add_main

RATE = 4999
SAMPLES = 8000
MANY = 28000  # of the build that is looked at more closely: 20,000 of them prove their line
MANY_BUILD = "bookworm-luajit"
PACKAGES = ["bullseye-luajit", "bookworm-luajit", "bookworm-luajit2", "trixie-luajit", "sid-luajit"]
# Without memory but the Lua stack: what tables cost depends on where they happen to be.
PLAIN = "x = s + i ; s = x - i ; x = s + 3 ; s = x - 3"

# What a build is, from itself: jit.version, GC64 (a flag in dumped functions), JIT compiler, FFI.
ABOUT = ("print(jit.version) print(math.floor(string.dump(function() end):byte(5) / 8) % 2 == 1) "
         "print((pcall(jit.on))) print((pcall(require, 'ffi')))")


def interpreted():
    p = Program("interpreted")
    p.add("collectgarbage('stop')")  # a step of it would be a C function below any line
    add_callers(p)
    add_builtins(p, ("x = unpack(list)", "unpack"))

    p.open("local function helpers(s)")
    p.add("for i = 1, 60 do")
    for text in ("x = {}", "x = function() return s end", "x = text .. s", "x = half ^ 1.5",
                 "x = text < longer", "x = '10' + half", "x = #list", "x = { 1, 2, 3 }"):
        p.helper(text)
    p.add("end")
    p.helper("return s", False)  # closes the closures' variable
    p.close()

    p.open("local function plain(s)")
    p.add("local x")
    p.add("for i = 1, 100 do")
    for _ in range(3):
        p.add(PLAIN)  # has the loop's dispatch to it as well, until all is steady again
    for _ in range(8):
        p.step(text=PLAIN)
    p.add("end")
    p.add("return s")
    p.close()

    add_main(p, "callers", "builtins", "helpers", "plain")
    return p


class Row:
    """A build: what it is by itself, what luaspy says it is, and how the profiles were."""

    def __init__(self, build, command):
        self.build, self.command = build, command
        self.name = build if command == "luajit" else build + " (shared)"
        self.path = os.path.join(live.FIXTURES, build, command)
        about = subprocess.check_output([self.path, "-e", ABOUT], text=True).split("\n")
        self.version = about[0]
        self.gc64, self.jit, self.ffi = [word == "true" for word in about[1:4]]
        self.facts = {}
        self.said = self.file = ""
        self.known, self.disagrees = False, 0
        self.interpreted = self.compiled = self.function = self.line = None
        self.estimated = False

    def read_said(self, stderr):
        """The lines of `record -v` about the build."""
        lines = iter(stderr.splitlines())
        for line in lines:
            if ": LuaJIT" in line:
                path, _, self.said = line.partition(": ")
                self.file = os.path.basename(path)
                break
        self.known = "known build: " in next(lines, "")
        for line in lines:
            if not line.startswith("  ") or " 0x" not in line:
                break
            what, _, rest = line.strip().partition(" 0x")
            value, _, source = rest.rpartition(" [")[0].partition(" ")
            self.disagrees += " says " in line or "disagrees" in line
            self.facts[what.strip()] = ("0x" + value, source.strip())

    def expected(self):
        return "%s, %s, %s JIT compiler, %s FFI" % (
            self.version, "GC64" if self.gc64 else "GC32", "with" if self.jit else "without",
            "with" if self.ffi else "without")


def check_common(row, what, run):
    live.check("%s, %s: 99.5 %% unwound to the start" % (row.name, what), run.complete() >= 99.5,
               run.stderr)
    live.check("%s, %s: 99.9 %% with their Lua frames" % (row.name, what), run.lua_complete() >= 99.9,
               run.stderr)


def test_interpreted(row, samples):
    program = interpreted()
    run = Run([row.path, "-joff"], program, samples, RATE)
    row.read_said(run.stderr)
    live.check("%s: found for what it is" % row.name, row.said == row.expected(), row.said, row.expected(),
               run.stderr)
    live.check("%s: no source of its offsets disagrees" % row.name, len(row.facts) >= 10 and not row.disagrees,
               run.stderr)
    check_common(row, "interpreted", run)
    verdict = Verdict(program)
    for frames, count in run.stacks:
        verdict.add(frames, count)
    verdict.finish()
    row.interpreted, row.verdict = run, verdict
    live.note("%s, interpreted: %d samples; %.2f %% in the right function; of %d judged, %.2f %% on the right line"
              " (%d wrong, %.1f by share of %d)" %
              (row.name, run.samples, verdict.right_function, verdict.judged, verdict.right_line,
               verdict.wrong_line, verdict.by_share, sum(verdict.steps.values())))
    live.check("%s, interpreted: enough samples" % row.name, run.samples >= samples and
               verdict.judged >= (20000 if samples == MANY else 0.6 * samples), run.samples, verdict.judged)
    live.check("%s, interpreted: 99.9 %% in the right function" % row.name,
               verdict.right_function >= 99.9, *verdict.examples[:10])
    live.check("%s, interpreted: 99 %% on the right line" % row.name, verdict.right_line >= 99,
               *verdict.examples[:10], verdict.steps)
    live.check("%s, interpreted: the lines of all operators are there" % row.name,
               all(line in verdict.helpers_seen for line, often in program.helpers.items() if often),
               verdict.places)


def test_compiled(row):
    program = nested()
    for _ in range(3):  # equal steps cost the same in most processes, not in each: see test_traces.measured
        run = Run([row.path], program, SAMPLES, RATE)
        lines, functions, _, others = shares(run, program)
        total = max(1, sum(lines.values()))
        functions_wanted = wanted(program)
        row.function = min(100, 100 * (right(functions, functions_wanted) +
                                       chance(total, functions_wanted)) / total)
        row.line = min(100, 100 * (right(lines, program.weights) + chance(total, program.weights)) / total)
        if row.function >= 98 and row.line >= 95:
            break
    check_common(row, "compiled", run)
    row.compiled = run
    # (Where a trace is just being left, a few samples are estimates in every build.)
    estimated = sum(count for frames, count in run.stacks if any("(estimated)" in x for x in frames))
    row.estimated = estimated > 0.02 * run.samples
    live.note("%s, compiled: %d samples; %.1f %% in the right function, %.1f %% on the right line%s; %.1f %% elsewhere" %
              (row.name, run.samples, row.function, row.line, " (estimated)" if row.estimated else "",
               100 * others / max(1, run.samples)))
    old = row.version.startswith("LuaJIT 2.1.0-beta3") and row.build.startswith("bullseye")
    live.check("%s, compiled: it says so where lines are estimated, and only there" % row.name,
               row.estimated == old)
    if not old:
        live.check("%s, compiled: 98 %% in the right function" % row.name, row.function >= 98, functions,
                   functions_wanted)
        live.check("%s, compiled: 95 %% on the right line" % row.name, row.line >= 95, sorted(lines.items()))


def test_renumbered():
    """A build whose opcodes have other numbers than any that is known is refused, and says so."""
    original = os.path.join(live.FIXTURES, MANY_BUILD, "usr", "bin", "luajit")
    with open(original, "rb") as f:
        code = f.read()
    store = b"\xc6\x43\xfc"  # mov byte [rbx - 4], JMP
    path = os.path.join(live.SCRATCH, "renumbered")
    with open(path, "wb") as f:
        f.write(code.replace(store + b"\x58", store + b"\x5a"))
    os.chmod(path, 0o755)
    live.check("renumbered: the code to change is there", store + b"\x58" in code)
    target = live.start([path, "-joff", "-e", "while true do end"])
    time.sleep(0.3)
    r = live.record("-v", "-F", 997, "-d", 1, "-p", target.pid)
    live.stop(target)
    live.check("renumbered: refused, by name", r.status == 0 and "no Lua that is known" in r.stderr and
               "renumbered: LuaJIT of a form that is not known" in r.stderr, r.stderr)
    live.check("renumbered: no Lua frame is guessed, the C frames are there",
               r.samples > 100 and not r.count_where(live.lua_frames) and
               r.count_where(lambda f: "main" in f) > 0.99 * r.samples, r.stderr, r.stacks[:3])


def percent(value, digits=2):
    return "-" if value is None else "%.*f" % (digits, value)


def write_table(rows, path):
    whats = []
    sources = {}
    for row in rows:
        for what, (_, source) in row.facts.items():
            sources.setdefault(what, source)
            whats.append(what) if what not in whats else None
    with open(path, "w") as f:
        f.write("# LuaJIT builds\n\nMade by `tests/live/test_builds.py%s` on %s, Linux %s, %s at %d Hz.\n\n" %
                ("".join(" " + a for a in sys.argv[1:]), time.strftime("%Y-%m-%d"), os.uname().release,
                 os.uname().machine, RATE))
        f.write("What the columns mean, and how a line is known to be right, stands at the top of that file. "
                "Figures are percentages of samples.\n\n")
        f.write("| build | found as | in the table of known builds | in | samples | complete | Lua frames | function, interpreted | "
                "line, interpreted | samples, compiled | function, compiled | line, compiled |\n")
        f.write("|" + "---|" * 12 + "\n")
        for row in rows:
            runs = [run for run in (row.interpreted, row.compiled) if run]
            f.write("| %s | %s | %s | %s | %d | %s | %s | %s | %s | %s | %s | %s |\n" % (
                row.name, row.said, "yes" if row.known else "no", row.file, row.interpreted.samples,
                percent(min(run.complete() for run in runs)),
                percent(min(run.lua_complete() for run in runs)), percent(row.verdict.right_function),
                percent(row.verdict.right_line), row.compiled.samples if row.compiled else "-",
                percent(row.function, 1),
                percent(row.line, 1) + (" (estimated)" if row.estimated else "")))
        f.write("\nWhat differs between builds, and where in the interpreter's code it was found:\n\n")
        f.write("| build | " + " | ".join(whats) + " |\n|---|" + "---|" * len(whats) + "\n")
        f.write("| *found in* | " + " | ".join(sources[what] for what in whats) + " |\n")
        for row in rows:
            f.write("| %s | %s |\n" % (row.name, " | ".join(row.facts.get(what, ("-",))[0]
                                                            for what in whats)))


def main():
    script = os.path.join(live.TOP, "tests", "fixtures", "build_luajit")
    everything = "--all" in sys.argv
    builds = PACKAGES + subprocess.check_output([script, "--list-all" if everything else "--list"],
                                                text=True).split()
    table = os.path.join(live.BUILD, "luajit-builds.md")
    for option, value in zip(sys.argv, sys.argv[1:]):
        if option == "--builds":
            builds = value.split(",")
        elif option == "--table":
            table = value
    rows = []
    for build in builds:
        if not live.check("%s: the fixture is there" % build, live.fixture(build) is not None):
            continue
        for command in ("luajit", "luajit-shared"):
            if command == "luajit-shared" and not (everything and build.startswith("built-")):
                continue
            row = Row(build, command)
            test_interpreted(row, MANY if row.name == MANY_BUILD else SAMPLES)
            if row.jit:
                test_compiled(row)
            rows.append(row)
    test_renumbered()
    write_table(rows, table)
    live.finish()


main()
