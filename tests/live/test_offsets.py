#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""LuaJIT's offsets have three sources: decoded, a table of known builds, the live heap. On every build at hand
they agree; where one of them does not, luaspy says so and shows C frames only.

A disagreement needs no door in the product: the table is replaced by linking luaspy with another one, and a
heap disagrees with a LuaJIT in which one instruction, of a function that is not called, was changed.

    --all     all builds of tests/fixtures/build_luajit, not only those of every check
"""
import os
import re
import subprocess
import sys
import time

import live

TOOL = os.path.join(live.BUILD, "tests", "live", "check_offsets")
OTHER = os.path.join(live.BUILD, "tests", "live", "luaspy_other_table")
PACKAGES = ["bullseye-luajit", "bookworm-luajit", "bookworm-luajit2", "trixie-luajit", "sid-luajit"]
# Its source is not in Debian's archive any more, and is not upstream's 2.1.0-beta3: vmstate stands elsewhere.
NOT_KNOWN = ["bullseye-luajit"]
ALWAYS = ["GC64", "frame size", "dispatch register - g", "g->vmstate", "g->cur_L", "SAVE_L", "previous cframe",
          "string's length", "string's characters"]
COMPILED = ["traces - g", "exit's trace - g", "opcode FUNCF"]
# A loop that is left and entered again and again, so that a trace has been left when it is looked at.
WORK = """
local function inner(n) local s = 0 ; for i = 1, n do s = s + i % 7 end return s end
local function outer() local t = 0 ; for i = 1, 100 do t = t + inner(1000) end return t end
while true do outer() end
"""


class Said:
    """What check_offsets prints of a process."""

    def __init__(self, pid, *words):
        self.text = subprocess.run([TOOL, str(pid), *words], stdout=subprocess.PIPE, text=True, timeout=60).stdout
        lines = [line.split("\t") for line in self.text.splitlines()]
        self.known = "".join(line[1] for line in lines if line[0] == "known")
        self.vms = [line[1:] for line in lines if line[0] == "vms"]
        self.facts = {line[1]: line[2:] for line in lines if line[0] == "fact"}  # value, table, heap
        self.wrong = [line[1:] for line in lines if line[0] == "wrong"]


def start(luajit, *options):
    program = os.path.join(live.SCRATCH, "work.lua")
    with open(program, "w") as f:
        f.write(WORK)
    target = live.start([luajit, *options, program])
    time.sleep(0.3)
    return target


def builds_agree(builds):
    sources = {"decoded": 0, "table": 0, "heap": 0}
    for build in builds:
        for command in ("luajit", "luajit-shared"):
            path = os.path.join(live.FIXTURES, build, command)
            if not os.access(path, os.X_OK):
                if command == "luajit":
                    live.check("%s: the fixture is there" % build, False, path)
                continue
            name = build if command == "luajit" else build + " (shared)"
            jit = subprocess.run([path, "-jon", "-e", ""], stderr=subprocess.DEVNULL).returncode == 0
            target = start(path)
            said = Said(target.pid)
            # (When it is looked at, a compiled program may just never have left a trace.)
            for _ in range(5):
                if not jit or all(said.facts.get(what, "---")[2] == "agrees" for what in COMPILED):
                    break
                time.sleep(0.1)
                said = Said(target.pid)
            live.stop(target)
            needed = ALWAYS + (COMPILED if jit else [])
            if build in NOT_KNOWN:
                live.check("%s: not in the table of known builds" % name, not said.known and said.facts and
                           all(fact[1] == "none" for fact in said.facts.values()), said.text)
            else:
                live.check("%s: in the table of known builds, and all of it agrees" % name, said.known and
                           said.facts and all(fact[1] == "agrees" for fact in said.facts.values()), said.text)
            live.check("%s: the live heap agrees" % name, said.vms == [["1", "1"]] and
                       all(said.facts[what][2] == "agrees" for what in needed) and
                       not any(fact[2] == "disagrees" for fact in said.facts.values()), said.text)
            sources["decoded"] += len(said.facts)
            sources["table"] += sum(fact[1] == "agrees" for fact in said.facts.values())
            sources["heap"] += sum(fact[2] == "agrees" for fact in said.facts.values())
    live.note("%d offsets decoded; %d agree with the table, %d with a live heap" % tuple(sources.values()))


def wrong_offsets(build):
    """Each offset made wrong, by 4, 8 and 16 bytes up and down: the heap agrees with none."""
    target = start(live.fixture(build))
    said = Said(target.pid, "wrong")
    live.stop(target)
    tried = [line for line in said.wrong if line[0] not in ("GC64", "FFI")]
    live.check("%s: the heap agrees with no wrong offset" % build,
               len(tried) == 6 * 12 and not any(line[2] == "agrees" for line in tried), said.text)
    sure = [line for line in tried if line[0] in ALWAYS]
    live.check("%s: it disagrees with each wrong one that does not depend on traces" % build,
               len(sure) == 6 * 8 and all(line[2] == "disagrees" for line in sure),
               *[line for line in sure if line[2] != "disagrees"])


def without_lua(name, r, *messages):
    for message in messages:
        live.check("%s: said: %s" % (name, message), len(re.findall(message, r.stderr)) == 1, r.stderr)
    live.check("%s: no Lua frame is shown" % name, r.samples > 100 and not r.count_where(live.lua_frames) and
               not r.count_where(lambda f: any(x.startswith("builtin#") for x in f)), r.samples, r.stacks[:5], r.stderr)
    live.check("%s: C frames are, up to the start" % name,
               r.count_where(lambda f: "main" in f or any("libc_start" in x for x in f)) > 0.95 * r.samples,
               r.stacks[:5], r.stderr)


def other_table(build):
    """A row of the table with one wrong number."""
    with open(os.path.join(live.TOP, "src", "vm", "luajit_known_table.c")) as f:
        text = f.read()
    target = start(live.fixture(build), "-joff")
    right = int(Said(target.pid).facts["g->cur_L"][0])
    known = Said(target.pid).known
    at = text.index('"%s"' % known)
    # (Rows of other configurations have the same sources: all of them are changed.)
    changed = re.sub(r'(\.cur_L = )0x%x(?=[^\n]*\n[^\n]*\n\t "%s")' % (right, re.escape(known)),
                     r"\g<1>0x%x" % (right + 8), text)
    live.check("the table has the build's row", at > 0 and changed != text, known)
    with open(os.path.join(live.BUILD, "tests", "live", "other_table.c"), "w") as f:
        f.write(changed.replace('"luajit_known.h"', '"vm/luajit_known.h"'))
    subprocess.check_call(["make", "-s", "-C", live.TOP, "B=" + live.BUILD, OTHER])
    right_one = live.record("-F", 997, "-d", 0.5, "-p", target.pid)
    live.check("the right table: nothing is said, Lua frames are shown",
               "by its code" not in right_one.stderr and "without Lua frames" not in right_one.stderr and
               right_one.count_where(live.lua_frames) > 0.95 * right_one.samples > 50, right_one.stderr)
    product, live.LUASPY = live.LUASPY, OTHER
    r = live.record("-v", "-F", 997, "-d", 1, "-p", target.pid)
    live.LUASPY = product
    live.stop(target)
    without_lua("a wrong row in the table", r,
                r"warning: [^\n]*luajit: g->cur_L is 0x%x by its code, but 0x%x by the table of known builds "
                r"\([^\n]*report" % (right, right + 8),
                r"without Lua frames +[^\n]*luajit: known otherwise \(g->cur_L\)",
                r"g->cur_L +0x%x +[^\n]*table says 0x%x" % (right, right + 8))


def changed_code(build):
    """string.byte with another place for the length: what is decoded then is not what the heap shows."""
    original = os.path.join(live.FIXTURES, build, "usr", "bin", "luajit")
    with open(original, "rb") as f:
        code = f.read()
    compare, other = b"\x83\x7d\x14\x01", b"\x83\x7d\x10\x01"  # cmp dword [rbp + length], 1
    live.check("the instruction to change is there", code.count(compare) >= 1)
    path = os.path.join(live.SCRATCH, "changed")
    with open(path, "wb") as f:
        f.write(code.replace(compare, other))
    os.chmod(path, 0o755)
    changed, sane = start(path, "-joff"), start(live.fixture(build), "-joff")
    said = Said(changed.pid)
    live.check("a changed build is not known, and its heap disagrees where it was changed",
               not said.known and [what for what, fact in said.facts.items() if fact[2] == "disagrees"] ==
               ["string's length"], said.text)
    r = live.record("-v", "-F", 997, "-d", 1, "-p", changed.pid)
    without_lua("a heap that disagrees", r,
                r"warning: process %d, [^\n]*changed: string's length is 0x10 by its code, but[^\n]*heap[^\n]*report" %
                changed.pid,
                r"without Lua frames +process %d: its heap disagrees \(string's length\)" % changed.pid,
                r"changed: LuaJIT [^\n]*\n +not in the table of known builds \(\w{16}\); heaps checked: 1\n")
    r = live.record("-F", 997, "-d", 1, "-p", "%d,%d" % (changed.pid, sane.pid))
    live.stop(changed)
    live.stop(sane)
    mine = r.count_where(lambda f: f[0] == "luajit")
    live.check("another process in the same recording keeps its Lua frames",
               mine > 50 and r.count_where(lambda f: f[0] == "luajit" and live.lua_frames(f)) > 0.95 * mine and
               not r.count_where(lambda f: f[0] == "changed" and live.lua_frames(f)), r.stderr)


def unknown_is_quiet(build):
    """A build that is not in the table, and whose heap agrees, is as good; only -v says it."""
    target = start(live.fixture(build), "-joff")
    r = live.record("-v", "-F", 997, "-d", 0.5, "-p", target.pid)
    quiet = live.record("-F", 997, "-d", 0.5, "-p", target.pid)
    live.stop(target)
    live.check("a build that is not in the table: Lua frames, and only -v says it",
               "not in the table of known builds" in r.stderr and "table" not in quiet.stderr and
               quiet.count_where(live.lua_frames) > 0.95 * quiet.samples > 20, r.stderr, quiet.stderr)


def two_builds():
    """Two processes with different LuaJITs in one recording."""
    programs = {}
    for build, name in (("bullseye-luajit", "older"), ("sid-luajit", "newer")):
        for jit in ("-joff", "-jon"):
            function = name + jit[1:]
            path = os.path.join(live.SCRATCH, function + ".lua")
            with open(path, "w") as f:
                f.write("local function %s(n) local s = 0 ; for i = 1, n do s = s + i %% 7 end return s end\n"
                        "while true do %s(1000) end\n" % (function, function))
            programs[function] = live.start([live.fixture(build), jit, path])
    time.sleep(0.5)
    r = live.record("-F", 997, "-d", 3, "-p", ",".join(str(p.pid) for p in programs.values()))
    seen, wrong = dict.fromkeys(programs, 0), 0
    for frames, count in r.stacks:
        lua = live.lua_frames(frames)
        names = {os.path.basename(frame["chunk"])[:-4] for frame in lua}
        if len(names) == 1 and names <= set(programs) and {f["name"] for f in lua} <= names | {"main chunk"}:
            seen[names.pop()] += count
        else:
            wrong += count
    for target in programs.values():
        live.stop(target)
    live.check("two LuaJITs in two processes: each has its own functions, all samples are complete",
               wrong <= 0.002 * r.samples and min(seen.values()) > 20 and r.complete() > 99 and
               "by its code" not in r.stderr, seen, wrong, r.stderr)
    live.note("two LuaJITs: %d samples, %d without their own functions" % (r.samples, wrong))


def main():
    subprocess.check_call(["make", "-s", "-C", live.TOP, "B=" + live.BUILD, TOOL])
    script = os.path.join(live.TOP, "tests", "fixtures", "build_luajit")
    option = "--list-all" if "--all" in sys.argv else "--list"
    builds_agree(PACKAGES + subprocess.check_output([script, option], text=True).split())
    for build in ("bookworm-luajit", "bullseye-luajit"):
        wrong_offsets(build)
    other_table("bookworm-luajit")
    changed_code("bookworm-luajit")
    unknown_is_quiet(NOT_KNOWN[0])
    two_builds()
    live.finish()


main()
