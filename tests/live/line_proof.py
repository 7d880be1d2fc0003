# SPDX-License-Identifier: Apache-2.0
"""What test_builds.py and test_puc_builds.py share: parts of programs in which a sample proves its function and line
(test_builds.py says how), and the judgement of samples."""
import time

import live
from known_work import chance, right

STEP = "s = ring[s] ; seen[s] = s"


def one_line(p, name, body, steps=6):
    """A function on one line, so that its line is known."""
    return p.add("local function %s(s) %s %s end" % (name, " ".join([STEP + " ;"] * steps), body))


def add_callers(p):
    """callers(s): each line calls a function of its own, in all the ways there are."""
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


def add_builtins(p, *more):
    """builtins(s): each line calls one; `more` are pairs as those below."""
    p.open("local function builtins(s)")
    p.add("for i = 1, 40 do")
    for text, name in (("x = string.rep(text, 4)", "string.rep"),
                       ("x = string.find(text, 'bab', 3, true)", "string.find"),
                       ("x = table.concat(list)", "table.concat"),
                       ("x = string.byte(text, 1, 12)", "string.byte"),
                       ("x = math.max(1, 2, 3, 4, 5, 6, s)", "math.max"),
                       ("x = tonumber('123')", "tonumber"),
                       ("x = string.format('%d', s)", "string.format"),
                       ("x = string.sub(text, 3, 9)", "string.sub"), *more):
        p.call(text, builtin=name)
    p.add("end")
    p.add("return s")
    p.close()


def add_main(p, *names):
    """The main chunk's loop over functions, and a collection now and then: no step of one is to be below any line."""
    p.add("local s = 1")
    p.add("while true do")
    p.add("for i = 1, 100 do")
    for name in names:
        p.call("s = %s(s)" % name, next(i + 1 for i, line in enumerate(p.lines)
                                        if line == "local function %s(s)" % name))
    p.add("end")
    p.add("collectgarbage() ; collectgarbage('stop')")
    p.add("end")


class Verdict:
    """What the samples of such a program prove. Attributes are numbers of samples."""

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

    def __init__(self, command, program, samples, rate):
        target = live.start([*command, program.path()])
        time.sleep(0.3)
        self.recordings = []
        self.samples = 0
        share, end = 1, time.time() + 300  # of a CPU: on a busy machine less
        while self.samples < samples and time.time() < end:
            seconds = min(12, (samples - self.samples) / (rate * share) + 0.3)
            r = live.record("-v", "--lines", "-F", rate, "-d", "%.2f" % seconds, "-p", target.pid)
            self.recordings.append(r)
            if r.status != 0:
                break
            self.samples += r.samples
            share = max(0.01, min(1, r.samples / (seconds * rate)))
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
