#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Names of built-in and C functions, read from outside, beside what the program itself knows of
them (builtins.lua): every LuaJIT at hand, a C library, a VM that changes its tables all the time,
and nginx."""
import glob
import os
import re
import socket
import subprocess
import time
import urllib.request

import live

TOOL = os.path.join(live.BUILD, "tests", "live", "builtins")
SCRIPT = os.path.join(live.TOP, "tests", "live", "builtins.lua")
BUILDS = ["bullseye-luajit", "bookworm-luajit", "bookworm-luajit2", "trixie-luajit", "sid-luajit"]

# A C library as they are written: a module, a class in the registry, functions that share their C
# code, and a class without a name.
LIBRARY = """
typedef struct lua_State lua_State;
typedef int (*lua_CFunction)(lua_State *L);
void lua_createtable(lua_State *L, int, int);
void lua_pushcclosure(lua_State *L, lua_CFunction f, int n);
void lua_setfield(lua_State *L, int index, const char *name);
void lua_pushvalue(lua_State *L, int index);
void lua_pushlightuserdata(lua_State *L, void *p);
void lua_insert(lua_State *L, int index);
void lua_rawset(lua_State *L, int index);
int luaL_newmetatable(lua_State *L, const char *name);
void lua_settop(lua_State *L, int index);
#define F(name) static int name(lua_State *L) { (void)L; return sizeof(#name); }
F(plain) F(nested) F(method) F(collect) F(shared) F(receive)
static void set(lua_State *L, lua_CFunction f, const char *name)
{
	lua_pushcclosure(L, f, 0);
	lua_setfield(L, -2, name);
}
int luaopen_luaspy_test(lua_State *L)
{
	static char key;
	luaL_newmetatable(L, "luaspy.class");
	lua_pushvalue(L, -1);
	lua_setfield(L, -2, "__index");
	set(L, method, "method");
	set(L, collect, "__gc");
	lua_settop(L, -2);
	lua_pushlightuserdata(L, &key);
	lua_createtable(L, 0, 0);
	lua_pushvalue(L, -1);
	lua_setfield(L, -2, "__index");
	set(L, receive, "receive");
	lua_rawset(L, -10000);
	lua_createtable(L, 0, 0);
	set(L, plain, "plain");
	set(L, shared, "zz_alias");
	set(L, shared, "alias");
	lua_createtable(L, 0, 0);
	set(L, nested, "deep");
	lua_setfield(L, -2, "nested");
	return 1;
}
"""
LIBRARY_NAMES = {"luaspy_test.plain", "luaspy_test.nested.deep", "luaspy_test.alias"}


class Truth:
    """What builtins.lua printed."""

    def __init__(self, lines):
        self.L = None
        self.vmdef = {}
        self.ffid_paths = {}
        self.entry_paths = {}
        for line in lines:
            words = line.rstrip("\n").split("\t")
            if words[0] == "L":
                self.L = words[1]
            elif words[0] == "vmdef":
                self.vmdef[int(words[1])] = words[2]
            elif words[0] == "function":
                ffid, entry, path = int(words[1]), words[2].lstrip("0"), words[3]
                if ffid > 1:
                    self.ffid_paths.setdefault(ffid, set()).add(path)
                else:
                    self.entry_paths.setdefault(entry, set()).add(path)


class Names:
    """What luaspy read."""

    def __init__(self, pid, L, entries=()):
        done = subprocess.run([TOOL, str(pid), L, *entries], stdout=subprocess.PIPE, timeout=60)
        self.text = done.stdout.decode(errors="replace")
        self.ffid, self.entry, self.facts = {}, {}, {}
        for line in self.text.splitlines():
            words = line.split("\t")
            if words[0] == "ffid":
                self.ffid[int(words[1])] = words[2]
            elif words[0] == "entry":
                self.entry[words[1]] = words[2]
            else:
                self.facts[words[0]] = words[1:]


def as_in_vmdef(name):
    """Our name as LuaJIT's developers write it (ours are those of the manuals)."""
    name = re.sub(r"^file[:.]", "io.method.", name)
    name = re.sub(r"^string\.buffer:(tostring$)?", lambda m: "buffer.method." +
                  ("__tostring" if m.group(1) else ""), name)
    name = re.sub(r"^string\.buffer\.", "buffer.", name)
    name = re.sub(r"^ffi\.C\.__", "ffi.clib.__", name)
    return name


def start(build, folder, *arguments):
    """Runs builtins.lua up to where it has said everything; the process and what it said."""
    vmdef = glob.glob(os.path.join(live.FIXTURES, build, "usr/share/luajit-*/jit/vmdef.lua"))[0]
    target = live.start([live.fixture(build), SCRIPT, folder, vmdef, *arguments],
                        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=None)
    lines = []
    for line in target.stdout:
        lines.append(line.decode())
        if lines[-1] == "end\n":
            break
    return target, Truth(lines)


