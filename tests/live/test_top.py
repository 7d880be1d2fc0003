#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""luaspy top in a real terminal (tmux): what the screen says of a program whose shares are known, each key, sizes,
how the terminal is given back; workers that come and go; plain text where there is no terminal."""
import atexit
import os
import re
import shutil
import signal
import subprocess
import time

import live
import targets

KEYS = re.compile(r"q quit +h help")
ROW = re.compile(r" *(\d+\.\d) +(\d+\.\d)(?: +\d+\.\d\d +\d+\.\d\d)?(?: +(\d+))?  (\S.*?)(?:  +(\S.*))?$")
# 60 parts in heavy, 30 in light, 10 in rest: each is the same statement, on lines of its own.
STEP = "s = ring[s] ; seen[s] = s "
PROGRAM = """local ring, seen = {}, {}
for i = 1, 64 do ring[i] = (i * 37) %% 64 + 1 ; seen[i] = 0 end
local function heavy(s)
%s
%s
return s end
local function light(s)
%s
return s end
local function rest(s)
%s
return s end
local evil = load("local s, f = ... ; return (f(s))", "=evil\\27[31m\\7\\226\\128\\174name")
function run(s) return rest(light(evil(s, heavy))) end
local s, stop = 1, os.time() + (tonumber(arg[1]) or 1e9)
while os.time() < stop do for i = 1, 100 do s = run(s) end end
""" % (STEP * 200, STEP * 400, STEP * 300, STEP * 100)


def wait_until(condition, seconds=20):
    """live.wait_until, for what takes a process each time."""
    end = time.time() + seconds
    while time.time() < end:
        value = condition()
        if value:
            return value
        time.sleep(0.1)
    return None


class Terminal:
    """A tmux server of one's own that runs a command in a shell and then says its exit status."""

    def __init__(self, name, command, columns=100, rows=24, environment=""):
        self.socket = os.path.join(live.SCRATCH, name + ".tmux")
        self.stty = os.path.join(live.SCRATCH, name + ".stty")
        script = ("printf 'the line before\\n'; stty -g > %s.1; %s %s; printf 'status %%d\\n' $?; stty -g > %s.2; "
                  "exec sleep 1000" % (self.stty, environment, command, self.stty))
        self.tmux("-f", "/dev/null", "new-session", "-d", "-x", str(columns), "-y", str(rows), script,
                  ";", "set", "-g", "status", "off")
        atexit.register(self.close)

    def tmux(self, *arguments):
        environment = dict(os.environ, LC_ALL="C.UTF-8", TERM="xterm")
        done = subprocess.run(["tmux", "-S", self.socket, *arguments], stdin=subprocess.DEVNULL, env=environment,
                              stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, timeout=30, check=False)
        return done.stdout.decode(errors="replace")

    def screen(self, *options):
        return self.tmux("capture-pane", "-p", *options).rstrip("\n").split("\n")

    def keys(self, *names):
        for name in names:
            self.tmux("send-keys", name)

    def type(self, text):
        self.tmux("send-keys", "-l", text)

    def wait(self, pattern, seconds=20):
        """The screen once a line of it matches; None when that does not come."""
        def found():
            lines = self.screen()
            return lines if any(re.search(pattern, line) for line in lines) else None
        return wait_until(found, seconds)

    def value(self, format):
        return self.tmux("display-message", "-p", format).strip()

    def luaspy(self):
        """The pid of luaspy in it."""
        found = targets.children(int(self.value("#{pane_pid}")))
        return next((pid for pid in found if "luaspy" in targets.title(pid)), None)

    def is_given_back(self):
        """Is the terminal as it was, with the text from before on it?"""
        wait_until(lambda: os.path.exists(self.stty + ".2") and live.read(self.stty + ".2"))
        return (self.value("#{alternate_on} #{cursor_flag}") == "0 1" and
                live.read(self.stty + ".1") == live.read(self.stty + ".2") and
                self.screen()[0] == "the line before")

    def close(self):
        self.tmux("kill-server")


