# SPDX-License-Identifier: Apache-2.0
"""Containers that run the demo's nginx from another Debian's root tree: by namespaces alone, by Docker, by podman."""
import os
import shutil
import signal
import socket
import subprocess
import time

import live
import targets

FIXTURE = os.path.join(live.FIXTURES, "trixie-nginx")
ENGINES = os.path.join(live.FIXTURES, "bookworm-engines")
SOURCES = "/srv/application/lua"  # in the containers, and only there
COMMAND = ["/usr/sbin/nginx", "-p", "/srv/application", "-c", "nginx.conf", "-e", "error.log"]


def _free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


class Root:
    """A copy of the root tree with the demo's application in it."""

    def __init__(self, name):
        self.path = os.path.join(live.SCRATCH, name)
        self.port = _free_port()
        subprocess.check_call(["cp", "-a", FIXTURE, self.path])
        os.chmod(live.SCRATCH, 0o755)
        shutil.copytree(os.path.join(live.TOP, "demo", "lua"), self.path + SOURCES)
        with open(os.path.join(live.TOP, "demo", "nginx.conf")) as f:
            text = f.read()
        for key, value in (("@MODULES@", "/usr/lib/nginx/modules"), ("@USER@", "user nobody nogroup;"),
                           ("@PORT@", str(self.port)), ("@LUA@", SOURCES)):
            text = text.replace(key, value)
        with open(self.path + os.path.dirname(SOURCES) + "/nginx.conf", "w") as f:
            f.write(text)
        os.makedirs(self.path + "/mnt", exist_ok=True)
        # A source that is as young as its process may be another one than that it has read.
        time.sleep(0.1)

    def serves(self):
        try:
            with socket.create_connection(("127.0.0.1", self.port), 1):
                return True
        except OSError:
            return False

    def load(self, seconds):
        return live.start(["wrk", "-t1", "-c8", "-d%ds" % seconds, "-s",
                           os.path.join(live.TOP, "demo", "load.lua"), "http://127.0.0.1:%d" % self.port])

    def master(self):
        """The pid, on the host, of the nginx that was started from this tree, whatever its container is."""
        for pid in filter(str.isdigit, os.listdir("/proc")):
            if not targets.title(int(pid)).startswith("nginx: master process " + COMMAND[0]):
                continue
            try:
                with open("/proc/%s/root%s/nginx.conf" % (pid, os.path.dirname(SOURCES))) as f:
                    if "listen 127.0.0.1:%d;" % self.port in f.read():
                        return int(pid)
            except OSError:
                pass
        return None

    def worker(self):
        master = self.master()
        found = targets.children(master) if master else []
        return found[0] if found else None


# Becomes a process of the new pid namespace's container: control group first, so that the cgroup namespace
# begins there; then the root tree, and the old one gone.
_ENTER = """
set -e
group=$1 hostname=$2 root=$3
shift 3
echo 0 > "$group/cgroup.procs"
mount --bind "$root" "$root"
mount -t proc proc "$root/proc"
mount --bind /dev "$root/dev"
: > "$root/etc/hostname"
mount --bind "$hostname" "$root/etc/hostname"
cd "$root"
exec unshare --cgroup sh -c 'pivot_root . mnt && exec chroot . /bin/sh -c '\\''umount -l /mnt && exec "$@"'\\'' sh "$@"' sh "$@"
"""


class Plain(targets.Container):
    """A container in pid, mount and cgroup namespaces of its own; the network is the machine's."""

    def __init__(self, root, id, name):
        self.root = root
        super().__init__(COMMAND, id, name)

    def command(self, command, hostname):
        return ["unshare", "--pid", "--mount", "--fork", "--kill-child", "sh", "-c", _ENTER, "sh", self.group,
                hostname, self.root.path, *command]

    def started(self):
        return self.root.master() if self.root.serves() else None


def _tool(name):
    return next((path for path in (os.path.join(ENGINES, folder, name) for folder in
                                   ("usr/sbin", "usr/bin")) if os.path.exists(path)), None)


def _environment(home):
    folders = [os.path.join(ENGINES, folder) for folder in ("usr/sbin", "usr/bin")]
    libraries = [os.path.join(ENGINES, folder) for folder in ("usr/lib/x86_64-linux-gnu", "lib/x86_64-linux-gnu")]
    return dict(os.environ, HOME=home, PATH=":".join([*folders, os.environ["PATH"]]), LD_LIBRARY_PATH=":".join(libraries))


