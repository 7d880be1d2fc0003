#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The completions in the shells that they are for: what TAB gives in an interactive bash, zsh and fish.

Needs no privilege. Everything comes from what `make install` puts into its folders.
"""
import os
import pty
import re
import select
import shutil
import signal
import subprocess
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "live"))
import live  # noqa: E402

ROOT = os.path.join(live.SCRATCH, "root")
SHARE = os.path.join(ROOT, "usr", "share")
BASH = os.path.join(SHARE, "bash-completion", "completions", "luaspy")
ZSH = os.path.join(SHARE, "zsh", "site-functions")
FISH = os.path.join(SHARE, "fish", "vendor_completions.d", "luaspy.fish")


def output(*command, **options):
    return subprocess.run(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                          timeout=30, check=False, **options).stdout.decode(errors="replace")


def luaspy(*arguments):
    return subprocess.run([live.LUASPY, *arguments], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                          stderr=subprocess.PIPE, timeout=30, check=False)


COMMANDS = luaspy("help", "--names").stdout.decode().split()


def options_of(command):
    """The options with names that --help shows."""
    return set(re.findall(r"^ +(?:-., )?(--[a-z-]+)", luaspy(command, "--help").stdout.decode(), re.M))


class Terminal:
    """An interactive shell on a terminal."""

    def __init__(self, command, ready, **environment):
        self.pid, self.fd = pty.fork()
        if self.pid == 0:
            os.chdir(live.SCRATCH)
            os.execvpe(command[0], command, dict(os.environ, TERM="xterm", COLUMNS="200", LINES="50", HOME=live.SCRATCH,
                                                 PATH=os.path.join(ROOT, "usr", "bin") + ":" + os.environ["PATH"],
                                                 **environment))
        self.text = ""
        self.type(ready)

    def read(self, seconds):
        """What comes until it is quiet for this long."""
        end = time.time() + 20
        while time.time() < end and select.select([self.fd], [], [], seconds)[0]:
            try:
                piece = os.read(self.fd, 65536)
            except OSError:
                break
            if not piece:
                break
            self.text += piece.decode(errors="replace")

    def type(self, text, wanted=None):
        """What is on the terminal after these keys; waits for `wanted`, but not for ever."""
        self.text = ""
        os.write(self.fd, text.encode())
        end = time.time() + 15
        while time.time() < end:
            self.read(0.5)
            if wanted is None or wanted in self.plain():
                break
        return self.plain()

    def plain(self):
        return re.sub(r"\x1b\[[0-9;?]*[A-Za-z]|\x1b[=>(][B0]?|[\x07\r]", "", self.text)

    def tab(self, line, wanted, keys="\t"):
        shown = self.type(line + keys, wanted)
        self.type("\x15")  # the line is cleared
        return shown

    def stop(self):
        os.kill(self.pid, signal.SIGKILL)
        os.waitpid(self.pid, 0)
        os.close(self.fd)


def tabs(shell, terminal, cases):
    for line, wanted, keys in cases:
        shown = terminal.tab(line, wanted, keys)
        live.check("%s: TAB after `%s` gives %s" % (shell, line, wanted), wanted in shown, shown)
    terminal.stop()


subprocess.run(["make", "--no-print-directory", "-s", "-C", live.TOP, "B=" + live.BUILD, "install", "DESTDIR=" + ROOT,
                "PREFIX=/usr"], check=True, timeout=300)
live.check("there are commands", "record" in COMMANDS and "list" in COMMANDS, COMMANDS)


# ---- bash
def bash_offers(*words):
    script = 'source "$0"; COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); _luaspy; printf "%s\\n" "${COMPREPLY[@]}"'
    return set(output("bash", "--norc", "-c", script, BASH, *words).split())


live.check("bash: the commands", bash_offers("luaspy", "") >= set(COMMANDS), bash_offers("luaspy", ""))
for command in COMMANDS:
    have = bash_offers("luaspy", command, "--")
    live.check("bash: the options of %s are those of its --help" % command, have == options_of(command) != set(),
               have ^ options_of(command))
for words, wanted in ((("record", "--format", "=", ""), {"html", "svg", "folded"}),
                      (("record", "--by", ""), {"vmstate", "pid"}),
                      (("record", "-p", "1", "-f", "h"), {"html"}), (("record", "-F", ""), set()),
                      (("completion", ""), {"bash", "zsh", "fish"}), (("help", "re"), {"record"}),
                      (("record", "-o", "/et"), {"/etc"}), (("record", "-d", "1", "--", "cat", "/et"), {"/etc"})):
    have = bash_offers("luaspy", *words)
    live.check("bash: after `%s`" % " ".join(words), have >= wanted if wanted else not have, have)
live.check("bash: --pid offers the pids", {"1", str(os.getpid())} <= bash_offers("luaspy", "record", "--pid", ""))
live.check("bash: a command to record", "bash" in bash_offers("luaspy", "record", "--", "bas"))
tabs("bash", Terminal(["bash", "--norc", "-i"], "PS1='> '; source %s\n" % BASH), (
    ("luaspy rec", "luaspy record ", "\t"), ("luaspy record --ou", "--output ", "\t"),
    ("luaspy record --format=sv", "--format=svg ", "\t"), ("luaspy record --by vm", "--by vmstate ", "\t")))

LIBRARY = "/usr/share/bash-completion/bash_completion"
if os.path.exists(LIBRARY):
    # As it is installed: found by the library when it is needed, also behind sudo.
    tabs("bash, by bash-completion", Terminal(["bash", "--norc", "-i"], "PS1='> '; source %s\n" % LIBRARY,
                                              XDG_DATA_DIRS=SHARE + ":/usr/share"), (
        ("luaspy record --ou", "luaspy record --output ", "\t"),
        ("sudo luaspy rec", "sudo luaspy record ", "\t"), ("sudo luaspy record --ou", "record --output ", "\t"),
        ("sudo luaspy record --format=sv", "--format=svg ", "\t")))
else:
    live.skip("bash, by bash-completion", "bash-completion is not installed")

# ---- zsh
if shutil.which("zsh"):
    ready = "PS1='> '; fpath=(%s $fpath); autoload -Uz compinit; compinit -u -D; unsetopt beep\n" % ZSH
    tabs("zsh", Terminal(["zsh", "-f", "-i"], ready), (
        ("luaspy rec", "luaspy record ", "\t"), ("luaspy record --ou", "--output=", "\t"),
        ("luaspy record --format=sv", "--format=svg ", "\t"), ("luaspy record --by vm", "--by vmstate ", "\t"),
        ("luaspy record -d 1 -- base6", "-- base64 ", "\t"), ("luaspy completion ba", "completion bash ", "\t"),
        ("luaspy help lis", "help list ", "\t"),
        ("luaspy ", "show the Lua processes of this machine", "\t\t"),
        ("luaspy record --", "every process with Lua", "\t\t"), ("luaspy list --", "null stands for", "\t\t")))
    ready = "PS1='> '; autoload -Uz compinit; compinit -u -D; source <(luaspy completion zsh)\n"
    tabs("zsh, by source", Terminal(["zsh", "-f", "-i"], ready), (("luaspy record --dur", "--duration=", "\t"),))
else:
    live.skip("zsh", "zsh is not installed")

# ---- fish
if shutil.which("fish"):
    def fish_offers(line):
        text = output("fish", "--no-config", "-c", 'source $argv[1]; complete -C $argv[2]', FISH, line,
                      env=dict(os.environ, HOME=live.SCRATCH))
        return {offer.split("\t")[0] for offer in text.splitlines()}

    live.check("fish: the commands", fish_offers("luaspy ") >= set(COMMANDS), fish_offers("luaspy "))
    for command in COMMANDS:
        have = fish_offers("luaspy %s --" % command)
        live.check("fish: the options of %s are those of its --help" % command, have == options_of(command),
                   have ^ options_of(command))
    for line, wanted in (("record --ou", {"--output"}), ("record -f ", {"html", "svg", "folded"}),
                         ("record --by v", {"vmstate"}), ("record -F ", set()),
                         ("completion ", {"bash", "zsh", "fish"}), ("help re", {"record"}),
                         ("record -o /et", {"/etc/"}), ("record -d 1 -- fis", {"fish"})):
        have = fish_offers("luaspy " + line)
        live.check("fish: after `%s`" % line, have >= wanted if wanted else not have, have)
    live.check("fish: --pid offers the pids", "1" in fish_offers("luaspy record --pid "))
else:
    live.skip("fish", "fish is not installed")

# ---- what is offered is what is taken
for name in sorted(bash_offers("luaspy", "record", "--format", "")):
    done = luaspy("record", "-p", "4194300", "-f", name)
    live.check("record takes --format %s" % name, done.returncode == 1 and b"no process 4194300" in done.stderr,
               done.stderr.decode())
told = luaspy("record", "-p", "4194300", "-f", "none").stderr.decode()
told = set(re.findall(r"[a-z]+", re.sub(r"(?s).*must be(.*), not .*", r"\1", told))) - {"or"}
live.check("the formats that are offered are those that the message tells",
           bash_offers("luaspy", "record", "-f", "") == told, told)
for name in sorted(bash_offers("luaspy", "record", "--by", "")):
    done = luaspy("record", "-p", "4194300", "--by", name)
    live.check("record takes --by %s" % name, done.returncode == 1 and b"no process 4194300" in done.stderr,
               done.stderr.decode())
live.check("a shell that is not known is refused", luaspy("completion", "tcsh").returncode == 2)
live.check("completion without a shell is refused", luaspy("completion").returncode == 2)
live.finish()