class Row:
    def __init__(self, found):
        self.self, self.total = float(found.group(1)), float(found.group(2))
        self.name, self.place = found.group(4), found.group(5) or ""


def rows(lines):
    """Those of a table of functions, in order."""
    start = next((i for i, line in enumerate(lines) if line.startswith(" SELF%")), len(lines))
    return [Row(found) for found in map(ROW.match, lines[start + 1:]) if found]


def row(lines, name):
    return next((r for r in rows(lines) if r.name == name), None)


def text(lines):
    return "\n".join(lines or ["(not seen)"])


def near(value, expected, tolerance):
    return abs(value - expected) <= tolerance


def settled(terminal, seconds=4):
    """The screen when it has figures of some seconds since the start."""
    def found():
        lines = terminal.screen()
        since = re.match(r"(\d+) s  ", lines[1]) if len(lines) > 1 else None
        return lines if since and int(since.group(1)) >= seconds else None
    return wait_until(found, 40)


def check_shares(label, lines):
    shown = [row(lines, name) for name in ("heavy", "light", "rest", "run")]
    if live.check(label + ": the functions are there", all(shown), text(lines)):
        heavy, light, rest, run = shown
        # The steps; loops and calls take their part.
        live.check(label + ": with their shares", near(heavy.self, 59, 8) and near(light.self, 29, 8) and
                   near(rest.self, 10, 6) and run.total > 85 and run.self < 10, text(lines))
        live.check(label + ": self is total where nothing is called", near(heavy.self, heavy.total, 0.2), text(lines))


