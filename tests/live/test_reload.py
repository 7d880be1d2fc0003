#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""nginx is reloaded and a worker killed, in turns every two seconds, while its master is recorded: samples of every
generation, and nothing of those that have gone stays behind, in luaspy or in the kernel.

20 seconds; a minute with LUASPY_SOAK_SECONDS set.
"""
import json
import os
import signal
import subprocess
import time

import live
import targets

SECONDS = 60 if "LUASPY_SOAK_SECONDS" in os.environ else 20
WORKERS = 2
OUT = os.path.join(live.SCRATCH, "reload.folded")
BPFTOOL = next((path for path in ("/usr/sbin/bpftool", "/usr/local/sbin/bpftool") if os.path.exists(path)), "bpftool")


def bpf_objects(pid):
    """The ids of the maps and programs that a process has open, {"map_id": {...}, "prog_id": {...}}."""
    found = {"map_id": set(), "prog_id": set()}
    for fd in os.listdir("/proc/%d/fdinfo" % pid):
        try:
            with open("/proc/%d/fdinfo/%s" % (pid, fd)) as f:
                for line in f:
                    key, _, value = line.partition(":")
                    if key in found:
                        found[key].add(int(value))
        except OSError:
            pass
    return found


def bpftool(*arguments):
    done = subprocess.run([BPFTOOL, "-j", *arguments], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                          stderr=subprocess.DEVNULL, timeout=60, check=False)
    return json.loads(done.stdout or "null")


def maps_of(pid):
    """Map ids by name."""
    return {shown.get("name"): shown["id"] for shown in
            (bpftool("map", "show", "id", str(id)) for id in bpf_objects(pid)["map_id"])}


def entries(id):
    dump = bpftool("map", "dump", "id", str(id))
    return dump if isinstance(dump, list) else dump["elements"] if dump else []


def is_used(entry):
    value = entry.get("formatted", entry).get("value")
    return any(value.values()) if isinstance(value, dict) else "error" not in value


class State:
    """What luaspy holds at a moment."""

    def __init__(self, pid, maps):
        self.descriptors = len(os.listdir("/proc/%d/fd" % pid))
        self.processes = len(entries(maps["processes"]))
        self.tables = sum(1 for entry in entries(maps["tables"]) if "error" not in str(entry.get("value")))
        self.mappings = sum(1 for entry in entries(maps["mappings"]) if is_used(entry))
        with open("/proc/%d/status" % pid) as f:
            self.rss_kb = next(int(line.split()[1]) for line in f if line.startswith("VmRSS"))

    def __str__(self):
        return ", ".join("%s %d" % item for item in vars(self).items())


def change(nginx, turn):
    """A reload or a crash; the workers that are there afterwards."""
    if turn % 2 == 0:
        nginx.reload()
    else:
        victim = nginx.workers()[0]
        os.kill(victim, signal.SIGKILL)
        live.wait_until(lambda: victim not in nginx.workers() and len(nginx.workers()) == WORKERS)
    return set(nginx.workers())


def main():
    nginx = targets.OwnNginx(os.path.join(live.SCRATCH, "nginx"), workers=WORKERS)
    lived = {pid: time.time() for pid in nginx.workers()}  # when each was first seen, then for how long
    recorder = live.start([live.LUASPY, "record", "-F", "199", "-f", "folded", "--threads", "-o", OUT, "-p",
                           str(nginx.pid)], stderr=subprocess.PIPE)
    live.wait_until(lambda: bpf_objects(recorder.pid)["prog_id"], 30)
    time.sleep(0.5)
    opened = bpf_objects(recorder.pid)
    maps = maps_of(recorder.pid)
    states = []
    began = time.time()
    turn = 0
    while time.time() - began < SECONDS:
        next_turn = time.time() + 2
        now = change(nginx, turn)
        for pid in now:
            lived.setdefault(pid, time.time())
        turn += 1
        time.sleep(max(0.0, next_turn - time.time()))
        if turn in (4, SECONDS // 2):
            states.append(State(recorder.pid, maps))
            live.note("after %d changes:" % turn, states[-1])
    if len(states) < 2:
        states.append(State(recorder.pid, maps))
        live.note("after %d changes:" % turn, states[-1])
    recorder.send_signal(signal.SIGINT)
    errors = recorder.communicate(timeout=60)[1].decode(errors="replace")
    with open(OUT) as f:
        r = live.Recording(recorder.returncode, errors, f.read())
    nginx.stop()

    seen = dict.fromkeys(lived, 0)
    for frames, count in r.stacks:
        pid = int(frames[0].rpartition("/")[2])
        if pid in seen:
            seen[pid] += count
    live.note("%d changes, samples by worker:" % turn, seen)
    live.check("every worker of every generation has samples", turn >= SECONDS / 4 and len(seen) >= turn + WORKERS and
               all(n >= 5 for n in seen.values()), seen, errors)
    live.check("one profile without an error", r.status == 0 and r.lost() == 0 and r.complete() > 99 and
               "warning" not in errors, errors)
    spins = r.count_where(lambda frames: any(f.startswith("spin@") for f in frames))
    live.check("Lua functions by name", spins > r.samples / 2, spins, r.samples)
    early, late = states
    # One or two workers may be about to go.
    live.check("the kernel knows the processes that live, no others", late.processes <= 1 + 2 * WORKERS, early, late)
    live.check("no more files in the kernel than before", late.tables <= early.tables, early, late)
    live.check("no more descriptors than before", late.descriptors <= early.descriptors + 4 * WORKERS, early, late)
    live.check("the space of mappings is used again", late.mappings <= early.mappings * 2, early, late)
    live.check("memory does not grow with each change", late.rss_kb <= early.rss_kb + 4096, early, late)
    # The kernel frees them a little later than the last descriptor.
    left = live.wait_until(lambda: not (remaining := [
        (what, id) for key, what in (("map_id", "map"), ("prog_id", "prog")) for id in opened[key]
        if "id" in (bpftool(what, "show", "id", str(id)) or {})]) and [remaining] or None)
    live.check("none of its maps and programs is left after its end", opened["prog_id"] and len(opened["map_id"]) > 10 and
               left, opened)


main()
live.finish()
