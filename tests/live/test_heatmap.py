#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""A heat map shows when a program was busy: a program that says so itself is the reference."""
import json
import os
import re
import subprocess

import live

# Busy for 120 ms twice a second, and once for 300 ms in another function; it prints from when to when.
WORK = r"""
#include <stdio.h>
#include <time.h>
static volatile unsigned long x;
static double now(void)
{
	struct timespec t;
	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec + t.tv_nsec / 1e9;
}
static void work(double until) { while (now() < until) for (int i = 0; i < 20000; i++) x++; }
__attribute__((noinline)) static void tick(double until) { work(until); x++; }
__attribute__((noinline)) static void spike(double until) { work(until); x++; }
int main(void)
{
	double start = now();
	for (int i = 0; i < 8; i++) {
		double from = start + i * 0.5, begin;
		struct timespec pause = {.tv_sec = (time_t)from, .tv_nsec = (from - (time_t)from) * 1e9};
		clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &pause, NULL);
		begin = now();
		(i == 5 ? spike : tick)(begin + (i == 5 ? 0.3 : 0.12));
		printf("%s %.6f %.6f\n", i == 5 ? "spike" : "tick", begin, now());
	}
}
"""
DIGITS = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"


def numbers(text):
    values, value, unit = [], 0, 1
    for digit in map(DIGITS.index, text):
        value += (digit & 31) * unit
        unit *= 32
        if not digit & 32:
            values.append(value)
            value, unit = 0, 1
    return values


def samples_of(path):
    """(time in seconds, names on the stack) of each sample in a heat map's page, and all its data."""
    with open(path) as f:
        data = json.loads(re.search(r'id="luaspy-data">(.*?)</script>', f.read(), re.S).group(1))
    names, before = [], ""
    for line in data["names"].split("\n"):
        before = before[:DIGITS.index(line[0])] + line[1:]
        names.append(before)
    stacks, path_now, tree = [[]], [], numbers(data["nodes"])
    for up, frame in zip(tree[::2], tree[1::2]):
        del path_now[len(path_now) - up:]
        path_now = path_now + [names[frame]]
        stacks.append(path_now)
    ends, now, samples = numbers(data["heat"]["stacks"]), 0, []
    flat = numbers(data["heat"]["samples"])
    for delta, stack in zip(flat[::2], flat[1::2]):
        now += delta
        samples.append((now / 1000, stacks[ends[stack]]))
    return samples, data


program = live.compile_c(WORK, "work")
page, profile = os.path.join(live.SCRATCH, "x.heatmap.html"), os.path.join(live.SCRATCH, "x.pb.gz")


def record(*options):
    done = subprocess.run([live.LUASPY, "record", "-F", "499", *options, "--", program], stdout=subprocess.PIPE,
                          stderr=subprocess.PIPE, text=True, timeout=60, check=False)
    busy = [(name, float(begin), float(end)) for name, begin, end in map(str.split, done.stdout.splitlines())]
    live.check("recorded: " + " ".join(options[:2]), done.returncode == 0 and len(busy) == 8, done.stderr)
    return busy, done.stderr


def fitting(times, name, busy, zero):
    """Those at which the function ran, by the program's own clock, if the recording began at `zero`."""
    return [time for time in times
            if any(begin - 0.01 <= zero + time <= end + 0.03 for which, begin, end in busy if which == name)]


def check_times(label, samples, data, busy):
    live.note("%s: %d samples, %.1f s" % (label, len(samples), data["durationSeconds"]))
    live.check(label + ": all samples have a time", len(samples) == data["samples"] and data["heat"]["untimed"] == 0 and
               len(samples) > 100, data["samples"], data["heat"]["untimed"])
    # The recording's zero on the program's clock is not known: it is where the most samples fit.
    ticks = [time for time, stack in samples if "tick" in stack]
    zero = max((busy[1][1] - time for time in ticks), key=lambda guess: len(fitting(ticks, "tick", busy, guess)))
    for name in "tick", "spike":
        own = [time for time, stack in samples if name in stack]
        inside = fitting(own, name, busy, zero)
        live.check("%s: %s was sampled when it ran, by its own clock" % (label, name),
                   own and len(inside) >= 0.97 * len(own), name, len(own), len(inside), busy)
        # Each of its times has samples: nothing is shown at another's place.
        missing = [begin for which, begin, end in busy
                   if which == name and not any(begin <= zero + time <= end for time in own)]
        live.check("%s: each time that %s ran is there" % (label, name), not missing, missing)


busy, _ = record("-f", "heatmap", "-o", page)
samples, data = samples_of(page)
check_times("heat map", samples, data, busy)

busy, _ = record("--times", "-o", profile)
subprocess.check_call([live.LUASPY, "report", profile, "-q", "-o", page])
samples, data = samples_of(page)
check_times("from a profile", samples, data, busy)

record("-o", profile)
done = subprocess.run([live.LUASPY, "report", profile, "-o", page], stderr=subprocess.PIPE, text=True, check=False)
live.check("a profile without times has no heat map", done.returncode == 1 and
           "recorded without times: record with -f heatmap, or with --times" in done.stderr, done.stderr)
done = subprocess.run([live.LUASPY, "record", "--off-cpu", "-f", "heatmap", "--", program], stderr=subprocess.PIPE,
                      text=True, check=False)
live.check("nor has time off the CPU",
           done.returncode == 2 and "a heat map is one of samples of CPU time" in done.stderr, done.stderr)
live.finish()
