#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""What the documentation tells to type, typed: each `luaspy` command in README.md and docs/ is run against the demo's
nginx under load, as it stands there, and does what it says. Links lead somewhere, ./dev's commands and make's targets
exist.

The commands of a page are run one after the other in the same folder. A block that cannot be run here has a line
`<!-- not run: WHY -->` in front of it. What is replaced: PID, and the pids of sessions, by a worker's pid; `-n nginx`
by a pattern for the demo's own nginx, other people's being on the machine, too; durations by one second. Without a
duration Ctrl-C ends it, as the text says.
"""
import glob
import os
import re
import shlex
import shutil
import signal
import subprocess
import tempfile
import time

import live

FILES = ["README.md", *sorted(os.path.relpath(f, live.TOP) for f in glob.glob(os.path.join(live.TOP, "docs", "*.md")))]
TEXTS = {name: live.read(os.path.join(live.TOP, name)).decode() for name in FILES}
COMMANDS = subprocess.run([live.LUASPY, "help", "--names"], stdout=subprocess.PIPE, check=True,
                          timeout=30).stdout.decode().split()
HEADS = {".html": b"<!DOCTYPE html>", ".svg": b"<?xml", ".folded": b"nginx;", ".gz": b"\x1f\x8b", ".json": b"{"}


def blocks(text):
    """The indented blocks of a text: (lines, why it is not run or None)."""
    found, marker, block = [], None, []
    for line in [*text.split("\n"), "end"]:
        if line.startswith("    ") or (block and not line.strip()):
            block.append(line[4:])
            continue
        if block:
            found.append((block, marker))
            block, marker = [], None
        told = re.match(r"<!-- not run: (.+) -->$", line)
        if told:
            marker = told.group(1)
        elif line.strip():
            marker = None
    return found


def commands(block):
    """The shell's lines in a block that are about luaspy, without comments."""
    text = re.sub(r"\\\n\s*", "", "\n".join(block))
    lines = [re.sub(r"\s{2,}# .*$", "", line).strip() for line in text.split("\n")]
    if any(line.startswith("$ ") for line in lines):  # a session: the rest is what was printed
        lines = [line[2:] for line in lines if line.startswith("$ ")]
    return [line for line in lines if re.match(r"(source <\(|sudo )?luaspy (%s)\b" % "|".join(COMMANDS), line)]


# ---- what is there
anchors = {}
for name, text in TEXTS.items():
    titles = re.findall(r"^#+ (.+)$", text, re.M)
    anchors[name] = {re.sub(r"[^\w -]", "", title.lower()).replace(" ", "-") for title in titles}
for name, text in TEXTS.items():
    bad = []
    for target in re.findall(r"\]\(([^)\s]+)\)", text):
        path, _, anchor = target.partition("#")
        path = os.path.normpath(os.path.join(os.path.dirname(name), path)) if path else name
        if not os.path.exists(os.path.join(live.TOP, path)) or (anchor and anchor not in anchors.get(path, ())):
            bad.append(target)
    live.check("%s: its links lead somewhere" % name, not bad, bad)
    bad = [image for image in re.findall(r"!\[.*?\]\((\S+?)\)", text)
           if os.path.getsize(os.path.join(live.TOP, os.path.dirname(name), image)) > 200000]
    live.check("%s: its pictures are small" % name, not bad, bad)
known = set(re.findall(r"^(\w+)\(\)", live.read(os.path.join(live.TOP, "dev")).decode(), re.M))
named = {word for text in TEXTS.values() for word in re.findall(r"(?:^|`|sudo )\./dev ([a-z]+)", text, re.M)}
live.check("./dev has the commands that are named", named and named <= known, named - known)
makefile = live.read(os.path.join(live.TOP, "Makefile")).decode()
named = {word for text in TEXTS.values() for word in re.findall(r"(?:^    |`|sudo )make ([a-z]+)", text, re.M)}
live.check("make has the targets that are named",
           named and all(re.search(r"^%s:" % word, makefile, re.M) for word in named), named)

# ---- what is typed
nginx = live.Nginx()
if not nginx.worker:
    live.check("the demo's nginx starts", False)
    live.finish()
nginx.load(300)
tools = os.path.join(live.SCRATCH, "bin")
os.mkdir(tools)
for tool, target in (("sudo", 'exec "$@"'), ("luaspy", 'exec %s "$@"' % live.LUASPY),
                     ("luajit", 'exec %s "$@"' % live.fixture("bookworm-luajit"))):
    with open(os.path.join(tools, tool), "w") as f:
        f.write("#!/bin/sh\n%s\n" % target)
    os.chmod(os.path.join(tools, tool), 0o755)
master = int(re.search(rb"^PPid:\s+(\d+)", live.read("/proc/%d/status" % nginx.worker), re.M).group(1))
pattern = re.search(r"nginx -p \S+", live.read("/proc/%d/cmdline" % master).replace(b"\0", b" ").decode()).group(0)


def adapt(line):
    line = re.sub(r"(-p )\d+\b|\bPID\b(?!-)", lambda found: (found.group(1) or "") + str(nginx.worker), line)
    line = re.sub(r"-n nginx\b", "-n %s" % shlex.quote(pattern), line)
    return re.sub(r"-d \d+", "-d 1", line)


