#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Counts that are taken while sampling goes on lose and double nothing; each sample has its time."""
import os
import subprocess

import live

TOOL = os.path.join(live.BUILD, "tests", "live", "collect")
# Stacks that are new all the time, beside ones that are known, in two threads.
WORK = r"""
#include <pthread.h>
#include <stdlib.h>
static volatile unsigned long x;
__attribute__((noinline)) static void down(int n) {
	volatile char pad[40];
	pad[0] = (char)n;
	if (!n) for (int i = 0; i < 300000; i++) x++;
	else if (rand() % 2) down(n - 1);
	else { down(n - 1); x++; }
	pad[1] = pad[0];
}
static void *run(void *arg) { for (;;) down(rand() % 12); return arg; }
int main(void) { pthread_t t; pthread_create(&t, NULL, run, NULL); run(NULL); }
"""
subprocess.check_call(["make", "-s", "-C", live.TOP, "B=" + live.BUILD, TOOL])

target = live.start([live.compile_c(WORK, "work", "-lpthread")])


def collect(*arguments):
    """The rounds and the other lines of the tool, as numbers, and all it has said."""
    done = subprocess.run([TOOL, str(target.pid), "997", "20", *arguments], stdout=subprocess.PIPE,
                          stderr=subprocess.PIPE, text=True, timeout=60, check=False)
    lines = [(line.split()[0], [int(n) for n in line.split()[1:]]) for line in done.stdout.splitlines()]
    return [numbers for word, numbers in lines if word == "round"], dict(lines), done.stdout + done.stderr


def check_counts(label, rounds, end, text):
    count = [line[1] for line in rounds]
    recent = [line[0] for line in rounds]
    live.note("%s: %d samples in 2 s, by tenths: %s" % (label, end[1], " ".join(str(n) for n in recent)))
    live.check(label + ": it has samples", end[1] > 200, text)
    live.check(label + ": what is recent is what the counts have grown by",
               recent == [b - a for a, b in zip([0, *count], count)] and end[0] == end[1] - count[-1], text)
    # A sample that is being walked is counted already: one on each CPU at most.
    cpus = os.cpu_count()
    live.check(label + ": after each call all samples so far are there",
               all(before - cpus <= counted <= after for _, counted, before, after in rounds), text)
    live.check(label + ": no sample was lost", end[3] == 0, text)


rounds, others, text = collect()
if live.check("a recording whose counts are taken while it goes on", len(rounds) == 20 and len(others) == 3, text):
    end, times = others["end"], others["times"]
    check_counts("counted", rounds, end, text)
    live.check("in the end each sample is counted once", end[1] + end[3] == end[2], text)
    live.check("each sample has a time", times[0] == end[1] and times[1] == 0 and times[2] == 0, text)
    live.check("the times are within the recording", 500 < times[3] <= times[4], text)
rounds, others, text = collect("take")
if live.check("a recording whose stacks are forgotten each time", len(rounds) == 20 and "end" in others, text):
    end = others["end"]
    check_counts("forgotten", rounds, end, text)
    # What another CPU is just counting when its stack goes may be missed.
    live.check("in the end each sample is counted once, though its stack was forgotten",
               end[2] - 3 <= end[1] + end[3] <= end[2], text)
live.stop(target)
live.finish()
