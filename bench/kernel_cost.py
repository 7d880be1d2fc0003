# SPDX-License-Identifier: Apache-2.0
"""What a sample costs in the kernel: run_time_ns of the BPF program while kernel.bpf_stats_enabled is on.

Each case is one process that does the same all the time. In each round all profilers take a turn on it, one after the
other, so that a change of the machine's speed hits them alike; what is told is the median of the rounds, and of the
ratios within them. Of luaspy the time is divided by the program's runs. The programs of bcc and bpftrace also run when
another process has the CPU; theirs is divided by the samples that the target's CPU time makes.
"""
import statistics
import time

import programs
import targets
from common import BpfStats, cpu_ns, live, median, program_cost, say, summary, turns
from profilers import Bcc, Bpftrace, Luaspy


class Case:
    """A program to sample at a rate: `begin` starts it and returns (pid, what to stop)."""

    def __init__(self, name, begin, rate=4999, window=0.7, rounds=None):
        self.name, self.begin, self.rate, self.window, self.rounds = name, begin, rate, window, rounds


def program(*command):
    def begin():
        child = programs.start(*command)
        time.sleep(0.1)
        return child.pid, child
    return begin


def cases(web, quick):
    deep = live.compile_c(targets.DEEP_C, "deep")
    depths = (10, 60, 200)
    found = [Case("C %d" % n, program(deep, str(n))) for n in depths]
    luajit = programs.luajit()
    if luajit:
        found += [Case("LuaJIT interpreted %d" % n, program(luajit, "-joff", "-e", programs.DEEP_LUA % n))
                  for n in depths]
        found += [Case("LuaJIT compiled %d" % n, program(luajit, "-e", programs.COMPILED.replace("%d", str(n - 5))))
                  for n in depths]
        found.append(Case("mixed 100", program(luajit, "-joff", "-e",
                                               programs.MIXED.replace("%d", str(programs.MIXED_100)))))
    for version, path in programs.puc().items():
        found += [Case("Lua %s %d" % (version, n), program(path, "-e", programs.DEEP_LUA % n)) for n in depths]
    for rate, window in ((99, 2 if quick else 4), (999, 1), (4999, 0.7)):
        found.append(Case("nginx %d Hz" % rate, lambda: (web.worker, web.busy(300)), rate, window))
    return found


def shape(stacks):
    """Average frames per sample: native (built-in functions among them), Lua, kernel."""
    total = sum(count for _, count in stacks) or 1
    lua = sum(c * len(live.lua_frames(f)) for f, c in stacks) / total
    kernel = sum(c * sum(x.endswith("_[k]") for x in f) for f, c in stacks) / total
    return {"native": sum(c * (len(f) - 1) for f, c in stacks) / total - lua - kernel, "lua": lua, "kernel": kernel}


def one_turn(profiler, pid, case):
    """(ns per sample, samples) of one window, or None if the profiler does not run there."""
    if not profiler.start(pid, case.rate):
        profiler.stop()
        return None
    live.wait_until(lambda: program_cost(profiler.child.pid)[0] > 0, 20)
    time.sleep(0.1 if case.rate > 500 else 0.5)  # what the first samples find is not in the caches
    before, cpu = program_cost(profiler.child.pid), cpu_ns(pid)
    time.sleep(case.window)
    after, cpu = program_cost(profiler.child.pid), cpu_ns(pid) - cpu
    profiler.stop()
    samples = after[0] - before[0] if isinstance(profiler, Luaspy) else round(cpu / 1e9 * case.rate)
    return ((after[1] - before[1]) / samples, samples) if samples > 0 else None


def measure_case(case, profilers, rounds):
    found = {p.name: [] for p in profilers}
    samples = dict.fromkeys(found, 0)
    frames = None
    pid, child = case.begin()
    try:
        for number in range(rounds):
            ratios_of = {}
            for profiler in turns(profilers, number):
                turn = one_turn(profiler, pid, case)
                if turn is None:
                    continue
                ratios_of[profiler.name] = turn[0]
                samples[profiler.name] += turn[1]
                if frames is None and isinstance(profiler, Luaspy):
                    frames = shape(profiler.stacks())
            for name in found:
                found[name].append(ratios_of.get(name))
    finally:
        live.stop(child)
    return found, samples, frames


def describe(case, found, samples, frames):
    """The entry for the JSON, and a line of it."""
    entry = {"rate": case.rate, "frames": frames, "profilers": {}}
    words = []
    own = found["luaspy"]
    for name, values in found.items():
        good = [v for v in values if v is not None]
        if not good:
            continue
        ratios = [v / o for v, o in zip(values, own) if v is not None and o]
        entry["profilers"][name] = {"ns": summary(good), "ratio_to_luaspy": summary(ratios), "samples": samples[name]}
        text = "%s %.0f ns" % (name, statistics.median(good))
        if name != "luaspy" and ratios:
            text += " x%.3f" % median(ratios)
        if name == "against" and ratios:
            text += " (%.3f to %.3f)" % tuple(entry["profilers"][name]["ratio_to_luaspy"][k] for k in ("low", "high"))
        words.append(text)
    shape_text = "%(native)5.1f C %(lua)5.1f Lua %(kernel)4.1f kernel" % frames if frames else ""
    return entry, "%-22s %s  %s" % (case.name, shape_text, "; ".join(words))


def beside(case):
    """bcc and bpftrace stand beside these only: PUC Lua's C stacks are those of LuaJIT, and time is limited."""
    return not case.name.startswith("Lua ")


def measure(settings, web, only=None):
    """The entries by case. `only`: words of which one has to be in a case's name."""
    say("\nIn the kernel, per sample: medians of rounds; C, Lua and kernel frames on average; ratios to luaspy")
    result = {}
    own = [Luaspy(binary, name) for name, binary in settings.binaries.items()]
    more = [] if len(own) > 1 else [p for p in (Bcc(), Bpftrace()) if not p.missing()]
    chosen = [c for c in cases(web, settings.quick) if not only or any(word in c.name for word in only)]
    if settings.quick and not only and len(own) == 1:
        chosen = [c for c in chosen if c.name in QUICK]
        more = []
    rounds = settings.pairs or (3 if settings.quick else 5)
    with BpfStats():
        for case in chosen:
            found = measure_case(case, own, rounds)
            if more and beside(case):
                # Fewer rounds: their start takes seconds. luaspy is among them for the ratios.
                beside_found = measure_case(case, own[:1] + more, 2)
                join(found, beside_found)
            result[case.name], line = describe(case, *found)
            say(line)
    return result


QUICK = ("C 60", "LuaJIT interpreted 60", "LuaJIT compiled 60", "mixed 100", "Lua 5.1 60", "Lua 5.4 60", "nginx 99 Hz",
         "nginx 999 Hz", "nginx 4999 Hz")


def join(found, more):
    """Adds the rounds with other profilers behind those of luaspy alone."""
    values, samples, _ = found
    own = len(values["luaspy"])
    for name, list_of in more[0].items():
        values.setdefault(name, [None] * own)
        values[name] = values[name] + list_of
        samples[name] = samples.get(name, 0) + more[1][name]
