# SPDX-License-Identifier: Apache-2.0
"""What the timer's interrupt costs that every sampling profiler shares: a cpu-clock event without program or buffer.

A C program that does a fixed amount of work is given such an event at 10,000 Hz, and none, in turns; the difference of
its CPU time over the number of interrupts is the price of one.
"""
import ctypes
import fcntl
import os
import statistics
import struct
import subprocess

from common import TARGET_CPU, cpu_ns, live, pin, say, summary, turns

WORK_C = r"""
#include <stdio.h>
static volatile unsigned long x;
int main(void) {
	char line[64];
	while (fgets(line, sizeof(line), stdin)) {
		for (long i = 0; i < 60000000; i++) x++;
		puts("done");
		fflush(stdout);
	}
}
"""
PERF_TYPE_SOFTWARE, PERF_COUNT_SW_CPU_CLOCK = 1, 0
PERF_FLAG_FD_CLOEXEC = 8
PERF_EVENT_OPEN = {"x86_64": 298, "aarch64": 241}
PERF_EVENT_IOC_DISABLE = 0x2401
FREQ = 1 << 10
RATE = 10000


def open_event(pid, rate):
    """A cpu-clock event on a task, enabled; its descriptor."""
    # struct perf_event_attr up to its first published size, 64 bytes: type, size, config, sample_freq, sample_type,
    # read_format, flags, wakeup_events, bp_type, config1.
    attributes = struct.pack("=IIQQQQQIIQ", PERF_TYPE_SOFTWARE, 64, PERF_COUNT_SW_CPU_CLOCK, rate, 0, 0, FREQ, 0, 0, 0)
    libc = ctypes.CDLL(None, use_errno=True)
    buffer = ctypes.create_string_buffer(attributes, 64)
    fd = libc.syscall(PERF_EVENT_OPEN[os.uname().machine], buffer, pid, -1, -1, PERF_FLAG_FD_CLOEXEC)
    if fd < 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
    return fd


def measure(settings, _web):
    child = live.start([*pin(TARGET_CPU), live.compile_c(WORK_C, "work")], stdin=subprocess.PIPE,
                       stdout=subprocess.PIPE)

    def work():
        before = cpu_ns(child.pid)
        child.stdin.write(b"\n")
        child.stdin.flush()
        child.stdout.readline()
        return cpu_ns(child.pid) - before

    found = {False: [], True: []}
    try:
        work()
        for number in range(6 if settings.quick else 30):
            for sampled in turns((False, True), number):
                fd = open_event(child.pid, RATE) if sampled else None
                found[sampled].append(work())
                if sampled:
                    fcntl.ioctl(fd, PERF_EVENT_IOC_DISABLE, 0)
                    os.close(fd)
    finally:
        live.stop(child)
    costs = [(with_it - without) / (with_it / 1e9 * RATE) for without, with_it in zip(found[False], found[True])]
    entry = summary(costs, statistics.median)
    say("\nThe timer's interrupt alone: %.0f ns (%.0f to %.0f)" % (entry["value"], entry["low"], entry["high"]))
    return {"ns": entry}
