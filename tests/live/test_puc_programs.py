#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Programs of the distribution with Lua inside, under load: redis-server (its own Lua 5.1), haproxy and nmap (5.3),
neovim (LuaJIT). Stripped, on a Unix socket or loopback."""
import json
import os
import re
import shutil
import socket
import subprocess
import time

import live

SAMPLES = 1000

# What all of them run: work() takes nearly all of the time, on two lines; C sorts with a function of Lua's.
WORK = """
local function work(item, weight)
  local total = 0
  for i = 1, 60 do
    total = total + (item.value * weight + i) % 97
  end
  return total
end
local function before(a, b)
  return work(a, 2) < work(b, 2)
end
local function rank(items)
  table.sort(items, before)
  return items
end
local function fresh()
  local items = {}
  for i = 1, 20 do
    items[i] = { value = (i * 7919) % 101, name = "item" .. i }
  end
  return items
end
"""
LINES = {"4", "5"}  # of work(), where its loop is

REDIS = WORK + """
local items = rank(fresh())
local function store(list)
  for i, item in ipairs(list) do
    redis.call("HSET", KEYS[1], item.name, cjson.encode(item))
    pcall(redis.call, "SADD", KEYS[1] .. "s", item.name)
  end
  return cmsgpack.pack(list)
end
local packed = store(items)
local function check(text)
  local back = cmsgpack.unpack(text)
  return struct.unpack(">I4", struct.pack(">I4", #back))
end
return (check(packed))
"""

HAPROXY = WORK + """
local function page(applet)
  local items = rank(fresh())
  local text = core.concat()
  for i, item in ipairs(items) do text:add(item.name) end
  core.yield()
  return text:dump()
end
core.register_service("page", "http", function(applet)
  local body = page(applet)
  applet:set_status(200)
  applet:add_header("content-length", string.len(body))
  applet:start_response()
  applet:send(body)
end)
"""

HAPROXY_CONFIGURATION = """
global
  nbthread 2
  lua-load-per-thread %s
defaults
  mode http
  timeout client 5s
  timeout server 5s
  timeout connect 5s
frontend f
  bind 127.0.0.1:%d
  http-request use-service lua.page
"""

NMAP = WORK + """
local nmap = require "nmap"
local stdnse = require "stdnse"
description = "work"
categories = { "safe" }
prerule = function() return true end
local function deep(n)
  if n == 0 then return (rank(fresh())) end
  return (select(2, pcall(deep, n - 1)))
end
local function thread()
  local stop = nmap.clock() + 60
  while nmap.clock() < stop do
    deep(3)
    coroutine.wrap(function() for i = 1, 3 do rank(fresh()) end end)()
  end
end
action = function()
  local first = stdnse.new_thread(thread)
  thread()
end
"""

NEOVIM = WORK + """
local function inside()
  local items = rank(fresh())
  vim.api.nvim_buf_set_lines(0, 0, -1, false, { items[1].name, vim.fn.toupper("x") })
end
local stop = vim.loop.hrtime() + 60e9
while vim.loop.hrtime() < stop do
  for i = 1, 10 do vim.api.nvim_buf_call(0, inside) end
end
vim.cmd("qa!")
"""


def written(name, text):
    path = os.path.join(live.SCRATCH, name)
    with open(path, "w") as f:
        f.write(text)
    os.chmod(live.SCRATCH, 0o755)
    return path


def listed(pid):
    text = subprocess.check_output([live.LUASPY, "list", "--json"], stdin=subprocess.DEVNULL,
                                   stderr=subprocess.DEVNULL, timeout=60)
    return next((row for row in json.loads(text)["processes"] if row["pid"] == pid), {})


def doctor(name, pid, lua, vms):
    """What `luaspy doctor` says of the process's Lua and of how many VMs."""
    done = subprocess.run([live.LUASPY, "doctor", "-p", str(pid)], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, timeout=60, check=False)
    text = done.stdout.decode(errors="replace")
    found = re.search(r"^ +ok +Lua +(%s).*\n +ok +VMs +(\d+) with" % lua, text, re.M)
    live.check("%s: doctor finds nothing to complain of in its Lua, and the VMs" % name,
               done.returncode == 0 and found and int(found.group(2)) in vms, text)


def profile(name, pid, chunk, runtime, vms, names, orders):
    """Records a process and checks what holds for all. `names`: Lua functions that must be there; `orders`: lists of
    frames (a trailing @: that Lua function) that must stand one after the other in some stack, with nothing but native
    frames between them."""
    row = listed(pid)
    live.check("%s: list shows it" % name, re.match(runtime, row.get("runtime", "")) and row["vms"] in vms and
               row["heap_bytes"] > 10000 and row["symbols"] is False, row)
    doctor(name, pid, runtime, vms)
    r, end = None, time.time() + 20
    while not r or (r.count_where(live.lua_frames) < SAMPLES and time.time() < end):
        r = live.record("--lines", "-F", 997, "-d", 3, "-p", pid)
    lua = r.count_where(live.lua_frames)
    live.check("%s: %d samples, most of them in Lua" % (name, r.samples), lua > 100 and lua > r.samples / 2, r.stderr)
    live.check("%s: 99.5 %% unwound to the start" % name, (r.complete() or 0) >= 99.5, r.stderr)
    live.check("%s: 99.5 %% of the samples in the VM have their Lua frames" % name, (r.lua_complete() or 0) >= 99.5,
               r.stderr)
    ours = shares = right = wrong = 0
    seen = {}
    for frames, count in r.stacks:
        found = [f for f in live.lua_frames(frames) if chunk in f["chunk"]]
        ours += count if found else 0
        for function in {f["name"] for f in found}:
            seen[function] = seen.get(function, 0) + count
        for f in found:
            if f["name"] == "work":
                shares += count
                good = f["first"] == "2" and (f["line"] in LINES or f["line"] in ("3", "7", "2"))
                right += count if f["line"] in LINES else 0
                # Compiled code is placed by its snapshots.
                wrong += 0 if good or f["compiled"] else count
    live.note("%s: %d samples, complete %s %%, Lua frames %s %%, %d in work(), of which %d on its loop's lines, %d on "
              "lines that it has not" % (name, r.samples, r.complete(), r.lua_complete(), shares, right, wrong))
    live.check("%s: work() is where it is, on its lines" % name, shares > 0.2 * ours and right > 0.95 * shares and
               not wrong, seen)
    for function in names:
        live.check("%s: %s() has its name" % (name, function), seen.get(function, 0) > 0, seen)
    live.check("%s: all our functions have names" % name, seen.get("", 0) <= 0.005 * ours, seen)
    for order in orders:
        live.check("%s: %s" % (name, " > ".join(order)), r.count_where(lambda f: stands(f, order)) > 0,
                   *[";".join(f) for f, _ in r.stacks[:3]])
    # A sample that says what it has lost is in the figure above: most are taken while a Lua stack is being moved.
    bad = [";".join(f) for f, _ in r.stacks
           if not sane(f, chunk) and not any(x.startswith("[Lua frames lost") for x in f)]
    live.check("%s: each function is called by its own caller only" % name, not bad, *bad[:5])
    return r


def is_native(frame):
    return "@" not in frame and ("+0x" in frame or re.fullmatch(r"[A-Za-z_]\w*", frame))


def stands(frames, order):
    """Whether `order` is in the stack, with nothing but native frames between its members."""
    want = 0
    for frame in frames:
        if want == len(order):
            break
        wanted = order[want]
        if frame.startswith(wanted) if wanted.endswith("@") else frame == wanted:
            want += 1
        elif want and not is_native(frame):
            want = 1 if (frame.startswith(order[0]) if order[0].endswith("@") else frame == order[0]) else 0
    return want == len(order)


CALLERS = {"work": {"before"}, "before": {"rank"}}


def sane(frames, chunk):
    """work() is called by before(), and that by table.sort in rank()."""
    last, between = None, []
    for frame in frames:
        found = live.lua_frame(frame)
        if not found or chunk not in found["chunk"]:
            between.append(frame)
            continue
        name = found["name"]
        if name in CALLERS and last not in CALLERS[name]:
            return False
        if name == "before" and "table.sort" not in between:
            return False
        last, between = name, []
    return True


# ---- the programs --------------------------------------------------------------------------------


class Redis:
    """redis-server on a Unix socket, and clients that run a script all the time."""

    def __init__(self):
        self.socket = os.path.join(live.SCRATCH, "redis.sock")
        conf = written("redis.conf", "port 0\nunixsocket %s\nsave ''\nappendonly no\ndaemonize no\ndir %s\n" %
                       (self.socket, live.SCRATCH))
        self.server = live.start(["redis-server", conf])
        live.wait_until(lambda: os.path.exists(self.socket))
        self.load = None

    def ask(self, *words):
        """The reply, as far as it comes at once."""
        with socket.socket(socket.AF_UNIX) as s:
            s.settimeout(10)
            s.connect(self.socket)
            request = b"".join(b"$%d\r\n%s\r\n" % (len(w), w) for w in (str(x).encode() for x in words))
            s.sendall(b"*%d\r\n%s" % (len(words), request))
            return s.recv(65536).decode()

    def run(self, script):
        sha = self.ask("SCRIPT", "LOAD", script).splitlines()[1]
        self.load = live.start(["redis-benchmark", "-s", self.socket, "-n", "100000000", "-c", "4", "EVALSHA", sha,
                                "1", "key"])
        return self.ask("EVALSHA", sha, 1, "key")

    def stop(self):
        if self.load:
            live.stop(self.load)
        live.stop(self.server)


def redis():
    server = Redis()
    reply = server.run(REDIS)
    live.check("redis: the script runs", reply == ":20\r\n", reply)
    r = profile("redis", server.server.pid, "user_script", r"Lua 5\.1\.5", {1, 2},
                ["work", "before", "rank", "store", "check", "main chunk"],
                [["processCommand", "call", "evalGenericCommand", "luaCallFunction", "main chunk@", "rank@",
                  "table.sort", "before@", "work@"],
                 ["store@", "redis.call", "scriptCall", "call", "hsetCommand"],
                 ["store@", "pcall", "redis.call", "scriptCall", "call", "saddCommand"],
                 ["store@", "cjson.encode"], ["store@", "cmsgpack.pack", "mp_encode_lua_type"],
                 ["check@", "cmsgpack.unpack"]])
    memory = re.search(r"used_memory_vm_eval:(\d+)", server.ask("INFO", "memory"))
    row = listed(server.server.pid)
    # (With garbage, which is as much again at each one's moment.)
    live.check("redis: list's heap is about what redis says of its scripts'", memory and
               0.25 < row["heap_bytes"] / int(memory.group(1)) < 4, row, memory)
    server.stop()
    return r


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def haproxy():
    """Two threads with a VM each."""
    port = free_port()
    conf = written("haproxy.cfg", HAPROXY_CONFIGURATION % (written("page.lua", HAPROXY), port))
    server = live.start(["haproxy", "-db", "-f", conf])
    live.wait_until(lambda: answers(port))
    load = live.start(["wrk", "-t1", "-c8", "-d60s", "http://127.0.0.1:%d/" % port])
    profile("haproxy", server.pid, "page.lua", r"Lua 5\.3\.6", {3},
            ["work", "before", "rank", "page"],
            [["lua_resume", "<anonymous in main chunk, for core.register_service>@", "page@", "rank@", "table.sort", "before@", "work@"]])
    live.stop(load)
    live.stop(server)


def answers(port):
    try:
        with socket.create_connection(("127.0.0.1", port), 1):
            return True
    except OSError:
        return False


def nmap():
    """Each script, and each of its threads, is a coroutine."""
    script = written("work.nse", NMAP)
    target = live.start(["nmap", "-n", "-Pn", "-sn", "--script", script, "127.0.0.1"])
    live.wait_until(lambda: live.record("-F", 99, "-d", 0.3, "-p", target.pid).count_where(
        lambda f: any(x.startswith("work@") for x in f)), 20)
    profile("nmap", target.pid, "work.nse", r"Lua 5\.3\.6", {1},
            ["work", "before", "rank", "fresh", "deep", "thread"],
            [["thread@", "deep@", "pcall", "deep@", "pcall", "deep@", "pcall", "deep@", "rank@", "table.sort", "before@",
              "work@"]])
    live.stop(target)


def neovim():
    script = written("work.lua", NEOVIM)
    target = live.start(["nvim", "--headless", "-u", "NONE", "-i", "NONE", "-n", "--cmd", "luafile " + script],
                        env=dict(os.environ, HOME=live.SCRATCH))
    live.wait_until(lambda: listed(target.pid))
    time.sleep(0.5)
    profile("neovim", target.pid, "work.lua", r"LuaJIT 2\.1", {1}, ["work", "before", "rank", "inside"],
            [["main chunk@", "vim.api.nvim_buf_call", "nvim_buf_call", "inside@", "rank@", "table.sort", "before@"]])
    live.stop(target)


WANTED = os.environ.get("PROGRAMS", "redis-server haproxy nmap nvim").split()
for program, run in (("redis-server", redis), ("haproxy", haproxy), ("nmap", nmap), ("nvim", neovim)):
    if program in WANTED and live.check("%s is installed" % program, shutil.which(program, path=os.environ["PATH"] + ":/usr/sbin")):
        run()
live.finish()