def test_screen(path, pid):
    """The first terminal: what is seen, and all keys."""
    t = Terminal("screen", "%s top -p %d -F 499" % (live.LUASPY, pid))
    lines = t.wait(KEYS.pattern)
    if not live.check("the screen comes", lines, text(t.screen())):
        return
    t.keys("t")
    lines = settled(t) or t.screen()
    live.note("\n# ".join(lines))
    live.check("the title names the program", lines[0].startswith("luaspy top  lua5.4 %d" % pid), lines[0])
    check_shares("since the start", lines)
    found = re.match(r"\d+ s  (\d+) samples/s  CPU (\d+) %  with Lua ([\d.]+) %  incomplete [\d.]+ %  lost ([\d.]+) %",
                     lines[1])
    live.check("samples, CPU, completeness and losses are told", found and float(found.group(3)) > 95 and
               float(found.group(4)) == 0 and near(int(found.group(1)) / 4.99, int(found.group(2)), 2), lines[1])
    found = re.match(r"VM  interpreted ([\d.]+) %", lines[2])
    live.check("the VM's states are told", found and float(found.group(1)) > 80 and "GC " in lines[2], lines[2])
    live.check("sorted by self", [r.self for r in rows(lines)] == sorted((r.self for r in rows(lines)), reverse=True) and
               rows(lines)[0].name == "heavy", text(lines))
    live.check("a function has its place", row(lines, "heavy").place.endswith("known.lua:3"), text(lines))
    live.check("what a terminal would obey is replaced", any("evil\ufffd[31m\ufffd\ufffdname" in line for line in lines),
               text(lines))

    t.keys("s")
    lines = t.wait("functions by total")
    live.check("sorted by total", lines and [r.total for r in rows(lines)] ==
               sorted((r.total for r in rows(lines)), reverse=True) and rows(lines)[0].total > 90, text(lines))
    t.keys("s")
    lines = t.wait("functions by name")
    live.check("sorted by name", lines and [r.name for r in rows(lines)] == sorted(r.name for r in rows(lines)) and
               len(rows(lines)) > 3, text(lines))
    t.keys("s", "/")
    t.type("^(heavy|li)")
    lines = t.wait(r"regular expression\): \^\(heavy\|li\)")
    live.check("a filter works while it is typed", lines and {r.name for r in rows(lines)} == {"heavy", "light"},
               text(lines))
    t.keys("Enter")
    lines = t.wait(KEYS.pattern)
    live.check("and stays", lines and "matching ^(heavy|li)  (2)" in lines[3] and len(rows(lines)) == 2, text(lines))
    t.keys("l")
    lines = t.wait("Lua lines by self")
    lines_of = {r.place.rpartition(":")[2]: r for r in rows(lines or [])}
    live.check("lines: the two of heavy have one and two thirds of it", lines and {"4", "5"} <= set(lines_of) and
               near(lines_of["4"].self, 20, 8) and near(lines_of["5"].self, 39, 8), text(lines))
    t.keys("l", "Escape", "c")
    lines = t.wait("^C functions by self")
    live.check("C functions", lines and any(r.self > 50 and "lua" in r.place for r in rows(lines)) and
               not row(lines, "heavy"), text(lines))
    t.keys("c")
    lines = t.wait("^Lua and C functions by self")
    live.check("both", lines and row(lines, "heavy") and any(r.place in ("lua5.4", "[kernel]") for r in rows(lines)),
               text(lines))
    t.keys("c", "w")
    lines = t.wait("^processes by CPU")
    live.check("processes", lines and re.match(r" +%d  lua5.4 +\d+\.\d .* heavy$" % pid, lines[5]), text(lines))
    t.keys("Enter")
    lines = t.wait("of process %d" % pid)
    live.check("and the functions of one", lines and row(lines, "heavy"), text(lines))
    t.keys("Escape", "w", "h")
    lines = t.wait("Ctrl-C +quit")
    live.check("help", lines and any("pause" in line for line in lines), text(lines))
    t.keys("h", "p")
    before = t.wait("PAUSED") or t.screen()
    time.sleep(1.5)
    after = t.screen()
    live.check("a pause: nothing changes", before[1:] == after[1:], text(before), text(after))
    t.keys("t", "p")
    live.check("and it goes on, with all since then as the last interval", t.wait(r"^last [1-9]\d*\.\d s  "), text(t.screen()))
    live.check("until the next refresh", t.wait(r"^last 1\.[0-4] s  "), text(t.screen()))
    t.keys("t", "r")
    lines = t.wait(r"^[12] s  .* samples/s")
    live.check("starting over: few seconds since then", lines, text(t.screen()))

    t.tmux("resize-window", "-x", "64", "-y", "12")
    lines = wait_until(lambda: (lambda s: s if len(s) == 12 and KEYS.match(s[-1]) and
                                     row(s, "heavy") else None)(t.screen()))
    live.check("a smaller window is used as it is", lines and max(map(len, lines)) <= 64 and
               lines[4].startswith(" SELF% TOTAL%"), text(t.screen()))
    t.tmux("resize-window", "-x", "20", "-y", "3")
    live.check("also one that has no room", wait_until(lambda: t.screen()[0].startswith("luaspy")), text(t.screen()))
    t.tmux("resize-window", "-x", "120", "-y", "40")
    live.check("and a larger one", wait_until(lambda: any(row(t.screen(), "heavy") and re.search(r" SELF s ", line)
                                                               for line in t.screen())), text(t.screen()))
    own = t.luaspy()
    t.keys("q")
    lines = t.wait("^status")
    live.check("q quits with status 0", lines and "status 0" in lines, text(t.screen()))
    live.check("and leaves the terminal as it was", t.is_given_back(), text(t.screen()))
    cost = re.search(r"(\d+) samples in ([\d.]+) s, 0 lost; luaspy's own CPU time was ([\d.]+) s", " ".join(lines or []))
    if live.check("it says what it took", cost, text(lines)):
        live.note("luaspy %s: %s samples in %s s cost %s s of CPU time" % ((own,) + cost.groups()))


