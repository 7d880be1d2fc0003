#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""`luaspy list`: every Lua runtime that is started here, what is said of it, and nothing else."""
import json
import os
import pty
import signal
import subprocess
import time

import live
import targets

CONTAINER = ("5eed%08x" % os.getpid()).ljust(64, "0")
IDLE = """
local t = {} for i = 1, 2e4 do t[i] = { i } end
collectgarbage() collectgarbage("stop")
io.stdout:write(string.format("%d\\n", collectgarbage("count") * 1024)) io.stdout:flush()
io.read()
"""
SHARED = r"""
#include <dlfcn.h>
#include <stdio.h>
#include <unistd.h>
int main(int argc, char **argv) {
	void *lib = dlopen(argv[1], RTLD_NOW), *L = NULL;
	if (!lib) return 1;
	void *(*new_state)(void) = dlsym(lib, "luaL_newstate");
	void (*open_libs)(void *) = dlsym(lib, "luaL_openlibs");
	for (int i = 0; i < 3; i++) open_libs(L = new_state());
	puts("ready");
	fflush(stdout);
	for (;;) pause();
}
"""
EMBEDDED = r"""
#include <stdio.h>
#include <unistd.h>
#include <lua5.4/lauxlib.h>
#include <lua5.4/lualib.h>
int main(void) {
	luaL_openlibs(luaL_newstate());
	luaL_openlibs(luaL_newstate());
	puts("ready");
	fflush(stdout);
	for (;;) pause();
}
"""


def listing(*arguments):
    """The rows of `list --json` by pid, and how long it took."""
    before = time.time()
    done = subprocess.run([live.LUASPY, "list", "--json", *arguments], stdin=subprocess.DEVNULL,
                          stdout=subprocess.PIPE, stderr=subprocess.PIPE, check=False, timeout=60)
    took = time.time() - before
    return {row["pid"]: row for row in json.loads(done.stdout)["processes"]}, took, done


def is_ours(pid):
    """Was it started here? Others use this machine, too."""
    while pid > 1:
        pid = targets.parent(pid)
        if pid == os.getpid():
            return True
    return False


def start(command, **options):
    """A target that has said its first line, which is returned too."""
    child = live.start(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, **options)
    return child, child.stdout.readline().decode().strip()


before, _, _ = listing()
expected = {}  # pid: facts


def expect(pid, name, **facts):
    expected[pid] = (name, facts)


# ---- LuaJIT's own command, of five builds; the heap as the program counts it itself
for build, version, gc64, flags in (("bookworm-luajit", "LuaJIT 2.1.0-beta3", True, "-joff"),
                                    ("bullseye-luajit", "LuaJIT 2.1.0-beta3", False, "-jon"),
                                    ("bookworm-luajit2", "LuaJIT 2.1.0-beta3", True, "-jon"),
                                    ("trixie-luajit", "LuaJIT 2.1.1737090214", True, "-joff"),
                                    ("sid-luajit", "LuaJIT 2.1.1761786044", True, "-jon")):
    command = live.fixture(build)
    if not command:
        live.check("%s: the fixture is there (tests/fixtures/fetch)" % build, False)
        continue
    child, size = start([command, flags, "-e", IDLE])
    expect(child.pid, build, role="cli", program=("luajit", "luajit-2.1.0-beta3"), gc64=gc64, vms=1,
           jit="on" if flags == "-jon" else "off", heap=int(size), symbols=False,
           runtime=version if build[:3] != "sid" and build[:3] != "tri" else None)

# ---- the same command with LuaJIT in a library of its own
command = os.path.join(live.FIXTURES, "built-bookworm-lua52", "luajit-shared")
if os.access(command, os.X_OK):
    child, size = start([command, "-joff", "-e", IDLE])
    expect(child.pid, "luajit, linked with the shared library", role="cli", program="luajit-shared", gc64=True, vms=1,
           jit="off", heap=int(size), runtime="LuaJIT 2.1.0-beta3")
else:
    live.check("built-bookworm-lua52: the fixture is there (tests/fixtures/build_luajit)", False)

# ---- a program that loads the shared library and has three VMs
program = live.compile_c(SHARED, "shared", "-ldl")
library = os.path.join(live.FIXTURES, "bookworm-luajit2", "shared", "libluajit-5.1.so.2")
child, said = start([program, library])
expect(child.pid, "a program with LuaJIT's shared library and three VMs", role="embedded", program="shared",
       runtime="LuaJIT 2.1.0-beta3", vms=3, jit="on")

# ---- PUC Lua
for version in ("5.1", "5.2", "5.3", "5.4"):
    try:
        child, size = start(["lua" + version, "-e", IDLE])
    except FileNotFoundError:
        live.check("lua%s is installed" % version, False)
        continue
    expect(child.pid, "lua" + version, role="cli", program="lua" + version, runtime_begins="Lua " + version + ".",
           vms=1, jit=None, heap=int(size), gc64=None)
for name, flags in (("static", ["-l:liblua5.4.a", "-lm", "-ldl", "-s"]), ("dynamic", ["-llua5.4"])):
    child, _ = start([live.compile_c(EMBEDDED, "embedded-" + name, *flags)])
    expect(child.pid, "a program with Lua 5.4 and two VMs, " + name, role="embedded", program="embedded-" + name,
           runtime_begins="Lua 5.4.", symbols=False, vms=2)

