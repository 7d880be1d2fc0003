# SPDX-License-Identifier: Apache-2.0
"""The aims, with what was measured beside them. An aim that was not measured is not there; nothing fails here."""


class Aim:
    """One row: the figure, the aim as text, met or not (None: the interval has the aim in it)."""

    def __init__(self, what, measured, aim, met):
        self.what, self.measured, self.aim, self.met = what, measured, aim, met

    def verdict(self):
        return {True: "met", False: "not met", None: "not told apart"}[self.met]


def get(results, *path):
    for key in path:
        if not isinstance(results, dict) or key not in results:
            return None
        results = results[key]
    return results


def percent(entry):
    return "%+.2f %% (%+.2f to %+.2f)" % tuple(100 * (entry[k] - 1) for k in ("value", "low", "high"))


def theory(results, rate):
    """The loss that the kernel's time per sample and the interrupt make at a rate, as a share; None if not measured."""
    walk = get(results, "kernel", "nginx %d Hz" % rate, "profilers", "luaspy", "ns", "value")
    interrupt = get(results, "interrupt", "ns", "value")
    if walk is None or interrupt is None:
        return None
    return {"walk": walk * rate / 1e9, "interrupt": max(0, interrupt) * rate / 1e9}


def loss_aim(results, rate, limit):
    entry = get(results, "loss", "setups", "luaspy %d Hz" % rate, "cpu")
    null = get(results, "loss", "setups", "null", "cpu")
    if not entry:
        return []
    text = percent(entry)
    if null:
        text += "; null pair " + percent(null)
    made_of = theory(results, rate)
    if made_of:
        text += "; by its parts %.2f %% + %.2f %% interrupt" % (100 * made_of["walk"], 100 * made_of["interrupt"])
    met = True if entry["high"] <= 1 + limit else False if entry["low"] > 1 + limit else None
    return [Aim("target's CPU per request at %d Hz" % rate, text, "within %.1f %%" % (100 * limit), met)]


def kernel_aim(results, case, limit_us):
    ns = get(results, "kernel", case, "profilers", "luaspy", "ns")
    if not ns:
        return []
    return [Aim("kernel time per sample, %s" % case, "%.2f us (%.2f to %.2f)" %
                tuple(ns[k] / 1000 for k in ("value", "low", "high")), "at most %g us" % limit_us,
                ns["value"] <= 1000 * limit_us)]


def cpu_aims(results):
    found = []
    for title, entries in (get(results, "cpu", "runs") or {}).items():
        own, perf = entries.get("luaspy"), entries.get("perf dwarf")
        if own:
            found.append(Aim("own CPU per sample, %s" % title, "%.1f us" % own["us per sample"], "at most 25 us",
                             own["us per sample"] <= 25))
        if own and perf:
            found.append(Aim("own CPU beside perf dwarf and perf script, %s" % title,
                             "%.1f times less" % perf["ratio to luaspy"], "at least 10 times",
                             perf["ratio to luaspy"] >= 10))
    more = get(results, "cpu", "parts", "per sample us")
    if more is not None:
        found.append(Aim("own CPU per sample, without start, end and each second's part", "%.1f us" % more,
                         "at most 25 us", more <= 25))
    return found


def aims(results):
    found = loss_aim(results, 99, 0.002) + loss_aim(results, 999, 0.015)
    for case in ("nginx 99 Hz", "nginx 999 Hz", "nginx 4999 Hz"):
        found += kernel_aim(results, case, 4)
    found += kernel_aim(results, "mixed 100", 8) + cpu_aims(results)
    start = get(results, "startup", "luaspy, warm")
    if start:
        found.append(Aim("peak memory with one worker, RSS", "%.1f MB; and %.1f MB of BPF maps" %
                         (start["rss kb"] / 1024, start["maps kb"] / 1024), "at most 40 MB",
                         start["rss kb"] <= 40 * 1024))
        found.append(Aim("start to the first sample, warm", "%d ms (%d to %d)" %
                         tuple(start["first ms"][k] for k in ("value", "low", "high")), "at most 200 ms",
                         start["first ms"]["value"] <= 200))
    size = get(results, "startup", "binary bytes", "luaspy")
    if size:
        found.append(Aim("size of the program", "%.2f MB" % (size / 2**20), "at most 4 MB", size <= 4 << 20))
    return found
