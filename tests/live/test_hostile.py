#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Targets, folders and surroundings that mean harm or are odd: luaspy stays bounded, writes where it
should, prints nothing that a terminal obeys, and says what it did not see."""
import errno
import os
import re
import signal
import stat
import struct
import subprocess
import time

import live

LUAJIT = live.fixture("bookworm-luajit")
LUAJIT = LUAJIT and os.path.join(os.path.dirname(LUAJIT), "usr/bin/luajit")
BUSY = "local s = 0 while true do for i = 1, 1e5 do s = s + i % 7 end end"

target = live.start([LUAJIT, "-joff", "-e", BUSY])


def luaspy(*arguments, **options):
    options.setdefault("timeout", 60)
    options.setdefault("stdin", subprocess.DEVNULL)
    return subprocess.run([live.LUASPY, *[str(a) for a in arguments]], stdout=subprocess.PIPE,
                          stderr=subprocess.PIPE, check=False, **options)


def timers_of(pid):
    """How many perf events a process has open that are not mapped: luaspy's timers."""
    names = []
    for fd in os.listdir("/proc/%d/fd" % pid):
        try:
            names.append(os.readlink("/proc/%d/fd/%s" % (pid, fd)))
        except FileNotFoundError:
            pass  # closed in the meantime
    with open("/proc/%d/maps" % pid) as f:
        mapped = sum("[perf_event]" in line for line in f)
    return names.count("anon_inode:[perf_event]") - mapped


# ---- a folder in which others plant names
folder = os.path.join(live.SCRATCH, "planted")
os.mkdir(folder)
victim = os.path.join(live.SCRATCH, "victim")
os.mkfifo(victim)
now = time.time()
for second in range(30):
    stamp = time.strftime("%Y%m%d-%H%M%S", time.localtime(now + second))
    name = os.path.join(folder, "luaspy-luajit-%d-%s.html" % (target.pid, stamp))
    if second % 2:
        os.symlink(victim, name)
    else:
        os.mkfifo(name)
done = luaspy("record", "-p", target.pid, "-d", 1, "-F", 99, cwd=folder)
written = [f for f in os.listdir(folder) if stat.S_ISREG(os.lstat(os.path.join(folder, f)).st_mode)]
live.check("a link or a FIFO under the name that luaspy chooses is replaced, not opened",
           done.returncode == 0 and len(written) == 1 and len(os.listdir(folder)) == 30 and
           os.path.getsize(os.path.join(folder, written[0])) > 5000,
           done.returncode, done.stderr.decode(), written, sorted(os.listdir(folder)))

# ---- a FIFO that nobody reads
child = live.start([live.LUASPY, "record", "-p", str(target.pid), "-d", "1", "-f", "folded", "-o", victim],
                   stderr=subprocess.PIPE)


def waits_for_reader():
    with open("/proc/%d/wchan" % child.pid) as f:
        return "partner" in f.read()  # wait_for_partner()


blocked = live.wait_until(waits_for_reader, 20)
child.send_signal(signal.SIGINT)
text = child.communicate(timeout=20)[1].decode()
saved = re.search(r"written to (\S+) instead", text)
live.check("Ctrl-C ends the wait for a FIFO's reader, and the result is not lost",
           blocked and child.returncode == 1 and "Interrupted" in text and saved and
           os.path.getsize(saved.group(1)) > 20, blocked, child.returncode, text)
if saved:
    os.unlink(saved.group(1))
os.unlink(victim)

# ---- one process under several numbers
THREADS = r"""
#include <pthread.h>
static void *work(void *p) { for (volatile long i = 0;; i++) ; return p; }
int main(void) { pthread_t t; pthread_create(&t, 0, work, 0); return work(0) != 0; }
"""
threads = live.start([live.compile_c(THREADS, "two_threads", "-lpthread")])
tids = live.wait_until(lambda: len(os.listdir("/proc/%d/task" % threads.pid)) == 2 and
                       os.listdir("/proc/%d/task" % threads.pid))
for what, pids in (("twice", [threads.pid] * 2), ("and its threads' ids", [threads.pid] + tids)):
    child = live.start([live.LUASPY, "record", "-p", ",".join(map(str, pids)), "-f", "folded", "-o", "/dev/null"])
    # One timer a thread: a perf event with a program. The other perf events tell of mappings.
    timers = live.wait_until(lambda: timers_of(child.pid) or None, 20)
    time.sleep(0.5)
    timers = timers_of(child.pid)
    live.stop(child)
    live.check("a process that is named %s has one timer for each thread" % what, timers == 2, timers)
live.stop(threads)

