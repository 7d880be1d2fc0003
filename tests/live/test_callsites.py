#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Names of Lua functions whose source is not there, or is another one by now: from their callers'
bytecode, beside what is written in callsites.lua by hand. No name may be wrong, whatever is found."""
import os
import shutil
import subprocess
import time

import live

SCRIPT = os.path.join(live.TOP, "tests", "live", "callsites.lua")
BUILDS = ["bullseye-luajit", "bookworm-luajit", "bookworm-luajit2", "trixie-luajit", "sid-luajit"]
# Of these there is never or seldom a sample: they only call.
THIN = {"M.dispatch", "dispatch", "outer", "round"}


def expected():
    """By first line: the name that callers use; and the set of those left in stripped bytecode."""
    names, stripped = {}, set()
    with open(SCRIPT) as f:
        for number, line in enumerate(f, 1):
            code, _, comment = line.partition("-->")
            if "function" in code and comment:
                full, _, short = comment.strip().partition(" | ")
                names[number] = "" if full == "-" else full
                if short != "-":
                    stripped.add(short)
    return names, stripped


NAMES, STRIPPED = expected()


def profile(target, *arguments):
    time.sleep(0.3)
    r = live.record("-F", 997, "-d", 2, *arguments, "-p", target.pid)
    live.stop(target)
    return r


def found_in(r, chunk):
    """The names that were shown, by first line."""
    found = {}
    for frames, _ in r.stacks:
        for f in live.lua_frames(frames):
            if f["chunk"] == chunk:
                found.setdefault(int(f["first"]), set()).add(f["name"])
    return found


def check_names(label, r, chunk, names, all_of_them=True):
    """Each function has its name or none; with all_of_them, each that has one shows it."""
    found = found_in(r, chunk)
    wrong = [(line, found[line], name) for line, name in names.items()
             if line in found and not found[line] <= {name, ""}]
    live.check(label + ": no wrong name", not wrong and len(found) > 15, wrong, found)
    several = [(line, n) for line, n in found.items() if len(n) > 1]
    live.check(label + ": a function has one name", not several, several)
    if all_of_them:
        missing = [(line, name) for line, name in names.items()
                   if found.get(line, {""}) != {name} and name not in THIN]
        live.check(label + ": every name is found", not missing, missing, r.stderr)


def without_source(build, luajit):
    text = 'loadstring(io.open(%r):read("*a"), "=no source")(...)' % SCRIPT
    loader = os.path.join(live.SCRATCH, "loader.lua")
    with open(loader, "w") as f:
        f.write(text)
    r = profile(live.start([luajit, loader]))
    check_names(build + ", no source", r, "no source", NAMES)
    r = profile(live.start([luajit, loader, "jit"]))
    check_names(build + ", no source, compiled", r, "no source", NAMES, False)
    frames = [f for s, _ in r.stacks for f in live.lua_frames(s) if f["chunk"] == "no source"]
    live.check(build + ", compiled: most have a name",
               sum(bool(f["name"]) for f in frames) > 0.6 * len(frames), len(frames))


def stripped(build, luajit):
    path = os.path.join(live.SCRATCH, build + ".luac")
    code = 'io.open(%r, "wb"):write(string.dump(loadfile(%r), true))' % (path, SCRIPT)
    subprocess.check_call([luajit, "-e", code])
    r = profile(live.start([luajit, path]), "--lines")
    found = found_in(r, path)
    names = found.get(0, set()) - {""}
    live.check(build + ", stripped: the names that are left, and no others", names | THIN == STRIPPED | THIN,
               "wrong: %s" % sorted(names - STRIPPED), "missing: %s" % sorted(STRIPPED - names))
    lines = {f["line"] for s, _ in r.stacks for f in live.lua_frames(s) if f["chunk"] == path}
    live.check(build + ", stripped: no lines are claimed", set(found) == {0} and lines == {None},
               found.keys(), lines)


def bytecode_string(build, luajit):
    """A chunk whose name is its bytecode."""
    code = 'loadstring(string.dump(loadfile(%r), true))()' % SCRIPT
    r = profile(live.start([luajit, "-e", code]))
    # Newer LuaJITs do not take it for the name.
    found = found_in(r, '[string "..."]') or found_in(r, "?")
    names = found.get(0, set()) - {""}
    live.check(build + ", stripped string: names and a chunk name that can be printed",
               names | THIN == STRIPPED | THIN, sorted(names ^ STRIPPED), r.stacks[:3])


def changed(build, luajit):
    """Functions get other names while the program runs, with the same lines and parameters."""
    path = os.path.join(live.SCRATCH, "changed.lua")
    shutil.copy(SCRIPT, path)
    time.sleep(0.1)
    target = live.start([luajit, path])
    time.sleep(0.3)
    with open(SCRIPT) as f:
        text = f.read()
    with open(path, "w") as f:
        f.write(text.replace("M.field", "M.wrong").replace("upvalue", "wrong")
                .replace("global", "wrong").replace("spin", "wrong").replace("left", "wrong"))
    r = profile(target)
    found = found_in(r, path)
    names = {n for several in found.values() for n in several}
    live.check(build + ", changed source: no name of the new text",
               found and not [n for n in names if "wrong" in n], names)
    live.check(build + ", changed source: the names that callers use",
               {"M.field", "upvalue", "global", "spin"} <= names, names)
    live.check(build + ", changed source: one warning names the file",
               r.stderr.count("was changed after") == 1 and path in r.stderr, r.stderr)

    time.sleep(0.1)
    shutil.copy(SCRIPT, path)
    target = live.start([luajit, path])
    time.sleep(0.3)
    os.utime(path)
    r = profile(target)
    names = {n for several in found_in(r, path).values() for n in several}
    live.check(build + ", touched source: names are confirmed by the callers",
               {"M.field", "upvalue", "Plain:method", "Class.__add"} <= names, names)

    time.sleep(0.1)
    target = live.start([luajit, path])
    r = profile(target)
    names = {n for several in found_in(r, path).values() for n in several}
    live.check(build + ", unchanged source: its names, without a warning",
               {"M.field", "Plain:method", "main chunk"} <= names and "changed" not in r.stderr,
               names, r.stderr)


RELATIVE = """local ffi = require("ffi")
ffi.cdef("int chdir(const char *)")
local function %s(n)
  for i = 1, n do local x = i %% 3 end
