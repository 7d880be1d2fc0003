#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""How many Lua frames of somebody else's application get a name: luacheck, as Debian packages it,
checks 980 Lua files. With its sources, without them, and as stripped bytecode; and whether what is
found without the sources agrees with them."""
import glob
import os
import re
import shutil
import subprocess
import time

import live

APPLICATION = os.path.join(live.FIXTURES, "bookworm-luacheck", "usr")
LUAJIT = live.fixture("bookworm-luajit2")
LIBRARIES = glob.glob(os.path.join(APPLICATION, "lib", "*", "lua", "5.1"))


def install(name, compile_with=None):
    """A copy of luacheck; of bytecode, if asked for. Its folder."""
    folder = os.path.join(live.SCRATCH, name)
    shutil.copytree(os.path.join(APPLICATION, "share", "lua", "5.1"), folder)
    if compile_with:
        code = ('for i = 1, #arg do local f = loadfile(arg[i]); if f then '
                'io.open(arg[i], "wb"):write(string.dump(f, true)) end end')
        script = os.path.join(live.SCRATCH, "strip.lua")
        with open(script, "w") as f:
            f.write(code)
        files = glob.glob(folder + "/**/*.lua", recursive=True)
        subprocess.check_call([compile_with, script, *files])
    return folder


def profile(folder, after_start=None):
    environment = dict(os.environ, LUA_PATH="%s/?.lua;%s/?/init.lua" % (folder, folder),
                       LUA_CPATH=LIBRARIES[0] + "/?.so")
    target = live.start([LUAJIT, os.path.join(APPLICATION, "bin", "luacheck"), "-q", "--no-config",
                         "--no-cache", APPLICATION, APPLICATION], env=environment)
    time.sleep(1)
    if after_start:
        after_start()
    r = live.record("-d", 3, "-F", 499, "-p", target.pid)
    live.stop(target)
    return r


def share(r, folder):
    """Of the Lua frames the part with a name; names by (file, line); unnamed ones by weight."""
    named, total, names, unnamed = 0, 0, {}, {}
    for frames, count in r.stacks:
        for f in live.lua_frames(frames):
            total += count
            place = (f["chunk"].replace(folder, ""), f["first"])
            if f["name"]:
                named += count
                names.setdefault(place, set()).add(f["name"])
            else:
                unnamed[place] = unnamed.get(place, 0) + count
    worst = sorted(unnamed.items(), key=lambda item: -item[1])[:5]
    return named / max(total, 1), total, names, worst


def last_part(name):
    return re.split(r"[.:]", re.sub(r'\["(.*)"\]$', r".\1", name))[-1]


if not LUAJIT or not LIBRARIES:
    live.skip("luacheck", "no such fixture (tests/fixtures/fetch)")
    live.finish()

where = install("sources")
r = profile(where)
part, frames, sources, worst = share(r, where)
live.note("luacheck with its sources: %.2f %% of %d Lua frames named" % (100 * part, frames), worst)
live.check("98 % of a third-party application's Lua frames are named", frames > 1000 and part >= 0.98,
           worst, r.stderr)

where = install("gone")
r = profile(where, lambda: shutil.rmtree(os.path.join(live.SCRATCH, "gone")))
part, frames, called, worst = share(r, where)
both = [place for place in called if place in sources and place[1] != "0"]
other = {place: (called[place], sources[place]) for place in both
         if {last_part(n) for n in called[place]} != {last_part(n) for n in sources[place]}}
live.note("sources gone: %.2f %% of %d named" % (100 * part, frames), worst)
live.note("of %d functions %d have another name where they are called:" % (len(both), len(other)),
          list(other.values()))
live.check("without sources most frames are named by their callers", frames > 1000 and part >= 0.8,
           worst, r.stderr)
live.check("callers call functions what their sources do, but for some callbacks",
           len(both) > 50 and len(other) <= 0.08 * len(both), other)
live.check("a function has one name", all(len(n) == 1 for n in called.values()), called)

where = install("stripped", LUAJIT)
r = profile(where)
part, frames, _, worst = share(r, where)
live.note("stripped: %.2f %% of %d named" % (100 * part, frames), worst)
live.check("of stripped bytecode half of the frames are named", frames > 1000 and part >= 0.4, worst,
           r.stderr)
live.finish()