# ---- a kernel that refuses the programs
REFUSE = r"""
#include <errno.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>
int main(int argc, char **argv) { /* REFUSE ERRNO COMMAND...: BPF_PROG_LOAD (5) fails */
	struct sock_filter code[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_bpf, 0, 3),
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, args)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, 5, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | atoi(argv[1])),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW)};
	struct sock_fprog program = {sizeof(code) / sizeof(code[0]), code};
	if (prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) != 0) return 99;
	execv(argv[2], argv + 2);
	return 98;
}
"""
refuse = live.compile_c(REFUSE, "refuse")
for number in (errno.EACCES, errno.EPERM):  # what the verifier refuses is in test_refused.py
    done = subprocess.run([refuse, str(number), live.LUASPY, "record", "-p", str(target.pid), "-d", "1"],
                          stderr=subprocess.PIPE, check=False, timeout=60)
    text = done.stderr.decode()
    live.check("%s from loading, with all privileges: not permitted, and by whom perhaps" % errno.errorcode[number],
               done.returncode == 1 and "not permitted" in text and "seccomp" in text and "verifier" not in text,
               done.returncode, text)

# ---- samples that were never taken
SHORT = r"""
#include <pthread.h>
static void *work(void *p) { for (volatile int i = 0; i < 100000; i++) ; return p; }
int main(void) { for (;;) { pthread_t t; pthread_create(&t, 0, work, 0); pthread_join(t, 0); } }
"""
r = live.record("-p", target.pid, "-d", 2, "-F", 99)
live.check("a thread that goes on: nothing is missed", r.samples > 50 and "missed" not in r.stderr, r.stderr)
short = live.start([live.compile_c(SHORT, "short", "-lpthread")])
clock = (~short.pid << 3) | 2  # the process's CPU time, ended threads included: clock_getcpuclockid(3)
before = time.clock_gettime(clock)
r = live.record("-p", short.pid, "-d", 3, "-F", 999)
used = time.clock_gettime(clock) - before
live.stop(short)
missed, expected = r.figure(r"missed +(\d+)"), r.figure(r"missed +\d+ of the (\d+)")
live.check("threads that end before their first tick: what they are worth is counted as missed",
           missed and missed + r.samples == expected and 0.5 * 999 * used < expected <= 999 * used, r.stderr, used)

# ---- without stdin, stdout, stderr
child = live.start(["sh", "-c", 'exec "$@" <&- >&- 2>&-', "sh", live.LUASPY, "record", "-p", str(target.pid),
                    "-f", "folded", "-o", os.path.join(live.SCRATCH, "out.folded")])
live.wait_until(lambda: timers_of(child.pid), 20)
standard = [os.readlink("/proc/%d/fd/%d" % (child.pid, fd)) for fd in range(3)]
live.check("closed standard streams are not reused", standard == ["/dev/null"] * 3, standard)
child.send_signal(signal.SIGINT)
live.check("... and the recording is whole", child.wait(20) == 0, child.returncode)
done = subprocess.run(["sh", "-c", 'exec "$@" >&-', "sh", live.LUASPY, "record", "-p", str(target.pid), "-d", "0.2",
                       "-o", "-"], stderr=subprocess.PIPE, check=False, timeout=60)
saved = re.search(r"written to (\S+) instead", done.stderr.decode())
live.check("... a result for a closed stdout is an error, and not lost", done.returncode == 1 and saved, done.stderr)
if saved:
    os.unlink(saved.group(1))

# ---- a library that claims more than is on its disk
HOST = r"""
#include <dlfcn.h>
int main(int argc, char **argv) { return !dlopen(argv[1], RTLD_NOW) || ((int (*)(void))dlsym(dlopen(argv[1], RTLD_NOW), "work"))(); }
"""
LIBRARY = "int work(void); int work(void) { for (volatile long i = 0;; i++) ; }"
library = live.compile_c(LIBRARY, "libhuge.so", "-shared", "-fPIC")
with open(library, "r+b") as f:
    elf = bytearray(f.read())
    sections, = struct.unpack_from("<Q", elf, 0x28)
    count, names = struct.unpack_from("<HH", elf, 0x3c)
    name_table, = struct.unpack_from("<Q", elf, sections + 64 * names + 0x18)
    for at in range(sections, sections + 64 * count, 64):
        start = name_table + struct.unpack_from("<I", elf, at)[0]
        if elf[start:start + 10] == b".eh_frame\0":
            struct.pack_into("<Q", elf, at + 0x20, 1900 << 20)
    f.seek(0)
    f.write(elf)
    f.truncate(1901 << 20)
