# SPDX-License-Identifier: Apache-2.0
"""What a profiled nginx worker loses: its CPU time per request, beside that without a profiler.

A window is a fixed number of requests, the same in the same order (bench/load.c), behind some that are not counted. The
order is: plain, something, plain, something else, ...; what is attached is attached and detached between the windows. A
window's ratio is to the mean of the plain windows before and behind it, so that slow changes of the machine fall out.
"Null" is nothing attached, treated as all others: its interval is what this machine can tell apart.
The CPU time is sum_exec_runtime (/proc/PID/schedstat). It has the sampling interrupt in it unless the kernel was built
with CONFIG_IRQ_TIME_ACCOUNTING, which is looked at.
"""
import gzip
import os
import time

from common import LOAD_CPU, cpu_ns, cpu_of, say, summary, trimmed_mean
from profilers import Luaspy, others
from programs import Load

CONNECTIONS = 8
RATES = (49, 99, 499, 999, 4999)


class Setup:
    """Something that is attached in a window: a profiler at a rate, or nothing."""

    def __init__(self, name, profiler, rate, windows):
        self.name, self.profiler, self.rate, self.windows = name, profiler, rate, windows
        self.cpu, self.wall, self.samples = [], [], []


def setups(settings):
    pairs = settings.pairs or (6 if settings.quick else 40)
    few = pairs if settings.pairs else (3 if settings.quick else 10)
    found = [Setup("null", None, 0, pairs)]
    for name, binary in settings.binaries.items():
        for rate in RATES if len(settings.binaries) == 1 and not settings.quick else (99, 999):
            found.append(Setup("%s %d Hz" % (name, rate), Luaspy(binary, name), rate, pairs if rate == 99 else few))
    if len(settings.binaries) > 1 or settings.quick:
        return found
    for rate in (99, 999):
        for profiler in others():
            missing = profiler.missing()
            if missing:
                say("%s: %s" % (profiler.name, missing))
            else:
                found.append(Setup("%s %d Hz" % (profiler.name, rate), profiler, rate, settings.pairs or few * 3 // 5))
    return found


def schedule(found):
    """What comes in which order: each setup's windows spread over the whole time, forth and back."""
    longest = max(s.windows for s in found)
    order = []
    for number in range(longest):
        # Of n windows in `longest` rounds, those rounds in which the n-th part goes up.
        turn = [s for s in found if (number + 1) * s.windows // longest > number * s.windows // longest]
        order += turn if number % 2 == 0 else turn[::-1]
    return order


class Windows:
    """The worker under the counted load."""

    def __init__(self, web, connections, rate, seconds):
        self.worker = web.worker
        self.load = Load(web.port, connections, rate)
        self.load.run(500)
        took = self.load.run(1000) / 1000
        self.requests = max(400, int(seconds * 1e9 / took) // 20 * 20)

    def window(self):
        """(CPU ns, wall ns) per request."""
        self.load.run(self.requests // 8 // 20 * 20)
        time.sleep(0.01)  # until the worker sleeps, and its time is up to date
        before = cpu_ns(self.worker)
        took = self.load.run(self.requests)
        time.sleep(0.01)
        return (cpu_ns(self.worker) - before) / self.requests, took / self.requests

    def stop(self):
        self.load.stop()


def with_setup(setup, windows):
    """One window with it attached: (CPU, wall), or None if it did not start."""
    if not setup.profiler:
        return windows.window()
    if not setup.profiler.start(windows.worker, setup.rate):
        setup.profiler.stop()
        return None
    found = windows.window()
    setup.profiler.stop()
    if isinstance(setup.profiler, Luaspy):
        setup.samples.append(sum(count for _, count in setup.profiler.stacks()))
    return found


def interrupt_time_is_left_out():
    """Does this kernel keep interrupts' time out of a task's? None: its configuration is not there."""
    for path, opener in (("/proc/config.gz", gzip.open), ("/boot/config-" + os.uname().release, open)):
        try:
            with opener(path, "rt") as f:
                return "CONFIG_IRQ_TIME_ACCOUNTING=y" in f.read()
        except OSError:
            continue
    return None


def run_windows(found, windows):
    """All windows; adds each one's ratios to the plain ones around it to its setup."""
    windows.window()  # the first is not like the others
    plain = windows.window()
    costs = [plain[0]]
    for setup in schedule(found):
        profiled = with_setup(setup, windows)
        before, plain = plain, windows.window()
        costs.append(plain[0])
        if profiled:
            setup.cpu.append(2 * profiled[0] / (before[0] + plain[0]))
            setup.wall.append(2 * profiled[1] / (before[1] + plain[1]))
    return costs


def percent(entry):
    return "%+.2f %% (%+.2f to %+.2f)" % tuple(100 * (entry[k] - 1) for k in ("value", "low", "high"))


def measure(settings, web, only=None):
    seconds = 0.4 if settings.quick else 1
    connections, rate = settings.load or (CONNECTIONS, 0)
    found = [s for s in setups(settings) if not only or s.name == "null" or any(word in s.name for word in only)]
    say("\nThe worker's CPU time per request: change by what is attached (95 % interval), beside null (nothing)")
    windows = Windows(web, connections, rate, seconds)
    try:
        costs = run_windows(found, windows)
    finally:
        windows.stop()
    result = {"requests per window": windows.requests, "connections": connections, "plain us per request":
              summary([c / 1000 for c in costs]), "own CPUs": cpu_of(LOAD_CPU) is not None,
              "interrupt time is left out": interrupt_time_is_left_out(), "setups": {}}
    say("plain: %.1f us per request, %d requests per window, %d windows" %
        (result["plain us per request"]["value"], windows.requests, len(costs)))
    if result["interrupt time is left out"]:
        say("this kernel leaves interrupts out of a task's CPU time: the change below is too small")
    for setup in found:
        if not setup.cpu:
            say("%-20s did not run: %s" % (setup.name, setup.profiler.said().strip()[:200]))
            continue
        entry = {"rate": setup.rate, "cpu": summary(setup.cpu, trimmed_mean), "wall": summary(setup.wall, trimmed_mean),
                 "samples": setup.samples}
        result["setups"][setup.name] = entry
        say("%-20s %-32s wall %-32s %d pairs" % (setup.name, percent(entry["cpu"]), percent(entry["wall"]),
                                                 len(setup.cpu)))
    return result


def measure_noise(settings, web):
    """Which form of load tells most: the spread of null pairs, for the same time each."""
    say("\nNull pairs by form of load: how far ratios of neighbouring windows are spread (half of them are within)")
    result = {}
    for connections, rate in ((1, 0), (2, 0), (4, 0), (8, 0), (1, 2000), (4, 2000)):
        for seconds in (0.3, 1) if settings.quick else (0.3, 1, 2):
            null = Setup("null", None, 0, max(4, int((4 if settings.quick else 24) / seconds / 2)))
            windows = Windows(web, connections, rate, seconds)
            try:
                run_windows([null], windows)
            finally:
                windows.stop()
            away = sorted(abs(r - 1) for r in null.cpu)
            entry = summary(null.cpu, trimmed_mean)
            entry["half within"] = away[len(away) // 2]
            result["%d connections, %s, %.1f s" % (connections, "%d/s" % rate if rate else "as fast as it can",
                                                   seconds)] = entry
            say("%d connections, %-18s windows of %.1f s: %.2f %%; interval of the mean %s" %
                (connections, "%d/s" % rate if rate else "as fast as it can", seconds, 100 * entry["half within"],
                 percent(entry)))
    return result
