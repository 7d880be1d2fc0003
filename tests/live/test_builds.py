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

RATE = 4999
SAMPLES = 8000
MANY = 28000  # of the build that is looked at more closely: 20,000 of them prove their line
MANY_BUILD = "bookworm-luajit"
PACKAGES = ["bullseye-luajit", "bookworm-luajit", "bookworm-luajit2", "trixie-luajit", "sid-luajit"]
STEP = "s = ring[s] ; seen[s] = s"
# Without memory but the Lua stack: what tables cost depends on where they happen to be.
PLAIN = "x = s + i ; s = x - i ; x = s + 3 ; s = x - 3"

# What a build is, from itself: jit.version, GC64 (a flag in dumped functions), JIT compiler, FFI.
ABOUT = ("print(jit.version) print(math.floor(string.dump(function() end):byte(5) / 8) % 2 == 1) "
         "print((pcall(jit.on))) print((pcall(require, 'ffi')))")


def one_line(p, name, body, steps=6):
    """A function on one line, so that its line is known."""
    return p.add("local function %s(s) %s %s end" % (name, " ".join([STEP + " ;"] * steps), body))


def interpreted():
    p = Program("interpreted")
    p.add("collectgarbage('stop')")  # a step of it would be a C function below any line
    marked = [one_line(p, "m%d" % i, "return s") for i in range(1, 4)]
    protected = one_line(p, "protected", "return s")
    index = p.add("local function index(_, s) %s return s end" % (STEP + " ; " + STEP))
    add = p.add("local function plus(_, s) %s return s end" % (STEP + " ; " + STEP))
    call = p.add("local function called(_, s) %s return s end" % (STEP + " ; " + STEP))
    p.add("local object = setmetatable({}, { __index = index, __add = plus, __call = called })")
    replace = p.add("local function replace() local s = 1 ; %s end" % STEP)
    compare = p.add("local function compare(a, b) local s = a ; %s ; return a < b end" % STEP)
    vararg = p.add("local function vararg(...) local s = ... ; %s ; return s end" % " ; ".join([STEP] * 4))
    inner = one_line(p, "inner", "return s", 4)
    body = p.add("local function body(s) while true do s = coroutine.yield((inner(s))) end end")
    p.calls[inner] = (body, body)
    p.add("local resume = coroutine.wrap(body)")
    p.add("local text, list, half, x = ('ab'):rep(20), { 3, 1, 2 }, 0.5, nil")
    p.add("local longer = text .. text")

    p.open("local function callers(s)")
    first_caller = p.stack[-1]
    p.add("for i = 1, 20 do")
    for i, line in enumerate(marked):
        p.call("s = m%d(s)" % (i + 1), line)
    p.call("x = pcall(protected, s)", protected)
    p.call("x = object[s]", index)
    p.call("x = object + s", add)
    p.call("x = object(s)", call)
    p.call("x = string.gsub('aaa', 'a', replace)", replace, "string.gsub")
    p.call("table.sort(list, compare)", compare, "table.sort")
    p.call("s = vararg(s, i)", vararg)
    p.call("s = resume(s)", body)
    p.add("end")
    p.add("return s")
    p.close()

    p.open("local function builtins(s)")
    p.add("for i = 1, 40 do")
    for text, name in (("x = string.rep(text, 4)", "string.rep"),
                       ("x = string.find(text, 'bab', 3, true)", "string.find"),
                       ("x = table.concat(list)", "table.concat"),
                       ("x = string.byte(text, 1, 12)", "string.byte"),
                       ("x = math.max(1, 2, 3, 4, 5, 6, s)", "math.max"),
                       ("x = tonumber('123')", "tonumber"),
                       ("x = string.format('%d', s)", "string.format"),
                       ("x = string.sub(text, 3, 9)", "string.sub"),
                       ("x = unpack(list)", "unpack")):
        p.call(text, builtin=name)
    p.add("end")
    p.add("return s")
    p.close()

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

    p.add("local s = 1")
    p.add("while true do")
    p.add("for i = 1, 100 do")
    for name in ("callers", "builtins", "helpers", "plain"):
        p.call("s = %s(s)" % name, next(i + 1 for i, line in enumerate(p.lines)
                                        if line == "local function %s(s)" % name))
    p.add("end")
    p.add("collectgarbage() ; collectgarbage('stop')")
    p.add("end")
    return p


