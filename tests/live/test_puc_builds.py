#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Every build of PUC Lua 5.1 to 5.5 at hand: whole stacks, true order, the right function, the right line, known shares.

The builds are Debian's (installed, and of tests/fixtures/fetch) and those of tests/fixtures/build_puc, some of each or,
by an option, all. Those of build_puc come in three forms: the
command line with the VM in it, with liblua.so, and a program of ours that has the VM linked into it. The table of the results
goes to build/puc-builds.md; docs/puc-builds.md is one. Each build runs

  order   single_step.lua (see test_true_order.py): a sampled stack has to be one that the program can have.
  host    in a program of ours: C calls Lua calls C calls Lua, in one way only, so that each sample's frames are known.
  proof   as test_builds.py has it: each call in callers() and builtins() proves the caller's line. Steps of equal cost
          stand in functions whose shares are known; what a line has of them beyond its share, less what chance explains,
          counts as wrong.

A build that luaspy refuses is in the table as that, and has to be one of REFUSED: its stacks must then be whole, and
without any Lua frame.

That each instruction of luaV_execute has its line and its L is test_puc_step's to show.

Options: --each (all of build_puc, each in one form), --all (each in all its forms), --builds NAME,...,
--order SAMPLES, --jobs N, --table FILE
"""
import concurrent.futures
import os
import re
import shutil
import signal
import subprocess
import sys
import time

import known_work
import live
import order
from line_proof import Run, Verdict, add_builtins, add_callers, add_main

RATE = 9999
ORDER = 6000
PROOF = 10000
RUNS = 3
WARM_UP = 2
FORMS = ("lua", "lua-shared", "host")
INSTALLED = ("5.1", "5.2", "5.3", "5.4")
PACKAGES = ("bullseye-lua5.3", "bullseye-lua5.4", "sid-lua5.5")
MORE_PACKAGES = ("trixie-lua5.4", "sid-lua5.1", "sid-lua5.2", "sid-lua5.3", "sid-lua5.4")
STEP = "x = s + 7 ; s = x - 7 ; x = s + 3 ; s = x - 3"

REFUSED = ()

# What the host runs: on_event > host.visit > inner > work, and on_event > host.guard > protected > host.visit > inner > work.
HOST = """local function work(n) local s = 1 for i = 1, n do s = (s * 3 + i) % 1000003 end return s end
local function inner(n) local s = work(n) return s end
local function protected(n)
  if n == 13 then error("caught") end
  local s = host.visit(inner, 30)
  return s
end
function on_event(event)
  local s = host.visit(inner, 30)
  local t = host.guard(protected, event % 14)
  return s, t
