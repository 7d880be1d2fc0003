#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""luaspy dump: an endless loop's line, threads that sleep and run, local variables that equal what the program says
of itself, a thousand suspended requests of nginx, heaps that change, and what it says when it cannot."""
import json
import os
import re
import resource
import shutil
import socket
import subprocess
import time

import live
import targets

HERE = os.path.dirname(os.path.abspath(__file__))
REQUESTS = 1000
PUC = ["lua5.1", "lua5.2", "lua5.3", "lua5.4"]
LUAJIT = ["bookworm-luajit", "built-sid-gc32", "bookworm-luajit2", "sid-luajit"]


def interpreters():
    """(name, command) of each Lua that is here."""
    found = [(name, live.fixture(name)) for name in LUAJIT]
    found += [(name, shutil.which(name)) for name in PUC]
    for name, path in found:
        if not path:
            live.skip(name, "it is not installed")
    return [(name, path) for name, path in found if path]


class Dump:
    """One run of luaspy dump --json: its status, messages, and what it wrote."""

    def __init__(self, *arguments, **options):
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        began = time.time()
        done = subprocess.run([live.LUASPY, "dump", "--json", *[str(a) for a in arguments]], timeout=60,
                              stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                              check=False, **options)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        self.seconds = time.time() - began
        self.cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
        self.status, self.stderr, self.text = done.returncode, done.stderr.decode(), done.stdout.decode()
        self.processes = json.loads(self.text)["processes"] if self.text else []
        self.process = self.processes[0] if self.processes else {}
        self.threads = self.process.get("threads", [])
        self.coroutines = [c for vm in self.process.get("vms", []) for c in vm["coroutines"]]


def lua(frames):
    return [f for f in frames or [] if f["type"] == "lua"]


def place(frame):
    return "%s:%s" % (os.path.basename(frame["file"]), frame["line"])


# ---- an endless loop ---------------------------------------------------------------------------------------------

LOOP = """
local function spin(step)
	local count, name = 0, "spinner"
	while true do
		count = count + step
	end
end
local function outer() spin(3) return 1 end
outer()
"""


def endless():
    path = os.path.join(live.SCRATCH, "loop.lua")
    with open(path, "w") as f:
        f.write(LOOP)
    cases = [(name, [command, path]) for name, command in interpreters()]
    cases += [(name + " -joff", [command[0], "-joff", path]) for name, command in cases if name in LUAJIT[:2]]
    for name, command in cases:
        child = live.start(command)
        time.sleep(0.2)
        dump = Dump("-p", child.pid, "--locals")
        frames = lua(dump.threads[0]["frames"]) if dump.threads else []
        names = [f["name"] for f in frames]
        live.check(name + ": an endless loop's line is named", names[:2] == ["spin", "outer"] and
                   frames[0]["line"] in (4, 5) and frames[0]["first_line"] == 2 and frames[1]["line"] == 8,
                   dump.stderr, dump.text)
        values = {v["name"]: v["value"] for f in frames[:1] for v in f["locals"]}
        if frames and frames[0]["compiled"]:
            good = not values and frames[0]["locals_note"] == "not known (compiled)"
        else:
            good = values.get("step") == "3" and values.get("name") == '"spinner"' and \
                float(values.get("count") or 0) > 1000
        live.check(name + ": its variables, or that they are not known", good, frames[:1])
        live.stop(child)


# ---- local variables ---------------------------------------------------------------------------------------------

def told(pipe):
    """What dump_locals.lua says: {coroutine address or "main": [{line, values: [(what, name, kind, text)]}]}."""
    stacks, frames = {}, None
    for line in iter(pipe.readline, b""):
        words = line.decode(errors="replace").rstrip("\n").split("\t")
        if words[0] == "ready":
            return stacks
        if words[0] in ("coroutine", "main"):
            frames = stacks.setdefault(words[1] if words[0] == "coroutine" else "main", [])
        elif words[0] == "frame":
            frames.append({"line": int(words[1]), "values": []})
        else:
            frames[-1]["values"].append(words)
    return stacks


def unquote(text):
    """The characters of a quoted string, in the way dump_locals.lua shows them, and its length if it was cut."""
    found = re.fullmatch(r'"(.*?)(?:"|\.\.\." \((\d+) bytes\))', text, re.S)
    if not found:
        return None, None
    letters = {"n": 10, "t": 9, "r": 13, "a": 7, "b": 8, "f": 12, "v": 11, "\\": 92, '"': 34}
    out = re.sub(r"\\(\d{3}|.)", lambda m: chr(int(m[1]) if m[1].isdigit() else letters[m[1]]), found[1])
    return re.sub(r"[^A-Za-z0-9 ]", lambda m: "%%%02x" % ord(m[0]), out), found[2] and int(found[2])


def equals(value, kind, text):
    value = value or ""
    if kind == "string":
        shown, length = unquote(value)
        if length:
            return len(text) == length and text.startswith(shown) and len(shown) >= 50
        return shown == text
    if kind == "table":
        address, items = text.split()
        found = re.fullmatch(r"table (0x[0-9a-f]+) \((\d+) array, (\d+) hash\)", value)
        return found and int(found[1], 16) == int(address, 16) and int(found[2]) + int(found[3]) == int(items)
    if kind in ("function", "thread", "userdata"):
        found = re.match(kind + r" (0x[0-9a-f]+)", value)
        return found and (text == "-" or int(found[1], 16) == int(text, 16))
    return value == text


def differences(frames, truth):
    """What of a stack's Lua frames is not as the program says."""
    wrong = []
    if len(frames) != len(truth):
        return ["%d frames, not %d: %s" % (len(frames), len(truth), frames)]
    for frame, true in zip(frames, truth):
        have = frame["locals"]
        if frame["line"] != true["line"]:
            wrong.append("line %s, not %s" % (frame["line"], true["line"]))
        names = [("upvalue" if v["upvalue"] else "local", v["name"]) for v in have]
        if names != [(v[0], v[1]) for v in true["values"]]:
            wrong.append("%s, not %s" % (names, true["values"]))
            continue
        wrong += ["%s = %s, not %s" % (v["name"], v["value"], t) for v, t in zip(have, true["values"])
                  if not equals(v["value"], t[2], t[3] if len(t) > 3 else "")]
    return wrong