def expectations(what, line, new, folder, done):
    """What the command says that it does; `new`: the files that it has made."""
    text = done.stdout.decode(errors="replace")
    if " | man " in line:
        live.check("%s: the page" % what, "LUASPY-RECORD(1)" in text, text[:300])
    elif re.search(r"\bluaspy list\b", line):
        live.check("%s: the worker is in the table" % what, re.search(r"^ *PID", text) and
                   re.search(r"^ *%d +worker" % nginx.worker, text, re.M), text)
    elif re.search(r"\bluaspy doctor\b", line):
        live.check("%s: it was sampled" % what, "One second of samples" in text and "luaspy can profile here" in text,
                   text)
    elif re.search(r"\bluaspy top\b", line):
        live.check("%s: a table" % what, "luaspy top  nginx" in text and "FUNCTION" in text, text)
    elif "| jq" in line:
        live.check("%s: jq has read it" % what, text and not done.stderr, text, done.stderr)
    elif re.search(r"\bluaspy report\b", line) and " -o " not in line:
        live.check("%s: a table" % what, re.search(r"SELF% .*FUNCTION$", text, re.M), text)
    elif re.search(r"\bluaspy dump\b", line):
        live.check("%s: the worker's stacks" % what, re.search(r"^Process %d " % nginx.worker, text, re.M), text)
    elif re.search(r"\bluaspy diff\b", line) and " -o " not in line:
        live.check("%s: a table" % what, re.search(r"BEFORE +AFTER +CHANGE .*FUNCTION$", text, re.M), text)
    elif re.search(r"\bluaspy (record|report|diff)\b", line):
        output = re.search(r"-o (\S+)", line)
        if output and output.group(1) == "-":
            live.check("%s: stacks on stdout" % what, re.search(r";.+ \d+$", text, re.M), text[:300])
            return
        wanted = re.escape(output.group(1)) if output else r"luaspy-\S+-\d+-\d{8}-\d{6}(\.heatmap)?\.html"
        head = live.read(os.path.join(folder, new[0]))[:100] if new else b""
        live.check("%s: the file" % what, len(new) == 1 and re.fullmatch(wanted, new[0]) and
                   head.startswith(HEADS.get(os.path.splitext(new[0])[1], b"?")) and
                   ("wrote " + new[0]).encode() in done.stderr, new, head, done.stderr.decode())


def new_folder():
    folder = tempfile.mkdtemp(dir=live.SCRATCH)
    for script in ("script.lua", "x.lua"):
        with open(os.path.join(folder, script), "w") as f:
            f.write("local t, s = os.clock(), 0 while os.clock() - t < 1 do for i = 1, 1e5 do s = s + i % 7 end end\n")
    return folder


def files(folder):
    """Names with times: what is written again is new."""
    return {(name, os.stat(os.path.join(folder, name)).st_mtime_ns) for name in os.listdir(folder)}


def run(name, line, folder):
    before = files(folder)
    environment = dict(os.environ, PATH=tools + ":" + os.environ["PATH"], LC_ALL="C.UTF-8", MANPAGER="cat")
    child = subprocess.Popen(["bash", "-c", adapt(line)], cwd=folder, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                             stderr=subprocess.PIPE, env=environment, start_new_session=True)
    if " record " in line and not re.search(r" -d | -- | man ", line):
        time.sleep(3.5)
        os.killpg(child.pid, signal.SIGINT)
    try:
        stdout, stderr = child.communicate(timeout=60)
    except subprocess.TimeoutExpired:
        os.killpg(child.pid, signal.SIGKILL)
        stdout, stderr = child.communicate()
    done = subprocess.CompletedProcess(line, child.returncode, stdout, stderr)
    what = "%s: %s" % (name, line)
    live.check(what, done.returncode == 0, done.returncode, done.stderr.decode(errors="replace"))
    expectations(what, line, sorted(name for name, _ in files(folder) - before), folder, done)


seen = set()
for name, text in TEXTS.items():
    folder = new_folder()
    for block, why in blocks(text):
        for line in commands(block):
            if why:
                live.note("%s: not run, %s: %s" % (name, why, line))
            elif line not in seen or " -o " in line:  # what it writes may be what the next one reads
                seen.add(line)
                run(name, line, folder)
    shutil.rmtree(folder)
live.check("there were commands of each kind", all(any("luaspy %s" % c in line for line in seen)
                                                   for c in ("list", "doctor", "record")) and len(seen) > 8, seen)

# ---- and the examples of --help
examples = 0
for line in re.findall(r"^  (luaspy record .*?)(?:  .*)?$", subprocess.run(
        [live.LUASPY, "help", "record"], stdout=subprocess.PIPE, check=True, timeout=30).stdout.decode(), re.M):
    if "-c web" not in line:  # there is no such container
        folder = new_folder()
        run("luaspy record --help", line.replace("1234", "PID"), folder)
        shutil.rmtree(folder)
        examples += 1
live.check("record --help has examples", examples > 2, examples)
nginx.stop()
live.finish()