end
"""
HOST_WAYS = (["host_loop", 8, "visit", 2, 1], ["host_loop", 8, "guard", 3, "visit", 2, 1])
host_frames = {"visit": "visit", "host_visit": "visit", "guard": "guard", "host_guard": "guard", "host_loop": "host_loop"}


def proof(name):
    p = known_work.Program("proof " + name)
    p.add("collectgarbage('stop')")  # a step of it would be a C function below any line
    p.add("local x")
    add_callers(p)
    add_builtins(p)
    known_work.nest(p, 60, text=STEP)
    # Behind a call and where a function starts, steps cost more than elsewhere. Measured in 16 builds, 40,000 samples
    # each: a line's samples are those of the steps further in times 0.77 to 1.68 in the first step, 0.85 to 1.16 in the
    # second, 0.86 to 1.15 (one of 80: 1.25) in the third, 0.85 to 1.13 in the fourth. Chance alone gives 0.86 to 1.14.
    for line in [a for a in p.weights if not all(a - i in p.weights for i in range(1, WARM_UP + 1))]:
        del p.weights[line]
    add_main(p, "callers", "builtins", "run")
    return p


class Row:
    """One build in one form, and how its profiles were."""

    def __init__(self, build, form, command):
        self.build, self.form, self.command = build, form, command
        self.name = "%s %s" % (build, form)
        self.failures = []  # (what, details)
        self.about = subprocess.run([command, "-v"] if form != "host" else [os.path.join(os.path.dirname(command), "lua"), "-v"],
                                    stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                                    text=True, check=False).stdout.split("  ")[0].strip()
        self.refused = False
        self.order = self.impossible = self.lost = self.distinct = self.judged = self.runs = 0
        self.samples = self.complete = self.lua = self.function = self.line = self.shares = None

    def expect(self, what, good, *details):
        if not good:
            self.failures.append((what, details))


def target_of(row, *arguments):
    target = live.start([row.command, *arguments])
    live.wait_until(lambda: os.path.exists("/proc/%d/exe" % target.pid) and not
                    re.search("/(da|ba)?sh$", os.readlink("/proc/%d/exe" % target.pid)), 5)
    return target


def stopped(pid):
    with open("/proc/%d/stat" % pid) as f:
        return f.read().rpartition(")")[2].split()[0] == "T"


def recordings(row, target, samples, *options):
    """Until there are as many; the last may be empty. On a busy machine a second of CPU time takes longer than one."""
    taken = 0
    share = 1
    end = time.time() + 300
    while taken < samples and time.time() < end:
        seconds = min(12, (samples - taken) / (RATE * share) * 1.3 + 0.2)
        r = live.record("-F", RATE, "-d", "%.2f" % seconds, "-p", target.pid, *options)
        if r.status != 0:
            row.expect("recording", False, r.stderr)
            return
        taken += r.samples
        share = max(0.01, min(1, r.samples / (seconds * RATE)))
        yield r


def test_order(row, samples):
    target = target_of(row, order.SCRIPT, "3")
    live.wait_until(lambda: stopped(target.pid), 20)
    os.kill(target.pid, signal.SIGCONT)
    time.sleep(0.1)
    distinct, wrong, stderr, whole = set(), [], "", 0
    for r in recordings(row, target, samples):
        row.order += r.samples
        whole += (r.complete() or 0) * r.samples
        stderr = r.stderr
        for frames, count in r.stacks:
            distinct.add(tuple(order.lua_frames(frames)))
            if order.impossible(frames, False):
                wrong.append(";".join(frames))
                row.impossible += count
            if any(f.startswith("[Lua ") for f in frames):
                row.lost += count
    live.stop(target)
    row.distinct = len(distinct)
    if "Lua of a form that is not known" in stderr:
        row.refused = True
        row.expect("refused: whole stacks without a Lua frame", distinct == {()} and whole >= 99.5 * row.order, stderr)
        return
    row.expect("no impossible stack in %d samples" % samples, row.order >= samples and not wrong, row.order, *wrong[:5])
    row.expect("at least 30 distinct stacks", len(distinct) >= 30, stderr)
    # A function that is being called or left by C, an error on its way, a stack that grows: this program does
    # nothing else. From process to process 0.3 to 1.6 % in one build (-O0), by where malloc has put its stacks; 0.1 to
    # 0.9 % in the others.
    row.expect("at most 3 % of these samples have lost their Lua frames", row.lost <= row.order * 0.03, stderr)
    row.expect("99.5 % of these unwound to the start", whole >= 99.5 * row.order, stderr)


def host_way(frames):
    """The host's own functions and the first lines of Lua functions, from the loop on."""
    way = []
    for frame in frames:
        lua = live.lua_frame(frame)
        name = host_frames.get(re.sub(r"^(builtin |host\.)", "", frame))
        if lua:
            way.append(int(lua["first"]))
        elif name and not (way and way[-1] == name):
            way.append(name)
    return way


def test_host(row, samples):
    path = os.path.join(live.SCRATCH, "host %s.lua" % row.name)
    with open(path, "w") as f:
        f.write(HOST)
    target = target_of(row, path)
    time.sleep(0.1)
    taken = full = 0
    for r in recordings(row, target, samples):
        taken += r.samples
        for frames, count in r.stacks:
            way = host_way(frames)
            right = any(way == whole[:len(way)] for whole in HOST_WAYS)
            full += count if way in HOST_WAYS else 0
            lost = any(f.startswith(("[Lua ", "[lua interpreter", "[incomplete")) for f in frames)
            row.lost += count if lost else 0
            row.order += count
            if not right and not lost:
                row.impossible += count
                row.expect("frames of C and Lua in their order", False, way, ";".join(frames))
    live.stop(target)
    row.expect("most of the samples are deep in the host", full > taken / 2, full, taken)


def judge(row, program, runs):
    """What the samples of these runs prove, and what is to be held against them."""
    verdict = Verdict(program)
    functions = {}
    for run in runs:
        for frames, count in run.stacks:
            if not frames[1:] or not frames[1].startswith("[incomplete"):  # counted by complete()
                verdict.add(frames, count)
    verdict.finish()
    for line, count in verdict.steps.items():
        first = program.function_of[line]
        functions[first] = functions.get(first, 0) + count
    row.samples = sum(run.samples for run in runs)
    row.complete = sum(run.complete() * run.samples for run in runs) / row.samples
    row.lua = sum(run.lua_complete() * run.samples for run in runs) / row.samples
    row.function, row.line = verdict.right_function, verdict.right_line
    row.judged, row.runs = verdict.judged, len(runs)
    row.shares = known_work.worst(functions, known_work.wanted(program))
    stderr = runs[-1].stderr
    # A program of this kind spends 72 to 78 % of its time on lines that prove something, in all builds.
    return (("enough samples that prove something", row.samples >= PROOF and verdict.judged >= 0.6 * row.samples,
             row.samples, verdict.judged, stderr),
            ("99.5 % unwound to the start", row.complete >= 99.5, stderr),
            ("99.9 % with their Lua frames", row.lua >= 99.9, stderr),
            ("99.9 % in the right function", row.function >= 99.9, *verdict.examples[:5]),
            ("99 %% on the right line (%d wrong, %.0f by share)" % (verdict.wrong_line, verdict.by_share),
             row.line >= 99, *verdict.examples[:5], sorted(verdict.steps.items())),
            ("known shares within 2 points", row.shares <= 2, sorted(functions.items())))


