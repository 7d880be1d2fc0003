#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""An hour at 99 Hz: memory flat, nothing lost, as many samples as the targets had CPU time.

    tests/soak/hour.py [SECONDS]      3600 unless told

An nginx worker under a light load, and two programs whose chunks' names go on changing. Three recordings side by
side: nginx's alone as .pb.gz, all as .pb.gz and as .html. Each 10 s its resident memory and that of the BPF maps is
written down (hour.csv in the build folder, with the figures in hour.json).
"""
import json
import os
import shutil
import sys
import threading
import time

import scale
from scale import live

SECONDS = int(sys.argv[1]) if len(sys.argv) > 1 else 3600
RATE = 99
TICKS = 10  # chunks per second and program
OUT = os.environ.get("LUASPY_HOUR", live.BUILD)


def tick(programs, stop):
    due = time.time()
    while not stop.wait(max(0, due - time.time())):
        due += 1 / TICKS
        for program in programs:
            try:
                program.stdin.write(b"\n")
                program.stdin.flush()
            except OSError:
                return


def main():
    nginx = live.Nginx()
    if not live.check("the demo's nginx runs", nginx.worker, nginx.port):
        return
    script = os.path.join(live.SCRATCH, "light.lua")
    with open(os.path.join(live.TOP, "demo", "load.lua")) as f, open(script, "w") as out:
        out.write(f.read() + "\nfunction delay() return 10 end\n")
    live.start(["nice", "-n", "5", "wrk", "-t1", "-c8", "-d%ds" % (SECONDS + 120), "-s", script,
                "http://127.0.0.1:%d" % nginx.port])
    puc = shutil.which("lua5.4") or shutil.which("lua5.1")
    lua = os.path.join(scale.HERE, "hour.lua")
    programs = [live.start([command, lua, kind, "5"], stdin=scale.subprocess.PIPE)
                for command, kind in ((live.fixture("bookworm-luajit"), "text"), (puc, "file"))]
    stop = threading.Event()
    ticker = threading.Thread(target=tick, args=(programs, stop), daemon=True)
    ticker.start()
    time.sleep(2)
    jobs = [p.pid for p in programs]
    everything = [nginx.worker, *jobs]
    recordings = {
        "nginx alone, .pb.gz": ([nginx.worker], "nginx.pb.gz"),
        "nginx and changing chunks, .pb.gz": (everything, "all.pb.gz"),
        "nginx and changing chunks, .html": (everything, "all.html"),
    }
    runs = {}
    for name, (pids, file) in recordings.items():
        run = scale.Running("-F", RATE, "-d", SECONDS, *[w for pid in pids for w in ("-p", pid)],
                            output=os.path.join(OUT, file), every=10, luaspy=os.environ.get("LUASPY_HOUR_BINARY"))
        run.started()
        runs[name] = (run, pids, [scale.cpu_ns(pid) for pid in pids])
    time.sleep(SECONDS - 5)
    results = {}
    for name, (run, pids, before) in runs.items():
        # Its last moment: the recording is over before the names are found and written.
        while time.time() < run.began + SECONDS:
            time.sleep(0.02)
        seconds = [(scale.cpu_ns(pid) - b) / 1e9 for pid, b in zip(pids, before)]
        r = run.end(timeout=600)
        results[name] = report(name, r, seconds)
    stop.set()
    with open(os.path.join(OUT, "hour.json"), "w") as f:
        json.dump(results, f, indent=1)
    nginx.stop()


def report(name, r, cpu):
    samples, _, stacks = scale.told(r)
    first, last = scale.quarters([kb for _, kb, _ in r.memory])
    maps = [kb for _, _, kb in r.memory]
    with open(os.path.join(OUT, "hour.csv"), "a") as f:
        for seconds, kb, map_kb in r.memory:
            f.write("%s;%.0f;%d;%d\n" % (name, seconds, kb, map_kb))
    expected = sum(cpu) * RATE
    live.note("%s: %.1f s of CPU time (%s), %d samples (%+.2f %%), %d unique stacks, lost %s; resident %d KB in the "
              "first quarter, %d KB in the last, peak %d KB; BPF maps %d to %d KB; %.1f s of its own CPU" %
              (name, sum(cpu), " ".join("%.1f" % s for s in cpu), samples, 100 * (samples / max(1, expected) - 1),
               stacks, r.lost(), first, last, r.peak_kb, min(maps), max(maps), r.cpu_seconds))
    live.check(name + ": nothing is lost", r.status == 0 and r.lost() == 0, r.stderr)
    live.check(name + ": as many samples as the CPU time is worth, within 1 %",
               expected > 0 and abs(samples - expected) <= 0.01 * expected + 20, samples, expected, r.stderr)
    live.check(name + ": it grows by its distinct stacks and functions only",
               (last - first) * 1024 <= 1000 * stacks + 2000000, first, last, stacks)
    live.check(name + ": complete", (r.complete() or 0) >= 99.5 and (r.lua_complete() or 0) >= 99.5, r.stderr)
    return {"cpu_seconds": cpu, "samples": samples, "unique": stacks, "lost": r.lost(), "first_kb": first,
            "last_kb": last, "peak_kb": r.peak_kb, "maps_kb": [min(maps), max(maps)],
            "own_cpu_seconds": r.cpu_seconds, "summary": r.stderr, "bytes": os.path.getsize(r.path)}


main()
live.finish()
