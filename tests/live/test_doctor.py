#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""`luaspy doctor`: what it says of this machine, and of processes that lack one thing or another."""
import json
import os
import re
import shutil
import subprocess

import live
import targets

BUSY = "local function spin() local s = 0 for i = 1, 1e6 do s = s + i % 7 end return s end while true do spin() end"
FLUSHED = """
local function f(n) local s = 0 for i = 1, n do s = s + i % 7 end return s end
for i = 1, 200 do f(1000) end
jit.off() jit.flush()
while true do f(100000) end
"""
RECORDING = """
jit.opt.start("hotloop=2")
local ffi = require("ffi")
ffi.cdef("int usleep(unsigned);")
for i = 1, 7 do ffi.C.usleep(2000000) end
"""
BARE = r"""
#include <sys/syscall.h>
static long syscall0(long number) {
	long result;
	__asm__ volatile("syscall" : "=a"(result) : "a"(number) : "rcx", "r11", "memory");
	return result;
}
void _start(void) { for (;;) syscall0(SYS_pause); }
"""
THREADS = r"""
#include <pthread.h>
#include <stdio.h>
#include <unistd.h>
static void *rest(void *none) { pause(); return none; }
int main(void) {
	pthread_t thread;
	for (int i = 0; i < 60; i++) pthread_create(&thread, 0, rest, 0);
	puts("ready");
	fflush(stdout);
	for (;;) pause();
}
"""


def doctor(*arguments, prefix=()):
    """The sections, the exit status, and all that was said."""
    done = subprocess.run([*prefix, live.LUASPY, "doctor", "--json", *map(str, arguments)], stdin=subprocess.DEVNULL,
                          stdout=subprocess.PIPE, stderr=subprocess.PIPE, check=False, timeout=120)
    try:
        document = json.loads(done.stdout)
    except ValueError:
        return [], done.returncode, done
    return document["sections"], done.returncode, document


def find(sections, name):
    """The checks with that name, of all sections."""
    return [check for section in sections for check in section["checks"] if check["check"] == name]


def is_found(sections, name, status, *words):
    checks = find(sections, name)
    return len(checks) == 1 and checks[0]["status"] == status and all(word in checks[0]["found"] for word in words)


def has_lua(sections):
    """The share of the samples in the Lua VM that have all their Lua frames: a few in 10,000 have not."""
    checks = find(sections, "samples")
    found = re.search(r"([\d.]+) % of the \d+ in the Lua VM", checks[0]["found"]) if checks else None
    return found and checks[0]["status"] == "ok" and float(found.group(1)) >= 98


# ---- the machine
sections, status, said = doctor()
live.check("this machine has no failed check", status == 0 and len(sections) == 1, said)
live.check("kernel", is_found(sections, "kernel", "ok", os.uname().release), said)
live.check("luaspy samples itself", is_found(sections, "sampling", "ok", "complete stack"), said)
live.check("kernel names", is_found(sections, "kernel names", "ok", "functions"), said)

done = subprocess.run([live.LUASPY, "doctor"], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, check=False)
lines = done.stdout.decode().splitlines()
live.check("as text it is not wider than 100 columns", lines and max(map(len, lines)) <= 100, lines)
live.check("each check has its line", all(any(line.split()[:1] == [check["status"]] and check["check"] in line
                                              for line in lines) for check in sections[0]["checks"]), lines)
done = subprocess.run([live.LUASPY, "doctor"], stdin=subprocess.DEVNULL, stderr=subprocess.PIPE,
                      stdout=open("/dev/full", "w", encoding="utf-8"), check=False)
live.check("a full disk is an error", done.returncode == 1 and b"No space" in done.stderr, done)

sections, status, said = doctor(prefix=["setpriv", "--reuid", "65534", "--regid", "65534", "--clear-groups"])
live.check("without privileges it fails", status == 1 and find(sections, "BPF programs")[0]["status"] == "fail", said)
live.check("and names the capabilities", "CAP_BPF" in json.dumps(said) and "CAP_SYS_PTRACE" in json.dumps(said), said)

# ---- LuaJIT that runs
child = live.start([live.fixture("trixie-luajit"), "-e", BUSY])
live.wait_until(lambda: False, 0.3)
sections, status, said = doctor("-p", child.pid)
live.check("a busy LuaJIT is well", status == 0 and  # (the machine's settings may be changed by others)
           not [c for s in sections[1:] for c in s["checks"] if c["status"] in ("warn", "fail")], said)
