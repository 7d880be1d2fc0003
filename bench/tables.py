# SPDX-License-Identifier: Apache-2.0
"""The results as tables in Markdown: a file of their own, and a part of docs/bench.md between marks."""
import os

from aims import aims, percent, theory

BEGIN, END = "<!-- made by bench/run: begin -->", "<!-- made by bench/run: end -->"


def table(head, rows):
    lines = ["| %s |" % " | ".join(head), "|%s|" % "|".join(["---"] * len(head))]
    return lines + ["| %s |" % " | ".join(str(cell) for cell in row) for row in rows] + [""]


def machine_lines(machine):
    return ["%(date)s, %(cpu)s, %(cpus)s CPUs%(virtual)s, Linux %(kernel)s, %(system)s;\nload average at the "
            "start %(load)s, at the end %(load at end)s." % machine,
            "luaspy %(luaspy)s, %(perf)s, %(bpftrace)s." % machine + (" A quick run." if machine["quick"] else ""), ""]


def aims_lines(results):
    rows = [(a.what, a.measured, a.aim, a.verdict()) for a in aims(results)]
    return ["### Aims", "", *table(("", "measured", "aim", ""), rows)] if rows else []


def loss_lines(results):
    loss = results.get("loss")
    if not loss:
        return []
    rows = []
    for name, entry in loss["setups"].items():
        parts = theory(results, entry["rate"]) if name.startswith("luaspy ") else None
        rows.append((name if name != "null" else "nothing (null pair)", percent(entry["cpu"]), percent(entry["wall"]),
                     "%.2f %% + %.2f %%" % (100 * parts["walk"], 100 * parts["interrupt"]) if parts else "",
                     len(entry["cpu"]["values"])))
    lines = ["### What the nginx worker loses", "",
             "CPU time per request, and time per request of a saturated worker: trimmed mean of the ratios to the",
             "plain windows around, and its 95 % interval.",
             "Plain: %.1f us per request, %d requests per window, %d connections." %
             (loss["plain us per request"]["value"], loss["requests per window"], loss["connections"])]
    if loss.get("interrupt time is left out"):
        lines.append("This kernel leaves interrupts out of a task's CPU time: only the time per request has them.")
    return lines + ["", *table(("", "CPU per request", "time per request", "computed: walk + interrupt", "pairs"),
                               rows)]


def jp_lines(results):
    jp = results.get("jp")
    if not jp:
        return []
    return ["### A LuaJIT program with -jp, and under luaspy", "", "CPU time of the same work.", "",
            *table(("", "change"), [(name, percent(entry)) for name, entry in jp.items()])]


def nanoseconds(entry, name):
    found = entry["profilers"].get(name)
    if not found:
        return ""
    ns, ratio = found["ns"], found["ratio_to_luaspy"]
    text = "{:,.0f} ({:,.0f} to {:,.0f})".format(ns["value"], ns["low"], ns["high"])
    return text if name == "luaspy" or not ratio["values"] else text + ", x%.3f" % ratio["value"]


def kernel_lines(results):
    kernel = results.get("kernel")
    if not kernel:
        return []
    names = sorted({n for entry in kernel.values() for n in entry["profilers"]}, key=lambda n: (n != "luaspy", n))
    rows = []
    for case, entry in kernel.items():
        frames = entry["frames"] or {"native": 0, "lua": 0, "kernel": 0}
        rows.append((case, "%.0f / %.0f / %.0f" % (frames["native"], frames["lua"], frames["kernel"]),
                     *(nanoseconds(entry, n) for n in names)))
    lines = ["### In the kernel, per sample", "",
             "Nanoseconds: median of rounds, and its 95 % interval; ratios are medians within the rounds."]
    if "interrupt" in results:
        ns = results["interrupt"]["ns"]
        lines.append("The timer's interrupt alone, which is not in these: %.0f ns (%.0f to %.0f)." %
                     (ns["value"], ns["low"], ns["high"]))
    return lines + ["", *table(("", "frames: C / Lua / kernel", *names), rows)]


