# SPDX-License-Identifier: Apache-2.0
"""What a switch of the scheduler costs while a process is recorded with --off-cpu: its own, and others'."""
import signal
import time

import programs
from common import PROFILER_CPU, TARGET_CPU, BpfStats, fd_facts, live, pin, say

BPF_PROG_TYPE_RAW_TRACEPOINT = 17


def switch_cost(pid):
    """(runs, ns) of the program that the scheduler calls: of the raw tracepoints' programs the largest one."""
    best = (0, 0, 0)
    for facts in fd_facts(pid):
        if int(facts.get("prog_type", 0)) == BPF_PROG_TYPE_RAW_TRACEPOINT:
            best = max(best, (int(facts.get("verified_insns", 0)), int(facts["run_cnt"]), int(facts["run_time_ns"])))
    return best[1:]


def one(settings, pid, seconds):
    command = [settings.luaspy, "record", "-q", "--off-cpu", "-p", str(pid), "-f", "folded", "-o", "/dev/null"]
    child = live.start([*pin(PROFILER_CPU), *command])
    live.wait_until(lambda: switch_cost(child.pid)[0] > 0, 20)
    time.sleep(0.3)
    before = switch_cost(child.pid)
    time.sleep(seconds)
    after = switch_cost(child.pid)
    child.send_signal(signal.SIGINT)
    child.wait()
    runs = after[0] - before[0]
    return {"ns": (after[1] - before[1]) / max(1, runs), "switches per second": runs / seconds}


def measure(settings, web):
    seconds = 1 if settings.quick else 3
    say("\nIn the kernel, per switch of the scheduler (--off-cpu)")
    idle = live.start(["sleep", "1000"])
    busy = live.start([*pin(TARGET_CPU), live.compile_c(programs.PING_PONG, "ping_pong", "-lpthread")])
    load = web.busy(60)
    time.sleep(1)
    result = {}
    try:
        with BpfStats():
            for name, pid in (("others' switches only", idle.pid), ("C, 8 frames and 8 of the kernel", busy.pid),
                              ("nginx worker under load, and others'", web.worker)):
                if pid == web.worker:
                    live.stop(busy)
                result[name] = one(settings, pid, seconds)
                say("%-38s %6.0f ns %9.0f switches per second" % (name, *result[name].values()))
    finally:
        for child in (load, idle, busy):
            live.stop(child)
    return result
