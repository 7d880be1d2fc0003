#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""BPF programs that do not load: one line with the cause and the next step, and the verifier's log with -v only."""
import os
import re
import subprocess

import live
from spoiled import spoiled

BUSY = "local s = 0 while true do for i = 1, 1e5 do s = s + i % 7 end end"


def run(*command):
    done = subprocess.run([str(c) for c in command], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                          stderr=subprocess.PIPE, check=False, timeout=60)
    return done.returncode, done.stdout.decode(errors="replace"), done.stderr.decode(errors="replace")


def one_line(name, done, *words):
    status, out, text = done
    live.check(name, status == 1 and not out and text.count("\n") == 1 and text.startswith("luaspy: ") and
               all(w in text for w in words), status, text, out)


def refused(name, program, luaspy, *arguments):
    one_line("%s: one line with the program and the next step" % name, run(luaspy, *arguments),
             "verifier", os.uname().release, program, "-v")
    status, out, text = run(luaspy, *arguments, "-v")
    last = text.splitlines()[-1] if text else ""
    live.check("%s: with -v the verifier's log, and then that line" % name, status == 1 and not out and
               "R9 !read_ok" in text and re.search(r"^processed \d+ insns", text, re.M) and
               last.startswith("luaspy: ") and "log above" in last and program in last, status, text[-2000:])


target = live.start([live.fixture("bookworm-luajit"), "-joff", "-e", BUSY])
result = os.path.join(live.SCRATCH, "out.folded")
recording = ["record", "-p", target.pid, "-d", 1, "-o", result]

sampler = spoiled("perf_event")
refused("record", "on_sample", sampler, *recording)
refused("top", "on_sample", sampler, "top", "-p", target.pid, "--once")
refused("dump", "on_sample", sampler, "dump", "-p", target.pid)
refused("record --off-cpu", "on_switch", spoiled("raw_tracepoint/sched_switch"), *recording, "--off-cpu")
refused("the last of the programs", "on_exit", spoiled("raw_tracepoint/sched_process_exit"), *recording)
tasks = spoiled("iter/task")
refused("the program of dump", "on_task", tasks, "dump", "-p", target.pid)
live.check("no file is left", not os.path.exists(result))
status, out, text = run(sampler, "doctor")
live.check("doctor: which program", status == 1 and "verifier refused on_sample" in out and "R9" not in out + text,
           status, out, text)
status, out, text = run(tasks, *recording, "--off-cpu")
live.check("a program that only adds to the profile: it is recorded without", status == 0 and not text.count("refused"),
           status, text)

one_line("a kernel that is too old is the cause that is named",
         run("setarch", "x86_64", "--uname-2.6", sampler, *recording), "too old", "5.10")
hide = ["unshare", "-m", "sh", "-c", 'mount -t tmpfs none /sys/kernel/btf && exec "$@"', "sh"]
one_line("no BTF", run(*hide, live.LUASPY, *recording), "BTF", "/sys/kernel/btf/vmlinux", "No such file",
         "CONFIG_DEBUG_INFO_BTF")
live.stop(target)
live.finish()
