# SPDX-License-Identifier: Apache-2.0
"""Targets of several tests, and of the bench: an nginx of one's own configuration, a container without an engine, a
recursion in C."""
import json
import os
import re
import shutil
import signal
import subprocess

import live

# A recursion as deep as it is told.
DEEP_C = r"""
#include <stdlib.h>
static volatile unsigned long x;
__attribute__((noinline)) static int down(int n) {
	volatile char pad[40];
	pad[0] = (char)n;
	if (!n) for (;;) x++;
	return down(n - 1) + pad[0];
}
int main(int argc, char **argv) { return down(atoi(argv[1])); }
"""

MODULES = ("/usr/lib/nginx/modules", "/usr/lib64/nginx/modules", "/usr/share/nginx/modules")

CONFIGURATION = """
load_module @MODULES@/ndk_http_module.so;
load_module @MODULES@/ngx_http_lua_module.so;
worker_processes @WORKERS@;
daemon off;
pid nginx.pid;
error_log error.log warn;
events { worker_connections 512; }
http {
	access_log off;
	client_body_temp_path body;
	proxy_temp_path proxy;
	fastcgi_temp_path fastcgi;
	uwsgi_temp_path uwsgi;
	scgi_temp_path scgi;
	init_by_lua_block { require("resty.core") }
	init_worker_by_lua_block {
		local function spin()
			local s, stop = 0, os.clock() + 0.05
			while os.clock() < stop do for i = 1, 1000 do s = s + i % 7 end end
			return s
		end
		ngx.timer.every(0.1, spin)
	}
}
"""


class OwnNginx:
    """nginx whose workers are busy half of the time, by themselves; `prefix` is the folder it runs in."""

    def __init__(self, prefix, workers=1):
        self.prefix = prefix
        os.makedirs(prefix, exist_ok=True)
        os.chmod(live.SCRATCH, 0o755)
        modules = next((m for m in MODULES if os.path.exists(m + "/ngx_http_lua_module.so")), MODULES[0])
        text = CONFIGURATION.replace("@MODULES@", modules).replace("@WORKERS@", str(workers))
        with open(os.path.join(prefix, "nginx.conf"), "w") as f:
            f.write(text)
        self.master = live.start(["nginx", "-p", prefix, "-c", "nginx.conf", "-e", "error.log"])
        self.pid = self.master.pid
        live.wait_until(lambda: len(self.workers()) == workers)

    def workers(self):
        """The pids of the workers that are not shutting down."""
        return [p for p in children(self.pid) if title(p).startswith("nginx: worker process")
                and "shutting down" not in title(p)]

    def reload(self):
        before = set(self.workers())
        self.master.send_signal(signal.SIGHUP)
        live.wait_until(lambda: self.workers() and not before & set(self.workers()))

    def stop(self):
        live.stop(self.master)


def title(pid):
    try:
        with open("/proc/%d/cmdline" % pid, "rb") as f:
            return f.read().replace(b"\0", b" ").decode(errors="replace").strip()
    except OSError:
        return ""


def parent(pid):
    try:
        with open("/proc/%d/stat" % pid) as f:
            return int(f.read().rpartition(")")[2].split()[1])
    except OSError:
        return 0


def children(pid):
    try:
        with open("/proc/%d/task/%d/children" % (pid, pid)) as f:
            return [int(word) for word in f.read().split()]
    except OSError:
        out = subprocess.run(["ps", "--ppid", str(pid), "-o", "pid="], stdout=subprocess.PIPE, check=False)
        return [int(word) for word in out.stdout.split()]


class Container:
    """A process in pid and mount namespaces of its own, in a control group like Docker's, with the mounts and
    the state file by which a container's name is found. None of `pid` when this machine does not let us."""

    def __init__(self, command, id, name):
        self.id, self.pid, self.child, self.group, self.state = id, None, None, None, None
        hierarchy = self._writable_hierarchy()
        if not hierarchy:
            return
        self.group = os.path.join(hierarchy, "docker", id)
        os.makedirs(self.group, exist_ok=True)
        self.state = os.path.join(live.SCRATCH, "docker-root-" + id[:12])
        folder = os.path.join(self.state, "containers", id)
        os.makedirs(folder)
        with open(folder + "/config.v2.json", "w") as f:
            json.dump({"ID": id, "Name": "/" + name}, f)
        with open(folder + "/hostname", "w") as f:
            f.write("box\n")
        self.child = live.start(self.command(command, folder + "/hostname"))
        self.pid = live.wait_until(self.started, 15)

    def command(self, command, hostname):
        """What starts the container's first process; `hostname` is a file to mount as its /etc/hostname."""
        script = ('echo 0 > "$1/cgroup.procs"; mount --bind "$2" /etc/hostname || exit 1; shift 2; '
                  'mount -t proc proc /proc; exec "$@"')
        return ["unshare", "--pid", "--mount", "--fork", "--kill-child", "sh", "-c", script, "sh", self.group,
                hostname, *command]

    def started(self):
        """The first process's pid when it runs the container's command."""
        found = children(self.child.pid)
        # A fixture's command is a script that executes it.
        return found[0] if found and not re.match(r"$|(/bin/)?sh |mount |unshare ", title(found[0])) else None

    @staticmethod
    def _writable_hierarchy():
        with open("/proc/mounts") as f:
            for line in f:
                fields = line.split()
                if fields[2] not in ("cgroup", "cgroup2") or "cpuset" in fields[3]:
                    continue
                probe = os.path.join(fields[1], "docker", "luaspy-probe")
                try:
                    os.makedirs(probe)
                    os.rmdir(probe)
                    return fields[1]
                except OSError:
                    pass
        return None

    def stop(self):
        if self.child:
            live.stop(self.child)
            live.wait_until(lambda: self._remove_group(), 5)
            shutil.rmtree(self.state, ignore_errors=True)

    def _remove_group(self):
        for path in (self.group, os.path.dirname(self.group)):
            try:
                os.rmdir(path)
            except OSError:
                pass
        return not os.path.exists(self.group)
