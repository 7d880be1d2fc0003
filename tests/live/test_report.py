#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""A recording that is kept as pprof: what luaspy report makes of it, its filters, and its messages."""
import json
import os
import re
import shutil
import subprocess

import live
import targets

CONTAINER = "ab" * 32
PROGRAM = """
local ring = {}
for i = 1, 64 do ring[i] = (i * 37) % 64 + 1 end
local function compare(a, b) return a < b end
function sorted(n)
    for _ = 1, n do local t = { 5, 3, 9, 1, 7, 2 } table.sort(t, compare) end
end
local function step(n)
    local s = 1
    for _ = 1, n do s = ring[s] end
    return s
end
while true do
    sorted(300)
    step(20000)
    for _ = 1, 100 do os.clock() end -- a system call
end
"""
SCRIPT = os.path.join(live.SCRATCH, "program.lua")
PROFILE = os.path.join(live.SCRATCH, "x.pb.gz")
HALF = os.path.join(live.SCRATCH, "half.pb.gz")


def luaspy(*arguments, **options):
    return subprocess.run([live.LUASPY, *[str(a) for a in arguments]], stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                          check=False, timeout=60, **{"stdin": subprocess.DEVNULL, **options})


def report(*arguments, profile=PROFILE):
    done = luaspy("report", profile, *arguments)
    live.check("report %s: done, without a word" % " ".join(str(a) for a in arguments),
               done.returncode == 0 and not done.stderr, done.returncode, done.stderr.decode())
    return done.stdout.decode()


def folded(*arguments):
    text = report("-f", "folded", "-o", "-", *arguments)
    return live.Recording(0, "", text)


def as_json(profile=PROFILE):
    return json.loads(report("-f", "json", "-o", "-", profile=profile))


def refused(name, done, status, *words):
    text = done.stderr.decode(errors="replace")
    live.check(name, done.returncode == status and all(w in text for w in words) and not done.stdout and
               len(text.splitlines()) <= 2, done.returncode, text, done.stdout)


def build_id(path):
    text = subprocess.run(["readelf", "-n", path], stdout=subprocess.PIPE, check=True).stdout.decode()
    return re.search(r"Build ID: ([0-9a-f]+)", text).group(1)


with open(SCRIPT, "w") as f:
    f.write(PROGRAM)
os.chmod(live.SCRATCH, 0o755)
luajit = live.fixture("bookworm-luajit")
plain = live.start([luajit, "-joff", SCRIPT])
container = targets.Container([luajit, "-joff", SCRIPT], CONTAINER, "web")
pids = [plain.pid] + ([container.pid] if container.pid else [])

# ---- what is recorded
done = luaspy("record", "-F", 499, "-d", 2, "-o", PROFILE, "-p", ",".join(str(pid) for pid in pids))
summary = done.stderr.decode(errors="replace")
live.check("record -o x.pb.gz", done.returncode == 0 and "luaspy report" in summary, summary)
live.check("... is nobody's script", os.stat(PROFILE).st_mode & 0o111 == 0)
everything = as_json()
samples = int(re.search(r"^(\d+) samples", summary, re.M).group(1))
live.check("all samples are in it", everything["samples"] == samples and samples > 300 and
           samples == sum(s["count"] for s in everything["stacks"]), samples, everything["samples"])
