# SPDX-License-Identifier: Apache-2.0
"""What the tests of scale share: targets' CPU time, what a recording holds in memory while it goes on, profiles
read back. Needs root.
"""
import json
import os
import re
import signal
import subprocess
import sys
import tempfile
import threading
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "live"))
import live  # noqa: E402

signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # what was started is stopped at the exit

HERE = os.path.dirname(os.path.abspath(__file__))


def cpu_ns(pid):
    """CPU time of all of a process's threads, those that have ended included, from the scheduler; 0 when gone."""
    total = 0
    try:
        with open("/proc/%d/stat" % pid) as f:
            f.read()
        for tid in os.listdir("/proc/%d/task" % pid):
            try:
                with open("/proc/%d/task/%s/schedstat" % (pid, tid)) as f:
                    total += int(f.read().split()[0])
            except OSError:
                continue  # a thread that has just ended
    except OSError:
        return 0
    return total


def idle(pids):
    """No thread has run for a while."""
    first = [cpu_ns(pid) for pid in pids]
    time.sleep(0.5)
    return first == [cpu_ns(pid) for pid in pids]


def rss_kb(pid):
    """(resident, its peak) of a process, 0 when it is gone."""
    text = live.read("/proc/%d/status" % pid).decode()
    found = [re.search(r"^%s:\s+(\d+) kB" % name, text, re.M) for name in ("VmRSS", "VmHWM")]
    return tuple(int(f.group(1)) if f else 0 for f in found)


ARRAY_OF_MAPS = 12  # enum bpf_map_type


def maps_of(pid):
    """The BPF maps that a process has open: id to (type, bytes)."""
    found = {}
    try:
        for fd in os.listdir("/proc/%d/fdinfo" % pid):
            text = live.read("/proc/%d/fdinfo/%s" % (pid, fd)).decode()
            facts = dict(line.split(":", 1) for line in text.splitlines() if ":" in line)
            if "map_id" in facts:
                found[int(facts["map_id"])] = int(facts["map_type"]), int(facts["memlock"])
    except OSError:
        pass  # it has ended
    return found


def map_kb(pid):
    """Memory of those, without the unwind tables."""
    return sum(size for _, size in maps_of(pid).values()) // 1024


def tables_kb(pid):
    """Memory of the unwind tables, which are maps inside a map of maps."""
    ids = set()
    for outer, (kind, _) in maps_of(pid).items():
        if kind == ARRAY_OF_MAPS:
            for entry in bpftool("map", "dump", "id", str(outer)):
                value = entry.get("value")
                if isinstance(value, list) and len(value) == 4:
                    ids.add(int.from_bytes(bytes(int(byte, 16) for byte in value), "little"))
    return sum(m.get("bytes_memlock", 0) for m in bpftool("map", "show") if m["id"] in ids) // 1024


def bpftool(*words):
    done = subprocess.run(["bpftool", "-j", *words], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, check=False)
    try:
        return json.loads(done.stdout)
    except ValueError:
        return []


class Running:
    """A recording that goes on: its memory is looked at each `every` seconds. end() gives a live.Recording whose
    .memory is [(seconds, resident KB, KB of BPF maps)], .peak_kb, .cpu_seconds."""

    def __init__(self, *arguments, output=None, every=0.1, luaspy=None):
        handle, self.path = tempfile.mkstemp(".folded", dir=live.SCRATCH)
        os.close(handle)
        os.unlink(self.path)
        self.path = output or self.path
        self.memory, self.peak_kb = [], 0
        self.errors = tempfile.TemporaryFile(dir=live.SCRATCH)
        self.began = time.time()
        self.fork_kb = rss_kb(os.getpid())[0]
        # Not live.start: its status and usage are asked for by wait4.
        self.child = subprocess.Popen([luaspy or live.LUASPY, "record", "-o", self.path, *map(str, arguments)],
                                      stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=self.errors)
        live._children.append(self.child)
        self.done = threading.Event()
        self.watch = threading.Thread(target=self._watch, args=(every,), daemon=True)
        self.watch.start()

    def _watch(self, every):
        while not self.done.wait(every):
            now, peak = rss_kb(self.child.pid)
            if now:
                self.memory.append((time.time() - self.began, now, map_kb(self.child.pid)))
                self.peak_kb = max(self.peak_kb, peak)

    def ended(self):
        """Without taking its status, which end() wants."""
        return os.waitid(os.P_PID, self.child.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None

    def started(self, seconds=60):
        """Waits until it samples: it has given up most capabilities, which is what it does right before."""
        mine = capabilities("self")
        found = live.wait_until(lambda: self.ended() or capabilities(self.child.pid) not in (mine, None), seconds)
        time.sleep(0.3)
        return found

    def end(self, timeout=300, stop=False):
        if stop:
            self.child.send_signal(signal.SIGINT)
        limit = time.time() + timeout
        while True:
            pid, status, usage = os.wait4(self.child.pid, os.WNOHANG)
            if pid:
                break
            if time.time() > limit:
                raise subprocess.TimeoutExpired("luaspy record", timeout)
            time.sleep(0.02)
        self.child.returncode = os.waitstatus_to_exitcode(status)
        self.done.set()
        self.watch.join()
        self.errors.seek(0)
        text = ""
        if self.path.endswith(".folded") and os.path.exists(self.path):
            with open(self.path, errors="replace") as f:
                text = f.read()
        r = live.Recording(self.child.returncode, self.errors.read().decode(errors="replace"), text)
        r.path, r.memory = self.path, self.memory
        # ru_maxrss begins with this process's size at the fork.
        r.peak_kb = max(self.peak_kb, usage.ru_maxrss if usage.ru_maxrss > 1.05 * self.fork_kb else 0)
        r.cpu_seconds = usage.ru_utime + usage.ru_stime
        r.seconds = time.time() - self.began
        return r


def capabilities(pid):
    found = re.search(rb"^CapEff:\s+(\w+)", live.read("/proc/%s/status" % pid), re.M)
    return found and found.group(1)


def told(r):
    """What the summary says: samples, Hz, unique stacks."""
    found = re.search(r"^(\d+) samples in ([\d.]+) s at (\d+) Hz, (\d+) unique stacks", r.stderr, re.M)
    return (int(found.group(1)), int(found.group(3)), int(found.group(4))) if found else (0, 0, 0)


def errors(r):
    """The summary's errors by reason."""
    line = re.search(r"^  errors +(\d+)(?: \((.*)\))?$", r.stderr, re.M)
    if not line:
        return {"no summary": 1}
    return {name: int(count) for name, count in re.findall(r"([^:,][^:]*): (\d+)(?:, |$)", line.group(2) or "")}


def quarters(values):
    """(median of the first quarter, of the last one)."""
    def median(part):
        part = sorted(part)
        return part[len(part) // 2] if part else 0
    n = max(1, len(values) // 4)
    return median(values[:n]), median(values[-n:])