class Verdict:
    """What the samples of interpreted() prove. Attributes are numbers of samples."""

    def __init__(self, program):
        self.program = program
        self.samples = self.judged = 0
        self.wrong_function = self.wrong_line = 0
        self.places = {}  # C function below a line of helpers(): {line: samples}
        self.steps = {}  # samples by line
        self.examples = []

    def chain_is_right(self, firsts):
        """Are these (first lines) functions that call each other?"""
        if not firsts or firsts[0] != 0:
            return False
        return all(self.program.calls.get(callee, (None,))[0] == caller
                   for caller, callee in zip(firsts, firsts[1:]))

    def callers_are_right(self, frames):
        """Is every caller on the line of its call?"""
        caller = None
        for frame in frames:
            lua = live.lua_frame(frame)
            place = (self.program.calls.get(int(lua["first"])) if lua
                     else self.program.builtins.get(frame))
            if place and (not caller or int(caller["line"] or 0) != place[1]):
                return False
            caller = lua or caller
        return True

    def last_line_of(self, first):
        """Of the function that starts at line `first`; a function of one line has no end of its own."""
        if first == 0:
            return len(self.program.lines)
        return self.program.ends.get(first, first)

    def add(self, frames, count):
        p = self.program
        at = [i for i, frame in enumerate(frames) if live.lua_frame(frame)]
        lua = [live.lua_frame(frames[i]) for i in at]
        self.samples += count
        if not lua or not self.chain_is_right([int(frame["first"]) for frame in lua]):
            self.wrong_function += count
            self.examples.append(";".join(frames))
            return
        first, line = int(lua[-1]["first"]), int(lua[-1]["line"] or 0)
        below = [f for f in frames[at[-1] + 1:] if not f.endswith("_[k]")]
        if not self.callers_are_right(frames) or not first <= line <= self.last_line_of(first):
            self.judged += count
            self.wrong_line += count
            self.examples.append(";".join(frames))
        elif first in p.calls and first == line or any(f in p.builtins for f in below):
            self.judged += count
        elif first == p.helpers_in and below:
            lines = self.places.setdefault(below[0], {})
            lines[line] = lines.get(line, 0) + count
        elif line in p.weights:
            self.steps[line] = self.steps.get(line, 0) + count

    def finish(self):
        for name, lines in self.places.items():
            total, most = sum(lines.values()), max(lines.values())
            self.judged += total
            if most < total or not set(lines) <= set(self.program.helpers):
                self.wrong_line += total - most
                self.examples.append("%s: %s" % (name, lines))
        total = sum(self.steps.values())
        self.judged += total
        excess = total - right(self.steps, self.program.weights)
        self.by_share = max(0, excess - chance(total, self.program.weights))
        self.right_function = 100 - 100 * self.wrong_function / max(1, self.samples)
        self.right_line = 100 - 100 * (self.wrong_line + self.by_share) / max(1, self.judged)
        self.helpers_seen = set(max(lines, key=lines.get) for lines in self.places.values())


class Run:
    """Recordings of one program, until there are enough samples."""

    def __init__(self, command, program, samples):
        target = live.start([*command, program.path()])
        time.sleep(0.3)
        self.recordings = []
        self.samples = 0
        while self.samples < samples and len(self.recordings) < 20:
            seconds = (samples - self.samples) / RATE + 0.3
            r = live.record("-v", "--lines", "-F", RATE, "-d", "%.2f" % seconds, "-p", target.pid)
            self.recordings.append(r)
            self.samples += r.samples
        live.stop(target)
        self.stacks = [stack for r in self.recordings for stack in r.stacks]
        self.stderr = self.recordings[0].stderr

    def least(self, figure):
        """Of a percentage of the closing lines over all recordings, weighted: as one recording's."""
        return sum((figure(r) or 0) * r.samples for r in self.recordings) / max(1, self.samples)

    def complete(self):
        return self.least(live.Recording.complete)

    def lua_complete(self):
        return self.least(live.Recording.lua_complete)


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
    run = Run([row.path, "-joff"], program, samples)
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
        run = Run([row.path], program, SAMPLES)
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
    live.check("renumbered: refused, by name", r.status == 0 and "no LuaJIT that is known" in r.stderr and
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
