# SPDX-License-Identifier: Apache-2.0
"""From the start to the first sample, on an nginx worker with OpenSSL, PCRE, zlib and LuaJIT; memory's peak."""
import os
import re
import subprocess
import time

from common import PROFILER_CPU, live, maps_kb, median, peak_kb, pin, say, summary


def one_start(binary, pid):
    """Of a recording of half a second: ms to the first sample, ms of CPU time, peak RSS in KB, KB of BPF maps."""
    command = [binary, "record", "-v", "-d", "0.5", "-f", "folded", "-o", "/dev/null", "-p", str(pid)]
    child = subprocess.Popen([*pin(PROFILER_CPU), *command], stdin=subprocess.DEVNULL, stderr=subprocess.PIPE)
    maps = peak = looks = 0
    while os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is None:
        time.sleep(0.02)
        peak = max(peak, peak_kb(child.pid))
        looks += 1
        if looks % 8 == 0:
            maps = max(maps, maps_kb(child.pid))
    errors = child.stderr.read().decode(errors="replace")
    child.stderr.close()
    _, status, usage = os.wait4(child.pid, 0)
    child.returncode = os.waitstatus_to_exitcode(status)
    found = re.search(r"first sample (\d+) ms", errors)
    return {"first ms": int(found.group(1)) if found else None, "cpu ms": 1000 * (usage.ru_utime + usage.ru_stime),
            "rss kb": peak, "maps kb": maps}


def drop_caches():
    try:
        os.sync()
        with open("/proc/sys/vm/drop_caches", "w") as f:
            f.write("3")
        return True
    except OSError:
        say("cold: the page cache cannot be dropped here")
        return False


def measure(settings, web):
    say("\nFrom the start to the first sample, 99 Hz")
    load = web.busy(120)
    time.sleep(0.5)
    result = {"binary bytes": {name: os.path.getsize(path) for name, path in settings.binaries.items()}}
    try:
        for cold in (False, True) if settings.cold else (False,):
            runs = {name: [] for name in settings.binaries}
            for _ in range(3 if settings.quick else 15):
                for name, binary in settings.binaries.items():
                    if cold and not drop_caches():
                        return result
                    runs[name].append(one_start(binary, web.worker))
            for name, list_of in runs.items():
                entry = tell("%s, %s" % (name, "cold" if cold else "warm"), list_of)
                if entry:
                    result["%s, %s" % (name, "cold" if cold else "warm")] = entry
    finally:
        live.stop(load)
    return result


def tell(title, runs):
    first = [r["first ms"] for r in runs if r["first ms"] is not None]
    if not first:
        say("%s: no sample" % title)
        return None
    entry = {"first ms": summary(first), "cpu ms": median([r["cpu ms"] for r in runs]),
             "rss kb": max(r["rss kb"] for r in runs), "maps kb": max(r["maps kb"] for r in runs)}
    say("%-14s %d ms (%d to %d); CPU of the whole run %.0f ms, peak RSS %.1f MB, BPF maps %.1f MB" %
        (title, entry["first ms"]["value"], min(first), max(first), entry["cpu ms"], entry["rss kb"] / 1024,
         entry["maps kb"] / 1024))
    return entry
