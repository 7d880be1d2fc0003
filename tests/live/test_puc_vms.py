#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Many VMs of PUC Lua 5.1 to 5.4 in one process (puc_vms.c): all in one thread, one inside the other; some for each
thread; going from thread to thread. Each sample's Lua frames are of the VM that ran, and each was called by what calls
it in the program (puc_vms.lua), in the order in which it was."""
import os
import re
import subprocess

import live

HERE = os.path.join(live.TOP, "tests", "live")
VMS = 24

# What stands in front of a function (root first): a Lua function, then the C functions with a name; natives without
# one, and the VM's own, are left out.
WAYS = {
    "run": {()},
    "tail": {("run",)},
    "called": {("run", "pcall"), ("run", "call_back")},
    "thrown": {("run", "pcall")},
    "before": {("run", "table.sort")},
    "outer": {("run", "WRAPPED")},
    "inner": {("outer", "WRAPPED")},
    "index": {("run",)},
    "add": {("run",)},
    "garbage": {("run",)},
    "loader": {("run", "require")},
}
CALLERS_OF_WORK = {"run", "called", "thrown", "before", "outer", "inner", "index", "add", "loader", "hook", "final",
                   "closer"}
ANYWHERE = {"hook", "final"}  # a hook and a finaliser come where they like
C_NAMES = {"pcall", "call_back", "table.sort", "require", "coroutine.yield", "collectgarbage", "debug.sethook", "visit"}
FEATURES = ("called", "thrown", "before", "outer", "inner", "index", "add", "loader", "hook", "final", "garbage", "run")


def compile_host(version):
    library = "-llua" + version
    return live.compile_c(open(os.path.join(HERE, "puc_vms.c")).read(), "puc_vms" + version,
                          "-I/usr/include/lua" + version, library, "-lpthread")


def write_scripts():
    with open(os.path.join(HERE, "puc_vms.lua")) as f:
        text = f.read()
    for n in range(VMS):
        with open(os.path.join(live.SCRATCH, "vm_%d.lua" % n), "w") as f:
            f.write(re.sub(r"\bN\b|_N\b", lambda m: m.group(0).replace("N", str(n)), text))


def why_wrong(frames, seen):
    """What is wrong in a stack; counts the functions, and the pairs of them, that it has."""
    vm = caller = tail = None
    between = []
    for frame in frames:
        entered = re.fullmatch(r"enter_(\d+)", frame)
        if entered:
            vm, caller, between, tail = int(entered.group(1)), None, [], None
            continue
        lua = live.lua_frame(frame)
        if not lua:
            if frame == "(...tail calls...)":
                tail = True
            elif frame in C_NAMES:
                between.append(frame)
            continue
        chunk = re.search(r"vm_(\d+)\.lua", lua["chunk"])
        if not chunk:
            if lua["chunk"] != "[string]" and "local closer" not in frame:
                continue
            name = "close"
        else:
            if vm is None or int(chunk.group(1)) != vm:
                return "a frame of VM %s in VM %s" % (chunk.group(1), vm)
            name = re.sub(r"_%d$" % vm, "", lua["name"])
            if name == lua["name"]:
                return "%s is no name" % name
        seen[name] = seen.get(name, 0) + 1
        way = tuple(x for x in ([caller] if caller else []) + between)
        if name == "work":
            good = tail and caller == "run" or caller in CALLERS_OF_WORK and not between
            seen["tail"] = seen.get("tail", 0) + (1 if tail else 0)
        elif name in ANYWHERE:
            good = True
        elif name == "close":
            good = caller == "run"
        elif name == "closer":
            good = caller == "close"
        else:
            good = way in {tuple(x for x in w if x != "WRAPPED") for w in WAYS.get(name, ())}
        if not good:
            return "%s called by %s" % (name, way)
        caller, between, tail = name, [], None
    return None


def judge(name, r, features):
    wrong, seen, vms, in_vm = [], {}, {}, 0
    for frames, count in r.stacks:
        lua = live.lua_frames(frames)
        in_vm += count if lua else 0
        for frame in lua:
            found = re.search(r"vm_(\d+)\.lua", frame["chunk"])
            if found:
                vms[int(found.group(1))] = vms.get(int(found.group(1)), 0) + count
        if any(f.startswith("[Lua ") for f in frames):
            continue  # says that it has not all; counted in the figure
        why = why_wrong(frames, seen)
        if why:
            wrong.append((count, why, ";".join(frames)))
    bad = sum(count for count, _, _ in wrong)
    live.note("%s: %d samples, %d in Lua, %d VMs, %d wrong; complete %s %%, Lua frames %s %%" %
              (name, r.samples, in_vm, len(vms), bad, r.complete(), r.lua_complete()))
    live.check("%s: no sample has another VM's frames, or a wrong order" % name, bad == 0 and in_vm > 300, bad, in_vm,
               *wrong[:5])
    live.check("%s: complete" % name, (r.complete() or 0) >= 99.5 and (r.lua_complete() or 0) >= 99.5, r.stderr)
    live.check("%s: all VMs are seen" % name, len(vms) == VMS, sorted(vms))
    # Where many threads share few cores the rates are lower.
    missing = [f for f in features if not seen.get(f)]
    live.check("%s: each way of calling is seen" % name, not missing, missing, seen)


def run(version):
    try:
        host = compile_host(version)
    except subprocess.CalledProcessError as error:
        live.check("lua%s: the host compiles" % version, False, error)
        return
    features = FEATURES + ("tail",) + (("close", "closer") if version == "5.4" else ())
    for mode in ("one", "threads", "pool"):
        target = live.start([host, mode, live.SCRATCH])
        live.wait_until(lambda: target.poll() is not None, 0.3)
        r = live.record("-F", 4999, "-d", 2.5 if mode == "one" else 2, "-p", target.pid)
        live.check("lua%s, %s: it runs" % (version, mode), target.poll() is None)
        live.stop(target)
        judge("lua%s, %s" % (version, mode), r, features if mode == "one" else ())


write_scripts()
for release in os.environ.get("RELEASES", "5.1 5.2 5.3 5.4").split():
    run(release)
live.finish()