def test_proof(row):
    """Where something is off, a second and a third process are sampled as well, and all of their samples count. Only the
    shares are each process's own: there are processes in which the steps of one function cost more than the others' from
    their start to their end (test_traces.py has measured that by the program's own clock). Of 72 builds on four cores
    with a load of 5 to 35, 69 needed one process."""
    program = proof(row.name)
    runs, claims, shares = [], (), []
    while len(runs) < RUNS and not (claims and all(claim[1] for claim in claims)):
        runs.append(Run([row.command], program, PROOF, RATE))
        of_this = judge(row, program, runs[-1:])[-1]
        shares.append((row.shares, of_this))
        claims = judge(row, program, runs)
        row.shares, of_best = min(shares, key=lambda share: share[0])
        claims = claims[:-1] + (of_best,)
    for claim in claims:
        row.expect(*claim)


def test(row, samples):
    test_order(row, samples)
    if not row.refused:
        test_proof(row)
        if row.form == "host":
            test_host(row, min(samples, 5000))
    return row


def report(row):
    if row.refused:
        live.note("%s: refused" % row.name)
        row.expect("is understood", row.name in REFUSED)
    else:
        live.note("%s: %s; order: %d samples, %d impossible, %d without Lua frames, %d stacks; proof: %d in %d, %d judged, "
                  "complete %.2f, Lua %.2f, function %.2f, line %.2f, shares %.1f points off" %
                  (row.name, row.about, row.order, row.impossible, row.lost, row.distinct, row.samples, row.runs,
                   row.judged, row.complete, row.lua, row.function, row.line, row.shares))
    for what, details in row.failures:
        live.check("%s: %s" % (row.name, what), False, *details)
    if not row.failures:
        live.check(row.name, True)


ABOUT_TABLE = """What is run stands at the top of that file, and how a line is known to be right in `test_builds.py`.
Forms: `lua`, the VM in the command line's file; `lua-shared`, in liblua.so; `host`, linked into a program of ours. All
are stripped. `lost`: samples of the order's program, which throws errors and makes stacks grow all the time, that say
that their Lua frames are not whole.

"""


def write_table(rows, path):
    with open(path, "w") as f:
        f.write("# PUC Lua builds\n\nMade by `tests/live/test_puc_builds.py%s` on %s, Linux %s, %s at %d Hz.\n\n" %
                ("".join(" " + a for a in sys.argv[1:]), time.strftime("%Y-%m-%d"), os.uname().release,
                 os.uname().machine, RATE))
        f.write("%s\n\n" % ("All of the builds at hand." if "--all" in sys.argv else
                            "All of the builds at hand, each in one form; `--all` is for all forms." if "--each" in sys.argv else
                            "The set of every check; `--each` and `--all` are for all builds at hand."))
        f.write(ABOUT_TABLE)
        f.write("| build | form | release | samples | complete % | Lua frames % | right function % | right line % | "
                "shares off, points | samples of order | violations | lost |\n|" + "---|" * 12 + "\n")
        for row in rows:
            f.write("| %s | %s | %s | " % (row.build, row.form, row.about))
            if row.refused:
                f.write("refused: C frames only" + " |" * 9 + "\n")
            else:
                f.write("%d | %.2f | %.2f | %.2f | %.2f | %.1f | %d | %d | %d |\n" % (
                    row.samples, row.complete, row.lua, row.function, row.line, row.shares, row.order, row.impossible,
                    row.lost))


def candidates(builds, more, everything):
    """(build, form, command) of all, whether they are there or not."""
    for version in INSTALLED:
        yield "bookworm-lua" + version, "lua", shutil.which("lua" + version)
    for name in PACKAGES + (MORE_PACKAGES if more else ()):
        yield name, "lua", os.path.join(live.FIXTURES, name, "lua")
    for i, name in enumerate(builds):
        for form in FORMS if everything else [FORMS[(i + (i // 6 if more else 0)) % len(FORMS)]]:  # six modes
            yield name, form, os.path.join(live.FIXTURES, name, form)


def main():
    script = os.path.join(live.TOP, "tests", "fixtures", "build_puc")
    everything = "--all" in sys.argv
    more = everything or "--each" in sys.argv
    builds = subprocess.check_output([script, "--list-all" if more else "--list"], text=True).split()
    options = dict(zip(sys.argv, sys.argv[1:]))
    table = options.get("--table", os.path.join(live.BUILD, "puc-builds.md"))
    only = options.get("--builds", "").split(",") if "--builds" in options else None
    rows = []
    for build, form, command in candidates(builds, more, everything):
        if only and build not in only:
            continue
        if live.check("%s %s: is there" % (build, form), command and os.access(command, os.X_OK)):
            rows.append(Row(build, form, command))
    with concurrent.futures.ThreadPoolExecutor(int(options.get("--jobs", 2))) as pool:
        for row in pool.map(lambda row: test(row, int(options.get("--order", ORDER))), rows):
            report(row)
    write_table(rows, table)
    live.finish()


main()
