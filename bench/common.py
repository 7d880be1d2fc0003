# SPDX-License-Identifier: Apache-2.0
"""What the parts of the bench share: CPUs, files of /proc, BPF's own statistics, medians and their intervals."""
import os
import random
import statistics
import sys

sys.path.append(os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "tests", "live"))
import live  # noqa: E402

CPUS = sorted(os.sched_getaffinity(0))
BPF_PROG_TYPE_PERF_EVENT = 7
STATS = "/proc/sys/kernel/bpf_stats_enabled"
LOAD_CPU, TARGET_CPU, PROFILER_CPU = 0, 1, 2


class Settings:
    """What the command line says, and the luaspy binaries by name: one, or the two to be compared."""

    def __init__(self, quick=False, pairs=None, cold=False, load=None, binary=None, against=None):
        self.quick = quick
        self.pairs = pairs
        self.cold = cold
        self.load = load
        self.binaries = {"luaspy": binary or os.environ.get("LUASPY") or live.LUASPY}
        if against:
            self.binaries["against"] = against

    @property
    def luaspy(self):
        return self.binaries["luaspy"]


def cpu_of(role):
    """The CPU for the load, the target or the profiler; None where there are too few for one each."""
    return CPUS[role] if len(CPUS) >= 3 else None


def pin(role):
    """A prefix that runs a command on the CPU of its role."""
    return [] if cpu_of(role) is None else ["taskset", "-c", str(cpu_of(role))]


def pin_process(pid, role):
    if cpu_of(role) is not None:
        os.sched_setaffinity(pid, {cpu_of(role)})


def adopt(child):
    """Has a process stopped when the bench ends, however it ends."""
    live._children.append(child)


class BpfStats:
    """The kernel counts BPF programs' runs and their time while this is entered."""

    def __enter__(self):
        with open(STATS) as f:
            self.before = f.read()
        self.set("1")

    def __exit__(self, *_):
        self.set(self.before)

    @staticmethod
    def set(value):
        with open(STATS, "w") as f:
            f.write(value)


def fd_facts(pid):
    """What the kernel says of each file that a process has open."""
    try:
        names = os.listdir("/proc/%d/fdinfo" % pid)
    except OSError:
        return
    for fd in names:
        try:
            with open("/proc/%d/fdinfo/%s" % (pid, fd)) as f:
                yield dict(line.split(":", 1) for line in f if ":" in line)
        except OSError:
            continue  # closed meanwhile


def program_cost(pid):
    """(runs, ns) so far of the sampling program that a process has loaded: of its perf_event programs the busiest."""
    best = (0, 0)
    for facts in fd_facts(pid):
        if int(facts.get("prog_type", 0)) == BPF_PROG_TYPE_PERF_EVENT:
            best = max(best, (int(facts.get("run_cnt", 0)), int(facts.get("run_time_ns", 0))))
    return best


def maps_kb(pid):
    """Kernel memory of the BPF maps that a process has open."""
    found = {}
    for facts in fd_facts(pid):
        if "map_id" in facts:
            found[facts["map_id"]] = int(facts.get("memlock", 0))
    return sum(found.values()) // 1024


def peak_kb(pid):
    """The peak RSS of a process that lives, else 0. (What wait4 tells of a child begins with the memory of the
    process that it was forked from.)"""
    try:
        with open("/proc/%d/status" % pid) as f:
            return next((int(line.split()[1]) for line in f if line.startswith("VmHWM")), 0)
    except OSError:
        return 0


def has_events(pid):
    """Has it opened perf events?"""
    try:
        for fd in os.listdir("/proc/%d/fd" % pid):
            try:
                if "[perf_event]" in os.readlink("/proc/%d/fd/%s" % (pid, fd)):
                    return True
            except OSError:
                continue
    except OSError:
        pass
    return False


def cpu_ns(pid):
    """CPU time of a process's main thread."""
    with open("/proc/%d/schedstat" % pid) as f:
        return int(f.read().split()[0])


def median(values):
    return statistics.median(values) if values else None


def interval(values, of=statistics.median, rounds=2000, share=0.95):
    """The bootstrap interval of a statistic: (low, high). Always the same for the same values."""
    if len(values) < 3:
        return (min(values), max(values)) if values else (None, None)
    source = random.Random(1)
    found = sorted(of(source.choices(values, k=len(values))) for _ in range(rounds))
    cut = int(rounds * (1 - share) / 2)
    return found[cut], found[-1 - cut]


def summary(values, of=statistics.median):
    """What a table and the JSON say of a list of values."""
    low, high = interval(values, of)
    return {"value": of(values) if values else None, "low": low, "high": high, "values": values}


def trimmed_mean(values, share=0.2):
    """The mean without the `share` smallest and the `share` largest values."""
    cut = int(len(values) * share)
    kept = sorted(values)[cut:len(values) - cut]
    return sum(kept) / len(kept)


def turns(names, number):
    """The order of round `number`: there and back, so that a drift hits all alike (ABBA)."""
    return list(names) if number % 2 == 0 else list(reversed(list(names)))


def say(*words):
    print(*words, flush=True)