def builtin_names(build, folder):
    if not live.fixture(build):
        live.skip(build, "no such LuaJIT (tests/fixtures/fetch)")
        return
    target, truth = start(build, folder)
    names = Names(target.pid, truth.L, truth.entry_paths)
    if not live.check(build + ": names were read", "effort" in names.facts, names.text):
        return
    effort = names.facts["effort"]

    wrong = ["%d: %s, not %s" % (i, n, truth.vmdef.get(i)) for i, n in names.ffid.items()
             if as_in_vmdef(n) != truth.vmdef.get(i)]
    unnamed = [truth.vmdef[i] for i in truth.ffid_paths if i not in names.ffid]
    beyond = sorted(n for i, n in truth.vmdef.items() if i not in names.ffid)
    live.note("%s (%s, %s): %d built-ins and %d of %d C functions named, %d wrong; %s tables, %s reads, "
              "%s us" % (build, names.facts["version"][0], names.facts["mode"][0], len(names.ffid),
                         len(names.entry), len(truth.entry_paths), len(wrong), effort[0], effort[3],
                         effort[4]))
    live.note("%s: of all built-ins unnamed: %s" % (build, " ".join(beyond) or "none"))
    live.check(build + ": no built-in has a wrong name", not wrong, "\n".join(wrong))
    live.check(build + ": every reachable built-in has a name", not unnamed, unnamed)
    live.check(build + ": at least 95 % of all built-ins have names",
               len(names.ffid) >= 0.95 * len(truth.vmdef), beyond)
    wrong = ["%s: %s, not %s" % (e, n, truth.entry_paths[e]) for e, n in names.entry.items()
             if n not in truth.entry_paths[e]]
    unnamed = [p for e, p in truth.entry_paths.items() if e not in names.entry]
    live.check(build + ": no C function has a wrong name", not wrong, "\n".join(wrong))
    live.check(build + ": every C function has a name", not unnamed, unnamed)
    have = set(names.entry.values())
    live.check(build + ": cjson's and a C library's functions are named",
               have >= LIBRARY_NAMES and (have >= {"cjson.encode", "cjson.decode"} or
                                          not os.path.exists(CJSON)), sorted(have))
    live.check(build + ": the version", names.facts["version"][0].startswith("LuaJIT 2.1"),
               names.text)
    live.stop(target)


def class_names(build, folder):
    """Methods in the registry: the library's symbols tell the entries."""
    if not live.fixture(build):
        return
    target, truth = start(build, folder)
    library = os.path.join(folder, "luaspy_test.so")
    with open("/proc/%d/maps" % target.pid) as f:
        base = min(int(line.split("-")[0], 16) for line in f if library in line)
    symbols = {}
    for line in subprocess.check_output(["nm", library]).decode().splitlines():
        words = line.split()
        if len(words) == 3:
            symbols[words[2]] = "%x" % (base + int(words[0], 16))
    names = Names(target.pid, truth.L, symbols.values())
    for symbol, name in (("method", "luaspy.class:method"), ("collect", "luaspy.class:__gc"),
                         ("receive", "?:receive"), ("shared", "luaspy_test.alias")):
        live.check("%s: %s() is %s" % (build, symbol, name), names.entry.get(symbols[symbol]) == name,
                   names.entry)
    # A coroutine may be dead when its samples are looked at; the VM's global_State is there.
    with open("/proc/%d/mem" % target.pid, "rb") as f:
        gc64 = names.facts["mode"] == ["GC64"]
        f.seek(int(truth.L, 16) + (16 if gc64 else 8))
        g = int.from_bytes(f.read(8 if gc64 else 4), "little")
    by_g = Names(target.pid, "%x" % g, symbols.values())
    live.check(build + ": the same names from the global_State",
               by_g.ffid == names.ffid and by_g.entry == names.entry, by_g.text)
    live.stop(target)


def while_it_changes(build, folder):
    if not live.fixture(build):
        return
    target, truth = start(build, folder, "busy")
    wrong, counts, slowest, rounds, end = [], [], 0, 0, time.time() + 4
    while time.time() < end:
        names = Names(target.pid, truth.L)
        if "effort" not in names.facts:
            wrong.append(names.text)
            break
        rounds += 1
        counts.append(len(names.ffid))
        slowest = max(slowest, int(names.facts["effort"][4]))
        wrong += [n for i, n in names.ffid.items() if as_in_vmdef(n) != truth.vmdef.get(i)]
    live.note("%s, tables that change: %d readings, %d to %d names, at most %d us" %
              (build, rounds, min(counts or [0]), max(counts or [0]), slowest))
    live.check(build + ": no wrong name while tables change", rounds > 3 and not wrong, wrong[:20])
    live.check(build + ": names are found while tables change",
               min(counts or [0]) >= 0.9 * len(truth.vmdef), counts)
    live.stop(target)


