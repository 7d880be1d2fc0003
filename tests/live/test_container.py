#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""nginx with Lua in containers of another Debian than the machine's, stripped as that ships it: found by id, name
and process name, and with the same figures as on the host. Also luaspy itself in a container."""
import json
import os
import re
import subprocess
import time

import containers
import live
import targets

ID = "c0de" + "0123456789abcdef" * 3 + "decaf0000000"
NAME = "luaspy-shop"
RATE, SECONDS = 997, 5
LONG = "LUASPY_SOAK_SECONDS" in os.environ
# Local functions of the application: only its source, or what calls them, tells their names.
FUNCTIONS = ("search", "_M.search", "rank", "checksum", "show_product", "<anonymous in _M.search, for table.sort>")


def in_container(r):
    """Samples with a Lua function of the file that only the container has."""
    return r.count_where(lambda f: any(containers.SOURCES in x["chunk"] for x in live.lua_frames(f)))


def functions(r):
    return {x["name"] for frames, _ in r.stacks for x in live.lua_frames(frames)}


def listing(pid, *command, **options):
    done = subprocess.run([*(command or (live.LUASPY,)), "list", "--json"], stdin=subprocess.DEVNULL,
                          stdout=subprocess.PIPE, stderr=subprocess.PIPE, check=False, timeout=60, **options)
    try:
        rows = json.loads(done.stdout)["processes"]
    except (ValueError, KeyError):
        rows = []
    return next((row for row in rows if row["pid"] == pid), None), done.stderr.decode(errors="replace")


def measured(name, load, *arguments):
    """A recording that has the usual figures. What a stack's reallocation costs is near the bar: more samples decide."""
    wrk = load(SECONDS + 4)
    time.sleep(1)
    r = live.record("-F", RATE, "-d", SECONDS, *arguments)
    live.stop(wrk)
    shares = [r.lua_complete() or 0]
    while min(shares) < 99.9 and len(shares) < 3:
        wrk = load(SECONDS + 4)
        shares.append(live.record("-F", RATE, "-d", SECONDS, *arguments).lua_complete() or 0)
        live.stop(wrk)
    r.lua_complete = lambda: sum(shares) / len(shares)
    live.bars(name, r)
    live.note("%s: %.1f %% of the Lua frames named" % (name, live.named(r)))
    return r


def on_host():
    server = live.Nginx()
    r = measured("on the host", server.load, "-p", server.worker)
    server.stop()
    return live.named(r)


def compare(name, r, host_named):
    live.check("%s: the worker was busy" % name, r.samples > RATE * SECONDS / 5, r.samples, r.stderr)
    live.check("%s: functions from sources that only the container has" % name,
               in_container(r) > r.samples / 4, in_container(r), r.samples, sorted(functions(r)))
    live.check("%s: they have the names that the sources give them" % name,
               all(f in functions(r) for f in FUNCTIONS), sorted(functions(r)))
    live.check("%s: as many of the Lua frames have a name as on the host" % name,
               live.named(r) > host_named - 2, live.named(r), host_named)


def found(name, root, container, engine):
    """By id, by name, by the processes' name, in the list."""
    wrk = root.load(60)
    worker = root.worker()
    for what, arguments in (("the beginning of its id", ("-c", container.id[:12])), ("its name", ("-c", container.name))):
        r = live.record("-F", 199, "-d", 1, "--threads", *arguments)
        live.check("%s: -c with %s" % (name, what), r.status == 0 and in_container(r) > r.samples / 4 and
                   all(re.search(r"/(%d|%d)$" % (worker, root.master()), f[0]) for f, _ in r.stacks), r.stderr,
                   {f[0] for f, _ in r.stacks})
    r = live.record("-F", 199, "-d", 1, "--threads", "-n", "nginx")
    live.check("%s: -n nginx" % name, r.status == 0 and
               r.count_where(lambda f: f[0].endswith("/%d" % worker)) > 10, r.stderr, {f[0] for f, _ in r.stacks})
    row, errors = listing(worker)
    live.check("%s: in the list with its container" % name, row and row["container"] ==
               dict(id=container.id, engine=engine, name=container.name), row, errors)
    live.check("%s: ... as a stripped nginx worker with LuaJIT" % name, row and row["role"] == "worker" and
               row["program"] == "nginx" and row["runtime"].startswith("LuaJIT 2.1.17") and row["gc64"] and
               not row["symbols"] and row["vms"] == 1 and row["heap_bytes"] > 100000, row)
    page = os.path.join(live.SCRATCH, "page.html")
    done = subprocess.run([live.LUASPY, "record", "-q", "-d", "0.5", "-o", page, "-c", container.name],
                          stdin=subprocess.DEVNULL, stderr=subprocess.PIPE, check=False, timeout=60)
    with open(page, errors="replace") as f:
        title = re.search(r"<title>(.*?)</title>", f.read())
    live.check("%s: the picture's title says which container" % name, title and container.name in title.group(1),
               title and title.group(1), done.stderr)
    live.stop(wrk)


