# SPDX-License-Identifier: Apache-2.0
"""The programs that are profiled: recursions of known depth in C and Lua, nginx, and its load."""
import os
import shutil
import subprocess

from common import LOAD_CPU, TARGET_CPU, live, pin, pin_process

PING_PONG = r"""
#include <pthread.h>
#include <unistd.h>
static int a[2], b[2];
static void *other(void *x) { char c; while (read(a[0], &c, 1) == 1 && write(b[1], &c, 1) == 1) ; return x; }
int main(void) {
	pthread_t t;
	char c = 'x';
	if (pipe(a) || pipe(b)) return 1;
	pthread_create(&t, 0, other, 0);
	while (write(a[1], &c, 1) == 1 && read(b[0], &c, 1) == 1) ;
}
"""
DEEP_LUA = "local function down(n) if n == 0 then while true do end end return down(n - 1) + 1 end down(%d)"
# LuaJIT gives up compiling a recursion that is not a tail call after a few levels. So: interpreted calls, at whose
# bottom a compiled loop runs with five functions inlined, each called by the one before. Each store in the innermost
# one makes a snapshot, by which the inlined frames are known.
COMPILED = """
local t = {}
for i = 1, 16 do t[i] = { n = i } end
local function e(i)
  local x = t[i % 16 + 1] x.n = (x.n + i) % 1021
  x = t[x.n % 16 + 1] x.n = (x.n + i) % 1021
  x = t[x.n % 16 + 1] x.n = (x.n + i) % 1021
  x = t[x.n % 16 + 1] x.n = (x.n + i) % 1021
  return x.n
end
local function d(i) return e(i) + 1 end
local function c(i) return d(i) + 1 end
local function b(i) return c(i) + 1 end
local function a(i) return b(i) + 1 end
local function down(n)
  if n == 0 then local sum, i = 0, 0 while true do i = i + 1 sum = (sum + a(i)) % 65536 end end
  return down(n - 1) + 1
end
down(%d)
"""
# Each level is two Lua functions and one call by C: pcall, table.sort's comparison, string.gsub's replacement.
MIXED = """
local level
local function step(n) if n == 0 then while true do end end level(n) end
function level(n)
  local kind = n % 3
  if kind == 0 then pcall(step, n - 1)
  elseif kind == 1 then table.sort({ 2, 1 }, function() step(n - 1) end)
  else string.gsub("a", "a", function() step(n - 1) end) end
end
step(%d)
"""
MIXED_100 = 20  # levels that are 100 frames, C and Lua together, in Debian's LuaJIT


def luajit():
    """LuaJIT's command: a fixture's or an installed one; None without."""
    return live.fixture("bookworm-luajit") or shutil.which("luajit")


def puc():
    """The PUC Lua interpreters that are there, by version."""
    found = {}
    for version in ("5.1", "5.2", "5.3", "5.4", "5.5"):
        fixture = os.path.join(live.FIXTURES, "sid-lua" + version, "lua")
        path = shutil.which("lua" + version) or (fixture if os.access(fixture, os.X_OK) else None)
        if path:
            found[version] = path
    return found


def start(*command):
    """Starts a target on the targets' CPU."""
    return live.start([*pin(TARGET_CPU), *command])


class Web:
    """The demo's nginx, its worker on the targets' CPU."""

    def __init__(self):
        self.nginx = live.Nginx()
        self.worker, self.port = self.nginx.worker, self.nginx.port
        if not self.worker:
            raise SystemExit("bench: nginx did not start; demo/run --serve says why")
        pin_process(self.worker, TARGET_CPU)

    def busy(self, seconds, connections=8):
        """wrk on it for so long."""
        return live.start([*pin(LOAD_CPU), "wrk", "-t1", "-c%d" % connections, "-d%ds" % seconds, "-s",
                           os.path.join(live.TOP, "demo", "load.lua"), "http://127.0.0.1:%d" % self.port])

    def stop(self):
        self.nginx.stop()


class Load:
    """A load whose windows are all the same requests in the same order (bench/load.c)."""

    def __init__(self, port, connections, rate=0):
        here = os.path.dirname(os.path.abspath(__file__))
        with open(os.path.join(here, "load.c")) as f:
            path = live.compile_c(f.read(), "load", "-D_GNU_SOURCE")
        self.child = live.start([*pin(LOAD_CPU), path, str(port), str(connections), str(rate)],
                                stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def run(self, requests):
        """Sends so many; ns that it took."""
        self.child.stdin.write("%d\n" % requests)
        self.child.stdin.flush()
        words = self.child.stdout.readline().split()
        if len(words) != 2:
            raise SystemExit("bench: the load lost its connection to nginx")
        if int(words[1]):
            raise SystemExit("bench: nginx answered %s requests with an error" % words[1])
        return int(words[0])

    def stop(self):
        self.child.stdin.close()
        live.stop(self.child)