def test_ends(pid):
    """Every way to end it gives the terminal back."""
    ends = {}
    for name in ("Ctrl-C", "SIGTERM", "SIGHUP", "SIGSEGV"):
        ends[name] = Terminal("end-" + name, "%s top -p %d" % (live.LUASPY, pid))
    for name, t in ends.items():
        if not live.check(name + ": the screen comes", t.wait(KEYS.pattern), text(t.screen())):
            continue
        if name == "Ctrl-C":
            t.keys("C-c")
        else:
            os.kill(t.luaspy(), getattr(signal, name))
        lines = t.wait("^status")
        status = "status %d" % (128 + signal.SIGSEGV if name == "SIGSEGV" else 0)
        live.check(name + " ends it", lines and any(status in line for line in lines), text(t.screen()))
        live.check(name + ": the terminal is as it was", t.is_given_back(), text(t.screen()), t.value("#{alternate_on} #{cursor_flag}"))


def test_terminals(pid):
    """Terminals of which nothing is known."""
    command = "%s top -p %d" % (live.LUASPY, pid)
    bare = "TERMINFO=/nonexistent TERMINFO_DIRS=/nonexistent HOME=/nonexistent TERM=xterm-256color LC_ALL=C"
    t = Terminal("bare", command, environment=bare)
    unknown = {name: Terminal("unknown-" + name, command + " --rows 3", environment="TERM=" + name)
               for name in ("nosuchterminal", "dumb")}
    # ncurses also looks where the machine keeps them: then this is no other terminal, but a screen in any case.
    live.check("a screen with a description of luaspy's own", t.wait(KEYS.pattern), text(t.screen()))
    live.check("in ASCII where the locale says so", t.wait(r"evil\?\[31m\?\?name"), text(t.screen()))
    t.keys("Down", "w")
    live.check("whose keys work", t.wait("^processes by CPU"), text(t.screen()))
    t.keys("q")
    live.check("and which is given back", t.wait("^status 0") and t.is_given_back(), text(t.screen()))
    for name, t in unknown.items():
        lines = t.wait("^status") or []
        said = " ".join(lines)
        live.check("TERM=%s: a message, then plain text" % name, "nothing is known here of a terminal '%s'" % name in said
                   and any(line.startswith(" SELF% TOTAL%") for line in lines) and "status 0" in said, text(lines))


def top(*arguments, **options):
    return subprocess.run([live.LUASPY, "top", *map(str, arguments)], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                          stderr=subprocess.PIPE, text=True, timeout=60, check=False, **options)


def test_text(pid):
    done = top("-p", pid, "-F", "499", "-d", "2")
    lines = done.stdout.splitlines()
    live.check("not a terminal: plain text, once", done.returncode == 0 and done.stdout.count("luaspy top") == 1 and
               not done.stderr and "\033" not in done.stdout, done.stdout + done.stderr)
    check_shares("plain text", lines)
    done = top("-p", pid, "-d", "0.3", "--count", "3", "--workers", "--since-start")
    live.check("three refreshes, of processes", done.stdout.count("luaspy top") == 3 and
               len(re.findall(r"^ +%d  lua5.4 " % pid, done.stdout, re.M)) == 3, done.stdout + done.stderr)
    done = top("-p", pid, "--once", "--show", "mixed", "--sort", "name", "--filter", "^(ma|he)", "--rows", "2")
    names = [r.name for r in rows(done.stdout.splitlines())]
    live.check("options choose what is shown", names == ["heavy", "main"] or names == ["main", "main chunk"] or
               names == ["heavy", "main chunk"], done.stdout + done.stderr)
    with open("/dev/full", "w") as full:
        done = subprocess.run([live.LUASPY, "top", "-p", str(pid), "--once", "-d", "0.2"], stdout=full, text=True,
                              stdin=subprocess.DEVNULL, stderr=subprocess.PIPE, timeout=60, check=False)
    live.check("what cannot be written is an error", done.returncode == 1 and "writing to stdout failed" in done.stderr,
               done.stderr)


