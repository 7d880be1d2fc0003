# SPDX-License-Identifier: Apache-2.0
"""The profiler's own CPU time, until there is something to read, and its memory.

luaspy: user and system time of `luaspy record -o x.html`, start and end included. perf: `perf record` and `perf script`,
which makes text of its samples (and no picture). bcc and bpftrace: all of the run, which ends with text.
"""
import time

from common import cpu_ns, live, maps_kb, median, say, turns
from profilers import Luaspy, others

LENGTHS = ((99, 10), (999, 10), (99, 60))


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


def parts_of(runs):
    """luaspy's CPU seconds as a fixed part, per second of recording and per sample: by least squares over the runs of
    different rates and lengths, None if these are too few."""
    rows = [((1.0, seconds, run["samples"]), run["record s"] + run["script s"]) for seconds, run in runs]
    if len({row[0][1] for row in rows}) < 2 or len(rows) < 3:
        return None
    # The normal equations, three unknowns, by Cramer's rule.
    matrix = [[sum(x[i] * x[j] for x, _ in rows) for j in range(3)] for i in range(3)]
    right = [sum(x[i] * y for x, y in rows) for i in range(3)]

    def determinant(m):
        return (m[0][0] * (m[1][1] * m[2][2] - m[1][2] * m[2][1]) - m[0][1] * (m[1][0] * m[2][2] - m[1][2] * m[2][0])
                + m[0][2] * (m[1][0] * m[2][1] - m[1][1] * m[2][0]))

    whole = determinant(matrix)
    if not whole:
        return None
    parts = [determinant([[right[i] if k == j else matrix[i][k] for k in range(3)] for i in range(3)]) / whole
             for j in range(3)]
    return {"fixed s": parts[0], "per second s": parts[1], "per sample us": 1e6 * parts[2]}


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
        rounds = settings.pairs or (1 if settings.quick else 2 if seconds >= 60 else 3)
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
            say("%-16s %-12s no samples" % (title, name))
            continue
        entry = {key: median([r[key] for r in good]) for key in good[0]}
        per_sample = [1e6 * (r["record s"] + r["script s"]) / r["samples"] for r in good]
        entry.update({"us per sample": median(per_sample), "runs": good})
        entries[name] = entry
    base = entries.get("luaspy", {}).get("us per sample")
    for name, entry in entries.items():
        entry["ratio to luaspy"] = entry["us per sample"] / base if base else None
        say("%-16s %-12s %8.1f us per sample (%.2f s, and %.2f s for text), x%.2f, %d samples, RSS %.1f MB, maps %.1f MB" %
            (title, name, entry["us per sample"], entry["record s"], entry["script s"], entry["ratio to luaspy"] or 0,
             entry["samples"], entry["rss kb"] / 1024, entry["maps kb"] / 1024))
    return entries
