#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Without root: what each capability is for, what is said when it is missing, what is given up and when; targets
of other users, not dumpable, under seccomp; and what a setcap luaspy must not show to whoever runs it."""
import atexit
import concurrent.futures
import json
import os
import re
import shutil
import signal
import subprocess
import time

import live
import targets

OWN, OTHER = 54321, 65534  # luaspy's user, and that of targets
FIVE = ("bpf", "perfmon", "sys_ptrace", "syslog", "dac_read_search")
BITS = {"kill": 5, "dac_read_search": 2, "sys_ptrace": 19, "syslog": 34, "perfmon": 38, "bpf": 39,
        "checkpoint_restore": 40}
TARGET = """
local mode, private = ...
local function spin() local s = 0 for i = 1, 1e6 do s = s + i % 7 end return s end
local function reads() for i = 1, 20 do local f = io.open("/proc/self/stat") f:read("*a") f:close() end end
if private then -- says of itself that it comes from a file that it cannot read
	assert(loadstring("\\nreturn { function(f) while true do f() end end }", "@" .. private))()[1](spin)
end
if mode then
	local ffi = require("ffi")
	ffi.cdef("int prctl(int, unsigned long, unsigned long, unsigned long, unsigned long);")
	if mode == "undumpable" then ffi.C.prctl(4, 0, 0, 0, 0) end -- PR_SET_DUMPABLE
	if mode == "seccomp" then reads = spin ffi.C.prctl(22, 1, 0, 0, 0) end -- PR_SET_SECCOMP, strict