end
if arg[1] then ffi.C.chdir(arg[1]) end
%swhile true do
  %s(1e4)
  table.sort({1, 2, 3}, function(a, b) for i = 1, 1e4 do local x = i %% 5 end return a < b end)
end
"""


def relative(build, luajit):
    """A relative chunk name, whose file is another one where the process has gone to."""
    folder, other = os.path.join(live.SCRATCH, "here"), os.path.join(live.SCRATCH, "there")
    for where, text in ((folder, RELATIVE % ("right", "", "right")), (other, RELATIVE % ("wrong", "-- older\n", "wrong"))):
        os.mkdir(where)
        with open(os.path.join(where, "app.lua"), "w") as f:
            f.write(text)
    time.sleep(0.1)
    names = [found_in(profile(live.start([luajit, "-joff", "./app.lua", *there], cwd=folder)), "./app.lua")
             for there in ((), (other,))]
    callback = "<anonymous in main chunk, for table.sort>"
    live.check(build + ", relative chunk name: the names of its source",
               {"right", callback} <= {n for several in names[0].values() for n in several}, names[0])
    live.check(build + ", relative chunk name, in another folder: only what callers say",
               names[1].get(3) == {"right"} and names[1].get(9) == {""}, names[1])


for name in BUILDS:
    command = live.fixture(name)
    if not command:
        live.skip(name, "no such LuaJIT (tests/fixtures/fetch)")
        continue
    without_source(name, command)
    stripped(name, command)
    if name == "bookworm-luajit":
        relative(name, command)
    if name in ("bullseye-luajit", "sid-luajit"):
        bytecode_string(name, command)
        changed(name, command)
live.finish()
