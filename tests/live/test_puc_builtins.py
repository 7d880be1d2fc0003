#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Names of C functions in PUC Lua 5.1 to 5.5, read from outside, beside what the program itself
knows of them (puc_builtins.lua), and what `list` says of its VM."""
import json
import os
import shutil
import subprocess

import live

TOOL = os.path.join(live.BUILD, "tests", "live", "builtins")
SCRIPT = os.path.join(live.TOP, "tests", "live", "puc_builtins.lua")
CJSON = "/usr/lib/x86_64-linux-gnu/lua/%s/?.so"
WANTED = {"print", "pcall", "require", "next", "string.gsub", "string.format", "table.concat",
          "coroutine.resume", "coroutine.wrap", "io.open", "os.clock", "math.floor",
          "debug.getinfo", "package.loadlib", "file:read", "file:write"}


class Target:
    """puc_builtins.lua, run up to where it has said everything, and what it said."""

    def __init__(self, command, minor):
        self.L = self.g = self.heap = None
        self.paths = {}  # of the objects, then of the entries
        self.child = live.start([*command, SCRIPT, CJSON % minor], stdin=subprocess.PIPE,
                                stdout=subprocess.PIPE)
        objects = {}
        for line in self.child.stdout:
            words = line.decode().rstrip("\n").split("\t")
            if words[0] == "function":
                objects.setdefault(int(words[1], 16), set()).add(words[2])
            elif words[0] == "L":
                self.L = words[1]
            elif words[0] == "heap":
                self.heap = int(words[1])
            elif words[0] == "end":
                break
        # lobject.h: struct CClosure; 5.1's has an environment in front of the function.
        with open("/proc/%d/mem" % self.child.pid, "rb") as memory:
            code = self.code()
            for address, paths in objects.items():
                if not any(start <= address < end for start, end in code):
                    memory.seek(address + (0x20 if minor == "5.1" else 0x18))
                    address = int.from_bytes(memory.read(8), "little")
                self.paths.setdefault("%x" % address, set()).update(paths)
            memory.seek(int(self.L, 16) + (0x20 if minor == "5.1" else 0x18))  # lua_State.l_G
            self.g = "%x" % int.from_bytes(memory.read(8), "little")

    def code(self):
        with open("/proc/%d/maps" % self.child.pid) as maps:
            return [tuple(int(x, 16) for x in line.split()[0].split("-")) for line in maps
                    if "x" in line.split()[1]]


def listed(pid):
    text = subprocess.check_output([live.LUASPY, "list", "--json"], stdin=subprocess.DEVNULL,
                                   stderr=subprocess.DEVNULL, timeout=60)
    return next((row for row in json.loads(text)["processes"] if row["pid"] == pid), {})


def names(name, command, minor):
    target = Target(command, minor)
    if not live.check(name + ": runs", target.L and target.paths):
        return
    row = listed(target.child.pid)
    live.check(name + ": list shows its VM and heap", row.get("vms") == 1 and row["jit"] is None and
               abs(row["heap_bytes"] - target.heap) <= 16384, target.heap, row)
    release = [int(part) for part in row["runtime"].split()[1].split(".")]
    live.check(name + ": list shows its release", "%d.%d" % tuple(release[:2]) == minor, row)
    number = "%d%02d%02d" % tuple(release)

    def read(vm):
        done = subprocess.run([TOOL, "-r", number, str(target.child.pid), vm, *target.paths],
                              stdout=subprocess.PIPE, timeout=60, check=False)
        output = done.stdout.decode(errors="replace")
        words = [line.split("\t") for line in output.splitlines()]
        return output, words, {w[1]: w[2] for w in words if w[0] == "entry"}

    text, lines, found = read(target.g)
    effort = next((words[1:] for words in lines if words[0] == "effort"), None)
    wrong = ["%s: %s, not %s" % (e, n, target.paths[e]) for e, n in found.items()
             if n not in target.paths[e] or n in ("sprintf", "aa.a")]
    unnamed = [paths for e, paths in target.paths.items() if e not in found]
    live.note("%s (%s): %d of %d C functions named, %d wrong; %s tables, %s reads, %s us" %
              (name, row["runtime"], len(found), len(target.paths), len(wrong),
               *((effort[0], effort[3], effort[4]) if effort else "???")))
    live.check(name + ": names were read", effort and effort[5] == "0", text)
    live.check(name + ": the same names from a coroutine", read(target.L)[2] == found)
    live.check(name + ": no C function has a wrong name", not wrong, "\n".join(wrong))
    live.check(name + ": every C function has a name", not unnamed, unnamed)
    want = WANTED | ({"cjson.encode"} if os.path.exists(CJSON.replace("?", "cjson") % minor) and
                     name.startswith("lua") else set())
    live.check(name + ": the names users know", want <= set(found.values()),
               want - set(found.values()), sorted(found.values()))
    live.stop(target.child)


subprocess.check_call(["make", "-s", "-C", live.TOP, "B=" + live.BUILD, TOOL])
for version in ("5.1", "5.2", "5.3", "5.4"):
    if live.check("lua%s is installed" % version, shutil.which("lua" + version)):
        names("lua" + version, ["lua" + version], version)
for fixture in ("bullseye-lua5.3", "bullseye-lua5.4", "trixie-lua5.4", "sid-lua5.4", "sid-lua5.5"):
    path = os.path.join(live.FIXTURES, fixture, "lua")
    if os.access(path, os.X_OK):
        names(fixture, [path], fixture[-3:])
    else:
        live.skip(fixture, "no such Lua (tests/fixtures/fetch)")
live.finish()