end
while true do spin() reads() end
"""

os.chmod(live.SCRATCH, 0o755)
copy = os.path.join(live.SCRATCH, "luaspy")
setcap = os.path.join(live.SCRATCH, "luaspy-setcap")
script = os.path.join(live.SCRATCH, "target.lua")
for path in (copy, setcap):
    shutil.copy(live.LUASPY, path)
    os.chmod(path, 0o755)
with open(script, "w") as f:
    f.write(TARGET)
os.chmod(script, 0o644)
luajit = os.path.join(live.SCRATCH, "luajit")
shutil.copy(os.path.join(live.FIXTURES, "bookworm-luajit", "usr", "bin", "luajit"), luajit)
os.chmod(luajit, 0o755)


def bits(*names):
    return sum(1 << BITS[name] for name in names)


def user(uid, capabilities=()):
    """The beginning of a command line: another user, with these as its own (ambient) capabilities."""
    sets = "-all" + "".join(",+" + c for c in capabilities)
    return ["setpriv", "--reuid=%d" % uid, "--regid=%d" % uid, "--clear-groups", "--inh-caps=" + sets,
            "--ambient-caps=" + sets, "--bounding-set=" + sets]


def plain(uid):
    """The same, with nothing but the user changed: as a login would do it."""
    return ["setpriv", "--reuid=%d" % uid, "--regid=%d" % uid, "--clear-groups"]


def run(prefix, *arguments, program=copy):
    return subprocess.run([*prefix, program, *[str(a) for a in arguments]], stdin=subprocess.DEVNULL,
                          stdout=subprocess.PIPE, stderr=subprocess.PIPE, check=False, timeout=60, cwd="/")


def record(prefix, *arguments, program=copy, seconds=1):
    done = run(prefix, "record", "-F", 499, "-d", seconds, "-o", "-", *arguments, program=program)
    return live.Recording(done.returncode, done.stderr.decode(errors="replace"), done.stdout.decode(errors="replace"))


def lua_share(r):
    return r.figure(r"with Lua frames +([\d.]+) %") or 0


def named_kernel(r):
    frames = [f for frames, _ in r.stacks for f in frames if f.endswith("_[k]")]
    return bool(frames) and "[kernel]_[k]" not in frames


def good(r):
    return r.status == 0 and r.samples > 10 and (r.complete() or 0) >= 99 and (r.lua_complete() or 0) >= 99 and \
        "warning" not in r.stderr


def sets(pid):
    """CapPrm, CapEff, CapInh, CapAmb, CapBnd and NoNewPrivs of a process; all 0 when it has gone."""
    try:
        with open("/proc/%d/status" % pid) as f:
            text = f.read()
    except OSError:
        text = ""
    found = dict(re.findall(r"^(Cap\w+|NoNewPrivs):\s+(\w+)", text, re.M))
    return {key: int(found.get(key, "0"), 16) for key in ("CapPrm", "CapEff", "CapInh", "CapAmb", "CapBnd", "NoNewPrivs")}


def kept(prefix, *arguments, program=copy, output=os.devnull, cwd="/"):
    """The sets of luaspy itself in the middle of a recording, and its exit status."""
    child = live.start([*prefix, program, "record", "-q", "-o", output, *[str(a) for a in arguments]], cwd=cwd)
    live.wait_until(lambda: sets(child.pid)["NoNewPrivs"] or child.poll() is not None, 20)
    found = sets(child.pid)
    child.terminate()
    return found, child.wait(20)


class Running:
    """A target that runs only here: so many at once would leave each too little of a small machine."""

    def __init__(self, child):
        self.child = child

    def __enter__(self):
        os.kill(self.child.pid, signal.SIGCONT)
        return self.child.pid

    def __exit__(self, *_):
        os.kill(self.child.pid, signal.SIGSTOP)


POINTERS = "/proc/sys/kernel/kptr_restrict"  # by 1 the kernel's addresses take CAP_SYSLOG, whatever else is set
with open(POINTERS) as f:
    before = f.read()


@atexit.register
def restore():
    with open(POINTERS, "w") as file:
        file.write(before)


with open(POINTERS, "w") as f:
    f.write("1")

# ---- targets
config = targets.CONFIGURATION
targets.CONFIGURATION = "user daemon;\n" + config
nginx = targets.OwnNginx(os.path.join(live.SCRATCH, "nginx"), 2)
targets.CONFIGURATION = config
start = lambda *arguments: live.start([*plain(OTHER), luajit, *arguments])
cli, undumpable = start(script), start(script, "undumpable")
seccomp = start("-joff", script, "seccomp")
own = live.start([*plain(OWN), luajit, script])
closed = os.path.join(live.SCRATCH, "closed")  # a program that others may execute, and not read
os.mkdir(closed)
shutil.copy(luajit, closed + "/luajit")
os.chmod(closed + "/luajit", 0o711)
unreadable = live.start([*plain(OTHER), closed + "/luajit", script])
pool = concurrent.futures.ThreadPoolExecutor(3)
time.sleep(0.5)
live.check("the targets are what they are meant to be",
           all(t.poll() is None for t in (cli, undumpable, seccomp, own, unreadable)) and
           "Seccomp:\t1" in open("/proc/%d/status" % seccomp.pid).read() and
           os.stat("/proc/%d/maps" % undumpable.pid).st_uid == 0 and os.stat("/proc/%d/maps" % cli.pid).st_uid == OTHER)
for child in (cli, undumpable, seccomp, own, unreadable):
    os.kill(child.pid, signal.SIGSTOP)
subprocess.check_call(["setcap", ",".join("cap_" + c for c in FIVE) + "+ep", setcap])
nosuid = os.statvfs(live.SCRATCH).f_flag & os.ST_NOSUID
if nosuid:
    live.skip("capabilities of the file", "cannot: %s is mounted with nosuid" % live.SCRATCH)
ways = [("root", [], copy), ("the five capabilities", user(OWN, FIVE), copy)]
if not nosuid:
    ways.append(("a setcap file", plain(OWN), setcap))

# ---- each way sees the same
cases = (("nginx by its master", nginx.master), ("another user's luajit", cli), ("one that is not dumpable", undumpable),
         ("one under strict seccomp", seccomp), ("one whose program may not be read", unreadable))
for name, child in cases:
    with Running(child) as pid:
        results = list(pool.map(lambda way: record(way[1], "-p", pid, program=way[2]), ways))
    if child == nginx.master:
        os.kill(child.pid, signal.SIGCONT)
    live.note(name + ":", *["%s: %d samples, %.1f %% complete, %.1f %% Lua;" %
                            (way[0], r.samples, r.complete() or 0, lua_share(r)) for way, r in zip(ways, results)])
    for (way, _, _), r in zip(ways, results):
        live.check("%s, %s: whole stacks with Lua names" % (name, way), good(r) and r.count_where(
            lambda frames: any(f.startswith("spin@") for f in frames)) > 0, r.stderr, r.stacks[:3])
        if pid != seccomp.pid:
            live.check("%s, %s: kernel frames with names" % (name, way), named_kernel(r), r.stderr)
        live.check("%s, %s: the same share of Lua" % (name, way), abs(lua_share(r) - lua_share(results[0])) <= 15,
                   lua_share(r), lua_share(results[0]))

# ---- one is missing
os.kill(own.pid, signal.SIGCONT)
os.kill(cli.pid, signal.SIGCONT)
for missing, done in zip(FIVE, list(pool.map(lambda missing: run(
        user(OWN, [c for c in FIVE if c != missing]), "record", "-p", cli.pid, "-d", 1, "-o", "-"), FIVE[:3]))):
    text = done.stderr.decode()
    live.check("without CAP_%s: it is named, and how to give it" % missing.upper(), done.returncode == 1 and
               "missing capability: CAP_%s." % missing.upper() in text and not done.stdout and
               all(word in text for word in ("+ep " + copy, "--cap-add SYS_PTRACE", "AmbientCapabilities=CAP_BPF ")), text)
r = record(user(OWN, FIVE[:2]), "-p", own.pid)
live.check("two are enough for the user's own processes, but for kernel names", r.status == 0 and
           (r.complete() or 0) >= 99 and "CAP_SYSLOG" in r.stderr and lua_share(r) > 50, r.stderr)
r = record(user(OWN, [c for c in FIVE if c != "syslog"]), "-p", cli.pid)
live.check("without CAP_SYSLOG: one line, and the rest as before", r.status == 0 and (r.complete() or 0) >= 99 and
           lua_share(r) > 50 and r.stderr.count("warning") == 1 and "CAP_SYSLOG" in r.stderr, r.stderr)
for child in (cli, own):
    os.kill(child.pid, signal.SIGSTOP)
with Running(unreadable) as pid:
    r = record(user(OWN, FIVE[:4]), "-p", pid)
live.check("without CAP_DAC_READ_SEARCH: the file that is closed", r.status == 0 and lua_share(r) == 0 and
           re.search(r"warning: %s/luajit .*Permission denied.*CAP_DAC_READ_SEARCH opens" % closed, r.stderr), r.stderr)
done = run(user(OWN, FIVE[:4]), "list")
live.check("... and list says so", done.returncode == 0 and b"%d " % unreadable.pid not in done.stdout and
           re.search(rb"\d+ process(es)? may have Lua in files that could not be read: .*CAP_DAC_READ_SEARCH",
                     done.stderr), done.stderr)
done = run(user(OWN, FIVE[:4]), "record", "-n", closed + "/luajit", "-d", 1, "-o", "-")
live.check("... and -n, too", done.returncode == 1 and b"not all of 1 may be looked into" in done.stderr, done.stderr)

# ---- deleted files: the program can be had without more rights, a library cannot
deleted = os.path.join(live.SCRATCH, "deleted")
os.mkdir(deleted)
shutil.copy(luajit, deleted + "/luajit")
gone = live.start([*plain(OTHER), deleted + "/luajit", script])
library = live.compile_c("void work(void) { for (volatile int i = 0; i < 100000; i++) ; }", "libgone.so", "-shared", "-fPIC")
user_program = live.compile_c("void work(void); int main(void) { for (;;) work(); }", "user", library)
with_library = live.start([*plain(OTHER), user_program])
time.sleep(0.5)
os.unlink(deleted + "/luajit")
os.unlink(library)
with Running(gone) as pid:
    r = record(user(OWN, FIVE), "-p", pid)
live.check("a deleted program", good(r) and lua_share(r) > 50, r.stderr)
r = record(user(OWN, FIVE), "-p", with_library.pid)
live.check("a deleted library: a line, and no failure", r.status == 0 and re.search(
    r"warning: \S*libgone.so .*deleted or replaced.*CAP_CHECKPOINT_RESTORE opens", r.stderr), r.stderr)
r = record(user(OWN, FIVE + ("checkpoint_restore",)), "-p", with_library.pid)
live.check("... and with CAP_CHECKPOINT_RESTORE", r.status == 0 and "libgone" not in r.stderr and
           r.count_where(lambda f: "work" in f) > 10, r.stderr)
live.stop(with_library)

# ---- list
listed = lambda done: {int(line.split()[0]) for line in done.stdout.decode().splitlines()[1:]}
everything = {nginx.pid, *nginx.workers(), cli.pid, undumpable.pid, seccomp.pid, own.pid, unreadable.pid}
for name, prefix, program in ways:
    done = run(prefix, "list", program=program)
    live.check("list, %s" % name, done.returncode == 0 and everything <= listed(done),
               everything - listed(done), done.stderr)
    rows = {row["pid"]: row for row in json.loads(run(prefix, "list", "--json", program=program).stdout)["processes"]}
    live.check("list, %s: VMs of other users' processes" % name, rows.get(cli.pid, {}).get("vms") == 1,
               rows.get(cli.pid))
done = run(user(OWN), "list")
live.check("list without privileges: what is the user's own, and how many others", done.returncode == 0 and
           own.pid in listed(done) and not listed(done) & (everything - {own.pid}) and
           re.search(rb"\d+ processes may not be looked into: that takes CAP_SYS_PTRACE", done.stderr),
           done.stdout.decode(), done.stderr)

# ---- what is given up
base = bits("bpf", "sys_ptrace", "dac_read_search")
theirs = os.path.join(live.SCRATCH, "theirs")
os.mkdir(theirs)
os.chown(theirs, OTHER, OTHER)
running = [pool.submit(kept, user(OWN, FIVE), "-p", cli.pid), pool.submit(kept, user(OWN, FIVE), "-p", nginx.pid),
           pool.submit(kept, [], "-p", cli.pid),
           pool.submit(kept, [], "-p", cli.pid, output="x.folded", cwd=theirs),
           pool.submit(kept, plain(OWN), "-p", cli.pid, program=setcap)]
found, status = running[0].result()
load = base | (bits("perfmon") if live.loads_by_kind() else 0)
live.check("while recording one process: three are left in effect, and one to load programs", found == dict(
    CapPrm=load, CapEff=base, CapInh=load, CapAmb=0, CapBnd=bits(*FIVE), NoNewPrivs=1) and status == 0,
           {k: hex(v) for k, v in found.items()}, status)
found, status = running[1].result()
live.check("... and of a master, whose workers may come and go, four", status == 0 and
           found["CapPrm"] == found["CapEff"] == base | bits("perfmon") and found["CapAmb"] == 0,
           {k: hex(v) for k, v in found.items()}, status)
root = base | bits("checkpoint_restore")
found, status = running[2].result()
live.check("as root: all but five, for good", status == 0 and found["NoNewPrivs"] == 1 and found["CapInh"] == 0 and
           found["CapEff"] == root & sets(os.getpid())["CapPrm"] and
           found["CapPrm"] == found["CapEff"] | load and
           found["CapBnd"] == found["CapPrm"], {k: hex(v) for k, v in found.items()}, status)
if len(ways) == 3:
    found, status = running[4].result()
    live.check("a setcap file: reading others' files is not in effect", status == 0 and found["CapPrm"] == load and
               found["CapEff"] == bits("bpf", "sys_ptrace") and found["CapAmb"] == 0,
               {k: hex(v) for k, v in found.items()}, status)
found, status = running[3].result()
live.check("root in another user's folder: the right to write there is kept, but not in effect", status == 0 and
           found["CapEff"] & 3 == 0 and found["CapPrm"] & 2 == 2 and os.path.exists(theirs + "/x.folded"),
           {k: hex(v) for k, v in found.items()}, status)

# ---- a command has what the user has
for name, prefix, program in ways:
    told = run(prefix, "/proc/self/status", program="cat").stdout.decode()
    done = run(prefix, "record", "-q", "-o", os.devnull, "--", "cat", "/proc/self/status", program=program)
    lines = lambda text: re.findall(r"^(?:Cap|NoNew|Uid|Gid|Groups).*", text, re.M)
    live.check("a command, %s: all rights as without luaspy" % name, done.returncode == 0 and
               lines(told) == lines(done.stdout.decode()) and len(lines(told)) == 9, told, done.stdout, done.stderr)

# ---- what a setcap luaspy must not do for its user
secret = os.path.join(live.SCRATCH, "secret")
os.mkdir(secret, 0o700)
with open(secret + "/private.lua", "w") as f:
    f.write("\nreturn { function(f) while true do f() end end, secret_name = 1 }\n"
            .replace("{ function", "{ secret_name = function"))
os.chmod(secret + "/private.lua", 0o644)
os.mkdir(secret + "/open")
os.chmod(secret + "/open", 0o777)
time.sleep(0.1)
nginx.stop()
liar = live.start([*plain(OWN), luajit, script, "", secret + "/private.lua"])
time.sleep(0.3)
live.check("a program that says it comes from a closed file", liar.poll() is None)
for name, prefix, program in ways:
    r = record(prefix, "-p", liar.pid, program=program)
    shown = r.count_where(lambda frames: any("secret_name@" in f for f in frames))
    live.check("%s: names from a source that %s" %
               (name, "only the file's capabilities open: none" if program == setcap else "the user may read"),
               good(r) and (shown == 0 if program == setcap else shown > 10), shown, r.stderr, r.stacks[:2])
if len(ways) == 3:
    r = run(plain(OWN), "record", "-p", cli.pid, "-d", 1, "-o", secret + "/open/x.folded", program=setcap)
    live.check("a setcap file: nothing is written where the user could not", r.returncode == 1 and
               b"cannot be written: Permission denied" in r.stderr and not os.listdir(secret + "/open"), r.stderr)
    os.chmod(setcap, 0o4755)
    done = run(plain(OWN), "list", program=setcap)
    live.check("a setuid file is refused", done.returncode == 1 and b"setuid" in done.stderr and not done.stdout,
               done.stderr)

for child in (cli, undumpable, seccomp, own, unreadable, gone):
    child.kill()
live.finish()