def unmount(folder):
    """What an engine has left mounted below its folder."""
    with open("/proc/self/mounts") as f:
        points = [line.split()[1] for line in f]
    for point in reversed(points):
        if point.startswith(folder + "/"):
            subprocess.call(["umount", "-l", point])


class Engine:
    """What Docker and podman have in common. `error` says why there is no container; None when there is one."""

    limits = []

    def __init__(self, name):
        self.error = None
        self.name = name
        self.id = self.pid = None
        self.folder = os.path.join(live.SCRATCH, "engine-" + type(self).__name__)
        os.makedirs(self.folder)

    def client(self):
        raise NotImplementedError

    def run(self, *arguments, seconds=60, **options):
        options.setdefault("stdin", subprocess.DEVNULL)
        return subprocess.run([*self.client(), *arguments], stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                              env=self.environment(), timeout=seconds, check=False, **options)

    def environment(self):
        return _environment(self.folder)

    def make_image(self, root):
        """The root tree as an image; true when that went well."""
        with subprocess.Popen(["tar", "-C", root.path, "-c", "."], stdout=subprocess.PIPE) as tar:
            done = self.run("import", "-", "luaspy-trixie", stdin=tar.stdout)
        if done.returncode:
            self.error = "import: " + done.stderr.decode(errors="replace").strip()[-300:]
        return done.returncode == 0

    def begin(self, root, *arguments):
        """Runs a container with nginx and waits until it serves."""
        done = self.run("run", "-d", "--name", self.name, "--network=host", *arguments)
        self.id = done.stdout.decode().strip()
        if done.returncode:
            self.error = done.stderr.decode(errors="replace").strip()[-300:]
            return
        self.pid = live.wait_until(lambda: root.master() if root.serves() else None, 15)
        if not self.pid:
            done = self.run("logs", self.name)
            self.error = "its nginx did not start: " + (done.stdout + done.stderr).decode(errors="replace")[-300:]


class Docker(Engine):
    def __init__(self, root, name):
        super().__init__(name)
        self.socket = "unix://" + self.folder + "/d.sock"
        log = os.path.join(self.folder, "log")
        with open(log, "wb") as f:
            self.daemon = live.start([_tool("dockerd"), "--data-root", self.folder + "/data", "--exec-root",
                                      self.folder + "/exec", "-H", self.socket, "-p", self.folder + "/d.pid",
                                      "--iptables=false", "--ip6tables=false", "--bridge=none"],
                                     env=self.environment(), stderr=f)
        if not live.wait_until(lambda: self.daemon.poll() is not None or self.run("version").returncode == 0, 30) or \
                self.daemon.poll() is not None:
            with open(log, errors="replace") as f:
                self.error = "dockerd does not start: " + f.read().strip()[-300:]
            return
        if self.make_image(root):
            self.begin(root, "luaspy-trixie", *COMMAND)

    def client(self):
        return [_tool("docker"), "-H", self.socket]

    def stop(self):
        if self.daemon.poll() is None:
            self.run("rm", "-f", self.name)
        self.daemon.send_signal(signal.SIGTERM)
        try:
            self.daemon.wait(20)
        except subprocess.TimeoutExpired:
            pass
        live.stop(self.daemon)
        unmount(self.folder)


class Podman(Engine):
    # Its own are above what an unprivileged machine grants.
    limits = ["--ulimit", "nofile=20000:20000", "--ulimit", "nproc=20000:20000"]

    def __init__(self, root, name):
        super().__init__(name)
        os.makedirs(self.folder + "/.config/containers")
        with open(self.folder + "/.config/containers/policy.json", "w") as f:
            f.write('{"default": [{"type": "insecureAcceptAnything"}]}')
        if self.make_image(root):
            self.begin(root, "--cgroupns=private", *self.limits, "luaspy-trixie", *COMMAND)

    def client(self):
        return [_tool("podman"), "--root", self.folder + "/root", "--runroot", self.folder + "/run", "--tmpdir",
                self.folder + "/tmp", "--runtime", _tool("runc"), "--conmon", _tool("conmon"), "--cgroup-manager=cgroupfs",
                "--events-backend=none"]

    def stop(self):
        self.run("rm", "-f", "-t", "2", self.name)
        unmount(self.folder)