def test_mistakes(pid):
    for arguments, message in ((("--once",), "what to look at"), (("-p", pid, "-d", "0"), "the delay must be"),
                               (("-p", pid, "--filter", "("), "is no regular expression"),
                               (("-p", pid, "--sort", "x"), "must be self, total or name"),
                               ((str(pid),), "A process is chosen with -p PID")):
        done = top(*arguments)
        live.check("%s: what is wrong" % " ".join(map(str, arguments)), done.returncode == 2 and message in done.stderr,
                   done.stderr)
    done = top("-p", 4194303)
    live.check("a process that there is not", done.returncode == 1 and "there is no process" in done.stderr, done.stderr)
    # Nobody may do nothing of it; said without a screen.
    program = os.path.join(live.SCRATCH, "luaspy")
    shutil.copy(live.LUASPY, program)
    os.chmod(live.SCRATCH, 0o755)
    t = Terminal("nobody", "setpriv --reuid 65534 --regid 65534 --clear-groups %s top -p %d" % (program, pid))
    lines = t.wait("^status") or []
    live.check("without privileges: why", "status 1" in lines and "not ours to profile" in " ".join(lines) and
               "CAP_SYS_PTRACE" in " ".join(lines), text(t.screen()))


def test_file_capabilities(path):
    """Who runs a luaspy with capabilities does not choose what it reads as the description of a terminal."""
    program = os.path.join(live.SCRATCH, "luaspy-setcap")
    shutil.copy(live.LUASPY, program)
    if os.statvfs(live.SCRATCH).f_flag & os.ST_NOSUID:
        live.skip("a luaspy with capabilities", "cannot: %s is mounted with nosuid" % live.SCRATCH)
        return
    subprocess.check_call(["setcap", "cap_bpf,cap_perfmon,cap_sys_ptrace,cap_dac_read_search+ep", program])
    source = os.path.join(live.SCRATCH, "mine.ti")
    with open(source, "w") as f:
        f.write(subprocess.check_output(["infocmp", "xterm"], text=True).replace("xterm|", "mine|", 1))
    subprocess.check_call(["tic", "-x", "-o", os.path.join(live.SCRATCH, "terminfo"), source])
    os.chmod(path, 0o644)
    user = ["setpriv", "--reuid", "65534", "--regid", "65534", "--clear-groups"]
    target = live.start(user + ["lua5.4", path])
    environment = "TERM=mine TERMINFO=%s/terminfo" % live.SCRATCH
    mine = {name: Terminal("mine-" + name, " ".join(user) + " %s top -p %d --rows 3" % (file, target.pid),
                           environment=environment) for name, file in (("caps", program),)}
    mine["root"] = Terminal("mine-root", "%s top -p %d" % (live.LUASPY, target.pid), environment=environment)
    live.check("a description of the user's own is used", mine["root"].wait(KEYS.pattern), text(mine["root"].screen()))
    mine["root"].keys("q")
    lines = mine["caps"].wait("^status")
    live.check("but not with the capabilities of luaspy's file", lines and "of a terminal 'mine'" in " ".join(lines) and
               "status 0" in lines and any(line.startswith(" SELF%") for line in lines), text(mine["caps"].screen()))
    live.stop(target)


def test_target_ends(path):
    short = live.start(["lua5.4", path, "6"])
    t = Terminal("ended", "%s top -p %d" % (live.LUASPY, short.pid))
    lines = t.wait("All processes have ended", 30)
    live.check("the target's end is told, and its figures stay", lines and row(lines, "heavy"), text(t.screen()))
    short.wait(20)
    t.keys("t")
    lines = t.wait(r"^\d+ s  ")
    live.check("those since the start, too", lines and row(lines, "heavy"), text(t.screen()))
    t.keys("q")
    live.check("q quits then as well", t.wait("^status 0") and t.is_given_back(), text(t.screen()))
    short = live.start(["lua5.4", path, "6"])
    done = top("-p", short.pid, "-d", "50")
    short.wait(20)
    live.check("plain text: what was seen until the end", done.returncode == 0 and row(done.stdout.splitlines(), "heavy"),
               done.stdout + done.stderr)