def local_variables():
    for name, command in interpreters():
        child = live.start([command, os.path.join(HERE, "dump_locals.lua")], stdin=subprocess.PIPE,
                           stdout=subprocess.PIPE)
        truth = told(child.stdout)
        time.sleep(0.1)
        dump = Dump("-p", child.pid, "--locals", "--all-coroutines")
        thread = dump.threads[0] if dump.threads else {"frames": [], "state": ""}
        wrong = differences(lua(thread["frames"]), truth.get("main", []))
        values = sum(len(f["values"]) for f in truth.get("main", []))
        live.check("%s: %d local variables and upvalues are what the program says" % (name, values),
                   values > 30 and not wrong and thread["state"].startswith("sleeping in read"), dump.stderr,
                   "\n".join(wrong), thread["state"])
        have = {c["address"]: c for c in dump.coroutines if c["status"] == "suspended"}
        wrong = [w for address, frames in truth.items() if address != "main"
                 for w in differences(lua(have.get("0x%x" % int(address, 16), {}).get("frames")), frames)]
        live.check(name + ": and those of 3 suspended coroutines", len(have) == 3 and len(truth) == 4 and not wrong,
                   "\n".join(wrong), dump.coroutines)
        live.check(name + ": of a process that sleeps, all of one moment",
                   all(vm["complete"] and vm["one_moment"] for vm in dump.process.get("vms", [{}])) and
                   dump.process.get("vms"), dump.text[:2000])
        live.stop(child)


# ---- coroutines on the way ---------------------------------------------------------------------------------------

CHURN = """
local kept, KEPT = {}, 300
local function inner(n) coroutine.yield(n) return n end
local function keep(n) local v = inner(n) return v end
for i = 1, KEPT do kept[i] = coroutine.create(keep) coroutine.resume(kept[i], i) end
local function failing() error("on purpose") end
local failed, done, fresh = coroutine.create(failing), coroutine.create(function() end), coroutine.create(keep)
coroutine.resume(failed) coroutine.resume(done)
while true do
	local garbage = {}
	for i = 1, 100 do
		local co = coroutine.wrap(function(a) local b = coroutine.yield(a) return {a, b} end)
		garbage[i] = { co(i), co(i), tostring(i) .. "text" }
	end
end
"""