def switch_lines(results):
    if not results.get("switches"):
        return []
    rows = [(name, "{:,.0f}".format(e["ns"]), "{:,.0f}".format(e["switches per second"]))
            for name, e in results["switches"].items()]
    return ["### In the kernel, per switch of the scheduler (--off-cpu)", "",
            *table(("", "ns", "switches per second"), rows)]


def cpu_lines(results):
    cpu = results.get("cpu")
    if not cpu:
        return []
    rows = []
    for title, entries in cpu["runs"].items():
        for name, e in entries.items():
            rows.append((title, name, "%.1f" % e["us per sample"],
                         "x%.2f" % e["ratio to luaspy"] if e["ratio to luaspy"] else "", "%.2f" % e["record s"],
                         "%.2f" % e["script s"], "%.1f" % (e["rss kb"] / 1024) if e["rss kb"] else "",
                         "%.1f" % (e["maps kb"] / 1024)))
    lines = ["### The profiler's own CPU time, until there is something to read", "",
             *table(("", "", "us per sample", "", "recording, s", "`perf script`, s", "peak RSS, MB", "BPF maps, MB"),
                    rows)]
    if cpu.get("parts"):
        parts = cpu["parts"]
        lines += ["luaspy's: %.0f ms for start and end, %.1f ms per second of recording and %.1f us per sample." %
                  (1000 * parts["fixed s"], 1000 * parts["per second s"], parts["per sample us"]), ""]
    return lines


def start_lines(results):
    start = results.get("startup")
    if not start:
        return []
    rows = [(name, "%d (%d to %d)" % (e["first ms"]["value"], min(e["first ms"]["values"]),
                                      max(e["first ms"]["values"])),
             "%.0f" % e["cpu ms"], "%.1f" % (e["rss kb"] / 1024), "%.1f" % (e["maps kb"] / 1024))
            for name, e in start.items() if name != "binary bytes"]
    return ["### From the start to the first sample", "",
            *table(("", "ms, median (range)", "CPU of half a second, ms", "peak RSS, MB", "BPF maps, MB"), rows)]


def stack_lines(results):
    stacks = results.get("stacks")
    if not stacks:
        return []
    rows = []
    for name, e in stacks["results"].items():
        named = e["Lua frames named %"]
        rows.append((name, "%d of %.0f" % (e["samples"], e["expected"]), "%.2f %%" % e["whole %"],
                     "%.1f %%" % e["with Lua %"], "" if named is None else "%.1f %%" % named,
                     "%.1f" % (e["bytes per 1,000 samples"] / 1024)))
    for ending, size in stacks["bytes per 1,000 samples"].items():
        rows.append(("luaspy, .%s" % ending, "", "", "", "", "%.1f" % (size / 1024)))
    lines = ["### What is in the result, 999 Hz", "",
             *table(("", "samples", "to main", "with Lua frames", "of these named", "KB per 1,000 samples"), rows)]
    if stacks["lost"]:
        lines += table(("luaspy at", "samples", "lost"),
                       [("%s Hz" % rate, "%d of %.0f" % (e["taken"], e["expected"]), e["lost"])
                        for rate, e in stacks["lost"].items()])
    return lines


def noise_lines(results):
    if not results.get("noise"):
        return []
    rows = [(name, "%.2f %%" % (100 * e["half within"]), percent(e), len(e["values"]))
            for name, e in results["noise"].items()]
    return ["### Null pairs by form of load", "",
            *table(("", "half of the pairs within", "mean", "pairs"), rows)]


def markdown(document):
    """All tables of what was measured."""
    results = document["results"]
    lines = machine_lines(document["machine"])
    for part in (aims_lines, loss_lines, jp_lines, kernel_lines, switch_lines, cpu_lines, start_lines, stack_lines,
                 noise_lines):
        lines += part(results)
    return "\n".join(lines)


def into_docs(path, text):
    """Replaces what is between the marks; False if there are none."""
    with open(path) as f:
        old = f.read()
    before, begin, rest = old.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        return False
    with open(path + ".new", "w") as f:
        f.write("%s%s\n\n%s\n%s%s" % (before, BEGIN, text.strip(), END, after))
    os.replace(path + ".new", path)
    return True