def test_many_stacks():
    """A program whose stacks are new in many samples: they are forgotten, their counts are not, nor are those of the
    one that comes again and again."""
    path = os.path.join(live.SCRATCH, "many.lua")
    with open(path, "w") as f:
        f.write("""local random, down = math.random
local function left(n) down(n) return n end
local function right(n) down(n) return n end
function down(n)
  if n == 0 then for i = 1, 2000 do n = n + i % 7 end
  elseif random() < 0.5 then left(n - 1) else right(n - 1) end
  return n
end
local function still(n) for i = 1, 3000 do n = n + i % 7 end return n end
while true do down(40) ; down(39) ; local n = still(1) end
""")
    target = live.start(["lua5.4", path])
    done = top("-p", target.pid, "-F", "4999", "-d", "8", "--once", "-v", "--since-start")
    live.stop(target)
    lines = done.stdout.splitlines()
    said = re.search(r"(\d+) samples in ", done.stderr)
    found = next((line.split() for line in lines if " main chunk " in line), None)
    samples = int(said.group(1)) if said else 0
    live.note("%d samples" % samples)
    # The second and fourth columns: share, and seconds with two decimals. The samples are those that the kernel
    # had counted some milliseconds before.
    live.check("many stacks: the main chunk is in every sample that was taken", samples > 0 and found and
               float(found[1]) > 99.9 and -50 <= float(found[3]) * 4999 - samples <= 200, done.stdout + done.stderr)
    live.check("many stacks: no function has more than all", all(r.total <= 100 for r in rows(lines)) and
               near(sum(r.self for r in rows(lines)), 100, 1), done.stdout)


def pids(lines):
    return {int(found.group(1)) for found in (re.match(r" +(\d+)  nginx ", line) for line in lines) if found}


def test_workers():
    if not shutil.which("nginx"):
        live.skip("workers of nginx", "cannot: no nginx")
        return
    nginx = targets.OwnNginx(os.path.join(live.SCRATCH, "nginx"), workers=2)
    t = Terminal("workers", "%s top -p %d --workers -F 499" % (live.LUASPY, nginx.pid))
    t.wait(KEYS.pattern)
    before = set(nginx.workers())
    seen = wait_until(lambda: pids(t.screen()) >= before)
    lines = t.screen()
    live.check("each worker has a row", seen, before, text(lines))
    hot = [line for line in lines if re.match(r" +\d+  nginx ", line)]
    live.check("with what is hottest in it", hot and all(line.endswith("spin") for line in hot), text(lines))
    t.keys("Down", "Enter")
    lines = t.wait("of process")
    live.check("Enter on the second: its functions", lines and row(lines, "spin"), text(t.screen()))
    t.keys("Escape")
    nginx.reload()
    after = set(nginx.workers())
    live.check("after a reload the new workers", wait_until(lambda: pids(t.screen()) >= after, 20), after,
               text(t.screen()))
    live.check("and not the old ones", wait_until(lambda: not pids(t.screen()) & before, 20), before, text(t.screen()))
    live.note(t.screen()[0])
    live.check("the title says how many there are", wait_until(lambda: t.screen()[0].startswith("luaspy top  nginx ") and
                                                               ", 3 running" in t.screen()[0]), t.screen()[0])
    t.keys("t")
    live.check("since the start: all of them", wait_until(lambda: pids(t.screen()) >= before | after), text(t.screen()))
    t.keys("q")
    live.check("it ends well", t.wait("^status 0") and t.is_given_back(), text(t.screen()))
    nginx.stop()


def main():
    if not shutil.which("tmux"):
        live.skip("luaspy top", "no tmux")
        return
    path = os.path.join(live.SCRATCH, "known.lua")
    with open(path, "w") as f:
        f.write(PROGRAM)
    program = live.start(["lua5.4", path])
    test_screen(path, program.pid)
    test_ends(program.pid)
    test_terminals(program.pid)
    test_text(program.pid)
    test_mistakes(program.pid)
    live.stop(program)
    test_file_capabilities(path)
    test_many_stacks()
    test_target_ends(path)
    test_workers()


main()
live.finish()