NGINX = """
load_module %(modules)s/ndk_http_module.so;
load_module %(modules)s/ngx_http_lua_module.so;
worker_processes 1;
daemon off;
pid nginx.pid;
error_log error.log warn;
events { worker_connections 64; }
http {
  access_log off;
  client_body_temp_path body; proxy_temp_path proxy; fastcgi_temp_path fastcgi;
  uwsgi_temp_path uwsgi; scgi_temp_path scgi;
  lua_shared_dict cats 1m;
  lua_package_path "%(lua)s/?.lua;;";
  init_by_lua_block { require("cjson") }
  server {
    listen 127.0.0.1:%(port)d;
    location / {
      content_by_lua_block {
        local builtins = require("builtins")
        ngx.say("L\\t", builtins.address(coroutine.running()))
        ngx.say("pid\\t", ngx.worker.pid())
        builtins.functions(ngx.say)
        local info = require("jit.util").funcinfo
        local class = getmetatable(ngx.socket.tcp())
        ngx.say(string.format("receive\\t%%x", info(class.__index.receive).addr or 0))
      }
    }
  }
}
"""


def nginx():
    what = "nginx"
    modules = [p for p in ("/usr/lib/nginx/modules", "/usr/lib64/nginx/modules",
                           "/usr/share/nginx/modules")
               if os.path.exists(p + "/ngx_http_lua_module.so")]
    if not modules:
        live.skip(what, "nginx's Lua module is not installed")
        return
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    folder = os.path.join(live.SCRATCH, "nginx")
    os.mkdir(folder)
    os.chmod(live.SCRATCH, 0o755)
    os.chmod(folder, 0o755)
    with open(SCRIPT) as source, open(os.path.join(folder, "builtins.lua"), "w") as copy:
        copy.write(source.read())
    with open(os.path.join(folder, "nginx.conf"), "w") as f:
        f.write(NGINX % {"modules": modules[0], "port": port, "lua": folder})
    server = live.start(["nginx", "-p", folder, "-c", "nginx.conf", "-e", "error.log"])

    def answer():
        try:
            return urllib.request.urlopen("http://127.0.0.1:%d/" % port, timeout=5).read().decode()
        except OSError:
            return None

    text = live.wait_until(answer)
    if not live.check(what + ": answers", text, open(os.path.join(folder, "error.log")).read()):
        return
    lines = text.splitlines()
    truth = Truth(lines)
    facts = dict(line.split("\t") for line in lines if line.count("\t") == 1)
    names = Names(int(facts["pid"]), truth.L, [*truth.entry_paths, facts["receive"]])
    wrong = ["%d: %s, not %s" % (i, n, truth.ffid_paths[i]) for i, n in names.ffid.items()
             if i in truth.ffid_paths and n not in truth.ffid_paths[i] and not n.startswith("file:")]
    wrong += ["%s, not %s" % (n, truth.entry_paths[e]) for e, n in names.entry.items()
              if e in truth.entry_paths and n not in truth.entry_paths[e]]
    unnamed = [p for i, p in truth.ffid_paths.items() if i not in names.ffid]
    unnamed += [p for e, p in truth.entry_paths.items() if e not in names.entry]
    live.note("%s: %d built-ins and %d C functions named, %d wrong, %d unnamed; effort %s" %
              (what, len(names.ffid), len(names.entry), len(wrong), len(unnamed),
               names.facts.get("effort")))
    live.check(what + ": no wrong name", names.ffid and not wrong, names.text if not names.ffid else
               "\n".join(wrong))
    live.check(what + ": every function has a name", not unnamed, unnamed)
    have = set(names.entry.values()) | set(names.ffid.values())
    want = {"ngx.say", "ngx.print", "ngx.req.read_body", "ngx.location.capture_multi",
            "cjson.encode", "string.gsub", "pairs", "coroutine.wrap_aux"}
    live.check(what + ": the names users know", want <= have, want - have, sorted(have))
    live.check(what + ": a cosocket's method", names.entry.get(facts["receive"], "").endswith(":receive"),
               names.entry.get(facts["receive"]))
    live.stop(server)


subprocess.check_call(["make", "-s", "-C", live.TOP, "B=" + live.BUILD, TOOL])
MODULES = os.path.join(live.SCRATCH, "modules")
os.mkdir(MODULES)
CJSON = "/usr/lib/x86_64-linux-gnu/lua/5.1/cjson.so"
if os.path.exists(CJSON):
    os.symlink(CJSON, os.path.join(MODULES, "cjson.so"))
os.rename(live.compile_c(LIBRARY, "luaspy_test.so", "-shared", "-fPIC"),
          os.path.join(MODULES, "luaspy_test.so"))
for fixture in BUILDS:
    builtin_names(fixture, MODULES)
for fixture in BUILDS:
    class_names(fixture, MODULES)
for fixture in ("bullseye-luajit", "sid-luajit"):
    while_it_changes(fixture, MODULES)
nginx()
live.finish()
