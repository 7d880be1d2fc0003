#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Names of PUC Lua's functions whose source is not there: from the bytecode where they are defined, or where they are
called when that is gone, beside what is written in puc_names.lua by hand. No name may be wrong."""
import os
import shutil
import subprocess
import time

import live

SCRIPT = os.path.join(live.TOP, "tests", "live", "puc_names.lua")
VERSIONS = ["5.1", "5.2", "5.3", "5.4", "5.5"]

# The main chunk that defines these is gone when they run: only their callers' bytecode names them.
MODULE = """
local SPINS, work = 300, 0
local M = {}
local function helper() for i = 1, SPINS do work = work + i % 7 end end
function M.first() for i = 1, SPINS do work = work + i % 7 end end
function M.second() for i = 1, SPINS do work = work + i % 7 end end
function M.third() for i = 1, SPINS do work = work + i % 7 end end
function M.fourth() for i = 1, SPINS do work = work + i % 7 end end
function M.fifth() helper() for i = 1, SPINS do work = work + i % 7 end end
function M.sixth() for i = 1, SPINS do work = work + i % 7 end end
function M.seventh() for i = 1, SPINS do work = work + i % 7 end end
function M.tail() return M.seventh() end
return M
"""
CALLER = """
local text = %r
local mod = (loadstring or load)(text, "=gone")()
collectgarbage()
local object, byname, unset = setmetatable({}, { __index = mod }), "sixth", nil
fourth = mod.fourth
local function calls()
  mod.first()
  object:second()
  local called = mod.third
  called()
  fourth()
  mod.fifth();
  (unset or mod.sixth)()
  mod[byname]()
  mod.tail()
end
while true do calls() end
"""
# By line. A call that may be of several, by a name that is computed, or behind a tail call has none.
CALLED = {4: "helper", 5: "mod.first", 6: "object:second", 7: "called", 8: "fourth", 9: "mod.fifth", 10: "", 11: ""}


def expected():
    """By first line: the name, and the one in stripped bytecode."""
    full, stripped = {0: "main chunk"}, {0: "main chunk"}
    with open(SCRIPT) as f:
        for number, line in enumerate(f, 1):
            code, _, comment = line.partition("-->")
            if "function" in code and comment:
                name, _, short = comment.strip().partition(" | ")
                full[number] = name
                stripped[number] = "" if short == "-" else short or name
    return full, stripped


def check_names(label, target, chunk, names):
    """Each function has its name and no other."""
    found, end, r = {}, time.time() + 20, None
    while time.time() < end and len(found) < len(names):
        r = live.record("-F", 1997, "-d", 2, "-p", target.pid)
        for frames, _ in r.stacks:
            for f in live.lua_frames(frames):
                if f["chunk"] == chunk:
                    found.setdefault(int(f["first"]), set()).add(f["name"])
    live.stop(target)
    wrong = [(line, found[line], names[line]) for line in found if line in names and found[line] != {names[line]}]
    live.check("%s: all have the right name" % label, not wrong, wrong)
    missing = sorted(set(names) - set(found))
    live.check("%s: all %d are there" % (label, len(names)), not missing, missing, r and r.stderr)


def started(lua, *arguments):
    target = live.start([lua, *arguments])
    time.sleep(0.3)
    return target


FULL, STRIPPED = expected()
live.check("the script has functions of all kinds", len(FULL) > 50, FULL)
tested = 0
for version in VERSIONS:
    lua, luac = shutil.which("lua" + version), shutil.which("luac" + version)
    if not lua or not luac:
        continue
    tested += 1
    loader = 'local f = io.open(%r); local t = f:read("*a"); f:close(); (loadstring or load)(t, "=(load)")()'
    check_names("Lua %s, no source" % version, started(lua, "-e", loader % SCRIPT), "(load)", FULL)
    bytecode = os.path.join(live.SCRATCH, "stripped.luac")
    subprocess.check_call([luac, "-s", "-o", bytecode, SCRIPT])
    check_names("Lua %s, stripped" % version, started(lua, bytecode), "?", STRIPPED)
    caller = os.path.join(live.SCRATCH, "caller.lua")
    with open(caller, "w") as f:
        f.write(CALLER % MODULE)
    check_names("Lua %s, by callers" % version, started(lua, caller), "gone", CALLED)
live.check("a Lua is installed", tested)
live.finish()