# ---- nginx, and one that is an APISIX by its folder
nginx = live.Nginx()
master = next(p for p in [row for row in targets.children(nginx.server.pid)] if "nginx" in targets.title(p))
expect(master, "nginx: the master", role="master", program="nginx", vms=1, jit="on", user="root")
expect(nginx.worker, "nginx: the worker", role="worker", program="nginx", vms=1, parent=master, user="nobody",
       application=None)
prefix = os.path.join(live.SCRATCH, "apisix")
os.makedirs(prefix + "/apisix/core")
with open(prefix + "/apisix/core/version.lua", "w") as f:
    f.write("-- a comment\nreturn {\n    VERSION = \"3.8.0\"\n}\n")
apisix = targets.OwnNginx(prefix)
expect(apisix.pid, "APISIX: the master", role="master", application="APISIX 3.8.0")
for pid in apisix.workers():
    expect(pid, "APISIX: a worker", role="worker", application="APISIX 3.8.0", busy=True)

# ---- in a container
container = targets.Container([live.fixture("bookworm-luajit"), "-e", "while true do end"], CONTAINER, "web")
if container.pid:
    expect(container.pid, "in a container", container=dict(id=CONTAINER, engine="docker", name="web"), busy=True)
else:
    live.skip("in a container", "cannot: no control group can be made here")

# ---- what is none, although it may look so
names = live.start(["sh", "-c", "while :; do sleep 1000; done", "luajit", "nginx: worker process", "LuaJIT 2.1.0"])
sleepers = live.start(["sh", "-c", "for i in $(seq 500); do sleep 1000 & done; wait"], start_new_session=True)
live.wait_until(lambda: len(targets.children(sleepers.pid)) >= 500, 30)

rows, took, done = listing()
live.note("%d processes, %d with Lua: %.2f s" % (len([p for p in os.listdir("/proc") if p.isdigit()]), len(rows),
                                                  took))
fastest = min(took, *(listing()[1] for _ in range(2)))
live.check("in less than a second, beside 500 others", fastest < 1, fastest)
live.check("there are 12 runtimes and more", len(expected) >= 12, expected)
for pid, (name, facts) in expected.items():
    row = rows.get(pid)
    if not live.check("%s is listed" % name, row is not None, sorted(rows), done.stderr):
        continue
    wrong = {}
    for key, value in facts.items():
        if key == "heap":
            good = row["heap_bytes"] is not None and abs(row["heap_bytes"] - value) <= 16384
        elif key == "runtime_begins":
            good = row["runtime"].startswith(value) and len(row["runtime"]) > len(value)
        elif key == "busy":
            # Over the tenth of a second that a listing takes it may not have run.
            good = (row["cpu_percent"] or 0) > 0 or live.wait_until(
                lambda: (listing()[0].get(pid, {}).get("cpu_percent") or 0) > 0)
        elif key == "runtime" and value is None:
            good = row["runtime"].startswith("LuaJIT 2.1.")
        elif isinstance(value, tuple):
            good = row[key] in value
        else:
            good = row[key] == value
        if not good:
            wrong[key] = value
    live.check("%s: %s" % (name, ", ".join(facts)), not wrong, wrong, row)
others = [row for pid, row in rows.items() if pid not in expected and pid not in before and is_ours(pid)]
live.check("nothing else is listed", not others, others)
live.check("uptime is that of a process that has just started",
           all(rows[p]["uptime_seconds"] <= 120 for p in expected if p in rows))

# ---- the table: whole in a pipe, cut off in a terminal
done = subprocess.run([live.LUASPY, "list"], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, check=False)
lines = done.stdout.decode().splitlines()
listed = [int(line.split()[0]) for line in lines[1:]]
live.check("the table has a line for each", set(expected) <= set(listed) and len(listed) == len(set(listed)), listed)
live.check("in a pipe it is not cut off", any("collectgarbage" in line for line in lines) and
           "\x1b" not in done.stdout.decode())
leader, follower = pty.openpty()
child = subprocess.Popen(["sh", "-c", "stty cols 70; exec %s list" % live.LUASPY], stdin=follower, stdout=follower,
                         stderr=subprocess.DEVNULL)
os.close(follower)
text = b""
try:
    while True:
        part = os.read(leader, 65536)
        if not part:
            break
        text += part
except OSError:
    pass
child.wait()
lines = text.decode(errors="replace").splitlines()
live.check("in a terminal no line is wider than it", len(lines) > len(expected) and
           max(map(len, lines)) <= 70, lines[:3])
done = subprocess.run([live.LUASPY, "list", "foo"], stdin=subprocess.DEVNULL, stderr=subprocess.PIPE, check=False)
live.check("an argument is refused", done.returncode == 2 and b"foo" in done.stderr, done.stderr)
with open("/dev/full", "w") as full:
    done = subprocess.run([live.LUASPY, "list"], stdout=full, stderr=subprocess.PIPE, check=False)
live.check("a full disk is an error", done.returncode == 1 and b"stdout" in done.stderr, done.stderr)

os.killpg(sleepers.pid, signal.SIGTERM)
os.kill(names.pid, signal.SIGTERM)
nginx.stop()
apisix.stop()
container.stop()
live.finish()
