#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Profiles in pprof's format as its readers see them: protoc with the public profile.proto, go tool pprof.

Needs $LUASPY_BUILD/luaspy and libluaspy.a, and Debian's golang-1.19-go, protobuf-compiler and
golang-github-google-pprof-dev. What luaspy says itself (report -f json) is what they have to say.
"""
import json
import os
import re
import subprocess
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "live"))
import live  # noqa: E402

BUILD = live.BUILD
WORK = os.path.join(BUILD, "formats-pprof")
PROTO = "/usr/share/gocode/src/github.com/google/pprof/proto"
GO = "/usr/lib/go-1.19/bin/go"
KINDS = {"cpu": ("samples", "cpu"), "times": ("samples", "cpu"), "off_cpu": ("events", "off_cpu"),
         "wall": ("samples", "wall")}


def run(*command, **options):
    return subprocess.run(command, check=True, stdout=subprocess.PIPE, timeout=120, **options).stdout


def need(path, package):
    if not os.path.exists(path):
        print("ok - readers of pprof's format # SKIP no %s (%s)" % (path, package))
        sys.exit(0)


def messages(path):
    """The profile as protoc prints it: a list of (name, value or list) for each message."""
    unpacked = subprocess.run(["zcat", path], check=True, stdout=subprocess.PIPE).stdout
    text = run("protoc", "--decode=perftools.profiles.Profile", "-I", PROTO, "profile.proto", input=unpacked)
    stack = [[]]
    for line in text.decode().splitlines():
        line = line.strip()
        if line.endswith("{"):
            stack.append([])
            stack[-2].append((line[:-2], stack[-1]))
        elif line == "}":
            stack.pop()
        else:
            name, value = line.split(": ", 1)
            stack[-1].append((name, value))
    return stack[0]


def fields(message, name):
    return [value for key, value in message if key == name]


def check_messages(kind, path, expected):
    profile = messages(path)
    samples = fields(profile, "sample")
    sums = [sum(int(fields(s, "value")[i]) for s in samples) for i in range(2)]
    strings = fields(profile, "string_table")
    types = [json.loads(strings[int(fields(t, "type")[0])]) for t in fields(profile, "sample_type")]
    live.check("protoc, %s: samples and nanoseconds" % kind,
               sums == [expected["samples"], sum(s["nanoseconds"] for s in expected["stacks"])], sums)
    live.check("protoc, %s: types" % kind, tuple(types) == KINDS[kind], types)
    live.check("protoc, %s: a sample for each stack, a value for each type" % kind,
               len(samples) == len(expected["stacks"]) and all(len(fields(s, "value")) == 2 for s in samples))
    times = [int(fields(label, "num")[0] if fields(label, "num") else 0) for s in samples
             for label in fields(s, "label") if not fields(label, "str")]
    live.check("protoc, %s: times of samples" % kind,
               times == [t for s in expected["stacks"] for t in s.get("times", [])] and
               (len(times) == expected["samples"]) == (kind == "times"), times)


def go_environment():
    return dict(os.environ, PPROF_TMPDIR=WORK, HOME=WORK, GOCACHE=os.path.join(WORK, "go"), GOFLAGS="")


def go_pprof(path, *arguments):
    return run(GO, "tool", "pprof", "-symbolize=none", "-nodecount=100000", "-nodefraction=0",
               "-edgefraction=0", *arguments, path, env=go_environment(), stderr=subprocess.STDOUT).decode()


ROW = re.compile(r" *(\d+)(?:ns)? +[\d.]+% +[\d.]+% +(\d+)(?:ns)? +[\d.]+%  (.*)$")


def rows(text):
    return {m.group(3): (int(m.group(1)), int(m.group(2))) for m in map(ROW.match, text.splitlines()) if m}


def check_go(kind, path, expected):
    index, time = KINDS[kind]
    counts = rows(go_pprof(path, "-top", "-sample_index=" + index))
    wanted = {f["function"]: (f["self"], f["total"]) for f in expected["functions"]}
    live.check("go tool pprof -top, %s: each function's samples" % kind, counts == wanted,
               *(set(counts.items()) ^ set(wanted.items())))
    text = go_pprof(path, "-top", "-unit=ns", "-sample_index=" + time)
    wanted = {f["function"]: (f["self_nanoseconds"], f["total_nanoseconds"]) for f in expected["functions"]}
    got = rows(text)
    live.check("go tool pprof -top, %s: each function's time" % kind, got == wanted,
               *(set(got.items()) ^ set(wanted.items())))
    live.check("go tool pprof, %s: shows time first, and knows the program" % kind,
               go_pprof(path, "-top").find("Type: " + time) >= 0 and "File: nginx" in text, text)
    lines = rows(go_pprof(path, "-top", "-lines", "-sample_index=" + index))
    content = {name: count for name, count in lines.items() if name.startswith("_M.content@")}
    wanted = {"_M.content@shop/app.lua:92 shop/app.lua:%d" % n: c for n, c in ((95, (0, 57)), (99, (0, 34)))}
    live.check("go tool pprof -top -lines, %s: current lines" % kind, content == wanted, content)
    live.check("go tool pprof, %s: the sum of all lines" % kind,
               sum(c[0] for c in lines.values()) == expected["samples"], lines)
    live.check("go tool pprof -tags, %s: labels" % kind,
               all(word in go_pprof(path, "-tags", "-sample_index=" + index)
                   for word in ("comm: Total 189", "4009", "vmstate", "web")), go_pprof(path, "-tags"))
    live.check("go tool pprof -comments, %s: the recording" % kind,
               {"command: luaspy record -n nginx -d 1", "host: web-7.example", "lost: 2",
                "error: BASE not known: 4"} <= set(go_pprof(path, "-comments").splitlines()))
    both = os.path.join(WORK, "both.pb.gz")
    go_pprof(path, "-proto", "-output=" + both, path)
    merged = report(both)
    live.check("what go tool pprof has merged and written, %s, is read again" % kind,
               merged["samples"] == 2 * expected["samples"] and
               {(f["function"], f["type"], f["self"]) for f in merged["functions"]} ==
               {(f["function"], f["type"], 2 * f["self"]) for f in expected["functions"]}, merged["functions"])


GO_PROGRAM = """package main

