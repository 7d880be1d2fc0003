#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Bad input and bad moments: one clear message, a nonzero status, no half file, no lost data."""
import os
import pty
import re
import select
import shutil
import signal
import subprocess
import time

import live

BUSY = "local s = 0 while true do for i = 1, 1e5 do s = s + i % 7 end end"
OUT = os.path.join(live.SCRATCH, "out.html")


def luaspy(*arguments, **options):
    options.setdefault("timeout", 60)
    return subprocess.run([live.LUASPY, *[str(a) for a in arguments]], stdin=subprocess.DEVNULL,
                          stdout=subprocess.PIPE, stderr=subprocess.PIPE, check=False, **options)


def refused(name, done, status, *words):
    text = done.stderr.decode(errors="replace")
    live.check(name, done.returncode == status and all(w in text for w in words) and not done.stdout,
               done.returncode, text, done.stdout)


def leftovers():
    return [f for f in os.listdir(live.SCRATCH) if f.startswith(".luaspy-") or f == "out.html"]


target = live.start([live.fixture("bookworm-luajit"), "-joff", "-e", BUSY])

# ---- the command line
refused("no such process", luaspy("record", "-p", 4194300, "-d", 1), 1, "no process 4194300")
for bad in ("0", "-5", "abc", ""):
    refused("pid '%s'" % bad, luaspy("record", "-p", bad), 2, "pid")
for bad in ("0", "10000", "abc"):
    refused("rate %s" % bad, luaspy("record", "-p", target.pid, "-F", bad), 2, "1 to 9999")
refused("duration 0", luaspy("record", "-p", target.pid, "-d", 0), 2, "duration")
refused("an ending that tells no format", luaspy("record", "-p", target.pid, "-o", "x.foo"), 2, "-f html")
refused("a format that is none", luaspy("record", "-p", target.pid, "-f", "png"), 2, "png")
refused("nothing to profile", luaspy("record"), 2, "-p PID")
refused("no such command", luaspy("recrod"), 2, "recrod", "--help")
done = luaspy("record", "--help")
live.check("record --help", done.returncode == 0 and b"--duration" in done.stdout and not done.stderr)
done = luaspy("--help")
live.check("--help", done.returncode == 0 and b"record" in done.stdout)
done = luaspy("--version")
live.check("--version", done.returncode == 0 and done.stdout.startswith(b"luaspy "))

# ---- targets
refused("a kernel thread", luaspy("record", "-p", 2, "-d", 1), 1, "kernel thread")
zombie = subprocess.Popen(["true"])
time.sleep(0.3)
refused("a zombie", luaspy("record", "-p", zombie.pid, "-d", 1), 1, "has ended")
zombie.wait()
no_lua = live.start([live.compile_c("int main(void) { for (volatile long i = 0;; i++) ; }", "spin")])
r = live.record("-p", no_lua.pid, "-d", 1, "-F", 499)
live.check("a process without Lua: a warning and its C profile",
           r.status == 0 and "has no Lua that is known here" in r.stderr and r.samples > 20 and
           r.count_where(lambda f: "main" in f) >= 0.99 * r.samples, r.stderr)
live.stop(no_lua)
refused("a command that does not exist", luaspy("record", "-o", OUT, "--", "/no/such/thing"), 1,
        "/no/such/thing", "No such file")
live.check("... leaves no file", not leftovers(), leftovers())
refused("a pid in place of a command", luaspy("record", "-o", OUT, "1234567890"), 1, "-p 1234567890")

# ---- privileges
copy = "/tmp/luaspy-test-copy-%d" % os.getpid()
shutil.copy(live.LUASPY, copy)
os.chmod(copy, 0o755)
done = subprocess.run(["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", "--inh-caps=-all", copy,
                       "record", "-p", str(target.pid), "-d", "1", "-o", "/tmp/x.html"],
                      stdout=subprocess.PIPE, stderr=subprocess.PIPE, check=False, timeout=60)
refused("without privileges: the capabilities and the command", done, 1, "CAP_BPF", "CAP_PERFMON", "sudo")
done = subprocess.run(["setpriv", "--bounding-set=-sys_admin,-perfmon", "--inh-caps=-all", copy, "record",
                       "-p", str(target.pid), "-d", "1", "-o", "/tmp/x.html"],
                      stdout=subprocess.PIPE, stderr=subprocess.PIPE, check=False, timeout=60)
refused("one capability is missing: that one is named", done, 1, "missing capability: CAP_PERFMON.")


def unprivileged(capabilities, *arguments):
    """luaspy record as nobody, with these capabilities."""
    sets = "-all" + "".join(",+" + c for c in capabilities)
    return subprocess.run(["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", "--inh-caps=" + sets,
                           "--ambient-caps=" + sets, "--bounding-set=" + sets, copy, "record", "-p",
                           str(target.pid), "-d", "1", "-F", "499", "-o", "-", *arguments],
                          stdout=subprocess.PIPE, stderr=subprocess.PIPE, check=False, timeout=60)


refused("a process whose files may not be read", unprivileged(["bpf", "perfmon"]), 1,
        "process %d" % target.pid, "missing capability: CAP_SYS_PTRACE.", "setcap", copy)
pointers = "/proc/sys/kernel/kptr_restrict"
with open(pointers) as f:
    before = f.read()