live.check("... with the time they stand for",
           all(s["nanoseconds"] == s["count"] * (10**9 // 499) for s in everything["stacks"]))
live.check("... of threads, processes and states of the VM",
           {(s["labels"]["pid"], s["labels"]["thread"], s["labels"]["comm"]) for s in everything["stacks"]} ==
           {(str(pid), str(pid), "luajit") for pid in pids} and
           {"interpreted", "C function"} <= {s["labels"].get("vmstate") for s in everything["stacks"]})
if container.pid:
    live.check("... and of containers", {(s["labels"]["pid"], s["labels"].get("container")) for s in everything["stacks"]} ==
               {(str(plain.pid), None), (str(container.pid), "web")})
else:
    live.skip("... and of containers", "cannot: no control group can be made here")
reader, writer = os.pipe()
os.close(reader)
done = subprocess.run([live.LUASPY, "report", PROFILE], stdout=writer, stderr=subprocess.PIPE, check=False)
os.close(writer)
live.check("a reader that goes away is not complained of", done.returncode == 1 and not done.stderr, done)
live.check("the recording is described", everything["host"] == os.uname().nodename and everything["rate_hz"] == 499 and
           everything["command"].startswith("luaspy record -F 499") and 1.9 < everything["duration_seconds"] < 10 and
           everything["recording"]["lost"] == 0, {k: v for k, v in everything.items() if not isinstance(v, list)})
lua = {(f["name"], f["first_line"], f["line"]) for f in everything["frames"] if f["type"] == "lua"}
lines = PROGRAM.splitlines()
live.check("Lua frames have their names, first and current lines",
           {("sorted", 5, 6), ("step", 8, 10)} <= lua and {name for name, _, _ in lua} ==
           {"main chunk", "compare", "sorted", "step"} and
           all(0 < line <= len(lines) for _, _, line in lua), lua)
binary = next((m for m in everything["mappings"] if m["path"].endswith("/luajit")), None)
live.check("files have their build ids", binary and
           binary["build_id"] == build_id("/proc/%d/exe" % plain.pid), everything["mappings"])
native = [f for f in everything["frames"] if f["type"] == "native" and "mapping" in f]
live.check("C frames are where their file is mapped", native and all(
    int(everything["mappings"][f["mapping"]]["start"], 16) <= int(f["address"], 16) <
    int(everything["mappings"][f["mapping"]]["limit"], 16) for f in native), native)
live.check("where the kernel is, and code in no file, is not told", "kernel" in {f["type"] for f in everything["frames"]} and
           all("mapping" in f for f in everything["frames"] if "address" in f),
           [f for f in everything["frames"] if "address" in f and "mapping" not in f])

# ---- what is shown
whole = folded()
live.check("folded stacks: as many samples", whole.samples == samples)
live.check("... Lua in C in Lua", whole.count_where(lambda f: any(x.startswith("sorted@") for x in f) and f.index(
    "table.sort") < max(i for i, x in enumerate(f) if x.startswith("compare@"))
    if "table.sort" in f and any(x.startswith("compare@") for x in f) else False) > samples / 20)
by = folded("--by", "pid,thread")
live.check("--by pid,thread", {f[0] for f, _ in by.stacks} == {"luajit %d/%d" % (pid, pid) for pid in pids})
states = folded("--by", "vmstate")
live.check("--by vmstate", {f[1] for f, _ in states.stacks} >= {"[interpreted]", "[C function]"} and
           states.samples == samples)
boxes = folded("--by", "container")
live.check("--by container", {f[1] for f, _ in boxes.stacks} ==
           ({"[container: none]", "[container: web]"} if container.pid else {"[container: none]"}))
only = folded("--only", "^table[.]sort$", "--no-kernel")
live.check("--only: what has it", 0 < only.samples < samples and
           only.samples == only.count_where(lambda f: "table.sort" in f) ==
           whole.count_where(lambda f: "table.sort" in f))
root = folded("--root", "^sorted@", "--hide", "^table")
live.check("--root, --hide", root.samples == root.count_where(lambda f: f[1].startswith("sorted@")) > 0 and
           not root.count_where(lambda f: "table.sort" in f))
plain_lua = folded("--no-native", "--lines")
live.check("--no-native --lines", plain_lua.samples == samples and
           plain_lua.count_where(lambda f: any("step@%s:8:10" % SCRIPT == x for x in f)) > samples / 10 and
           not plain_lua.count_where(lambda f: "main" in f))
reverse = folded("--reverse", "--no-native")
live.check("--reverse", reverse.samples == samples and
           reverse.count_where(lambda f: any(x.startswith("main chunk@") for x in f[-2:])) > 0.9 * samples,
           reverse.stacks)
least = folded("--min", "10")
live.check("--min: no small parts, nothing lost", least.samples == samples and len(least.stacks) < len(whole.stacks) and
           all(sum(c for g, c in least.stacks if g[:i] == f[:i]) >= 0.1 * samples
               for f, _ in least.stacks for i in range(2, len(f) + 1)))
chunks = folded("--chunks", "--no-native")
live.check("--chunks", chunks.samples == samples and
           {x for f, _ in chunks.stacks for x in f if "program" in x} == {SCRIPT})
table = report()
rows = {m.group(4): (int(m.group(2)), int(m.group(3))) for m in
        re.finditer(r"^ +([\d.]+) +(\d+) +[\d.]+ +(\d+)  \S+ +(.*)$", table, re.M)}
live.check("without -o: a table", table.startswith("luajit %d" % plain.pid) and
           rows["step@%s:8" % SCRIPT] == (whole.count_where(lambda f: f[-1].startswith("step@")),
                                          whole.count_where(lambda f: any(x.startswith("step@") for x in f))), table)
live.check("... which is cut by --min", len(report("--min", "5").splitlines()) < len(table.splitlines()))
for ending in ("html", "svg", "folded", "speedscope.json", "json", "perf.txt", "top.txt", "pb.gz"):
    path = os.path.join(live.SCRATCH, "y." + ending)
    done = luaspy("report", PROFILE, "-o", path)
    live.check("report -o y.%s" % ending, done.returncode == 0 and os.path.getsize(path) > 500 and
               "wrote " + path in done.stderr.decode() and not done.stdout, done.stderr)
    if ending == "perf.txt":
        with open(path) as f:
            live.check("... a block for each sample", f.read().count("cpu-clock: \n") == samples)
again = as_json(os.path.join(live.SCRATCH, "y.pb.gz"))
live.check("pprof of pprof is the same", again == everything)

# ---- the same options for record
r = live.record("-F", 997, "-d", 1, "-p", plain.pid, "--no-native", "--only", "sorted@", "--by", "pid", "--lines")
# (As it is being entered, a function is at its first line, and at its last one as it is being left.)
at = re.compile(r"^sorted@.*:5:[567]$")
live.check("record takes the same filters", r.status == 0 and r.samples > 5 and
           r.count_where(lambda f: f[0] == "luajit %d" % plain.pid and any(at.match(x) for x in f)) == r.samples and
           r.count_where(lambda f: any(x.endswith(":5:6") for x in f)) > 0, r.stderr, r.stacks)
done = luaspy("record", "-F", 199, "-d", 1, "-p", plain.pid, "-f", "top", "-o", "-", "-q")
live.check("record -f top -o -", done.returncode == 0 and b"FUNCTION" in done.stdout and b"sorted@" in done.stdout,
           done.stdout, done.stderr)
done = luaspy("record", "-F", 199, "-d", 1, "-p", plain.pid, "-f", "pprof", "-o", "-", "-q")
piped = luaspy("report", "-", "-f", "json", "-o", "-", stdin=None, input=done.stdout)
live.check("record -o - | report -", json.loads(piped.stdout)["samples"] > 5, piped.stderr)

# ---- messages
refused("a filter that is no regular expression", luaspy("report", PROFILE, "--only", "a("), 2, "a(", "regular expression")
refused("... the same in record", luaspy("record", "-p", plain.pid, "--hide", "["), 2, "'['", "regular expression")
refused("--only twice", luaspy("report", PROFILE, "--only", "a", "--only", "b"), 2, "--only", "A|B")
refused("--min that is no percentage", luaspy("report", PROFILE, "--min", "101"), 2, "--min", "101")
refused("--by what no recording has", luaspy("record", "-p", plain.pid, "--by", "colour"), 2, "colour", "vmstate")
refused("--by what is not in the profile", luaspy("report", PROFILE, "--by", "colour"), 1, "colour", "vmstate")
refused("no profile", luaspy("report"), 2, "luaspy record -o")
refused("two profiles", luaspy("report", PROFILE, PROFILE), 2, "one profile")
refused("no such file", luaspy("report", "/no/such.pb.gz"), 1, "/no/such.pb.gz", "No such file")
refused("a directory", luaspy("report", live.SCRATCH), 1, "Is a directory")
refused("another kind of file", luaspy("report", SCRIPT), 1, SCRIPT, "not in pprof's format", "luaspy record -o")
refused("an ending that tells no format", luaspy("report", PROFILE, "-o", "x.foo"), 2, "x.foo", "speedscope")
with open(PROFILE, "rb") as whole_file, open(HALF, "wb") as half:
    half.write(whole_file.read()[:1000])
refused("half a file", luaspy("report", HALF), 1, "ends too early")
done = luaspy("report", PROFILE, "--only", "no such function")
live.check("filters that leave nothing: it says so", done.returncode == 0 and b"leave none" in done.stderr, done.stderr)
done = luaspy("report", PROFILE, "-o", "/no/such/folder/x.svg")
refused("a place that cannot be written", done, 1, "/no/such/folder/x.svg", "No such file")

# ---- anybody may
if os.geteuid() == 0:
    copy = os.path.join(live.SCRATCH, "luaspy")
    shutil.copy(live.LUASPY, copy)
    os.chmod(PROFILE, 0o644)
    done = subprocess.run(["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", "--inh-caps=-all",
                           "--bounding-set=-all", copy, "report", PROFILE], stdout=subprocess.PIPE,
                          stderr=subprocess.PIPE, check=False, timeout=60)
    live.check("a user without any rights reads it", done.returncode == 0 and done.stdout.decode() == table,
               done.stderr)
container.stop()
live.finish()