live.check("its runtime is named", is_found(sections, "Lua", "ok", "LuaJIT 2.1.1737090214", "GC64", "stripped"), said)
live.check("its VM is found", is_found(sections, "VMs", "ok", "1 with", "JIT compiler on"), said)
live.check("all samples have their Lua frames", has_lua(sections), said)
offsets = {o["offset"]: o for s in sections for o in s["offsets"]}
live.check("offsets are shown", offsets.get("g->cur_L", {}).get("decoded") == 368 and len(offsets) >= 10, offsets)
live.check("the three sources of the offsets agree", is_found(sections, "offsets", "ok", "Debian trixie", "agrees") and
           all(o["table"] == o["decoded"] for o in offsets.values() if o["table"] is not None) and
           sum(o["heap"] == "agrees" for o in offsets.values()) >= 8 and
           not [o for o in offsets.values() if o["heap"] == "DISAGREES"], offsets, said)
live.check("stripped files are noted", is_found(sections, "C names", "note", "libc.so.6", "nothing else is lost"),
           said)
live.stop(child)

# ---- PUC Lua that runs
if live.check("lua5.4 is installed", shutil.which("lua5.4")):
    child = live.start(["lua5.4", "-e", "while true do local t = {} for i = 1, 100 do t[i] = i end end"])
    live.wait_until(lambda: False, 0.3)
    sections, status, said = doctor("-p", child.pid)
    live.check("a busy Lua 5.4 is well", status == 0 and is_found(sections, "Lua", "ok", "Lua 5.4.4", "stripped"), said)
    live.check("all its samples have their Lua frames", has_lua(sections), said)
    live.stop(child)

# ---- offsets agree whatever the VM is doing: its code is gone after a flush; a trace is being recorded while
# the third call sleeps
for name, program, pause in (("after jit.flush", FLUSHED, 0.5), ("while a trace is recorded", RECORDING, 4.2)):
    child = live.start([live.fixture("bookworm-luajit"), "-e", program])
    live.wait_until(lambda: False, pause)
    sections, status, said = doctor("-p", child.pid)
    live.check("the offsets agree %s" % name, status == 0 and is_found(sections, "offsets", "ok", "agrees"), said)
    live.stop(child)

# ---- what is missing is said
path = os.path.join(live.SCRATCH, "replaced")
shutil.copy(shutil.which("sleep"), path)
child = live.start([path, "1000"])
live.wait_until(lambda: os.readlink("/proc/%d/exe" % child.pid) == path)
os.unlink(path)
sections, status, said = doctor("-p", child.pid)
live.check("no Lua: a warning", status == 0 and is_found(sections, "Lua", "warn", "none"), said)
live.check("a deleted file is counted and read", is_found(sections, "files", "ok", "1 of them replaced or deleted"),
           said)
live.check("an idle process has no samples", is_found(sections, "samples", "note", "did not use the CPU"), said)
live.stop(child)

bare = live.compile_c(BARE, "bare", "-nostdlib", "-static", "-fno-asynchronous-unwind-tables", "-fcf-protection=none",
                      "-Wl,--build-id=none")
child = live.start([bare])
live.wait_until(lambda: os.readlink("/proc/%d/exe" % child.pid) == bare)
sections, status, said = doctor("-p", child.pid)
live.check("no .eh_frame: noted", is_found(sections, "unwinding", "note", "bare"), said)
live.check("with a symbol table no names are missing but the vdso's", is_found(sections, "C names", "ok"), said)
live.stop(child)

child = live.start([live.compile_c(THREADS, "threads", "-lpthread")], stdout=subprocess.PIPE)
child.stdout.readline()
sections, status, said = doctor("-p", child.pid, prefix=["prlimit", "--nofile=100:100"])
live.check("too few file descriptors for its threads", status == 1 and
           is_found(sections, "threads", "fail", "61, which takes", "only 100"), said)
sections, status, said = doctor("-p", child.pid)
live.check("enough of them", status == 0 and is_found(sections, "threads", "ok", "61"), said)
live.stop(child)

for pid, words in ((2, "kernel thread"), (2**22 - 1, "no process")):
    sections, status, said = doctor("-p", pid)
    live.check("pid %d: %s" % (pid, words), status == 1 and is_found(sections, "process", "fail", words) and
               not find(sections, "samples"), said)
sections, status, said = doctor("-n", "no-such-name-anywhere")
live.check("a name that nothing has", status == 1 and is_found(sections, "process", "fail", "no-such-name"), said)

# ---- an nginx master stands for its workers, which are alike
nginx = targets.OwnNginx(os.path.join(live.SCRATCH, "nginx"), 3)
sections, status, said = doctor("-p", nginx.pid)
workers = set(nginx.workers())
of_workers = [section for section in sections if workers & set(section["pids"])]
live.check("nginx's workers are one section", status == 0 and len(workers) == 3 and len(of_workers) == 1 and
           workers <= set(of_workers[0]["pids"]), said)
live.check("and their samples have all their Lua frames", has_lua(sections), said)
nginx.stop()
live.finish()
