# SPDX-License-Identifier: Apache-2.0
"""What the live tests share: targets, recordings, folded stacks, TAP lines.

Needs root. Everything that is started is stopped by pid at the end.
"""
import atexit
import os
import re
import signal
import subprocess
import sys
import tempfile
import time

TOP = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
BUILD = os.path.abspath(os.environ.get("LUASPY_BUILD", os.path.join(TOP, "build")))
LUASPY = os.path.join(BUILD, "luaspy")
FIXTURES = os.environ.get("LUASPY_FIXTURES", os.path.join(TOP, "build", "fixtures"))
CI = os.environ.get("CI") == "true"
SCRATCH = tempfile.mkdtemp(prefix="luaspy-live-")
_children = []
_failed = 0


def check(name, good, *details):
    """One TAP line; the details are printed when it failed."""
    global _failed
    if not good:
        _failed += 1
        for detail in details:
            print("#", str(detail).rstrip().replace("\n", "\n# "))
    print(("ok - " if good else "not ok - ") + name, flush=True)
    return good


def note(*words):
    print("#", *words, flush=True)


def skip(name, why):
    print("ok - %s # SKIP %s" % (name, why), flush=True)


def finish():
    sys.exit(1 if _failed else 0)


def start(command, **options):
    """Starts a target with its output discarded."""
    options.setdefault("stdout", subprocess.DEVNULL)
    options.setdefault("stderr", subprocess.DEVNULL)
    options.setdefault("stdin", subprocess.DEVNULL)
    child = subprocess.Popen(command, **options)
    _children.append(child)
    # Popen returns while exec is under way: for a moment the process has no command line.
    wait_until(lambda: child.poll() is not None or read("/proc/%d/cmdline" % child.pid))
    return child


def read(path):
    try:
        with open(path, "rb") as f:
            return f.read()
    except OSError:
        return b""


def stop(child):
    if child.poll() is None:
        child.terminate()
        try:
            child.wait(5)
        except subprocess.TimeoutExpired:
            child.kill()
            child.wait()
    if child in _children:
        _children.remove(child)


@atexit.register
def _stop_all():
    for child in list(_children):
        stop(child)
    subprocess.call(["rm", "-rf", "--one-file-system", SCRATCH])


def wait_until(condition, seconds=10):
    end = time.time() + seconds
    while time.time() < end:
        value = condition()
        if value:
            return value
        time.sleep(0.02)
    return None


def loads_by_kind():
    """Whether luaspy loads its programs for the kinds of Lua that there are (src/sample/vm_programs.c)."""
    return tuple(int(n) for n in re.findall(r"\d+", os.uname().release)[:2]) >= (6, 8)


def fixture(name):
    """The luajit command of a fixture, or None."""
    path = os.path.join(FIXTURES, name, "luajit")
    return path if os.access(path, os.X_OK) else None


def compile_c(source, name, *flags):
    """Compiles a C program (or with -shared a library) into the scratch folder; its path."""
    path = os.path.join(SCRATCH, name)
    with open(path + ".c", "w") as f:
        f.write(source)
    subprocess.check_call(["gcc", "-O1", "-o", path, path + ".c", *flags])
    return path


LUA_FRAME = re.compile(r"(?P<name>[^@]*)@(?P<chunk>.*?):(?P<first>\d+)(?::(?P<line>\d+))?"
                       r"(?P<estimated> \(estimated\))?(?P<compiled>_\[j\])?$")


def lua_frame(frame):
    """The parts of a Lua function's frame by name (those of LUA_FRAME), or None."""
    return LUA_FRAME.match(frame)


def lua_frames(frames):
    return [found for found in map(lua_frame, frames) if found]


class Recording:
    """The result of one `luaspy record -f folded`."""

    def __init__(self, status, stderr, text):
        self.status = status
        self.stderr = stderr
        self.stacks = []  # (list of frames, root first; count)
        for line in text.splitlines():
            stack, _, count = line.rpartition(" ")
            self.stacks.append((stack.split(";"), int(count)))
        self.samples = sum(count for _, count in self.stacks)

    def figure(self, pattern):
        """The first group of a pattern in the closing lines, as a number; None without a match."""
        found = re.search(pattern, self.stderr)
        return float(found.group(1)) if found else None

    def complete(self):
        return self.figure(r"thread's start ([\d.]+) %")

    def lua_complete(self):
        return self.figure(r"\(([\d.]+) % of those in the Lua VM\)")

    def lost(self):
        return self.figure(r"lost +(\d+)")

    def count_where(self, test):
        return sum(count for frames, count in self.stacks if test(frames))


def record(*arguments, timeout=120, environment=None):
    """Runs luaspy record with folded output and waits for it."""
    handle, path = tempfile.mkstemp(".folded", dir=SCRATCH)  # of its own: recordings may run side by side
    os.close(handle)
    os.unlink(path)
    command = [LUASPY, "record", "-f", "folded", "-o", path, *[str(a) for a in arguments]]
    done = subprocess.run(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                          stderr=subprocess.PIPE, timeout=timeout, env=environment)
    text = ""
    if os.path.exists(path):
        with open(path, errors="replace") as f:
            text = f.read()
        os.unlink(path)
    return Recording(done.returncode, done.stderr.decode(errors="replace"), text)


def bars(name, r):
    """The figures that every recording of a usual target has to reach."""
    note("%s: %d samples, %s %% to the start, %s %% with their Lua frames, lost %s" %
         (name, r.samples, r.complete(), r.lua_complete(), r.lost()))
    check("%s: 99.5 %% unwound to the start" % name, (r.complete() or 0) >= 99.5, r.stderr)
    check("%s: 99.9 %% of the samples in the VM have their Lua frames" % name,
          (r.lua_complete() or 0) >= 99.9, r.stderr)
    check("%s: nothing lost" % name, r.lost() == 0, r.stderr)
    incomplete = r.count_where(lambda f: any(x.startswith("[incomplete") for x in f))
    check("%s: the summary agrees with the stacks" % name,
          abs(100 - 100 * incomplete / max(1, r.samples) - r.complete()) < 0.02,
          incomplete, r.stderr)
    check("%s: no unnamed frame" % name,
          not r.count_where(lambda f: any("unknown]" in x for x in f)))


def named(r):
    """The share of Lua functions' frames, each counted by its samples, that have a name, in %."""
    total = have = 0
    for frames, count in r.stacks:
        for frame in lua_frames(frames):
            total += count
            have += count if frame["name"] else 0
    return 100 * have / max(1, total)


class Nginx:
    """The demo's nginx with its Lua application; load() puts wrk on it."""

    def __init__(self):
        self.server = start([os.path.join(TOP, "demo", "run"), "--serve"], stdout=subprocess.PIPE,
                            start_new_session=True)
        self.port = self.worker = None
        for _ in range(2):
            key, _, value = self.server.stdout.readline().decode().partition(" ")
            if key == "port":
                self.port = int(value)
            elif key == "pid":
                self.worker = int(value)

    def load(self, seconds):
        return start(["wrk", "-t1", "-c8", "-d%ds" % seconds, "-s",
                      os.path.join(TOP, "demo", "load.lua"), "http://127.0.0.1:%d" % self.port])

    def stop(self):
        if self.server.poll() is None:
            self.server.send_signal(signal.SIGTERM)
        stop(self.server)