def churn():
    path = os.path.join(live.SCRATCH, "churn.lua")
    with open(path, "w") as f:
        f.write(CHURN)
    for name, command in interpreters():
        if name in LUAJIT[2:]:
            continue
        child = live.start([command, path])
        time.sleep(0.3)
        best, torn, fresh, states = 0, [], 0, set()
        for _ in range(2):
            dump = Dump("-p", child.pid, "--all-coroutines")
            kept = [c for c in dump.coroutines if c["status"] == "suspended" and
                    [f["name"] for f in lua(c["frames"])] == ["inner", "keep"]]
            best = max(best, len(kept))
            torn += [c for c in kept if [f["line"] for f in lua(c["frames"])] != [3, 4]]
            fresh = max(fresh, len([c for c in dump.coroutines if c["status"] == "not started" and
                                    [f["name"] for f in lua(c["frames"])] == ["keep"]]))
            states |= {c["status"] for c in dump.coroutines}
        live.check(name + ": all coroutines of a heap that is collected meanwhile", best == 300 and not torn and fresh,
                   best, fresh, torn[:3])
        live.check(name + ": their status", {"suspended", "not started", "finished", "failed"} <= states, states)
        live.stop(child)


# ---- nginx -------------------------------------------------------------------------------------------------------

NGINX = """load_module %(modules)s/ndk_http_module.so;
load_module %(modules)s/ngx_http_lua_module.so;
daemon off; worker_processes 1; pid nginx.pid; error_log error.log warn; worker_rlimit_nofile 4096;
events { worker_connections 2048; }
http {
  access_log off;
  client_body_temp_path body; proxy_temp_path proxy; fastcgi_temp_path fastcgi;
  uwsgi_temp_path uwsgi; scgi_temp_path scgi;
  server {
    listen 127.0.0.1:%(port)d backlog=2048;
    location = /wait {
      content_by_lua_block {
        local function nap(seconds)
          waiting = (waiting or 0) + 1
          ngx.sleep(seconds)
        end
        nap(100)
      }
    }
    location = /count {
      content_by_lua_block { ngx.say(waiting or 0) }
    }
    location = /spin {
      content_by_lua_block {
        local n = 0
        while true do
          n = n + 1
        end
      }
    }
  }
}
"""
NAP_LINE = 4  # of its block
SPIN_LINES = (4, 5)


def request(port, path):
    s = socket.create_connection(("127.0.0.1", port), timeout=10)
    s.sendall(b"GET %s HTTP/1.0\r\n\r\n" % path.encode())
    return s


def waiting(port):
    try:
        with request(port, "/count") as s:
            return int(s.makefile("rb").read().split()[-1])
    except (OSError, IndexError, ValueError):
        return -1


def nginx():
    modules = [m for m in targets.MODULES if os.path.exists(m + "/ngx_http_lua_module.so")]
    if not modules:
        live.skip("nginx", "nginx's Lua module is not installed")
        return
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, max(soft, 4096)), hard))
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    folder = os.path.join(live.SCRATCH, "nginx")
    os.mkdir(folder)
    os.chmod(live.SCRATCH, 0o755)
    with open(os.path.join(folder, "nginx.conf"), "w") as f:
        f.write(NGINX % {"modules": modules[0], "port": port})
    server = live.start(["nginx", "-p", folder, "-c", "nginx.conf", "-e", "error.log"])
    if not live.check("nginx: answers", live.wait_until(lambda: waiting(port) == 0),
                      live.read(os.path.join(folder, "error.log"))):
        return
    worker = targets.children(server.pid)[0]
    sockets = [request(port, "/wait") for _ in range(REQUESTS)]
    live.check("nginx: %d requests sleep" % REQUESTS, live.wait_until(lambda: waiting(port) == REQUESTS), waiting(port))
    dump = Dump("-p", worker, "--all-coroutines")
    naps = [c for c in dump.coroutines if c["status"] == "suspended" and c["frames"] and
            c["frames"][0]["name"] == "ngx.sleep" and
            [(f["name"], f["line"]) for f in lua(c["frames"])][:1] == [("nap", NAP_LINE)]]
    live.note("nginx: %d coroutines listed in %.2f s, %.2f s of CPU time" % (len(naps), dump.seconds, dump.cpu))
    live.check("nginx: all %d of them are listed, with what they wait for" % REQUESTS, len(naps) == REQUESTS,
               len(naps), dump.stderr, dump.coroutines[:2], [vm["complete"] for vm in dump.process.get("vms", [])])
    live.check("nginx: within a second of CPU time", dump.cpu < 1, dump.cpu)
    live.check("nginx: the worker sleeps in epoll_wait", [t["state"] for t in dump.threads] ==
               ["sleeping in epoll_wait"], dump.threads)
    dump = Dump("-p", server.pid, "-q")
    live.check("nginx: the master stands for its worker", {p["pid"] for p in dump.processes} >= {worker}, dump.text)
    spinning = request(port, "/spin")
    time.sleep(0.3)
    dump = Dump("-p", worker)
    frames = lua(dump.threads[0]["frames"]) if dump.threads else []
    live.check("nginx: a worker in an endless loop is told with its line", frames and
               frames[0]["line"] in SPIN_LINES and "nginx.conf" in frames[0]["file"], dump.text)
    for s in (*sockets, spinning):
        s.close()
    os.kill(worker, 9)  # it does not listen any more
    live.stop(server)


