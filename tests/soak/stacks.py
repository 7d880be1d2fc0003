#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Programs whose stacks are new at each sample: none is lost, the summary is true, memory is bounded.

    tests/soak/stacks.py [SECONDS [PROCESSES]]      10 and 8 unless told; 20,000 stacks a second take two CPUs
"""
import os
import signal
import sys
import time

import scale
from scale import live

SECONDS = float(sys.argv[1]) if len(sys.argv) > 1 else 10
PROCESSES = int(sys.argv[2]) if len(sys.argv) > 2 else 8
RATE = 9999
KERNEL_STACKS = 65536  # that the kernel counts (MAX_STACKS): always kept
NOT_KEPT = "[stacks that were not kept]"


def check(name, r, cpu):
    samples, _, stacks = scale.told(r)
    expected = sum(cpu) * RATE
    held = [kb for _, kb, _ in r.memory]
    live.note("%s: %.1f s of CPU time, %d samples (%+.2f %%), %d distinct stacks, %.0f a second, lost %s; "
              "resident %d KB at first, %d KB at most, %.0f bytes per stack; BPF maps %d KB; "
              "%.2f s of its own CPU, %.1f us per sample; %s" %
              (name, sum(cpu), samples, 100 * (samples / max(1, expected) - 1), stacks, stacks / SECONDS, r.lost(),
               held[0], r.peak_kb, 1024 * (r.peak_kb - min(held[3:] or held)) / max(1, stacks),
               max(kb for _, _, kb in r.memory),
               r.cpu_seconds, r.cpu_seconds * 1e6 / max(1, samples), scale.errors(r)))
    live.check(name + ": nothing is lost", r.status == 0 and r.lost() == 0, r.stderr)
    live.check(name + ": nearly every stack is a new one", samples > 1000 and stacks > 0.8 * samples or
               "kept" in r.stderr, samples, stacks)
    live.check(name + ": the summary's samples are the file's", samples == r.samples > 1000, samples, r.samples)
    # At 9,999 Hz the timer leaves some out, which the summary counts where it is more than 5 %.
    live.check(name + ": the samples are those of the CPU time, or the summary says how many are missing",
               samples <= 1.1 * expected + 100 and (samples >= 0.9 * expected or "missed" in r.stderr),
               samples, expected, r.stderr)
    live.check(name + ": complete, with their Lua frames", (r.complete() or 0) >= 99.5 and
               (r.lua_complete() or 0) >= 99.5, r.stderr)


def record(targets, *arguments):
    """(recording, CPU seconds of each target): they run only while it goes on."""
    run = scale.Running("-F", RATE, "-p", ",".join(str(t.pid) for t in targets), *arguments)
    run.started()
    before = [scale.cpu_ns(t.pid) for t in targets]
    for target in targets:
        target.send_signal(signal.SIGCONT)
    time.sleep(SECONDS)
    for target in targets:
        target.send_signal(signal.SIGSTOP)
    live.wait_until(lambda: scale.idle([t.pid for t in targets]), 30)
    cpu = [(scale.cpu_ns(t.pid) - b) / 1e9 for t, b in zip(targets, before)]
    return run.end(stop=True), cpu


def main():
    script = os.path.join(scale.HERE, "stacks.lua")
    luajit = live.fixture("bookworm-luajit")
    targets = [live.start([luajit if i % 2 == 0 else "lua5.4", script, "14", str(i)],
                          start_new_session=True) for i in range(PROCESSES)]
    time.sleep(0.5)
    for target in targets:
        target.send_signal(signal.SIGSTOP)
    r, cpu = record(targets)
    check("with room for all", r, cpu)
    live.check("with room for all: all are kept", not r.count_where(lambda frames: NOT_KEPT in frames) and
               "not kept" not in r.stderr, r.stderr)
    r, cpu = record(targets, "--memory", "8")
    check("8 MB", r, cpu)
    told = scale.errors(r).get("samples whose stacks were not kept", 0)
    noted = r.count_where(lambda frames: NOT_KEPT in frames)
    distinct = scale.told(r)[2]
    live.note("8 MB: %d stacks kept, %d samples under the note" % (distinct, noted))
    live.check("8 MB: the summary counts the samples whose stacks were not kept", told == noted, told, noted, r.stderr)
    if r.samples > 1.2 * KERNEL_STACKS:
        live.check("8 MB: those that the kernel counts are kept, and a note for each thread",
                   noted > 0 and KERNEL_STACKS <= distinct <= KERNEL_STACKS + 16 * PROCESSES, noted, distinct)
    for target in targets:
        target.send_signal(signal.SIGCONT)  # a stopped one does not end
        live.stop(target)


main()
live.finish()