import (
	"os"
	"runtime/pprof"
	"time"
)

func spin(end time.Time) {
	for time.Now().Before(end) {
	}
}

func main() {
	out, _ := os.Create(os.Args[1])
	pprof.StartCPUProfile(out)
	spin(time.Now().Add(time.Second))
	pprof.StopCPUProfile()
	out.Close()
}
"""


def check_other():
    """A profile that Go has made of itself, read by both."""
    with open(os.path.join(WORK, "spin.go"), "w") as f:
        f.write(GO_PROGRAM)
    program, path = os.path.join(WORK, "spin"), os.path.join(WORK, "spin.pb.gz")
    run(GO, "build", "-o", program, os.path.join(WORK, "spin.go"), env=go_environment())
    run(program, path)
    profile = report(path)
    wanted = {f["function"]: (f["self"], f["total"]) for f in profile["functions"]}
    got = rows(go_pprof(path, "-top", "-sample_index=samples"))
    live.check("a profile of a Go program: each function's samples", wanted == got and wanted["main.spin"][1] > 0,
               *(set(got.items()) ^ set(wanted.items())))
    live.check("... its rate and time", profile["rate_hz"] == 100 and profile["kind"] == "cpu" and
               sum(s["nanoseconds"] for s in profile["stacks"]) == profile["samples"] * 10**7, profile["rate_hz"])


def report(path):
    return json.loads(run(os.path.join(BUILD, "luaspy"), "report", path, "-f", "json", "-o", "-"))


need(GO, "golang-1.19-go")
need(os.path.join(PROTO, "profile.proto"), "golang-github-google-pprof-dev")
need("/usr/bin/protoc", "protobuf-compiler")
os.makedirs(WORK, exist_ok=True)
maker = os.path.join(WORK, "make_profile")
run("gcc", "-std=gnu11", "-D_GNU_SOURCE", "-Isrc", "-O1", "tests/consumers/make_profile.c",
    os.path.join(BUILD, "libluaspy.a"), "-lprotobuf-c", "-lz", "-o", maker)
for kind in KINDS:
    path = os.path.join(WORK, kind + ".pb.gz")
    run(maker, kind, path)
    expected = report(path)
    live.check("%s: 189 samples" % kind, expected["samples"] == 189 and expected["recording"]["lost"] == 2)
    check_messages(kind, path, expected)
    check_go(kind, path, expected)
check_other()
live.finish()
