#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Many VMs of PUC Lua 5.1 to 5.4 in one process (puc_vms.c): all in one thread, one inside the other; some for each
thread; going from thread to thread. Each sample's Lua frames are of the VM that ran, and each was called by what calls
it in the program (puc_vms.lua), in the order in which it was."""
import os
import re
import subprocess
import time

import live

HERE = os.path.join(live.TOP, "tests", "live")
VMS = 24
SAMPLES = 2000

# What stands in front of a function (root first): a Lua function, then the C functions with a name; natives without
# one, and the VM's own, are left out.
WAYS = {
    "run": {()},
    "tail": {("run",)},  # is seen until its call has taken its place
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
CALLERS_OF_WORK = {"run", "tail", "called", "thrown", "before", "outer", "inner", "index", "add", "loader", "hook", "final",
                   "closer"}
ANYWHERE = {"hook", "final"}  # a hook and a finaliser come where they like
C_NAMES = {"pcall", "call_back", "table.sort", "require", "coroutine.yield", "collectgarbage", "debug.sethook", "visit"}
MOVING = {"realloc", "mremap", "lua_checkstack"}  # frames of what moves a Lua stack
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


def recorded(name, pid):
    """Recordings until there are SAMPLES in Lua: on a busy machine that takes some."""
    recordings, samples, end = [], 0, time.time() + 15
    while samples < SAMPLES and time.time() < end:
        recordings.append(live.record("-F", 4999, "-d", 1.5, "-p", pid))
        samples += recordings[-1].count_where(live.lua_frames)
    live.check("%s: %d samples in Lua" % (name, SAMPLES), samples >= SAMPLES or samples and time.time() >= end, samples,
               recordings[-1].stderr)
    return recordings


def judge(name, recordings, features, few):
    wrong, seen, vms, samples, in_vm, complete, with_lua, moving = [], {}, set(), 0, 0, 0, 0, 0
    for r in recordings:
        samples += r.samples
        complete += r.samples * (r.complete() or 0)
        lua_samples = r.count_where(live.lua_frames)
        in_vm += lua_samples
        with_lua += lua_samples * (r.lua_complete() or 0)
        for frames, count in r.stacks:
            for frame in live.lua_frames(frames):
                found = re.search(r"vm_(\d+)\.lua", frame["chunk"])
                if found:
                    vms.add(int(found.group(1)))
            if any(f.startswith("[Lua ") for f in frames):
                # It says that it has not all. While realloc moves a Lua stack, nothing whole is left of it: the more
                # threads wait for the kernel's lock of their memory, the more samples are there (0.05 to 1.8 %).
                moving += count if any(f in MOVING for f in frames) else 0
                continue
            why = why_wrong(frames, seen)
            if why:
                wrong.append((count, why, ";".join(frames)))
    bad = sum(count for count, _, _ in wrong)
    complete, with_lua = complete / max(1, samples), with_lua / max(1, in_vm)
    moving *= 100 / max(1, in_vm)
    live.note("%s: %d samples, %d in Lua, %d VMs, %d wrong; complete %.2f %%, Lua frames %.2f %%, stack moving %.2f %%" %
              (name, samples, in_vm, len(vms), bad, complete, with_lua, moving))
    live.check("%s: no sample has another VM's frames, or a wrong order" % name, bad == 0 and in_vm > 0, *wrong[:5])
    live.check("%s: complete" % name, complete >= 99.5 and with_lua + moving >= 99.5, *[r.stderr for r in recordings])
    if in_vm >= SAMPLES:
        live.check("%s: the VMs are seen" % name, len(vms) >= VMS - few, sorted(vms))
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
        name = "lua%s, %s" % (version, mode)
        recordings = recorded(name, target.pid)
        live.check("%s: it runs" % name, target.poll() is None)
        live.stop(target)
        # In the pool, those whose threads wait for a core while they hold a VM.
        judge(name, recordings, features if mode == "one" else (), 8 if mode == "pool" else 0)


write_scripts()
for release in os.environ.get("RELEASES", "5.1 5.2 5.3 5.4").split():
    run(release)
live.finish()