# ---- threads -----------------------------------------------------------------------------------------------------

THREADS = r"""
#include <pthread.h>
#include <stdio.h>
#include <unistd.h>
#include <sys/prctl.h>
static volatile unsigned long turns;
__attribute__((noinline)) static void spin_here(void) { for (;;) turns++; }
__attribute__((noinline)) static void wait_here(int fd) { char c; while (read(fd, &c, 1) == 1) turns++; }
static void *spinner(void *p) { prctl(PR_SET_NAME, "spin\033[31mner"); spin_here(); return p; }
static void *reader(void *p) { prctl(PR_SET_NAME, "reader"); wait_here(*(int *)p); return p; }
int main(void)
{
	pthread_t thread;
	int fds[2];
	if (pipe(fds) != 0) return 1;
	pthread_create(&thread, NULL, spinner, NULL);
	pthread_create(&thread, NULL, reader, &fds[0]);
	puts("ready");
	fflush(stdout);
	for (;;) pause();
}
"""


def threads():
    program = live.compile_c(THREADS, "threads", "-pthread", "-g")
    child = live.start([program], stdout=subprocess.PIPE)
    child.stdout.readline()
    time.sleep(0.2)
    switches = live.read("/proc/%d/status" % child.pid).count(b"State:\tS")
    dump = Dump("-p", child.pid, "--kernel")
    by_name = {t["name"]: t for t in dump.threads}
    names = {n: [f["name"] for f in t["frames"] or []] for n, t in by_name.items()}
    live.check("threads: all three", len(by_name) == 3 and switches == 1, names)
    reader = by_name.get("reader", {"state": ""})
    live.check("threads: one that reads", reader["state"] == "sleeping in read" and "wait_here" in names["reader"] and
               "reader" in names["reader"], reader)
    kernel = [f["type"] for f in reader.get("frames", [])]
    live.check("threads: its kernel frames come first", "kernel" in kernel and
               kernel == sorted(kernel, key=lambda t: t != "kernel"), kernel)
    spin = next((t for n, t in by_name.items() if n.startswith("spin")), {"frames": [], "running": None})
    live.check("threads: one that runs", "spin_here" in [f["name"] for f in spin["frames"]], spin)
    live.check("threads: names are escaped", "\033" not in json.dumps(by_name, ensure_ascii=False), list(by_name))
    text = subprocess.run([live.LUASPY, "dump", "-p", str(child.pid)], timeout=60, stdout=subprocess.PIPE,
                          stderr=subprocess.PIPE, check=False)
    live.check("no Lua: C stacks, and a note", b"no Lua that is known here" in text.stdout and
               b"has no Lua that is known here" in text.stderr and b"wait_here" in text.stdout and
               b"\033" not in text.stdout and text.returncode == 0, text)
    live.check("threads: it goes on as before", child.poll() is None and
               live.read("/proc/%d/status" % child.pid).count(b"TracerPid:\t0") == 1)
    live.stop(child)


# ---- errors ------------------------------------------------------------------------------------------------------