host = live.start([live.compile_c(HOST, "dlhost", "-ldl"), library])
live.wait_until(lambda: "libhuge" in open("/proc/%d/maps" % host.pid).read())
child = subprocess.Popen([live.LUASPY, "record", "-p", str(host.pid), "-d", "1", "-o", os.path.join(live.SCRATCH, "huge.html")],
                         stdin=subprocess.DEVNULL, stderr=subprocess.PIPE)
_, status, usage = os.wait4(child.pid, 0)
text = child.stderr.read().decode()
live.stop(host)
live.check("a library with 1.9 GB of .eh_frame, 16 KB on disk: luaspy stays below 400 MB and names its function",
           status == 0 and usage.ru_maxrss < 400000 and "work" in open(os.path.join(live.SCRATCH, "huge.html")).read(),
           status, usage.ru_maxrss, text)

# ---- in a PID namespace of its own
def in_namespace(script, *options):
    """Runs a shell script in a new PID namespace; $luaspy, $luajit and $busy are set."""
    return subprocess.run(["unshare", "-p", "-f", *options, "sh", "-c", script], stdin=subprocess.DEVNULL,
                          stdout=subprocess.PIPE, stderr=subprocess.PIPE, check=False, timeout=60, cwd=folder,
                          env={**os.environ, "luaspy": live.LUASPY, "luajit": LUAJIT, "busy": BUSY})


def lua_samples(output):
    """Samples with Lua frames in folded stacks."""
    return sum(int(line.rpartition(b" ")[2]) for line in output.splitlines()
               if live.lua_frames(line.rpartition(b" ")[0].decode(errors="replace").split(";")))


RECORD = '"$luaspy" record -F 999 -d 1 -f folded -o - '
for what, script in (
        ("a process beside it", '"$luajit" -joff -e "$busy" & ' + RECORD + '-p $!; kill $!'),
        ("a process in a namespace inside it",
         'unshare -p -f "$luajit" -joff -e "$busy" & sleep 0.5; p=$(cat /proc/$!/task/$!/children); ' + RECORD +
         '-p $p; kill $p'),
        ("a command and its children",
         '"$luaspy" record -F 999 -f folded -o - -- sh -c \'timeout 1 "$luajit" -joff -e "$busy"; true\''),
        ("an image that executes another",
         'sh -c \'sleep 1; exec "$luajit" -joff -e "$busy"\' & ' +
         '"$luaspy" record -F 999 -d 2 -f folded -o - -p $!; kill $!')):
    done = in_namespace(script, "--mount-proc")
    live.check("in a PID namespace: %s" % what, lua_samples(done.stdout) > 30, done.stderr.decode(),
               done.stdout.decode(errors="replace")[-2000:])
done = in_namespace('"$luaspy" record -d 1 -p 1', "--propagation", "unchanged")
live.check("... with another namespace's /proc: what to do",
           done.returncode == 1 and b"--pid=host" in done.stderr, done.returncode, done.stderr.decode())
inner = live.start(["unshare", "-p", "-f", "--kill-child", LUAJIT, "-joff", "-e", BUSY])
with open("/proc/%d/task/%d/children" % (inner.pid, inner.pid)) as f:
    pid = live.wait_until(lambda: f.seek(0) or f.read().split())
r = live.record("-F", 999, "-d", 1, "-p", pid[0])
live.stop(inner)
live.check("a target in a PID namespace, from outside", r.count_where(live.lua_frames) > 30, r.stderr)

# ---- names that a terminal would obey
EVIL = b"\x1b]0;x\x07\x9b2J"
evil = os.path.join(live.SCRATCH.encode(), EVIL)
spinner = live.compile_c("int main(int n, char **v) { for (volatile long i = 0; n > 1 || i < 300000000; i++) ; }",
                         "spinner")
os.link(spinner, evil)
child = live.start([evil, b"forever"])
done = luaspy("record", "-p", child.pid, "-d", 0.2, cwd=folder)
texts = [done.stderr]
texts += [luaspy("record", "-p", "%d,%d" % (child.pid, 4194300), "-d", 0.2, cwd=folder).stderr]
live.stop(child)
done = subprocess.run([live.LUASPY.encode(), b"record", b"-q", b"--", evil], cwd=folder, stdin=subprocess.DEVNULL,
                      stdout=subprocess.PIPE, stderr=subprocess.PIPE, check=False, timeout=60)
texts += [done.stderr]
files = b"".join(os.listdir(folder.encode()))
live.check("a process's name reaches neither the terminal nor a file's name raw",
           all(re.fullmatch(rb"[\n -~]*", t) for t in [*texts, files]) and files.count(b"2J") == 2, texts, files)

live.stop(target)
live.finish()
