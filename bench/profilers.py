# SPDX-License-Identifier: Apache-2.0
"""The profilers that are compared: how each is started on a process, stopped, and its result read."""
import os
import shutil
import signal
import subprocess
import time

from common import PROFILER_CPU, adopt, has_events, live, peak_kb, pin

SCRATCH = live.SCRATCH


class Profiler:
    """One profiler; a run of it is one process. The output is in `path` once it was stopped."""

    program = None  # what has to be installed
    ending = "folded"
    bpf = True  # has a BPF program whose cost can be read

    def __init__(self, name):
        self.name = name
        self.child = None
        self.path = os.path.join(SCRATCH, "%s.%s" % (name.replace(" ", "-"), self.ending))

    def missing(self):
        """Why it cannot be used here, or None."""
        return None if shutil.which(self.program) else "%s is not installed" % self.program

    def command(self, pid, rate):
        raise NotImplementedError

    def start(self, pid, rate):
        """Starts it and waits until its events are open. False: it has ended instead."""
        if os.path.exists(self.path):
            os.unlink(self.path)
        with open(self.path + ".out", "wb") as out, open(self.path + ".err", "wb") as err:
            self.child = subprocess.Popen([*pin(PROFILER_CPU), *self.command(pid, rate)], stdin=subprocess.DEVNULL,
                                          stdout=out, stderr=err)
        adopt(self.child)
        live.wait_until(lambda: self.has_ended() or has_events(self.child.pid), 30)
        time.sleep(0.1)  # perf enables its events after it has opened them
        return has_events(self.child.pid) and not self.has_ended()

    def has_ended(self):
        """Without collecting its status, which stop() does."""
        return os.waitid(os.P_PID, self.child.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None

    def stop(self):
        """Ends the recording; user and system seconds that the process has used, and its peak RSS in KB."""
        peak = 0

        def ended():
            nonlocal peak
            peak = max(peak, peak_kb(self.child.pid))
            return self.has_ended()
        for number, seconds in ((signal.SIGINT, 30), (signal.SIGTERM, 5), (signal.SIGKILL, 5)):
            if ended():
                break
            os.kill(self.child.pid, number)
            live.wait_until(ended, seconds)
        _, status, usage = os.wait4(self.child.pid, 0)
        self.child.returncode = os.waitstatus_to_exitcode(status)
        live.stop(self.child)  # is no longer to be stopped
        return usage.ru_utime + usage.ru_stime, peak

    def said(self):
        """What it has printed."""
        return (live.read(self.path + ".out") + live.read(self.path + ".err")).decode(errors="replace")

    def make_readable(self):
        """Makes of the result what a reader can use; CPU seconds that this takes."""
        return 0.0

    def stacks(self):
        """The result as (frames with the root first, count)."""
        return read_folded(self.path)


def read_folded(path):
    stacks = []
    for line in live.read(path).decode(errors="replace").splitlines():
        stack, _, count = line.rpartition(" ")
        if count.isdigit():
            stacks.append((stack.split(";"), int(count)))
    return stacks


class Luaspy(Profiler):
    def __init__(self, binary, name="luaspy", output="folded"):
        self.ending = output
        super().__init__(name)
        self.binary = binary

    def missing(self):
        return None if os.access(self.binary, os.X_OK) else "%s is not there" % self.binary

    def command(self, pid, rate):
        return [self.binary, "record", "-F", str(rate), "-p", str(pid), "-o", self.path]


class Perf(Profiler):
    program = "perf"
    ending = "data"
    bpf = False

    def __init__(self, name, graph):
        super().__init__(name)
        self.graph = graph

    def command(self, pid, rate):
        return ["perf", "record", "-q", "-e", "cpu-clock", "--call-graph", self.graph, "-F", str(rate), "-p", str(pid),
                "-o", self.path]

    def make_readable(self):
        with open(self.path + ".script", "wb") as out:
            child = subprocess.Popen([*pin(PROFILER_CPU), "perf", "script", "-i", self.path, "-F", "ip,sym"],
                                     stdin=subprocess.DEVNULL, stdout=out, stderr=subprocess.DEVNULL)
        _, _, usage = os.wait4(child.pid, 0)
        child.returncode = 0
        return usage.ru_utime + usage.ru_stime

    def stacks(self):
        stacks = []
        for block in live.read(self.path + ".script").decode(errors="replace").split("\n\n"):
            frames = [line.split(None, 1)[-1] for line in block.splitlines() if line.strip()]
            if frames:
                stacks.append((frames[::-1], 1))
        return stacks


class Bcc(Profiler):
    """bcc's profile. It samples every CPU; its program leaves out what is not of the process.

    It compiles its program with the running kernel's headers. Where there are none, those that tests/fixtures/fetch
    gets will do: the program looks into no structure of the kernel that is another in another release.
    """

    def __init__(self, name="bcc profile"):
        super().__init__(name)
        self.program = next((p for p in ("profile-bpfcc", "/usr/share/bcc/tools/profile") if shutil.which(p)),
                            "profile-bpfcc")
        self.path += ".out"
        headers = os.path.join(live.FIXTURES, "bookworm-headers", "headers")
        if not os.path.exists("/lib/modules/%s/build" % os.uname().release) and os.path.isdir(headers):
            os.environ.setdefault("BCC_KERNEL_SOURCE", headers)

    def start(self, pid, rate):
        self.path = self.path[:-len(".out")]  # its stdout is the result
        good = super().start(pid, rate)
        self.path += ".out"
        return good

    def command(self, pid, rate):
        return [self.program, "-f", "-F", str(rate), "-p", str(pid)]

    def said(self):
        return live.read(self.path[:-len(".out")] + ".err").decode(errors="replace")


class Bpftrace(Profiler):
    """A bpftrace one-liner with user stacks. It samples every CPU, as bcc's profile does.

    Without BPFTRACE_CACHE_USER_SYMBOLS it reads all files' symbols anew for each stack at its end: a minute of CPU.
    """

    program = "bpftrace"

    def __init__(self, name="bpftrace"):
        super().__init__(name)
        os.environ.setdefault("BPFTRACE_CACHE_USER_SYMBOLS", "1")

    def command(self, pid, rate):
        return ["bpftrace", "-o", self.path, "-e",
                "profile:hz:%d /pid == %d/ { @[ustack] = count(); }" % (rate, pid)]

    def stacks(self):
        stacks, frames = [], []
        for line in live.read(self.path).decode(errors="replace").splitlines():
            if line.startswith("@["):
                frames = []
            elif line.startswith("]: "):
                stacks.append((frames[::-1], int(line[3:])))
            elif line.strip():
                frames.append(line.strip())
        return stacks


def others():
    """The other profilers that work on a running process; a run of each is beside luaspy's."""
    return [Perf("perf -g", "fp"), Perf("perf dwarf", "dwarf"), Bcc(), Bpftrace()]
