#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""C programs with Debian's PUC Lua 5.1 to 5.4: its liblua5.x.so.0, and its liblua5.x.a in a program with many other
interpreters, whose functions look like luaV_execute until they are analysed."""
import json
import os
import re
import subprocess
import time

import live

HOST = os.path.join(live.TOP, "tests", "fixtures", "lua_host.c")
SAMPLES = 300
OTHERS = 16
# C calls on_event(), that host.visit(), and so on; each may be at its very beginning or end.
ORDER = re.compile(r"host_loop;(.*;)?on_event@[^;]*(;[^@]*|;host\.visit;(.*;)?<anonymous in on_event, for host\.visit>@"
                   r"[^;]*(;[^@]*|;table\.sort;(.*;)?before@[^@]*(work@[^@]*)?)?)?$")

SCRIPT = """
local function work(n)
  local sum = 0
  for i = 1, n do
    sum = (sum + i * n) % 1001
  end
  return sum
end
local function before(a, b)
  return work(a) < work(b)
end
function on_event(event)
  host.visit(function()
    table.sort({ 170, 130, 150, 110, 190, 120 + event % 7 }, before)
  end)
end
"""


def other_interpreter(n):
    """A loop around a switch, with as many cases as Lua has opcodes and more."""
    cases = "".join("case %d: r[%d] += r[%d] * %d; if (r[%d] > %d) code += r[%d] & 3; break;\n" %
                    (i, i * 7 % 64, (i + n) % 64, i * n + 3, i * 5 % 64, i * 31 + n, (i * n + 1) % 64) for i in range(100))
    return ("int interpret_%d(const unsigned *code, int *r)\n{\nfor (;; code++)\nswitch (*code) {\n%sdefault: return r[%d];"
            "\n}\n}\n" % (n, cases, n))


def compile_host(version, linking, others):
    with open(HOST) as f:
        source = f.read()
    name = "host-%s-%s" % (version, linking)
    flags = ["-I/usr/include/lua" + version, "-Wl,--export-dynamic-symbol=host_*"]
    if linking == "shared":
        flags += ["-llua" + version]
    else:
        flags = [others, *flags, "-l:liblua%s.a" % version, "-lm", "-ldl"]
    path = live.compile_c(source, name, *flags)
    subprocess.check_call(["strip", path])
    return path


def mapped(pid):
    with open("/proc/%d/maps" % pid) as maps:
        return maps.read()


def run(version, linking, others=None):
    name = "%s, %s" % (version, linking)
    try:
        host = compile_host(version, linking, others)
    except subprocess.CalledProcessError as error:
        live.check("%s: it compiles" % name, False, error)
        return
    target = live.start([host, os.path.join(live.SCRATCH, "events.lua")])
    live.wait_until(lambda: target.poll() is not None, 0.3)
    live.check("%s: it runs, with that library" % name, target.poll() is None and
               ("liblua%s.so.0" % version in mapped(target.pid)) == (linking == "shared"))
    samples = right = complete = with_lua = 0
    lines, end = {}, time.time() + 15
    while samples < SAMPLES and time.time() < end:
        r = live.record("--lines", "-F", 997, "-d", 1, "-p", target.pid)
        for frames, count in r.stacks:
            text = ";".join(frames)
            in_lua = live.lua_frames(frames)
            samples += count
            with_lua += count if in_lua else 0
            right += count if ORDER.search(text) or not in_lua else 0
            if in_lua and in_lua[-1]["name"] == "work":
                lines[in_lua[-1]["line"]] = lines.get(in_lua[-1]["line"], 0) + count
        complete += (r.complete() or 0) * r.samples / 100
    live.check("%s: complete, and in Lua" % name, samples and complete >= 0.99 * samples and with_lua >= 0.98 * samples,
               samples, complete, with_lua, r.stderr)
    live.check("%s: Lua and C in order" % name, right >= 0.98 * samples, right, samples,
               *[";".join(f) for f, _ in r.stacks[:3]])
    hot = lines.get("4", 0) + lines.get("5", 0)
    live.check("%s: work() is on its loop's lines" % name, hot > 0.4 * samples and hot >= 0.9 * sum(lines.values()), lines)
    text = subprocess.check_output([live.LUASPY, "list", "--json"], stdin=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
                                   timeout=60)
    row = next((x for x in json.loads(text)["processes"] if x["pid"] == target.pid), {})
    live.check("%s: list knows its release, and its VM" % name, row.get("runtime", "").startswith("Lua %s." % version) and
               row["vms"] == 1, row)
    live.stop(target)


with open(os.path.join(live.SCRATCH, "events.lua"), "w") as f:
    f.write(SCRIPT)
for release in ("5.1", "5.2", "5.3", "5.4"):
    run(release, "shared")
interpreters = live.compile_c("\n".join(other_interpreter(n) for n in range(OTHERS)), "others.o", "-c")
for release in ("5.1", "5.4"):
    run(release, "static", interpreters)
live.finish()
