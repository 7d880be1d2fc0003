#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The manual pages as groff, man and mandoc read them: without a warning, and with all that --help says.

Needs no privilege.
"""
import os
import re
import shutil
import subprocess
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "live"))
import live  # noqa: E402

ROOT = os.path.join(live.SCRATCH, "root")
PAGES = os.path.join(ROOT, "opt", "luaspy", "share", "man", "man1")


def run(*command, **options):
    return subprocess.run(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=60,
                          check=False, **options)


def words(text):
    """What is to be read, however it is broken into lines and hyphenated."""
    text = re.sub(r"\s+", " ", re.sub(r"[\u2010-]\n\s*", "", text))
    return text.replace("\u2010", "-").replace("\u2212", "-")


def install(target, **options):
    return run("make", "--no-print-directory", "-s", "-C", live.TOP, "B=" + live.BUILD, target, "DESTDIR=" + ROOT,
               "PREFIX=/opt/luaspy", **options)


done = install("install")
live.check("make install", done.returncode == 0, done.stderr.decode())
names = run(live.LUASPY, "help", "--names").stdout.decode().split()
live.check("a page for each command and one for all", sorted(os.listdir(PAGES)) ==
           sorted(["luaspy.1"] + ["luaspy-%s.1" % name for name in names]) and "record" in names,
           os.listdir(PAGES), names)
live.check("the executable is installed", run(os.path.join(ROOT, "opt/luaspy/bin/luaspy"), "--version").returncode == 0)

manual = os.path.join(ROOT, "opt", "luaspy", "share", "man")
for name in ["", *names]:
    title = "luaspy-" + name if name else "luaspy"
    page = os.path.join(PAGES, title + ".1")
    if shutil.which("mandoc"):
        done = run("mandoc", "-T", "lint", "-W", "style", page)
        live.check("%s: mandoc -T lint has nothing to say" % title, done.returncode == 0 and not done.stdout,
                   done.stdout.decode())
    else:
        live.skip("%s: mandoc -T lint" % title, "mandoc is not installed")
    if not shutil.which("man"):
        live.skip("%s: man --warnings" % title, "man is not installed")
        continue
    done = run("man", "--warnings", "-E", "UTF-8", "-M", manual, "1", title,
               env=dict(os.environ, MANWIDTH="100", LC_ALL="C.UTF-8", MAN_KEEP_FORMATTING=""))
    text = words(re.sub(r".\x08", "", done.stdout.decode()))
    live.check("%s: man has no warning" % title, done.returncode == 0 and not done.stderr and "NAME" in text,
               done.stderr.decode())
    told = run(live.LUASPY, *[word for word in (name, "--help") if word]).stdout.decode()
    if not name:
        lines = re.findall(r"^  (?:%s) +(\S.*)" % "|".join(names), told, re.M)
        live.check("luaspy: the commands of --help", len(lines) == len(names) and
                   all(words(line) in text for line in lines), lines, text)
        continue
    # "  -o, --output=FILE   what it is, which may go on in lines that are further in"
    options = re.findall(r"^ {2,6}(-.*?|--.*?)(?: {2,}|\n {20,})(\S.*(?:\n {20,}\S.*)*)", told, re.M)
    live.check("%s: --help can be read" % title, len(options) >= 2, told)
    for option, meaning in options:
        if option.startswith(("-?", "--usage")):
            live.check("%s: %s" % (title, option), option in text, text)
            continue
        meaning = re.sub(r"`", "", words(meaning))
        live.check("%s: %s and what it is" % (title, option), option in text and meaning in text, meaning, text)
    live.check("%s: the other pages are named" % title, all(
        "luaspy-%s(1)" % other in text.replace(" (1)", "(1)") for other in names if other != name), text)

if shutil.which("man"):
    done = run("sh", "-c", '"$0" help --man record | man -l -', live.LUASPY, env=dict(os.environ, LC_ALL="C.UTF-8"))
    live.check("luaspy help --man record | man -l -", done.returncode == 0 and b"luaspy-record" in done.stdout,
               done.stderr)
done = run(live.LUASPY, "help", "record")
live.check("luaspy help record is record --help", done.returncode == 0 and
           done.stdout == run(live.LUASPY, "record", "--help").stdout and b"--duration" in done.stdout)
done = run(live.LUASPY, "help", "recrod")
live.check("help for a command that is none", done.returncode == 2 and b"no command 'recrod'" in done.stderr,
           done.stderr)
done = run("sh", "-c", '"$0" help --man record > /dev/full', live.LUASPY)
live.check("a page that cannot be written", done.returncode == 1 and b"No space left" in done.stderr, done.stderr)
done = install("uninstall")
left = [os.path.join(folder, f) for folder, _, files in os.walk(ROOT) for f in files]
live.check("make uninstall leaves nothing", done.returncode == 0 and not left, left, done.stderr.decode())
live.finish()