def luaspy_in_bare_container(root, container):
    """luaspy as the only program of a tree, in mount and cgroup namespaces of its own, with the host's processes."""
    tree = os.path.join(live.SCRATCH, "bare")
    for folder in ("proc", "sys", "tmp", "old"):
        os.makedirs(os.path.join(tree, folder))
    subprocess.check_call(["cp", live.LUASPY, tree + "/luaspy"])
    script = ('set -e; mount --bind "$1" "$1"; mount --rbind /sys "$1/sys"; mount -t proc proc "$1/proc"; cd "$1"; shift; '
              'exec chroot . "$@"')
    inside = ["unshare", "--mount", "--cgroup", "sh", "-c", script, "sh", tree, "/luaspy"]
    from_inside("luaspy in a container", root, container, inside)


def from_inside(name, root, container, inside, **options):
    wrk = root.load(30)
    worker = root.worker()
    done = subprocess.run([*inside, "record", "-F", "499", "-d", "3", "-f", "folded", "-o", "-", "-p", str(worker)],
                          stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, check=False, timeout=60,
                          **options)
    r = live.Recording(done.returncode, done.stderr.decode(errors="replace"), done.stdout.decode(errors="replace"))
    live.check("%s: whole stacks of another container's process" % name, r.status == 0 and r.samples > 100 and
               (r.complete() or 0) >= 99.5, r.stderr)
    live.check("%s: ... with names from the sources in that" % name, in_container(r) > r.samples / 4 and
               all(f in functions(r) for f in FUNCTIONS), r.stderr, sorted(functions(r)))
    row, errors = listing(worker, *inside, **options)
    live.check("%s: its list has that process, and in which container it is" % name, row and row["container"] and
               row["container"]["id"] == container_id(worker), row, errors)
    # The engine's files are in the first process's root, which root may look into on all but odd machines.
    if os.path.exists("/proc/1/root/"):
        live.check("%s: ... and that container's name" % name, row and row["container"]["name"] == container.name, row)
    live.stop(wrk)


def container_id(pid):
    with open("/proc/%d/cgroup" % pid) as f:
        return re.search(r"[0-9a-f]{64}", f.read()).group(0)


# What README names for a container that is not privileged. Debian 12's Docker does not know CAP_BPF yet.
ALLOWED = {"docker": ["SYS_ADMIN", "SYS_PTRACE", "SYSLOG"], "podman": ["BPF", "PERFMON", "SYS_PTRACE", "SYSLOG"]}


def with_engine(kind, engine, host_named):
    name = "%s-shop" % engine
    root = containers.Root(engine)
    container = kind(root, name)
    try:
        if container.error:
            live.skip("a container of %s" % engine, "cannot: " + " ".join(container.error.split()))
            return
        if kind is containers.Docker or LONG:
            compare(engine, measured(engine, root.load, "-c", name), host_named)
        found(engine, root, container, engine)
        if kind is containers.Podman and not LONG:
            return  # its foreground containers take 20 seconds to end on some machines
        capabilities = ["--cap-add=" + name for name in ALLOWED[engine]]
        from_inside("luaspy in a container of %s" % engine, root, container, [
            *container.client(), "run", "--rm", "--pid=host", "--network=none", "--security-opt", "seccomp=unconfined",
            *capabilities, *container.limits, "-v", live.LUASPY + ":/luaspy:ro", "luaspy-trixie", "/luaspy"],
            env=container.environment())
    finally:
        container.stop()


def main():
    if not os.path.isdir(containers.FIXTURE) or not os.path.isdir(containers.ENGINES):
        live.check("trixie-nginx, bookworm-engines: the fixtures are there (tests/fixtures/fetch)", False)
        return
    host_named = on_host()
    root = containers.Root("plain")
    container = containers.Plain(root, ID, NAME)
    if container.pid:
        container.name = NAME
        live.check("by namespaces: in namespaces of its own, in a group like Docker's", all(
            os.readlink("/proc/%d/ns/%s" % (container.pid, ns)) != os.readlink("/proc/self/ns/%s" % ns)
            for ns in ("pid", "mnt", "cgroup")) and container_id(container.pid) == ID)
        compare("by namespaces", measured("by namespaces", root.load, "-p", container.pid), host_named)
        found("by namespaces", root, container, "docker")
        luaspy_in_bare_container(root, container)
        container.stop()
    elif container.child:
        live.check("by namespaces: the container runs", False, targets.title(container.child.pid))
        container.stop()
    else:
        live.skip("by namespaces", "cannot: no control group can be made here")
    with_engine(containers.Docker, "docker", host_named)
    with_engine(containers.Podman, "podman", host_named)


main()
live.finish()