try:
    for value, capabilities, hidden in (("2", (), True), ("1", (), True), ("1", ("syslog",), False)):
        with open(pointers, "w") as f:
            f.write(value)
        done = unprivileged(["bpf", "perfmon", "sys_ptrace", *capabilities])
        text = done.stderr.decode()
        live.check("as nobody, kptr_restrict=%s%s: the Lua stacks%s" %
                   (value, ", CAP_SYSLOG" * bool(capabilities),
                    "; a warning about kernel names" if hidden else " without a warning"),
                   done.returncode == 0 and b"@(command line):0" in done.stdout and
                   ("CAP_SYSLOG" in text) == hidden and "100.0 %" in text, text, done.stdout)
finally:
    with open(pointers, "w") as f:
        f.write(before)
os.unlink(copy)
limit = "/proc/sys/kernel/perf_event_max_sample_rate"
with open(limit) as f:
    before = f.read()
try:
    with open(limit, "w") as f:
        f.write("5000")
    refused("a rate above the kernel's limit", luaspy("record", "-p", target.pid, "-F", 9999, "-d", 1), 1,
            "perf_event_max_sample_rate")
finally:
    with open(limit, "w") as f:
        f.write(before)

# ---- signals
for number, name in ((signal.SIGINT, "Ctrl-C"), (signal.SIGTERM, "SIGTERM")):
    child = live.start([live.LUASPY, "record", "-p", str(target.pid), "-o", OUT])
    time.sleep(1.5)
    child.send_signal(number)
    status = child.wait(20)
    live.check("%s writes the result" % name,
               status == 0 and os.path.exists(OUT) and os.path.getsize(OUT) > 10000, status)
    if os.path.exists(OUT):
        os.unlink(OUT)
child = live.start([live.LUASPY, "record", "-p", str(target.pid), "-o", OUT])
time.sleep(1)
os.kill(child.pid, signal.SIGSTOP)  # so that the second comes before the first is acted on
child.send_signal(signal.SIGINT)
child.send_signal(signal.SIGTERM)
os.kill(child.pid, signal.SIGCONT)
status = child.wait(20)
live.check("a second signal quits at once, without a file", status in (130, 143) and not leftovers(),
           status, leftovers())

# ---- outputs
done = subprocess.run("%s record -p %d -d 1 -F 997 -f html -o - | true; exit ${PIPESTATUS[0]}" %
                      (live.LUASPY, target.pid), shell=True, executable="/bin/bash",
                      stderr=subprocess.PIPE, check=False, timeout=60)
live.check("a closed pipe is an error like any other",
           done.returncode == 1 and b"Broken pipe" in done.stderr, done.returncode, done.stderr.decode())
done = luaspy("record", "-p", target.pid, "-d", 1, "-F", 499, "-o", "-")
live.check("stdout carries the result and nothing else",
           done.returncode == 0 and all(re.fullmatch(rb".+ \d+", l) for l in done.stdout.splitlines()) and
           done.stdout.count(b"\n") >= 1, done.stdout)
done = luaspy("record", "-q", "-p", target.pid, "-d", 1, "-o", OUT)
live.check("-q says nothing", done.returncode == 0 and not done.stderr and not done.stdout, done.stderr)
refused("a folder that is not there", luaspy("record", "-p", target.pid, "-d", 1, "-o", "/no/dir/x.html"), 1,
        "/no/dir/x.html", "-o")
refused("a folder as output", luaspy("record", "-p", target.pid, "-d", 1, "-f", "html", "-o", live.SCRATCH), 1,
        "is a directory", "-o")
small = os.path.join(live.SCRATCH, "small")
os.mkdir(small)
script = ("mount -t tmpfs -o size=8k none %s && %s record -p %d -d 2 -F 997 -o %s/full.html; s=$?; ls -A %s; "
          "umount %s; exit $s" % (small, live.LUASPY, target.pid, small, small, small))


def with_mount(script):
    return subprocess.run(["unshare", "-m", "--propagation", "unchanged", "sh", "-c", script],
                          stdout=subprocess.PIPE, stderr=subprocess.PIPE, check=False, timeout=60)


refused("a read-only place", with_mount("mount -t tmpfs -o ro none %s && %s record -p %d -d 1 -o %s/x.html; s=$?; "
                                        "umount %s; exit $s" % (small, live.LUASPY, target.pid, small, small)), 1,
        "Read-only", "-o")
done = with_mount(script)
text = done.stderr.decode()
saved = re.search(r"written to (\S+) instead", text)
live.check("a full disk: a message, a status, no half file",
           done.returncode == 1 and "No space left" in text and not done.stdout, text, done.stdout)
live.check("... and the result is not lost", saved and os.path.getsize(saved.group(1)) > 10000, text)
if saved:
    os.unlink(saved.group(1))

# ---- a terminal
def terminal():
    name = "on a terminal: one live line with time, samples, losses"
    try:
        leader, follower = pty.openpty()
    except OSError as error:
        live.skip(name, "cannot: " + str(error))
        return
    child = live.start([live.LUASPY, "record", "-p", str(target.pid), "-d", "2", "-o", OUT], stderr=follower)
    os.close(follower)
    text = b""
    while True:
        ready, _, _ = select.select([leader], [], [], 20)
        try:
            piece = os.read(leader, 4096) if ready else b""
        except OSError:
            piece = b""
        if not piece:
            break
        text += piece
    child.wait(20)
    live.check(name,
               len(re.findall(rb"\r[\d.]+ s, \d+ samples, \d+ lost", text)) >= 3, text)


terminal()
live.stop(target)
live.finish()