def errors():
    gone = subprocess.Popen(["true"])
    gone.wait()
    dump = Dump("-p", gone.pid)
    live.check("errors: no such process", dump.status == 1 and "there is no process %d" % gone.pid in dump.stderr and
               not dump.text, dump.stderr)
    dump = Dump()
    live.check("errors: nothing to look at", dump.status == 2 and "what to look at?" in dump.stderr, dump.stderr)
    dump = Dump("1234")
    live.check("errors: a pid without -p", dump.status == 2 and "-p PID" in dump.stderr, dump.stderr)
    copy = os.path.join(live.SCRATCH, "luaspy")
    shutil.copy(live.LUASPY, copy)
    os.chmod(live.SCRATCH, 0o755)
    child = live.start(["sleep", "60"], user=65534, group=65534)
    done = subprocess.run([copy, "dump", "-p", str(child.pid)], user=65534, group=65534, extra_groups=[], timeout=60,
                          stdout=subprocess.PIPE, stderr=subprocess.PIPE, check=False)
    live.check("errors: without privileges it says which are missing", done.returncode == 1 and
               b"CAP_BPF" in done.stderr and not done.stdout, done.stderr)
    live.stop(child)
    with open("/dev/full", "wb") as full:
        child = live.start(["sleep", "60"])
        done = subprocess.run([live.LUASPY, "dump", "-q", "-p", str(child.pid)], timeout=60, stdout=full,
                              stderr=subprocess.PIPE, check=False)
    live.check("errors: what could not be written", done.returncode == 1 and b"writing to stdout failed" in done.stderr,
               done.stderr)
    live.stop(child)


def other_users():
    """Who has luaspy's capabilities by its file sees values and addresses of his own processes only."""
    copy = os.path.join(live.SCRATCH, "luaspy-by-file")
    shutil.copy(live.LUASPY, copy)
    os.chmod(live.SCRATCH, 0o755)
    setcap = shutil.which("setcap", path=os.environ["PATH"] + ":/sbin:/usr/sbin")
    lua_command = shutil.which("lua5.4") or shutil.which("lua5.1")
    capabilities = "cap_bpf,cap_perfmon,cap_sys_ptrace,cap_dac_read_search+ep"
    if not lua_command or not setcap or subprocess.run([setcap, capabilities, copy], check=False).returncode:
        live.skip("values of other users' processes", "no lua, or files cannot get capabilities here")
        return
    try:
        subprocess.run([copy, "--version"], stdout=subprocess.DEVNULL, check=False)
    except PermissionError:
        live.skip("values of other users' processes", "cannot: the bounding set here lacks one of " + capabilities)
        return
    program = os.path.join(live.SCRATCH, "locals.lua")
    shutil.copy(os.path.join(HERE, "dump_locals.lua"), program)
    shown, addresses = [], []
    for options in ({}, {"user": 65534, "group": 65534}):
        child = live.start([lua_command, program], stdin=subprocess.PIPE, stdout=subprocess.PIPE, **options)
        told(child.stdout)
        done = subprocess.run([copy, "dump", "-q", "--json", "--locals", "--all-coroutines", "-p", str(child.pid)],
                              user=65534, group=65534, extra_groups=[], timeout=60, stdout=subprocess.PIPE,
                              stderr=subprocess.PIPE, check=False)
        process = json.loads(done.stdout)["processes"][0] if done.stdout else {"threads": [{"frames": []}], "vms": []}
        frames = lua(process["threads"][0]["frames"])
        addresses.append([v["global_state"] for v in process["vms"]])
        shown.append((len(frames), sum(len(f["locals"]) for f in frames), {f.get("locals_note") for f in frames},
                      done.stderr))
        live.stop(child)
    live.check("values of another user's process are not shown, names are", shown[0][0] == 2 and not shown[0][1] and
               shown[0][2] == {"not shown: it is another user's process"}, shown)
    live.check("those of one's own are", shown[1][0] == 2 and shown[1][1] > 30, shown)
    live.check("nor are addresses in it", addresses[0] == [None] and len(addresses[1]) == 1 and
               addresses[1][0].startswith("0x"), addresses)


endless()
local_variables()
churn()
threads()
nginx()
errors()
other_users()
live.finish()
