# SPDX-License-Identifier: Apache-2.0
"""The profiler's own CPU time, until there is something to read, and its memory.

luaspy: user and system time of `luaspy record -o x.html`, start and end included. perf: `perf record` and
`perf script`, which makes text of its samples (and no picture). bcc and bpftrace: all of the run, which ends with text.
"""
import time

from common import cpu_ns, live, maps_kb, median, say, turns
from profilers import Luaspy, others

LENGTHS = ((99, 10), (999, 10), (99, 60), (999, 60))


def one_run(profiler, worker, rate, seconds):
    if not profiler.start(worker, rate):
        profiler.stop()
        return None
    cpu = cpu_ns(worker)
    time.sleep(seconds / 2)
    maps = maps_kb(profiler.child.pid)
    time.sleep(seconds / 2)
    cpu = (cpu_ns(worker) - cpu) / 1e9
    used, rss = profiler.stop()
    after = profiler.make_readable()
    return {"record s": used, "script s": after, "rss kb": rss, "maps kb": maps, "expected": round(cpu * rate),
            "samples": count(profiler)}


def count(profiler):
    """The samples in a result; of luaspy by its closing lines, as a page is not to be counted."""
    if isinstance(profiler, Luaspy):
        words = profiler.said().split(" samples in ")
        return int(words[0].split()[-1]) if len(words) > 1 else 0
    return sum(n for _, n in profiler.stacks())


def solve(matrix, right):
    """Linear equations by Gauss; None if they do not determine the unknowns."""
    rows = [list(row) + [value] for row, value in zip(matrix, right)]
    size = len(rows)
    for i in range(size):
        pivot = max(range(i, size), key=lambda k: abs(rows[k][i]))
        if abs(rows[pivot][i]) < 1e-9:
            return None
        rows[i], rows[pivot] = rows[pivot], rows[i]
        for k in range(size):
            if k != i:
                factor = rows[k][i] / rows[i][i]
                rows[k] = [a - factor * b for a, b in zip(rows[k], rows[i])]
    return [row[-1] / row[i] for i, row in enumerate(rows)]


def parts_of(runs):
    """luaspy's CPU seconds as a fixed part, per second of recording and per sample: by least squares over the runs of
    different rates and lengths. With one length, its seconds are in the fixed part."""
    lengths = {seconds for seconds, _ in runs}
    terms = ["fixed s", "per sample s"] + (["per second s"] if len(lengths) > 1 else [])
    rows = [([1.0, run["samples"] / 1000, seconds][:len(terms)], run["record s"] + run["script s"])
            for seconds, run in runs]
    if len(rows) < len(terms):
        return None
    numbers = range(len(terms))
    matrix = [[sum(x[i] * x[j] for x, _ in rows) for j in numbers] for i in numbers]
    found = solve(matrix, [sum(x[i] * y for x, y in rows) for i in numbers])
    if not found:
        return None
    parts = dict(zip(terms, found))
    return {"fixed s": parts["fixed s"], "per second s": parts.get("per second s", 0.0),
            "per sample us": 1000 * parts["per sample s"]}


def measure(settings, web):
    say("\nThe profiler's own CPU time on a busy nginx worker, until its result can be read; medians")
    own = [Luaspy(binary, name, "html") for name, binary in settings.binaries.items()]
    result = {"runs": {}}
    runs_of_luaspy = []
    lengths = [(rate, min(seconds, 4)) for rate, seconds in LENGTHS[:2]] if settings.quick else LENGTHS
    for rate, seconds in lengths:
        profilers = list(own)
        if len(own) == 1:
            found = [p for p in others() if not p.missing()]
            # In a minute only what is compared by the aims; in a hurry, what starts fast.
            profilers += [p for p in found if not (settings.quick or seconds >= 60) or p.name == "perf dwarf"]
        rounds = settings.pairs or (1 if settings.quick or seconds >= 60 else 2)
        rounds = max(rounds, 3) if len(own) > 1 else rounds
        runs = {p.name: [] for p in profilers}
        load = web.busy(int(rounds * len(profilers) * (seconds + 20)))
        time.sleep(0.5)
        try:
            for number in range(rounds):
                for profiler in turns(profilers, number):
                    run = one_run(profiler, web.worker, rate, seconds)
                    if run:
                        runs[profiler.name].append(run)
        finally:
            live.stop(load)
        runs_of_luaspy += [(seconds, run) for run in runs["luaspy"]]
        title = "%d Hz, %d s" % (rate, seconds)
        result["runs"][title] = tell(title, runs)
    result["parts"] = parts_of(runs_of_luaspy)
    if result["parts"]:
        say("luaspy: %.0f ms fixed, %.1f ms per second, %.1f us per sample" %
            (1000 * result["parts"]["fixed s"], 1000 * result["parts"]["per second s"],
             result["parts"]["per sample us"]))
    return result


def tell(title, runs):
    entries = {}
    for name, list_of in runs.items():
        good = [r for r in list_of if r["samples"]]
        if not good:
            say("%-13s %-11s no samples" % (title, name))
            continue
        entry = {key: median([r[key] for r in good]) for key in good[0]}
        per_sample = [1e6 * (r["record s"] + r["script s"]) / r["samples"] for r in good]
        entry.update({"us per sample": median(per_sample), "runs": good})
        entries[name] = entry
    base = entries.get("luaspy", {}).get("us per sample")
    for name, entry in entries.items():
        entry["ratio to luaspy"] = entry["us per sample"] / base if base else None
        say("%-13s %-11s %8.1f us per sample (%.2f s, text %.2f s), x%.2f, %d samples, RSS %.1f MB, maps %.1f MB" %
            (title, name, entry["us per sample"], entry["record s"], entry["script s"], entry["ratio to luaspy"] or 0,
             entry["samples"], entry["rss kb"] / 1024, entry["maps kb"] / 1024))
    return entries
