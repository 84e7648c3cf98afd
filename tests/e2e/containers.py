"""Real containers, by podman and runc: images from scratch, with a program of ours, or gdbserver and its libraries.

Each test has podman's storage in a directory of its own, and ends its containers. podman build and run need root here; crun
refuses hybrid cgroups, so that the runtime is runc.
"""

import contextlib
import json
import os
import re
import shutil
import subprocess
import tempfile
import time

from lib import *

# The profile that podman has where none is given.
DEFAULT_PROFILE = "/usr/share/containers/seccomp.json"

LIMITS = ["--ulimit", "nofile=1024:20000", "--ulimit", "nproc=1000:1000", "--network", "none"]


class Podman(Stopped):
    """podman's storage, and the containers that were started in it."""

    def __init__(self):
        need("podman")
        need("runc")
        if os.getuid():
            raise Skip("podman's containers want root here")
        # Short: sockets' paths have 107 bytes.
        self.top = tempfile.mkdtemp(prefix="p.", dir="/tmp")
        self.argv = ["podman", "--root", f"{self.top}/r", "--runroot", f"{self.top}/rr", "--tmpdir", f"{self.top}/t",
                     "--cgroup-manager", "cgroupfs", "--runtime", "runc", "--events-backend", "file"]
        self.names = []

    def __call__(self, *args, rc=0, **kw):
        r = subprocess.run([*self.argv, *map(str, args)], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                           stderr=subprocess.PIPE, text=True, errors="replace", **kw)
        check(rc is None or r.returncode == rc, f"podman {' '.join(map(str, args))}: exit {r.returncode}\n{r.stdout}{r.stderr}")
        return r.stdout.strip()

    def image(self, name, files, entry=None, *lines):
        """An image from scratch: files {path in it: path here}, what runs, and more lines of its Containerfile."""
        d = tempfile.mkdtemp(dir=self.top)
        text = ["FROM scratch"]
        for i, (to, source) in enumerate(files.items()):
            shutil.copy(os.path.realpath(source), f"{d}/{i}")
            os.chmod(f"{d}/{i}", 0o755)
            text.append(f"COPY {i} {to}")
        if entry:
            text.append(f"ENTRYPOINT {json.dumps(entry)}")
        with open(f"{d}/Containerfile", "w") as f:
            f.write("\n".join([*text, *lines]) + "\n")
        self("build", "-q", "-t", name, d)
        return name

    def program(self, name, exe, *args):
        """The image of a static program."""
        return self.image(name, {"/app": exe, **ECHO()}, ["/app", *args])

    def run(self, image, *options, args=()):
        """Starts a container of it."""
        try:
            return Container(self, image, options, args)
        except Failure as e:
            # What this machine does not allow (no cgroups, no mounts) is no failure of ours.
            if re.search("OCI runtime|operation not permitted|cgroup", str(e), re.I) and "no such file" not in str(e):
                raise Skip(f"no containers here: {str(e).splitlines()[-1]}")
            raise

    def stop(self):
        for name in reversed(self.names):  # those that share another's namespaces first
            self("rm", "-f", "-t", "0", name, rc=None)
        # What podman has mounted for its storage stays behind otherwise.
        for line in reversed(open("/proc/self/mounts").readlines()):
            if line.split()[1].startswith(self.top):
                subprocess.run(["umount", "-l", line.split()[1]], stderr=subprocess.DEVNULL)
        shutil.rmtree(self.top, ignore_errors=True)


class Container:
    """A running container; pid: of its first process, as this machine has it."""

    def __init__(self, podman, image, options, args):
        self.podman = podman
        self.name = f"grf{os.getpid()}-{len(podman.names)}"
        podman.names.append(self.name)
        # By $TMPDIR apart.py finds what a test that was killed has left.
        env = ["-e", f"TMPDIR={os.environ['TMPDIR']}"] if "TMPDIR" in os.environ else []
        self.id = podman("run", "-d", "--name", self.name, *LIMITS, *env, *options, image, *args)
        self.pid = int(podman("inspect", "-f", "{{.State.Pid}}", self.name))

    def log(self):
        return self.podman("logs", self.name)

    def wait_line(self, pattern, timeout=30, start=0):
        deadline = time.monotonic() + timeout
        while True:
            lines = self.log().split("\n")
            for line in lines[start:]:
                if re.search(pattern, line):
                    return line
            check(time.monotonic() < deadline, f"no {pattern!r} in {timeout} s; last:", lines[-3:])
            time.sleep(0.05)

    def exec(self, *command, tty=False):
        """A TARGET: the command in this container, on a pipe."""
        return "| exec " + " ".join([*self.podman.argv, "exec", "-it" if tty else "-i", self.name, *command])


def ECHO():
    """What tests/progs/server starts as a child."""
    return {"/bin/echo": once("static echo", lambda: static_c(
        "echo", r'int main(int n, char **v) { for (int i = 1; i < n; i++) printf("%s%s", v[i], i + 1 < n ? " " : "\n"); }'))}


def static_c(name, body, *flags):
    """A static program of a few lines; its path, for the whole run."""
    need("gcc")
    out = os.path.join(OBJDIR, "progs", name)
    os.makedirs(os.path.dirname(out), exist_ok=True)
    p = subprocess.run(["gcc", "-O1", "-static", "-x", "c", "-o", out, "-", *flags], input="#include <stdio.h>\n" + body, text=True)
    check(p.returncode == 0, "gcc", name)
    return out


def with_libraries(**commands):
    """Programs {path in an image: command here}, and what they are linked with."""
    files = {}
    for path, command in commands.items():
        files[path] = need(command)
        out = subprocess.run(["ldd", files[path]], stdout=subprocess.PIPE, text=True, check=True).stdout
        files.update({lib: lib for lib in re.findall(r"(/\S+) \(0x", out)})
    return files


def gdbserver_files():
    return with_libraries(**{"/usr/bin/gdbserver": "gdbserver"})


def static_binary():
    """The path of the static grf-rsp, which is linked once a run."""
    def make():
        r = subprocess.run(["make", "-s", "static", f"OBJDIR={OBJDIR}"], cwd=TOP, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                           text=True)
        check(r.returncode == 0, "make static:", r.stdout)
        return os.path.join(OBJDIR, "grf-rsp-static")
    return once("static", make)


def stat_of(pid, field):
    """A line of /proc/PID/status."""
    with open(f"/proc/{pid}/status") as f:
        return re.search(rf"^{field}:\s*(.*)$", f.read(), re.M).group(1)


def free(pid):
    """Nobody holds it: no thread is stopped or traced."""
    for tid in os.listdir(f"/proc/{pid}/task"):
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):
            with open(f"/proc/{pid}/task/{tid}/status") as f:
                text = f.read()
            if re.search(r"^State:\s*[tT]", text, re.M) or not re.search(r"^TracerPid:\s*0$", text, re.M):
                return False
    return True


def wait_free(pid, timeout=2.0):
    deadline = time.monotonic() + timeout
    while not free(pid):
        check(time.monotonic() < deadline, f"still held after {timeout} s:", stat_of(pid, "State"), "by", stat_of(pid, "TracerPid"))
        time.sleep(0.02)
